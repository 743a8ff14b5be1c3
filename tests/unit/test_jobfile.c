#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/jobfile.h"
#include "core/jobkeys.h"

#define HEAD "job: j\nbackfill: t\n"
#define BASE HEAD "set:\n  a: b\n"

static Arena arena;
static JobSpec spec;

static void
teardown(void)
{
    arena_reset(&arena);
}

TestSuite(jobfile, .fini = teardown);

static void
parse(const char *source)
{
    Err err = ERR_INIT;
    bool ok = jobfile_parse("f.yaml", source, strlen(source), &arena, &spec, &err);
    cr_assert(ok, "%s\n%s\n%s", err.message, err.excerpt, err.hint);
}

Test(jobfile, absent_keys_have_their_defaults)
{
    parse(BASE);
    cr_expect_str_eq(spec.job, "j");
    cr_expect_str_eq(spec.table, "t");
    cr_expect(eq(int, spec.set_count, 1));
    cr_expect(spec.where.text == NULL);
    cr_expect(eq(int, spec.key.count, 0));
    cr_expect(eq(int, (int)spec.path, PATH_AUTO));
    cr_expect(eq(int, spec.stripes, 0));
    cr_expect(eq(int, spec.workers, 0));
    cr_expect(eq(i64, spec.batch_time_us, 25000));
    cr_expect(eq(i64, spec.batch_rows, 0));
    cr_expect(eq(int, (int)spec.sync, SYNC_AUTO));
    cr_expect(not(spec.strict));
    cr_expect(spec.verify);
    cr_expect(spec.vacuum);
    cr_expect(eq(int, spec.allow.count, 0));
    cr_expect(eq(int, spec.search_path.count, 0));
    cr_expect(eq(i64, spec.lease_us, 30000000));
    cr_expect(eq(int, (int)spec.commit, COMMIT_LOCAL));
    cr_expect(eq(i64, spec.throttle.yield_after_us, 200000));
    cr_expect(eq(i64, spec.throttle.lag_us, 2000000));
    cr_expect(eq(i64, spec.throttle.lag_bytes, 268435456));
    cr_expect(eq(int, (int)spec.throttle.standby_mode, STANDBYS_AUTO));
    cr_expect(eq(int, spec.throttle.standbys.count, 0));
    cr_expect(eq(int, spec.throttle.lock_waiters, 5));
    cr_expect(eq(i64, spec.limits.runtime_us, 0));
    cr_expect(eq(i64, spec.limits.rows, 0));
}

static void
expect_all_keys_read(void)
{
    cr_expect_str_eq(spec.job, "orders-amount_2");
    cr_expect_str_eq(spec.table, "shop.\"Orders\"");
    cr_expect(eq(int, spec.set_count, 2));
    cr_expect_str_eq(spec.set[0].column, "amount");
    cr_expect_str_eq(spec.set[0].expr.text, "amount_text::numeric");
    cr_expect_str_eq(spec.set[1].column, "Weird \"Name\"");
    cr_expect_str_eq(spec.set[1].expr.text, "1");
    cr_expect_str_eq(spec.where.text, "id > 5");
    cr_expect(eq(int, spec.key.count, 2));
    cr_expect_str_eq(spec.key.names[0], "Tenant");
    cr_expect_str_eq(spec.key.names[1], "id");
    cr_expect(eq(int, (int)spec.path, PATH_BLOCK));
    cr_expect(eq(int, spec.stripes, 8));
    cr_expect(eq(int, spec.workers, 4));
    cr_expect(eq(i64, spec.batch_time_us, 20000));
    cr_expect(eq(i64, spec.batch_rows, 10000));
    cr_expect(eq(int, (int)spec.sync, SYNC_NONE));
    cr_expect(spec.strict);
    cr_expect(not(spec.verify));
    cr_expect(not(spec.vacuum));
    cr_expect(jobspec_allows(&spec, "stable"));
    cr_expect(jobspec_allows(&spec, "user-triggers"));
    cr_expect(not(jobspec_allows(&spec, "lossy")));
    cr_expect(eq(int, spec.search_path.count, 1));
    cr_expect_str_eq(spec.search_path.names[0], "shop");
    cr_expect(eq(i64, spec.lease_us, 60000000));
    cr_expect(eq(int, (int)spec.commit, COMMIT_OFF));
    cr_expect(eq(i64, spec.throttle.yield_after_us, 100000));
    cr_expect(eq(i64, spec.throttle.lag_us, 300000000));
    cr_expect(eq(i64, spec.throttle.lag_bytes, 1073741824));
    cr_expect(eq(int, (int)spec.throttle.standby_mode, STANDBYS_NAMED));
    cr_expect(eq(int, spec.throttle.standbys.count, 2));
    cr_expect_str_eq(spec.throttle.standbys.names[1], "replica 2");
    cr_expect(eq(int, spec.throttle.lock_waiters, 1000));
    cr_expect(eq(i64, spec.limits.runtime_us, INT64_C(8) * 3600 * 1000000));
    cr_expect(eq(i64, spec.limits.rows, 50000000));
}

