/* picture.h - the power spectrum of a picture in a file, as it is and filtered */
#ifndef SS_ANALYZE_PICTURE_H
#define SS_ANALYZE_PICTURE_H

#include "base/png.h"
#include "base/table.h"

#include <stdbool.h>

/* Gaussian filters (fft/filter.h), cutoffs in cycles per picture, 0: none. Both make a band. */
typedef struct {
    double lowpass, highpass;
} ss_picture_filter;

/* Numbers of a picture in its file's units, 0 to 255, all channels together (fft/spectrum.h). */
typedef struct {
    double mean, variance; /* of the pixels; within channels, the mean over them */
    double low, slope;     /* as analyze/one/spectra.h */
    double *psd;           /* [n_rings] */
} ss_picture_side;

typedef struct {
    int h, w, c;
    int n_rings;
    double cutoff;
    bool filtered;
    ss_picture_side side[2]; /* the picture as it is, and filtered */
    float *x;                /* [h][w][c] filtered, or as it is */
    char *title[2];          /* of the tables */
} ss_picture;

/* True when a file begins as a PNG does. */
ss_code ss_picture_is_png(const char *path, bool *is, ss_err *e);

/* name: what the tables' titles end with, or "". */
ss_code ss_picture_read(const char *path, const ss_picture_filter *f, double cutoff,
                        const char *name, ss_picture *p, ss_err *e);
void ss_picture_release(ss_picture *p); /* {0} is fine */

/* Size, mean, variance, low-frequency share, slope. */
ss_code ss_picture_table(const ss_picture *p, ss_table *t, ss_err *e);
/* The spectrum: every ring, or, where there are many, four an octave. */
ss_code ss_picture_psd_table(const ss_picture *p, bool every, ss_table *t, ss_err *e);

/* Writes p->x rounded to bytes; what is out of 0 to 255 is cut off. A picture without its mean
 * (highpass) is shown around 127.5. *cut: how many values were cut off. */
ss_code ss_picture_write(const ss_picture *p, const ss_picture_filter *f, const char *path,
                         int64_t *cut, ss_err *e);

#endif
