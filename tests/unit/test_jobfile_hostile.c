/*
 * Job files that somebody made to break the parser, or made in despair.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "core/jobfile.h"
#include "unit/jobfile_hostile.h"

#define BOM  "\xef\xbb\xbf"
#define LS   "\xe2\x80\xa8" /* line separator */
#define NEL  "\xc2\x85"     /* next line */
#define NBSP "\xc2\xa0"

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
    /* found by the fuzzer: names in the path of a key */
    {"control character in a column's path", VALUE(HEAD "set: {\"b\\b\": \"\"}\n"), "3:14",
        "set.b? has no value"},
    {"turned column", VALUE(HEAD "set:\n  " RLO "c: [x]\n"), "4:7",
        "set.?c must be a single value"},
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

/* ---- secrets ---- */

#define COPY "job: j\ncopy: t\ninto: u\n"

Test(jobfile_hostile, what_may_be_a_password_is_in_no_message_and_no_excerpt)
{
    static const char *const FILES_WITH_ONE[] = {
        COPY "from: \"host=h password=s3cret\n",
        COPY "from: host=h password=s3cret: x\n",
        COPY "from: 'postgresql://u:s3cret@h/d\nto: x\n",
        COPY "to: postgresql://u:s3cret@h/d: \n",
        COPY "to: \"postgresql://u:s3cret@h\\q\"\n",
        COPY "to: [postgresql://u:s3cret@h\n",
        COPY "to: &x postgresql://u:s3cret@h\n",
        COPY "to: !x s3cret\n",
        COPY "to: %s3cret\n",
        COPY "to: @s3cret\n",
        COPY "to: [host=h, 'pass=s3cret']\n",
        COPY "to: {host: h, password: s3cret}\n",
        COPY "from: host=h\nfrom: password=s3cret\n",
        COPY "from:\n  host=h\n  pass: s3cret\n",
        COPY "from:\n  host=h\n s3cret: [\n",
        COPY "from: |\n  host=h\n word=s3cret\n: x\n",
        COPY "from: >-\n  host=h\nword=s3cret\n",
        COPY "from: host=h\npassword=s3cret\n",
        COPY "from: host=h\npassword=s3cret: 1\n",
        COPY "from: host=h\nPGPASSWORD=s3cret: 1\nPGPASSWORD=s3cret: 1\n",
        COPY "\"from\": \"postgresql://u:\ns3cret@h\n",
        COPY "from: postgresql://u:\ns3cret@h\n",
        COPY "form: postgresql://u:s3cret@h/d\n",
        COPY "lease: postgresql://u:s3cret@h/d\n",
        "job: postgresql://u:s3cret@h/d\ncopy: t\n",
        "job: j\ncopy: postgresql://u:s3cret@h/d\n",
        "{\"job\": \"j\", \"copy\": \"t\", \"from\": \"password=s3cret\", \"to\": [}",
        "{\"job\": \"j\", \"copy\": \"t\", \"to\": \"postgresql://u:s3cret@h\", \"workers\": "
        "\"x\"}",
    };
    for (size_t i = 0; i < sizeof(FILES_WITH_ONE) / sizeof(FILES_WITH_ONE[0]); i++) {
        Arena arena = ARENA_INIT;
        JobSpec spec;
        Err err = ERR_INIT;
        const char *source = FILES_WITH_ONE[i];
        cr_expect(
            not(jobfile_parse("j", source, strlen(source), &arena, &spec, &err)), "%s", source);
        const char *said[] = {err.message, err.hint, err.excerpt};
        for (int k = 0; k < 3; k++) {
            cr_expect(strstr(said[k], "s3cret") == NULL, "%s says: %s", source, said[k]);
        }
        arena_reset(&arena);
    }
}

Test(jobfile_hostile, other_lines_are_shown_beside_a_connection)
{
    static const char SOURCE[] = COPY "from: host=h dbname=d\nworkers: many\n";
    Arena arena = ARENA_INIT;
    JobSpec spec;
    Err err = ERR_INIT;
    cr_expect(not(jobfile_parse("j", SOURCE, strlen(SOURCE), &arena, &spec, &err)));
    cr_expect(eq(str, err.excerpt, "workers: many\n         ^"));
    arena_reset(&arena);
}
