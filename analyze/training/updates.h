/* updates.h - what the steps of a training did to each parameter
 *
 *   staleness  RMS(g / sqrt(v^)) of Adam: about 1 if the second moment fits the gradient. Above
 *              SS_STALE the gradient has grown faster than the moment follows, and the update is
 *              too large; spikes of the loss come 1 to 8 steps later. NaN for optimisers that have
 *              no second moment
 *   ratio      RMS of the update over RMS of the weight
 *
 * Steps that were skipped have neither.
 *
 * Source: Wortsman et al. 2023, "Stable and low-precision training for large-scale vision-language
 * models", section 3.4, which calls the ratio RMS_t and 2.3 a spike of it.
 */
#ifndef SS_ANALYZE_UPDATES_H
#define SS_ANALYZE_UPDATES_H

#include "analyze/training/training.h"

#define SS_STALE 2.3

typedef struct {
    int64_t parameter;
    double staleness, ratio;        /* the largest of all steps; NaN: none */
    int staleness_step, ratio_step; /* indices of the steps that have them; -1: none */
    int n_stale;                    /* steps with staleness above SS_STALE */
    double gradient, weight;        /* RMS at the last step that has them */
} ss_updates_row;

typedef struct {
    ss_updates_row *rows; /* largest staleness first, then largest ratio */
    int n;                /* 0: the run has no updates */
    int *stale;           /* [n_steps] parameters above SS_STALE at each step */
    double *worst;        /* [n_steps] the largest staleness, NaN: none */
    int n_stale;          /* steps with any parameter above it */
    int first_stale;      /* index of the first of them; -1: none */
} ss_updates;

ss_code ss_updates_find(const ss_training *t, ss_updates *u, ss_err *e);
void ss_updates_release(ss_updates *u); /* {0} is fine */

/* Tables: the parameters; the steps at which any staleness was above SS_STALE, those with the most
 * parameters first. */
ss_code ss_updates_table(const ss_training *t, const ss_updates *u, int top, ss_table *table,
                         ss_err *e);
ss_code ss_stale_table(const ss_training *t, const ss_updates *u, int top, ss_table *table,
                       ss_err *e);

#endif
