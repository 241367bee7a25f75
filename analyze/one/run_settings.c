/* run_settings.c - see run_settings.h */
#include "analyze/one/run_settings.h"

#include "base/mem.h"
#include "runfile/plan_text.h"

#include <string.h>

enum { LONG = 60, BEFORE = 20 };

/* The plans of the runs. */
typedef struct {
    const ss_settings **made_by; /* [n_runs]; NULL: not by us */
    json_t **plan;               /* [n_runs] */
    int n_runs;
} plans;

static const char *name_of(const ss_setting *x)
{
    return strncmp(x->option, "--", 2) == 0 ? x->option + 2 : x->option;
}

/* Drops the common beginning of long values that differ later: a table cuts long texts, and they
 * would look the same. */
static void shorten(ss_run_setting *row, int n_runs)
{
    size_t common = 0, longest = 0;
    const char *first = row->values[0];

    for (int j = 0; j < n_runs; j++) {
        size_t n = 0;

        while (first[n] && first[n] == row->values[j][n])
            n++;
        common = j == 0 || n < common ? n : common;
        longest = strlen(row->values[j]) > longest ? strlen(row->values[j]) : longest;
    }
    if (!row->differs || longest <= LONG || common <= BEFORE)
        return;
    for (int j = 0; j < n_runs; j++) {
        char *v = row->values[j];
        const size_t from = common - BEFORE, n = strlen(v);

        if (n <= from)
            continue;
        memcpy(v, "...", 3);
        memmove(v + 3, v + from, n - from + 1);
    }
}

/* One row; false: no memory. */
static bool fill(const plans *p, const ss_setting *x, ss_run_setting *row)
{
    const json_t *first = NULL;

    *row = (ss_run_setting){
        .key = x->key,
        .name = name_of(x),
        .values = ss_calloc((size_t)p->n_runs, sizeof *row->values),
        .known = ss_calloc((size_t)p->n_runs, sizeof *row->known),
        .usual = true,
    };
    if (!row->values || !row->known)
        return false;
    for (int j = 0; j < p->n_runs; j++) {
        const json_t *plan = p->made_by[j] ? p->plan[j] : NULL;
        ss_str text = {0};

        row->known[j] = plan && json_object_get(plan, x->key);
        if (row->known[j])
            ss_setting_show(x, plan, &text);
        else
            ss_str_add(&text, plan ? "not recorded" : "unknown");
        if (!(row->values[j] = ss_str_detach(&text)))
            return false;
        if (!row->known[j])
            continue;
        row->usual &= ss_setting_is_default(x, plan);
        row->differs |= first && !ss_setting_is_same(x, first, plan);
        first = first ? first : plan;
    }
    shorten(row, p->n_runs);
    return true;
}

static ss_run_setting *row_of(ss_run_settings *x, const char *key)
{
    for (int i = 0; i < x->n; i++) {
        if (strcmp(x->list[i].key, key) == 0)
            return &x->list[i];
    }
    return NULL;
}

/* Drops the way in which noise levels were given where the levels are the same, and the list of
 * levels where the way already differs. */
static void settle_levels(const plans *p, ss_run_settings *x)
{
    ss_run_setting *levels = row_of(x, "levels");
    bool said = false;

    for (int j = 0; j < p->n_runs; j++) {
        const ss_settings *s = p->made_by[j];

        for (int i = 0; s && i < s->n; i++) {
            if (s->list[i].role != SS_SETTING_FORM)
                continue;
            ss_run_setting *row = row_of(x, s->list[i].key);
            row->differs &= levels && levels->differs;
            said |= row->differs;
        }
    }
    if (levels && said)
        levels->differs = false;
}

/* Another checkpoint has another table of classes, which is part of it. */
static void settle_conditions(ss_run_settings *x)
{
    ss_run_setting *conditions = row_of(x, "conditions");
    const ss_run_setting *model = row_of(x, "model_sha256");

    if (conditions && model && model->differs)
        conditions->differs = false;
}

static ss_code fill_all(const plans *p, ss_run_settings *x, ss_err *e)
{
    size_t cap = 0;

    for (int j = 0; j < p->n_runs; j++) {
        const ss_settings *s = p->made_by[j];

        for (int i = 0; s && i < s->n; i++) {
            const ss_setting *setting = &s->list[i];

            if (setting->role == SS_SETTING_NONE || row_of(x, setting->key))
                continue;
            ss_run_setting *grown = ss_grow(x->list, &cap, (size_t)x->n + 1, sizeof *grown);
            if (!grown)
                return ss_no_memory(e, "settings of a run");
            x->list = grown;
            if (!fill(p, setting, &x->list[x->n++]))
                return ss_no_memory(e, "settings of a run");
        }
        x->n_foreign += !s;
    }
    settle_levels(p, x);
    settle_conditions(x);
    return SS_OK;
}

ss_code ss_run_settings_find(ss_run *const *runs, int n_runs, ss_run_settings *x, ss_err *e)
{
    plans p = {
        .made_by = ss_calloc((size_t)n_runs, sizeof *p.made_by),
        .plan = ss_calloc((size_t)n_runs, sizeof *p.plan),
        .n_runs = n_runs,
    };
    ss_code rc = p.made_by && p.plan ? SS_OK : ss_no_memory(e, "settings of a run");

    *x = (ss_run_settings){.n_runs = n_runs};
    for (int j = 0; j < n_runs && rc == SS_OK; j++)
        p.plan[j] = ss_plan_parse(runs[j]->plan, &p.made_by[j]);
    if (rc == SS_OK)
        rc = fill_all(&p, x, e);
    for (int j = 0; p.plan && j < n_runs; j++)
        json_decref(p.plan[j]);
    ss_free(p.made_by);
    ss_free(p.plan);
    if (rc != SS_OK)
        ss_run_settings_release(x);
    return rc;
}

void ss_run_settings_release(ss_run_settings *x)
{
    for (int i = 0; i < x->n; i++) {
        for (int j = 0; x->list[i].values && j < x->n_runs; j++)
            ss_free(x->list[i].values[j]);
        ss_free(x->list[i].values);
        ss_free(x->list[i].known);
    }
    ss_free(x->list);
    *x = (ss_run_settings){0};
}

static bool is_skipped(const char *const *skip, const char *key)
{
    for (; skip && *skip; skip++) {
        if (strcmp(*skip, key) == 0)
            return true;
    }
    return false;
}

void ss_run_settings_describe(const ss_run_settings *x, const char *const *skip, ss_str *out)
{
    enum { MANY = 4 };
    for (int i = 0; i < x->n; i++) {
        const ss_run_setting *row = &x->list[i];

        if (!row->differs || is_skipped(skip, row->key))
            continue;
        ss_str_addf(out, "%s%s", out->len ? ", " : "", row->name);
        for (int j = 0; j < x->n_runs && x->n_runs <= MANY; j++)
            ss_str_addf(out, "%s%.200s%s", j ? ", " : " (", row->values[j],
                        strlen(row->values[j]) > 200 ? "..." : "");
        ss_str_add(out, x->n_runs <= MANY ? ")" : "");
    }
}
