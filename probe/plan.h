/* plan.h - the options of a probe, resolved against the model
 *
 * Opens the model and the inputs, maps noise levels to timesteps, loads conditions, and writes
 * down everything that determines the data as JSON, by the list of runfile/plan_list.h: two runs
 * whose plans do not differ hold the same data, which is what --resume and kept runs (cached.h)
 * ask.
 */
#ifndef SS_PROBE_PLAN_H
#define SS_PROBE_PLAN_H

#include "probe/concat.h"
#include "probe/conditions.h"
#include "probe/input.h"
#include "probe/network.h"
#include "probe/probe.h"

#include <jansson.h>

typedef struct {
    double sigma;
    float timestep;       /* of the input: the nearest one */
    float asked;          /* the same, or --condition-sigma's */
    float condition;      /* what the network is told: that, rounded by --round-timestep */
    ss_noise_level level; /* x = a x0 + s n */
} ss_plan_level;

typedef struct {
    ss_network net;
    ss_plan_level *levels;
    int n_levels;
    ss_input **inputs;
    int n_inputs;
    ss_conditions conditions;
    ss_concat_channels concat;
    int samples, batch;
    ss_sample_size picture; /* of what is noised: the network's size without --concat's channels */
    bool has_loss;          /* some input has a known clean picture, and the answer a target */
    bool knows_schedule;    /* else inputs are raw, and nothing is said of clean pictures */
    char *text;             /* the plan as JSON */
    char *identity;         /* what is compared of it */
} ss_plan;

/* Resolves opt, which is borrowed while the plan lives. On failure *p stays as it was. */
ss_code ss_plan_make(const ss_probe_options *opt, ss_plan *p, ss_err *e);
void ss_plan_release(ss_plan *p); /* {0} is fine */

/* Adds to a plan what every kind of run has: what network it is, its size and schedule, and the sum
 * of what conditions it. */
ss_code ss_plan_describe(const ss_network *net, const ss_conditions *conditions, json_t *plan,
                         ss_err *e);

#endif
