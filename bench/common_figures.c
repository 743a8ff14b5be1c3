#include "common_figures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int
compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

double
figures_median(double *values, size_t count)
{
    if (count == 0) {
        return (double)NAN;
    }
    qsort(values, count, sizeof(*values), compare_doubles);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

void
figures_put(int decimals, double value)
{
    if (isnan(value)) {
        (void)printf(" %9s", "-");
    } else {
        (void)printf(" %9.*f", decimals, value);
    }
}
