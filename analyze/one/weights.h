/* weights.h - are weights of normal size where activations are huge?
 *
 * A module's parameters are those named PATH.weight, PATH.bias and so on, and those of all
 * modules inside of it; the whole model's are all.
 *
 * A container that repeats a module inside of it (fold.h) is no row of its own; where that module
 * has no parameters, those of the container count.
 *
 *   weight      largest |w| of its parameters
 *   activation  largest |x| that it produces, over inputs, finished noise levels, samples
 *   huge        activation >= SS_HUGE times the median activation of all modules
 *   normal      weight <= SS_HUGE times the median largest |w| of all parameters
 *
 * Rows that are huge and normal are those of finding 1: activations grow, weights do not.
 */
#ifndef SS_ANALYZE_WEIGHTS_H
#define SS_ANALYZE_WEIGHTS_H

#include "analyze/one/sites.h"
#include "base/table.h"

enum { SS_HUGE = 10 };

typedef struct {
    int module;
    double weight, weight_rms; /* rms: median over its parameters */
    double activation;
    bool huge, normal;
    bool bad; /* some of its weights are inf or NaN: neither normal nor large */
} ss_weights_row;

typedef struct {
    int64_t n_parameters;                         /* 0: the run has no weights */
    double weight_max, weight_median, rms_median; /* over parameters, of absmax and of rms */
    int64_t largest;                              /* parameter, or -1 */
    double activation_max, activation_median;     /* over modules */
    ss_weights_row
        *rows; /* modules that have parameters and activations, largest activation first */
    int n, n_huge, n_huge_normal;
    int64_t n_bad; /* parameters with inf or NaN, as far as the run says (not_finite.h) */
} ss_weights;

ss_code ss_weights_find(ss_run *r, const ss_sites *sites, ss_weights *w, ss_err *e);
void ss_weights_release(ss_weights *w);
ss_code ss_weights_table(const ss_run *r, const ss_weights *w, int top, ss_table *t, ss_err *e);

#endif
