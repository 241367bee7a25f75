/* compare_inputs.h - did both runs see the same inputs, and how well did they denoise them?
 *
 * Spectra: the power of the network's input in each ring of frequencies, mean over samples, B over
 * A in decibels: 10 log10((b + f) / (a + f)), f = 1e-6 of the largest power of that input and noise
 * level. Two runs over the same inputs have 0 everywhere.
 *
 * Loss: mean over samples of the denoising loss, B - A.
 */
#ifndef SS_ANALYZE_COMPARE_INPUTS_H
#define SS_ANALYZE_COMPARE_INPUTS_H

#include "analyze/several/compare.h"

typedef struct {
    int input;         /* of the alignment */
    double decibel;    /* the largest difference, with its sign; NaN where there is no spectrum */
    int sigma, radius; /* of the alignment, and the ring, where that is */
} ss_spectrum_row;

typedef struct {
    int sigma, input; /* of the alignment */
    double loss[2];   /* of A and B */
} ss_loss_row;

typedef struct {
    ss_spectrum_row *spectra; /* [n_spectra] in the order of the inputs */
    int n_spectra;            /* 0: a file has no spectra, or they have different rings */
    ss_loss_row *losses;      /* where both have a loss; largest |B - A| first */
    int n_losses;
    char titles[2][32];
} ss_compare_inputs;

ss_code ss_compare_inputs_find(const ss_compare *c, const char *name, ss_compare_inputs *x,
                               ss_err *e);
void ss_compare_inputs_release(ss_compare_inputs *x); /* {0} is fine */
ss_code ss_compare_spectra_table(const ss_compare *c, const ss_compare_inputs *x, ss_table *t,
                                 ss_err *e);
ss_code ss_compare_loss_table(const ss_compare *c, const ss_compare_inputs *x, int top, ss_table *t,
                              ss_err *e);

#endif
