/* generate.h - draws the same samples from several models, into a folder of pictures
 *
 *   DIR/sheet.png            all pictures: one row for each model, one column for each sample
 *   DIR/NN-NAME/0000.png ... the pictures of model NN (from 01), NAME the last part of its path; a
 *                            picture of a video has all frames, from left to right without gaps
 *   DIR/NN-NAME/latents.safetensors   if samples are no pictures: the tensor `latents`
 *                            [samples][C][H][W], or [samples][C][F][H][W], for a decoder
 *   DIR/NN-NAME/0000/0000.png ...     of videos: the same, a file for each frame
 *   DIR/player.html          of videos: plays them, two models side by side (player.h)
 *   DIR/NN-NAME/0000.mp4 ... of videos, where there is an ffmpeg
 *   DIR/generate.json        how they were made, and what is in them:
 *
 *   {"format": "sigmascope-generate", "version": 1, "tool": "sigmascope 0.1.0",
 *    "command": "...", "created": "2025-01-31T12:00:00Z",
 *    "sampler": "ddim", "steps": 50, "guidance": 1.0, "eta": 0.0, "seed": 0,
 *    "device": "cpu: ...",                 ends in ", arithmetic f32" unless that is auto
 *    "precision": "fp32",                  or "fp16 (half, sdpa), mid_block=bf16"
 *    "interventions": ["clamp:100@up_blocks.0"],
 *    "samples": 8, "conditions": ["class 0", ...],       one for each sample, "" for none
 *    "models": [{"path": "...", "name": "step-06000", "sha256": "...",
 *                "folder": "01-step-06000", "pictures": ["01-step-06000/0000.png", ...],
 *                "nonfinite": [0, ...],    values of each sample that are inf or NaN
 *                "absmax": [1.1, ...],     largest other |x0| of each sample, before clipping
 *                "decoded_nonfinite": [0, ...], of latents that a VAE decoded: the same after it
 *                "frames": 16,             only of videos: frames in each of its pictures
 *                "seconds": 3.2}],
 *    "frames": 16, "fps": 8.0,             only of videos: the first model's frames, and how many
 *                                          are shown a second
 *    "deforum": {...},                     of such videos: the file with the camera's motion
 *    "sheet": "sheet.png"}
 *
 * New keys may be added; a key keeps its meaning as long as the version stays.
 */
#ifndef SS_PROBE_GENERATE_H
#define SS_PROBE_GENERATE_H

#include "base/table.h"
#include "probe/trajectory.h"

enum { SS_DEFAULT_SAMPLES = 8, SS_DEFAULT_FPS = 8 };

typedef struct {
    const char *const *models; /* folders */
    int n_models;
    const char *output; /* DIR */
    bool replace;       /* replaces an existing DIR that generate made */
    /* Options for each model. network.model is ignored; sampler NULL is the first model's; samples
     * 0 is one for each of `classes`, or SS_DEFAULT_SAMPLES. */
    ss_trajectory_options each;
    double fps;          /* of videos that are shown */
    const char *deforum; /* file of a camera's motion: videos of a model of pictures (deforum.h) */
    const char *classes; /* "0,3,7" or "all", or NULL: each.condition.classes */
} ss_generate_options;

ss_generate_options ss_generate_defaults(void);

typedef struct {
    ss_table table; /* one row for each model; the caller releases it */
    int n_samples;  /* of all models */
    int n_broken;   /* those with values that are not finite */
} ss_generate_summary;

/* Samples all models and writes DIR, which appears whole or not at all. If ss_interrupt
 * (interrupt.h) is the handler of SIGINT and SIGTERM, they end the work, with SS_INTERRUPTED. */
ss_code ss_generate_run(const ss_generate_options *opt, ss_generate_summary *sum, ss_err *e);

#endif
