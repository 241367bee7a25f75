/* section_mechanism.c - which divergence it is, with the evidence; see mechanism.h */
#include "reports/sections/mechanism.h"

ss_code ss_section_mechanism(ss_page *page, const ss_mechanism_finding *m, ss_err *e)
{
    ss_table t;
    ss_code rc = ss_mechanism_table(m, &t, e);

    if (rc != SS_OK)
        return rc;
    ss_page_section(page, "mechanism", "Which divergence it is");
    html_element(page->f, "p", NULL, "%s", m->sentence);
    ss_page_table(page, &t);
    return SS_OK;
}
