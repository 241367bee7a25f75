/* loss.h - the squared error of an answer, where it is, and its gradient
 *
 *   dy = ss_squared_error(c, y, target, slope, take, self);
 *   ss_tape_seed(c, y, dy, 1);
 *   ...
 *   rc = ss_ctx_finish(c, &err);    // calls take
 */
#ifndef SS_KERNELS_LOSS_H
#define SS_KERNELS_LOSS_H

#include "kernels/tensor.h"

/* squares [n] of each sample: sum (y - target)^2 over its values, in double and in a fixed order.
 */
typedef void ss_take_squares(void *self, const double *squares, int64_t n);

/* slope_i (y - target) of sample i, in double and then f32, as y; like every upload it is rounded
 * where the policy says so. target [as y] and slope [dim 0 of y] are on the host and live for the
 * call only. take is called by ss_ctx_finish, as results.h has it. NULL after recording an error in
 * the context. */
ss_tensor *ss_squared_error(ss_ctx *c, const ss_tensor *y, const float *target, const double *slope,
                            ss_take_squares *take, void *self);

#endif
