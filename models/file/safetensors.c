/* safetensors.c - see safetensors.h */
#include "models/file/safetensors.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIX = 8 };

struct ss_safetensors {
    char *path;
    ss_map map;
    json_t *header; /* owns the names */
    ss_stored_tensor *tensors;
    size_t n;
};

/* Every dtype of the format, with its bits; only those of SS_DTYPES are usable. */
static const struct {
    const char *name;
    unsigned bits;
} types[] = {{"BOOL", 8},    {"U8", 8},   {"I8", 8},   {"F8_E5M2", 8}, {"F8_E4M3", 8},
             {"F8_E8M0", 8}, {"I16", 16}, {"U16", 16}, {"F16", 16},    {"BF16", 16},
             {"I32", 32},    {"U32", 32}, {"F32", 32}, {"I64", 64},    {"U64", 64},
             {"F64", 64},    {"C64", 64}, {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6}};

static unsigned type_bits(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(name, types[i].name) == 0)
            return types[i].bits;
    }
    return 0; /* a newer dtype is listed, its size unchecked */
}

static ss_code bad_tensor(const ss_safetensors *f, const char *name, const char *why, ss_err *e)
{
    return ss_fail(e, SS_FORMAT, "%s: tensor %s: %s", f->path, SS_SHOW(name), why);
}

/* Reads the dimensions, and the size of the tensor into *bits, 0 where that of the dtype is not
 * known. */
static ss_code read_shape(const ss_safetensors *f, const json_t *shape, ss_stored_tensor *t,
                          uint64_t *bits, ss_err *e)
{
    uint64_t numel = 1;
    size_t i;
    const json_t *v;

    if (!json_is_array(shape))
        return bad_tensor(f, t->name, "\"shape\" is missing or no list", e);
    if (json_array_size(shape) > SS_STORED_MAX_RANK)
        return ss_fail(e, SS_FORMAT, "%s: tensor %s has %zu dimensions, at most %d are read",
                       f->path, SS_SHOW(t->name), json_array_size(shape), SS_STORED_MAX_RANK);
    json_array_foreach(shape, i, v)
    {
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return bad_tensor(f, t->name, "a dimension is not a number >= 0", e);
        t->dim[i] = json_integer_value(v);
        if (__builtin_mul_overflow(numel, (uint64_t)t->dim[i], &numel))
            return bad_tensor(f, t->name, "the dimensions' product is too large", e);
    }
    t->rank = (int)json_array_size(shape);
    if (__builtin_mul_overflow(numel, (uint64_t)type_bits(t->type), bits))
        return bad_tensor(f, t->name, "the dimensions' product is too large", e);
    return SS_OK;
}

/* Reads one entry of the header; room is how many bytes follow the header. */
static ss_code read_entry(const ss_safetensors *f, const json_t *entry, size_t room,
                          ss_stored_tensor *t, ss_err *e)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *from = json_array_get(offsets, 0), *to = json_array_get(offsets, 1);
    uint64_t bits = 0;

    t->type = json_string_value(json_object_get(entry, "dtype"));
    if (!t->type)
        return bad_tensor(f, t->name, "\"dtype\" is missing or no text", e);
    t->usable = ss_stored_usable(t->type, &t->dtype);
    ss_code rc = read_shape(f, json_object_get(entry, "shape"), t, &bits, e);
    if (rc != SS_OK)
        return rc;

    if (json_array_size(offsets) != 2 || !json_is_integer(from) || !json_is_integer(to))
        return bad_tensor(f, t->name, "\"data_offsets\" is missing or no pair of numbers", e);
    json_int_t b = json_integer_value(from), end = json_integer_value(to);
    if (b < 0 || end < b || (uint64_t)end > room)
        return ss_fail(e, SS_FORMAT,
                       "%s: tensor %s is at bytes %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT
                       ", the file has %zu",
                       f->path, SS_SHOW(t->name), b, end, room);
    t->bytes = (size_t)(end - b);
    if (type_bits(t->type) && (bits % 8 || bits / 8 != t->bytes))
        return ss_fail(
            e, SS_FORMAT, "%s: tensor %s of shape %s and dtype %s has %zu bytes, not %" PRIu64,
            f->path, SS_SHOW(t->name), ss_stored_shape_text(t, (char[SS_SHOWN]){0}, SS_SHOWN),
            SS_SHOW(t->type), t->bytes, bits / 8);
    t->data = f->map.data + (f->map.size - room) + b;
    return SS_OK;
}

