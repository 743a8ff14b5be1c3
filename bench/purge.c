/*
 * purge.c - how fast do old rows go, by pghaul and by what people do without it?
 *
 * As copy.c: contenders take turns, each starts from a fresh copy of the same database; rates are
 * measured alone, what an application of the table feels is measured apart.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "common_figures.h"
#include "common_load.h"
#include "common_options.h"
#include "common_purge.h"
#include "common_table.h"
#include "harness/harness.h"
#include "harness/pgcluster.h"
#include "harness/session.h"

#define ALL_TABLES   "two,six,uuid"
#define ALL_PAYLOADS "compressible,incompressible"
#define ALL_PATTERNS "oldest,scattered"
#define PLAIN        "delete,loop,pghaul1,pghaul2"
#define KEPT         "rows,cte,psql,archive1,archive2,archive2-3,into"
#define CHILDREN     "cascade,children"
#define ALL_LOADED   "idle,delete,pghaul2,psql,archive2"

static const char USAGE[] =
    "usage: purge [OPTION]...\n"
    "  --rows=N            rows of a table, of which 30 % go (2000000)\n"
    "  --slow-rows=N       so many of them go where each is a statement of its own (20000)\n"
    "  --repetitions=N     of every measurement (3)\n"
    "  --tables=LIST       of " ALL_TABLES " (two)\n"
    "  --payload=LIST      of " ALL_PAYLOADS "\n"
    "  --pattern=NAME      where the old rows are: of " ALL_PATTERNS " (oldest)\n"
    "  --contenders=LIST   measured alone: of " PLAIN "," KEPT "," CHILDREN "\n"
    "  --loaded=LIST       measured beside an application of the table, on the first one, of idle\n"
    "                      and these (" ALL_LOADED ")\n"
    "  --quick             200000 rows, one repetition\n"
    "  --logs=DIR          keep what programs print\n"
    "An empty list leaves the part out.\n";

/* The digits of hashes in base64: six bits a character, so that 0.75 is the best to be had. */
#define INCOMPRESSIBLE_SQL                                                                         \
    "left(translate(encode(sha256(i::text::bytea) || sha256((i || 'a')::bytea)"                    \
    " || sha256((i || 'b')::bytea), 'base64'), E'\\n', ''), 106)"

typedef struct Options {
    int64_t rows;
    int64_t slow_rows;
    int64_t repetitions;
    const char *tables;
    const char *payloads;
    const char *pattern;
    const char *contenders;
    const char *loaded;
    const char *logs;
} Options;

/* A table of some payload, with or without children; its name is that of its template. */
typedef struct Variant {
    BenchTable table;
    char name[40];
    char title[96];
    bool with_children;
} Variant;

/* One run of one contender. */
typedef struct Turn {
    const char *variant; /* owned by the bench's list of them */
    const PurgeContender *contender;
    int64_t rows;
    double duration_s;
    double run_s; /* of it, by pghaul's own account; NaN for others */
    double wal_bytes;
    double file_bytes;
    LoadStats load; /* without updates: it ran alone */
} Turn;

typedef struct Bench {
    Options options;
    PgCluster *cluster;
    char *folder;
    StrBuf where;
    Variant *variants[16];
    int variant_count;
    Turn *turns;
    size_t turn_count;
    bool has_failed;
} Bench;

/* ---- options ---- */

static bool
parse_option(const char *arg, Options *options)
{
    const struct {
        const char *name;
        const char **text;
        int64_t *count;
    } names[] = {
        {"--tables", &options->tables, NULL},
        {"--payload", &options->payloads, NULL},
        {"--pattern", &options->pattern, NULL},
        {"--contenders", &options->contenders, NULL},
        {"--loaded", &options->loaded, NULL},
        {"--logs", &options->logs, NULL},
        {"--rows", NULL, &options->rows},
        {"--slow-rows", NULL, &options->slow_rows},
        {"--repetitions", NULL, &options->repetitions},
    };
    if (strcmp(arg, "--quick") == 0) {
        options->rows = 200000;
        options->slow_rows = 2000;
        options->repetitions = 1;
        return true;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = option_value(arg, names[i].name);
        if (value != NULL && names[i].count != NULL) {
            return parse_count(value, names[i].count);
        }
        if (value != NULL) {
            *names[i].text = value;
            return true;
        }
    }
    return false;
}

