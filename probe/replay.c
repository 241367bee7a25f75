/* replay.c - see replay.h; the plan is written by plan.c */
#include "probe/replay.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

static ss_code lacks(const ss_run *r, const char *key, ss_err *e)
{
    return ss_fail(e, SS_FORMAT,
                   "%s: its plan says nothing usable of \"%s\"; probe the model again with this "
                   "version",
                   r->path, key);
}

/* A list of texts; the texts are borrowed from the plan, the list is ss_free's. */
static ss_code read_texts(const ss_run *r, const ss_replay *p, const char *key, const char ***list,
                          int *n, ss_err *e)
{
    const json_t *j = json_object_get(p->plan, key);
    const size_t count = json_array_size(j);

    if (!json_is_array(j))
        return lacks(r, key, e);
    *list = ss_alloc(count, sizeof **list);
    if (!*list)
        return ss_fail(e, SS_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        (*list)[i] = json_string_value(json_array_get(j, i));
        if (!(*list)[i])
            return lacks(r, key, e);
    }
    *n = (int)count;
    return SS_OK;
}

/* "SIGMA, timestep T, told C" of each level to "SIGMA,SIGMA,...": the timesteps follow from them.
 */
static ss_code read_levels(const ss_run *r, ss_replay *p, ss_err *e)
{
    const json_t *levels = json_object_get(p->plan, "levels"), *level;
    ss_str s = {0};
    size_t i;

    json_array_foreach(levels, i, level)
    {
        const char *text = json_string_value(level);

        if (!text) {
            ss_str_release(&s);
            return lacks(r, "levels", e);
        }
        ss_str_addf(&s, "%s%.*s", i ? "," : "", (int)strcspn(text, ","), text);
    }
    if (!json_array_size(levels))
        return lacks(r, "levels", e);
    p->sigmas = ss_str_detach(&s);
    p->opt.sigmas = p->sigmas;
    return p->sigmas ? SS_OK : ss_fail(e, SS_NOMEM, "out of memory");
}

static ss_code read_int(const ss_run *r, const json_t *j, const char *key, int64_t *value,
                        ss_err *e)
{
    if (!json_is_integer(j))
        return lacks(r, key, e);
    *value = json_integer_value(j);
    return SS_OK;
}

static ss_code read_numbers(const ss_run *r, ss_replay *p, ss_err *e)
{
    const json_t *size = json_object_get(p->plan, "size");
    const struct {
        const char *key;
        const json_t *j;
        int *to;
    } ints[] = {
        {"samples", json_object_get(p->plan, "samples"), &p->opt.samples},
        {"batch", json_object_get(p->plan, "batch"), &p->opt.batch},
        {"class", json_object_get(p->plan, "class"), &p->opt.class_label},
        {"size", json_array_get(size, 0), &p->opt.network.height},
        {"size", json_array_get(size, 1), &p->opt.network.width},
    };
    int64_t seed = 0;

    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        int64_t v = 0;

        if (read_int(r, ints[i].j, ints[i].key, &v, e) != SS_OK)
            return e->code;
        if (v < -1 || v > 1 << 20)
            return lacks(r, ints[i].key, e);
        *ints[i].to = (int)v;
    }
    if (read_int(r, json_object_get(p->plan, "seed"), "seed", &seed, e) != SS_OK)
        return e->code;
    p->opt.seed = (uint64_t)seed;
    return SS_OK;
}

ss_code ss_replay_read(const ss_run *r, ss_replay *p, ss_err *e)
{
    json_error_t at;

    *p = (ss_replay){.opt = ss_probe_defaults()};
    if (!*r->plan || !*r->model_path)
        return ss_fail(e, SS_USAGE,
                       "%s: does not say how it was made, so it cannot be repeated; runs of "
                       "`sigmascope probe` do",
                       r->path);
    p->plan = json_loads(r->plan, JSON_REJECT_DUPLICATES, &at);
    if (!json_is_object(p->plan)) {
        json_decref(p->plan);
        p->plan = NULL;
        return ss_fail(e, SS_FORMAT, "%s: its plan is not JSON: %s", r->path, at.text);
    }
    const struct {
        const char *key;
        const char **to;
    } texts[] = {
        {"device", &p->opt.device},
        {"condition_sigma", &p->opt.condition_sigma},
        {"prompt_embeds", &p->opt.prompt_embeds},
        {"text_embeds", &p->opt.text_embeds},
        {"time_ids", &p->opt.time_ids},
        {"concat", &p->opt.concat},
        {"beta_schedule", &p->opt.network.beta_schedule},
        {"prediction_type", &p->opt.network.prediction_type},
    };
    ss_code rc = SS_OK;

    p->opt.network.model = r->model_path;
    for (size_t i = 0; i < sizeof texts / sizeof *texts && rc == SS_OK; i++) {
        const json_t *j = json_object_get(p->plan, texts[i].key);

        *texts[i].to = json_string_value(j);
        if (!json_is_string(j) && !json_is_null(j))
            rc = lacks(r, texts[i].key, e);
    }
    if (rc == SS_OK)
        rc = read_numbers(r, p, e);
    if (rc == SS_OK)
        rc = read_levels(r, p, e);
    if (rc == SS_OK)
        rc = read_texts(r, p, "inputs", &p->inputs, &p->opt.n_inputs, e);
    if (rc == SS_OK)
        rc = read_texts(r, p, "modules", &p->modules, &p->opt.n_modules, e);
    if (rc == SS_OK)
        rc = read_texts(r, p, "interventions", &p->interventions,
                        &p->opt.network.changes.n_interventions, e);
    p->opt.inputs = p->inputs;
    p->opt.modules = p->modules;
    p->opt.network.changes.interventions = p->interventions;
    if (rc != SS_OK)
        ss_replay_release(p);
    return rc;
}

void ss_replay_release(ss_replay *p)
{
    json_decref(p->plan);
    ss_free(p->sigmas);
    ss_free(p->inputs);
    ss_free(p->modules);
    ss_free(p->interventions);
    *p = (ss_replay){0};
}
