/* section_trend.c - the largest activations against the training step, and where they lead */
#include "reports/overview.h"
#include "reports/sections/trends.h"

ss_code ss_section_trend(ss_page *page, const ss_overview *o, const ss_trend *t, ss_err *e)
{
    ss_table table;
    ss_code rc;

    ss_page_section(page, "trend", "Growth over training");
    rc = ss_trends_figure(page, o->format, o->n_formats, t, e);
    if (rc == SS_OK && (rc = ss_trend_runs_table(t, &table, e)) == SS_OK)
        ss_page_table(page, &table);
    return rc == SS_OK ? ss_trends_tables(page, o->format, o->n_formats, t, e) : rc;
}
