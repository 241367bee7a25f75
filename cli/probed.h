/* probed.h - checkpoints given to a command that reads run files: probed first, into bisect's cache
 */
#ifndef SS_CLI_PROBED_H
#define SS_CLI_PROBED_H

#include "cli/cli.h"
#include "models/training_folder.h"
#include "probe/cached.h"

typedef struct {
    ss_checkpoint_folders list; /* of a training's folder that was given */
    char **runs; /* [n_runs] paths of runs, owned; NULL: that operand is no checkpoint */
    int n_runs;
    char **operands; /* [n_runs] what the command works with; owned, its texts are not */
    ss_run_cache cache;
} cli_probed;

/* Lists the checkpoints where the one operand is the folder of a training: p then has them as
 * operands. Folders of training runs (demo/story) stay as they are. */
ss_code cli_probed_list(cli_probed *x, cli_parser *p, ss_err *e);

/* Puts a run into the place of each operand that is a checkpoint: kept from an earlier time, or
 * probed now with the default plan. A note says so, with the command that does the same. An error
 * of the probe ends in that command. */
ss_code cli_probed_make(cli_probed *x, cli_parser *p, ss_err *e);

void cli_probed_release(cli_probed *x); /* {0} is fine; says how large the cache is */

#endif
