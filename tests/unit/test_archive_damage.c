/*
 * test_archive_damage.c - archive files that are torn, damaged or put together anew, and what
 * settling makes of them.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "archive_case.h"

static void
expect_state(const ArchiveVerdict *verdict, ArchiveState state, int frames)
{
    cr_assert(eq(int, (int)verdict->state, (int)state), "%s", verdict->reason);
    cr_assert(eq(int, verdict->frames, frames));
}

Test(archive_damage, every_changed_byte_is_detected)
{
    ARCHIVE_CASE(env);
    const char *name = archive_case_file(&env, 3, true);
    STRBUF_AUTO bytes = STRBUF_INIT;
    archive_case_load(&env, name, &bytes);
    int fd = openat(env.folder.fd, name, O_WRONLY | O_CLOEXEC);
    static const unsigned char changes[] = {1, 2, 4, 8, 16, 32, 64, 128, 255};
    for (size_t at = 0; at < bytes.len; at++) {
        for (size_t i = 0; i < sizeof(changes); i++) {
            char changed = (char)(bytes.text[at] ^ changes[i]);
            cr_assert(eq(sz, (size_t)pwrite(fd, &changed, 1, (off_t)at), 1));
            ArchiveDepth depth = i % 2 == 0 ? ARCHIVE_BYTES : ARCHIVE_ROWS;
            ArchiveVerdict verdict = archive_case_scan(&env, name, depth);
            cr_assert(ne(int, (int)verdict.state, (int)ARCHIVE_CLOSED), "byte %zu", at);
            cr_assert(ne(int, (int)verdict.state, (int)ARCHIVE_WHOLE), "byte %zu", at);
            cr_assert(le(i64, verdict.whole_bytes, (int64_t)at));
        }
        cr_assert(eq(sz, (size_t)pwrite(fd, bytes.text + at, 1, (off_t)at), 1));
    }
    (void)close(fd);
    ArchiveVerdict verdict = archive_case_scan(&env, name, ARCHIVE_ROWS);
    expect_state(&verdict, ARCHIVE_CLOSED, 3);
}

/* Offsets at which the units of a closed file end; 0 first. */
static int
unit_ends(const ArchiveCase *env, const char *name, int64_t *ends)
{
    ArchiveReader *reader;
    Err err = ERR_INIT;
    cr_assert(archive_reader_open(&env->folder, name, &reader, &err));
    int count = 0;
    ends[count++] = 0;
    ArchiveEntry entry;
    bool found;
    while (archive_next(reader, ARCHIVE_HEADS, &entry, &found, &err) && found) {
        ends[count++] = entry.at + entry.bytes;
    }
    archive_reader_close(reader);
    return count;
}

Test(archive_damage, every_truncation_is_detected_and_whole_frames_stay_readable)
{
    ARCHIVE_CASE(env);
    const char *name = archive_case_file(&env, 3, true);
    int64_t ends[8] = {0};
    int count = unit_ends(&env, name, ends);
    cr_assert(eq(int, count, 5));
    int fd = openat(env.folder.fd, name, O_WRONLY | O_CLOEXEC);
    for (int64_t len = ends[4] - 1; len >= 0; len--) {
        cr_assert(eq(int, ftruncate(fd, len), 0));
        int whole = 0;
        while (ends[whole + 1] <= len) {
            whole++;
        }
        ArchiveVerdict verdict = archive_case_scan(&env, name, ARCHIVE_BYTES);
        expect_state(&verdict, len == ends[whole] ? ARCHIVE_WHOLE : ARCHIVE_TORN, whole);
        cr_assert(eq(i64, verdict.whole_bytes, ends[whole]));
    }
    (void)close(fd);
}

/* ---- torn or damaged ---- */

/* Store the file anew from pieces of itself and scan it. */
static ArchiveVerdict
scan_bytes(const ArchiveCase *env, const char *name, const StrBuf *bytes)
{
    archive_case_store(env, name, strbuf_text(bytes), bytes->len);
    return archive_case_scan(env, name, ARCHIVE_BYTES);
}

