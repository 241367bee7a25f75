/* checkpoint.c - see checkpoint.h */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/file/checkpoint_edit.h"
#include "models/file/weight_files.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILES = 4096 };

/* A shard: one file of tensors. */
typedef struct {
    const ss_weight_format *format;
    void *file; /* belongs to the format */
} shard;

struct ss_checkpoint {
    char **paths; /* every file that was read; [0] is the one the user would name */
    size_t n_paths, cap_paths;
    char *variant;
    shard *shards;
    size_t n_shards, cap_shards;
    const ss_stored_tensor **tensors; /* of all shards, sorted by name */
    size_t n_tensors;
    void **blocks; /* memory of changes */
    size_t n_blocks, cap_blocks;
    char **notes;
    size_t n_notes, cap_notes;
    ss_checkpoint **adopted;
    size_t n_adopted, cap_adopted;
    const char *key; /* while it is opened */
};

/* Appends p, the list's to free from then on; p is freed where memory is out. */
static ss_code append(void ***list, size_t *n, size_t *cap, void *p, const char *what, ss_err *e)
{
    void **grown = p ? ss_grow(*list, cap, *n + 1, sizeof *grown) : NULL;

    if (!grown) {
        ss_free(p);
        return ss_no_memory(e, what);
    }
    *list = grown;
    grown[(*n)++] = p;
    return SS_OK;
}

static ss_code add_path(ss_checkpoint *k, const char *path, ss_err *e)
{
    return append((void ***)&k->paths, &k->n_paths, &k->cap_paths, ss_strdup(path), path, e);
}

/* Takes over what a shard says about itself: notes, and the files that it is in. */
static ss_code take_notes(ss_checkpoint *k, const shard *x, ss_err *e)
{
    const char *note, *file;
    ss_code rc = SS_OK;

    for (int i = 0; rc == SS_OK && x->format->note && (note = x->format->note(x->file, i)); i++)
        rc = ss_checkpoint_say(k, e, "%s", note);
    for (int i = 0; rc == SS_OK && x->format->file && (file = x->format->file(x->file, i)); i++)
        rc = add_path(k, file, e);
    return rc;
}

static ss_code add_shard(ss_checkpoint *k, const ss_weight_format *format, const char *path,
                         ss_err *e)
{
    shard *grown = ss_grow(k->shards, &k->cap_shards, k->n_shards + 1, sizeof *grown);
    ss_code rc;

    if (!grown)
        return ss_no_memory(e, path);
    k->shards = grown;
    k->shards[k->n_shards] = (shard){.format = format};
    rc = add_path(k, path, e);
    if (rc == SS_OK && k->key && !format->has_keys)
        rc = ss_fail(e, SS_USAGE,
                     "--key %s: %s is a file of the format %s, which has one set of tensors",
                     SS_SHOW(k->key), path, format->name);
    if (rc == SS_OK)
        rc = format->open(k->paths[k->n_paths - 1], k->key, &k->shards[k->n_shards].file, e);
    if (rc == SS_OK)
        rc = take_notes(k, &k->shards[k->n_shards++], e);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const ss_stored_tensor *const *)a)->name,
                  (*(const ss_stored_tensor *const *)b)->name);
}

/* Takes list [n] as the tensors, sorted by name; no name may appear twice. Frees it otherwise. */
static ss_code take_list(ss_checkpoint *k, const ss_stored_tensor **list, size_t n, ss_err *e)
{
    qsort(list, n, sizeof *list, by_name);
    for (size_t i = 1; i < n; i++) {
        const ss_stored_tensor *a = list[i - 1], *b = list[i];
        const bool one = strcmp(a->file, b->file) == 0;

        if (strcmp(a->name, b->name) == 0) {
            ss_fail(e, SS_FORMAT, "tensor %s is %s %s%s%s", SS_SHOW(a->name),
                    one ? "twice in" : "in two files,", a->file, one ? "" : " and ",
                    one ? "" : b->file);
            ss_free(list);
            return SS_FORMAT;
        }
    }
    ss_free(k->tensors);
    k->tensors = list;
    k->n_tensors = n;
    return SS_OK;
}

/* Gathers the tensors of all shards. */
static ss_code gather(ss_checkpoint *k, ss_err *e)
{
    size_t n = 0, all = 0;

    for (size_t s = 0; s < k->n_shards; s++)
        all += k->shards[s].format->count(k->shards[s].file);
    const ss_stored_tensor **list = ss_calloc(all, sizeof *list);
    if (!list)
        return ss_no_memory(e, ss_checkpoint_name(k));
    for (size_t s = 0; s < k->n_shards; s++) {
        const shard *x = &k->shards[s];

        for (size_t i = 0; i < x->format->count(x->file); i++)
            list[n++] = x->format->at(x->file, i);
    }
    return take_list(k, list, n, e);
}

