/*
 * test_catalog_copy.c - what the catalog says only of the tables of a copy, or of a purge.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

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

static void
open_file(Fixture *f, const char *setup, const char *text)
{
    *f = (Fixture){.cluster = cluster_shared(), .arena = ARENA_INIT};
    f->dbname = cluster_create_database(f->cluster, NULL);
    const char *uri = cluster_uri(f->cluster, f->dbname);
    f->sql = pg_open(uri);
    pg_exec(f->sql, setup);
    Err err = ERR_INIT;
    ConnTarget target = {.dbname = uri};
    if (!jobfile_parse("j", text, strlen(text), &f->arena, &f->spec, &err) ||
        !conn_open(&target, CONN_CATALOG, "test", SECONDS_US(20), &f->conn, &err)) {
        harness_fail("%s", err.message);
    }
}

static void
open_copy(Fixture *f, const char *setup)
{
    open_file(f, setup, "job: j\ncopy: src\ninto: dst\n");
}

static void
close_copy(Fixture *f)
{
    conn_close(f->conn);
    pg_close(f->sql);
    cluster_drop_database(f->cluster, f->dbname);
    cluster_stop(f->cluster);
    arena_reset(&f->arena);
}

static const TableFacts *
read_table(Fixture *f, CatalogTable table)
{
    Err err = ERR_INIT;
    cr_assert(
        catalog_read(f->conn, &f->spec, table, &f->arena, &f->facts, &err), "%s", err.message);
    return &f->facts.table;
}

static const ColumnFacts *
column(const Fixture *f, const char *name)
{
    const ColumnFacts *found = facts_column(&f->facts, name);
    cr_assert(found != NULL, "%s", name);
    return found;
}

Test(catalog_copy, both_tables_are_found_by_their_own_names)
{
    Fixture f;
    open_copy(&f, "CREATE TABLE src (id int); CREATE TABLE dst (id int, a int)");
    cr_expect(zero(int, strcmp(read_table(&f, catalog_source(&f.spec))->name, "src")));
    cr_expect(zero(int, strcmp(read_table(&f, catalog_target(&f.spec))->name, "dst")));
    cr_expect(eq(int, f.facts.column_count, 2));
    f.spec.into = NULL;
    cr_expect(zero(int, strcmp(read_table(&f, catalog_target(&f.spec))->name, "src")));
    close_copy(&f);
}

Test(catalog_copy, partition_columns_of_all_levels_are_those_of_the_root)
{
    Fixture f;
    open_copy(&f, "CREATE TABLE dst (id int, gone int, region text, day date)"
                  " PARTITION BY LIST (region);"
                  "CREATE TABLE east (day date, region text, id int, extra int)"
                  " PARTITION BY RANGE (day, (id + 1));"
                  "ALTER TABLE dst DROP gone; ALTER TABLE east DROP extra;"
                  "ALTER TABLE dst ATTACH PARTITION east FOR VALUES IN ('east');"
                  "CREATE TABLE east_all PARTITION OF east DEFAULT");
    const TableFacts *table = read_table(&f, catalog_target(&f.spec));
    cr_expect(table->relkind == 'p');
    cr_assert(eq(int, table->partition_attnum_count, 2));
    cr_expect(eq(int, table->partition_attnums[0], 3));
    cr_expect(eq(int, table->partition_attnums[1], 4));
    cr_expect(not(table->has_rows));
    pg_exec(f.sql, "INSERT INTO dst VALUES (1, 'east', '2024-01-01')");
    cr_expect(read_table(&f, catalog_target(&f.spec))->has_rows, "in a partition");
    close_copy(&f);
}

Test(catalog_copy, foreign_keys_are_counted_its_own_too)
{
    Fixture f;
    open_copy(&f,
        "CREATE TABLE dst (id int PRIMARY KEY, parent int REFERENCES dst);"
        "CREATE TABLE child (d int REFERENCES dst); CREATE TABLE a (d int REFERENCES dst)");
    const TableFacts *table = read_table(&f, catalog_target(&f.spec));
    cr_expect(eq(int, table->referenced_count, 3));
    cr_expect(zero(int, strcmp(table->referenced_by, "public.a")));
    close_copy(&f);
}

Test(catalog_copy, columns_tell_order_default_collation_and_base_type)
{
    Fixture f;
    open_copy(&f,
        "CREATE DOMAIN price AS numeric(8,2) DEFAULT 0;"
        "CREATE TABLE src (up int, down int, mixed int, p price, c text COLLATE \"C\", t text,"
        " s serial, g int GENERATED ALWAYS AS (1) STORED);"
        "INSERT INTO src (up, down, mixed) SELECT g, -g, hashint4(g) FROM generate_series(1, 500) "
        "g;"
        "ANALYZE src");
    (void)read_table(&f, catalog_source(&f.spec));
    cr_expect(lt(dbl, 0.99, column(&f, "up")->correlation));
    cr_expect(lt(dbl, column(&f, "down")->correlation, -0.99));
    cr_expect(lt(dbl, column(&f, "mixed")->correlation, 0.5));
    cr_expect(column(&f, "p")->has_default && column(&f, "s")->has_default);
    cr_expect(not(column(&f, "t")->has_default || column(&f, "g")->has_default));
    cr_expect(eq(int, column(&f, "p")->type_mod, -1));
    cr_expect(eq(int, column(&f, "p")->base_type_mod, (8 << 16) + 2 + 4));
    cr_expect(zero(int, strcmp(column(&f, "up")->collation, "")));
    cr_expect(ne(int, strcmp(column(&f, "t")->collation, column(&f, "c")->collation), 0));
    cr_expect(ne(int, strcmp(column(&f, "t")->collation, ""), 0));
    cr_expect(column(&f, "t")->may_insert && f.facts.table.may_insert && f.facts.table.may_delete);
    close_copy(&f);
}

Test(catalog_copy, family_and_foreign_keys_of_the_target_are_read)
{
    Fixture f;
    open_copy(&f, "CREATE TABLE a (id int PRIMARY KEY) PARTITION BY RANGE (id);"
                  "CREATE TABLE a1 PARTITION OF a DEFAULT;"
                  "CREATE TABLE top (id int, a int CONSTRAINT to_a REFERENCES a)"
                  " PARTITION BY RANGE (id);"
                  "CREATE TABLE dst PARTITION OF top DEFAULT PARTITION BY RANGE (id);"
                  "CREATE TABLE d1 PARTITION OF dst FOR VALUES FROM (0) TO (9);"
                  "CREATE UNLOGGED TABLE d2 PARTITION OF dst DEFAULT;"
                  "ALTER TABLE d1 ADD CONSTRAINT \"Own\" FOREIGN KEY (id) REFERENCES a;"
                  "CREATE TABLE src (id int)");
    const TableFacts *table = read_table(&f, catalog_target(&f.spec));
    cr_assert(eq(int, table->ancestor_count, 1));
    cr_expect(eq(
        u32, table->ancestors[0], (uint32_t)pg_int(f.sql, "SELECT 'top'::regclass::oid::bigint")));
    cr_expect(zero(int, strcmp(table->parent, "public.top")));
    cr_assert(eq(int, table->foreign_key_count, 2));
    cr_expect(zero(int, strcmp(table->foreign_keys[0], "\"Own\" to public.a")));
    cr_expect(zero(int, strcmp(table->foreign_keys[1], "to_a to public.a")));
    cr_expect(zero(int, strcmp(table->odd_leaf, "public.d2")));
    cr_expect(table->odd_leaf_kind == 'r');
    cr_expect(not(table->is_system));
    close_copy(&f);
}

Test(catalog_copy, triggers_of_partitions_exclusions_and_labels_are_read)
{
    Fixture f;
    open_copy(&f,
        "CREATE TYPE state AS ENUM ('new', 'se,nt');"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TABLE dst (id int, during int4range, s state) PARTITION BY RANGE (id);"
        "CREATE TABLE d1 (LIKE dst);"
        "CREATE TRIGGER every AFTER INSERT ON dst FOR EACH ROW EXECUTE FUNCTION f();"
        "ALTER TABLE dst ATTACH PARTITION d1 DEFAULT;"
        "CREATE TRIGGER own BEFORE INSERT ON d1 FOR EACH ROW EXECUTE FUNCTION f();"
        "CREATE TRIGGER of_statements AFTER INSERT ON d1 EXECUTE FUNCTION f();"
        "CREATE TABLE src (id int, during int4range, EXCLUDE USING gist (during WITH &&))");
    (void)read_table(&f, catalog_target(&f.spec));
    cr_assert(eq(int, f.facts.trigger_count, 2));
    cr_expect(f.facts.triggers[0].table == NULL);
    cr_expect(zero(int, strcmp(f.facts.triggers[1].table, "public.d1")));
    cr_expect(zero(int, strcmp(f.facts.triggers[1].name, "own")));
    cr_assert(eq(int, column(&f, "s")->label_count, 2));
    cr_expect(zero(int, strcmp(column(&f, "s")->labels[1], "se,nt")));
    cr_expect(eq(int, column(&f, "id")->label_count, 0));
    (void)read_table(&f, catalog_source(&f.spec));
    cr_assert(eq(int, f.facts.index_count, 1));
    cr_expect(f.facts.indexes[0].exclusion && column(&f, "during")->in_unique);
    close_copy(&f);
}

Test(catalog_copy, leftovers_of_copies_are_their_logs_marks_and_triggers)
{
    Fixture f;
    open_copy(&f, "CREATE TABLE src (id int); CREATE SCHEMA pghaul;"
                  "CREATE FUNCTION pghaul.capture_3_0123456789abcdef() RETURNS trigger"
                  " LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
                  "CREATE FUNCTION pghaul.capture_3_fedcba9876543210() RETURNS trigger"
                  " LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
                  "CREATE TABLE pghaul.log_3_0123456789abcdef (id bigserial);"
                  "CREATE SEQUENCE pghaul.overflow_3_0123456789abcdef;"
                  "CREATE TABLE pghaul.log_3_fedcba9876543210 (id bigserial);"
                  "CREATE TRIGGER zzzz_pghaul_3 AFTER UPDATE ON src FOR EACH ROW"
                  " EXECUTE FUNCTION pghaul.capture_3_0123456789abcdef();"
                  "CREATE TRIGGER zzzz_pghaul_3_t AFTER TRUNCATE ON src"
                  " EXECUTE FUNCTION pghaul.capture_3_0123456789abcdef();"
                  "CREATE TRIGGER zzzz_pghaul_3_fedcba9876543210 AFTER UPDATE ON src FOR EACH ROW"
                  " EXECUTE FUNCTION pghaul.capture_3_fedcba9876543210()");
    static const char *const NAMES[] = {"zzzz_pghaul_3", "zzzz_pghaul_3_fedcba9876543210",
        "zzzz_pghaul_3_t", "pghaul.capture_3_0123456789abcdef", "pghaul.log_3_0123456789abcdef",
        "pghaul.overflow_3_0123456789abcdef"};
    (void)read_table(&f, catalog_source(&f.spec));
    Err err = ERR_INIT;
    cr_assert(catalog_read_leftovers(f.conn, "{1,2}", &f.arena, &f.facts, &err), "%s", err.message);
    cr_assert(eq(int, f.facts.leftover_count, 6));
    for (int i = 0; i < 6; i++) {
        cr_expect(zero(int, strcmp(f.facts.leftovers[i].name, NAMES[i])), "%s", NAMES[i]);
        cr_expect(f.facts.leftovers[i].elsewhere == (i == 1));
        pg_exec(f.sql, f.facts.leftovers[i].drop);
    }
    cr_assert(catalog_read_leftovers(f.conn, "{3}", &f.arena, &f.facts, &err), "%s", err.message);
    cr_expect(zero(int, f.facts.leftover_count));
    close_copy(&f);
}

/* ---- a purge ---- */

