/* operand.h - what the files of operations share: checks of operands, and their texts; private
 * to kernels/
 *
 * The skeleton of an operation, the same for each:
 *
 *   static ss_code op_forward(c, n, y)               calls the backend
 *   static ss_code op_backward(c, n, dy, dx)         calls the backend's gradients
 *   ss_tensor *ss_op(c, x, ...)
 *       if (!ready(c, x)) return NULL;               an earlier error, or a NULL input
 *       if (<shapes do not fit>) return ss_ctx_fail(c, SS_SHAPE, ...);
 *       ss_node n = {.op = &op, .in = {x}, .shape = <of the output>, .arg = ...};
 *       return ss_node_run(c, &n);
 *
 * The comment at the backward says what it needs of the forward, which is what the tape keeps.
 */
#ifndef SS_KERNELS_OPERAND_H
#define SS_KERNELS_OPERAND_H

#include "kernels/internal.h"

#include <assert.h>

/* Shapes in messages: TEXT(x) is good until the end of the statement. */
#define TEXT(x) ss_shape_text((x)->shape, (char[96]){0}, 96)

static inline bool ready(const ss_ctx *c, const ss_tensor *x)
{
    assert(x || ss_ctx_failed(c)); /* a NULL nobody complained about is our bug */
    return x && !ss_ctx_failed(c);
}

/* All dimensions but the last together. */
static inline int64_t rows_of(const ss_tensor *x)
{
    int64_t last = ss_dim(x, -1);

    return last ? ss_shape_numel(x->shape) / last : 0;
}

/* A vector parameter of n values, or none. */
static inline bool fits(const ss_tensor *v, int64_t n)
{
    return !v || ss_shape_numel(v->shape) == n;
}

#endif
