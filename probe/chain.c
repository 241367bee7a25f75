/* chain.c - see chain.h
 *
 *   for each stage: generate into a folder within DIR, from that of the stage before
 *   put their descriptions together; sheet, player, generate.json
 */
#include "probe/chain.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/outdir.h"
#include "base/png.h"
#include "base/str.h"
#include "probe/gallery.h"
#include "probe/generate.h"
#include "probe/show_videos.h"

#include <stdio.h>
#include <string.h>

#define MARK "generate.json"

typedef struct {
    const ss_chain_options *opt;
    ss_chain chain;
    ss_outdir dir;
    int samples;
    json_t *first;  /* generate.json of the first stage */
    json_t *models; /* the stages as models of one */
    json_t *stages; /* of "chain" */
    ss_table *table;
} job;

static void release(job *g)
{
    json_decref(g->first);
    json_decref(g->models);
    json_decref(g->stages);
    ss_chain_release(&g->chain);
    ss_outdir_discard(&g->dir);
}

/* The folder of stage i within DIR; out [80]. */
static void folder_of(const job *g, int i, char *out)
{
    snprintf(out, 80, "%02d-%s", i + 1, g->chain.stage[i].name);
}

/* Adds "FOLDER/" to a name in a description. */
static json_t *within(const char *folder, const json_t *name)
{
    return json_sprintf("%s/%s", folder, json_string_value(name));
}

/* Takes the description of a finished stage into that of all. */
static ss_code describe_stage(job *g, int i, const char *path, ss_err *e)
{
    const ss_chain_stage *s = &g->chain.stage[i];
    char folder[80], *file = ss_path_join(path, MARK);
    ss_json j = {0};
    ss_code rc = file ? ss_json_load(&j, file, e) : ss_no_memory(e, path);
    size_t k;
    json_t *name;

    folder_of(g, i, folder);
    ss_free(file);
    if (rc != SS_OK)
        return rc;
    json_t *m = json_deep_copy(json_array_get(json_object_get(j.root, "models"), 0));
    json_t *pictures = json_array();
    json_array_foreach(json_object_get(m, "pictures"), k, name)
        json_array_append_new(pictures, within(folder, name));
    json_object_set_new(m, "folder", within(folder, json_object_get(m, "folder")));
    json_object_set_new(m, "pictures", pictures);
    json_object_set_new(m, "name", json_string(s->name));
    json_object_set(m, "frames", json_object_get(j.root, "frames"));
    json_array_append_new(g->stages, json_pack("{s:s, s:s, s:s, s:O}", "name", s->name, "mode",
                                               ss_chain_mode_name(s->mode), "folder", folder,
                                               "seconds", json_object_get(m, "seconds")));
    if (i == 0)
        g->first = json_incref(j.root);
    json_array_append_new(g->models, m);
    ss_json_release(&j);
    return SS_OK;
}

static void add_row(job *g, int i, const ss_generate_summary *sum)
{
    const json_t *m = json_array_get(g->models, (size_t)i), *list;
    double largest = 0;
    size_t k;
    json_t *v;
    char folder[80];

    list = json_object_get(m, "absmax");
    json_array_foreach(list, k, v)
    {
        if (json_number_value(v) > largest)
            largest = json_number_value(v);
    }
    folder_of(g, i, folder);
    ss_table_row(g->table);
    ss_table_text(g->table, folder);
    ss_table_text(g->table, ss_chain_mode_name(g->chain.stage[i].mode));
    ss_table_number(g->table, (double)json_integer_value(json_object_get(m, "frames")));
    ss_table_number(g->table, sum->n_broken);
    ss_table_number(g->table, largest);
    ss_table_number(g->table, json_number_value(json_object_get(m, "seconds")));
}

