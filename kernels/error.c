/* error.c - the first error of a context (context.h) */
#include "kernels/call.h"

#include <stdarg.h>
#include <stdio.h>

ss_code ss_ctx_check(const ss_ctx *c, ss_err *e)
{
    if (e && c->err.code != SS_OK)
        *e = c->err;
    return c->err.code;
}

bool ss_ctx_failed(const ss_ctx *c)
{
    return c->err.code != SS_OK;
}

void *ss_ctx_fail(ss_ctx *c, ss_code code, const char *fmt, ...)
{
    char text[sizeof c->err.msg / 2];
    const char *where = c->depth ? c->stack[c->depth - 1]->path : "";
    va_list ap;

    if (ss_ctx_failed(c))
        return NULL;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ss_fail(&c->err, code, "%s%s%s", where, *where ? ": " : "", text);
    return NULL;
}

ss_code ss_ctx_lacks(ss_ctx *c, const char *entry)
{
    return ss_fail(&c->op_err, SS_UNSUPPORTED, "device %s has no %s; --device cpu has", c->be->name,
                   entry);
}
