/* section_channels.c - few channels that are much larger than the others of their module */
#include "reports/sections.h"

enum { TABLE_ROWS = 1000 };

ss_code ss_section_channels(ss_page *page, const ss_findings *x, ss_err *e)
{
    ss_table t;
    ss_code rc;

    if (x->channels.n_sites == 0)
        return SS_OK;
    ss_page_section(page, "channels", "Outlier channels");
    if ((rc = ss_channels_table(x->run, &x->channels, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc;
}
