/* context.c - see context.h */
#include "kernels/context.h"

#include "base/log.h"
#include "base/mem.h"
#include "kernels/internal.h"
#include "kernels/tape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Backends of this build. */
static const ss_backend *const backends[] = {
    &ss_backend_cpu,
#if SS_CUDA
    &ss_backend_cuda,
#endif
};
enum { N_BACKENDS = sizeof backends / sizeof *backends };

const char *ss_device_names(void)
{
    static char names[64];

    return ss_backend_names(backends, N_BACKENDS, names, sizeof names);
}

static const char *const arithmetics[] = {
#define X(name, text) text,
    SS_ARITHMETICS(X)
#undef X
};

const char *ss_arithmetic_name(ss_arithmetic a)
{
    return arithmetics[a];
}

ss_code ss_arithmetic_parse(const char *name, ss_arithmetic *out, ss_err *e)
{
    for (size_t i = 0; i < sizeof arithmetics / sizeof *arithmetics; i++) {
        if (strcmp(name ? name : "auto", arithmetics[i]) == 0) {
            *out = (ss_arithmetic)i;
            return SS_OK;
        }
    }
    return ss_fail(e, SS_USAGE, "--arithmetic '%s': known are auto, f32, tensor", name);
}

ss_code ss_ctx_new(const ss_ctx_options *opt, ss_ctx **out, ss_err *e)
{
    const ss_backend *be;
    int number;
    ss_code rc =
        ss_backend_find(backends, N_BACKENDS, opt->device ? opt->device : "cpu", &be, &number, e);

    return rc == SS_OK ? ss_ctx_new_on(be, number, opt, out, e) : rc;
}

ss_code ss_ctx_new_on(const ss_backend *be, int number, const ss_ctx_options *opt, ss_ctx **out,
                      ss_err *e)
{
    const char *sync = getenv("SIGMASCOPE_SYNC");
    ss_ctx *c = ss_calloc(1, sizeof *c);

    if (!c)
        return ss_no_memory(e, "a context");
    c->be = be;
    c->shapes_only = opt->shapes_only;
    c->sync = sync && *sync && strcmp(sync, "0") != 0;

    ss_code rc = be->open(number, opt, &c->dev, e);
    if (rc != SS_OK) {
        ss_free(c);
        return rc;
    }
    snprintf(c->device_text, sizeof c->device_text, "%s%s%s", be->describe(c->dev),
             opt->arithmetic ? ", arithmetic " : "",
             opt->arithmetic ? ss_arithmetic_name(opt->arithmetic) : "");
    ss_detail("computes on %s", c->device_text);
    *out = c;
    return SS_OK;
}

void ss_ctx_free(ss_ctx *c)
{
    if (!c)
        return;
    ss_tape_end(c);
    ss_results_drop(c);
    c->be->close(c->dev);
    ss_free(c->formats);
    ss_free(c->sites);
    ss_free(c->changes);
    ss_free(c);
}

void ss_ctx_clear(ss_ctx *c)
{
    c->err = (ss_err){0};
    c->depth = 0;
    ss_tape_end(c);
    ss_results_drop(c);
}

int ss_ctx_threads(const ss_ctx *c)
{
    return c->be->threads(c->dev);
}

bool ss_ctx_shapes_only(const ss_ctx *c)
{
    return c->shapes_only;
}

void ss_ctx_set_shapes_only(ss_ctx *c, bool on)
{
    c->shapes_only = on;
}

const char *ss_ctx_device_name(const ss_ctx *c)
{
    return c->be->name;
}

const char *ss_ctx_device_text(const ss_ctx *c)
{
    return c->device_text;
}

ss_usage ss_ctx_usage(const ss_ctx *c)
{
    return c->usage;
}

void ss_ctx_usage_reset(ss_ctx *c)
{
    c->usage.flops = 0;
    c->usage.peak_bytes = c->usage.live_bytes;
}