Test(jobfile, every_key_is_read)
{
    parse("job: orders-amount_2   # a comment\n"
          "backfill: shop.\"Orders\"\n"
          "set:\n  amount: amount_text::numeric\n  'Weird \"Name\"': 1\n"
          "where: id > 5\nkey: [Tenant, id]\npath: block\nstripes: 8\nworkers: 4 # four\n"
          "batch: {time: 20ms, rows: 10_000}\nsync: none\nstrict: true\nverify: none\n"
          "vacuum: off\nallow: [stable, user-triggers]\nsearch_path: shop\nlease: 1m\n"
          "synchronous_commit: off\n"
          "throttle:\n  yield_after: 100ms\n  lag: 5m\n  lag_bytes: 1GB\n"
          "  standbys:\n    - replica1\n    - replica 2\n  lock_waiters: 1k\n"
          "limits:\n  runtime: 8h\n  rows: 50M\n");
    expect_all_keys_read();
}

#define COPY_HEAD "job: j\ncopy: t\n"

Test(jobfile, a_copy_needs_source_and_target_only)
{
    parse(COPY_HEAD "into: s.u\n");
    cr_expect(eq(int, (int)spec.kind, KIND_COPY));
    cr_expect_str_eq(spec.table, "t");
    cr_expect_str_eq(spec.into, "s.u");
    cr_expect(eq(int, spec.table_place.line, 2));
    cr_expect(eq(int, spec.into_place.line, 3));
    cr_expect(eq(int, spec.into_place.column, 7));
    cr_expect(eq(int, spec.set_count, 0));
    cr_expect(eq(int, spec.reverse_count, 0));
    cr_expect(spec.from == NULL && spec.to == NULL);
    cr_expect(eq(int, (int)spec.on_conflict, ON_CONFLICT_ERROR));
    cr_expect(eq(int, (int)spec.indexes, INDEXES_BEFORE));
    cr_expect(eq(i64, spec.limits.log_bytes, INT64_C(10) << 30));
    cr_expect(spec.verify);
}

Test(jobfile, every_key_of_a_copy_is_read)
{
    parse(COPY_HEAD "into: u\nmap:\n  total: a + b\n  kind: \"'old'\"\n"
                    "reverse_map: {a: total}\nwhere: a > 0\n"
                    "from: host=h1 dbname=d passfile=/p\nto: postgresql://app@h2:5433/d\n"
                    "on_conflict: update\nindexes: after\nlimits: {log_bytes: 2GB}\n"
                    "sync: none\nverify: none\non_error: stop\n");
    cr_expect(eq(int, spec.set_count, 2));
    cr_expect_str_eq(spec.set[0].column, "total");
    cr_expect_str_eq(spec.set[0].expr.text, "a + b");
    cr_expect(eq(int, spec.set[1].place.line, 6));
    cr_expect_str_eq(spec.set[1].expr.text, "'old'");
    cr_expect(eq(int, spec.reverse_count, 1));
    cr_expect_str_eq(spec.reverse_map[0].expr.text, "total");
    cr_expect_str_eq(spec.from, "host=h1 dbname=d passfile=/p");
    cr_expect_str_eq(spec.to, "postgresql://app@h2:5433/d");
    cr_expect(eq(int, spec.from_place.line, 9));
    cr_expect(eq(int, spec.to_place.line, 10));
    cr_expect(eq(int, (int)spec.on_conflict, ON_CONFLICT_UPDATE));
    cr_expect(eq(int, (int)spec.indexes, INDEXES_AFTER));
    cr_expect(eq(i64, spec.limits.log_bytes, INT64_C(2) << 30));
}

#define PURGE_HEAD "job: j\npurge: t\n"

