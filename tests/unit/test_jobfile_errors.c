/*
 * Job files that are wrong: each must be refused at the right place, in words that help.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/jobfile.h"

#define HEAD  "job: j\nbackfill: t\n"
#define BASE  HEAD "set:\n  a: b\n"
#define COPY  "job: j\ncopy: t\ninto: u\n"
#define PURGE "job: j\npurge: t\nwhere: x\n"
#define N40   "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

typedef struct BadFile {
    const char *source;
    const char *place;   /* "line:column" */
    const char *message; /* a piece of it */
    const char *hint;    /* a piece of it, or NULL */
} BadFile;

static const BadFile FILES[] = {
    /* not a mapping, not one document, not YAML */
    {"", "1:1", "the job file is empty", NULL},
    {"# nothing but a comment\n", "1:1", "the job file is empty", NULL},
    {"---\n", "2:1", "a job file must be a mapping", "job, backfill, copy"},
    {"- job\n- backfill\n", "1:1", "a job file must be a mapping", NULL},
    {"just text\n", "1:1", "a job file must be a mapping", NULL},
    {"[1, 2]", "1:1", "a job file must be a mapping", NULL},
    {BASE "---\njob: k\n", "5:1", "second YAML document", "one job"},
    {BASE "...\n---\njob: k\n", "6:1", "second YAML document", NULL},
    {BASE "where: 'abc\n", "5:8", "not valid YAML: found unexpected end of stream", "|"},
    {BASE "where: \"abc\n", "5:8", "not valid YAML", NULL},
    {BASE "key: [a, b\n", "6:1", "not valid YAML: did not find expected ',' or ']'", NULL},
    {BASE "where: x = 'a: b'\n", "5:14", "mapping values are not allowed", "write |"},
    {BASE "where: 'x' = y\n", "5:12", "not valid YAML: did not find expected key", "write |"},
    {BASE "where: 'x' || y\n", "5:13", "not valid YAML", "write |"},
    {BASE "where: @x > 1\n", "5:8", "must not begin with @", "write |"},
    {BASE "where: `x` > 1\n", "5:8", "must not begin with `", NULL},
    {BASE "where: %x\n", "5:8", "must not begin with %", NULL},
    {HEAD "set:\n\ta: b\n", "4:1", "a tab must not stand", "spaces"},
    {BASE "where: |x\n  y\n", "5:9", "not valid YAML", NULL},
    {BASE "where: a\nb\n", "6:1", "could not find expected ':'", NULL},
    {"job: j\n  backfill: t\n", "2:11", "mapping values are not allowed", NULL},
    {BASE "where: \"\\q\"\n", "5:8", "found unknown escape character", NULL},
    {"job: j\nbackfill\n", "2:1", "could not find expected ':'", NULL},
    {"{job: j, backfill: t", "1:21", "did not find expected ',' or '}'", NULL},
    {BASE "? [x]\n: y\n", "5:3", "a key must be a name", NULL},
    {BASE "{x: y}: z\n", "5:1", "a key must be a name", NULL},
    {BASE "\"\": z\n", "5:1", "a key must not be empty", NULL},
    /* the clever parts of YAML */
    {BASE "where: &w x > 1\n", "5:8", "anchors (&name) are not permitted", "quotes"},
    {HEAD "set: &s\n  a: b\n", "3:6", "anchors", NULL},
    {BASE "key: &k [a]\n", "5:6", "anchors", NULL},
    {BASE "where: *w\n", "5:8", "aliases (*name) are not permitted", "quotes"},
    {BASE "where: !!str x\n", "5:8", "tags (!name) are not permitted", "quotes"},
    {BASE "where: !x\n", "5:8", "tags", NULL},
    {HEAD "set: !!map\n  a: b\n", "3:6", "tags", NULL},
    {BASE "key: !!seq [a]\n", "5:6", "tags", NULL},
    {"%TAG !e! tag:example.com,2000:\n---\n" BASE, "1:1", "tags are not permitted", "%TAG"},
    {BASE "<<: {lease: 5s}\n", "5:1", "unknown key \"<<\"", NULL},
    {BASE "key: [[[[[[[[a]]]]]]]]\n", "5:13", "nested deeper than 8", NULL},
    {BASE "x: {a: {a: {a: {a: {a: {a: {a: {a: 1}}}}}}}}\n", "5:32", "nested deeper than 8", NULL},
    /* encoding */
    {BASE "where: x = '\xff'\n", "5:13", "byte 0xff is not valid UTF-8", "UTF-8"},
    {BASE "where: \xc3\xa9 \xc3(\n", "5:10", "byte 0xc3 is not valid UTF-8", NULL},
    {BASE "where: \xed\xa0\x80\n", "5:8", "byte 0xed is not valid UTF-8", NULL},
    {BASE "where: \xc0\xaf\n", "5:8", "byte 0xc0 is not valid UTF-8", NULL},
    {BASE "where: x\x1b[31m\n", "5:9", "control character U+001B is not permitted", NULL},
    {BASE "where: x\x7f\n", "5:9", "control character U+007F", NULL},
    {BASE "where: \"x\\0y\"\n", "5:8", "must not contain a NUL", NULL},
    /* keys */
    {BASE "wehre: x\n", "5:1", "unknown key \"wehre\"", "Did you mean where?"},
    {BASE "Where: x\n", "5:1", "unknown key \"Where\"", "Did you mean where?"},
    {BASE "frobnicate: x\n", "5:1", "unknown key \"frobnicate\"", "Known keys here: job, backfill"},
    {BASE "throttle:\n  lagg: 2s\n", "6:3", "unknown key \"lagg\" in throttle",
        "Did you mean throttle.lag?"},
    {BASE "throttle:\n  zzzzzzz: 2s\n", "6:3", "unknown key \"zzzzzzz\" in throttle",
        "Known keys here: yield_after, lag,"},
    {BASE "yield_after: 2s\n", "5:1", "unknown key", "Did you mean throttle.yield_after?"},
    {BASE "throttle.lag: 2s\n", "5:1", "unknown key \"throttle.lag\"", NULL},
    {BASE "batch: {time: 5ms, tim: 5ms}\n", "5:20", "unknown key \"tim\" in batch",
        "Did you mean batch.time?"},
    {BASE "job: k\n", "5:1", "key \"job\" stands here twice, first on line 1", NULL},
    {HEAD "set:\n  a: b\n  a: c\n", "5:3", "key \"a\" stands here twice, first on line 4", NULL},
    {HEAD "set:\n  a: b\n  \"a\": c\n", "5:3", "key \"a\" stands here twice", NULL},
    {BASE "batch: {rows: 1, rows: 2}\n", "5:18", "key \"rows\" stands here twice", NULL},
    {BASE "\"\\e[31m\": z\n", "5:1", "unknown key \"?[31m\"", NULL},
    /* kind and required keys */
    {BASE "copy: t\n", "5:1", "one kind, here it has two: backfill and copy", "Remove copy:"},
    {COPY "purge: t\n", "4:1", "one kind, here it has two: copy and purge", "Remove purge:"},
    {"job: j\ncopy: t\n", "1:1", "key \"into\" is missing", "the rows are copied into"},
    {"copy: t\ninto: u\n", "1:1", "key \"job\" is missing", NULL},
    {BASE "into: u\n", "5:1",
        "into is a key of jobs of the kind copy or purge, this one is a backfill", "Remove it."},
    {BASE "limits: {log_bytes: 1GB}\n", "5:10",
        "limits.log_bytes is a key of jobs of the kind copy", NULL},
    {BASE "map: {a: b}\n", "5:1", "map is a key of jobs of the kind copy",
        "The columns of a backfill stand below set:."},
    {COPY "set: {a: b}\n", "4:1", "set is a key of jobs of the kind backfill, this one is a copy",
        "The columns of a copy stand below map:."},
    {COPY "stripes: 4\n", "4:1", "stripes is a key of jobs of the kind backfill", "Remove it."},
    {COPY "limits:\n  quarantine: 4\n", "5:3", "limits.quarantine is a key of", "Remove it."},
    {COPY "on_error: quarantine\n", "4:11", "only a backfill can set rows aside", "stop"},
    {COPY "map: {}\n", "4:6", "map needs at least one column", NULL},
    {COPY "map:\n  a: b # c\n", "5:8", "map.a: YAML takes", NULL},
    {COPY "reverse_map:\n  a:\n", "5:5", "reverse_map.a has no value", NULL},
    {"job: j\ncopy: t\ninto: a.b.c\n", "3:7", "into: \"a.b.c\" is not a table name", "two parts"},
    {COPY "on_conflict: ignore\n", "4:14", "is not one of error, skip, update", NULL},
    {COPY "from: ''\n", "4:7", "from has no value", NULL},
    {COPY "to: {host: h}\n", "4:5", "to must be a single value, not a mapping", "host=db1"},
    {BASE "purge: t\n", "5:1", "one kind, here it has two: backfill and purge", "Remove purge:"},
    {"job: j\npurge: t\n", "1:1", "key \"where\" is missing", "TRUNCATE"},
    {PURGE "set: {a: b}\n", "4:1", "set is a key of jobs of the kind backfill, this one is a purge",
        "Remove it."},
    {PURGE "sync: none\n", "4:1", "sync is a key of jobs of the kind backfill or copy", NULL},
    {PURGE "path: block\n", "4:1", "path is a key of jobs of the kind backfill or copy", NULL},
    {PURGE "archive: old/rows\n", "4:10", "archive must begin with /", "any directory"},
    {PURGE "archive: {path: ./rows}\n", "4:17", "archive.path must begin with /", NULL},
    {PURGE "archive: {level: 3}\n", "4:10", "archive.path is missing", "Add path:"},
    {PURGE "archive: {}\n", "4:10", "archive.path is missing", NULL},
    {PURGE "archive: {path: /a, level: 20}\n", "4:28", "archive.level: \"20\" is out of range",
        "1..19"},
    {PURGE "archive: {folder: /a}\n", "4:11", "unknown key \"folder\" in archive", "path, level"},
    {PURGE "into: u\narchive: /a\n", "5:1", "archive and into exclude each other", "in files"},
    {PURGE "children: delete\ninto: u\n", "4:1", "children: delete and into exclude", "archive:"},
    {PURGE "children: keep\n", "4:11", "is not one of refuse, delete", NULL},
    {PURGE "archive_run: 3\n", "4:1", "archive_run is a key of jobs of the kind restore", NULL},
    {"job: j\nrestore: t\n", "1:1", "key \"archive\" is missing", "folder"},
    {"job: j\nrestore: t\narchive: {path: /a, level: 1}\n", "3:21",
        "archive.level is a key of jobs of the kind purge, this one is a restore", NULL},
    {BASE "schedule: {window: ''}\n", "5:20", "schedule.window has no value", NULL},
    {"backfill: t\nset: {a: b}\n", "1:1", "key \"job\" is missing", "fill-orders"},
    {"job: j\nset: {a: b}\n", "1:1", "\"copy\" or \"purge\" is missing", "table"},
    {HEAD, "1:1", "key \"set\" is missing", "column: SQL"},
    {"# x\n\n" HEAD, "3:1", "key \"set\" is missing", NULL},
    {"job: Orders\nbackfill: t\nset: {a: b}\n", "1:6", "\"Orders\" is not a name for a job", "a-z"},
    {"job: 1x\nbackfill: t\nset: {a: b}\n", "1:6", "\"1x\" is not a name for a job", NULL},
    {"job: " N40 "n\nbackfill: t\nset: {a: b}\n", "1:6", "is not a name for a job", "40"},
    {"job:\nbackfill: t\nset: {a: b}\n", "1:5", "job has no value", NULL},
    {"job: [j]\nbackfill: t\nset: {a: b}\n", "1:6", "job must be a single value, not a list", NULL},
    {"job: j\nbackfill: a.b.c\nset: {a: b}\n", "2:11", "backfill: \"a.b.c\" is not a table name",
        "two parts"},
    {"job: j\nbackfill: my table\nset: {a: b}\n", "2:11", "\"my table\" is not a table name",
        "double quotes"},
    {"job: j\nbackfill: '\"t'\nset: {a: b}\n", "2:11", "is never closed", NULL},
    {"job: j\nbackfill: {t: u}\nset: {a: b}\n", "2:11", "must be a single value", NULL},
    /* set */
    {HEAD "set: {}\n", "3:6", "set needs at least one column", "column: SQL"},
    {HEAD "set:\n", "3:5", "set needs at least one column", NULL},
    {HEAD "set: a = b\n", "3:6", "set needs at least one column", NULL},
    {HEAD "set: [a]\n", "3:6", "set needs at least one column", NULL},
    {HEAD "set:\n  a:\n", "4:5", "set.a has no value", NULL},
    {HEAD "set:\n  a: ''\n", "4:6", "set.a has no value", NULL},
    {HEAD "set:\n  a: |\n\n\n", "4:6", "set.a has no value", NULL},
    {HEAD "set:\n  a: {x: y}\n", "4:6", "set.a must be a single value, not a mapping", "quotes"},
    {HEAD "set:\n  a: [1]\n", "4:6", "set.a must be a single value, not a list", "quotes"},
    {HEAD "set: {a: f(b, c)}\n", "3:17", "set.c) has no value", "In braces a comma ends"},
    {HEAD "set:\n  " N40 N40 ": b\n", "4:3", "longer than 63 bytes (it has 80)", NULL},
    {HEAD "set:\n  a: b #> '{x}'\n", "4:8", "would cut the SQL here", "Write |"},
    {HEAD "set:\n  a: b\t# note\n", "4:8", "would cut the SQL here", NULL},
    {HEAD "set:\n  a: b ||\n    c  # note\n", "5:8", "set.a: YAML takes", "line of its own"},
    {BASE "where: \xc3\xa9 > 1 # note\n", "5:14", "would cut the SQL here", NULL},
    {HEAD "set: {a: b # x\n}\n", "3:12", "would cut the SQL here", NULL},
    /* values */
    {BASE "where:\n", "5:7", "where has no value", NULL},
    {BASE "workers: many\n", "5:10", "workers: \"many\" is not a count", "Permitted: auto, 1..64."},
    {BASE "workers: 0\n", "5:10", "workers: \"0\" is out of range", "Permitted: auto, 1..64."},
    {BASE "workers: 65\n", "5:10", "out of range", NULL},
    {BASE "workers: -1\n", "5:10", "\"-1\" is not a count", NULL},
    {BASE "workers: 1.5\n", "5:10", "\"1.5\" is not a count", NULL},
    {BASE "workers: 99999999999999999999\n", "5:10", "is too large", NULL},
    {BASE "workers: [1]\n", "5:10", "workers must be a single value, not a list", NULL},
    {BASE "workers: null\n", "5:10", "\"null\" is not a count", NULL},
    {BASE "stripes: 17\n", "5:10", "stripes: \"17\" is out of range", "auto, 1..16"},
    {BASE "path: heap\n", "5:7", "path: \"heap\" is not one of auto, key, block", NULL},
    {BASE "path: blok\n", "5:7", "not one of", "Did you mean block?"},
    {BASE "sync: yes\n", "5:7", "sync: \"yes\" is not one of trigger, none", NULL},
    {BASE "strict: yes\n", "5:9", "strict: \"yes\" is not one of true, false", NULL},
    {BASE "verify: off\n", "5:9", "verify: \"off\" is not one of auto, none", NULL},
    {BASE "vacuum: none\n", "5:9", "vacuum: \"none\" is not one of auto, off", NULL},
    {BASE "synchronous_commit: remote_apply\n", "5:21", "not one of local, off, on", NULL},
    {BASE "lease: 30\n", "5:8", "lease: \"30\" has no unit", "30ms or 30s"},
    {BASE "lease: 1s\n", "5:8", "out of range", "5s..1h"},
    {BASE "lease: 2h\n", "5:8", "out of range", NULL},
    {BASE "lease: 30sec\n", "5:8", "\"30sec\" is not a duration", "200ms"},
    {BASE "lease: 9223372036854775807d\n", "5:8", "too large", NULL},
    {BASE "batch: 50ms\n", "5:8", "batch must be a mapping", "time, rows"},
    {BASE "batch:\n", "5:7", "batch must be a mapping", NULL},
    {BASE "batch: [time]\n", "5:8", "batch must be a mapping", NULL},
    {BASE "batch: {time: 50}\n", "5:15", "batch.time: \"50\" has no unit", NULL},
    {BASE "batch: {rows: 1_000_001}\n", "5:15", "batch.rows: \"1_000_001\" is out of range", NULL},
    {BASE "batch: {rows: 1__0}\n", "5:15", "is not a count", NULL},
    {BASE "batch: {time: 300ms}\n", "5:15", "longer than throttle.yield_after", "quarter"},
    {BASE "throttle: {lag_bytes: 256mb}\n", "5:23", "is not a size", "capitals"},
    {BASE "throttle: {lag_bytes: 256}\n", "5:23", "has no unit", "256kB or 256MB"},
    {BASE "throttle: {lock_waiters: 0}\n", "5:26", "out of range", "1..1000"},
    {BASE "throttle: {lock_waiters: auto}\n", "5:26", "is not a count", NULL},
    {BASE "throttle: {standbys: replica1}\n", "5:22", "is not one of auto, none", "list of names"},
    {BASE "throttle: {standbys: []}\n", "5:22", "the list is empty", NULL},
    {BASE "limits: {runtime: 8}\n", "5:19", "limits.runtime: \"8\" has no unit", NULL},
    {BASE "limits: {rows: 0}\n", "5:16", "out of range", NULL},
    /* names */
    {BASE "key: []\n", "5:6", "key: the list is empty", NULL},
    {BASE "key:\n", "5:5", "key has no value", NULL},
    {BASE "key: ~\n", "5:6", "key has no value", NULL},
    {BASE "key: a, b\n", "5:6", "key: a list needs brackets", "[a, b]"},
    {BASE "key: [a, a]\n", "5:10", "name \"a\" stands here twice", NULL},
    {BASE "key: [a, '']\n", "5:10", "key has no value", NULL},
    {BASE "key: [a, [b]]\n", "5:10", "must be a single value", NULL},
    {BASE "key: {a: b}\n", "5:6", "must be a single value", NULL},
    {BASE "key: " N40 N40 "\n", "5:6", "longer than 63 bytes", NULL},
    {BASE "allow: everything\n", "5:8", "allow: \"everything\" is not one of stable, volatile,",
        NULL},
    {BASE "allow:\n  - lossy\n  - stabel\n", "7:5", "allow: \"stabel\" is not one of", NULL},
    {BASE "allow: [inheritence]\n", "5:9", "not one of", "Did you mean inheritance?"},
    {BASE "search_path: [public, public]\n", "5:23", "twice", NULL},
};

