/* config_network.c - see config_network.h */
#include "train/config_network.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/model_paths.h"
#include "models/sampling/schedule_config.h"

#include <limits.h>
#include <stdio.h>

/* v itself, or the object in the file that it names; a new reference. NULL after a complaint. */
static json_t *object_or_file(ss_config_reader *r, ss_json *j, const char *key, const json_t *v)
{
    const char *path;
    ss_json file;
    ss_err e = {0};
    json_t *object;

    if (json_is_object(v))
        return json_deep_copy(v);
    if (!json_is_string(v)) {
        ss_json_complain(j, SS_FORMAT, key, "expected an object, or the path of a file with one");
        return NULL;
    }
    if (!(path = ss_config_path(r, json_string_value(v)))) {
        ss_json_complain(j, SS_NOMEM, key, "out of memory");
        return NULL;
    }
    ss_model_paths model = {0};
    if (ss_is_dir(path)) {
        if (ss_model_paths_find(path, NULL, &model, &e) == SS_OK)
            path = model.config;
    }
    if (e.code == SS_OK && ss_json_load(&file, path, &e) == SS_OK) {
        object = json_deep_copy(file.root);
        ss_json_release(&file);
        ss_model_paths_release(&model);
        return object;
    }
    ss_model_paths_release(&model);
    ss_json_complain(j, e.code, key, "%s", e.msg);
    return NULL;
}

/* Puts the keys of a configuration's "motion" into the network's. */
static void merge_motion(ss_json *j, json_t *network, const json_t *motion)
{
    json_t *own = json_object_get(network, "motion");

    if (!json_is_object(motion) || (own && !json_is_object(own)) ||
        (own ? json_object_update(own, (json_t *)motion)
             : json_object_set(network, "motion", (json_t *)motion)) != 0)
        ss_json_complain(j, SS_FORMAT, "motion", "expected an object");
}

static void read_network(ss_config_reader *r, ss_json *j)
{
    ss_train_config_parts *parts = r->t->parts;
    const json_t *v = ss_json_get(j, "model"), *remedies = ss_json_get(j, "remedies");
    const json_t *motion = ss_json_get(j, "motion");

    if (!v) {
        ss_json_complain(j, SS_USAGE, "model",
                         "expected a diffusers config.json: its path, or the object");
        return;
    }
    parts->network = object_or_file(r, j, "model", v);
    if (!parts->network)
        return;
    if (remedies && json_object_set(parts->network, "remedies", (json_t *)remedies) != 0)
        ss_json_complain(j, SS_FORMAT, "remedies", "expected an object");
    if (motion)
        merge_motion(j, parts->network, motion);
    r->t->trainer.config = parts->network;
    r->t->trainer.config_name = json_is_string(v) ? json_string_value(v) : "model";
}

/* Writes the one name of the format into the configuration, so that a training's folder does not
 * depend on which name was given. */
static void read_format(ss_json *j, const char *key, ss_format *f)
{
    const char *name = ss_json_string(j, key, "fp32");
    ss_err e = {0};

    if (ss_format_parse(name, f, &e) != SS_OK)
        ss_json_complain(j, e.code, key, "%s", e.msg);
    else if (json_object_get(j->root, key) &&
             json_object_set_new(j->root, key, json_string(f->name)) != 0)
        ss_json_complain(j, SS_NOMEM, key, "out of memory");
}

static void read_rule(ss_json *precision, const json_t *v, struct ss_precision_rule *rule)
{
    char name[512];
    ss_json j = {0};
    ss_err e = {0};

    snprintf(name, sizeof name, "%s: rules", precision->name);
    if (ss_json_wrap(&j, name, (json_t *)v, &precision->err) != SS_OK)
        return;
    rule->glob = ss_json_string(&j, "modules", NULL);
    if (!rule->glob)
        ss_json_complain(&j, SS_USAGE, "modules", "expected a glob over module paths");
    else if (ss_glob_check(rule->glob, &e) != SS_OK)
        ss_json_complain(&j, e.code, "modules", "%s", e.msg);
    read_format(&j, "format", &rule->format);
    read_format(&j, "gradient", &rule->gradient);
    ss_config_refuse_unread(&j, "modules, format, gradient");
    ss_config_close(precision, &j);
}

static void read_precision(ss_config_reader *r, ss_json *file)
{
#define X(name, text) text,
    static const char *const scopes[] = {"ops", SS_ROUND_SCOPES(X) NULL}; /* "ops": half */
    static const char *const attention[] = {SS_ATTENTION_CODES(X) NULL};
#undef X
    ss_train_config_parts *parts = r->t->parts;
    ss_json j;

    if (!ss_config_open(file, "precision", &j))
        return;
    read_format(&j, "format", &parts->precision.format);
    read_format(&j, "gradient", &parts->precision.gradient);
    const int scope = ss_json_choice(&j, "scope", scopes, 0);
    parts->precision.scope = scope ? (ss_round_scope)(scope - 1) : SS_ROUND_HALF;
    parts->precision.attention = (ss_attention_code)ss_json_choice(&j, "attention", attention, 0);
    parts->precision.torch_norms = !ss_format_is_f32(&parts->precision.format);
    const json_t *rules = ss_json_get(&j, "rules");
    const size_t n = json_array_size(rules);

    if (rules && !json_is_array(rules))
        ss_json_complain(&j, SS_FORMAT, "rules", "expected a list of objects");
    struct ss_precision_rule *list = ss_config_keep(parts, ss_calloc(n + 1, sizeof *list));
    if (!list)
        ss_json_complain(&j, SS_NOMEM, "rules", "out of memory");
    for (size_t i = 0; i < n && list && n <= INT_MAX; i++)
        read_rule(&j, json_array_get(rules, i), &list[i]);
    parts->precision.rules = list;
    parts->precision.n_rules = (int)n;
    ss_config_refuse_unread(&j, "format, gradient, scope, attention, rules");
    if (n || !ss_format_is_f32(&parts->precision.format) ||
        !ss_format_is_f32(&parts->precision.gradient))
        r->t->trainer.precision = &parts->precision;
    ss_config_close(file, &j);
}