Test(jobfile, a_purge_needs_a_table_and_a_predicate_only)
{
    parse(PURGE_HEAD "where: old\n");
    cr_expect(eq(int, (int)spec.kind, KIND_PURGE));
    cr_expect_str_eq(spec.table, "t");
    cr_expect_str_eq(spec.where.text, "old");
    cr_expect(spec.archive.path == NULL && spec.into == NULL && spec.window.text == NULL);
    cr_expect(eq(int, spec.archive.level, 1));
    cr_expect(eq(int, (int)spec.children, CHILDREN_REFUSE));
    cr_expect(eq(i64, spec.batch_time_us, 25000));
    cr_expect(eq(int, (int)spec.commit, COMMIT_OFF));
    cr_expect(not(spec.keeps_tail));
    cr_expect(spec.vacuum);
}

Test(jobfile, every_key_of_a_purge_is_read)
{
    parse(PURGE_HEAD "where: old\narchive: {path: /a/b, level: 7}\nchildren: delete\n"
                     "vacuum_truncate: off\nschedule: {window: 22:00-04:00 Europe/Berlin}\n"
                     "allow: [set-null, append-only]\n");
    cr_expect_str_eq(spec.archive.path, "/a/b");
    cr_expect(eq(int, spec.archive.place.column, 17));
    cr_expect(eq(int, spec.archive.level, 7));
    cr_expect(eq(int, (int)spec.children, CHILDREN_DELETE));
    cr_expect(spec.keeps_tail);
    cr_expect_str_eq(spec.window.text, "22:00-04:00 Europe/Berlin");
    cr_expect(eq(int, spec.window.place.line, 7));
    cr_expect(jobspec_allows(&spec, "set-null"));
    parse(PURGE_HEAD "where: old\ninto: kept.rows\n");
    cr_expect_str_eq(spec.into, "kept.rows");
    parse(PURGE_HEAD "where: old\narchive: /a\n");
    cr_expect_str_eq(spec.archive.path, "/a");
    cr_expect(eq(int, spec.archive.level, 1));
}

Test(jobfile, a_restore_is_read)
{
    parse("job: j\nrestore: t\narchive: /a\narchive_run: 12\n");
    cr_expect(eq(int, (int)spec.kind, KIND_RESTORE));
    cr_expect_str_eq(spec.table, "t");
    cr_expect_str_eq(spec.archive.path, "/a");
    cr_expect(eq(i64, spec.archive_run, 12));
}

Test(jobfile, batches_of_an_archive_are_longer_and_wait_for_the_disk)
{
    parse(PURGE_HEAD "where: old\narchive: /a\nsynchronous_commit: off\n");
    cr_expect(eq(i64, spec.batch_time_us, 100000));
    cr_expect(eq(int, (int)spec.commit, COMMIT_LOCAL));
    parse(PURGE_HEAD "where: old\narchive: /a\nsynchronous_commit: on\nbatch: {time: 400ms}\n");
    cr_expect(eq(i64, spec.batch_time_us, 400000));
    cr_expect(eq(int, (int)spec.commit, COMMIT_ON));
    parse(PURGE_HEAD "where: old\narchive: /a\nthrottle: {yield_after: 50ms}\n");
    cr_expect(eq(i64, spec.batch_time_us, 25000));
    parse(PURGE_HEAD "where: old\nsynchronous_commit: off\n");
    cr_expect(eq(int, (int)spec.commit, COMMIT_OFF));
}

Test(jobfile, the_target_on_another_server_has_the_name_of_the_source_if_not_told)
{
    parse(COPY_HEAD "to: host=h2\n");
    cr_expect_str_eq(spec.into, "t");
    cr_expect(eq(int, spec.into_place.line, 2));
    parse(COPY_HEAD "from: host=h2\ninto: u\n");
    cr_expect_str_eq(spec.into, "u");
}

