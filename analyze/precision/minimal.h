/* minimal.h - a smallest list of what has to stay in fp32, found by trying
 *
 * The list of keep.h is predicted from the fp32 run, for the PyTorch code that the run's analyses
 * assume (r->as, r->attention). Which of it is needed is found by delta debugging (subset.h), each
 * try being a run that emulates that code with the list:
 *
 *   1. the list is made to suffice (ss_keep_check_run): no inf or NaN anywhere
 *   2. with nothing kept, noise levels and inputs fail that have inf or NaN; the others, which
 *      cannot decide, are left out of what follows
 *   3. ddmin over the modules of the list
 *   4. what is left is tried on the whole plan; if it fails there, 3 is repeated with the whole
 *      plan
 *
 * So the list suffices, and no single module can be taken off it: without it something fails on a
 * part of the plan, and so on the whole.
 */
#ifndef SS_ANALYZE_MINIMAL_H
#define SS_ANALYZE_MINIMAL_H

#include "analyze/precision/keep_check.h"

typedef struct {
    ss_keep keep;           /* the smallest list */
    int n_start;            /* modules on the list that it began with */
    int n_runs;             /* emulated, all together */
    int n_sigmas, n_inputs; /* of step 2 */
    bool repeated;          /* step 3 was */
    bool found; /* false: no list is known to suffice, keep is the one that came nearest */
} ss_minimal;

/* r: in fp32, finite, with a plan; otherwise SS_USAGE. f must outlive m. */
ss_code ss_minimal_find(ss_run *r, const ss_format *f, int threads, const char *device,
                        ss_minimal *m, ss_err *e);
void ss_minimal_release(ss_minimal *m); /* {0} is fine */

/* The modules, what they are kept for, and in the note the search. The title is borrowed. */
ss_code ss_minimal_table(const ss_run *r, const ss_minimal *m, ss_table *t, ss_err *e);

#endif
