/* single.c - see single.h */
#include "models/file/single.h"

#include "base/mem.h"
#include "base/str.h"
#include "models/file/single_names.h"
#include "models/file/single_tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum { UNET, VAE, CLIP, OPEN_CLIP } kind;

/* A component in one of the layouts that files have. */
typedef struct {
    const char *prefix, *probe; /* there is a tensor of the name PREFIX PROBE */
    const char *component;
    kind kind;
    const ss_name_rule *rules; /* NULL: names are diffusers' own */
    bool own;                  /* rules only even out versions of diffusers' own names */
} layout;

/* Layouts without a prefix come last: whoever has one is no such file. */
static const layout layouts[] = {
    {"model.diffusion_model.", "input_blocks.0.0.weight", "unet", UNET, ss_ldm_unet_rules, false},
    {"diffusion_model.", "input_blocks.0.0.weight", "unet", UNET, ss_ldm_unet_rules, false},
    {"first_stage_model.", "decoder.mid.block_1.norm1.weight", "vae", VAE, ss_ldm_vae_rules, false},
    {"vae.", "decoder.mid.block_1.norm1.weight", "vae", VAE, ss_ldm_vae_rules, false},
    {"cond_stage_model.transformer.", "text_model.embeddings.token_embedding.weight",
     "text_encoder", CLIP, ss_ldm_clip_rules, false},
    {"cond_stage_model.transformer.", "embeddings.token_embedding.weight", "text_encoder", CLIP,
     ss_ldm_clip_rules, false},
    {"cond_stage_model.model.", "token_embedding.weight", "text_encoder", OPEN_CLIP,
     ss_ldm_open_clip_penultimate_rules, false},
    {"conditioner.embedders.0.transformer.", "text_model.embeddings.token_embedding.weight",
     "text_encoder", CLIP, ss_ldm_clip_rules, false},
    {"conditioner.embedders.1.model.", "token_embedding.weight", "text_encoder_2", OPEN_CLIP,
     ss_ldm_open_clip_rules, false},
    {"conditioner.embedders.0.model.", "token_embedding.weight", "text_encoder_2", OPEN_CLIP,
     ss_ldm_open_clip_rules, false},
    {"", "input_blocks.0.0.weight", "unet", UNET, ss_ldm_unet_rules, false},
    {"", "decoder.mid.block_1.norm1.weight", "vae", VAE, ss_ldm_vae_rules, false},
    {"", "down_blocks.0.resnets.0.conv1.weight", "unet", UNET, NULL, true},
    {"", "decoder.mid_block.resnets.0.norm1.weight", "vae", VAE, NULL, true},
    {"", "text_model.embeddings.token_embedding.weight", "text_encoder", CLIP, ss_ldm_clip_rules,
     true},
    {"", "embeddings.token_embedding.weight", "text_encoder", CLIP, ss_ldm_clip_rules, true},
};

enum { N_LAYOUTS = sizeof layouts / sizeof *layouts };

static const ss_stored_tensor *find(const ss_checkpoint *k, const char *prefix, const char *name)
{
    char whole[SS_NAME_MAX];

    snprintf(whole, sizeof whole, "%s%s", prefix, name);
    return ss_checkpoint_find(k, whole);
}

/* Finds the layouts of the components in a file, each component once. */
static int find_layouts(const ss_checkpoint *k, const layout *list[SS_SINGLE_MAX])
{
    int n = 0;

    for (int i = 0; i < N_LAYOUTS && n < SS_SINGLE_MAX; i++) {
        const layout *l = &layouts[i];
        bool known = n && !*l->prefix; /* with others in the file, these are no whole file */

        for (int j = 0; j < n; j++)
            known |= strcmp(list[j]->component, l->component) == 0;
        if (!known && find(k, l->prefix, l->probe))
            list[n++] = l;
    }
    return n;
}

static bool has_projection(const ss_checkpoint *k, const layout *l)
{
    if (l->rules == ss_ldm_open_clip_penultimate_rules)
        return false;
    return find(k, l->prefix, l->kind == OPEN_CLIP ? "text_projection" : "text_projection.weight");
}

int ss_single_detect(const ss_checkpoint *k, ss_single_component out[SS_SINGLE_MAX])
{
    const layout *list[SS_SINGLE_MAX];
    const int n = find_layouts(k, list);

    for (int i = 0; i < n; i++) {
        const char *class = list[i]->kind == UNET        ? "UNet2DConditionModel"
                            : list[i]->kind == VAE       ? "AutoencoderKL"
                            : has_projection(k, list[i]) ? "CLIPTextModelWithProjection"
                                                         : "CLIPTextModel";
        out[i] = (ss_single_component){list[i]->component, class, list[i]->prefix, !list[i]->own};
    }
    return n;
}

