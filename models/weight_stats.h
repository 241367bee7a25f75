/* weight_stats.h - statistics of parameters where they lie in a checkpoint
 *
 * Parameters are read in pieces, so a mapped file of any size passes through a few
 * megabytes of memory, and every dtype is measured by the engine's own statistics.
 */
#ifndef SS_MODELS_WEIGHT_STATS_H
#define SS_MODELS_WEIGHT_STATS_H

#include "kernels/context.h"

/* Statistics of n values: absmax and RMS of the finite ones (NaN where there is none). */
typedef struct {
    double absmax, rms;
    uint64_t nonfinite, count;
} ss_weight_stats;

ss_code ss_weight_stats_take(ss_ctx *c, ss_dtype t, const void *data, int64_t n,
                             ss_weight_stats *out, ss_err *e);

/* The same of a tensor of f32 values, where it is. */
ss_code ss_weight_stats_of(ss_ctx *c, const ss_tensor *x, ss_weight_stats *out, ss_err *e);

/* The change from a to b: the statistics of b - a, and relative = |b - a| / |a| (L2; 0 where both
 * are 0, infinity where only a is, or where the difference is not finite). */
typedef struct {
    ss_weight_stats difference;
    double relative;
} ss_weight_change;

ss_code ss_weight_change_take(ss_ctx *c, ss_dtype ta, const void *a, ss_dtype tb, const void *b,
                              int64_t n, ss_weight_change *out, ss_err *e);

#endif
