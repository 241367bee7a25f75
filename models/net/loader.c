/* loader.c - see loader.h */
#include "models/net/loader.h"

#include "base/mem.h"
#include "base/str.h"
#include "kernels/context.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ALIGNMENT = 4,   /* enough for parameters of every dtype to be read in place */
    MAX_LISTED = 10, /* names in each list of an error */
    MAX_LEFT_OUT = 8,
    MAX_LIST = 220 /* bytes of such a list: three fit into one message */
};

/* Names for a message: as many as fit, and how many there are. */
typedef struct {
    ss_str text;
    int n, listed;
} name_list;

struct ss_net {
    const ss_checkpoint *checkpoint; /* NULL: untrained, and made by init */
    const ss_init *init;
    const ss_module *last; /* the module whose weight had last_fan_in */
    int64_t last_fan_in;
    const ss_remedies *remedies;
    bool zero; /* parameters are made zero, not by init */
    const char *config_name;
    ss_err err; /* the first failure */

    void **blocks; /* everything that was allocated */
    size_t n_blocks, cap_blocks;
    const ss_module **modules;
    size_t n_modules, cap_modules;
    ss_weight **weights;
    size_t n_weights, cap_weights;
    const ss_stored_tensor **used; /* the stored tensor of each weight that has one */
    size_t n_used, cap_used;
    name_list missing, misshapen, unexpected;
    const char *const *ignore; /* globs */
    int n_ignore;
    struct {
        const char *glob;
        int n; /* tensors that matched */
    } left_out[MAX_LEFT_OUT];
    int n_left_out;
    const char *name, *also; /* of ss_net_also_stored, or NULL */
    ss_str ignored;
    int n_ignored;
};

ss_net *ss_net_new(const ss_checkpoint *checkpoint, const char *config_name, ss_err *e)
{
    static const ss_remedies none = {0};
    ss_net *n = ss_calloc(1, sizeof *n);

    if (!n) {
        ss_no_memory(e, config_name);
        return NULL;
    }
    n->checkpoint = checkpoint;
    n->config_name = config_name;
    n->remedies = &none;
    return n;
}

ss_net *ss_net_new_untrained(const ss_init *init, const char *config_name, ss_err *e)
{
    ss_net *n = ss_net_new(NULL, config_name, e);

    if (n)
        n->init = init;
    return n;
}

void ss_net_set_remedies(ss_net *n, const ss_remedies *r)
{
    n->remedies = r;
}

const ss_remedies *ss_net_remedies(const ss_net *n)
{
    return n->remedies;
}

void ss_net_begin_zero(ss_net *n, bool on)
{
    n->zero = on;
}

void ss_net_ignore(ss_net *n, const char *const *globs, int n_globs)
{
    n->ignore = globs;
    n->n_ignore = n_globs;
}

void ss_net_leave_out(ss_net *n, const char *glob)
{
    assert(n->n_left_out < MAX_LEFT_OUT);
    n->left_out[n->n_left_out++].glob = glob;
}

bool ss_net_stores(const ss_net *n, const char *name)
{
    return n->checkpoint && ss_checkpoint_find(n->checkpoint, name);
}

void ss_net_also_stored(ss_net *n, const char *name, const char *also)
{
    n->name = name;
    n->also = also;
    if (ss_net_stores(n, name))
        ss_net_leave_out(n, also);
}

void ss_net_free(ss_net *n)
{
    if (!n)
        return;
    ss_net_unbind(n);
    for (size_t i = 0; i < n->n_weights; i++)
        ss_weight_unload(n->weights[i]);
    for (size_t i = 0; i < n->n_blocks; i++)
        ss_free(n->blocks[i]);
    ss_free(n->blocks);
    ss_free(n->modules);
    ss_free(n->weights);
    ss_free(n->used);
    ss_str_release(&n->missing.text);
    ss_str_release(&n->misshapen.text);
    ss_str_release(&n->unexpected.text);
    ss_str_release(&n->ignored);
    ss_free(n);
}

void ss_net_fail(ss_net *n, ss_code code, const char *fmt, ...)
{
    char text[sizeof n->err.msg];
    va_list ap;

    if (n->err.code != SS_OK)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ss_fail(&n->err, code, "%s: %s", n->config_name, text);
}

static void out_of_memory(ss_net *n)
{
    ss_net_fail(n, SS_NOMEM, "a network: out of memory");
}

/* Makes p the net's to free. */
static void *keep(ss_net *n, void *p)
{
    void **grown = p ? ss_grow(n->blocks, &n->cap_blocks, n->n_blocks + 1, sizeof *grown) : NULL;

    if (!grown) {
        ss_free(p);
        out_of_memory(n);
        return NULL;
    }
    n->blocks = grown;
    return n->blocks[n->n_blocks++] = p;
}