/* A shard is a plain file name: a path could leave the folder. */
static bool plain_name(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static ss_code add_shard_once(ss_checkpoint *k, const ss_weight_format *format, const char *folder,
                              const char *name, ss_err *e)
{
    char *path = ss_path_join(folder, name);
    bool known = false;
    ss_code rc = SS_OK;

    if (!path)
        return ss_no_memory(e, name);
    for (size_t i = 0; i < k->n_paths && !known; i++)
        known = strcmp(k->paths[i], path) == 0;
    if (!known && k->n_paths >= MAX_FILES)
        rc = ss_fail(e, SS_FORMAT, "%s: more than %d shards", k->paths[0], MAX_FILES);
    else if (!known)
        rc = add_shard(k, format, path, e);
    ss_free(path);
    return rc;
}

/* Opens the shards of an index, {"metadata": {...}, "weight_map": {"conv_in.weight":
 * "...-00001-of-00002.safetensors"}}. */
static ss_code open_index(ss_checkpoint *k, const ss_weight_format *format, const char *folder,
                          const char *path, ss_err *e)
{
    ss_json j = {0};
    const char *name;
    json_t *file;

    ss_code rc = ss_json_load(&j, path, e);
    if (rc == SS_OK)
        rc = add_path(k, path, e);
    if (rc != SS_OK)
        goto out;
    json_t *map = ss_json_get(&j, "weight_map");
    if (!json_is_object(map) || json_object_size(map) == 0) {
        rc = ss_fail(e, SS_FORMAT, "%s: \"weight_map\" is missing or empty", path);
        goto out;
    }
    json_object_foreach(map, name, file)
    {
        const char *shard_name = json_string_value(file);

        if (!shard_name || !plain_name(shard_name)) {
            rc = ss_fail(e, SS_FORMAT, "%s: the shard of %s is not the name of a file beside it",
                         path, SS_SHOW(name));
            goto out;
        }
        rc = add_shard_once(k, format, folder, shard_name, e);
        if (rc != SS_OK)
            goto out;
    }
    rc = gather(k, e);
    if (rc != SS_OK)
        goto out;
    json_object_foreach(map, name, file)
    {
        const ss_stored_tensor *t = ss_checkpoint_find(k, name);
        const char *slash = t ? strrchr(t->file, '/') : NULL;

        if (!t || strcmp(slash ? slash + 1 : t->file, json_string_value(file)) != 0) {
            rc = ss_fail(e, SS_FORMAT, "%s: tensor %s is not in its shard %s", path, SS_SHOW(name),
                         json_string_value(file));
            goto out;
        }
    }
out:
    ss_json_release(&j);
    return rc;
}

/* The folder around a file. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = ss_strdup(slash ? path : ".");

    if (folder && slash)
        folder[slash == path ? 1 : slash - path] = '\0';
    return folder;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static ss_code find_weights(const char *path, const char *variant, ss_weight_file *w, char **folder,
                            ss_err *e)
{
    const bool named = !ss_is_dir(path) && ss_file_exists(path);

    *folder = named ? folder_of(path) : ss_strdup(path);
    if (!*folder)
        return ss_no_memory(e, path);
    return named ? ss_weight_file_take(path, w, e) : ss_weight_file_find(path, variant, w, e);
}

ss_code ss_checkpoint_open(const char *path, const ss_checkpoint_options *opt, ss_checkpoint **out,
                           ss_err *e)
{
    static const ss_checkpoint_options usual = {0};
    ss_weight_file w = {0};
    char *folder = NULL;
    ss_checkpoint *k = ss_calloc(1, sizeof *k);

    opt = opt ? opt : &usual;
    ss_code rc = k ? find_weights(path, opt->variant, &w, &folder, e) : ss_no_memory(e, path);
    if (rc == SS_OK) {
        k->key = opt->key;
        if (w.note)
            rc = ss_checkpoint_say(k, e, "%s", w.note);
    }
    if (rc == SS_OK)
        rc = w.index ? open_index(k, w.format, folder, w.path, e)
                     : add_shard(k, w.format, w.path, e);
    if (rc == SS_OK && !k->tensors)
        rc = gather(k, e);
    if (rc == SS_OK) {
        k->key = NULL;
        k->variant = w.variant;
        w.variant = NULL;
        if (w.beside)
            rc =
                ss_checkpoint_say(k, e, "%s taken; name another model of the training as MODEL: %s",
                                  base_name(w.path), w.beside);
    }
    ss_weight_file_release(&w);
    ss_free(folder);
    if (rc != SS_OK) {
        ss_checkpoint_close(k);
        return rc;
    }
    *out = k;
    return SS_OK;
}

void ss_checkpoint_close(ss_checkpoint *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < k->n_shards; i++)
        k->shards[i].format->close(k->shards[i].file);
    for (size_t i = 0; i < k->n_paths; i++)
        ss_free(k->paths[i]);
    for (size_t i = 0; i < k->n_blocks; i++)
        ss_free(k->blocks[i]);
    for (size_t i = 0; i < k->n_notes; i++)
        ss_free(k->notes[i]);
    for (size_t i = 0; i < k->n_adopted; i++)
        ss_checkpoint_close(k->adopted[i]);
    ss_free(k->adopted);
    ss_free(k->blocks);
    ss_free(k->notes);
    ss_free(k->shards);
    ss_free(k->paths);
    ss_free(k->variant);
    ss_free(k->tensors);
    ss_free(k);
}

void *ss_checkpoint_alloc(ss_checkpoint *k, size_t bytes, ss_err *e)
{
    void *p = ss_calloc(1, bytes);
    const ss_code rc = append(&k->blocks, &k->n_blocks, &k->cap_blocks, p, k->paths[0], e);

    return rc == SS_OK ? p : NULL;
}

ss_stored_tensor *ss_checkpoint_derive(ss_checkpoint *k, const ss_stored_tensor *t,
                                       const char *name, ss_err *e)
{
    const size_t room = strlen(name) + 1;
    ss_stored_tensor *d = ss_checkpoint_alloc(k, sizeof *d + room, e);

    if (!d)
        return NULL;
    *d = *t;
    d->name = memcpy(d + 1, name, room);
    return d;
}

ss_code ss_checkpoint_replace(ss_checkpoint *k, const ss_stored_tensor *const *list, size_t n,
                              ss_err *e)
{
    const ss_stored_tensor **copy = ss_calloc(n, sizeof *copy);

    if (!copy)
        return ss_no_memory(e, ss_checkpoint_name(k));
    if (n)
        memcpy(copy, list, n * sizeof *copy);
    return take_list(k, copy, n, e);
}

ss_code ss_checkpoint_adopt(ss_checkpoint *k, ss_checkpoint *other, ss_err *e)
{
    ss_checkpoint **grown = ss_grow(k->adopted, &k->cap_adopted, k->n_adopted + 1, sizeof *grown);

    if (!grown)
        return ss_no_memory(e, k->paths[0]);
    k->adopted = grown;
    grown[k->n_adopted++] = other;
    return SS_OK;
}

ss_code ss_checkpoint_add_file(ss_checkpoint *k, const char *path, ss_err *e)
{
    return add_path(k, path, e);
}

ss_code ss_checkpoint_add_files(ss_checkpoint *k, const ss_checkpoint *other, ss_err *e)
{
    ss_code rc = SS_OK;

    for (size_t i = 0; i < other->n_paths && rc == SS_OK; i++)
        rc = add_path(k, other->paths[i], e);
    return rc;
}

ss_code ss_checkpoint_say(ss_checkpoint *k, ss_err *e, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return append((void ***)&k->notes, &k->n_notes, &k->cap_notes, ss_strdup(text), text, e);
}

const char *ss_checkpoint_note(const ss_checkpoint *k, int i)
{
    return (size_t)i < k->n_notes ? k->notes[i] : NULL;
}

const char *ss_checkpoint_name(const ss_checkpoint *k)
{
    return k->paths[0];
}

const char *ss_checkpoint_variant(const ss_checkpoint *k)
{
    return k->variant;
}

const char *ss_checkpoint_format(const ss_checkpoint *k)
{
    return k->shards[0].format->name;
}

size_t ss_checkpoint_count(const ss_checkpoint *k)
{
    return k->n_tensors;
}

const ss_stored_tensor *ss_checkpoint_at(const ss_checkpoint *k, size_t i)
{
    return k->tensors[i];
}

const ss_stored_tensor *ss_checkpoint_find(const ss_checkpoint *k, const char *name)
{
    const ss_stored_tensor want = {.name = name}, *key = &want;
    const ss_stored_tensor **hit =
        k->n_tensors ? bsearch(&key, k->tensors, k->n_tensors, sizeof key, by_name) : NULL;

    return hit ? *hit : NULL;
}

size_t ss_checkpoint_n_files(const ss_checkpoint *k)
{
    return k->n_paths;
}

const char *ss_checkpoint_file(const ss_checkpoint *k, size_t i)
{
    return k->paths[i];
}

static int by_base_name(const void *a, const void *b)
{
    return strcmp(base_name(*(const char *const *)a), base_name(*(const char *const *)b));
}

ss_code ss_checkpoint_sha256(const ss_checkpoint *k, const char *config, char hex[65], ss_err *e)
{
    const char **files = ss_calloc(k->n_paths + 1, sizeof *files);
    ss_str lines = {0};
    size_t n = 0;
    ss_code rc = SS_OK;

    if (!files)
        return ss_no_memory(e, ss_checkpoint_name(k));
    for (size_t i = 0; i < k->n_paths; i++)
        files[n++] = k->paths[i];
    if (config)
        files[n++] = config;
    qsort(files, n, sizeof *files, by_base_name);
    for (size_t i = 0; i < n && rc == SS_OK; i++) {
        char one[65];

        rc = ss_sha256_file(files[i], one, e);
        if (rc == SS_OK)
            ss_str_addf(&lines, "%s %s\n", base_name(files[i]), one);
    }
    if (rc == SS_OK)
        rc = lines.failed ? ss_no_memory(e, ss_checkpoint_name(k))
                          : ss_sha256_bytes(lines.s, lines.len, hex, e);
    ss_str_release(&lines);
    ss_free(files);
    return rc;
}
