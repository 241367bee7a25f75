/* filter.h - Gaussian filters in the frequency domain */
#ifndef SS_FFT_FILTER_H
#define SS_FFT_FILTER_H

#include "base/err.h"
#include "base/sample_size.h"

typedef enum { SS_LOWPASS, SS_HIGHPASS } ss_filter_kind;

/* Filters every channel of every frame of x in place, as if the image were repeated endlessly:
 *
 *   low(f)  = exp(-f^2 / (2 cutoff^2)),   high(f) = 1 - low(f)
 *
 * f = |f| and cutoff are in cycles per image, an image being as long as its shorter side
 * (spectrum.h). At f = cutoff the amplitude of a wave is exp(-1/2) = 0.61 of what it was
 * under `low` and 0.39 under `high`. The mean is kept by `low` and removed by `high`; the two
 * results add up to the image. In pixels, `low` is a convolution with a Gaussian of standard
 * deviation min(h, w) / (2 pi cutoff).
 *
 * SS_USAGE if cutoff is not a positive finite number, SS_SHAPE if a side is below 1. A value
 * that is not finite spreads over its channel of that frame. */
ss_code ss_filter_gaussian(ss_filter_kind kind, double cutoff, ss_sample_size size, float *x,
                           ss_err *e);

#endif
