#include "cli/archive_case.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "harness/harness.h"

static const char SQL_TABLES[] =
    "CREATE TABLE item (id bigint PRIMARY KEY, old bool NOT NULL, v text);"
    "CREATE TABLE archived (LIKE item);"
    "CREATE TABLE log (no bigint PRIMARY KEY, there bool NOT NULL, id bigint, old bool, v text);"
    "CREATE TABLE stop (); CREATE SEQUENCE item_id; CREATE SEQUENCE log_no;";

/* The number of an entry is taken while the row is locked: entries of one key are in the order of
 * their commits. */
static const char SQL_CLIENT[] =
    "CREATE PROCEDURE client() LANGUAGE plpgsql AS $$\n"
    "DECLARE r float8; k bigint; n item; BEGIN\n"
    "  WHILE NOT EXISTS (SELECT FROM stop) LOOP\n"
    "    r := random();\n"
    "    k := 1 + floor(random() * (SELECT last_value FROM item_id));\n"
    "    n := NULL;\n"
    "    IF r < 0.25 THEN\n"
    "      INSERT INTO item VALUES (nextval('item_id'), random() < 0.7, md5(random()::text))\n"
    "        RETURNING * INTO n;\n"
    "    ELSIF r < 0.5 THEN\n"
    "      UPDATE item SET v = md5(random()::text) WHERE id = k RETURNING * INTO n;\n"
    "    ELSIF r < 0.7 THEN\n"
    "      UPDATE item SET old = NOT old WHERE id = k RETURNING * INTO n;\n"
    "    ELSIF r < 0.85 THEN\n"
    "      DELETE FROM item WHERE id = k;\n"
    "      IF FOUND THEN\n"
    "        INSERT INTO log VALUES (nextval('log_no'), false, k);\n"
    "      END IF;\n"
    "    ELSE\n"
    "      UPDATE item SET id = nextval('item_id') WHERE id = k RETURNING * INTO n;\n"
    "      IF FOUND THEN\n"
    "        INSERT INTO log VALUES (nextval('log_no'), false, k);\n"
    "      END IF;\n"
    "    END IF;\n"
    "    IF n.id IS NOT NULL THEN\n"
    "      INSERT INTO log VALUES (nextval('log_no'), true, n.id, n.old, n.v);\n"
    "    END IF;\n"
    "    COMMIT;\n"
    "    PERFORM pg_sleep(0.0005);\n"
    "  END LOOP;\n"
    "END $$";

void
archive_case_write_job(const ArchiveCase *c, const char *more)
{
    STRBUF_AUTO job = STRBUF_INIT;
    strbuf_printf(&job,
        "job: " JOB_NAME "\npurge: item\nwhere: old\narchive: %s\n"
        "throttle: {standbys: none}\n%s",
        c->archive, more);
    harness_write_file(c->test.path, strbuf_text(&job));
}

void
archive_case_open(ArchiveCase *c, PgCluster *cluster, const char *more)
{
    *c = (ArchiveCase){.archive = NULL};
    job_open(&c->test, cluster, 1, 0);
    pg_exec(c->test.conn, SQL_TABLES);
    pg_exec(c->test.conn, SQL_CLIENT);
    STRBUF_AUTO archive = STRBUF_INIT;
    strbuf_printf(&archive, "%s/archive", c->test.folder);
    c->archive = mem_strdup(strbuf_text(&archive));
    archive_case_write_job(c, more);
}

void
archive_case_close(ArchiveCase *c)
{
    job_close_cluster(&c->test);
    free(c->archive);
}

void
archive_case_fill(ArchiveCase *c, int64_t rows)
{
    pg_execf(c->test.conn,
        "WITH n AS (INSERT INTO item SELECT nextval('item_id'), true, md5(g::text)"
        " FROM generate_series(1, %lld) AS g RETURNING *)"
        " INSERT INTO log SELECT nextval('log_no'), true, id, old, v FROM n",
        (long long)rows);
}

void
archive_case_start_clients(ArchiveCase *c)
{
    pg_exec(c->test.conn, "TRUNCATE stop");
    for (int i = 0; i < ARCHIVE_CLIENTS; i++) {
        c->clients[i] = session_open(c->test.uri);
        session_send(c->clients[i], "CALL client()");
    }
}

void
archive_case_stop_clients(ArchiveCase *c)
{
    pg_exec(c->test.conn, "INSERT INTO stop DEFAULT VALUES");
    for (int i = 0; i < ARCHIVE_CLIENTS; i++) {
        session_expect_ok(c->clients[i], HARNESS_TIMEOUT_US);
        session_close(c->clients[i]);
        c->clients[i] = NULL;
    }
}

