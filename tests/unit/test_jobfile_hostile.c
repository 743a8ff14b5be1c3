/*
 * Job files that somebody made to break the parser, or made in despair: each is taken or refused at
 * its exact place, in one line that can be printed.  Part of them is every key times everything
 * that can be wrong with a value.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/jobfile.h"
#include "core/jobkeys.h"
#include "core/utf8.h"

#define HEAD  "job: j\nbackfill: t\n"
#define BASE  HEAD "set:\n  a: b\n"
#define BOM   "\xef\xbb\xbf"
#define RLO   "\xe2\x80\xae" /* writes from right to left from here on */
#define LS    "\xe2\x80\xa8" /* line separator */
#define NEL   "\xc2\x85"     /* next line */
#define NBSP  "\xc2\xa0"
#define EMOJI "\xf0\x9f\x98\x80"

static Arena arena;

static void
teardown(void)
{
    arena_reset(&arena);
}

TestSuite(jobfile_hostile, .fini = teardown);

/* ---- what is true of every outcome ---- */

static bool
is_printable(const char *text, const char *layout)
{
    size_t len = strlen(text);
    while (len > 0) {
        uint32_t code = 0;
        size_t width = utf8_decode(text, len, &code);
        bool is_layout = code < 0x80 && strchr(layout, (int)code) != NULL;
        if (width == 0 || (utf8_is_control(code) && !is_layout)) {
            return false;
        }
        text += width;
        len -= width;
    }
    return true;
}

/* Parse a copy of the exact size, so that the sanitizer notices a read past its end. */
static bool
parse(const char *source, size_t len, JobSpec *spec, Err *err)
{
    char *copy = malloc(len + 1);
    cr_assert(ne(ptr, copy, NULL));
    char *exact = realloc(copy, len > 0 ? len : 1);
    cr_assert(ne(ptr, exact, NULL));
    memcpy(exact, source, len);
    *err = ERR_INIT;
    bool ok = jobfile_parse("f.yaml", exact, len, &arena, spec, err);
    free(exact);
    return ok;
}

static void
expect_refused(const char *title, const char *source, size_t len, const char *place,
    const char *message, const char *hint)
{
    JobSpec spec;
    Err err;
    if (parse(source, len, &spec, &err)) {
        cr_expect(false, "%s: taken", title);
        return;
    }
    char start[64];
    (void)snprintf(start, sizeof(start), "f.yaml:%s: ", place);
    cr_expect(eq(int, ERR_USER, err.cls), "%s", title);
    cr_expect(eq(int, 0, strncmp(err.message, start, strlen(start))), "%s: want %s in '%s'", title,
        start, err.message);
    cr_expect(ne(ptr, strstr(err.message, message), NULL), "%s: want '%s' in '%s'", title, message,
        err.message);
    cr_expect(hint == NULL || strstr(err.hint, hint) != NULL, "%s: want hint '%s' in '%s'", title,
        hint, err.hint);
    cr_expect(is_printable(err.message, ""), "%s: message '%s'", title, err.message);
    cr_expect(is_printable(err.hint, ""), "%s: hint '%s'", title, err.hint);
    cr_expect(is_printable(err.excerpt, "\n\t"), "%s: excerpt '%s'", title, err.excerpt);
    const char *caret = strrchr(err.excerpt, '^');
    cr_expect(caret != NULL && caret[1] == '\0', "%s: excerpt '%s'", title, err.excerpt);
    arena_reset(&arena);
}

static void
expect_taken(const char *title, const char *source, size_t len)
{
    JobSpec spec;
    Err err;
    bool ok = parse(source, len, &spec, &err);
    cr_expect(ok, "%s: %s", title, err.message);
    if (ok) {
        cr_expect(eq(int, 0, strcmp(spec.job, "j")), "%s", title);
        cr_expect(lt(int, 0, spec.set_count), "%s", title);
    }
    arena_reset(&arena);
}

/* ---- every key, every kind of wrong value ---- */

