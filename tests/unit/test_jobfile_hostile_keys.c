/*
 * Every key of a job file times everything that can be wrong with its value or its name.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "core/jobkeys.h"
#include "unit/jobfile_hostile.h"

/* ---- values ---- */

/* The first kind whose jobs have the key. */
static JobKind
first_kind(const JobKey *key)
{
    int kind = 0;
    while (!jobkeys_belongs(key, (JobKind)kind)) {
        kind++;
    }
    return (JobKind)kind;
}

/* A file with all required keys in which `value` stands behind the key; *column is where. */
static void
put_file(
    StrBuf *out, const JobKey *key, const char *value, size_t value_len, int *line, int *column)
{
    static const char *const REQUIRED[JOB_KIND_COUNT][3][2] = {
        {{"job", "job: j\n"}, {"backfill", "backfill: t\n"}, {"set", "set: {a: b}\n"}},
        {{"job", "job: j\n"}, {"copy", "copy: t\n"}, {"into", "into: u\n"}},
        {{"job", "job: j\n"}, {"purge", "purge: t\n"}, {"where", "where: x\n"}},
        {{"job", "job: j\n"}, {"restore", "restore: t\n"}, {"archive", "archive: /a\n"}},
    };
    const char *const(*required)[2] = REQUIRED[first_kind(key)];
    *line = 1;
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(key->path, required[i][0]) != 0) {
            strbuf_puts(out, required[i][1]);
            *line += 1;
        }
    }
    const char *dot = strchr(key->path, '.');
    if (dot != NULL) {
        strbuf_printf(out, "%.*s:\n  ", (int)(dot - key->path), key->path);
        *line += 1;
    }
    strbuf_printf(out, "%s: ", jobkeys_leaf(key));
    *column = (int)strlen(jobkeys_leaf(key)) + 3 + (dot == NULL ? 0 : 2);
    strbuf_put(out, value, value_len);
    strbuf_putc(out, '\n');
}

static bool
is_number(const JobKey *key)
{
    return key->type == KEY_COUNT || key->type == KEY_DURATION || key->type == KEY_SIZE;
}

static bool
is_list_of_names(const JobKey *key)
{
    return key->type == KEY_COLUMNS || key->type == KEY_NAMES || key->type == KEY_RISKS ||
           key->type == KEY_STANDBYS;
}

/* One that may hold keys of its own. */
static bool
is_mapping(const JobKey *key)
{
    return key->type == KEY_SECTION || key->type == KEY_ARCHIVE;
}

/* What is said when there is nothing behind the key. */
static const char *
words_for_nothing(const JobKey *key)
{
    if (key->type == KEY_SECTION) {
        return "must be a mapping";
    }
    return key->type == KEY_ASSIGNMENTS ? "needs at least one column" : "has no value";
}

static const char *
words_for_list(const JobKey *key)
{
    if (key->type == KEY_SECTION || key->type == KEY_ASSIGNMENTS) {
        return words_for_nothing(key);
    }
    /* of an item that is itself a list */
    return "must be a single value, not a list";
}

static const char *
words_for_map(const JobKey *key)
{
    if (is_mapping(key)) {
        return "unknown key \"zzzzzzz\" in";
    }
    return key->type == KEY_ASSIGNMENTS ? "must be a single value, not a list"
                                        : "must be a single value, not a mapping";
}

/* Not a word that any key knows, nor a number. */
static const char *
words_for_junk(const JobKey *key)
{
    if (key->type == KEY_SECTION || key->type == KEY_ASSIGNMENTS) {
        return words_for_nothing(key);
    }
    if (is_number(key)) {
        return "is not a ";
    }
    if (key->type == KEY_PATH || key->type == KEY_ARCHIVE) {
        return "must begin with /";
    }
    bool is_choice = key->type == KEY_CHOICE || key->type == KEY_STANDBYS || key->type == KEY_RISKS;
    return is_choice                   ? "is not one of"
           : key->type == KEY_JOB_NAME ? "is not a name for a job"
                                       : NULL;
}

