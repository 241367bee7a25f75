/* pickle.c - files of torch.save, in their three layouts: see pickle.h
 *
 * zip, since PyTorch 1.6; FOLDER is the name of the file when it was saved:
 *     FOLDER/data.pkl      the pickle
 *     FOLDER/byteorder     "little" or "big" (since 2.1; without it: little)
 *     FOLDER/data/KEY      the storages, their values as in memory
 *
 * before, pickles in a row:
 *     the number 0x1950a86a20f9469cfc6c; the number 1001; a dict with little_endian; the pickle;
 *     a list of KEYs
 *     of each KEY in that order: the number of values, little-endian i64, and the values
 *
 * A lone pickle has no tensors of torch's. Before 0.1.10 there were tar files, which are refused.
 * Source: torch/serialization.py of PyTorch 2.15 (save, _legacy_save and their counterparts).
 */
#include "models/file/pickle.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/file/pickle_machine.h"
#include "models/file/zip_index.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct ss_pickle {
    char *path;
    ss_map map;
    ss_pickle_store store;
    const ss_pickle_value *root;
};

/* Finds the bytes of all storages in the archive. */
static ss_code find_storages(ss_pickle_store *s, const ss_zip_index *z, const char *folder,
                             size_t n_folder, ss_err *e)
{
    ss_str name = {0};
    ss_code rc = SS_OK;

    for (size_t i = 0; i < s->n_storages && rc == SS_OK; i++) {
        ss_pickle_storage *x = &s->storages[i];
        size_t bytes;

        name.len = 0;
        ss_str_add(&name, "data/");
        ss_str_addn(&name, x->key, x->n_key);
        const ss_zip_entry *entry =
            name.failed ? NULL : ss_zip_find(z, folder, n_folder, name.s, name.len);
        if (name.failed)
            rc = ss_no_memory(e, s->path);
        else if (!entry)
            rc = ss_fail(e, SS_FORMAT, "%s: the archive lacks %s, which holds values of tensors",
                         s->path, SS_SHOW(name.s));
        else if (__builtin_mul_overflow((size_t)x->numel, x->size, &bytes) || bytes > entry->bytes)
            rc = ss_fail(e, SS_FORMAT,
                         "%s: %s has %zu bytes, its tensors want %" PRId64 " values of %zu",
                         s->path, SS_SHOW(name.s), entry->bytes, x->numel, x->size);
        else
            *x = (ss_pickle_storage){.type = x->type,
                                     .size = x->size,
                                     .numel = x->numel,
                                     .data = entry->data,
                                     .bytes = bytes};
    }
    ss_str_release(&name);
    return rc;
}

/* Finds FOLDER/data.pkl; NULL where there is none. */
static const ss_zip_entry *find_pickle(const ss_zip_index *z, size_t *n_folder)
{
    for (size_t i = 0; i < z->n; i++) {
        const ss_zip_entry *x = &z->entries[i];
        const char *slash = memchr(x->name, '/', x->n_name);

        *n_folder = slash ? (size_t)(slash - x->name) : 0;
        if (slash && x->n_name - *n_folder == strlen("/data.pkl") &&
            memcmp(slash, "/data.pkl", strlen("/data.pkl")) == 0)
            return x;
    }
    return NULL;
}

static ss_code say_big_endian(const ss_pickle_store *s, ss_err *e)
{
    return ss_fail(e, SS_UNSUPPORTED,
                   "%s: its values are big-endian; torch.load and torch.save on a little-endian "
                   "machine turn them",
                   s->path);
}

static ss_code read_zip(ss_pickle *p, const void *data, size_t n, ss_err *e)
{
    ss_pickle_value *root = NULL;
    ss_zip_index z;
    size_t n_folder = 0, at = 0;
    ss_code rc = ss_zip_open(p->path, data, n, &z, e);

    if (rc != SS_OK)
        return rc;
    const ss_zip_entry *pickle = find_pickle(&z, &n_folder);
    if (!pickle) {
        rc = ss_fail(e, SS_FORMAT, "%s: the archive has no data.pkl: torch.save did not write it",
                     p->path);
        goto out;
    }
    const ss_zip_entry *order =
        ss_zip_find(&z, pickle->name, n_folder, "byteorder", strlen("byteorder"));
    if (order &&
        (order->bytes != strlen("little") || memcmp(order->data, "little", order->bytes) != 0)) {
        rc = say_big_endian(&p->store, e);
        goto out;
    }
    rc = ss_pickle_run(&p->store, pickle->data, pickle->bytes, &at, &root, e);
    if (rc == SS_OK)
        rc = find_storages(&p->store, &z, pickle->name, n_folder, e);
    if (rc == SS_OK)
        rc = ss_pickle_place_tensors(&p->store, e);
    p->root = root;
out:
    ss_zip_close(&z);
    return rc;
}

