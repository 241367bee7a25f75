/* field.h - planes of numbers [h][w]: brightness, blurring, halving, values between pixels
 *
 * Beyond its border a plane goes on mirrored, the border pixel not repeated (... 2 1 0 1 2 ...).
 * Positions are in pixels: pixel (y, x) is at (y, x), x to the right and y downwards.
 */
#ifndef SS_ANALYZE_VIDEO_FIELD_H
#define SS_ANALYZE_VIDEO_FIELD_H

#include "base/err.h"

/* g [h][w] = brightness of frame [h][w][c] in its grey levels: 0.299 R + 0.587 G + 0.114 B (ITU-R
 * BT.601) of 3 channels, else their mean. */
void ss_field_gray(const float *frame, int h, int w, int c, float *g);

/* A Gaussian of standard deviation sigma > 0 pixels, cut off at 3 sigma and normalised. */
typedef struct {
    int radius;
    float *weight; /* [radius + 1], from the middle outwards */
} ss_field_blur;

ss_code ss_field_blur_init(ss_field_blur *b, double sigma, ss_err *e);
void ss_field_blur_release(ss_field_blur *b); /* {0} is fine */
/* x [h][w] is blurred in place; room [h][w]. */
void ss_field_blur_run(const ss_field_blur *b, float *x, int h, int w, float *room);

/* to [(h + 1) / 2][(w + 1) / 2] = every second pixel of every second line of x, after the binomial
 * filter (1 4 6 4 1) / 16 along both sides (Burt & Adelson 1983). room [h][w]. */
void ss_field_halve(const float *x, int h, int w, float *to, float *room);

/* The value of x at (py, px), which are moved to the nearest place inside: cubic convolution with
 * a = -1/2 (Keys 1981), which is exact for parabolas. NaN for a place that is not finite. */
float ss_field_at(const float *x, int h, int w, float py, float px);

/* Derivatives along x and y of a plane, central differences (one-sided at the border). */
void ss_field_slopes(const float *x, int h, int w, float *dx, float *dy);

#endif
