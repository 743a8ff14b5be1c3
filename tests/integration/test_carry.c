/*
 * test_carry.c - all that belongs to a table goes over to another one in one swap, and comes back;
 * what cannot is named beforehand.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/plan.h"
#include "harness/harness.h"
#include "harness/pgcluster.h"
#include "harness/session.h"
#include "ops/carry.h"
#include "pg/catalog_carry.h"
#include "pg/query.h"
#include "pg/snapshots.h"

typedef struct CarryTest {
    PgCluster *cluster;
    const char *dbname;
    PGconn *sql;
    PgConn *conn;
    Arena arena;
    JobSpec spec;
    Facts source;
    Facts into;
    CopyPlan copy;
    Plan plan;
    Carry carry;
    StopToken stop;
} CarryTest;

/* The facts of a table that a carry needs: its names and its columns. */
static void
read_facts(CarryTest *t, const char *table, Facts *facts)
{
    *facts = (Facts){.table = {.schema = "public", .name = table}};
    facts->table.oid =
        (uint32_t)pg_intf(t->sql, "SELECT oid FROM pg_class WHERE relname = '%s'", table);
    facts->columns = arena_alloc(&t->arena, 16 * sizeof(ColumnFacts));
    for (int i = 1; i < 16; i++) {
        char sql[200];
        (void)snprintf(sql, sizeof(sql),
            "SELECT (SELECT attname::text FROM pg_attribute WHERE attrelid = %u AND attnum = %d)",
            facts->table.oid, i);
        char *name = pg_text(t->sql, sql);
        if (name != NULL) {
            facts->columns[facts->column_count++] =
                (ColumnFacts){.attnum = i, .name = arena_strdup(&t->arena, name)};
        }
        free(name);
    }
}

/* Every column of the target that the source has too is copied as it is, but `mapped`. */
static void
plan_copy(CarryTest *t, const char *mapped)
{
    t->copy = (CopyPlan){
        .into = &t->into, .map = arena_alloc(&t->arena, 16 * sizeof(MapColumn)), .map_count = 0};
    for (int i = 0; i < t->into.column_count; i++) {
        const ColumnFacts *target = &t->into.columns[i];
        const ColumnFacts *source = facts_column(&t->source, target->name);
        bool as_is = source != NULL && strcmp(target->name, mapped) != 0;
        t->copy.map[t->copy.map_count++] =
            (MapColumn){.target = target, .source = as_is ? source : NULL};
    }
    t->spec = (JobSpec){.throttle = {.yield_after_us = 200000}};
    t->plan = (Plan){.spec = &t->spec, .facts = &t->source, .copy = &t->copy};
}

static void
look(CarryTest *t)
{
    Err err = ERR_INIT;
    cr_assert(carry_read(t->conn, &t->plan, &t->arena, &t->carry, &err), "%s", err.message);
}

static void
carry_open(CarryTest *t, const char *setup, const char *mapped)
{
    *t = (CarryTest){.cluster = cluster_shared(), .arena = ARENA_INIT};
    stop_init(&t->stop);
    t->dbname = cluster_create_database(t->cluster, NULL);
    const char *uri = cluster_uri(t->cluster, t->dbname);
    t->sql = pg_open(uri);
    pg_exec(t->sql, setup);
    Err err = ERR_INIT;
    ConnTarget target = {.dbname = uri};
    cr_assert(conn_open(&target, CONN_CATALOG, "test", SECONDS_US(20), &t->conn, &err));
    read_facts(t, "orders", &t->source);
    read_facts(t, "orders_v2", &t->into);
    plan_copy(t, mapped);
    look(t);
}

static void
carry_close(CarryTest *t)
{
    conn_close(t->conn);
    pg_close(t->sql);
    cluster_drop_database(t->cluster, t->dbname);
    cluster_stop(t->cluster);
    arena_reset(&t->arena);
    stop_destroy(&t->stop);
}

