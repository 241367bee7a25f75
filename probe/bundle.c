/* bundle.c - see bundle.h */
#include "probe/bundle.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/outdir.h"
#include "base/str.h"
#include "probe/bundle_parts.h"
#include "runfile/plan_text.h"
#include "runfile/run_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef ss_bundle_parts bundle;

/* Adds a tensor [samples][dim 1]... and returns its values; NULL: no memory. */
static float *add_item(bundle *b, const char *name, int rank, const int64_t *dim)
{
    ss_st_item *item = &b->items[b->n_items];
    size_t n = (size_t)b->count;

    *item = (ss_st_item){.name = name, .dtype = SS_F32, .rank = rank};
    item->dim[0] = b->count;
    for (int d = 1; d < rank; d++) {
        item->dim[d] = dim[d - 1];
        n *= (size_t)dim[d - 1];
    }
    float *x = ss_alloc(n, sizeof *x);
    item->values = b->values[b->n_items] = x;
    b->n_items += x != NULL;
    return x;
}

/* Adds the input, in the layout of PyTorch. */
static ss_code add_input(bundle *b, ss_err *e)
{
    static const char set[] = "/inputs/x";
    ss_run_shape s;
    ss_sample_size size;
    ss_code rc = SS_OK;

    if (!ss_run_has_pictures(b->r, set, &s) || !ss_sample_size_of(s.rank, s.dim, &size))
        return ss_fail(e, SS_USAGE, "%s: has no %s [H,W,C], so its input cannot be saved",
                       b->r->path, set);
    const ss_shape torch = ss_sample_torch_shape(size);
    float *x = add_item(b, "x", 1 + torch.rank, torch.dim);
    float *one = ss_alloc((size_t)s.n, sizeof *one);

    if (!x || !one)
        rc = ss_no_memory(e, "a bundle");
    for (int n = 0; n < b->count && rc == SS_OK; n++) {
        rc = ss_run_picture(b->r, set, b->input, b->sigma, b->first + n, one, e);
        if (rc == SS_OK)
            ss_sample_to_torch(size, one, x + n * s.n);
    }
    ss_free(one);
    return rc;
}

/* Adds one tensor of the condition, from its rows for each sample. */
static ss_code add_rows(bundle *b, const char *name, size_t field, int rank, const int64_t *dim,
                        ss_err *e)
{
    float *to = add_item(b, name, rank, dim);
    size_t row = 1;

    if (!to)
        return ss_no_memory(e, "a bundle");
    for (int d = 1; d < rank; d++)
        row *= (size_t)dim[d - 1];
    for (int n = 0; n < b->count; n++) {
        const int sample = b->first + n;
        const ss_condition c = ss_conditions_batch(&b->plan.conditions, 1, &sample, false);
        const float *from;

        memcpy(&from, (const char *)&c + field, sizeof from);
        memcpy(to + (size_t)n * row, from, row * sizeof *to);
    }
    return SS_OK;
}

static ss_code add_conditions(bundle *b, ss_err *e)
{
    const int first = 0;
    const ss_condition c = ss_conditions_batch(&b->plan.conditions, 1, &first, false);
    float *t = add_item(b, "timestep", 1, NULL);
    ss_code rc = SS_OK;

    if (!t)
        return ss_no_memory(e, "a bundle");
    for (int n = 0; n < b->count; n++)
        t[n] = b->plan.levels[b->sigma].condition;
    if (c.encoder_hidden_states)
        rc = add_rows(b, "encoder_hidden_states", offsetof(ss_condition, encoder_hidden_states), 3,
                      (int64_t[]){c.tokens, c.width}, e);
    if (rc == SS_OK && c.class_labels)
        rc = add_rows(b, "class_labels", offsetof(ss_condition, class_labels),
                      c.class_width > 1 ? 2 : 1, (int64_t[]){c.class_width}, e);
    if (rc == SS_OK && c.text_embeds)
        rc = add_rows(b, "text_embeds", offsetof(ss_condition, text_embeds), 2,
                      (int64_t[]){c.text_width}, e);
    if (rc == SS_OK && c.timestep_cond)
        rc = add_rows(b, "timestep_cond", offsetof(ss_condition, timestep_cond), 2,
                      (int64_t[]){c.timestep_cond_width}, e);
    if (rc == SS_OK && c.time_ids)
        rc = add_rows(b, "time_ids", offsetof(ss_condition, time_ids), 2, (int64_t[]){c.n_time_ids},
                      e);
    return rc;
}

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

