/* pickle_weights.c - see pickle_weights.h */
#include "models/file/pickle_weights.h"

#include "base/mem.h"
#include "base/str.h"
#include "models/file/pickle.h"
#include "models/file/tensor_groups.h"

#include <stdlib.h>
#include <string.h>

/* Bounds of a walk through values, which may contain themselves. */
enum { MAX_DEPTH = 8, MAX_MODULES = 64, MAX_STEPS = 1 << 22 };

typedef struct {
    const char *path;
    ss_pickle *p;
    ss_stored_tensor *tensors;
    size_t n, cap;
    size_t n_left_out;
    const ss_pickle_value *left_out; /* the first of these entries */
    char *notes[2];
    size_t steps;
    ss_err *e;
} weights;

/* Counts a step of a walk. */
static ss_code step(weights *w)
{
    return w->steps++ < MAX_STEPS
               ? SS_OK
               : ss_fail(w->e, SS_FORMAT,
                         "%s: its dicts are nested too much to look for the model; name it with "
                         "--key",
                         w->path);
}

/* A module's dict of that name, or NULL: "_parameters", "_buffers", "_modules". */
static const ss_pickle_value *part_of_module(const ss_pickle_value *v, const char *name)
{
    const ss_pickle_value *part = v && v->kind == SS_PICKLE_OBJECT ? ss_pickle_get(v, name) : NULL;

    return part && part->kind == SS_PICKLE_DICT ? part : NULL;
}

static bool is_module(const ss_pickle_value *v)
{
    return part_of_module(v, "_parameters") && part_of_module(v, "_modules");
}

/* The dict that v is, or that an object of a class derived from dict has. */
static const ss_pickle_value *as_dict(const ss_pickle_value *v)
{
    if (v->kind == SS_PICKLE_OBJECT && v->object.items)
        v = v->object.items;
    return v->kind == SS_PICKLE_DICT ? v : NULL;
}

static size_t count_tensors(const ss_pickle_value *dict)
{
    size_t n = 0;

    for (size_t i = 0; i < ss_pickle_count(dict); i++)
        n += ss_pickle_key(dict, i)->kind == SS_PICKLE_TEXT &&
             ss_pickle_at(dict, i)->kind == SS_PICKLE_TENSOR;
    return n;
}

/* Counts the tensors of a module; a walk of its own as gather_module's. */
static ss_code count_module(weights *w, const ss_pickle_value *v, int depth, size_t *n)
{
    const ss_pickle_value *modules = part_of_module(v, "_modules");
    ss_code rc = step(w);

    *n += count_tensors(part_of_module(v, "_parameters")) +
          count_tensors(part_of_module(v, "_buffers"));
    for (size_t i = 0; i < ss_pickle_count(modules) && rc == SS_OK && depth < MAX_MODULES; i++)
        rc = count_module(w, ss_pickle_at(modules, i), depth + 1, n);
    return rc;
}

/* Adds the groups in v, whose keys so far are `key`. */
static ss_code find_groups(weights *w, const ss_pickle_value *v, ss_str *key, int depth,
                           ss_tensor_groups *l)
{
    const ss_pickle_value *dict = as_dict(v);
    size_t n = dict ? count_tensors(dict) : 0;
    const size_t length = key->len;
    ss_code rc = step(w);

    if (rc == SS_OK && is_module(v)) {
        rc = count_module(w, v, 0, &n);
        dict = NULL;
    }
    if (rc == SS_OK && n)
        rc = ss_tensor_groups_add(l, key->s ? key->s : "", n, v, w->e);
    for (size_t i = 0; i < ss_pickle_count(dict) && rc == SS_OK && depth < MAX_DEPTH; i++) {
        const ss_pickle_value *k = ss_pickle_key(dict, i), *below = ss_pickle_at(dict, i);

        if (k->kind != SS_PICKLE_TEXT || ss_tensor_group_other(k->text.s, k->text.n) ||
            (!as_dict(below) && !is_module(below)))
            continue;
        if (length)
            ss_str_add(key, ".");
        ss_str_addn(key, k->text.s, k->text.n);
        rc = key->failed ? ss_no_memory(w->e, w->path) : find_groups(w, below, key, depth + 1, l);
        key->len = length;
        if (key->s)
            key->s[length] = '\0';
    }
    return rc;
}