bool ss_single_is_translated(const ss_checkpoint *k)
{
    const layout *list[SS_SINGLE_MAX];

    return find_layouts(k, list) > 0 && !list[0]->own;
}

/* ---- which component ---- */

static void list_components(ss_str *s, const layout *const *list, int n)
{
    for (int i = 0; i < n; i++)
        ss_str_addf(s, "%s%s", i ? i + 1 < n ? ", " : " and " : "", list[i]->component);
}

/* Says which names there are where no layout is known. */
static ss_code no_layout(const ss_checkpoint *k, ss_err *e)
{
    const size_t n = ss_checkpoint_count(k);

    if (n == 0)
        return ss_fail(e, SS_FORMAT, "%s: there are no tensors in it", ss_checkpoint_name(k));
    return ss_fail(e, SS_UNSUPPORTED,
                   "%s: no config.json is beside it, and its names are not those of Stable "
                   "Diffusion or its parts, whose configuration can be inferred: they begin with "
                   "%s; name a config.json by --config. " SS_RECORD_INSTEAD,
                   ss_checkpoint_name(k), SS_SHOW(ss_checkpoint_at(k, 0)->name));
}

static ss_code pick_layout(const ss_checkpoint *k, const char *component, const layout *const *list,
                           int n, const layout **l, ss_err *e)
{
    ss_str have = {0};

    *l = NULL;
    if (n == 0)
        return no_layout(k, e);
    for (int i = 0; i < n && !*l; i++) {
        if (component ? strcmp(component, list[i]->component) == 0 : list[i]->kind == UNET)
            *l = list[i];
    }
    if (!*l && !component && n == 1)
        *l = list[0];
    if (*l)
        return SS_OK;
    list_components(&have, list, n);
    const ss_code rc = ss_fail(e, SS_USAGE, "%s: %s is in it; there %s %s", ss_checkpoint_name(k),
                               component ? "no such component" : "no denoiser",
                               n > 1 ? "are" : "is", have.s ? have.s : "others");
    ss_str_release(&have);
    return rc;
}

/* ---- the tensors of a component ---- */

/* Counts the numbers i for which BEFORE i AFTER is there. */
static int count(const ss_checkpoint *k, const char *prefix, const char *before, const char *after)
{
    char name[SS_NAME_MAX];
    int n = 0;

    do
        snprintf(name, sizeof name, "%s%d%s", before, n, after);
    while (n < 256 && find(k, prefix, name) && ++n);
    return n;
}

/* Reads the sizes that names depend on. */
static ss_name_sizes sizes_of(const ss_checkpoint *k, const layout *l)
{
    const char *p = l->prefix;
    ss_name_sizes s = {.per_block = 1, .label = "class_embedding"};

    if (l->kind == VAE) {
        s.last = count(k, p, "decoder.up.", ".block.0.norm1.weight") - 1;
        return s;
    }
    const ss_stored_tensor *text =
        find(k, p, "middle_block.1.transformer_blocks.0.attn2.to_k.weight");
    int i = 1;
    char name[64];

    /* the first layer that has no resnet halves the resolution, or is past the only block */
    do
        snprintf(name, sizeof name, "input_blocks.%d.0.in_layers.0.weight", i);
    while (i < 256 && find(k, p, name) && ++i);
    s.per_block = i;
    if (text && text->rank == 2 && (text->dim[1] == 2048 || text->dim[1] == 1280))
        s.label = "add_embedding"; /* XL and its refiner; others are told a class */
    return s;
}

/* A list of tensors under construction. */
typedef struct {
    ss_checkpoint *k;
    const layout *l;
    ss_name_sizes sizes;
    const ss_stored_tensor **list; /* room for three of each in the file */
    size_t n, n_dropped, n_other, n_average;
    ss_str dropped, other; /* the first names of each */
    bool average;          /* takes the averaged weights */
} taking;

static ss_code add(taking *t, const ss_stored_tensor *made, ss_err *e)
{
    if (made)
        t->list[t->n++] = made;
    return made ? SS_OK : e->code;
}

/* Adds a tensor under a name in which @ stands for each of three. */
static ss_code add_thirds(taking *t, const ss_stored_tensor *from, const char *name, ss_err *e)
{
    static const char *const which[] = {"q_proj", "k_proj", "v_proj"};
    const char *at = strchr(name, '@');
    ss_code rc = SS_OK;

    for (int i = 0; i < 3 && rc == SS_OK; i++) {
        char whole[SS_NAME_MAX + 8];

        snprintf(whole, sizeof whole, "%.*s%s%s", (int)(at - name), name, which[i], at + 1);
        rc = add(t, ss_stored_part(t->k, from, whole, i, 3, e), e);
    }
    return rc;
}

