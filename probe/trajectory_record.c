/* trajectory_record.c - see trajectory_record.h */
#include "probe/trajectory_record.h"

#include "base/mem.h"
#include "kernels/context.h"
#include "probe/options.h"
#include "probe/plan.h"
#include "runfile/plan_text.h"

#include <string.h>

static const char *const guided_inputs[] = {"conditional", "unconditional"};
static const char *const plain_input[] = {"trajectory"};

static ss_code allocate(ss_track *k, int batch, ss_err *e)
{
    const size_t rows = 2 * (size_t)batch;
    const int h = k->size.height, w = k->size.width;

    k->input = ss_alloc(rows, sizeof *k->input);
    k->sample = ss_alloc(rows, sizeof *k->sample);
    k->picture = ss_alloc(3, (size_t)ss_sample_values(k->size) * sizeof *k->picture);
    k->psd = ss_alloc((size_t)ss_spectrum_rings(h, w), sizeof *k->psd);
    if (!k->input || !k->sample || !k->picture || !k->psd)
        return ss_no_memory(e, "a trajectory");
    return ss_spectrum_new(h, w, &k->spectrum, e);
}

static char *plan_text(const ss_track *k, const ss_trajectory_options *opt,
                       const ss_conditions *conditions, int batch, ss_err *e)
{
    json_t *j = json_object();
    ss_code rc = ss_options_write(ss_trajectory_settings(), opt, j, e);
    char *text = NULL;

    if (rc == SS_OK)
        rc = ss_plan_describe(k->net, conditions, j, e);
    if (rc == SS_OK) {
        json_object_set_new(j, "sampler",
                            json_string(ss_sampler_name(ss_sampler_kind_of(k->sampler))));
        json_object_set_new(j, "batch", json_integer(batch));
        text = ss_plan_name_formats(j) ? ss_plan_dump(j) : NULL;
        if (!text)
            ss_no_memory(e, "a trajectory");
    }
    json_decref(j);
    return text;
}

static ss_code create(ss_track *k, const ss_trajectory_options *opt, const char *path,
                      const ss_conditions *conditions, int batch, const ss_ctx *c, int n_parameters,
                      ss_err *e)
{
    const ss_network *net = k->net;
    const int count = ss_sampler_count(k->sampler);
    char created[32], *plan = plan_text(k, opt, conditions, batch, e);
    double *sigmas = ss_alloc((size_t)count, sizeof *sigmas);
    float *timesteps = ss_alloc((size_t)count, sizeof *timesteps);
    ss_run_spec spec = {
        .command = opt->command,
        .condition = conditions->text_form,
        .plan = plan,
        .seed = opt->seed,
        .inputs = k->guided ? guided_inputs : plain_input,
        .n_inputs = k->guided ? 2 : 1,
        .sigmas = sigmas,
        .timesteps = ss_network_takes_sigma(net) ? NULL : timesteps,
        .n_samples = k->samples,
        .parameters = k->parameters,
        .n_parameters = n_parameters,
        .x = ss_sample_shape(net->size),
        .denoised = ss_sample_shape(k->size),
        .n_radii = ss_spectrum_rings(k->size.height, k->size.width),
    };
    ss_structure *structure = NULL;
    ss_code rc;

    if (!plan) {
        rc = e->code;
        goto out;
    }
    if (!sigmas || !timesteps) {
        rc = ss_no_memory(e, "a trajectory");
        goto out;
    }
    for (int i = 0; i < count; i++) {
        const ss_sampler_point *p = ss_sampler_at(k->sampler, i);

        if (p->step < 0)
            continue;
        sigmas[p->step] = p->sigma;
        timesteps[p->step] = p->timestep;
        spec.n_sigmas = p->step + 1;
    }
    ss_network_describe(net, c, &spec, created);
    ss_recorder_spec(k->recorder, &spec);
    rc = ss_network_structure(net->model, &spec, &structure, e);
    if (rc == SS_OK)
        rc = ss_run_create(path, &spec, opt->replace_run, &k->writer, e);
    ss_structure_free(structure);
out:
    ss_free(sigmas);
    ss_free(timesteps);
    ss_free(plan);
    return rc;
}

