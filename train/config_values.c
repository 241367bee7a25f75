/* config_values.c - reads fields from JSON and writes them back; see config_fields.h */
#include "base/mem.h"
#include "train/config_fields.h"

#include <limits.h>
#include <math.h>

static void read_texts(ss_config_reader *r, ss_json *j, const ss_field *f, char *base)
{
    const json_t *list = ss_json_get(j, f->key);
    const char **texts;
    const size_t n = json_is_string(list) ? 1 : json_array_size(list);

    if (!list)
        return;
    if ((!json_is_array(list) && !json_is_string(list)) || n > INT_MAX) {
        ss_json_complain(j, SS_FORMAT, f->key, "expected a list of strings");
        return;
    }
    texts = ss_config_keep(r->t->parts, ss_calloc(n + 1, sizeof *texts));
    for (size_t i = 0; i < n; i++) {
        const json_t *s = json_is_string(list) ? list : json_array_get(list, i);

        if (!json_is_string(s))
            ss_json_complain(j, SS_FORMAT, f->key, "expected a list of strings");
        if (texts)
            texts[i] = json_string_value(s);
    }
    if (!texts)
        ss_json_complain(j, SS_NOMEM, f->key, "out of memory");
    *(const char *const **)(base + f->offset) = texts;
    *(int *)(base + f->count) = (int)n;
}

static void read_whole(ss_json *j, const ss_field *f, char *base)
{
    void *to = base + f->offset;
    const int64_t before = f->kind == SS_FIELD_INT     ? *(int *)to
                           : f->kind == SS_FIELD_INT64 ? *(int64_t *)to
                                                       : (int64_t) * (uint64_t *)to;
    const int64_t v = ss_json_int(j, f->key, before);

    if ((double)v < f->lo || (double)v > f->hi)
        ss_json_complain(j, SS_USAGE, f->key, "allowed: %.0f to %.0f", f->lo, f->hi);
    else if (f->kind == SS_FIELD_INT)
        *(int *)to = (int)v;
    else if (f->kind == SS_FIELD_INT64)
        *(int64_t *)to = v;
    else
        *(uint64_t *)to = (uint64_t)v;
}

static void read_real(ss_json *j, const ss_field *f, double *to)
{
    const double v = ss_json_double(j, f->key, *to);

    if (v >= f->lo && v <= f->hi && !(f->over && v == f->lo) && isfinite(v))
        *to = v;
    else if (isinf(f->hi) && isinf(f->lo))
        ss_json_complain(j, SS_USAGE, f->key, "allowed: finite numbers");
    else if (isinf(f->hi))
        ss_json_complain(j, SS_USAGE, f->key, "allowed: numbers %s %g", f->over ? "over" : "from",
                         f->lo);
    else
        ss_json_complain(j, SS_USAGE, f->key, "allowed: %g to %g", f->lo, f->hi);
}

static void read_field(ss_config_reader *r, ss_json *j, const ss_field *f)
{
    char *base = (char *)r->t, *to = base + f->offset;
    const char *text;

    switch (f->kind) {
    case SS_FIELD_DOUBLE: read_real(j, f, (double *)to); break;
    case SS_FIELD_BOOL: *(bool *)to = ss_json_bool(j, f->key, *(bool *)to); break;
    case SS_FIELD_TEXT: *(const char **)to = ss_json_string(j, f->key, *(const char **)to); break;
    case SS_FIELD_PATH:
        text = ss_json_string(j, f->key, NULL);
        if (text && !(*(const char **)to = ss_config_path(r, text)))
            ss_json_complain(j, SS_NOMEM, f->key, "out of memory");
        break;
    case SS_FIELD_CHOICE: {
        /* both compilers represent the enums of this project as unsigned int */
        unsigned *at = (unsigned *)to;

        *at = (unsigned)ss_json_choice(j, f->key, f->names, (int)*at);
        break;
    }
    case SS_FIELD_TEXTS: read_texts(r, j, f, base); break;
    case SS_FIELD_INT:
    case SS_FIELD_INT64:
    case SS_FIELD_SEED: read_whole(j, f, base);
    }
}

void ss_fields_read(ss_config_reader *r, const ss_field *fields, ss_json *j)
{
    for (const ss_field *f = fields; f->key; f++)
        read_field(r, j, f);
}

static json_t *write_texts(const char *const *texts, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_string(texts[i]));
    return list;
}

json_t *ss_field_write(const ss_field *f, const ss_train_config *t)
{
    const char *base = (const char *)t, *at = base + f->offset;
    const char *text;

    switch (f->kind) {
    case SS_FIELD_INT: return json_integer(*(const int *)at);
    case SS_FIELD_INT64: return json_integer(*(const int64_t *)at);
    case SS_FIELD_SEED: return json_integer((json_int_t) * (const uint64_t *)at);
    case SS_FIELD_DOUBLE: return json_real(*(const double *)at);
    case SS_FIELD_BOOL: return json_boolean(*(const bool *)at);
    case SS_FIELD_CHOICE: return json_string(f->names[*(const unsigned *)at]);
    case SS_FIELD_TEXTS:
        return write_texts(*(const char *const *const *)at, *(const int *)(base + f->count));
    case SS_FIELD_TEXT:
    case SS_FIELD_PATH: break;
    }
    text = *(const char *const *)at;
    return text ? json_string(text) : json_null();
}

json_t *ss_fields_write(const ss_field *fields, const ss_train_config *t)
{
    json_t *object = json_object();

    for (const ss_field *f = fields; f->key; f++) {
        if (json_object_set_new(object, f->key, ss_field_write(f, t)) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}
