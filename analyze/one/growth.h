/* growth.h - how activations grow with the noise level
 *
 * For each site, from ss_site_peak of absmax and ss_site_rms of rms, over all samples and the
 * inputs asked for:
 *
 *   low, mid, high   at the lowest, the middle (index n/2 of the sorted n), the highest of the
 *                    finished noise levels
 *   ratio            high / low
 *   slope            b of ln value = a + b ln sigma by least squares, over all finished levels:
 *                    0 is no growth, 1 growth in proportion to sigma
 */
#ifndef SS_ANALYZE_GROWTH_H
#define SS_ANALYZE_GROWTH_H

#include "analyze/one/sites.h"
#include "base/table.h"

typedef struct {
    double low, mid, high, ratio, slope;
} ss_growth_curve;

typedef struct {
    ss_site site;
    double peak;                             /* of absmax over all finished noise levels */
    int peak_sigma, peak_input, peak_sample; /* sample -1: a whole prompt */
    double over_median; /* of a text encoder: the peak / that prompt's median token; else NaN */
    ss_growth_curve absmax, rms;
} ss_growth_row;

typedef struct {
    int low, mid, high;  /* indices of sigmas; -1 when none is finished */
    int input;           /* or SS_ALL */
    char *title;         /* of the table: "growth", or "growth INPUT" */
    ss_growth_row *rows; /* largest peak first, those without any last; containers
                            are folded (fold.h) */
    int n;
} ss_growth;

ss_code ss_growth_find(ss_run *r, const ss_sites *sites, int input, ss_growth *g, ss_err *e);
void ss_growth_release(ss_growth *g); /* {0} is fine */

/* The first `top` rows; the others are summarised in the note. The title is borrowed from g. */
ss_code ss_growth_table(const ss_run *r, const ss_growth *g, int top, ss_table *t, ss_err *e);

#endif