/* Is there an item of that kind whose step says so? */
static bool
has(const CarryTest *t, CarryKind kind, const char *part)
{
    for (int i = 0; i < t->carry.count; i++) {
        if (t->carry.items[i].kind == kind && strstr(t->carry.steps[i].what, part) != NULL) {
            return true;
        }
    }
    return false;
}

static char *
all_lost(const CarryTest *t)
{
    STRBUF_AUTO text = STRBUF_INIT;
    for (int i = 0; i < t->carry.count; i++) {
        if (t->carry.items[i].kind == CARRY_LOST) {
            strbuf_printf(&text, "%s\n", t->carry.steps[i].what);
        }
    }
    return strdup(strbuf_text(&text));
}

static void
run_each(CarryTest *t, const char *sql, const char *what)
{
    Err err = ERR_INIT;
    if (sql != NULL && !query_script(t->conn, sql, &err)) {
        harness_fail("%s: %s\n%s", what, err.message, sql);
    }
}

static bool
is_of_swap(const CarryItem *item)
{
    return !sql_cutover_is_early(item->kind) && item->kind != CARRY_LOST;
}

/* The swap without its rows and locks; `later` in the reverse order, as both directions have it. */
static void
swap(CarryTest *t, bool back)
{
    CutoverStep rename;
    sql_cutover_rename(&t->carry.names, &t->arena, &rename);
    run_each(t, back ? rename.undo : rename.sql, "rename");
    for (int i = 0; i < t->carry.count; i++) {
        const CutoverStep *step = &t->carry.steps[i];
        if (is_of_swap(&t->carry.items[i])) {
            run_each(t, back ? step->undo : step->sql, step->what);
        }
    }
    for (int i = t->carry.count - 1; i >= 0; i--) {
        const CutoverStep *step = &t->carry.steps[i];
        if (is_of_swap(&t->carry.items[i])) {
            run_each(t, back ? step->undo_later : step->later, step->what);
        }
    }
}

/* Everything that belongs to table `orders`, whichever it is, with the names of its parts. */
static const char BELONGINGS[] =
    "SELECT concat_ws(' | ', k, v) FROM ("
    " SELECT 'owner' k, pg_get_userbyid(relowner) v FROM pg_class WHERE oid = 'orders'::regclass"
    " UNION ALL SELECT 'grant', concat_ws(' ', pg_get_userbyid(a.grantee), privilege_type,"
    "     is_grantable) FROM pg_class c, aclexplode(relacl) a WHERE c.oid = 'orders'::regclass"
    "     AND a.grantee <> relowner"
    " UNION ALL SELECT 'column grant', concat_ws(' ', attname, grantee::regrole, privilege_type)"
    "     FROM pg_attribute, aclexplode(attacl) a WHERE attrelid = 'orders'::regclass"
    " UNION ALL SELECT 'comment', concat_ws(' ', attname, description) FROM pg_description d"
    "     LEFT JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid AND objsubid > 0"
    "     WHERE objoid = 'orders'::regclass AND classoid = 'pg_class'::regclass"
    " UNION ALL SELECT 'default', concat_ws(' ', attname, pg_get_expr(adbin, adrelid))"
    "     FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum"
    "     WHERE adrelid = 'orders'::regclass"
    " UNION ALL SELECT 'constraint', concat_ws(' ', conname, contype, convalidated,"
    "     pg_get_constraintdef(oid)) FROM pg_constraint"
    "     WHERE conrelid = 'orders'::regclass AND contype IN ('c', 'f')"
    " UNION ALL SELECT 'incoming', concat_ws(' ', conrelid::regclass, conname, convalidated,"
    "     pg_get_constraintdef(oid)) FROM pg_constraint"
    "     WHERE confrelid = 'orders'::regclass AND conrelid <> confrelid AND conparentid = 0"
    " UNION ALL SELECT 'trigger', concat_ws(' ', tgenabled, pg_get_triggerdef(oid))"
    "     FROM pg_trigger WHERE tgrelid = 'orders'::regclass AND NOT tgisinternal"
    " UNION ALL SELECT 'view', concat_ws(' ', ev_class::regclass, pg_get_viewdef(ev_class),"
    "     (SELECT reloptions FROM pg_class WHERE oid = ev_class)) FROM pg_rewrite r"
    "     WHERE EXISTS (SELECT FROM pg_depend WHERE objid = r.oid"
    "         AND refobjid = 'orders'::regclass) AND ev_class <> 'orders'::regclass"
    " UNION ALL SELECT 'sequence', pg_get_serial_sequence('orders', 'id')"
    ") x ORDER BY 1";

