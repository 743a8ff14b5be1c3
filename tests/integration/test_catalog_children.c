/*
 * test_catalog_children.c - the foreign keys that lead to the table of a purge.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <string.h>

#include "base/strbuf.h"
#include "core/children.h"
#include "core/jobfile.h"
#include "harness/harness.h"
#include "harness/pgcluster.h"
#include "harness/session.h"
#include "pg/catalog.h"

typedef struct Fixture {
    PgCluster *cluster;
    const char *dbname;
    PGconn *sql;
    PgConn *conn;
    Arena arena;
    JobSpec spec;
    Facts facts;
} Fixture;

#define REFUSE "refuse"
#define DELETE "delete"

static const ChildGraph *
read_graph(Fixture *f, const char *table, const char *children)
{
    Err err = ERR_INIT;
    const char *text = arena_printf(
        &f->arena, "job: j\npurge: %s\nwhere: \"true\"\nchildren: %s\n", table, children);
    if (!jobfile_parse("j", text, strlen(text), &f->arena, &f->spec, &err) ||
        !catalog_read(f->conn, &f->spec, catalog_source(&f->spec), &f->arena, &f->facts, &err)) {
        harness_fail("%s", err.message);
    }
    return f->facts.children;
}

static const ChildGraph *
open_graph(Fixture *f, const char *setup, const char *children)
{
    *f = (Fixture){.cluster = cluster_shared(), .arena = ARENA_INIT};
    f->dbname = cluster_create_database(f->cluster, NULL);
    const char *uri = cluster_uri(f->cluster, f->dbname);
    f->sql = pg_open(uri);
    pg_exec(f->sql, setup);
    Err err = ERR_INIT;
    ConnTarget target = {.dbname = uri};
    if (!conn_open(&target, CONN_CATALOG, "test", SECONDS_US(20), &f->conn, &err)) {
        harness_fail("%s", err.message);
    }
    return read_graph(f, "t", children);
}

static void
close_graph(Fixture *f)
{
    conn_close(f->conn);
    pg_close(f->sql);
    cluster_drop_database(f->cluster, f->dbname);
    cluster_stop(f->cluster);
    arena_reset(&f->arena);
}

static const char *
name_of(const ChildGraph *graph, int table)
{
    return table == CHILD_OF_JOB ? "t" : graph->tables[table].name;
}

/* "c -> t (a = id)" for each key, in order. */
static void
expect_keys(const ChildGraph *graph, const char *expected)
{
    STRBUF_AUTO text = STRBUF_INIT;
    for (int i = 0; i < graph->key_count; i++) {
        const ChildKey *key = &graph->keys[i];
        strbuf_printf(&text, "%s%s -%c> %s (", i == 0 ? "" : "; ", name_of(graph, key->child),
            (char)key->action, name_of(graph, key->parent));
        for (int k = 0; k < key->column_count; k++) {
            strbuf_printf(&text, "%s%s = %s", k == 0 ? "" : ", ", key->columns[k], key->keys[k]);
        }
        strbuf_putc(&text, ')');
    }
    cr_expect(zero(int, strcmp(strbuf_text(&text), expected)), "%s", strbuf_text(&text));
}

Test(catalog_children, a_table_without_foreign_keys_to_it_has_none)
{
    Fixture f;
    const ChildGraph *graph = open_graph(&f, "CREATE TABLE t (id int PRIMARY KEY)", DELETE);
    cr_assert(graph != NULL);
    cr_expect(eq(int, graph->key_count, 0));
    cr_expect(zero(int, (int)strlen(graph->signature)));
    close_graph(&f);
}

