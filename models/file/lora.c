/* lora.c - see lora.h
 *
 *   reads the name of each tensor (lora_names.h), and sorts them by component and layer
 *   matches the layers with the weights of the network
 *   derives a weight for each, and puts it in the place of the one that was there
 */
#include "models/file/lora.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/file/cast_weights.h"
#include "models/file/lora_alpha.h"
#include "models/file/lora_values.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LISTED = 6, MAX_LIST = 300 /* bytes */ };

/* A tensor of the file. */
typedef struct {
    ss_lora_name name;
    const ss_stored_tensor *t;
} piece;

/* A weight of the network by its layer's name. */
typedef struct {
    char *layer;
    const ss_lora_target *target;
} place;

typedef struct {
    ss_checkpoint *k, *file;
    const char *component;
    double scale;
    ss_lora_config config;
    piece *pieces;
    size_t n_pieces;
    place *places; /* sorted by layer */
    size_t n_places;
    const ss_stored_tensor **list; /* the checkpoint's, with what was merged */
    size_t n_list;
    ss_lora_layers *layers;
    size_t n_merged, n_elsewhere, n_unknown;
    bool strict;               /* one of the unknown layers names the component that is open */
    ss_str elsewhere, unknown; /* names of components, and of layers */
    const char *last_elsewhere;
} merging;

void ss_lora_layers_release(ss_lora_layers *l)
{
    ss_free(l->list);
    *l = (ss_lora_layers){0};
}

/* --- which file, and how much of it --- */

/* Returns the file of an adapter's folder, or the path itself; NULL where memory is out. */
static char *file_of(const char *path)
{
    static const char *const names[] = {"adapter_model.safetensors",
                                        "pytorch_lora_weights.safetensors", "adapter_model.bin",
                                        "pytorch_lora_weights.bin"};

    for (size_t i = 0; i < sizeof names / sizeof *names && ss_is_dir(path); i++) {
        char *file = ss_path_join(path, names[i]);

        if (!file || ss_file_exists(file))
            return file;
        ss_free(file);
    }
    return ss_strdup(path);
}

ss_code ss_lora_spec_read(const char *spec, char **file, double *scale, ss_err *e)
{
    const char *colon = strrchr(spec, ':');
    char *path = ss_strdup(spec);

    *scale = 1;
    if (path && colon && colon > spec && !ss_file_exists(spec) && !ss_is_dir(spec)) {
        path[colon - spec] = '\0';
        if (!ss_parse_double(colon + 1, scale)) {
            ss_free(path);
            return ss_fail(e, SS_USAGE, "--lora takes FILE or FILE:SCALE, not '%s'", SS_SHOW(spec));
        }
    }
    *file = path ? file_of(path) : NULL;
    ss_free(path);
    if (!*file)
        return ss_no_memory(e, spec);
    if (ss_file_exists(*file) && !ss_is_dir(*file))
        return SS_OK;
    const ss_code rc = ss_fail(e, SS_IO, "--lora: %s is %s", SS_SHOW(*file),
                               ss_is_dir(*file) ? "a folder without adapter_model.safetensors or "
                                                  "pytorch_lora_weights.safetensors"
                                                : "not there");
    ss_free(*file);
    *file = NULL;
    return rc;
}

/* --- what is in it --- */

/* Counts the layers of a block in latent diffusion's numbers: the resnets of the first one, and
 * its change of resolution. */
static int per_block(const ss_lora_target *targets, size_t n)
{
    static const char start[] = "down_blocks.0.resnets.";
    int most = 0;

    for (size_t i = 0; i < n; i++) {
        if (strncmp(targets[i].name, start, sizeof start - 1) == 0) {
            const long at = strtol(targets[i].name + sizeof start - 1, NULL, 10);

            most = at > most && at < 1000 ? (int)at : most;
        }
    }
    return most + 2;
}

static int by_layer(const void *a, const void *b)
{
    const piece *x = a, *y = b;
    int c = strcmp(x->name.component, y->name.component);

    if (!c)
        c = strcmp(x->name.layer, y->name.layer);
    return c ? c : (x->name.part > y->name.part) - (x->name.part < y->name.part);
}

