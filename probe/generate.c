/* generate.c - see generate.h
 *
 *   open every model and check everything; make the folder beside its target
 *   for each model: sample, draw, write
 *   contact sheet, generate.json; put the folder in its place
 */
#include "probe/generate.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/outdir.h"
#include "base/str.h"
#include "base/version.h"
#include "kernels/context.h"
#include "models/file/safetensors_write.h"
#include "probe/deforum.h"
#include "probe/frame_files.h"
#include "probe/gallery.h"
#include "probe/interrupt.h"
#include "probe/latents.h"
#include "probe/show_videos.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#define MARK "generate.json"

ss_generate_options ss_generate_defaults(void)
{
    return (ss_generate_options){
        .each = ss_trajectory_defaults(),
        .fps = SS_DEFAULT_FPS,
    };
}

typedef struct {
    const ss_generate_options *opt;
    ss_trajectory_options each; /* options for each model, resolved */
    int *classes;               /* of opt->classes */
    ss_sampler_kind kind;
    ss_trajectory **models; /* [n_models] */
    ss_deforum_plan plan;
    ss_deforum **films; /* [n_models], or NULL: models are those of their first frames, borrowed */
    ss_ctx *ctx;
    ss_outdir dir;
    ss_image *pictures; /* [n_models][samples] */
    json_t *list;       /* "models" of generate.json */
    ss_progress progress;
    int64_t done; /* evaluations of earlier models */
} job;

static void release(job *g)
{
    for (int i = 0; g->models && i < g->opt->n_models; i++) { /* unbinds before the context goes */
        if (g->films)
            ss_deforum_close(g->films[i]);
        else
            ss_trajectory_close(g->models[i]);
    }
    ss_free(g->models);
    ss_free(g->films);
    ss_deforum_plan_release(&g->plan);
    ss_ctx_free(g->ctx);
    for (int i = 0; g->pictures && i < g->opt->n_models * g->each.samples; i++)
        ss_image_release(&g->pictures[i]);
    ss_free(g->pictures);
    ss_free(g->classes);
    ss_outdir_discard(&g->dir);
    json_decref(g->list);
}

static ss_code resolve_classes(job *g, ss_err *e)
{
    const ss_model_options files = ss_network_files(&g->each.network);
    ss_model *m;
    int n = 0;
    ss_code rc;

    if (g->opt->classes) {
        rc = ss_model_open(g->opt->models[0], &files, &m, e);
        if (rc != SS_OK)
            return rc;
        rc = ss_classes_parse(g->opt->classes, m, &g->classes, &n, e);
        ss_model_close(m);
        if (rc != SS_OK)
            return rc;
        g->each.condition.classes = g->classes;
        g->each.condition.n_classes = n;
    }
    if (!g->each.samples)
        g->each.samples = g->opt->classes ? n : SS_DEFAULT_SAMPLES;
    return SS_OK;
}

static ss_sample_size size_of(const job *g, int m)
{
    return g->films ? ss_deforum_size(g->films[m]) : ss_trajectory_size(g->models[m]);
}

static const float *sample_of(const job *g, int m, int i)
{
    return g->films ? ss_deforum_video(g->films[m], i) : ss_trajectory_picture(g->models[m], i);
}

static int evaluations_of(const job *g, int m)
{
    return g->films ? ss_deforum_evaluations(g->films[m]) : ss_trajectory_evaluations(g->models[m]);
}

static ss_code open_model(job *g, int m, ss_err *e)
{
    if (!g->films)
        return ss_trajectory_open(&g->each, &g->models[m], e);
    const ss_code rc = ss_deforum_open(&g->plan, &g->each, &g->films[m], e);
    if (rc == SS_OK)
        g->models[m] = ss_deforum_first(g->films[m]);
    return rc;
}

