/* stages.h - what each stage of a chain adds to a video */
#ifndef SS_CLI_STAGES_H
#define SS_CLI_STAGES_H

#include "base/table.h"

/* Measures all videos of a folder that `generate --chain` wrote: a row a stage, means over its
 * videos. The caller releases *t. */
ss_code cli_stage_table(const char *dir, ss_table *t, ss_err *e);

#endif
