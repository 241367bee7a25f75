/* probe_denoiser.c - a denoiser is probed: pictures with noise, and its answer (subject.h) */
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "kernels/context.h"
#include "probe/levels.h"
#include "probe/subject.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DEFAULT_SAMPLES = 4 };

static ss_code parse_levels(const ss_probe_options *opt, ss_plan *p, double **v, ss_err *e)
{
    const char *sigmas = opt->sigmas ? opt->sigmas : SS_DEFAULT_SIGMAS;
    char range[64];
    double low, high;

    if (opt->timesteps)
        return ss_levels_parse_timesteps(opt->timesteps, v, &p->n_levels, e);
    if (!opt->sigmas && ss_noising_range(p->net.noising, &low, &high)) {
        snprintf(range, sizeof range, "%.17g:%.17g:8", low, high);
        sigmas = range;
    }
    return ss_levels_parse_sigmas(sigmas, v, &p->n_levels, e);
}

/* Resolves v, a timestep or a sigma. */
static ss_code make_level(const ss_probe_options *opt, const ss_network *net, double v,
                          ss_plan_level *l, ss_err *e)
{
    l->sigma = v;
    if (opt->timesteps && ss_noising_sigma(net->noising, v, &l->sigma, e) != SS_OK)
        return ss_fail_prefix(e, "--timesteps");
    if (isinf(l->sigma) && !ss_noising_reaches_infinity(net->noising))
        return ss_fail(e, SS_USAGE, "--sigmas: a network of this schedule (%s) cannot be at inf",
                       ss_noising_text(net->noising));
    if (!ss_noising_can_denoise(net->noising, l->sigma))
        ss_note_once("sigma inf is noise alone, and a network that predicts it (epsilon) says "
                     "nothing of the clean picture there: /outputs/denoised is NaN");
    l->timestep = opt->timesteps ? (float)v : ss_network_told(net, l->sigma);
    l->level = ss_network_level(net, l->sigma);
    return SS_OK;
}

static ss_code make_levels(const ss_probe_options *opt, ss_plan *p, ss_err *e)
{
    const bool is_sigma = ss_network_takes_sigma(&p->net);
    double *v = NULL, fixed = 0;
    bool none = opt->condition_sigma && strcmp(opt->condition_sigma, "none") == 0;
    ss_code rc;

    if (opt->timesteps && is_sigma)
        return ss_fail(e, SS_USAGE, "this model has no timesteps, it takes sigma: use --sigmas");
    if (opt->condition_sigma && !none &&
        (!ss_parse_double(opt->condition_sigma, &fixed) || fixed <= 0))
        return ss_fail(e, SS_USAGE, "--condition-sigma takes a positive number or 'none', not '%s'",
                       opt->condition_sigma);
    rc = parse_levels(opt, p, &v, e);
    if (rc != SS_OK)
        return rc;
    p->levels = ss_calloc((size_t)p->n_levels, sizeof *p->levels);
    if (!p->levels)
        rc = ss_no_memory(e, "a plan");
    for (int i = 0; i < p->n_levels && rc == SS_OK; i++) {
        ss_plan_level *l = &p->levels[i];

        rc = make_level(opt, &p->net, v[i], l, e);
        l->asked = !opt->condition_sigma ? l->timestep
                   : !none               ? ss_network_told(&p->net, fixed)
                           : ss_network_told(&p->net, ss_noising_lowest(p->net.noising));
        l->condition = ss_network_rounded(&p->net, l->asked);
    }
    ss_free(v);
    return rc;
}

/* Checks the schedule, unless all inputs are raw and at given timesteps, which do not need it. */
static ss_code check_schedule(const ss_probe_options *opt, ss_plan *p, ss_err *e)
{
    ss_err why = {0};
    bool needed = !opt->timesteps || opt->condition_sigma;

    for (int i = 0; i < p->n_inputs; i++)
        needed |= ss_input_kind_of(p->inputs[i]) != SS_INPUT_RAW;
    p->knows_schedule = ss_noising_check(p->net.noising, needed ? e : &why) == SS_OK;
    p->has_loss &= ss_noising_has_target(p->net.noising);
    return p->knows_schedule || !needed ? SS_OK : e->code;
}

/* True if all inputs are fed unchanged; they may have all channels of the network. */
static bool is_raw(const ss_probe_options *opt)
{
    for (int i = 0; i < opt->n_inputs; i++) {
        ss_input *in;

        if (ss_input_parse(opt->inputs[i], &in, NULL) != SS_OK)
            return false;
        const bool raw = ss_input_kind_of(in) == SS_INPUT_RAW;
        ss_input_free(in);
        if (!raw)
            return false;
    }
    return opt->n_inputs > 0;
}

