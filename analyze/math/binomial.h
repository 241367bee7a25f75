/* binomial.h - what k successes of n trials say about their probability, exactly
 *
 *   P(X >= k | p) = sum over i from k to n of C(n, i) p^i (1 - p)^(n - i)
 *
 * Source: Clopper & Pearson 1934, Biometrika 26, 404-413.
 */
#ifndef SS_ANALYZE_BINOMIAL_H
#define SS_ANALYZE_BINOMIAL_H

#include <stdint.h>

enum { SS_BINOMIAL_MAX = 1 << 20 }; /* trials; work grows with their number */

/* The 95 % interval of Clopper and Pearson: P(X >= k | low) = P(X <= k | high) = 0.025, to 1e-12.
 * 0 to 1 for n of 0; low is 0 for k of 0, high is 1 for k of n. 0 <= k <= n <= SS_BINOMIAL_MAX. */
void ss_binomial_interval(int64_t k, int64_t n, double *low, double *high);

/* Probability, if each outcome is as likely as the other, of a count that is as far from n / 2 as
 * k or farther: the sign test, two-sided. 1 for n of 0. */
double ss_binomial_fair(int64_t k, int64_t n);

#endif
