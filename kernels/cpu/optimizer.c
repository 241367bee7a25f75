/* optimizer.c - the step of an optimiser (step.h), in blocks that threads share
 *
 * Every sum is taken over fixed blocks, and these are added in order.
 */
#include "kernels/cpu/cpu.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 4096 }; /* values that are summed at a stretch, by one thread */

/* The weight after a step; *m and *v move on. */
static inline float step_value(ss_optimizer_kind kind, const ss_step_rule *r, float w, float g,
                               float *m, float *v)
{
    switch (kind) {
    case SS_OPTIMIZER_SGD:
        if (r->decay != 0)
            g += r->decay * w;
        *m = r->first ? g : r->momentum * *m + g;
        return w - r->rate * (r->nesterov ? g + r->momentum * *m : *m);
    case SS_OPTIMIZER_LION: {
        const float c = *m * r->beta1 + r->rest1 * g;

        *m = *m * r->beta2 + r->rest2 * g;
        w *= r->keep;
        return w - r->rate * (c > 0 ? 1.0f : c < 0 ? -1.0f : c); /* 0 and NaN are their own sign */
    }
    case SS_OPTIMIZER_ADAMW:
    case SS_OPTIMIZER_ADAM:
    case SS_N_OPTIMIZERS: break;
    }
    if (kind == SS_OPTIMIZER_ADAMW)
        w *= r->keep;
    else if (r->decay != 0)
        g += r->decay * w;
    *m += r->rest1 * (g - *m);
    *v = *v * r->beta2 + r->rest2 * g * g;
    return w - r->rate1 * *m / (sqrtf(*v) / r->root2 + r->eps);
}

/* The kind is chosen outside of the loop over values, so that it vectorises. */
static void step_values(const ss_step_rule *rule, const float *grad, float *w, float *m, float *v,
                        int64_t n)
{
    const ss_step_rule r = *rule;

#define LOOP(kind)                                             \
    _Pragma("omp simd") for (int64_t k = 0; k < n; k++) w[k] = \
        step_value(kind, &r, w[k], grad[k] * r.scale, &m[k], &v[k])
    switch (r.kind) {
    case SS_OPTIMIZER_SGD: LOOP(SS_OPTIMIZER_SGD); break;
    case SS_OPTIMIZER_LION: LOOP(SS_OPTIMIZER_LION); break;
    case SS_OPTIMIZER_ADAMW: LOOP(SS_OPTIMIZER_ADAMW); break;
    case SS_OPTIMIZER_ADAM: LOOP(SS_OPTIMIZER_ADAM); break;
    case SS_N_OPTIMIZERS: break;
    }
#undef LOOP
}

/* v is NULL where there is none. */
static ss_step_sums sum_block(const ss_step_rule *r, const float *grad, const float *before,
                              const float *w, const float *v, int64_t n)
{
    const double floor = r->floor2 * r->correction2; /* of v, as v^ = v / correction2 */
    double g2 = 0, w2 = 0, dw2 = 0, stale = 0, lost = 0;

#pragma omp simd reduction(+ : g2, w2, dw2)
    for (int64_t k = 0; k < n; k++) {
        const double g = grad[k] * r->scale, d = (double)w[k] - before[k];

        g2 += g * g;
        w2 += (double)before[k] * before[k];
        dw2 += d * d;
    }
#pragma omp simd reduction(+ : stale, lost)
    for (int64_t k = 0; k < (v ? n : 0); k++) {
        const double g = grad[k] * r->scale;

        lost += v[k] == 0 && g != 0;
        stale += g * g / (v[k] > floor ? v[k] : floor);
    }
    return (ss_step_sums){
        .g2 = g2, .dw2 = dw2, .w2 = w2, .stale = stale * r->correction2, .lost = lost};
}

/* Values [begin, begin + n) of the tensors; a member is NULL where there is none. */
typedef struct {
    const float *g;
    float *w, *m, *v, *ema;
} block;

static float *values_at(const ss_tensor *x, int64_t begin)
{
    return x ? (float *)x->data + begin : NULL;
}

/* Rounds n values, of which the first is value `begin` of the tensor. */
static void keep_values(const ss_step_rule *r, ss_kept format, uint64_t key, unsigned what,
                        int64_t begin, float *x, int64_t n)
{
    const bool stochastic = r->stochastic;

    for (int64_t k = 0; k < (x && format != SS_KEPT_F32 ? n : 0); k++)
        x[k] = ss_keep_value(format, stochastic, key, begin + k, what, x[k]);
}