Test(archive_damage, only_the_last_unit_can_be_torn)
{
    ARCHIVE_CASE(env);
    const char *name = archive_case_file(&env, 3, false);
    int64_t ends[8] = {0};
    cr_assert(eq(int, unit_ends(&env, name, ends), 4));
    STRBUF_AUTO bytes = STRBUF_INIT;
    archive_case_load(&env, name, &bytes);
    for (int unit = 0; unit < 3; unit++) {
        const int64_t places[] = {ends[unit] + 1, ends[unit] + 100, ends[unit + 1] - 1};
        for (int i = 0; i < 3; i++) {
            bytes.text[places[i]] ^= 1;
            ArchiveVerdict verdict = scan_bytes(&env, name, &bytes);
            expect_state(&verdict, unit == 2 ? ARCHIVE_TORN : ARCHIVE_DAMAGED, unit);
            cr_assert(eq(i64, verdict.whole_bytes, ends[unit]));
            bytes.text[places[i]] ^= 1;
        }
    }
}

Test(archive_damage, zeros_in_the_place_of_the_last_unit_are_torn)
{
    ARCHIVE_CASE(env);
    const char *name = archive_case_file(&env, 2, false);
    STRBUF_AUTO bytes = STRBUF_INIT;
    archive_case_load(&env, name, &bytes);
    for (int i = 0; i < 600000; i++) { /* more than a piece of the reader */
        strbuf_putc(&bytes, '\0');
    }
    ArchiveVerdict verdict = scan_bytes(&env, name, &bytes);
    expect_state(&verdict, ARCHIVE_TORN, 2);
}

Test(archive_damage, a_whole_unit_far_behind_is_found)
{
    ARCHIVE_CASE(env);
    const char *name = archive_case_file(&env, 1, true);
    STRBUF_AUTO bytes = STRBUF_INIT;
    archive_case_load(&env, name, &bytes);
    static const size_t gaps[] = {1, 262130, 262136, 262137, 262138, 262143, 262144, 700000};
    for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
        STRBUF_AUTO moved = STRBUF_INIT;
        while (moved.len < gaps[i]) {
            strbuf_putc(&moved, 'P');
        }
        strbuf_put(&moved, bytes.text, bytes.len);
        ArchiveVerdict verdict = scan_bytes(&env, name, &moved);
        expect_state(&verdict, ARCHIVE_DAMAGED, 0);
    }
}

Test(archive_damage, a_tail_of_nothing_but_tags_takes_no_time)
{
    ARCHIVE_CASE(env);
    const char *name = archive_case_file(&env, 1, false);
    STRBUF_AUTO bytes = STRBUF_INIT;
    archive_case_load(&env, name, &bytes);
    for (int i = 0; i < 200000; i++) {
        strbuf_put(&bytes, "\x57\x2a\x4d\x18\xf0\xff\x0f\0PGHAULA1", 16);
    }
    ArchiveVerdict verdict = scan_bytes(&env, name, &bytes);
    expect_state(&verdict, ARCHIVE_DAMAGED, 1);
}

