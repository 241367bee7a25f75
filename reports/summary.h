/* summary.h - the first thing one reads: the verdict, and what was found, in sentences */
#ifndef SS_REPORTS_SUMMARY_H
#define SS_REPORTS_SUMMARY_H

#include "analyze/findings/verdict.h"
#include "reports/page/page.h"

/* Writes the verdict (unless it is NULL): what is wrong or not, where, since when, and what to do
 * next; the sentences, each with a link to the figure that shows it, the worst five in view and the
 * others folded; the list of contents. The same as data goes into the page's findings.json, whose
 * name has the prefix of the page's pictures. */
ss_code ss_summary(ss_page *p, const ss_findings *f, const ss_verdict *v, ss_err *e);

#endif
