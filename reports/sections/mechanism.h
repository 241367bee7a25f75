/* mechanism.h - the mechanism of a divergence on a page: a sentence of the summary, and the
 * evidence
 */
#ifndef SS_REPORTS_MECHANISM_H
#define SS_REPORTS_MECHANISM_H

#include "analyze/training/mechanism.h"
#include "reports/page/page.h"

void ss_mechanism_say(ss_page *p, const ss_mechanism_finding *m);
ss_code ss_section_mechanism(ss_page *p, const ss_mechanism_finding *m, ss_err *e); /* #mechanism */

#endif
