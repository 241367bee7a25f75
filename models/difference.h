/* difference.h - what differs between two checkpoints, tensor by tensor
 *
 * Both are mapped and read in pieces, so two models of any size can be compared in a few
 * megabytes.
 */
#ifndef SS_MODELS_DIFFERENCE_H
#define SS_MODELS_DIFFERENCE_H

#include "base/table.h"
#include "kernels/context.h"
#include "models/file/checkpoint.h"

/* Fills a fresh table, one row per tensor that differs, the largest relative change
 * |b - a| / |a| (L2) first:
 *
 *   parameter, shape, change (relative), max_change (largest |b - a|), rms_a, rms_b, note
 *
 * Tensors that only one has, or whose shapes differ, come first, with a note instead of
 * numbers. At most `top` rows are listed (0: all); the table's own note counts them all, and so
 * does *n_differ. */
ss_code ss_checkpoint_difference(ss_ctx *c, const ss_checkpoint *a, const ss_checkpoint *b, int top,
                                 ss_table *t, size_t *n_differ, ss_err *e);

#endif
