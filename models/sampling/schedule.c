/* schedule.c - see schedule.h */
#include "models/sampling/schedule.h"

#include "base/mem.h"
#include "base/str.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct ss_schedule {
    int64_t steps;
    ss_prediction prediction;
    bool continuous;
    float *abar; /* [steps], never rising */
};

#define X(name, text) text,
static const char *const betas_names[] = {SS_BETAS(X) NULL};
static const char *const prediction_names[] = {SS_PREDICTIONS(X) NULL};
#undef X

ss_schedule_options ss_schedule_defaults(void)
{
    return (ss_schedule_options){
        .betas = SS_BETAS_LINEAR, .beta_start = 1e-4, .beta_end = 0.02, .steps = 1000};
}

const char *ss_betas_name(ss_betas b)
{
    return betas_names[b];
}

const char *ss_prediction_name(ss_prediction p)
{
    return prediction_names[p];
}

/* Returns the index of name in a list that ends in NULL, or -1 and an error. */
static int find_name(const char *what, const char *name, const char *const *names, ss_err *e)
{
    ss_str list = {0};

    for (int i = 0; names[i]; i++) {
        if (strcmp(name, names[i]) == 0)
            return i;
    }
    for (int i = 0; names[i]; i++)
        ss_str_addf(&list, "%s%s", i ? ", " : "", names[i]);
    ss_fail(e, SS_USAGE, "'%s' is no %s; there are %s", SS_SHOW(name), what,
            list.s ? list.s : "none");
    ss_str_release(&list);
    return -1;
}

ss_code ss_betas_parse(const char *name, ss_betas *b, ss_err *e)
{
    int i = strcmp(name, "cosine") == 0 ? SS_BETAS_COSINE
                                        : find_name("noise schedule", name, betas_names, e);

    if (i < 0)
        return SS_USAGE;
    *b = (ss_betas)i;
    return SS_OK;
}

ss_code ss_prediction_parse(const char *name, ss_prediction *p, ss_err *e)
{
    int i = find_name("prediction type", name, prediction_names, e);

    if (i < 0)
        return SS_USAGE;
    *p = (ss_prediction)i;
    return SS_OK;
}

/* Returns value i of n from lo to hi in equal steps, in f32, from the nearer end and with one
 * rounding: equal to the reference's in every bit. */
static float ramp(float lo, float hi, int64_t i, int64_t n)
{
    const float step = n > 1 ? (hi - lo) / (float)(n - 1) : 0;

    return i < n / 2 || n == 1 ? fmaf(step, (float)i, lo) : fmaf(-step, (float)(n - 1 - i), hi);
}

static double cosine_abar(double t)
{
    const double c = cos((t + 0.008) / 1.008 * M_PI / 2);

    return c * c;
}

/* Computes what the reference does, with its square root, which makes it a, not abar. */
static double laplace_abar(double t)
{
    const double lmb = -0.5 * copysign(1, 0.5 - t) * log(1 - 2 * fabs(0.5 - t) + 1e-6);
    const double snr = exp(lmb);

    return sqrt(snr / (1 + snr));
}

static float beta(const ss_schedule_options *o, int64_t i)
{
    const double n = (double)o->steps;
    float v;

    if (o->trained)
        return (float)o->trained[i];
    switch (o->betas) {
    case SS_BETAS_SCALED_LINEAR:
        v = ramp((float)sqrt(o->beta_start), (float)sqrt(o->beta_end), i, o->steps);
        return v * v;
    case SS_BETAS_COSINE:
        return (float)fmin(1 - cosine_abar(((double)i + 1) / n) / cosine_abar((double)i / n),
                           0.999);
    case SS_BETAS_LAPLACE:
        return (float)fmin(1 - laplace_abar(((double)i + 1) / n) / laplace_abar((double)i / n),
                           0.999);
    case SS_BETAS_SIGMOID:
        v = 1 / (1 + expf(-ramp(-6, 6, i, o->steps)));
        return v * (float)(o->beta_end - o->beta_start) + (float)o->beta_start;
    case SS_BETAS_LINEAR:
    case SS_N_BETAS: break;
    }
    return ramp((float)o->beta_start, (float)o->beta_end, i, o->steps);
}

/* Shifts and stretches sqrt(abar) so that it starts where it did and ends at 0. It goes by the
 * betas as the reference does, to have the same roundings. Lin et al. 2023, algorithm 1. */