/* Runs stage i into `to`, from the videos in `from`. */
static ss_code generate(job *g, int i, const char *from, const char *to, ss_err *e)
{
    ss_chain *k = &g->chain;
    ss_chain_stage *s = &k->stage[i];
    const char *const models[] = {s->model};
    ss_generate_options o = ss_generate_defaults();
    ss_generate_summary sum = {0};
    char *run = s->probe ? ss_path_join(to, "run.h5") : NULL, *beside = NULL;
    ss_str path = {0};
    ss_code rc;

    o.models = models;
    o.n_models = 1;
    o.output = to;
    o.fps = k->fps;
    o.each = s->each;
    o.each.samples = g->samples;
    o.each.seed = k->seed;
    o.each.threads = g->opt->threads;
    o.each.device = g->opt->device;
    o.each.arithmetic = g->opt->arithmetic;
    o.each.command = g->opt->command;
    o.each.condition.classes = k->classes;
    o.each.condition.n_classes = k->n_classes;
    o.each.condition.prompts.positive = k->prompts;
    o.each.condition.prompts.n_positive = k->n_prompts;
    if (s->mode == SS_CHAIN_UPSCALE)
        o.each.reel.upscale_from = from;
    else
        o.each.reel.init = from;
    if (s->mode == SS_CHAIN_REFINE) {
        const json_t *former = json_array_get(g->models, (size_t)i - 1);

        o.each.reel.length = (int)json_integer_value(json_object_get(former, "frames"));
    }
    if (s->probe) { /* beside the stage's folder, which is not there yet */
        ss_str_addf(&path, "%s.h5", to);
        beside = ss_str_detach(&path);
        o.each.run = beside;
    }
    rc = s->probe && (!run || !beside) ? ss_no_memory(e, to) : ss_generate_run(&o, &sum, e);
    if (rc == SS_OK && beside && rename(beside, run) != 0)
        rc = ss_fail(e, SS_IO, "%s: cannot be moved to %s", beside, run);
    if (rc == SS_OK)
        rc = describe_stage(g, i, to, e);
    if (rc == SS_OK)
        add_row(g, i, &sum);
    ss_table_release(&sum.table);
    ss_free(run);
    ss_free(beside);
    return rc == SS_OK ? rc : ss_fail_prefix(e, "stage %d (%s)", i + 1, s->name);
}

static ss_code run_stages(job *g, ss_err *e)
{
    char *from = NULL;
    ss_code rc = SS_OK;

    for (int i = 0; i < g->chain.n && rc == SS_OK; i++) {
        char folder[80];

        folder_of(g, i, folder);
        char *to = ss_path_join(g->dir.tmp, folder);
        rc = to ? generate(g, i, from, to, e) : ss_no_memory(e, folder);
        ss_free(from);
        from = to;
    }
    ss_free(from);
    return rc;
}

/* ---- the sheet ---- */

static ss_code read_strip(const job *g, int stage, int sample, ss_image *im, int *frames, ss_err *e)
{
    const json_t *m = json_array_get(g->models, (size_t)stage);
    const json_t *name = json_array_get(json_object_get(m, "pictures"), (size_t)sample);
    char *path = ss_path_join(g->dir.tmp, json_string_value(name));
    const ss_code rc = path ? ss_image_read_png(path, im, e) : ss_no_memory(e, "a sheet");

    *frames = (int)json_integer_value(json_object_get(m, "frames"));
    if (*frames < 1)
        *frames = 1;
    ss_free(path);
    return rc;
}

/* Puts frame k of n of a strip into column `at` of a row, enlarged to h x w pixels. */
static void put(const ss_image *strip, int k, int n, int at, int h, int w, ss_image *row)
{
    const int sw = strip->w / n;

    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            const uint8_t *from = strip->data + ((size_t)(y * strip->h / h) * (size_t)strip->w +
                                                 (size_t)(k * sw + x * sw / w)) *
                                                    (size_t)strip->c;
            uint8_t *to = row->data + 3 * ((size_t)y * (size_t)row->w + (size_t)(at * w + x));

            for (int c = 0; c < 3; c++)
                to[c] = from[strip->c == 3 ? c : 0];
        }
    }
}

/* Draws a sample of a stage as a row of `columns` frames of h x w. Frames of a video with fewer lie
 * where those of the same moment are. */
static ss_code draw_row(const job *g, int stage, int sample, int columns, int h, int w,
                        ss_image *row, ss_err *e)
{
    ss_image strip;
    int n;
    ss_code rc = read_strip(g, stage, sample, &strip, &n, e);

    if (rc != SS_OK)
        return rc;
    *row = (ss_image){.h = h, .w = columns * w, .c = 3};
    row->data = ss_alloc((size_t)h * (size_t)row->w, 3);
    if (row->data) {
        const int apart = n > 1 && (columns - 1) % (n - 1) == 0 ? (columns - 1) / (n - 1) : 1;

        memset(row->data, 128, (size_t)h * (size_t)row->w * 3);
        for (int k = 0; k < n && k * apart < columns; k++)
            put(&strip, k, n, k * apart, h, w, row);
    } else {
        rc = ss_no_memory(e, "a sheet");
    }
    ss_image_release(&strip);
    return rc;
}

