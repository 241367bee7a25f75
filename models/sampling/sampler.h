/* sampler.h - from noise to a picture, one evaluation of the network after another
 *
 * With a, s and sigma of a noise level (schedule.h), a', s', sigma' of the next lower one, the
 * clean picture x0 and the noise n that the network's answer means, and z ~ N(0, 1):
 *
 *   ddpm    x' = (a' b x0 + sqrt(1 - b) s'^2 x) / s^2 + std z      b = 1 - (a / a')^2, std^2 = b
 *           (large), b s'^2 / s^2 (small), or between both as the network says (learned range)
 *   ddim    x' = a' x0 + sqrt(s'^2 - std^2) n + std z              std^2 = eta^2 b s'^2 / s^2
 *   euler   x' = x + (sigma' - sigma) d(x, sigma)                  d = (x - x0) / sigma
 *   heun    x' = x + (sigma' - sigma) (d(x, sigma) + d(euler's x', sigma')) / 2; the last step,
 *           to 0, is Euler's: 2 N - 1 evaluations for N steps
 *
 * ddpm and ddim hold x = a x0 + s n, which is what the network sees. euler and heun hold
 * x = x0 + sigma n and show the network a x, or x itself where it takes sigma (NCSN++). The
 * choice of levels, clipping and thresholding follow diffusers' schedulers of these names, whose
 * scheduler_config.json is read.
 *
 *   ss_sampler_options opt = ss_sampler_defaults(SS_SAMPLER_DDIM);  // or sampler_config.h
 *   ss_sampler_new(&opt, schedule, 50, &s, &err);
 *   for (int64_t k = 0; k < n; k++)
 *       x[k] = (float)(ss_sampler_start(s) * normal[k]);
 *   for (int i = 0; i < ss_sampler_count(s); i++) {
 *       ss_sampler_input(s, i, x, n, in);
 *       ...              // y: the network's answer to `in` at ss_sampler_at(s, i)->timestep
 *       ss_sampler_step(s, i, y, variance, z, n, x, memory, x0);
 *   }
 *
 * All arrays are the host's. Sources: Ho et al. 2020; Nichol & Dhariwal 2021 (learned range);
 * Song, Meng & Ermon 2021 (DDIM); Karras et al. 2022 (algorithm 1, without churn; eq. 5);
 * Saharia et al. 2022 (dynamic thresholding); Lin et al. 2023 (spacing).
 */
#ifndef SS_MODELS_SAMPLER_H
#define SS_MODELS_SAMPLER_H

#include "models/sampling/sampler_levels.h"

typedef struct ss_sampler ss_sampler;

/* Makes a sampler of `steps` steps. schedule is the network's, needed during the call only; more
 * steps than it has are SS_USAGE. NULL is for a network that takes sigma and answers the score -n /
 * sigma, x0 = x + sigma^2 y, which ddpm and ddim refuse (SS_USAGE). Where the schedule ends at abar
 * 0 (zero SNR), euler and heun take 2^-24 for it, as the reference does: their sigma must be
 * finite. */
ss_code ss_sampler_new(const ss_sampler_options *opt, const ss_schedule *schedule, int steps,
                       ss_sampler **s, ss_err *e);
void ss_sampler_free(ss_sampler *s); /* NULL is fine */

ss_sampler_kind ss_sampler_kind_of(const ss_sampler *s);
int ss_sampler_count(const ss_sampler *s); /* evaluations */
const ss_sampler_point *ss_sampler_at(const ss_sampler *s, int i);
/* Returns the standard deviation of the noise that sampling starts from. */
double ss_sampler_start(const ss_sampler *s);
/* True when steps want the second half of a network's output. */
bool ss_sampler_wants_variance(const ss_sampler *s);

/* Leaves out the first steps, so that sampling begins from a clean picture that is noised instead
 * of noise (SDEdit, Meng et al. 2022): of N steps the last int(N strength) remain, as in diffusers'
 * img2img pipelines. Evaluations and steps are counted from the first that remains. strength is 0
 * to 1, where 1 keeps all; SS_USAGE if no step remains. */
ss_code ss_sampler_shorten(ss_sampler *s, double strength, ss_err *e);
/* Sets x, the state at evaluation 0, to the clean picture x0 with normal numbers: n values, x may
 * be either of both. */
void ss_sampler_noised(const ss_sampler *s, const float *x0, const float *normal, int64_t n,
                       float *x);

/* Sets in to what the network sees of the state x at evaluation i; n values, in may be x. */
void ss_sampler_input(const ss_sampler *s, int i, const float *x, int64_t n, float *in);

/* Moves the state of one sample, n values, from evaluation i to the next, or to the end.
 *
 * answer    the network's, of the kind the schedule predicts
 * variance  its second half (learned range: -1 small, 1 large), or NULL
 * z         normal numbers; may be NULL where the point is not noisy
 * x         the state, changed
 * memory    [2n], the caller's, kept between the steps of one sample
 * x0        out: the clean picture that the answer means, limited as the options say */
void ss_sampler_step(const ss_sampler *s, int i, const float *answer, const float *variance,
                     const float *z, int64_t n, float *x, float *memory, float *x0);

#endif