static Arena arena;

static void
teardown(void)
{
    arena_reset(&arena);
}

TestSuite(jobfile_errors, .fini = teardown);

Test(jobfile_errors, each_wrong_file_is_refused_at_its_place)
{
    for (size_t i = 0; i < sizeof(FILES) / sizeof(FILES[0]); i++) {
        const BadFile *bad = &FILES[i];
        JobSpec spec;
        Err err = ERR_INIT;
        bool ok = jobfile_parse("f.yaml", bad->source, strlen(bad->source), &arena, &spec, &err);
        cr_expect(not(ok), "accepted:\n%s", bad->source);
        if (ok) {
            continue;
        }
        char place[64];
        (void)snprintf(place, sizeof(place), "f.yaml:%s: ", bad->place);
        cr_expect(eq(int, (int)err.cls, ERR_USER), "class of:\n%s", bad->source);
        cr_expect(strncmp(err.message, place, strlen(place)) == 0, "want %s in '%s' for:\n%s",
            place, err.message, bad->source);
        cr_expect(strstr(err.message, bad->message) != NULL, "want '%s' in '%s' for:\n%s",
            bad->message, err.message, bad->source);
        cr_expect(bad->hint == NULL || strstr(err.hint, bad->hint) != NULL,
            "want hint '%s' in '%s' for:\n%s", bad->hint, err.hint, bad->source);
        cr_expect(err.excerpt[0] != '\0' && err.excerpt[strlen(err.excerpt) - 1] == '^',
            "excerpt '%s' for:\n%s", err.excerpt, bad->source);
        arena_reset(&arena);
    }
}

