/* probe.c - see probe.h; the plan is in plan.c, the hooks at modules are in recorder.c
 *
 *   open the model, bind it, measure its weights
 *   infer shapes with one sample         -> what the run file will hold
 *   create the run file, or find the finished noise levels of an earlier one
 *   for each noise level that is missing: for each batch: forward, record; hand over
 */
#include "probe/probe.h"

#include "base/log.h"
#include "base/mem.h"
#include "fft/spectrum.h"
#include "kernels/context.h"
#include "probe/interrupt.h"
#include "probe/plan.h"
#include "probe/recorder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* All that lives as long as the run. */
typedef struct {
    const ss_probe_options *opt;
    ss_plan plan;
    ss_ctx *ctx;
    ss_recorder *recorder;
    ss_run_writer *writer;
    ss_spectrum *spectrum;
    ss_run_parameter *parameters;
    int n_parameters;
    /* one batch, channels last */
    float *x;      /* [batch][H][W][C], what the network sees */
    float *y;      /* [batch][H][W][Cout] */
    float *clean;  /* [batch][H][W][Cpic] */
    float *noise;  /* [batch][H][W][Cpic] */
    float *result; /* [H][W][Cpic], one sample */
    double *psd;
} probe;

static void release(probe *p)
{
    ss_run_abandon(p->writer);
    ss_recorder_free(p->recorder);
    ss_spectrum_free(p->spectrum);
    ss_plan_release(&p->plan); /* unbinds the model before its context goes */
    ss_ctx_free(p->ctx);
    ss_free(p->parameters);
    ss_free(p->x);
    ss_free(p->y);
    ss_free(p->clean);
    ss_free(p->noise);
    ss_free(p->result);
    ss_free(p->psd);
}

static ss_code allocate(probe *p, ss_err *e)
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
static ss_code make_input(probe *p, const ss_plan_level *l, int k, int input, int sample, ss_err *e)
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
static void record_output(probe *p, ss_run_column *col, const ss_plan_level *l, int k, int input,
                          int sample)
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

