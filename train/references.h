/* references.h - frames of a training video that the network is given
 *
 * A network with reference frames (motion_config.h) sees, beside the C channels of a noised frame,
 * C of a given one and a mask that is 1 where one is given, zeros elsewhere. What is given is drawn
 * for each video:
 *
 *   first   1 to F - 1 frames at its beginning, for extrapolation
 *   ends    its first and its last frame, for interpolation
 *   second  frames 0, 2, 4, ..., for twice the rate of frames
 *   else    nothing
 *
 * With `lower` all frames are given, of a lower resolution: averaged over lower x lower pixels,
 * rounded to bytes and interpolated back (picture.h), as `generate --upscale-from` reads them.
 */
#ifndef SS_TRAIN_REFERENCES_H
#define SS_TRAIN_REFERENCES_H

#include "base/err.h"
#include "base/rng.h"
#include "base/sample_size.h"

#include <stdint.h>

typedef struct {
    double first, ends, second; /* chances; together at most 1 */
    int lower;                  /* 0: frames are given whole */
} ss_references_options;

/* SS_USAGE if the options do not go together, or not with samples of this size. */
ss_code ss_references_check(const ss_references_options *o, ss_sample_size size, ss_err *e);

/* out [F][H][W][2 C + 1] = what the network sees of a video x0 [F][H][W][C], noised: `input`. The
 * numbers of r decide what is given. */
ss_code ss_references_put(const ss_references_options *o, ss_sample_size size, ss_rng r,
                          const float *x0, const float *input, float *out, ss_err *e);

#endif
