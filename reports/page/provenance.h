/* provenance.h - how a run and its report were made, so that another can repeat them */
#ifndef SS_REPORTS_PROVENANCE_H
#define SS_REPORTS_PROVENANCE_H

#include "analyze/one/sites.h"
#include "reports/page/page.h"

void ss_provenance(ss_page *p, ss_run *r, const char *report_command); /* #made */

#endif