static bool
parse_options(int argc, char *argv[], Options *options)
{
    *options = (Options){.rows = 2000000,
        .slow_rows = 20000,
        .repetitions = 3,
        .tables = "two",
        .payloads = ALL_PAYLOADS,
        .pattern = "oldest",
        .contenders = PLAIN "," KEPT "," CHILDREN,
        .loaded = ALL_LOADED};
    for (int i = 1; i < argc; i++) {
        if (!parse_option(argv[i], options)) {
            (void)fprintf(stderr, "purge: cannot use \"%s\"\n%s", argv[i], USAGE);
            return false;
        }
    }
    return list_is_known(options->tables, ALL_TABLES) &&
           list_is_known(options->payloads, ALL_PAYLOADS) &&
           list_is_known(options->pattern, ALL_PATTERNS) &&
           list_is_known(options->contenders, PLAIN "," KEPT "," CHILDREN) &&
           list_is_known(options->loaded, "idle," PLAIN "," KEPT "," CHILDREN);
}

/* ---- measurements ---- */

static bool
measure(const Bench *bench, const PurgeRun *run, bool is_loaded, Turn *turn)
{
    purge_prepare(run);
    const char *uri = cluster_uri(run->cluster, BENCH_DATABASE);
    Load *load = is_loaded ? load_start(uri, run->table, bench->options.rows, true) : NULL;
    if (is_loaded) {
        harness_nap_us(SECONDS_US(1)); /* the load's first updates read cold pages: not counted */
    }
    int64_t wal_bytes = purge_wal_bytes(run);
    int64_t start_us = clock_mono_us();
    bool ok = purge_run(run);
    turn->duration_s = (double)(clock_mono_us() - start_us) / 1e6;
    turn->wal_bytes = (double)(purge_wal_bytes(run) - wal_bytes);
    if (load != NULL) {
        turn->load = load_finish(load, start_us);
    }
    turn->rows = purge_rows(run);
    turn->run_s = ok ? purge_run_s(run) : (double)NAN;
    turn->file_bytes = (double)purge_file_bytes(run);
    return ok && purge_check(run);
}

static void
put_turn(const Turn *turn, FILE *stream)
{
    double rows = (double)turn->rows;
    (void)fprintf(stream, "%-8s %-11s", turn->variant, turn->contender->name);
    if (turn->contender->kind != PURGE_IDLE) {
        (void)fprintf(stream, " %8lld rows %8.2f s %8.0f rows/s %6.0f WAL bytes/row",
            (long long)turn->rows, turn->duration_s, rows / turn->duration_s,
            turn->wal_bytes / rows);
    }
    if (!isnan(turn->run_s)) {
        (void)fprintf(stream, ", %.2f s of it the run", turn->run_s);
    }
    if (turn->file_bytes > 0) {
        (void)fprintf(stream, " %5.0f file bytes/row", turn->file_bytes / rows);
    }
    if (turn->load.updates > 0) {
        (void)fprintf(stream,
            "; application: %lld updates, p50 %.2f ms, p99 %.2f ms, longest %.2f ms, %lld errors",
            (long long)turn->load.updates, turn->load.p50_ms, turn->load.p99_ms, turn->load.max_ms,
            (long long)turn->load.errors);
    }
    (void)fputc('\n', stream);
}

static void
take_turn(Bench *bench, const Variant *variant, const PurgeContender *contender, int repetition,
    bool is_loaded)
{
    PurgeRun run = {.cluster = bench->cluster,
        .table = &variant->table,
        .contender = contender,
        .where = strbuf_text(&bench->where),
        .old_rows = bench->options.rows * 3 / 10,
        .slow_rows = bench->options.slow_rows,
        .folder = bench->folder,
        .log_folder = bench->options.logs,
        .repetition = repetition,
        .idle_s = bench->options.rows >= 1000000 ? 20 : 5};
    Turn turn = {.variant = variant->name, .contender = contender};
    if (!measure(bench, &run, is_loaded, &turn)) {
        bench->has_failed = true;
        return;
    }
    bench->turns = mem_resize(bench->turns, bench->turn_count + 1, sizeof(*bench->turns));
    bench->turns[bench->turn_count++] = turn;
    put_turn(&turn, stderr);
}

/* All contenders of the list, one repetition after the other. */
static void
take_turns(Bench *bench, const Variant *variant, const char *list, bool is_loaded)
{
    for (int repetition = 1; repetition <= bench->options.repetitions; repetition++) {
        for (int i = 0; i < PURGE_CONTENDER_COUNT; i++) {
            const PurgeContender *contender = &PURGE_CONTENDERS[i];
            if (list_has(list, contender->name) &&
                contender->with_children == variant->with_children) {
                take_turn(bench, variant, contender, repetition, is_loaded);
            }
        }
    }
}

