/*
 * test_app_docs.c - README.md, man page and completion say what the tables of the program say.
 *
 * A row that is missed is printed as it has to stand in README.md.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/exits.h"
#include "app/manual.h"
#include "app/options.h"
#include "base/err.h"
#include "core/jobkeys.h"
#include "harness/harness.h"

static char *
read_readme(void)
{
    STRBUF_AUTO path = STRBUF_INIT;
    strbuf_printf(&path, "%s/../README.md", harness_env("PGHAUL_TEST_DIR", "tests"));
    return harness_read_file(strbuf_text(&path));
}

/* Rows of the table whose head is this, without head and rule. */
static int
count_rows(const char *readme, const char *head)
{
    const char *line = strstr(readme, head);
    cr_assert(line != NULL, "README.md has no table \"%s\"", head);
    int lines = 0;
    for (; *line == '|'; line = strchr(line, '\n') + 1) {
        lines++;
    }
    return lines - 2;
}

static void
expect_row(const char *readme, const StrBuf *row)
{
    cr_expect(ne(ptr, strstr(readme, strbuf_text(row)), NULL), "README.md lacks the row:%s",
        strbuf_text(row));
}

/* A bar ends a cell. */
static void
put_cell(StrBuf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        strbuf_puts(out, *text == '|' ? "\\" : "");
        strbuf_putc(out, *text);
    }
}

Test(app_docs, readme_lists_every_verb_as_help_does)
{
    char *readme = read_readme();
    for (int i = 0; i < VERB_COUNT; i++) {
        const Verb *verb = verb_at((VerbId)i);
        STRBUF_AUTO row = STRBUF_INIT;
        strbuf_printf(&row, "\n| `%s%s", verb->name, verb->arguments[0] == '\0' ? "" : " ");
        put_cell(&row, verb->arguments);
        strbuf_puts(&row, "` | ");
        put_cell(&row, verb->summary);
        strbuf_puts(&row, " |\n");
        expect_row(readme, &row);
    }
    cr_expect(eq(int, VERB_COUNT, count_rows(readme, "| Verb |")));
    free(readme);
}

Test(app_docs, readme_lists_every_exit_code_as_help_does)
{
    char *readme = read_readme();
    for (size_t i = 0; i < exit_code_count(); i++) {
        STRBUF_AUTO row = STRBUF_INIT;
        strbuf_printf(&row, "\n| %d | %s |\n", exit_code_at(i)->code, exit_code_at(i)->text);
        expect_row(readme, &row);
    }
    cr_expect(eq(int, (int)exit_code_count(), count_rows(readme, "| Exit code |")));
    free(readme);
}

static bool
is_option(const char *name, size_t len)
{
    for (size_t i = 0; i < option_count(); i++) {
        if (strlen(option_at(i)->name) == len && memcmp(option_at(i)->name, name, len) == 0) {
            return true;
        }
    }
    return false;
}

Test(app_docs, readme_names_no_option_that_does_not_exist)
{
    char *readme = read_readme();
    int found = 0;
    for (const char *at = strstr(readme, "--"); at != NULL; at = strstr(at, "--")) {
        at += strspn(at, "-");
        size_t len = strspn(at, "abcdefghijklmnopqrstuvwxyz-");
        bool begins = len > 0 && (at[-3] == '`' || isspace((unsigned char)at[-3]));
        if (begins) {
            cr_expect(is_option(at, len), "--%.*s", (int)len, at);
            found++;
        }
    }
    cr_expect(lt(int, 0, found));
    free(readme);
}

static bool
is_exit_code(int code)
{
    for (size_t i = 0; i < exit_code_count(); i++) {
        if (exit_code_at(i)->code == code) {
            return true;
        }
    }
    return false;
}

/* "0 done, 3 no connection": a number is a code. */
Test(app_docs, verbs_name_only_exit_codes_of_the_table)
{
    for (int i = 0; i < VERB_COUNT; i++) {
        const Verb *verb = verb_at((VerbId)i);
        cr_expect(eq(int, 0, strncmp(verb->exits, "0 ", 2)), "%s", verb->name);
        for (const char *at = strpbrk(verb->exits, "0123456789"); at != NULL;
             at = strpbrk(at, "0123456789")) {
            char *end = NULL;
            int code = (int)strtol(at, &end, 10);
            cr_expect(is_exit_code(code), "%s: %d", verb->name, code);
            at = end;
        }
    }
}

Test(app_docs, every_class_of_errors_ends_with_an_exit_code_of_the_table)
{
    for (int cls = ERR_NONE; cls <= ERR_FATAL; cls++) {
        Err err = {.cls = (ErrClass)cls};
        cr_expect(is_exit_code(err_exit_code(&err)), "class %d", cls);
    }
}

/* The option as roff and as bash have it. */
static void
put_roff_option(StrBuf *out, const char *name)
{
    strbuf_puts(out, "\\-\\-");
    for (; *name != '\0'; name++) {
        strbuf_puts(out, *name == '-' ? "\\" : "");
        strbuf_putc(out, *name);
    }
}

Test(app_docs, page_and_completion_have_every_verb_option_and_key)
{
    STRBUF_AUTO page = STRBUF_INIT;
    STRBUF_AUTO script = STRBUF_INIT;
    manual_put_page(&page);
    manual_put_completion(&script);
    for (int i = 0; i < VERB_COUNT; i++) {
        STRBUF_AUTO title = STRBUF_INIT;
        STRBUF_AUTO branch = STRBUF_INIT;
        strbuf_printf(&title, "\n.SS \"%s", verb_at((VerbId)i)->name);
        strbuf_printf(&branch, "\n    %s)\n", verb_at((VerbId)i)->name);
        cr_expect(ne(ptr, strstr(page.text, title.text), NULL), "%s", title.text);
        cr_expect(ne(ptr, strstr(script.text, branch.text), NULL), "%s", branch.text);
    }
    for (size_t i = 0; i < option_count(); i++) {
        STRBUF_AUTO roff = STRBUF_INIT;
        put_roff_option(&roff, option_at(i)->name);
        cr_expect(ne(ptr, strstr(page.text, roff.text), NULL), "%s", roff.text);
        cr_expect(ne(ptr, strstr(script.text, option_at(i)->name), NULL), "%s", roff.text);
    }
    for (size_t i = 0; i < jobkeys_count(); i++) {
        cr_expect(ne(ptr, strstr(page.text, jobkeys_at(i)->path), NULL), "%s", jobkeys_at(i)->path);
    }
}
