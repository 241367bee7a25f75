/* plan_text.c - see plan_text.h */
#include "runfile/plan_text.h"

#include "base/mem.h"
#include "runfile/precision_text.h"

#include <stdio.h>
#include <string.h>

/* --- plans of older versions --- */

/* Splits "fp16 (blocks), GLOB=FMT, ..." into three settings. A text that was cut at 255 bytes has
 * lost the end of its list, so the list is null. */
static void split_precision(json_t *plan)
{
    enum { CUT_AT = 255 };
    const char *text = json_string_value(json_object_get(plan, "precision"));
    const char *open = text ? strstr(text, " (") : NULL;
    const char *p = open ? strchr(open, ')') : NULL;
    json_t *maps = json_array();

    if (!p) {
        json_decref(maps);
        return;
    }
    const bool blocks = strncmp(open, " (blocks)", 9) == 0, cut = strlen(text) >= CUT_AT;
    json_t *format = json_stringn(text, (size_t)(open - text));

    for (const char *next; (p = strstr(p, ", ")); p = next) { /* {a,b} has no blank */
        p += 2;
        next = strstr(p, ", ");
        next = next ? next : p + strlen(p);
        json_array_append_new(maps, json_stringn(p, (size_t)(next - p)));
    }
    json_object_set_new(plan, "precision_scope", json_string(blocks ? "blocks" : "ops"));
    if (cut)
        json_object_set_new(plan, "precision_map", json_null());
    else
        json_object_set(plan, "precision_map", maps);
    json_object_set_new(plan, "precision", format);
    json_decref(maps);
}

/* Makes the option from "SIGMA, timestep T, told C" of each level: --timesteps if a sigma is
 * infinite, else --sigmas. */
static void join_levels(json_t *plan)
{
    const json_t *levels = json_object_get(plan, "levels"), *level;
    ss_str sigmas = {0}, timesteps = {0};
    bool infinite = false;
    size_t i;

    json_array_foreach(levels, i, level)
    {
        const char *text = json_string_value(level), *step = text ? strstr(text, "timestep ") : "";

        ss_str_addf(&sigmas, "%s%.*s", i ? "," : "", text ? (int)strcspn(text, ",") : 0,
                    text ? text : "");
        step = step ? step + strcspn(step, " ") : "";
        step += *step == ' ';
        ss_str_addf(&timesteps, "%s%.*s", i ? "," : "", (int)strcspn(step, ","), step);
        infinite |= text && strncmp(text, "inf", 3) == 0;
    }
    if (sigmas.len)
        json_object_set_new(plan, infinite ? "timesteps" : "sigmas",
                            json_string(infinite ? timesteps.s : sigmas.s));
    ss_str_release(&sigmas);
    ss_str_release(&timesteps);
}

/* Copies a value with today's names of the formats in all its texts; NULL: no memory. */
static json_t *name_formats(const json_t *j)
{
    json_t *copy = json_deep_copy(j), *one;
    const char *key;
    size_t i;
    bool ok = copy != NULL;

    if (json_is_string(j)) {
        char *text = ss_precision_text(json_string_value(j));

        json_decref(copy);
        copy = text ? json_string(text) : NULL;
        ss_free(text);
        return copy;
    }
    json_object_foreach((json_t *)j, key, one)
    {
        ok = ok && json_object_set_new(copy, key, name_formats(one)) == 0;
    }
    json_array_foreach(j, i, one)
    {
        ok = ok && json_array_set_new(copy, i, name_formats(one)) == 0;
    }
    if (!ok) {
        json_decref(copy);
        copy = NULL;
    }
    return copy;
}

bool ss_plan_name_formats(json_t *plan)
{
    static const char *const keys[] = {"precision", "precision_map", "round_timestep"};
    bool ok = true;

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *j = json_object_get(plan, keys[i]);

        ok &= !j || json_object_set_new(plan, keys[i], name_formats(j)) == 0;
    }
    return ok;
}

/* Gives a plan of layout version 1.1, which has no kind, today's keys. */
static void update_keys(json_t *plan)
{
    json_object_set_new(plan, "kind", json_string(json_object_get(plan, "levels") ? "probe" : ""));
    split_precision(plan);
    join_levels(plan);
}

