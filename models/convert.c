/* convert.c - see convert.h */
#include "models/convert.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/outdir.h"
#include "base/str.h"
#include "models/convert_files.h"
#include "models/file/half_tensor.h"
#include "models/file/safetensors_write.h"
#include "models/pipeline.h"
#include "models/sampling/schedule.h"

#include <string.h>

static const char ending[] = ".safetensors";

/* A conversion under way. */
typedef struct {
    const char *src, *dst;
    const ss_convert_options *opt;
    ss_table *table;
    ss_pipeline pipeline; /* of SRC */
    json_t *index;        /* model_index.json of a single file */
} conversion;

static ss_code open_component(const conversion *c, const char *name, ss_model **m, ss_err *e)
{
    ss_model_options o = c->opt->model;

    if (name)
        o.places.component = name;
    return ss_model_open(c->src, &o, m, e);
}

static ss_stored_tensor as_written(const conversion *c, const ss_stored_tensor *t)
{
    return c->opt->half ? ss_stored_half(t) : *t;
}

static ss_code add_row(const conversion *c, const ss_model *m, const char *path, ss_err *e)
{
    const ss_model_info *about = ss_model_about(m);
    const ss_checkpoint *k = ss_model_checkpoint(m);
    double bytes = 0;

    for (size_t i = 0; i < ss_checkpoint_count(k); i++)
        bytes += (double)as_written(c, ss_checkpoint_at(k, i)).bytes;
    ss_table_row(c->table);
    ss_table_text(c->table, *about->component ? about->component : ss_role_name(about->role));
    ss_table_text(c->table, about->family);
    ss_table_number(c->table, (double)ss_checkpoint_count(k));
    ss_table_number(c->table, bytes * 1e-6);
    ss_table_text(c->table, path);
    for (int i = 0; ss_checkpoint_note(k, i); i++)
        ss_note("%s", ss_checkpoint_note(k, i));
    return c->table->failed ? ss_no_memory(e, "a table") : SS_OK;
}

/* Writes the tensors of a model as a file. */
static ss_code write_weights(const conversion *c, const ss_model *m, const char *path, ss_err *e)
{
    static const ss_st_note format = {"format", "pt"}; /* some loaders refuse a file without it */
    const ss_checkpoint *k = ss_model_checkpoint(m);
    const size_t n = ss_checkpoint_count(k);
    const ss_stored_tensor **list = ss_calloc(n, sizeof *list);
    ss_stored_tensor *written = ss_calloc(n, sizeof *written);
    ss_code rc = list && written ? SS_OK : ss_no_memory(e, path);

    for (size_t i = 0; i < n && rc == SS_OK; i++) {
        written[i] = as_written(c, ss_checkpoint_at(k, i));
        list[i] = &written[i];
    }
    if (rc == SS_OK)
        rc = ss_safetensors_copy(path, list, n, &format, 1, e);
    ss_free(list);
    ss_free(written);
    return rc;
}

/* Makes the scheduler's file of a denoiser, NULL where nothing says one. */
static ss_code make_scheduler(const conversion *c, const ss_model *m, json_t **out, ss_err *e)
{
    const ss_model_info *about = ss_model_about(m);
    const char *asked = c->opt->prediction;
    ss_prediction p = SS_PREDICT_EPSILON;
    ss_json j = {0};
    ss_code rc = SS_OK;

    *out = NULL;
    if (about->role != SS_DENOISER)
        return SS_OK;
    if (asked && ss_prediction_parse(asked, &p, e) != SS_OK)
        return ss_fail_prefix(e, "--prediction");
    if (!about->scheduler && *about->ask_prediction && !asked)
        return ss_fail(e, SS_USAGE, "%s: %s", c->src, about->ask_prediction);
    if (about->scheduler)
        rc = ss_json_load(&j, about->scheduler, e);
    if (rc == SS_OK)
        *out = json_deep_copy(about->scheduler ? j.root : about->inferred_scheduler);
    ss_json_release(&j);
    if (rc == SS_OK && *out && asked &&
        json_object_set_new(*out, "prediction_type", json_string(ss_prediction_name(p))) != 0)
        rc = ss_no_memory(e, "a schedule");
    return rc;
}

/* Writes config.json and the weights into a folder that is there. row names the file that the user
 * will find. */
static ss_code write_network(const conversion *c, const ss_model *m, const char *dir,
                             const char *shown, ss_err *e)
{
    const char *name = ss_model_about(m)->role == SS_TEXT ? "model.safetensors"
                                                          : "diffusion_pytorch_model.safetensors";
    char *weights = ss_path_join(dir, name), *row = ss_path_join(shown, name);
    ss_code rc = weights && row ? SS_OK : ss_no_memory(e, dir);

    if (rc == SS_OK)
        rc = ss_convert_write_json(dir, "config.json", ss_model_config(m), e);
    if (rc == SS_OK)
        rc = write_weights(c, m, weights, e);
    if (rc == SS_OK)
        rc = add_row(c, m, row, e);
    ss_free(weights);
    ss_free(row);
    return rc;
}