static ss_code open_models(job *g, ss_err *e)
{
    const int n = g->opt->n_models;
    ss_code rc = g->opt->deforum ? ss_deforum_plan_read(g->opt->deforum, &g->plan, e) : SS_OK;

    if (rc != SS_OK)
        return rc;
    if (g->opt->deforum && !(g->films = ss_calloc((size_t)n, sizeof(ss_deforum *))))
        return ss_no_memory(e, "generating");

    g->models = ss_calloc((size_t)n, sizeof *g->models);
    g->pictures = ss_calloc((size_t)n * (size_t)g->each.samples, sizeof *g->pictures);
    g->list = json_array();
    if (!g->models || !g->pictures || !g->list)
        return ss_no_memory(e, "generating");
    for (int i = 0; i < n && rc == SS_OK; i++) {
        g->each.network.model = g->opt->models[i];
        rc = open_model(g, i, e);
        if (rc == SS_OK && i == 0) { /* the other models get its sampler */
            g->kind = ss_trajectory_sampler(g->models[0]);
            g->each.sampler = &g->kind;
        }
    }
    return rc;
}

/* Finds where the last `parts` parts of a path begin, and their end. */
static size_t last_parts(const char *path, int parts, size_t *end)
{
    size_t from = strlen(path);

    while (from > 1 && path[from - 1] == '/')
        from--;
    *end = from;
    for (;; from--) {
        while (from > 0 && path[from - 1] != '/')
            from--;
        if (--parts == 0 || from == 0)
            return from;
    }
}

/* Makes the name of model m, of characters that are safe in a file name: the last part of its path,
 * or the last two if another model has the same last part; out [64]. */
static void name_of(const ss_generate_options *o, int m, char *out)
{
    const char *path = o->models[m];
    size_t end, other, n = 0, from = last_parts(path, 1, &end);

    for (int i = 0; i < o->n_models; i++) {
        const size_t at = last_parts(o->models[i], 1, &other);

        if (i != m && other - at == end - from &&
            strncmp(o->models[i] + at, path + from, end - from) == 0) {
            from = last_parts(path, 2, &end);
            break;
        }
    }
    for (size_t i = from; i < end && n < 63; i++) {
        const unsigned char ch = (unsigned char)path[i];

        out[n++] = isalnum(ch) || strchr("._-", ch) ? (char)ch : '_';
    }
    out[n] = '\0';
    if (strspn(out, "._") == n) /* "..", or empty */
        snprintf(out, 64, "model");
}

static float darkest(const ss_network *net)
{
    return ss_model_about(net->model)->net.starts_at_zero ? 0 : -1;
}

static ss_code write_picture(const job *g, const char *name, const ss_image *im, ss_err *e)
{
    char *path = ss_path_join(g->dir.tmp, name);
    ss_code rc = path ? ss_image_write_png(path, im, e) : ss_no_memory(e, name);

    ss_free(path);
    return rc;
}

static ss_code make_folder(const job *g, const char *name, ss_err *e)
{
    char *path = ss_path_join(g->dir.tmp, name);
    ss_code rc = SS_OK;

    if (!path)
        return ss_no_memory(e, name);
    if (mkdir(path, 0777) != 0)
        rc = ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
    ss_free(path);
    return rc;
}

/* Writes the samples of a latent model, in the layout of PyTorch. */
static ss_code write_latents(const job *g, const ss_trajectory *t, const char *folder, ss_err *e)
{
    const ss_sample_size size = ss_trajectory_size(t);
    const int64_t one = ss_sample_values(size);
    const ss_shape shape = ss_sample_torch_shape(size);
    ss_array a = {.rank = 1 + shape.rank, .dim = {g->each.samples}};
    char file[128];
    ss_code rc = SS_OK;

    snprintf(file, sizeof file, "%s/latents.safetensors", folder);
    char *path = ss_path_join(g->dir.tmp, file);
    memcpy(a.dim + 1, shape.dim, (size_t)shape.rank * sizeof *shape.dim);
    a.values = ss_alloc((size_t)g->each.samples, (size_t)one * sizeof(float));
    if (!path || !a.values)
        rc = ss_no_memory(e, file);
    for (int i = 0; rc == SS_OK && i < g->each.samples; i++)
        ss_sample_to_torch(size, ss_trajectory_picture(t, i), a.values + i * one);
    if (rc == SS_OK)
        rc = ss_safetensors_write_f32(path, "latents", &a, e);
    ss_array_release(&a);
    ss_free(path);
    return rc;
}

