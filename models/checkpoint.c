/* checkpoint.c - see checkpoint.h */
#include "models/checkpoint.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 128, MAX_FILES = 4096 };

struct ss_checkpoint {
    const struct reader *reader;
    char **paths; /* every file that was read; [0] is the one the user would name */
    size_t n_paths, cap_paths;
    ss_safetensors **shards;
    size_t n_shards, cap_shards;
    const ss_st_tensor **tensors; /* of all shards, sorted by name */
    size_t n_tensors;
    uint64_t bytes;
};

/* A format of weights: which file name marks it, and how it is opened. Another format is
 * another line in `readers` and an open function that fills the same list of tensors. */
typedef struct reader {
    const char *format;
    const char *suffix; /* of the file that stands for the whole */
    ss_code (*open)(ss_checkpoint *k, const char *folder, const char *path, ss_err *e);
} reader;

static ss_code no_memory(ss_err *e)
{
    return ss_fail(e, SS_NOMEM, "out of memory");
}

static ss_code add_path(ss_checkpoint *k, const char *path, ss_err *e)
{
    char **grown = ss_grow(k->paths, &k->cap_paths, k->n_paths + 1, sizeof *grown);

    if (!grown)
        return no_memory(e);
    k->paths = grown;
    k->paths[k->n_paths] = ss_strdup(path);
    if (!k->paths[k->n_paths])
        return no_memory(e);
    k->n_paths++;
    return SS_OK;
}

static ss_code add_shard(ss_checkpoint *k, const char *path, ss_err *e)
{
    ss_safetensors **grown = ss_grow(k->shards, &k->cap_shards, k->n_shards + 1, sizeof *grown);
    ss_code rc;

    if (!grown)
        return no_memory(e);
    k->shards = grown;
    rc = add_path(k, path, e);
    if (rc == SS_OK)
        rc = ss_safetensors_open(path, &k->shards[k->n_shards], e);
    if (rc == SS_OK)
        k->n_shards++;
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const ss_st_tensor *const *)a)->name, (*(const ss_st_tensor *const *)b)->name);
}

/* Gathers the tensors of all shards; a name may be there once. */
static ss_code gather(ss_checkpoint *k, ss_err *e)
{
    size_t n = 0;

    for (size_t s = 0; s < k->n_shards; s++)
        n += ss_safetensors_count(k->shards[s]);
    k->tensors = ss_calloc(n, sizeof *k->tensors);
    if (!k->tensors)
        return no_memory(e);
    for (size_t s = 0; s < k->n_shards; s++) {
        for (size_t i = 0; i < ss_safetensors_count(k->shards[s]); i++) {
            const ss_st_tensor *t = ss_safetensors_at(k->shards[s], i);

            k->tensors[k->n_tensors++] = t;
            k->bytes += t->bytes;
        }
    }
    qsort(k->tensors, n, sizeof *k->tensors, by_name);
    for (size_t i = 1; i < n; i++) {
        const ss_st_tensor *a = k->tensors[i - 1], *b = k->tensors[i];
        char shown[SHOWN];

        if (strcmp(a->name, b->name) == 0)
            return ss_fail(e, SS_FORMAT, "tensor %s is in two files, %s and %s",
                           ss_printable(a->name, shown, sizeof shown), a->file, b->file);
    }
    return SS_OK;
}

static ss_code open_single(ss_checkpoint *k, const char *folder, const char *path, ss_err *e)
{
    (void)folder;
    return add_shard(k, path, e);
}

/* A shard is a plain file name: a path could leave the folder. */
static bool plain_name(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static ss_code add_shard_once(ss_checkpoint *k, const char *folder, const char *name, ss_err *e)
{
    char *path = ss_path_join(folder, name);
    bool known = false;
    ss_code rc = SS_OK;

    if (!path)
        return no_memory(e);
    for (size_t i = 0; i < k->n_paths && !known; i++)
        known = strcmp(k->paths[i], path) == 0;
    if (!known && k->n_paths >= MAX_FILES)
        rc = ss_fail(e, SS_FORMAT, "%s: more than %d shards", k->paths[0], MAX_FILES);
    else if (!known)
        rc = add_shard(k, path, e);
    ss_free(path);
    return rc;
}

/* {"metadata": {...}, "weight_map": {"conv_in.weight": "...-00001-of-00002.safetensors"}} */
static ss_code open_index(ss_checkpoint *k, const char *folder, const char *path, ss_err *e)
{
    ss_json j = {0};
    const char *name;
    json_t *file;
    char shown[SHOWN];

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
        const char *shard = json_string_value(file);

        if (!shard || !plain_name(shard)) {
            rc = ss_fail(e, SS_FORMAT, "%s: the shard of %s is not the name of a file beside it",
                         path, ss_printable(name, shown, sizeof shown));
            goto out;
        }
        rc = add_shard_once(k, folder, shard, e);
        if (rc != SS_OK)
            goto out;
    }
    rc = gather(k, e);
    if (rc != SS_OK)
        goto out;
    json_object_foreach(map, name, file)
    {
        const ss_st_tensor *t = ss_checkpoint_find(k, name);
        const char *slash = t ? strrchr(t->file, '/') : NULL;

        if (!t || strcmp(slash ? slash + 1 : t->file, json_string_value(file)) != 0) {
            rc = ss_fail(e, SS_FORMAT, "%s: tensor %s is not in its shard %s", path,
                         ss_printable(name, shown, sizeof shown), json_string_value(file));
            goto out;
        }
    }
out:
    ss_json_release(&j);
    return rc;
}

