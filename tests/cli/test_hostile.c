/*
 * test_hostile.c - names and values made to break quoting: every one of them in the place of
 * schema, table, columns, index, type, role and database, and as keys and source values; a run that
 * is killed and goes on, verify, clean, and the table compared to the last bit.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "cli/cli.h"
#include "core/utf8.h"
#include "harness/harness.h"
#include "harness/session.h"

#define N63       "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
#define EMOJI     "\xf0\x9f\x98\x80"
#define RLO       "\xe2\x80\xae"
#define FORGED    "\n2026-01-01 00:00:00.000Z ERROR forged"
#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static const char *const NAMES[] = {
    "dou\"ble \"\" \"",
    "sin'gle '' '",
    "new\nline\r\ttab" FORGED,
    "back\\slash \\' \\\" \\\\",
    "$pghaul$ $$ $1 $pghaul1$",
    N63,
    EMOJI EMOJI EMOJI EMOJI EMOJI EMOJI EMOJI EMOJI EMOJI EMOJI EMOJI EMOJI EMOJI EMOJI EMOJI,
    "select",
    RLO "txet",
    "  blanks  ",
    "%s%n%I%1000000d",
    "a.b,c;DROP TABLE x;--/*",
    "{NULL,\"x\"}",
    "\x1b[31mred\x07\x7f",
};
#define NAME_COUNT (int)(sizeof(NAMES) / sizeof(NAMES[0]))

/* What else goes into text columns, as SQL literals. */
static const char VALUES[] =
    "VALUES (''), ('NULL'), ('null'), ('{}'), ('{a,b}'), ('\"'), ('\"\"'), (''''), ('\\'), "
    "('\\\\'),"
    " ('\\\"'), (','), (E'\\n'), (E'\\r\\n'), (E'\\t'), (' '), ('  a  '), ('(a,b)'), ('[1,2)'), "
    "('%s%n'),"
    " ('$pghaul$'), ('$1'), (E'\\x01\\x1b[2J\\x7f'), (U&'\\+01F600'), (U&'\\202Ea'), (U&'\\0085'),"
    " (U&'e\\0301'), (U&'\\00E9'), (U&'\\FEFF'), (U&'\\+10FFFF'), (repeat('long\"\\', 300)),"
    " ('; DROP TABLE t; --'), ('\\N'), ('\\.'), ('\\000'), ('x''); SELECT ('''), ('NaN'), "
    "('infinity')";

/* One round: where each name stands. */
typedef struct Place {
    PgCluster *cluster;
    PGconn *conn; /* of the superuser, in the database */
    char *folder;
    char *job_file;
    char *log_file;
    StrBuf target; /* for -d */
    /* as SQL wants them */
    StrBuf role;
    StrBuf database;
    StrBuf schema;
    StrBuf table; /* qualified */
    StrBuf into;  /* target of a copy, qualified; empty for a backfill */
    StrBuf key;
    StrBuf source;
    StrBuf filled;
    StrBuf index;
    StrBuf type;
} Place;

static void
put_ident(StrBuf *out, PGconn *conn, const char *name)
{
    char *quoted = PQescapeIdentifier(conn, name, strlen(name));
    cr_assert(ne(ptr, quoted, NULL));
    strbuf_puts(out, quoted);
    PQfreemem(quoted);
}

/* A value of a keyword string. */
static void
put_keyword(StrBuf *out, const char *keyword, const char *value)
{
    strbuf_printf(out, " %s='", keyword);
    for (; *value != '\0'; value++) {
        strbuf_printf(out, "%s%c", *value == '\'' || *value == '\\' ? "\\" : "", *value);
    }
    strbuf_putc(out, '\'');
}

/* A double-quoted scalar of YAML. */
static void
put_scalar(StrBuf *out, const char *text)
{
    strbuf_putc(out, '"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f) {
            strbuf_printf(out, "\\x%02x", c);
        } else {
            strbuf_printf(out, "%s%c", c == '"' || c == '\\' ? "\\" : "", c);
        }
    }
    strbuf_putc(out, '"');
}

static const char *
name_at(int index)
{
    return NAMES[index % NAME_COUNT];
}