void *ss_net_alloc(ss_net *n, size_t bytes)
{
    return n->err.code == SS_OK ? keep(n, ss_calloc(1, bytes)) : NULL;
}

void ss_net_module(ss_net *n, ss_module *m, const ss_module *parent, const char *kind,
                   const char *name_fmt, ...)
{
    ss_str path = {0};
    char name[64];
    va_list ap;

    if (n->err.code != SS_OK)
        return;
    if (n->n_modules >= SS_NET_MAX_MODULES) {
        ss_net_fail(n, SS_UNSUPPORTED, "the network has more than %d modules", SS_NET_MAX_MODULES);
        return;
    }
    const ss_module **grown = ss_grow(n->modules, &n->cap_modules, n->n_modules + 1, sizeof *grown);
    if (!grown) {
        out_of_memory(n);
        return;
    }
    n->modules = grown;

    va_start(ap, name_fmt);
    vsnprintf(name, sizeof name, name_fmt, ap);
    va_end(ap);
    if (parent && parent->path && *parent->path)
        ss_str_addf(&path, "%s.", parent->path);
    ss_str_add(&path, name);
    m->path = keep(n, ss_str_detach(&path));
    m->kind = kind;
    m->id = (int)n->n_modules;
    m->parent = parent ? parent->id : -1;
    m->limit = n->remedies->clamp;
    n->modules[n->n_modules++] = m;
}

void ss_net_inner(ss_net *n, ss_module *m, const ss_module *owner, ss_inner kind, const char *name)
{
    m->inner = kind;
    ss_net_module(n, m, owner, ss_inner_name(kind), "%s", name);
}

static void list_name(name_list *l, const char *separator, const char *fmt, ...)
{
    char text[2 * SS_SHOWN];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (l->listed == l->n && l->n < MAX_LISTED && l->text.len + strlen(text) < MAX_LIST) {
        ss_str_addf(&l->text, "%s%s", l->n ? separator : "", text);
        l->listed++;
    }
    l->n++;
}

/* Finds a parameter by its old name: before diffusers 0.18, attention that is a block of its own
 * had other names for its projections. */
static const ss_stored_tensor *find_deprecated(const ss_net *n, const ss_module *m,
                                               const char *name)
{
    static const char *const renamed[][2] = {
        {"to_q", "query"}, {"to_k", "key"}, {"to_v", "value"}, {"to_out.0", "proj_attn"}};
    const ss_module *parent = m->parent < 0 ? NULL : n->modules[m->parent];
    const ss_stored_tensor *t = NULL;

    if (!parent || !parent->block || strcmp(parent->kind, "Attention") != 0)
        return NULL;
    const char *leaf = m->path + strlen(parent->path) + 1;
    for (size_t i = 0; i < sizeof renamed / sizeof *renamed && !t; i++) {
        if (strcmp(leaf, renamed[i][0]) != 0)
            continue;
        ss_str old = {0};
        ss_str_addf(&old, "%s.%s.%s", parent->path, renamed[i][1], name);
        if (!old.failed)
            t = ss_checkpoint_find(n->checkpoint, old.s);
        ss_str_release(&old);
    }
    return t;
}

/* Uses the stored tensor for w, if dtype and shape allow. */
static void fill_weight(ss_net *n, ss_weight *w, const ss_stored_tensor *t)
{
    ss_shape stored = {0};
    char have[SS_SHOWN], want[SS_SHOWN];

    w->file = t->file;
    w->dtype = t->dtype;
    w->bytes = t->bytes;
    w->stored = t;
    if (!t->usable) {
        ss_err e = {0};
        ss_stored_shape(t, &stored, &e);
        ss_net_fail(n, e.code, "%s", e.msg);
        return;
    }
    bool fits = t->rank == w->shape.rank;
    for (int i = 0; fits && i < t->rank; i++)
        fits = t->dim[i] == w->shape.dim[i];
    if (!fits) {
        list_name(&n->misshapen, "\n", "%s: %s is %s, config wants %s", t->file, w->name,
                  ss_stored_shape_text(t, have, sizeof have),
                  ss_shape_text(w->shape, want, sizeof want));
        return;
    }
    /* Headers have any length, so the data may lie at odd addresses. */
    if (t->data && (uintptr_t)t->data % ALIGNMENT == 0)
        w->data = t->data;
}

const void *ss_weight_data(ss_weight *w, ss_err *e)
{
    if (w->data)
        return w->data;
    void *loaded = ss_alloc_aligned(w->bytes);
    if (!loaded) {
        ss_no_memory(e, w->name);
        return NULL;
    }
    if (ss_stored_read(w->stored, loaded, e) != SS_OK) {
        ss_free(loaded);
        return NULL;
    }
    w->loaded = loaded;
    return w->data = loaded;
}

