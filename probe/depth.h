/* depth.h - how far each pixel of a picture is from the camera
 *
 * Depths are in Deforum's units, between a nearest and a farthest plane. Where a file or a network
 * has v from -1 (black, far) to 1 (white, near), it is of the inverse depth, as in pictures of
 * depth elsewhere:
 *
 *   1 / depth = 1 / far + (v + 1) / 2 (1 / near - 1 / far)
 *
 *   PATH.png          a picture, for all frames; fitted (picture.h) if it is of another size
 *   FOLDER            pictures PATH.png in the order of their names, one for each frame; the last
 * one stays PATH.npy, FILE#NAME   depths [H][W] for all frames, or [F][H][W]
 */
#ifndef SS_PROBE_DEPTH_H
#define SS_PROBE_DEPTH_H

#include "base/sample_size.h"
#include "kernels/context.h"

typedef struct {
    double plane;      /* > 0: everything is so far */
    const char *file;  /* else: as above, */
    const char *model; /* or a network that answers v of a picture that it is shown at timestep 0 */
    double near, far;
} ss_depth_options;

typedef struct ss_depth ss_depth;

/* Opens it for pictures of that size; opt is borrowed while it lives. SS_SHAPE for depths, or a
 * network, of another size; SS_FORMAT for depths that are not finite. */
ss_code ss_depth_open(const ss_depth_options *opt, ss_sample_size size,
                      const ss_ctx_options *device, ss_depth **d, ss_err *e);
void ss_depth_close(ss_depth *d); /* NULL is fine */

/* z [H][W] = depths of picture x [H][W][C], -1 to 1, which is frame `frame`, in lengths of the
 * camera (warp.h). */
ss_code ss_depth_of(ss_depth *d, const float *x, int frame, float *z, ss_err *e);

#endif
