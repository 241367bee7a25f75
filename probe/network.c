/* network.c - see network.h */
#include "probe/network.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/version.h"
#include "kernels/context.h"
#include "models/pipeline.h"
#include "models/weight_stats.h"

#include <math.h>
#include <string.h>

enum { AUTO_BATCH_PIXELS = 16384 }; /* in one forward pass, without --batch */

static ss_code open_noising(const ss_network_options *opt, ss_network *k, ss_err *e)
{
    const ss_model_info *about = ss_model_about(k->model);
    const ss_noising_options o = {
        .file = about->scheduler,
        .inferred = about->inferred_scheduler,
        .ask_prediction = about->ask_prediction,
        .beta_schedule = opt->beta_schedule,
        .beta_start = opt->beta_start,
        .beta_end = opt->beta_end,
        .prediction = opt->prediction_type,
        .takes_sigma = about->net.takes_sigma,
        .like_stable_diffusion = about->net.like_stable_diffusion,
    };

    const ss_code rc = ss_noising_open(&o, &k->noising, e);

    if (rc == SS_OK && ss_noising_assumed(k->noising))
        ss_note_once("schedule: %s", ss_noising_text(k->noising));
    return rc;
}

static ss_code set_rounding(const ss_network_options *opt, ss_network *k, ss_err *e)
{
    const char *name = opt->round_timestep;

    k->exact = name && strcmp(name, SS_TIMESTEP_EXACT) == 0;
    if (ss_format_parse(name && !k->exact ? name : "fp32", &k->told, e) != SS_OK)
        return ss_fail_prefix(e, "--round-timestep takes '" SS_TIMESTEP_EXACT "' or a format");
    return SS_OK;
}

static ss_code set_sizes(const ss_network_options *opt, ss_network *k, ss_err *e)
{
    const ss_model_info *about = ss_model_about(k->model);
    const int factor = about->role == SS_VAE ? (int)about->net.latent_factor : 1;

    if (about->role == SS_TEXT)
        return SS_OK;
    if (opt->frames && !about->net.sample_frames && !about->net.decodes_videos)
        return ss_fail(e, SS_USAGE, "--frames: %s takes pictures, not videos", opt->model);
    k->out_channels = (int)about->net.out_channels;
    k->size = (ss_sample_size){
        .frames = opt->frames ? opt->frames : (int)about->net.sample_frames,
        .height = opt->height ? opt->height : (int)about->net.sample_h,
        .width = opt->width ? opt->width : (int)about->net.sample_w,
        .channels = (int)about->net.in_channels,
    };
    if (!k->size.height || !k->size.width)
        return ss_fail(e, SS_USAGE, "%s does not say its sample_size; give --size HxW", opt->model);
    if (k->size.height % factor || k->size.width % factor)
        return ss_fail(e, SS_USAGE,
                       "--size: %s makes latents of pictures whose height and width are multiples "
                       "of %d, not of %dx%d",
                       opt->model, factor, k->size.height, k->size.width);
    return SS_OK;
}

/* Extends the positions of frames as opt says. */
static ss_code extend(const ss_network_options *opt, ss_network *k, ss_err *e)
{
    ss_extension x;

    if (ss_extension_parse(opt->extend, &x, e) != SS_OK ||
        ss_model_extend(k->model, &x, e) != SS_OK)
        return ss_fail_prefix(e, "--extend");
    return SS_OK;
}

ss_model_options ss_network_files(const ss_network_options *opt)
{
    return (ss_model_options){.ignore = opt->ignore,
                              .n_ignore = opt->n_ignore,
                              .loras = opt->loras,
                              .n_loras = opt->n_loras,
                              .adapter = opt->adapter,
                              .groupnorm = opt->groupnorm,
                              .weights = {.variant = opt->variant, .key = opt->key},
                              .places = {.config = opt->config,
                                         .scheduler = opt->scheduler,
                                         .component = opt->component,
                                         .ema = opt->ema}};
}

