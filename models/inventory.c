/* inventory.c - see inventory.h */
#include "models/inventory.h"

#include "base/format.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/sampling/noising.h"
#include "models/weight_stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ss_inventory {
    const ss_model *model;
    ss_weight_stats *stats; /* [weights] */
};

static void property(ss_table *t, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void property(ss_table *t, const char *name, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ss_table_row(t);
    ss_table_text(t, name);
    ss_table_text(t, text);
}

/* Returns the dtype that a weight has in its file. */
static const char *stored_dtype(const ss_weight *w)
{
    return w->stored ? w->stored->type : ss_dtype_name(w->dtype);
}

/* Adds the row "F16 (686 tensors)", or several dtypes in one, as the files have them. */
static void list_dtypes(ss_table *t, ss_weight *const *w, int n)
{
    ss_str s = {0};

    for (int i = 0; i < n; i++) {
        const char *type = stored_dtype(w[i]);
        int count = 0, before = 0;

        for (int k = 0; k < n; k++) {
            const bool same = strcmp(stored_dtype(w[k]), type) == 0;

            count += same;
            before += same && k < i;
        }
        if (!before)
            ss_str_addf(&s, "%s%s (%d tensors)", s.len ? ", " : "", SS_SHOW(type), count);
    }
    property(t, "dtypes", "%s", s.s ? s.s : "none");
    ss_str_release(&s);
}

static void list_conditions(ss_table *t, const ss_model_info *a)
{
    const ss_condition_needs *k = &a->net.needs;
    char reference[80] = "";

    if (k->reference_channels)
        snprintf(reference, sizeof reference,
                 ": %lld of reference frames, and a mask, 1 where there is one",
                 (long long)k->reference_channels);
    if (k->table_classes)
        property(t, "condition",
                 "--class 0..%lld through cross-attention, or --prompt-embeds "
                 "[N,tokens,%lld]",
                 (long long)k->table_classes - 1, (long long)k->text_width);
    else if (k->text_width && k->numbers_only)
        property(
            t, "condition",
            "--prompt-embeds [N,1,%lld]: a picture's state, made by an image encoder elsewhere",
            (long long)k->text_width);
    else if (k->text_width)
        property(t, "condition", "--prompt-embeds [N,tokens,%lld]%s", (long long)k->text_width,
                 k->text_optional ? ", or none: attention then looks at the picture itself"
                                  : ", or a stand-in, --prompt-embeds random");
    if (k->n_classes)
        property(t, "condition", "--class 0..%lld", (long long)k->n_classes - 1);
    else if (k->class_width == 1)
        property(t, "condition", "--class: a number, as the noise level of an upscaler's picture");
    else if (k->class_width)
        property(t, "condition", "--class-embeds [N,%lld]", (long long)k->class_width);
    if (k->guidance_width)
        property(t, "condition", "--guidance-embed W, or none: a scale of guidance");
    if (k->concat_channels)
        property(t, "condition", "--concat [N,%lld,%sH,W], after the picture's %lld channels%s",
                 (long long)k->concat_channels, a->net.sample_frames ? "F," : "",
                 (long long)(a->net.in_channels - k->concat_channels), reference);
    if (k->numbers_only)
        property(t, "condition", "--time-ids FILE#NAME: %lld numbers of the video",
                 (long long)(k->added_width / k->time_id_width));
    else if (k->added_width)
        property(t, "condition", "--text-embeds and --time-ids, together %lld wide",
                 (long long)k->added_width);
}

/* Lists what a denoiser takes and gives. */
static void list_denoiser(ss_table *t, const ss_model_info *a)
{
    char frames[40] = "";

    if (a->net.sample_frames)
        snprintf(frames, sizeof frames, "%lld frames of ", (long long)a->net.sample_frames);
    property(t, "input", "%lld channels, %s%lldx%lld", (long long)a->net.in_channels, frames,
             (long long)a->net.sample_h, (long long)a->net.sample_w);
    property(t, "output", "%lld channels", (long long)a->net.out_channels);
    list_conditions(t, a);
}

/* Lists what an autoencoder takes and gives. */
static void list_vae(ss_table *t, const ss_network_info *i)
{
    const long long f = (long long)i->latent_factor;
    char size[60] = "", latent_size[60] = "";

    if (i->sample_h) {
        snprintf(size, sizeof size, ", %lldx%lld", (long long)i->sample_h, (long long)i->sample_w);
        snprintf(latent_size, sizeof latent_size, ", %lldx%lld", (long long)i->sample_h / f,
                 (long long)i->sample_w / f);
    }
    property(t, "input", "pictures of %lld channels%s", (long long)i->in_channels, size);
    property(t, "latents", "%lld channels%s: 1/%lld of height and width",
             (long long)i->latent_channels, latent_size, f);
    property(t, "output", "pictures of %lld channels", (long long)i->out_channels);
}

/* Lists what a text encoder takes and gives. */
static void list_text(ss_table *t, const ss_text_info *i)
{
    char most[40] = "any number of", projected[60] = "";

    if (i->most_tokens)
        snprintf(most, sizeof most, "up to %lld", (long long)i->most_tokens);
    if (i->projected)
        snprintf(projected, sizeof projected, ", a projected one of width %lld",
                 (long long)i->projected);
    property(t, "input", "%s tokens, of %lld that it knows", most, (long long)i->vocabulary);
    property(t, "output", "a state of width %lld for each token%s%s", (long long)i->width,
             i->pooled ? ", a pooled one" : "", projected);
}

static ss_code add_schedule(const ss_model_info *a, ss_table *t, ss_err *e)
{
    const ss_noising_options o = {
        .file = a->scheduler,
        .inferred = a->inferred_scheduler,
        .ask_prediction = a->ask_prediction,
        .takes_sigma = a->net.takes_sigma,
        .like_stable_diffusion = a->net.like_stable_diffusion,
    };
    ss_noising *k;
    ss_err why = {0};
    ss_code rc = ss_noising_open(&o, &k, e);

    if (rc != SS_OK)
        return rc;
    if (ss_noising_check(k, &why) != SS_OK)
        property(t, "schedule", "not known: %s", why.msg);
    else
        property(t, "schedule", "%s", ss_noising_text(k));
    ss_noising_free(k);
    return SS_OK;
}

/* Returns the path as it is called in the folder, if it lies there. */
static const char *path_below(const char *folder, const char *path)
{
    const size_t n = strlen(folder);

    return n && strncmp(path, folder, n) == 0 && path[n] == '/' && path[n + 1] ? path + n + 1
                                                                               : path;
}

ss_code ss_inventory_about(const ss_model *m, ss_table *t, ss_err *e)
{
    const ss_model_info *a = ss_model_about(m);
    const ss_checkpoint *k = ss_model_checkpoint(m);
    char remedies[256], motion[512];
    int n_weights, n_modules, n_inner = 0;
    ss_weight *const *w = ss_model_weights(m, &n_weights);
    ss_code rc = ss_table_init(t, "model", e);

    if (rc != SS_OK)
        return rc;
    const ss_module *const *modules = ss_model_modules(m, &n_modules);
    for (int i = 0; i < n_modules; i++)
        n_inner += modules[i]->inner != SS_INNER_NONE;
    ss_table_column(t, "property", SS_COL_TEXT, NULL);
    ss_table_column(t, "value", SS_COL_TEXT, NULL);
    property(t, "folder", "%s", a->folder);
    property(t, "family", "%s", a->family);
    property(t, "weights", "%s: %s, %.1f MB in %zu file%s", a->format,
             path_below(a->folder, ss_checkpoint_name(k)), (double)a->weight_bytes * 1e-6,
             ss_checkpoint_n_files(k), ss_checkpoint_n_files(k) == 1 ? "" : "s");
    list_dtypes(t, w, n_weights);
    property(t, "parameters", "%lld in %d tensors, %d modules", (long long)a->n_parameters,
             n_weights, n_modules - n_inner);
    switch (a->role) {
    case SS_DENOISER:
        ss_table_note(t, "a denoiser");
        list_denoiser(t, a);
        break;
    case SS_VAE:
        ss_table_note(t, "an autoencoder, of pictures and latents");
        list_vae(t, &a->net);
        break;
    case SS_TEXT:
        ss_table_note(t, "a text encoder");
        list_text(t, &a->net.text);
        break;
    case SS_N_ROLES: break;
    }
    if (a->n_ignored)
        property(t, "ignored", "%d tensors: %s", a->n_ignored, a->ignored);
    for (int i = 0; ss_checkpoint_note(k, i); i++)
        property(t, "note", "%s", ss_checkpoint_note(k, i));
    if (*ss_remedies_text(a->net.remedies, remedies, sizeof remedies))
        property(t, "remedies", "%s", remedies);
    if (a->net.motion && *ss_motion_text(a->net.motion, motion, sizeof motion))
        property(t, "motion", "%s", motion);
    return a->role == SS_DENOISER ? add_schedule(a, t, e) : SS_OK;
}

/* Lists the values that were inferred, with their reasons. */
static void list_inferred(ss_table *t, const ss_single_inferred *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ss_table_row(t);
        ss_table_text(t, rows[i].key);
        ss_table_text(t, rows[i].value);
        ss_table_text(t, rows[i].from);
    }
}