static void read_interventions(ss_config_reader *r, ss_json *j)
{
    const json_t *list = ss_json_get(j, "interventions");
    const size_t n = json_array_size(list);
    ss_intervention *v = ss_config_keep(r->t->parts, ss_calloc(n + 1, sizeof *v));
    ss_err e = {0};

    if (list && (!json_is_array(list) || n > INT_MAX))
        ss_json_complain(j, SS_FORMAT, "interventions", "expected a list of strings");
    if (!v)
        ss_json_complain(j, SS_NOMEM, "interventions", "out of memory");
    for (size_t i = 0; i < n && v; i++) {
        const char *spec = json_string_value(json_array_get(list, i));

        if (!spec)
            ss_json_complain(j, SS_FORMAT, "interventions", "expected a list of strings");
        else if (ss_intervention_parse(spec, &v[i], &e) != SS_OK)
            ss_json_complain(j, e.code, "interventions", "%s", e.msg);
    }
    r->t->trainer.interventions = v;
    r->t->trainer.n_interventions = (int)n;
}

/* The noise levels of `cosine` in diffusers' words. Its 1000 timesteps mean the same levels. */
static json_t *cosine_scheduler(void)
{
    return json_pack("{s:s, s:s, s:i, s:b}", "_class_name", "DDPMScheduler", "beta_schedule",
                     "squaredcos_cap_v2", "num_train_timesteps", 1000, "clip_sample", 0);
}

/* Preconditioning of Karras et al. 2022; its prediction_type epsilon is the bare network's answer.
 */
static json_t *edm_scheduler(double sigma_data)
{
    return json_pack("{s:s, s:f, s:f, s:f, s:f, s:i}", "_class_name", "EDMEulerScheduler",
                     "sigma_data", sigma_data, "sigma_min", 0.002, "sigma_max", 80.0, "rho", 7.0,
                     "num_train_timesteps", 1000);
}

/* Reads the schedule from which noise levels are drawn. */
static void open_levels(ss_config_reader *r, ss_json *j)
{
    ss_train_config_parts *parts = r->t->parts;
    const json_t *v = ss_json_get(j, "schedule");
    ss_json s = {0};

    if (!v) {
        ss_json_complain(j, SS_USAGE, "schedule",
                         "noise levels by timesteps need a scheduler_config.json: its path, or the "
                         "object");
        return;
    }
    if ((parts->schedule = object_or_file(r, j, "schedule", v)) &&
        ss_json_wrap(&s, j->name, parts->schedule, &j->err) == SS_OK &&
        ss_schedule_read(&s, &parts->levels, &j->err) == SS_OK)
        r->t->trainer.objective.schedule = parts->levels;
    ss_json_release(&s);
}

static void read_schedule(ss_config_reader *r, ss_json *j)
{
    ss_train_config_parts *parts = r->t->parts;
    const ss_objective *o = &r->t->trainer.objective;
    const bool edm = o->prediction == SS_OBJECTIVE_EDM;

    if (o->levels == SS_LEVELS_TIMESTEPS)
        open_levels(r, j);
    else if (ss_json_has(j, "schedule"))
        ss_json_complain(j, SS_USAGE, "schedule", "only noise levels by timesteps have one");
    if (j->err.code != SS_OK || o->prediction == SS_OBJECTIVE_AUTOENCODER ||
        o->prediction == SS_OBJECTIVE_DEPTH)
        return;
    parts->scheduler = edm               ? edm_scheduler(o->sigma_data)
                       : parts->schedule ? json_deep_copy(parts->schedule)
                                         : cosine_scheduler();
    if (!parts->scheduler ||
        json_object_set_new(parts->scheduler, "prediction_type",
                            json_string(edm ? "epsilon" : ss_objective_name(o->prediction))) != 0)
        ss_json_complain(j, SS_NOMEM, "schedule", "out of memory");
    r->t->trainer.scheduler = parts->scheduler;
}

static json_t *network_of(const ss_train_config_parts *parts, const char *key)
{
    (void)key;
    return parts->network;
}

static json_t *schedule_of(const ss_train_config_parts *parts, const char *key)
{
    (void)key;
    return parts->schedule;
}

static json_t *as_in_file(const ss_train_config_parts *parts, const char *key)
{
    return json_object_get(parts->root, key);
}

static json_t *nothing(const ss_train_config_parts *parts, const char *key)
{
    (void)parts, (void)key;
    return NULL;
}

const ss_config_part ss_config_parts[] = {
    {"", "model", read_network, network_of},
    {"", "remedies", NULL, nothing}, /* these go into the model */
    {"", "motion", NULL, nothing},
    {"", "precision", read_precision, as_in_file},
    {"", "interventions", read_interventions, as_in_file},
    {"", "stages", ss_config_read_stages, as_in_file},
    {"objective", "schedule", read_schedule, schedule_of},
    {0},
};
