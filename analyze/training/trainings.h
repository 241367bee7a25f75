/* trainings.h - two trainings side by side, by their own run files
 *
 * Every step saw samples of its own, and the two files need not have steps in common. So no single
 * steps are compared: numbers are medians over the measured steps in a window, the last third of
 * the range of steps that both have reached. Noise levels are compared by the thirds of the first
 * training (thirds.h), whose borders count for both.
 *
 *   absmax, rms   of a site: median over the window of its largest |x|, and of its RMS
 *   exponent      of the power of the step by which its largest |x| grows (trend.h), over all steps
 *   over          the first step at which it overflows the format, or has inf or NaN
 *   loss          median over the window
 */
#ifndef SS_ANALYZE_TRAININGS_H
#define SS_ANALYZE_TRAININGS_H

#include "analyze/several/comparison.h"
#include "analyze/training/training.h"

typedef struct {
    int site;                 /* of the alignment */
    double absmax[2], rms[2]; /* of A and B; NaN: nothing finite in the window */
    double bits, rms_bits;    /* log2(B / A); NaN: not known */
    double exponent[2];
    double over[2];        /* step, NaN: never */
    uint64_t nonfinite[2]; /* values, over all steps */
} ss_trainings_row;

/* A third of the noise levels; NaN where nothing is known. */
typedef struct {
    double absmax[2], loss[2];
} ss_trainings_band;

typedef struct {
    ss_training t[2];   /* A and B */
    ss_format format;   /* that `over` is about */
    char name[8];       /* of B in tables */
    char titles[3][32]; /* of the tables: "trainings B", ... */
    double from, to;    /* steps of the window */
    int n_window[2];    /* how many measured steps of each are in it */
    int *sites;         /* [n_sites][2] rows of the trend of each: of the same module and port */
    int n_sites;
    int lone[2];            /* how many sites the other training does not have */
    ss_trainings_row *rows; /* [n_sites] not finite in one alone first, then by |bits| */
    ss_trainings_band bands[SS_N_BANDS];
    ss_sites found[2];
} ss_trainings;

/* Runs over steps. SS_SHAPE where no step or site is common. */
ss_code ss_trainings_find(ss_run *a, ss_run *b, const char *name, const char *const *globs,
                          int n_globs, const ss_format *f, ss_trainings *x, ss_err *e);
void ss_trainings_release(ss_trainings *x); /* {0} is fine */

/* Loss, norm, rate and the largest |x| of each; the sites, at most `top`; the noise levels. */
ss_code ss_trainings_table(const ss_trainings *x, ss_table *t, ss_err *e);
ss_code ss_trainings_sites_table(const ss_trainings *x, int top, ss_table *t, ss_err *e);
ss_code ss_trainings_bands_table(const ss_trainings *x, ss_table *t, ss_err *e);

/* The same as ss_compared_value (comparison.h), over the window: absmax and rms as ratios B/A, loss
 * as B - A. Entropy and weights of trainings are not compared: SS_SHAPE. */
ss_code ss_trainings_value(const ss_trainings *x, ss_compared m, double *value, char *where,
                           size_t n, ss_err *e);

#endif
