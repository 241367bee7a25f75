/* sampler.h - from noise to a picture, one evaluation of the network after another
 *
 * With a, s and sigma of the noise levels (schedule.h) and a' , s', sigma' of the next lower one,
 * x0 what the network's answer says of the clean picture and n its noise, z ~ N(0, 1):
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
 *   ss_sampler_options_load("scheduler_config.json", NULL, &opt, &err);
 *   ss_sampler_new(&opt, schedule, 50, &s, &err);
 *   for (int64_t k = 0; k < n; k++)
 *       x[k] = (float)(ss_sampler_start(s) * normal[k]);
 *   for (int i = 0; i < ss_sampler_count(s); i++) {
 *       ss_sampler_input(s, i, x, n, in);
 *       ...              // y: what the network answers to `in` at ss_sampler_at(s, i)->timestep
 *       ss_sampler_step(s, i, y, variance, z, n, x, memory, x0);
 *   }
 *
 * All arrays are the host's. Sources: Ho et al. 2020; Nichol & Dhariwal 2021 (learned range);
 * Song, Meng & Ermon 2021 (DDIM); Karras et al. 2022 (algorithm 1, without churn; eq. 5);
 * Saharia et al. 2022 (dynamic thresholding); Lin et al. 2023 (spacing).
 */
#ifndef SS_MODELS_SAMPLER_H
#define SS_MODELS_SAMPLER_H

#include "models/sampling/schedule.h"

/* As the command line spells them, and the class in scheduler_config.json. */
#define SS_SAMPLERS(X)                          \
    X(DDPM, "ddpm", "DDPMScheduler")            \
    X(DDIM, "ddim", "DDIMScheduler")            \
    X(EULER, "euler", "EulerDiscreteScheduler") \
    X(HEUN, "heun", "HeunDiscreteScheduler")
#define X(name, text, class) SS_SAMPLER_##name,
typedef enum { SS_SAMPLERS(X) SS_N_SAMPLERS } ss_sampler_kind;
#undef X

/* Which of the training steps are taken: from 0 in equal whole steps, from the last likewise, or
 * from the first to the last (Lin et al. 2023, table 2). */
#define SS_SPACINGS(X) X(LEADING, "leading") X(TRAILING, "trailing") X(LINSPACE, "linspace")
#define X(name, text) SS_SPACING_##name,
typedef enum { SS_SPACINGS(X) SS_N_SPACINGS } ss_spacing;
#undef X

/* Variance of ddpm's steps. The -log forms are the same numbers, computed through a logarithm. */
#define SS_VARIANCES(X)             \
    X(SMALL, "fixed_small")         \
    X(SMALL_LOG, "fixed_small_log") \
    X(LARGE, "fixed_large")         \
    X(LARGE_LOG, "fixed_large_log") \
    X(LEARNED_RANGE, "learned_range")
#define X(name, text) SS_VARIANCE_##name,
typedef enum { SS_VARIANCES(X) SS_N_VARIANCES } ss_variance;
#undef X

/* Where euler and heun get their sigmas: from the training steps; or between the highest and
 * lowest of these, equally spaced in sigma^(1/7) (Karras et al. 2022) or in the logarithm. */
typedef enum { SS_SIGMAS_TRAINED, SS_SIGMAS_KARRAS, SS_SIGMAS_EXPONENTIAL } ss_sigmas;

typedef struct {
    ss_sampler_kind kind;
    ss_spacing spacing;
    int64_t steps_offset; /* added to the steps of leading spacing */

    bool clip;       /* x0 to [-clip_range, clip_range]; not euler */
    bool clip_given; /* the file says so itself, it is not its class's default */
    double clip_range;
    /* ddpm and ddim, instead of clipping: x0 to [-m, m], then divided by m, the quantile
     * `ratio` of |x0| kept between 1 and threshold_max */
    bool threshold;
    double threshold_ratio, threshold_max;

    ss_variance variance; /* ddpm */
    double eta;           /* ddim: 0 is deterministic, 1 as noisy as ddpm with small variance */
    bool alpha_to_one; /* ddim: the last step ends at abar 1, else at the first training step's */

    ss_sigmas sigmas;            /* euler, heun */
    double sigma_min, sigma_max; /* ends of spaced sigmas; 0: of the training steps */
    bool end_at_sigma_min;       /* euler: the last step ends at the lowest sigma, not at 0 */
} ss_sampler_options;

/* From its name; SS_USAGE with the list otherwise. */
ss_code ss_sampler_kind_parse(const char *name, ss_sampler_kind *k, ss_err *e);
const char *ss_sampler_name(ss_sampler_kind k);

/* What diffusers' scheduler of that kind takes where nothing is said. */
ss_sampler_options ss_sampler_defaults(ss_sampler_kind k);

/* From a scheduler_config.json, or the defaults where path is NULL. kind NULL: the file's own
 * class, or ddim where that is none of the four. What the file does not say is as the class that it
 * names has it (scheduler_class.h). Of the keys, those that change what the sampler computes are
 * obeyed, or refused by name; a note names the others. */
ss_code ss_sampler_options_load(const char *path, const ss_sampler_kind *kind,
                                ss_sampler_options *opt, ss_err *e);
/* The same for a network that takes sigma itself: the ends of sigma from the file (0.01 and 1348,
 * as for NCSN++, where it does not say), spaced as Karras et al. do; heun where kind is NULL. */
ss_code ss_sampler_options_load_score(const char *path, const ss_sampler_kind *kind,
                                      ss_sampler_options *opt, ss_err *e);

typedef struct ss_sampler ss_sampler;

/* schedule: of the network, copied what is needed; NULL: it takes sigma and answers the score
 * -n / sigma, x0 = x + sigma^2 y, which ddpm and ddim refuse (SS_USAGE), as they do more steps
 * than there were in training. Where the schedule ends at abar 0 (zero SNR), euler and heun take
 * 2^-24 for it, as the reference does: their sigma must be finite. */
ss_code ss_sampler_new(const ss_sampler_options *opt, const ss_schedule *schedule, int steps,
                       ss_sampler **s, ss_err *e);
void ss_sampler_free(ss_sampler *s); /* NULL is fine */

/* One evaluation of the network. */
typedef struct {
    double sigma;         /* EDM's; infinite at zero SNR */
    float timestep;       /* what the network is told, may have a fraction; or sigma */
    ss_noise_level level; /* what it sees is a x0 + s n */
    bool noisy;           /* the step after it draws noise */
    int step;             /* which step begins here; -1: heun's second evaluation of one */
} ss_sampler_point;

ss_sampler_kind ss_sampler_kind_of(const ss_sampler *s);
int ss_sampler_count(const ss_sampler *s); /* evaluations */
const ss_sampler_point *ss_sampler_at(const ss_sampler *s, int i);
/* Standard deviation of the noise that sampling starts from. */
double ss_sampler_start(const ss_sampler *s);
/* True when steps want the second half of a network's output. */
bool ss_sampler_wants_variance(const ss_sampler *s);

/* in = what the network sees of the state x at evaluation i; n values, in may be x. */
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