ss_code ss_inventory_options(const ss_model *m, ss_table *t, ss_err *e)
{
    size_t n_inferred;
    const ss_single_inferred *inferred = ss_model_inferred(m, &n_inferred);
    json_t *config = (json_t *)(uintptr_t)ss_model_config(m), *value; /* read only */
    const char *key;
    ss_code rc = ss_table_init(t, "options", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "option", SS_COL_TEXT, NULL);
    ss_table_column(t, "value", SS_COL_TEXT, NULL);
    if (n_inferred) {
        ss_table_column(t, "inferred from", SS_COL_TEXT, NULL);
        list_inferred(t, inferred, n_inferred);
        return SS_OK;
    }
    json_object_foreach(config, key, value)
    {
        char *text = *key == '_' ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

        if (text)
            property(t, key, "%s", text);
        free(text); /* jansson's */
    }
    return SS_OK;
}

ss_code ss_inventory_new(ss_ctx *c, const ss_model *m, ss_inventory **out, ss_err *e)
{
    int n;
    ss_weight *const *w = ss_model_weights(m, &n);
    ss_inventory *v = ss_calloc(1, sizeof *v);
    ss_progress progress;
    ss_code rc = SS_OK;

    if (v)
        v->stats = ss_calloc((size_t)n, sizeof *v->stats);
    if (!v || !v->stats) {
        ss_inventory_free(v);
        return ss_no_memory(e, "statistics of weights");
    }
    v->model = m;
    ss_progress_begin(&progress, "weights", n);
    for (int i = 0; i < n && rc == SS_OK; i++) {
        rc = ss_weight_data(w[i], e) ? SS_OK : e->code;
        if (rc == SS_OK)
            rc = ss_weight_stats_take(c, w[i]->dtype, w[i]->data, ss_shape_numel(w[i]->shape),
                                      &v->stats[i], e);
        ss_weight_unload(w[i]);
        ss_progress_step(&progress, i + 1, w[i]->name);
    }
    ss_progress_end(&progress);
    if (rc != SS_OK)
        ss_inventory_free(v);
    else
        *out = v;
    return rc;
}

