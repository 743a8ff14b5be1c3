/*
 * test_catalog.c - what catalog_read() says of tables, roles, indexes and neighbours.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/findings.h"
#include "core/jobfile.h"
#include "harness/harness.h"
#include "harness/pgcluster.h"
#include "harness/session.h"
#include "pg/catalog.h"

#define OPEN_TIMEOUT_US SECONDS_US(20)

typedef struct Fixture {
    PgCluster *cluster;
    const char *dbname;
    PGconn *sql;
    PgConn *conn;
    Arena arena;
    JobSpec spec;
    Facts facts;
    Err err;
} Fixture;

static void
expect_text(const char *actual, const char *expected)
{
    cr_expect(zero(int, strcmp(actual, expected)), "%s, expected %s", actual, expected);
}

static Fixture
fixture_new(const char *setup)
{
    Fixture f = {.cluster = cluster_shared(), .arena = ARENA_INIT, .err = ERR_INIT};
    f.dbname = cluster_create_database(f.cluster, NULL);
    f.sql = pg_open(cluster_uri(f.cluster, f.dbname));
    pg_exec(f.sql, setup);
    return f;
}

static void
fixture_free(Fixture *f)
{
    conn_close(f->conn);
    pg_close(f->sql);
    cluster_drop_database(f->cluster, f->dbname);
    cluster_stop(f->cluster);
    arena_reset(&f->arena);
}

/* Read the facts for a job on `table` as `role` (NULL: the superuser). */
static bool
read_as(Fixture *f, const char *table, const char *role)
{
    const char *text = arena_printf(
        &f->arena, "job: j\nbackfill: '%s'\nset:\n  amount: amount_text::numeric\n", table);
    f->err = ERR_INIT;
    Err err = ERR_INIT;
    if (!jobfile_parse("j.yaml", text, strlen(text), &f->arena, &f->spec, &err)) {
        harness_fail("job file: %s", err.message);
    }
    conn_close(f->conn);
    f->conn = NULL;
    ConnTarget target = {.dbname = cluster_uri(f->cluster, f->dbname), .user = role};
    if (role != NULL) {
        target.dbname = arena_printf(&f->arena, "host=%s port=%d dbname=%s",
            cluster_socket_dir(f->cluster), cluster_port(f->cluster), f->dbname);
    }
    if (!conn_open(&target, CONN_CATALOG, "test", OPEN_TIMEOUT_US, &f->conn, &err)) {
        harness_fail("connect: %s", err.message);
    }
    return catalog_read(f->conn, &f->spec, catalog_source(&f->spec), &f->arena, &f->facts, &f->err);
}

static void
must_read(Fixture *f, const char *table, const char *role)
{
    bool ok = read_as(f, table, role);
    cr_assert(ok, "%s: %s", f->err.context, f->err.message);
}

static const ColumnFacts *
column(const Fixture *f, const char *name)
{
    const ColumnFacts *found = facts_column(&f->facts, name);
    cr_assert(found != NULL, "column %s", name);
    return found;
}

static const IndexFacts *
find_index(const Fixture *f, const char *name)
{
    for (int i = 0; i < f->facts.index_count; i++) {
        if (strcmp(f->facts.indexes[i].name, name) == 0) {
            return &f->facts.indexes[i];
        }
    }
    harness_fail("index %s was not read", name);
}

/* A login role of this test alone; roles are shared by all databases of the cluster. */
static const char *
create_role(Fixture *f, const char *name)
{
    const char *role = arena_printf(&f->arena, "%s_%s", f->dbname, name);
    pg_execf(f->sql, "CREATE ROLE \"%s\" LOGIN", role);
    return role;
}

static void
drop_role(Fixture *f, const char *role)
{
    conn_close(f->conn);
    f->conn = NULL;
    pg_execf(f->sql, "DROP OWNED BY \"%s\" CASCADE; DROP ROLE \"%s\"", role, role);
}

#define SIMPLE_TABLE                                                                               \
    "CREATE TABLE orders (id bigint PRIMARY KEY, amount_text text, amount numeric(10,2))"

/* ---- the name ---- */