static const char *
words_for_huge_number(const JobKey *key)
{
    return key->type == KEY_COUNT ? "too large" : is_number(key) ? "has no unit" : NULL;
}

static const char *
words_for_huge_duration(const JobKey *key)
{
    return key->type == KEY_DURATION ? "too large" : is_number(key) ? "is not a " : NULL;
}

static const char *
words_for_negative(const JobKey *key)
{
    return is_number(key) ? "is not a " : NULL;
}

/* Names take up to 63 bytes, SQL any number. */
static const char *
words_for_long(const JobKey *key)
{
    bool is_name = is_list_of_names(key) && key->type != KEY_STANDBYS;
    return is_name || key->type == KEY_TABLE ? "longer than 63 bytes" : words_for_junk(key);
}

static const char *
words_for_flow_item(const JobKey *key)
{
    return is_list_of_names(key) ? "stands here twice" : NULL;
}

#define N64 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

/* The same words for each key (`message`), or by its type (`words`; NULL: it does not apply). */
static const struct Shape {
    const char *title;
    const char *value;
    size_t len;
    int offset; /* where in the value the error stands; -1: at the colon's end */
    const char *message;
    const char *(*words)(const JobKey *key);
} SHAPES[] = {
    {"nothing", VALUE(""), -1, NULL, words_for_nothing},
    {"comment only", VALUE("# x"), -1, NULL, words_for_nothing},
    {"empty quotes", VALUE("''"), 0, NULL, words_for_nothing},
    {"blanks in quotes", VALUE("\" \\t\\n \""), 0, NULL, words_for_nothing},
    {"empty literal", VALUE("|\n"), 0, NULL, words_for_nothing},
    {"empty folded", VALUE(">-\n\n"), 0, NULL, words_for_nothing},
    {"anchor", VALUE("&a x"), 0, "anchors (&name) are not permitted", NULL},
    {"anchor on a list", VALUE("&a [x]"), 0, "anchors (&name) are not permitted", NULL},
    {"anchor on a mapping", VALUE("&a {x: y}"), 0, "anchors (&name) are not permitted", NULL},
    {"alias", VALUE("*a"), 0, "aliases (*name) are not permitted", NULL},
    {"tag", VALUE("!!str x"), 0, "tags (!name) are not permitted", NULL},
    {"local tag", VALUE("!x y"), 0, "tags (!name) are not permitted", NULL},
    {"binary", VALUE("!!binary aGk="), 0, "tags (!name) are not permitted", NULL},
    {"verbatim tag", VALUE("!<tag:yaml.org,2002:int> 1"), 0, "tags (!name)", NULL},
    {"escaped NUL", VALUE("\"x\\0\""), 0, "must not contain a NUL character", NULL},
    {"NUL", VALUE("x\0y"), 1, "must not contain a NUL byte", NULL},
    {"NUL in quotes", VALUE("'\0'"), 1, "must not contain a NUL byte", NULL},
    {"escape character", VALUE("x\x1b[2J"), 1, "control character U+001B", NULL},
    {"bell in quotes", VALUE("'\a'"), 1, "control character U+0007", NULL},
    {"delete", VALUE("\x7f"), 0, "control character U+007F", NULL},
    {"C1 control",
        VALUE("\xc2\x9b"
              "31m"),
        0, "control character U+009B", NULL},
    {"no character", VALUE("\xef\xbf\xbf"), 0, "control character U+FFFF", NULL},
    {"byte 0xff", VALUE("x\xff"), 1, "byte 0xff is not valid UTF-8", NULL},
    {"lone continuation", VALUE("\x80"), 0, "byte 0x80 is not valid UTF-8", NULL},
    {"overlong slash", VALUE("\xc0\xaf"), 0, "byte 0xc0 is not valid UTF-8", NULL},
    {"overlong NUL", VALUE("\xc0\x80"), 0, "byte 0xc0 is not valid UTF-8", NULL},
    {"surrogate", VALUE("\xed\xa0\x80"), 0, "byte 0xed is not valid UTF-8", NULL},
    {"above Unicode", VALUE("\xf4\x90\x80\x80"), 0, "byte 0xf4 is not valid UTF-8", NULL},
    {"cut character", VALUE("x\xf0\x9f\x98"), 1, "byte 0xf0 is not valid UTF-8", NULL},
    {"open single quote", VALUE("'x"), 0, "found unexpected end of stream", NULL},
    {"open double quote", VALUE("\"x"), 0, "found unexpected end of stream", NULL},
    {"unknown escape", VALUE("\"\\q\""), 0, "found unknown escape character", NULL},
    {"escape cut short", VALUE("\"\\x1\""), 0, "did not find expected hexdecimal number", NULL},
    {"escaped surrogate", VALUE("\"\\ud800\""), 0, "invalid Unicode character escape code", NULL},
    {"escape above Unicode", VALUE("\"\\U00110000\""), 0, "invalid Unicode character", NULL},
    {"reserved @", VALUE("@x"), 0, "must not begin with @", NULL},
    {"reserved `", VALUE("`x"), 0, "must not begin with `", NULL},
    {"percent", VALUE("%x"), 0, "must not begin with %", NULL},
    {"closing bracket", VALUE("]"), 0, "not valid YAML", NULL},
    {"closing brace", VALUE("}"), 0, "not valid YAML", NULL},
    {"comma", VALUE(", x"), 0, "not valid YAML", NULL},
    {"colon inside", VALUE("x: y"), 1, "mapping values are not allowed", NULL},
    {"list in a list", VALUE("[[x]]"), 0, NULL, words_for_list},
    {"mapping", VALUE("{zzzzzzz: [x]}"), 0, NULL, words_for_map},
    {"junk", VALUE("gr\xc3\xbcn-" EMOJI), 0, NULL, words_for_junk},
    {"turned text", VALUE("\"" RLO "otua\""), 0, NULL, words_for_junk},
    {"blank inside a word", VALUE("au to"), 0, NULL, words_for_junk},
    {"capitals", VALUE("AUTO"), 0, NULL, words_for_junk},
    {"boolean of old", VALUE("Yes"), 0, NULL, words_for_junk},
    {"hexadecimal", VALUE("0x10"), 0, NULL, words_for_junk},
    {"exponent", VALUE("1e3s"), 0, NULL, words_for_junk},
    {"fraction of a comma", VALUE("1;5s"), 0, NULL, words_for_junk},
    {"infinity", VALUE(".inf"), 0, NULL, words_for_junk},
    {"other digits", VALUE("\xd9\xa3s"), 0, NULL, words_for_junk},
    {"wide digits", VALUE("\xef\xbc\x91\xef\xbc\x90s"), 0, NULL, words_for_junk},
    {"underscore at the end", VALUE("1_s"), 0, NULL, words_for_junk},
    {"sexagesimal", VALUE("'1:30:00'"), 0, NULL, words_for_junk},
    {"negative", VALUE("-1"), 0, NULL, words_for_negative},
    {"negative with a unit", VALUE("-1s"), 0, NULL, words_for_negative},
    {"plus", VALUE("+1"), 0, NULL, words_for_negative},
    {"null", VALUE("null"), 0, NULL, words_for_negative},
    {"huge", VALUE("99999999999999999999"), 0, NULL, words_for_huge_number},
    {"just above", VALUE("9223372036854775808"), 0, NULL, words_for_huge_number},
    {"age of the universe", VALUE("99999999999999999999d"), 0, NULL, words_for_huge_duration},
    {"long", VALUE(N64), 0, NULL, words_for_long},
    {"twice", VALUE("[x, x]"), 4, NULL, words_for_flow_item},
};

