/* checkpoint.h - all tensors of a model under one roof
 *
 * Nothing else knows how many files they are in, and which (weight_files.h finds them).
 */
#ifndef SS_MODELS_CHECKPOINT_H
#define SS_MODELS_CHECKPOINT_H

#include "models/file/stored_tensor.h"

/* The way out for a network of a family that cannot be opened; ends a message. */
#define SS_RECORD_INSTEAD                                                                      \
    "Any network can be watched in PyTorch by hooks that write a run file for analyze, attn, " \
    "compare and report: docs/recorder.md"

typedef struct ss_checkpoint ss_checkpoint; /* checkpoint_edit.h changes what is in it */

/* Which weights are meant; each may be NULL. */
typedef struct {
    const char *variant; /* "fp16" (weight_files.h) */
    const char *key;     /* of the dict in a pickle, "state_dict.model" (tensor_groups.h) */
} ss_checkpoint_options;

/* Opens the weights in a folder; or, where path is a file, that file or the shards of that index.
 * opt may be NULL. */
ss_code ss_checkpoint_open(const char *path, const ss_checkpoint_options *opt, ss_checkpoint **k,
                           ss_err *e);
void ss_checkpoint_close(ss_checkpoint *k); /* NULL is fine */

/* The name of the weights in messages: the file, or the index of the shards. */
const char *ss_checkpoint_name(const ss_checkpoint *k);
const char *ss_checkpoint_format(const ss_checkpoint *k); /* "safetensors" */
/* "fp16", or "" for weights without a variant. */
const char *ss_checkpoint_variant(const ss_checkpoint *k);

/* All tensors in the order of their names; borrowed. */
size_t ss_checkpoint_count(const ss_checkpoint *k);
const ss_stored_tensor *ss_checkpoint_at(const ss_checkpoint *k, size_t i);
const ss_stored_tensor *ss_checkpoint_find(const ss_checkpoint *k, const char *name); /* or NULL */

/* Returns what was done to the tensors since the files were opened, in words, note i; NULL past the
 * last. */
const char *ss_checkpoint_note(const ss_checkpoint *k, int i);

/* How many files were read, an index among them, and their paths; borrowed. */
size_t ss_checkpoint_n_files(const ss_checkpoint *k);
const char *ss_checkpoint_file(const ss_checkpoint *k, size_t i);

/* Computes the SHA-256 of the lines "NAME SHA256-OF-FILE\n" of config.json and the weight files,
 * sorted by name; config may be NULL. Names are relative to the folder, so that a copy of a model
 * has the same. */
ss_code ss_checkpoint_sha256(const ss_checkpoint *k, const char *config, char hex[65], ss_err *e);

#endif
