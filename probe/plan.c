/* plan.c - see plan.h */
#include "probe/plan.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/version.h"
#include "probe/levels.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

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
    rc = opt->timesteps
             ? ss_levels_parse_timesteps(opt->timesteps, (int)ss_schedule_steps(p->net.schedule),
                                         &v, &p->n_levels, e)
             : ss_levels_parse_sigmas(opt->sigmas ? opt->sigmas : SS_DEFAULT_SIGMAS, &v,
                                      &p->n_levels, e);
    if (rc != SS_OK)
        return rc;
    p->levels = ss_calloc((size_t)p->n_levels, sizeof *p->levels);
    if (!p->levels) {
        ss_free(v);
        return ss_fail(e, SS_NOMEM, "out of memory");
    }
    for (int i = 0; i < p->n_levels; i++) {
        ss_plan_level *l = &p->levels[i];

        l->sigma = opt->timesteps ? ss_schedule_sigma(p->net.schedule, (int64_t)v[i]) : v[i];
        l->timestep = opt->timesteps ? (float)v[i] : ss_network_told(&p->net, l->sigma);
        l->level = ss_network_level(&p->net, l->sigma);
        l->condition = !opt->condition_sigma ? l->timestep
                       : !none               ? ss_network_told(&p->net, fixed)
                       : is_sigma ? ss_network_told(&p->net, ss_schedule_sigma(p->net.schedule, 0))
                                  : 0;
    }
    ss_free(v);
    return SS_OK;
}

static ss_code open_concat(const ss_probe_options *opt, ss_plan *p, ss_err *e)
{
    const int64_t *dim = p->concat.dim;

    p->picture_channels = p->net.channels;
    if (!opt->concat)
        return SS_OK;
    if (ss_safetensors_load_f32(opt->concat, &p->concat, e) != SS_OK)
        return ss_fail_prefix(e, "--concat");
    if (p->concat.rank != 4 || dim[1] >= p->net.channels || dim[2] != p->net.height ||
        dim[3] != p->net.width || (dim[0] != 1 && dim[0] < p->samples))
        return ss_fail(e, SS_USAGE,
                       "--concat: %s must be [N,C,%d,%d] with N of 1 or at least %d, and C below "
                       "the network's %d channels",
                       opt->concat, p->net.height, p->net.width, p->samples, p->net.channels);
    p->picture_channels = p->net.channels - (int)dim[1];
    return SS_OK;
}

static ss_code open_inputs(const ss_probe_options *opt, ss_plan *p, ss_err *e)
{
    static const char *const fallback[] = {"noise:white"};
    const char *const *specs = opt->n_inputs ? opt->inputs : fallback;
    int n = opt->n_inputs ? opt->n_inputs : 1;

    p->inputs = ss_calloc((size_t)n, sizeof *p->inputs);
    if (!p->inputs)
        return ss_fail(e, SS_NOMEM, "out of memory");
    for (; p->n_inputs < n; p->n_inputs++) {
        ss_input **in = &p->inputs[p->n_inputs];

        for (int k = 0; k < p->n_inputs; k++) {
            if (strcmp(specs[k], specs[p->n_inputs]) == 0)
                return ss_fail(e, SS_USAGE, "--inputs %s is there twice", specs[k]);
        }
        if (ss_input_parse(specs[p->n_inputs], in, e) != SS_OK)
            return e->code;
        if (ss_input_open(*in, p->net.height, p->net.width, p->picture_channels, p->samples, e) !=
            SS_OK) {
            p->n_inputs++; /* it is there to be freed */
            return e->code;
        }
        p->has_loss |= ss_input_kind_of(*in) == SS_INPUT_CLEAN && !ss_input_is_filtered(*in);
    }
    return SS_OK;
}

static json_t *strings(const char *const *s, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_string(s[i]));
    return list;
}

static json_t *text_or_null(const char *s)
{
    return s ? json_string(s) : json_null();
}

