/* config.c - see config.h
 *
 *   file -> JSON, changed by --set
 *   -> the fields of each section (config_fields.c), and what is no plain field (config_network.c)
 *   -> keys that nothing has read are refused
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

/* Puts VALUE at KEY; makes objects that are missing on the way. */
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
            return json_object_set_new(object, key, value) == 0
                       ? SS_OK
                       : ss_no_memory(e, "training configuration");
        json_t *next = json_object_get(object, key);
        if (!json_is_object(next)) {
            next = json_object();
            if (!next || json_object_set_new(object, key, next) != 0) {
                json_decref(value);
                return ss_no_memory(e, "training configuration");
            }
        }
        object = next;
        at = dot + 1;
    }
}

ss_train_config ss_train_config_defaults(void)
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

/* The keys that a section may have: its fields and parts; of the file itself the sections, too.
 * NULL: no memory. */
static char *known_keys(const ss_field_section *s)
{
    ss_str known = {0};

    for (const ss_field *f = s->fields; f->key; f++)
        ss_str_addf(&known, "%s%s", known.len ? ", " : "", f->key);
    for (const ss_config_part *p = ss_config_parts; p->key; p++) {
        if (strcmp(p->section, s->key) == 0)
            ss_str_addf(&known, ", %s", p->key);
    }
    for (const ss_field_section *other = s + 1; *s->key == '\0' && other->key; other++)
        ss_str_addf(&known, ", %s", other->key);
    return ss_str_detach(&known);
}

static void read_parts(ss_config_reader *r, const ss_field_section *s, ss_json *j)
{
    char *known = known_keys(s);

    for (const ss_config_part *p = ss_config_parts; p->key; p++) {
        if (p->read && strcmp(p->section, s->key) == 0)
            p->read(r, j);
    }
    ss_config_refuse_unread(j, known ? known : "");
    ss_free(known);
}

static void read_section(ss_config_reader *r, const ss_field_section *s)
{
    ss_json part;

    if (!ss_config_open(r->j, s->key, &part))
        return;
    ss_fields_read(r, s->fields, &part);
    read_parts(r, s, &part);
    ss_config_close(r->j, &part);
}

static void read_all(ss_config_reader *r)
{
    ss_train_config *t = r->t;

    ss_fields_read(r, ss_train_sections->fields, r->j);
    for (const ss_field_section *s = ss_train_sections + 1; s->key; s++)
        read_section(r, s);
    read_parts(r, ss_train_sections, r->j);
    t->trainer.init.seed = t->trainer.data.seed = t->trainer.objective.seed = t->seed;
    t->trainer.optimizer.seed = t->seed;
    t->trainer.optimizer.steps = t->steps;
    if (t->init_state && !t->trainer.from)
        ss_json_complain(r->j, SS_USAGE, "init",
                         "state goes on from a checkpoint, which from must name");
    if (t->checkpoint_ema && t->trainer.optimizer.ema_decay == 0)
        ss_json_complain(r->j, SS_USAGE, "checkpoints",
                         "averages of the weights need optimizer.ema_decay over 0");
}

static ss_code write_effective(ss_train_config *t, ss_err *e)
{
    json_t *all = ss_fields_write(ss_train_sections->fields, t);
    int bad = !all;

    for (const ss_field_section *s = ss_train_sections + 1; s->key; s++)
        bad |= json_object_set_new(all, s->key, ss_fields_write(s->fields, t));
    for (const ss_config_part *p = ss_config_parts; p->key; p++) {
        json_t *section = *p->section ? json_object_get(all, p->section) : all;
        json_t *v = p->given(t->parts, p->key);

        if (v)
            bad |= json_object_set(section, p->key, v);
    }
    t->effective = all;
    return bad ? ss_no_memory(e, "training configuration") : SS_OK;
}

ss_code ss_train_config_read(const char *path, const char *const *sets, int n_sets,
                             ss_train_config **out, ss_err *e)
{
    ss_train_config *t = ss_calloc(1, sizeof *t);
    ss_json j = {0};
    ss_config_reader r = {.t = t, .j = &j, .path = path};
    ss_code rc = SS_OK;

    if (t) {
        *t = ss_train_config_defaults();
        t->parts = ss_calloc(1, sizeof *t->parts);
    }
    if (!t || !t->parts)
        rc = ss_no_memory(e, "training configuration");
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
