/* logits.h - why attention logits are large: their inputs, or the entropy?
 *
 *   l_ij = q_i . k_j / sqrt(d) = (sqrt(d) R) * u_ij,    R = RMS(q) RMS(k)
 *
 * splits a logit into size and direction: sqrt(d) R is the logit of two parallel vectors of
 * typical length (|q| = sqrt(d) RMS(q) over the d channels of a head), u_ij is how much longer than
 * typical and how parallel this pair is. A layer is observed in many cells (noise level, input,
 * sample); with M the largest logit of a cell,
 *
 *   ln M = ln R + ln(M / R)             size and direction add up, exactly, so do
 *   1    = cov(ln M, ln R) / var(ln M) + cov(ln M, ln(M / R)) / var(ln M)
 *
 * the shares of the variance of ln M (one may be negative, the other then exceeds 1). Likewise
 * ln R = ln X + ln(R / X), X = RMS of what to_q reads times RMS of what to_k reads: what comes
 * from the layer's input, and what the projections make of it. A change of scale of q and k moves
 * the entropy too, so an entropy that falls while logits grow proves nothing about the
 * cause; whether it is low does, and whether M grew without q and k.
 *
 * Verdict, at the cell of the largest M and its head:
 *
 *   not large          M < SS_LARGE_LOGIT
 *   collapsed is       the normalised entropy there is below SS_COLLAPSED_BELOW
 *   from inputs is     where M varies by SS_LOGIT_VARIES or more: share of ln R >= 1/2
 *                      elsewhere variation shows nothing, and the level decides: R accounts for
 *                      at least half of ln M, R >= sqrt(M), counted from q and k of RMS 1, as
 *                      QK-norm and cosine attention make them
 *   large inputs, collapse, both, or neither: alignment of q and k, without collapse; unknown
 *   where inputs would decide and were not recorded
 *
 * Such inputs of the product are large because the layer's own input is when X accounts for at
 * least half of ln R there, X >= sqrt(R), otherwise because the projections made them so.
 */
#ifndef SS_ATTN_LOGITS_H
#define SS_ATTN_LOGITS_H

#include <stdbool.h>

/* From here on a logit is large: bf16 keeps 8 significant bits, so that a logit of 32 is off by
 * up to 1/8 and its probability by up to 13 %; fp16 is as far off from 256. Sums of exponentials
 * without subtraction of the maximum overflow at 11 (fp16) and 88 (bf16, f32). Runs whose
 * logits go over 1e4 do not recover (Wortsman et al. 2024, "Small-scale proxies for large-scale
 * Transformer training instabilities"). */
#define SS_LARGE_LOGIT 32.0
/* Largest over smallest M of a layer from which its variation is worth explaining. */
#define SS_LOGIT_VARIES 2.0

#define SS_LOGIT_VERDICTS(X)  \
    X(UNKNOWN, "unknown")     \
    X(SMALL, "not large")     \
    X(INPUTS, "large inputs") \
    X(COLLAPSED, "collapse") X(BOTH, "both") X(ALIGNED, "alignment") X(NONFINITE, "not finite")
#define X(name, text) SS_LOGITS_##name,
typedef enum { SS_LOGIT_VERDICTS(X) SS_N_LOGIT_VERDICTS } ss_logit_verdict;
#undef X
const char *ss_logit_verdict_text(ss_logit_verdict v);

/* One observation of a layer; NaN where a number is not known. */
typedef struct {
    double max_logit;  /* M, over the heads */
    double normalised; /* entropy of the head that has it (entropy.h) */
    double size;       /* R; where q and k were not recorded, X */
    double input;      /* X */
} ss_logit_cell;

typedef struct {
    int n;               /* cells that have a logit */
    int peak;            /* index of the cell with the largest, -1: there is none */
    ss_logit_cell at;    /* that cell, all NaN when there is none */
    double varies;       /* largest over smallest M > 0, NaN without such */
    double size_share;   /* of the variance of ln M, NaN where M or R does not vary or is unknown */
    double input_share;  /* likewise of X */
    double entropy_corr; /* Pearson correlation of ln M and normalised entropy, or NaN */
    bool large, collapsed, from_size;
    bool from_input; /* never without from_size */
    ss_logit_verdict verdict;
} ss_logits;

/* NONFINITE is never said here, for cells have no logit where it is not finite: whoever knows that
 * says it (analyze/one/attention.h).
 *
 * Cells with M <= 0 have no logarithm: they count as observed and enter no share. */
ss_logits ss_logits_explain(const ss_logit_cell *cells, int n);

#endif