ss_code ss_network_open(const ss_network_options *opt, ss_network *out, ss_err *e)
{
    const ss_model_options files = ss_network_files(opt);
    ss_network k = {.loras = opt->loras, .n_loras = opt->n_loras};
    ss_code rc = ss_changes_parse(&opt->changes, &k.changes, e);

    if (rc == SS_OK)
        rc = ss_model_open(opt->model, &files, &k.model, e);
    k.variant = opt->variant;
    if (rc == SS_OK)
        rc = extend(opt, &k, e);
    if (rc == SS_OK)
        rc = set_sizes(opt, &k, e);
    if (rc == SS_OK)
        rc = set_rounding(opt, &k, e);
    if (rc == SS_OK && ss_model_about(k.model)->role == SS_DENOISER)
        rc = open_noising(opt, &k, e);
    if (rc != SS_OK)
        ss_network_close(&k);
    else
        *out = k;
    return rc;
}

void ss_network_close(ss_network *k)
{
    ss_model_close(k->model);
    ss_noising_free(k->noising);
    ss_changes_release(&k->changes);
    *k = (ss_network){0};
}

void ss_network_say_ignored(const ss_network *k)
{
    const ss_model_info *about = ss_model_about(k->model);
    const ss_checkpoint *weights = ss_model_checkpoint(k->model);

    for (int i = 0; ss_checkpoint_note(weights, i); i++)
        ss_note("%s: %s", about->path, ss_checkpoint_note(weights, i));
    if (about->n_ignored)
        ss_note("%s: %d tensor%s that the configuration does not ask for %s ignored: %s",
                about->path, about->n_ignored, about->n_ignored == 1 ? "" : "s",
                about->n_ignored == 1 ? "is" : "are", about->ignored);
}

ss_code ss_network_identify(ss_network *k, ss_err *e)
{
    return ss_model_sha256(k->model, k->sha256, e);
}

ss_code ss_network_bind(ss_network *k, ss_ctx *c, const ss_hooks *hooks, ss_err *e)
{
    ss_setup setup = {
        .hooks = hooks,
        .precision = &k->changes.precision,
        .interventions = k->changes.interventions,
        .n_interventions = k->changes.n_interventions,
    };
    ss_code rc = ss_model_bind(k->model, c, e);

    setup.modules = ss_model_modules(k->model, &setup.n_modules);
    return rc == SS_OK ? ss_ctx_setup(c, &setup, e) : rc;
}

ss_code ss_network_infer(const ss_network *k, ss_ctx *c, float t, const ss_condition *cond,
                         ss_err *e)
{
    char in[64], out[64];

    ss_ctx_set_shapes_only(c, true);
    const ss_shape wanted = ss_sample_batch(1, ss_sample_with_channels(k->size, k->out_channels));
    ss_tensor *x = ss_tensor_new(c, ss_sample_batch(1, k->size));
    ss_tensor *y = ss_model_forward(c, k->model, x, &t, cond);
    ss_code rc = ss_ctx_check(c, e);

    if (rc == SS_OK && !ss_shape_equal(ss_shape_get(y), wanted))
        rc =
            ss_fail(e, SS_SHAPE, "%s: the output is %s for an input of %s",
                    ss_model_about(k->model)->path, ss_shape_text(ss_shape_get(y), out, sizeof out),
                    ss_shape_text(ss_shape_get(x), in, sizeof in));
    ss_release(x);
    ss_release(y);
    ss_ctx_set_shapes_only(c, false);
    ss_ctx_usage_reset(c);
    return rc;
}

int ss_network_batch(const ss_network *k, int wanted, int rows, int all)
{
    const int64_t fit = AUTO_BATCH_PIXELS / (ss_sample_pixels(k->size) * rows);
    const int batch = wanted ? wanted : fit < 1 ? 1 : (int)fit;

    return batch > all ? all : batch;
}

bool ss_network_takes_sigma(const ss_network *k)
{
    return ss_noising_takes_sigma(k->noising);
}

ss_noise_level ss_network_level(const ss_network *k, double sigma)
{
    return ss_noising_level(k->noising, sigma);
}

float ss_network_told(const ss_network *k, double sigma)
{
    return (float)(k->exact ? ss_noising_told_exactly(k->noising, sigma)
                            : ss_noising_told(k->noising, sigma));
}

float ss_network_rounded(const ss_network *k, float timestep)
{
    return ss_format_round(&k->told, timestep);
}