static const reader readers[] = {
    {"safetensors", ".safetensors", open_single},
    {"safetensors", ".safetensors.index.json", open_index},
};

/* True for diffusion_pytorch_model-00001-of-00002.safetensors: a part, never the whole. */
static bool is_part(const char *name)
{
    const char *of = strstr(name, "-of-");

    return of && of > name && of[-1] >= '0' && of[-1] <= '9' && of[4] >= '0' && of[4] <= '9';
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n >= m && strcmp(s + n - m, end) == 0;
}

/* The reader whose usual file name is there: diffusion_pytorch_model[.VARIANT]SUFFIX. */
static const reader *usual_file(const char *folder, const char *variant, char **path, ss_err *e)
{
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        ss_str name = {0};

        ss_str_addf(&name, "%s/diffusion_pytorch_model%s", folder, readers[i].suffix);
        if (variant && readers[i].open == open_index) { /* ....safetensors.index.VARIANT.json */
            ss_str_release(&name);
            ss_str_addf(&name, "%s/diffusion_pytorch_model.safetensors.index.%s.json", folder,
                        variant);
        } else if (variant) {
            ss_str_release(&name);
            ss_str_addf(&name, "%s/diffusion_pytorch_model.%s%s", folder, variant,
                        readers[i].suffix);
        }
        *path = ss_str_detach(&name);
        if (!*path) {
            no_memory(e);
            return NULL;
        }
        if (ss_file_exists(*path))
            return &readers[i];
        ss_free(*path);
        *path = NULL;
    }
    return NULL;
}

/* The only weights in the folder, whatever their name; an error lists what there is. */
static const reader *only_file(const char *folder, char **path, ss_err *e)
{
    const reader *found = NULL;
    ss_str names = {0};
    int n = 0;
    DIR *d = opendir(folder);

    if (!d) {
        ss_fail(e, SS_IO, "%s: %s", folder, strerror(errno));
        return NULL;
    }
    for (struct dirent *f; (f = readdir(d));) {
        /* the table of classes lies beside the weights of a model without a pipeline */
        if (is_part(f->d_name) || strcmp(f->d_name, "class_embeddings.safetensors") == 0)
            continue;
        for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
            if (!ends_with(f->d_name, readers[i].suffix))
                continue;
            char shown[SHOWN];
            ss_str_addf(&names, "%s%s", n++ ? ", " : "",
                        ss_printable(f->d_name, shown, sizeof shown));
            ss_free(*path);
            *path = ss_path_join(folder, f->d_name);
            found = &readers[i];
        }
    }
    closedir(d);
    if (n == 0)
        ss_fail(e, SS_IO,
                "%s: no weights; expected diffusion_pytorch_model.safetensors or its "
                "index of shards",
                folder);
    else if (n > 1)
        ss_fail(e, SS_USAGE,
                "%s: none of the weights %s is called diffusion_pytorch_model.safetensors; name "
                "the variant, or leave only one of them there",
                folder, names.failed ? "there" : names.s);
    else if (!*path)
        no_memory(e);
    ss_str_release(&names);
    if (n != 1) {
        ss_free(*path);
        *path = NULL;
    }
    return *path ? found : NULL;
}

ss_code ss_checkpoint_open(const char *folder, const char *variant, ss_checkpoint **out, ss_err *e)
{
    ss_err mine = {0}, *err = e ? e : &mine; /* who finds no file says so here */
    ss_checkpoint *k = ss_calloc(1, sizeof *k);
    char *path = NULL;
    ss_code rc = SS_OK;

    if (!k)
        return no_memory(err);
    err->code = SS_OK;
    k->reader = usual_file(folder, variant, &path, err);
    if (!k->reader && err->code == SS_OK && variant)
        ss_fail(err, SS_USAGE, "%s: there is no diffusion_pytorch_model.%s.safetensors", folder,
                variant);
    if (!k->reader && err->code == SS_OK)
        k->reader = only_file(folder, &path, err);
    if (k->reader) {
        rc = k->reader->open(k, folder, path, err);
        if (rc == SS_OK && !k->tensors)
            rc = gather(k, err);
    } else {
        rc = err->code;
    }
    ss_free(path);
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
        ss_safetensors_close(k->shards[i]);
    for (size_t i = 0; i < k->n_paths; i++)
        ss_free(k->paths[i]);
    ss_free(k->shards);
    ss_free(k->paths);
    ss_free(k->tensors);
    ss_free(k);
}