static ss_code add_changed(taking *t, const ss_stored_tensor *from, const char *name,
                           ss_values_change change, ss_err *e)
{
    switch (change) {
    case SS_VALUES_SAME: return add(t, ss_checkpoint_derive(t->k, from, name, e), e);
    case SS_VALUES_LINEAR: return add(t, ss_stored_matrix(t->k, from, name, e), e);
    case SS_VALUES_TRANSPOSED: return add(t, ss_stored_transposed(t->k, from, name, e), e);
    case SS_VALUES_THIRDS: break;
    }
    return add_thirds(t, from, name, e);
}

/* Counts a tensor that is left out, and names the first. */
static void leave_out(size_t *n, ss_str *names, const char *name)
{
    if (*n < 3)
        ss_str_addf(names, "%s%s", *n ? ", " : "", SS_SHOW(name));
    else if (*n == 3)
        ss_str_add(names, ", ...");
    ++*n;
}

/* Finds the averaged weights of a tensor: its name without dots, after "model_ema.". */
static ss_code find_average(const taking *t, const ss_stored_tensor **from, ss_err *e)
{
    char name[SS_NAME_MAX] = "model_ema.";
    const char *s = (*from)->name + strlen("model.");
    size_t n = strlen(name);

    for (; *s && n < sizeof name - 1; s++) {
        if (*s != '.')
            name[n++] = *s;
    }
    name[n] = '\0';
    const ss_stored_tensor *a = ss_checkpoint_find(t->k, name);
    bool same = a && a->rank == (*from)->rank;
    for (int i = 0; same && i < a->rank; i++)
        same = a->dim[i] == (*from)->dim[i];
    if (!same)
        return ss_fail(e, SS_FORMAT, "%s: the averaged weights of %s, %s, are %s",
                       ss_checkpoint_name(t->k), SS_SHOW((*from)->name), SS_SHOW(name),
                       a ? "of another shape" : "missing");
    *from = a;
    return SS_OK;
}