Test(catalog, names_follow_the_quoting_rules_of_sql)
{
    Fixture f = fixture_new("CREATE SCHEMA shop;"
                            "CREATE TABLE shop.orders (id int);"
                            "CREATE TABLE \"Odd \"\"Name\" (id int)");
    must_read(&f, "ORDERS", NULL);
    expect_text(f.facts.table.schema, "shop");
    expect_text(f.facts.table.name, "orders");
    must_read(&f, "shop.orders", NULL);
    must_read(&f, "\"Odd \"\"Name\"", NULL);
    expect_text(f.facts.table.name, "Odd \"Name");
    cr_expect(not(read_as(&f, "\"ORDERS\"", NULL)));
    cr_expect(eq(int, f.err.cls, ERR_USER));
    fixture_free(&f);
}

Test(catalog, unknown_table_is_a_user_error_with_the_nearest_name)
{
    Fixture f = fixture_new(SIMPLE_TABLE);
    cr_assert(not(read_as(&f, "oders", NULL)));
    cr_expect(eq(int, f.err.cls, ERR_USER));
    cr_expect(strstr(f.err.message, "j.yaml:2:") != NULL, "%s", f.err.message);
    cr_expect(eq(str, f.err.hint, "Did you mean orders?"));
    cr_assert(not(read_as(&f, "something_else_altogether", NULL)));
    cr_expect(strstr(f.err.hint, "database") != NULL, "%s", f.err.hint);
    fixture_free(&f);
}

Test(catalog, name_in_several_schemas_is_refused_with_all_of_them)
{
    Fixture f = fixture_new("CREATE SCHEMA shop; CREATE TABLE shop.orders (id int);" SIMPLE_TABLE);
    cr_assert(not(read_as(&f, "orders", NULL)));
    cr_expect(eq(int, f.err.cls, ERR_USER));
    cr_expect(eq(str, f.err.hint, "Name one of public.orders, shop.orders."));
    fixture_free(&f);
}

/* ---- the server ---- */

Test(catalog, server_is_described)
{
    Fixture f = fixture_new(SIMPLE_TABLE);
    must_read(&f, "orders", NULL);
    const ServerFacts *server = &f.facts.server;
    char *system_id = pg_text(f.sql, "SELECT system_identifier FROM pg_control_system()");
    expect_text(server->system_id, system_id);
    free(system_id);
    cr_expect(eq(int, server->version_num,
        (int)pg_int(f.sql, "SELECT current_setting('server_version_num')::int")));
    cr_expect(eq(i64, server->timeline, 1));
    expect_text(server->database, f.dbname);
    expect_text(server->role, "postgres");
    expect_text(server->encoding, "UTF8");
    cr_expect(server->role_is_superuser && server->role_reads_stats && server->may_create_schema);
    cr_expect(not(server->in_recovery || server->read_only || server->has_schema));
    cr_expect(lt(int, 0, server->connections_free));
    cr_expect(lt(int, server->connections_free,
        (int)pg_int(f.sql, "SELECT current_setting('max_connections')::int")));
    fixture_free(&f);
}

Test(catalog, promoted_server_tells_its_new_timeline_at_once)
{
    PgCluster *cluster = cluster_start(&(ClusterOptions){.with_standby = true});
    PGconn *sql = pg_open(cluster_uri(cluster, "postgres"));
    pg_exec(sql, SIMPLE_TABLE);
    pg_close(sql);
    cluster_wait_catch_up(cluster, HARNESS_TIMEOUT_US);

    Fixture f = {.cluster = cluster, .dbname = "postgres", .arena = ARENA_INIT, .err = ERR_INIT};
    const char *text = "job: j\nbackfill: orders\nset:\n  amount: amount_text::numeric\n";
    cr_assert(jobfile_parse("j.yaml", text, strlen(text), &f.arena, &f.spec, &f.err));
    ConnTarget target = {.dbname = cluster_standby_uri(cluster, "postgres")};
    cr_assert(conn_open(&target, CONN_CATALOG, "test", OPEN_TIMEOUT_US, &f.conn, &f.err));
    must_read(&f, "orders", NULL); /* the primary */
    conn_close(f.conn);
    cr_assert(conn_open(&target, CONN_CATALOG, "test", OPEN_TIMEOUT_US, &f.conn, &f.err));
    cr_assert(catalog_read(f.conn, &f.spec, catalog_source(&f.spec), &f.arena, &f.facts, &f.err),
        "%s", f.err.message);
    cr_expect(f.facts.server.in_recovery);
    cr_expect(eq(i64, f.facts.server.timeline, 1));
    conn_close(f.conn);

    cluster_stop_immediate(cluster);
    cluster_promote_standby(cluster);
    cr_assert(conn_open(&target, CONN_CATALOG, "test", OPEN_TIMEOUT_US, &f.conn, &f.err));
    cr_assert(catalog_read(f.conn, &f.spec, catalog_source(&f.spec), &f.arena, &f.facts, &f.err),
        "%s", f.err.message);
    cr_expect(not(f.facts.server.in_recovery));
    cr_expect(eq(i64, f.facts.server.timeline, 2));
    conn_close(f.conn);
    arena_reset(&f.arena);
    cluster_stop(cluster);
}