Test(jobfile, json_is_read_as_well)
{
    parse("{\n\t\"job\": \"orders-amount_2\", \"backfill\": \"shop.\\\"Orders\\\"\",\n"
          "\t\"set\": {\"amount\": \"amount_text::numeric\", \"Weird \\\"Name\\\"\": 1},\n"
          "\t\"where\": \"id > 5\", \"key\": [\"Tenant\",\"id\"], \"path\":\"block\",\n"
          "\t\"stripes\":8,\"workers\": 4,\"batch\":{\"time\":\"20ms\",\"rows\":10000},\n"
          "\t\"sync\": \"none\", \"strict\": true, \"verify\": \"none\", \"vacuum\": \"off\",\n"
          "\t\"allow\": [\"stable\", \"user-triggers\"], \"search_path\": [\"shop\"],\n"
          "\t\"lease\": \"1m\", \"synchronous_commit\": \"off\",\n"
          "\t\"throttle\": {\"yield_after\": \"100ms\", \"lag\": \"5m\", \"lag_bytes\": \"1GB\",\n"
          "\t\t\"standbys\": [\"replica1\", \"replica 2\"], \"lock_waiters\": 1000},\n"
          "\t\"limits\": {\"runtime\": \"8h\", \"rows\": 50000000}\n}\n");
    expect_all_keys_read();
}

Test(jobfile, windows_line_ends_and_a_byte_order_mark_are_no_part_of_the_text)
{
    parse("\xEF\xBB\xBFjob: j\r\nbackfill: t\r\nset:\r\n  a: |\r\n    x +\r\n    y\r\n  c: d\r\n");
    cr_expect_str_eq(spec.job, "j");
    cr_expect_str_eq(spec.set[0].expr.text, "x +\ny");
    cr_expect_str_eq(spec.set[1].expr.text, "d");
    cr_expect_str_eq(spec.set[1].column, "c");
    cr_expect(eq(int, spec.set[1].place.line, 7));
    cr_expect(eq(int, spec.set[1].place.column, 3));
}

Test(jobfile, a_directive_and_document_markers_are_permitted)
{
    parse("%YAML 1.1\n---\n" BASE "...\n");
    cr_expect_str_eq(spec.job, "j");
}

Test(jobfile, names_outside_ascii_are_taken_as_they_are)
{
    parse("job: j\nbackfill: Größe\nset:\n  größe: \"straße || 'ß'\"\n");
    cr_expect_str_eq(spec.table, "Größe");
    cr_expect_str_eq(spec.set[0].column, "größe");
    cr_expect_str_eq(spec.set[0].expr.text, "straße || 'ß'");
}

Test(jobfile, column_names_keep_their_capitals)
{
    parse(HEAD "set:\n  UserName: lower(\"UserName\")\nkey: ID\n");
    cr_expect_str_eq(spec.set[0].column, "UserName");
    cr_expect_str_eq(spec.set[0].expr.text, "lower(\"UserName\")");
    cr_expect_str_eq(spec.key.names[0], "ID");
}

Test(jobfile, a_hash_that_yaml_does_not_cut_is_part_of_the_sql)
{
    parse(HEAD "set:\n"
               "  a: \"a || '#'\"\n"
               "  b: 'x #> y'  # a comment after quotes is one\n"
               "  c: payload#>>'{x}'\n"
               "  d: | # a comment after the bar is one\n"
               "    payload #- '{debug}'\n"
               "  e: z\n"
               "  # a comment on its own line\n"
               "where: # a comment before the value\n"
               "  q > 1\n");
    cr_expect_str_eq(spec.set[0].expr.text, "a || '#'");
    cr_expect_str_eq(spec.set[1].expr.text, "x #> y");
    cr_expect_str_eq(spec.set[2].expr.text, "payload#>>'{x}'");
    cr_expect_str_eq(spec.set[3].expr.text, "payload #- '{debug}'");
    cr_expect_str_eq(spec.set[4].expr.text, "z");
    cr_expect_str_eq(spec.where.text, "q > 1");
}

Test(jobfile, sql_null_may_be_written_plain)
{
    parse(HEAD "set:\n  a: null\n  b: true\n  c: 007\n");
    cr_expect_str_eq(spec.set[0].expr.text, "null");
    cr_expect_str_eq(spec.set[1].expr.text, "true");
    cr_expect_str_eq(spec.set[2].expr.text, "007");
}

Test(jobfile, the_words_auto_none_and_off_mean_the_same_as_no_key)
{
    parse(BASE "path: auto\nstripes: auto\nworkers: auto\nbatch: {rows: auto}\nsync: trigger\n"
               "verify: auto\nvacuum: auto\nstrict: false\nthrottle: {standbys: none}\n");
    cr_expect(eq(int, (int)spec.path, PATH_AUTO));
    cr_expect(eq(int, spec.stripes, 0));
    cr_expect(eq(int, spec.workers, 0));
    cr_expect(eq(i64, spec.batch_rows, 0));
    cr_expect(eq(int, (int)spec.sync, SYNC_TRIGGER));
    cr_expect(spec.verify);
    cr_expect(spec.vacuum);
    cr_expect(not(spec.strict));
    cr_expect(eq(int, (int)spec.throttle.standby_mode, STANDBYS_NONE));
}

