/* watch.h - what stands out in a forward pass: the largest of each module, and where inf and NaN
 * begin
 *
 * Of each sample, values are not finite for the first time in the output of one module; in what is
 * computed from it they are, mostly, too. That module is where the sample overflowed: modules end
 * in the order of computing, contained ones before those that contain them.
 *
 *   ss_watch *w;
 *   rc = ss_watch_new(n_modules, &w, &err);
 *   rc = ss_watch_begin(w, batch, &err);
 *   ...                                   // a forward pass with ss_watch_hooks(w)
 *   origin = ss_watch_origin(w, sample);
 */
#ifndef SS_TRAIN_WATCH_H
#define SS_TRAIN_WATCH_H

#include "kernels/hooks.h"

typedef struct ss_watch ss_watch;

/* Watches the outputs of all modules; their ids are below n_modules. */
ss_code ss_watch_new(int n_modules, ss_watch **w, ss_err *e);
void ss_watch_free(ss_watch *w); /* NULL is fine */

/* Other hooks, or NULL for none, which see what they would alone; for the next time that ours are
 * installed. */
void ss_watch_set_next(ss_watch *w, const ss_hooks *next);
const ss_hooks *ss_watch_hooks(ss_watch *w);

/* Before a forward pass over n samples. */
ss_code ss_watch_begin(ss_watch *w, int n, ss_err *e);

/* Of module id over all samples and their finite values: the largest |x|, and sqrt(mean x^2); NaN
 * where the pass did not come by. */
double ss_watch_absmax(const ss_watch *w, int id);
double ss_watch_rms(const ss_watch *w, int id);

/* Where a sample overflowed. */
typedef struct {
    const ss_module *module; /* NULL: all is finite */
    double share;            /* of its values of that sample that are inf or NaN */
} ss_origin;
ss_origin ss_watch_origin(const ss_watch *w, int sample);

#endif
