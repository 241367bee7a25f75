/* scheduler_class.h - what diffusers' scheduler classes take where a file says nothing
 *
 * A scheduler_config.json names its class. Keys that are missing have the defaults of that class,
 * and the class decides what is noised how:
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
    double snr_shift;   /* default of snr_shift_scale, 1: has no such key */
    bool tiny_end;      /* cannot start from infinite sigma: 2^-24 is its zero SNR */
    bool takes_flow;    /* has use_flow_sigmas */
    ss_spacing spacing; /* of its sampling steps */
    bool clip;          /* x0 is clipped to [-1, 1] unless the file says otherwise */
    bool alpha_to_one;  /* the last step ends at abar 1 */
    int sampler;        /* ss_sampler_kind that is the same, or -1 */
} ss_scheduler_class;

/* NULL where the class is not known; a missing name (NULL) is DDPMScheduler, as ever. */
const ss_scheduler_class *ss_scheduler_class_find(const char *name);
/* Of the file; what is not known, too, and sampling keys, count as read. */
const ss_scheduler_class *ss_scheduler_class_read(ss_json *j);

/* What a key of a scheduler file is. */
typedef enum {
    SS_SCHEDULER_KEY_UNKNOWN, /* no class of diffusers has it */
    SS_SCHEDULER_KEY_NOISE,   /* how pictures are noised, what the network is told and answers */
    SS_SCHEDULER_KEY_SAMPLER, /* how one of the samplers here goes (sampler.h) */
    SS_SCHEDULER_KEY_OTHER    /* of samplers that are not built in, or of the past */
} ss_scheduler_key;

ss_scheduler_key ss_scheduler_key_of(const char *key);

#endif