/* The number that files of pickles in a row begin with. */
static bool is_magic(const ss_pickle_value *v)
{
    static const unsigned char magic[] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                          0x20, 0x6a, 0xa8, 0x50, 0x19};

    return v->kind == SS_PICKLE_BIG && v->text.n == sizeof magic &&
           memcmp(v->text.s, magic, sizeof magic) == 0;
}

static int by_key(const void *a, const void *b)
{
    const ss_pickle_storage *x = *(ss_pickle_storage *const *)a,
                            *y = *(ss_pickle_storage *const *)b;
    const int c = memcmp(x->key, y->key, x->n_key < y->n_key ? x->n_key : y->n_key);

    return c ? c : (x->n_key > y->n_key) - (x->n_key < y->n_key);
}

/* Gives the storages of a key, [n], the values at *at; moves on. */
static ss_code take_values(ss_pickle_store *s, ss_pickle_storage *const *of, size_t n,
                           const unsigned char *data, size_t size, size_t *at, ss_err *e)
{
    uint64_t numel = 0, bytes;

    for (int i = 7; i >= 0 && size - *at >= 8; i--)
        numel = numel << 8 | data[*at + (size_t)i];
    if (size - *at < 8 || __builtin_mul_overflow(numel, (uint64_t)of[0]->size, &bytes) ||
        bytes > size - *at - 8)
        return ss_fail(e, SS_FORMAT,
                       "%s: byte %zu: a storage of %" PRIu64 " values is cut off, or damaged",
                       s->path, *at, numel);
    *at += 8;
    for (size_t i = 0; i < n; i++) {
        uint64_t from, to;

        if (of[i]->size != of[0]->size)
            return ss_fail(e, SS_FORMAT, "%s: a storage has values of %zu and of %zu bytes",
                           s->path, of[0]->size, of[i]->size);
        if (__builtin_mul_overflow((uint64_t)of[i]->view_from, (uint64_t)of[i]->size, &from) ||
            __builtin_mul_overflow((uint64_t)of[i]->numel, (uint64_t)of[i]->size, &to) ||
            __builtin_add_overflow(from, to, &to) || to > bytes)
            return ss_fail(e, SS_FORMAT,
                           "%s: a storage has %" PRIu64 " values, its tensors want %" PRId64,
                           s->path, numel, of[i]->numel);
        of[i]->data = data + *at + from;
        of[i]->bytes = (size_t)(to - from);
    }
    *at += (size_t)bytes;
    return SS_OK;
}

/* Reads the values that follow the list of keys, and gives them to the storages, sorted by key. */
static ss_code take_storages(ss_pickle_store *s, ss_pickle_storage **sorted,
                             const ss_pickle_value *keys, const unsigned char *data, size_t n,
                             size_t *at, ss_err *e)
{
    ss_code rc = SS_OK;

    for (size_t i = 0; i < ss_pickle_count(keys) && rc == SS_OK; i++) {
        const ss_pickle_value *key = ss_pickle_at(keys, i);
        const ss_pickle_storage want = {.key = key->text.s, .n_key = key->text.n};
        const ss_pickle_storage *wanted = &want;
        ss_pickle_storage **hit =
            key->kind != SS_PICKLE_TEXT || !s->n_storages
                ? NULL
                : bsearch(&wanted, sorted, s->n_storages, sizeof(ss_pickle_storage *), by_key);
        size_t first, end;

        if (!hit)
            return ss_fail(e, SS_FORMAT, "%s: it has values of a storage that no tensor names",
                           s->path);
        for (first = (size_t)(hit - sorted); first && by_key(&sorted[first - 1], hit) == 0;)
            first--;
        for (end = first; end < s->n_storages && by_key(&sorted[end], hit) == 0;)
            end++;
        rc = take_values(s, sorted + first, end - first, data, n, at, e);
    }
    for (size_t i = 0; i < s->n_storages && rc == SS_OK; i++) {
        if (!s->storages[i].data)
            rc = ss_fail(e, SS_FORMAT, "%s: a storage has no values", s->path);
    }
    return rc;
}

static ss_code read_storages(ss_pickle *p, const unsigned char *data, size_t n, size_t *at,
                             ss_err *e)
{
    ss_pickle_store *s = &p->store;
    ss_pickle_value *keys = NULL;
    ss_code rc = ss_pickle_run(s, data, n, at, &keys, e);

    if (rc != SS_OK)
        return rc;
    ss_pickle_storage **sorted = ss_calloc(s->n_storages, sizeof(ss_pickle_storage *));
    if (!sorted)
        return ss_no_memory(e, p->path);
    for (size_t i = 0; i < s->n_storages; i++)
        sorted[i] = &s->storages[i];
    qsort(sorted, s->n_storages, sizeof(ss_pickle_storage *), by_key);
    rc = take_storages(s, sorted, keys, data, n, at, e);
    ss_free(sorted);
    return rc;
}