/* Adds a tensor under a name. */
static ss_code add(weights *w, const char *prefix, const ss_pickle_value *key,
                   const ss_stored_tensor *t)
{
    ss_str name = {0};
    ss_stored_tensor *grown = ss_grow(w->tensors, &w->cap, w->n + 1, sizeof *grown);

    if (!grown)
        return ss_no_memory(w->e, w->path);
    w->tensors = grown;
    ss_str_add(&name, prefix);
    ss_str_addn(&name, key->text.s, key->text.n);
    if (name.failed) {
        ss_str_release(&name);
        return ss_no_memory(w->e, w->path);
    }
    if (!ss_utf8_valid(name.s, name.len) || strlen(name.s) != name.len) {
        ss_fail(w->e, SS_FORMAT, "%s: the name of tensor %s is not UTF-8, or has a NUL", w->path,
                SS_SHOW(name.s));
        ss_str_release(&name);
        return SS_FORMAT;
    }
    w->tensors[w->n] = *t;
    w->tensors[w->n++].name = ss_str_detach(&name);
    return SS_OK;
}

/* Adds the tensors of a dict. */
static ss_code gather(weights *w, const char *prefix, const ss_pickle_value *dict)
{
    ss_code rc = SS_OK;

    for (size_t i = 0; i < ss_pickle_count(dict) && rc == SS_OK; i++) {
        const ss_pickle_value *key = ss_pickle_key(dict, i), *v = ss_pickle_at(dict, i);

        if (key->kind == SS_PICKLE_TEXT && v->kind == SS_PICKLE_TENSOR)
            rc = add(w, prefix, key, v->tensor);
        else if (v->kind == SS_PICKLE_OBJECT && !w->n_left_out++)
            w->left_out = v;
    }
    return rc;
}

/* Adds the parameters and buffers of a module and of those below it. */
static ss_code gather_module(weights *w, const char *prefix, const ss_pickle_value *v, int depth)
{
    const ss_pickle_value *modules = part_of_module(v, "_modules");
    ss_code rc = step(w);

    if (rc == SS_OK)
        rc = gather(w, prefix, part_of_module(v, "_parameters"));
    if (rc == SS_OK)
        rc = gather(w, prefix, part_of_module(v, "_buffers"));
    for (size_t i = 0; i < ss_pickle_count(modules) && rc == SS_OK && depth < MAX_MODULES; i++) {
        const ss_pickle_value *key = ss_pickle_key(modules, i);
        ss_str name = {0};

        if (key->kind != SS_PICKLE_TEXT)
            continue;
        ss_str_add(&name, prefix);
        ss_str_addn(&name, key->text.s, key->text.n);
        ss_str_add(&name, ".");
        rc = name.failed ? ss_no_memory(w->e, w->path)
                         : gather_module(w, name.s, ss_pickle_at(modules, i), depth + 1);
        ss_str_release(&name);
    }
    return rc;
}

/* Refuses tensors that are all empty, as those that DeepSpeed's ZeRO stage 3 leaves. */
static ss_code check_values(const weights *w, const char *key)
{
    for (size_t i = 0; i < w->n; i++) {
        if (w->tensors[i].bytes)
            return SS_OK;
    }
    return ss_fail(
        w->e, SS_FORMAT,
        "%s: the %zu tensors of %s have no values: with DeepSpeed's ZeRO stage 3 they are "
        "spread over the files zero_pp_rank_*; the script zero_to_fp32.py, which "
        "DeepSpeed puts beside them, writes them into one file",
        w->path, w->n, *key ? SS_SHOW(key) : "the file");
}

