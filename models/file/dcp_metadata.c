/* dcp_metadata.c - the .metadata of a checkpoint, and the places that it names: see dcp.h
 *
 *   Metadata.state_dict_metadata   {NAME: TensorStorageMetadata | BytesStorageMetadata}
 *     TensorStorageMetadata        properties: TensorProperties, a tuple whose first is the dtype;
 *                                  size; chunks: [ChunkStorageMetadata(offsets, sizes)]
 *   Metadata.planner_data          {NAME: (KEY, KEY, ...)}, or something else: no keys then
 *   Metadata.storage_data          {MetadataIndex(fqn, offset): _StorageInfo(relative_path, offset,
 *                                  length)}
 */
#include "base/mem.h"
#include "base/str.h"
#include "models/file/dcp_inside.h"
#include "models/file/pickle_machine.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static ss_code wrong(const ss_dcp *d, const char *what, ss_err *e)
{
    return ss_fail(e, SS_FORMAT, "%s: %s is not as torch.distributed.checkpoint writes it",
                   d->files[0].path, what);
}

/* Copies a text that is a name: UTF-8 without NUL. NULL after an error. */
static char *copy_name(const ss_dcp *d, const ss_pickle_value *v, ss_err *e)
{
    ss_str s = {0};

    if (!v || v->kind != SS_PICKLE_TEXT || !ss_utf8_valid(v->text.s, v->text.n) ||
        memchr(v->text.s, 0, v->text.n)) {
        wrong(d, "a name", e);
        return NULL;
    }
    ss_str_add(&s, "");
    ss_str_addn(&s, v->text.s, v->text.n);
    char *copy = ss_str_detach(&s);
    if (!copy)
        ss_no_memory(e, d->folder);
    return copy;
}

/* True for a path that does not leave the folder. */
static bool stays_inside(const char *path)
{
    if (!*path || *path == '/')
        return false;
    for (const char *p = path; *p;) {
        const size_t n = strcspn(p, "/");

        if (n == 2 && p[0] == '.' && p[1] == '.')
            return false;
        p += n + (p[n] == '/');
    }
    return true;
}

/* Opens the file of an item, once. */
static ss_code open_file(ss_dcp *d, const ss_pickle_value *relative, size_t *index, ss_err *e)
{
    char *name = copy_name(d, relative, e), *path = NULL;
    ss_code rc = name ? SS_OK : e->code;

    if (rc == SS_OK && !stays_inside(name))
        rc = ss_fail(e, SS_FORMAT, "%s: the file %s is outside of the folder", d->files[0].path,
                     SS_SHOW(name));
    if (rc == SS_OK) {
        path = ss_path_join(d->folder, name);
        rc = path ? ss_dcp_add_file(d, path, index, e) : ss_no_memory(e, name);
    }
    if (rc == SS_OK && !d->files[*index].map.data)
        rc = ss_map_open(path, &d->files[*index].map, e);
    ss_free(name);
    ss_free(path);
    return rc;
}

/* Reads where an item is. */
static ss_code read_place(ss_dcp *d, const ss_pickle_value *info, ss_dcp_item *x, ss_err *e)
{
    const ss_pickle_value *at = ss_pickle_get(info, "offset"), *n = ss_pickle_get(info, "length");
    const ss_pickle_value *changes = ss_pickle_get(info, "transform_descriptors");

    if (ss_pickle_count(changes))
        return ss_fail(e, SS_UNSUPPORTED,
                       "%s: %s was transformed before it was saved (compressed, encrypted), which "
                       "is not undone here",
                       d->files[0].path, SS_SHOW(x->name));
    if (!at || at->kind != SS_PICKLE_INT || !n || n->kind != SS_PICKLE_INT)
        return wrong(d, "the place of an item", e);
    const ss_code rc = open_file(d, ss_pickle_get(info, "relative_path"), &x->file, e);
    if (rc != SS_OK)
        return rc;
    const ss_map *map = &d->files[x->file].map;
    if (at->number < 0 || n->number < 0 || (uint64_t)at->number > map->size ||
        (uint64_t)n->number > map->size - (uint64_t)at->number)
        return ss_fail(e, SS_FORMAT,
                       "%s: %s is at byte %" PRId64 ", %" PRId64
                       " bytes long; the file has %zu: cut "
                       "off, or still being written",
                       d->files[x->file].path, SS_SHOW(x->name), at->number, n->number, map->size);
    x->data = map->data ? map->data + at->number : NULL;
    x->bytes = (size_t)n->number;
    return SS_OK;
}