static ss_code read_names(merging *m, int layers, ss_err *e)
{
    const size_t n = ss_checkpoint_count(m->file);

    m->pieces = ss_calloc(n, sizeof *m->pieces);
    if (!m->pieces)
        return ss_no_memory(e, ss_checkpoint_name(m->file));
    for (; m->n_pieces < n; m->n_pieces++) {
        piece *p = &m->pieces[m->n_pieces];

        p->t = ss_checkpoint_at(m->file, m->n_pieces);
        if (ss_lora_name_read(p->t->name, layers, &p->name, e) != SS_OK)
            return ss_fail_prefix(e, "--lora: %s", ss_checkpoint_name(m->file));
    }
    if (n)
        qsort(m->pieces, n, sizeof *m->pieces, by_layer);
    return n ? SS_OK
             : ss_fail(e, SS_FORMAT, "--lora: %s has no tensors", ss_checkpoint_name(m->file));
}

/* --- where it goes --- */

static int by_place(const void *a, const void *b)
{
    return strcmp(((const place *)a)->layer, ((const place *)b)->layer);
}

static ss_code list_places(merging *m, const ss_lora_target *targets, size_t n, ss_err *e)
{
    static const char end[] = ".weight";

    m->places = ss_calloc(n, sizeof *m->places);
    if (!m->places)
        return ss_no_memory(e, "LoRA");
    for (size_t i = 0; i < n; i++) {
        const size_t length = strlen(targets[i].name), cut = sizeof end - 1;

        if (length <= cut || strcmp(targets[i].name + length - cut, end) != 0)
            continue;
        char *layer = ss_lora_layer_name(targets[i].name);
        if (!layer)
            return ss_no_memory(e, "LoRA");
        layer[length - cut] = '\0';
        m->places[m->n_places++] = (place){layer, &targets[i]};
    }
    if (m->n_places)
        qsort(m->places, m->n_places, sizeof *m->places, by_place);
    return SS_OK;
}

static const ss_lora_target *find_place(const merging *m, const char *layer)
{
    const place key = {.layer = (char *)(uintptr_t)layer};
    const place *hit =
        m->n_places ? bsearch(&key, m->places, m->n_places, sizeof key, by_place) : NULL;

    return hit ? hit->target : NULL;
}

/* Finds the weight of a layer. transformers 5 took text_model out of the names of CLIP. */
static const ss_lora_target *find_target(const merging *m, const char *layer)
{
    static const char old[] = "text_model_";
    const ss_lora_target *t = find_place(m, layer);

    return !t && strncmp(layer, old, sizeof old - 1) == 0 ? find_place(m, layer + sizeof old - 1)
                                                          : t;
}

/* Puts d in the place of t in the list. */
static void replace(merging *m, const ss_stored_tensor *t, const ss_stored_tensor *d)
{
    for (size_t i = 0; i < m->n_list; i++) {
        if (strcmp(m->list[i]->name, t->name) == 0)
            m->list[i] = d;
    }
}

static const ss_stored_tensor *current(const merging *m, const ss_stored_tensor *t)
{
    const ss_stored_tensor *now = ss_checkpoint_find(m->k, t->name);

    return now ? now : t;
}

/* Reads the layer's own alpha; NaN where it has none. */
static ss_code own_alpha(const ss_stored_tensor *t, double *alpha, ss_err *e)
{
    char raw[8];
    float value;

    *alpha = NAN;
    if (!t)
        return SS_OK;
    if (!t->usable || t->bytes != ss_dtype_size(t->dtype))
        return ss_fail(e, SS_FORMAT, "%s: %s is not one number that can be used", t->file,
                       SS_SHOW(t->name));
    const ss_code rc = ss_stored_read(t, raw, e);
    if (rc == SS_OK) {
        ss_values_to_f32(t->dtype, raw, 1, &value);
        *alpha = (double)value;
    }
    return rc;
}

/* Computes alpha and the scale of a layer. */
static ss_code scale_of(merging *m, const char *module, ss_lora_source *s, ss_lora_layer *l,
                        ss_err *e)
{
    const bool whole = s->part[SS_LOKR_1] && s->part[SS_LOKR_2];
    double rank, alpha = NAN;
    bool by_root = false;
    ss_code rc = own_alpha(s->part[SS_LORA_ALPHA], &l->alpha, e);

    if (rc == SS_OK)
        rc = ss_lora_config_numbers(&m->config, m->component, module, &alpha, &rank, &by_root, e);
    if (rc != SS_OK)
        return ss_fail_prefix(e, "--lora: %s", ss_checkpoint_name(m->file));
    if (s->part[SS_LORA_DIFF] || (whole && !m->config.root)) {
        l->alpha = NAN; /* there is no rank that it could go over */
        rank = 1;
    } else {
        if (isnan(l->alpha))
            l->alpha = alpha;
        if (l->rank && !(whole || strcmp(l->kind, "LoKr") == 0) && !isnan(rank) &&
            (int64_t)rank != l->rank)
            return ss_fail(e, SS_FORMAT, "--lora: %s: %s has rank %lld, and %s says %g",
                           ss_checkpoint_name(m->file), SS_SHOW(module), (long long)l->rank,
                           m->config.path ? m->config.path : "its metadata", rank);
        if (isnan(rank))
            rank = (double)l->rank;
        if (isnan(l->alpha))
            l->alpha = rank;
    }
    l->scale = m->scale;
    if (!isnan(l->alpha))
        l->scale *= l->alpha / (by_root ? sqrt(rank) : rank);
    s->scale = l->scale;
    return isfinite(l->scale) ? SS_OK
                              : ss_fail(e, SS_FORMAT, "--lora: %s: the scale of %s is not finite",
                                        ss_checkpoint_name(m->file), SS_SHOW(module));
}

