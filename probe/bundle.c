/* bundle.c - see bundle.h */
#include "probe/bundle.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/outdir.h"
#include "base/str.h"
#include "models/file/safetensors_write.h"
#include "probe/plan.h"
#include "probe/replay.h"
#include "runfile/plan_text.h"
#include "runfile/run_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ITEMS = 7 };

typedef struct {
    ss_run *r;
    int module, port, input, sigma;
    int first, count; /* samples */
    ss_replay replay;
    ss_plan plan; /* for the conditions */
    /* full paths, so that the scripts run from anywhere */
    char *model;     /* folder, or file of the weights */
    char **loras;    /* FILE:SCALE, full paths */
    char *adapter;   /* full path, or NULL */
    char *config;    /* as given, or NULL */
    char *scheduler; /* the file, or NULL */
    ss_st_item items[MAX_ITEMS];
    float *values[MAX_ITEMS]; /* values of the items; owned */
    int n_items;
} bundle;

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

static const char *module_of(const bundle *b)
{
    return b->r->modules[b->module];
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

/* Makes the text of expected.json. */
static ss_code describe(bundle *b, ss_str *out, ss_err *e)
{
    ss_run *r = b->r;
    const char *variant = ss_checkpoint_variant(ss_model_checkpoint(b->plan.net.model));
    json_t *absmax = json_array(), *rms = json_array(), *bad = json_array();
    const float *x[2] = {NULL, NULL};
    const uint64_t *nonfinite = NULL;
    ss_code rc = ss_run_stat(r, "absmax", &x[0], e);

    if (rc == SS_OK)
        rc = ss_run_stat(r, "rms", &x[1], e);
    if (rc == SS_OK)
        rc = ss_run_nonfinite(r, &nonfinite, e);
    for (int n = 0; n < b->count && rc == SS_OK; n++) {
        const size_t at = ss_run_at(r, b->module, b->port, b->input, b->sigma, b->first + n);

        json_array_append_new(absmax, number(x[0] ? x[0][at] : NAN));
        json_array_append_new(rms, number(x[1] ? x[1][at] : NAN));
        json_array_append_new(bad, json_integer(nonfinite ? (json_int_t)nonfinite[at] : 0));
    }
    json_t *j = json_pack("{s:s, s:s*, s:s, s:s, s:s, s:s, s:o, s:f, s:s, s:o, s:o, s:o}", "model",
                          b->model, "variant", *variant ? variant : NULL, "model_sha256",
                          r->model_sha256, "family", r->family, "module",
                          strcmp(module_of(b), SS_RUN_ROOT) == 0 ? "" : module_of(b), "port",
                          r->ports[b->port], "sigma", level(r->sigmas[b->sigma]), "timestep",
                          (double)b->plan.levels[b->sigma].condition, "input", r->inputs[b->input],
                          "absmax", absmax, "rms", rms, "nonfinite", bad);
    char *text = j ? json_dumps(j, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL;

    json_decref(j);
    if (rc == SS_OK && !text)
        rc = ss_no_memory(e, "a bundle");
    if (rc == SS_OK) {
        ss_str_add(out, text);
        ss_str_add(out, "\n");
    }
    ss_free(text);
    return rc;
}

static void add_option(ss_str *s, const char *name, const char *value)
{
    ss_str_addf(s, " \\\n    --%s ", name);
    ss_str_add_quoted(s, value);
}

/* The text, or NULL where it is the default. */
static const char *unless(const char *text, const char *usual)
{
    return text && strcmp(text, usual) != 0 ? text : NULL;
}

static void write_shell(const bundle *b, ss_str *s)
{
    enum { CLASS_EMBEDS = 3 }; /* fewer dimensions: the class's number */
    static const struct {
        const char *tensor, *option;
    } files[] = {{"encoder_hidden_states", "prompt-embeds"},
                 {"text_embeds", "text-embeds"},
                 {"time_ids", "time-ids"},
                 {"class_labels", "class-embeds"}};
    const ss_probe_options *o = &b->replay.opt;
    const ss_network *net = &b->plan.net;
    const bool edm = ss_noising_kind(net->noising) == SS_SCHEDULER_EDM;
    const double told = b->plan.levels[b->sigma].asked;
    const ss_changes_options *changes = &o->network.changes;
    const struct {
        const char *option, *value;
    } texts[] = {{"variant", o->network.variant},
                 {"key", o->network.key},
                 {"config", b->config},
                 {"adapter", b->adapter},
                 {"groupnorm", o->network.groupnorm},
                 {"guidance-embed", o->guidance_embed},
                 {"scheduler", b->scheduler},
                 {"beta-schedule", o->network.beta_schedule},
                 {"beta-start", o->network.beta_start},
                 {"beta-end", o->network.beta_end},
                 {"prediction", o->network.prediction_type},
                 {"round-timestep", o->network.round_timestep},
                 {"device", unless(o->device, "cpu")},
                 {"arithmetic", unless(o->arithmetic, "auto")}};
    char text[128];

    ss_str_add(s,
               "#!/bin/sh\n# Feeds the saved input to the network; expected.json has the numbers "
               "to compare with.\ncd \"$(dirname \"$0\")\" || exit 1\n"
               "${SIGMASCOPE:-sigmascope} probe ");
    ss_str_add_quoted(s, b->model);
    ss_str_add(s, " -o replay.h5 --force");
    snprintf(text, sizeof text, "%.9g", edm ? exp(4 * told) : told);
    add_option(s, ss_network_takes_sigma(net) ? "sigmas" : "timesteps", text);
    add_option(s, "inputs", "raw:input.safetensors#x");
    snprintf(text, sizeof text, "%d", b->count);
    add_option(s, "samples", text);
    snprintf(text, sizeof text, "%dx%d", b->plan.net.size.height, b->plan.net.size.width);
    add_option(s, "size", text);
    if (net->size.frames) {
        snprintf(text, sizeof text, "%d", net->size.frames);
        add_option(s, "frames", text);
    }
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        for (int i = 0; i < b->n_items; i++) {
            if (strcmp(b->items[i].name, files[f].tensor) == 0 &&
                (f != CLASS_EMBEDS || o->class_embeds)) {
                snprintf(text, sizeof text, "input.safetensors#%s", files[f].tensor);
                add_option(s, files[f].option, text);
            }
        }
    }
    if (b->plan.conditions.labels.all.rank && o->class_label >= 0) {
        snprintf(text, sizeof text, "%d", o->class_label);
        add_option(s, "class", text);
    }
    for (int i = 0; i < o->network.n_loras; i++)
        add_option(s, "lora", b->loras[i]);
    if (o->network.ema)
        ss_str_add(s, " \\\n    --ema");
    for (int i = 0; i < o->network.n_ignore; i++)
        add_option(s, "ignore-extra", o->network.ignore[i]);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (texts[i].value)
            add_option(s, texts[i].option, texts[i].value);
    }
    if (changes->precision)
        add_option(s, "precision", changes->precision);
    if (changes->precision)
        add_option(s, "precision-scope", changes->round_blocks ? "blocks" : "ops");
    for (int i = 0; i < changes->n_precision_maps; i++)
        add_option(s, "precision-map", changes->precision_maps[i]);
    for (int i = 0; i < changes->n_interventions; i++)
        add_option(s, "intervene", changes->interventions[i]);
    ss_str_add(s, "\n");
}

