/* inner_stats.h - statistics of an inner value of which only ranges are known (inner.c); private to
 * kernels/
 *
 * Known are the least and the largest value, how many are inf or NaN, and the exponents of large
 * ones; no moments. Values below 2^SS_LOGIT_FROM are counted together with the smallest normal
 * exponent: what overflows in a format of at least that range is exact, what underflows is not
 * known.
 */
#ifndef SS_KERNELS_INNER_STATS_H
#define SS_KERNELS_INNER_STATS_H

#include "kernels/stats.h"

#include <math.h>

static inline ss_stats ss_nothing_known(uint64_t count)
{
#define X(name) .name = NAN,
    return (ss_stats){SS_STATS(X).count = count};
#undef X
}

/* After the large ones: the others. */
static inline void ss_count_small(ss_stats *s)
{
    uint64_t counted = 0;

    s->exponent[SS_N_EXPONENTS - 1] = s->nonfinite;
    for (int k = 0; k < SS_N_EXPONENTS; k++)
        counted += s->exponent[k];
    s->exponent[1] += s->count - counted;
}

/* Adds values from least to most, of which |x| = peak is the largest that counts. */
static inline void ss_add_values(ss_stats *s, float least, float most, float peak)
{
    s->min = fminf(s->min, least); /* of a NaN and a number: the number */
    s->max = fmaxf(s->max, most);
    s->absmax = fmaxf(s->absmax, peak);
}

#endif
