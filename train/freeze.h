/* freeze.h - which parameters of a network stay as they are while the others are trained
 *
 * Globs (base/str.h) are tried on the name of a parameter ("conv_in.weight") and on the path of
 * each module that it is in ("conv_in", "up_blocks.1"). One that begins with `!` makes an exception
 * of what the globs before it froze:
 *
 *   {"*", "!*.motion_modules.*"}    all but the motion modules
 *
 * A frozen parameter gets no gradient, so neither does anything that only such gradients need, and
 * the optimiser keeps nothing of it.
 */
#ifndef SS_TRAIN_FREEZE_H
#define SS_TRAIN_FREEZE_H

#include "models/net/loader.h"

/* Changes frozen [n], which of the weights are frozen before any glob is tried. SS_USAGE: a glob is
 * malformed or matches no parameter, or nothing is left to train; config_name is the network's in
 * that message. */
ss_code ss_freeze_select(const char *const *globs, int n_globs, ss_weight *const *weights, int n,
                         const char *config_name, bool *frozen, ss_err *e);

#endif
