/* plan.h - the options of a probe, resolved against the model
 *
 * Opens the model and the inputs, maps noise levels to timesteps, loads conditions, and writes all
 * that determines the data as JSON, by the list of runfile/plan_list.h. Two runs with equal plans
 * hold the same data: --resume and cached.h compare plans.
 */
#ifndef SS_PROBE_PLAN_H
#define SS_PROBE_PLAN_H

#include "probe/concat.h"
#include "probe/conditions.h"
#include "probe/input.h"
#include "probe/network.h"
#include "probe/probe.h"
#include "probe/prompts.h"

#include <jansson.h>

typedef struct {
    double sigma;
    float timestep;       /* nearest to the sigma of the input */
    float asked;          /* timestep, or that of --condition-sigma */
    float condition;      /* what the network is told: asked, rounded by --round-timestep */
    ss_noise_level level; /* x = a x0 + s n */
} ss_plan_level;

typedef struct {
    ss_network net;
    ss_plan_level *levels;
    int n_levels;
    ss_input **inputs; /* NULL: of a text encoder, whose inputs are prompts */
    int n_inputs;
    ss_prompts prompts;
    ss_conditions conditions;
    ss_concat_channels concat;
    int samples, batch;
    ss_sample_size picture; /* of what is noised: the network's size without --concat's channels */
    ss_sample_size latent;  /* of a VAE's latents */
    bool has_timesteps;
    bool has_loss;       /* some input has a known clean picture, and the network a known target */
    bool knows_schedule; /* false: inputs are raw, and there are no denoised pictures */
    char *text;          /* the plan as JSON */
    char *identity;      /* its compared part */
} ss_plan;

/* Resolves opt, which is borrowed while the plan lives. On failure *p stays as it was. */
ss_code ss_plan_make(const ss_probe_options *opt, ss_plan *p, ss_err *e);
void ss_plan_release(ss_plan *p); /* {0} is fine */

/* Writes the texts of a plan that is resolved: the options, and what follows from them. */
ss_code ss_plan_write(const ss_probe_options *opt, ss_plan *p, ss_err *e);
/* Opens the inputs of opt, white noise if it has none, and for a VAE a picture; those of a VAE that
 * are no pictures are latents. */
ss_code ss_plan_open_inputs(const ss_probe_options *opt, ss_plan *p, ss_err *e);

/* The label of an input, and the name of one of its samples: of a picture's file, of a token; "" if
 * it has none. Borrowed. */
const char *ss_plan_input(const ss_plan *p, int i);
const char *ss_plan_sample_name(const ss_plan *p, int input, int sample);

/* Adds to a plan with options what every kind of run has: the network, its size and schedule, and
 * the sum of what conditions it. Takes the number off its device. */
ss_code ss_plan_describe(const ss_network *net, const ss_conditions *conditions, json_t *plan,
                         ss_err *e);

#endif