/* Measures each weight into list [n], and says which are not finite. */
static ss_code measure(const ss_network *k, ss_ctx *c, ss_run_parameter *list, ss_err *e)
{
    int n;
    ss_weight *const *w = ss_model_weights(k->model, &n);
    int64_t bad = 0;
    const char *first = NULL;

    for (int i = 0; i < n; i++) {
        ss_weight_stats s;

        if (!ss_weight_data(w[i], e) ||
            ss_weight_stats_take(c, w[i]->dtype, w[i]->data, ss_shape_numel(w[i]->shape), &s, e) !=
                SS_OK)
            return e->code;
        list[i] = (ss_run_parameter){w[i]->name, (float)s.absmax, (float)s.rms, s.nonfinite};
        if (s.nonfinite && !first)
            first = w[i]->name;
        bad += (int64_t)s.nonfinite;
    }
    if (bad)
        ss_warn("%s: %lld weights are inf or NaN, the first in %s; what follows them is too",
                ss_model_about(k->model)->path, (long long)bad, first);
    return SS_OK;
}

/* A checkpoint is measured where it is mapped, on the CPU: it goes through memory once. */
ss_code ss_network_measure(const ss_network *k, ss_ctx *c, ss_run_parameter **list, int *n,
                           ss_err *e)
{
    const bool here = strcmp(ss_ctx_device_name(c), "cpu") == 0;
    ss_ctx *cpu = NULL;
    ss_code rc = SS_OK;

    ss_model_weights(k->model, n);
    *list = ss_calloc((size_t)*n, sizeof **list);
    if (!*list)
        return ss_no_memory(e, "a network");
    if (!here)
        rc = ss_ctx_new(&(ss_ctx_options){0}, &cpu, e);
    if (rc == SS_OK)
        rc = measure(k, here ? c : cpu, *list, e);
    ss_ctx_free(cpu);
    if (rc != SS_OK) {
        ss_free(*list);
        *list = NULL;
    }
    return rc;
}

void ss_network_describe(const ss_network *k, const ss_ctx *c, ss_run_spec *spec, char created[32])
{
    const ss_model_info *about = ss_model_about(k->model);

    spec->tool = "sigmascope " SS_VERSION;
    spec->model_path = about->path;
    spec->family = about->family;
    spec->component = about->component;
    spec->role = ss_role_name(about->role);
    spec->trained_frames = about->role == SS_DENOISER ? (int)about->net.sample_frames : 0;
    spec->ignored_tensors = about->ignored;
    spec->weight_notes = about->weight_notes;
    spec->model_sha256 = k->sha256;
    spec->device = ss_ctx_device_text(c);
    spec->precision = k->changes.precision_text;
    spec->prediction_type = k->noising ? ss_noising_prediction(k->noising) : NULL;
    spec->schedule = k->noising ? ss_noising_text(k->noising) : NULL;
    spec->created = ss_time_text(created);
    spec->threads = ss_ctx_threads(c);
}

ss_code ss_network_structure(const ss_model *m, ss_run_spec *spec, ss_structure **s, ss_err *e)
{
    float *absmax = ss_alloc((size_t)spec->n_parameters, sizeof *absmax);
    ss_code rc;

    if (!absmax)
        return ss_no_memory(e, "a network");
    for (int i = 0; i < spec->n_parameters; i++)
        absmax[i] = spec->parameters[i].nonfinite ? NAN : spec->parameters[i].absmax;
    rc = ss_structure_new(m, spec->n_parameters ? absmax : NULL, s, e);
    ss_free(absmax);
    if (rc == SS_OK) {
        spec->structure = (*s)->rows;
        spec->n_structure = (*s)->n;
    }
    return rc;
}

void ss_network_target(const ss_network *k, ss_noise_level level, const float *x0,
                       const float *noise, int64_t n, float *out)
{
    ss_noising_target(k->noising, level, x0, noise, n, out);
}

void ss_network_denoised(const ss_network *k, ss_noise_level level, const float *x, const float *y,
                         int64_t n, float *out)
{
    ss_noising_denoised(k->noising, level, x, y, n, out);
}