void ss_weight_unload(ss_weight *w)
{
    if (!w->loaded)
        return;
    ss_free(w->loaded);
    w->loaded = NULL;
    w->data = NULL;
}

/* Makes the values of a parameter instead of loading them. A bias follows its weight. */
static void make_weight(ss_net *n, ss_weight *w, const ss_module *m, const char *name)
{
    const size_t values = (size_t)ss_shape_numel(w->shape);
    float *data = keep(n, ss_alloc_aligned(values * sizeof *data));
    ss_err e = {0};

    if (!data)
        return;
    if (w->shape.rank >= 2) {
        n->last = m;
        n->last_fan_in = (int64_t)values / w->shape.dim[0];
    }
    if (n->zero)
        memset(data, 0, values * sizeof *data);
    else if (ss_init_fill(n->init, m, name, w->shape, n->last == m ? n->last_fan_in : 0,
                          w->normalised, data, &e) != SS_OK)
        ss_net_fail(n, e.code, "%s", e.msg);
    w->dtype = SS_F32;
    w->data = data;
    w->bytes = values * sizeof *data;
}

ss_weight *ss_net_weight(ss_net *n, const ss_module *m, const char *name, ss_shape shape)
{
    ss_weight *w = ss_net_alloc(n, sizeof *w);
    ss_str full = {0};

    if (!w)
        return NULL;
    ss_str_addf(&full, "%s%s%s", m->path, *m->path ? "." : "", name);
    w->name = keep(n, ss_str_detach(&full));
    w->shape = shape;
    w->normalised = n->remedies->magnitude && shape.rank >= 2;
    ss_weight **weights = ss_grow(n->weights, &n->cap_weights, n->n_weights + 1, sizeof *weights);
    if (weights)
        n->weights = weights;
    const ss_stored_tensor **used = ss_grow(n->used, &n->cap_used, n->n_used + 1, sizeof *used);
    if (used)
        n->used = used;
    if (!w->name || !weights || !used) {
        out_of_memory(n);
        return NULL;
    }
    n->weights[n->n_weights++] = w;
    if (n->init) {
        make_weight(n, w, m, name);
        return w;
    }

    const ss_stored_tensor *t = ss_checkpoint_find(n->checkpoint, w->name);
    if (!t && n->also && strcmp(w->name, n->name) == 0)
        t = ss_checkpoint_find(n->checkpoint, n->also);
    if (!t)
        t = find_deprecated(n, m, name);
    if (!t) {
        list_name(&n->missing, ", ", "%s", w->name);
        return w;
    }
    n->used[n->n_used++] = t;
    fill_weight(n, w, t);
    return w;
}

float *ss_net_buffer(ss_net *n, const ss_module *m, const char *name, ss_shape shape, bool *stored)
{
    ss_weight w = {.shape = shape};
    ss_str full = {0};
    ss_err e = {0};
    float *values = ss_net_alloc(n, (size_t)ss_shape_numel(shape) * sizeof *values);

    *stored = false;
    if (!values)
        return NULL;
    ss_str_addf(&full, "%s.%s", m->path, name);
    w.name = keep(n, ss_str_detach(&full));
    const ss_stored_tensor *t =
        w.name && n->checkpoint ? ss_checkpoint_find(n->checkpoint, w.name) : NULL;
    if (!t)
        return w.name ? values : NULL;
    const ss_stored_tensor **used = ss_grow(n->used, &n->cap_used, n->n_used + 1, sizeof *used);
    if (!used) {
        out_of_memory(n);
        return NULL;
    }
    n->used = used;
    n->used[n->n_used++] = t;
    const int misshapen = n->misshapen.n;
    fill_weight(n, &w, t);
    if (n->err.code != SS_OK || n->misshapen.n > misshapen)
        return NULL;
    const void *data = ss_weight_data(&w, &e);
    if (data)
        ss_values_to_f32(w.dtype, data, (size_t)ss_shape_numel(shape), values);
    else
        ss_net_fail(n, e.code, "%s", e.msg);
    ss_weight_unload(&w);
    *stored = data;
    return data ? values : NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const ss_stored_tensor *const *)a)->name,
                  (*(const ss_stored_tensor *const *)b)->name);
}

/* True if a tensor that was not asked for may be there. diffusers' Fourier features once had their
 * weights under a second name, W, which it ignores. */
