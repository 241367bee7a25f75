/* weight_format.h - a format of files of weights, as checkpoints see it
 *
 * A format opens one file, a shard, whose tensors are then listed. models/file/weight_formats.c
 * lists all formats; which files make up a checkpoint is the same for each (weight_files.h).
 */
#ifndef SS_MODELS_WEIGHT_FORMAT_H
#define SS_MODELS_WEIGHT_FORMAT_H

#include "models/file/stored_tensor.h"

typedef struct {
    const char *name;   /* "safetensors" */
    const char *ending; /* of its files' names, ".safetensors" */

    /* *shard is what the functions below take. A file is believed only after every entry was
     * checked; no tensor of it lies outside of it, whatever it says. */
    ss_code (*open)(const char *path, void **shard, ss_err *e);
    size_t (*count)(const void *shard);
    const ss_stored_tensor *(*at)(const void *shard, size_t i); /* borrowed; in any order */
    void (*close)(void *shard); /* and with it its tensors; NULL is fine */
} ss_weight_format;

#endif
