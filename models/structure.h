/* structure.h - what in a network lets activations grow, as a list
 *
 *   ss_structure *s;
 *   rc = ss_structure_new(m, NULL, &s, &err);
 *   for (int i = 0; i < s->n; i++)
 *       puts(s->rows[i].why);
 *   ss_structure_free(s);
 *
 * The list is made of the resolved configuration and of the modules as they were built, so it is
 * true for every family and every remedy (remedies.h): an attention has a norm in front of it only
 * if that norm is one of its modules. "The stream" is what runs from conv_in to conv_norm_out, and
 * inside of a transformer from proj_in to proj_out: each block adds to it, none normalises it.
 * "Normalised" is what comes out of a norm, through activations, a change of resolution or a
 * dropout alone. Being on the list does not say that a value grows; a run says that.
 *
 * Of magnitude-preserving networks (magnitude.h) only the learned gains are listed: all else there
 * keeps the size of what it reads.
 */
#ifndef SS_MODELS_STRUCTURE_H
#define SS_MODELS_STRUCTURE_H

#include "base/structure.h"
#include "models/model.h"

/* The kinds of row, in the order of the list.
 *   attention    q, k and v are made of the stream itself
 *   convolution  reads the stream itself: resampling, conv_shortcut, a transformer's proj_out
 *   sum          x + branch, neither divided nor scaled
 *   skip         concatenated to the stream as the encoder left it
 *   logits       q and k have no norm of their own
 *   upcast       logits that eager attention stores in the half format
 *   product      of two projections of the same values (GEGLU)
 *   modulation   norm(h) (1 + scale) + shift
 *   embedding    times, classes and sizes, added up without a norm
 *   text         keys and values of the text as it is given
 *   input        the noised picture as it is
 *   factor       a learned factor of a remedy
 *   division     of the answer by sigma
 *   zero         weights of a branch's end that are all zero now */
#define SS_STRUCTURE_KINDS(X)                  \
    X(ATTENTION, "attention without norm")     \
    X(CONVOLUTION, "convolution without norm") \
    X(SUM, "sum without scale")                \
    X(SKIP, "skip without norm")               \
    X(LOGITS, "no norm of q and k")            \
    X(UPCAST, "logits not upcast")             \
    X(PRODUCT, "product")                      \
    X(MODULATION, "scale after the norm")      \
    X(EMBEDDING, "embedding without norm")     \
    X(TEXT, "text without norm")               \
    X(INPUT, "input without norm")             \
    X(FACTOR, "learned factor")                \
    X(DIVISION, "division by sigma")           \
    X(ZERO, "end that is zero")
#define X(name, text) SS_STRUCTURE_##name,
typedef enum { SS_STRUCTURE_KINDS(X) SS_N_STRUCTURE_KINDS } ss_structure_kind;
#undef X
const char *ss_structure_kind_name(ss_structure_kind k); /* the row's kind */

/* Rows of modules of one kind at one place that the same key changes; all texts are the list's. */
typedef struct {
    ss_structure_row *rows;
    int n;
} ss_structure;

/* absmax: of each weight in the order of ss_model_weights, NaN where it is not known; NULL: of
 * none, and then there is no row of the kind zero. */
ss_code ss_structure_new(const ss_model *m, const float *absmax, ss_structure **s, ss_err *e);
void ss_structure_free(ss_structure *s); /* NULL is fine */

#endif
