/* safetensors_write.c - see safetensors_write.h */
#include "models/file/safetensors_write.h"

#include "base/file.h"
#include "base/half.h"
#include "base/mem.h"
#include "base/str.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIX = 8, CHUNK = 4096 };

static size_t numel(const ss_st_item *t)
{
    size_t n = 1;

    for (int i = 0; i < t->rank; i++)
        n *= (size_t)t->dim[i];
    return n;
}

static int by_size_and_name(const void *a, const void *b)
{
    const ss_st_item *s = *(const ss_st_item *const *)a, *t = *(const ss_st_item *const *)b;
    const size_t m = ss_dtype_size(s->dtype), n = ss_dtype_size(t->dtype);

    return m != n ? (m < n ? 1 : -1) : strcmp(s->name, t->name);
}

static ss_code check_item(const char *path, const ss_st_item *t, ss_err *e)
{
    if (t->dtype != SS_F32 && t->dtype != SS_F16)
        return ss_fail(e, SS_UNSUPPORTED, "%s: tensor %s: dtype %s is not written; F32 and F16 are",
                       path, SS_SHOW(t->name), ss_dtype_name(t->dtype));
    if (t->dtype == SS_F32)
        return SS_OK;
    for (size_t i = 0, n = numel(t); i < n; i++) {
        if (fabsf(t->values[i]) >= 65520.0f && isfinite(t->values[i]))
            return ss_fail(e, SS_SHAPE,
                           "%s: tensor %s: value %zu is %g, the largest of F16 is 65504; write it "
                           "as F32",
                           path, SS_SHOW(t->name), i, (double)t->values[i]);
    }
    return SS_OK;
}

/* Adds one entry of the header; the tensor begins at *at, which moves to its end. */
static ss_code add_entry(json_t *header, const char *path, const ss_st_item *t, size_t *at,
                         ss_err *e)
{
    const size_t begin = *at;
    json_t *dims = json_array(), *entry;

    if (json_object_get(header, t->name) || strcmp(t->name, "__metadata__") == 0) {
        json_decref(dims);
        return ss_fail(e, SS_USAGE, "%s: tensor %s: the name is taken", path, SS_SHOW(t->name));
    }
    *at += numel(t) * ss_dtype_size(t->dtype);
    for (int i = 0; i < t->rank; i++)
        json_array_append_new(dims, json_integer(t->dim[i]));
    entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", ss_dtype_name(t->dtype), "shape", dims,
                      "data_offsets", (json_int_t)begin, (json_int_t)*at);
    if (!entry)
        return ss_no_memory(e, path);
    if (json_object_set_new(header, t->name, entry) != 0)
        return ss_fail(e, SS_USAGE, "%s: the name of tensor %s is not UTF-8", path,
                       SS_SHOW(t->name));
    return SS_OK;
}

static int add_text(const char *piece, size_t n, void *text)
{
    ss_str_addn(text, piece, n);
    return 0;
}

/* Makes the header's text, padded with blanks so that the data after it are aligned. */
static ss_code make_header(const char *path, const ss_st_item *const *items, size_t n,
                           const ss_st_note *notes, size_t n_notes, ss_str *text, ss_err *e)
{
    json_t *header = json_object(), *meta = n_notes ? json_object() : NULL;
    size_t at = 0;
    ss_code rc = header && (meta || !n_notes) ? SS_OK : ss_no_memory(e, path);

    for (size_t i = 0; i < n_notes && rc == SS_OK; i++) {
        if (json_object_set_new(meta, notes[i].key, json_string(notes[i].text)) != 0)
            rc = ss_fail(e, SS_USAGE, "%s: metadata %s is not UTF-8", path, SS_SHOW(notes[i].key));
    }
    if (rc == SS_OK && meta && json_object_set(header, "__metadata__", meta) != 0)
        rc = ss_no_memory(e, path);
    for (size_t i = 0; i < n && rc == SS_OK; i++) {
        rc = check_item(path, items[i], e);
        if (rc == SS_OK)
            rc = add_entry(header, path, items[i], &at, e);
    }
    if (rc == SS_OK) {
        const bool bad = json_dump_callback(header, add_text, text, JSON_COMPACT) != 0;

        while (text->len % 8 && !text->failed)
            ss_str_add(text, " ");
        if (bad || text->failed)
            rc = ss_no_memory(e, path);
    }
    json_decref(meta);
    json_decref(header);
    return rc;
}

static void write_values(FILE *f, const ss_st_item *t)
{
    const size_t n = numel(t);
    uint16_t half[CHUNK];

    if (t->dtype == SS_F32) {
        fwrite(t->values, sizeof(float), n, f);
        return;
    }
    for (size_t at = 0; at < n; at += CHUNK) {
        const size_t k = n - at < CHUNK ? n - at : CHUNK;

        for (size_t i = 0; i < k; i++)
            half[i] = ss_half_from_float(t->values[at + i]);
        fwrite(half, sizeof *half, k, f);
    }
}

ss_code ss_safetensors_write(const char *path, const ss_st_item *items, size_t n,
                             const ss_st_note *notes, size_t n_notes, ss_err *e)
{
    const ss_st_item **order = ss_alloc(n, sizeof *order);
    ss_str header = {0};
    ss_outfile o = {0};
    ss_code rc = SS_OK;

    if (!order)
        return ss_no_memory(e, path);
    for (size_t i = 0; i < n; i++)
        order[i] = &items[i];
    qsort(order, n, sizeof *order, by_size_and_name);
    rc = make_header(path, order, n, notes, n_notes, &header, e);
    if (rc == SS_OK)
        rc = ss_outfile_open(&o, path, e);
    if (rc == SS_OK) {
        for (int i = 0; i < PREFIX; i++)
            fputc((int)((uint64_t)header.len >> 8 * i & 0xff), o.f);
        fwrite(header.s, 1, header.len, o.f);
        for (size_t i = 0; i < n; i++)
            write_values(o.f, order[i]);
        rc = ss_outfile_commit(&o, e); /* reports bytes that did not reach the disk */
    }
    ss_str_release(&header);
    ss_free(order);
    return rc;
}

ss_code ss_safetensors_write_f32(const char *path, const char *name, const ss_array *a, ss_err *e)
{
    ss_st_item item = {.name = name, .dtype = SS_F32, .rank = a->rank, .values = a->values};

    memcpy(item.dim, a->dim, sizeof item.dim);
    return ss_safetensors_write(path, &item, 1, NULL, 0, e);
}
