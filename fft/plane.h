/* plane.h - the 2-D Fourier transform of one channel, which the rest of fft/ is made of
 *
 *   X[ky][kx] = sum over y, x of  x[y][x] exp(-2 pi i (ky y / h + kx x / w))
 *
 * forward without a factor, inverse without one either, so both give h w times the input.
 * The input is real, so X of a wave and of its negative are conjugates, and only kx from 0
 * to w/2 are kept.
 *
 *   ss_plane p;
 *   if (ss_plane_init(&p, h, w, &err) != SS_OK) ...
 *   ss_plane_load(&p, image, c, channel);
 *   fftwf_execute(p.forward);      // p.x -> p.f
 *   ...
 *   fftwf_execute(p.inverse);      // p.f -> p.x, and p.f is lost
 *   ss_plane_release(&p);
 *
 * Planes may be made and used in several threads, each by one at a time: FFTW's planner is
 * guarded here. Plans are made by rule, not by measurement, so they are the same each time.
 *
 * Source: Frigo, Johnson 2005, "The design and implementation of FFTW3", Proc. IEEE 93(2).
 */
#ifndef SS_FFT_PLANE_H
#define SS_FFT_PLANE_H

#include "base/err.h"

#include <complex.h> /* before fftw3.h: makes its numbers C's own */
#include <fftw3.h>

typedef struct {
    int h, w, half;   /* half = w/2 + 1 */
    float *x;         /* [h][w] */
    fftwf_complex *f; /* [h][half] */
    fftwf_plan forward, inverse;
} ss_plane;

/* h, w >= 1, else SS_SHAPE. */
ss_code ss_plane_init(ss_plane *p, int h, int w, ss_err *e);
void ss_plane_release(ss_plane *p); /* {0} is fine */

/* p->x = one channel of image [h][w][c] minus its mean, which is returned: in single
 * precision a large mean would drown the waves. */
double ss_plane_load(ss_plane *p, const float *image, int c, int channel);

/* One channel of image [h][w][c] = scale * p->x + mean. */
void ss_plane_store(const ss_plane *p, float *image, int c, int channel, double scale, double mean);

/* |f| of bin (ky, kx) in cycles per image, where the image is as long as its shorter side m:
 * m |(fy / h, fx / w)| with fy, fx the signed frequencies, -h/2 <= fy <= h/2. */
double ss_plane_radius(int h, int w, int ky, int kx);

#endif
