/*
 * common_figures.h - numbers of a report.
 */
#ifndef BENCH_COMMON_FIGURES_H
#define BENCH_COMMON_FIGURES_H

#include <stddef.h>

/* The median of `count` values, which are put in order; NaN when there are none. */
double figures_median(double *values, size_t count);

/* Print a figure in nine columns after a blank; "-" for NaN. */
void figures_put(int decimals, double value);

#endif
