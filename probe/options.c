/* options.c - see options.h
 *
 * First what the list of plan_list.h expands to here, then what goes over it: to JSON, and back.
 */
#include "probe/options.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "probe/probe.h"
#include "probe/trajectory.h"
#include "runfile/plan_list.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- fields --- */

/* The place of a field in T, the options. A field of another type does not compile. */
#define AT(field, type) (offsetof(T, field) + 0 * sizeof(char[_Generic(((T *)0)->field, type : 1)]))
#define SIZEOF(field) sizeof(((T *)0)->field)
#define FIELD(f, type) .at = AT(f, type), .size = SIZEOF(f)
#define SECOND(f) .n_at = AT(f, int), .n_size = SIZEOF(f)

#define FIELD_TEXT(f) FIELD(f, const char *)
#define FIELD_TENSOR(f) FIELD(f, const char *)
#define FIELD_TEXTS(f, n) FIELD(f, const char *const *), SECOND(n)
#define FIELD_INPUTS(f, n) FIELD(f, const char *const *), SECOND(n)
#define FIELD_COUNT(f) FIELD(f, int)
#define FIELD_COUNTS(f, n) FIELD(f, const int *), SECOND(n)
#define FIELD_SIZE(h, w) FIELD(h, int), SECOND(w)
#define FIELD_SEED(f) FIELD(f, uint64_t)
#define FIELD_NUMBER(f) FIELD(f, double)
#define FIELD_FLAG(f) FIELD(f, bool)
#define FIELD_NOT_FLAG(f) FIELD(f, bool), .negated = true
#define FIELD_EITHER(f, off, on) FIELD(f, bool)
#define FIELD_SAMPLER(f) FIELD(f, const ss_sampler_kind *)

#define OPTION(kind, role, key, option, value, ...) {FIELD_##kind(__VA_ARGS__)},
#define FOLLOWS(key, words) {0},

static const ss_option_field probe_fields[] = {
#define T ss_probe_options
    SS_PLAN_PROBE(OPTION, FOLLOWS)
#undef T
};
static const ss_option_field trajectory_fields[] = {
#define T ss_trajectory_options
    SS_PLAN_TRAJECTORY(OPTION, FOLLOWS)
#undef T
};
#undef OPTION
#undef FOLLOWS

const ss_option_field *ss_option_fields(const ss_settings *s)
{
    return s == ss_probe_settings() ? probe_fields : trajectory_fields;
}

/* --- defaults --- */

#define SET_TEXT(value, f) .f = value
#define SET_TENSOR(value, f) .f = value
#define SET_TEXTS(value, f, n) .f = value, .n = 0
#define SET_INPUTS(value, f, n) .f = value, .n = 0
#define SET_COUNT(value, f) .f = value
#define SET_COUNTS(value, f, n) .f = value, .n = 0
#define SET_SIZE(value, h, w) .h = value, .w = value
#define SET_SEED(value, f) .f = value
#define SET_NUMBER(value, f) .f = value
#define SET_FLAG(value, f) .f = value
#define SET_NOT_FLAG(value, f) .f = value
#define SET_EITHER(value, f, off, on) .f = value
#define SET_SAMPLER(value, f) .f = value

#define OPTION(kind, role, key, option, ...) SET_##kind(__VA_ARGS__),
#define FOLLOWS(key, words)

ss_probe_options ss_probe_defaults(void)
{
    return (ss_probe_options){SS_PLAN_PROBE(OPTION, FOLLOWS)};
}

ss_trajectory_options ss_trajectory_defaults(void)
{
    return (ss_trajectory_options){SS_PLAN_TRAJECTORY(OPTION, FOLLOWS)};
}

/* --- to JSON --- */

ss_code ss_array_sha256(const ss_array *a, char hex[65], ss_err *e)
{
    ss_str s = {0};
    size_t n = 1;
    char values[65];

    for (int i = 0; i < a->rank; i++) {
        ss_str_addf(&s, "%lld ", (long long)a->dim[i]);
        n *= (size_t)a->dim[i];
    }
    ss_code rc = ss_sha256_bytes(a->values, n * sizeof *a->values, values, e);
    ss_str_add(&s, values);
    if (rc == SS_OK)
        rc = s.failed ? ss_no_memory(e, "options") : ss_sha256_bytes(s.s, s.len, hex, e);
    ss_str_release(&s);
    return rc;
}