/* Finds the most frames of all stages and the largest frame. */
static ss_code find_size(const job *g, int *columns, int *h, int *w, ss_err *e)
{
    *columns = *h = *w = 1;
    for (int i = 0; i < g->chain.n; i++) {
        ss_image strip;
        int n;
        const ss_code rc = read_strip(g, i, 0, &strip, &n, e);

        if (rc != SS_OK)
            return rc;
        *columns = n > *columns ? n : *columns;
        *h = strip.h > *h ? strip.h : *h;
        *w = strip.w / n > *w ? strip.w / n : *w;
        ss_image_release(&strip);
    }
    return SS_OK;
}

static ss_code write_sheet(const job *g, ss_err *e)
{
    const int n = g->chain.n, rows = g->samples * n;
    ss_image *list = ss_calloc((size_t)rows, sizeof *list), sheet = {0};
    int columns = 1, h = 1, w = 1;
    char *path = ss_path_join(g->dir.tmp, "sheet.png");
    ss_code rc = list && path ? find_size(g, &columns, &h, &w, e) : ss_no_memory(e, "a sheet");

    for (int i = 0; i < rows && rc == SS_OK; i++)
        rc = draw_row(g, i % n, i / n, columns, h, w, &list[i], e);
    if (rc == SS_OK)
        rc = ss_gallery_sheet(list, rows, 1, &sheet, e);
    if (rc == SS_OK)
        rc = ss_image_write_png(path, &sheet, e);
    for (int i = 0; list && i < rows; i++)
        ss_image_release(&list[i]);
    ss_image_release(&sheet);
    ss_free(list);
    ss_free(path);
    return rc;
}

static ss_code write_description(job *g, ss_err *e)
{
    char *path = ss_path_join(g->dir.tmp, MARK);
    json_t *j = json_copy(g->first);

    json_object_set(j, "models", g->models);
    json_object_set_new(j, "chain",
                        json_pack("{s:s, s:O}", "file", g->opt->file, "stages", g->stages));
    const ss_code rc = path ? ss_json_write(path, j, JSON_INDENT(1) | JSON_REAL_PRECISION(9), e)
                            : ss_no_memory(e, MARK);
    ss_free(path);
    json_decref(j);
    return rc;
}

static ss_code begin_table(ss_table *t, ss_err *e)
{
    const ss_code rc = ss_table_init(t, "stages", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "stage", SS_COL_TEXT, NULL);
    ss_table_column(t, "mode", SS_COL_TEXT, NULL);
    ss_table_column(t, "frames", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "not finite", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "largest |x0|", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "seconds", SS_COL_NUMBER, "%.1f");
    return SS_OK;
}

ss_code ss_chain_run(const ss_chain_options *opt, ss_table *t, ss_err *e)
{
    job g = {.opt = opt, .table = t, .models = json_array(), .stages = json_array()};
    ss_code rc = begin_table(t, e);

    if (rc == SS_OK)
        rc = ss_chain_load(opt->file, &g.chain, e);
    g.samples = g.chain.samples     ? g.chain.samples
                : g.chain.n_classes ? g.chain.n_classes
                : g.chain.n_prompts ? g.chain.n_prompts
                                    : SS_DEFAULT_SAMPLES;
    if (rc == SS_OK)
        rc = ss_outdir_open(&g.dir, opt->output, MARK, opt->replace, e);
    if (rc == SS_OK)
        rc = run_stages(&g, e);
    if (rc == SS_OK)
        rc = write_sheet(&g, e);
    if (rc == SS_OK)
        rc = ss_show_videos(g.dir.tmp, g.models, json_object_get(g.first, "conditions"),
                            g.chain.fps, e);
    if (rc == SS_OK)
        rc = write_description(&g, e);
    if (rc == SS_OK)
        rc = ss_outdir_commit(&g.dir, e);
    release(&g);
    return rc;
}
