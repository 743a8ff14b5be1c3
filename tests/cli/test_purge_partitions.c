/*
 * test_purge_partitions.c - a purge of a partition, and partitions that need no purge.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "base/strbuf.h"
#include "cli/cli.h"
#include "harness/session.h"

/* Months of 2020, one with parts of its own, and one that takes what no other does. */
static CliBase
partitioned(void)
{
    CliBase base = cli_base_new(1);
    pg_exec(base.conn,
        "CREATE TABLE log (id bigint, at timestamptz, note text, PRIMARY KEY (id, at))"
        " PARTITION BY RANGE (at);"
        "CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (MINVALUE) TO ('2020-02-01');"
        "CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM ('2020-02-01') TO ('2020-03-01');"
        "CREATE TABLE log_3 PARTITION OF log FOR VALUES FROM ('2020-03-01') TO ('2020-04-01')"
        " PARTITION BY HASH (id);"
        "CREATE TABLE log_3_0 PARTITION OF log_3 FOR VALUES WITH (MODULUS 1, REMAINDER 0);"
        "CREATE TABLE log_4 PARTITION OF log FOR VALUES FROM ('2020-04-01') TO (MAXVALUE);"
        "CREATE TABLE log_rest PARTITION OF log DEFAULT;"
        "INSERT INTO log SELECT g, timestamptz '2020-01-10' + g * '1 h'::interval"
        "  FROM generate_series(1, 2400) AS g; ANALYZE");
    return base;
}

/* What `plan` says of a purge of `table`. */
static CliResult
plan_of(const CliBase *base, const char *table, const char *where)
{
    STRBUF_AUTO job = STRBUF_INIT;
    strbuf_printf(
        &job, "job: test\npurge: %s\nwhere: |\n  %s\nthrottle: {standbys: none}\n", table, where);
    cli_base_write_job(base, strbuf_text(&job));
    return CLI("check", base->job_file, "-d", base->uri, "--json");
}

typedef struct PartCase {
    const char *table;
    const char *where;
    const char *says;  /* part of the answer, or */
    const char *never; /* what must not be in it */
} PartCase;

Test(purge_partitions, that_hold_nothing_but_rows_that_match_are_named)
{
    static const PartCase CASES[] = {
        {"log_1", "at < '2020-02-15'", "every row of public.log_1 matches", NULL},
        {"log_1", "at < '2020-02-15'", "ALTER TABLE public.log DETACH PARTITION public.log_1",
            NULL},
        {"log_1", "log_1.at < '2020-01-15'", NULL, "whole-partition"},
        {"log_2", "at < now() - interval '30 days'", "every row of public.log_2 matches", NULL},
        {"log_2", "at <= '2020-03-01'", "every row of public.log_2 matches", NULL},
        {"log_2", "at < '2020-03-02' AND id > 0", NULL, "whole-partition"},
        {"log_4", "at < now()", NULL, "whole-partition"},
        {"log_rest", "at < now()", NULL, "whole-partition"},
        {"log", "at < '2020-03-15'", "every row of public.log_1, public.log_2 matches", NULL},
        {"log", "at < '2020-03-15'", "partitioned table", NULL},
        {"log", "log.at < now()", "public.log_1, public.log_2, public.log_3 ", NULL},
        {"log", "at > '2020-03-15'", NULL, "whole-partition"},
        {"log", "nothing < 7", NULL, "whole-partition"},
    };
    CliBase base = partitioned();
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        CliResult result = plan_of(&base, CASES[i].table, CASES[i].where);
        if (CASES[i].says != NULL) {
            cr_expect(cli_has(result.out, CASES[i].says), "%s | %s: %s", CASES[i].table,
                CASES[i].where, result.out);
        } else {
            cr_expect(not(cli_has(result.out, CASES[i].never)), "%s | %s: %s", CASES[i].table,
                CASES[i].where, result.out);
        }
        cli_free(&result);
    }
    cli_base_free(&base);
}

Test(purge_partitions, of_a_leaf_is_that_of_an_ordinary_table)
{
    CliBase base = partitioned();
    CliResult result = plan_of(&base, "log_2", "at < '2020-02-15 00:00 UTC'");
    cli_free(&result);
    int64_t others =
        pg_int(base.conn, "SELECT count(*) FROM log WHERE tableoid <> 'log_2'::regclass");
    result = CLI("run", base.job_file, "-d", base.uri, "--yes", "--quiet");
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cli_free(&result);
    cr_expect(eq(i64, 0,
        pg_int(base.conn, "SELECT count(*) FROM log_2"
                          " WHERE at < '2020-02-15 00:00 UTC'")));
    cr_expect(lt(i64, 0, pg_int(base.conn, "SELECT count(*) FROM log_2")));
    cr_expect(eq(i64, others,
        pg_int(base.conn, "SELECT count(*) FROM log WHERE tableoid <> 'log_2'::regclass")));
    cli_base_free(&base);
}
