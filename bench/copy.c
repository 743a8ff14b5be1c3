/*
 * copy.c - how fast is a table copied, by pghaul and by what people do without it?
 *
 * As backfill.c: contenders take turns, each starts from a fresh copy of the same database; rates
 * are measured alone, what an application of the source feels is measured apart.
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
#include "common_copy.h"
#include "common_figures.h"
#include "common_load.h"
#include "common_options.h"
#include "common_table.h"
#include "harness/harness.h"
#include "harness/pgcluster.h"
#include "harness/session.h"

#define ALL_TABLES "two,six,uuid"
#define SAME       "insert,pghaul,insert-after,insert-bare,pghaul-after"
#define REMOTE     "psql,dump,pgcopydb,pghaul-remote"
#define ALL_LOADED "idle,insert,pghaul,pgcopydb,pghaul-remote"

static const char USAGE[] =
    "usage: copy [OPTION]...\n"
    "  --rows=N            rows of a table (2000000)\n"
    "  --repetitions=N     of every measurement (3)\n"
    "  --tables=LIST       of " ALL_TABLES "\n"
    "  --contenders=LIST   measured alone: of " SAME "," REMOTE "\n"
    "  --loaded=LIST       measured beside an application of the source, on the first table, of\n"
    "                      idle and these (" ALL_LOADED ")\n"
    "  --quick             200000 rows, one repetition\n"
    "  --logs=DIR          keep what programs print\n"
    "An empty list leaves the part out.\n";

typedef struct Options {
    int64_t rows;
    int64_t repetitions;
    const char *tables;
    const char *contenders;
    const char *loaded;
    const char *logs;
} Options;

/* One run of one contender. */
typedef struct Turn {
    const BenchTable *table;
    const CopyContender *contender;
    double duration_s;
    double wal_bytes;
    LoadStats load; /* without updates: it ran alone */
} Turn;

typedef struct Bench {
    Options options;
    PgCluster *source;
    PgCluster *target;
    char *folder;
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
        {"--contenders", &options->contenders, NULL},
        {"--loaded", &options->loaded, NULL},
        {"--logs", &options->logs, NULL},
        {"--rows", NULL, &options->rows},
        {"--repetitions", NULL, &options->repetitions},
    };
    if (strcmp(arg, "--quick") == 0) {
        options->rows = 200000;
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
        .repetitions = 3,
        .tables = ALL_TABLES,
        .contenders = SAME "," REMOTE,
        .loaded = ALL_LOADED};
    for (int i = 1; i < argc; i++) {
        if (!parse_option(argv[i], options)) {
            (void)fprintf(stderr, "copy: cannot use \"%s\"\n%s", argv[i], USAGE);
            return false;
        }
    }
    return list_is_known(options->tables, ALL_TABLES) &&
           list_is_known(options->contenders, SAME "," REMOTE) &&
           list_is_known(options->loaded, "idle," SAME "," REMOTE);
}

/* ---- measurements ---- */

static bool
measure(Bench *bench, const CopyRun *run, bool is_loaded, Turn *turn)
{
    copy_prepare(run);
    const char *uri = cluster_uri(run->source, BENCH_DATABASE);
    Load *load = is_loaded ? load_start(uri, run->table, bench->options.rows, false) : NULL;
    if (is_loaded) {
        harness_nap_us(SECONDS_US(1)); /* the load's first updates read cold pages: not counted */
    }
    int64_t wal_bytes = copy_wal_bytes(run);
    int64_t start_us = clock_mono_us();
    bool ok = copy_run(run);
    turn->duration_s = (double)(clock_mono_us() - start_us) / 1e6;
    turn->wal_bytes = (double)(copy_wal_bytes(run) - wal_bytes);
    if (load != NULL) {
        turn->load = load_finish(load, start_us);
    }
    return ok && copy_check(run, is_loaded);
}

static void
put_turn(const Bench *bench, const Turn *turn, FILE *stream)
{
    double rows = (double)bench->options.rows;
    (void)fprintf(stream, "%-4s %-14s %8.2f s %8.0f rows/s %6.0f WAL bytes/row", turn->table->name,
        turn->contender->name, turn->duration_s, rows / turn->duration_s, turn->wal_bytes / rows);
    if (turn->load.updates > 0) {
        (void)fprintf(stream,
            "; application: %lld updates, p50 %.2f ms, p99 %.2f ms, longest %.2f ms, %lld errors",
            (long long)turn->load.updates, turn->load.p50_ms, turn->load.p99_ms, turn->load.max_ms,
            (long long)turn->load.errors);
    }
    (void)fputc('\n', stream);
}

static void
take_turn(Bench *bench, const BenchTable *table, const CopyContender *contender, int repetition,
    bool is_loaded)
{
    CopyRun run = {.source = bench->source,
        .target = bench->target,
        .table = table,
        .contender = contender,
        .folder = bench->folder,
        .log_folder = bench->options.logs,
        .repetition = repetition,
        .idle_s = bench->options.rows >= 1000000 ? 20 : 5};
    Turn turn = {.table = table, .contender = contender};
    if (!measure(bench, &run, is_loaded, &turn)) {
        bench->has_failed = true;
        return;
    }
    bench->turns = mem_resize(bench->turns, bench->turn_count + 1, sizeof(*bench->turns));
    bench->turns[bench->turn_count++] = turn;
    put_turn(bench, &turn, stderr);
}