static bool
fails(const char *source, size_t len, Err *err)
{
    JobSpec spec;
    *err = ERR_INIT;
    return !jobfile_parse("f.yaml", source, len, &arena, &spec, err);
}

Test(jobfile_errors, a_password_in_a_connection_string_is_refused_and_not_shown)
{
    static const char *const SECRETS[] = {
        "host=h password=s3cret",
        "host=h password = 's3cret'",
        "sslpassword=s3cret",
        "postgresql://app:s3cret@h/d",
        "postgres://app:s3/cret@h/d",
        "postgresql://h/d?password=s3cret",
        "Postgresql://app:s3cret@h/d",
        "app:s3cret@h",
        "{host: h, password: s3cret}",
    };
    for (size_t i = 0; i < sizeof(SECRETS) / sizeof(SECRETS[0]); i++) {
        for (int side = 0; side < 2; side++) {
            char source[256];
            (void)snprintf(
                source, sizeof(source), COPY "%s: %s\n", side == 0 ? "from" : "to", SECRETS[i]);
            Err err;
            cr_assert(fails(source, strlen(source), &err), "%s", SECRETS[i]);
            cr_expect(eq(int, (int)err.cls, ERR_USER));
            cr_expect(strncmp(err.message, "f.yaml:4:", 9) == 0, "%s", err.message);
            cr_expect(strstr(err.message, "s3") == NULL, "%s", err.message);
            cr_expect(strstr(err.hint, "s3") == NULL, "%s", err.hint);
            cr_expect(strstr(err.excerpt, "s3") == NULL, "%s", err.excerpt);
        }
    }
}

