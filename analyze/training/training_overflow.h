/* training_overflow.h - which modules overflow during a training, and since which step
 *
 * A site overflows at a step if a sample of its batch has inf or NaN there, or if its largest |x|
 * rounds to more than the format holds. At the first such step the sample with the largest |x|
 * counts or, if none is over the limit, the one with the most values that are not finite.
 */
#ifndef SS_ANALYZE_TRAINING_OVERFLOW_H
#define SS_ANALYZE_TRAINING_OVERFLOW_H

#include "analyze/training/training.h"

typedef struct {
    ss_site site;
    int first, last;    /* indices of the first and the last step at which it overflows */
    int n_steps;        /* steps at which it overflows */
    double value;       /* largest |x| at the first step */
    double sigma;       /* of the sample or bin there, NaN: not known */
    uint64_t nonfinite; /* values that are inf or NaN, over all steps */
} ss_training_overflow_row;

typedef struct {
    ss_format format;
    char title[40];                 /* of the table */
    ss_training_overflow_row *rows; /* earliest step first, then in forward order */
    int n;
    int n_sites;
    double largest; /* |x| of all sites, finite */
} ss_training_overflow;

/* sites: SS_SITES_ALL. */
ss_code ss_training_overflow_find(const ss_training *t, const ss_sites *sites, const ss_format *f,
                                  ss_training_overflow *o, ss_err *e);
void ss_training_overflow_release(ss_training_overflow *o); /* {0} is fine */

/* The title is borrowed from o. */
ss_code ss_training_overflow_table(const ss_training *t, const ss_training_overflow *o, int top,
                                   ss_table *table, ss_err *e);

#endif
