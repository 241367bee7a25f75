/* training_folder.h - the folders that a training leaves: a folder of checkpoints
 *
 *   RUN/checkpoint-500/unet/                                                  diffusers' scripts
 *   RUN/checkpoint-1000/model.safetensors, model_1.safetensors, optimizer.bin        accelerate
 */
#ifndef SS_MODELS_TRAINING_FOLDER_H
#define SS_MODELS_TRAINING_FOLDER_H

#include "models/model_paths.h"

typedef struct {
    char **paths; /* "RUN/checkpoint-500", in the order of their numbers */
    int n;
} ss_checkpoint_folders;

/* Lists the checkpoints in a folder: folders whose names end in a number and that ss_model_open
 * could take with these places. */
ss_code ss_checkpoint_folders_list(const char *folder, const ss_model_places *places,
                                   ss_checkpoint_folders *l, ss_err *e);
void ss_checkpoint_folders_release(ss_checkpoint_folders *l); /* {0} is fine */

#endif