/* Draws sample x: what the VAE makes of it, if there is one. *bad counts the values of the decoded
 * picture that are not finite. */
static ss_code draw(const ss_network *net, ss_latents *vae, ss_sample_size size, const float *x,
                    ss_image *im, int64_t *bad, ss_err *e)
{
    double absmax;

    *bad = 0;
    if (!vae)
        return ss_gallery_draw(x, size, darkest(net), 1, im, e);
    const ss_sample_size decoded = ss_latents_picture(vae);
    const int64_t n = ss_sample_values(decoded);
    float *y = ss_alloc((size_t)n, sizeof *y);
    ss_code rc = y ? ss_latents_decode(vae, x, y, e) : ss_no_memory(e, "a picture");
    if (rc == SS_OK) {
        *bad = ss_gallery_measure(y, n, &absmax);
        rc = ss_gallery_draw(y, decoded, -1, 1, im, e);
    }
    ss_free(y);
    return rc;
}

/* Counts of a model's samples. */
typedef struct {
    int broken;     /* not finite as they were sampled */
    int by_the_vae; /* finite, and not so after the VAE */
    double largest;
} tally;

/* Writes the frames of a strip into a folder beside its file, of the same name without ".png". */
static ss_code write_frames(const job *g, const char *file, const ss_image *strip, int frames,
                            ss_err *e)
{
    char *folder = ss_path_join(g->dir.tmp, file);
    ss_code rc;

    if (!folder)
        return ss_no_memory(e, file);
    folder[strlen(folder) - strlen(".png")] = '\0';
    rc = ss_frame_files_write(folder, strip, frames, e);
    ss_free(folder);
    return rc;
}

/* Draws and writes sample i of model m, and adds it to the model's lists. */
static ss_code keep(job *g, int m, int i, const char *folder, ss_latents *vae, json_t *about,
                    tally *k, ss_err *e)
{
    const ss_network *net = ss_trajectory_network(g->models[m]);
    const ss_sample_size size = size_of(g, m);
    const float *x = sample_of(g, m, i);
    ss_image *im = &g->pictures[m * g->each.samples + i];
    double absmax;
    const int64_t bad = ss_gallery_measure(x, ss_sample_values(size), &absmax);
    char file[96];

    snprintf(file, sizeof file, "%s/%04d.png", folder, i);
    json_array_append_new(json_object_get(about, "pictures"), json_string(file));
    json_array_append_new(json_object_get(about, "nonfinite"), json_integer(bad));
    json_array_append_new(json_object_get(about, "absmax"), json_real(absmax));
    int64_t decoded_bad;
    ss_code rc = draw(net, vae, size, x, im, &decoded_bad, e);
    if (vae)
        json_array_append_new(json_object_get(about, "decoded_nonfinite"),
                              json_integer(decoded_bad));
    k->broken += bad > 0;
    k->by_the_vae += !bad && decoded_bad;
    k->largest = absmax > k->largest ? absmax : k->largest;
    if (rc == SS_OK)
        rc = write_picture(g, file, im, e);
    return rc == SS_OK && size.frames ? write_frames(g, file, im, size.frames, e) : rc;
}

