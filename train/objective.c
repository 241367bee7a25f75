/* objective.c - see objective.h */
#include "train/objective.h"

#include "base/rng.h"
#include "models/sampling/edm.h"

#include <math.h>

enum { MAX_LOG_SNR = 15, COSINE_TIMESTEPS = 1000 };

const char *ss_objective_name(ss_objective_kind k)
{
#define X(name, text) text,
    static const char *const names[] = {SS_OBJECTIVES(X)};
#undef X
    return names[k];
}

ss_objective ss_objective_defaults(void)
{
    return (ss_objective){.prediction = SS_OBJECTIVE_V_PREDICTION,
                          .levels = SS_LEVELS_COSINE,
                          .weighting = SS_WEIGHTING_NONE,
                          .gamma = 5,
                          .sigma_data = 0.5,
                          .p_mean = -1.2,
                          .p_std = 1.2,
                          .kl_weight = 1e-6};
}

static ss_code expect_positive(const char *what, double v, ss_err *e)
{
    return v > 0 && isfinite(v)
               ? SS_OK
               : ss_fail(e, SS_USAGE, "%s is %g; expected a finite number over 0", what, v);
}

/* An autoencoder has no noise levels, and so nothing that depends on them. */
static ss_code check_autoencoder(const ss_objective *o, ss_err *e)
{
    const double weights[] = {o->l1_weight, o->kl_weight, o->frame_weight};

    for (int i = 0; i < 3; i++) {
        if (!(weights[i] >= 0) || isinf(weights[i]))
            return ss_fail(e, SS_USAGE,
                           "autoencoder: a part of the loss weighs %g; expected a finite number, 0 "
                           "or more",
                           weights[i]);
    }
    if (o->levels != SS_LEVELS_COSINE || o->weighting != SS_WEIGHTING_NONE || o->blind)
        return ss_fail(e, SS_USAGE,
                       "autoencoder: no noise is added, so there are no levels, weighting and "
                       "blind to choose");
    return SS_OK;
}

ss_code ss_objective_check(const ss_objective *o, ss_err *e)
{
    ss_code rc = expect_positive("gamma", o->gamma, e);

    if (rc == SS_OK)
        rc = expect_positive("sigma_data", o->sigma_data, e);
    if (rc == SS_OK)
        rc = expect_positive("p_std", o->p_std, e);
    if (rc != SS_OK)
        return rc;
    if (!(o->base_size >= 0) || isinf(o->base_size))
        return ss_fail(e, SS_USAGE, "base_size is %g; expected a side in pixels, or 0",
                       o->base_size);
    if (!isfinite(o->p_mean))
        return ss_fail(e, SS_USAGE, "p_mean is %g; expected a finite number", o->p_mean);
    if (o->prediction == SS_OBJECTIVE_AUTOENCODER)
        return check_autoencoder(o, e);
    if (o->levels == SS_LEVELS_LOGNORMAL && o->prediction != SS_OBJECTIVE_EDM)
        return ss_fail(e, SS_USAGE, "lognormal noise levels go with the edm prediction only");
    if (o->levels != SS_LEVELS_TIMESTEPS)
        return SS_OK;
    if (!o->schedule)
        return ss_fail(e, SS_USAGE, "noise levels by timesteps need a schedule");
    /* pure noise has no x0 in it: a is 0 and sigma infinite, so nothing can be divided by them */
    if (isinf(ss_schedule_sigma(o->schedule, ss_schedule_steps(o->schedule) - 1)) &&
        (o->prediction == SS_OBJECTIVE_EDM ||
         (o->prediction == SS_OBJECTIVE_EPSILON && o->weighting == SS_WEIGHTING_EDM)))
        return ss_fail(e, SS_USAGE,
                       "the schedule ends in pure noise (zero SNR), where sigma is infinite: train "
                       "v_prediction or sample");
    return SS_OK;
}

/* k^2 lambda, written so that a = 0 gives the limit where there is one. */
static double weight_of(const ss_objective *o, const ss_level *l)
{
    const double a2 = l->a * l->a, s2 = l->s * l->s, d2 = o->sigma_data * o->sigma_data;
    double k2 = 1; /* for the prediction `sample` */

    if (o->weighting == SS_WEIGHTING_NONE)
        return 1;
    if (o->prediction == SS_OBJECTIVE_EPSILON && o->weighting == SS_WEIGHTING_MIN_SNR)
        return a2 > o->gamma * s2 ? o->gamma * s2 / a2 : 1;
    if (o->prediction == SS_OBJECTIVE_EPSILON)
        k2 = s2 / a2;
    else if (o->prediction == SS_OBJECTIVE_V_PREDICTION)
        k2 = s2;
    else if (o->prediction == SS_OBJECTIVE_EDM)
        k2 = l->c_out * l->c_out;
    if (o->weighting == SS_WEIGHTING_MIN_SNR)
        return fmin(a2 / s2, o->gamma) * k2;
    return (s2 + a2 * d2) / (s2 * d2) * k2; /* sigma = s / a */
}

/* The level of a variance-preserving mix a, s; edm has the same sigma at a = 1. */
static ss_level make_level(const ss_objective *o, double a, double s, double timestep)
{
    ss_level l = {.a = a, .s = s, .sigma = s / a, .c_in = 1, .c_out = 1};

    if (o->prediction == SS_OBJECTIVE_EDM) {
        const ss_edm c = ss_edm_at(l.sigma, o->sigma_data);

        l.a = 1;
        l.s = l.sigma;
        l.c_in = c.c_in;
        l.c_skip = c.c_skip;
        l.c_out = c.c_out;
        timestep = c.c_noise;
    }
    l.timestep = o->blind ? 0 : (float)timestep;
    l.weight = weight_of(o, &l);
    return l;
}

