/* plan.c - see plan.h */
#include "probe/plan.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/version.h"
#include "probe/levels.h"
#include "probe/options.h"
#include "runfile/plan_text.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static ss_code parse_levels(const ss_probe_options *opt, ss_plan *p, double **v, ss_err *e)
{
    if (opt->timesteps)
        return ss_levels_parse_timesteps(opt->timesteps, v, &p->n_levels, e);
    return ss_levels_parse_sigmas(opt->sigmas ? opt->sigmas : SS_DEFAULT_SIGMAS, v, &p->n_levels,
                                  e);
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

static ss_code open_inputs(const ss_probe_options *opt, ss_plan *p, ss_err *e)
{
    static const char *const fallback[] = {"noise:white"};
    const char *const *specs = opt->n_inputs ? opt->inputs : fallback;
    int n = opt->n_inputs ? opt->n_inputs : 1;

    p->inputs = ss_calloc((size_t)n, sizeof *p->inputs);
    if (!p->inputs)
        return ss_no_memory(e, "a plan");
    for (; p->n_inputs < n; p->n_inputs++) {
        ss_input **in = &p->inputs[p->n_inputs];

        for (int k = 0; k < p->n_inputs; k++) {
            if (strcmp(specs[k], specs[p->n_inputs]) == 0)
                return ss_fail(e, SS_USAGE, "--inputs %s is given twice", specs[k]);
        }
        if (ss_input_parse(specs[p->n_inputs], in, e) != SS_OK)
            return e->code;
        if (ss_input_open(*in, p->picture, p->samples, e) != SS_OK) {
            p->n_inputs++; /* so that it is freed */
            return e->code;
        }
        p->has_loss |= ss_input_kind_of(*in) == SS_INPUT_CLEAN && !ss_input_is_filtered(*in);
    }
    return SS_OK;
}

/* Makes the levels of the plan, as texts, since JSON has no infinity. */
static json_t *levels_of(const ss_plan *p)
{
    json_t *list = json_array();

    for (int i = 0; i < p->n_levels; i++) {
        const ss_plan_level *l = &p->levels[i];
        char text[96];

        snprintf(text, sizeof text, "%.17g, timestep %.9g, told %.9g", l->sigma,
                 (double)l->timestep, (double)l->condition);
        json_array_append_new(list, json_string(text));
    }
    return list;
}

/* Makes the inputs of the plan, with the sums of what they read; the default input is among them.
 */
static json_t *inputs_of(const ss_plan *p, ss_err *e)
{
    json_t *list = json_array();

    for (int i = 0; i < p->n_inputs; i++) {
        const ss_input *in = p->inputs[i];
        char sha256[65];

        if (ss_input_sha256(in, sha256, e) != SS_OK) {
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list,
                              ss_setting_content(ss_input_label(in), *sha256 ? sha256 : NULL));
    }
    return list;
}

static ss_code sum_conditions(const ss_conditions *k, char sha256[65], ss_err *e)
{
    const ss_condition_rows *const all[] = {&k->prompt, &k->text, &k->time, &k->labels,
                                            &k->guidance};
    enum { ROWS = sizeof all / sizeof *all };
    static_assert(sizeof *k == ROWS * sizeof *all[0] + sizeof k->text_form, "a row is missing");
    char sums[ROWS * 2 * 64 + 1] = "", *to = sums;
    ss_code rc = SS_OK;

    for (int i = 0; i < 2 * ROWS && rc == SS_OK; i++) {
        const ss_array *a = i % 2 ? &all[i / 2]->negative : &all[i / 2]->all;
        char one[65] = "";

        if (a->rank && (rc = ss_array_sha256(a, one, e)) == SS_OK)
            memcpy(to, one, 64);
        else
            memset(to, '-', 64);
        to += 64;
    }
    return rc == SS_OK ? ss_sha256_bytes(sums, sizeof sums - 1, sha256, e) : rc;
}

/* The device of the options without its number: "cuda" of "cuda:1". */
static json_t *kind_of_device(const json_t *j)
{
    const char *device = json_is_string(j) ? json_string_value(j) : "cpu";

    return json_stringn(device, strcspn(device, ":"));
}

ss_code ss_plan_describe(const ss_network *net, const ss_conditions *conditions, json_t *j,
                         ss_err *e)
{
    const char *scheduler = ss_model_about(net->model)->scheduler;
    char sha256[65];
    ss_code rc = scheduler ? ss_sha256_file(scheduler, sha256, e) : SS_OK;

    if (rc != SS_OK)
        return rc;
    json_object_set_new(j, "scheduler_file",
                        scheduler ? ss_setting_content(scheduler, sha256) : json_null());
    if ((rc = sum_conditions(conditions, sha256, e)) != SS_OK)
        return rc;
    json_object_set_new(j, "conditions", json_string(sha256));
    json_object_set_new(j, "device", kind_of_device(json_object_get(j, "device")));
    json_object_set_new(j, "version", json_string(SS_VERSION));
    json_object_set_new(j, "model_sha256", json_string(net->sha256));
    json_object_set_new(j, "size", json_pack("[i,i]", net->size.height, net->size.width));
    json_object_set_new(j, "prediction", json_string(ss_noising_prediction(net->noising)));
    json_object_set_new(j, "schedule", ss_setting_text(ss_noising_text(net->noising)));
    return SS_OK;
}

/* Writes the plan: the options, and what follows from them. */
static ss_code write_plan(const ss_probe_options *opt, ss_plan *p, ss_err *e)
{
    json_t *j = json_object(), *inputs;
    ss_code rc = ss_options_write(ss_probe_settings(), opt, j, e);

    if (rc == SS_OK)
        rc = ss_plan_describe(&p->net, &p->conditions, j, e);
    if (rc == SS_OK) {
        inputs = inputs_of(p, e);
        rc = inputs ? SS_OK : e->code;
        json_object_set_new(j, "inputs", inputs);
    }
    if (rc == SS_OK) {
        json_object_set_new(j, "levels", levels_of(p));
        json_object_set_new(j, "batch", json_integer(p->batch));
        p->text = ss_plan_dump(j);
        p->identity = ss_plan_identity(ss_probe_settings(), j);
        rc = p->text && p->identity ? SS_OK : ss_no_memory(e, "a plan");
    }
    json_decref(j);
    return rc;
}

ss_code ss_plan_make(const ss_probe_options *opt, ss_plan *out, ss_err *e)
{
    ss_condition_options cond = {
        .classes = &opt->class_label,
        .n_classes = opt->class_label >= 0,
        .prompt_embeds = opt->prompt_embeds,
        .class_embeds = opt->class_embeds,
        .guidance_embed = opt->guidance_embed,
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
    if (rc == SS_OK)
        rc = check_schedule(opt, &p, e);
    if (rc == SS_OK) {
        p.batch = ss_network_batch(&p.net, opt->batch, 1, p.n_inputs * p.samples);
        rc = ss_conditions_load(&cond, p.net.model, p.samples, p.batch, &p.conditions, e);
    }
    if (rc == SS_OK)
        rc = ss_network_identify(&p.net, e);
    if (rc == SS_OK)
        rc = write_plan(opt, &p, e);
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
    ss_concat_release(&p->concat);
    ss_free(p->text);
    ss_free(p->identity);
    *p = (ss_plan){0};
}