Test(jobfile_errors, connection_strings_without_a_password_are_taken)
{
    static const char *const TARGETS[] = {"shop", "service=x passfile=/home/app/.pgpass",
        "postgresql://app@h:5432/d", "postgresql://[::1]:5432/d?application_name=a@b",
        "host=h user=a:b@c"};
    for (size_t i = 0; i < sizeof(TARGETS) / sizeof(TARGETS[0]); i++) {
        char source[256];
        (void)snprintf(source, sizeof(source), COPY "from: \"%s\"\n", TARGETS[i]);
        Err err;
        cr_expect(not(fails(source, strlen(source), &err)), "%s: %s", TARGETS[i], err.message);
    }
}

Test(jobfile_errors, a_nul_byte_in_the_file_is_refused_at_its_place)
{
    static const char SOURCE[] = BASE "where: x\0y\n";
    Err err;
    cr_assert(fails(SOURCE, sizeof(SOURCE) - 1, &err));
    cr_assert_str_eq(err.message, "f.yaml:5:9: a job file must not contain a NUL byte");
}

Test(jobfile_errors, utf_16_is_refused)
{
    static const char SOURCE[] = "\xff\xfej\0o\0b\0:\0";
    Err err;
    cr_assert(fails(SOURCE, sizeof(SOURCE) - 1, &err));
    cr_assert_str_eq(err.message, "f.yaml:1:1: byte 0xff is not valid UTF-8");
}

