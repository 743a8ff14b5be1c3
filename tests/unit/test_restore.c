#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "app/archive_text.h"
#include "core/findings.h"
#include "core/restore.h"
#include "core/sql_restore.h"
#include "ops/archive_walk.h"

/* Table shop.orders (id int8, note text, twice int8 generated), and an archive of id and note. */
typedef struct Job {
    ColumnFacts columns[3];
    ArchiveColumn archived[3];
    RestoreFacts restore;
    JobSpec spec;
    Facts facts;
    Arena arena;
    Findings findings;
} Job;

static void
job_init(Job *job)
{
    *job = (Job){
        .columns = {{.attnum = 1, .name = "id", .type = "bigint", .may_insert = true},
            {.attnum = 2, .name = "note", .type = "text", .may_insert = true},
            {.attnum = 3, .name = "twice", .type = "bigint", .generated = true}},
        .archived = {{"id", "bigint"}, {"note", "text"}},
        .spec = {.job = "restore-old", .kind = KIND_RESTORE, .table = "orders", .file = "t"},
        .arena = ARENA_INIT,
        .findings = FINDINGS_INIT,
    };
    job->restore = (RestoreFacts){.job = "old",
        .job_uuid = "u",
        .table = "shop.orders",
        .columns = job->archived,
        .column_count = 2,
        .known = true,
        .files = 1,
        .frames = 3,
        .rows = 30};
    job->spec.archive.path = "/a";
    job->facts = (Facts){
        .server = {.version_num = 150004,
            .role = "mover",
            .database = "d",
            .encoding = "UTF8",
            .role_is_superuser = true,
            .role_reads_stats = true,
            .connections_free = 50,
            .may_create_schema = true,
            .may_create_temporary = true},
        .table = {.oid = 7,
            .schema = "shop",
            .name = "orders",
            .relkind = 'r',
            .persistence = 'p',
            .access_method = "heap",
            .owner = "o",
            .owned_by_us = true,
            .owner_is_trusted = true,
            .may_use_schema = true,
            .may_insert = true},
        .columns = job->columns,
        .column_count = 3,
        .restore = &job->restore,
    };
}

/* Collect, and expect this finding among them; NULL = no refusal and no warning. */
static void
expect(Job *job, const char *code, FindingSeverity severity, const char *words)
{
    findings_collect(&job->spec, &job->facts, NULL, &job->arena, &job->findings);
    if (code == NULL) {
        cr_expect(zero(int, job->findings.count), "%s",
            job->findings.count > 0 ? job->findings.items[0].text : "");
    } else {
        const Finding *found = findings_find(&job->findings, code);
        cr_assert(found != NULL, "%s", code);
        cr_expect(eq(int, (int)severity, (int)found->severity), "%s", code);
        cr_expect(strstr(found->text, words) != NULL, "%s", found->text);
    }
    arena_reset(&job->arena);
}

Test(restore, table_that_takes_every_column_has_no_findings)
{
    Job job;
    job_init(&job);
    expect(&job, NULL, FINDING_NOTE, "");
}