Test(catalog, lesser_role_sees_its_limits)
{
    Fixture f = fixture_new(SIMPLE_TABLE);
    const char *role = create_role(&f, "app");
    pg_execf(f.sql,
        "ALTER ROLE \"%s\" CONNECTION LIMIT 3;"
        "ALTER ROLE \"%s\" SET default_transaction_read_only = on;"
        "CREATE SCHEMA pghaul;"
        "GRANT SELECT (id), UPDATE (amount) ON orders TO \"%s\"",
        role, role, role);
    must_read(&f, "orders", role);
    const ServerFacts *server = &f.facts.server;
    cr_expect(not(server->role_is_superuser || server->role_reads_stats));
    cr_expect(not(server->may_create_schema));
    cr_expect(server->read_only);
    cr_expect(server->has_schema && !server->schema_owner_trusted);
    expect_text(server->schema_owner, "postgres");
    cr_expect(eq(int, server->connections_free, 2));

    const TableFacts *table = &f.facts.table;
    cr_expect(not(table->owned_by_us || table->may_select || table->may_update));
    cr_expect(not(table->may_trigger));
    cr_expect(table->owner_is_trusted && table->may_use_schema);
    cr_expect(column(&f, "id")->may_select && !column(&f, "id")->may_update);
    cr_expect(column(&f, "amount")->may_update && !column(&f, "amount")->may_select);
    drop_role(&f, role);
    fixture_free(&f);
}

Test(catalog, superuser_does_not_trust_objects_of_lesser_roles)
{
    Fixture f = fixture_new(SIMPLE_TABLE);
    const char *role = create_role(&f, "owner");
    pg_execf(f.sql,
        "ALTER TABLE orders OWNER TO \"%s\";"
        "CREATE SCHEMA pghaul AUTHORIZATION \"%s\"",
        role, role);
    must_read(&f, "orders", NULL);
    cr_expect(f.facts.table.owned_by_us && !f.facts.table.owner_is_trusted);
    cr_expect(not(f.facts.server.schema_owner_trusted));
    must_read(&f, "orders", role);
    cr_expect(f.facts.table.owned_by_us && f.facts.table.owner_is_trusted);
    cr_expect(f.facts.server.schema_owner_trusted);
    drop_role(&f, role);
    fixture_free(&f);
}

Test(catalog, standbys_are_listed_and_readable_only_with_the_right)
{
    Fixture f = fixture_new(SIMPLE_TABLE);
    pg_wait_true(f.sql,
        "SELECT replay_lsn IS NOT NULL FROM pg_stat_replication WHERE state = 'streaming'",
        HARNESS_TIMEOUT_US);
    must_read(&f, "orders", NULL);
    cr_assert(eq(int, f.facts.standby_count, 1));
    expect_text(f.facts.standbys[0].name, CLUSTER_STANDBY_NAME);
    expect_text(f.facts.standbys[0].state, "streaming");
    cr_expect(f.facts.standbys[0].readable);

    const char *role = create_role(&f, "blind");
    must_read(&f, "orders", role);
    cr_assert(eq(int, f.facts.standby_count, 1));
    cr_expect(not(f.facts.standbys[0].readable));
    pg_execf(f.sql, "GRANT pg_monitor TO \"%s\"", role);
    must_read(&f, "orders", role);
    cr_expect(f.facts.server.role_reads_stats && f.facts.standbys[0].readable);
    drop_role(&f, role);
    fixture_free(&f);
}

/* ---- the table ---- */