static void
put_names(Place *place, PGconn *conn, int first)
{
    put_ident(&place->role, conn, name_at(first));
    put_ident(&place->database, conn, name_at(first + 1));
    put_ident(&place->schema, conn, name_at(first + 2));
    strbuf_printf(&place->table, "%s.", strbuf_text(&place->schema));
    put_ident(&place->table, conn, name_at(first + 3));
    put_ident(&place->key, conn, name_at(first + 4));
    put_ident(&place->source, conn, name_at(first + 5));
    put_ident(&place->filled, conn, name_at(first + 6));
    put_ident(&place->index, conn, name_at(first + 7));
    strbuf_printf(&place->type, "%s.", strbuf_text(&place->schema));
    put_ident(&place->type, conn, name_at(first + 8));
    strbuf_printf(&place->into, "%s.", strbuf_text(&place->schema));
    put_ident(&place->into, conn, name_at(first + 9));
}

static void
put_target(const Place *place, StrBuf *out, const char *database, const char *role)
{
    strbuf_printf(
        out, "host=%s port=%d", cluster_socket_dir(place->cluster), cluster_port(place->cluster));
    put_keyword(out, "dbname", database);
    put_keyword(out, "user", role);
}

static void
make_database(Place *place, int first)
{
    PGconn *conn = pg_open(cluster_uri(place->cluster, "postgres"));
    put_names(place, conn, first);
    pg_execf(conn, "CREATE ROLE %s LOGIN", strbuf_text(&place->role));
    pg_execf(conn, "CREATE DATABASE %s OWNER %s", strbuf_text(&place->database),
        strbuf_text(&place->role));
    pg_close(conn);
    STRBUF_AUTO admin = STRBUF_INIT;
    put_target(place, &admin, name_at(first + 1), "postgres");
    put_target(place, &place->target, name_at(first + 1), name_at(first));
    place->conn = pg_open(strbuf_text(&admin));
}

/* Keys and sources are all names and values, four times with another number. */
static void
make_table(const Place *place)
{
    pg_execf(place->conn, "CREATE SCHEMA %s AUTHORIZATION %s; SET ROLE %s",
        strbuf_text(&place->schema), strbuf_text(&place->role), strbuf_text(&place->role));
    pg_execf(place->conn,
        "CREATE DOMAIN %s AS text;"
        "CREATE TABLE %s (%s %s NOT NULL, no int NOT NULL, %s text, %s text);"
        "CREATE UNIQUE INDEX %s ON %s (%s, no)",
        strbuf_text(&place->type), strbuf_text(&place->table), strbuf_text(&place->key),
        strbuf_text(&place->type), strbuf_text(&place->source), strbuf_text(&place->filled),
        strbuf_text(&place->index), strbuf_text(&place->table), strbuf_text(&place->key));
    STRBUF_AUTO insert = STRBUF_INIT;
    strbuf_printf(
        &insert, "INSERT INTO %s SELECT v, n, v FROM (%s", strbuf_text(&place->table), VALUES);
    for (int i = 0; i < NAME_COUNT; i++) {
        char *literal = PQescapeLiteral(place->conn, NAMES[i], strlen(NAMES[i]));
        strbuf_printf(&insert, ", (%s)", literal);
        PQfreemem(literal);
    }
    strbuf_puts(&insert, ") AS s(v), generate_series(1, 4) AS n");
    pg_exec(place->conn, strbuf_text(&insert));
    pg_execf(place->conn,
        "CREATE TABLE %s (LIKE %s INCLUDING ALL);"
        "CREATE TABLE public.before AS SELECT * FROM %s; ANALYZE %s; RESET ROLE",
        strbuf_text(&place->into), strbuf_text(&place->table), strbuf_text(&place->table),
        strbuf_text(&place->table));
}

/* The first run takes its time, so that it can be killed; the next one does not. */
static void
set_slow(const Place *place, bool slow)
{
    pg_execf(place->conn,
        "CREATE OR REPLACE FUNCTION %s.slow(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS"
        " $$BEGIN %s RETURN $1; END$$",
        strbuf_text(&place->schema), slow ? "PERFORM pg_catalog.pg_sleep(0.005);" : "");
}

/* Text of an expression that has to survive as it is. */
#define LITERAL "' \\ \" $pghaul$ %s -- /* '"

