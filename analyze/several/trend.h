/* trend.h - growth over training: several runs of one training, a checkpoint each, or the run file
 * that a training wrote of itself
 *
 * For each site that all runs have, the largest |x| over what the runs have in common (align.h)
 * against the training step, as a power law (power_law.h): peak over all common noise levels and
 * inputs, high at the highest common noise level. The same for the stages (stages.h), whose value
 * is the largest of their sites.
 *
 * Of a training's own file, peak is over all samples of a step's batch, and high over those whose
 * noise level is at least some value. Each step has other pictures and noise levels, so the points
 * scatter more than those of checkpoints, which all saw the same.
 *
 * A step at which a site has inf or NaN takes no part in a fit: what is left there is not the
 * largest value. Nor does the first step of a training's own file, which saw the network as it was
 * before any update.
 */
#ifndef SS_ANALYZE_TREND_H
#define SS_ANALYZE_TREND_H

#include "analyze/math/power_law.h"
#include "analyze/one/stages.h"
#include "analyze/several/align.h"
#include "base/format.h"
#include "base/table.h"

typedef struct {
    double *y; /* [n_steps], NaN where the site has nothing finite; owned by the trend */
    ss_power_law law;
} ss_trend_series;

typedef struct {
    int site;       /* of the alignment, or -1: a stage */
    ss_stage stage; /* of the site */
    ss_trend_series peak, high;
    bool *nonfinite; /* [n_steps] inf or NaN among the common inputs and noise levels */
} ss_trend_row;

typedef struct {
    ss_run **runs; /* [n_steps] lowest step first, or [1]: a training's own; borrowed */
    double *steps; /* [n_steps] */
    int n_steps;
    double high_sigma;  /* what `high` is at, or, in a training's own run, from */
    ss_aligned aligned; /* of a training's own run, nothing but the sites */
    ss_trend_row *rows; /* [n] largest at the last step first */
    int n;
    ss_trend_row stages[SS_N_STAGES + 1]; /* the last: of all sites */
    double *values;                       /* what the series are made of */
    bool *flags;
} ss_trend;

/* Finds the training step in a model's path; false where none is certain. A step is
 *
 *   - a number after a word for it: checkpoint-500, step_500_fp16, epoch=3-step=500,
 *     global_step500, 80k; of the innermost folder that has one
 *   - else a number at the end of the innermost folder that says more than `unet`, or all of its
 *     name: unet-1234/unet, model_00500_ema, out/006000
 *
 * Numbers after a letter (unet2) or another number (v1-5, 2024-01-05) do not count, unless zeros
 * pad them (ema_0.9999_050000), nor do those with a decimal point (v1.5), in a hash, or that read
 * as a day (20240105). */
bool ss_trend_step(const char *model_path, int64_t *step);

/* Parses "250,500,1000" as the steps [n] of so many things, which messages call `what`. */
ss_code ss_trend_parse_steps(const char *list, const char *what, int64_t *steps, int n, ss_err *e);

/* steps [n] of the runs: from a list, or where that is NULL from the paths of their models.
 * SS_USAGE where either fails. */
ss_code ss_trend_steps(ss_run *const *runs, int n, const char *list, int64_t *steps, ss_err *e);

/* steps: [n_runs], of the runs in their order. Two runs of one step, or a step below 1, are
 * SS_USAGE; runs that have nothing in common are errors of ss_align. */
ss_code ss_trend_find(ss_run *const *runs, const int64_t *steps, int n_runs,
                      const char *const *globs, int n_globs, ss_trend *t, ss_err *e);
/* The same of one run over training steps, its finished ones. sites: SS_SITES_PRODUCED; from: the
 * noise level from which on a sample counts for `high`. A run without a finished step is SS_FORMAT.
 */
ss_code ss_trend_of_training(ss_run *r, const ss_sites *sites, double from, ss_trend *t, ss_err *e);
void ss_trend_release(ss_trend *t); /* {0} is fine */

/* The site with the largest value at the last step; of several with that value, which repeat it,
 * the first in forward order. False where no value there is finite. */
bool ss_trend_largest_site(const ss_trend *t, ss_site *site);

/* True when a step takes part in the fit of a row. */
bool ss_trend_counts(const ss_trend *t, const ss_trend_row *row, int step);

/* "up_blocks.0", or "decoder" of a stage; returns out. */
char *ss_trend_name(const ss_trend *t, const ss_trend_row *row, char *out, size_t n);
/* The same as a row is called (ss_fold_name). */
char *ss_trend_label(const ss_trend *t, const ss_trend_row *row, char *out, size_t n);
/* The cells of a row's site under ss_fold_columns; without any where row is NULL. */
void ss_trend_cells(const ss_trend *t, const ss_trend_row *row, ss_table *table);

/* When a row reaches the largest value of a format. */
typedef enum {
    SS_REACH_PASSED, /* at one of the steps a value is over it */
    SS_REACH_LOST,   /* at one of the steps it is inf or NaN, and over it at none before */
    SS_REACH_AHEAD,
    SS_REACH_FAR, /* beyond the last step by more than SS_TREND_FAR times the range of the steps */
    SS_REACH_NEVER,  /* not by this trend: no growth that is certain */
    SS_REACH_BENT,   /* the points follow no power law, so that none leads anywhere */
    SS_REACH_UNKNOWN /* fewer than three steps with a value: no interval, so no number */
} ss_reach;
enum { SS_TREND_FAR = 10 };

typedef struct {
    ss_reach reach;
    int over;       /* PASSED, LOST: the first such step; it came about after the one before */
    bool back;      /* PASSED, LOST: the last step is finite and below again */
    ss_crossing at; /* in steps, from ss_power_law_reach of the peak; NaN unless AHEAD */
} ss_forecast;
ss_forecast ss_trend_forecast(const ss_trend *t, const ss_trend_row *row, const ss_format *f);

/* Tables: the runs with their steps; the stages; the sites; for a format, when each site reaches
 * it, soonest first; its title is borrowed. */
/* Settings, other than the model, in which the runs differ: a row for each value, with the steps
 * that have it. *any: whether there are some; a fit over such runs is not one over training alone.
 */
ss_code ss_trend_settings_table(const ss_trend *t, bool *any, ss_table *table, ss_err *e);
ss_code ss_trend_runs_table(const ss_trend *t, ss_table *table, ss_err *e);
ss_code ss_trend_stages_table(const ss_trend *t, ss_table *table, ss_err *e);
ss_code ss_trend_table(const ss_trend *t, int top, ss_table *table, ss_err *e);
ss_code ss_forecast_table(const ss_trend *t, const ss_format *f, const char *title, int top,
                          ss_table *table, ss_err *e);

#endif
