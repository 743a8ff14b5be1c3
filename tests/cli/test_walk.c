/*
 * test_walk.c - a stranger's walk: what the README's sections say to do, word for word.
 *
 * Their indented blocks are run one after the other by bash, in an empty folder, against a server
 * of their own.  A block that comes after the words "from another terminal" is run while the one
 * before it is still at work.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "harness/harness.h"
#include "harness/pgcluster.h"
#include "harness/proc.h"
#include "harness/session.h"

#define MEANWHILE "from another terminal"
#define BLOCKS    16

typedef struct Block {
    StrBuf text;
    bool meanwhile;
} Block;

/* The indented blocks of the section with this heading; returns their number. */
static int
read_blocks(const char *heading, Block blocks[static BLOCKS])
{
    STRBUF_AUTO path = STRBUF_INIT;
    strbuf_printf(&path, "%s/../README.md", harness_env("PGHAUL_TEST_DIR", "tests"));
    char *text = harness_read_file(strbuf_text(&path));
    char *line = strstr(text, heading);
    cr_assert(ne(ptr, line, NULL), "README.md has no section of that title");
    int count = 0;
    bool inside = false;
    bool meanwhile = false;
    char *rest = line + strlen(heading);
    while ((line = strsep(&rest, "\n")) != NULL && strncmp(line, "## ", 3) != 0) {
        bool indented = strncmp(line, "    ", 4) == 0;
        if (indented && !inside) {
            cr_assert(lt(int, count, BLOCKS));
            blocks[count++] = (Block){.text = STRBUF_INIT, .meanwhile = meanwhile};
            meanwhile = false;
        }
        if (indented) {
            strbuf_printf(&blocks[count - 1].text, "%s\n", line + 4);
        }
        meanwhile = meanwhile || strstr(line, MEANWHILE) != NULL;
        inside = indented;
    }
    free(text);
    return count;
}

/* A job that is not there yet cannot be paused: a stranger looks first whether it has begun. */
static void
write_script(StrBuf *script, Block *blocks, int count)
{
    strbuf_puts(script, "set -eu\n");
    for (int i = 0; i < count; i++) {
        bool background = i + 1 < count && blocks[i + 1].meanwhile;
        if (background) {
            strbuf_printf(script, "(\n%s) & run=$!\n", strbuf_text(&blocks[i].text));
            strbuf_puts(script,
                "for try in {1..600}; do\n"
                "  pghaul status orders-amount -d shop 2>&1 | grep -q running && break\n"
                "  sleep 0.05\ndone\n");
        } else {
            strbuf_puts(script, strbuf_text(&blocks[i].text));
        }
        if (blocks[i].meanwhile) {
            strbuf_puts(script, "wait $run\n"
                                "psql shop -Atc \"SELECT 'right: ' || count(*) FROM orders"
                                " WHERE amount = amount_text::numeric\"\n");
        }
        strbuf_free(&blocks[i].text);
    }
    strbuf_puts(script, "psql shop -Atc 'SELECT * FROM orders WHERE id = 7'\n"
                        "echo walked\n");
}

static char *
folder_with_pghaul(void)
{
    char *folder = harness_scratch_new();
    STRBUF_AUTO link = STRBUF_INIT;
    strbuf_printf(&link, "%s/pghaul", folder);
    cr_assert(eq(int, symlink(harness_env("PGHAUL_BIN", ""), strbuf_text(&link)), 0));
    return folder;
}

