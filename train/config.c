/* config.c - see config.h
 *
 *   file -> JSON, with what --set says put in its place
 *   -> the fields of each section (config_fields.c), and what is no plain field (config_network.c)
 *   -> keys that nobody asked for are refused
 *   -> the effective configuration
 */
#include "train/config.h"

#include "base/mem.h"
#include "base/str.h"
#include "train/config_fields.h"
#include "train/config_network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ss_code out_of_memory(ss_err *e)
{
    return ss_fail(e, SS_NOMEM, "training configuration: out of memory");
}

/* KEY=VALUE: objects on the way to the key are made where they are missing. */
static ss_code apply_set(json_t *root, const char *set, ss_err *e)
{
    const char *eq = strchr(set, '='), *at = set;
    json_t *object = root, *value;

    if (!eq || eq == set)
        return ss_fail(e, SS_USAGE, "'%s' is not KEY=VALUE, as optimizer.lr=1e-3", set);
    value = json_loads(eq + 1, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    if (!value)
        value = json_string(eq + 1);
    if (!value)
        return ss_fail(e, SS_USAGE, "'%s': the value is neither JSON nor UTF-8 text", set);
    for (;;) {
        const char *dot = memchr(at, '.', (size_t)(eq - at)), *end = dot ? dot : eq;
        char key[64];

        if (end == at || (size_t)(end - at) >= sizeof key) {
            json_decref(value);
            return ss_fail(e, SS_USAGE, "'%s' is not KEY=VALUE, as optimizer.lr=1e-3", set);
        }
        memcpy(key, at, (size_t)(end - at));
        key[end - at] = '\0';
        if (!dot)
            return json_object_set_new(object, key, value) == 0 ? SS_OK : out_of_memory(e);
        json_t *next = json_object_get(object, key);
        if (!json_is_object(next)) {
            next = json_object();
            if (!next || json_object_set_new(object, key, next) != 0) {
                json_decref(value);
                return out_of_memory(e);
            }
        }
        object = next;
        at = dot + 1;
    }
}

static ss_train_config defaults(void)
{
    return (ss_train_config){
        .trainer = ss_trainer_defaults(),
        .output = "train-out",
        .steps = 1000,
        .max_rollbacks = 10,
        .statistics_every = 50,
        .checkpoint_every = 500,
    };
}

/* A section's fields, and what else its key stands for. */
static void read_section(ss_config_reader *r, const ss_field_section *s)
{
    const bool own = *s->key == '\0', objective = strcmp(s->key, "objective") == 0;
    const char *more = objective ? "schedule" : NULL;
    ss_json part, *j = own ? r->j : &part;

    if (!own && !ss_config_open(r->j, s->key, &part))
        return;
    ss_fields_read(r, s->fields, j);
    if (own)
        return;
    if (objective)
        ss_config_read_schedule(r, j);
    char *known = ss_fields_known(s->fields, more);
    ss_config_refuse_unread(j, known ? known : "");
    ss_free(known);
    ss_config_close(r->j, j);
}

static void refuse_sections(ss_json *j)
{
    ss_str more = {0};

    ss_str_add(&more, "model, remedies, precision, interventions");
    for (const ss_field_section *s = ss_train_sections + 1; s->key; s++)
        ss_str_addf(&more, ", %s", s->key);
    char *known = ss_fields_known(ss_train_sections->fields, more.s ? more.s : "");
    ss_config_refuse_unread(j, known ? known : "");
    ss_free(known);
    ss_str_release(&more);
}

static void read_all(ss_config_reader *r)
{
    ss_train_config *t = r->t;

    for (const ss_field_section *s = ss_train_sections; s->key; s++)
        read_section(r, s);
    ss_config_read_network(r);
    ss_config_read_precision(r);
    ss_config_read_interventions(r);
    refuse_sections(r->j);
    t->trainer.init.seed = t->trainer.data.seed = t->trainer.objective.seed = t->seed;
    t->trainer.optimizer.steps = t->steps;
    if (t->init_state && !t->trainer.from)
        ss_json_complain(r->j, SS_USAGE, "init",
                         "state goes on from a checkpoint, which from must name");
    if (t->checkpoint_ema && t->trainer.optimizer.ema_decay == 0)
        ss_json_complain(r->j, SS_USAGE, "checkpoints",
                         "averages of the weights need optimizer.ema_decay over 0");
}

/* What no list of fields has goes in as the file has it, but for the network and the schedule,
 * which may be files of their own. */
static ss_code write_effective(ss_train_config *t, ss_err *e)
{
    static const char *const given[] = {"precision", "interventions"};
    const ss_train_config_parts *parts = t->parts;
    json_t *all = ss_fields_write(ss_train_sections->fields, t);
    int bad = !all;

    for (const ss_field_section *s = ss_train_sections + 1; s->key; s++)
        bad |= json_object_set_new(all, s->key, ss_fields_write(s->fields, t));
    bad |= json_object_set(all, "model", parts->network);
    for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
        json_t *v = json_object_get(parts->root, given[i]);

        if (v)
            bad |= json_object_set(all, given[i], v);
    }
    if (parts->schedule)
        bad |= json_object_set(json_object_get(all, "objective"), "schedule", parts->schedule);
    t->effective = all;
    return bad ? out_of_memory(e) : SS_OK;
}