static const char python[] =
    "import json, diffusers\n"
    "from safetensors.torch import load_file\n"
    "\n"
    "b, want = load_file(\"input.safetensors\"), json.load(open(\"expected.json\"))\n"
    "model = getattr(diffusers, want[\"family\"]).from_pretrained(want[\"model\"], "
    "variant=want.get(\"variant\")).eval()\n"
    "if want[\"family\"] == \"UNetSpatioTemporalConditionModel\":\n"
    "    b.update(x=b[\"x\"].transpose(1, 2), added_time_ids=b.pop(\"time_ids\"))\n"
    "added = {k: b.pop(k) for k in (\"text_embeds\", \"time_ids\") if k in b}\n"
    "told = {k: v.long() if k == \"class_labels\" and v.dim() == 1 else v for k, v in b.items()}\n"
    "first = lambda y: y[0] if isinstance(y, tuple) else getattr(y, \"sample\", y)\n"
    "show = lambda m, _, y: print(want[\"module\"], \"absmax\", "
    "first(y).abs().reshape(len(want[\"absmax\"]), -1).amax(1).tolist(),\n"
    "                             \"expected\", want[\"absmax\"])\n"
    "model.get_submodule(want[\"module\"]).register_forward_hook(show)\n"
    "model.requires_grad_(False)(told.pop(\"x\"), told.pop(\"timestep\"), "
    "**({\"added_cond_kwargs\": added} if added else {}), **told)\n";

static ss_code write_text(const char *dir, const char *name, const char *text, ss_err *e)
{
    char *path = ss_path_join(dir, name);
    ss_outfile o = {0};
    ss_code rc = path ? ss_outfile_open(&o, path, e) : ss_no_memory(e, "a bundle");

    ss_free(path);
    if (rc != SS_OK)
        return rc;
    fputs(text, o.f);
    return ss_outfile_commit(&o, e);
}

