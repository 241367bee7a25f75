/* training.h - what a training's own run file shows: statistics against the training step
 *
 * At each finished step every sample of the batch has a noise level of its own. Bands are thirds
 * of all samples of all finished steps by that: as many in each, so that the largest of one is
 * not larger because more were drawn. A sample at the border belongs to the band above.
 *
 *   peak    of a site: largest |x| over the samples of a step
 *   trend   peak as a power of the step (trend.h), of all samples and of the high band
 *   band    largest |x| over the samples of a step that are in the band, NaN where none is
 */
#ifndef SS_ANALYZE_TRAINING_H
#define SS_ANALYZE_TRAINING_H

#include "analyze/several/trend.h"

#define SS_BANDS(X) X(LOW, "low") X(MID, "mid") X(HIGH, "high")
#define X(name, text) SS_BAND_##name,
typedef enum { SS_BANDS(X) SS_N_BANDS } ss_band;
#undef X

const char *ss_band_name(ss_band b);

typedef struct {
    ss_run *run;                /* borrowed */
    int *columns;               /* [trend.n_steps] where the finished steps are in the run */
    const float *sigma;         /* [column][sample], NULL: the run does not say */
    double cut[SS_N_BANDS - 1]; /* noise levels from which on mid and high are; NaN without */
    ss_trend trend;             /* all of them, produced ports */
    double *bands;              /* [site][SS_N_BANDS][n_steps], see ss_training_band */
    double *stage_rms;          /* [SS_N_STAGES][n_steps], median of the sites' RMS */
} ss_training;

/* r: opened with ss_run_open_any, r->steps not NULL. sites: SS_SITES_PRODUCED. A run without a
 * finished step is SS_FORMAT. */
ss_code ss_training_find(ss_run *r, const ss_sites *sites, ss_training *t, ss_err *e);
void ss_training_release(ss_training *t); /* {0} is fine */

/* The values of a row of the trend in a band, [n_steps]; rows of stages have none: NULL. */
const double *ss_training_band(const ss_training *t, const ss_trend_row *row, ss_band b);

/* The band of a noise level; SS_N_BANDS where it is NaN or there are none. */
ss_band ss_training_band_of(const ss_training *t, double sigma);

/* Where the largest value of all is. n_steps > 0. */
typedef struct {
    const ss_trend_row *row; /* NULL: nothing was finite */
    int step;                /* index of trend.steps */
    double value, sigma;     /* sigma of the sample, NaN: not known */
} ss_training_peak;
/* row: the only one to look at, or NULL. step: an index, or SS_ALL. */
ss_training_peak ss_training_largest(const ss_training *t, const ss_trend_row *row, int step);

/* Loss by noise level, running means of the training: where it was first known, and at the end. */
typedef struct {
    int bin;
    double first_step, first, last; /* NaN: never known */
} ss_training_loss;
/* rows [run->n_bins] of the caller, lowest sigma first; *n: how many. 0 where the run has none. */
ss_code ss_training_losses(const ss_training *t, ss_training_loss *rows, int *n, ss_err *e);

/* The place of row i of `shown` in n steps: first and last, and evenly between. */
int ss_training_shown(int i, int shown, int n);

/* Tables: what the run is; the steps, at most `top` of them, with loss, norm and what is largest;
 * the stages at the same steps; the sites at the first, middle and last step; the sites in each
 * band; loss by noise level. */
ss_code ss_training_summary_table(const ss_training *t, ss_table *table, ss_err *e);
ss_code ss_training_steps_table(const ss_training *t, int top, ss_table *table, ss_err *e);
ss_code ss_training_stages_table(const ss_training *t, int top, ss_table *table, ss_err *e);
ss_code ss_training_growth_table(const ss_training *t, int top, ss_table *table, ss_err *e);
ss_code ss_training_bands_table(const ss_training *t, int top, ss_table *table, ss_err *e);
ss_code ss_training_loss_table(const ss_training *t, ss_table *table, ss_err *e);

#endif