static ss_code read_item(ss_dcp *d, const ss_pickle_value *index, const ss_pickle_value *info,
                         ss_err *e)
{
    const ss_pickle_value *from = ss_pickle_get(index, "offset");
    ss_dcp_item *grown = ss_grow(d->items, &d->cap_items, d->n_items + 1, sizeof *grown);

    if (!grown)
        return ss_no_memory(e, d->folder);
    d->items = grown;
    ss_dcp_item *x = &d->items[d->n_items];
    *x = (ss_dcp_item){.rank = -1};
    if (from && from->kind != SS_PICKLE_NONE) {
        x->rank = ss_pickle_ints(from, x->from, SS_STORED_MAX_RANK);
        if (x->rank < 0)
            return wrong(d, "the offset of a part", e);
    }
    x->name = copy_name(d, ss_pickle_get(index, "fqn"), e);
    if (!x->name)
        return e->code;
    d->n_items++;
    return read_place(d, info, x, e);
}

static int by_item(const void *a, const void *b)
{
    const ss_dcp_item *x = a, *y = b;
    int c = strcmp(x->name, y->name);

    if (!c)
        c = (x->rank > y->rank) - (x->rank < y->rank);
    for (int i = 0; !c && i < x->rank; i++)
        c = (x->from[i] > y->from[i]) - (x->from[i] < y->from[i]);
    return c;
}

static ss_code read_items(ss_dcp *d, const ss_pickle_value *places, ss_err *e)
{
    ss_code rc = SS_OK;

    if (!places || places->kind != SS_PICKLE_DICT)
        return wrong(d, "the list of places", e);
    for (size_t i = 0; i < ss_pickle_count(places) && rc == SS_OK; i++)
        rc = read_item(d, ss_pickle_key(places, i), ss_pickle_at(places, i), e);
    if (rc == SS_OK && d->n_items)
        qsort(d->items, d->n_items, sizeof *d->items, by_item);
    return rc;
}

/* Finds the chunk's item and adds it to the tensor. */
static ss_code read_chunk(ss_dcp *d, ss_chunked *c, const ss_pickle_value *chunk, ss_err *e)
{
    ss_chunk k = {0};
    ss_dcp_item want = {.name = (char *)c->t.name, .rank = c->t.rank};

    if (ss_pickle_ints(ss_pickle_get(chunk, "offsets"), k.from, SS_STORED_MAX_RANK) != c->t.rank ||
        ss_pickle_ints(ss_pickle_get(chunk, "sizes"), k.size, SS_STORED_MAX_RANK) != c->t.rank)
        return wrong(d, "a part of a tensor", e);
    memcpy(want.from, k.from, sizeof k.from);
    const ss_dcp_item *x =
        d->n_items ? bsearch(&want, d->items, d->n_items, sizeof want, by_item) : NULL;
    bool empty = false;
    for (int i = 0; i < c->t.rank; i++)
        empty |= k.size[i] == 0;
    if (!x && !empty)
        return ss_fail(e, SS_FORMAT, "%s: a part of %s is in no file", d->files[0].path,
                       SS_SHOW(c->t.name));
    if (x) {
        k.file = d->files[x->file].path;
        k.item = x->data;
        k.item_bytes = x->bytes;
    }
    return ss_dcp_add_chunk(d, c, &k, e);
}

/* The dtype of TensorProperties, whose state is a tuple, or a dict in other versions. */
static const ss_pickle_value *dtype_of(const ss_pickle_value *properties)
{
    const ss_pickle_value *state =
        properties && properties->kind == SS_PICKLE_OBJECT ? properties->object.state : NULL;

    if (state && state->kind == SS_PICKLE_TUPLE && state->items.n)
        return state->items.at[0];
    return ss_pickle_get(properties, "dtype");
}

/* The entries of planner_data with text keys, sorted by these. */
typedef struct {
    const ss_pickle_value *key, *path;
} plan_entry;

typedef struct {
    plan_entry *entries;
    size_t n;
} plan_index;

static int by_key(const void *a, const void *b)
{
    const ss_pickle_value *x = ((const plan_entry *)a)->key, *y = ((const plan_entry *)b)->key;
    const int c = memcmp(x->text.s, y->text.s, x->text.n < y->text.n ? x->text.n : y->text.n);

    return c ? c : (x->text.n > y->text.n) - (x->text.n < y->text.n);
}

static ss_code index_plan(const ss_dcp *d, const ss_pickle_value *plan, plan_index *p, ss_err *e)
{
    const size_t n = plan && plan->kind == SS_PICKLE_DICT ? ss_pickle_count(plan) : 0;

    p->entries = ss_calloc(n, sizeof *p->entries);
    if (!p->entries)
        return ss_no_memory(e, d->folder);
    for (size_t i = 0; i < n; i++) {
        if (ss_pickle_key(plan, i)->kind == SS_PICKLE_TEXT)
            p->entries[p->n++] = (plan_entry){ss_pickle_key(plan, i), ss_pickle_at(plan, i)};
    }
    if (p->n)
        qsort(p->entries, p->n, sizeof *p->entries, by_key);
    return SS_OK;
}