static char *
belongings(const CarryTest *t)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(&sql, "SELECT string_agg(t, E'\\n') FROM (%s) AS s(t)", BELONGINGS);
    return pg_text(t->sql, strbuf_text(&sql));
}

/* What the test is about: the table called orders looks the same before, after and afterwards. */
static void
expect_same(const CarryTest *t, char *before, const char *when)
{
    char *after = belongings(t);
    cr_expect(eq(str, before, after), "%s", when);
    free(after);
}

#define ROLES                                                                                      \
    "DO $$ BEGIN CREATE ROLE carry_app; CREATE ROLE \"carry \"\"owner\"; EXCEPTION"                \
    " WHEN duplicate_object OR unique_violation THEN END $$;"

#define FULL_TABLE                                                                                 \
    ROLES                                                                                          \
    "CREATE TABLE customers (id int PRIMARY KEY); INSERT INTO customers VALUES (1), (2);"          \
    "CREATE TABLE orders (id bigserial PRIMARY KEY, customer int REFERENCES customers,"            \
    "  parent bigint REFERENCES orders, state text DEFAULT 'new' CHECK (state <> ''),"             \
    "  amount numeric, note text);"                                                                \
    "INSERT INTO orders (customer, parent, amount) VALUES (1, NULL, 5), (2, 1, 6);"                \
    "CREATE TABLE lines (id int PRIMARY KEY, orders bigint,"                                       \
    "  CONSTRAINT \"the order\" FOREIGN KEY (orders) REFERENCES orders ON DELETE CASCADE);"        \
    "INSERT INTO lines VALUES (1, 1);"                                                             \
    "COMMENT ON TABLE orders IS 'it''s all'; COMMENT ON COLUMN orders.note IS E'a\\nb';"           \
    "GRANT SELECT, INSERT ON orders TO carry_app; GRANT SELECT ON orders TO PUBLIC;"               \
    "GRANT UPDATE (note) ON orders TO carry_app WITH GRANT OPTION;"                                \
    "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS"                                  \
    " $$ BEGIN NEW.note := 'touched'; RETURN NEW; END $$;"                                         \
    "CREATE TRIGGER touch BEFORE INSERT OR UPDATE OF state ON orders FOR EACH ROW"                 \
    " WHEN (NEW.state = 'x') EXECUTE FUNCTION touch();"                                            \
    "CREATE TRIGGER off BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION touch();"            \
    "ALTER TABLE orders DISABLE TRIGGER off; ALTER TABLE orders ENABLE ALWAYS TRIGGER touch;"      \
    "CREATE VIEW open_orders WITH (security_barrier = true) AS"                                    \
    " SELECT id, state FROM orders WHERE state = 'new' WITH LOCAL CHECK OPTION;"                   \
    "ALTER TABLE orders ADD CHECK (amount > 5) NOT VALID;"                                         \
    "ALTER TABLE orders OWNER TO \"carry \"\"owner\";"

