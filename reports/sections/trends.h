/* trends.h - growth over training on a page: of several runs, or of a training's own
 *
 * Formats with the exponents of fp32 have no limit to reach and are left out; the first is the one
 * up to which a figure looks ahead.
 */
#ifndef SS_REPORTS_TRENDS_H
#define SS_REPORTS_TRENDS_H

#include "analyze/several/trend.h"
#include "reports/page/page.h"

/* The largest rows against the step with their power laws; nothing where no row has a value. */
ss_code ss_trends_figure(ss_page *p, const ss_format *formats, int n_formats, const ss_trend *t,
                         ss_err *e);

/* Stages, sites, and for each format when it overflows. */
ss_code ss_trends_tables(ss_page *p, const ss_format *formats, int n_formats, const ss_trend *t,
                         ss_err *e);

#endif