static bool is_ignored(ss_net *n, const char *name)
{
    if (strcmp(name, "time_proj.W") == 0 && ss_checkpoint_find(n->checkpoint, "time_proj.weight"))
        return true;
    for (int i = 0; i < n->n_left_out; i++) {
        if (ss_glob_match(n->left_out[i].glob, name)) {
            n->left_out[i].n++;
            return true;
        }
    }
    for (int i = 0; i < n->n_ignore; i++) {
        char shown[2 * SS_SHOWN];

        if (!ss_glob_match(n->ignore[i], name))
            continue;
        ss_str_addf(&n->ignored, "%s%s", n->n_ignored++ ? ", " : "",
                    ss_printable(name, shown, sizeof shown));
        return true;
    }
    return false;
}

/* Lists what only the checkpoint has; both lists are sorted. */
static void list_unexpected(ss_net *n)
{
    size_t u = 0;

    if (n->n_used)
        qsort(n->used, n->n_used, sizeof *n->used, by_name);
    for (size_t i = 0; i < ss_checkpoint_count(n->checkpoint); i++) {
        const ss_stored_tensor *t = ss_checkpoint_at(n->checkpoint, i);

        if (u < n->n_used && n->used[u] == t)
            u++;
        else if (!is_ignored(n, t->name))
            list_name(&n->unexpected, ", ", "%s", SS_SHOW(t->name));
    }
}

/* Lists what was left out among what was ignored. */
static void list_left_out(ss_net *n)
{
    for (int i = 0; i < n->n_left_out; i++) {
        if (!n->left_out[i].n)
            continue;
        ss_str_addf(&n->ignored, "%s%s (%d)", n->n_ignored ? ", " : "", n->left_out[i].glob,
                    n->left_out[i].n);
        n->n_ignored += n->left_out[i].n;
    }
}

static void report(ss_str *all, const char *file, const char *what, const name_list *l)
{
    if (l->n)
        ss_str_addf(all, "%s%s: %d tensor%s %s: %s%s", all->len ? "\n" : "", file, l->n,
                    l->n == 1 ? " is" : "s are", what, l->text.s ? l->text.s : "",
                    l->n > l->listed ? ", ..." : "");
}

ss_code ss_net_finish(ss_net *n, ss_err *e)
{
    ss_str all = {0};

    if (n->err.code != SS_OK) {
        if (e)
            *e = n->err;
        return n->err.code;
    }
    for (size_t i = 0; i < n->n_modules; i++) /* only now is it known which are blocks */
        if (!n->modules[i]->block)
            ((ss_module *)n->modules[i])->limit = 0;
    if (n->init)
        return SS_OK;
    const char *file = ss_checkpoint_name(n->checkpoint);
    list_unexpected(n);
    list_left_out(n);
    if (n->ignored.failed)
        return ss_no_memory(e, n->config_name);
    if (!n->misshapen.n && !n->missing.n && !n->unexpected.n)
        return SS_OK;
    ss_str_add(&all, n->misshapen.text.s ? n->misshapen.text.s : "");
    if (n->misshapen.n > 1)
        ss_str_addf(&all, "\n%s: %d tensors have another shape than the config wants", file,
                    n->misshapen.n);
    report(&all, file, "missing that the config wants", &n->missing);
    report(&all, file, "not in the config", &n->unexpected);
    if (n->unexpected.n)
        ss_str_add(&all, "; --ignore-extra GLOB goes on without those that match");
    ss_code rc = all.failed ? ss_no_memory(e, n->config_name) : ss_fail(e, SS_SHAPE, "%s", all.s);
    ss_str_release(&all);
    return rc;
}

const char *ss_net_ignored(const ss_net *n, int *count)
{
    *count = n->n_ignored;
    return n->ignored.s ? n->ignored.s : "";
}

ss_code ss_net_bind(ss_net *n, ss_ctx *c, ss_err *e)
{
    ss_net_unbind(n);
    for (size_t i = 0; i < n->n_weights; i++) {
        ss_weight *w = n->weights[i];

        if (!ss_weight_data(w, e)) {
            ss_net_unbind(n);
            return e->code;
        }
        w->tensor = ss_param(c, w->dtype, w->shape, w->data);
        if (!w->tensor) {
            ss_net_unbind(n);
            return ss_ctx_check(c, e);
        }
    }
    return SS_OK;
}

void ss_net_unbind(ss_net *n)
{
    for (size_t i = 0; i < n->n_weights; i++) {
        ss_release(n->weights[i]->tensor);
        n->weights[i]->tensor = NULL;
    }
}

const ss_module *const *ss_net_modules(const ss_net *n, int *count)
{
    *count = (int)n->n_modules;
    return n->modules;
}

ss_weight *const *ss_net_weights(const ss_net *n, int *count)
{
    *count = (int)n->n_weights;
    return n->weights;
}