/* Writes a sigma; JSON has no infinity, which is the last one of a schedule with zero terminal SNR.
 */
static json_t *level(double sigma)
{
    return isfinite(sigma) ? json_real(sigma) : json_string("inf");
}

/* Reads the expected numbers. */
static ss_code add_numbers(bundle *b, ss_err *e)
{
    ss_run *r = b->r;
    const float *x[2] = {NULL, NULL};
    const uint64_t *nonfinite = NULL;
    ss_code rc = ss_run_stat(r, "absmax", &x[0], e);

    if (rc == SS_OK)
        rc = ss_run_stat(r, "rms", &x[1], e);
    if (rc == SS_OK)
        rc = ss_run_nonfinite(r, &nonfinite, e);
    if (rc != SS_OK)
        return rc;
    b->absmax = ss_alloc((size_t)b->count, sizeof *b->absmax);
    b->rms = ss_alloc((size_t)b->count, sizeof *b->rms);
    b->nonfinite = ss_alloc((size_t)b->count, sizeof *b->nonfinite);
    if (!b->absmax || !b->rms || !b->nonfinite)
        return ss_no_memory(e, "a bundle");
    for (int n = 0; n < b->count; n++) {
        const size_t at = ss_run_at(r, b->module, b->port, b->input, b->sigma, b->first + n);

        b->absmax[n] = x[0] ? x[0][at] : NAN;
        b->rms[n] = x[1] ? x[1][at] : NAN;
        b->nonfinite[n] = nonfinite ? nonfinite[at] : 0;
    }
    return SS_OK;
}

