/* near.h - "did you mean ...?": the known name that a mistyped one is nearest to
 *
 *   char hint[SS_NEAR];
 *   rc = ss_fail(&err, SS_USAGE, "no command '%s'%s", SS_SHOW(name),
 *                ss_near(name, known, n, hint));      // " - did you mean 'analyze'?", or ""
 */
#ifndef SS_BASE_NEAR_H
#define SS_BASE_NEAR_H

#include <stddef.h>

enum { SS_NEAR = 256, SS_NEAR_MAX_NAME = 63 };

/* Counts the letters that are to be inserted, deleted, replaced or swapped with their neighbour to
 * make b of a; no part is edited twice. Symmetric; 0 for equal names only; at most the longer
 * length; one swap is 1. Names over SS_NEAR_MAX_NAME bytes count by these first bytes.
 *
 * Source: Damerau 1964, CACM 7, 171-176 (optimal string alignment). */
int ss_edit_distance(const char *a, const char *b);

/* Writes " - did you mean 'A'?", or "'A' or 'B'?" where two or three are as near, into hint, and
 * "" where nothing is near: where more than a third of the letters differ (of a name with one or
 * two letters: any). A name that begins with all of `name` is near, too. Returns hint. */
const char *ss_near(const char *name, const char *const *known, int n, char hint[SS_NEAR]);

/* The same, of names in one text, which commas, spaces or bars separate. */
const char *ss_near_in(const char *name, const char *known, char hint[SS_NEAR]);

#endif
