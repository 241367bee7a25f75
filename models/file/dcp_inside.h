/* dcp_inside.h - inside of dcp.h: what both kinds of folders are read into */
#ifndef SS_MODELS_DCP_INSIDE_H
#define SS_MODELS_DCP_INSIDE_H

#include "base/file.h"
#include "models/file/chunked_tensor.h"
#include "models/file/dcp.h"
#include "models/file/safetensors.h"

enum { SS_DCP_MAX_FILES = 1 << 15 };

typedef struct {
    char *path;
    ss_map map;            /* of .metadata and .distcp files */
    ss_safetensors *shard; /* of shards */
} ss_dcp_file_map;

/* Something that was saved and is in a file as a torch.save. */
typedef struct {
    char *name;
    int rank; /* of from; -1: no tensor */
    int64_t from[SS_STORED_MAX_RANK];
    size_t file; /* index */
    const unsigned char *data;
    size_t bytes;
} ss_dcp_item;

struct ss_dcp {
    char *folder;
    ss_dcp_file_map *files; /* [0] is the one that was named */
    size_t n_files, cap_files;
    ss_dcp_item *items; /* in the order of name and from */
    size_t n_items, cap_items;
    ss_chunked *tensors; /* in the order of their names */
    char **keys;         /* [n]: "KEYS\0LEAF" */
    size_t n, cap, cap_keys;
};

/* Adds a tensor with what is known of it, keys and leaf, all copied; its chunks come later. */
ss_code ss_dcp_add(ss_dcp *d, const ss_stored_tensor *t, size_t size, const char *keys,
                   const char *leaf, ss_err *e);
/* Adds a chunk to a tensor. */
ss_code ss_dcp_add_chunk(ss_dcp *d, ss_chunked *c, const ss_chunk *k, ss_err *e);
/* Adds a file, not yet open, to the list; the index of one that is there already in *index. */
ss_code ss_dcp_add_file(ss_dcp *d, const char *path, size_t *index, ss_err *e);

ss_code ss_dcp_read_metadata(ss_dcp *d, ss_err *e); /* of files[0] */
ss_code ss_dcp_read_shards(ss_dcp *d, ss_err *e);   /* of d->folder */

#endif