static char *
padded_file(size_t len)
{
    char *source = malloc(len + 1);
    cr_assert(source != NULL);
    (void)snprintf(source, len + 1, "%s", BASE "# ");
    memset(source + strlen(BASE "# "), 'x', len - strlen(BASE "# "));
    source[len] = '\0';
    return source;
}

Test(jobfile_errors, one_mebibyte_is_the_largest_file)
{
    size_t largest = (size_t)1024 * 1024;
    char *source = padded_file(largest + 1);
    Err err;
    cr_assert(not(fails(source, largest, &err)), "%s", err.message);
    cr_assert(fails(source, largest + 1, &err));
    cr_assert_str_eq(err.message, "f.yaml:1:1: the job file is larger than 1 MiB");
    free(source);
}

Test(jobfile_errors, every_prefix_of_a_good_file_is_parsed_or_refused_with_a_place)
{
    static const char SOURCE[] =
        "job: j\r\nbackfill: \"s\".t\nset:\n  a: |2\n    x\n  \xc3\xa9: \"q\\u00e9\"\n"
        "where: >-\n  y\n  z\nkey: [a, 'b']\nthrottle: {lag: 2s, standbys: [x]}\n";
    for (size_t len = 0; len < sizeof(SOURCE); len++) {
        char *copy = malloc(len + 1); /* of the exact size, so that reading past it is noticed */
        memcpy(copy, SOURCE, len);
        Err err;
        if (fails(copy, len, &err)) {
            cr_expect(strncmp(err.message, "f.yaml:", 7) == 0, "%zu: %s", len, err.message);
        }
        free(copy);
    }
}

