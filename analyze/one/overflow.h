/* overflow.h - which module overflows first, at each noise level and input
 *
 * Predicted, for a format: a site overflows when the largest |x| of a sample rounds to more than
 * the format holds; that is exact. The share of its values that do is bounded by the exponent
 * histogram (headroom.h). Observed: the site has inf or NaN, as it does in a run made with
 * --precision. First is meant in forward order (sites.h).
 */
#ifndef SS_ANALYZE_OVERFLOW_H
#define SS_ANALYZE_OVERFLOW_H

#include "analyze/one/headroom.h"

typedef struct {
    int sigma, input;
    int n_over;         /* sites that overflow */
    ss_site first;      /* meaningful when n_over > 0 */
    double absmax;      /* there */
    int sample;         /* the one with that value; -1: of weights, or a whole prompt */
    ss_range range;     /* there; all NaN without histogram */
    bool weights;       /* at `first` the weights overflow and the values do not */
    int n_nonfinite;    /* sites with inf or NaN */
    ss_site observed;   /* the first of them, when n_nonfinite > 0 */
    uint64_t nonfinite; /* values that are, at that site */
    int bad_sample;     /* the first that has any; -1: the whole prompt */
} ss_overflow_row;

typedef struct {
    ss_format format;
    char title[40]; /* of the table: "overflow fp16" */
    bool has_hist;
    ss_overflow_row *rows; /* lowest sigma first, then inputs; finished levels only */
    int n;
} ss_overflow;

/* sites: SS_SITES_ALL. */
ss_code ss_overflow_find(ss_run *r, const ss_sites *sites, const ss_format *f, ss_overflow *o,
                         ss_err *e);
void ss_overflow_release(ss_overflow *o);

/* Rows without any overflow are summarised in the note. The title is borrowed from o. */
ss_code ss_overflow_table(const ss_run *r, const ss_overflow *o, ss_table *t, ss_err *e);

#endif