static void step_block(const ss_step *s, const ss_step_rule *r, int64_t begin, int64_t n,
                       ss_step_sums *sums)
{
    static const float zeros[BLOCK];
    const block b = {s->gradient ? values_at(s->gradient, begin) : zeros, values_at(s->w, begin),
                     values_at(s->m, begin), values_at(s->v, begin), values_at(s->ema, begin)};
    float before[BLOCK];

    if (sums)
        memcpy(before, b.w, (size_t)n * sizeof *before);
    step_values(r, b.g, b.w, b.m, b.v ? b.v : b.m, n); /* what has no v does not touch it */
    keep_values(r, r->weights, s->key, 0, begin, b.w, n);
    keep_values(r, r->states, s->key, 1, begin, b.m, n);
    keep_values(r, r->states, s->key, 2, begin, b.v, n);
    if (sums)
        *sums = sum_block(r, b.g, before, b.w, b.v, n);
#pragma omp simd
    for (int64_t k = 0; k < (b.ema ? n : 0); k++)
        b.ema[k] -= r->ema_rest * (b.ema[k] - b.w[k]);
}

static int64_t length(int64_t n, int64_t begin)
{
    return n - begin < BLOCK ? n - begin : BLOCK;
}

/* A tensor of few blocks is not worth waking others. */
static int team_of(const ss_device *d, int64_t blocks)
{
    return blocks < 8 ? 1 : d->threads;
}

/* The step of one parameter. */
static ss_code step_one(ss_device *d, const ss_step *s, const ss_step_rule *r, ss_step_sums *sums,
                        ss_err *e)
{
    const int64_t n = ss_shape_numel(s->w->shape), blocks = (n + BLOCK - 1) / BLOCK;
    ss_step_sums *part = NULL;

    if (sums && !(part = ss_pool_alloc(&d->pool, (size_t)blocks * sizeof *part)))
        return ss_fail(e, SS_NOMEM, "an optimiser's step: sums of %lld blocks", (long long)blocks);
#pragma omp parallel for num_threads(team_of(d, blocks))
    for (int64_t b = 0; b < blocks; b++)
        step_block(s, r, b * BLOCK, length(n, b * BLOCK), part ? &part[b] : NULL);
    ss_unit_rows(s->w->data, n, s->unit_row);
    if (!sums)
        return SS_OK;
    *sums = (ss_step_sums){0};
    for (int64_t b = 0; b < blocks; b++) { /* in the same order on any number of threads */
        sums->g2 += part[b].g2;
        sums->w2 += part[b].w2;
        sums->dw2 += part[b].dw2;
        sums->stale += part[b].stale;
        sums->lost += part[b].lost;
    }
    ss_pool_free(&d->pool, part);
    return SS_OK;
}

ss_code ss_cpu_optimizer_step(ss_device *d, const ss_step *s, size_t n, const ss_step_rule *r,
                              ss_step_sums *sums, ss_err *e)
{
    ss_code rc = SS_OK;

    for (size_t i = 0; i < n && rc == SS_OK; i++)
        rc = step_one(d, &s[i], r, sums ? &sums[i] : NULL, e);
    return rc;
}

static double block_squares(const float *x, int64_t n)
{
    double sum = 0;

#pragma omp simd reduction(+ : sum)
    for (int64_t k = 0; k < n; k++)
        sum += (double)x[k] * x[k];
    return sum;
}

ss_code ss_cpu_sum_squares(ss_device *d, const ss_tensor *const *x, size_t n, double *sum,
                           ss_err *e)
{
    int64_t most = 0;

    for (size_t i = 0; i < n; i++) {
        const int64_t values = x[i] ? ss_shape_numel(x[i]->shape) : 0;

        most = values > most ? values : most;
    }
    double *part = ss_pool_alloc(&d->pool, (size_t)(most / BLOCK + 1) * sizeof *part), total = 0;
    if (!part)
        return ss_fail(e, SS_NOMEM, "a sum of squares: %lld values", (long long)most);
    for (size_t i = 0; i < n; i++) {
        const int64_t values = x[i] ? ss_shape_numel(x[i]->shape) : 0;
        const int64_t blocks = (values + BLOCK - 1) / BLOCK;

#pragma omp parallel for num_threads(team_of(d, blocks))
        for (int64_t b = 0; b < blocks; b++)
            part[b] = block_squares(values_at(x[i], b * BLOCK), length(values, b * BLOCK));
        for (int64_t b = 0; b < blocks; b++)
            total += part[b];
    }
    *sum = total;
    ss_pool_free(&d->pool, part);
    return SS_OK;
}