static ss_code keep_all(job *g, int m, double seconds, ss_generate_summary *sum, ss_err *e)
{
    const ss_network *net = ss_trajectory_network(g->models[m]);
    const int c = ss_trajectory_size(g->models[m]).channels;
    const char *path = ss_model_about(net->model)->path;
    char name[64], folder[80];
    const ss_ctx_options device = {.device = g->each.device, .threads = g->each.threads};
    ss_latents *vae = NULL;
    tally k = {0};

    name_of(g->opt, m, name);
    snprintf(folder, sizeof folder, "%02d-%s", m + 1, name);
    json_t *about = json_pack("{s:s, s:s, s:s, s:s, s:[], s:[], s:[], s:f}", "path", path, "name",
                              name, "sha256", net->sha256, "folder", folder, "pictures",
                              "nonfinite", "absmax", "seconds", seconds);
    if (!about)
        return ss_fail(e, SS_NOMEM, "%s: its path cannot be written as JSON", path);
    const int frames = size_of(g, m).frames;
    if (frames)
        json_object_set_new(about, "frames", json_integer(frames));
    json_array_append_new(g->list, about);
    ss_code rc = make_folder(g, folder, e);
    if (rc == SS_OK)
        rc = ss_latents_open(net->model, g->each.network.variant, size_of(g, m), &device, &vae, e);
    if (vae)
        json_object_set_new(about, "decoded_nonfinite", json_array());
    for (int i = 0; i < g->each.samples && rc == SS_OK; i++)
        rc = keep(g, m, i, folder, vae, about, &k, e);
    if (rc == SS_OK && (vae || (c != 1 && c != 3))) {
        ss_note("%s: samples are latents of %d channels: %s, and whole in %s/latents.safetensors",
                path, c, vae ? "decoded by the VAE" : "drawn channel by channel", folder);
        rc = write_latents(g, g->models[m], folder, e);
    }
    ss_latents_close(vae);
    if (k.broken)
        ss_note("%s: %d of %d samples have values that are inf or NaN, drawn in magenta", path,
                k.broken, g->each.samples);
    if (k.by_the_vae)
        ss_note("%s: %d of %d samples are finite as latents, and inf or NaN after the VAE", path,
                k.by_the_vae, g->each.samples);
    sum->n_samples += g->each.samples;
    sum->n_broken += k.broken + k.by_the_vae;
    ss_table_row(&sum->table);
    ss_table_text(&sum->table, folder);
    ss_table_number(&sum->table, g->each.samples);
    ss_table_number(&sum->table, k.broken + k.by_the_vae);
    ss_table_number(&sum->table, k.largest);
    ss_table_number(&sum->table, seconds);
    return rc;
}

static void tick(void *self, int evaluation)
{
    job *g = self;

    ss_progress_step(&g->progress, g->done + evaluation, "");
}

static ss_code sample_all(job *g, ss_generate_summary *sum, ss_err *e)
{
    int64_t total = 0;
    ss_code rc = SS_OK;

    for (int m = 0; m < g->opt->n_models; m++)
        total += evaluations_of(g, m);
    ss_progress_begin(&g->progress, "generate", total);
    for (int m = 0; m < g->opt->n_models && rc == SS_OK; m++) {
        const double start = ss_now();

        rc = g->films ? ss_deforum_run(g->films[m], g->ctx, tick, g, e)
                      : ss_trajectory_run(g->models[m], g->ctx, tick, g, e);
        g->done += evaluations_of(g, m);
        if (rc == SS_OK)
            ss_progress_step(&g->progress, g->done, "");
        if (rc == SS_OK)
            rc = keep_all(g, m, ss_now() - start, sum, e);
    }
    ss_progress_end(&g->progress);
    return rc;
}

static json_t *conditions_text(const job *g)
{
    json_t *list = json_array();
    char text[512];

    for (int i = 0; i < g->each.samples; i++) {
        ss_conditions_text(&g->each.condition, ss_trajectory_network(g->models[0])->model, i, text,
                           sizeof text);
        json_array_append_new(list, json_string(text));
    }
    return list;
}

