/* subset.h - a smallest part of a set that still does the job: delta debugging
 *
 * ddmin of Zeller & Hildebrandt 2002 ("Simplifying and Isolating Failure-Inducing Input"): cuts
 * the set into parts, keeps a part or the complement of one that still suffices, else cuts finer.
 * What is left is 1-minimal: without any single item it does not suffice. A smaller set that shares
 * too little with it may exist. n log n tries where few items matter,
 * a small multiple of n where most do.
 */
#ifndef SS_ANALYZE_SUBSET_H
#define SS_ANALYZE_SUBSET_H

#include "base/err.h"

#include <stdbool.h>

/* Sets *suffices: do these items suffice? n may be 0. */
typedef ss_code ss_subset_try(void *ctx, const int *items, int n, bool *suffices, ss_err *e);

/* items [*n], which suffice together, are reduced to those that are needed, in their order. *tries:
 * how often `try` was called. */
ss_code ss_subset_minimal(int *items, int *n, ss_subset_try *try, void *ctx, int *tries, ss_err *e);

#endif
