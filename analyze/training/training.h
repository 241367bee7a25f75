/* training.h - what a training's own run file shows: statistics against the training step
 *
 * At each finished step every sample of the batch, or bin of samples, has its own noise level.
 * Bands are the thirds of all samples of all finished steps by noise level (thirds.h). A sample at
 * a border belongs to the band above.
 *
 *   peak    of a site: largest |x| over the samples of a step
 *   trend   peak as a power of the step (trend.h), of all samples and of the high band
 *   band    largest |x| over the samples of a step that are in the band; NaN if none is
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
    int *columns;               /* [trend.n_steps] columns of the finished steps in the run */
    double cut[SS_N_BANDS - 1]; /* noise levels where mid and high begin; NaN: not known */
    ss_trend trend;             /* of all produced ports */
    double *bands;              /* [site][SS_N_BANDS][n_steps], see ss_training_band */
    double *stage_rms;          /* [SS_N_STAGES][n_steps], median of the sites' RMS */
} ss_training;

/* r: opened with ss_run_open_any, r->steps not NULL. sites: SS_SITES_PRODUCED. A run without a
 * finished step is SS_FORMAT. */
ss_code ss_training_find(ss_run *r, const ss_sites *sites, ss_training *t, ss_err *e);
void ss_training_release(ss_training *t); /* {0} is fine */

/* The values of a row of the trend in a band, [n_steps]; NULL for rows of stages. */
const double *ss_training_band(const ss_training *t, const ss_trend_row *row, ss_band b);

/* False: noise levels are not known, or there are too few bins. */
bool ss_training_has_bands(const ss_training *t);
/* The band of a noise level; SS_N_BANDS if it is NaN or if there are no bands. */
ss_band ss_training_band_of(const ss_training *t, double sigma);

/* The largest value of all, and where it is. */
typedef struct {
    const ss_trend_row *row; /* NULL: nothing was finite */
    int step;                /* index of trend.steps */
    double value, sigma;     /* sigma of the sample or bin, NaN: not known */
} ss_training_peak;
/* row: looks at this one alone; NULL: at all. step: an index, or SS_ALL. n_steps > 0. */
ss_training_peak ss_training_largest(const ss_training *t, const ss_trend_row *row, int step);

/* The loss at a noise level, the training's running mean: when it was first known, and at the end.
 */
typedef struct {
    int bin;
    double first_step, first, last; /* NaN: never known */
} ss_training_loss;
/* Fills rows, room for run->n_bins, lowest sigma first; *n: how many, 0 if the run has none. */
ss_code ss_training_losses(const ss_training *t, ss_training_loss *rows, int *n, ss_err *e);

/* The step, of n, in row i of `shown` rows: the first, the last, and evenly between. */
int ss_training_shown(int i, int shown, int n);

/* Tables, of at most `top` rows. */
/* The run: file, model, steps, health. */
ss_code ss_training_summary_table(const ss_training *t, ss_table *table, ss_err *e);
/* Loss, norm and the largest |x| at steps; the stages at the same steps. */
ss_code ss_training_steps_table(const ss_training *t, int top, ss_table *table, ss_err *e);
ss_code ss_training_stages_table(const ss_training *t, int top, ss_table *table, ss_err *e);
/* The sites at the first, middle and last step; the sites in each band. */
ss_code ss_training_growth_table(const ss_training *t, int top, ss_table *table, ss_err *e);
ss_code ss_training_bands_table(const ss_training *t, int top, ss_table *table, ss_err *e);
ss_code ss_training_loss_table(const ss_training *t, ss_table *table, ss_err *e);

#endif
