/*
 * backfill.c - how fast is a column filled, and what does it cost, by pghaul and by what people do
 * without it?
 *
 * Contenders take turns (A B C D, A B C D, ...), so that a machine that slows down meets all of
 * them, and each starts from a fresh copy of the same database.  Rates are measured alone; what an
 * application feels is measured apart.  See README.md of this folder.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "common_contender.h"
#include "common_load.h"
#include "common_options.h"
#include "common_report.h"
#include "common_table.h"
#include "harness/harness.h"
#include "harness/pgcluster.h"
#include "harness/session.h"

#define ALL_TABLES     "two,six,uuid"
#define ALL_CONTENDERS "update,loop,pghaul1,pghaul2"
#define ALL_LOADED     "idle,update,pghaul2"

static const char USAGE[] =
    "usage: backfill [OPTION]...\n"
    "  --rows=N            rows of a table (2000000)\n"
    "  --repetitions=N     of every measurement (3)\n"
    "  --tables=LIST       of " ALL_TABLES "\n"
    "  --contenders=LIST   measured alone: of " ALL_CONTENDERS "\n"
    "  --loaded=LIST       measured beside an application: of idle," ALL_CONTENDERS " (" ALL_LOADED
    ")\n"
    "  --loaded-tables=LIST   and on which tables (two)\n"
    "  --quick             200000 rows, one repetition\n"
    "  --standby           with a streaming standby: how far behind is it at the end\n"
    "  --logs=DIR          keep what pghaul prints\n"
    "An empty list leaves the part out.\n";

typedef struct Options {
    int64_t rows;
    int64_t repetitions;
    const char *tables;
    const char *contenders;
    const char *loaded;
    const char *loaded_tables;
    const char *logs;
    bool with_standby;
} Options;

typedef struct Bench {
    Options options;
    PgCluster *cluster;
    char *job_folder;
    Report report;
    bool has_failed;
} Bench;

static bool
parse_text_option(const char *arg, Options *options)
{
    const struct {
        const char *name;
        const char **value;
    } names[] = {
        {"--tables", &options->tables},
        {"--contenders", &options->contenders},
        {"--loaded", &options->loaded},
        {"--loaded-tables", &options->loaded_tables},
        {"--logs", &options->logs},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = option_value(arg, names[i].name);
        if (value != NULL) {
            *names[i].value = value;
            return true;
        }
    }
    return false;
}

static bool
parse_option(const char *arg, Options *options)
{
    if (strcmp(arg, "--quick") == 0) {
        options->rows = 200000;
        options->repetitions = 1;
        return true;
    }
    if (strcmp(arg, "--standby") == 0) {
        options->with_standby = true;
        return true;
    }
    const char *rows = option_value(arg, "--rows");
    if (rows != NULL) {
        return parse_count(rows, &options->rows);
    }
    const char *repetitions = option_value(arg, "--repetitions");
    if (repetitions != NULL) {
        return parse_count(repetitions, &options->repetitions);
    }
    return parse_text_option(arg, options);
}

static bool
parse_options(int argc, char *argv[], Options *options)
{
    *options = (Options){.rows = 2000000,
        .repetitions = 3,
        .tables = ALL_TABLES,
        .contenders = ALL_CONTENDERS,
        .loaded = ALL_LOADED,
        .loaded_tables = "two"};
    for (int i = 1; i < argc; i++) {
        if (!parse_option(argv[i], options)) {
            (void)fprintf(stderr, "backfill: cannot use \"%s\"\n%s", argv[i], USAGE);
            return false;
        }
    }
    return list_is_known(options->tables, ALL_TABLES) &&
           list_is_known(options->loaded_tables, ALL_TABLES) &&
           list_is_known(options->contenders, ALL_CONTENDERS) &&
           list_is_known(options->loaded, "idle," ALL_CONTENDERS);
}

static double
growth(int64_t before_bytes, int64_t after_bytes)
{
    return (double)(after_bytes - before_bytes) / (double)before_bytes;
}

/* What the contender left behind; `conn` is a connection to the measured database. */
static void
measure_cost(PGconn *conn, const TableState *before, Measurement *item)
{
    bool has_written = item->contender->kind != CONTENDER_IDLE;
    /* First the WAL, before other sessions write more; the counters of ended ones come later. */
    TableState after = table_state(conn);
    item->wal_bytes = (double)(after.wal_bytes - before->wal_bytes);
    item->table_growth = growth(before->table_bytes, after.table_bytes);
    item->index_growth = growth(before->index_bytes, after.index_bytes);
    if (has_written) {
        table_wait_counted(conn, before->updated_rows + item->rows);
        after = table_state(conn);
    }
    int64_t updated = after.updated_rows - before->updated_rows;
    int64_t hot = after.hot_rows - before->hot_rows;
    item->hot_share = updated == 0 ? 0 : (double)hot / (double)updated;
}

static bool
check_rows(PGconn *conn, const Measurement *item)
{
    int64_t wrong_rows = item->contender->kind == CONTENDER_IDLE ? 0 : table_wrong_rows(conn);
    if (wrong_rows != 0) {
        (void)fprintf(stderr, "backfill: %s, %s: %lld rows are not right\n", item->table->name,
            item->contender->title, (long long)wrong_rows);
    }
    return wrong_rows == 0;
}

