/* structure.h - what in a network lets activations grow, as a list
 *
 *   ss_structure *s;
 *   rc = ss_structure_new(m, NULL, &s, &err);
 *   for (int i = 0; i < s->n; i++)
 *       puts(s->rows[i].why);
 *   ss_structure_free(s);
 *
 * Each family makes its list (net/family.h) of the resolved configuration and of the modules as
 * they were built, so it is true for every remedy (remedies.h): an attention has a norm in front of
 * it only if that norm is one of its modules. "The stream" is what runs from conv_in to
 * conv_norm_out, and inside of a transformer from proj_in to proj_out: each block adds to it, none
 * normalises it. "Normalised" is what comes out of a norm, through activations, a change of
 * resolution or a dropout alone. Being on the list does not say that a value grows; a run says
 * that.
 *
 * Of magnitude-preserving networks (magnitude.h) only the learned gains are listed: all else there
 * keeps the size of what it reads.
 */
#ifndef SS_MODELS_STRUCTURE_H
#define SS_MODELS_STRUCTURE_H

#include "models/model.h"

/* One row for the modules of one kind at one place that the same key changes. All texts are owned
 * by the list. */
typedef struct {
    ss_structure_row *rows;
    int n;
} ss_structure;

/* Makes the list. absmax has the largest magnitude of each weight in the order of ss_model_weights,
 * NaN where it is not known; NULL leaves out the rows of the kind zero. */
ss_code ss_structure_new(const ss_model *m, const float *absmax, ss_structure **s, ss_err *e);
void ss_structure_free(ss_structure *s); /* NULL is fine */

#endif
