/* section_mechanism.c - which divergence it is, with the evidence; see mechanism.h */
#include "reports/sections/mechanism.h"
#include "reports/summary.h"

void ss_mechanism_say(ss_page *p, const ss_mechanism_finding *m)
{
    const ss_said said = m->name != SS_MECHANISM_NONE ? SS_SAID_BAD
                         : ss_mechanism_matters(m)    ? SS_SAID_UNKNOWN
                                                      : SS_SAID_MEASURED;

    ss_summary_say(p, said, "mechanism", "%s", m->sentence);
}

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
