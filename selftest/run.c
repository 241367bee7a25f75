/* run.c - one case on one device (operation.h) */
#include "base/mem.h"
#include "kernels/hooks.h"
#include "kernels/tape.h"
#include "selftest/modules.h"

#include <stdio.h>
#include <string.h>

static bool wants(void *self, const ss_module *m, ss_port p)
{
    (void)self;
    return m->inner && p == SS_PORT_OUTPUT;
}

static bool wants_attention(void *self, const ss_module *m)
{
    (void)self;
    return m == ss_case_module;
}

static void see(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_tensor *x)
{
    (void)self, (void)c, (void)m, (void)p, (void)x;
}

static void see_attention(void *self, ss_ctx *c, const ss_module *m, const ss_attention_stats *s,
                          int n, int heads, int64_t keys)
{
    (void)c, (void)m, (void)keys;
    for (int i = 0; s && i < n * heads; i++) {
#define X(field) ss_outputs_put(self, #field, (double)s[i].field, false);
        SS_ATTENTION_STATS(X)
#undef X
    }
}

static void see_stats(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_stats *s,
                      int n)
{
    (void)c, (void)p;
    if (s)
        ss_case_put_stats(self, m->path + 2, s, n, true);
}

static ss_code set_up(ss_ctx *c, const char *format, ss_outputs *out, ss_err *e)
{
    const ss_hooks hooks = {.self = out,
                            .wants = wants,
                            .wants_attention = wants_attention,
                            .see = see,
                            .see_attention = see_attention,
                            .see_stats = see_stats};
    ss_precision p = {0};
    ss_code rc = ss_format_parse(format, &p.format, e);

    p.gradient = p.format;
    return rc == SS_OK ? ss_ctx_setup(c,
                                      &(ss_setup){.modules = ss_case_modules,
                                                  .n_modules = SS_N_CASE_MODULES,
                                                  .hooks = &hooks,
                                                  .precision = &p},
                                      e)
                       : rc;
}

/* The operands on the device. host [operands] is what parameters read. */
static void make_operands(ss_ctx *c, const ss_case *k, ss_case_values v, float **host,
                          ss_tensor **x)
{
    for (int i = 0; i < SS_CASE_OPERANDS; i++) {
        const int64_t n = k->in[i].rank ? ss_shape_numel(k->in[i]) : 0;

        if (!k->in[i].rank)
            continue;
        host[i] = ss_alloc((size_t)n, sizeof **host);
        if (!host[i]) {
            ss_ctx_fail(c, SS_NOMEM, "an operand of %lld values", (long long)n);
            return;
        }
        ss_case_operand(k, i, v, host[i], n);
        x[i] = k->operation->operands[i] == 'p' ? ss_param(c, SS_F32, k->in[i], host[i])
                                                : ss_upload(c, k->in[i], host[i]);
    }
}

static void backward(ss_ctx *c, const ss_case *k, ss_tensor *const *x, const ss_tensor *y,
                     ss_outputs *out)
{
    const int64_t n = ss_shape_numel(ss_shape_get(y));
    float *seed = ss_alloc((size_t)n, sizeof *seed);
    ss_err e = {0};
    char name[8];

    if (!seed) {
        ss_ctx_fail(c, SS_NOMEM, "a gradient of %lld values", (long long)n);
        return;
    }
    ss_case_seed(k, seed, n);
    ss_tensor *dy = ss_upload(c, ss_shape_get(y), seed);
    ss_tape_seed(c, y, dy, 1);
    ss_tape_backward(c, &e);
    ss_release(dy);
    ss_free(seed);
    for (int i = 0; i < SS_CASE_OPERANDS && !ss_ctx_failed(c); i++) {
        snprintf(name, sizeof name, "d%d", i);
        if (x[i] && ss_tensor_gradient(x[i]))
            ss_case_put_gradient(c, out, name, ss_tensor_gradient(x[i]));
    }
}

static void run_forward(ss_ctx *c, const ss_case *k, ss_tensor *const *x, ss_outputs *out)
{
    ss_err e = {0};

    for (int i = 0; i < SS_CASE_OPERANDS; i++)
        if (x[i])
            ss_tensor_want_gradient(x[i], k->operation->operands[i] != 'c');
    ss_tape_begin(c, NULL, &e);
    ss_tensor *y = k->operation->forward(c, k, x);
    ss_case_put(c, out, "y", y);
    if (y && !ss_ctx_failed(c))
        backward(c, k, x, y, out);
    ss_tape_end(c);
    ss_release(y);
}

ss_code ss_case_run(ss_ctx *c, const ss_case *k, ss_case_values v, const char *format,
                    ss_outputs *out, ss_err *e)
{
    float *host[SS_CASE_OPERANDS] = {0};
    ss_tensor *x[SS_CASE_OPERANDS] = {0};
    ss_code rc = set_up(c, format, out, e);

    if (rc != SS_OK)
        return rc;
    make_operands(c, k, v, host, x);
    if (!ss_ctx_failed(c) && k->operation->forward)
        run_forward(c, k, x, out);
    else if (!ss_ctx_failed(c))
        k->operation->other(c, k, x, out);
    for (int i = 0; i < SS_CASE_OPERANDS; i++)
        ss_release(x[i]);
    rc = ss_ctx_finish(c, e);
    ss_ctx_clear(c);
    for (int i = 0; i < SS_CASE_OPERANDS; i++)
        ss_free(host[i]);
    if (rc == SS_OK && out->failed)
        rc = ss_no_memory(e, "the results of a case");
    return rc;
}
