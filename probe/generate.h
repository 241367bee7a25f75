/* generate.h - the same samples from several models, as a folder of pictures
 *
 *   DIR/sheet.png            all pictures: a row a model, a column a sample
 *   DIR/NN-NAME/0000.png ... the pictures of model NN (from 01), NAME the last part of its path; of
 * a video all frames, from left to right without gaps DIR/NN-NAME/latents.safetensors   where
 * samples are no pictures: the tensor `latents` [samples][C][H][W], or [samples][C][F][H][W], for a
 * decoder DIR/generate.json        how they were made, and what is in them:
 *
 *   {"format": "sigmascope-generate", "version": 1, "tool": "sigmascope 0.1.0",
 *    "command": "...", "created": "2025-01-31T12:00:00Z",
 *    "sampler": "ddim", "steps": 50, "guidance": 1.0, "eta": 0.0, "seed": 0,
 *    "precision": "fp32",                  or "fp16 (half, sdpa), mid_block=bf16"
 *    "interventions": ["clamp:100@up_blocks.0"],
 *    "samples": 8, "conditions": ["class 0", ...],       one a sample, "" if none
 *    "models": [{"path": "...", "name": "step-06000", "sha256": "...",
 *                "folder": "01-step-06000", "pictures": ["01-step-06000/0000.png", ...],
 *                "nonfinite": [0, ...],    values of each sample that are inf or NaN
 *                "absmax": [1.1, ...],     largest other |x0| of each sample, before clipping
 *                "seconds": 3.2}],
 *    "frames": 16,                         only of videos: frames in each of the pictures
 *    "sheet": "sheet.png"}
 *
 * A new key may appear; one that is there keeps its meaning while the version stays.
 */
#ifndef SS_PROBE_GENERATE_H
#define SS_PROBE_GENERATE_H

#include "base/table.h"
#include "probe/trajectory.h"

enum { SS_DEFAULT_SAMPLES = 8 };

typedef struct {
    const char *const *models; /* folders */
    int n_models;
    const char *output; /* DIR */
    bool replace;       /* an existing DIR that generate made */
    /* network.model is set for each model; the sampler, where none is given, is the first
     * model's; samples 0: one a class with `classes`, else SS_DEFAULT_SAMPLES */
    ss_trajectory_options each;
    const char *classes; /* "0,3,7" or "all", or NULL: each.condition.classes */
    int threads;
    const char *device;
} ss_generate_options;

ss_generate_options ss_generate_defaults(void);

typedef struct {
    ss_table table; /* a row a model; ss_table_release */
    int n_samples;  /* of all models */
    int n_broken;   /* of them, with values that are not finite */
} ss_generate_summary;

/* DIR appears whole, or not at all. SIGINT and SIGTERM end the work with SS_INTERRUPTED when
 * ss_interrupt (interrupt.h) was installed as their handler. */
ss_code ss_generate_run(const ss_generate_options *opt, ss_generate_summary *sum, ss_err *e);

#endif
