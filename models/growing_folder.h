/* growing_folder.h - the folder that a training writes checkpoints to, while it does
 *
 * A checkpoint is an entry of the folder that is one by its name and by what is in it:
 *
 *   checkpoint-500/, step_500/, epoch=3-step=500.ckpt/, last/, best/   with a file of weights, a
 *                                         config.json or a .metadata in it or one folder below
 *   step-500.safetensors, last.ckpt       files of weights that stand alone
 *   the folder itself                     where it is a model, and nothing in it is a checkpoint
 *
 * Names of what is still written (.NAME, tmp-NAME, NAME.tmp-PID, NAME.part) are none, nor are
 * shards, nor what a training keeps beside its weights (optimizer.pt). Two names for the same
 * place, such as a link `latest`, are one checkpoint, under the name that is no link.
 *
 * A checkpoint's look is a sum over the names, sizes and times of change of all its files: while it
 * changes, the checkpoint is being written.
 */
#ifndef SS_MODELS_GROWING_FOLDER_H
#define SS_MODELS_GROWING_FOLDER_H

#include "base/err.h"

#include <stdint.h>

enum { SS_GROWING_LOOK = 17 }; /* hexadecimal digits and a NUL */

typedef struct {
    char *path; /* FOLDER/NAME */
    char *real; /* without links */
    char look[SS_GROWING_LOOK];
} ss_growing_entry;

typedef struct {
    ss_growing_entry
        *list; /* in the order of the numbers at the end of their names, then by name */
    int n;
} ss_growing;

/* Lists the checkpoints; a folder that is not there has none. What vanishes meanwhile is left out.
 * SS_IO if the folder cannot be read. */
ss_code ss_growing_list(const char *folder, ss_growing *g, ss_err *e);
void ss_growing_release(ss_growing *g); /* {0} is fine */

/* Looks at one again; "" if it is not there. */
void ss_growing_look(const char *path, char look[SS_GROWING_LOOK]);

#endif
