/* health.h - what a run is, and its losses; what in it is not finite: not_finite.h */
#ifndef SS_ANALYZE_HEALTH_H
#define SS_ANALYZE_HEALTH_H

#include "analyze/one/sites.h"
#include "base/table.h"

/* Model, family, every setting that is not at its default, inputs, noise levels, what is finished:
 * one row of text each. */
ss_code ss_summary_table(ss_run *r, ss_table *t, ss_err *e);

/* Mean of the loss over the samples that have one (NaN: the clean picture is not known); inf where
 * one of them is inf or NaN. mean: [n_inputs][n_sigmas]; NaN where there is none. *any: whether
 * there is any. */
ss_code ss_loss_find(ss_run *r, double *mean, bool *any, ss_err *e);
/* A row for each input and finished noise level that has a loss. */
ss_code ss_loss_table(ss_run *r, ss_table *t, ss_err *e);

#endif