static void rescale_to_zero(float *abar, int64_t n, double last)
{
    const float first = sqrtf(abar[0]), end = sqrtf(abar[n - 1]), stretch = first / (first - end);
    double product = 1;
    float before = 1;

    for (int64_t i = 0; i < n; i++) {
        const float root = (sqrtf(abar[i]) - end) * stretch, now = root * root;
        const float b = 1 - now / before;

        product *= (double)(1 - b);
        abar[i] = (float)product;
        before = now;
    }
    if (last > 0)
        abar[n - 1] = (float)last;
}

static ss_code check(const ss_schedule_options *o, ss_err *e)
{
    if (o->steps < 1 || o->steps > SS_SCHEDULE_MAX_STEPS)
        return ss_fail(e, SS_USAGE, "a schedule of %" PRId64 " steps; expected 1 to %d", o->steps,
                       SS_SCHEDULE_MAX_STEPS);
    if (!(o->beta_start >= 0 && o->beta_start < 1 && o->beta_end >= 0 && o->beta_end < 1))
        return ss_fail(e, SS_USAGE, "betas from %g to %g; expected numbers of 0 to below 1",
                       o->beta_start, o->beta_end);
    if (o->zero_snr && o->steps < 2)
        return ss_fail(e, SS_USAGE, "zero terminal SNR needs more than one step");
    if (!(o->snr_shift >= 0) || isinf(o->snr_shift))
        return ss_fail(e, SS_USAGE, "a shift of the SNR by %g; expected a positive number",
                       o->snr_shift);
    return SS_OK;
}

ss_code ss_schedule_new(const ss_schedule_options *o, ss_schedule **out, ss_err *e)
{
    ss_code rc = check(o, e);
    double product = 1;
    ss_schedule *s;

    if (rc != SS_OK)
        return rc;
    s = ss_calloc(1, sizeof *s);
    if (!s || !(s->abar = ss_alloc((size_t)o->steps, sizeof *s->abar))) {
        ss_schedule_free(s);
        return ss_no_memory(e, "a schedule");
    }
    s->steps = o->steps;
    s->prediction = o->prediction;
    s->continuous = o->continuous;
    for (int64_t i = 0; i < o->steps; i++) {
        const float b = beta(o, i);

        if (!(b >= 0 && b < 1)) {
            ss_schedule_free(s);
            return ss_fail(e, SS_USAGE, "beta %" PRId64 " is %g; expected 0 to below 1", i, b);
        }
        product *= (double)(1 - b);
        s->abar[i] = (float)product;
        if (o->snr_shift > 0 && o->snr_shift != 1)
            s->abar[i] = (float)(product / (o->snr_shift + (1 - o->snr_shift) * product));
    }
    if (o->zero_snr && s->abar[o->steps - 1] < s->abar[0])
        rescale_to_zero(s->abar, o->steps, o->last_abar);
    *out = s;
    return SS_OK;
}

void ss_schedule_free(ss_schedule *s)
{
    if (!s)
        return;
    ss_free(s->abar);
    ss_free(s);
}

int64_t ss_schedule_steps(const ss_schedule *s)
{
    return s->steps;
}

ss_prediction ss_schedule_prediction(const ss_schedule *s)
{
    return s->prediction;
}

const float *ss_schedule_abar(const ss_schedule *s)
{
    return s->abar;
}

double ss_schedule_sigma(const ss_schedule *s, int64_t t)
{
    const double abar = s->abar[t];

    return abar > 0 ? sqrt((1 - abar) / abar) : INFINITY;
}

int64_t ss_schedule_nearest(const ss_schedule *s, double sigma)
{
    int64_t lo = 0, hi = s->steps - 1; /* sigma rises with t */

    if (!(sigma > ss_schedule_sigma(s, lo)))
        return lo;
    if (sigma >= ss_schedule_sigma(s, hi))
        return hi;
    while (hi - lo > 1) {
        const int64_t mid = lo + (hi - lo) / 2;

        if (ss_schedule_sigma(s, mid) <= sigma)
            lo = mid;
        else
            hi = mid;
    }
    const double below = ss_schedule_sigma(s, lo), above = ss_schedule_sigma(s, hi);
    if (below == 0 || isinf(above)) /* no distance in log to these */
        return below == 0 && isinf(above) ? lo : below == 0 ? hi : lo;
    return sigma * sigma <= below * above ? lo : hi;
}