static void
write_job(const Place *place, int first, bool copies, const char *path)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    STRBUF_AUTO job = STRBUF_INIT;
    strbuf_printf(&sql, "slow(%s) || %s || no", strbuf_text(&place->source), LITERAL);
    strbuf_printf(&job, "job: hostile\n%s: ", copies ? "copy" : "backfill");
    put_scalar(&job, strbuf_text(&place->table));
    if (copies) {
        strbuf_puts(&job, "\ninto: ");
        put_scalar(&job, strbuf_text(&place->into));
    }
    strbuf_printf(&job, "\n%s:\n  ", copies ? "map" : "set");
    put_scalar(&job, name_at(first + 6));
    strbuf_puts(&job, ": ");
    put_scalar(&job, strbuf_text(&sql));
    strbuf_puts(&job, "\nkey: [");
    put_scalar(&job, name_at(first + 4));
    strbuf_printf(
        &job, ", no]\npath: %s\nworkers: 2\nbatch: {rows: 7}\nthrottle: {standbys: none}\n", path);
    harness_write_file(place->job_file, strbuf_text(&job));
}

static Place
place_new(int first, bool copies, const char *path)
{
    Place place = {.cluster = cluster_shared(), .folder = harness_scratch_new()};
    StrBuf job = STRBUF_INIT;
    StrBuf log = STRBUF_INIT;
    strbuf_printf(&job, "%s/job.yaml", place.folder);
    strbuf_printf(&log, "%s/log", place.folder);
    place.job_file = job.text;
    place.log_file = log.text;
    make_database(&place, first);
    make_table(&place);
    set_slow(&place, true);
    write_job(&place, first, copies, path);
    return place;
}

static void
place_free(Place *place)
{
    pg_close(place->conn);
    PGconn *conn = pg_open(cluster_uri(place->cluster, "postgres"));
    pg_execf(conn, "DROP DATABASE %s WITH (FORCE)", strbuf_text(&place->database));
    pg_execf(conn, "DROP ROLE %s", strbuf_text(&place->role));
    pg_close(conn);
    StrBuf *const texts[] = {&place->target, &place->role, &place->database, &place->schema,
        &place->table, &place->into, &place->key, &place->source, &place->filled, &place->index,
        &place->type};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        strbuf_free(texts[i]);
    }
    free(place->job_file);
    free(place->log_file);
    harness_scratch_remove(place->folder);
    cluster_stop(place->cluster);
}

/* ---- what is printed ---- */

static bool
is_printable(const char *text)
{
    size_t len = strlen(text);
    while (len > 0) {
        uint32_t code = 0;
        size_t width = utf8_decode(text, len, &code);
        if (width == 0 || (utf8_is_control(code) && code != '\n')) {
            return false;
        }
        text += width;
        len -= width;
    }
    return true;
}

static void
expect_json_lines(const char *text, const char *verb, const char *name)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        json_t *object = json_loadb(text, len, 0, NULL);
        cr_expect(ne(ptr, object, NULL), "%s with %s: %.*s", verb, name, (int)len, text);
        json_decref(object);
        text += len + (text[len] == '\n' ? 1 : 0);
    }
}

static void
run_verb(const Place *place, const char *verb, const char *more, const char *name)
{
    CliResult result = cli_run(ARGS(verb, place->job_file, "-d", strbuf_text(&place->target), "-v",
        "--log-file", place->log_file, more));
    cr_expect(eq(int, 0, result.code), "%s with %s: %s", verb, name, result.err);
    cr_expect(is_printable(result.err), "%s with %s: %s", verb, name, result.err);
    if (more != NULL && strcmp(more, "--json") == 0) {
        expect_json_lines(result.out, verb, name);
    } else {
        cr_expect(is_printable(result.out), "%s with %s: %s", verb, name, result.out);
    }
    cr_expect(not(cli_has(result.err, FORGED)), "%s", result.err);
    cli_free(&result);
}

/* ---- the move ---- */

/* Fill the column of `table`, but not to the end; false when it was filled before the kill. */
static bool
run_and_kill(const Place *place, const StrBuf *table)
{
    Proc *proc = proc_start_pghaul(
        ARGS("run", place->job_file, "-d", strbuf_text(&place->target), "--yes", "--quiet"));
    pg_wait_true(
        place->conn, "SELECT to_regclass('pghaul.ranges') IS NOT NULL", HARNESS_TIMEOUT_US);
    pg_wait_true(
        place->conn, "SELECT COALESCE(sum(batches), 0) > 1 FROM pghaul.ranges", HARNESS_TIMEOUT_US);
    proc_signal(proc, SIGKILL);
    int code = proc_finish(proc, HARNESS_TIMEOUT_US);
    proc_free(proc);
    cr_expect(code == 0 || code == 128 + SIGKILL, "exit code %d", code);
    return pg_intf(place->conn, "SELECT count(%s) FROM %s", strbuf_text(&place->filled),
               strbuf_text(table)) < 208;
}