/* Notes what was left out because its kind is not known. */
static ss_code say_left_out(weights *w)
{
    const ss_pickle_value *c = w->left_out ? w->left_out->object.class_ : NULL;
    ss_str name = {0}, note = {0};

    if (!c)
        return SS_OK;
    if (c->kind == SS_PICKLE_GLOBAL) {
        ss_str_addn(&name, c->global.module, c->global.n_module);
        ss_str_add(&name, ".");
        ss_str_addn(&name, c->global.name, c->global.n_name);
    }
    ss_str_addf(&note, "%zu entr%s no tensor%s and left out, the first a %s", w->n_left_out,
                w->n_left_out == 1 ? "y is" : "ies are", w->n_left_out == 1 ? "" : "s",
                name.s ? SS_SHOW(name.s) : "thing without a name");
    ss_str_release(&name);
    char **slot = &w->notes[w->notes[0] ? 1 : 0];
    *slot = ss_str_detach(&note);
    return *slot ? SS_OK : ss_no_memory(w->e, w->path);
}

/* Finds what --key names, which may be any dict or module. */
static const ss_pickle_value *find_key(const weights *w, const char *key)
{
    const ss_pickle_value *v = ss_pickle_find(ss_pickle_root(w->p), key);

    return v && (as_dict(v) || is_module(v)) ? v : NULL;
}

static ss_code choose(weights *w, const char *key, const ss_pickle_value **model, char **name)
{
    ss_tensor_groups groups = {0};
    const ss_tensor_group *g = NULL;
    ss_str keys = {0};
    const ss_pickle_value *named = key ? find_key(w, key) : NULL;
    size_t n = named && !is_module(named) ? count_tensors(as_dict(named)) : 0;
    ss_code rc = SS_OK;

    if (named && is_module(named))
        rc = count_module(w, named, 0, &n);
    if (rc == SS_OK && n)
        rc = ss_tensor_groups_add(&groups, key, n, named, w->e);
    else if (rc == SS_OK)
        rc = find_groups(w, ss_pickle_root(w->p), &keys, 0, &groups);
    if (rc == SS_OK)
        rc = ss_tensor_groups_choose(&groups, w->path, key, &g, &w->notes[0], w->e);
    if (rc == SS_OK) {
        *model = g->source;
        *name = ss_strdup(g->key);
        rc = *name ? SS_OK : ss_no_memory(w->e, w->path);
    }
    ss_str_release(&keys);
    ss_tensor_groups_release(&groups);
    return rc;
}

static ss_code read_model(weights *w, const char *key)
{
    const ss_pickle_value *model = NULL;
    char *name = NULL;
    ss_code rc = choose(w, key, &model, &name);

    if (rc == SS_OK)
        rc = is_module(model) ? gather_module(w, "", model, 0) : gather(w, "", as_dict(model));
    if (rc == SS_OK)
        rc = check_values(w, name);
    if (rc == SS_OK)
        rc = say_left_out(w);
    ss_free(name);
    return rc;
}

static void close_weights(void *shard)
{
    weights *w = shard;

    if (!w)
        return;
    for (size_t i = 0; i < w->n; i++)
        ss_free((void *)w->tensors[i].name);
    for (size_t i = 0; i < sizeof w->notes / sizeof *w->notes; i++)
        ss_free(w->notes[i]);
    ss_free(w->tensors);
    ss_pickle_close(w->p);
    ss_free(w);
}

static ss_code open_weights(const char *path, const char *key, void **shard, ss_err *e)
{
    ss_err own = {0};
    weights *w = ss_calloc(1, sizeof *w);

    e = e ? e : &own;
    if (!w)
        return ss_no_memory(e, path);
    *w = (weights){.path = path, .e = e};
    ss_code rc = ss_pickle_open(path, &w->p, e);
    if (rc == SS_OK)
        rc = read_model(w, key);
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
    const weights *w = shard;

    return i < (int)(sizeof w->notes / sizeof *w->notes) ? w->notes[i] : NULL;
}

const ss_weight_format ss_pickle_format = {
    .name = "pickle",
    .endings = {".bin", ".pt", ".pth", ".ckpt"},
    .has_keys = true,
    .open = open_weights,
    .count = count,
    .at = at,
    .note = note,
    .close = close_weights,
};
