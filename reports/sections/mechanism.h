/* mechanism.h - the mechanism of a divergence on a page, with the evidence
 */
#ifndef SS_REPORTS_MECHANISM_H
#define SS_REPORTS_MECHANISM_H

#include "analyze/training/mechanism.h"
#include "reports/page/page.h"

ss_code ss_section_mechanism(ss_page *p, const ss_mechanism_finding *m, ss_err *e); /* #mechanism */

#endif