bool ss_schedule_continuous(const ss_schedule *s)
{
    return s->continuous;
}

/* Returns sigma where a has this value. */
static double sigma_of_a(double a)
{
    return a > 0 ? sqrt((1 - a) * (1 + a)) / a : INFINITY;
}

double ss_schedule_sigma_between(const ss_schedule *s, double t)
{
    const int64_t last = s->steps - 1, i = t > 0 ? (int64_t)t : 0;
    const double w = t - (double)i;

    if (i >= last || !(w > 0))
        return ss_schedule_sigma(s, i < last ? i : last);
    const double lo = ss_schedule_sigma(s, i), hi = ss_schedule_sigma(s, i + 1);
    if (lo > 0 && !isinf(hi))
        return exp(log(lo) + w * (log(hi) - log(lo)));
    return sigma_of_a((1 - w) * sqrt(s->abar[i]) + w * sqrt(s->abar[i + 1]));
}

double ss_schedule_step_of(const ss_schedule *s, double sigma)
{
    int64_t lo = 0, hi = s->steps - 1;

    if (!(sigma > ss_schedule_sigma(s, lo)))
        return 0;
    if (sigma >= ss_schedule_sigma(s, hi))
        return (double)hi;
    while (hi - lo > 1) {
        const int64_t mid = lo + (hi - lo) / 2;

        if (ss_schedule_sigma(s, mid) <= sigma)
            lo = mid;
        else
            hi = mid;
    }
    const double below = ss_schedule_sigma(s, lo), above = ss_schedule_sigma(s, hi);
    if (below > 0 && !isinf(above))
        return (double)lo + (log(sigma) - log(below)) / (log(above) - log(below));
    const double from = sqrt(s->abar[lo]), to = sqrt(s->abar[hi]);
    return (double)lo + (from - ss_noise_level_at(sigma).a) / (from - to);
}

ss_noise_level ss_schedule_level(const ss_schedule *s, int64_t t)
{
    return (ss_noise_level){sqrt(s->abar[t]), sqrt(1 - (double)s->abar[t])};
}

ss_noise_level ss_noise_level_at(double sigma)
{
    /* hypot: sigma squared may overflow */
    return isinf(sigma) ? (ss_noise_level){0, 1}
                        : (ss_noise_level){1 / hypot(1, sigma), sigma / hypot(1, sigma)};
}

void ss_add_noise(ss_noise_level l, const float *x0, const float *noise, int64_t n, float *xt)
{
    for (int64_t i = 0; i < n; i++)
        xt[i] = (float)(l.a * x0[i] + l.s * noise[i]);
}

void ss_training_target(ss_prediction p, ss_noise_level l, const float *x0, const float *noise,
                        int64_t n, float *target)
{
    for (int64_t i = 0; i < n; i++) {
        switch (p) {
        case SS_PREDICT_SAMPLE: target[i] = x0[i]; break;
        case SS_PREDICT_V_PREDICTION: target[i] = (float)(l.a * noise[i] - l.s * x0[i]); break;
        case SS_PREDICT_FLOW: target[i] = (float)((double)noise[i] - x0[i]); break;
        case SS_PREDICT_EPSILON: target[i] = noise[i]; break;
        case SS_N_PREDICTIONS: break;
        }
    }
}

void ss_denoised(ss_prediction p, ss_noise_level l, const float *xt, const float *answer, int64_t n,
                 float *x0)
{
    for (int64_t i = 0; i < n; i++) {
        switch (p) {
        case SS_PREDICT_SAMPLE: x0[i] = answer[i]; break;
        case SS_PREDICT_V_PREDICTION: x0[i] = (float)(l.a * xt[i] - l.s * answer[i]); break;
        case SS_PREDICT_FLOW: /* x_t = a x0 + s (x0 + answer) */
            x0[i] = (float)((xt[i] - l.s * answer[i]) / (l.a + l.s));
            break;
        case SS_PREDICT_EPSILON:
            x0[i] = l.a > 0 ? (float)((xt[i] - l.s * answer[i]) / l.a) : NAN;
            break;
        case SS_N_PREDICTIONS: break;
        }
    }
}
