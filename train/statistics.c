/* statistics.c - see statistics.h */
#include "train/statistics.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/version.h"
#include "kernels/context.h"
#include "models/weight_stats.h"
#include "probe/network.h"
#include "probe/recorder.h"
#include "runfile/run_reader.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct ss_statistics {
    ss_statistics_options opt;
    char *path;
    ss_recorder *recorder;
    ss_run_writer *writer;
    ss_run_column *column; /* of the current step, or NULL */
    int64_t *steps;        /* [n] steps that are measured */
    int n, next;
    int *input, *sample; /* [batch] indices of its samples in the run file */
};

/* The steps that a training of `steps` measures; the caller's to ss_free. NULL: no memory. */
static int64_t *list_steps(const ss_statistics *s, int64_t steps, int *n)
{
    const int64_t every = s->opt.config->statistics_every;
    int64_t *list = ss_alloc((size_t)(steps / every + 2), sizeof *list);

    *n = 0;
    for (int64_t step = 1; list && step < steps; step = step / every * every + every) {
        if (step > s->opt.after)
            list[(*n)++] = step;
    }
    if (list)
        list[(*n)++] = steps;
    return list;
}

static ss_code open_steps(ss_statistics *s, ss_err *e)
{
    s->steps = list_steps(s, s->opt.config->steps, &s->n);
    return s->steps ? SS_OK : ss_no_memory(e, s->path);
}

static ss_code list_samples(ss_statistics *s, ss_err *e)
{
    const size_t n = (size_t)ss_trainer_most_samples(s->opt.trainer);

    s->input = ss_calloc(n, sizeof *s->input);
    s->sample = ss_alloc(n, sizeof *s->sample);
    if (!s->input || !s->sample)
        return ss_no_memory(e, s->path);
    for (size_t i = 0; i < n; i++)
        s->sample[i] = (int)i;
    return SS_OK;
}

/* Prepares a pass over samples of the step. */
static void begin_pass(void *self, int first, int n)
{
    ss_statistics *s = self;

    ss_recorder_begin(s->recorder, s->column, n, s->input + first, s->sample + first);
    ss_watch_go_on(s->opt.watch, first);
}

/* Makes the recorder, and lets it see what there is to record in a pass that only infers shapes. */
static ss_code open_recorder(ss_statistics *s, ss_err *e)
{
    ss_trainer *t = s->opt.trainer;
    ss_recorder_options o = {.watch = s->opt.config->statistics_modules,
                             .n_watch = s->opt.config->n_statistics_modules,
                             .histogram = true};
    ss_code rc;

    o.modules = ss_model_modules(ss_trainer_model(t), &o.n_modules);
    if ((rc = ss_recorder_new(&o, &s->recorder, e)) != SS_OK)
        return rc;
    const ss_trainer_eyes eyes = {ss_recorder_hooks(s->recorder), s, begin_pass};
    rc = ss_trainer_look(t, &eyes, true, e);
    return rc == SS_OK ? ss_recorder_check(s->recorder, e) : rc;
}

/* Measures the weights as they are now; *list is the caller's to ss_free. */
static ss_code measure(const ss_statistics *s, ss_run_parameter **list, int *n, ss_err *e)
{
    ss_trainer *t = s->opt.trainer;
    ss_weight *const *w = ss_model_weights(ss_trainer_model(t), n);
    ss_code rc = SS_OK;

    if (!(*list = ss_calloc((size_t)*n, sizeof **list)))
        return ss_no_memory(e, s->path);
    for (int i = 0; i < *n && rc == SS_OK; i++) {
        ss_weight_stats stats;

        rc = ss_trainer_weight_stats(t, i, &stats, e);
        (*list)[i] =
            (ss_run_parameter){w[i]->name, (float)stats.absmax, (float)stats.rms, stats.nonfinite};
    }
    if (rc != SS_OK) {
        ss_free(*list);
        *list = NULL;
    }
    return rc;
}

/* The number of steps that an existing file was made for; the configuration's if there is no file,
 * or if it does not say. */
