#include "harness/fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "harness/harness.h"

char *
fault_built_path(const char *name)
{
    const char *binary = harness_env("PGHAUL_BIN", "build/release/pghaul");
    const char *slash = strrchr(binary, '/');
    StrBuf path = STRBUF_INIT;
    strbuf_put(&path, binary, slash == NULL ? 0 : (size_t)(slash + 1 - binary));
    strbuf_puts(&path, name);
    return path.text;
}

static char *
variable(const char *name, const char *value)
{
    StrBuf text = STRBUF_INIT;
    strbuf_printf(&text, "%s=%s", name, value);
    return text.text;
}

void
fault_env_init(FaultEnv *env, const char *folder, const char *faults, const char *log_path)
{
    char *library = fault_built_path("fault/preload.so");
    *env = (FaultEnv){
        .text = {variable("LD_PRELOAD", library), variable("PGHAUL_FAULT_FOLDER", folder),
            variable("PGHAUL_FAULT", faults), variable("PGHAUL_FAULT_LOG", log_path)},
        .log_path = mem_strdup(log_path)};
    free(library);
    for (int i = 0; i < 4; i++) {
        env->list[i] = env->text[i];
    }
    harness_write_file(log_path, "");
}

void
fault_env_free(FaultEnv *env)
{
    for (int i = 0; i < 4; i++) {
        free(env->text[i]);
    }
    free(env->log_path);
}

char *
fault_log(const FaultEnv *env)
{
    return harness_read_file(env->log_path);
}

bool
fault_happened(const FaultEnv *env)
{
    char *log = fault_log(env);
    bool happened = false;
    for (const char *line = log; *line != '\0' && !happened;) {
        size_t len = strcspn(line, "\n");
        happened = len > 0 && line[len - 1] != '-';
        line += len + (line[len] == '\n');
    }
    free(log);
    return happened;
}
