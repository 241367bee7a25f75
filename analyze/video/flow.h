/* flow.h - optical flow: where each pixel of a picture is in the next one
 *
 * Pyramids of both pictures are halved until a side would be shorter than 8. From the coarsest
 * level to the finest:
 *
 *   candidates   the flow of the coarser level, doubled; none (0); and at one level, whose shorter
 *                side is below 128, the shifts of overlapping tiles and of the whole picture by
 *                phase correlation (correlate.h). Each pixel takes the one that explains its
 *                neighbourhood best, a shift only where it is much better
 *   refinement   up to 8 rounds of Lucas and Kanade: with I' = b(p + w), g its slope together with
 *                a's, and <> a Gaussian mean around p (sigma 1.5 pixels),
 *                    (<g g^T> + 2 E) dw = <g (a - I')>,   |dw| <= 1
 *                after each of which the flow is smoothed (sigma 1 pixel)
 *   median       of 3 x 3 vectors, along x and y by themselves
 *
 * Where 0 explains a neighbourhood as well as w does, w is 0: a patch of one value does not move.
 * What leaves the picture has no partner, so the flow there is that of its neighbours.
 *
 * Sources: Lucas & Kanade 1981; Bouguet 2000, "Pyramidal implementation of the Lucas Kanade feature
 * tracker"; Baker & Matthews 2004; for candidates Brox & Malik 2011.
 */
#ifndef SS_ANALYZE_VIDEO_FLOW_H
#define SS_ANALYZE_VIDEO_FLOW_H

#include "base/err.h"

#include <stdint.h>

/* flow [h][w][2]: x and y of w, in pixels, with which b(p + w) looks like a(p). a, b [h][w] in grey
 * levels, finite. The only failure is SS_NOMEM. */
ss_code ss_flow_find(const float *a, const float *b, int h, int w, float *flow, ss_err *e);

/* Marks in hidden [h][w] with 1 where a pixel has no partner: p + w is outside, or the flow back
 * from there does not return,
 *
 *   |w + w'|^2 > 0.01 (|w|^2 + |w'|^2) + 0.5,   w' = backward(p + w)
 *
 * forward, backward [h][w][2]. Returns how many are marked.
 * Source: Ruder, Dosovitskiy & Brox 2016, "Artistic style transfer for videos", equation 5. */
int64_t ss_flow_hidden(const float *forward, const float *backward, int h, int w, uint8_t *hidden);

/* The flow [h][w][2] at a place inside, between pixels linearly. */
void ss_flow_at(const float *flow, int h, int w, float py, float px, float *u, float *v);

/* Mean of |a(p) - b(p + w)| over pixels that are not hidden, and over the c channels of a and b
 * [h][w][c]; NaN where all are hidden. */
ss_code ss_flow_warping_error(const float *a, const float *b, int h, int w, int c,
                              const float *flow, const uint8_t *hidden, double *error, ss_err *e);

#endif