/* The content of the tensor that a setting names; null if it names nothing. */
static json_t *content_of(const ss_setting *x, const char *from, ss_err *e)
{
    char sha256[65];
    ss_array a = {0};

    if (!from)
        return json_null();
    if (!strchr(from, '#')) /* a word, as "noise" */
        return ss_setting_text(from);
    ss_code rc = ss_safetensors_load_f32(from, &a, e);
    if (rc == SS_OK)
        rc = ss_array_sha256(&a, sha256, e);
    ss_array_release(&a);
    if (rc != SS_OK) {
        ss_fail_prefix(e, "%s", x->option);
        return NULL;
    }
    return ss_setting_content(from, sha256);
}

static json_t *texts_of(const ss_setting *x, const char *const *text, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++) {
        json_t *one = x->kind == SS_SETTING_INPUTS ? ss_setting_content(text[i], NULL)
                                                   : ss_setting_text(text[i]);

        if (json_array_append_new(list, one) != 0) { /* no memory */
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *counts_of(const int *v, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_integer(v[i]));
    return list;
}

/* JSON has no infinity and no NaN. */
static json_t *number_of(double v)
{
    char text[32];

    if (isfinite(v))
        return json_real(v);
    snprintf(text, sizeof text, "%g", v);
    return json_string(text);
}

/* A field as a plan holds it; NULL: e says why. */
static json_t *value_of(const ss_setting *x, const ss_option_field *f, const void *options,
                        ss_err *e)
{
    const char *field = (const char *)options + f->at;
    const char *text;
    const char *const *texts;
    const int *counts;
    int count, n = 0;
    bool flag;
    uint64_t seed;
    double number;
    json_t *j = NULL;

    ss_no_memory(e, "options");
    if (f->n_size)
        memcpy(&n, (const char *)options + f->n_at, sizeof n);
    switch (x->kind) {
    case SS_SETTING_TEXT:
        memcpy(&text, field, sizeof text);
        j = ss_setting_text(text);
        break;
    case SS_SETTING_TENSOR:
        memcpy(&text, field, sizeof text);
        j = content_of(x, text, e);
        break;
    case SS_SETTING_TEXTS:
    case SS_SETTING_INPUTS:
        memcpy(&texts, field, sizeof texts);
        j = texts_of(x, texts, n);
        break;
    case SS_SETTING_COUNTS:
        memcpy(&counts, field, sizeof counts);
        j = counts_of(counts, n);
        break;
    case SS_SETTING_COUNT:
        memcpy(&count, field, sizeof count);
        j = json_integer(count);
        break;
    case SS_SETTING_SIZE:
        memcpy(&count, field, sizeof count);
        j = json_pack("[i,i]", count, n);
        break;
    case SS_SETTING_FLAG:
        memcpy(&flag, field, sizeof flag);
        j = json_boolean(flag != f->negated);
        break;
    case SS_SETTING_EITHER:
        memcpy(&flag, field, sizeof flag);
        j = json_string(flag ? x->on : x->off);
        break;
    case SS_SETTING_SEED:
        memcpy(&seed, field, sizeof seed);
        j = json_integer((json_int_t)seed);
        break;
    case SS_SETTING_NUMBER:
        memcpy(&number, field, sizeof number);
        j = number_of(number);
        break;
    case SS_SETTING_SAMPLER:
    case SS_SETTING_FOLLOWS: break;
    }
    return j;
}

ss_code ss_options_write(const ss_settings *s, const void *options, json_t *plan, ss_err *e)
{
    const ss_option_field *fields = ss_option_fields(s);
    ss_err why = {0};

    if (json_object_set_new(plan, "kind", json_string(s->kind)) != 0)
        return ss_no_memory(e, "options");
    for (int i = 0; i < s->n; i++) {
        const ss_setting *x = &s->list[i];

        if (ss_setting_is_written(x) &&
            json_object_set_new(plan, x->key, value_of(x, &fields[i], options, &why)) != 0)
            return ss_fail(e, why.code, "%s", why.msg);
    }
    return SS_OK;
}

/* --- back --- */

static bool read_texts(const json_t *j, char *field, int *n, ss_settings_owned *o)
{
    const size_t count = json_array_size(j);
    const char **list = ss_settings_own(o, ss_alloc(count, sizeof *list));

    if (!list || !json_is_array(j) || count > INT_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!(list[i] = ss_setting_read_text(json_array_get(j, i), o)))
            return false;
    }
    memcpy(field, &list, sizeof list);
    *n = (int)count;
    return true;
}