static ss_code take_tensor(taking *t, const ss_stored_tensor *from, ss_err *e)
{
    const char *name = from->name + strlen(t->l->prefix);
    ss_values_change change = SS_VALUES_SAME;
    char to[SS_NAME_MAX];

    if (t->average && find_average(t, &from, e) != SS_OK)
        return e->code;
    if (!t->l->rules)
        return add(t, from, e);
    switch (ss_name_translate(t->l->rules, name, &t->sizes, to, &change)) {
    case SS_NAME_TRANSLATED: return add_changed(t, from, to, change, e);
    case SS_NAME_DROPPED: leave_out(&t->n_dropped, &t->dropped, name); return SS_OK;
    case SS_NAME_UNKNOWN: break;
    }
    /* loading names it: the network has no such tensor */
    return add(t, ss_checkpoint_derive(t->k, from, name, e), e);
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool in_other_component(const char *name, const layout *const *found, int n)
{
    for (int i = 0; i < n; i++) {
        if (begins(name, found[i]->prefix))
            return true;
    }
    return false;
}

static ss_code take_tensors(taking *t, const layout *const *found, int n_found, ss_err *e)
{
    ss_code rc = SS_OK;

    for (size_t i = 0; i < ss_checkpoint_count(t->k) && rc == SS_OK; i++) {
        const ss_stored_tensor *from = ss_checkpoint_at(t->k, i);

        if (begins(from->name, t->l->prefix))
            rc = take_tensor(t, from, e);
        else if (begins(from->name, "model_ema."))
            t->n_average++;
        else if (!in_other_component(from->name, found, n_found))
            leave_out(&t->n_other, &t->other, from->name);
    }
    if (rc == SS_OK && (t->dropped.failed || t->other.failed))
        rc = ss_no_memory(e, ss_checkpoint_name(t->k));
    return rc;
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

/* Tells the user what became of the file. */
static ss_code say(const taking *t, const layout *const *found, int n_found, ss_err *e)
{
    ss_str have = {0};
    ss_code rc = SS_OK;

    list_components(&have, found, n_found);
    if (have.failed)
        rc = ss_no_memory(e, ss_checkpoint_name(t->k));
    else if (!t->l->own)
        rc = ss_checkpoint_say(t->k, e,
                               "single file with %s: %zu tensors are those of %s%s%s, under "
                               "diffusers' names",
                               have.s, t->n, t->l->component, *t->l->prefix ? ", " : "",
                               t->l->prefix);
    if (rc == SS_OK && t->n_dropped)
        rc = ss_checkpoint_say(t->k, e, "%zu tensor%s of %s that no pipeline uses: %s",
                               t->n_dropped, plural(t->n_dropped), t->l->component, t->dropped.s);
    if (rc == SS_OK && t->n_other)
        rc = ss_checkpoint_say(t->k, e, "%zu tensor%s of no component: %s", t->n_other,
                               plural(t->n_other), t->other.s);
    if (rc == SS_OK && t->n_average && t->l->kind == UNET)
        rc = ss_checkpoint_say(t->k, e,
                               t->average ? "the averaged weights (model_ema.) are taken"
                                          : "the averaged weights (model_ema.) are not used; "
                                            "--ema takes them");
    ss_str_release(&have);
    return rc;
}

/* ---- the configuration ---- */

/* The version of Stable Diffusion that a file is of, by the components in it. */
static ss_sd_version version_of(const ss_checkpoint *k, const layout *const *found, int n)
{
    ss_sd_version v = SS_SD_OTHER;

    for (int i = 0; i < n; i++) {
        const layout *l = found[i];
        const char *p = l->prefix;

        if (begins(p, "conditioner."))
            return SS_SD_XL;
        if (l->kind == UNET) {
            const ss_stored_tensor *text =
                find(k, p,
                     l->rules ? "middle_block.1.transformer_blocks.0.attn2.to_k.weight"
                              : "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight");
            const int64_t width = text && text->rank == 2 ? text->dim[1] : 0;

            if (width == 2048 || width == 1280)
                return SS_SD_XL;
            v = width == 768 ? SS_SD_1 : width == 1024 ? SS_SD_2 : v;
        } else if (v == SS_SD_OTHER && begins(p, "cond_stage_model.")) {
            v = l->kind == OPEN_CLIP ? SS_SD_2 : SS_SD_1;
        }
    }
    return v;
}

static void infer(ss_inference *x, const layout *l, ss_sd_version version)
{
    switch (l->kind) {
    case UNET: ss_infer_unet(x); break;
    case VAE: ss_infer_vae(x, version); break;
    case CLIP: ss_infer_clip(x, false); break;
    case OPEN_CLIP: ss_infer_clip(x, true); break;
    }
}

/* Infers the configuration of the component that is left in k. */
static ss_code fill(ss_single *s, const ss_checkpoint *k, const layout *l,
                    const ss_stored_tensor *const *whole, size_t n, ss_err *e)
{
    ss_inference x = {.k = k, .config = json_object()};

    if (!x.config)
        return ss_no_memory(e, ss_checkpoint_name(k));
    infer(&x, l, s->version);
    if (x.err.code == SS_OK && l->kind == UNET)
        ss_single_schedule(&x, s, whole, n);
    if (x.err.code == SS_OK) {
        s->config = x.config;
        s->rows = x.rows;
        s->n_rows = x.n;
        return SS_OK;
    }
    const ss_code rc = ss_fail(e, x.err.code, "%s", x.err.msg);
    ss_inference_release(&x);
    return rc;
}

ss_code ss_single_take(ss_checkpoint *k, const ss_single_options *opt, ss_single *s, ss_err *e)
{
    const layout *found[SS_SINGLE_MAX];
    const int n_found = find_layouts(k, found);
    const size_t n = ss_checkpoint_count(k);
    taking t = {.k = k};
    const ss_stored_tensor **whole = NULL;

    *s = (ss_single){0};
    ss_code rc = pick_layout(k, opt->component, found, n_found, &t.l, e);
    if (rc != SS_OK)
        return rc;
    t.average = opt->ema && !t.l->own && t.l->kind == UNET;
    s->name = t.l->component;
    t.sizes = sizes_of(k, t.l);
    s->version = version_of(k, found, n_found);
    s->has_vae = t.l->kind == UNET && !t.l->own;
    if (t.average && strcmp(t.l->prefix, "model.diffusion_model.") != 0)
        return ss_fail(e, SS_USAGE, "%s: there are no averaged weights in it (model_ema.)",
                       ss_checkpoint_name(k));

    t.list = ss_calloc(n ? 3 * n : 1, sizeof *t.list);
    whole = ss_calloc(n, sizeof *whole);
    if (!t.list || !whole)
        rc = ss_no_memory(e, ss_checkpoint_name(k));
    for (size_t i = 0; i < n && rc == SS_OK; i++)
        whole[i] = ss_checkpoint_at(k, i);
    if (rc == SS_OK)
        rc = take_tensors(&t, found, n_found, e);
    if (rc == SS_OK)
        rc = ss_checkpoint_replace(k, t.list, t.n, e);
    if (rc == SS_OK)
        rc = say(&t, found, n_found, e);
    if (rc == SS_OK && !opt->has_config)
        rc = fill(s, k, t.l, whole, n, e);
    ss_str_release(&t.dropped);
    ss_str_release(&t.other);
    ss_free(whole);
    ss_free(t.list);
    if (rc != SS_OK)
        ss_single_release(s);
    return rc;
}

void ss_single_release(ss_single *s)
{
    ss_inference x = {.config = s->config, .rows = s->rows, .n = s->n_rows};

    ss_inference_release(&x);
    json_decref(s->scheduler);
    *s = (ss_single){0};
}