static double
seconds_since(int64_t start_us)
{
    return (double)(clock_mono_us() - start_us) / 1e6;
}

/* Run the contender on a restored database; false when it failed or left wrong rows. */
static bool
measure(Bench *bench, const ContenderRun *run, bool is_loaded, Measurement *item)
{
    table_restore(bench->cluster, run->table);
    const char *uri = cluster_uri(bench->cluster, BENCH_DATABASE);
    PGconn *conn = pg_open(uri);
    Load *load = is_loaded ? load_start(uri, run->table, item->rows, false) : NULL;
    if (is_loaded) {
        harness_nap_us(SECONDS_US(1)); /* the load's first updates read cold pages: not counted */
    }

    TableState before = table_state(conn);
    int64_t start_us = clock_mono_us();
    bool ok = contender_run(run);
    item->duration_s = seconds_since(start_us);
    if (load != NULL) {
        item->load = load_finish(load, start_us);
    }
    if (bench->options.with_standby) {
        int64_t end_us = clock_mono_us();
        cluster_wait_catch_up(bench->cluster, SECONDS_US(600));
        item->catch_up_s = seconds_since(end_us);
    }
    ok = ok && check_rows(conn, item);
    if (ok) {
        measure_cost(conn, &before, item);
    }
    pg_close(conn);
    return ok;
}

/* One contender's turn; its line is shown at once. */
static void
take_turn(Bench *bench, const BenchTable *table, const Contender *contender, int repetition,
    bool is_loaded)
{
    const Options *options = &bench->options;
    ContenderRun run = {.cluster = bench->cluster,
        .table = table,
        .contender = contender,
        .job_folder = bench->job_folder,
        .log_folder = options->logs,
        .idle_s = options->rows >= 1000000 ? 20 : 5};
    Measurement item = {
        .table = table, .contender = contender, .repetition = repetition, .rows = options->rows};
    if (!measure(bench, &run, is_loaded, &item)) {
        bench->has_failed = true;
        return;
    }
    bool verifies = contender->kind == CONTENDER_PGHAUL && !is_loaded && repetition == 1;
    if (verifies) {
        int64_t start_us = clock_mono_us();
        bench->has_failed = !contender_verify(&run) || bench->has_failed;
        item.verify_s = seconds_since(start_us);
    }
    report_add(&bench->report, &item);

    STRBUF_AUTO line = STRBUF_INIT;
    report_line(&item, &line);
    (void)fprintf(stderr, "%s\n", line.text);
}

/* All contenders of the list, one repetition after the other. */
static void
take_turns(Bench *bench, const BenchTable *table, const char *list, bool is_loaded)
{
    for (int repetition = 1; repetition <= bench->options.repetitions; repetition++) {
        for (int i = 0; i < CONTENDER_COUNT; i++) {
            if (list_has(list, CONTENDERS[i].name)) {
                take_turn(bench, table, &CONTENDERS[i], repetition, is_loaded);
            }
        }
    }
}

static void
measure_table(Bench *bench, const BenchTable *table)
{
    const Options *options = &bench->options;
    bool is_alone = list_has(options->tables, table->name);
    bool is_loaded = list_has(options->loaded_tables, table->name);
    if (!is_alone && !is_loaded) {
        return;
    }
    (void)fprintf(stderr, "loading %lld rows: %s\n", (long long)options->rows, table->title);
    table_load(bench->cluster, table, options->rows);
    if (is_alone) {
        take_turns(bench, table, options->contenders, false);
    }
    if (is_loaded) {
        take_turns(bench, table, options->loaded, true);
    }
}

/* What somebody needs to know to compare the numbers with others. */
static void
print_setting(Bench *bench)
{
    const Options *options = &bench->options;
    PGconn *conn = pg_open(cluster_uri(bench->cluster, "postgres"));
    char *version = pg_text(conn, "SHOW server_version");
    char now[32];
    clock_format_now(now, sizeof(now));
    (void)printf("bench/backfill, %s: %lld rows, medians of %lld, %ld cores, PostgreSQL %s%s\n%s",
        now, (long long)options->rows, (long long)options->repetitions,
        sysconf(_SC_NPROCESSORS_ONLN), version,
        options->with_standby ? " with a standby" : ", no standby", BENCH_CONFIG);
    free(version);
    pg_close(conn);
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
    bench.job_folder = harness_scratch_new();
    bench.cluster = cluster_start(
        &(ClusterOptions){.config = BENCH_CONFIG, .with_standby = bench.options.with_standby});
    for (int i = 0; i < BENCH_TABLE_COUNT; i++) {
        measure_table(&bench, &BENCH_TABLES[i]);
    }
    print_setting(&bench);
    report_print(&bench.report);
    report_free(&bench.report);
    cluster_stop(bench.cluster);
    harness_scratch_remove(bench.job_folder);
    return bench.has_failed ? 1 : 0;
}
