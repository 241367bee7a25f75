/* operand.h - what the files of operations share: checks of operands, and their texts; private
 * to kernels/
 *
 * The skeleton of an operation, the same for each; its forward calls the backend, its backward the
 * backend's gradients:
 *
 *   static const ss_op op = {.name = "op", .forward = f, .backward = b, .saves = SAVES(0)};
 *   if (!ready(c, x)) // an earlier error, or a NULL input
 *       return NULL;
 *   if (x->shape.rank < 2) {
 *       ss_ctx_fail(c, SS_SHAPE, "name: x is %s", TEXT(x));
 *       return NULL;
 *   }
 *   ss_node n = {.op = &op, .in = {x}, .shape = x->shape}; // the shape of the output
 *   return ss_node_run(c, &n);
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