static const ss_pickle_value *find_path(const plan_index *p, const char *name)
{
    const ss_pickle_value text = {.kind = SS_PICKLE_TEXT, .text = {name, strlen(name)}};
    const plan_entry want = {.key = &text};
    const plan_entry *hit = p->n ? bsearch(&want, p->entries, p->n, sizeof want, by_key) : NULL;

    return hit ? hit->path : NULL;
}

/* Splits a name by the keys that the planner noted: "optim.state" and "w.exp_avg" in out. */
static ss_code split_name(const ss_dcp *d, const plan_index *plan, const char *name, ss_str *keys,
                          ss_str *leaf, ss_err *e)
{
    const ss_pickle_value *path = find_path(plan, name);
    const size_t n = path && path->kind == SS_PICKLE_TUPLE ? path->items.n : 0;
    bool known = n > 0;

    for (size_t i = 0; i < n; i++)
        known &= path->items.at[i]->kind == SS_PICKLE_TEXT;
    ss_str_add(keys, "");
    for (size_t i = 0; known && i + 1 < n; i++) {
        const ss_pickle_value *k = path->items.at[i];

        ss_str_add(keys, i ? "." : "");
        ss_str_addn(keys, k->text.s, k->text.n);
    }
    if (known)
        ss_str_addn(leaf, path->items.at[n - 1]->text.s, path->items.at[n - 1]->text.n);
    else
        ss_str_add(leaf, name);
    if (keys->failed || leaf->failed)
        return ss_no_memory(e, d->folder);
    if (!leaf->s || strlen(leaf->s) != leaf->len || strlen(keys->s) != keys->len ||
        !ss_utf8_valid(leaf->s, leaf->len) || !ss_utf8_valid(keys->s, keys->len))
        return wrong(d, "a key of a name", e);
    return SS_OK;
}

static ss_code read_tensor(ss_dcp *d, const char *name, const ss_pickle_value *meta,
                           const plan_index *plan, ss_err *e)
{
    const ss_pickle_value *dtype = dtype_of(ss_pickle_get(meta, "properties"));
    const ss_pickle_value *chunks = ss_pickle_get(meta, "chunks");
    ss_stored_tensor t = {.name = name, .file = d->files[0].path};
    ss_str keys = {0}, leaf = {0};
    size_t size = 0;

    t.rank = ss_pickle_ints(ss_pickle_get(meta, "size"), t.dim, SS_STORED_MAX_RANK);
    if (t.rank < 0 || !chunks || !dtype || dtype->kind != SS_PICKLE_GLOBAL ||
        !ss_pickle_dtype(dtype->global.name, dtype->global.n_name, &t.type, &size))
        return wrong(d, "a tensor's size, dtype or list of parts", e);
    ss_code rc = split_name(d, plan, name, &keys, &leaf, e);
    if (rc == SS_OK)
        rc = ss_dcp_add(d, &t, size, keys.s, leaf.s, e);
    ss_str_release(&keys);
    ss_str_release(&leaf);
    for (size_t i = 0; i < ss_pickle_count(chunks) && rc == SS_OK; i++)
        rc = read_chunk(d, &d->tensors[d->n - 1], ss_pickle_at(chunks, i), e);
    return rc;
}

static ss_code read_tensors(ss_dcp *d, const ss_pickle_value *root, ss_err *e)
{
    const ss_pickle_value *states = ss_pickle_get(root, "state_dict_metadata");
    plan_index plan = {0};

    if (!states || states->kind != SS_PICKLE_DICT)
        return wrong(d, "the list of tensors", e);
    ss_code rc = index_plan(d, ss_pickle_get(root, "planner_data"), &plan, e);
    for (size_t i = 0; i < ss_pickle_count(states) && rc == SS_OK; i++) {
        const ss_pickle_value *meta = ss_pickle_at(states, i);

        if (!ss_pickle_get(meta, "chunks"))
            continue; /* BytesStorageMetadata */
        char *name = copy_name(d, ss_pickle_key(states, i), e);
        rc = name ? read_tensor(d, name, meta, &plan, e) : e->code;
        ss_free(name);
    }
    ss_free(plan.entries);
    return rc;
}

ss_code ss_dcp_read_metadata(ss_dcp *d, ss_err *e)
{
    ss_pickle *p = NULL;
    ss_code rc = ss_pickle_open(d->files[0].path, &p, e);
    const ss_pickle_value *root = rc == SS_OK ? ss_pickle_root(p) : NULL;

    if (rc == SS_OK)
        rc = read_items(d, ss_pickle_get(root, "storage_data"), e);
    if (rc == SS_OK)
        rc = read_tensors(d, root, e);
    ss_pickle_close(p);
    return rc;
}