void ss_inventory_free(ss_inventory *v)
{
    if (!v)
        return;
    ss_free(v->stats);
    ss_free(v);
}

uint64_t ss_inventory_bad(const ss_inventory *v)
{
    uint64_t bad = 0;
    int n;

    ss_model_weights(v->model, &n);
    for (int i = 0; i < n; i++)
        bad += v->stats[i].nonfinite;
    return bad;
}

void ss_inventory_say(const ss_inventory *v, FILE *f)
{
    const uint64_t bad = ss_inventory_bad(v);
    char shown[300];
    int n, n_bad = 0, n_over = 0;
    double largest = NAN;
    ss_weight *const *w = ss_model_weights(v->model, &n);
    const char *first = NULL, *where = NULL, *over = NULL;
    ss_format fp16;

    ss_format_read("fp16", &fp16);
    for (int i = 0; i < n; i++) {
        const ss_weight_stats *s = &v->stats[i];

        n_bad += s->nonfinite > 0;
        if (s->nonfinite && !first)
            first = w[i]->name;
        if (!(s->absmax <= largest) && !isnan(s->absmax)) {
            largest = s->absmax;
            where = w[i]->name;
        }
        if (isinf(ss_format_round(&fp16, (float)s->absmax)) && n_over++ == 0)
            over = w[i]->name;
    }
    if (first)
        fprintf(f,
                "%llu weight%s inf or NaN, in %d of %d tensors, the first in %s: this checkpoint "
                "is broken.\n",
                (unsigned long long)bad, bad == 1 ? " is" : "s are", n_bad, n,
                ss_printable(first, shown, sizeof shown));
    else if (where)
        fprintf(f, "weights: all finite, the largest |w| is %.4g, in %s.\n", largest,
                ss_printable(where, shown, sizeof shown));
    else
        fputs("weights: there are none.\n", f);
    if (over)
        fprintf(
            f,
            "%d of %d tensors %s a weight over fp16's largest number, %.5g, that becomes inf in "
            "fp16; the first is %s.\n",
            n_over, n, n_over == 1 ? "has" : "have", fp16.max,
            ss_printable(over, shown, sizeof shown));
    fputs("\n", f);
}

/* True when a parameter lies in the module or below it. */
static bool lies_below(const char *parameter, const char *path)
{
    size_t n = strlen(path);

    return n == 0 || (strncmp(parameter, path, n) == 0 && parameter[n] == '.');
}

static int depth_of(const char *path)
{
    int depth = *path ? 1 : 0;

    for (; *path; path++)
        depth += *path == '.';
    return depth;
}

/* Counts the modules inside of one, without inner values. */
static int count_inside(const ss_module *const *modules, int n, const char *path)
{
    int count = 0;

    for (int i = 0; i < n; i++)
        count += !modules[i]->inner && strcmp(modules[i]->path, path) != 0 &&
                 lies_below(modules[i]->path, path);
    return count;
}

