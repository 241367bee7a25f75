/* section_channels.c - channels that are much larger than the others of their module, or nothing,
 * and positions that are much larger than the others of their map
 */
#include "reports/sections/sections.h"

enum { TABLE_ROWS = 1000 };

ss_code ss_section_channels(ss_page *page, const ss_analysis *x, ss_err *e)
{
    ss_table t;
    ss_code rc = SS_OK;

    if (x->channels.n_sites) {
        ss_page_section(page, "channels", "Outlier channels, dead channels");
        if ((rc = ss_channels_table(x->run, &x->channels, TABLE_ROWS, &t, e)) == SS_OK)
            ss_page_table(page, &t);
        if (rc == SS_OK && (rc = ss_dead_table(x->run, &x->channels, TABLE_ROWS, &t, e)) == SS_OK)
            ss_page_table(page, &t);
    }
    if (rc != SS_OK || x->tokens.n_modules == 0)
        return rc;
    ss_page_section(page, "tokens", "Outlier tokens");
    if ((rc = ss_tokens_table(x->run, &x->tokens, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc;
}
