/* probe.c - see probe.h; the plan is in plan.c, the hooks at modules are in recorder.c, what is
 * particular to a role of networks is behind subject.h
 *
 *   open the model, bind it, measure its weights
 *   infer shapes with one sample         -> what the run file will hold
 *   create the run file, or find the finished noise levels of an earlier one
 *   for each noise level that is missing: for each batch: forward, record; hand over
 *
 * With --shard it runs the batches of one part alone (shard.h).
 */
#include "probe/probe.h"

#include "base/log.h"
#include "base/mem.h"
#include "kernels/context.h"
#include "probe/interrupt.h"
#include "probe/subject.h"

#include <stdio.h>
#include <string.h>

static void release(ss_probing *p)
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

static const ss_subject *subject_of(const ss_probing *p)
{
    return ss_subject_of(ss_model_about(p->plan.net.model)->role);
}

static ss_code interrupted(ss_err *e)
{
    return ss_fail(e, SS_INTERRUPTED,
                   "interrupted; finished noise levels are saved, --resume goes on");
}

/* Runs the samples of one noise level from `from` to `end`, in batches. */
static ss_code run_level(ss_probing *p, int s, int from, int end, ss_err *e)
{
    const ss_plan *plan = &p->plan;
    int input[SS_MAX_BATCH], sample[SS_MAX_BATCH];
    ss_run_column *col;
    ss_code rc = ss_run_column_new(p->writer, s, &col, e);

    for (; from < end && rc == SS_OK; from += plan->batch) {
        int n = end - from < plan->batch ? end - from : plan->batch;

        for (int k = 0; k < n; k++) {
            input[k] = (from + k) / plan->samples;
            sample[k] = (from + k) % plan->samples;
        }
        p->in_batch = n;
        rc = subject_of(p)->run(p, col, &plan->levels[s], n, input, sample, e);
        ss_progress_step(&p->progress, p->progress.done + (rc == SS_OK ? n : 0), p->doing);
        if (rc == SS_OK && ss_interrupted())
            rc = interrupted(e);
    }
    if (rc == SS_OK)
        return ss_run_submit(p->writer, col, e);
    ss_run_column_free(col);
    return rc;
}