/* Makes the text of expected.json. */
static ss_code describe(bundle *b, ss_str *out, ss_err *e)
{
    ss_run *r = b->r;
    const char *variant = ss_checkpoint_variant(ss_model_checkpoint(b->plan.net.model));
    json_t *absmax = json_array(), *rms = json_array(), *bad = json_array();
    ss_str input = {0};

    for (int n = 0; n < b->count; n++) {
        json_array_append_new(absmax, number(b->absmax[n]));
        json_array_append_new(rms, number(b->rms[n]));
        json_array_append_new(bad, json_integer((json_int_t)b->nonfinite[n]));
    }
    ss_bundle_input(b, &input);
    json_t *j = json_pack("{s:s, s:s, s:s*, s:s, s:s, s:s, s:s, s:s, s:o, s:f, s:s, s:o, s:o, s:o}",
                          "checkpoint", b->checkpoint, "folder", b->folder, "variant",
                          *variant ? variant : NULL, "model_sha256", r->model_sha256, "family",
                          r->family, "precision", r->precision, "module", ss_bundle_module(b),
                          "port", r->ports[b->port], "sigma", level(r->sigmas[b->sigma]),
                          "timestep", (double)b->plan.levels[b->sigma].condition, "input",
                          input.s ? input.s : "", "absmax", absmax, "rms", rms, "nonfinite", bad);
    char *text = j ? json_dumps(j, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL;
    const bool failed = !text || input.failed;

    json_decref(j);
    if (!failed) {
        ss_str_add(out, text);
        ss_str_add(out, "\n");
    }
    ss_free(text);
    ss_str_release(&input);
    return failed ? ss_no_memory(e, "a bundle") : SS_OK;
}

/* Makes checkpoint.sha256, in the form of sha256sum: the files in the checkpoint's folder, which
 * merged ones and a config that was named are not. */
static ss_code list_sums(const bundle *b, ss_str *out, ss_err *e)
{
    const ss_model_info *about = ss_model_about(b->plan.net.model);
    const ss_checkpoint *k = ss_model_checkpoint(b->plan.net.model);
    const size_t n = ss_checkpoint_n_files(k), folder = strlen(about->folder);
    ss_code rc = SS_OK;

    for (size_t i = 0; i <= n && rc == SS_OK; i++) {
        const char *path = i < n ? ss_checkpoint_file(k, i) : about->config;
        char hex[65];

        if (!path || strncmp(path, about->folder, folder) != 0 || path[folder] != '/')
            continue;
        if ((rc = ss_sha256_file(path, hex, e)) == SS_OK)
            ss_str_addf(out, "%s  %s\n", hex, path + folder + 1);
    }
    return rc;
}

static ss_code write_text(const char *dir, const char *name, const ss_str *text, ss_err *e)
{
    char *path = text->failed ? NULL : ss_path_join(dir, name);
    ss_outfile o = {0};
    ss_code rc = path ? ss_outfile_open(&o, path, e) : ss_no_memory(e, "a bundle");

    ss_free(path);
    if (rc != SS_OK)
        return rc;
    fwrite(text->s ? text->s : "", 1, text->len, o.f);
    return ss_outfile_commit(&o, e);
}

/* Copies a small file; from NULL: nothing. */
static ss_code copy_file(const char *dir, const char *name, const char *from, ss_err *e)
{
    enum { MAX_JSON = 64 << 20 };
    ss_str text = {0};
    ss_code rc = SS_OK;

    if (from && (rc = ss_file_read(from, MAX_JSON, &text.s, &text.len, e)) == SS_OK)
        rc = write_text(dir, name, &text, e);
    ss_free(text.s);
    return rc;
}

static ss_code write_files(bundle *b, const char *dir, ss_err *e)
{
    enum { EXPECTED, SUMS, SHELL, PYTHON, README, N_TEXTS };
    static const char *const names[] = {"expected.json", "checkpoint.sha256", "replay.sh",
                                        "replay.py", "README.md"};
    char *tensors = ss_path_join(dir, "input.safetensors"), why[256];
    const char *no_python = ss_bundle_no_python(b, why, sizeof why);
    ss_str texts[N_TEXTS] = {0};
    ss_code rc = tensors ? SS_OK : ss_no_memory(e, "a bundle");

    if (rc == SS_OK)
        rc = ss_safetensors_write(tensors, b->items, (size_t)b->n_items, NULL, 0, e);
    if (rc == SS_OK)
        rc = describe(b, &texts[EXPECTED], e);
    if (rc == SS_OK)
        rc = list_sums(b, &texts[SUMS], e);
    if (rc == SS_OK) {
        ss_bundle_shell(b, &texts[SHELL]);
        ss_bundle_readme(b, &texts[README]);
        ss_str_add(&texts[PYTHON], no_python ? "" : ss_bundle_python);
    }
    for (int i = 0; i < N_TEXTS && rc == SS_OK; i++) {
        if (i != PYTHON || !no_python)
            rc = write_text(dir, names[i], &texts[i], e);
    }
    if (rc == SS_OK && no_python)
        ss_note("no replay.py: %s", no_python);
    if (rc == SS_OK)
        rc = copy_file(dir, SS_BUNDLE_CONFIG, b->config, e);
    if (rc == SS_OK)
        rc = copy_file(dir, SS_BUNDLE_SCHEDULER, b->scheduler, e);
    for (int i = 0; i < N_TEXTS; i++)
        ss_str_release(&texts[i]);
    ss_free(tensors);
    return rc;
}

/* Names the checkpoint by the last part of its path, or the last two where the last is that of a
 * network in a pipeline. */
static ss_code name_checkpoint(bundle *b, ss_err *e)
{
    const ss_model_info *about = ss_model_about(b->plan.net.model);
    const char *slash = strrchr(about->weights, '/');
    char *full = realpath(about->folder, NULL), *last = full ? strrchr(full, '/') : NULL;
    const char *from;
    ss_str s = {0};

    if (!last) {
        free(full); /* allocated by realpath */
        return ss_no_memory(e, "a bundle");
    }
    for (from = last; *about->component && from > full && from[-1] != '/'; from--)
        ;
    from += *from == '/';
    ss_str_add(&s, from);
    if (!ss_is_dir(about->weights)) {
        b->file = slash ? slash + 1 : about->weights;
        ss_str_addf(&s, "/%s", b->file);
    }
    b->checkpoint = ss_str_detach(&s);
    b->folder = ss_strdup(last + 1);
    free(full); /* allocated by realpath */
    return b->checkpoint && b->folder ? SS_OK : ss_no_memory(e, "a bundle");
}

/* Checks that pictures, tensors and the scheduler file are still those of the run. */
static ss_code check_content(const bundle *b, ss_err *e)
{
    const ss_settings *s;
    json_t *now = ss_plan_parse(b->plan.text, &s);
    ss_str difference = {0};
    ss_code rc = SS_OK;

    if (s && ss_plan_content_difference(s, now, b->replay.plan, &difference))
        rc = ss_fail(e, SS_FORMAT, "%s cannot be repeated: %s", b->r->path,
                     difference.s ? difference.s : "out of memory");
    ss_str_release(&difference);
    json_decref(now);
    return rc;
}

static ss_code gather(bundle *b, ss_err *e)
{
    ss_code rc = ss_plan_make(&b->replay.opt, &b->plan, e);

    if (rc == SS_OK && strcmp(b->plan.net.sha256, b->r->model_sha256) != 0)
        rc = ss_fail(e, SS_FORMAT, "%s is not what %s was made of any more", b->r->model_path,
                     b->r->path);
    if (rc == SS_OK)
        rc = check_content(b, e);
    if (rc == SS_OK && ss_model_about(b->plan.net.model)->role != SS_DENOISER)
        rc = ss_fail(e, SS_UNSUPPORTED, "%s is no run of a denoiser; bundles are made of those",
                     b->r->path);
    if (rc != SS_OK)
        return rc;
    const ss_model_info *about = ss_model_about(b->plan.net.model);
    b->config = b->replay.opt.network.config ? about->config : NULL;
    b->scheduler = about->scheduler;
    rc = name_checkpoint(b, e);
    if (rc == SS_OK)
        rc = add_input(b, e);
    if (rc == SS_OK)
        rc = add_conditions(b, e);
    return rc == SS_OK ? add_numbers(b, e) : rc;
}

/* Returns the module, or the one around an inner value, whose path is that of the value without its
 * last part. */
static int hooked_module(const ss_run *r, int module)
{
    const char *path = r->modules[module], *dot = strrchr(path, '.');
    const size_t n = dot ? (size_t)(dot - path) : 0;

    if (!r->inner[module])
        return module;
    for (int m = 0; m < module; m++) {
        const char *name = r->modules[m];

        if (n ? strncmp(name, path, n) == 0 && !name[n] : strcmp(name, SS_RUN_ROOT) == 0)
            return m;
    }
    return module;
}

ss_code ss_bundle_write(ss_run *r, const char *dir, bool replace, int module, int port,
                        ss_bundle_place place, const char *found, ss_err *e)
{
    bundle b = {.r = r,
                .found = found,
                .module = hooked_module(r, module),
                .port = port,
                .input = place.input,
                .sigma = place.sigma,
                .first = place.sample < 0 ? 0 : place.sample,
                .count = place.sample < 0 ? r->n_samples : 1};
    ss_outdir out = {0};
    ss_code rc = ss_replay_read(r, &b.replay, e);

    if (rc != SS_OK)
        return rc;
    rc = gather(&b, e);
    if (rc == SS_OK)
        rc = ss_outdir_open(&out, dir, "expected.json", replace, e);
    if (rc == SS_OK)
        rc = write_files(&b, out.tmp, e);
    if (rc == SS_OK)
        rc = ss_outdir_commit(&out, e);
    else
        ss_outdir_discard(&out);
    for (int i = 0; i < b.n_items; i++)
        ss_free(b.values[i]);
    ss_free(b.absmax);
    ss_free(b.rms);
    ss_free(b.nonfinite);
    ss_free(b.checkpoint);
    ss_free(b.folder);
    ss_plan_release(&b.plan);
    ss_replay_release(&b.replay);
    return rc;
}