static ss_code write_files(bundle *b, const char *dir, ss_err *e)
{
    char *tensors = ss_path_join(dir, "input.safetensors"), text[128];
    const char *remedies =
        ss_remedies_text(ss_model_about(b->plan.net.model)->net.remedies, text, sizeof text);
    ss_str json = {0}, shell = {0};
    ss_code rc = tensors ? SS_OK : ss_no_memory(e, "a bundle");

    if (rc == SS_OK)
        rc = ss_safetensors_write(tensors, b->items, (size_t)b->n_items, NULL, 0, e);
    if (rc == SS_OK)
        rc = describe(b, &json, e);
    write_shell(b, &shell);
    if (rc == SS_OK && (json.failed || shell.failed))
        rc = ss_no_memory(e, "a bundle");
    if (rc == SS_OK)
        rc = write_text(dir, "expected.json", json.s, e);
    if (rc == SS_OK)
        rc = write_text(dir, "replay.sh", shell.s, e);
    if (rc == SS_OK && (b->config || !ss_is_dir(b->model)))
        ss_note("no replay.py: diffusers opens folders with weights and config.json in them");
    else if (rc == SS_OK && b->replay.opt.network.n_loras)
        ss_note("no replay.py: PyTorch's network would lack what --lora merges");
    else if (rc == SS_OK && b->replay.opt.network.adapter)
        ss_note("no replay.py: PyTorch's network would lack what --adapter puts onto it");
    else if (rc == SS_OK && b->replay.opt.network.groupnorm)
        ss_note("no replay.py: diffusers has no --groupnorm");
    else if (rc == SS_OK && *remedies)
        ss_note("no replay.py: PyTorch's network would lack the remedies of this one (%s)",
                remedies);
    else if (rc == SS_OK)
        rc = write_text(dir, "replay.py", python, e);
    ss_free(tensors);
    ss_str_release(&json);
    ss_str_release(&shell);
    return rc;
}

/* Returns the full path, NULL for NULL; sets *failed if there is none. */
static char *full_path(const char *path, bool *failed)
{
    char *full = path ? realpath(path, NULL) : NULL;

    *failed |= path && !full;
    return full;
}

/* Returns the full path of the model. A file that is a link keeps its name, since the files beside
 * the link belong to it. */
static char *full_model_path(const ss_model_info *about, bool *failed)
{
    char *folder = full_path(about->folder, failed), *path = NULL;
    const char *slash = strrchr(about->weights, '/');

    if (!folder || ss_is_dir(about->weights))
        return folder;
    path = ss_path_join(folder, slash ? slash + 1 : about->weights);
    *failed |= !path;
    free(folder); /* allocated by realpath */
    return path;
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

/* Lists the files of LoRA by their full paths. */
static ss_code list_loras(bundle *b, bool *failed, ss_err *e)
{
    const ss_network_options *o = &b->replay.opt.network;
    ss_code rc = SS_OK;

    b->loras = ss_calloc((size_t)o->n_loras, sizeof *b->loras);
    *failed |= !b->loras;
    for (int i = 0; i < o->n_loras && !*failed && rc == SS_OK; i++) {
        char *file = NULL, *full;
        double scale;
        ss_str s = {0};

        rc = ss_lora_spec_read(o->loras[i], &file, &scale, e);
        full = rc == SS_OK ? full_path(file, failed) : NULL;
        if (full)
            ss_str_addf(&s, "%s:%.17g", full, scale);
        b->loras[i] = full ? ss_str_detach(&s) : NULL;
        *failed |= rc == SS_OK && !b->loras[i];
        ss_free(full);
        ss_free(file);
    }
    return rc;
}

static ss_code gather(bundle *b, ss_err *e)
{
    const ss_network_options *o = &b->replay.opt.network;
    bool failed = false;
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
    b->model = full_model_path(about, &failed);
    b->config = full_path(o->config ? about->config : NULL, &failed);
    /* a linked model's scheduler file is not beside the target of the link */
    b->scheduler = full_path(about->scheduler, &failed);
    b->adapter = full_path(o->adapter, &failed);
    if (!failed && (rc = list_loras(b, &failed, e)) != SS_OK)
        return rc;
    rc = failed ? ss_no_memory(e, "a bundle") : add_input(b, e);
    return rc == SS_OK ? add_conditions(b, e) : rc;
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
                        ss_bundle_place place, ss_err *e)
{
    bundle b = {.r = r,
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
    ss_free(b.model);
    for (int i = 0; b.loras && i < b.replay.opt.network.n_loras; i++)
        ss_free(b.loras[i]);
    ss_free(b.loras);
    ss_free(b.config);
    ss_free(b.scheduler);
    ss_free(b.adapter);
    ss_plan_release(&b.plan);
    ss_replay_release(&b.replay);
    return rc;
}
