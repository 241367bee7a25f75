/* dcp_shards.c - checkpoints whose ranks have written safetensors: see dcp.h */
#include "base/mem.h"
#include "base/str.h"
#include "models/file/dcp_inside.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static bool is_shard(const char *name)
{
    const size_t n = strlen(name), end = strlen(".safetensors");

    return strncmp(name, "shard-", strlen("shard-")) == 0 && n > end &&
           strcmp(name + n - end, ".safetensors") == 0;
}

/* Opens all shards of the folder; files[0] is one of them. */
static ss_code open_shards(ss_dcp *d, ss_err *e)
{
    DIR *dir = opendir(d->folder);
    ss_code rc = SS_OK;

    if (!dir)
        return ss_fail(e, SS_IO, "%s: %s", d->folder, strerror(errno));
    for (struct dirent *f; rc == SS_OK && (f = readdir(dir));) {
        char *path = is_shard(f->d_name) ? ss_path_join(d->folder, f->d_name) : NULL;
        size_t index = 0;

        if (!is_shard(f->d_name))
            continue;
        rc = path ? ss_dcp_add_file(d, path, &index, e) : ss_no_memory(e, d->folder);
        ss_free(path);
    }
    closedir(dir);
    for (size_t i = 0; i < d->n_files && rc == SS_OK; i++)
        rc = ss_safetensors_open(d->files[i].path, &d->files[i].shard, e);
    return rc;
}

/* Reads where a tensor of a shard begins in the whole. */
static ss_code read_from(const ss_stored_tensor *t, const json_t *info, ss_chunk *k, ss_err *e)
{
    const json_t *from = json_object_get(json_object_get(info, t->name), "saved_offsets"), *v;
    size_t i;

    if (!json_is_array(from) || json_array_size(from) != (size_t)t->rank)
        return ss_fail(e, SS_FORMAT, "%s: DCP_SHARDING_INFO does not say where %s begins", t->file,
                       SS_SHOW(t->name));
    json_array_foreach(from, i, v)
    {
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return ss_fail(e, SS_FORMAT, "%s: an offset of %s is not a number >= 0", t->file,
                           SS_SHOW(t->name));
        k->from[i] = json_integer_value(v);
    }
    memcpy(k->size, t->dim, sizeof k->size);
    k->values = t;
    k->file = t->file;
    return SS_OK;
}

/* Adds a shard's tensor as a chunk: of the last tensor if it is of the same name, else of a new
 * one.
 */
static ss_code add(ss_dcp *d, const ss_stored_tensor *t, const ss_chunk *k, ss_err *e)
{
    ss_chunked *c = d->n ? &d->tensors[d->n - 1] : NULL;
    int64_t numel = 1;
    ss_code rc = SS_OK;

    for (int i = 0; i < t->rank; i++)
        numel *= t->dim[i]; /* safetensors.c has checked it */
    if (!c || strcmp(c->t.name, t->name) != 0) {
        rc = ss_dcp_add(d, t, 0, "", t->name, e);
        if (rc != SS_OK)
            return rc;
        c = &d->tensors[d->n - 1];
    }
    if (c->t.rank != t->rank || strcmp(c->t.type, t->type) != 0)
        return ss_fail(e, SS_FORMAT, "%s: tensor %s has another dtype or rank than in %s", t->file,
                       SS_SHOW(t->name), c->t.file);
    if (numel)
        c->size = t->bytes / (size_t)numel;
    for (int i = 0; i < t->rank; i++) {
        int64_t end;

        if (__builtin_add_overflow(k->from[i], k->size[i], &end))
            return ss_fail(e, SS_FORMAT, "%s: tensor %s ends beyond all numbers", t->file,
                           SS_SHOW(t->name));
        if (end > c->t.dim[i])
            c->t.dim[i] = end;
    }
    return ss_dcp_add_chunk(d, c, k, e);
}

typedef struct {
    const ss_stored_tensor *t;
    size_t file;
} part;

static int by_name(const void *a, const void *b)
{
    const part *x = a, *y = b;
    const int c = strcmp(x->t->name, y->t->name);

    return c ? c : (x->file > y->file) - (x->file < y->file);
}

/* Reads DCP_SHARDING_INFO of every shard into info [n_files]. */
static ss_code read_infos(const ss_dcp *d, json_t **info, size_t *n, ss_err *e)
{
    for (size_t i = 0; i < d->n_files; i++) {
        const char *text = ss_safetensors_metadata(d->files[i].shard, "DCP_SHARDING_INFO");

        info[i] = text ? json_loads(text, 0, NULL) : NULL;
        if (!json_is_object(info[i]))
            return ss_fail(e, SS_FORMAT,
                           "%s: a shard without DCP_SHARDING_INFO, which says where its tensors "
                           "are in the whole; an index of the shards would say it too",
                           d->files[i].path);
        *n += ss_safetensors_count(d->files[i].shard);
    }
    return SS_OK;
}

static ss_code add_all(ss_dcp *d, json_t *const *info, part *parts, ss_err *e)
{
    ss_code rc = SS_OK;
    size_t n = 0;

    for (size_t i = 0; i < d->n_files; i++) {
        for (size_t k = 0; k < ss_safetensors_count(d->files[i].shard); k++)
            parts[n++] = (part){.t = ss_safetensors_at(d->files[i].shard, k), .file = i};
    }
    if (n)
        qsort(parts, n, sizeof *parts, by_name);
    for (size_t i = 0; i < n && rc == SS_OK; i++) {
        ss_chunk k = {0};

        rc = read_from(parts[i].t, info[parts[i].file], &k, e);
        if (rc == SS_OK)
            rc = add(d, parts[i].t, &k, e);
    }
    return rc;
}

ss_code ss_dcp_read_shards(ss_dcp *d, ss_err *e)
{
    size_t n = 0;
    json_t **info = NULL;
    part *parts = NULL;
    ss_code rc = open_shards(d, e);

    if (rc == SS_OK) {
        info = ss_calloc(d->n_files, sizeof(json_t *));
        rc = info ? read_infos(d, info, &n, e) : ss_no_memory(e, d->folder);
    }
    if (rc == SS_OK) {
        parts = ss_calloc(n, sizeof *parts);
        rc = parts ? add_all(d, info, parts, e) : ss_no_memory(e, d->folder);
    }
    for (size_t i = 0; info && i < d->n_files; i++)
        json_decref(info[i]);
    ss_free(info);
    ss_free(parts);
    return rc;
}
