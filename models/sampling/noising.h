/* noising.h - how pictures are noised for a network, what it is told, what its answer means
 *
 * The network sees a x0 + s n with n ~ N(0, 1); sigma = s / a is EDM's noise level. By kind
 * (scheduler_class.h), d = sigma_data:
 *
 *   betas        a = 1 / sqrt(1 + sigma^2), s = sigma a      told: the training step nearest in the
 *                logarithm of sigma, or ln(sigma) / 4; answers as schedule.h has it
 *   score        a = 1, s = sigma                            told sigma; answers -n / sigma
 *   EDM          a = 1 / sqrt(sigma^2 + d^2), s = sigma a    told ln(sigma) / 4; answers F with
 *                x0 = c_skip x + c_out F (edm.h), or -F where it predicts v
 *   consistency  a and s as EDM's                            told 250 ln(sigma); answers F with
 *                x0 = c_skip x + c_out F, c_skip = d^2 / ((sigma - min)^2 + d^2),
 *                c_out = (sigma - min) d / sqrt(sigma^2 + d^2): at the lowest sigma x0 = x
 *                (Song et al. 2023, appendix C)
 *   flow         t = sigma / (1 + sigma): a = 1 - t, s = t   told steps t; answers v = n - x0
 *
 *   ss_noising_options o = {.file = "scheduler_config.json"};
 *   ss_noising *k;
 *   rc = ss_noising_open(&o, &k, &err);
 *   double t = ss_noising_told(k, 0.5);
 *   ss_noise_level l = ss_noising_level(k, 0.5);
 *
 * A file whose class is not known, or that has an option that is not supported, opens all the same:
 * what does not need it goes on, what does asks ss_noising_check. Until then the defaults stand in.
 */
#ifndef SS_MODELS_NOISING_H
#define SS_MODELS_NOISING_H

#include "models/sampling/scheduler_class.h"

#include <jansson.h>

typedef struct {
    const char *file; /* scheduler_config.json; NULL: there is none */
    /* Content that stands in for a missing file, as it was inferred (borrowed), and
     * why it lacks what the network predicts, "" where it does not. NULL: nothing. */
    const json_t *inferred;
    const char *ask_prediction;
    /* Options that win over the file; NULL: none. The options --beta-* make it a schedule of betas,
     * whatever class the file names. */
    const char *beta_schedule, *beta_start, *beta_end, *prediction;
    bool takes_sigma;           /* it is a score network, whatever the file says */
    bool like_stable_diffusion; /* without file and option, Stable Diffusion's betas are assumed */
} ss_noising_options;

typedef struct ss_noising ss_noising;

/* Opens the schedule. SS_USAGE for an option, SS_IO or SS_FORMAT for a file that cannot be read. */
ss_code ss_noising_open(const ss_noising_options *opt, ss_noising **k, ss_err *e);
void ss_noising_free(ss_noising *k); /* NULL is fine */

/* Returns SS_OK, or an error that says why the schedule is not known and what to do. */
ss_code ss_noising_check(const ss_noising *k, ss_err *e);
/* True where no file says the schedule, or says one that is not known. */
bool ss_noising_assumed(const ss_noising *k);
/* Describes it in one line: "EulerDiscreteScheduler: linear betas 0.0001 to 0.02, 1000 steps, ..."
 * A schedule that is assumed begins with that word and ends with what to do. */
const char *ss_noising_text(const ss_noising *k);
/* Names what the network predicts: "epsilon", "v_prediction", "edm", ... */
const char *ss_noising_prediction(const ss_noising *k);

ss_scheduler_kind ss_noising_kind(const ss_noising *k);
/* Returns the schedule of betas; where it is of another kind, the default one. Borrowed. */
const ss_schedule *ss_noising_schedule(const ss_noising *k);
/* True where the network takes sigma (score), or EDM's function of it, and no timesteps. */
bool ss_noising_takes_sigma(const ss_noising *k);
/* True where the answer can be compared with a target; consistency models have none, as they are
 * trained against themselves. */
bool ss_noising_has_target(const ss_noising *k);

/* Returns the level at sigma > 0: the network sees a x0 + s n. sigma may be infinite where
 * ss_noising_reaches_infinity says so. */
ss_noise_level ss_noising_level(const ss_noising *k, double sigma);
bool ss_noising_reaches_infinity(const ss_noising *k);
/* Returns what the network is told at sigma. */
double ss_noising_told(const ss_noising *k, double sigma);
/* Returns the same without rounding to whole steps. */
double ss_noising_told_exactly(const ss_noising *k, double sigma);
/* True where the file says from which sigma to which a network that is told ln(sigma) / 4 goes
 * (Stable Video Diffusion: 0.002 to 700). */
bool ss_noising_range(const ss_noising *k, double *low, double *high);
/* Returns the lowest sigma that the network was trained with; 0.01 where nothing says it. */
double ss_noising_lowest(const ss_noising *k);
/* Returns the sigma of a timestep, which may have a fraction; SS_USAGE where there is none. */
ss_code ss_noising_sigma(const ss_noising *k, double timestep, double *sigma, ss_err *e);

/* Computes the answer that the network is trained towards (target): the mean squared difference
 * from it is the training loss; or the clean picture that its answer y to x, which it saw, means
 * (denoised): NaN where it means none, as epsilon at infinite sigma. l is ss_noising_level's; n
 * values; out may be one of the inputs. */
void ss_noising_target(const ss_noising *k, ss_noise_level l, const float *x0, const float *noise,
                       int64_t n, float *out);
void ss_noising_denoised(const ss_noising *k, ss_noise_level l, const float *x, const float *y,
                         int64_t n, float *out);
/* False where an answer says nothing about the clean picture. */
bool ss_noising_can_denoise(const ss_noising *k, double sigma);

#endif
