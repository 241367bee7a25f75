/* median.h - the middle of numbers that may be NaN, and the slope of a power law through points */
#ifndef SS_ANALYZE_MEDIAN_H
#define SS_ANALYZE_MEDIAN_H

/* Compares two doubles that are not NaN, for qsort: the smallest first. */
int ss_rising(const void *a, const void *b);

/* Median of the values that are not NaN; reorders x. NaN if there are none. */
double ss_median(double *x, int n);

/* Slope b of the least-squares line ln y = a + b ln x over the pairs with x > 0, y > 0; NaN
 * with fewer than two different x. */
double ss_log_slope(const double *x, const double *y, int n);

#endif
