/* dcp.c - see dcp.h */
#include "models/file/dcp.h"

#include "base/mem.h"
#include "base/str.h"
#include "models/file/dcp_inside.h"
#include "models/file/tensor_groups.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b, void *d)
{
    const ss_chunked *t = ((const ss_dcp *)d)->tensors;

    return strcmp(t[*(const size_t *)a].t.name, t[*(const size_t *)b].t.name);
}

/* Sorts the tensors by name, their keys with them. */
static ss_code sort_tensors(ss_dcp *d, ss_err *e)
{
    size_t *order = ss_calloc(d->n, sizeof *order);
    ss_chunked *tensors = ss_calloc(d->n, sizeof *tensors);
    char **keys = ss_calloc(d->n, sizeof(char *));
    const bool ok = order && tensors && keys;

    for (size_t i = 0; ok && i < d->n; i++)
        order[i] = i;
    if (ok)
        qsort_r(order, d->n, sizeof *order, by_name, d);
    for (size_t i = 0; ok && i < d->n; i++) {
        tensors[i] = d->tensors[order[i]];
        keys[i] = d->keys[order[i]];
    }
    if (ok) {
        ss_free(d->tensors);
        ss_free(d->keys);
        d->tensors = tensors;
        d->keys = keys;
    } else {
        ss_free(tensors);
        ss_free(keys);
    }
    ss_free(order);
    return ok ? SS_OK : ss_no_memory(e, d->folder);
}

/* Completes all tensors. Those in one part have touched the files' pages, which are let go. */
static ss_code finish(ss_dcp *d, ss_err *e)
{
    enum { TOUCHED = 256 };
    ss_code rc = sort_tensors(d, e);

    for (size_t i = 0; i < d->n && rc == SS_OK; i++) {
        if (i && strcmp(d->tensors[i].t.name, d->tensors[i - 1].t.name) == 0)
            return ss_fail(e, SS_FORMAT, "%s: tensor %s is there twice", d->files[0].path,
                           SS_SHOW(d->tensors[i].t.name));
        rc = ss_chunked_finish(&d->tensors[i], e);
        for (size_t k = 0; (i + 1) % TOUCHED == 0 && k < d->n_files; k++)
            ss_map_forget(&d->files[k].map);
    }
    return rc;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = ss_strdup(slash ? path : ".");

    if (folder && slash)
        folder[slash == path ? 1 : slash - path] = '\0';
    return folder;
}

static bool is_metadata(const char *path)
{
    const size_t n = strlen(path), m = strlen(".metadata");

    return n >= m && strcmp(path + n - m, ".metadata") == 0;
}

ss_code ss_dcp_open(const char *path, ss_dcp **out, ss_err *e)
{
    ss_err own = {0};
    ss_dcp *d = ss_calloc(1, sizeof *d);
    size_t index;
    ss_code rc = SS_OK;

    e = e ? e : &own;
    if (!d || !(d->folder = folder_of(path))) {
        ss_free(d);
        return ss_no_memory(e, path);
    }
    rc = ss_dcp_add_file(d, path, &index, e);
    if (rc == SS_OK)
        rc = is_metadata(path) ? ss_dcp_read_metadata(d, e) : ss_dcp_read_shards(d, e);
    if (rc == SS_OK)
        rc = finish(d, e);
    if (rc == SS_OK)
        *out = d;
    else
        ss_dcp_close(d);
    return rc;
}

void ss_dcp_close(ss_dcp *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->n; i++) {
        ss_free((void *)d->tensors[i].t.name);
        ss_free(d->tensors[i].chunks);
        ss_free(d->keys[i]);
    }
    for (size_t i = 0; i < d->n_items; i++)
        ss_free(d->items[i].name);
    for (size_t i = 0; i < d->n_files; i++) {
        ss_safetensors_close(d->files[i].shard);
        ss_map_close(&d->files[i].map);
        ss_free(d->files[i].path);
    }
    ss_free(d->tensors);
    ss_free(d->keys);
    ss_free(d->items);
    ss_free(d->files);
    ss_free(d->folder);
    ss_free(d);
}

size_t ss_dcp_count(const ss_dcp *d)
{
    return d->n;
}

const ss_stored_tensor *ss_dcp_at(const ss_dcp *d, size_t i)
{
    return &d->tensors[i].t;
}

const ss_stored_tensor *ss_dcp_find(const ss_dcp *d, const char *name)
{
    size_t from = 0, to = d->n;

    while (from < to) {
        const size_t mid = from + (to - from) / 2;
        const int c = strcmp(d->tensors[mid].t.name, name);

        if (c == 0)
            return &d->tensors[mid].t;
        if (c < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return NULL;
}

const char *ss_dcp_keys(const ss_dcp *d, size_t i)
{
    return d->keys[i];
}

const char *ss_dcp_leaf(const ss_dcp *d, size_t i)
{
    return d->keys[i] + strlen(d->keys[i]) + 1;
}

ss_code ss_dcp_object(const ss_dcp *d, const char *name, ss_pickle **p, ss_err *e)
{
    size_t from = 0, to = d->n_items; /* they are in the order of their names, objects first */

    while (from < to) {
        const size_t mid = from + (to - from) / 2;

        if (strcmp(d->items[mid].name, name) < 0)
            from = mid + 1;
        else
            to = mid;
    }
    const ss_dcp_item *x = from < d->n_items ? &d->items[from] : NULL;
    if (x && x->rank < 0 && strcmp(x->name, name) == 0)
        return ss_pickle_open_bytes(d->files[x->file].path, x->data, x->bytes, p, e);
    return ss_fail(e, SS_USAGE, "%s: nothing but tensors is saved as %s", d->files[0].path,
                   SS_SHOW(name));
}

const char *ss_dcp_file(const ss_dcp *d, int i)
{
    return (size_t)i < d->n_files ? d->files[i].path : NULL;
}
