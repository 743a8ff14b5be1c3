#include "harness/harness.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "harness/proc.h"

#define DEFAULT_SEED 20260131

void
harness_fail(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)fputs("harness: ", stderr);
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
    va_end(args);
    (void)fflush(stderr);
    abort();
}

void
harness_nap_us(int64_t nap_us)
{
    struct timespec nap = {
        .tv_sec = (time_t)(nap_us / 1000000),
        .tv_nsec = (long)(nap_us % 1000000 * 1000),
    };
    (void)nanosleep(&nap, NULL);
}

const char *
harness_env(const char *name, const char *fallback)
{
    const char *value = secure_getenv(name);
    return value == NULL || value[0] == '\0' ? fallback : value;
}

uint64_t
harness_seed(void)
{
    const char *text = harness_env("PGHAUL_SEED", NULL);
    uint64_t seed = text == NULL ? DEFAULT_SEED : strtoull(text, NULL, 10);
    (void)fprintf(stderr, "seed: PGHAUL_SEED=%" PRIu64 "\n", seed);
    return seed;
}

bool
harness_chance(Prng *prng, int percent)
{
    return prng_between(prng, 1, 100) <= percent;
}

char *
harness_scratch_new(void)
{
    StrBuf path = STRBUF_INIT;
    strbuf_printf(
        &path, "%s/ph-XXXXXX", harness_env("PGHAUL_TEST_ROOT", harness_env("TMPDIR", "/tmp")));
    if (mkdtemp(path.text) == NULL) {
        harness_fail("cannot make folder %s: errno %d", path.text, errno);
    }
    ServerUser user = server_user();
    if (user.is_other && chown(path.text, user.uid, user.gid) != 0) {
        harness_fail("cannot give folder %s to user postgres: errno %d", path.text, errno);
    }
    return path.text;
}

static int
remove_entry(const char *path, const struct stat *entry, int flag, struct FTW *walk)
{
    (void)entry;
    (void)flag;
    (void)walk;
    (void)remove(path); /* a server on its way out may be faster */
    return 0;
}

void
harness_scratch_remove(char *path)
{
    (void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS); /* NOLINT(concurrency-mt-unsafe) */
    free(path);
}

void
harness_write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    if (file == NULL || fchmod(fileno(file), 0644) != 0 || fputs(text, file) < 0 ||
        fclose(file) != 0) {
        harness_fail("cannot write %s: errno %d", path, errno);
    }
}

char *
harness_read_file(const char *path)
{
    StrBuf text = STRBUF_INIT;
    strbuf_puts(&text, "");
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return text.text;
    }
    char chunk[4096];
    size_t len = 0;
    while ((len = fread(chunk, 1, sizeof(chunk), file)) > 0) {
        strbuf_put(&text, chunk, len);
    }
    (void)fclose(file);
    return text.text;
}
