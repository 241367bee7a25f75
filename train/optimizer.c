/* optimizer.c - see optimizer.h */
#include "train/optimizer.h"

#include "base/mem.h"
#include "train/optimizer_state.h"

#include <float.h>
#include <math.h>
#include <omp.h>
#include <string.h>

enum { BLOCK = 4096 }; /* values that are summed at a stretch, by one thread */

ss_optimizer_options ss_optimizer_defaults(void)
{
    return (ss_optimizer_options){.kind = SS_OPTIMIZER_ADAM,
                                  .lr = 1e-4,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .eps = 1e-8,
                                  .momentum = 0.9,
                                  .rate = SS_RATE_CONSTANT,
                                  .ema_warmup = SS_EMA_DIFFUSERS};
}

ss_code ss_optimizer_check(const ss_optimizer_options *p, ss_err *e)
{
    const struct {
        const char *name;
        double v;
        double below; /* 0: any that is finite */
    } numbers[] = {{"lr", p->lr, 0},
                   {"eps", p->eps, 0},
                   {"weight_decay", p->weight_decay, 0},
                   {"clip", p->clip, 0},
                   {"beta1", p->beta1, 1},
                   {"beta2", p->beta2, 1},
                   {"momentum", p->momentum, 1},
                   {"ema_decay", p->ema_decay, 1}};

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const double v = numbers[i].v;

        if (numbers[i].below > 0 && !(v >= 0 && v < numbers[i].below))
            return ss_fail(e, SS_USAGE, "%s is %g; expected 0 or more, and less than %g",
                           numbers[i].name, v, numbers[i].below);
        if (!(v >= 0) || !isfinite(v))
            return ss_fail(e, SS_USAGE, "%s is %g; expected a finite number, 0 or more",
                           numbers[i].name, v);
    }
    if (!(p->floor >= 0 && p->floor <= 1))
        return ss_fail(e, SS_USAGE, "floor is %g; expected a share of lr, 0 to 1", p->floor);
    if (p->warmup < 0)
        return ss_fail(e, SS_USAGE, "warmup is %lld; expected 0 or more", (long long)p->warmup);
    if (p->rate != SS_RATE_CONSTANT && p->steps <= p->warmup)
        return ss_fail(e, SS_USAGE, "steps is %lld; expected more than the %lld of the warm-up",
                       (long long)p->steps, (long long)p->warmup);
    if (p->nesterov && p->momentum == 0)
        return ss_fail(e, SS_USAGE, "nesterov needs a momentum over 0");
    return SS_OK;
}

double ss_optimizer_rate(const ss_optimizer_options *p, int64_t t)
{
    double share = 1, at;

    if (t < p->warmup)
        return p->lr * ((double)t / (double)p->warmup);
    if (p->rate == SS_RATE_CONSTANT)
        return p->lr;
    at = fmin(1, (double)(t - p->warmup) / (double)(p->steps - p->warmup));
    share = p->rate == SS_RATE_LINEAR ? 1 - at : (1 + cos(M_PI * at)) / 2;
    return p->lr * fmax(share, p->floor);
}

double ss_optimizer_ema_decay(const ss_optimizer_options *p, int64_t t)
{
    if (p->ema_warmup == SS_EMA_DIFFUSERS)
        return t <= 1 ? 0 : fmin(p->ema_decay, (double)t / (double)(t + 9));
    if (p->ema_warmup == SS_EMA_EDM) /* decay = 0.5 ^ (1 / half-life) */
        return fmin(p->ema_decay, pow(0.5, 20 / (double)t));
    return p->ema_decay;
}

static ss_code allocate(ss_optimizer *o, float **at, ss_err *e)
{
    *at = ss_calloc((size_t)o->total, sizeof **at);
    return *at ? SS_OK
               : ss_fail(e, SS_NOMEM, "no memory for the state of %lld weights",
                         (long long)o->total);
}

