/* spectra.h - power spectra of a run's inputs, and how they correlate with its activations
 *
 *   psd    of what the network saw, in rings of whole cycles per picture, the mean removed
 *          (fft/spectrum.h), of a video averaged over its frames; unit: the input's, squared
 *   low    share of the power at `cutoff` cycles or less: sum of waves psd over those rings over
 *          the sum over all; NaN where there is no power. White noise of 32 x 32 has 0.026 at 2
 *   slope  b of psd ~ f^b by least squares on logarithms, from 1 cycle on: 0 is white, -2 a usual
 *          photograph (van der Schaaf & van Hateren 1996)
 *
 * Finding: inputs with no pronounced low frequencies give the large activations. At each noise
 * level by itself, so that sigma cannot make it, the low-frequency share of each input and sample
 * is held against ln of the largest |x| that it caused (correlation.h). It holds where they go
 * together downwards (ss_correlated), and the half of the points with less low frequencies has at
 * least SS_FINDING_RATIO times the other half's median. Samples of one input are not quite
 * independent points, so a correlation is surer than it should be.
 */
#ifndef SS_ANALYZE_SPECTRA_H
#define SS_ANALYZE_SPECTRA_H

#include "analyze/math/correlation.h"
#include "analyze/one/stages.h"

#define SS_DEFAULT_CUTOFF 2.0 /* cycles per picture */
#define SS_FINDING_RATIO 1.3  /* smaller ones come from the seed alone */

typedef struct {
    int sigma;
    ss_correlation by_stage[SS_N_STAGES + 1]; /* the last: the whole network */
    double low_min, low_max;                  /* of the shares */
} ss_spectra_level;

typedef struct {
    double cutoff;
    double *low;   /* [input][sigma][sample]; NaN where not finished */
    double *peaks; /* [input][sigma][sample][SS_N_STAGES + 1], largest |x|, as ss_stage_peaks */
    double *psd;   /* [input][sigma][radius], mean over samples */
    double *slope; /* [input][sigma] of that mean */
    double *power; /* [input][sigma], its sum over waves: the variance of the input but for the
                      waves in the corners of the spectrum, finer than fits in every direction */
    double within; /* share of all waves that the rings have, as of the variance of white noise; NaN
                      where the pictures' size is not known */
    ss_spectra_level *levels; /* lowest sigma first, finished ones */
    int n;
    char *title[2]; /* of the tables */
} ss_spectra;

/* sites: SS_SITES_PRODUCED. A run without spectra is SS_FORMAT. name: what the tables' titles end
 * with, or "". */
ss_code ss_spectra_find(ss_run *r, const ss_sites *sites, double cutoff, const char *name,
                        ss_spectra *s, ss_err *e);
void ss_spectra_release(ss_spectra *s); /* {0} is fine */

/* Index of (input, sigma, sample) in low; times SS_N_STAGES + 1 in peaks. */
size_t ss_spectra_at(const ss_run *r, int input, int sigma, int sample);

/* waves: [n] how many waves each ring has, radii [n] their lengths in cycles. */
double ss_low_share(const double *psd, const double *waves, const double *radii, int n,
                    double cutoff);

/* A row for each input and noise level: power, low-frequency share, slope, and the spectrum at 1,
 * 2, 4, ... cycles. */
ss_code ss_spectra_table(const ss_run *r, const ss_spectra *s, ss_table *t, ss_err *e);
/* A row for each stage, the whole network first, and noise level: the correlation. The note says
 * whether the finding holds. */
ss_code ss_spectra_finding_table(const ss_run *r, const ss_spectra *s, ss_table *t, ss_err *e);

/* Counts the noise levels at which the finding holds for the whole network; *decided: those at
 * which it can be decided. */
int ss_spectra_held(const ss_spectra *s, int *decided);

/* "Inputs with less low frequencies give the larger activations at 3 of 8 noise levels ...": of
 * the whole network. Returns out. */
char *ss_spectra_sentence(const ss_run *r, const ss_spectra *s, char *out, size_t n);

#endif