static ss_code steps_of_file(const ss_statistics *s, int64_t *steps, ss_err *e)
{
    ss_run *r;
    ss_code rc = SS_OK;

    *steps = s->opt.config->steps;
    if (!ss_file_exists(s->path) || (rc = ss_run_open_any(s->path, &r, e)) != SS_OK)
        return rc;
    json_t *plan = json_loads(r->plan ? r->plan : "", 0, NULL);
    const json_t *there = json_object_get(plan, "steps");

    if (json_is_integer(there) && json_integer_value(there) > s->opt.after &&
        json_number_value(there) <= SS_MOST_STEPS)
        *steps = json_integer_value(there);
    json_decref(plan);
    ss_run_close(r);
    return SS_OK;
}

/* Changes a file of another number of steps to that of spec. */
static ss_code change_steps(ss_statistics *s, const ss_run_spec *spec, bool *changed, ss_err *e)
{
    ss_run_spec was = *spec, now = *spec;
    ss_run *r = NULL;
    int64_t steps, *list = NULL;
    char *plan = NULL;
    ss_code rc = steps_of_file(s, &steps, e);

    *changed = rc == SS_OK && steps != s->opt.config->steps;
    if (!*changed)
        return rc;
    list = list_steps(s, steps, &was.n_sigmas);
    plan = ss_train_config_plan(s->opt.config, steps);
    was.steps = list;
    was.plan = plan;
    rc = list && plan ? ss_run_open_any(s->path, &r, e) : ss_no_memory(e, s->path);
    if (rc == SS_OK) { /* the structure stays as it was at the beginning, with its zero weights */
        now.structure = r->structure;
        now.n_structure = r->n_structure;
        rc = ss_run_change_steps(s->path, &was, &now, e);
    }
    ss_run_close(r);
    ss_free(list);
    ss_free(plan);
    return rc;
}

/* Refuses a last step that is done already and was not measured. */
static ss_code check_measured(const ss_statistics *s, ss_err *e)
{
    for (int i = 0; i < s->n && s->steps[i] <= ss_trainer_steps(s->opt.trainer); i++) {
        if (!ss_run_is_done(s->writer, i))
            return ss_fail(e, SS_USAGE,
                           "%s: step %" PRId64 " is done and was not measured, as the last one is: "
                           "give another number of --steps, beyond it",
                           s->path, s->steps[i]);
    }
    return SS_OK;
}

static ss_code open_writer(ss_statistics *s, ss_err *e)
{
    static const char *const input[] = {"training"};
    const ss_train_config *g = s->opt.config;
    const ss_trainer_options *o = &g->trainer;
    const ss_loss_bins *bins = ss_trainer_bins(s->opt.trainer);
    double centers[SS_LOSS_MAX_BINS];
    ss_run_parameter *parameters = NULL;
    ss_structure *structure = NULL;
    bool changed = false;
    char created[SS_TIME_TEXT], *plan = ss_train_config_plan(g, g->steps);
    ss_run_spec spec = {
        .tool = "sigmascope " SS_VERSION,
        .command = s->opt.command,
        .model_path = o->config_name,
        .family = ss_model_about(ss_trainer_model(s->opt.trainer))->family,
        .device = ss_ctx_device_text(ss_trainer_context(s->opt.trainer)),
        .threads = ss_ctx_threads(ss_trainer_context(s->opt.trainer)),
        .precision = o->precision ? o->precision->format.name : "fp32",
        .prediction_type = ss_objective_name(o->objective.prediction),
        .created = created,
        .plan = plan,
        .seed = g->seed,
        .inputs = input,
        .n_inputs = 1,
        .steps = s->steps,
        .n_sigmas = s->n,
        .n_samples = ss_trainer_most_samples(s->opt.trainer),
        .bins = centers,
        .n_bins = bins->n,
    };
    ss_code rc = plan ? measure(s, &parameters, &spec.n_parameters, e) : ss_no_memory(e, s->path);

    ss_time_text(created);
    for (int i = 0; i < bins->n; i++)
        centers[i] = ss_loss_bin_center(bins, i);
    spec.parameters = parameters;
    ss_recorder_spec(s->recorder, &spec);
    if (rc == SS_OK)
        rc = ss_network_structure(ss_trainer_model(s->opt.trainer), &spec, &structure, e);
    if (rc == SS_OK)
        rc = change_steps(s, &spec, &changed, e);
    if (rc == SS_OK)
        rc = ss_run_resume(s->path, &spec, &s->writer, e);
    if (rc == SS_OK && changed)
        rc = check_measured(s, e);
    ss_structure_free(structure);
    ss_free(parameters);
    ss_free(plan);
    return rc;
}

