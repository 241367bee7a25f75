/* summary.h - the first thing one reads: what was found, in words and numbers */
#ifndef SS_REPORTS_SUMMARY_H
#define SS_REPORTS_SUMMARY_H

#include "reports/findings.h"
#include "reports/page.h"

typedef enum {
    SS_SAID_FOUND,   /* trouble */
    SS_SAID_CLEAR,   /* looked for, and not there */
    SS_SAID_TOLD,    /* worth knowing */
    SS_SAID_UNKNOWN, /* the run cannot say */
} ss_said;

/* A list of sentences, each with its verdict and a link to the figure that shows it. */
void ss_summary_begin(ss_page *p);
void ss_summary_say(ss_page *p, ss_said said, const char *anchor, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void ss_summary_end(ss_page *p);

/* The sentences of one run. */
void ss_summary_run(ss_page *p, const ss_findings *x);

#endif
