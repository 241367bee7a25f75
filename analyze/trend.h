/* trend.h - growth over training: several runs of one training, a checkpoint each
 *
 * For each site that all runs have, the largest |x| over what the runs have in common (align.h)
 * against the training step, as a power law (power_law.h): peak over all common noise levels and
 * inputs, high at the highest common noise level. The same for the stages (stages.h), whose value
 * is the largest of their sites.
 *
 * A step at which a site has inf or NaN takes no part in a fit: what is left there is not the
 * largest value.
 */
#ifndef SS_ANALYZE_TREND_H
#define SS_ANALYZE_TREND_H

#include "analyze/align.h"
#include "analyze/power_law.h"
#include "analyze/stages.h"
#include "base/format.h"
#include "base/table.h"

typedef struct {
    double *y; /* [n_runs], NaN where the site has nothing finite; owned by the trend */
    ss_power_law law;
} ss_trend_series;

typedef struct {
    int site;       /* of the alignment, or -1: a stage */
    ss_stage stage; /* of the site */
    ss_trend_series peak, high;
    bool *nonfinite; /* [n_runs] inf or NaN among the common inputs and noise levels */
} ss_trend_row;

typedef struct {
    ss_run **runs; /* [n_runs] lowest step first; the runs are borrowed */
    double *steps; /* [n_runs] */
    int n_runs;
    ss_aligned aligned;
    ss_trend_row *rows; /* [n] largest at the last step first */
    int n;
    ss_trend_row stages[SS_N_STAGES];
    double *values; /* what the series are made of */
    bool *flags;
} ss_trend;

/* The training step that a model's path tells: its last whole number that stands alone,
 * 6000 of "out/checkpoint-6000/unet". A number is not alone next to a letter behind it ("2d"), or
 * with a decimal point ("1.5"). False where there is none. */
bool ss_trend_step(const char *model_path, int64_t *step);

/* steps [n] of the runs: from a list, "250,500,1000", or where that is NULL from the paths of their
 * models. SS_USAGE where either fails. */
ss_code ss_trend_steps(ss_run *const *runs, int n, const char *list, int64_t *steps, ss_err *e);

/* steps: [n_runs], of the runs in their order. Two runs of one step, or a step below 1, are
 * SS_USAGE; runs that have nothing in common are errors of ss_align. */
ss_code ss_trend_find(ss_run *const *runs, const int64_t *steps, int n_runs,
                      const char *const *globs, int n_globs, ss_trend *t, ss_err *e);
void ss_trend_release(ss_trend *t); /* {0} is fine */

/* "up_blocks.0", or "decoder" of a stage; returns out. */
char *ss_trend_name(const ss_trend *t, const ss_trend_row *row, char *out, size_t n);

/* When a row reaches the largest value of a format. */
typedef enum {
    SS_REACH_PASSED, /* one of the runs is over it, or not finite */
    SS_REACH_AHEAD,
    SS_REACH_FAR,    /* more than SS_TREND_FAR times the last step */
    SS_REACH_NEVER,  /* not by this trend: no growth that is certain */
    SS_REACH_UNKNOWN /* fewer than two steps with a value */
} ss_reach;
enum { SS_TREND_FAR = 1000 };

typedef struct {
    ss_reach reach;
    int over;       /* PASSED: the first run that is over; it was passed after the run before */
    bool back;      /* PASSED: the last run is below again */
    ss_crossing at; /* in steps, from ss_power_law_reach of the peak; NaN unless AHEAD or FAR */
} ss_forecast;
ss_forecast ss_trend_forecast(const ss_trend *t, const ss_trend_row *row, const ss_format *f);

/* Tables: the runs with their steps; the stages; the sites; for a format, when each site reaches
 * it, soonest first; its title is borrowed. */
ss_code ss_trend_runs_table(const ss_trend *t, ss_table *table, ss_err *e);
ss_code ss_trend_stages_table(const ss_trend *t, ss_table *table, ss_err *e);
ss_code ss_trend_table(const ss_trend *t, int top, ss_table *table, ss_err *e);
ss_code ss_forecast_table(const ss_trend *t, const ss_format *f, const char *title, int top,
                          ss_table *table, ss_err *e);

#endif
