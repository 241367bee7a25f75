/* sampler.c - see sampler.h; which levels are visited is decided in sampler_levels.c */
#include "models/sampling/sampler.h"

#include "base/mem.h"
#include "models/sampling/sampler_levels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ss_sampler {
    ss_sampler_options opt;
    ss_sampler_levels levels;
    ss_prediction prediction;
    bool score; /* the network takes sigma and answers -n / sigma */
};

ss_code ss_sampler_new(const ss_sampler_options *opt, const ss_schedule *schedule, int steps,
                       ss_sampler **out, ss_err *e)
{
    ss_sampler *s = ss_calloc(1, sizeof *s);
    ss_code rc;

    if (!s)
        return ss_no_memory(e, "a sampler");
    s->opt = *opt;
    s->score = !schedule;
    s->prediction = schedule ? ss_schedule_prediction(schedule) : SS_PREDICT_EPSILON;
    rc = ss_sampler_levels_make(opt, schedule, steps, &s->levels, e);
    if (rc != SS_OK) {
        ss_sampler_free(s);
        return rc;
    }
    *out = s;
    return SS_OK;
}

void ss_sampler_free(ss_sampler *s)
{
    if (!s)
        return;
    ss_sampler_levels_release(&s->levels);
    ss_free(s);
}

ss_sampler_kind ss_sampler_kind_of(const ss_sampler *s)
{
    return s->opt.kind;
}

int ss_sampler_count(const ss_sampler *s)
{
    return s->levels.n;
}

const ss_sampler_point *ss_sampler_at(const ss_sampler *s, int i)
{
    return &s->levels.at[i].point;
}

double ss_sampler_start(const ss_sampler *s)
{
    return s->levels.start;
}

bool ss_sampler_wants_variance(const ss_sampler *s)
{
    return s->opt.kind == SS_SAMPLER_DDPM && s->opt.variance == SS_VARIANCE_LEARNED_RANGE;
}

ss_code ss_sampler_shorten(ss_sampler *s, double strength, ss_err *e)
{
    ss_sampler_levels *l = &s->levels;
    int steps = 0, from = 0;

    for (int i = 0; i < l->n; i++)
        steps += l->at[i].point.step >= 0;
    const int keep = strength >= 0 && strength <= 1 ? (int)(steps * strength) : 0;
    const int skip = steps - keep;
    if (keep < 1)
        return ss_fail(e, SS_USAGE,
                       "strength %g leaves no step of %d; expected more than 0, at most 1, and "
                       "steps * strength of at least 1",
                       strength, steps);
    while (l->at[from].point.step != skip)
        from++;
    l->n -= from;
    memmove(l->at, l->at + from, (size_t)l->n * sizeof *l->at);
    for (int i = 0; i < l->n; i++) {
        if (l->at[i].point.step >= 0)
            l->at[i].point.step -= skip;
    }
    return SS_OK;
}

void ss_sampler_noised(const ss_sampler *s, const float *x0, const float *normal, int64_t n,
                       float *x)
{
    const ss_sampler_point *p = &s->levels.at[0].point;
    const bool in_sigma = ss_sampler_in_sigma(s->opt.kind);
    const double a = in_sigma ? 1 : p->level.a, v = in_sigma ? p->sigma : p->level.s;

    for (int64_t k = 0; k < n; k++)
        x[k] = (float)(a * x0[k] + v * normal[k]);
}

void ss_sampler_input(const ss_sampler *s, int i, const float *x, int64_t n, float *in)
{
    const double scale = ss_sampler_in_sigma(s->opt.kind) ? s->levels.at[i].point.level.a : 1;

    for (int64_t k = 0; k < n; k++)
        in[k] = (float)(scale * x[k]);
}

static int rising(const void *pa, const void *pb)
{
    const float a = *(const float *)pa, b = *(const float *)pb;

    return (a > b) - (a < b);
}

/* Returns the quantile of n sorted values, linear between two of them. */
static double quantile(const float *sorted, int64_t n, double q)
{
    const double at = q * (double)(n - 1), below = floor(at);
    const int64_t i = (int64_t)below, next = i + 1 < n ? i + 1 : i;

    return sorted[i] + (at - below) * ((double)sorted[next] - sorted[i]);
}

/* Applies dynamic thresholding; sorted [n] is scratch. A sample with a NaN stays as it is. */
static void threshold(const ss_sampler_options *o, int64_t n, float *x0, float *sorted)
{
    for (int64_t k = 0; k < n; k++) {
        if (isnan(x0[k]))
            return;
        sorted[k] = fabsf(x0[k]);
    }
    qsort(sorted, (size_t)n, sizeof *sorted, rising);
    const double m = fmin(fmax(quantile(sorted, n, o->threshold_ratio), 1), o->threshold_max);
    for (int64_t k = 0; k < n; k++)
        x0[k] = (float)(fmin(fmax(x0[k], -m), m) / m);
}

