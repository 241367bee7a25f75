/* compare_attention.h - attention entropy and logits of a run B against a baseline A
 *
 * Layers are aligned by path, heads by number, noise levels and inputs as in the comparison
 * (compare.h). Entropy is the mean over samples, divided by ln(keys): 0 where every query looks at
 * one key, 1 where all keys get the same. Where either file lacks the number of keys it stays
 * in nats. Logits are the largest over samples, inputs and noise levels.
 */
#ifndef SS_ANALYZE_COMPARE_ATTENTION_H
#define SS_ANALYZE_COMPARE_ATTENTION_H

#include "analyze/several/compare.h"

typedef struct {
    int layer, head; /* of A */
    int layer_b;
    int sigma, input;    /* of the alignment: where the entropies differ most; SS_ALL: nowhere */
    double entropy[2];   /* of A and B at that place */
    int bad[2];          /* samples (of common noise levels and inputs) in which it is inf or NaN */
    double max_logit[2]; /* NaN where unknown */
} ss_attention_row;

typedef struct {
    ss_attention_row *rows; /* largest difference of entropy first */
    int n;                  /* 0: no layer in common, or none at all */
    bool normalised;        /* else nats */
    char title[32];
} ss_compare_heads;

ss_code ss_compare_heads_find(const ss_compare *c, const char *name, const char *const *globs,
                              int n_globs, ss_compare_heads *x, ss_err *e);
void ss_compare_heads_release(ss_compare_heads *x); /* {0} is fine */
ss_code ss_compare_heads_table(const ss_compare *c, const ss_compare_heads *x, int top, ss_table *t,
                               ss_err *e);

#endif
