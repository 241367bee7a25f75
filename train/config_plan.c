/* config_plan.c - what of a configuration determines a training; see config.h */
#include "train/config.h"
#include "train/config_fields.h"

#include <stdio.h>
#include <string.h>

static bool is_usual(const ss_field *f, const json_t *v)
{
    const ss_train_config usual = ss_train_config_defaults();
    json_t *u = ss_field_write(f, &usual);
    const bool is = json_equal(v, u);

    json_decref(u);
    return is;
}

/* Removes the fields of a role; of UNUSUAL those that are as usual. */
static void drop(json_t *all, ss_field_role role)
{
    for (const ss_field_section *s = ss_train_sections; s->key; s++) {
        json_t *section = *s->key ? json_object_get(all, s->key) : all;

        for (const ss_field *f = s->fields; f->key; f++) {
            const bool counts =
                role == SS_FIELD_UNUSUAL && !is_usual(f, json_object_get(section, f->key));

            if (f->role == role && !counts)
                json_object_del(section, f->key);
        }
    }
}

/* Gives the UNUSUAL fields that a configuration of before them lacks the value that it had. */
static void add_usual(json_t *all)
{
    const ss_train_config usual = ss_train_config_defaults();

    for (const ss_field_section *s = ss_train_sections; s->key; s++) {
        json_t *section = *s->key ? json_object_get(all, s->key) : all;

        for (const ss_field *f = s->fields; f->key; f++)
            if (f->role == SS_FIELD_UNUSUAL && json_is_object(section) &&
                !json_object_get(section, f->key))
                json_object_set_new(section, f->key, ss_field_write(f, &usual));
    }
}

char *ss_train_config_plan(const ss_train_config *t, int64_t steps)
{
    json_t *plan = json_deep_copy(t->effective);
    char *text = NULL;

    if (plan && json_object_set_new(plan, "steps", json_integer(steps)) == 0) {
        drop(plan, SS_FIELD_NAME);
        drop(plan, SS_FIELD_STOP);
        drop(plan, SS_FIELD_UNUSUAL);
        text = json_dumps(plan, JSON_COMPACT);
    }
    json_decref(plan);
    return text;
}

bool ss_train_config_steps_matter(const ss_train_config *t)
{
    return t->trainer.optimizer.rate != SS_RATE_CONSTANT;
}

json_t *ss_train_config_record(const ss_train_config *t)
{
    json_t *record = json_deep_copy(t->effective);

    drop(record, SS_FIELD_UNUSUAL);
    if (!ss_train_config_steps_matter(t))
        drop(record, SS_FIELD_LENGTH);
    return record;
}

json_t *ss_train_config_fixed(const json_t *effective)
{
    json_t *fixed = json_deep_copy(effective);

    drop(fixed, SS_FIELD_NAME);
    drop(fixed, SS_FIELD_LENGTH);
    add_usual(fixed);
    return fixed;
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

/* Finds the first difference below PREFIX, in the order of `there`. */
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