/* All contenders of the list, one repetition after the other. */
static void
take_turns(Bench *bench, const BenchTable *table, const char *list, bool is_loaded)
{
    for (int repetition = 1; repetition <= bench->options.repetitions; repetition++) {
        for (int i = 0; i < COPY_CONTENDER_COUNT; i++) {
            if (list_has(list, COPY_CONTENDERS[i].name)) {
                take_turn(bench, table, &COPY_CONTENDERS[i], repetition, is_loaded);
            }
        }
    }
}

/* ---- the report ---- */

typedef double (*Figure)(const Turn *turn);

static double
duration_s(const Turn *turn)
{
    return turn->duration_s;
}

static double
wal_bytes(const Turn *turn)
{
    return turn->wal_bytes;
}

static double
p99_ms(const Turn *turn)
{
    return turn->load.p99_ms;
}

/* Over the repetitions; NaN when there are none. */
static double
median(const Bench *bench, const BenchTable *table, const char *name, bool is_loaded, Figure figure)
{
    double *values = mem_resize(NULL, bench->turn_count + 1, sizeof(*values));
    size_t count = 0;
    for (size_t i = 0; i < bench->turn_count; i++) {
        const Turn *turn = &bench->turns[i];
        if (turn->table == table && strcmp(turn->contender->name, name) == 0 &&
            (turn->load.updates > 0) == is_loaded) {
            values[count++] = figure(turn);
        }
    }
    double middle = figures_median(values, count);
    free(values);
    return middle;
}

static void
put_row(const Bench *bench, const BenchTable *table, const CopyContender *contender)
{
    double rows = (double)bench->options.rows;
    double took_s = median(bench, table, contender->name, false, duration_s);
    double p99 = median(bench, table, contender->name, true, p99_ms);
    if (isnan(took_s) && isnan(p99)) {
        return;
    }
    (void)printf("%-22s", contender->title);
    figures_put(1, took_s);
    figures_put(0, rows / took_s);
    figures_put(0, median(bench, table, contender->name, false, wal_bytes) / rows);
    figures_put(2, p99);
    double ratio = contender->against == NULL
                       ? (double)NAN
                       : median(bench, table, contender->against, false, duration_s) / took_s;
    if (!isnan(ratio)) {
        (void)printf("   %.2f times %s, wanted %.2f: %s", ratio, contender->against,
            contender->wanted, ratio >= contender->wanted ? "reached" : "not reached");
    }
    (void)putchar('\n');
}

static void
print_report(const Bench *bench)
{
    PGconn *conn = pg_open(cluster_uri(bench->source, "postgres"));
    char *version = pg_text(conn, "SHOW server_version");
    char now[32];
    clock_format_now(now, sizeof(now));
    (void)printf(
        "bench/copy, %s: %lld rows, medians of %lld, %ld cores, PostgreSQL %s, %d jobs\n%s", now,
        (long long)bench->options.rows, (long long)bench->options.repetitions,
        sysconf(_SC_NPROCESSORS_ONLN), version, COPY_JOBS, BENCH_CONFIG);
    free(version);
    pg_close(conn);
    for (int t = 0; t < BENCH_TABLE_COUNT; t++) {
        if (!list_has(bench->options.tables, BENCH_TABLES[t].name)) {
            continue;
        }
        (void)printf("\nTable %s (%s)\n%-22s %9s %9s %9s %9s\n", BENCH_TABLES[t].name,
            BENCH_TABLES[t].title, "", "time s", "rows/s", "WAL B/row", "p99 ms");
        for (int i = 0; i < COPY_CONTENDER_COUNT; i++) {
            put_row(bench, &BENCH_TABLES[t], &COPY_CONTENDERS[i]);
        }
    }
    (void)printf("\nEvery measurement\n");
    for (size_t i = 0; i < bench->turn_count; i++) {
        put_turn(bench, &bench->turns[i], stdout);
    }
}

static void
measure_tables(Bench *bench)
{
    const Options *options = &bench->options;
    bool is_first = true;
    for (int i = 0; i < BENCH_TABLE_COUNT; i++) {
        const BenchTable *table = &BENCH_TABLES[i];
        if (!list_has(options->tables, table->name)) {
            continue;
        }
        (void)fprintf(stderr, "loading %lld rows: %s\n", (long long)options->rows, table->title);
        table_load(bench->source, table, options->rows);
        take_turns(bench, table, options->contenders, false);
        if (is_first) {
            take_turns(bench, table, options->loaded, true);
        }
        is_first = false;
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
    bench.folder = harness_scratch_new();
    bench.source = cluster_start(&(ClusterOptions){.config = BENCH_CONFIG});
    bench.target = cluster_start(&(ClusterOptions){.config = BENCH_CONFIG});
    measure_tables(&bench);
    print_report(&bench);
    free(bench.turns);
    cluster_stop(bench.source);
    cluster_stop(bench.target);
    harness_scratch_remove(bench.folder);
    return bench.has_failed ? 1 : 0;
}
