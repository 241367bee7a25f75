/* schedule.h - how much noise there is at each training step of a diffusion model
 *
 * Variance preserving: step t mixes the clean picture x0 and noise n ~ N(0, 1) as
 *
 *   x_t = a x0 + s n,  a = sqrt(abar_t), s = sqrt(1 - abar_t),  abar_t = prod_{i<=t} (1 - beta_i)
 *   sigma(t) = s / a   EDM's noise level: x_t / a = x0 + sigma n
 *
 * The network predicts n (epsilon), x0 (sample), v = a n - s x0 (Salimans & Ho 2022), or
 * n - x0 (flow; Lipman et al. 2023).
 *
 * abar is computed as the reference does, in f32 with the product carried in double, and is
 * the reference's to the last bit. Rescaled to zero terminal SNR it differs by up to 5e-6
 * relative in the last steps, where nearly equal square roots are subtracted and PyTorch's
 * square root is not the correctly rounded one.
 * Sources: Ho et al. 2020; Nichol & Dhariwal 2021 (cosine); Lin et al. 2023 (zero SNR).
 */
#ifndef SS_MODELS_SCHEDULE_H
#define SS_MODELS_SCHEDULE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Names of scheduler_config.json. */
#define SS_BETAS(X)                   \
    X(LINEAR, "linear")               \
    X(SCALED_LINEAR, "scaled_linear") \
    X(COSINE, "squaredcos_cap_v2")    \
    X(SIGMOID, "sigmoid")             \
    X(LAPLACE, "laplace")
#define X(name, text) SS_BETAS_##name,
typedef enum { SS_BETAS(X) SS_N_BETAS } ss_betas;
#undef X

#define SS_PREDICTIONS(X)           \
    X(EPSILON, "epsilon")           \
    X(V_PREDICTION, "v_prediction") \
    X(SAMPLE, "sample")             \
    X(FLOW, "flow_prediction")
#define X(name, text) SS_PREDICT_##name,
typedef enum { SS_PREDICTIONS(X) SS_N_PREDICTIONS } ss_prediction;
#undef X

enum { SS_SCHEDULE_MAX_STEPS = 1 << 20 };

typedef struct {
    ss_betas betas;
    double beta_start, beta_end;
    int64_t steps;
    const double *trained; /* [steps] betas that replace those above, or NULL; borrowed */
    bool zero_snr;         /* rescaled so that the last step is pure noise */
    double last_abar;      /* abar of that last step: 0, or 2^-24 in some samplers' files */
    double snr_shift;      /* factor of s^2 / a^2 (CogVideoX); 0 or 1: none */
    bool continuous;       /* the network is told ln(sigma) / 4 in place of a step */
    ss_prediction prediction;
} ss_schedule_options;

/* Returns the defaults of diffusers' schedulers: linear, 1e-4 to 0.02, 1000 steps. */
ss_schedule_options ss_schedule_defaults(void);
/* Find a value by name; "cosine" is known, too. SS_USAGE with the list otherwise. */
ss_code ss_betas_parse(const char *name, ss_betas *b, ss_err *e);
ss_code ss_prediction_parse(const char *name, ss_prediction *p, ss_err *e);
const char *ss_betas_name(ss_betas b);
const char *ss_prediction_name(ss_prediction p);

typedef struct ss_schedule ss_schedule;

ss_code ss_schedule_new(const ss_schedule_options *opt, ss_schedule **s, ss_err *e);
void ss_schedule_free(ss_schedule *s); /* NULL is fine */

int64_t ss_schedule_steps(const ss_schedule *s);
ss_prediction ss_schedule_prediction(const ss_schedule *s);
const float *ss_schedule_abar(const ss_schedule *s);       /* [steps], borrowed */
double ss_schedule_sigma(const ss_schedule *s, int64_t t); /* infinity at zero SNR */
/* Returns the step whose sigma is nearest in the logarithm; beyond the ends the first or last. */
int64_t ss_schedule_nearest(const ss_schedule *s, double sigma);
/* Returns sigma between two steps, t from 0 to steps - 1: interpolated in the logarithm where both
 * are positive and finite, else linearly in a. */
double ss_schedule_sigma_between(const ss_schedule *s, double t);
/* Returns the step, with a fraction, that has this sigma; beyond the ends the first or last. */
double ss_schedule_step_of(const ss_schedule *s, double sigma);
/* True where the network is told ln(sigma) / 4. */
bool ss_schedule_continuous(const ss_schedule *s);

/* A noise level: x_t = a x0 + s n. */
typedef struct {
    double a, s;
} ss_noise_level;
ss_noise_level ss_schedule_level(const ss_schedule *s, int64_t t);
/* Returns a = 1 / sqrt(1 + sigma^2), s = sigma a; sigma may be infinite. */
ss_noise_level ss_noise_level_at(double sigma);

/* These compute n values on the host, element by element; out may be one of the inputs. */
void ss_add_noise(ss_noise_level l, const float *x0, const float *noise, int64_t n, float *xt);
/* Computes the answer that a network of that prediction is trained towards. */
void ss_training_target(ss_prediction p, ss_noise_level l, const float *x0, const float *noise,
                        int64_t n, float *target);
/* Computes x0 as the network's answer to x_t means it. Where a = 0, an epsilon prediction says
 * nothing about x0 and the result is NaN. */
void ss_denoised(ss_prediction p, ss_noise_level l, const float *xt, const float *answer, int64_t n,
                 float *x0);

#endif
