/* weight_format.h - a format of files of weights, as checkpoints see it
 *
 * A format opens one file, a shard, whose tensors are then listed. models/file/weight_formats.c
 * lists all formats; which files make up a checkpoint is the same for each (weight_files.h).
 */
#ifndef SS_MODELS_WEIGHT_FORMAT_H
#define SS_MODELS_WEIGHT_FORMAT_H

#include "models/file/stored_tensor.h"

typedef struct {
    const char *name;       /* "safetensors" */
    const char *endings[5]; /* of its files' names, ".safetensors"; the preferred one first */

    bool has_keys; /* a file may have several sets of tensors, which keys tell apart */

    /* Opens a file as *shard, which the functions below take. Every entry is checked before it is
     * believed: no tensor may lie outside the file, whatever the file says. path outlives the
     * shard. key says which of several sets of tensors in the file is meant (tensor_groups.h);
     * NULL: the usual one, always for a format without has_keys. */
    ss_code (*open)(const char *path, const char *key, void **shard, ss_err *e);
    size_t (*count)(const void *shard);
    const ss_stored_tensor *(*at)(const void *shard, size_t i); /* borrowed */
    /* Tells what the user ought to know about how it was opened, note i; NULL past the last. NULL
     * where a format has nothing to say. */
    const char *(*note)(const void *shard, int i);
    /* Path of another file that the shard is read from, i from 0; NULL past the last. NULL where
     * the one that was opened is all. */
    const char *(*file)(const void *shard, int i);
    void (*close)(void *shard); /* its tensors end with it; NULL is fine */
} ss_weight_format;

#endif
