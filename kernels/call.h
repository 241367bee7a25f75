/* call.h - the entries of a context's backend as functions of the context; private to kernels/
 *
 * ss_do_NAME(c, ...) runs the entry NAME of backend.h's lists, ss_back_NAME the gradient NAME. An
 * error is in c->op_err, also where the device does not have the entry.
 */
#ifndef SS_KERNELS_CALL_H
#define SS_KERNELS_CALL_H

#include "kernels/internal.h"

/* error.c: what to do where the device lacks an entry, and after a call of one that it has. */
ss_code ss_ctx_lacks(ss_ctx *c, const char *entry);
ss_code ss_ctx_called(ss_ctx *c, ss_code rc);

#define X(name, params, args)                                                                  \
    static inline ss_code ss_do_##name(ss_ctx *c, SS_INSIDE params)                            \
    {                                                                                          \
        return c->be->name ? ss_ctx_called(c, c->be->name(c->dev, SS_INSIDE args, &c->op_err)) \
                           : ss_ctx_lacks(c, #name);                                           \
    }
SS_ENTRIES(X)
#undef X

#define X(name, params, args)                                                                 \
    static inline ss_code ss_back_##name(ss_ctx *c, SS_INSIDE params)                         \
    {                                                                                         \
        return c->be->back_##name                                                             \
                   ? ss_ctx_called(c, c->be->back_##name(c->dev, SS_INSIDE args, &c->op_err)) \
                   : ss_ctx_lacks(c, "gradient of " #name);                                   \
    }
SS_GRADIENTS(X)
#undef X

#endif