/* ---- the report ---- */

typedef double (*Figure)(const Turn *turn);

static double
rows_per_s(const Turn *turn)
{
    return (double)turn->rows / turn->duration_s;
}

static double
duration_s(const Turn *turn)
{
    return turn->duration_s;
}

static double
run_s(const Turn *turn)
{
    return turn->run_s;
}

static double
wal_per_row(const Turn *turn)
{
    return turn->wal_bytes / (double)turn->rows;
}

static double
file_per_row(const Turn *turn)
{
    return turn->file_bytes > 0 ? turn->file_bytes / (double)turn->rows : (double)NAN;
}

static double
p99_ms(const Turn *turn)
{
    return turn->load.p99_ms;
}

static double
max_ms(const Turn *turn)
{
    return turn->load.max_ms;
}

/* Which measurements a cell is about. */
typedef struct Cell {
    const char *variant;
    const char *contender;
    bool is_loaded;
} Cell;

/* Over the repetitions; NaN when there are none. */
static double
median(const Bench *bench, Cell cell, Figure figure)
{
    double *values = mem_resize(NULL, bench->turn_count + 1, sizeof(*values));
    size_t count = 0;
    for (size_t i = 0; i < bench->turn_count; i++) {
        const Turn *turn = &bench->turns[i];
        if (turn->variant == cell.variant && strcmp(turn->contender->name, cell.contender) == 0 &&
            (turn->load.updates > 0) == cell.is_loaded && !isnan(figure(turn))) {
            values[count++] = figure(turn);
        }
    }
    double middle = figures_median(values, count);
    free(values);
    return middle;
}

/* What is wanted is said where it was measured. */
static void
put_ratios(const Bench *bench, Cell cell, const PurgeContender *contender)
{
    for (size_t i = 0; i < PURGE_AGAINST && contender->against[i] != NULL; i++) {
        Cell other = cell;
        other.contender = contender->against[i];
        double ratio = median(bench, cell, rows_per_s) / median(bench, other, rows_per_s);
        if (isnan(ratio)) {
            continue;
        }
        (void)printf("   %.2f times %s", ratio, contender->against[i]);
        if (contender->wanted[i] > 0) {
            (void)printf(" (wanted %.2f: %s)", contender->wanted[i],
                ratio >= contender->wanted[i] ? "reached" : "not reached");
        }
    }
}

static void
put_row(const Bench *bench, const Variant *variant, const PurgeContender *contender)
{
    Cell alone = {.variant = variant->name, .contender = contender->name};
    Cell loaded = {.variant = variant->name, .contender = contender->name, .is_loaded = true};
    if (isnan(median(bench, alone, duration_s)) && isnan(median(bench, loaded, p99_ms))) {
        return;
    }
    (void)printf("%-26s", contender->title);
    figures_put(2, median(bench, alone, duration_s));
    figures_put(2, median(bench, alone, run_s));
    figures_put(0, median(bench, alone, rows_per_s));
    figures_put(0, median(bench, alone, wal_per_row));
    figures_put(0, median(bench, alone, file_per_row));
    figures_put(2, median(bench, loaded, p99_ms));
    figures_put(2, median(bench, loaded, max_ms));
    put_ratios(bench, alone, contender);
    (void)putchar('\n');
}

static void
print_head(const Bench *bench)
{
    PGconn *conn = pg_open(cluster_uri(bench->cluster, "postgres"));
    char *version = pg_text(conn, "SHOW server_version");
    char now[32];
    clock_format_now(now, sizeof(now));
    (void)printf(
        "bench/purge, %s: %lld rows, 30 %% of them old (%s), %lld of these where each is a "
        "statement; medians of %lld, %ld cores, PostgreSQL %s\n%s",
        now, (long long)bench->options.rows, bench->options.pattern,
        (long long)bench->options.slow_rows, (long long)bench->options.repetitions,
        sysconf(_SC_NPROCESSORS_ONLN), version, BENCH_CONFIG);
    free(version);
    pg_close(conn);
}