ss_code ss_statistics_open(const ss_statistics_options *opt, ss_statistics **out, ss_err *e)
{
    ss_statistics *s = ss_calloc(1, sizeof *s);
    ss_code rc;

    if (!s)
        return ss_no_memory(e, opt->path);
    s->opt = *opt;
    ss_code (*const parts[])(ss_statistics *, ss_err *) = {open_steps, list_samples, open_recorder,
                                                           open_writer};
    if (!(s->path = ss_strdup(opt->path))) {
        ss_free(s);
        return ss_no_memory(e, opt->path);
    }
    rc = SS_OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && rc == SS_OK; i++)
        rc = parts[i](s, e);
    if (rc != SS_OK) {
        ss_statistics_close(s, false, NULL);
        return rc;
    }
    while (s->next < s->n && s->steps[s->next] <= ss_trainer_steps(s->opt.trainer))
        s->next++;
    *out = s;
    return SS_OK;
}

bool ss_statistics_due(const ss_statistics *s, int64_t step)
{
    return s->next < s->n && s->steps[s->next] == step;
}

ss_code ss_statistics_begin(ss_statistics *s, ss_err *e)
{
    const ss_trainer_eyes eyes = {ss_watch_hooks(s->opt.watch), s, begin_pass};
    ss_code rc = ss_run_column_new(s->writer, s->next, &s->column, e);

    if (rc != SS_OK)
        return rc;
    ss_watch_set_next(s->opt.watch, ss_recorder_hooks(s->recorder));
    if ((rc = ss_watch_begin(s->opt.watch, ss_trainer_most_samples(s->opt.trainer), e)) != SS_OK)
        return rc;
    return ss_trainer_watch(s->opt.trainer, &eyes, e);
}

static void put(ss_statistics *s, const ss_trainer_did *did)
{
    const ss_trainer *t = s->opt.trainer;
    const ss_loss_bins *bins = ss_trainer_bins(t);
    const ss_update *u = ss_trainer_updates(t);
    int n;

    ss_run_put_step(s->column, &(ss_run_step){.loss = (float)did->loss,
                                              .penalty = (float)did->penalty,
                                              .norm = (float)did->norm,
                                              .rate = (float)did->rate,
                                              .scale = (float)did->scale,
                                              .skipped = did->skipped,
                                              .skips = (float)ss_trainer_scale(t)->skipped});
    for (int i = 0; i < ss_trainer_samples(t); i++)
        ss_run_put_level(s->column, i, ss_trainer_levels(t)[i].sigma, ss_trainer_losses(t)[i]);
    for (int i = 0; i < bins->n; i++)
        ss_run_put_bin(s->column, i, bins->count[i] ? bins->mean[i] : NAN);
    ss_model_weights(ss_trainer_model(s->opt.trainer), &n);
    for (int i = 0; i < n && !did->skipped; i++)
        ss_run_put_update(s->column, i,
                          &(ss_run_update){(float)u[i].gradient_rms, (float)u[i].update_rms,
                                           (float)u[i].weight_rms, (float)u[i].staleness});
}

ss_code ss_statistics_end(ss_statistics *s, const ss_trainer_did *did, ss_err *e)
{
    ss_run_column *column = s->column;
    ss_code rc = ss_recorder_check(s->recorder, e);

    if (rc == SS_OK)
        rc = ss_trainer_watch(s->opt.trainer, NULL, e);
    if (rc != SS_OK)
        return rc;
    put(s, did);
    ss_recorder_begin(s->recorder, NULL, 0, NULL, NULL);
    s->column = NULL; /* the writer's from here on */
    s->next++;
    return ss_run_submit(s->writer, column, e);
}

ss_code ss_statistics_sync(ss_statistics *s, ss_err *e)
{
    return ss_run_sync(s->writer, e);
}

ss_code ss_statistics_close(ss_statistics *s, bool finished, ss_err *e)
{
    ss_code rc = SS_OK;

    if (!s)
        return SS_OK;
    ss_run_column_free(s->column);
    if (s->writer && finished && s->next == s->n)
        rc = ss_run_finish(s->writer, e);
    else
        ss_run_abandon(s->writer);
    ss_recorder_free(s->recorder);
    ss_free(s->steps);
    ss_free(s->input);
    ss_free(s->sample);
    ss_free(s->path);
    ss_free(s);
    return rc;
}