Test(catalog, kinds_and_persistence_are_told_apart)
{
    Fixture f = fixture_new("CREATE UNLOGGED TABLE u (id int);"
                            "CREATE VIEW v AS SELECT 1 AS id;"
                            "CREATE MATERIALIZED VIEW m AS SELECT 1 AS id;"
                            "CREATE TABLE p (id int) PARTITION BY RANGE (id);"
                            "CREATE TABLE leaf PARTITION OF p DEFAULT");
    must_read(&f, "u", NULL);
    cr_expect(f.facts.table.relkind == 'r' && f.facts.table.persistence == 'u');
    expect_text(f.facts.table.access_method, "heap");
    must_read(&f, "v", NULL);
    cr_expect(f.facts.table.relkind == 'v' && f.facts.table.rules == NULL);
    must_read(&f, "m", NULL);
    cr_expect(eq(chr, f.facts.table.relkind, 'm'));
    must_read(&f, "p", NULL);
    cr_expect(f.facts.table.relkind == 'p' && f.facts.table.child_count == 0);
    must_read(&f, "leaf", NULL);
    cr_expect(f.facts.table.relkind == 'r' && f.facts.table.is_partition);
    fixture_free(&f);
}

Test(catalog, sizes_children_rules_and_row_security_are_read)
{
    Fixture f = fixture_new(
        SIMPLE_TABLE ";INSERT INTO orders SELECT i, i::text FROM generate_series(1, 5000) i;"
                     "CREATE TABLE \"Old orders\" () INHERITS (orders);"
                     "CREATE TABLE older () INHERITS (\"Old orders\");"
                     "ALTER TABLE orders ENABLE ROW LEVEL SECURITY;"
                     "GRANT SELECT, UPDATE ON orders TO PUBLIC;"
                     "CREATE RULE quiet AS ON DELETE TO orders DO INSTEAD NOTHING;");
    must_read(&f, "orders", NULL);
    const TableFacts *table = &f.facts.table;
    cr_expect(lt(dbl, table->rows, 0.0));
    cr_expect(eq(i64, table->blocks, pg_int(f.sql, "SELECT pg_relation_size('orders') / 8192")));
    cr_expect(lt(i64, 0, table->blocks));
    cr_expect(lt(i64, table->blocks * 8192, table->total_bytes));
    cr_expect(eq(i64, table->index_bytes, pg_int(f.sql, "SELECT pg_indexes_size('orders')")));
    cr_expect(eq(int, table->index_count, 1));
    cr_expect(eq(i64, table->filenode, pg_int(f.sql, "SELECT pg_relation_filenode('orders')")));
    cr_assert(eq(int, table->child_count, 2));
    expect_text(table->children[0], "public.\"Old orders\"");
    expect_text(table->children[1], "public.older");
    expect_text(table->rules, "quiet");
    cr_expect(not(table->row_security_filters));

    pg_exec(f.sql, "ANALYZE orders");
    const char *role = create_role(&f, "other");
    must_read(&f, "orders", role);
    cr_expect(f.facts.table.row_security_filters);
    cr_expect(lt(dbl, 4999.0, f.facts.table.rows));
    drop_role(&f, role);
    fixture_free(&f);
}

/* ---- columns ---- */

Test(catalog, columns_are_described)
{
    Fixture f = fixture_new(
        "CREATE COLLATION loose (provider = icu, locale = 'und', deterministic = false);"
        "CREATE DOMAIN cents AS numeric(8,2); CREATE DOMAIN price AS cents;"
        "CREATE TABLE parent (id int PRIMARY KEY);"
        "CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, gone int,"
        " amount_text text NOT NULL, amount price, label text COLLATE loose, ratio float8,"
        " twice int GENERATED ALWAYS AS (2) STORED, parent int REFERENCES parent,"
        " checked int CHECK (checked > 0), uniq int UNIQUE, expr text, part int, plain int);"
        "ALTER TABLE orders DROP COLUMN gone;"
        "CREATE INDEX ON orders (lower(expr)); CREATE INDEX ON orders (id) WHERE part > 0;");
    must_read(&f, "orders", NULL);
    cr_expect(eq(int, f.facts.column_count, 12));
    const ColumnFacts *id = column(&f, "id");
    cr_expect(eq(int, id->attnum, 1));
    cr_expect(id->identity && id->not_null && id->indexed && id->in_unique);
    expect_text(id->base_type_name, "int8");
    cr_expect(eq(int, column(&f, "amount_text")->attnum, 3));

    const ColumnFacts *amount = column(&f, "amount");
    expect_text(amount->type, "public.price");
    expect_text(amount->base_type, "numeric");
    expect_text(amount->base_type_name, "numeric");
    cr_expect(not(amount->indexed || amount->in_check || amount->not_null));

    cr_expect(not(column(&f, "label")->collation_deterministic));
    cr_expect(column(&f, "amount_text")->collation_deterministic);
    cr_expect(not(column(&f, "amount_text")->collation_version_drift));
    cr_expect(column(&f, "ratio")->is_float);
    cr_expect(column(&f, "twice")->generated);
    cr_expect(column(&f, "parent")->in_foreign_key);
    cr_expect(column(&f, "checked")->in_check);
    cr_expect(column(&f, "uniq")->in_unique);
    cr_expect(column(&f, "expr")->indexed && !column(&f, "expr")->in_unique);
    cr_expect(column(&f, "part")->indexed);
    cr_expect(not(column(&f, "plain")->indexed));
    fixture_free(&f);
}

