/* story.h - `sigmascope analyze` of a folder of training runs (analyze/training/story_judge.h) */
#ifndef SS_CLI_STORY_H
#define SS_CLI_STORY_H

#include "cli/tables.h"

/* Shows the findings with their verdicts, then a table of runs for each regime. */
ss_code cli_story_show(const char *folder, cli_tables *out, ss_err *e);

#endif