static json_t *describe(const job *g)
{
    const ss_trajectory_options *o = &g->each;
    const ss_changes *changes = &ss_trajectory_network(g->models[0])->changes;
    const bool plain = ss_format_is_f32(&changes->precision.format) && !changes->precision.n_rules;
    char created[SS_TIME_TEXT];
    json_t *interventions = json_array();

    ss_time_text(created);
    for (int i = 0; i < o->network.changes.n_interventions; i++)
        json_array_append_new(interventions, json_string(o->network.changes.interventions[i]));
    json_t *j = json_pack(
        "{s:s, s:i, s:s, s:s*, s:s, s:s, s:s, s:i, s:f, s:f, s:I, s:s, s:o, s:i, s:o, s:O, s:s}",
        "format", "sigmascope-generate", "version", 1, "tool", "sigmascope " SS_VERSION, "command",
        o->command, "created", created, "device", ss_ctx_device_text(g->ctx), "sampler",
        ss_sampler_name(g->kind), "steps", o->steps, "guidance", o->guidance, "eta",
        o->eta >= 0 ? o->eta : 0.0, "seed", (json_int_t)o->seed, "precision",
        plain ? "fp32" : changes->precision_text, "interventions", interventions, "samples",
        o->samples, "conditions", conditions_text(g), "models", g->list, "sheet", "sheet.png");
    const int frames = size_of(g, 0).frames;
    if (frames) {
        json_object_set_new(j, "frames", json_integer(frames));
        json_object_set_new(j, "fps", json_real(g->opt->fps));
    }
    if (g->films)
        json_object_set(j, "deforum", g->plan.json);
    return j;
}

static ss_code write_description(const job *g, ss_err *e)
{
    char *path = ss_path_join(g->dir.tmp, MARK);
    json_t *j = describe(g);
    ss_code rc = path ? ss_json_write(path, j, JSON_INDENT(1) | JSON_REAL_PRECISION(9), e)
                      : ss_no_memory(e, MARK);

    ss_free(path);
    json_decref(j);
    return rc;
}

static ss_code write_sheet(const job *g, ss_err *e)
{
    ss_image sheet = {0};
    ss_code rc = ss_gallery_sheet(g->pictures, g->opt->n_models, g->each.samples, &sheet, e);

    if (rc == SS_OK)
        rc = write_picture(g, "sheet.png", &sheet, e);
    ss_image_release(&sheet);
    return rc;
}

static ss_code show_videos(const job *g, ss_err *e)
{
    if (!size_of(g, 0).frames)
        return SS_OK;
    json_t *conditions = conditions_text(g);
    const ss_code rc = ss_show_videos(g->dir.tmp, g->list, conditions, g->opt->fps, e);

    json_decref(conditions);
    return rc;
}

static ss_code begin_table(ss_table *t, ss_err *e)
{
    ss_code rc = ss_table_init(t, "samples", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "model", SS_COL_TEXT, NULL);
    ss_table_column(t, "samples", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "not finite", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "largest |x0|", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "seconds", SS_COL_NUMBER, "%.1f");
    return SS_OK;
}

ss_code ss_generate_run(const ss_generate_options *opt, ss_generate_summary *sum, ss_err *e)
{
    job g = {.opt = opt, .each = opt->each};
    ss_ctx_options device = {.device = opt->each.device, .threads = opt->each.threads};
    ss_code rc = begin_table(&sum->table, e);

    if (rc == SS_OK)
        rc = ss_arithmetic_parse(opt->each.arithmetic, &device.arithmetic, e);
    if (rc == SS_OK)
        rc = ss_ctx_new(&device, &g.ctx, e);
    if (rc == SS_OK)
        rc = resolve_classes(&g, e);
    if (rc == SS_OK)
        rc = open_models(&g, e);
    if (rc == SS_OK)
        rc = ss_outdir_open(&g.dir, opt->output, MARK, opt->replace, e);
    if (rc == SS_OK)
        rc = sample_all(&g, sum, e);
    if (rc == SS_OK)
        rc = write_sheet(&g, e);
    if (rc == SS_OK)
        rc = show_videos(&g, e);
    if (rc == SS_OK)
        rc = write_description(&g, e);
    if (rc == SS_OK)
        rc = ss_outdir_commit(&g.dir, e);
    if (rc == SS_OK)
        ss_table_note(&sum->table, "%s, %d steps, guidance %g, seed %llu", ss_sampler_name(g.kind),
                      g.each.steps, g.each.guidance, (unsigned long long)g.each.seed);
    release(&g);
    return rc;
}