json_t *ss_plan_parse(const char *text, const ss_settings **s)
{
    json_t *plan = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    const char *kind;

    *s = NULL;
    if (!json_is_object(plan)) {
        json_decref(plan);
        return NULL;
    }
    if (!json_object_get(plan, "kind") && json_object_get(plan, "model_sha256"))
        update_keys(plan);
    if (!ss_plan_name_formats(plan)) {
        json_decref(plan);
        return NULL;
    }
    kind = json_string_value(json_object_get(plan, "kind"));
    *s = ss_settings_called(kind);
    return plan;
}

/* --- shown --- */

static void show_content(const json_t *j, ss_str *out);

/* Shows any value of a plan. */
static void show_value(const json_t *j, ss_str *out)
{
    const json_t *one;
    size_t i;

    switch (j ? json_typeof(j) : JSON_NULL) {
    case JSON_STRING: ss_str_add(out, json_string_value(j)); break;
    case JSON_INTEGER: ss_str_addf(out, "%lld", (long long)json_integer_value(j)); break;
    case JSON_REAL: ss_str_addf(out, "%.9g", json_real_value(j)); break;
    case JSON_TRUE: ss_str_add(out, "on"); break;
    case JSON_FALSE: ss_str_add(out, "off"); break;
    case JSON_NULL: ss_str_add(out, "none"); break;
    case JSON_OBJECT: show_content(j, out); break;
    case JSON_ARRAY:
        json_array_foreach(j, i, one)
        {
            ss_str_add(out, i ? ", " : "");
            show_value(one, out);
        }
        if (!json_array_size(j))
            ss_str_add(out, "none");
        break;
    }
}

static void show_content(const json_t *j, ss_str *out)
{
    const char *sum = json_string_value(json_object_get(j, "sha256"));
    ss_settings_owned own_ = {0};
    const char *from = ss_setting_read_text(j, &own_);

    ss_str_add(out, from ? from : "none");
    if (sum)
        ss_str_addf(out, " (SHA-256 %.12s)", sum);
    ss_settings_release(&own_);
}

/* Shows a value as its option takes it. */
static void show_as(const ss_setting *x, const json_t *j, ss_str *out)
{
    if (x->kind == SS_SETTING_SIZE && json_array_size(j) == 2)
        ss_str_addf(out, "%lldx%lld", (long long)json_integer_value(json_array_get(j, 0)),
                    (long long)json_integer_value(json_array_get(j, 1)));
    else if (x->kind == SS_SETTING_SEED && json_is_integer(j))
        ss_str_addf(out, "%llu", (unsigned long long)json_integer_value(j));
    else if (x->kind == SS_SETTING_COUNT && json_is_integer(j) && json_integer_value(j) < 0)
        ss_str_add(out, "none");
    else
        show_value(j, out);
}

void ss_setting_show(const ss_setting *x, const json_t *plan, ss_str *out)
{
    const json_t *j = json_object_get(plan, x->key);

    if (j)
        show_as(x, j, out);
    else
        ss_str_add(out, "not recorded");
}

/* --- compared --- */

static bool is_content(const ss_setting *x)
{
    return x->kind == SS_SETTING_TENSOR || x->kind == SS_SETTING_FOLLOWS;
}

/* The compared part of a setting: a content's sum, else the whole value. Borrowed; NULL if the plan
 * lacks it. */
static const json_t *compared_part(const ss_setting *x, const json_t *plan)
{
    const json_t *j = json_object_get(plan, x->key), *sum = json_object_get(j, "sha256");

    return is_content(x) && json_is_string(sum) ? sum : j;
}

bool ss_setting_is_same(const ss_setting *x, const json_t *a, const json_t *b)
{
    const json_t *p = compared_part(x, a), *q = compared_part(x, b);

    if (!p != !q) /* a plan from before there was the option: it had its default */
        return ss_setting_is_written(x) && x->kind != SS_SETTING_SIZE &&
               ss_setting_is_default(x, p ? a : b);
    return p == q || (p && q && json_equal(p, q));
}

/* Shows both values; long ones from a little before the place where they differ. */
static void add_values(const ss_setting *x, const json_t *now, const json_t *run, ss_str *out)
{
    enum { LONG = 160, BEFORE = 40 };
    ss_str a = {0}, b = {0};
    char left[LONG], right[LONG];
    size_t from = 0;

    show_as(x, now, &a);
    show_as(x, run, &b);
    const char *p = a.s ? a.s : "", *q = b.s ? b.s : "";
    while (p[from] && p[from] == q[from])
        from++;
    from = from > BEFORE && (a.len >= LONG || b.len >= LONG) ? from - BEFORE : 0;
    ss_str_addf(out, " is %s%s, the run has %s%s", from ? "..." : "",
                ss_printable(p + from, left, sizeof left), from ? "..." : "",
                ss_printable(q + from, right, sizeof right));
    out->failed |= a.failed || b.failed;
    ss_str_release(&a);
    ss_str_release(&b);
}