/* Run it where psql and pghaul find the cluster; what it prints must have all of `said`. */
static void
walk(const StrBuf *script, const char *const said[])
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = false});
    char *folder = folder_with_pghaul();
    STRBUF_AUTO path = STRBUF_INIT;
    STRBUF_AUTO host = STRBUF_INIT;
    STRBUF_AUTO port = STRBUF_INIT;
    strbuf_printf(&path, "PATH=%s:%s:%s", folder, harness_env("PG_BIN", "/usr/bin"),
        harness_env("PATH", "/usr/bin:/bin"));
    strbuf_printf(&host, "PGHOST=%s", cluster_socket_dir(cluster));
    strbuf_printf(&port, "PGPORT=%d", cluster_port(cluster));
    const char *const env[] = {
        strbuf_text(&path), strbuf_text(&host), strbuf_text(&port), "PGUSER=postgres", NULL};
    const char *const argv[] = {"/bin/bash", "-c", strbuf_text(script), NULL};
    Proc *proc = proc_start(&(ProcSpec){.argv = argv, .env = env, .cwd = folder});
    int code = proc_finish(proc, SECONDS_US(200));
    char *out = proc_stdout(proc);
    char *err = proc_stderr(proc);
    cr_expect(eq(int, code, 0), "%s\n%s\n%s", strbuf_text(script), out, err);
    for (; *said != NULL; said++) {
        cr_expect(ne(ptr, strstr(out, *said), NULL), "no \"%s\" in:\n%s\n%s", *said, out, err);
    }
    free(out);
    free(err);
    proc_free(proc);
    harness_scratch_remove(folder);
    cluster_stop(cluster);
}

Test(walk, readme_leads_from_a_table_to_a_finished_backfill_and_back, .timeout = 240)
{
    static const char *const SAID[] = {
        "paused", "right: 2000000\n", "none differs", "\n7|7.50\nwalked\n", NULL};
    Block blocks[BLOCKS];
    int count = read_blocks("\n## A backfill, step by step\n", blocks);
    STRBUF_AUTO script = STRBUF_INIT;
    write_script(&script, blocks, count);
    walk(&script, SAID);
}

Test(walk, readme_leads_from_old_rows_to_an_archive_and_back, .timeout = 240)
{
    static const char *const SAID[] = {"may start", "rows deleted    70.4 k",
        "compared with what the database knows", "rows restored   70.4 k", "\n7|7.50\nwalked\n",
        "200000 rows, 0 jobs\n", NULL};
    Block blocks[BLOCKS];
    STRBUF_AUTO script = STRBUF_INIT;
    strbuf_puts(&script, "set -eu\ncreatedb shop\n"
                         "psql shop -qc \"CREATE TABLE orders AS SELECT 7 AS id, '7.50' AS a\"\n");
    write_script(&script, blocks, read_blocks("\n## Purge and archive old rows\n", blocks));
    strbuf_puts(&script,
        "psql shop -Atc \"SELECT (SELECT count(*) FROM (TABLE audit UNION TABLE audit_again) u)"
        " || ' rows, ' || (SELECT count(*) FROM pghaul.progress) || ' jobs'\"\n");
    walk(&script, SAID);
}

/* The table is as the backfill's section leaves it, but smaller. */
Test(walk, readme_leads_from_a_table_over_a_copy_to_a_cutover_and_back, .timeout = 240)
{
    static const char *const SAID[] = {"may start", "none differs", "cut over; writes were blocked",
        "the old table is caught up", "rolled back: the old table serves again",
        "DROP TABLE public.orders_old;", "\n7|7.50\nwalked\n", "numeric text 0\n", NULL};
    static const char *const HEADINGS[] = {"\n## Copy a table\n", "\n## Cut over and go back\n"};
    STRBUF_AUTO script = STRBUF_INIT;
    strbuf_puts(&script,
        "set -eu\ncreatedb shop\n"
        "psql shop -qc 'CREATE TABLE orders (id bigint PRIMARY KEY, amount_text text NOT NULL)'\n"
        "psql shop -qc \"INSERT INTO orders SELECT g, g || '.50' FROM generate_series(1, 20000) "
        "g\"\n");
    for (size_t i = 0; i < sizeof(HEADINGS) / sizeof(HEADINGS[0]); i++) {
        Block blocks[BLOCKS];
        write_script(&script, blocks, read_blocks(HEADINGS[i], blocks));
    }
    strbuf_puts(&script,
        "psql shop -Atc \"SELECT string_agg(format_type(atttypid, -1), ' ' ORDER BY "
        "attrelid::regclass"
        "::text) || ' ' || (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal) FROM "
        "pg_attribute"
        " WHERE attrelid IN ('orders'::regclass, 'orders_old'::regclass) AND attnum = 2\"\n");
    walk(&script, SAID);
}
