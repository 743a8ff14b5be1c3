#include "core/jobfile_value.h"

#include <string.h>

#include "core/ident.h"
#include "core/utf8.h"
#include "core/window.h"

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool
is_all_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '\0';
}

bool
jobvalue_fail(const JobReader *reader, const JobNode *node, const char *path, const Err *cause)
{
    (void)jobtext_error(reader->text, node->place, reader->err, "%s: %s", path, cause->message);
    return err_hint(reader->err, "%s", cause->hint);
}

bool
jobvalue_text(const JobReader *reader, const JobNode *node, const char *path, const char **text)
{
    if (node->kind != NODE_SCALAR) {
        (void)jobtext_error(reader->text, node->place, reader->err,
            "%s must be a single value, not a %s", path,
            node->kind == NODE_LIST ? "list" : "mapping");
        return false;
    }
    if (is_all_blank(node->text)) {
        (void)jobtext_error(reader->text, node->place, reader->err, "%s has no value", path);
        return false;
    }
    *text = node->text;
    return true;
}

/* A plain scalar that most likely means something else than this very name. */
static bool
check_plain_name(const JobReader *reader, const JobNode *node, const char *path)
{
    if (node->style != SCALAR_PLAIN) {
        return true;
    }
    if (strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0) {
        return jobtext_error(reader->text, node->place, reader->err, "%s has no value", path);
    }
    if (strchr(node->text, ',') != NULL) {
        (void)jobtext_error(
            reader->text, node->place, reader->err, "%s: a list needs brackets", path);
        return err_hint(reader->err, "Write [a, b]; a name with a comma must stand in quotes.");
    }
    return true;
}

static bool
add_name(const JobReader *reader, const JobNode *node, const char *path, NameList *names)
{
    const char *name;
    Err cause = ERR_INIT;
    if (!jobvalue_text(reader, node, path, &name) || !check_plain_name(reader, node, path)) {
        return false;
    }
    if (!ident_check(name, &cause)) {
        return jobvalue_fail(reader, node, path, &cause);
    }
    for (int i = 0; i < names->count; i++) {
        if (strcmp(names->names[i], name) == 0) {
            return jobtext_error(reader->text, node->place, reader->err,
                "%s: name \"%s\" stands here twice", path, name);
        }
    }
    names->names[names->count] = name;
    names->count++;
    return true;
}

bool
jobvalue_names(const JobReader *reader, const JobNode *node, const char *path, NameList *names)
{
    *names = (NameList){.count = 0};
    if (node->kind != NODE_LIST) {
        names->names = arena_alloc(reader->arena, sizeof(*names->names));
        return add_name(reader, node, path, names);
    }
    if (node->count == 0) {
        return jobtext_error(reader->text, node->place, reader->err, "%s: the list is empty", path);
    }
    names->names = arena_alloc(reader->arena, (size_t)node->count * sizeof(*names->names));
    for (const JobNode *item = node->first; item != NULL; item = item->next) {
        if (!add_name(reader, item, path, names)) {
            return false;
        }
    }
    return true;
}

/* YAML ends a plain scalar at " #": an operator of SQL there would be lost without a word. */
static bool
check_not_cut(const JobReader *reader, const JobNode *node, const char *path)
{
    const JobText *text = reader->text;
    size_t at = node->end;
    while (at < text->len && (text->bytes[at] == ' ' || text->bytes[at] == '\t')) {
        at++;
    }
    if (at == node->end || at == text->len || text->bytes[at] != '#') {
        return true;
    }
    (void)jobtext_error(text, jobtext_place(text, at), reader->err,
        "%s: YAML takes \" #\" for the start of a comment and would cut the SQL here", path);
    return err_hint(reader->err,
        "Write | after the colon and the SQL indented on the next line, or put it in quotes; a "
        "comment must stand on a line of its own.");
}