/* Shows the difference of one value, or of one element of a list. */
static void show_difference(const ss_setting *x, const json_t *now, const json_t *run, ss_str *out)
{
    const json_t *p = json_object_get(now, "from"), *q = json_object_get(run, "from");

    if (p && q && json_equal(p, q)) { /* so the sums differ */
        ss_str_addf(out, "%s: what ", x->option);
        show_value(p, out);
        ss_str_add(out, " holds is not what the run was made of");
    } else {
        ss_str_add(out, x->option);
        add_values(x, now, run, out);
    }
}

static void show_list_difference(const ss_setting *x, const json_t *now, const json_t *run,
                                 ss_str *out)
{
    size_t i = 0;

    while (i < json_array_size(now) && i < json_array_size(run) &&
           json_equal(json_array_get(now, i), json_array_get(run, i)))
        i++;
    const json_t *p = json_array_get(now, i), *q = json_array_get(run, i);

    if (p && q) {
        show_difference(x, p, q, out);
        return;
    }
    ss_str_addf(out, "%s %s ", x->option, p ? "has" : "lacks");
    show_value(p ? p : q, out);
    ss_str_addf(out, ", which the run %s", p ? "lacks" : "has");
}

static void show_setting_difference(const ss_setting *x, const json_t *a, const json_t *b,
                                    ss_str *out)
{
    const json_t *now = json_object_get(a, x->key), *run = json_object_get(b, x->key);

    if (x->kind != SS_SETTING_SIZE && json_is_array(now) && json_is_array(run))
        show_list_difference(x, now, run, out);
    else
        show_difference(x, now, run, out);
}

bool ss_plan_difference(const ss_settings *s, const json_t *now, const json_t *run, ss_str *out)
{
    for (int i = 0; i < s->n; i++) {
        const ss_setting *x = &s->list[i];

        if (x->role != SS_SETTING_DATA || ss_setting_is_same(x, now, run))
            continue;
        /* the option of FORM that it follows from is the cause */
        for (int k = 0; k < i && x->kind == SS_SETTING_FOLLOWS; k++) {
            if (s->list[k].role == SS_SETTING_FORM && !ss_setting_is_same(&s->list[k], now, run)) {
                show_setting_difference(&s->list[k], now, run, out);
                return true;
            }
        }
        show_setting_difference(x, now, run, out);
        return true;
    }
    return false;
}

/* Compares one content, or each in a list with the one of the same text in the other list. */
static bool content_differs(const ss_setting *x, const json_t *now, const json_t *run, ss_str *out)
{
    const json_t *one, *other, *from = json_object_get(now, "from"),
                               *was = json_object_get(run, "from");
    size_t i, k;

    if (from && was && json_equal(from, was) && !json_equal(now, run)) {
        show_difference(x, now, run, out);
        return true;
    }
    json_array_foreach(now, i, one)
    {
        json_array_foreach(run, k, other)
        {
            if (json_is_object(one) && json_is_object(other) && content_differs(x, one, other, out))
                return true;
        }
    }
    return false;
}

bool ss_plan_content_difference(const ss_settings *s, const json_t *now, const json_t *run,
                                ss_str *out)
{
    for (int i = 0; i < s->n; i++) {
        const ss_setting *x = &s->list[i];

        if (x->role != SS_SETTING_NONE &&
            content_differs(x, json_object_get(now, x->key), json_object_get(run, x->key), out))
            return true;
    }
    return false;
}

char *ss_plan_identity(const ss_settings *s, const json_t *plan)
{
    json_t *j = json_pack("{s:s}", "kind", s->kind);

    for (int i = 0; i < s->n; i++) {
        const ss_setting *x = &s->list[i];
        const json_t *v = compared_part(x, plan);
        json_t *copy = x->role == SS_SETTING_DATA ? (v ? json_deep_copy(v) : json_null()) : NULL;

        if (x->role == SS_SETTING_DATA && json_object_set_new(j, x->key, copy) != 0) {
            json_decref(j);
            return NULL;
        }
    }
    char *text = ss_plan_dump(j);

    json_decref(j);
    return text;
}

char *ss_plan_dump(const json_t *plan)
{
    return json_dumps(plan, JSON_SORT_KEYS | JSON_COMPACT | JSON_REAL_PRECISION(17));
}
