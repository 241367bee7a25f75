/* watch.c - see watch.h */
#include "tests/bench/watch.h"

#include "kernels/results.h"

static bool wants(void *self, const ss_module *m, ss_port p)
{
    (void)self, (void)m, (void)p;
    return true;
}

static bool wants_attention(void *self, const ss_module *m)
{
    (void)self, (void)m;
    return true;
}

static void see_attention(void *self, ss_ctx *c, const ss_module *m, const ss_attention_stats *s,
                          int n, int heads, int64_t keys)
{
    (void)self, (void)c, (void)m, (void)s, (void)n, (void)heads, (void)keys;
}

/* self: NULL for no histogram */
static void see_stats(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_stats *s,
                      int n)
{
    (void)self, (void)c, (void)m, (void)p, (void)s, (void)n;
}

static void see(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_tensor *x)
{
    ss_ask_stats(c, x, self != NULL, m, p, see_stats, self);
}

const ss_hooks bench_hooks = {&(int){1}, wants, wants_attention, see, see_attention, see_stats};
static const ss_hooks without_histogram = {NULL, wants,         wants_attention,
                                           see,  see_attention, see_stats};

double bench_watched_run(void *state)
{
    const bench_watched *w = state;

    bench_set_watch(w->network->c, w->network->model, w->watch);
    return bench_network_run(w->network);
}

void bench_set_watch(ss_ctx *c, const ss_model *m, bench_watch w)
{
    ss_precision precision = {.scope = w.scope};
    ss_setup setup = {.hooks = !w.statistics  ? NULL
                               : !w.histogram ? &without_histogram
                                              : &bench_hooks};
    ss_err e = {0};

    setup.modules = ss_model_modules(m, &setup.n_modules);
    if (w.precision) {
        bench_need(ss_format_parse(w.precision, &precision.format, &e), &e);
        setup.precision = &precision;
    }
    bench_need(ss_ctx_setup(c, &setup, &e), &e);
}