char *
archive_case_file(const ArchiveCase *c, int no)
{
    STRBUF_AUTO sql = STRBUF_INIT;
    strbuf_printf(&sql, "SELECT name FROM pghaul.archive_file WHERE no = %d", no);
    char *name = pg_text(c->test.conn, strbuf_text(&sql));
    StrBuf path = STRBUF_INIT;
    strbuf_printf(&path, "%s/%s", c->archive, name);
    free(name);
    return path.text;
}

int64_t
archive_case_open_files(const ArchiveCase *c)
{
    return pg_int(c->test.conn, "SELECT count(*) FROM pghaul.archive_file WHERE closed IS NULL");
}

/* ---- the oracle ---- */

static void
append_frame(int to, const char *path, int64_t at, int64_t bytes)
{
    int from = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert(le(int, 0, from), "%s", path);
    char *frame = mem_new((size_t)bytes);
    cr_assert(pread(from, frame, (size_t)bytes, at) == bytes, "%s is too short", path);
    cr_assert(write(to, frame, (size_t)bytes) == bytes);
    free(frame);
    (void)close(from);
}

/* One file of all committed frames: they may follow each other anywhere. */
static int
collect_frames(const ArchiveCase *c, const char *path)
{
    int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    PGresult *frames = PQexec(c->test.conn,
        "SELECT f.name, e.at, e.bytes FROM pghaul.archive_frame e JOIN pghaul.archive_file f"
        " ON f.job = e.job AND f.no = e.file WHERE e.fate = 'committed' ORDER BY e.file, e.no");
    for (int i = 0; i < PQntuples(frames); i++) {
        STRBUF_AUTO file = STRBUF_INIT;
        strbuf_printf(&file, "%s/%s", c->archive, PQgetvalue(frames, i, 0));
        append_frame(to, strbuf_text(&file), strtoll(PQgetvalue(frames, i, 1), NULL, 10),
            strtoll(PQgetvalue(frames, i, 2), NULL, 10));
    }
    int count = PQntuples(frames);
    PQclear(frames);
    (void)close(to);
    return count;
}

static void
load_archived(const ArchiveCase *c)
{
    STRBUF_AUTO frames = STRBUF_INIT;
    STRBUF_AUTO rows = STRBUF_INIT;
    strbuf_printf(&frames, "%s/committed.zst", c->test.folder);
    strbuf_printf(&rows, "%s/rows", c->test.folder);
    (void)unlink(strbuf_text(&rows));
    if (collect_frames(c, strbuf_text(&frames)) > 0) {
        const char *argv[] = {"/usr/bin/zstd", "-dc", strbuf_text(&frames), NULL};
        proc_run(&(ProcSpec){.argv = argv, .out_path = strbuf_text(&rows)}, HARNESS_TIMEOUT_US);
    }
    char *text = harness_read_file(strbuf_text(&rows));
    PGconn *conn = c->test.conn;
    pg_exec(conn, "TRUNCATE archived");
    PGresult *copy = PQexec(conn, "COPY archived FROM STDIN");
    cr_assert(eq(int, PGRES_COPY_IN, (int)PQresultStatus(copy)));
    PQclear(copy);
    cr_assert(eq(int, 1, PQputCopyData(conn, text, (int)strlen(text))));
    cr_assert(eq(int, 1, PQputCopyEnd(conn, NULL)));
    PGresult *end = PQgetResult(conn);
    cr_assert(eq(int, PGRES_COMMAND_OK, (int)PQresultStatus(end)), "%s", PQerrorMessage(conn));
    PQclear(end);
    cr_assert(eq(ptr, PQgetResult(conn), NULL));
    free(text);
}

void
archive_case_check(ArchiveCase *c, bool all, const char *title)
{
    load_archived(c);
    PGconn *conn = c->test.conn;
    char *message = NULL;
    int64_t differences = pg_compare(conn,
        "SELECT id, old, v FROM (SELECT DISTINCT ON (id) * FROM log ORDER BY id, no DESC) AS l"
        " WHERE there",
        "SELECT * FROM (SELECT id, old, v FROM item UNION ALL SELECT id, old, v FROM archived) AS "
        "r",
        &message);
    cr_expect(eq(i64, 0, differences), "%s; left is expected:\n%.2000s", title,
        message == NULL ? "" : message);
    free(message);
    cr_expect(eq(i64, 0, pg_int(conn, "SELECT count(*) FROM archived WHERE NOT old")), "%s", title);
    cr_expect(eq(i64, pg_int(conn, "SELECT count(*) FROM archived"),
                  pg_int(conn, "SELECT coalesce(sum(rows), 0) FROM pghaul.archive_frame"
                               " WHERE fate = 'committed'")),
        "%s", title);
    if (all) {
        cr_expect(eq(i64, 0, pg_int(conn, "SELECT count(*) FROM item WHERE old")), "%s", title);
    }
}
