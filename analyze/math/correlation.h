/* correlation.h - do two quantities go together? */
#ifndef SS_ANALYZE_CORRELATION_H
#define SS_ANALYZE_CORRELATION_H

#include "base/err.h"

#include <stdbool.h>

typedef struct {
    int n;           /* points of which both values are finite */
    double pearson;  /* of the values; NaN where either has but one value, or n < 3 */
    double spearman; /* Pearson's of the ranks, equal values sharing their mean rank; likewise */
    double gap;      /* median y of the half of the points with the smaller x, minus that of the
                      * other half; of an odd n, the middle one is in neither; NaN likewise */
} ss_correlation;

/* x, y: [n], borrowed. SS_NOMEM is the only failure. */
ss_code ss_correlate(const double *x, const double *y, int n, ss_correlation *c, ss_err *e);

/* True when ranks of n independent points would go together as much by chance in less than about
 * 5 % of all cases, |spearman| > 1.96 / sqrt(n - 1), and at least by half, |spearman| >= 0.5. */
bool ss_correlated(const ss_correlation *c);

#endif
