/* tape.h - gradients by reverse differentiation
 *
 *   ss_tensor_want_gradient(w, true);           // once for each parameter
 *   ss_tape_begin(c, NULL, &err);
 *   y = ss_affine(c, w, 2, 1);                  // operations (ops.h) leave nodes on the tape
 *   ss_tape_seed(c, y, dy, 1);                  // dL/dy; any number of tensors
 *   rc = ss_tape_backward(c, &err);             // adds to the gradients of the parameters
 *   g = ss_tensor_gradient(w);                  // dL/dw
 *   ss_tensor_zero_gradient(w);                 // before the next step
 *
 * An operation is recorded when one of its operands wants a gradient, or came from such
 * operands. The tape keeps those operands' values that the backward needs (each operation says
 * which, and why they suffice) and drops them, and the gradients of intermediate tensors, as it
 * unwinds. Values and bits of the forward pass are those of a run without a tape.
 *
 * Gradients add up: a tensor used twice gets the sum, and a second backward adds to the first
 * until ss_tensor_zero_gradient. The order of every sum is that of the tape, so the same program
 * gives the same bits on any number of threads.
 *
 * Under a precision policy (hooks.h) the gradient of an operation's output is rounded to the
 * gradient format of its module when it is complete, before it is handed on; what an operation
 * contributes to a parameter's gradient is rounded to that format too.
 */
#ifndef SS_KERNELS_TAPE_H
#define SS_KERNELS_TAPE_H

#include "kernels/tensor.h"

typedef struct {
    /* Gradient checkpointing (Chen et al. 2016): what a block (ss_module.block) computed inside
     * is dropped when it is left, and computed again when the tape comes back to it, with the
     * same bits. Costs one more forward pass of time. */
    bool recompute;
} ss_tape_options;

/* Starts recording; opt may be NULL. SS_UNSUPPORTED on a device that has no gradients, SS_USAGE
 * when there is a tape already. While it records, ss_ctx_setup is refused. */
ss_code ss_tape_begin(ss_ctx *c, const ss_tape_options *opt, ss_err *e);

/* True if a gradient can come to y: a tape records, and y depends on what wants one. */
bool ss_tape_reaches(const ss_ctx *c, const ss_tensor *y);

/* Adds scale * g to the gradient of y, an output of a recorded operation; g [as y] may be y
 * itself. An error in the context when no gradient can come to y. */
void ss_tape_seed(ss_ctx *c, const ss_tensor *y, const ss_tensor *g, float scale);

/* Runs the tape backwards and ends the recording, also on failure: the first error of the
 * context since the last clear. The gradients of parameters are then incomplete. */
ss_code ss_tape_backward(ss_ctx *c, ss_err *e);

/* Stops the recording of operations, whose values are only looked at, or goes on with it. Returns
 * true if they were recorded until now; false if there is no tape. */
bool ss_tape_pause(ss_ctx *c, bool pause);

/* Ends the recording without gradients; as ss_ctx_clear does. */
void ss_tape_end(ss_ctx *c);

/* Decides if x, a parameter or an input that no operation made, gets gradients. Off (as it is at
 * first) nothing is computed for it: a frozen parameter; a gradient it had is dropped. Not
 * while a tape records operations on x. Running out of memory is an error in the context. */
void ss_tensor_want_gradient(ss_tensor *x, bool on);

/* The sum of the gradients so far, f32, of x's shape, borrowed until the next backward or zero;
 * NULL when there was none, which stands for zeros. */
const ss_tensor *ss_tensor_gradient(const ss_tensor *x);
void ss_tensor_zero_gradient(ss_tensor *x);

#endif
