/*
 * test_app_progress_line.c - what a run draws, at the widths of real terminals.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "app/progress_line.h"
#include "core/utf8.h"

static Progress
sample_progress(void)
{
    Progress progress = {
        .pass_kind = PASS_MOVE,
        .pass = 1,
        .share = 0.4237,
        .rows = 12400000,
        .est_rows = 29000000,
        .rows_per_s = 54200,
        .eta_s = 185,
        .batch_rows = 3210,
        .batch_ms = 48.2,
        .workers = 2,
        .workers_busy = 2,
        .hot_ratio = 0.871,
        .lock_waiters = 1,
        .lock_retries = 17,
        .errors = 2,
        .standby_count = 2,
    };
    (void)snprintf(progress.standbys[0].name, sizeof(progress.standbys[0].name), "standby1");
    progress.standbys[0].connected = true;
    progress.standbys[0].lag_s = 0.12;
    (void)snprintf(progress.standbys[1].name, sizeof(progress.standbys[1].name), "standby2");
    return progress;
}

static size_t
columns_of(const char *text)
{
    size_t columns = 0;
    size_t left = strlen(text);
    while (left > 0) {
        uint32_t code = 0;
        size_t bytes = utf8_decode(text, left, &code);
        cr_assert(lt(sz, 0, bytes));
        cr_assert(not(utf8_is_control(code)));
        columns += (size_t)utf8_width(code);
        text += bytes;
        left -= bytes;
    }
    return columns;
}

static void
expect_narrow(const Progress *progress, int width, bool utf8)
{
    ProgressLines lines = PROGRESS_LINES_INIT;
    progress_lines(progress, width, utf8, &lines);
    cr_expect(lt(sz, columns_of(strbuf_text(&lines.first)), (size_t)width));
    cr_expect(lt(sz, columns_of(strbuf_text(&lines.second)), (size_t)width));
    cr_expect(lt(sz, 0, lines.first.len));
    for (size_t i = 0; !utf8 && i < lines.first.len; i++) {
        cr_expect(lt(int, (unsigned char)lines.first.text[i], 0x80));
    }
    for (size_t i = 0; !utf8 && i < lines.second.len; i++) {
        cr_expect(lt(int, (unsigned char)lines.second.text[i], 0x80));
    }
    progress_lines_free(&lines);
}

static void
expect_first(const Progress *progress, int width, char *expected)
{
    ProgressLines lines = PROGRESS_LINES_INIT;
    progress_lines(progress, width, false, &lines);
    cr_expect(eq(str, expected, lines.first.text));
    progress_lines_free(&lines);
}

static void
expect_second(const Progress *progress, int width, char *expected)
{
    ProgressLines lines = PROGRESS_LINES_INIT;
    progress_lines(progress, width, false, &lines);
    cr_expect(eq(str, expected, lines.second.text));
    progress_lines_free(&lines);
}

Test(app_progress_line, narrow_terminal_shows_percent_pace_and_eta)
{
    Progress progress = sample_progress();
    expect_first(&progress, 40, "move  42.3 %  54.2 k rows/s  ETA 3m 05s");
    expect_second(&progress, 40, "2/2 workers  batch 3.21 k rows 48 ms");
}

Test(app_progress_line, usual_terminal_adds_bar_and_standbys)
{
    Progress progress = sample_progress();
    expect_first(
        &progress, 80, "move  42.3 %  [####......]  54.2 k rows/s  ETA 3m 05s  12.4 M rows");
    expect_second(&progress, 80,
        "2/2 workers  batch 3.21 k rows 48 ms  lag standby1 0.1 s  standby2 is gone");
}

Test(app_progress_line, wide_terminal_shows_the_rest)
{
    Progress progress = sample_progress();
    expect_second(&progress, 120,
        "2/2 workers  batch 3.21 k rows 48 ms  lag standby1 0.1 s  standby2 is gone  lock waiters "
        "1 "
        " errors 2  gave way 17");
}

Test(app_progress_line, no_line_reaches_the_last_column)
{
    Progress progress = sample_progress();
    (void)snprintf(progress.note, sizeof(progress.note),
        "oldest snapshot: pid 4711 (psql) since 2h 03m, which holds back the reuse of dead rows");
    for (int width = 20; width <= 200; width++) {
        expect_narrow(&progress, width, false);
        expect_narrow(&progress, width, true);
    }
}

Test(app_progress_line, never_shows_more_than_all)
{
    Progress progress = sample_progress();
    progress.share = 1.7;
    expect_first(
        &progress, 80, "move  100.0 %  [##########]  54.2 k rows/s  ETA 3m 05s  12.4 M rows");
    progress.share = -0.2;
    expect_first(
        &progress, 80, "move  0.0 %  [..........]  54.2 k rows/s  ETA 3m 05s  12.4 M rows");
}

Test(app_progress_line, throttled_line_gives_reason_and_total_time)
{
    Progress progress = sample_progress();
    progress.verdict.pause = true;
    progress.verdict.reason_code = SIGNAL_LAG;
    progress.paused_us[SIGNAL_LAG] = 41000000;
    (void)snprintf(progress.verdict.reason, sizeof(progress.verdict.reason),
        "standby \"standby1\" is 3.2 s behind, the limit is 2.0 s");
    expect_second(&progress, 120,
        "throttled (41 s so far): standby \"standby1\" is 3.2 s behind, the limit is "
        "2.0 s");
    expect_narrow(&progress, 40, false);
}

Test(app_progress_line, names_cannot_command_the_terminal)
{
    Progress progress = sample_progress();
    (void)snprintf(progress.standbys[0].name, sizeof(progress.standbys[0].name), "a\033[2Jb\xff");
    expect_second(
        &progress, 80, "2/2 workers  batch 3.21 k rows 48 ms  lag a?[2Jb? 0.1 s  standby2 is gone");
    expect_narrow(&progress, 80, true);
}

Test(app_progress_line, log_line_has_everything_on_one_line)
{
    Progress progress = sample_progress();
    STRBUF_AUTO text = STRBUF_INIT;
    progress_log_line(&progress, &text);
    cr_expect(eq(str,
        "move, 42.3 %, 54.2 k rows/s, ETA 3m 05s, 12.4 M rows, 2/2 workers, batch 3.21 k rows "
        "48 ms, lag standby1 0.1 s, standby2 is gone, lock waiters 1, errors 2, gave way 17, HOT "
        "87.1 %",
        text.text));
}
