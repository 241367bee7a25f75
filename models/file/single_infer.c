/* single_infer.c - see single_infer.h */
#include "models/file/single_infer.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_MAX_BYTES = 192, MAX_COUNT = 64 };

void ss_infer_fail(ss_inference *x, ss_code code, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    if (x->err.code != SS_OK)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ss_fail(&x->err, code, "%s: %s", ss_checkpoint_name(x->k), text);
}

/* Adds a row; value may be NULL where memory is out. */
static void add_row(ss_inference *x, const char *key, const char *value, const char *fmt,
                    va_list ap)
{
    ss_single_inferred *grown = ss_grow(x->rows, &x->cap, x->n + 1, sizeof *grown);
    char from[256];

    vsnprintf(from, sizeof from, fmt, ap);
    if (grown) {
        x->rows = grown;
        grown[x->n] =
            (ss_single_inferred){ss_strdup(key), ss_strdup(value ? value : ""), ss_strdup(from)};
        x->n++;
    }
    if (!grown || !value || !grown[x->n - 1].key || !grown[x->n - 1].value || !grown[x->n - 1].from)
        ss_infer_fail(x, SS_NOMEM, "out of memory");
}

void ss_infer_set(ss_inference *x, const char *key, json_t *value, const char *fmt, ...)
{
    char *text =
        value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    va_list ap;

    va_start(ap, fmt);
    add_row(x, key, text, fmt, ap);
    va_end(ap);
    free(text); /* jansson's */
    if (json_object_set_new(x->config, key, value) != 0)
        ss_infer_fail(x, SS_NOMEM, "out of memory");
}

void ss_infer_say(ss_inference *x, const char *key, const char *value, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add_row(x, key, value, fmt, ap);
    va_end(ap);
}

void ss_infer_set_common(ss_inference *x, const ss_infer_common *list, const char *from)
{
    for (; list->key; list++)
        ss_infer_set(x, list->key, json_loads(list->value, JSON_DECODE_ANY, NULL), "%s", from);
}

const ss_stored_tensor *ss_infer_find(const ss_inference *x, const char *fmt, ...)
{
    char name[NAME_MAX_BYTES];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    return ss_checkpoint_find(x->k, name);
}

int64_t ss_infer_dim(ss_inference *x, const ss_stored_tensor *t, const char *name, int d)
{
    char shape[96];

    if (!t)
        ss_infer_fail(x, SS_FORMAT, "the configuration cannot be inferred: tensor %s is missing",
                      name);
    else if (d >= t->rank || t->dim[d] < 1)
        ss_infer_fail(x, SS_SHAPE, "the configuration cannot be inferred: tensor %s is %s", name,
                      ss_stored_shape_text(t, shape, sizeof shape));
    else
        return t->dim[d];
    return 1;
}

int ss_infer_count(const ss_inference *x, const char *before, const char *after)
{
    int n = 0;

    while (n < MAX_COUNT && ss_infer_find(x, "%s%d%s", before, n, after))
        n++;
    return n;
}

char *ss_infer_evidence(const ss_stored_tensor *t, char *out, size_t n)
{
    char shape[96];

    snprintf(out, n, "%s %s", t ? SS_SHOW(t->name) : "nothing",
             t ? ss_stored_shape_text(t, shape, sizeof shape) : "");
    return out;
}

void ss_inference_release(ss_inference *x)
{
    for (size_t i = 0; i < x->n; i++) {
        ss_free(x->rows[i].key);
        ss_free(x->rows[i].value);
        ss_free(x->rows[i].from);
    }
    ss_free(x->rows);
    json_decref(x->config);
    *x = (ss_inference){0};
}

const char *ss_sd_version_name(ss_sd_version v)
{
    static const char *const names[SS_N_SD] = {"latent diffusion", "Stable Diffusion 1.x",
                                               "Stable Diffusion 2.x", "Stable Diffusion XL"};

    return names[v];
}