static int by_place(const void *a, const void *b)
{
    const ss_stored_tensor *x = a, *y = b;

    if (x->data != y->data)
        return (const char *)x->data < (const char *)y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes); /* an empty one before its neighbour */
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ss_stored_tensor *)a)->name, ((const ss_stored_tensor *)b)->name);
}

/* Checks that the tensors lie side by side, from the first byte to the last. */
static ss_code check_cover(const ss_safetensors *f, size_t room, ss_err *e)
{
    const char *at = (const char *)f->map.data + (f->map.size - room);
    const char *end = at + room;

    for (size_t i = 0; i < f->n; i++) {
        const ss_stored_tensor *t = &f->tensors[i];

        if ((const char *)t->data < at)
            return ss_fail(e, SS_FORMAT, "%s: tensor %s overlaps the tensor before it", f->path,
                           SS_SHOW(t->name));
        if ((const char *)t->data > at)
            return ss_fail(e, SS_FORMAT, "%s: nothing owns the %td bytes before tensor %s", f->path,
                           (const char *)t->data - at, SS_SHOW(t->name));
        at += t->bytes;
    }
    if (at != end)
        return ss_fail(e, SS_FORMAT, "%s: nothing owns the last %td bytes", f->path, end - at);
    return SS_OK;
}

static ss_code read_tensors(ss_safetensors *f, size_t room, ss_err *e)
{
    const char *name;
    json_t *entry;
    ss_code rc;

    f->tensors = ss_calloc(json_object_size(f->header), sizeof *f->tensors);
    if (!f->tensors)
        return ss_no_memory(e, f->path);
    json_object_foreach(f->header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        ss_stored_tensor *t = &f->tensors[f->n++];
        t->name = name;
        t->file = f->path;
        if (!json_is_object(entry))
            return bad_tensor(f, name, "expected an object with dtype, shape, data_offsets", e);
        rc = read_entry(f, entry, room, t, e);
        if (rc != SS_OK)
            return rc;
    }
    qsort(f->tensors, f->n, sizeof *f->tensors, by_place);
    rc = check_cover(f, room, e);
    qsort(f->tensors, f->n, sizeof *f->tensors, by_name);
    return rc;
}

static ss_code check_metadata(const ss_safetensors *f, ss_err *e)
{
    json_t *metadata = json_object_get(f->header, "__metadata__");
    const char *key;
    json_t *v;

    if (metadata && !json_is_object(metadata))
        return ss_fail(e, SS_FORMAT, "%s: __metadata__ is not an object of texts", f->path);
    json_object_foreach(metadata, key, v)
    {
        if (!json_is_string(v))
            return ss_fail(e, SS_FORMAT, "%s: __metadata__ %s is not a text", f->path,
                           SS_SHOW(key));
    }
    return SS_OK;
}

static ss_code read_header(ss_safetensors *f, ss_err *e)
{
    json_error_t why;
    uint64_t n = 0;

    if (ss_file_check_fetched(f->path, f->map.data, f->map.size, e) != SS_OK)
        return SS_FORMAT;
    if (f->map.size < PREFIX)
        return ss_fail(e, SS_FORMAT, "%s: %zu bytes are too few for a safetensors file", f->path,
                       f->map.size);
    for (int i = PREFIX - 1; i >= 0; i--)
        n = n << 8 | f->map.data[i];
    if (n > f->map.size -
                PREFIX) /* checked before anything is allocated, as n is whatever the file says */
        return ss_fail(e, SS_FORMAT,
                       "%s: header claims %" PRIu64 " bytes, the file has %zu: cut off, or not a "
                       "safetensors file",
                       f->path, n, f->map.size - PREFIX);
    if (n > SS_ST_MAX_HEADER)
        return ss_fail(e, SS_FORMAT, "%s: header claims %" PRIu64 " bytes, at most %d are read",
                       f->path, n, (int)SS_ST_MAX_HEADER);
    f->header =
        json_loadb((const char *)f->map.data + PREFIX, (size_t)n, JSON_REJECT_DUPLICATES, &why);
    if (!f->header)
        return ss_fail(e, SS_FORMAT, "%s: header, line %d, column %d: %s", f->path, why.line,
                       why.column, SS_SHOW(why.text));
    if (!json_is_object(f->header))
        return ss_fail(e, SS_FORMAT, "%s: the header is not a JSON object", f->path);
    ss_code rc = check_metadata(f, e);
    return rc == SS_OK ? read_tensors(f, f->map.size - PREFIX - (size_t)n, e) : rc;
}