Test(jobfile, a_batch_time_up_to_yield_after_is_permitted)
{
    parse(BASE "batch: {time: 200ms}\n");
    cr_expect(eq(i64, spec.batch_time_us, 200000));
    parse(BASE "batch: {time: 2s}\nthrottle: {yield_after: 3s}\n");
    cr_expect(eq(i64, spec.batch_time_us, 2000000));
    parse(BASE "throttle: {yield_after: 20ms}\n");
    cr_expect(eq(i64, spec.throttle.yield_after_us, 20000));
}

Test(jobfile, batches_of_a_copy_are_longer_where_nothing_else_is_asked_for)
{
    parse(COPY_HEAD "into: u\n");
    cr_expect(eq(i64, spec.batch_time_us, 100000));
    parse(COPY_HEAD "into: u\nthrottle: {yield_after: 50ms}\n");
    cr_expect(eq(i64, spec.batch_time_us, 25000));
    parse(COPY_HEAD "into: u\nbatch: {time: 25ms}\n");
    cr_expect(eq(i64, spec.batch_time_us, 25000));
}

Test(jobfile, batches_of_a_copy_do_not_wait_for_the_disk_unless_it_is_asked_for)
{
    parse(COPY_HEAD "into: u\n");
    cr_expect(eq(int, (int)spec.commit, COMMIT_OFF));
    parse(COPY_HEAD "into: u\nsynchronous_commit: local\n");
    cr_expect(eq(int, (int)spec.commit, COMMIT_LOCAL));
}

Test(jobfile, a_block_scalar_keeps_inner_blank_lines_and_loses_outer_ones)
{
    parse(HEAD "set:\n  a: |+\n\n\n    x\n\n    y\n\n\n  b: |2-\n      z\n");
    cr_expect_str_eq(spec.set[0].expr.text, "x\n\ny");
    cr_expect_str_eq(spec.set[1].expr.text, "  z");
}

Test(jobfile, the_source_outlives_the_callers_buffer)
{
    char source[] = BASE;
    char file[] = "f.yaml";
    Err err = ERR_INIT;
    cr_assert(jobfile_parse(file, source, strlen(source), &arena, &spec, &err));
    memset(source, 'x', sizeof(source));
    memset(file, 'x', sizeof(file));
    cr_expect_str_eq(spec.source, BASE);
    cr_expect_str_eq(spec.file, "f.yaml");
}

static void
expect_template(const char *table, const char *job, const char *written)
{
    STRBUF_AUTO text = STRBUF_INIT;
    jobfile_template(&text, KIND_BACKFILL, table);
    parse(strbuf_text(&text));
    cr_expect_str_eq(spec.job, job);
    cr_expect_str_eq(spec.table, written);
}

Test(jobfile, the_template_parses_as_it_stands)
{
    expect_template(NULL, "fill-my_table", "my_table");
    expect_template("", "fill-my_table", "my_table");
    expect_template("shop.orders", "fill-shop-orders", "shop.orders");
    expect_template("\"Weird \"\"T\\\".x", "fill-weirdt-x", "\"Weird \"\"T\\\".x");
    expect_template("a_table_with_a_name_that_is_longer_than_a_job_may_be",
        "fill-a_table_with_a_name_that_is_longer_",
        "a_table_with_a_name_that_is_longer_than_a_job_may_be");
    expect_template("\"größe #1: x\"", "fill-gre1x", "\"größe #1: x\"");
}

Test(jobfile, the_template_of_a_copy_parses_as_it_stands)
{
    STRBUF_AUTO text = STRBUF_INIT;
    jobfile_template(&text, KIND_COPY, "shop.orders");
    parse(strbuf_text(&text));
    cr_expect_str_eq(spec.job, "copy-shop-orders");
    cr_expect_str_eq(spec.table, "shop.orders");
    cr_expect_str_eq(spec.into, "new_table");
}

Test(jobfile, the_template_of_a_purge_parses_as_it_stands)
{
    STRBUF_AUTO text = STRBUF_INIT;
    jobfile_template(&text, KIND_PURGE, "shop.orders");
    parse(strbuf_text(&text));
    cr_expect_str_eq(spec.job, "purge-shop-orders");
    cr_expect_str_eq(spec.table, "shop.orders");
    cr_expect_str_eq(spec.where.text, "created_at < now() - interval '90 days'");
    cr_expect(spec.into == NULL && spec.archive.path == NULL);
}

