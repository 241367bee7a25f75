/* sampler_levels.h - the noise levels that a sampler visits */
#ifndef SS_MODELS_SAMPLER_LEVELS_H
#define SS_MODELS_SAMPLER_LEVELS_H

#include "models/sampling/sampler_options.h"
#include "models/sampling/schedule.h"

/* One evaluation of the network. */
typedef struct {
    double sigma;         /* EDM's; infinite at zero SNR */
    float timestep;       /* the network is told it; may have a fraction, or be sigma */
    ss_noise_level level; /* the network sees a x0 + s n */
    bool noisy;           /* the step after it draws noise */
    int step;             /* number of the step that begins here; -1: heun's second evaluation */
} ss_sampler_point;

/* One evaluation, and the step after it. */
typedef struct {
    ss_sampler_point point;

    /* ddpm, ddim */
    double abar, next; /* here, and where the step leads */
    double beta;       /* 1 - abar / next */
    double variance;   /* beta (1 - next) / (1 - abar) */
    double small;      /* the same, at least 1e-20, for its logarithm */

    /* euler, heun */
    double change; /* next level's sigma minus this one's, of the step being made */
} ss_sampler_level;

typedef struct {
    ss_sampler_level *at; /* [n] */
    int n;
    double start; /* standard deviation of the first state */
} ss_sampler_levels;

ss_code ss_sampler_levels_make(const ss_sampler_options *opt, const ss_schedule *schedule,
                               int steps, ss_sampler_levels *l, ss_err *e);
void ss_sampler_levels_release(ss_sampler_levels *l); /* {0} is fine */

#endif