static bool read_count(const json_t *j, int *v)
{
    enum { MOST = 1 << 20 };
    const json_int_t x = json_integer_value(j);

    *v = (int)x;
    return json_is_integer(j) && x >= -1 && x <= MOST;
}

static bool read_counts(const json_t *j, char *field, int *n, ss_settings_owned *o)
{
    const size_t count = json_array_size(j);
    int *list = ss_settings_own(o, ss_alloc(count, sizeof *list));

    if (!list || !json_is_array(j) || count > INT_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!read_count(json_array_get(j, i), &list[i]))
            return false;
    }
    memcpy(field, &list, sizeof list);
    *n = (int)count;
    return true;
}

static bool read_either(const ss_setting *x, const json_t *j, bool *flag)
{
    const char *text = json_is_string(j) ? json_string_value(j) : "";

    *flag = strcmp(text, x->on) == 0;
    return *flag || strcmp(text, x->off) == 0;
}

static bool read_number(const json_t *j, double *v)
{
    *v = json_is_number(j)                                                ? json_number_value(j)
         : json_is_string(j) && strcmp(json_string_value(j), "inf") == 0  ? (double)INFINITY
         : json_is_string(j) && strcmp(json_string_value(j), "-inf") == 0 ? (double)-INFINITY
                                                                          : (double)NAN;
    return json_is_number(j) || json_is_string(j);
}

/* Sets a field; false if the value is not of the setting's kind, or if there is no memory. */
static bool read_value(const ss_setting *x, const ss_option_field *f, const json_t *j,
                       void *options, ss_settings_owned *o)
{
    char *field = (char *)options + f->at;
    const char *text;
    int count, n = 0;
    bool flag, good = false;
    uint64_t seed;
    double number;

    switch (x->kind) {
    case SS_SETTING_TEXT:
    case SS_SETTING_TENSOR:
        text = json_is_null(j) ? NULL : ss_setting_read_text(j, o);
        good = json_is_null(j) || text;
        memcpy(field, &text, sizeof text);
        break;
    case SS_SETTING_TEXTS:
    case SS_SETTING_INPUTS: good = read_texts(j, field, &n, o); break;
    case SS_SETTING_COUNTS: good = read_counts(j, field, &n, o); break;
    case SS_SETTING_COUNT:
        good = read_count(j, &count);
        memcpy(field, &count, sizeof count);
        break;
    case SS_SETTING_SIZE:
        good = read_count(json_array_get(j, 0), &count) && read_count(json_array_get(j, 1), &n);
        memcpy(field, &count, sizeof count);
        break;
    case SS_SETTING_FLAG:
        flag = json_is_true(j) != f->negated;
        good = json_is_boolean(j);
        memcpy(field, &flag, sizeof flag);
        break;
    case SS_SETTING_EITHER:
        good = read_either(x, j, &flag);
        memcpy(field, &flag, sizeof flag);
        break;
    case SS_SETTING_SEED:
        seed = (uint64_t)json_integer_value(j);
        good = json_is_integer(j);
        memcpy(field, &seed, sizeof seed);
        break;
    case SS_SETTING_NUMBER:
        good = read_number(j, &number);
        memcpy(field, &number, sizeof number);
        break;
    case SS_SETTING_SAMPLER:
    case SS_SETTING_FOLLOWS: good = true; break;
    }
    if (good && f->n_size)
        memcpy((char *)options + f->n_at, &n, sizeof n);
    return good;
}

ss_code ss_options_read(const ss_settings *s, const json_t *plan, const char *path, void *options,
                        ss_settings_owned *owned, ss_err *e)
{
    const ss_option_field *fields = ss_option_fields(s);

    for (int i = 0; i < s->n; i++) {
        const ss_setting *x = &s->list[i];
        const json_t *j = json_object_get(plan, x->key);

        if (j && ss_setting_is_written(x) && !read_value(x, &fields[i], j, options, owned))
            return ss_fail(e, SS_FORMAT,
                           "%s: its plan says nothing usable of \"%s\"; probe the model again "
                           "with this version",
                           path, x->key);
    }
    return SS_OK;
}
