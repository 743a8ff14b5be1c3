/*
 * test_copy_remote.c - copies from one database into another.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "cli/remote_case.h"
#include "harness/harness.h"
#include "harness/session.h"

#define SOURCE                                                                                     \
    "CREATE TABLE src (id int PRIMARY KEY, region text NOT NULL, amount numeric, note text);"      \
    "INSERT INTO src SELECT i, 'r' || i % 7, i / 4.0, nullif(repeat('n', i % 5), '')"              \
    "  FROM generate_series(-1000, 4000) AS i WHERE i % 11 <> 0;"                                  \
    "ANALYZE src"

Test(copy_remote, maps_filters_and_counts)
{
    RemoteCase test;
    remote_open(&test, cluster_shared(), SOURCE,
        "CREATE TABLE dst (key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, place text,"
        " cents bigint, made text GENERATED ALWAYS AS (place || '!') STORED, kind text DEFAULT "
        "'k')");
    remote_write(&test, NULL, NULL,
        "map: {key: id, place: upper(region), cents: (amount * 100)::bigint}\n"
        "where: note IS NOT NULL -- those with a note\nbatch: {rows: 300}\n");
    remote_run(&test, 0);
    remote_expect_equal(&test,
        "SELECT id::bigint, upper(region), (amount * 100)::bigint, upper(region) || '!', 'k'::text"
        " FROM src WHERE note IS NOT NULL",
        "SELECT * FROM dst");
    cr_expect(eq(i64, pg_int(test.source, "SELECT count(*) FROM src WHERE note IS NOT NULL"),
        pg_int(test.target, "SELECT sum(rows) FROM pghaul.ranges")));
    cr_expect(eq(i64, 0,
        pg_int(test.source, "SELECT count(*) FROM pg_namespace"
                            " WHERE nspname = 'pghaul'")));
    cr_expect(lt(i64, 10, pg_int(test.target, "SELECT sum(batches) FROM pghaul.ranges")));
    remote_close(&test);
}