/* Reads what follows the first pickle of a row. */
static ss_code read_row(ss_pickle *p, const unsigned char *data, size_t n, size_t at, ss_err *e)
{
    ss_pickle_value *version = NULL, *system = NULL, *root = NULL;
    ss_code rc = ss_pickle_run(&p->store, data, n, &at, &version, e);

    if (rc == SS_OK)
        rc = ss_pickle_run(&p->store, data, n, &at, &system, e);
    if (rc == SS_OK && (version->kind != SS_PICKLE_INT || version->number != 1001))
        rc = ss_fail(e, SS_UNSUPPORTED, "%s: not the version of torch.save that is known, 1001",
                     p->path);
    const ss_pickle_value *little = ss_pickle_get(system, "little_endian");
    if (rc == SS_OK && little && little->kind == SS_PICKLE_BOOL && !little->truth)
        rc = say_big_endian(&p->store, e);
    if (rc == SS_OK)
        rc = ss_pickle_run(&p->store, data, n, &at, &root, e);
    if (rc == SS_OK)
        rc = read_storages(p, data, n, &at, e);
    if (rc == SS_OK)
        rc = ss_pickle_place_tensors(&p->store, e);
    p->root = root;
    return rc;
}

/* Reads pickles in a row, or a lone one. */
static ss_code read_pickles(ss_pickle *p, const unsigned char *data, size_t n, ss_err *e)
{
    ss_pickle_value *first = NULL;
    size_t at = 0;
    ss_code rc = ss_pickle_run(&p->store, data, n, &at, &first, e);

    if (rc != SS_OK)
        return rc;
    if (is_magic(first))
        return read_row(p, data, n, at, e);
    p->root = first;
    return p->store.n_storages == 0
               ? SS_OK
               : ss_fail(e, SS_FORMAT, "%s: a pickle with tensors, but without their values",
                         p->path);
}

static ss_code read_any(ss_pickle *p, const void *data, size_t n, ss_err *e)
{
    enum { TAR_MARK = 257 };

    if (!n)
        return ss_fail(e, SS_FORMAT, "%s: the file is empty", p->path);
    if (ss_file_check_fetched(p->path, data, n, e) != SS_OK)
        return SS_FORMAT;
    if (ss_zip_begins(data, n))
        return read_zip(p, data, n, e);
    if (n > TAR_MARK + 5 && memcmp((const char *)data + TAR_MARK, "ustar", 5) == 0)
        return ss_fail(e, SS_UNSUPPORTED,
                       "%s: a tar file, as PyTorch before 0.1.10 wrote them; torch.load and "
                       "torch.save turn it into a newer one",
                       p->path);
    return read_pickles(p, data, n, e);
}

static ss_pickle *new_pickle(const char *path, ss_err *e)
{
    ss_pickle *p = ss_calloc(1, sizeof *p);

    if (p && (p->path = ss_strdup(path))) {
        p->store.path = p->path;
        return p;
    }
    ss_free(p);
    ss_no_memory(e, path);
    return NULL;
}

/* Hands the pickle over, unless something went wrong. */
static ss_code hand_over(ss_pickle *p, ss_code rc, ss_pickle **out)
{
    if (rc == SS_OK)
        *out = p;
    else
        ss_pickle_close(p);
    return rc;
}

ss_code ss_pickle_open(const char *path, ss_pickle **out, ss_err *e)
{
    ss_err own = {0};
    ss_pickle *p = new_pickle(path, e);

    e = e ? e : &own;
    if (!p)
        return SS_NOMEM;
    ss_code rc = ss_map_open(path, &p->map, e);
    if (rc == SS_OK)
        rc = read_any(p, p->map.data, p->map.size, e);
    return hand_over(p, rc, out);
}

ss_code ss_pickle_open_bytes(const char *path, const void *data, size_t n, ss_pickle **out,
                             ss_err *e)
{
    ss_err own = {0};
    ss_pickle *p = new_pickle(path, e);

    return p ? hand_over(p, read_any(p, data, n, e ? e : &own), out) : SS_NOMEM;
}

void ss_pickle_close(ss_pickle *p)
{
    if (!p)
        return;
    ss_pickle_store_release(&p->store);
    ss_map_close(&p->map);
    ss_free(p->path);
    ss_free(p);
}

const ss_pickle_value *ss_pickle_root(const ss_pickle *p)
{
    return p->root;
}
