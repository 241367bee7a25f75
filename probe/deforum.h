/* deforum.h - a video made of pictures, one after another: the baseline without a video model
 *
 *   frame 0       sampled from noise, as any picture
 *   frame k       frame k - 1, seen by a camera that moved (warp.h), its colours held to those of
 *                 frame 0 if wanted, noised to a level in the middle of the trajectory, and sampled
 * on
 *
 * The noise of frame 0 is that of a model of videos at the same seed; each further frame has its
 * own.
 *
 * A file says how the camera moves:
 *
 *   {"frames": 16,
 *    "translation": [0, 0, 10],    x, y, z for each frame, in Deforum's units
 *    "rotation": {"1": [0, 0, 0], "15": [0, 0, 5]},   degrees about x, y, z; either may be a list,
 * or keyframes, between which it goes in straight lines "fov": 40, "near": 200, "far": 10000,
 * degrees; planes in the same units "depth": 200,                 a plane, "FILE" or "FOLDER"
 * (depth.h), or {"model": "FOLDER"} "strength": 0.65,             share of the trajectory that the
 * frame before stands for: 1 - 0.65 of the steps are made "color_match": true, "warp": "deforum"}
 * or "rays"
 *
 * All keys but "frames" have the defaults above, and no motion.
 */
#ifndef SS_PROBE_DEFORUM_H
#define SS_PROBE_DEFORUM_H

#include "probe/depth.h"
#include "probe/trajectory.h"

enum { SS_DEFORUM_MAX_FRAMES = 10000 };

typedef struct {
    int frames;
    double *translation, *rotation; /* [frames][3], of the move that leads to a frame; owned */
    double fov, strength;
    bool color_match, rays;
    ss_depth_options depth;
    void *json; /* holds the texts; owned */
} ss_deforum_plan;

/* Reads the file. SS_FORMAT, with the key and what is allowed, for what is not as above; a key that
 * is not known is SS_UNSUPPORTED. */
ss_code ss_deforum_plan_read(const char *path, ss_deforum_plan *p, ss_err *e);
void ss_deforum_plan_release(ss_deforum_plan *p); /* {0} is fine */

typedef struct ss_deforum ss_deforum;

/* Opens a video by the model, samples and seed of opt; plan and opt are borrowed while it lives.
 * SS_UNSUPPORTED for models of videos or of latents. */
ss_code ss_deforum_open(const ss_deforum_plan *plan, const ss_trajectory_options *opt,
                        ss_deforum **d, ss_err *e);
void ss_deforum_close(ss_deforum *d); /* NULL is fine */

ss_trajectory *ss_deforum_first(const ss_deforum *d); /* that samples frame 0; borrowed */
int ss_deforum_evaluations(const ss_deforum *d);
ss_sample_size ss_deforum_size(const ss_deforum *d); /* of a sample */

/* Makes all frames of all samples; tick may be NULL, and is called before each evaluation. */
ss_code ss_deforum_run(ss_deforum *d, ss_ctx *c, ss_trajectory_tick tick, void *self, ss_err *e);

/* [F][H][W][C] of a finished run, in the network's units; borrowed. */
const float *ss_deforum_video(const ss_deforum *d, int sample);

#endif