/* Errors about an item stand at the item, those about a mapping's first key there. */
static int
offset_of(const struct Shape *shape, const JobKey *key)
{
    if (shape->words == words_for_list) {
        return is_list_of_names(key) ? 1 : 0;
    }
    if (shape->words == words_for_map) {
        return is_mapping(key) ? 1 : key->type == KEY_ASSIGNMENTS ? 10 : 0;
    }
    return shape->offset;
}

static void
expect_shape_refused(const JobKey *key, const struct Shape *shape)
{
    const char *message = shape->message != NULL ? shape->message : shape->words(key);
    if (message == NULL) {
        return;
    }
    int line = 0;
    int column = 0;
    STRBUF_AUTO source = STRBUF_INIT;
    put_file(&source, key, shape->value, shape->len, &line, &column);
    char place[32];
    (void)snprintf(place, sizeof(place), "%d:%d", line, column + offset_of(shape, key));
    char title[128];
    (void)snprintf(title, sizeof(title), "%s: %s", key->path, shape->title);
    expect_refused(title, source.text, source.len, place, message, NULL);
}

Test(jobfile_hostile_keys, every_key_refuses_every_wrong_value_at_its_place)
{
    for (size_t i = 0; i < jobkeys_count(); i++) {
        for (size_t k = 0; k < sizeof(SHAPES) / sizeof(SHAPES[0]); k++) {
            expect_shape_refused(jobkeys_at(i), &SHAPES[k]);
        }
    }
}

