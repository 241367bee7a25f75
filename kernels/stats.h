/* stats.h - what is measured of a tensor, in one pass
 *
 * For each sample (index of the outermost dimension), over its finite values x_i, n of
 * them:
 *
 *   min, max, absmax = max |x|
 *   mean = sum x / n         std = sqrt(sum (x - mean)^2 / n)   (population)
 *   rms  = sqrt(sum x^2 / n) l2  = sqrt(sum x^2)
 *   nonfinite = how many are inf or NaN; they enter nothing else but the histogram
 *   exponent[k] = how many values have the biased f32 exponent k: 0 is zero and
 *                 subnormal numbers, 1..254 mean 2^(k-127) <= |x| < 2^(k-126), 255 is
 *                 inf and NaN. It answers for any number format what would overflow, go
 *                 subnormal or flush to zero.
 *
 * Each is right to the last digit of f32, the mean to that or to 4e-9 of the RMS, whichever is
 * more. Sums have a fixed order, so that the result does not depend on the number of threads. With
 * no finite value at all, everything but the counts is NaN.
 */
#ifndef SS_KERNELS_STATS_H
#define SS_KERNELS_STATS_H

#include "kernels/tensor.h"

/* One list for the run file, the tables and the code. */
#define SS_STATS(X) X(min) X(max) X(absmax) X(mean) X(std) X(rms) X(l2)

enum { SS_N_EXPONENTS = 256 };

typedef struct {
#define X(name) float name;
    SS_STATS(X)
#undef X
    uint64_t nonfinite;
    uint64_t count; /* of all values */
    uint64_t exponent[SS_N_EXPONENTS];
} ss_stats;

/* One entry per sample, [dim 0]; borrowed, valid while the tensor lives, but only up to the next
 * call for the same tensor. The histogram is left out, and may be zero, unless `exponents`: it
 * takes half of the time. Computed on the first call and remembered. NULL after an error or when
 * the context only infers shapes. */
const ss_stats *ss_tensor_stats(ss_ctx *c, const ss_tensor *x, bool exponents);

/* Per channel (innermost dimension C) and sample, over finite values: absmax[n][C] and
 * rms[n][C], host arrays of the caller. A channel without finite values gives NaN. */
ss_code ss_channel_stats(ss_ctx *c, const ss_tensor *x, float *absmax, float *rms, ss_err *e);

/* What one attention layer did to one sample, per head. Logits are l_ij = scale * q_i.k_j
 * (+ mask), p = softmax over the keys j; -inf logits (masked keys) count in nothing.
 *
 *   entropy      mean over queries of H_i = log Z_i - sum_j p_ij l_ij, nats, in [0, log keys]
 *   entropy_min  smallest H_i
 *   max_logit    largest finite l_ij
 *   sink         max over keys of the mean over queries of p_ij: the share of all attention
 *                that the heaviest key receives (1/keys when spread evenly, 1 when all
 *                queries look at one key)
 */
#define SS_ATTENTION_STATS(X) X(entropy) X(entropy_min) X(max_logit) X(sink)

typedef struct {
#define X(name) float name;
    SS_ATTENTION_STATS(X)
#undef X
} ss_attention_stats;

/* What a half-precision run may store of one head's attention to one sample. Counting every
 * exponent would cost a tenth of the attention, so only rows of logits that reach 2^SS_LOGIT_FROM
 * are counted; smaller values are known to be small, which is what overflow asks (inner.c).
 *
 *   least, most          of the finite logits scale q.k + mask; NaN: there are none
 *   raw_least, raw_most  the same without mask
 *   peak, raw_peak       over the queries, of the largest logit of each: its largest |x|. One that
 *                        overflows to -inf beside others is a probability of 0 and loses nothing
 *   probability          largest p_ij
 *   nonfinite            logits that are inf or NaN; raw_nonfinite: and q.k, unscaled, that are;
 *                        lost: probabilities that are
 *   large[k], raw_large[k]  how many have the exponent SS_LOGIT_FROM + k; raw: of q.k, unscaled */
enum { SS_LOGIT_FROM = 7, SS_LOGIT_EXPONENTS = 128 - SS_LOGIT_FROM };

typedef struct {
    float least, most, raw_least, raw_most, peak, raw_peak, probability;
    uint64_t nonfinite, raw_nonfinite, lost;
    uint64_t large[SS_LOGIT_EXPONENTS], raw_large[SS_LOGIT_EXPONENTS];
} ss_logit_stats;

#endif
