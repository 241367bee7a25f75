/* section_story.h - findings that were put to the test, and their runs, first on a report's page */
#ifndef SS_REPORTS_SECTION_STORY_H
#define SS_REPORTS_SECTION_STORY_H

#include "reports/page/page.h"

/* #story: the table of findings of a folder (analyze/training/story_judge.h), and of each regime
 * curves of its training runs and their table. */
ss_code ss_section_story(ss_page *p, const char *folder, ss_err *e);

#endif
