/*
 * common_report.c - medians of what was measured, as aligned text.
 *
 * A figure is a function of one measurement; a cell is the median of a figure over the repetitions,
 * and "-" where nothing was measured, for instance because contenders were left out.
 */
#include "common_report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

typedef double (*Figure)(const Measurement *item);

/* Which measurements a cell is about. */
typedef struct Cell {
    const BenchTable *table;
    const char *contender;
    bool is_loaded;
} Cell;

static double
rows_per_s(const Measurement *item)
{
    return (double)item->rows / item->duration_s;
}

static double
duration_s(const Measurement *item)
{
    return item->duration_s;
}

static double
wal_per_row(const Measurement *item)
{
    return item->wal_bytes / (double)item->rows;
}

static double
table_growth_percent(const Measurement *item)
{
    return 100 * item->table_growth;
}

static double
index_growth_percent(const Measurement *item)
{
    return 100 * item->index_growth;
}

static double
hot_percent(const Measurement *item)
{
    return 100 * item->hot_share;
}

static double
catch_up_s(const Measurement *item)
{
    return item->catch_up_s > 0 ? item->catch_up_s : (double)NAN;
}

static double
verify_rows_per_s(const Measurement *item)
{
    return item->verify_s > 0 ? (double)item->rows / item->verify_s : (double)NAN;
}

static double
load_p50_ms(const Measurement *item)
{
    return item->load.p50_ms;
}

static double
load_p99_ms(const Measurement *item)
{
    return item->load.p99_ms;
}

static double
load_max_ms(const Measurement *item)
{
    return item->load.max_ms;
}

static double
load_errors(const Measurement *item)
{
    return (double)item->load.errors;
}

void
report_add(Report *report, const Measurement *item)
{
    report->items = mem_resize(report->items, report->count + 1, sizeof(*report->items));
    report->items[report->count++] = *item;
}

void
report_free(Report *report)
{
    free(report->items);
    *report = (Report){.items = NULL};
}

static int
compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

/* The values of a figure in order of size; returns owned, NULL when there are none. */
static double *
sorted_values(const Report *report, Cell cell, Figure figure, size_t *count)
{
    double *values = NULL;
    *count = 0;
    for (size_t i = 0; i < report->count; i++) {
        const Measurement *item = &report->items[i];
        bool is_meant = item->table == cell.table &&
                        strcmp(item->contender->name, cell.contender) == 0 &&
                        (item->load.updates > 0) == cell.is_loaded;
        double value = is_meant ? figure(item) : (double)NAN;
        if (!isnan(value)) {
            values = mem_resize(values, *count + 1, sizeof(*values));
            values[(*count)++] = value;
        }
    }
    if (values != NULL) {
        qsort(values, *count, sizeof(*values), compare_doubles);
    }
    return values;
}

static double
median(const Report *report, Cell cell, Figure figure)
{
    size_t count = 0;
    double *values = sorted_values(report, cell, figure, &count);
    if (values == NULL) {
        return (double)NAN;
    }
    double middle = (values[(count - 1) / 2] + values[count / 2]) / 2;
    free(values);
    return middle;
}

/* For what must never happen, the median hides too much. */
static double
worst(const Report *report, Cell cell, Figure figure)
{
    size_t count = 0;
    double *values = sorted_values(report, cell, figure, &count);
    if (values == NULL) {
        return (double)NAN;
    }
    double last = values[count - 1];
    free(values);
    return last;
}

/* NaN when either is missing. */
static double
ratio(const Report *report, Cell cell, const char *other, Figure figure)
{
    Cell base = {.table = cell.table, .contender = other, .is_loaded = cell.is_loaded};
    return median(report, cell, figure) / median(report, base, figure);
}

static void
print_number(int width, int decimals, double value)
{
    if (isnan(value)) {
        (void)printf(" %*s", width, "-");
    } else {
        (void)printf(" %*.*f", width, decimals, value);
    }
}

/* Of any contender when `contender` is NULL. */
static bool
was_measured(
    const Report *report, const BenchTable *table, const Contender *contender, bool is_loaded)
{
    for (size_t i = 0; i < report->count; i++) {
        const Measurement *item = &report->items[i];
        if (item->table == table && (contender == NULL || item->contender == contender) &&
            (item->load.updates > 0) == is_loaded) {
            return true;
        }
    }
    return false;
}

static void
print_rates(const Report *report, const BenchTable *table)
{
    if (!was_measured(report, table, NULL, false)) {
        return;
    }
    (void)printf("\nTable %s (%s), alone\n", table->name, table->title);
    (void)printf("%-18s %8s %9s %8s %8s %9s %8s %8s %8s %6s %9s %9s\n", "", "time", "rows/s",
        "against", "against", "WAL", "against", "table", "indexes", "HOT", "standby", "verify");
    (void)printf("%-18s %8s %9s %8s %8s %9s %8s %8s %8s %6s %9s %9s\n", "", "s", "", "UPDATE",
        "loop", "bytes/row", "UPDATE", "grow %", "grow %", "%", "behind s", "rows/s");
    for (int i = 0; i < CONTENDER_COUNT; i++) {
        if (!was_measured(report, table, &CONTENDERS[i], false)) {
            continue;
        }
        Cell cell = {.table = table, .contender = CONTENDERS[i].name};
        (void)printf("%-18s", CONTENDERS[i].title);
        print_number(8, 1, median(report, cell, duration_s));
        print_number(9, 0, median(report, cell, rows_per_s));
        print_number(8, 2, ratio(report, cell, "update", rows_per_s));
        print_number(8, 2, ratio(report, cell, "loop", rows_per_s));
        print_number(9, 0, median(report, cell, wal_per_row));
        print_number(8, 2, ratio(report, cell, "update", wal_per_row));
        print_number(8, 1, median(report, cell, table_growth_percent));
        print_number(8, 1, median(report, cell, index_growth_percent));
        print_number(6, 0, median(report, cell, hot_percent));
        print_number(9, 2, median(report, cell, catch_up_s));
        print_number(9, 0, median(report, cell, verify_rows_per_s));
        (void)printf("\n");
    }
}