Test(catalog, collation_of_an_older_library_is_noticed)
{
    Fixture f = fixture_new("CREATE COLLATION nordic (provider = icu, locale = 'da');"
                            "UPDATE pg_collation SET collversion = '1.0' WHERE collname = 'nordic';"
                            "CREATE TABLE orders (id text COLLATE nordic PRIMARY KEY, name text)");
    must_read(&f, "orders", NULL);
    cr_expect(column(&f, "id")->collation_version_drift);
    cr_expect(not(column(&f, "name")->collation_version_drift));
    pg_execf(f.sql, "UPDATE pg_database SET datcollversion = '1.0' WHERE datname = '%s'", f.dbname);
    must_read(&f, "orders", NULL);
    bool versioned = pg_int(f.sql, "SELECT pg_database_collation_actual_version(oid) IS NOT NULL"
                                   "  FROM pg_database WHERE datname = current_database()") != 0;
    cr_expect(eq(int, column(&f, "name")->collation_version_drift, versioned));
    fixture_free(&f);
}

Test(catalog, fresh_column_is_recognised)
{
    Fixture f = fixture_new(
        SIMPLE_TABLE ";INSERT INTO orders SELECT i, i::text FROM generate_series(1, 100) i");
    must_read(&f, "orders", NULL);
    cr_expect(column(&f, "amount")->fresh, "never analyzed, and the probe found no value");
    cr_expect(not(column(&f, "amount_text")->fresh), "not a SET column");
    pg_exec(f.sql, "ANALYZE orders");
    must_read(&f, "orders", NULL);
    cr_expect(column(&f, "amount")->fresh, "the statistics say all NULL");
    pg_exec(f.sql, "UPDATE orders SET amount = 1 WHERE id = 50");
    must_read(&f, "orders", NULL);
    cr_expect(not(column(&f, "amount")->fresh), "the probe found a value");
    pg_exec(f.sql, "ALTER TABLE orders DROP COLUMN amount;"
                   "ALTER TABLE orders ADD COLUMN amount numeric DEFAULT 0");
    must_read(&f, "orders", NULL);
    cr_expect(not(column(&f, "amount")->fresh), "it has a default");
    fixture_free(&f);
}

/* ---- indexes ---- */