const char *ss_checkpoint_name(const ss_checkpoint *k)
{
    return k->paths[0];
}

const char *ss_checkpoint_format(const ss_checkpoint *k)
{
    return k->reader->format;
}

size_t ss_checkpoint_count(const ss_checkpoint *k)
{
    return k->n_tensors;
}

const ss_st_tensor *ss_checkpoint_at(const ss_checkpoint *k, size_t i)
{
    return k->tensors[i];
}

const ss_st_tensor *ss_checkpoint_find(const ss_checkpoint *k, const char *name)
{
    const ss_st_tensor want = {.name = name}, *key = &want;
    const ss_st_tensor **hit =
        k->n_tensors ? bsearch(&key, k->tensors, k->n_tensors, sizeof key, by_name) : NULL;

    return hit ? *hit : NULL;
}

uint64_t ss_checkpoint_bytes(const ss_checkpoint *k)
{
    return k->bytes;
}

size_t ss_checkpoint_n_files(const ss_checkpoint *k)
{
    return k->n_paths;
}

const char *ss_checkpoint_file(const ss_checkpoint *k, size_t i)
{
    return k->paths[i];
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static int by_base_name(const void *a, const void *b)
{
    return strcmp(base_name(*(const char *const *)a), base_name(*(const char *const *)b));
}

ss_code ss_checkpoint_sha256(const ss_checkpoint *k, const char *config, char hex[65], ss_err *e)
{
    const char **files = ss_calloc(k->n_paths + 1, sizeof *files);
    ss_str lines = {0};
    ss_code rc = SS_OK;

    if (!files)
        return no_memory(e);
    files[0] = config;
    for (size_t i = 0; i < k->n_paths; i++)
        files[i + 1] = k->paths[i];
    qsort(files, k->n_paths + 1, sizeof *files, by_base_name);
    for (size_t i = 0; i <= k->n_paths && rc == SS_OK; i++) {
        char one[65];

        rc = ss_sha256_file(files[i], one, e);
        if (rc == SS_OK)
            ss_str_addf(&lines, "%s %s\n", base_name(files[i]), one);
    }
    if (rc == SS_OK)
        rc = lines.failed ? no_memory(e) : ss_sha256_bytes(lines.s, lines.len, hex, e);
    ss_str_release(&lines);
    ss_free(files);
    return rc;
}

/* FOLDER/NAME where such a file exists, else NULL; failed where memory is out. */
static char *existing(const char *folder, const char *name, bool *failed)
{
    char *path = ss_path_join(folder, name);

    if (!path)
        *failed = true;
    if (path && ss_file_exists(path))
        return path;
    ss_free(path);
    return NULL;
}

/* The first of two places. */
static char *either(const char *folder, const char *name, const char *other, bool *failed)
{
    char *path = existing(folder, name, failed);

    return path || *failed ? path : existing(folder, other, failed);
}

ss_code ss_model_paths_find(const char *model, ss_model_paths *p, ss_err *e)
{
    bool failed = false;

    *p = (ss_model_paths){0};
    if (!ss_is_dir(model))
        return ss_fail(e, SS_USAGE,
                       "%s: expected a model folder with config.json in it, or a "
                       "pipeline folder with unet/config.json",
                       model);
    p->config = existing(model, "config.json", &failed);
    p->folder = p->config ? ss_strdup(model) : ss_path_join(model, "unet");
    if (p->folder && !p->config)
        p->config = existing(p->folder, "config.json", &failed);
    if (p->folder && p->config) {
        /* beside config.json for a lone model, else in the pipeline around it */
        p->scheduler = either(p->folder, "../scheduler/scheduler_config.json",
                              "scheduler_config.json", &failed);
        p->class_embeddings = either(p->folder, "class_embeddings.safetensors",
                                     "../class_embeddings.safetensors", &failed);
    }
    if (!p->folder || failed) {
        ss_model_paths_release(p);
        return no_memory(e);
    }
    if (!p->config) {
        ss_model_paths_release(p);
        return ss_fail(e, SS_IO, "%s: neither config.json nor unet/config.json is there", model);
    }
    return SS_OK;
}

void ss_model_paths_release(ss_model_paths *p)
{
    ss_free(p->folder);
    ss_free(p->config);
    ss_free(p->scheduler);
    ss_free(p->class_embeddings);
    *p = (ss_model_paths){0};
}