/* Rows of the table that are not bit by bit what they should be, those that are missing or too
 * many; and the same of values that were not to be touched. */
static int64_t
count_wrong(const Place *place, const StrBuf *table)
{
    const char *key = strbuf_text(&place->key);
    const char *source = strbuf_text(&place->source);
    return pg_intf(place->conn,
        "SELECT count(*) FROM %s AS t FULL JOIN public.before AS b"
        "    ON t.%s::text COLLATE \"C\" = b.%s::text AND t.no = b.no"
        " WHERE NOT record_image_eq(ROW(t.%s::text, t.%s, t.%s),"
        "                           ROW(b.%s::text, b.%s, b.%s || "
        "%s"
        " || b.no))",
        strbuf_text(table), key, key, key, source, strbuf_text(&place->filled), key, source, source,
        LITERAL);
}

/* True when it was cut off in between. */
static bool
expect_move(int first, bool copies, const char *path)
{
    Place place = place_new(first, copies, path);
    const StrBuf *table = copies ? &place.into : &place.table;
    const char *name = name_at(first);
    run_verb(&place, "check", NULL, name);
    run_verb(&place, "plan", "--json", name);
    run_verb(&place, "plan", NULL, name);
    bool cut_off = run_and_kill(&place, table);
    set_slow(&place, false);
    run_verb(&place, "run", "--yes", name);
    cr_expect(eq(i64, 0, count_wrong(&place, table)), "%s by %s", name, path);
    cr_expect(
        eq(i64, 208, pg_int(place.conn, "SELECT sum(rows) FROM pghaul.ranges WHERE pass = 1")),
        "%s by %s", name, path);
    run_verb(&place, "status", "--json", name);
    run_verb(&place, "verify", "--json", name);
    run_verb(&place, "clean", NULL, name);
    cr_expect(
        eq(i64, 0, pg_int(place.conn, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal")),
        "%s by %s", name, path);
    char *log = harness_read_file(place.log_file);
    cr_expect(is_printable(log), "%s: the log", name);
    cr_expect(eq(ptr, strstr(log, FORGED), NULL), "%s: the log", name);
    free(log);
    place_free(&place);
    return cut_off;
}

/* Each name stands at ten places, one further with each round. */
Test(hostile, names_and_values_survive_moves_and_copies_by_key_and_by_block, .timeout = 1800)
{
    static const struct {
        bool copies;
        const char *path;
    } KINDS[] = {{false, "key"}, {true, "block"}, {false, "block"}, {true, "key"}};
    int rounds = harness_env("PGHAUL_SOAK", NULL) == NULL ? NAME_COUNT : 4 * NAME_COUNT;
    int cut_off = 0;
    cluster_claim_roles(cluster_shared());
    for (int i = 0; i < rounds; i++) {
        int kind = (i + i / NAME_COUNT) % 4;
        cut_off += expect_move(i % NAME_COUNT, KINDS[kind].copies, KINDS[kind].path) ? 1 : 0;
    }
    cr_expect(lt(int, 0, cut_off), "all runs were over before they were killed");
}

/* What the application sets in its session must not change what a literal of the job means there.
 */
Test(hostile, settings_of_a_writer_do_not_change_the_expression)
{
    CliBase base = cli_base_new(3);
    pg_exec(base.conn, "ALTER TABLE orders ADD c text");
    cli_base_write_job(&base,
        "job: test\nbackfill: orders\nset:\n  c: |\n"
        "    amount_text || '\\n' || COALESCE((amount_text = NULL)::text, 'unknown')\n"
        "throttle: {standbys: none}\n");
    CliResult result = CLI("run", base.job_file, "-d", base.uri, "--yes", "--quiet");
    cr_expect(eq(int, 0, result.code), "%s", result.err);
    cli_free(&result);
    PGconn *writer = pg_open(base.uri);
    pg_exec(writer, "SET standard_conforming_strings = off; SET escape_string_warning = off;"
                    "SET transform_null_equals = on");
    pg_exec(writer, "INSERT INTO orders (id, amount_text) VALUES (9, '9')");
    pg_close(writer);
    cr_expect(eq(i64, 4,
        pg_int(base.conn, "SELECT count(*) FROM orders"
                          " WHERE c = amount_text || '\\n' || 'unknown'")));
    cli_base_free(&base);
}