/* Take away the # of settings; explanations have one blank after it. */
static void
uncomment(const char *from, StrBuf *to)
{
    while (*from != '\0') {
        size_t len = strcspn(from, "\n") + 1;
        bool is_text = from[0] == '#' && from[1] == ' ' && from[2] != ' ';
        size_t skip = from[0] == '#' && !is_text ? 1 : 0;
        strbuf_put(to, from + skip, len - skip);
        from += len;
    }
}

Test(jobfile, the_template_parses_with_every_setting_turned_on)
{
    STRBUF_AUTO text = STRBUF_INIT;
    STRBUF_AUTO all = STRBUF_INIT;
    jobfile_template(&text, KIND_BACKFILL, "orders");
    uncomment(strbuf_text(&text), &all);
    parse(strbuf_text(&all));
    cr_expect_str_eq(spec.where.text, "created_at >= '2020-01-01'", "%s", all.text);
    cr_expect(eq(int, (int)spec.sync, SYNC_TRIGGER));
    cr_expect(eq(i64, spec.batch_time_us, 25000));
    cr_expect(eq(i64, spec.limits.rows, 50000000));
}

Test(jobfile, the_template_of_a_copy_parses_with_every_setting_turned_on)
{
    STRBUF_AUTO text = STRBUF_INIT;
    STRBUF_AUTO all = STRBUF_INIT;
    jobfile_template(&text, KIND_COPY, "orders");
    uncomment(strbuf_text(&text), &all);
    parse(strbuf_text(&all));
    cr_expect_str_eq(spec.set[0].column, "new_column", "%s", all.text);
    cr_expect_str_eq(spec.reverse_map[0].expr.text, "new_column::text");
    cr_expect_str_eq(spec.from, "host=db1.example.com dbname=shop");
    cr_expect(eq(int, (int)spec.on_conflict, ON_CONFLICT_ERROR));
}

/* Rows are kept in files or in a table, so one of both stays commented. */
Test(jobfile, the_template_of_a_purge_parses_with_every_setting_turned_on)
{
    static const char *const LEFT_OUT[] = {"#into:", "#archive:"};
    for (size_t i = 0; i < 2; i++) {
        STRBUF_AUTO text = STRBUF_INIT;
        STRBUF_AUTO all = STRBUF_INIT;
        jobfile_template(&text, KIND_PURGE, "orders");
        char *key = strstr(text.text, LEFT_OUT[i]);
        cr_assert(key != NULL);
        key[1] = ' '; /* of an archive its members too, up to the next key */
        for (char *c = key; i == 1 && strncmp(c, "\n\n", 2) != 0; c++) {
            if (c[0] == '#') {
                memcpy(c + 1, " x", 2);
            }
        }
        uncomment(strbuf_text(&text), &all);
        parse(strbuf_text(&all));
        cr_expect(eq(int, spec.into == NULL, i == 0), "%s", all.text);
        cr_expect(eq(int, spec.archive.path == NULL, i == 1), "%s", all.text);
        cr_expect_str_eq(spec.window.text, "01:00-05:00 Europe/Berlin");
    }
}

Test(jobfile, the_template_mentions_every_key_of_its_kind)
{
    for (size_t i = 0; i < 3 * jobkeys_count(); i++) {
        JobKind kind = (JobKind)(i % 3);
        const JobKey *key = jobkeys_at(i / 3);
        STRBUF_AUTO text = STRBUF_INIT;
        STRBUF_AUTO line = STRBUF_INIT;
        jobfile_template(&text, kind, NULL);
        bool is_member = strchr(key->path, '.') != NULL;
        const char *first = kind == KIND_PURGE ? "where" : kind == KIND_COPY ? "into" : "set";
        bool is_required = jobkeys_find("job") == key || strcmp(key->path, first) == 0 ||
                           key->offset == offsetof(JobSpec, table);
        strbuf_printf(&line, "\n%s%s:",
            is_required ? ""
            : is_member ? "#  "
                        : "#",
            jobkeys_leaf(key));
        cr_expect(eq(int, strstr(strbuf_text(&text), strbuf_text(&line)) != NULL,
                      jobkeys_belongs(key, kind)),
            "%s of %s", key->path, jobspec_kind_name(kind));
    }
}