/* ---- keys that are not right ---- */

static void
expect_key_refused(const JobKey *key, const char *leaf, const char *message, const char *hint)
{
    const char *dot = strchr(key->path, '.');
    STRBUF_AUTO source = STRBUF_INIT;
    strbuf_puts(&source, jobkeys_belongs(key, KIND_BACKFILL) || dot == NULL
                             ? BASE
                             : "job: j\npurge: t\nwhere: |\n  x\n");
    if (dot != NULL) {
        strbuf_printf(&source, "%.*s:\n  ", (int)(dot - key->path), key->path);
    }
    strbuf_printf(&source, "%s: x\n", leaf);
    char title[128];
    (void)snprintf(title, sizeof(title), "%s as %s", key->path, leaf);
    expect_refused(title, source.text, source.len, dot == NULL ? "5:1" : "6:3", message, hint);
}

Test(jobfile_hostile_keys, every_key_is_suggested_for_what_is_near_to_it)
{
    for (size_t i = 0; i < jobkeys_count(); i++) {
        const JobKey *key = jobkeys_at(i);
        const char *leaf = jobkeys_leaf(key);
        char hint[80];
        (void)snprintf(hint, sizeof(hint), "Did you mean %s?", key->path);
        char near[80];
        (void)snprintf(near, sizeof(near), "%sx", leaf);
        expect_key_refused(key, near, "unknown key \"", hint);
        (void)snprintf(near, sizeof(near), "%c%s", leaf[0] - 'a' + 'A', leaf + 1);
        expect_key_refused(key, near, "unknown key \"", hint);
        (void)snprintf(near, sizeof(near), "\"%s\\e\"", leaf); /* shown without its escape */
        expect_key_refused(key, near, "?\"", hint);
        (void)snprintf(near, sizeof(near), "\"%s" RLO "\"", leaf);
        expect_key_refused(key, near, "?\"", NULL);
    }
}

Test(jobfile_hostile_keys, every_key_is_refused_when_it_stands_there_twice)
{
    for (size_t i = 0; i < jobkeys_count(); i++) {
        const JobKey *key = jobkeys_at(i);
        STRBUF_AUTO source = STRBUF_INIT;
        int line = 0;
        int column = 0;
        put_file(&source, key, VALUE("x"), &line, &column);
        bool nested = strchr(key->path, '.') != NULL;
        strbuf_printf(&source, "%s'%s': y\n", nested ? "  " : "", jobkeys_leaf(key));
        char place[32];
        (void)snprintf(place, sizeof(place), "%d:%d", line + 1, nested ? 3 : 1);
        char message[80];
        (void)snprintf(message, sizeof(message), "stands here twice, first on line %d", line);
        expect_refused(key->path, source.text, source.len, place, message, NULL);
    }
}