Test(jobfile_errors, a_deep_nest_of_brackets_is_refused_quickly)
{
    size_t len = 1000000;
    char *source = malloc(len);
    memset(source, '[', len);
    Err err;
    cr_assert(fails(source, len, &err));
    cr_assert(strstr(err.message, "f.yaml:1:9: nested deeper") != NULL, "%s", err.message);
    free(source);
}

Test(jobfile_errors, more_columns_than_a_table_can_have_are_refused)
{
    STRBUF_AUTO source = STRBUF_INIT;
    strbuf_puts(&source, HEAD "set:\n");
    for (int i = 0; i < 1600; i++) {
        strbuf_printf(&source, "  c%d: x\n", i);
    }
    Err err;
    cr_assert(not(fails(source.text, source.len, &err)), "%s", err.message);
    strbuf_puts(&source, "  one_more: x\n");
    cr_assert(fails(source.text, source.len, &err));
    cr_assert_str_eq(err.message, "f.yaml:1604:3: more than 1600 entries in one place");
}

static void
expect_excerpt(const char *source, const char *excerpt)
{
    Err err;
    cr_assert(fails(source, strlen(source), &err));
    cr_expect_str_eq(err.excerpt, excerpt, "%s", err.message);
}

Test(jobfile_errors, the_caret_stands_below_the_character)
{
    expect_excerpt(BASE "workers: 0\n", "workers: 0\n         ^");
    expect_excerpt(BASE "workers: 0", "workers: 0\n         ^");
    expect_excerpt(BASE "workers: 0\r\nstrict: true\r\n", "workers: 0\n         ^");
}

