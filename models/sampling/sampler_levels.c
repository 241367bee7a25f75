/* sampler_levels.c - see sampler_levels.h
 *
 * Training steps are chosen as diffusers' set_timesteps does, with its rounding to even. Between
 * training steps, sigma is interpolated linearly and the timestep by the logarithm of sigma.
 */
#include "models/sampling/sampler_levels.h"

#include "base/mem.h"

#include <inttypes.h>
#include <math.h>

static ss_code check(const ss_sampler_options *o, const ss_schedule *schedule, int steps, ss_err *e)
{
    if (steps < 1 || steps > SS_SCHEDULE_MAX_STEPS)
        return ss_fail(e, SS_USAGE, "%d sampling steps; expected 1 to %d", steps,
                       SS_SCHEDULE_MAX_STEPS);
    if (!schedule && !ss_sampler_in_sigma(o->kind))
        return ss_fail(e, SS_USAGE,
                       "%s needs timesteps, and this network takes sigma: use euler or "
                       "heun",
                       ss_sampler_name(o->kind));
    if (!schedule && !(o->sigma_min > 0 && o->sigma_max > o->sigma_min))
        return ss_fail(e, SS_USAGE, "sigmas from %g to %g; expected 0 < min < max", o->sigma_min,
                       o->sigma_max);
    if (schedule && steps > ss_schedule_steps(schedule))
        return ss_fail(e, SS_USAGE, "%d sampling steps; the schedule has %" PRId64, steps,
                       ss_schedule_steps(schedule));
    if (schedule && ss_schedule_prediction(schedule) == SS_PREDICT_FLOW)
        return ss_fail(e, SS_UNSUPPORTED, "there is no sampler for flow_prediction here");
    if (o->kind == SS_SAMPLER_DDIM && !(o->eta >= 0 && o->eta <= 1))
        return ss_fail(e, SS_USAGE, "eta of %g; expected 0 to 1", o->eta);
    return SS_OK;
}

/* Returns training step k of n, the highest first. It may have a fraction where sigma is
 * interpolated. */
static double chosen_step(const ss_sampler_options *o, int64_t all, int k, int n)
{
    const int back = n - 1 - k;

    switch (o->spacing) {
    case SS_SPACING_LEADING: return (double)(back * (all / n) + o->steps_offset);
    case SS_SPACING_TRAILING: return rint((double)all - k * ((double)all / n)) - 1;
    case SS_SPACING_LINSPACE:
    case SS_N_SPACINGS: break;
    }
    const double t = n > 1 ? back * ((double)(all - 1) / (n - 1)) : 0;
    return ss_sampler_in_sigma(o->kind) ? (double)(float)t : rint(t);
}

/* ---- ddpm and ddim: from one training step to an earlier one ---- */

static void fill_step(const ss_sampler_options *o, const ss_schedule *s, int k, int64_t t,
                      double next, ss_sampler_level *l)
{
    const double abar = ss_schedule_abar(s)[t];

    *l = (ss_sampler_level){
        .point = {ss_schedule_sigma(s, t), (float)t, ss_schedule_level(s, t), false, k},
        .abar = abar,
        .next = next,
        .beta = 1 - abar / next,
    };
    l->variance = l->beta * (1 - next) / (1 - abar);
    l->small = fmax(l->variance, 1e-20);
    l->point.noisy = o->kind == SS_SAMPLER_DDPM ? t > 0 : o->eta > 0;
}

static ss_code make_steps(const ss_sampler_options *o, const ss_schedule *s, int steps,
                          ss_sampler_levels *out, ss_err *e)
{
    const int64_t all = ss_schedule_steps(s);
    const float *abar = ss_schedule_abar(s);

    out->start = 1;
    for (int k = 0; k < steps; k++) {
        const int64_t t = (int64_t)chosen_step(o, all, k, steps);
        /* ddim steps down by whole T / N, whatever the spacing */
        const int64_t to = o->kind == SS_SAMPLER_DDIM ? t - all / steps
                           : k + 1 < steps            ? (int64_t)chosen_step(o, all, k + 1, steps)
                                                      : -1;

        if (t >= all)
            return ss_fail(e, SS_USAGE,
                           "steps_offset leads to step %" PRId64 " of a schedule of %" PRId64, t,
                           all);
        fill_step(o, s, k, t,
                  to >= 0                                          ? abar[to]
                  : o->kind == SS_SAMPLER_DDIM && !o->alpha_to_one ? abar[0]
                                                                   : 1,
                  &out->at[out->n++]);
    }
    return SS_OK;
}

/* ---- euler and heun: from one sigma to a lower one ---- */

static double trained_sigma(const ss_schedule *s, int64_t t)
{
    const float known = ss_schedule_abar(s)[t];
    const double abar = known > 0 ? known : 0x1p-24;

    return sqrt((1 - abar) / abar);
}

static double sigma_at(const ss_schedule *s, double t)
{
    const int64_t last = ss_schedule_steps(s) - 1;
    const double below = floor(t);

    if (t >= (double)last)
        return trained_sigma(s, last);
    const double lo = trained_sigma(s, (int64_t)below), hi = trained_sigma(s, (int64_t)below + 1);
    return lo + (t - below) * (hi - lo);
}

