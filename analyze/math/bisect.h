/* bisect.h - finds the first bad one of a row of checkpoints without assuming monotony
 *
 * A binary search tries about log2(n) of them and is right when every checkpoint after the first
 * bad one is bad, too. Divergence need not be like that: one spike passes, a later one stays. So:
 *
 *   1. tries the last and the first that can be judged; when neither is bad, also those at a half,
 *      a quarter and three quarters
 *   2. while untried ones lie between the earliest bad one and the last good one before it, tries
 *      the one nearest to the middle
 *   3. doubts the boundary: tries the neighbour before the good one, the neighbour after the bad
 *      one, and the middles of what lies before and after. If an earlier bad one turns up, the
 *      search goes back to 2
 *
 * The verdict on those that remain untried is not known. `exhaustive` tries all, in order.
 */
#ifndef SS_ANALYZE_BISECT_H
#define SS_ANALYZE_BISECT_H

#include "base/err.h"

#include <stdbool.h>

/* SKIP: it could not be judged; the search treats it as if it were not there. */
typedef enum { SS_UNTRIED, SS_GOOD, SS_BAD, SS_SKIP } ss_bisect_verdict;

/* Sets *v to GOOD, BAD or SKIP. An error ends the search. */
typedef ss_code ss_bisect_try(void *ctx, int i, ss_bisect_verdict *v, ss_err *e);

typedef struct {
    ss_bisect_verdict *verdict; /* [n] */
    int n, n_tried;
    int first_bad; /* the earliest known, -1: none */
    int last_good; /* the last before it (of all, where none is bad), -1: none */
    int n_between; /* skipped ones between the two: the first bad one may be among them */
    bool monotone; /* no good one after first_bad, among those tried */
} ss_bisection;

/* n >= 1. On failure b is {0}. */
ss_code ss_bisect_search(int n, bool exhaustive, ss_bisect_try *try, void *ctx, ss_bisection *b,
                         ss_err *e);
void ss_bisection_release(ss_bisection *b); /* {0} is fine */

#endif