static void
print_latencies(const Report *report, const BenchTable *table)
{
    if (!was_measured(report, table, NULL, true)) {
        return;
    }
    (void)printf("\nTable %s (%s), the application: %d connections, %d updates/s together\n",
        table->name, table->title, LOAD_CONNECTIONS, LOAD_UPDATES_PER_S);
    (void)printf(
        "%-18s %9s %9s %9s %8s %10s\n", "", "p50 ms", "p99 ms", "max ms", "errors", "rows/s");
    for (int i = 0; i < CONTENDER_COUNT; i++) {
        if (!was_measured(report, table, &CONTENDERS[i], true)) {
            continue;
        }
        Cell cell = {.table = table, .contender = CONTENDERS[i].name, .is_loaded = true};
        bool is_idle = CONTENDERS[i].kind == CONTENDER_IDLE;
        (void)printf("%-18s", CONTENDERS[i].title);
        print_number(9, 2, median(report, cell, load_p50_ms));
        print_number(9, 2, median(report, cell, load_p99_ms));
        print_number(9, 2, worst(report, cell, load_max_ms));
        print_number(8, 0, worst(report, cell, load_errors));
        print_number(10, 0, is_idle ? (double)NAN : median(report, cell, rows_per_s));
        (void)printf("\n");
    }
}

static void
print_target(const char *what, double measured, bool is_least, double wanted)
{
    if (isnan(measured)) {
        return; /* left out of this run */
    }
    bool is_reached = is_least ? measured >= wanted : measured <= wanted;
    (void)printf("%-56s %8.2f   %s %6.2f   %s\n", what, measured,
        is_least ? "at least" : "at most ", wanted, is_reached ? "reached" : "not reached");
}

/* How much faster than one UPDATE two workers have to be, by table. */
static double
wanted_ratio(const BenchTable *table)
{
    if (strcmp(table->name, "six") == 0) {
        return 4.5;
    }
    return strcmp(table->name, "uuid") == 0 ? 2.5 : 2.4;
}

static void
print_table_targets(const Report *report, const BenchTable *table)
{
    Cell alone = {.table = table, .contender = "pghaul2"};
    Cell loaded = {.table = table, .contender = "pghaul2", .is_loaded = true};
    (void)printf("%s:\n", table->name);
    print_target("  rows/s against one UPDATE", ratio(report, alone, "update", rows_per_s), true,
        wanted_ratio(table));
    if (strcmp(table->name, "two") == 0) {
        print_target(
            "  rows/s against the loop", ratio(report, alone, "loop", rows_per_s), true, 2.5);
    }
    print_target(
        "  WAL against one UPDATE", ratio(report, alone, "update", wal_per_row), false, 0.62);
    print_target(
        "  growth of the table, %", median(report, alone, table_growth_percent), false, 15);
    print_target(
        "  growth of its indexes, %", median(report, alone, index_growth_percent), false, 5);
    print_target("  application's p99, ms", median(report, loaded, load_p99_ms), false, 15);
    print_target("  application's longest, ms", worst(report, loaded, load_max_ms), false, 100);
}

static void
append_costs(const Measurement *item, StrBuf *line)
{
    strbuf_printf(line,
        " %8.2f s %8.0f rows/s %6.0f WAL bytes/row, table %+6.1f %%, indexes %+6.1f %%,"
        " HOT %3.0f %%;",
        item->duration_s, rows_per_s(item), wal_per_row(item), table_growth_percent(item),
        index_growth_percent(item), hot_percent(item));
    if (item->catch_up_s > 0) {
        strbuf_printf(line, " standby %.2f s behind;", item->catch_up_s);
    }
    if (item->verify_s > 0) {
        strbuf_printf(line, " verify pass %.2f s;", item->verify_s);
    }
}

void
report_line(const Measurement *item, StrBuf *line)
{
    strbuf_printf(
        line, "%-4s %-7s %d:", item->table->name, item->contender->name, item->repetition);
    if (item->contender->kind != CONTENDER_IDLE) {
        append_costs(item, line);
    }
    if (item->load.updates > 0) {
        strbuf_printf(line,
            " application: %lld updates, p50 %.2f ms, p99 %.2f ms, longest %.2f ms, %lld errors",
            (long long)item->load.updates, item->load.p50_ms, item->load.p99_ms, item->load.max_ms,
            (long long)item->load.errors);
    }
}

void
report_print(const Report *report)
{
    for (int i = 0; i < BENCH_TABLE_COUNT; i++) {
        print_rates(report, &BENCH_TABLES[i]);
        print_latencies(report, &BENCH_TABLES[i]);
    }
    (void)printf("\nTargets, for 2,000,000 rows on 2 cores with 2 workers\n");
    for (int i = 0; i < BENCH_TABLE_COUNT; i++) {
        if (was_measured(report, &BENCH_TABLES[i], NULL, false) ||
            was_measured(report, &BENCH_TABLES[i], NULL, true)) {
            print_table_targets(report, &BENCH_TABLES[i]);
        }
    }
    (void)printf("\nEvery measurement\n");
    for (size_t i = 0; i < report->count; i++) {
        STRBUF_AUTO line = STRBUF_INIT;
        report_line(&report->items[i], &line);
        (void)printf("%s\n", line.text);
    }
}
