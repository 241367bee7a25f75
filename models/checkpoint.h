/* checkpoint.h - where a model's files are, and all its tensors under one roof
 *
 * MODEL may be a model folder (config.json beside the weights), a pipeline folder (unet/,
 * scheduler/), or the unet folder inside a pipeline. Weights come in several formats; each
 * has a reader (see the list in checkpoint.c), and nobody else knows which one it was.
 */
#ifndef SS_MODELS_CHECKPOINT_H
#define SS_MODELS_CHECKPOINT_H

#include "models/safetensors.h"

/* The paths of one model; owned, release with ss_model_paths_release. */
typedef struct {
    char *folder;           /* with config.json in it */
    char *config;           /* FOLDER/config.json */
    char *scheduler;        /* .../scheduler_config.json, or NULL */
    char *class_embeddings; /* .../class_embeddings.safetensors, or NULL */
} ss_model_paths;

ss_code ss_model_paths_find(const char *model, ss_model_paths *p, ss_err *e);
void ss_model_paths_release(ss_model_paths *p); /* {0} is fine */

typedef struct ss_checkpoint ss_checkpoint;

/* Opens the weights in a folder. variant picks `NAME.VARIANT.safetensors` (NULL: the plain
 * name; where that is missing but exactly one set of weights lies there, that one). */
ss_code ss_checkpoint_open(const char *folder, const char *variant, ss_checkpoint **k, ss_err *e);
void ss_checkpoint_close(ss_checkpoint *k); /* NULL is fine */

/* What the weights are called in messages: the file, or the index of the shards. */
const char *ss_checkpoint_name(const ss_checkpoint *k);
const char *ss_checkpoint_format(const ss_checkpoint *k); /* "safetensors" */

/* All tensors in the order of their names; borrowed. */
size_t ss_checkpoint_count(const ss_checkpoint *k);
const ss_st_tensor *ss_checkpoint_at(const ss_checkpoint *k, size_t i);
const ss_st_tensor *ss_checkpoint_find(const ss_checkpoint *k, const char *name); /* or NULL */
uint64_t ss_checkpoint_bytes(const ss_checkpoint *k); /* of all tensors */

/* The files that were read, index first, as paths; borrowed. */
size_t ss_checkpoint_n_files(const ss_checkpoint *k);
const char *ss_checkpoint_file(const ss_checkpoint *k, size_t i);

/* SHA-256 over the lines "NAME SHA256-OF-FILE\n" of config.json and the weight files, sorted
 * by name. Names are relative to the folder, so that a copy of a model has the same. */
ss_code ss_checkpoint_sha256(const ss_checkpoint *k, const char *config, char hex[65], ss_err *e);

#endif
