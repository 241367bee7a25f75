/* model_paths.h - where the files of a model are
 *
 * MODEL may be a model folder (config.json beside the weights), a pipeline folder
 * (model_index.json, unet/, scheduler/), a checkpoint of a training (checkpoint-500/unet), or the
 * unet folder in one. Of several config.json the first one counts whose _class_name is known here:
 * MODEL's own, unet/'s, those of the components in model_index.json, unet_ema/'s. Links are
 * followed, but what lies beside a folder is looked for beside the link first: a linked unet/
 * belongs to the pipeline it is linked in.
 */
#ifndef SS_MODELS_MODEL_PATHS_H
#define SS_MODELS_MODEL_PATHS_H

#include "base/err.h"

#include <stdbool.h>

/* The paths of one model; owned, release with ss_model_paths_release. */
typedef struct {
    char *folder;           /* with config.json in it */
    char *config;           /* FOLDER/config.json */
    char *scheduler;        /* .../scheduler_config.json, or NULL */
    char *class_embeddings; /* .../class_embeddings.safetensors, or NULL */
    bool has_vae;           /* vae/, vqvae/ or movq/ is beside it: a pipeline of latents */
} ss_model_paths;

/* If no class is known, the first config.json that names one is found, else the first. */
ss_code ss_model_paths_find(const char *model, ss_model_paths *p, ss_err *e);
/* scheduler_config.json of a path that is that file, its folder, or a pipeline's; *file is the
 * caller's to ss_free. */
ss_code ss_scheduler_find(const char *path, char **file, ss_err *e);
void ss_model_paths_release(ss_model_paths *p); /* {0} is fine */

#endif