static ss_code open_concat(const ss_probe_options *opt, ss_plan *p, ss_err *e)
{
    ss_code rc = SS_OK;

    if (!opt->concat && is_raw(opt))
        p->concat.picture = p->net.size;
    else
        rc = ss_concat_open(opt->concat, &p->net, p->samples, opt->seed, &p->concat, e);
    p->picture = p->concat.picture;
    return rc;
}

/* Loads what conditions the network, and decides how many samples go through it at a time. */
static ss_code load_conditions(const ss_probe_options *opt, ss_plan *p, ss_err *e)
{
    const ss_condition_options cond = {
        .classes = &opt->class_label,
        .n_classes = opt->class_label >= 0,
        .prompts = opt->prompts,
        .prompt_embeds = opt->prompt_embeds,
        .class_embeds = opt->class_embeds,
        .guidance_embed = opt->guidance_embed,
        .text_embeds = opt->text_embeds,
        .time_ids = opt->time_ids,
    };

    p->batch = ss_network_batch(&p->net, opt->batch, 1, p->n_inputs * p->samples);
    const ss_ctx_options device = {.device = opt->device, .threads = opt->threads};
    return ss_conditions_load(&cond, &p->net, &device, p->samples, p->batch, opt->seed,
                              &p->conditions, e);
}

static ss_code plan(const ss_probe_options *opt, ss_plan *p, ss_err *e)
{
    ss_code rc = make_levels(opt, p, e);

    p->samples = opt->samples ? opt->samples : DEFAULT_SAMPLES;
    p->has_timesteps = !ss_network_takes_sigma(&p->net);
    if (rc == SS_OK)
        rc = open_concat(opt, p, e);
    if (rc == SS_OK)
        rc = ss_plan_open_inputs(opt, p, e);
    if (rc == SS_OK)
        rc = check_schedule(opt, p, e);
    return rc == SS_OK ? load_conditions(opt, p, e) : rc;
}
static ss_code allocate(ss_probing *p, ss_err *e)
{
    const ss_plan *k = &p->plan;
    const size_t batch = (size_t)k->batch, pixels = (size_t)ss_sample_pixels(k->picture);
    const int h = k->picture.height, w = k->picture.width;

    p->x = ss_alloc(batch * pixels, (size_t)k->net.size.channels * sizeof(float));
    p->y = ss_alloc(batch * pixels, (size_t)k->net.out_channels * sizeof(float));
    p->clean = ss_alloc(batch * pixels, (size_t)k->picture.channels * sizeof(float));
    p->noise = ss_alloc(batch * pixels, (size_t)k->picture.channels * sizeof(float));
    p->result = ss_alloc(pixels, (size_t)k->picture.channels * sizeof(float));
    p->psd = ss_alloc((size_t)ss_spectrum_rings(h, w), sizeof *p->psd);
    if (!p->x || !p->y || !p->clean || !p->noise || !p->result || !p->psd)
        return ss_no_memory(e, "probing");
    return ss_spectrum_new(h, w, &p->spectrum, e);
}

/* Makes the input for sample k of the batch; keeps the clean picture and the noise. */
static ss_code make_input(ss_probing *p, const ss_plan_level *l, int k, int input, int sample,
                          ss_err *e)
{
    const ss_plan *plan = &p->plan;
    const ss_input *in = plan->inputs[input];
    const int64_t pixels = ss_sample_pixels(plan->picture), c = plan->picture.channels;
    int64_t n = pixels * c;
    float *x0 = p->clean + k * n, *noise = p->noise + k * n, *x = p->result;
    float *to = p->x + k * pixels * plan->net.size.channels;
    ss_rng rng = ss_rng_stream(p->opt->seed, "noise", (uint64_t)sample, 0);
    ss_code rc;

    /* the same noise for all inputs, so that only their pictures differ */
    ss_rng_normals(rng, 0, noise, (size_t)n);
    rc = ss_input_sample(in, sample, rng, x0, e);
    if (rc != SS_OK)
        return rc;
    switch (ss_input_kind_of(in)) {
    case SS_INPUT_CLEAN: ss_add_noise(l->level, x0, noise, n, x); break;
    case SS_INPUT_NOISE: /* noise of another colour, around a picture of zeros */
        for (int64_t i = 0; i < n; i++)
            x[i] = (float)(l->level.s * x0[i]);
        break;
    case SS_INPUT_RAW: memcpy(x, x0, (size_t)n * sizeof *x); break;
    }
    rc = ss_input_filter(in, x, e);
    if (rc != SS_OK)
        return rc;

    ss_concat_put(&plan->concat, sample, x, to);
    return SS_OK;
}