static ss_code open_writer(ss_probing *p, ss_err *e)
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
        .part = p->part,
        .n_inputs = plan->n_inputs,
        .n_sigmas = n,
        .n_samples = plan->samples,
        .parameters = p->parameters,
        .n_parameters = p->n_parameters,
    };
    const size_t n_pictures = (size_t)plan->n_inputs * (size_t)plan->samples;
    const char **inputs = ss_alloc((size_t)plan->n_inputs, sizeof *inputs);
    const char **pictures = ss_alloc(n_pictures, sizeof *pictures);
    double *sigmas = ss_alloc((size_t)n, sizeof *sigmas);
    float *timesteps = ss_alloc((size_t)n, sizeof *timesteps);
    ss_structure *structure = NULL;
    ss_code rc = SS_OK;

    ss_network_describe(&plan->net, p->ctx, &spec, created);
    subject_of(p)->describe(p, &spec);
    if (!inputs || !pictures || !sigmas || !timesteps) {
        rc = ss_no_memory(e, "probing");
    } else {
        for (int i = 0; i < plan->n_inputs; i++)
            inputs[i] = ss_plan_input(plan, i);
        for (size_t i = 0; i < n_pictures; i++) {
            pictures[i] = ss_plan_sample_name(plan, (int)(i / (size_t)plan->samples),
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
        spec.timesteps = plan->has_timesteps ? timesteps : NULL;
        ss_recorder_spec(p->recorder, &spec);
        rc = ss_network_structure(plan->net.model, &spec, &structure, e);
    }
    char *path = opt->shard.count ? ss_shard_path(opt->output, opt->shard) : ss_strdup(opt->output);
    if (rc == SS_OK && !path)
        rc = ss_no_memory(e, "probing");
    if (rc == SS_OK)
        rc = opt->resume ? ss_run_resume(path, &spec, &p->writer, e)
                         : ss_run_create(path, &spec, opt->replace, &p->writer, e);
    ss_free(path);
    ss_structure_free(structure);
    ss_free(inputs);
    ss_free(pictures);
    ss_free(sigmas);
    ss_free(timesteps);
    return rc;
}

/* Shows how much of a batch is done, as the first may take minutes. */
static void show_part(void *self, double part)
{
    ss_probing *p = self;

    ss_progress_within(&p->progress, p->in_batch, part, p->doing);
}

static ss_code prepare(ss_probing *p, ss_err *e)
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
        .on_progress = show_part,
        .self = p,
    };
    ss_code rc = ss_arithmetic_parse(opt->arithmetic, &device.arithmetic, e);

    if (rc == SS_OK)
        rc = ss_ctx_new(&device, &p->ctx, e);
    if (rc == SS_OK)
        rc = ss_plan_make(opt, &p->plan, e);
    if (rc != SS_OK)
        return rc;
    ss_network_say_ignored(&p->plan.net);
    rec.tokens = ss_model_about(p->plan.net.model)->role == SS_TEXT;
    rec.modules = ss_model_modules(p->plan.net.model, &rec.n_modules);
    rc = ss_recorder_new(&rec, &p->recorder, e);
    if (rc == SS_OK)
        rc = ss_network_measure(&p->plan.net, p->ctx, &p->parameters, &p->n_parameters, e);
    if (rc == SS_OK)
        rc = ss_network_bind(&p->plan.net, p->ctx, ss_recorder_hooks(p->recorder), e);
    if (rc == SS_OK)
        rc = subject_of(p)->allocate(p, e);
    if (rc == SS_OK)
        rc = subject_of(p)->infer(p, e);
    if (rc == SS_OK)
        ss_detail("%d noise levels, %d inputs, %d samples, batches of %d", p->plan.n_levels,
                  p->plan.n_inputs, p->plan.samples, p->plan.batch);
    if (rc != SS_OK)
        return rc;
    p->part = ss_shard_part(opt->shard, &(ss_shard_work){.levels = p->plan.n_levels,
                                                         .inputs = p->plan.n_inputs,
                                                         .samples = p->plan.samples,
                                                         .batch = p->plan.batch,
                                                         .whole_inputs = opt->channels});
    return open_writer(p, e);
}

/* Runs all noise levels of this part that are missing. */
static ss_code run_levels(ss_probing *p, ss_probe_summary *summary, ss_err *e)
{
    const int64_t level = (int64_t)p->plan.n_inputs * p->plan.samples;
    ss_code rc = SS_OK;

    summary->samples = p->part.end - p->part.first;
    summary->all = level * p->plan.n_levels;
    ss_progress_begin(&p->progress, "probe", summary->samples);
    for (int s = 0; rc == SS_OK && s < p->plan.n_levels; s++) {
        int64_t from, end;

        if (!ss_run_part_share(&p->part, level, s, &from, &end))
            continue;
        if (ss_interrupted()) { /* while the network was loaded */
            rc = interrupted(e);
            break;
        }
        summary->n_own++;
        snprintf(p->doing, sizeof p->doing, "sigma %.4g", p->plan.levels[s].sigma);
        if (ss_run_is_done(p->writer, s)) {
            summary->n_resumed++;
            ss_progress_skip(&p->progress, end - from);
        } else {
            rc = run_level(p, s, (int)from, (int)end, e);
            ss_detail("%s is done, at most %.0f MB of activations", p->doing,
                      1e-6 * (double)ss_ctx_usage(p->ctx).peak_bytes);
        }
    }
    ss_progress_end(&p->progress);
    return rc;
}

ss_code ss_probe_run(const ss_probe_options *opt, ss_probe_summary *summary, ss_err *e)
{
    ss_probing p = {.opt = opt};
    ss_code rc = prepare(&p, e);
    double start = ss_now();

    if (rc == SS_OK)
        rc = run_levels(&p, summary, e);
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