/* Returns the training step, with a fraction, that had this sigma. */
static double step_of(const ss_schedule *s, double sigma)
{
    int64_t lo = 0, hi = ss_schedule_steps(s) - 1;

    if (hi == 0)
        return 0;
    while (hi - lo > 1) {
        const int64_t mid = lo + (hi - lo) / 2;

        if (trained_sigma(s, mid) <= sigma)
            lo = mid;
        else
            hi = mid;
    }
    const double low = log(trained_sigma(s, lo)), high = log(trained_sigma(s, lo + 1));
    return (double)lo + fmin(fmax((log(sigma) - low) / (high - low), 0), 1);
}

/* Returns sigma k of n from max to min. */
static double spaced(ss_sigmas kind, double min, double max, int k, int n)
{
    const double rho = 7, share = n > 1 ? (double)k / (n - 1) : 0;

    if (kind == SS_SIGMAS_EXPONENTIAL)
        return exp(log(max) + share * (log(min) - log(max)));
    const double top = pow(max, 1 / rho), bottom = pow(min, 1 / rho);
    return pow(top + share * (bottom - top), rho);
}

/* Adds an evaluation at sigma k of the list; second: heun's second one of a step. */
static void add(const ss_schedule *s, const float *sigma, const double *t, int k, bool second,
                ss_sampler_levels *out)
{
    const double at = sigma[k];

    out->at[out->n++] = (ss_sampler_level){
        .point = {.sigma = at,
                  .timestep = s ? (float)t[k] : (float)at,
                  .level = s ? ss_noise_level_at(at) : (ss_noise_level){1, at},
                  .step = second ? -1 : k},
        .change = second ? at - (double)sigma[k - 1] : (double)sigma[k + 1] - at,
    };
}

static ss_code make_sigmas(const ss_sampler_options *o, const ss_schedule *s, int steps,
                           ss_sampler_levels *out, ss_err *e)
{
    const bool heun = o->kind == SS_SAMPLER_HEUN;
    float *sigma = ss_calloc((size_t)steps + 1, sizeof *sigma); /* ends with 0 */
    double *t = ss_calloc((size_t)steps, sizeof *t);
    ss_code rc = SS_OK;

    if (!sigma || !t) {
        rc = ss_no_memory(e, "a sampler's levels");
        goto out;
    }
    for (int k = 0; s && k < steps; k++) {
        t[k] = chosen_step(o, ss_schedule_steps(s), k, steps);
        sigma[k] = (float)sigma_at(s, t[k]);
    }
    if (!s || o->sigmas != SS_SIGMAS_TRAINED) {
        const double max = o->sigma_max > 0 && (!s || !heun) ? o->sigma_max : sigma_at(s, t[0]);
        const double min =
            o->sigma_min > 0 && (!s || !heun) ? o->sigma_min : sigma_at(s, t[steps - 1]);

        for (int k = 0; k < steps; k++) {
            const double v = spaced(o->sigmas, min, max, k, steps);

            sigma[k] = (float)v;
            t[k] = s ? step_of(s, v) : v;
        }
    }
    if (o->end_at_sigma_min && !heun)
        sigma[steps] = s ? (float)trained_sigma(s, 0) : (float)o->sigma_min;
    out->start = s && o->spacing == SS_SPACING_LEADING ? hypot(1, sigma[0]) : sigma[0];
    for (int k = 0; k < steps; k++) {
        add(s, sigma, t, k, false, out);
        if (heun && k + 1 < steps)
            add(s, sigma, t, k + 1, true, out);
    }
out:
    ss_free(sigma);
    ss_free(t);
    return rc;
}

/* Sets the timesteps of a network that is told ln(sigma) / 4. */
static ss_code tell_logarithms(ss_sampler_levels *l, ss_err *e)
{
    for (int i = 0; i < l->n; i++) {
        ss_sampler_point *p = &l->at[i].point;

        if (isinf(p->sigma))
            return ss_fail(e, SS_USAGE,
                           "a network that is told ln(sigma) / 4 cannot start from "
                           "infinite sigma: use euler or heun");
        p->timestep = (float)(log(p->sigma) / 4);
    }
    return SS_OK;
}

ss_code ss_sampler_levels_make(const ss_sampler_options *o, const ss_schedule *schedule, int steps,
                               ss_sampler_levels *out, ss_err *e)
{
    ss_sampler_levels l = {0};
    ss_code rc = check(o, schedule, steps, e);

    if (rc != SS_OK)
        return rc;
    l.at = ss_calloc(2 * (size_t)steps, sizeof *l.at); /* heun evaluates twice */
    if (!l.at)
        return ss_no_memory(e, "a sampler's levels");
    rc = ss_sampler_in_sigma(o->kind) ? make_sigmas(o, schedule, steps, &l, e)
                                      : make_steps(o, schedule, steps, &l, e);
    if (rc == SS_OK && schedule && ss_schedule_continuous(schedule))
        rc = tell_logarithms(&l, e);
    if (rc != SS_OK)
        ss_sampler_levels_release(&l);
    else
        *out = l;
    return rc;
}

void ss_sampler_levels_release(ss_sampler_levels *l)
{
    ss_free(l->at);
    *l = (ss_sampler_levels){0};
}
