/* attention.h - entropy, collapse and sinks of every head over noise levels, and why logits are
 * large
 *
 * Entropies are normalised, H / ln keys, and averaged over samples; collapse and sinks are those
 * of attn/entropy.h, the explanation of logits that of attn/logits.h, whose cells are the noise
 * levels, inputs and samples of a layer. What enters the product q k is looked up by the names
 * that diffusers gives: NAME.to_q and NAME.to_k (add_k_proj where there is no to_k) below a layer
 * NAME, RMS of their input and output ports. Where a run has neither, the RMS of the layer's
 * own input takes their place, squared; where it lacks that too, inputs have no verdict.
 *
 * A run made by other hooks may lack /attention/keys: its entropies cannot be normalised, so
 * everything that follows from them is NaN or false, and the notes say so. A layer with
 * one key has no entropy either.
 *
 * A head whose entropy or logits are inf or NaN (not_finite.h) counts among the heads, and comes
 * first; its other numbers are over the samples where it is finite. A layer with such a head has
 * the verdict "not finite".
 */
#ifndef SS_ANALYZE_ATTENTION_H
#define SS_ANALYZE_ATTENTION_H

#include "analyze/one/not_finite.h"
#include "attn/logits.h"
#include "base/table.h"

typedef struct {
    int layer, head;       /* indices into the run's axes */
    double keys;           /* NaN: not known */
    double low, mid, high; /* normalised entropy at the noise levels of ss_attn, mean over inputs */
    double least;          /* over noise levels and inputs, of the mean over samples */
    int least_sigma, least_input; /* -1 without */
    double max_logit;             /* over everything */
    double sink;                  /* largest share of one key, of the mean over samples */
    int sink_sigma, sink_input;
    bool collapsed, has_sink; /* anywhere it is finite */
    int bad;                  /* samples (of a noise level and input) in which it is not finite */
} ss_attn_head;

typedef struct {
    int layer;
    double keys; /* NaN: not known */
    ss_logits logits;
    int sigma, input, head; /* where the largest logit is, -1 without */
    double q, k;            /* RMS of q and k there; NaN where not recorded */
    double x;               /* RMS of what enters to_q (or the layer) there, or NaN */
    double spread;          /* of logits, the least with which the lowest entropy there can be */
} ss_attn_layer;

typedef struct {
    int input;      /* the one asked for, or SS_ALL */
    char *title[3]; /* of the tables: heads, logits, shares; ends with the input, if there is one */
    bool has_keys;  /* false: nothing is normalised */
    int *order;     /* [n_levels] finished noise levels, lowest sigma first */
    int n_levels;
    int low, mid, high;                       /* indices of sigmas; -1 when none is finished */
    ss_attn_head *heads;                      /* in the order of the file: by layer, then by head */
    int n_heads, n_collapsed, n_sinks, n_bad; /* bad: not finite somewhere */
    int n_finite;                             /* heads that are finite somewhere */
    double *matrix;                           /* [n_heads][n_levels], see ss_attn_at */
    ss_attn_layer *layers;
    int n_layers, n_verdict[SS_N_LOGIT_VERDICTS];
    int n_from_input; /* of the layers with large inputs: where the layer's own input is large */
} ss_attn;

/* Layers whose path matches any of the globs, no globs: all; heads that were never seen are left
 * out, unless they are known to be there and not finite. bad: of the run, borrowed for the call;
 * NULL: every head counts as finite. A run without attention is SS_FORMAT, a glob that matches no
 * layer SS_USAGE. */
ss_code ss_attn_find(ss_run *r, const ss_not_finite *bad, const char *const *globs, int n_globs,
                     int input, ss_attn *a, ss_err *e);
void ss_attn_release(ss_attn *a); /* {0} is fine */

/* The cell of a heat map: normalised entropy, mean over samples and the inputs asked for, of
 * a->heads[head] (row) at noise level a->order[level] (column, sigma rising); NaN where
 * nothing was seen or keys are not known. 0 is one-hot, 1 uniform. */
double ss_attn_at(const ss_attn *a, int head, int level);

/* One row a head, what is not finite and then the lowest entropy first, at most `top`; one row a
 * layer, largest logit first: what they are and the verdict; and the same layers, what the verdict
 * rests on. The titles are borrowed from a. */
ss_code ss_attn_heads_table(const ss_run *r, const ss_attn *a, int top, ss_table *t, ss_err *e);
ss_code ss_attn_logits_table(const ss_run *r, const ss_attn *a, int top, ss_table *t, ss_err *e);
ss_code ss_attn_shares_table(const ss_run *r, const ss_attn *a, int top, ss_table *t, ss_err *e);

/* Summarises the tables in a sentence or two; ss_free. NULL: no memory. */
char *ss_attn_sentence(const ss_attn *a);

#endif
