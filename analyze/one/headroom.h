/* headroom.h - how far each module is from the limits of number formats
 *
 *   bits     = log2(format's largest finite value / largest |x|), over all ports, inputs,
 *              finished noise levels and samples of a module: 1 bit is a factor of 2 left,
 *              less than 0 overflows (ss_headroom_bits)
 *   flush    = share of values that would round to zero: |x| <= half the smallest subnormal.
 *              Values that are zero anyway are not counted, nor are f32's own
 *              subnormal numbers, which the histogram does not distinguish from zero
 *   denormal = share that would become subnormal, that is keep fewer digits
 *   zero     = share that is zero (or subnormal) in f32 already
 *
 * A container that repeats modules inside of it (fold.h) has no row; what it reads or returns
 * counts for the module that it repeats.
 *
 * Shares are of all values of the module's produced ports, non-finite ones included, from
 * the exponent histogram: exact but for values of exactly half the smallest subnormal.
 */
#ifndef SS_ANALYZE_HEADROOM_H
#define SS_ANALYZE_HEADROOM_H

#include "analyze/one/sites.h"
#include "base/format.h"
#include "base/table.h"

/* Shares of values by a histogram of exponents, for one format; 0 to 1, NaN without values. */
typedef struct {
    double total; /* how many values */
    double zero, flush, denormal;
    double over_least, over_most; /* bounds of the share of finite values over the limit */
    double nonfinite;
} ss_range;

/* counts: [256] by biased exponent (base/stats.h); absmax: of the same finite values,
 * which makes the bounds exact where nothing overflows; NaN if not known.
 *
 *   over_least = share of |x| >= 2^k,  over_most = share of |x| >= 2^(k-1),
 *   k = ss_format_over_from: a value from 2^(k-1) to 2^k may be on either side of the limit */
ss_range ss_range_of(const uint64_t *counts, const ss_format *f, double absmax);

/* True when x rounds to more than the format's largest value, also where it would saturate.
 * Rounding decides, not the largest value itself: 65510 becomes 65504 in fp16, which is no
 * overflow. Every statement about overflow uses this function. NaN does not overflow. */
bool ss_overflows(const ss_format *f, double x);

/* Bits left to the format's largest value, log2(max / x), for x >= 0: less than 0 exactly where x
 * overflows, so 0 where x is above the largest value and rounds to it. */
double ss_headroom_bits(const ss_format *f, double x);

enum { SS_MAX_FORMATS = 8 };

typedef struct {
    int module;
    double peak;
    ss_site at;   /* where the peak is */
    bool weights; /* it is of its weights, which overflow a format and exceed its values */
    int sigma, input, sample; /* of the peak; -1 each of weights; sample -1: a whole prompt */
    bool produced;            /* its shares are known: it has a site that a module produces */
    bool bad;                 /* it also has values that are inf or NaN, at one of its ports */
    double bits[SS_MAX_FORMATS];
    ss_range range[SS_MAX_FORMATS]; /* all NaN where the file has no histogram */
} ss_headroom_row;

typedef struct {
    const ss_format *formats; /* borrowed */
    int n_formats;
    bool has_hist;
    ss_headroom_row *rows; /* least headroom first */
    int n, n_negative[SS_MAX_FORMATS], n_bad;
} ss_headroom;

/* sites: SS_SITES_ALL. */
ss_code ss_headroom_find(ss_run *r, const ss_sites *sites, const ss_format *formats, int n_formats,
                         ss_headroom *h, ss_err *e);
void ss_headroom_release(ss_headroom *h);

ss_code ss_headroom_table(const ss_run *r, const ss_headroom *h, int top, ss_table *t, ss_err *e);
/* A row for each module and format that would lose values, most flushed first; empty without
 * histogram. */
ss_code ss_underflow_table(const ss_run *r, const ss_headroom *h, int top, ss_table *t, ss_err *e);

#endif
