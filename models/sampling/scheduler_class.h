/* scheduler_class.h - the defaults of diffusers' scheduler classes
 *
 * A scheduler_config.json names its class. Keys that are missing have the defaults of that class,
 * and the class decides how pictures are noised:
 *
 *   betas         variance preserving (schedule.h)
 *   score         x = x0 + sigma n, the network is told sigma (NCSN++)
 *   EDM           Karras et al. 2022 (edm.h)
 *   consistency   the same, with the boundary condition of Song et al. 2023 (noising.h)
 *   flow          x = (1 - t) x0 + t n (Lipman et al. 2023; noising.h)
 *
 * Flax's classes have the names of the others with "Flax" before them, and the same keys.
 */
#ifndef SS_MODELS_SCHEDULER_CLASS_H
#define SS_MODELS_SCHEDULER_CLASS_H

#include "base/json.h"
#include "models/sampling/sampler_options.h"
#include "models/sampling/schedule.h"

typedef enum {
    SS_SCHEDULER_BETAS,
    SS_SCHEDULER_SCORE,
    SS_SCHEDULER_EDM,
    SS_SCHEDULER_CONSISTENCY,
    SS_SCHEDULER_FLOW
} ss_scheduler_kind;

typedef struct {
    const char *name; /* without "Flax" */
    ss_scheduler_kind kind;

    ss_betas betas;
    double beta_start, beta_end;
    double snr_shift;   /* default of snr_shift_scale; 1: it has no such key */
    bool tiny_end;      /* cannot start from infinite sigma: takes 2^-24 for abar 0 */
    bool takes_flow;    /* has use_flow_sigmas */
    ss_spacing spacing; /* default of its sampling steps */
    bool clip;          /* x0 is clipped to [-1, 1] unless the file says otherwise */
    bool alpha_to_one;  /* the last step ends at abar 1 */
    int sampler;        /* its ss_sampler_kind, or -1 where there is none here */
} ss_scheduler_class;

/* Finds a class; NULL where it is not known. A missing name (NULL) is DDPMScheduler. */
const ss_scheduler_class *ss_scheduler_class_find(const char *name);
/* Finds the class of a file. Keys of sampling, and unknown ones, count as read. */
const ss_scheduler_class *ss_scheduler_class_read(ss_json *j);

/* Meaning of a key of a scheduler file. */
typedef enum {
    SS_SCHEDULER_KEY_UNKNOWN, /* no class of diffusers has it */
    SS_SCHEDULER_KEY_NOISE, /* says how pictures are noised, what the network is told and answers */
    SS_SCHEDULER_KEY_SAMPLER, /* says how one of the samplers here goes (sampler.h) */
    SS_SCHEDULER_KEY_OTHER    /* belongs to samplers that are not built in, or to the past */
} ss_scheduler_key;

ss_scheduler_key ss_scheduler_key_of(const char *key);

#endif
