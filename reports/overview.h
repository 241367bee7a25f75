/* overview.h - the page that several runs share: growth over training, and one against another */
#ifndef SS_REPORTS_OVERVIEW_H
#define SS_REPORTS_OVERVIEW_H

#include "analyze/findings/several.h"
#include "reports/page/page.h"

typedef struct {
    const ss_report_options *opt;
    const char *folder;
    ss_run *const *runs;      /* [n] */
    const ss_analysis *found; /* [n] */
    int n;
    const ss_format *format; /* [n_formats] */
    int n_formats;
    const char (*pages)[32]; /* [n] files of the runs' own pages */
} ss_overview;

/* Writes FOLDER/index.html. */
ss_code ss_overview_write(const ss_overview *o, const char *title, ss_report_summary *summary,
                          ss_err *e);

/* The parts. Trend: #trend, where the training steps of the runs are known and differ, or were
 * given. Runs: #runs; pairs [n], the first is not used. */
ss_code ss_section_trend(ss_page *p, const ss_overview *o, const ss_trend *t, ss_err *e);
ss_code ss_section_runs(ss_page *p, const ss_overview *o, const ss_pair *pairs, ss_err *e);

/* #conditioning, where in several of the runs one network was told different noise levels. */
ss_code ss_section_conditioning(ss_page *p, const ss_conditioning *c, ss_err *e);

#endif
