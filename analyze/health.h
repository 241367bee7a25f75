/* health.h - what a run is, what in it is not finite, and its losses */
#ifndef SS_ANALYZE_HEALTH_H
#define SS_ANALYZE_HEALTH_H

#include "analyze/sites.h"
#include "base/table.h"

/* Model, family, inputs, noise levels, what is finished: one row of text each. */
ss_code ss_summary_table(const ss_run *r, ss_table *t, ss_err *e);

/* A site with values that are inf or NaN. */
typedef struct {
    ss_site site;
    uint64_t count;      /* over finished noise levels, inputs, samples */
    int sigma, input;    /* the first noise level (lowest sigma) and input that has any */
    bool nothing_finite; /* no finite value at all, anywhere */
} ss_nonfinite_row;

typedef struct {
    ss_nonfinite_row *rows; /* in forward order */
    int n;
    uint64_t total; /* over the sites; a value seen at several ports counts at each */
} ss_nonfinite;

/* sites: SS_SITES_ALL. */
ss_code ss_nonfinite_find(ss_run *r, const ss_sites *sites, ss_nonfinite *x, ss_err *e);
void ss_nonfinite_release(ss_nonfinite *x);
ss_code ss_nonfinite_table(const ss_run *r, const ss_nonfinite *x, int top, ss_table *t, ss_err *e);

/* Mean of the loss over the samples that have one (NaN: the clean picture is not known).
 * mean: [n_inputs][n_sigmas]; NaN where there is none. *any: whether there is any. */
ss_code ss_loss_find(ss_run *r, double *mean, bool *any, ss_err *e);
/* A row for each input and finished noise level that has a loss. */
ss_code ss_loss_table(ss_run *r, ss_table *t, ss_err *e);

#endif
