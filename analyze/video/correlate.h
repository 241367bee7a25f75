/* correlate.h - how far a part of a picture has moved as a whole, by phase correlation
 *
 *   R = A* B / |A* B|,   r = inverse DFT of R G,   shift = place of the largest r
 *
 * A and B are the transforms of the same tile of two frames, without its mean and faded out by a
 * Hann window; G is a Gaussian that leaves out the finest waves, which noise rules. Of a shift by
 * whole pixels r is a peak there, its height 1 where nothing else changed.
 *
 * Source: Kuglin & Hines 1975, "The phase correlation image alignment method".
 */
#ifndef SS_ANALYZE_VIDEO_CORRELATE_H
#define SS_ANALYZE_VIDEO_CORRELATE_H

#include "base/err.h"

typedef struct ss_correlator ss_correlator;

/* Tiles of h x w pixels; a correlator is used by one thread at a time. */
ss_code ss_correlator_new(int h, int w, ss_correlator **k, ss_err *e);
void ss_correlator_free(ss_correlator *k); /* NULL is fine */

/* The shift from the tile at (top, left) of a to that of b, both pictures width wide, in whole
 * pixels: b(y + *dy, x + *dx) looks like a(y, x). 0 where a tile is of one value. */
void ss_correlator_run(ss_correlator *k, const float *a, const float *b, int width, int top,
                       int left, int *dy, int *dx);

#endif
