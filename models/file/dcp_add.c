/* dcp_add.c - adds files, tensors and chunks to the lists of a folder; see dcp_inside.h */
#include "base/mem.h"
#include "base/str.h"
#include "models/file/dcp.h"
#include "models/file/dcp_inside.h"
#include "models/file/tensor_groups.h"

#include <stdlib.h>
#include <string.h>

ss_code ss_dcp_add_file(ss_dcp *d, const char *path, size_t *index, ss_err *e)
{
    for (*index = d->n_files; *index > 0; (*index)--) { /* the last is the likely one */
        if (strcmp(d->files[*index - 1].path, path) == 0) {
            (*index)--;
            return SS_OK;
        }
    }
    if (d->n_files >= SS_DCP_MAX_FILES)
        return ss_fail(e, SS_FORMAT, "%s: more than %d files", d->folder, (int)SS_DCP_MAX_FILES);
    ss_dcp_file_map *grown = ss_grow(d->files, &d->cap_files, d->n_files + 1, sizeof *grown);
    char *copy = ss_strdup(path);
    if (grown)
        d->files = grown;
    if (!grown || !copy) {
        ss_free(copy);
        return ss_no_memory(e, path);
    }
    *index = d->n_files;
    d->files[d->n_files++] = (ss_dcp_file_map){.path = copy};
    return SS_OK;
}

ss_code ss_dcp_add(ss_dcp *d, const ss_stored_tensor *t, size_t size, const char *keys,
                   const char *leaf, ss_err *e)
{
    ss_chunked *grown = ss_grow(d->tensors, &d->cap, d->n + 1, sizeof *grown);
    const size_t n_keys = strlen(keys) + 1, n_leaf = strlen(leaf) + 1;
    char *both = ss_alloc(1, n_keys + n_leaf), *name = ss_strdup(t->name);

    if (grown)
        d->tensors = grown;
    char **list = ss_grow(d->keys, &d->cap_keys, d->n + 1, sizeof(char *));
    if (list)
        d->keys = list;
    if (!grown || !list || !both || !name) {
        ss_free(both);
        ss_free(name);
        return ss_no_memory(e, d->folder);
    }
    memcpy(both, keys, n_keys);
    memcpy(both + n_keys, leaf, n_leaf);
    d->keys[d->n] = both;
    ss_chunked *c = &d->tensors[d->n++];
    *c = (ss_chunked){.t = {.name = name, .file = t->file, .type = t->type, .rank = t->rank},
                      .size = size};
    memcpy(c->t.dim, t->dim, sizeof t->dim);
    return SS_OK;
}

ss_code ss_dcp_add_chunk(ss_dcp *d, ss_chunked *c, const ss_chunk *k, ss_err *e)
{
    ss_chunk *grown;

    if (c->n >= SS_MAX_CHUNKS)
        return ss_fail(e, SS_FORMAT, "%s: tensor %s is in more than %d parts", d->folder,
                       SS_SHOW(c->t.name), (int)SS_MAX_CHUNKS);
    grown = ss_grow(c->chunks, &c->cap, c->n + 1, sizeof *grown);
    if (!grown)
        return ss_no_memory(e, d->folder);
    c->chunks = grown;
    c->chunks[c->n++] = *k;
    return SS_OK;
}