/* A file with all required keys in which `value` stands behind the key; *column is where. */
static void
put_file(
    StrBuf *out, const JobKey *key, const char *value, size_t value_len, int *line, int *column)
{
    static const char *const REQUIRED[][2] = {
        {"job", "job: j\n"}, {"backfill", "backfill: t\n"}, {"set", "set: {a: b}\n"}};
    *line = 1;
    for (size_t i = 0; i < sizeof(REQUIRED) / sizeof(REQUIRED[0]); i++) {
        if (strcmp(key->path, REQUIRED[i][0]) != 0) {
            strbuf_puts(out, REQUIRED[i][1]);
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

/* What is said when there is nothing behind the key. */
static const char *
words_for_nothing(const JobKey *key)
{
    if (key->type == KEY_SECTION) {
        return "must be a mapping";
    }
    return key->type == KEY_ASSIGNMENTS ? "set needs at least one column" : "has no value";
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
    if (key->type == KEY_SECTION) {
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

#define VALUE(text) (text), sizeof(text) - 1
#define N64         "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

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
        return key->type == KEY_SECTION ? 1 : key->type == KEY_ASSIGNMENTS ? 10 : 0;
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

Test(jobfile_hostile, every_key_refuses_every_wrong_value_at_its_place)
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
    strbuf_puts(&source, BASE);
    if (dot != NULL) {
        strbuf_printf(&source, "%.*s:\n  ", (int)(dot - key->path), key->path);
    }
    strbuf_printf(&source, "%s: x\n", leaf);
    char title[128];
    (void)snprintf(title, sizeof(title), "%s as %s", key->path, leaf);
    expect_refused(title, source.text, source.len, dot == NULL ? "5:1" : "6:3", message, hint);
}

Test(jobfile_hostile, every_key_is_suggested_for_what_is_near_to_it)
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

Test(jobfile_hostile, every_key_is_refused_when_it_stands_there_twice)
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

/* ---- whole files ---- */

typedef struct HostileFile {
    const char *title;
    const char *source;
    size_t len;
    const char *place; /* NULL: the file is taken */
    const char *message;
} HostileFile;

static const HostileFile FILES[] = {
    /* encodings */
    {"byte order mark", VALUE(BOM BASE), NULL, NULL},
    {"byte order mark alone", VALUE(BOM), "1:1", "the job file is empty"},
    {"two byte order marks", VALUE(BOM BOM BASE), "1:1", "character U+FEFF is not permitted"},
    {"byte order mark in the middle", VALUE(HEAD BOM "set: {a: b}\n"), "3:1", "U+FEFF"},
    {"byte order mark cut short", VALUE("\xef\xbb" BASE), "1:1", "byte 0xef is not valid"},
    {"UTF-16, little endian", VALUE("\xff\xfej\0o\0b\0"), "1:1", "byte 0xff is not valid UTF-8"},
    {"UTF-16, big endian", VALUE("\xfe\xff\0j\0o\0b"), "1:1", "byte 0xfe is not valid UTF-8"},
    {"UTF-16 without a mark", VALUE("j\0o\0b\0:\0"), "1:2", "NUL byte"},
    {"UTF-32", VALUE("\xff\xfe\0\0j\0\0\0"), "1:1", "byte 0xff is not valid UTF-8"},
    {"Latin-1", VALUE(BASE "where: x = '\xfc'\n"), "5:13", "byte 0xfc is not valid UTF-8"},
    {"UTF-7 is text", VALUE(BASE "where: +AHg-\n"), NULL, NULL},
    {"NUL at the end", VALUE(BASE "\0"), "5:1", "NUL byte"},
    {"only a NUL", VALUE("\0"), "1:1", "NUL byte"},
    {"end of file of DOS", VALUE(BASE "\x1a"), "5:1", "control character U+001A"},
    /* line ends */
    {"CRLF", VALUE("job: j\r\nbackfill: t\r\nset:\r\n  a: b\r\n"), NULL, NULL},
    {"CR", VALUE("job: j\rbackfill: t\rset:\r  a: b\r"), NULL, NULL},
    {"mixed", VALUE("job: j\rbackfill: t\r\nset:\n  a: b"), NULL, NULL},
    {"place after CR", VALUE("job: j\rbackfill: t\rset:\r  a: b\rwher: x\r"), "5:1", "unknown key"},
    {"place after LF CR", VALUE("job: j\n\rbackfill: t\n\rset: {a: b}\n\rwher: x"), "7:1",
        "unknown key"},
    {"form feed", VALUE("job: j\f\nbackfill: t\n"), "1:7", "control character U+000C"},
    {"vertical tab", VALUE("job: j\v\nbackfill: t\n"), "1:7", "control character U+000B"},
    {"line separator in quotes", VALUE(BASE "where: 'a" LS "b'\n"), NULL, NULL},
    {"no line end", VALUE(HEAD "set: {a: b}"), NULL, NULL},
    /* nothing */
    {"empty", VALUE(""), "1:1", "the job file is empty"},
    {"blanks", VALUE("   \n\n  \n"), "1:1", "the job file is empty"},
    {"comments", VALUE("# job: j\n  # x\n"), "1:1", "the job file is empty"},
    {"document without content", VALUE("---\n...\n"), "2:1", "a job file must be a mapping"},
    {"end of a document only", VALUE("...\n"), "1:1", "not valid YAML"},
    {"null", VALUE("~\n"), "1:1", "a job file must be a mapping"},
    {"empty mapping", VALUE("{}\n"), "1:1", "key \"job\" is missing"},
    {"empty list", VALUE("[]\n"), "1:1", "a job file must be a mapping"},
    {"one tab", VALUE("\t"), "1:1", "a tab must not stand"},
    {"one quote", VALUE("'"), "1:1", "not valid YAML"},
    {"one colon", VALUE(":"), "1:1", "not valid YAML"},
    {"one dash", VALUE("-"), "1:1", "a job file must be a mapping"},
    {"one question mark", VALUE("?"), "1:2", "a key must not be empty"},
    {"one brace", VALUE("{"), "1:2", "not valid YAML"},
    {"one bracket", VALUE("["), "1:2", "not valid YAML"},
    {"one ampersand", VALUE("&"), "1:2", "not valid YAML"},
    {"one asterisk", VALUE("*"), "1:2", "not valid YAML"},
    {"one percent", VALUE("%"), "1:2", "not valid YAML"},
    {"one bar", VALUE("|"), "1:1", "a job file must be a mapping"},
    /* directives and documents */
    {"directive of YAML 1.1", VALUE("%YAML 1.1\n---\n" BASE), NULL, NULL},
    {"directive of YAML 1.2", VALUE("%YAML 1.2\n---\n" BASE), NULL, NULL},
    {"directive of YAML 2", VALUE("%YAML 2.0\n---\n" BASE), "1:1", "found incompatible YAML"},
    {"directive twice", VALUE("%YAML 1.1\n%YAML 1.1\n---\n" BASE), "2:1", "duplicate %YAML"},
    {"directive without a document", VALUE("%YAML 1.1\n" BASE), "2:1", "did not find expected"},
    {"directive without a number", VALUE("%YAML\n---\n" BASE), "1:6", "not valid YAML"},
    {"unknown directive", VALUE("%FOO bar\n---\n" BASE), "1:5", "unknown directive"},
    {"directive of a tag", VALUE("%TAG ! tag:x,2000:\n---\n" BASE), "1:1",
        "tags are not permitted"},
    {"second document", VALUE(BASE "--- \nx: y\n"), "5:1", "second YAML document"},
    {"second document, empty", VALUE(BASE "---\n"), "5:1", "second YAML document"},
    {"end of the document", VALUE(BASE "...\n"), NULL, NULL},
    {"end of the document and a comment", VALUE(BASE "...\n# x\n"), NULL, NULL},
    {"text behind the end", VALUE(BASE "...\nx\n"), "6:1", "not valid YAML"},
    {"document on the line of its start", VALUE("--- {job: j, backfill: t, set: {a: b}}"), NULL,
        NULL},
    {"dashes in a literal", VALUE(HEAD "set:\n  a: |\n    ---\n"), NULL, NULL},
    /* the clever parts */
    {"merge key", VALUE(BASE "<<: {lease: 9s}\n"), "5:1", "unknown key \"<<\""},
    {"merge of an alias", VALUE(BASE "<<: *x\n"), "5:5", "aliases"},
    {"anchor on the root", VALUE("&r\n" BASE), "1:1", "anchors"},
    {"anchor on a key", VALUE(BASE "&k where: x\n"), "5:1", "anchors"},
    {"alias as a key", VALUE(BASE "*k : x\n"), "5:1", "aliases"},
    {"tag on the root", VALUE("!!map\n" BASE), "1:1", "tags"},
    {"tag on a key", VALUE(BASE "!!str where: x\n"), "5:1", "tags"},
    {"bomb of aliases", VALUE("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"), "1:4", "anchors"},
    {"complex key", VALUE("? {job: j}\n: x\n"), "1:3", "a key must be a name"},
    {"list as a key", VALUE("? - job\n: x\n"), "1:3", "a key must be a name"},
    {"explicit keys", VALUE("? job\n: j\n? backfill\n: t\n? set\n: {a: b}\n"), NULL, NULL},
    {"quoted keys", VALUE("\"job\": j\n'backfill': t\n\"s\\x65t\": {a: b}\n"), NULL, NULL},
    {"JSON", VALUE("{\"job\":\"j\",\"backfill\":\"t\",\"set\":{\"a\":\"b\"}}"), NULL, NULL},
    {"comma at the end", VALUE("{job: j, backfill: t, set: {a: b,},}"), NULL, NULL},
    {"two commas", VALUE("{job: j,, backfill: t}"), "1:9", "not valid YAML"},
    {"key as a member of a list", VALUE("- job: j\n- backfill: t\n"), "1:1", "must be a mapping"},
    /* indents */
    {"tab before a key", VALUE(HEAD "set:\n\ta: b\n"), "4:1", "a tab must not stand"},
    {"tab behind a blank", VALUE(HEAD "set:\n \ta: b\n"), "4:2", "a tab must not stand"},
    {"tab behind the colon", VALUE("job:\tj\nbackfill:\tt\nset: {a: b}\n"), NULL, NULL},
    {"blank that is no blank", VALUE(HEAD "set:\n" NBSP NBSP "a: b\n"), "3:5",
        "set needs at least one column"},
    {"other indents", VALUE(HEAD "set:\n    a: b\n  c: d\n"), "5:3", "not valid YAML"},
    {"keys to the right", VALUE("  job: j\n  backfill: t\n  set: {a: b}\n"), NULL, NULL},
    {"one key to the left", VALUE("  job: j\nbackfill: t\n"), "2:1", "not valid YAML"},
    {"literal less deep", VALUE(HEAD "set:\n  a: |\n  b\n"), "5:3", "could not find expected ':'"},
    {"indent of 0", VALUE(HEAD "set:\n  a: |0\n   b\n"), "4:7", "indentation indicator equal to 0"},
    {"indent of 10", VALUE(HEAD "set:\n  a: |10\n   b\n"), "4:8", "not valid YAML"},
    /* comments that are SQL */
    {"comment behind a value", VALUE(HEAD "set:\n  a: b # c\n"), "4:8", "would cut the SQL"},
    {"operator behind a value", VALUE(BASE "where: a #> b\n"), "5:10", "would cut the SQL"},
    {"operator without blanks", VALUE(BASE "where: a#>b\n"), NULL, NULL},
    {"comment behind quotes", VALUE(BASE "where: 'a' # b\n"), NULL, NULL},
    {"comment behind a literal", VALUE(BASE "where: | # b\n  a #> b\n"), NULL, NULL},
    {"comment behind no SQL", VALUE("job: j # x\nbackfill: t # y\nset: # z\n  a: b\n"), NULL, NULL},
    {"comment of two lines", VALUE(BASE "where: a\n  b # c\n"), "6:5", "would cut the SQL"},
    /* text that shows as something else */
    {"turned comment", VALUE(BASE "# " RLO "x\n"), NULL, NULL},
    {"turned key", VALUE(BASE RLO "where: x\n"), "5:1", "unknown key \"?where\""},
    {"turned table", VALUE("job: j\nbackfill: '\"" RLO "t\"'\nset: {a: b}\n"), NULL, NULL},
    {"turned name without quotes", VALUE("job: j\nbackfill: " RLO " t\nset: {a: b}\n"), "2:11",
        "\"? t\" is not a table name"},
    {"key with a blank that is no blank", VALUE(BASE "where" NBSP ": x\n"), "5:1", "unknown key"},
    {"Cyrillic letter",
        VALUE("j\xd0\xbe"
              "b: j\n"),
        "1:1", "unknown key"},
    {"emoji as a name", VALUE(HEAD "set: {" EMOJI ": b}\n"), NULL, NULL},
    {"emoji as a job", VALUE("job: " EMOJI "\nbackfill: t\nset: {a: b}\n"), "1:6", "not a name"},
    {"next line in a name", VALUE("job: \"a\\Nb\"\nbackfill: t\nset: {a: b}\n"), "1:6",
        "\"a?b\" is not a name"},
    {"name of two lines", VALUE("job: j\n  k\nbackfill: t\nset: {a: b}\n"), "1:6",
        "\"j k\" is not"},
    {"escaped line end in a name", VALUE("job: \"j\\nk\"\nbackfill: t\nset: {a: b}\n"), "1:6",
        "\"j?k\" is not a name"},
    {"format of printf", VALUE(BASE "\"%s%n%1000000d\": x\n"), "5:1",
        "unknown key \"%s%n%1000000d\""},
    {"format of printf as a value", VALUE(BASE "lease: '%n%s'\n"), "5:8",
        "\"%n%s\" is not a duration"},
    {"path in a name", VALUE("job: ../../x\nbackfill: t\nset: {a: b}\n"), "1:6", "not a name"},
    {"SQL in a job's name", VALUE("job: \"j'; DROP TABLE t\"\nbackfill: t\nset: {a: b}\n"), "1:6",
        "not a name"},
    {"SQL in a table's name", VALUE("job: j\nbackfill: t; DROP TABLE u\nset: {a: b}\n"), "2:11",
        "is not a table name"},
    {"NUL of SQL in a table's name", VALUE("job: j\nbackfill: \"t\\x00\"\nset: {a: b}\n"), "2:11",
        "NUL character"},
};

Test(jobfile_hostile, each_file_is_taken_or_refused_at_its_place)
{
    for (size_t i = 0; i < sizeof(FILES) / sizeof(FILES[0]); i++) {
        const HostileFile *file = &FILES[i];
        if (file->place == NULL) {
            expect_taken(file->title, file->source, file->len);
        } else {
            expect_refused(file->title, file->source, file->len, file->place, file->message, NULL);
        }
    }
}

/* ---- large files ---- */

#define MIB ((size_t)1024 * 1024)

/* `before`, then `text` again and again up to one MiB, then `after`. */
static char *
large_file(const char *before, const char *text, const char *after)
{
    StrBuf source = STRBUF_INIT;
    strbuf_puts(&source, before);
    while (source.len + strlen(text) + strlen(after) <= MIB) {
        strbuf_puts(&source, text);
    }
    strbuf_puts(&source, after);
    return source.text;
}

Test(jobfile_hostile, a_megabyte_of_anything_is_taken_or_refused_at_its_place)
{
    static const struct {
        const char *title;
        const char *before;
        const char *text;
        const char *after;
        const char *place; /* NULL: taken */
        const char *message;
    } CASES[] = {
        {"plain scalar", HEAD "set:\n  a: ", "x", "", NULL, NULL},
        {"literal", HEAD "set:\n  a: |\n", "    x ||\n", "    x", NULL, NULL},
        {"quoted", HEAD "set:\n  a: '", "''", "'", NULL, NULL},
        {"escapes", HEAD "set:\n  a: \"", "\\x78", "\"", NULL, NULL},
        {"comment", BASE "# ", "y", "", NULL, NULL},
        {"lines without content", BASE, "\n", "", NULL, NULL},
        {"key", BASE, "k", ": x", "5:1", "not valid YAML"},
        {"quoted key", BASE "\"", "k", "\": x", "5:1", "not valid YAML"},
        {"job name", "backfill: t\nset: {a: b}\njob: ", "j", "", "3:6", "is not a name for a job"},
        {"column name", HEAD "set:\n  ? \"", "c", "\"\n  : x", "4:5", "longer than 63 bytes"},
        {"table name", "job: j\nset: {a: b}\nbackfill: ", "t", "", "3:11", "longer than 63"},
        {"number", BASE "workers: ", "1", "", "5:10", "too large"},
        {"zeros", BASE "workers: ", "0", "", "5:10", "out of range"},
        {"brackets", "", "[", "", "1:9", "nested deeper than 8"},
        {"braces", "", "{", "", "1:2", "a key must be a name"},
        {"mappings", "", "{a: ", "", "1:33", "nested deeper than 8"},
        {"dashes", "", "- ", "", "1:17", "nested deeper than 8"},
        {"questions", "", "? ", "", "1:3", "a key must be a name"},
        {"list of keys", BASE "key: [", "x,", "]", "5:3207", "more than 1600 entries"},
        {"quotes", "", "'", "", "1:1", "a job file must be a mapping"},
        {"escape characters", "", "\x1b", "", "1:1", "control character U+001B"},
        {"emoji", BASE "lease: ", EMOJI, "", "5:8", "is not a duration"},
        {"turned text", BASE "lease: ", RLO, "", "5:8", "is not a duration"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char *source = large_file(CASES[i].before, CASES[i].text, CASES[i].after);
        if (CASES[i].place == NULL) {
            expect_taken(CASES[i].title, source, strlen(source));
        } else {
            expect_refused(
                CASES[i].title, source, strlen(source), CASES[i].place, CASES[i].message, NULL);
        }
        free(source);
    }
}