ss_level ss_objective_level(const ss_objective *o, double at)
{
    if (o->levels == SS_LEVELS_TIMESTEPS) {
        const int64_t t = llrint(at);
        const ss_noise_level v = ss_schedule_level(o->schedule, t);

        return make_level(o, v.a, v.s, (double)t);
    }
    if (o->levels == SS_LEVELS_COSINE) {
        const double snr = -2 * log(tan(M_PI * at / 2));
        const double clipped = fmin(fmax(snr, -MAX_LOG_SNR), MAX_LOG_SNR);

        return make_level(o, sqrt(1 / (1 + exp(-clipped))), sqrt(1 / (1 + exp(clipped))),
                          COSINE_TIMESTEPS * at);
    }
    return make_level(o, 1, at, 0);
}

void ss_objective_fit(ss_objective *o, int h, int w)
{
    o->shift = o->base_size > 0 ? 2 * log(o->base_size / sqrt((double)h * w)) : 0;
}

/* Draws where the level is, as ss_objective_level takes it; without the shift. */
static double draw_place(const ss_objective *o, ss_rng r)
{
    if (o->levels == SS_LEVELS_LOGNORMAL)
        return exp(o->p_mean + o->p_std * ss_rng_normal(r, 0));
    const double u = ss_rng_uniform(r, 0);

    return o->levels == SS_LEVELS_COSINE ? u : floor(u * (double)ss_schedule_steps(o->schedule));
}

/* Moves a place to where the log SNR is larger by the shift, and sigma = exp(-log SNR / 2) smaller.
 */
static double shift_place(const ss_objective *o, double at)
{
    const double k = exp(-o->shift / 2);

    if (o->levels == SS_LEVELS_LOGNORMAL)
        return at * k;
    if (o->levels == SS_LEVELS_COSINE) /* sigma = tan(pi u / 2) */
        return 2 / M_PI * atan(k * tan(M_PI * at / 2));
    return (double)ss_schedule_nearest(o->schedule,
                                       k * ss_schedule_sigma(o->schedule, (int64_t)at));
}

ss_level ss_objective_draw(const ss_objective *o, int64_t step, int64_t i)
{
    if (o->prediction == SS_OBJECTIVE_AUTOENCODER || o->prediction == SS_OBJECTIVE_DEPTH)
        return (ss_level){.a = 1, .c_in = 1, .c_out = 1, .weight = 1};
    const double at =
        draw_place(o, ss_rng_stream(o->seed, "noise level", (uint64_t)step, (uint64_t)i));

    return ss_objective_level(o, o->shift == 0 ? at : shift_place(o, at));
}

void ss_objective_noise(const ss_objective *o, int64_t step, int64_t i, int64_t n, float *noise)
{
    ss_rng_normals(ss_rng_stream(o->seed, "training noise", (uint64_t)step, (uint64_t)i), 0, noise,
                   (size_t)n);
}

void ss_objective_prepare(const ss_objective *o, ss_level l, const float *x0, const float *noise,
                          int64_t n, float *input, float *target)
{
    for (int64_t k = 0; k < n; k++) {
        const double x = x0[k], e = noise[k], xt = l.a * x + l.s * e;

        input[k] = (float)(l.c_in * xt);
        switch (o->prediction) {
        case SS_OBJECTIVE_EPSILON: target[k] = noise[k]; break;
        case SS_OBJECTIVE_V_PREDICTION: target[k] = (float)(l.a * e - l.s * x); break;
        case SS_OBJECTIVE_EDM: target[k] = (float)((x - l.c_skip * xt) / l.c_out); break;
        case SS_OBJECTIVE_SAMPLE:
        case SS_OBJECTIVE_DEPTH:
        case SS_OBJECTIVE_AUTOENCODER: target[k] = x0[k]; break;
        case SS_N_OBJECTIVES: break;
        }
    }
}

double ss_objective_loss(const ss_level *l, int64_t n, int64_t each, const double *squares,
                         double *loss)
{
    double total = 0;

    for (int64_t i = 0; i < n; i++) {
        const double mean = squares[i] * (l[i].weight / (double)each);

        if (loss)
            loss[i] = mean;
        total += mean;
    }
    return total / (double)n;
}

double ss_objective_slope(const ss_level *l, int64_t n, int64_t each, double scale)
{
    return scale * 2 * l->weight / ((double)n * (double)each);
}

int ss_loss_bin(const ss_loss_bins *b, double sigma)
{
    const double at = log(sigma / b->lo) / log(b->hi / b->lo) * b->n;

    return at >= b->n ? b->n - 1 : at > 0 ? (int)at : 0;
}

double ss_loss_bin_center(const ss_loss_bins *b, int bin)
{
    return b->lo * exp(log(b->hi / b->lo) * (bin + 0.5) / b->n);
}

void ss_loss_bins_add(ss_loss_bins *b, double sigma, double loss)
{
    const int i = ss_loss_bin(b, sigma);
    const bool first = b->count[i]++ == 0 || !isfinite(b->mean[i]);

    if (!isfinite(loss)) {
        if (first)
            b->mean[i] = NAN;
        return;
    }
    b->mean[i] = first ? loss : b->mean[i] + (1 - b->decay) * (loss - b->mean[i]);
}
