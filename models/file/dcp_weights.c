/* dcp_weights.c - the model in a checkpoint of torch.distributed.checkpoint: see dcp.h
 *
 * Tensors under the same keys are a group, ("model", "w") and ("model", "b") those of "model";
 * which is the model is chosen as in a pickle.
 */
#include "base/mem.h"
#include "base/str.h"
#include "models/file/dcp.h"
#include "models/file/tensor_groups.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    ss_dcp *d;
    ss_stored_tensor *tensors;
    size_t n;
    char *note;
} weights;

/* True where one of the keys leads to other states than a model's. */
static bool is_other(const char *keys)
{
    while (*keys) {
        const size_t n = strcspn(keys, ".");

        if (ss_tensor_group_other(keys, n))
            return true;
        keys += n + (keys[n] == '.');
    }
    return false;
}

static int by_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Lists the groups; all of them where every is true, which --key may name. */
static ss_code find_groups(const ss_dcp *d, bool every, ss_tensor_groups *l, ss_err *e)
{
    const size_t n = ss_dcp_count(d);
    const char **keys = ss_calloc(n, sizeof(char *));
    ss_code rc = SS_OK;

    if (!keys)
        return ss_no_memory(e, ss_dcp_file(d, 0));
    for (size_t i = 0; i < n; i++)
        keys[i] = ss_dcp_keys(d, i);
    if (n)
        qsort(keys, n, sizeof(char *), by_keys);
    for (size_t i = 0, end; i < n && rc == SS_OK; i = end) {
        for (end = i + 1; end < n && strcmp(keys[end], keys[i]) == 0;)
            end++;
        if (every || !is_other(keys[i]))
            rc = ss_tensor_groups_add(l, keys[i], end - i, NULL, e);
    }
    ss_free(keys);
    return rc;
}

/* Takes the tensors of a group, under their names in it. */
static ss_code take(weights *w, const ss_tensor_group *g, ss_err *e)
{
    w->tensors = ss_calloc(g->n, sizeof *w->tensors);
    if (!w->tensors)
        return ss_no_memory(e, ss_dcp_file(w->d, 0));
    for (size_t i = 0; i < ss_dcp_count(w->d); i++) {
        if (strcmp(ss_dcp_keys(w->d, i), g->key) != 0)
            continue;
        w->tensors[w->n] = *ss_dcp_at(w->d, i);
        w->tensors[w->n++].name = ss_dcp_leaf(w->d, i);
    }
    return SS_OK;
}

static void close_weights(void *shard)
{
    weights *w = shard;

    if (!w)
        return;
    ss_dcp_close(w->d);
    ss_free(w->tensors);
    ss_free(w->note);
    ss_free(w);
}

static ss_code open_weights(const char *path, const char *key, void **shard, ss_err *e)
{
    weights *w = ss_calloc(1, sizeof *w);
    ss_tensor_groups groups = {0};
    const ss_tensor_group *g = NULL;

    if (!w)
        return ss_no_memory(e, path);
    ss_code rc = ss_dcp_open(path, &w->d, e);
    if (rc == SS_OK)
        rc = find_groups(w->d, key != NULL, &groups, e);
    if (rc == SS_OK)
        rc = ss_tensor_groups_choose(&groups, path, key, &g, &w->note, e);
    if (rc == SS_OK)
        rc = take(w, g, e);
    ss_tensor_groups_release(&groups);
    if (rc == SS_OK)
        *shard = w;
    else
        close_weights(w);
    return rc;
}

static size_t count(const void *shard)
{
    return ((const weights *)shard)->n;
}

static const ss_stored_tensor *at(const void *shard, size_t i)
{
    return &((const weights *)shard)->tensors[i];
}

static const char *note(const void *shard, int i)
{
    return i == 0 ? ((const weights *)shard)->note : NULL;
}

static const char *file(const void *shard, int i)
{
    return ss_dcp_file(((const weights *)shard)->d,
                       i + 1); /* the first is the one that was opened */
}

const ss_weight_format ss_dcp_format = {
    .name = "DCP",
    .endings = {".metadata"},
    .has_keys = true,
    .open = open_weights,
    .count = count,
    .at = at,
    .note = note,
    .file = file,
    .close = close_weights,
};

const ss_weight_format ss_dcp_shards_format = {
    .name = "DCP, safetensors",
    .has_keys = true,
    .open = open_weights,
    .count = count,
    .at = at,
    .note = note,
    .file = file,
    .close = close_weights,
};