static void
locate_plain(const JobText *text, const JobNode *node, RawSql *sql)
{
    size_t len = node->end - node->start;
    sql->exact =
        strlen(node->text) == len && memcmp(node->text, text->bytes + node->start, len) == 0;
}

/*
 * True when each line of `sql`, up to its trimmed end, is the line of the file without its first
 * `indent` blanks.  It always is, unless the file uses one of the exotic line breaks of YAML.
 */
static bool
lines_match(const JobText *text, size_t offset, int indent, const char *sql)
{
    for (;;) {
        size_t end = jobtext_line_end(text, offset);
        size_t sql_len = strcspn(sql, "\n");
        size_t start = offset + (size_t)indent;
        if (sql_len > 0 &&
            (start + sql_len > end || memcmp(text->bytes + start, sql, sql_len) != 0)) {
            return false;
        }
        if (sql[sql_len] == '\0') {
            return true;
        }
        sql += sql_len + 1;
        offset = jobtext_next_line(text, offset);
    }
}

/*
 * The text of a literal block begins on the line after the |; its first line that is not blank
 * tells how many columns YAML cut off.
 */
static void
locate_literal(const JobText *text, const JobNode *node, int blank_lines, RawSql *sql)
{
    size_t offset = jobtext_next_line(text, node->start);
    for (int i = 0; i < blank_lines; i++) {
        offset = jobtext_next_line(text, offset);
    }
    size_t first_len = strcspn(node->text + blank_lines, "\n");
    size_t line_len = jobtext_line_end(text, offset) - offset;
    if (first_len > line_len) {
        return;
    }
    int indent = (int)(line_len - first_len);
    if (!lines_match(text, offset, indent, sql->text)) {
        return;
    }
    sql->exact = true;
    sql->indent = indent;
    sql->place = (Place){.line = node->place.line + 1 + blank_lines, .column = indent + 1};
}

/* What SQL may have been meant where YAML sees something else or nothing. */
static bool
hint_sql(const JobReader *reader, const JobNode *node)
{
    const JobText *text = reader->text;
    if (node->kind != NODE_SCALAR) {
        return err_hint(reader->err,
            "SQL that begins with { or [ must stand in quotes, or after a | on the next line.");
    }
    bool is_in_braces = node->start == node->end && node->end < text->len &&
                        (text->bytes[node->end] == '}' || text->bytes[node->end] == ',');
    if (is_in_braces) {
        return err_hint(reader->err,
            "In braces a comma ends a value: SQL with a comma must stand in quotes there.");
    }
    return false;
}

bool
jobvalue_sql(const JobReader *reader, const JobNode *node, const char *path, RawSql *sql)
{
    const char *text;
    if (!jobvalue_text(reader, node, path, &text)) {
        return hint_sql(reader, node);
    }
    if (node->style == SCALAR_PLAIN && !check_not_cut(reader, node, path)) {
        return false;
    }
    size_t blank_lines = strspn(text, "\n");
    size_t len = strlen(text);
    while (is_blank(text[len - 1])) {
        len--;
    }
    *sql = (RawSql){
        .text = arena_strndup(reader->arena, text + blank_lines, len - blank_lines),
        .place = node->place,
    };
    if (node->style == SCALAR_PLAIN) {
        locate_plain(reader->text, node, sql);
    } else if (node->style == SCALAR_LITERAL) {
        locate_literal(reader->text, node, (int)blank_lines, sql);
    }
    return true;
}

bool
jobvalue_window(const JobReader *reader, const JobNode *node, const char *path, WindowSpec *window)
{
    Place place = node->place;
    Err cause = ERR_INIT;
    int at = 0;
    window->place = place;
    if (!jobvalue_text(reader, node, path, &window->text)) {
        return false;
    }
    if (window_parse(window, reader->arena, &at, &cause)) {
        return true;
    }
    place.column += node->style == SCALAR_PLAIN ? at : 0;
    (void)jobtext_error(reader->text, place, reader->err, "%s: %s", path, cause.message);
    return err_hint(reader->err, "%s", cause.hint);
}
