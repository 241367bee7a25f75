/* plan.h - the options of a probe, resolved against the model
 *
 * Opens the model and the inputs, maps noise levels to timesteps, loads conditions, and writes
 * down everything that determines the data as JSON: two runs with the same plan hold the same
 * data, which is what --resume asks.
 */
#ifndef SS_PROBE_PLAN_H
#define SS_PROBE_PLAN_H

#include "models/model.h"
#include "models/schedule.h"
#include "probe/conditions.h"
#include "probe/input.h"
#include "probe/probe.h"

typedef struct {
    double sigma;
    float timestep;       /* of the input: the nearest one */
    float condition;      /* what the network is told: the same, or --condition-sigma's */
    ss_noise_level level; /* x = a x0 + s n */
} ss_plan_level;

typedef struct {
    ss_model *model;
    ss_schedule *schedule;
    char sha256[65];
    ss_plan_level *levels;
    int n_levels;
    ss_input **inputs;
    int n_inputs;
    ss_conditions conditions;
    ss_array concat; /* [N][C][H][W], or nothing */
    int samples, batch;
    int height, width;
    int channels;         /* of the network's input */
    int picture_channels; /* of them, what is noised; the others are --concat's */
    int out_channels;

    bool has_loss; /* some input has a known clean picture */

    ss_precision precision;
    struct ss_precision_rule *rules; /* precision.rules; the globs are owned too */
    ss_intervention *interventions;
    char precision_text[256]; /* "fp16 (ops), mid_block=bf16" */
    char *text;               /* the plan as JSON */
} ss_plan;

/* Resolves opt, which is borrowed while the plan lives; threads is what the context uses.
 * On failure *p stays as it was. */
ss_code ss_plan_make(const ss_probe_options *opt, int threads, ss_plan *p, ss_err *e);
void ss_plan_release(ss_plan *p); /* {0} is fine */

/* What the network should have answered, so that its mean squared difference from the answer
 * is the training loss; and what its answer y to x says of the clean picture. As schedule.h
 * defines them for timestep models. A network that takes sigma itself (NCSN++) answers the
 * score of x = x0 + sigma n: the target is -n / sigma, and x0 is x + sigma^2 y (Song et al.
 * 2021). n values; out may be one of the inputs. */
void ss_plan_target(const ss_plan *p, const ss_plan_level *l, const float *x0, const float *noise,
                    int64_t n, float *out);
void ss_plan_denoised(const ss_plan *p, const ss_plan_level *l, const float *x, const float *y,
                      int64_t n, float *out);

#endif