/* Writes component i of the pipeline as DIR/NAME, and its scheduler beside it. */
static ss_code write_component(conversion *c, const char *dir, const char *name, ss_err *e)
{
    char *folder = NULL, *shown = ss_path_join(c->dst, name);
    json_t *scheduler = NULL;
    ss_model *m = NULL;
    ss_code rc = shown ? open_component(c, name, &m, e) : ss_no_memory(e, dir);

    if (rc == SS_OK)
        rc = ss_convert_make_folder(dir, name, &folder, e);
    if (rc == SS_OK)
        rc = make_scheduler(c, m, &scheduler, e);
    if (rc == SS_OK)
        rc = write_network(c, m, folder, shown, e);
    if (rc == SS_OK && c->index)
        rc = ss_convert_index_add(c->index, ss_model_config(m), name, scheduler, e);
    if (rc == SS_OK && scheduler) {
        ss_free(folder);
        rc = ss_convert_make_folder(dir, "scheduler", &folder, e);
        if (rc == SS_OK)
            rc = ss_convert_write_json(folder, "scheduler_config.json", scheduler, e);
    }
    json_decref(scheduler);
    ss_model_close(m);
    ss_free(folder);
    ss_free(shown);
    return rc;
}

/* Fills DIR with a pipeline: its networks, and what else it has. */
static ss_code write_pipeline(conversion *c, const char *dir, ss_err *e)
{
    const bool folder = ss_is_dir(c->src);
    ss_code rc = SS_OK;

    if (!folder && !(c->index = json_object()))
        return ss_no_memory(e, dir);
    for (int i = 0; i < c->pipeline.n && rc == SS_OK; i++) {
        if (c->pipeline.list[i].known || !folder)
            rc = write_component(c, dir, c->pipeline.list[i].name, e);
    }
    if (rc == SS_OK && folder)
        rc = ss_convert_copy_rest(c->src, dir, e);
    if (rc == SS_OK && c->opt->tokenizer)
        rc = ss_convert_copy_tokenizers(c->opt->tokenizer, dir, c->index, e);
    else if (rc == SS_OK && !folder)
        ss_note("%s: no tokenizer is in a single file; --tokenizer FOLDER copies one", c->src);
    if (rc == SS_OK && c->index)
        rc = ss_convert_write_json(dir, "model_index.json", c->index, e);
    return rc;
}

/* Fills DIR with one network, and the schedule that it comes with. */
static ss_code write_one(const conversion *c, const char *dir, ss_err *e)
{
    json_t *scheduler = NULL;
    ss_model *m = NULL;
    ss_code rc = open_component(c, NULL, &m, e);

    if (rc == SS_OK)
        rc = make_scheduler(c, m, &scheduler, e);
    if (rc == SS_OK)
        rc = write_network(c, m, dir, c->dst, e);
    if (rc == SS_OK && scheduler)
        rc = ss_convert_write_json(dir, "scheduler_config.json", scheduler, e);
    json_decref(scheduler);
    ss_model_close(m);
    return rc;
}

static ss_code write_file(const conversion *c, ss_err *e)
{
    ss_model *m = NULL;
    ss_code rc;

    if (!c->opt->replace && ss_file_exists(c->dst))
        return ss_fail(e, SS_IO, "%s exists; --force replaces it", c->dst);
    rc = open_component(c, NULL, &m, e);
    if (rc == SS_OK)
        rc = write_weights(c, m, c->dst, e);
    if (rc == SS_OK)
        rc = add_row(c, m, c->dst, e);
    ss_model_close(m);
    return rc;
}

static ss_code write_folder(conversion *c, ss_err *e)
{
    const bool whole = !c->opt->model.places.component && c->pipeline.n > 1;
    ss_outdir o = {0};
    ss_code rc =
        ss_outdir_open(&o, c->dst, whole ? "model_index.json" : "config.json", c->opt->replace, e);

    if (rc != SS_OK)
        return rc;
    rc = whole ? write_pipeline(c, o.tmp, e) : write_one(c, o.tmp, e);
    if (rc == SS_OK)
        return ss_outdir_commit(&o, e);
    ss_outdir_discard(&o);
    return rc;
}

static bool ends_as_file(const char *dst)
{
    const size_t n = strlen(dst), last = strlen(ending);

    return n > last && strcmp(dst + n - last, ending) == 0;
}

ss_code ss_convert(const char *src, const char *dst, const ss_convert_options *opt, ss_table *t,
                   ss_err *e)
{
    conversion c = {.src = src, .dst = dst, .opt = opt, .table = t};
    ss_code rc = ss_table_init(t, "written", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "component", SS_COL_TEXT, NULL);
    ss_table_column(t, "class", SS_COL_TEXT, NULL);
    ss_table_column(t, "tensors", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "MB", SS_COL_NUMBER, "%.1f");
    ss_table_column(t, "file", SS_COL_TEXT, NULL);
    if (ends_as_file(dst))
        return write_file(&c, e);
    rc = ss_pipeline_find(src, &c.pipeline, e);
    if (rc == SS_OK)
        rc = write_folder(&c, e);
    ss_pipeline_release(&c.pipeline);
    json_decref(c.index);
    return rc;
}
