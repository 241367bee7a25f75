/* model_paths.h - where the files of a model are
 *
 * MODEL may be a model folder (config.json beside the weights), a pipeline folder
 * (model_index.json, unet/, scheduler/), a checkpoint of a training (checkpoint-500/unet), or the
 * folder of the network in one (families.h: unet/; unet_ema/ with places.ema). Of a pipeline the
 * denoiser is meant, unless another component is named. The first config.json of a known
 * _class_name counts, in this order: MODEL's own, unet/'s, those of the components in
 * model_index.json, unet_ema/'s. Links are followed. Files beside a folder are looked for beside
 * the link first, because a linked unet/ belongs to the pipeline that has the link.
 */
#ifndef SS_MODELS_MODEL_PATHS_H
#define SS_MODELS_MODEL_PATHS_H

#include "base/err.h"

#include <stdbool.h>

/* The files of one model; release with ss_model_paths_release. */
typedef struct {
    char *folder;           /* it has the weights, and config.json unless that was named */
    char *weights;          /* FOLDER, or the file that MODEL is (ss_checkpoint_open) */
    char *config;           /* FOLDER/config.json, or the one that was named; NULL: MODEL is a
                               file without one, which may say enough itself (file/single.h) */
    char *scheduler;        /* .../scheduler_config.json, or NULL */
    char *class_embeddings; /* .../class_embeddings.safetensors, or NULL */
    char *note;             /* which of several networks was taken, or NULL */
    char *pipeline;         /* folder of the pipeline that the network is in, or NULL */
    bool has_vae;           /* vae/, vqvae/ or movq/ is beside it, so it works on latents */
} ss_model_paths;

/* Files that the user names because they are not where they are looked for; each may be NULL. */
typedef struct {
    const char *config;    /* a config.json, or a folder with one as in a MODEL */
    const char *scheduler; /* that file, its folder, or a pipeline */
    const char *component; /* folder of the network in a pipeline, "vae"; NULL: the denoiser */
    bool ema; /* the average of the weights is meant, where it is beside them (average_folder.h) */
} ss_model_places;

/* Finds the files of MODEL. Where no config.json is of a known class, the first that names a class
 * is taken, else the first. MODEL may also be a file of weights, or an index of several, in a model
 * folder. Where places names a config, MODEL is the folder of the weights (or has unet/ with them,
 * or accelerate's pytorch_model_fsdp_0/ or pytorch_model/), or their file, and the scheduler is
 * also looked for around that config. places may be NULL. A MODEL that is not there is SS_IO, a
 * file of another kind SS_USAGE. */
ss_code ss_model_paths_find(const char *model, const ss_model_places *places, ss_model_paths *p,
                            ss_err *e);
void ss_model_paths_release(ss_model_paths *p); /* {0} is fine */

#endif
