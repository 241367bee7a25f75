/* comparison.h - all comparisons of two runs, and limits on them for scripts
 *
 * A limit is MEASURE=NUMBER, or a number alone, which means absmax. It is exceeded when the measure
 * is larger than the number; B is the run that is judged, A the baseline:
 *
 *   absmax     the largest ratio B/A of the largest |x|, of all places, inputs, noise levels, as
 *              2^bits (compare.h: what is negligible counts little); infinite where B has inf or
 *              NaN and A has not
 *   rms        the same of the RMS
 *   nonfinite  how many more values of a place are inf or NaN in B
 *   entropy    the largest |B - A| of attention entropy (compare_attention.h), up or down
 *   loss       the largest B - A of the loss
 *   weights    the largest ratio B/A of a parameter's largest |w|, as 2^bits
 */
#ifndef SS_ANALYZE_COMPARISON_H
#define SS_ANALYZE_COMPARISON_H

#include "analyze/several/compare.h"
#include "analyze/several/compare_attention.h"
#include "analyze/several/compare_inputs.h"
#include "analyze/several/compare_weights.h"

#define SS_COMPARED(X) X(absmax) X(rms) X(nonfinite) X(entropy) X(loss) X(weights)
#define X(name) SS_COMPARED_##name,
typedef enum { SS_COMPARED(X) SS_N_COMPARED } ss_compared;
#undef X

typedef struct {
    ss_compare sites;
    ss_compare_heads heads;
    ss_compare_inputs inputs;
    ss_compare_weights weights;
} ss_comparison;

/* name: what B is called in the tables. */
ss_code ss_comparison_find(ss_run *a, ss_run *b, const char *name, const char *const *globs,
                           int n_globs, ss_comparison *x, ss_err *e);
void ss_comparison_release(ss_comparison *x); /* {0} is fine */

typedef struct {
    ss_compared measure;
    double limit;
} ss_limit;

/* SS_USAGE with the list of measures where it is none. */
ss_code ss_limit_parse(const char *spec, ss_limit *l, ss_err *e);
const char *ss_compared_name(ss_compared m);

/* The value of a measure, and the name of the place that has it. A measure that the runs cannot
 * give (no loss, no attention) is SS_SHAPE: what was not looked at has not passed. */
ss_code ss_compared_value(const ss_comparison *x, ss_compared m, double *value, char *where,
                          size_t n, ss_err *e);

#endif
