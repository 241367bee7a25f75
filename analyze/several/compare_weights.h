/* compare_weights.h - the parameters of a run's model B against a baseline's A
 *
 * Aligned by name; the largest |w| and the RMS, and how far B is from A in bits, with a floor of
 * SS_COMPARE_FLOOR times the median of the larger values (compare.h). A parameter with inf or NaN
 * counts as infinite.
 */
#ifndef SS_ANALYZE_COMPARE_WEIGHTS_H
#define SS_ANALYZE_COMPARE_WEIGHTS_H

#include "analyze/several/compare.h"

typedef struct {
    int64_t parameter; /* of A */
    double absmax[2], rms[2];
    uint64_t nonfinite[2]; /* values that are inf or NaN; UINT64_MAX: all that there are */
    double bits;           /* of absmax */
} ss_compare_weight;

typedef struct {
    ss_compare_weight *rows; /* largest |bits| first */
    int64_t n;               /* 0: a file has no weights, or no name is in both */
    int64_t n_bad[2];        /* of them, with inf or NaN in A, in B */
    int64_t lone[2];         /* parameters of A, of B, that the other lacks */
    char title[32];
} ss_compare_weights;

ss_code ss_compare_weights_find(const ss_compare *c, const char *name, ss_compare_weights *x,
                                ss_err *e);
void ss_compare_weights_release(ss_compare_weights *x); /* {0} is fine */
ss_code ss_compare_weights_table(const ss_compare *c, const ss_compare_weights *x, int top,
                                 ss_table *t, ss_err *e);

#endif