static void
print_report(const Bench *bench)
{
    print_head(bench);
    for (int i = 0; i < bench->variant_count; i++) {
        const Variant *variant = bench->variants[i];
        (void)printf("\nTable %s\n%-26s %9s %9s %9s %9s %9s %9s %9s\n", variant->title, "",
            "time s", "run s", "rows/s", "WAL B/row", "file B", "p99 ms", "max ms");
        for (int k = 0; k < PURGE_CONTENDER_COUNT; k++) {
            put_row(bench, variant, &PURGE_CONTENDERS[k]);
        }
    }
    (void)printf("\nWanted beside an application: p99 at most 10 ms, the longest at most 50 ms.\n"
                 "\nEvery measurement\n");
    for (size_t i = 0; i < bench->turn_count; i++) {
        put_turn(&bench->turns[i], stdout);
    }
}

/* ---- all ---- */

static bool
is_wanted(const Options *options, bool with_children)
{
    for (int i = 0; i < PURGE_CONTENDER_COUNT; i++) {
        const PurgeContender *contender = &PURGE_CONTENDERS[i];
        if (contender->with_children == with_children &&
            (list_has(options->contenders, contender->name) ||
                list_has(options->loaded, contender->name))) {
            return true;
        }
    }
    return false;
}

static const Variant *
load_variant(Bench *bench, const BenchTable *table, const char *payload, bool with_children)
{
    Variant *variant = mem_new(sizeof(*variant));
    bool compressible = strcmp(payload, "compressible") == 0;
    *variant = (Variant){.table = *table, .with_children = with_children};
    (void)snprintf(variant->name, sizeof(variant->name), "%s%s%s", table->name,
        compressible ? "" : "_raw", with_children ? "_kids" : "");
    (void)snprintf(variant->title, sizeof(variant->title), "%s: %s, %s payload%s", variant->name,
        table->title, payload, with_children ? ", two tables that refer to it" : "");
    variant->table.name = variant->name;
    variant->table.payload_sql = compressible ? NULL : INCOMPRESSIBLE_SQL;
    variant->table.more_sql = with_children ? PURGE_CHILDREN_SQL : NULL;
    bench->variants[bench->variant_count++] = variant;
    (void)fprintf(
        stderr, "loading %lld rows: %s\n", (long long)bench->options.rows, variant->title);
    table_load(bench->cluster, &variant->table, bench->options.rows);
    return variant;
}

static void
measure_table(Bench *bench, const BenchTable *table, bool *is_loaded)
{
    static const char *const PAYLOADS[] = {"compressible", "incompressible"};
    const Options *options = &bench->options;
    for (size_t i = 0; i < 2; i++) {
        if (!list_has(options->payloads, PAYLOADS[i])) {
            continue;
        }
        const Variant *variant = load_variant(bench, table, PAYLOADS[i], false);
        take_turns(bench, variant, options->contenders, false);
        if (*is_loaded) {
            take_turns(bench, variant, options->loaded, true);
            *is_loaded = false;
        }
    }
}

/* Once, of the first table whose key the children can refer to. */
static void
measure_children(Bench *bench)
{
    const BenchTable *table = &BENCH_TABLES[0];
    if (list_has(bench->options.tables, table->name) && is_wanted(&bench->options, true)) {
        const Variant *variant = load_variant(bench, table, "compressible", true);
        take_turns(bench, variant, bench->options.contenders, false);
        take_turns(bench, variant, bench->options.loaded, true);
    }
}

int
main(int argc, char *argv[])
{
    Bench bench = {.has_failed = false};
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        (void)fputs(USAGE, stdout);
        return 0;
    }
    if (!parse_options(argc, argv, &bench.options)) {
        return 2;
    }
    bool is_scattered = strcmp(bench.options.pattern, "scattered") == 0;
    purge_put_where(&bench.where, is_scattered, bench.options.rows);
    bench.folder = harness_scratch_new();
    bench.cluster = cluster_start(&(ClusterOptions){.config = BENCH_CONFIG});
    bool is_loaded = true;
    for (int i = 0; i < BENCH_TABLE_COUNT && is_wanted(&bench.options, false); i++) {
        if (list_has(bench.options.tables, BENCH_TABLES[i].name)) {
            measure_table(&bench, &BENCH_TABLES[i], &is_loaded);
        }
    }
    measure_children(&bench);
    print_report(&bench);
    for (int i = 0; i < bench.variant_count; i++) {
        free(bench.variants[i]);
    }
    free(bench.turns);
    strbuf_free(&bench.where);
    cluster_stop(bench.cluster);
    harness_scratch_remove(bench.folder);
    return bench.has_failed ? 1 : 0;
}