Test(catalog_copy, of_a_purge_publications_count_that_publish_deletes)
{
    static const struct {
        const char *sql;
        bool has_identity;
    } IDENTITIES[] = {
        {"SELECT", true},
        {"ALTER TABLE src REPLICA IDENTITY NOTHING", false},
        {"ALTER TABLE src REPLICA IDENTITY FULL", true},
        {"ALTER TABLE src REPLICA IDENTITY USING INDEX src_pkey", true},
        {"ALTER TABLE src REPLICA IDENTITY DEFAULT; ALTER TABLE src DROP CONSTRAINT src_pkey, ADD "
         "PRIMARY KEY (id) DEFERRABLE",
            false},
    };
    Fixture f;
    open_file(&f,
        "CREATE TABLE src (id int PRIMARY KEY); CREATE PUBLICATION whole FOR TABLE src;"
        "CREATE PUBLICATION added FOR TABLE src WITH (publish = 'insert, update');",
        "job: j\npurge: src\nwhere: id > 1\n");
    for (size_t i = 0; i < sizeof(IDENTITIES) / sizeof(IDENTITIES[0]); i++) {
        pg_exec(f.sql, IDENTITIES[i].sql);
        const TableFacts *table = read_table(&f, catalog_source(&f.spec));
        cr_expect(
            eq(int, table->has_identity, IDENTITIES[i].has_identity), "%s", IDENTITIES[i].sql);
    }
    cr_assert(eq(int, f.facts.publication_count, 1));
    cr_expect(zero(int, strcmp(f.facts.publications[0], "whole")));
    close_copy(&f);
}
