/* decision.h - is a number over a threshold, where every seed of an experiment measured it once?
 *
 * It is over (under) where every seed's number is, and the 95 % interval of their mean is too:
 *
 *   mean +- t s / sqrt(n),   s^2 = sum (x - mean)^2 / (n - 1),   t of Student with n - 1 degrees
 *
 * A ratio is decided on logarithms, so its mean is the geometric one. Fewer than SS_LEAST_SEEDS
 * decide nothing, and neither do seeds that disagree. How many would is estimated from the scatter
 * that was seen: the least n at which the interval about the same mean, with the same s, no longer
 * holds the threshold. Intervals take the seeds for independent draws of a normal distribution.
 */
#ifndef SS_ANALYZE_DECISION_H
#define SS_ANALYZE_DECISION_H

#include <stdbool.h>

enum { SS_LEAST_SEEDS = 3, SS_MANY_SEEDS = 1000 };

typedef enum { SS_SIDE_UNKNOWN, SS_SIDE_OVER, SS_SIDE_UNDER } ss_side;

typedef struct {
    int n;       /* seeds that have the number */
    int missing; /* seeds without the number: they leave it undecided */
    int n_over;  /* over the threshold */
    double mean, low, high;
    double least, most;
    ss_side side;
    int needed; /* seeds that would decide it; 0: it is decided, or no number of seeds is known to;
                   SS_MANY_SEEDS: so many or more */
} ss_decision;

/* x: [n], NaN where a seed did not measure it; a ratio that is not positive, and what is inf, count
 * as missing, too. Mean and interval are NaN with none, and with fewer than two. */
ss_decision ss_decide(const double *x, int n, double threshold, bool ratio);

#endif