Test(restore, columns_must_be_there_and_have_the_same_types)
{
    static const struct {
        ArchiveColumn column;
        const char *words;
    } CASES[] = {
        {{"nota", "text"}, "has no column \"nota\""},
        {{"note", "character varying(9)"}, "has type text"},
        {{"twice", "bigint"}, "is generated"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        Job job;
        job_init(&job);
        job.archived[1] = CASES[i].column;
        expect(&job, "archive-columns", FINDING_REFUSE, CASES[i].words);
    }
    Job job;
    job_init(&job);
    job.restore.column_count = 1;
    expect(&job, "archive-columns", FINDING_WARN, "\"note\"");
    job_init(&job);
    job.columns[1].may_insert = false;
    expect(&job, "privilege", FINDING_REFUSE, "lacks INSERT on column \"note\"");
}

Test(restore, what_the_files_lack_is_said)
{
    Job job;
    job_init(&job);
    job.restore.damages = 2;
    job.restore.damage = "f at 9: x";
    expect(&job, "archive-damaged", FINDING_REFUSE, "at 2 places; the first: f at 9: x");
    job_init(&job);
    job.restore.frames = 0;
    expect(&job, "archive-empty", FINDING_REFUSE, "/a has no deleted rows");
    job_init(&job);
    job.restore.other_table = "shop.lines";
    expect(&job, "archive-tables", FINDING_REFUSE, "shop.orders and shop.lines");
    job_init(&job);
    job.restore.undecided_frames = 1;
    job.restore.undecided_rows = 10;
    expect(&job, "archive-undecided", FINDING_WARN, "1 frame with 10 rows is left out");
    job_init(&job);
    job.restore.torn = "f at 9: torn";
    expect(&job, "archive-undecided", FINDING_WARN, "f at 9: torn");
    job_init(&job);
    job.restore.known = false;
    expect(&job, "archive-foreign", FINDING_NOTE, "did not write");
}

Test(restore, table_must_be_logged_and_hold_rows)
{
    Job job;
    job_init(&job);
    job.facts.table.persistence = 'u';
    expect(&job, "unlogged", FINDING_REFUSE, "is not logged");
    job_init(&job);
    job.facts.table.relkind = 'v';
    expect(&job, "table-kind", FINDING_REFUSE, "is a view");
    job_init(&job);
    job.facts.table.relkind = 'p';
    expect(&job, NULL, FINDING_NOTE, "");
    job_init(&job);
    job.facts.table.row_security_filters = true;
    expect(&job, "row-security", FINDING_REFUSE, "row security");
}

Test(restore, only_names_of_the_table_stand_in_the_copy)
{
    Job job;
    job_init(&job);
    const Plan plan = {.spec = &job.spec, .facts = &job.facts, .restore = &job.restore};
    ArchiveOrigin origin = {.columns = job.archived, .column_count = 2, .encoding = "UTF8"};
    STRBUF_AUTO sql = STRBUF_INIT;
    cr_expect(sql_restore_copy(&sql, &plan, &origin));
    cr_expect(eq(str, (char *)(uintptr_t)strbuf_text(&sql),
        "COPY \"shop\".\"orders\" (\"id\", \"note\") FROM STDIN (FORMAT text, ENCODING 'UTF8')"));

    static const char *const ENCODINGS[] = {"", "UTF8'", "a b", "UTF8) --", "\xff",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    for (size_t i = 0; i < sizeof(ENCODINGS) / sizeof(ENCODINGS[0]); i++) {
        STRBUF_AUTO bad = STRBUF_INIT;
        origin.encoding = ENCODINGS[i];
        cr_expect(not(sql_restore_copy(&bad, &plan, &origin)), "%s", ENCODINGS[i]);
    }
    origin.encoding = "UTF8";
    job.archived[1] = (ArchiveColumn){"note) FROM PROGRAM 'x' --", "text"};
    STRBUF_AUTO bad = STRBUF_INIT;
    cr_expect(not(sql_restore_copy(&bad, &plan, &origin)));
    cr_expect(strstr(strbuf_text(&bad), "PROGRAM") == NULL);
}

Test(restore, tables_are_told_apart_by_the_rules_of_sql)
{
    cr_expect(archive_table_matches(NULL, "shop", "orders"));
    cr_expect(archive_table_matches("orders", "shop", "orders"));
    cr_expect(archive_table_matches("Shop.ORDERS", "shop", "orders"));
    cr_expect(archive_table_matches("\"A b\".\"c\"\"d\"", "A b", "c\"d"));
    cr_expect(not(archive_table_matches("other.orders", "shop", "orders")));
    cr_expect(not(archive_table_matches("\"Orders\"", "shop", "orders")));
    cr_expect(not(archive_table_matches("a.b.c", "b", "c")));
}

Test(restore, file_is_two_lines_and_remarks_name_the_place)
{
    const ArchiveName name = {.text = "old.r3.w1.t0.000001.zst", .job = "old", .run = 3};
    const WalkedFile file = {
        .name = &name,
        .origin = {.job = "old", .schema = "shop", .table = "orders"},
        .state = ARCHIVE_WHOLE,
        .bytes = 1000,
        .raw_bytes = 4200,
        .frames = {[ARCHIVE_NONE] = 1, [ARCHIVE_COMMITTED] = 2, [ARCHIVE_VOID] = 3},
        .rows = {[ARCHIVE_COMMITTED] = 200},
        .first_at = "2026-01-01 00:00:00.000Z",
        .last_at = "2026-01-01 00:00:09.000Z",
    };
    STRBUF_AUTO text = STRBUF_INIT;
    archive_put_file(&text, &file, 200);
    cr_expect(eq(str, (char *)(uintptr_t)strbuf_text(&text),
        "old.r3.w1.t0.000001.zst  open\n"
        "    shop.orders, run 3: 200 rows in 2 frames, 1000 bytes (4.2 : 1); 3 void; 1 not "
        "decided; "
        "2026-01-01 00:00:00.000Z to 2026-01-01 00:00:09.000Z\n"));
    const WalkRemark remark = {.gravity = WALK_TORN, .file = "f\x1b", .at = 9, .text = "torn"};
    strbuf_clear(&text);
    archive_put_remark(&text, &remark, 80);
    cr_expect(eq(str, (char *)(uintptr_t)strbuf_text(&text), "damage: f? at 9: torn\n"));
}