Test(catalog_children, keys_are_followed_where_rows_go_with_their_parents)
{
    Fixture f;
    const ChildGraph *graph = open_graph(&f,
        "CREATE TABLE t (id int PRIMARY KEY);"
        "CREATE TABLE a (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE);"
        "CREATE TABLE b (id int PRIMARY KEY, t int REFERENCES t);"
        "CREATE TABLE c (id int PRIMARY KEY, t int REFERENCES t ON DELETE SET NULL);"
        "CREATE TABLE aa (id int REFERENCES a);"
        "CREATE TABLE bb (id int REFERENCES b);"
        "CREATE TABLE cc (id int REFERENCES c)",
        REFUSE);
    expect_keys(graph, "a -c> t (t = id); b -a> t (t = id); c -n> t (t = id); aa -a> a (id = id)");
    graph = read_graph(&f, "t", DELETE);
    expect_keys(graph, "a -c> t (t = id); b -a> t (t = id); c -n> t (t = id); aa -a> a (id = id); "
                       "bb -a> b (id = id)");
    close_graph(&f);
}

Test(catalog_children, columns_of_a_key_are_paired_with_their_operators)
{
    Fixture f;
    const ChildGraph *graph = open_graph(&f,
        "CREATE TABLE t (a int, b text COLLATE \"C\", UNIQUE (a, b));"
        "CREATE TABLE c (y text COLLATE \"POSIX\", x bigint, z text,"
        " CONSTRAINT k FOREIGN KEY (y, x) REFERENCES t (b, a) DEFERRABLE)",
        REFUSE);
    expect_keys(graph, "c -a> t (y = b, x = a)");
    const ChildKey *key = &graph->keys[0];
    cr_expect(key->deferrable && !key->by_period && !key->to_partition);
    cr_expect(zero(int, strcmp(key->name, "k")));
    cr_expect(zero(int, strcmp(key->operators[1], "pg_catalog.=")));
    cr_expect(zero(int, strcmp(key->collations[0], " COLLATE pg_catalog.\"POSIX\"")));
    cr_expect(zero(int, strcmp(key->collations[1], "")));
    const ChildTable *child = &graph->tables[key->child];
    cr_assert(eq(int, child->column_count, 3));
    cr_expect(zero(int, strcmp(child->columns[1].name, "x")));
    cr_expect(zero(int, strcmp(child->columns[1].type, "bigint")));
    close_graph(&f);
}

/* Whether the key of c (a, b) to t has an index then. */
static bool
has_index(Fixture *f, const char *index)
{
    pg_exec(f->sql, "DROP INDEX IF EXISTS i");
    pg_exec(f->sql, index);
    return read_graph(f, "t", REFUSE)->keys[0].index != NULL;
}

Test(catalog_children, an_index_counts_when_it_begins_with_the_columns)
{
    Fixture f;
    (void)open_graph(&f,
        "CREATE TABLE t (a int, b int, UNIQUE (a, b));"
        "CREATE TABLE c (a int, b int, d int, FOREIGN KEY (a, b) REFERENCES t (a, b))",
        REFUSE);
    cr_expect(has_index(&f, "CREATE INDEX i ON c (a, b)"));
    cr_expect(has_index(&f, "CREATE INDEX i ON c (b, a, d)"));
    cr_expect(has_index(&f, "CREATE INDEX i ON c (a, b) WHERE a IS NOT NULL"));
    cr_expect(not(has_index(&f, "CREATE INDEX i ON c (a, d, b)")));
    cr_expect(not(has_index(&f, "CREATE INDEX i ON c (a)")));
    cr_expect(not(has_index(&f, "CREATE INDEX i ON c (a) INCLUDE (b)")));
    cr_expect(not(has_index(&f, "CREATE INDEX i ON c (a, b) WHERE d > 0")));
    cr_expect(not(has_index(&f, "CREATE INDEX i ON c USING brin (a, b)")));
    close_graph(&f);
}

Test(catalog_children, a_key_of_partitions_is_there_once)
{
    Fixture f;
    const ChildGraph *graph = open_graph(&f,
        "CREATE TABLE t (id int PRIMARY KEY);"
        "CREATE TABLE c (id int, t int REFERENCES t) PARTITION BY RANGE (id);"
        "CREATE TABLE c1 PARTITION OF c FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE c2 PARTITION OF c FOR VALUES FROM (10) TO (20);"
        "CREATE INDEX ON c (t)",
        DELETE);
    expect_keys(graph, "c -a> t (t = id)");
    cr_expect(graph->tables[0].partitioned);
    cr_expect(graph->keys[0].index != NULL);
    close_graph(&f);
}

