/* results.h - what hooks ask of tensors while a network runs, and get later
 *
 *   ss_ask_stats(c, x, true, m, p, take, self);    // in a hook that sees x
 *   ...                                            // the network goes on, x may go
 *   rc = ss_ctx_finish(c, &err);                   // calls take for it
 *
 * Asking does not wait: the device computes what was asked for in its turn. ss_ctx_finish
 * (context.h) waits for it and delivers the results in the order in which they were asked for;
 * where more than SS_RESULT_BYTES wait, an asker delivers the earlier ones. Statistics of attention
 * and of inner values (hooks.h) come in the same way and in the same order. After an error, and by
 * ss_ctx_clear, results that are not delivered are dropped.
 *
 * self and m stay until then. A function that takes results asks for nothing and calls no
 * operations; it may record an error (ss_ctx_fail). Where only shapes are inferred, and after an
 * error, asking does nothing.
 */
#ifndef SS_KERNELS_RESULTS_H
#define SS_KERNELS_RESULTS_H

#include "kernels/hooks.h"

enum { SS_RESULT_BYTES = 64 << 20 };

/* Statistics of each sample (stats.h), s [n]. Without `exponents` the histogram is left out, and
 * may be zero: it takes half of the time. */
typedef void ss_take_stats(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_stats *s,
                           int n);
void ss_ask_stats(ss_ctx *c, const ss_tensor *x, bool exponents, const ss_module *m, ss_port p,
                  ss_take_stats *take, void *self);

/* Statistics without histogram of n values of x, f32, from `from` on, as of one sample; m is NULL.
 */
void ss_ask_part_stats(ss_ctx *c, const ss_tensor *x, int64_t from, int64_t n, ss_take_stats *take,
                       void *self);

/* Per sample and channel (innermost dimension, `width`), over finite values: absmax and rms
 * [n][width]. A channel without finite values gives NaN. */
typedef void ss_take_channels(void *self, ss_ctx *c, const ss_module *m, ss_port p,
                              const float *absmax, const float *rms, int n, int64_t width);
void ss_ask_channels(ss_ctx *c, const ss_tensor *x, const ss_module *m, ss_port p,
                     ss_take_channels *take, void *self);

/* All values of sample k, n of them as f32. */
typedef void ss_take_sample(void *self, ss_ctx *c, const ss_module *m, ss_port p, int k,
                            const float *values, int64_t n);
void ss_ask_sample(ss_ctx *c, const ss_tensor *x, int k, const ss_module *m, ss_port p,
                   ss_take_sample *take, void *self);

#endif
