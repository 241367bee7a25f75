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

/* A tensor of the file: what the header says of it, and one of its two sources. */
typedef struct {
    const char *name, *type;
    int rank;
    const int64_t *dim;
    size_t bytes;
    size_t item_size; /* of one value, which the order goes by */
    const ss_st_item *item;
    const ss_stored_tensor *stored;
} entry;

static size_t numel(int rank, const int64_t *dim)
{
    size_t n = 1;

    for (int i = 0; i < rank; i++)
        n *= (size_t)dim[i];
    return n;
}

static int by_size_and_name(const void *a, const void *b)
{
    const entry *s = a, *t = b;

    if (s->item_size != t->item_size)
        return s->item_size < t->item_size ? 1 : -1;
    return strcmp(s->name, t->name);
}

static ss_code check_item(const char *path, const ss_st_item *t, ss_err *e)
{
    if (t->dtype != SS_F32 && t->dtype != SS_F16)
        return ss_fail(e, SS_UNSUPPORTED, "%s: tensor %s: dtype %s is not written; F32 and F16 are",
                       path, SS_SHOW(t->name), ss_dtype_name(t->dtype));
    if (t->dtype == SS_F32)
        return SS_OK;
    for (size_t i = 0, n = numel(t->rank, t->dim); i < n; i++) {
        if (fabsf(t->values[i]) >= 65520.0f && isfinite(t->values[i]))
            return ss_fail(e, SS_SHAPE,
                           "%s: tensor %s: value %zu is %g, the largest of F16 is 65504; write it "
                           "as F32",
                           path, SS_SHOW(t->name), i, (double)t->values[i]);
    }
    return SS_OK;
}

/* Adds one entry of the header; the tensor begins at *at, which moves to its end. */
static ss_code add_entry(json_t *header, const char *path, const entry *t, size_t *at, ss_err *e)
{
    const size_t begin = *at;
    json_t *dims = json_array(), *value;

    if (json_object_get(header, t->name) || strcmp(t->name, "__metadata__") == 0) {
        json_decref(dims);
        return ss_fail(e, SS_USAGE, "%s: tensor %s: the name is taken", path, SS_SHOW(t->name));
    }
    *at += t->bytes;
    for (int i = 0; i < t->rank; i++)
        json_array_append_new(dims, json_integer(t->dim[i]));
    value = json_pack("{s:s, s:o, s:[I, I]}", "dtype", t->type, "shape", dims, "data_offsets",
                      (json_int_t)begin, (json_int_t)*at);
    if (!value)
        return ss_no_memory(e, path);
    if (json_object_set_new(header, t->name, value) != 0)
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
static ss_code make_header(const char *path, const entry *list, size_t n, const ss_st_note *notes,
                           size_t n_notes, ss_str *text, ss_err *e)
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
        if (list[i].item)
            rc = check_item(path, list[i].item, e);
        if (rc == SS_OK)
            rc = add_entry(header, path, &list[i], &at, e);
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
    const size_t n = numel(t->rank, t->dim);
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

static ss_code copy_values(FILE *f, const ss_stored_tensor *t, ss_err *e)
{
    if (t->data || !t->bytes) {
        fwrite(t->data, 1, t->bytes, f);
        return SS_OK;
    }
    char *made = ss_alloc(t->bytes, 1);
    ss_code rc = made ? ss_stored_read(t, made, e) : ss_no_memory(e, t->name);
    if (rc == SS_OK)
        fwrite(made, 1, t->bytes, f);
    ss_free(made);
    return rc;
}

/* Writes the file and frees the list. */
static ss_code write_file(const char *path, entry *list, size_t n, const ss_st_note *notes,
                          size_t n_notes, ss_err *e)
{
    ss_str header = {0};
    ss_outfile o = {0};

    qsort(list, n, sizeof *list, by_size_and_name);
    ss_code rc = make_header(path, list, n, notes, n_notes, &header, e);
    if (rc == SS_OK)
        rc = ss_outfile_open(&o, path, e);
    if (rc == SS_OK) {
        for (int i = 0; i < PREFIX; i++)
            fputc((int)((uint64_t)header.len >> 8 * i & 0xff), o.f);
        fwrite(header.s, 1, header.len, o.f);
        for (size_t i = 0; i < n && rc == SS_OK && !ferror(o.f); i++) {
            if (list[i].item)
                write_values(o.f, list[i].item);
            else
                rc = copy_values(o.f, list[i].stored, e);
        }
        if (rc == SS_OK)
            rc = ss_outfile_commit(&o, e); /* reports bytes that did not reach the disk */
        else
            ss_outfile_discard(&o);
    }
    ss_str_release(&header);
    ss_free(list);
    return rc;
}

ss_code ss_safetensors_write(const char *path, const ss_st_item *items, size_t n,
                             const ss_st_note *notes, size_t n_notes, ss_err *e)
{
    entry *list = ss_calloc(n, sizeof *list);

    if (!list)
        return ss_no_memory(e, path);
    for (size_t i = 0; i < n; i++) {
        const ss_st_item *t = &items[i];
        const size_t size = ss_dtype_size(t->dtype);

        list[i] = (entry){.name = t->name,
                          .type = ss_dtype_name(t->dtype),
                          .rank = t->rank,
                          .dim = t->dim,
                          .bytes = size * numel(t->rank, t->dim),
                          .item_size = size,
                          .item = t};
    }
    return write_file(path, list, n, notes, n_notes, e);
}

ss_code ss_safetensors_copy(const char *path, const ss_stored_tensor *const *tensors, size_t n,
                            const ss_st_note *notes, size_t n_notes, ss_err *e)
{
    entry *list = ss_calloc(n, sizeof *list);

    if (!list)
        return ss_no_memory(e, path);
    for (size_t i = 0; i < n; i++) {
        const ss_stored_tensor *t = tensors[i];
        const size_t values = numel(t->rank, t->dim);

        list[i] = (entry){.name = t->name,
                          .type = t->usable ? ss_dtype_name(t->dtype) : t->type,
                          .rank = t->rank,
                          .dim = t->dim,
                          .bytes = t->bytes,
                          .item_size = values ? t->bytes / values : 0,
                          .stored = t};
    }
    return write_file(path, list, n, notes, n_notes, e);
}

ss_code ss_safetensors_write_f32(const char *path, const char *name, const ss_array *a, ss_err *e)
{
    ss_st_item item = {.name = name, .dtype = SS_F32, .rank = a->rank, .values = a->values};

    memcpy(item.dim, a->dim, sizeof item.dim);
    return ss_safetensors_write(path, &item, 1, NULL, 0, e);
}
