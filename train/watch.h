/* watch.h - what stands out in a forward pass: the largest |x| of each module, and where inf and
 * NaN begin
 *
 * A sample overflowed in the first module whose output has values of it that are not finite; most
 * of what is computed from that output is not finite either. Modules end in the order of computing,
 * those inside another before it.
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

/* Other hooks (NULL: none), which see what they would see alone; from the next time on that the
 * watch's are installed. */
void ss_watch_set_next(ss_watch *w, const ss_hooks *next);
const ss_hooks *ss_watch_hooks(ss_watch *w);

/* Call before the forward passes over n samples together, and before each of them that begins with
 * another than the first. */
ss_code ss_watch_begin(ss_watch *w, int n, ss_err *e);
void ss_watch_go_on(ss_watch *w, int first);

/* The largest |x| and sqrt(mean x^2) of module id over the finite values of all samples; NaN if the
 * module did not run. */
double ss_watch_absmax(const ss_watch *w, int id);
double ss_watch_rms(const ss_watch *w, int id);

/* The place where a sample overflowed. */
typedef struct {
    const ss_module *module; /* NULL: all is finite */
    double share;            /* of the module's values of the sample that are inf or NaN */
} ss_origin;
ss_origin ss_watch_origin(const ss_watch *w, int sample);

#endif