Test(catalog, indexes_are_described)
{
    Fixture f = fixture_new(
        "CREATE TABLE orders (a int NOT NULL, b text NOT NULL, amount int, amount_text text,"
        " PRIMARY KEY (b, a), CONSTRAINT late UNIQUE (a) DEFERRABLE);"
        "CREATE UNIQUE INDEX down ON orders (a DESC, b);"
        "CREATE UNIQUE INDEX patterns ON orders (b text_pattern_ops);"
        "CREATE UNIQUE INDEX collated ON orders (b COLLATE \"C\");"
        "CREATE UNIQUE INDEX partial ON orders (a, b) INCLUDE (amount) WHERE a > 0;"
        "CREATE INDEX expr ON orders ((a + 1));"
        "CREATE INDEX hashed ON orders USING hash (a);");
    must_read(&f, "orders", NULL);
    cr_expect(eq(int, f.facts.index_count, 8));
    const IndexFacts *key = find_index(&f, "orders_pkey");
    cr_expect(key->primary && key->unique && key->valid && key->ready && key->immediate);
    cr_expect(key->default_order && !key->partial && !key->has_expressions);
    cr_assert(eq(int, key->attnum_count, 2));
    cr_expect(key->attnums[0] == 2 && key->attnums[1] == 1);

    cr_expect(not(find_index(&f, "late")->immediate));
    cr_expect(not(find_index(&f, "down")->default_order));
    cr_expect(not(find_index(&f, "patterns")->default_order));
    cr_expect(not(find_index(&f, "collated")->default_order));
    cr_expect(not(find_index(&f, "hashed")->default_order));
    const IndexFacts *partial = find_index(&f, "partial");
    cr_expect(partial->partial && partial->default_order);
    cr_expect(eq(int, partial->attnum_count, 2));
    const IndexFacts *expr = find_index(&f, "expr");
    cr_expect(expr->has_expressions && !expr->unique);

    pg_exec(f.sql, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'down'::regclass");
    must_read(&f, "orders", NULL);
    cr_expect(not(find_index(&f, "down")->valid));
    fixture_free(&f);
}

/* ---- triggers and publications ---- */

Test(catalog, triggers_come_in_firing_order_with_what_fires_them)
{
    Fixture f = fixture_new(SIMPLE_TABLE
        ";CREATE SCHEMA pghaul;"
        "CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE FUNCTION pghaul.sync() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER zzzz_pghaul_1 BEFORE INSERT OR UPDATE ON orders FOR EACH ROW"
        " EXECUTE FUNCTION pghaul.sync();"
        "CREATE TRIGGER \"\xc3\xa9lan\" BEFORE INSERT ON orders FOR EACH ROW"
        " EXECUTE FUNCTION noop();"
        "CREATE TRIGGER \"Upper\" AFTER DELETE ON orders EXECUTE FUNCTION noop();"
        "CREATE TRIGGER narrow BEFORE UPDATE OF amount_text ON orders FOR EACH ROW"
        " EXECUTE FUNCTION noop();"
        "CREATE TRIGGER wide BEFORE UPDATE OF amount, id ON orders FOR EACH ROW"
        " EXECUTE FUNCTION noop();"
        "CREATE TRIGGER off AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION noop();"
        "ALTER TABLE orders DISABLE TRIGGER off;");
    must_read(&f, "orders", NULL);
    static const char *const ORDER[] = {
        "Upper", "narrow", "off", "wide", "zzzz_pghaul_1", "\xc3\xa9lan"};
    const TriggerFacts *t = f.facts.triggers;
    cr_assert(eq(int, f.facts.trigger_count, 6));
    for (int i = 0; i < 6; i++) {
        expect_text(t[i].name, ORDER[i]);
    }
    cr_expect(t[0].after && !t[0].before && !t[0].row && t[0].on_delete && !t[0].on_update);
    cr_expect(t[1].before && t[1].row && t[1].on_update && !t[1].fires_on_set);
    cr_expect(t[1].enabled && !t[1].is_ours);
    expect_text(t[1].function, "public.noop");
    cr_expect(t[2].fires_on_set && !t[2].enabled);
    cr_expect(t[3].fires_on_set);
    cr_expect(t[4].is_ours && t[4].on_insert && t[4].on_update);
    cr_expect(t[5].on_insert && !t[5].on_update && !t[5].fires_on_set);
    fixture_free(&f);
}

Test(catalog, publications_of_a_table_and_of_its_root_are_found)
{
    Fixture f = fixture_new(
        SIMPLE_TABLE ";CREATE TABLE p (id int) PARTITION BY RANGE (id);"
                     "CREATE TABLE leaf PARTITION OF p DEFAULT;"
                     "CREATE PUBLICATION root FOR TABLE p WITH (publish_via_partition_root);"
                     "CREATE PUBLICATION one FOR TABLE orders;");
    must_read(&f, "orders", NULL);
    cr_assert(eq(int, f.facts.publication_count, 1));
    expect_text(f.facts.publications[0], "one");
    cr_expect(not(f.facts.publication_for_all));
    must_read(&f, "leaf", NULL);
    cr_assert(eq(int, f.facts.publication_count, 1));
    expect_text(f.facts.publications[0], "root");

    pg_exec(f.sql, "CREATE PUBLICATION whole FOR ALL TABLES");
    must_read(&f, "orders", NULL);
    cr_expect(f.facts.publication_for_all && f.facts.publication_count == 2);
    cr_expect(eq(int, f.facts.subscriber_count, 0));
    fixture_free(&f);
}

/* ---- schema pghaul ---- */

Test(catalog, strangers_in_our_schema_are_counted_and_the_first_one_named)
{
    Fixture f = fixture_new(SIMPLE_TABLE "; CREATE SCHEMA pghaul; CREATE TABLE pghaul.mine (i int);"
                                         "CREATE TABLE pghaul.theirs (i int PRIMARY KEY);");
    must_read(&f, "orders", NULL);
    cr_expect(zero(int, f.facts.server.strange_count));
    const char *role = create_role(&f, "stranger");
    pg_execf(f.sql,
        "ALTER TABLE pghaul.theirs OWNER TO \"%s\"; CREATE FUNCTION pghaul.f(int) RETURNS int"
        " LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION pghaul.f(int) OWNER TO \"%s\"",
        role, role);
    must_read(&f, "orders", NULL);
    cr_expect(eq(int, f.facts.server.strange_count, 2), "an index counts with its table");
    expect_text(f.facts.server.strange, "FUNCTION pghaul.f(integer)");
    expect_text(f.facts.server.strange_owner, role);
    must_read(&f, "orders", role);
    cr_expect(zero(int, f.facts.server.strange_count), "superusers and himself");
    drop_role(&f, role);
    fixture_free(&f);
}

Test(catalog, leftovers_are_objects_whose_number_is_of_no_job)
{
    Fixture f = fixture_new(SIMPLE_TABLE
        "; CREATE SCHEMA pghaul; CREATE FUNCTION pghaul.sync_3_0123456789abcdef() RETURNS trigger"
        " LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE FUNCTION pghaul.locate_key_12_0123456789abcdef(int) RETURNS int LANGUAGE sql AS"
        " 'SELECT 1'; CREATE FUNCTION pghaul.trigger_signature(oid) RETURNS int LANGUAGE sql AS"
        " 'SELECT 1'; CREATE TRIGGER zzzz_pghaul_3 BEFORE UPDATE ON orders FOR EACH ROW"
        " EXECUTE FUNCTION pghaul.sync_3_0123456789abcdef();"
        "CREATE TRIGGER zzzz_pghaul_mine BEFORE UPDATE ON orders FOR EACH ROW"
        " EXECUTE FUNCTION pghaul.sync_3_0123456789abcdef()");
    must_read(&f, "orders", NULL);
    cr_expect(zero(int, f.facts.table.wraparound_vacuum_pid));
    Err err = ERR_INIT;
    cr_assert(catalog_read_leftovers(f.conn, "{1,2}", &f.arena, &f.facts, &err), "%s", err.message);
    cr_assert(eq(int, f.facts.leftover_count, 3));
    cr_expect(f.facts.leftovers[0].is_trigger && !f.facts.leftovers[1].is_trigger);
    expect_text(f.facts.leftovers[0].name, "zzzz_pghaul_3");
    expect_text(f.facts.leftovers[1].name, "pghaul.locate_key_12_0123456789abcdef");
    pg_exec(f.sql, f.facts.leftovers[0].drop);
    pg_exec(f.sql, f.facts.leftovers[1].drop);
    cr_assert(catalog_read_leftovers(f.conn, "{1,3}", &f.arena, &f.facts, &err), "%s", err.message);
    cr_expect(zero(int, f.facts.leftover_count));
    fixture_free(&f);
}

Test(catalog, healthy_table_has_no_refusal_and_no_warning)
{
    Fixture f = fixture_new(SIMPLE_TABLE "; ANALYZE orders");
    must_read(&f, "orders", NULL);
    Findings findings = FINDINGS_INIT;
    findings_collect(&f.spec, &f.facts, NULL, &f.arena, &findings);
    for (int i = 0; i < findings.count; i++) {
        cr_expect(eq(int, findings.items[i].severity, FINDING_NOTE), "%s: %s",
            findings.items[i].code, findings.items[i].text);
    }
    const char *why = NULL;
    const IndexFacts *key = findings_key_index(&f.spec, &f.facts, &why);
    cr_assert(key != NULL, "%s", why);
    expect_text(key->name, "orders_pkey");
    fixture_free(&f);
}