ss_code ss_track_open(ss_track *k, const ss_trajectory_options *opt, const char *path, int samples,
                      ss_network *net, const ss_sampler *sampler, ss_conditions *conditions,
                      ss_sample_size size, int batch, ss_ctx *c, ss_err *e)
{
    ss_recorder_options rec = {.histogram = true};
    int first = 0, n_parameters = 0;

    *k = (ss_track){.net = net,
                    .sampler = sampler,
                    .size = size,
                    .samples = samples,
                    .guided = opt->condition.guided};
    rec.modules = ss_model_modules(net->model, &rec.n_modules);
    ss_code rc = allocate(k, batch, e);
    if (rc == SS_OK)
        rc = ss_recorder_new(&rec, &k->recorder, e);
    if (rc == SS_OK)
        rc = ss_network_measure(net, c, &k->parameters, &n_parameters, e);
    if (rc == SS_OK)
        rc = ss_network_bind(net, c, ss_recorder_hooks(k->recorder), e);
    if (rc == SS_OK) {
        ss_condition cond = ss_conditions_batch(conditions, 1, &first, false);

        ss_recorder_begin(k->recorder, NULL, 1, &first, &first);
        rc = ss_network_infer(net, c, ss_sampler_at(sampler, 0)->timestep, &cond, e);
    }
    return rc == SS_OK ? create(k, opt, path, conditions, batch, c, n_parameters, e) : rc;
}

void ss_track_release(ss_track *k)
{
    ss_run_column_free(k->column);
    ss_run_abandon(k->writer);
    ss_recorder_free(k->recorder);
    ss_spectrum_free(k->spectrum);
    ss_free(k->parameters);
    ss_free(k->input);
    ss_free(k->sample);
    ss_free(k->picture);
    ss_free(k->psd);
    *k = (ss_track){0};
}

ss_code ss_track_begin(ss_track *k, int i, ss_err *e)
{
    const int step = ss_sampler_at(k->sampler, i)->step;

    return step < 0 ? SS_OK : ss_run_column_new(k->writer, step, &k->column, e);
}

void ss_track_batch(ss_track *k, int n, const int *sample)
{
    const int rows = k->guided ? 2 * n : n;

    for (int i = 0; i < rows; i++) {
        k->input[i] = i / n;
        k->sample[i] = sample[i % n];
    }
    ss_recorder_begin(k->recorder, k->column, rows, k->input, k->sample);
}

/* Copies the first channels of a tensor that has `from` of them. */
static void take_picture(const ss_track *k, const float *x, int from, float *out)
{
    const int64_t pixels = ss_sample_pixels(k->size), c = k->size.channels;

    for (int64_t p = 0; p < pixels; p++)
        memcpy(out + p * c, x + p * from, (size_t)c * sizeof *out);
}

ss_code ss_track_put(ss_track *k, int i, int n, const float *x, const float *y, ss_err *e)
{
    const ss_network *net = k->net;
    const int rows = k->guided ? 2 * n : n;
    const int64_t pixels = ss_sample_pixels(k->size), one = ss_sample_values(k->size);
    float *answer = k->picture, *clean = answer + one, *noisy = clean + one;
    ss_code rc = ss_recorder_check(k->recorder, e);

    for (int row = 0; row < rows && k->column && rc == SS_OK; row++) {
        const int input = k->input[row], sample = k->sample[row];
        const float *seen = x + row * pixels * net->size.channels;

        take_picture(k, y + row * pixels * net->out_channels, net->out_channels, answer);
        take_picture(k, seen, net->size.channels, noisy);
        ss_network_denoised(net, ss_sampler_at(k->sampler, i)->level, noisy, answer, one, clean);
        ss_run_put_x(k->column, input, sample, seen);
        ss_spectrum_radial(k->spectrum, noisy, ss_sample_frames(k->size), k->size.channels, k->psd);
        ss_run_put_psd(k->column, input, sample, k->psd);
        ss_run_put_denoised(k->column, input, sample, clean);
    }
    return rc;
}

ss_code ss_track_end(ss_track *k, ss_err *e)
{
    ss_run_column *column = k->column;

    k->column = NULL; /* the writer owns it now */
    return column ? ss_run_submit(k->writer, column, e) : SS_OK;
}

ss_code ss_track_finish(ss_track *k, ss_err *e)
{
    ss_run_writer *w = k->writer;

    k->writer = NULL;
    return ss_run_finish(w, e);
}
