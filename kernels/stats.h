/* stats.h - statistics of tensors; what they are: base/stats.h */
#ifndef SS_KERNELS_STATS_H
#define SS_KERNELS_STATS_H

#include "base/stats.h"
#include "kernels/tensor.h"

/* One entry per sample, [dim 0]; borrowed, valid while the tensor lives, but only up to the next
 * call for the same tensor. The histogram is left out, and may be zero, unless `exponents`: it
 * takes half of the time. Computed on the first call and remembered. Waits for the device: hooks
 * ask instead (results.h). NULL after an error or when the context only infers shapes. */
const ss_stats *ss_tensor_stats(ss_ctx *c, const ss_tensor *x, bool exponents);

/* Values that a half-precision run may store of one head's attention to one sample. Counting every
 * exponent would cost a tenth of the attention, so only rows of logits that reach 2^SS_LOGIT_FROM
 * are counted; smaller values are known to be small, which is what overflow asks (inner.c).
 *
 *   least, most          of the finite logits scale q.k + bias + mask; NaN: there are none. Where
 *                        mask or bias is SS_MASKED or less there is none, here and below
 *   raw_least, raw_most  of the finite scale q.k, of all keys
 *   peak, raw_peak       over the queries, of the largest logit of each: its largest |x|. One that
 *                        overflows to -inf beside others is a probability of 0 and loses nothing
 *   probability          largest p_ij
 *   nonfinite            logits that are inf or NaN; raw_nonfinite: and q.k, unscaled, that are;
 *                        lost: probabilities that are
 *   large[k], raw_large[k]  how many have the exponent SS_LOGIT_FROM + k; raw: of q.k, unscaled */
#define SS_MASKED (-65504.0f) /* the least number of fp16, by which transformers masks */
enum { SS_LOGIT_FROM = 7, SS_LOGIT_EXPONENTS = 128 - SS_LOGIT_FROM };

typedef struct {
    float least, most, raw_least, raw_most, peak, raw_peak, probability;
    uint64_t nonfinite, raw_nonfinite, lost;
    uint64_t large[SS_LOGIT_EXPONENTS], raw_large[SS_LOGIT_EXPONENTS];
} ss_logit_stats;

#endif
