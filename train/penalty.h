/* penalty.h - the activation penalty, which keeps activations small while a network trains
 *
 *   P = mean over watched modules b of mean(a_b^2),   a_b the module's output
 *   L = loss + lambda P
 *
 * Its value comes with the statistics pass over each output, and its gradient,
 *
 *   dL/da_b = 2 lambda / (B n_b) a_b,   B modules, n_b values,
 *
 * is one multiply-add into the gradient of a_b before the tape unwinds: no operation is added to
 * the network. Outputs that depend on frozen parameters alone count in P and have no gradient.
 * Added on every k-th step only, with k lambda, it acts like lambda on each.
 *
 *   ss_penalty *p;
 *   rc = ss_penalty_new(modules, n, NULL, 0, &p, &err);
 *   setup.hooks = ss_penalty_hooks(p);
 *   rc = ss_ctx_setup(c, &setup, &err);
 *   ...
 *   ss_penalty_begin(p, true);              // this step has the penalty
 *   rc = ss_tape_begin(c, NULL, &err);
 *   y = ss_model_forward(c, model, x, t, &condition);
 *   ss_tape_seed(c, y, dy, 1);
 *   ss_penalty_seed(p, c, lambda);
 *   rc = ss_tape_backward(c, &err);
 *   rc = ss_ctx_finish(c, &err);
 *   value = ss_penalty_value(p);
 */
#ifndef SS_TRAIN_PENALTY_H
#define SS_TRAIN_PENALTY_H

#include "kernels/hooks.h"

typedef struct ss_penalty ss_penalty;

/* Watches the outputs of modules that match any of the globs; without globs, of every block
 * (ss_module.block). A glob that matches nothing is SS_USAGE. modules are borrowed. */
ss_code ss_penalty_new(const ss_module *const *modules, int n_modules, const char *const *globs,
                       int n_globs, ss_penalty **p, ss_err *e);
void ss_penalty_free(ss_penalty *p); /* NULL is fine */

const ss_hooks *ss_penalty_hooks(ss_penalty *p);
/* Other hooks (NULL: none), which see what they would see alone; from the next time on that the
 * penalty's are installed. */
void ss_penalty_set_next(ss_penalty *p, const ss_hooks *next);

/* Call before a forward pass. on: outputs are kept for a penalty. Drops what was kept before. */
void ss_penalty_begin(ss_penalty *p, bool on);

/* Seeds the tape with the gradient of scale * P and drops the outputs. P is known after
 * ss_ctx_finish; NaN if nothing was kept, or if it is not finite. Modules are summed in the order
 * in which they end. */
void ss_penalty_seed(ss_penalty *p, ss_ctx *c, double scale);
double ss_penalty_value(const ss_penalty *p);

#endif
