/* components.h - the page that runs of several components of a pipeline share: which fails first */
#ifndef SS_REPORTS_COMPONENTS_H
#define SS_REPORTS_COMPONENTS_H

#include "analyze/several/components.h"
#include "reports/overview.h"

/* Writes FOLDER/index.html: the sentence of each format, the components with a link to the page of
 * each, their headroom as a figure, and the table. */
ss_code ss_components_page(const ss_overview *o, const char *title, ss_report_summary *summary,
                           ss_err *e);

/* Writes the component's name to out, for a page NAME.html, if it is plain; else out is left as it
 * is: a name in a run file may be anybody's. */
void ss_component_page_name(const ss_run *r, char *out, size_t n);

#endif