ss_code ss_safetensors_open(const char *path, ss_safetensors **out, ss_err *e)
{
    ss_safetensors *f = ss_calloc(1, sizeof *f);
    ss_code rc;

    if (!f || !(f->path = ss_strdup(path))) {
        ss_free(f);
        return ss_no_memory(e, path);
    }
    rc = ss_map_open(path, &f->map, e);
    if (rc == SS_OK)
        rc = read_header(f, e);
    if (rc != SS_OK) {
        ss_safetensors_close(f);
        return rc;
    }
    *out = f;
    return SS_OK;
}

void ss_safetensors_close(ss_safetensors *f)
{
    if (!f)
        return;
    ss_map_close(&f->map);
    json_decref(f->header);
    ss_free(f->tensors);
    ss_free(f->path);
    ss_free(f);
}

size_t ss_safetensors_count(const ss_safetensors *f)
{
    return f->n;
}

const ss_stored_tensor *ss_safetensors_at(const ss_safetensors *f, size_t i)
{
    return &f->tensors[i];
}

const ss_stored_tensor *ss_safetensors_find(const ss_safetensors *f, const char *name)
{
    ss_stored_tensor key = {.name = name};

    if (!f->n)
        return NULL;
    return bsearch(&key, f->tensors, f->n, sizeof key, by_name);
}

const char *ss_safetensors_metadata(const ss_safetensors *f, const char *key)
{
    return json_string_value(json_object_get(json_object_get(f->header, "__metadata__"), key));
}

static ss_code open_shard(const char *path, const char *key, void **shard, ss_err *e)
{
    ss_safetensors *f;
    const ss_code rc = ss_safetensors_open(path, &f, e);

    (void)key;
    if (rc == SS_OK)
        *shard = f;
    return rc;
}

static size_t count_of_shard(const void *shard)
{
    return ss_safetensors_count(shard);
}

static const ss_stored_tensor *tensor_of_shard(const void *shard, size_t i)
{
    return ss_safetensors_at(shard, i);
}

static void close_shard(void *shard)
{
    ss_safetensors_close(shard);
}

const ss_weight_format ss_safetensors_format = {
    .name = "safetensors",
    .endings = {".safetensors"},
    .open = open_shard,
    .count = count_of_shard,
    .at = tensor_of_shard,
    .close = close_shard,
};

ss_code ss_safetensors_load_f32(const char *file_hash_name, ss_array *a, ss_err *e)
{
    const char *hash = strrchr(file_hash_name, '#');
    ss_safetensors *f = NULL;
    ss_shape shape;
    ss_code rc;

    if (!hash || hash == file_hash_name || !hash[1])
        return ss_fail(e, SS_USAGE,
                       "'%s': expected FILE#NAME, a safetensors file and the name of "
                       "a tensor in it",
                       file_hash_name);
    char *path = ss_strdup(file_hash_name);
    if (!path)
        return ss_no_memory(e, file_hash_name);
    path[hash - file_hash_name] = '\0';
    *a = (ss_array){0};

    rc = ss_safetensors_open(path, &f, e);
    if (rc != SS_OK)
        goto out;
    const ss_stored_tensor *t = ss_safetensors_find(f, hash + 1);
    if (!t) {
        rc = ss_fail(e, SS_USAGE, "%s: no tensor %s; the file has %zu tensors%s%s", path,
                     SS_SHOW(hash + 1), f->n, f->n ? ", the first is " : "",
                     f->n ? SS_SHOW(f->tensors[0].name) : "");
        goto out;
    }
    rc = ss_stored_shape(t, &shape, e);
    if (rc != SS_OK)
        goto out;
    size_t n = t->bytes / ss_dtype_size(t->dtype);
    a->values = ss_alloc(n, sizeof *a->values);
    if (!a->values) {
        rc = ss_no_memory(e, file_hash_name);
        goto out;
    }
    a->rank = t->rank;
    memcpy(a->dim, t->dim, sizeof a->dim);
    ss_values_to_f32(t->dtype, t->data, n, a->values);
out:
    ss_safetensors_close(f);
    ss_free(path);
    return rc;
}

void ss_array_release(ss_array *a)
{
    ss_free(a->values);
    *a = (ss_array){0};
}
