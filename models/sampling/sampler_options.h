/* sampler_options.h - which sampler, and how it goes (sampler.h has the formulas) */
#ifndef SS_MODELS_SAMPLER_OPTIONS_H
#define SS_MODELS_SAMPLER_OPTIONS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Samplers, as the command line spells them. */
#define SS_SAMPLERS(X) X(DDPM, "ddpm") X(DDIM, "ddim") X(EULER, "euler") X(HEUN, "heun")
#define X(name, text) SS_SAMPLER_##name,
typedef enum { SS_SAMPLERS(X) SS_N_SAMPLERS } ss_sampler_kind;
#undef X

/* Choice of training steps: from 0 in equal whole steps, from the last one down likewise, or from
 * the first to the last (Lin et al. 2023, table 2). */
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

/* Sigmas of euler and heun: those of the training steps, or values between the highest and the
 * lowest of these, equally spaced in sigma^(1/7) (Karras et al. 2022) or in the logarithm. */
typedef enum { SS_SIGMAS_TRAINED, SS_SIGMAS_KARRAS, SS_SIGMAS_EXPONENTIAL } ss_sigmas;

typedef struct {
    ss_sampler_kind kind;
    ss_spacing spacing;
    int64_t steps_offset; /* added to the steps of leading spacing */

    bool clip;       /* limits x0 to [-clip_range, clip_range]; not euler */
    bool clip_given; /* clip is the file's, not the default of its class */
    double clip_range;
    /* For ddpm and ddim, instead of clipping: x0 is limited to [-m, m], then divided by m, which is
     * the quantile `ratio` of |x0| kept between 1 and threshold_max. */
    bool threshold;
    double threshold_ratio, threshold_max;

    ss_variance variance; /* ddpm */
    double eta;           /* ddim: 0 is deterministic, 1 as noisy as ddpm with small variance */
    bool alpha_to_one; /* ddim: the last step ends at abar 1, else at the first training step's */

    ss_sigmas sigmas;            /* euler, heun */
    double sigma_min, sigma_max; /* ends of spaced sigmas; 0: of the training steps */
    bool end_at_sigma_min;       /* euler: the last step ends at the lowest sigma, not at 0 */
} ss_sampler_options;

/* Finds a sampler by name; SS_USAGE with the list otherwise. */
ss_code ss_sampler_kind_parse(const char *name, ss_sampler_kind *k, ss_err *e);
const char *ss_sampler_name(ss_sampler_kind k);

/* Returns the defaults of diffusers' scheduler of that kind. */
ss_sampler_options ss_sampler_defaults(ss_sampler_kind k);

/* True for the samplers whose state is x0 + sigma n. */
bool ss_sampler_in_sigma(ss_sampler_kind k);

#endif