static ss_code run_batch(probe *p, ss_run_column *col, const ss_plan_level *l, int n,
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

/* Runs one noise level: all inputs and samples, in batches. */
static ss_code run_level(probe *p, int s, ss_err *e)
{
    const ss_plan *plan = &p->plan;
    int input[SS_MAX_BATCH], sample[SS_MAX_BATCH], all = plan->n_inputs * plan->samples;
    ss_run_column *col;
    ss_code rc = ss_run_column_new(p->writer, s, &col, e);

    for (int from = 0; from < all && rc == SS_OK; from += plan->batch) {
        int n = all - from < plan->batch ? all - from : plan->batch;

        for (int k = 0; k < n; k++) {
            input[k] = (from + k) / plan->samples;
            sample[k] = (from + k) % plan->samples;
        }
        rc = run_batch(p, col, &plan->levels[s], n, input, sample, e);
        if (rc == SS_OK && ss_interrupted())
            rc = ss_fail(e, SS_INTERRUPTED,
                         "interrupted; finished noise levels are saved, --resume goes on");
    }
    if (rc == SS_OK)
        return ss_run_submit(p->writer, col, e);
    ss_run_column_free(col);
    return rc;
}

/* Runs one sample through the network without computing, so that the recorder learns all shapes. */
static ss_code infer_shapes(probe *p, ss_err *e)
{
    const ss_plan *plan = &p->plan;
    int first = 0;
    ss_condition cond = ss_conditions_batch(&p->plan.conditions, 1, &first, false);

    ss_recorder_begin(p->recorder, NULL, 1, &first, &first);
    return ss_network_infer(&plan->net, p->ctx, plan->levels[0].condition, &cond, e);
}

static ss_code open_writer(probe *p, ss_err *e)
{
    const ss_probe_options *opt = p->opt;
    const ss_plan *plan = &p->plan;
    int n = plan->n_levels;
    char created[32];
    ss_run_spec spec = {
        .command = opt->command,
        .condition = plan->conditions.text_form,
        .plan = plan->text,
        .seed = opt->seed,
        .n_inputs = plan->n_inputs,
        .n_sigmas = n,
        .n_samples = plan->samples,
        .parameters = p->parameters,
        .n_parameters = p->n_parameters,
        .x = ss_sample_shape(plan->net.size),
        .loss = plan->has_loss && plan->net.out_channels >= plan->picture.channels,
        .n_radii = ss_spectrum_rings(plan->picture.height, plan->picture.width),
    };
    const size_t n_pictures = (size_t)plan->n_inputs * (size_t)plan->samples;
    const char **inputs = ss_alloc((size_t)plan->n_inputs, sizeof *inputs);
    const char **pictures = ss_alloc(n_pictures, sizeof *pictures);
    double *sigmas = ss_alloc((size_t)n, sizeof *sigmas);
    float *timesteps = ss_alloc((size_t)n, sizeof *timesteps);
    ss_structure *structure = NULL;
    ss_code rc = SS_OK;

    ss_network_describe(&plan->net, p->ctx, &spec, created);
    if (plan->net.out_channels >= plan->picture.channels && plan->knows_schedule)
        spec.denoised = ss_sample_shape(plan->picture);
    if (!inputs || !pictures || !sigmas || !timesteps) {
        rc = ss_no_memory(e, "probing");
    } else {
        for (int i = 0; i < plan->n_inputs; i++)
            inputs[i] = ss_input_label(plan->inputs[i]);
        for (size_t i = 0; i < n_pictures; i++) {
            pictures[i] = ss_input_sample_name(plan->inputs[i / (size_t)plan->samples],
                                               (int)(i % (size_t)plan->samples));
            if (*pictures[i])
                spec.pictures = pictures;
        }
        for (int i = 0; i < n; i++) {
            sigmas[i] = plan->levels[i].sigma;
            timesteps[i] = plan->levels[i].timestep;
        }
        spec.inputs = inputs;
        spec.sigmas = sigmas;
        spec.timesteps = ss_network_takes_sigma(&plan->net) ? NULL : timesteps;
        ss_recorder_spec(p->recorder, &spec);
        rc = ss_network_structure(plan->net.model, &spec, &structure, e);
    }
    if (rc == SS_OK)
        rc = opt->resume ? ss_run_resume(opt->output, &spec, &p->writer, e)
                         : ss_run_create(opt->output, &spec, opt->replace, &p->writer, e);
    ss_structure_free(structure);
    ss_free(inputs);
    ss_free(pictures);
    ss_free(sigmas);
    ss_free(timesteps);
    return rc;
}

static ss_code prepare(probe *p, ss_err *e)
{
    const ss_probe_options *opt = p->opt;
    ss_ctx_options device = {.device = opt->device, .threads = opt->threads};
    ss_recorder_options rec = {
        .watch = opt->modules,
        .n_watch = opt->n_modules,
        .dump = opt->dumps,
        .n_dump = opt->n_dumps,
        .half = opt->dump_f16,
        .histogram = opt->histogram,
        .channels = opt->channels,
    };
    ss_code rc = ss_arithmetic_parse(opt->arithmetic, &device.arithmetic, e);

    if (rc == SS_OK)
        rc = ss_ctx_new(&device, &p->ctx, e);
    if (rc == SS_OK)
        rc = ss_plan_make(opt, &p->plan, e);
    if (rc != SS_OK)
        return rc;
    ss_network_say_ignored(&p->plan.net);
    rec.modules = ss_model_modules(p->plan.net.model, &rec.n_modules);
    rc = ss_recorder_new(&rec, &p->recorder, e);
    if (rc == SS_OK)
        rc = ss_network_measure(&p->plan.net, p->ctx, &p->parameters, &p->n_parameters, e);
    if (rc == SS_OK)
        rc = ss_network_bind(&p->plan.net, p->ctx, ss_recorder_hooks(p->recorder), e);
    if (rc == SS_OK)
        rc = allocate(p, e);
    if (rc == SS_OK)
        rc = infer_shapes(p, e);
    return rc == SS_OK ? open_writer(p, e) : rc;
}

ss_code ss_probe_run(const ss_probe_options *opt, ss_probe_summary *summary, ss_err *e)
{
    probe p = {.opt = opt};
    ss_progress progress;
    ss_code rc = prepare(&p, e);
    double start = ss_now();

    ss_interrupt_reset();
    ss_progress_begin(&progress, "probe", p.plan.n_levels);
    for (int s = 0; rc == SS_OK && s < p.plan.n_levels; s++) {
        char detail[64];

        snprintf(detail, sizeof detail, "sigma %.4g", p.plan.levels[s].sigma);
        ss_progress_step(&progress, s, detail);
        if (ss_run_is_done(p.writer, s))
            summary->n_resumed++;
        else
            rc = run_level(&p, s, e);
    }
    ss_progress_end(&progress);
    if (rc == SS_OK) {
        int n_modules;

        const ss_module *const *modules = ss_model_modules(p.plan.net.model, &n_modules);

        summary->n_modules = 0;
        for (int m = 0; m < n_modules; m++)
            summary->n_modules += modules[m]->inner == SS_INNER_NONE;
        summary->n_sigmas = p.plan.n_levels;
        summary->n_inputs = p.plan.n_inputs;
        summary->n_samples = p.plan.samples;
        summary->forward_flops = ss_ctx_usage(p.ctx).flops;
        summary->peak_bytes = ss_ctx_usage(p.ctx).peak_bytes;
        rc = ss_run_finish(p.writer, e);
        p.writer = NULL;
        summary->seconds = ss_now() - start;
    }
    release(&p);
    return rc;
}