/* Limits x0 without fminf, which would turn a NaN into a number. */
static void clip(double range, int64_t n, float *x0)
{
    const float r = (float)range;

    for (int64_t k = 0; k < n; k++)
        x0[k] = x0[k] > r ? r : x0[k] < -r ? -r : x0[k];
}

static void limit(const ss_sampler_options *o, int64_t n, float *x0, float *scratch)
{
    if (o->threshold && !ss_sampler_in_sigma(o->kind))
        threshold(o, n, x0, scratch);
    else if (o->clip && o->kind != SS_SAMPLER_EULER)
        clip(o->clip_range, n, x0);
}

/* Returns the standard deviation of ddpm's step where the network does not predict it. */
static double fixed_deviation(const ss_sampler_options *o, const ss_sampler_level *l)
{
    const bool small = o->variance == SS_VARIANCE_SMALL || o->variance == SS_VARIANCE_SMALL_LOG;

    return sqrt(small ? l->small : l->beta);
}

static void step_ddpm(const ss_sampler *s, const ss_sampler_level *l, const float *variance,
                      const float *z, int64_t n, float *x, const float *x0)
{
    const double rest = 1 - l->abar, rest_next = 1 - l->next;
    const double of_x0 = sqrt(l->next) * l->beta / rest;
    const double of_x = sqrt(1 - l->beta) * rest_next / rest;
    const double fixed = fixed_deviation(&s->opt, l);
    const double log_small = log(l->small), log_large = log(l->beta);

    for (int64_t k = 0; k < n; k++) {
        double std = fixed;

        if (variance && ss_sampler_wants_variance(s)) {
            const double share = ((double)variance[k] + 1) / 2;

            std = exp(0.5 * (share * log_large + (1 - share) * log_small));
        }
        x[k] = (float)(of_x0 * x0[k] + of_x * x[k] + (l->point.noisy ? std * z[k] : 0));
    }
}

/* Takes the noise that the answer means, also where x0 was limited. */
static void step_ddim(const ss_sampler *s, const ss_sampler_level *l, const float *answer,
                      const float *z, int64_t n, float *x, const float *x0)
{
    const double a = l->point.level.a, v = l->point.level.s;
    const double std = s->opt.eta * sqrt(l->variance);
    const double of_x0 = sqrt(l->next), of_noise = sqrt(1 - l->next - std * std);

    for (int64_t k = 0; k < n; k++) {
        const double y = answer[k];
        const double noise = s->prediction == SS_PREDICT_EPSILON  ? y
                             : s->prediction == SS_PREDICT_SAMPLE ? (x[k] - a * y) / v
                                                                  : a * y + v * x[k];

        x[k] = (float)(of_x0 * x0[k] + of_noise * noise + (l->point.noisy ? std * z[k] : 0));
    }
}

/* Makes a step of euler or heun: the first evaluation steps as Euler does, the second goes back and
 * repeats the step with the mean of both slopes. memory: x before the step, and its slope. */
static void step_sigma(const ss_sampler_level *l, int64_t n, float *x, float *memory,
                       const float *x0)
{
    float *before = memory, *slope = memory + n;

    for (int64_t k = 0; k < n; k++) {
        const double d = ((double)x[k] - x0[k]) / l->point.sigma;

        if (l->point.step < 0) {
            x[k] = (float)(before[k] + l->change * (slope[k] + d) / 2);
        } else {
            before[k] = x[k];
            slope[k] = (float)d;
            x[k] = (float)(x[k] + l->change * d);
        }
    }
}

void ss_sampler_step(const ss_sampler *s, int i, const float *answer, const float *variance,
                     const float *z, int64_t n, float *x, float *memory, float *x0)
{
    const ss_sampler_level *l = &s->levels.at[i];
    const double sigma = l->point.sigma;

    if (s->score) {
        for (int64_t k = 0; k < n; k++)
            x0[k] = (float)(x[k] + sigma * sigma * answer[k]);
    } else {
        ss_sampler_input(s, i, x, n, x0);
        ss_denoised(s->prediction, l->point.level, x0, answer, n, x0);
    }
    /* memory is scratch here: only heun, which does not threshold, keeps something in it */
    limit(&s->opt, n, x0, memory);
    switch (s->opt.kind) {
    case SS_SAMPLER_DDPM: step_ddpm(s, l, variance, z, n, x, x0); break;
    case SS_SAMPLER_DDIM: step_ddim(s, l, answer, z, n, x, x0); break;
    case SS_SAMPLER_EULER:
    case SS_SAMPLER_HEUN: step_sigma(l, n, x, memory, x0); break;
    case SS_N_SAMPLERS: break;
    }
}
