/*
 * test_changelog.c - the change log of a copy: what its triggers record, and what drainers of it do
 * to each other.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/sql_log.h"
#include "harness/harness.h"
#include "integration/job_fixture.h"
#include "store/changelog.h"

#define TABLES                                                                                     \
    "CREATE TABLE src (id int, part text, v text, u int, PRIMARY KEY (id, part));"                 \
    "CREATE TABLE dst (id bigint, part text, v text, u int, PRIMARY KEY (id, part));"              \
    "CREATE UNIQUE INDEX dst_u ON dst (u);"
#define THROTTLE "throttle: {standbys: none}\n"
#define JOB      "job: j\ncopy: src\ninto: dst\nmap: {v: upper(v)}\nallow: [all]\n" THROTTLE

Test(changelog, first)
{
    JobFixture f;
    job_fixture_open(&f, TABLES, "job: j\ncopy: src\ninto: dst\nmap: {v: upper(v)}\n" THROTTLE);
    pg_exec(f.sql, "INSERT INTO src SELECT i, 'p', 'v' || i, i FROM generate_series(1, 20) i");
    pg_exec(f.sql, "UPDATE src SET id = 100 WHERE id = 1; DELETE FROM src WHERE id = 2");
    char *log = pg_text(f.sql, "SELECT query_to_xml(format('SELECT * FROM %s', oid::regclass), true, true, '')"
                        " FROM pg_class WHERE relname ~ '^log_' AND relkind = 'r'");
    fprintf(stderr, "%s\n", log);
    job_fixture_close(&f);
}