Test(jobfile_errors, the_caret_counts_tabs_and_wide_characters)
{
    /* a tab in the line is a tab before the caret */
    expect_excerpt(BASE "workers:\t0\n", "workers:\t0\n        \t^");
    /* two bytes, one column */
    expect_excerpt(BASE "where: \xc3\xa9 # x\n", "where: \xc3\xa9 # x\n         ^");
    /* three bytes, two columns */
    expect_excerpt(BASE "where: \xe6\xbc\xa2 # x\n", "where: \xe6\xbc\xa2 # x\n          ^");
    /* a combining accent takes no column */
    expect_excerpt(BASE "where: e\xcc\x81 # x\n", "where: e\xcc\x81 # x\n         ^");
}

Test(jobfile_errors, the_excerpt_shows_no_control_characters)
{
    expect_excerpt(BASE "where: a\x1b[31m\n", "where: a?[31m\n        ^");
    expect_excerpt(BASE "where: \xe2\x80\xae # x\n", "where: ? # x\n         ^");
}

Test(jobfile_errors, a_long_line_is_cut_around_the_caret)
{
    STRBUF_AUTO source = STRBUF_INIT;
    strbuf_puts(&source, BASE "where: ");
    for (int i = 0; i < 500; i++) {
        strbuf_puts(&source, "\xf0\x9f\x90\x98"); /* four bytes and two columns each */
    }
    strbuf_puts(&source, " # ");
    for (int i = 0; i < 500; i++) {
        strbuf_puts(&source, "y");
    }
    Err err;
    cr_assert(fails(source.text, source.len, &err));
    cr_assert(strncmp(err.message, "f.yaml:5:509: ", 14) == 0, "%s", err.message);
    cr_assert(strncmp(err.excerpt, "...\xf0\x9f\x90\x98", 7) == 0);
    const char *line_end = strchr(err.excerpt, '\n');
    cr_assert(line_end != NULL);
    cr_assert(strncmp(line_end - 3, "...", 3) == 0);
    const char *hash = strchr(err.excerpt, '#');
    cr_assert(hash != NULL);
    /* 47 elephants of two columns, one blank and the dots stand before the # */
    cr_assert(eq(sz, strlen(line_end + 1), 3 + 47 * 2 + 1 + 1));
}

Test(jobfile_errors, long_text_of_the_user_does_not_push_the_message_out)
{
    STRBUF_AUTO source = STRBUF_INIT;
    strbuf_puts(&source, BASE);
    for (int i = 0; i < 900; i++) {
        strbuf_puts(&source, "k");
    }
    strbuf_puts(&source, ": x\n");
    Err err;
    cr_assert(fails(source.text, source.len, &err));
    cr_assert(strstr(err.message, "kkk...\"") != NULL, "%s", err.message);
}
