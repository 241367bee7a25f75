/* noise.h - white, pink and blue noise
 *
 * Noise of a colour is white noise whose waves are weighted by g(|f|):
 *
 *   white   g = 1      every wave has the same power
 *   pink    g = 1/f    power of a wave ~ 1/f^2, so every octave has the same power, as in
 *                      pink noise in one dimension (there: ~ 1/f), and as in photographs
 *   blue    g = f      power of a wave ~ f^2: the inverse, fine detail without large shapes
 *
 * f is the length of the wave's frequency vector in cycles per pixel, alike in all directions.
 *
 * Source: Field 1987, "Relations between the statistics of natural images and the response
 * properties of cortical cells", J. Opt. Soc. Am. A 4(12), figure 7: amplitude ~ 1/f.
 */
#ifndef SS_FFT_NOISE_H
#define SS_FFT_NOISE_H

#include "base/err.h"
#include "base/rng.h"
#include "base/sample_size.h"

#define SS_NOISE_COLORS(X) \
    X(WHITE, "white")      \
    X(PINK, "pink")        \
    X(BLUE, "blue")

#define X(name, text) SS_NOISE_##name,
typedef enum { SS_NOISE_COLORS(X) SS_NOISE_N_COLORS } ss_noise_color;
#undef X

const char *ss_noise_name(ss_noise_color color); /* "pink" */

/* Draws a sample x, its frames and channels independent of each other.
 *
 * White noise is the stream's standard normals from number 0 on, in memory order. Pink and
 * blue noise are the same normals, reweighted; every channel has a mean of 0, and each
 * frame is scaled so that its mean square is exactly 1 (up to rounding). Exactly, not on average:
 * a few waves carry most of the power of pink noise, so that images left as drawn would
 * differ in size by a fifth, and activations with them.
 *
 * SS_SHAPE where pink or blue noise has no wave to be made of: 1 x 1 pixel. */
ss_code ss_noise_draw(ss_noise_color color, ss_rng rng, ss_sample_size size, float *x, ss_err *e);

#endif
