/* spectrum.h - power spectra of images, in two dimensions and averaged over rings
 *
 *   ss_spectrum *s;
 *   rc = ss_spectrum_new(h, w, &s, &err);     // once per image size
 *   ss_spectrum_radial(s, x, 1, c, psd);      // per image; psd has ss_spectrum_rings(h, w)
 *   ss_spectrum_free(s);
 */
#ifndef SS_FFT_SPECTRUM_H
#define SS_FFT_SPECTRUM_H

#include "base/err.h"

typedef struct ss_spectrum ss_spectrum;

/* Plans the transform of images [h][w]; any size from 1 x 1 on, odd ones too, else SS_SHAPE.
 * A spectrum is used by one thread at a time. */
ss_code ss_spectrum_new(int h, int w, ss_spectrum **s, ss_err *e);
void ss_spectrum_free(ss_spectrum *s); /* NULL is fine */

/* Power of every wave, averaged over the c channels:
 *
 *   X = DFT(x - mean(x)) of each channel,   P = mean over channels of |X|^2 / (h w)^2
 *
 * x      [h][w][c], borrowed; any unit u. A value that is not finite makes all of P NaN.
 * power  [h][w], unit u^2; the zero frequency is power[0][0], which is 0; the negative
 *        frequency -k is at h - k, w - k. Its sum is the variance of x within channels,
 *        averaged over them (Parseval). */
void ss_spectrum_power(ss_spectrum *s, const float *x, int c, double *power);

/* Mean of P over rings of waves of the same length, whatever their direction, and over the frames
 * of x [frames][h][w][c]:
 *
 *   psd[k] = mean of P where k - 1/2 <= |f| < k + 1/2
 *
 * |f| is in cycles per image, an image being as long as its shorter side m = min(h, w).
 * k goes from 0 to m/2, the finest wave that fits in every direction; the corners beyond
 * are left out. Ring 0 holds the mean, which was removed, and waves longer than 2 m that
 * only a long image has. A ring of a very small image that no wave falls into is 0.
 *
 * Source: van der Schaaf & van Hateren 1996, Vision Research 36, 2759-2770. */
void ss_spectrum_radial(ss_spectrum *s, const float *x, int frames, int c, double *psd);

/* Number of rings: min(h, w)/2 + 1. */
int ss_spectrum_rings(int h, int w);

/* waves[k], k below ss_spectrum_rings(h, w): how many of the h w waves ring k has, with which
 * the sum of waves[k] psd[k] is the variance but for the corners. */
void ss_spectrum_waves(int h, int w, double *waves);

#endif
