/* mechanism_view.h - the data of one run, seen at one point of a training
 *
 * A point is one column of a training's own file, or the columns and inputs of a checkpoint's run
 * that all runs have in common. A cell is one noise level, input and sample of them.
 */
#ifndef SS_ANALYZE_MECHANISM_VIEW_H
#define SS_ANALYZE_MECHANISM_VIEW_H

#include "analyze/one/sites.h"

enum { SS_VIEW_BINS = 80 }; /* of noise levels, 2^-20 to 2^20 */

/* Kinds of sites: of no interest here, another output, part of the residual stream. */
enum { SS_IS_NOTHING, SS_IS_OTHER, SS_IS_STREAM };

typedef struct {
    ss_run *r;
    const float *absmax, *rms, *entropy, *logit, *keys;
    const uint64_t *nonfinite;
    const float *weights, *first_weights; /* RMS of the parameters, here and at the first point */
    ss_sites all;
    uint8_t *is;                 /* [all.n] SS_IS_STREAM, SS_IS_OTHER, SS_IS_NOTHING */
    const int *columns, *inputs; /* of the point, borrowed */
    int n_columns, n_inputs;
    double low, high;   /* the lower third of the noise levels ends at low, the upper begins at
                           high; or NaN */
    const float *sigma; /* [column][sample] of a training, else NULL */
    const float *loss;  /* likewise */
    double usual_picture[SS_VIEW_BINS]; /* mechanism_samples.h */
    double usual_loss[SS_VIEW_BINS];
    ss_site in;      /* what reads the pictures; port -1: not recorded */
    double *scratch; /* a value for each cell of the run and each parameter, for medians */
    double *cells;   /* three values for each cell of the run */
} ss_view;

/* After an error, too, close releases what there is. */
ss_code ss_view_open(ss_run *r, ss_view *view, ss_err *e);
void ss_view_close(ss_view *view);

typedef struct {
    int column, input, sample;
} ss_point_cell;

int ss_view_cells(const ss_view *view); /* of the point */
ss_point_cell ss_view_cell(const ss_view *view, int k);
size_t ss_view_at(const ss_view *view, ss_site s, ss_point_cell c); /* index into a statistic */
double ss_view_sigma(const ss_view *view, ss_point_cell c);         /* NaN: not known */

/* True if the last parts of a path are these. */
bool ss_module_ends(const char *path, const char *end);

#endif
