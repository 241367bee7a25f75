/* median.c - see median.h */
#include "analyze/math/median.h"

#include <math.h>
#include <stdlib.h>

int ss_rising(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double ss_median(double *x, int n)
{
    int kept = 0;

    for (int i = 0; i < n; i++) {
        if (!isnan(x[i]))
            x[kept++] = x[i];
    }
    if (!kept)
        return NAN;
    qsort(x, (size_t)kept, sizeof *x, ss_rising);
    return kept % 2 ? x[kept / 2] : (x[kept / 2 - 1] + x[kept / 2]) / 2;
}

double ss_log_slope(const double *x, const double *y, int n)
{
    double mx = 0, my = 0, xx = 0, xy = 0;
    int used = 0;

    for (int i = 0; i < n; i++) {
        if (x[i] > 0 && y[i] > 0 && isfinite(x[i]) && isfinite(y[i])) {
            mx += log(x[i]);
            my += log(y[i]);
            used++;
        }
    }
    mx /= used;
    my /= used;
    for (int i = 0; i < n; i++) {
        if (x[i] > 0 && y[i] > 0 && isfinite(x[i]) && isfinite(y[i])) {
            xx += (log(x[i]) - mx) * (log(x[i]) - mx);
            xy += (log(x[i]) - mx) * (log(y[i]) - my);
        }
    }
    return used > 1 && xx > 0 ? xy / xx : NAN;
}
