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

ss_code ss_ctx_wait(ss_ctx *c, const char *why)
{
    ss_err late = {0};
    const ss_code rc = c->be->finish(c->dev, &late);

    return rc == SS_OK ? SS_OK : ss_fail(&c->op_err, rc, "%s (%s)", late.msg, why);
}

ss_code ss_ctx_called(ss_ctx *c, ss_code rc)
{
    if (rc != SS_OK) {
        ss_err late;

        c->be->finish(c->dev, &late); /* it may still write results, whose place goes now */
        return rc;
    }
    return c->sync ? c->be->finish(c->dev, &c->op_err) : SS_OK;
}