Test(archive_damage, units_taken_out_repeated_or_swapped_are_damage)
{
    ARCHIVE_CASE(env);
    const char *name = archive_case_file(&env, 3, true);
    int64_t ends[8] = {0};
    (void)unit_ends(&env, name, ends);
    STRBUF_AUTO bytes = STRBUF_INIT;
    archive_case_load(&env, name, &bytes);
    /* Units 0 to 2 have rows, 3 is the end. */
    static const struct {
        const char *order;
        ArchiveState state;
        int frames;
    } cases[] = {
        {"0123", ARCHIVE_CLOSED, 3},
        {"123", ARCHIVE_DAMAGED, 0},
        {"023", ARCHIVE_DAMAGED, 1},
        {"013", ARCHIVE_DAMAGED, 2},
        {"3", ARCHIVE_DAMAGED, 0},
        {"0213", ARCHIVE_DAMAGED, 1},
        {"00123", ARCHIVE_DAMAGED, 1},
        {"01233", ARCHIVE_DAMAGED, 3},
        {"01230123", ARCHIVE_DAMAGED, 3},
        {"012", ARCHIVE_WHOLE, 3},
        {"", ARCHIVE_WHOLE, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        STRBUF_AUTO again = STRBUF_INIT;
        for (const char *unit = cases[i].order; *unit != '\0'; unit++) {
            int no = *unit - '0';
            strbuf_put(&again, bytes.text + ends[no], (size_t)(ends[no + 1] - ends[no]));
        }
        ArchiveVerdict verdict = scan_bytes(&env, name, &again);
        expect_state(&verdict, cases[i].state, cases[i].frames);
    }
}

Test(archive_damage, a_unit_of_another_file_does_not_belong)
{
    ARCHIVE_CASE(env);
    const char *name = archive_case_file(&env, 2, true);
    int64_t ends[8] = {0};
    (void)unit_ends(&env, name, ends);
    STRBUF_AUTO bytes = STRBUF_INIT;
    archive_case_load(&env, name, &bytes);
    env.origin.file_no++;
    const char *other = archive_case_file(&env, 2, true);
    int64_t other_ends[8] = {0};
    (void)unit_ends(&env, other, other_ends);
    STRBUF_AUTO others = STRBUF_INIT;
    archive_case_load(&env, other, &others);
    STRBUF_AUTO mixed = STRBUF_INIT;
    strbuf_put(&mixed, bytes.text, (size_t)ends[1]);
    strbuf_put(&mixed, others.text + other_ends[1], others.len - (size_t)other_ends[1]);
    ArchiveVerdict verdict = scan_bytes(&env, name, &mixed);
    expect_state(&verdict, ARCHIVE_DAMAGED, 1);
}

/* ---- settling ---- */

static void
expect_settled(ArchiveCase *env, const char *name, int frames, const char **torn)
{
    Err err = ERR_INIT;
    int64_t bytes;
    ArchiveFate last = frames == 0 ? ARCHIVE_NONE : ARCHIVE_VOID;
    cr_assert(archive_case_settle(env, name, last, &bytes, torn, &err), "%s", err.message);
    ArchiveVerdict verdict = archive_case_scan(env, name, ARCHIVE_ROWS);
    expect_state(&verdict, frames == 0 ? ARCHIVE_WHOLE : ARCHIVE_CLOSED, frames);
    cr_assert(eq(i64, verdict.file_bytes, bytes));
}

/* What is whole stays, what is torn is kept aside, byte by byte. */
static void
expect_settled_from(ArchiveCase *env, const StrBuf *bytes, size_t len, const int64_t *ends)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "cut-%zu", len);
    archive_case_store(env, name, bytes->text, len);
    int whole = 0;
    while (whole < 3 && ends[whole + 1] <= (int64_t)len) {
        whole++;
    }
    const char *torn;
    expect_settled(env, name, whole, &torn);
    STRBUF_AUTO now = STRBUF_INIT;
    archive_case_load(env, name, &now);
    size_t kept = (size_t)ends[whole];
    cr_assert(memcmp(strbuf_text(&now), bytes->text, kept) == 0);
    cr_assert(eq(int, torn != NULL, len > kept));
    if (torn != NULL) {
        cr_assert_str_eq(torn, arena_printf(&env->arena, "%s.torn-%zu", name, kept));
        archive_case_load(env, torn, &now);
        cr_assert(eq(sz, now.len, len - kept));
        cr_assert(memcmp(now.text, bytes->text + kept, now.len) == 0);
    }
}

Test(archive_damage, settling_keeps_whole_frames_and_puts_a_torn_tail_aside)
{
    ARCHIVE_CASE(env);
    const char *name = archive_case_file(&env, 3, true);
    int64_t ends[8] = {0};
    (void)unit_ends(&env, name, ends);
    STRBUF_AUTO bytes = STRBUF_INIT;
    archive_case_load(&env, name, &bytes);
    for (size_t len = 0; len < (size_t)ends[4]; len += 67) {
        expect_settled_from(&env, &bytes, len, ends);
    }
    for (int unit = 1; unit < 4; unit++) {
        for (int64_t len = ends[unit] - 1; len <= ends[unit] + 1; len++) {
            expect_settled_from(&env, &bytes, (size_t)len, ends);
        }
    }
}

