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
#ifndef SS_BASE_STATS_H
#define SS_BASE_STATS_H

#include <stdint.h>

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

/* Statistics of one attention layer for one sample, per head. Logits are l_ij = scale * q_i.k_j
 * (+ mask), p = softmax over the keys j; -inf logits (masked keys) count in nothing.
 *
 *   entropy      mean over queries of H_i = log Z_i - sum_j p_ij l_ij, nats, in [0, log keys]
 *   entropy_min  smallest H_i
 *   max_logit    largest finite l_ij
 *   sink         max over keys of the mean over queries of p_ij: the share of all attention
 *                that the heaviest key receives (1/keys when spread evenly, 1 when all
 *                queries look at one key)
 *
 * Where queries and keys are the tokens of F frames of one video, a query of frame i gives to those
 * of frame j the mass P_ij = sum over them of p; of it there are, each the mean over queries,
 *
 *   frame_mass[0][d]   sum over j of P_ij where |i - j| = d; d = 0: the own frame
 *   frame_mass[1][j]   P_ij, the share of all attention that frame j receives
 */
#define SS_ATTENTION_STATS(X) X(entropy) X(entropy_min) X(max_logit) X(sink)

typedef struct {
#define X(name) float name;
    SS_ATTENTION_STATS(X)
#undef X
    int64_t frames;          /* F of such a layer; 0: keys are no frames */
    const float *frame_mass; /* [2][F]: at a distance, on a frame; NULL where frames is 0 */
} ss_attention_stats;

#endif
