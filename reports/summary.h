/* summary.h - the first thing one reads: what was found, in words and numbers */
#ifndef SS_REPORTS_SUMMARY_H
#define SS_REPORTS_SUMMARY_H

#include "reports/analysis.h"
#include "reports/page/page.h"

/* The verdict of a sentence, which stands before it in a word: good and bad answer whether there is
 * trouble of the kind that the sentence is about; a size or a ratio alone is neither. */
typedef enum {
    SS_SAID_BAD,      /* trouble, in red */
    SS_SAID_GOOD,     /* that trouble was looked for, and is not there */
    SS_SAID_MEASURED, /* a fact */
    SS_SAID_UNKNOWN,  /* the run cannot say */
} ss_said;

/* A list of sentences, each with its verdict and a link to the figure that shows it. */
void ss_summary_begin(ss_page *p);
void ss_summary_say(ss_page *p, ss_said said, const char *anchor, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The line of the structure of each module that was asked for, with a link to it; nothing where the
 * run has no list. */
void ss_summary_structure(ss_page *p, const ss_run *r, const ss_structure_asked *asked);
void ss_summary_end(ss_page *p);

/* Says what of a run is not finite, a sentence for each part, which begins with name unless that is
 * NULL. */
void ss_summary_not_finite(ss_page *p, const ss_not_finite *x, const char *name,
                           const char *anchor);

/* The sentences of one run. */
void ss_summary_run(ss_page *p, const ss_analysis *x);

#endif