/* Everything that decides which numbers the run file will hold. */
static ss_code write_down(const ss_probe_options *opt, ss_plan *p, int threads, ss_err *e)
{
    json_t *j = json_object(), *sigmas = json_array(), *inputs = json_array();

    for (int i = 0; i < p->n_levels; i++) { /* as text: JSON has no infinity */
        const ss_plan_level *l = &p->levels[i];
        char text[96];

        snprintf(text, sizeof text, "%.17g, timestep %.9g, told %.9g", l->sigma,
                 (double)l->timestep, (double)l->condition);
        json_array_append_new(sigmas, json_string(text));
    }
    for (int i = 0; i < p->n_inputs; i++)
        json_array_append_new(inputs, json_string(ss_input_label(p->inputs[i])));
    json_object_set_new(j, "version", json_string(SS_VERSION));
    json_object_set_new(j, "model_sha256", json_string(p->net.sha256));
    json_object_set_new(j, "levels", sigmas);
    json_object_set_new(j, "inputs", inputs);
    json_object_set_new(j, "samples", json_integer(p->samples));
    json_object_set_new(j, "batch", json_integer(p->batch));
    json_object_set_new(j, "size", json_pack("[i,i]", p->net.height, p->net.width));
    json_object_set_new(j, "seed", json_integer((json_int_t)opt->seed));
    json_object_set_new(j, "threads", json_integer(threads));
    json_object_set_new(j, "device", json_string(opt->device ? opt->device : "cpu"));
    json_object_set_new(j, "condition", json_string(p->conditions.text_form));
    json_object_set_new(j, "class", json_integer(opt->class_label));
    json_object_set_new(j, "condition_sigma", text_or_null(opt->condition_sigma));
    json_object_set_new(j, "beta_schedule", text_or_null(opt->network.beta_schedule));
    json_object_set_new(j, "prediction_type", text_or_null(opt->network.prediction_type));
    json_object_set_new(j, "prompt_embeds", text_or_null(opt->prompt_embeds));
    json_object_set_new(j, "text_embeds", text_or_null(opt->text_embeds));
    json_object_set_new(j, "time_ids", text_or_null(opt->time_ids));
    json_object_set_new(j, "concat", text_or_null(opt->concat));
    json_object_set_new(j, "modules", strings(opt->modules, opt->n_modules));
    json_object_set_new(j, "dump", strings(opt->dumps, opt->n_dumps));
    json_object_set_new(j, "dump_dtype", json_string(opt->dump_f16 ? "f16" : "f32"));
    json_object_set_new(j, "channels", json_boolean(opt->channels));
    json_object_set_new(j, "precision", json_string(p->net.changes.precision_text));
    json_object_set_new(
        j, "interventions",
        strings(opt->network.changes.interventions, opt->network.changes.n_interventions));
    json_object_set_new(j, "prediction",
                        json_string(ss_prediction_name(ss_schedule_prediction(p->net.schedule))));
    p->text = json_dumps(j, JSON_SORT_KEYS | JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(j);
    return p->text ? SS_OK : ss_fail(e, SS_NOMEM, "out of memory");
}

ss_code ss_plan_make(const ss_probe_options *opt, int threads, ss_plan *out, ss_err *e)
{
    ss_condition_options cond = {
        .classes = &opt->class_label,
        .n_classes = opt->class_label >= 0,
        .prompt_embeds = opt->prompt_embeds,
        .text_embeds = opt->text_embeds,
        .time_ids = opt->time_ids,
    };
    ss_plan p = {.samples = opt->samples};
    ss_code rc = ss_network_open(&opt->network, &p.net, e);

    if (rc == SS_OK)
        rc = make_levels(opt, &p, e);
    if (rc == SS_OK)
        rc = open_concat(opt, &p, e);
    if (rc == SS_OK)
        rc = open_inputs(opt, &p, e);
    if (rc == SS_OK) {
        p.batch = ss_network_batch(&p.net, opt->batch, 1, p.n_inputs * p.samples);
        rc = ss_conditions_load(&cond, p.net.model, p.samples, p.batch, &p.conditions, e);
    }
    if (rc == SS_OK)
        rc = ss_network_identify(&p.net, e);
    if (rc == SS_OK)
        rc = write_down(opt, &p, threads, e);
    if (rc != SS_OK)
        ss_plan_release(&p);
    else
        *out = p;
    return rc;
}

void ss_plan_release(ss_plan *p)
{
    ss_network_close(&p->net);
    ss_free(p->levels);
    for (int i = 0; i < p->n_inputs; i++)
        ss_input_free(p->inputs[i]);
    ss_free(p->inputs);
    ss_conditions_release(&p->conditions);
    ss_array_release(&p->concat);
    ss_free(p->text);
    *p = (ss_plan){0};
}