ss_code ss_inventory_modules(const ss_inventory *v, int depth, ss_table *t, ss_err *e)
{
    int n_modules, n_weights, cut = 0;
    const ss_module *const *modules = ss_model_modules(v->model, &n_modules);
    ss_weight *const *w = ss_model_weights(v->model, &n_weights);
    ss_code rc = ss_table_init(t, "modules", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "module", SS_COL_TEXT, NULL);
    ss_table_column(t, "kind", SS_COL_TEXT, NULL);
    ss_table_column(t, "inside", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "parameters", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "absmax", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "rms", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "nonfinite", SS_COL_NUMBER, "%.0f");
    for (int i = 0; i < n_modules; i++) {
        const ss_module *m = modules[i];
        double absmax = NAN, sum2 = 0, count = 0, bad = 0;

        if (m->inner)
            continue;
        if (depth && depth_of(m->path) > depth) {
            cut++;
            continue;
        }
        for (int k = 0; k < n_weights; k++) {
            const ss_weight_stats *s = &v->stats[k];
            double finite = (double)(s->count - s->nonfinite);

            if (!lies_below(w[k]->name, m->path))
                continue;
            absmax = fmax(absmax, s->absmax); /* ignores NaN */
            sum2 += finite > 0 ? s->rms * s->rms * finite : 0;
            count += (double)s->count;
            bad += (double)s->nonfinite;
        }
        ss_table_row(t);
        ss_table_text(t, *m->path ? m->path : SS_ROOT);
        ss_table_text(t, m->kind);
        ss_table_number(t, count_inside(modules, n_modules, m->path));
        ss_table_number(t, count);
        ss_table_number(t, absmax);
        ss_table_number(t, count > bad ? sqrt(sum2 / (count - bad)) : NAN);
        ss_table_number(t, bad);
    }
    if (cut)
        ss_table_note(t,
                      "down to depth %d, each with the number of modules inside of it; %d lie "
                      "deeper (--depth 0)",
                      depth, cut);
    return SS_OK;
}

typedef struct {
    const ss_weight *w;
    const ss_weight_stats *s;
} ranked;

static int by_size(const void *pa, const void *pb)
{
    const ranked *a = pa, *b = pb;

    if ((a->s->nonfinite > 0) != (b->s->nonfinite > 0))
        return a->s->nonfinite ? -1 : 1;
    if (a->s->absmax != b->s->absmax)
        return a->s->absmax > b->s->absmax ? -1 : 1;
    return strcmp(a->w->name, b->w->name);
}

ss_code ss_inventory_weights(const ss_inventory *v, int top, ss_table *t, ss_err *e)
{
    int n;
    ss_weight *const *w = ss_model_weights(v->model, &n);
    ranked *r = ss_calloc((size_t)n, sizeof *r);
    ss_code rc;

    if (!r)
        return ss_no_memory(e, "a table of weights");
    rc = ss_table_init(t, "weights", e);
    if (rc != SS_OK) {
        ss_free(r);
        return rc;
    }
    for (int i = 0; i < n; i++)
        r[i] = (ranked){w[i], &v->stats[i]};
    qsort(r, (size_t)n, sizeof *r, by_size);
    ss_table_column(t, "parameter", SS_COL_TEXT, NULL);
    ss_table_column(t, "shape", SS_COL_TEXT, NULL);
    ss_table_column(t, "dtype", SS_COL_TEXT, NULL);
    ss_table_column(t, "absmax", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "rms", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "nonfinite", SS_COL_NUMBER, "%.0f");
    for (int i = 0; i < n && (!top || i < top); i++) {
        char shape[96];

        ss_table_row(t);
        ss_table_text(t, r[i].w->name);
        ss_table_text(t, ss_shape_text(r[i].w->shape, shape, sizeof shape));
        ss_table_text(t, ss_dtype_name(r[i].w->dtype));
        ss_table_number(t, r[i].s->absmax);
        ss_table_number(t, r[i].s->rms);
        ss_table_number(t, (double)r[i].s->nonfinite);
    }
    ss_free(r);
    return SS_OK;
}

ss_code ss_inventory_structure(const ss_inventory *v, ss_structure **s, ss_err *e)
{
    int n;

    ss_model_weights(v->model, &n);
    float *absmax = ss_alloc((size_t)n, sizeof *absmax);
    if (!absmax)
        return ss_no_memory(e, "statistics of weights");
    for (int i = 0; i < n; i++)
        absmax[i] = v->stats[i].nonfinite ? NAN : (float)v->stats[i].absmax;
    const ss_code rc = ss_structure_new(v->model, absmax, s, e);
    ss_free(absmax);
    return rc;
}