ss_code ss_optimizer_new(const ss_optimizer_options *opt, const ss_trained *tensors, size_t n,
                         ss_optimizer **out, ss_err *e)
{
    ss_code rc = ss_optimizer_check(opt, e);
    int64_t largest = 0;
    ss_optimizer *o;

    if (rc != SS_OK)
        return rc;
    o = ss_calloc(1, sizeof *o);
    if (!o)
        return ss_fail(e, SS_NOMEM, "out of memory");
    o->opt = *opt;
    o->n = n;
    o->tensor = ss_alloc(n, sizeof *o->tensor);
    o->first = ss_alloc(n, sizeof *o->first);
    if (!o->tensor || !o->first)
        rc = ss_fail(e, SS_NOMEM, "out of memory");
    for (size_t i = 0; i < n && rc == SS_OK; i++) {
        o->tensor[i] = tensors[i];
        o->first[i] = o->total;
        o->total += tensors[i].n;
        largest = tensors[i].n > largest ? tensors[i].n : largest;
    }
    if (rc == SS_OK) {
        o->part = ss_alloc((size_t)(largest + BLOCK - 1) / BLOCK, sizeof *o->part);
        rc = o->part ? allocate(o, &o->m, e) : ss_fail(e, SS_NOMEM, "out of memory");
    }
    if (rc == SS_OK && (opt->kind == SS_OPTIMIZER_ADAM || opt->kind == SS_OPTIMIZER_ADAMW))
        rc = allocate(o, &o->v, e);
    if (rc == SS_OK && opt->ema_decay > 0)
        rc = allocate(o, &o->ema, e);
    if (rc != SS_OK) {
        ss_optimizer_free(o);
        return rc;
    }
    for (size_t i = 0; i < n && o->ema; i++)
        memcpy(o->ema + o->first[i], o->tensor[i].w, (size_t)o->tensor[i].n * sizeof(float));
    *out = o;
    return SS_OK;
}

void ss_optimizer_free(ss_optimizer *o)
{
    if (!o)
        return;
    ss_free(o->tensor);
    ss_free(o->first);
    ss_free(o->part);
    ss_free(o->m);
    ss_free(o->v);
    ss_free(o->ema);
    ss_free(o);
}

double ss_optimizer_norm(const ss_optimizer *o, const float *const *grad)
{
    double total = 0;

    for (size_t i = 0; i < o->n; i++) {
        const int64_t n = o->tensor[i].n;
        const float *g = grad[i];

        for (int64_t b = 0; b < n; b += BLOCK) {
            const int64_t end = b + BLOCK < n ? b + BLOCK : n;
            double sum = 0;

#pragma omp simd reduction(+ : sum)
            for (int64_t k = b; k < end; k++)
                sum += (double)g[k] * g[k];
            total += sum;
        }
    }
    return sqrt(total);
}

/* All that one step does alike for every value, rounded once to f32 as PyTorch does. */
typedef struct {
    ss_optimizer_kind kind;
    bool nesterov, first;
    float scale, decay, keep, beta1, rest1, beta2, rest2, eps, momentum, rate, rate1, root2;
    double correction2, floor2; /* 1 - beta2^t; eps^2, or the smallest number over 0 */
} step_rule;

static step_rule make_rule(const ss_optimizer_options *p, int64_t t, double scale)
{
    const double rate = ss_optimizer_rate(p, t);
    const double correction1 = 1 - pow(p->beta1, (double)t);
    const double correction2 = 1 - pow(p->beta2, (double)t);

    return (step_rule){.kind = p->kind,
                       .nesterov = p->nesterov,
                       .first = t == 1,
                       .scale = (float)scale,
                       .decay = (float)p->weight_decay,
                       .keep = (float)(1 - rate * p->weight_decay),
                       .beta1 = (float)p->beta1,
                       .rest1 = (float)(1 - p->beta1),
                       .beta2 = (float)p->beta2,
                       .rest2 = (float)(1 - p->beta2),
                       .eps = (float)p->eps,
                       .momentum = (float)p->momentum,
                       .rate = (float)rate,
                       .rate1 = (float)(rate / correction1),
                       .root2 = (float)sqrt(correction2),
                       .correction2 = correction2,
                       .floor2 = fmax(p->eps * p->eps, DBL_MIN)};
}