/* Derives the weight of a layer whose parts are in s. */
static ss_code merge_layer(merging *m, const ss_lora_target *target, ss_lora_source *s, ss_err *e)
{
    ss_lora_layer l = {.file = s->part[0] ? s->part[0]->file : ""};
    char module[512];
    ss_code rc;

    snprintf(module, sizeof module, "%.*s", (int)(strlen(target->name) - strlen(".weight")),
             target->name);
    l.kind = ss_lora_kind(s);
    if (!l.kind)
        return ss_fail(e, SS_FORMAT, "--lora: %s: parts of the layer %s are missing",
                       ss_checkpoint_name(m->file), SS_SHOW(module));
    s->base = l.before = current(m, target->stored);
    if (ss_lora_check(s, e) != SS_OK)
        return ss_fail_prefix(e, "--lora");
    l.rank = ss_lora_rank(s);
    rc = scale_of(m, module, s, &l, e);
    if (rc != SS_OK)
        return rc;
    if (s->part[SS_LORA_MAGNITUDE] && strcmp(l.kind, "LoRA") == 0)
        l.kind = "DoRA";
    l.file = ss_checkpoint_name(m->file);
    ss_stored_tensor *d = ss_checkpoint_derive(m->k, l.before, l.before->name, e);
    char *weight = ss_checkpoint_alloc(m->k, strlen(target->name) + 1, e); /* targets end sooner */
    ss_lora_layer *grown =
        d && weight ? ss_grow(m->layers->list, &m->layers->cap, m->layers->n + 1, sizeof *grown)
                    : NULL;
    if (!grown)
        return ss_no_memory(e, module);
    l.weight = memcpy(weight, target->name, strlen(target->name) + 1);
    d->data = NULL;
    d->make = ss_lora_make;
    d->source = s;
    l.after = d;
    m->layers->list = grown;
    grown[m->layers->n++] = l;
    replace(m, l.before, d);
    m->n_merged++;
    return SS_OK;
}

/* True where a layer is of the component that is open. One that the name does not tell may be. */
static bool is_meant(const merging *m, const char *component)
{
    return !*component || strcmp(component, m->component) == 0;
}

static void note_elsewhere(merging *m, const char *component)
{
    if (!m->last_elsewhere || strcmp(m->last_elsewhere, component) != 0)
        ss_str_addf(&m->elsewhere, "%s%s", m->n_elsewhere ? ", " : "", component);
    m->last_elsewhere = component;
    m->n_elsewhere++;
}

static void note_unknown(merging *m, const char *component, const char *layer)
{
    m->strict |= *component != '\0';
    if (m->n_unknown < MAX_LISTED && m->unknown.len < MAX_LIST)
        ss_str_addf(&m->unknown, "%s%s", m->n_unknown ? ", " : "", SS_SHOW(layer));
    m->n_unknown++;
}

/* Goes over the layers of the file, and merges those that are meant. */
static ss_code merge_all(merging *m, ss_err *e)
{
    ss_code rc = SS_OK;

    for (size_t i = 0, next; i < m->n_pieces && rc == SS_OK; i = next) {
        const ss_lora_name *name = &m->pieces[i].name;
        ss_lora_source *s = ss_checkpoint_alloc(m->k, sizeof *s, e);
        const ss_lora_target *target =
            is_meant(m, name->component) ? find_target(m, name->layer) : NULL;

        if (!s)
            return e->code;
        for (next = i; next < m->n_pieces && strcmp(m->pieces[next].name.layer, name->layer) == 0 &&
                       strcmp(m->pieces[next].name.component, name->component) == 0;
             next++) {
            const ss_stored_tensor **part = &s->part[m->pieces[next].name.part];

            if (*part)
                return ss_fail(e, SS_FORMAT, "--lora: %s: %s and %s are the same part of a layer",
                               ss_checkpoint_name(m->file), SS_SHOW((*part)->name),
                               SS_SHOW(m->pieces[next].t->name));
            *part = m->pieces[next].t;
        }
        if (!is_meant(m, name->component))
            note_elsewhere(m, name->component);
        else if (!target)
            note_unknown(m, name->component, name->layer);
        else
            rc = merge_layer(m, target, s, e);
    }
    return rc;
}