Test(carry, everything_goes_over_and_comes_back)
{
    CarryTest t;
    carry_open(&t,
        FULL_TABLE "CREATE TABLE orders_v2 (id bigint PRIMARY KEY, customer int, parent bigint,"
                   " state text, amount numeric, note text, extra int);"
                   "INSERT INTO orders_v2 SELECT * FROM orders;",
        "");
    char *before = belongings(&t);
    cr_assert(t.carry.obstacle == NULL, "%s", t.carry.obstacle);
    Err err = ERR_INIT;
    cr_assert(carry_early(t.conn, &t.carry, &t.plan, &t.stop, &err), "%s", err.message);
    expect_same(&t, before, "the application's table is untouched");
    look(&t);
    for (int i = 0; i < t.carry.count; i++) {
        cr_expect(
            not(sql_cutover_is_early(t.carry.items[i].kind)), "again: %s", t.carry.steps[i].what);
    }
    swap(&t, false);
    expect_same(&t, before, "the new table has it all");
    cr_expect(eq(i64, 2,
        pg_int(t.sql, "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'orders_old'::regclass"
                      " AND NOT tgisinternal AND tgenabled = 'D'")));
    pg_exec(t.sql, "INSERT INTO orders (customer, state) VALUES (1, 'x')");
    cr_expect(eq(i64, 3, pg_int(t.sql, "SELECT id FROM orders WHERE note = 'touched'")));
    char state[6];
    cr_expect(not(pg_try(t.sql, "INSERT INTO lines VALUES (2, 77)", state)));
    cr_expect(eq(str, "23503", state));
    swap(&t, true);
    expect_same(&t, before, "the old table has it back");
    cr_expect(eq(i64, 2, pg_int(t.sql, "SELECT count(*) FROM orders")));
    free(before);
    carry_close(&t);
}

Test(carry, counters_go_on_from_a_serial_to_an_identity_and_back)
{
    CarryTest t;
    carry_open(&t,
        ROLES "CREATE TABLE orders (id serial PRIMARY KEY);"
              "GRANT USAGE ON SEQUENCE orders_id_seq TO carry_app;"
              "SELECT setval('orders_id_seq', 41);"
              "CREATE TABLE orders_v2 (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);",
        "");
    cr_expect(has(&t, CARRY_GRANT, "USAGE TO"));
    swap(&t, false);
    cr_expect(eq(i64, 42, pg_int(t.sql, "INSERT INTO orders DEFAULT VALUES RETURNING id")));
    cr_expect(eq(i64, 43, pg_int(t.sql, "INSERT INTO orders DEFAULT VALUES RETURNING id")));
    swap(&t, true);
    cr_expect(eq(i64, 44, pg_int(t.sql, "INSERT INTO orders DEFAULT VALUES RETURNING id")));
    carry_close(&t);
}

/* What such copies are made for: the counter and the tables that refer to it come along. */
Test(carry, integer_key_becomes_bigint_with_its_sequence_and_its_foreign_keys)
{
    CarryTest t;
    carry_open(&t,
        "CREATE TABLE orders (id serial PRIMARY KEY, parent int REFERENCES orders);"
        "INSERT INTO orders (parent) VALUES (NULL), (1);"
        "CREATE TABLE lines (orders int REFERENCES orders); INSERT INTO lines VALUES (2);"
        "CREATE TABLE orders_v2 (id bigint PRIMARY KEY DEFAULT nextval('orders_id_seq'),"
        " parent bigint); INSERT INTO orders_v2 SELECT * FROM orders;",
        "");
    char *lost = all_lost(&t);
    cr_expect(eq(str, "", lost));
    free(lost);
    char *before = belongings(&t);
    swap(&t, false);
    expect_same(&t, before, "the new table has it all");
    pg_exec(t.sql, "SELECT setval('orders_id_seq', 2147483647)");
    cr_expect(eq(i64, 2147483648, pg_int(t.sql, "INSERT INTO orders DEFAULT VALUES RETURNING id")));
    swap(&t, true);
    expect_same(&t, before, "the old table has it back");
    free(before);
    carry_close(&t);
}

