/* chain_file.h - a chain of networks that make a video in stages, as a JSON file says it
 *
 *   {"samples": 4, "classes": [0, 1, 3, 9], "seed": 0, "fps": 8,
 *    "stages": [
 *      {"mode": "base", "model": "base", "steps": 30, "guidance": 2, "negative_class": 11},
 *      {"mode": "interpolate", "model": "between", "new_frames": 1},
 *      {"mode": "upscale", "model": "larger", "frames": 4, "overlap": 1, "join": "states"}]}
 *
 * Of the file: `samples` (one for each class, else 8), `classes` or `prompts` (lists), `seed`,
 * `fps`, `stages`. Of a stage:
 *
 *   mode        base, from noise: the first stage, and no other; extrapolate, interpolate, upscale
 *               (reel.h); refine: a part of the steps from the former video on (--strength)
 *   model       folder, relative to the file
 *   name        of its folder of results; the mode
 *   probe       true: a run file, run.h5
 *   sampler, steps, eta, guidance, negative_class, negative_prompts, precision, batch, frames
 *               as generate's options
 *   length, overlap, join, frame_noise   likewise, base and extrapolate; all but length: upscale
 *   keep        extrapolate, needed
 *   new_frames  interpolate; 1
 *   strength    refine, needed
 *
 * Any other key, and one that the mode has no use for, is an error.
 */
#ifndef SS_PROBE_CHAIN_FILE_H
#define SS_PROBE_CHAIN_FILE_H

#include "base/json.h"
#include "probe/trajectory.h"

enum { SS_CHAIN_MAX_STAGES = 32 };

#define SS_CHAIN_MODES(X)         \
    X(BASE, "base")               \
    X(EXTRAPOLATE, "extrapolate") \
    X(INTERPOLATE, "interpolate") \
    X(UPSCALE, "upscale")         \
    X(REFINE, "refine")
#define X(name, text) SS_CHAIN_##name,
typedef enum { SS_CHAIN_MODES(X) SS_N_CHAIN_MODES } ss_chain_mode;
#undef X

typedef struct {
    ss_chain_mode mode;
    char name[64];
    char *model;                /* path */
    ss_trajectory_options each; /* without init and upscale_from, which are the former stage's */
    ss_sampler_kind sampler;    /* that each.sampler points at */
    const char **negative;      /* negative prompts, borrowed from the file */
    bool probe;
} ss_chain_stage;

typedef struct {
    ss_json file;
    int samples; /* 0: not said */
    uint64_t seed;
    double fps;
    int *classes;
    const char **prompts; /* borrowed from the file */
    int n_classes, n_prompts;
    int n;
    ss_chain_stage *stage;
} ss_chain;

/* Reads a file; no model is touched. Errors name the file, the stage and the key. */
ss_code ss_chain_load(const char *path, ss_chain *k, ss_err *e);
/* The same of a text; folder: what models are relative to. */
ss_code ss_chain_parse(const char *name, const char *text, size_t len, const char *folder,
                       ss_chain *k, ss_err *e);
void ss_chain_release(ss_chain *k); /* {0} is fine */

const char *ss_chain_mode_name(ss_chain_mode m);

#endif
