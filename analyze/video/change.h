/* change.h - how much frames differ from their neighbours, and how a video drifts as a whole
 *
 *   difference   d[t]  = mean |I[t] - I[t+1]| over pixels and channels
 *   flicker      (255 - mean of d) / 255: VBench's temporal_flickering, 1 for a still video.
 *                Motion counts as flicker: compare videos that should be still, or move alike
 *   second       mean |I[t-1] - 2 I[t] + I[t+1]|, which a steady change leaves at 0
 *
 * Drift, a number a frame: mean and standard deviation of brightness; mean CIELAB colour (D65,
 * sRGB; of other than 3 channels the brightness as gray); and `low`, the root mean square of how
 * the picture, averaged over at most 8 x 8 fields and without its mean, differs from frame 0.
 *
 * Source: Huang et al. 2024, "VBench", vbench/temporal_flickering.py.
 */
#ifndef SS_ANALYZE_VIDEO_CHANGE_H
#define SS_ANALYZE_VIDEO_CHANGE_H

#include "base/err.h"
#include "base/video.h"

enum { SS_CHANGE_GRID = 4, SS_CHANGE_TILES = SS_CHANGE_GRID * SS_CHANGE_GRID };

/* difference [F - 1], second [F - 2]. */
void ss_change_differences(const ss_video *v, double *difference, double *second);

/* VBench's number; NaN for less than 2 frames. */
double ss_change_flicker(const double *difference, int frames);

/* tile [tiles][F - 1]: the difference of each of the tiles, rows * columns of them, into which the
 * picture is cut: at most 4 x 4, each side of at least 4 pixels. Returns how many. */
int ss_change_tiles(const ss_video *v, double *tile);

typedef struct {
    double mean, std;       /* brightness, grey levels */
    double lightness, a, b; /* CIELAB */
    double low;             /* grey levels */
} ss_change_look;

/* look [F] */
ss_code ss_change_looks(const ss_video *v, ss_change_look *look, ss_err *e);

/* Colour difference of two frames' means, CIE76: 1 is about what can just be seen. */
double ss_change_colour(const ss_change_look *x, const ss_change_look *y);

/* Change from the first to the last of n values along their least-squares line; NaN for n < 2. */
double ss_change_trend(const double *x, int n, int stride);

#endif
