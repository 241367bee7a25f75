/* structure.h - one row of the list of what in a network lets activations grow
 *
 * A row is texts only: models/ makes it, a run file holds it, analyses and reports show it.
 * models/structure.h says what the rows mean.
 */
#ifndef SS_BASE_STRUCTURE_H
#define SS_BASE_STRUCTURE_H

#include "base/table.h"

/* The texts of a row.
 *   kind     "attention without norm"
 *   place    input, embeddings, encoder, middle, decoder or output
 *   modules  exact paths of modules and inner values, ", " between them
 *   reads    what they read or add up
 *   why      why that lets activations grow
 *   key      of config.json, "remedies.NAME" of its remedies; "": no key changes it
 *   value    of that key as JSON, or "absent"; "" without a key
 *   remedy   what to set it to, or what helps where there is no key */
#define SS_STRUCTURE_TEXTS(X) X(kind) X(place) X(modules) X(reads) X(why) X(key) X(value) X(remedy)

typedef struct {
#define X(name) const char *name;
    SS_STRUCTURE_TEXTS(X)
#undef X
} ss_structure_row;

/* A fresh table "structure": a column for each text, and how many modules there are. */
ss_code ss_structure_table(const ss_structure_row *rows, int n, ss_table *t, ss_err *e);

/* Number of modules that the row names. */
int ss_structure_count(const ss_structure_row *r);
/* Copies the next module of a row into out, cut to n bytes. *at begins as r->modules. False at the
 * end. */
bool ss_structure_next(const char **at, char *out, size_t n);
/* True when the row names exactly this module. */
bool ss_structure_names(const ss_structure_row *r, const char *module);

/* For people, at a glance: a fresh table "structure" of a row for each kind and key, with the
 * number of modules in all places. */
ss_code ss_structure_summary(const ss_structure_row *rows, int n, ss_table *t, ss_err *e);

/* For people: what a row says, and below it the places with at most `some` of their modules; rows
 * that differ in their place alone say it once. Nothing where there is no row. */
void ss_structure_print(const ss_structure_row *rows, int n, int some, FILE *f);

#endif