Test(carry, partitioned_table_gets_its_foreign_keys_by_its_leaves)
{
    CarryTest t;
    carry_open(&t,
        "CREATE TABLE customers (id int PRIMARY KEY); INSERT INTO customers VALUES (1), (2);"
        "CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers);"
        "CREATE TABLE lines (orders int REFERENCES orders);"
        "INSERT INTO orders VALUES (1, 1), (11, 2);"
        "CREATE TABLE orders_v2 (id int PRIMARY KEY, customer int) PARTITION BY RANGE (id);"
        "CREATE TABLE orders_1 PARTITION OF orders_v2 FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE orders_2 PARTITION OF orders_v2 FOR VALUES FROM (10) TO (20)"
        " PARTITION BY LIST (id);"
        "CREATE TABLE orders_3 PARTITION OF orders_2 DEFAULT;"
        "INSERT INTO orders_v2 SELECT * FROM orders;",
        "");
    char *before = belongings(&t);
    swap(&t, false);
    expect_same(&t, before, "the new table has it all");
    char state[6];
    cr_expect(not(pg_try(t.sql, "INSERT INTO orders VALUES (12, 77)", state)));
    cr_expect(eq(str, "23503", state));
    pg_exec(t.sql, "INSERT INTO lines VALUES (11)");
    swap(&t, true);
    expect_same(&t, before, "the old table has it back");
    free(before);
    carry_close(&t);
}

Test(carry, what_cannot_go_over_is_named)
{
    static const char *const LOST[] = {"index by_note", "unique index orders_pkey",
        "check constraint short: it uses columns", "foreign key lines_orders_fkey of public.lines,",
        "view public.notes, which goes on showing the old table: it uses columns",
        "materialized view public.summary", "trigger touch: it uses columns",
        "row security policy mine", "publication shop", "statistics object twins",
        "storage parameters: fillfactor=70", "column state: NOT NULL",
        "function public.total(public.orders)", "column state: storage", "replica identity",
        "rule quiet", "SELECT of carry_app, which only the new table grants",
        "comment on constraint short", "CLUSTER ON public.by_note"};
    CarryTest t;
    carry_open(&t,
        ROLES
        "CREATE TABLE orders (id int PRIMARY KEY, part int, state text NOT NULL, note text"
        "  CONSTRAINT short CHECK (length(note) < 9)) WITH (fillfactor = 70);"
        "CREATE INDEX by_note ON orders (note); CREATE STATISTICS twins ON id, part FROM orders;"
        "CREATE TABLE lines (orders int REFERENCES orders);"
        "CREATE VIEW notes AS SELECT note FROM orders;"
        "CREATE MATERIALIZED VIEW summary AS SELECT count(id) FROM orders;"
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
        "CREATE TRIGGER touch BEFORE UPDATE OF note ON orders FOR EACH ROW"
        " EXECUTE FUNCTION touch();"
        "CREATE FUNCTION total(orders) RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "CREATE POLICY mine ON orders; CREATE PUBLICATION shop FOR TABLE orders;"
        "CREATE RULE quiet AS ON DELETE TO orders DO INSTEAD NOTHING;"
        "ALTER TABLE orders REPLICA IDENTITY FULL;"
        "ALTER TABLE orders ALTER state SET STORAGE EXTERNAL;"
        "CREATE TABLE orders_v2 (id int, part int, state text, note text,"
        "  PRIMARY KEY (id, part)) PARTITION BY HASH (part);"
        "GRANT SELECT ON orders_v2 TO carry_app; ALTER TABLE orders CLUSTER ON by_note;"
        "COMMENT ON CONSTRAINT short ON orders IS 'up to 8';",
        "note");
    char *lost = all_lost(&t);
    for (size_t i = 0; i < sizeof(LOST) / sizeof(LOST[0]); i++) {
        cr_expect(strstr(lost, LOST[i]) != NULL, "\"%s\" is not in\n%s", LOST[i], lost);
    }
    cr_expect(t.carry.obstacle == NULL, "%s", t.carry.obstacle);
    free(lost);
    carry_close(&t);
}

