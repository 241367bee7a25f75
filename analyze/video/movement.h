/* movement.h - how a video moves, by optical flow between its frames (flow.h)
 *
 *   speed     mean |w| of a pair of frames, pixels
 *   top       mean |w| of the 5 % of its pixels that move most
 *   moving    top > 6 min(H, W) / 256: the pair moves
 *   dynamic   1 where at least max(1, round(4 F / 16)) pairs move, else 0: VBench's dynamic degree
 *             by our own flow, not by RAFT, and between all neighbouring frames, as at 8 a second
 *   hidden    share of pixels without a partner in the next frame
 *   warping   warping error, grey levels
 *
 * Source: Huang et al. 2024, "VBench", vbench/dynamic_degree.py.
 */
#ifndef SS_ANALYZE_VIDEO_MOVEMENT_H
#define SS_ANALYZE_VIDEO_MOVEMENT_H

#include "base/err.h"
#include "base/video.h"

enum { SS_SPEED_BINS = 9 };

typedef struct {
    int pairs, height, width;
    float *flow;                                  /* [pairs][H][W][2], from a frame to the next */
    uint8_t *hidden;                              /* [pairs][H][W] */
    double *speed, *top, *u, *v, *gone, *warping; /* [pairs]; u, v: mean flow; gone: share hidden */
    int moving;
    double threshold;              /* of top, in pixels */
    int needed;                    /* pairs that have to move */
    int64_t speeds[SS_SPEED_BINS]; /* pixels whose |w| is below 1/4, 1/2, 1, 2 ... 32, and above */
} ss_movement;

ss_code ss_movement_find(const ss_video *v, ss_movement *m, ss_err *e);
void ss_movement_release(ss_movement *m); /* {0} is fine */

/* "below 0.25", "0.25 to 0.5", ... of the bins of speeds. */
const char *ss_movement_bin(int bin);

#endif