static ss_code conclude(merging *m, ss_err *e)
{
    const char *file = ss_checkpoint_name(m->file);
    const bool denoiser = strcmp(m->component, "denoiser") == 0;
    ss_code rc = SS_OK;

    if (m->unknown.failed || m->elsewhere.failed)
        return ss_no_memory(e, file);
    if (m->n_unknown && (denoiser || m->n_merged || m->strict))
        return ss_fail(e, SS_SHAPE, "--lora: %s: %zu layer%s not in the network: %s%s", file,
                       m->n_unknown, m->n_unknown == 1 ? " is" : "s are",
                       m->unknown.s ? m->unknown.s : "", m->n_unknown > MAX_LISTED ? ", ..." : "");
    if (m->n_merged)
        rc = ss_checkpoint_say(m->k, e, "LoRA %s merged into layers: %zu, times %g", SS_SHOW(file),
                               m->n_merged, m->scale);
    if (rc == SS_OK && m->n_elsewhere + m->n_unknown)
        rc = ss_checkpoint_say(m->k, e, "LoRA %s: layers of other components: %zu (%s)",
                               SS_SHOW(file), m->n_elsewhere + m->n_unknown,
                               m->elsewhere.s ? m->elsewhere.s : "by their names");
    return rc == SS_OK ? ss_checkpoint_replace(m->k, m->list, m->n_list, e) : rc;
}

/* Copies the checkpoint's list, to put merged weights in. */
static ss_code copy_list(merging *m, ss_err *e)
{
    m->n_list = ss_checkpoint_count(m->k);
    m->list = ss_calloc(m->n_list, sizeof *m->list);
    if (!m->list)
        return ss_no_memory(e, ss_checkpoint_name(m->k));
    for (size_t i = 0; i < m->n_list; i++)
        m->list[i] = ss_checkpoint_at(m->k, i);
    return SS_OK;
}

/* Opens the file, and makes it the checkpoint's, together with what is beside it. */
static ss_code open_file(merging *m, const char *spec, ss_err *e)
{
    char *path = NULL;
    ss_code rc = ss_lora_spec_read(spec, &path, &m->scale, e);

    if (rc == SS_OK)
        rc = ss_checkpoint_open(path, NULL, &m->file, e);
    if (rc == SS_OK && (rc = ss_checkpoint_adopt(m->k, m->file, e)) != SS_OK) {
        ss_checkpoint_close(m->file);
        m->file = NULL;
    }
    if (rc == SS_OK)
        rc = ss_checkpoint_cast(m->file, e);
    if (rc == SS_OK)
        rc = ss_lora_config_read(path, &m->config, e);
    if (rc == SS_OK)
        rc = ss_checkpoint_add_file(m->k, path, e);
    if (rc == SS_OK && m->config.path)
        rc = ss_checkpoint_add_file(m->k, m->config.path, e);
    ss_free(path);
    return rc;
}

ss_code ss_lora_merge(ss_checkpoint *k, const char *spec, const char *component,
                      const ss_lora_target *targets, size_t n, ss_lora_layers *layers, ss_err *e)
{
    merging m = {.k = k, .component = component, .layers = layers};
    ss_code rc = open_file(&m, spec, e);

    if (rc == SS_OK)
        rc = read_names(&m, per_block(targets, n), e);
    if (rc == SS_OK)
        rc = list_places(&m, targets, n, e);
    if (rc == SS_OK)
        rc = copy_list(&m, e);
    if (rc == SS_OK)
        rc = merge_all(&m, e);
    if (rc == SS_OK)
        rc = conclude(&m, e);
    for (size_t i = 0; m.pieces && i < ss_checkpoint_count(m.file); i++)
        ss_lora_name_release(&m.pieces[i].name);
    for (size_t i = 0; i < m.n_places; i++)
        ss_free(m.places[i].layer);
    ss_lora_config_release(&m.config);
    ss_str_release(&m.elsewhere);
    ss_str_release(&m.unknown);
    ss_free(m.pieces);
    ss_free(m.places);
    ss_free(m.list);
    return rc;
}