Test(archive_damage, settling_again_after_a_crash_never_writes_over_a_copy)
{
    ARCHIVE_CASE(env);
    const char *name = archive_case_file(&env, 1, false);
    STRBUF_AUTO bytes = STRBUF_INIT;
    archive_case_load(&env, name, &bytes);
    int64_t whole = (int64_t)bytes.len;
    strbuf_puts(&bytes, "torn");
    const char *torn = NULL;
    for (int i = 1; i <= 3; i++) {
        archive_case_store(&env, name, bytes.text, bytes.len);
        expect_settled(&env, name, 1, &torn);
    }
    cr_assert_str_eq(torn, arena_printf(&env.arena, "%s.torn-%ld.3", name, (long)whole));
}

Test(archive_damage, the_fate_of_the_last_frame_stands_in_the_end_unit)
{
    ARCHIVE_CASE(env);
    const char *name = archive_case_file(&env, 2, false);
    const char *torn;
    expect_settled(&env, name, 2, &torn);
    ArchiveReader *reader;
    Err err = ERR_INIT;
    cr_assert(archive_reader_open(&env.folder, name, &reader, &err));
    cr_assert(archive_scan(reader, ARCHIVE_HEADS, NULL, NULL, &err));
    const ArchiveEntry *last = archive_last(reader);
    cr_assert(last->header.is_end);
    cr_assert(eq(int, (int)last->header.before, (int)ARCHIVE_VOID));
    cr_assert(eq(int, last->header.frame_no, 3));
    archive_reader_close(reader);
}

static bool
is_live(const ArchiveCase *env, const char *name)
{
    ArchiveReader *reader;
    Err err = ERR_INIT;
    cr_assert(archive_reader_open(&env->folder, name, &reader, &err));
    bool live = archive_reader_is_live(reader);
    archive_reader_close(reader);
    return live;
}

Test(archive_damage, a_file_that_somebody_still_writes_is_live_and_not_settled)
{
    ARCHIVE_CASE(env);
    ArchiveWriter *writer;
    Err err = ERR_INIT;
    cr_assert(archive_create(&env.folder, &env.origin, &writer, &err));
    STRBUF_AUTO text = STRBUF_INIT;
    ArchiveBatch batch = archive_case_batch(1, &text);
    ArchivePlace place;
    cr_assert(archive_append(writer, env.encoder, &batch, &place, &err));
    const char *name = arena_strdup(&env.arena, archive_writer_name(writer));
    int64_t bytes;
    const char *torn;
    cr_assert(is_live(&env, name));
    cr_assert(not(archive_case_settle(&env, name, ARCHIVE_VOID, &bytes, &torn, &err)));
    cr_assert(eq(int, (int)err.cls, (int)ERR_BUSY));
    archive_abandon(writer);
    cr_assert(not(is_live(&env, name)));
    expect_settled(&env, name, 1, &torn);
}

Test(archive_damage, a_file_that_grew_since_it_was_read_is_not_settled)
{
    ARCHIVE_CASE(env);
    const char *name = archive_case_file(&env, 1, false);
    ArchiveReader *reader;
    Err err = ERR_INIT;
    cr_assert(archive_reader_open(&env.folder, name, &reader, &err));
    cr_assert(archive_scan(reader, ARCHIVE_BYTES, NULL, NULL, &err));
    STRBUF_AUTO bytes = STRBUF_INIT;
    archive_case_load(&env, name, &bytes);
    strbuf_putc(&bytes, 'x');
    archive_case_store(&env, name, bytes.text, bytes.len);
    int64_t size;
    const char *torn;
    cr_assert(not(archive_settle(reader, ARCHIVE_VOID, &env.arena, &size, &torn, &err)));
    cr_assert(eq(int, (int)err.cls, (int)ERR_REFUSED));
    archive_reader_close(reader);
    ArchiveVerdict verdict = archive_case_scan(&env, name, ARCHIVE_BYTES);
    cr_assert(eq(i64, verdict.file_bytes, (int64_t)bytes.len)); /* and nothing was written */
}
