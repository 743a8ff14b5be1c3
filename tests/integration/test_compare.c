/*
 * test_compare.c - what the comparison and the drain between two servers ask, on a real server.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "harness/harness.h"
#include "integration/job_fixture.h"
#include "pg/peer.h"
#include "pg/query.h"
#include "store/changelog.h"

#define TABLE                                                                                      \
    "CREATE TABLE t (id bigint PRIMARY KEY, src text, c text);"                                    \
    "INSERT INTO t SELECT g, g FROM generate_series(1, 60) AS g; CREATE DOMAIN d AS int"
#define FILE "job: j\nbackfill: t\nset: {c: src}\nsync: none\nthrottle: {standbys: none}\n"

#define OK(call) cr_assert(call, #call ": %s", err.message)

static int64_t
range_int(const JobFixture *f, const char *column)
{
    return pg_intf(f->sql, "SELECT %s FROM pghaul.ranges WHERE no = 1", column);
}

Test(compare, checkpoint_of_a_look_is_written_only_where_the_range_stands)
{
    JobFixture f;
    job_fixture_open(&f, TABLE, FILE);
    Err err = ERR_INIT;
    RangeLease lease = job_fixture_range(&f, NULL, "{60}", 1);
    RangeOwner owner = job_fixture_owner(&f);
    bool ours = false;
    RangeStep more = {.watermark = "{20}", .rows = 20, .differing = 2, .keys = "{\"{3}\",\"{4}\"}"};
    OK(ranges_advance(f.conn, &owner, &lease, &more, &ours, &err));
    cr_expect(ours);
    cr_expect(eq(i64, 2, range_int(&f, "differing")));
    cr_expect(eq(i64, 2, pg_int(f.sql, "SELECT count(*) FROM pghaul.difference")));

    OK(ranges_advance(f.conn, &owner, &lease, &more, &ours, &err));
    cr_expect(not(ours), "it stands at another place than the caller believes");
    cr_expect(eq(i64, 20, range_int(&f, "rows")));

    lease.watermark = "{20}";
    RangeLease other = lease;
    other.epoch++;
    OK(ranges_advance(f.conn, &owner, &other, &more, &ours, &err));
    cr_expect(not(ours), "it was taken over");

    RangeStep last = {.watermark = "{60}", .done = true, .rows = 40};
    OK(ranges_advance(f.conn, &owner, &lease, &last, &ours, &err));
    cr_expect(ours);
    cr_expect(eq(i64, 60, range_int(&f, "rows")));
    cr_expect(eq(i64, 1, range_int(&f, "state = 'done' AND watermark IS NULL AND lease IS NULL")));
    job_fixture_close(&f);
}

Test(compare, slice_of_the_log_is_locked_and_counted_by_its_owner_only)
{
    JobFixture f;
    job_fixture_open(&f, TABLE, FILE);
    Err err = ERR_INIT;
    pg_execf(f.sql, "INSERT INTO pghaul.slice (job, no, slices) VALUES (%lld, 0, 1)",
        (long long)f.job.id);
    RangeOwner owner = job_fixture_owner(&f);
    SliceSet held = {.count = 0};
    bool ours = false;
    OK(changelog_claim(f.conn, &owner, &held, &ours, &err));
    cr_assert(ours);
    SliceLease lease = held.slices[0];
    OK(query_script(f.conn, "BEGIN", &err));
    OK(changelog_lock_slice(f.conn, &lease, &ours, &err));
    cr_expect(ours);
    char state[6];
    cr_expect(not(pg_try(f.sql, "SELECT FROM pghaul.slice FOR NO KEY UPDATE NOWAIT", state)));
    SliceCount count = {.entries = 5, .deleted = 4, .written = 3};
    OK(changelog_count(f.conn, &lease, &count, &err));
    OK(query_script(f.conn, "COMMIT", &err));
    cr_expect(eq(i64, 543,
        pg_int(f.sql, "SELECT entries * 100 + deleted * 10 + written FROM pghaul.slice")));
    lease.epoch++;
    OK(changelog_lock_slice(f.conn, &lease, &ours, &err));
    cr_expect(not(ours));
    job_fixture_close(&f);
}

Test(compare, only_types_that_are_there_are_known)
{
    static const char *const TYPES[] = {NULL, "public.d", "public.e", "integer"};
    JobFixture f;
    job_fixture_open(&f, TABLE, FILE);
    Err err = ERR_INIT;
    bool known[4] = {false};
    OK(peer_known_types(f.conn, TYPES, 4, known, &err));
    cr_expect(known[0] && known[1] && !known[2] && known[3]);
    const char *versions = NULL;
    OK(peer_sort_versions(f.conn, &f.arena, &versions, &err));
    job_fixture_close(&f);
}

/* Ask until it is so. */
static PeerDurable
wait_durable(PgConn *conn, const char *lsn, const NameList *standbys, PeerDurable wanted)
{
    PeerDurable durable = PEER_NOT_YET;
    Err err = ERR_INIT;
    for (int i = 0; i < 3000; i++) {
        OK(peer_is_durable(conn, lsn, standbys, &durable, &err));
        if (durable == wanted) {
            return durable;
        }
        harness_nap_us(10000);
    }
    return durable;
}

Test(compare, what_no_standby_has_or_tells_is_not_safe)
{
    JobFixture f;
    job_fixture_open(&f, TABLE, FILE);
    Err err = ERR_INIT;
    const char *there[] = {CLUSTER_STANDBY_NAME};
    const char *gone[] = {CLUSTER_STANDBY_NAME, "gone"};
    NameList none = {.count = 0};
    NameList one = {.names = there, .count = 1};
    NameList two = {.names = gone, .count = 2};
    char lsn[24];
    OK(peer_flushed_to(f.conn, lsn, &err));
    cr_expect(eq(int, PEER_DURABLE, (int)wait_durable(f.conn, lsn, &one, PEER_DURABLE)));
    cr_expect(eq(int, PEER_NOT_YET, (int)wait_durable(f.conn, lsn, &two, PEER_NOT_YET)));
    cr_expect(eq(int, PEER_NOT_YET, (int)wait_durable(f.conn, "FFFFFFFF/0", &one, PEER_NOT_YET)));
    cr_expect(eq(int, PEER_DURABLE, (int)wait_durable(f.conn, "FFFFFFFF/0", &none, PEER_DURABLE)));
    pg_execf(f.sql, "CREATE ROLE %s_reader", f.dbname);
    STRBUF_AUTO role = STRBUF_INIT;
    strbuf_printf(&role, "SET ROLE %s_reader", f.dbname);
    OK(query_script(f.conn, strbuf_text(&role), &err));
    cr_expect(eq(int, PEER_UNREADABLE, (int)wait_durable(f.conn, "0/0", &one, PEER_UNREADABLE)));
    OK(query_script(f.conn, "RESET ROLE", &err));
    pg_execf(f.sql, "DROP ROLE %s_reader", f.dbname);
    job_fixture_close(&f);
}
