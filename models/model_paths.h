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
    char *folder;           /* with the weights in it, and config.json if that was not named */
    char *weights;          /* for ss_checkpoint_open: FOLDER, or the file that MODEL is */
    char *config;           /* FOLDER/config.json, or the one that was named */
    char *scheduler;        /* .../scheduler_config.json, or NULL */
    char *class_embeddings; /* .../class_embeddings.safetensors, or NULL */
    bool has_vae;           /* vae/, vqvae/ or movq/ is beside it: a pipeline of latents */
} ss_model_paths;

/* What was named, because it does not lie where it is looked for; each may be NULL. */
typedef struct {
    const char *config;    /* a config.json, or a folder that has one as a MODEL has */
    const char *scheduler; /* scheduler_config.json, or a folder with it, or with scheduler/ */
} ss_model_places;

/* If no class is known, the first config.json that names one is found, else the first. MODEL may
 * also be a file NAME.safetensors, or an index of several, in a model folder. With a config that
 * was named MODEL is the folder of the weights (or has unet/ with them), or their file; a scheduler
 * that is not beside it is looked for beside that config. places may be NULL. */
ss_code ss_model_paths_find(const char *model, const ss_model_places *places, ss_model_paths *p,
                            ss_err *e);
void ss_model_paths_release(ss_model_paths *p); /* {0} is fine */

#endif