Test(catalog_children, a_leaf_has_the_keys_to_its_partitioned_table)
{
    Fixture f;
    const ChildGraph *graph = open_graph(&f,
        "CREATE TABLE r (id int PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE t PARTITION OF r FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE u PARTITION OF r FOR VALUES FROM (10) TO (20);"
        "CREATE TABLE c (id int, t int REFERENCES r) PARTITION BY RANGE (id);"
        "CREATE TABLE c1 PARTITION OF c FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE d (t int REFERENCES t ON DELETE CASCADE)",
        DELETE);
    expect_keys(graph, "c -a> t (t = id); d -c> t (t = id)");
    cr_expect(lt(int, 0, (int)strlen(graph->signature)));
    close_graph(&f);
}

Test(catalog_children, a_table_that_has_the_rows_itself_is_the_jobs)
{
    Fixture f;
    const ChildGraph *graph = open_graph(&f,
        "CREATE TABLE t (id int PRIMARY KEY, up int REFERENCES t);"
        "CREATE TABLE c (id int PRIMARY KEY REFERENCES t, c int REFERENCES c)",
        DELETE);
    expect_keys(graph, "c -a> t (id = id); t -a> t (up = id); c -a> c (c = id)");
    close_graph(&f);
}

Test(catalog_children, rows_of_a_parent_are_estimated)
{
    Fixture f;
    const ChildGraph *graph = open_graph(&f,
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100);"
        "CREATE TABLE c (t int REFERENCES t);"
        "INSERT INTO c SELECT CASE WHEN i % 2 = 0 THEN i % 100 + 1 END"
        "  FROM generate_series(1, 600) i;"
        "CREATE TABLE d (t int REFERENCES t);"
        "ANALYZE t; ANALYZE c",
        DELETE);
    cr_assert(eq(int, graph->key_count, 2));
    cr_expect(lt(dbl, fabs(graph->keys[0].rows_per_parent - 3), 0.01));
    cr_expect(lt(dbl, graph->keys[1].rows_per_parent, 0.0));
    close_graph(&f);
}

Test(catalog_children, what_a_child_has_of_its_own_is_known)
{
    Fixture f;
    const ChildGraph *graph = open_graph(&f,
        "CREATE TABLE t (id int PRIMARY KEY);"
        "CREATE TABLE c (t int REFERENCES t);"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';"
        "CREATE TRIGGER g BEFORE DELETE ON c FOR EACH ROW EXECUTE FUNCTION f();"
        "CREATE RULE q AS ON DELETE TO c DO ALSO NOTHING",
        DELETE);
    const ChildTable *child = &graph->tables[0];
    cr_expect(zero(int, strcmp(child->delete_trigger, "g (function public.f)")));
    cr_expect(child->update_trigger == NULL);
    cr_expect(zero(int, strcmp(child->rules, "q")));
    cr_expect(child->owner_is_trusted && child->may_delete && !child->row_security_filters);
    close_graph(&f);
}

Test(catalog_children, the_signature_changes_with_any_key_that_a_delete_meets)
{
    Fixture f;
    const ChildGraph *graph = open_graph(
        &f, "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE c (t int REFERENCES t)", REFUSE);
    const char *before = graph->signature;
    pg_exec(f.sql, "CREATE TABLE d (t int REFERENCES t ON DELETE CASCADE)");
    const char *after = read_graph(&f, "t", REFUSE)->signature;
    cr_expect(strcmp(before, after) != 0);
    pg_exec(f.sql, "DROP TABLE d");
    cr_expect(zero(int, strcmp(before, read_graph(&f, "t", REFUSE)->signature)));
    close_graph(&f);
}
