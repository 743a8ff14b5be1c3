#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

/* One log file for each test; its text is read back after the lines were written. */
static char path[] = "/tmp/pghaul-test-log-XXXXXX";
static char text[4096];

static void
begin(void)
{
    int fd = mkstemp(path);
    cr_assert(le(int, 0, fd));
    (void)close(fd);
    cr_assert(log_open_file(path));
}

static void
end(void)
{
    (void)unlink(path);
}

TestSuite(log, .init = begin, .fini = end);

/* The log so far without its last newline. */
static const char *
read_log(void)
{
    FILE *file = fopen(path, "r");
    cr_assert(ne(ptr, file, NULL));
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    cr_assert(lt(sz, 0, len));
    cr_assert(eq(chr, text[len - 1], '\n'));
    text[len - 1] = '\0';
    return text;
}

Test(log, a_line_has_time_level_thread_and_text)
{
    log_line(LOG_INFO, "w03", "committed %d rows", 1000);
    const char *line = read_log();
    cr_assert(eq(sz, strlen(line), 25 + strlen("INFO w03: committed 1000 rows")));
    cr_assert(eq(int, strcmp(line + 25, "INFO w03: committed 1000 rows"), 0), "%s", line);
    cr_assert(eq(chr, line[23], 'Z'));
}

Test(log, a_hostile_name_cannot_write_a_line_of_its_own)
{
    log_line(LOG_WARNING, NULL, "table %s", "x\n2026-01-01 ERROR: \x1b[31m\r\t\x7f");
    const char *line = read_log();
    cr_assert(eq(ptr, strpbrk(line, "\n\r\t\x1b\x7f"), NULL));
    cr_assert(ne(ptr, strstr(line, "x\\n2026-01-01 ERROR: \\x1b[31m\\x0d\\x09\\x7f"), NULL));
}

Test(log, control_characters_of_unicode_are_escaped_too)
{
    /* C1 of which one begins a terminal's command, line separator, overrides of direction */
    log_line(LOG_INFO, NULL, "%s",
        "a\xc2\x9b"
        "31m|\xe2\x80\xa8|\xe2\x80\xae|\xe2\x81\xa6|end");
    const char *line = read_log();
    cr_assert(
        ne(ptr, strstr(line, "a\\xc2\\x9b31m|\\xe2\\x80\\xa8|\\xe2\\x80\\xae|\\xe2\\x81\\xa6|end"),
            NULL),
        "%s", line);
}

Test(log, a_character_cut_off_by_the_length_of_a_line_is_not_read_past)
{
    log_line(LOG_INFO, NULL, "%s", "x\xe2\x80");
    log_line(LOG_INFO, NULL, "%s", "x\xc2");
    const char *line = read_log();
    cr_assert(ne(ptr, strstr(line, "INFO x\xe2\x80\n"), NULL));
    cr_assert(ne(ptr, strstr(line, "INFO x\xc2"), NULL));
}

Test(log, a_new_file_is_for_its_owner_only)
{
    (void)umask(0);
    (void)unlink(path);
    cr_assert(log_open_file(path));
    struct stat status;
    cr_assert(eq(int, 0, stat(path, &status)));
    cr_assert(eq(int, S_IRUSR | S_IWUSR, (int)(status.st_mode & 07777)));
}

Test(log, a_message_that_names_its_state_does_not_get_it_again)
{
    Err err = ERR_INIT;
    (void)err_set(&err, ERR_POISON, "SQLSTATE 22P02 (invalid_text_representation)");
    (void)snprintf(err.sqlstate, sizeof(err.sqlstate), "22P02");
    log_err(NULL, &err);
    const char *line = read_log();
    cr_assert(ne(ptr, strstr(line, "ERROR SQLSTATE 22P02 (invalid_text_representation)"), NULL));
    cr_assert(eq(ptr, strstr(line, "(SQLSTATE"), NULL), "%s", line);
}

Test(log, names_in_utf8_stay_as_they_are)
{
    log_line(LOG_INFO, NULL, "table %s", "größe");
    cr_assert(ne(ptr, strstr(read_log(), "INFO table größe"), NULL));
}

Test(log, an_error_shows_place_message_state_and_hint)
{
    Err err = ERR_INIT;
    (void)err_set(&err, ERR_POISON, "invalid input");
    (void)snprintf(err.sqlstate, sizeof(err.sqlstate), "22P02");
    (void)err_hint(&err, "Look at the row.");
    (void)err_wrap(&err, "batch 912");
    log_err("w01", &err);
    cr_assert(ne(ptr,
        strstr(
            read_log(), "ERROR w01: batch 912: invalid input (SQLSTATE 22P02); Look at the row."),
        NULL));
}
