/* compare.h - a run B against a baseline A: where activations are larger or smaller
 *
 * Of each site, noise level and input that both have (align.h), over all samples: the largest |x|
 * and the RMS. A value with inf or NaN beside it counts as infinite. The distance of B from A is
 * in bits,
 *
 *   bits = log2((b + f) / (a + f)),   f = SS_COMPARE_FLOOR * median of the sites' larger values
 *
 * 1 is twice as large. Far above f bits are log2 of the ratio; below it they vanish, so that 1e-6
 * against 1e-7 does not lead where other modules have 100. Two infinite values are equal.
 *
 * Attention, inputs, loss and weights: compare_attention.h, compare_inputs.h, compare_weights.h.
 */
#ifndef SS_ANALYZE_COMPARE_H
#define SS_ANALYZE_COMPARE_H

#include "analyze/one/stages.h"
#include "analyze/several/align.h"
#include "base/table.h"

#define SS_COMPARE_FLOOR 1e-3

/* One place in both runs; sigma and input count in the alignment, SS_ALL: over all of them. */
typedef struct {
    double a, b, bits;
    int sigma, input;
} ss_compare_cell;

typedef struct {
    ss_compare_cell worst; /* of noise levels and inputs, the one with the largest |bits| */
    ss_compare_cell rise;  /* the one with the largest bits */
    ss_compare_cell high;  /* at the highest common noise level, over all inputs */
} ss_compare_stat;

typedef struct {
    int site; /* of the alignment */
    ss_compare_stat absmax, rms;
    uint64_t nonfinite[2]; /* of A and B, over what is common */
} ss_compare_row;

typedef struct {
    ss_aligned aligned;   /* runs: A, B */
    double floor[2];      /* f of absmax and of rms; 0 where there is nothing */
    bool has_rms;         /* both have it; else all of rms is NaN */
    ss_compare_row *rows; /* largest |bits| of absmax or rms first, then forward order */
    int n, n_nonfinite;   /* how many sites differ in what is not finite */
    char titles[3][32];   /* of the tables: "statistics B", ... */
} ss_compare;

/* name: what B is called in the tables. Errors are those of ss_align. */
ss_code ss_compare_find(ss_run *a, ss_run *b, const char *name, const char *const *globs,
                        int n_globs, ss_compare *c, ss_err *e);
void ss_compare_release(ss_compare *c); /* {0} is fine */

/* b over a, 1 where they are equal (also 0 and infinite ones); NaN where one is unknown. */
double ss_compare_ratio(double a, double b);

/* For curves: the largest |x| of run 0 (A) or 1 (B) over common inputs at each common noise level,
 * of one site of the alignment or of all of a stage (site SS_ALL). y: [aligned.n_sigmas] of the
 * caller, NaN where there is nothing finite. */
ss_code ss_compare_curve(const ss_compare *c, int run, int site, ss_stage stage, double *y,
                         ss_err *e);

/* The facts and settings of the runs, a column each, and which rows differ. */
ss_code ss_compare_runs_table(ss_run *const *runs, int n_runs, ss_table *t, ss_err *e);
/* Removes the rows in which all runs are the same, and says in the note how many those were. */
void ss_compare_runs_shorten(ss_table *t);
/* Ranked differences; sites with other counts of what is not finite; sites of one run only. */
ss_code ss_compare_table(const ss_compare *c, int top, ss_table *t, ss_err *e);
ss_code ss_compare_nonfinite_table(const ss_compare *c, int top, ss_table *t, ss_err *e);
ss_code ss_compare_lone_table(const ss_compare *c, int top, ss_table *t, ss_err *e);

#endif