/* The weight after a step; *m and *v move on. */
static inline float step_value(ss_optimizer_kind kind, const step_rule *r, float w, float g,
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
static void step_values(const step_rule *rule, const float *grad, float *w, float *m, float *v,
                        int64_t n)
{
    const step_rule r = *rule;

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
static ss_step_sums sum_block(const step_rule *r, const float *grad, const float *before,
                              const float *w, const float *v, int64_t n)
{
    const double floor = r->floor2 * r->correction2; /* of v, as v^ = v / correction2 */
    double g2 = 0, w2 = 0, dw2 = 0, stale = 0;

#pragma omp simd reduction(+ : g2, w2, dw2)
    for (int64_t k = 0; k < n; k++) {
        const double g = grad[k] * r->scale, d = (double)w[k] - before[k];

        g2 += g * g;
        w2 += (double)before[k] * before[k];
        dw2 += d * d;
    }
#pragma omp simd reduction(+ : stale)
    for (int64_t k = 0; k < (v ? n : 0); k++) {
        const double g = grad[k] * r->scale;

        stale += g * g / (v[k] > floor ? v[k] : floor);
    }
    return (ss_step_sums){.g2 = g2, .dw2 = dw2, .w2 = w2, .stale = stale * r->correction2};
}

/* One step of n values at a stretch; *sums unless NULL. */
static void step_block(ss_optimizer *o, size_t i, const float *grad, const step_rule *r,
                       int64_t begin, int64_t n, ss_step_sums *sums)
{
    float *w = o->tensor[i].w + begin, *m = o->m + o->first[i] + begin;
    float *v = o->v ? o->v + o->first[i] + begin : NULL, before[BLOCK];

    if (sums)
        memcpy(before, w, (size_t)n * sizeof *before);
    step_values(r, grad + begin, w, m, v ? v : m, n); /* what has no v does not touch it */
    if (sums)
        *sums = sum_block(r, grad + begin, before, w, v, n);
}

/* A tensor of few blocks is not worth waking others. */
static int team_of(const ss_optimizer *o, int64_t blocks)
{
    return blocks < 8 ? 1 : o->opt.threads > 0 ? o->opt.threads : omp_get_max_threads();
}

static void step_tensor(ss_optimizer *o, size_t i, const float *grad, const step_rule *r,
                        ss_update *u)
{
    const int64_t n = o->tensor[i].n, blocks = (n + BLOCK - 1) / BLOCK;
    ss_step_sums *part = o->part;
    ss_step_sums s = {0};

#pragma omp parallel for num_threads(team_of(o, blocks))
    for (int64_t b = 0; b < blocks; b++)
        step_block(o, i, grad, r, b * BLOCK, n - b * BLOCK < BLOCK ? n - b * BLOCK : BLOCK,
                   u ? &part[b] : NULL);
    if (!u)
        return;
    for (int64_t b = 0; b < blocks; b++) { /* in the same order on any number of threads */
        s.g2 += part[b].g2;
        s.w2 += part[b].w2;
        s.dw2 += part[b].dw2;
        s.stale += part[b].stale;
    }
    const double count = n > 0 ? (double)n : 1;

    *u = (ss_update){.gradient_rms = sqrt(s.g2 / count),
                     .update_rms = sqrt(s.dw2 / count),
                     .weight_rms = sqrt(s.w2 / count),
                     .staleness = o->v ? sqrt(s.stale / count) : NAN};
}

static void average(ss_optimizer *o)
{
    const float rest = (float)(1 - ss_optimizer_ema_decay(&o->opt, o->t));

    for (size_t i = 0; i < o->n; i++) {
        const float *w = o->tensor[i].w;
        float *a = o->ema + o->first[i];

#pragma omp parallel for simd num_threads(team_of(o, o->tensor[i].n / BLOCK))
        for (int64_t k = 0; k < o->tensor[i].n; k++)
            a[k] -= rest * (a[k] - w[k]);
    }
}

void ss_optimizer_step(ss_optimizer *o, const float *const *grad, double multiplier, double norm,
                       ss_update *update)
{
    double scale = multiplier;

    if (o->opt.clip > 0)
        scale *= fmin(1, o->opt.clip / (norm * multiplier + 1e-6)); /* PyTorch's 1e-6 */
    o->t++;
    const step_rule r = make_rule(&o->opt, o->t, scale);

    for (size_t i = 0; i < o->n; i++)
        step_tensor(o, i, grad[i], &r, update ? &update[i] : NULL);
    if (o->ema)
        average(o);
}

int64_t ss_optimizer_steps(const ss_optimizer *o)
{
    return o->t;
}

const float *ss_optimizer_ema(const ss_optimizer *o, size_t i)
{
    return o->ema ? o->ema + o->first[i] : NULL;
}
