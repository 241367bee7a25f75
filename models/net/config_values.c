/* config_values.c - see config_values.h */
#include "models/net/config_values.h"

#include "base/str.h"

int ss_config_int(ss_json *j, const char *key, int fallback, int lo, int hi)
{
    int64_t v = ss_json_int(j, key, fallback);

    if (v >= lo && v <= hi)
        return (int)v;
    if (ss_json_has(j, key)) /* a fallback of 0 may stand for "not given" */
        ss_json_complain(j, SS_FORMAT, key, "expected %d to %d", lo, hi);
    return fallback;
}

int ss_config_width(ss_json *j, const char *key)
{
    return ss_config_int(j, key, 0, 1, SS_MAX_CHANNELS);
}

double ss_config_double(ss_json *j, const char *key, double fallback, double lo, double hi)
{
    double v = ss_json_double(j, key, fallback);

    if (v >= lo && v <= hi)
        return v;
    ss_json_complain(j, SS_FORMAT, key, "expected %g to %g", lo, hi);
    return fallback;
}

ss_act ss_config_act(ss_json *j, const char *key, ss_act none)
{
    static const char *const names[] = {"silu", "gelu", "mish", "relu", "swish", NULL};
    static const ss_act acts[] = {SS_ACT_SILU, SS_ACT_GELU, SS_ACT_MISH, SS_ACT_RELU, SS_ACT_SILU};
    const int i = ss_json_choice(j, key, names, -1);

    return i < 0 ? none : acts[i];
}

bool ss_config_is_null(ss_json *j, const char *key)
{
    ss_json_get(j, key);
    return json_is_null(json_object_get(j->root, key));
}

void ss_config_expect_bool(ss_json *j, const char *key, bool only)
{
    if (ss_json_bool(j, key, only) != only)
        ss_json_complain(j, SS_UNSUPPORTED, key, "only %s is supported", only ? "true" : "false");
}

void ss_config_expect_null(ss_json *j, const char *key, const char *why)
{
    if (ss_json_has(j, key))
        ss_json_complain(j, SS_UNSUPPORTED, key, "%s", why);
}

void ss_config_object(ss_json *j, const char *key, void (*read)(ss_json *inner, void *into),
                      void *into)
{
    json_t *object = ss_json_get(j, key);
    ss_json inner = {0};
    ss_str name = {0};
    ss_err e = {0};

    if (!object)
        return;
    if (!json_is_object(object)) {
        ss_json_complain(j, SS_FORMAT, key, "expected an object");
        return;
    }
    ss_str_addf(&name, "%s: %s", j->name, key);
    ss_code rc = name.failed ? ss_no_memory(&e, j->name) : ss_json_wrap(&inner, name.s, object, &e);
    if (rc == SS_OK) {
        read(&inner, into);
        rc = ss_json_done(&inner, &e);
    }
    if (rc != SS_OK && j->err.code == SS_OK)
        j->err = e;
    ss_json_release(&inner);
    ss_str_release(&name);
}

const json_t *ss_config_item(ss_json *j, const char *key, const json_t *v, int level, int n)
{
    if (!json_is_array(v))
        return v;
    if (json_array_size(v) != (size_t)n) {
        ss_json_complain(j, SS_FORMAT, key, "expected one value, or %d: one for each level", n);
        return NULL;
    }
    return json_array_get(v, (size_t)level);
}

void ss_config_ints(ss_json *j, const char *key, int n, int fallback, int lo, int hi, int *out)
{
    const json_t *v = ss_json_get(j, key);

    for (int i = 0; i < n; i++) {
        const json_t *item = ss_config_item(j, key, v, i, n);

        out[i] = fallback;
        if (!item)
            continue;
        if (json_is_integer(item) && json_integer_value(item) >= lo &&
            json_integer_value(item) <= hi)
            out[i] = (int)json_integer_value(item);
        else
            ss_json_complain(j, SS_FORMAT, key, "expected integers, %d to %d", lo, hi);
    }
}

void ss_config_bools(ss_json *j, const char *key, int n, bool *out)
{
    const json_t *v = ss_json_get(j, key);

    for (int i = 0; i < n; i++) {
        const json_t *item = ss_config_item(j, key, v, i, n);

        out[i] = json_is_true(item);
        if (item && !json_is_boolean(item))
            ss_json_complain(j, SS_FORMAT, key, "expected true or false, or a list of them");
    }
}

void ss_config_sample_size(ss_json *j, int *height, int *width)
{
    int hw[2] = {0};

    if (ss_json_get(j, "sample_size"))
        ss_config_ints(j, "sample_size", 2, 0, 1, SS_MAX_SIDE, hw);
    *height = hw[0];
    *width = hw[1];
}