/* A setup and the obstacle that it is. */
static void
expect_obstacle(const char *setup, const char *words)
{
    CarryTest t;
    carry_open(&t, setup, "");
    cr_assert(t.carry.obstacle != NULL, "%s", words);
    cr_expect(strstr(t.carry.obstacle, words) != NULL, "%s", t.carry.obstacle);
    carry_close(&t);
}

#define TWO "CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE orders_v2 (LIKE orders);"

Test(carry, what_stands_in_the_way_is_said)
{
    expect_obstacle(TWO "CREATE VIEW orders_old AS SELECT 1", "orders_old is taken");
    expect_obstacle(TWO "CREATE TYPE orders_old AS ENUM ()", "orders_old is taken");
    expect_obstacle(TWO "ALTER TABLE orders ENABLE ROW LEVEL SECURITY", "row security is on");
    expect_obstacle(TWO "ALTER TABLE orders FORCE ROW LEVEL SECURITY", "row security is forced");
    expect_obstacle(TWO "CREATE TABLE child () INHERITS (orders)", "inherited by public.child");
    expect_obstacle("CREATE TABLE whole (id int) PARTITION BY LIST (id);"
                    "CREATE TABLE orders PARTITION OF whole DEFAULT;"
                    "CREATE TABLE orders_v2 (id int)",
        "is a partition");
}

/* ---- the locks ---- */

Test(carry, what_is_locked_beside_the_tables)
{
    CarryTest t;
    Neighbours beside;
    Err err = ERR_INIT;
    carry_open(&t,
        TWO "CREATE VIEW \"the ids\" AS SELECT id, id AS again FROM orders;"
            "CREATE VIEW over AS SELECT id FROM \"the ids\";"
            "CREATE TABLE lines (id int REFERENCES orders); CREATE TABLE customers (id int UNIQUE);"
            "ALTER TABLE orders ADD FOREIGN KEY (id) REFERENCES customers (id),"
            " ADD FOREIGN KEY (id) REFERENCES orders;",
        "");
    bool ok = catalog_neighbours(t.conn, t.source.table.oid, &t.arena, &beside, &err);
    cr_assert(ok, "%s", err.message);
    cr_assert(eq(int, 2, beside.table_count));
    cr_expect(zero(int, strcmp("public.customers", beside.tables[0])));
    cr_expect(zero(int, strcmp("public.lines", beside.tables[1])));
    cr_assert(eq(int, 1, beside.view_count));
    pg_exec(t.sql, "BEGIN");
    pg_exec(t.sql, beside.views[0]);
    cr_expect(eq(i64, 1,
        pg_int(t.sql, "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"
                      " AND mode = 'AccessExclusiveLock' AND relation = '\"the ids\"'::regclass")));
    carry_close(&t);
}

/* A statement in a longer transaction takes a snapshot that is gone with it, unless the transaction
 * keeps one; from outside only time tells them apart. */
Test(carry, snapshot_that_lasts_is_told_from_one_of_a_statement)
{
    CarryTest t;
    const char *who = NULL;
    Err err = ERR_INIT;
    carry_open(&t, TWO, "");
    Session *session = session_open(cluster_uri(t.cluster, t.dbname));
    pg_exec(session_conn(session), "BEGIN; SELECT 1");
    session_send(session, "SELECT pg_sleep(0.01)");
    cr_assert(probe_lasting_snapshots(t.conn, &t.arena, &who, &err), "%s", err.message);
    cr_expect(who == NULL, "%s", who);
    cr_assert(session_wait(session, HARNESS_TIMEOUT_US));
    pg_exec(session_conn(session), "COMMIT; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
    cr_assert(probe_lasting_snapshots(t.conn, &t.arena, &who, &err), "%s", err.message);
    cr_expect(who != NULL && strstr(who, "idle in transaction") != NULL, "%s", who);
    session_close(session);
    carry_close(&t);
}
