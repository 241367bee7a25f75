/* bisect.h - the first bad one of a row of checkpoints, without trust in monotony
 *
 * A binary search asks about log2(n) of them and is right when every checkpoint after the first
 * bad one is bad, too. Divergence need not be like that: a spike passes, a later one stays. So:
 *
 *   1. the last and the first that can be told are tried; when neither is bad, also those at a
 * half, a quarter and three quarters
 *   2. while something untried lies between the earliest bad one and the last good one before it,
 *      the untried one nearest to the middle is tried
 *   3. the boundary is doubted: tried are the neighbour before the good one, the neighbour behind
 *      the bad one, and the middles of what lies before and behind. An earlier bad one that turns
 *      up sends the search back to 2
 *
 * What remains untried is not known. `exhaustive` tries everything, in order.
 */
#ifndef SS_ANALYZE_BISECT_H
#define SS_ANALYZE_BISECT_H

#include "base/err.h"

#include <stdbool.h>

/* SKIP: it could not be told; it is treated as if it were not there. */
typedef enum { SS_UNTRIED, SS_GOOD, SS_BAD, SS_SKIP } ss_verdict;

/* Sets *v to GOOD, BAD or SKIP. An error ends the search. */
typedef ss_code ss_bisect_try(void *ctx, int i, ss_verdict *v, ss_err *e);

typedef struct {
    ss_verdict *verdict; /* [n] */
    int n, n_tried;
    int first_bad; /* the earliest known, -1: none */
    int last_good; /* the last before it (of all, where none is bad), -1: none */
    int n_between; /* skipped ones between the two: the first bad one may be among them */
    bool monotone; /* no good one behind first_bad, as far as tried */
} ss_bisection;

/* n >= 1. On failure b is {0}. */
ss_code ss_bisect_search(int n, bool exhaustive, ss_bisect_try *try, void *ctx, ss_bisection *b,
                         ss_err *e);
void ss_bisection_release(ss_bisection *b); /* {0} is fine */

#endif