ss_code ss_train_config_read(const char *path, const char *const *sets, int n_sets,
                             ss_train_config **out, ss_err *e)
{
    ss_train_config *t = ss_calloc(1, sizeof *t);
    ss_json j = {0};
    ss_config_reader r = {.t = t, .j = &j, .path = path};
    ss_code rc = SS_OK;

    if (t) {
        *t = defaults();
        t->parts = ss_calloc(1, sizeof *t->parts);
    }
    if (!t || !t->parts)
        rc = out_of_memory(e);
    if (rc == SS_OK)
        rc = ss_json_load_strict(&j, path, e);
    for (int i = 0; i < n_sets && rc == SS_OK; i++)
        rc = apply_set(j.root, sets[i], e);
    if (rc == SS_OK) {
        t->parts->root = json_incref(j.root);
        read_all(&r);
        rc = ss_json_done(&j, e);
    }
    if (rc == SS_OK)
        rc = write_effective(t, e);
    ss_json_release(&j);
    if (rc != SS_OK) {
        ss_train_config_free(t);
        return rc;
    }
    *out = t;
    return SS_OK;
}

void ss_train_config_free(ss_train_config *t)
{
    if (!t)
        return;
    json_decref(t->effective);
    if (t->parts) {
        json_decref(t->parts->root);
        json_decref(t->parts->network);
        json_decref(t->parts->schedule);
        json_decref(t->parts->scheduler);
        ss_schedule_free(t->parts->levels);
        for (size_t i = 0; i < t->parts->n; i++)
            ss_free(t->parts->kept[i]);
        ss_free(t->parts->kept);
    }
    ss_free(t->parts);
    ss_free(t);
}

static void show(const json_t *v, char *out, size_t n)
{
    const size_t len =
        v ? json_dumpb(v, out, n - 1, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9)) : 0;

    if (!v)
        snprintf(out, n, "not set");
    else if (len > n - 1)
        snprintf(out, n, "something longer");
    else
        out[len] = '\0';
}

/* The first difference below PREFIX, in the order of `there`. */
static bool differs(const json_t *there, const json_t *here, const char *prefix, char *out,
                    size_t n)
{
    char a[80], b[80], path[200];
    const char *key;
    json_t *v;

    if (!json_is_object(there) || !json_is_object(here)) {
        if (json_equal(there, here))
            return false;
        show(there, a, sizeof a);
        show(here, b, sizeof b);
        snprintf(out, n, "%s is %s there, %s here", prefix, a, b);
        return true;
    }
    for (int pass = 0; pass < 2; pass++) {
        const json_t *from = pass ? here : there;

        json_object_foreach((json_t *)from, key, v)
        {
            snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", key);
            if (differs(json_object_get(there, key), json_object_get(here, key), path, out, n))
                return true;
        }
    }
    return false;
}

bool ss_train_config_differs(const json_t *there, const json_t *here, char *out, size_t n)
{
    return differs(there, here, "", out, n);
}