static double mean_square_difference(const float *a, const float *b, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sum / (double)n;
}

/* Copies the first c of `from` channels of every pixel. */
static void take_channels(const float *x, int64_t pixels, int64_t from, int64_t c, float *out)
{
    for (int64_t i = 0; i < pixels; i++)
        memcpy(out + i * c, x + i * from, (size_t)c * sizeof *out);
}

/* Records what the network made of sample k of the batch. A network with more output channels than
 * the picture also predicts a variance, which is left out. */
static void record_output(ss_probing *p, ss_run_column *col, const ss_plan_level *l, int k,
                          int input, int sample)
{
    const ss_plan *plan = &p->plan;
    const ss_input *in = plan->inputs[input];
    const int64_t pixels = ss_sample_pixels(plan->picture), c = plan->picture.channels;
    int64_t n = pixels * c;
    float *x0 = p->clean + k * n, *noise = p->noise + k * n, *x = p->result;
    float *y = p->y + k * pixels * plan->net.out_channels;
    bool clean = ss_input_kind_of(in) == SS_INPUT_CLEAN && !ss_input_is_filtered(in);

    take_channels(p->x + k * pixels * plan->net.size.channels, pixels, plan->net.size.channels, c,
                  x);
    ss_run_put_x(col, input, sample, p->x + k * pixels * plan->net.size.channels);
    ss_spectrum_radial(p->spectrum, x, ss_sample_frames(plan->picture), (int)c, p->psd);
    ss_run_put_psd(col, input, sample, p->psd);
    if (plan->net.out_channels < c || !plan->knows_schedule)
        return;
    take_channels(y, pixels, plan->net.out_channels, c,
                  y); /* in place, since they move towards the front */
    if (clean && plan->has_loss) {
        /* x0 and noise are not needed afterwards: the target replaces the noise */
        ss_network_target(&plan->net, l->level, x0, noise, n, noise);
        const double loss = mean_square_difference(y, noise, n);

        /* in the file NaN means that no loss is known, so a loss of NaN is stored as inf */
        ss_run_put_loss(col, input, sample, isnan(loss) ? INFINITY : loss);
    }
    ss_network_denoised(&plan->net, l->level, x, y, n, x);
    ss_run_put_denoised(col, input, sample, x);
}

static ss_code run(ss_probing *p, ss_run_column *col, const ss_plan_level *l, int n,
                   const int *input, const int *sample, ss_err *e)
{
    const ss_plan *plan = &p->plan;
    float t[SS_MAX_BATCH];
    ss_code rc = SS_OK;

    for (int k = 0; k < n && rc == SS_OK; k++) {
        rc = make_input(p, l, k, input[k], sample[k], e);
        t[k] = l->condition;
    }
    if (rc != SS_OK)
        return rc;

    ss_condition cond = ss_conditions_batch(&p->plan.conditions, n, sample, false);
    ss_recorder_begin(p->recorder, col, n, input, sample);
    ss_tensor *x = ss_upload(p->ctx, ss_sample_batch(n, plan->net.size), p->x);
    ss_tensor *y = ss_model_forward(p->ctx, plan->net.model, x, t, &cond);
    rc = ss_ctx_finish(p->ctx, e);
    if (rc == SS_OK)
        rc = ss_recorder_check(p->recorder, e);
    if (rc == SS_OK)
        rc = ss_download(p->ctx, y, p->y, e);
    ss_release(x);
    ss_release(y);
    for (int k = 0; k < n && rc == SS_OK; k++)
        record_output(p, col, l, k, input[k], sample[k]);
    return rc;
}

static ss_code infer(ss_probing *p, ss_err *e)
{
    const ss_plan *plan = &p->plan;
    int first = 0;
    ss_condition cond = ss_conditions_batch(&p->plan.conditions, 1, &first, false);

    ss_recorder_begin(p->recorder, NULL, 1, &first, &first);
    return ss_network_infer(&plan->net, p->ctx, plan->levels[0].condition, &cond, e);
}

static void describe(const ss_probing *p, ss_run_spec *spec)
{
    const ss_plan *plan = &p->plan;

    spec->x = ss_sample_shape(plan->net.size);
    spec->reference_frames = plan->concat.references;
    spec->loss = plan->has_loss && plan->net.out_channels >= plan->picture.channels;
    spec->n_radii = ss_spectrum_rings(plan->picture.height, plan->picture.width);
    if (plan->net.out_channels >= plan->picture.channels && plan->knows_schedule)
        spec->denoised = ss_sample_shape(plan->picture);
}

const ss_subject ss_subject_denoiser = {
    .plan = plan,
    .allocate = allocate,
    .describe = describe,
    .infer = infer,
    .run = run,
};
