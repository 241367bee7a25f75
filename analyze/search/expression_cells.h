/* expression_cells.h - the cells of a run that a measure of an expression is over
 *
 * Conditions select inputs and noise levels. In a run over noise levels a condition on sigma
 * selects columns. In a training's own run each sample, or bin, of a step has a noise level of its
 * own, and the condition selects those.
 */
#ifndef SS_ANALYZE_EXPRESSION_CELLS_H
#define SS_ANALYZE_EXPRESSION_CELLS_H

#include "analyze/search/expression.h"

typedef struct {
    bool *input, *sigma; /* [n_inputs], [n_sigmas] */
    bool *sample;        /* [n_sigmas][n_samples]; NULL: all */
} ss_cells;

/* column: the only one that counts, or -1. SS_USAGE if nothing is selected or a noise level is not
 * known: the message lacks what it is about. */
ss_code ss_cells_select(const ss_expression_node *m, const ss_run *r, int column, ss_cells *c,
                        ss_err *e);
void ss_cells_release(ss_cells *c); /* {0} is fine */

/* True if the sample is selected, where its column is. */
bool ss_cells_have(const ss_cells *c, const ss_run *r, int sigma, int sample);

/* Over the selected samples of an input and a column: as the functions of sites.h. */
double ss_cells_peak(const ss_cells *c, const ss_run *r, const float *x, ss_site s, int input,
                     int sigma);
double ss_cells_rms(const ss_cells *c, const ss_run *r, const float *x, ss_site s, int input,
                    int sigma);
uint64_t ss_cells_count(const ss_cells *c, const ss_run *r, const uint64_t *x, ss_site s, int input,
                        int sigma);

/* True if `a OP b`. */
bool ss_expression_compare(double a, ss_expression_op op, double b);

#endif
