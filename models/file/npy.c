/* npy.c - see npy.h */
#include "models/file/npy.h"

#include "base/file.h"
#include "base/half.h"
#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <string.h>

enum { MAX_HEADER = 1 << 16, PRELUDE = 8 };

/* The header's text, which ends in NUL. */
typedef struct {
    const char *path, *at;
    char type[8]; /* of 'descr' */
    bool fortran, has_type, has_order, has_shape;
    int rank;
    int64_t dim[SS_STORED_MAX_RANK];
} header;

static void skip_spaces(header *h)
{
    h->at += strspn(h->at, " \t\n");
}

static bool take(header *h, char c)
{
    skip_spaces(h);
    if (*h->at != c)
        return false;
    h->at++;
    return true;
}

/* Reads a text in quotes of less than n bytes, none of them a backslash. */
static bool take_text(header *h, char *out, size_t n)
{
    const char quote = *(skip_spaces(h), h->at);
    size_t len = 0;

    if (quote != '\'' && quote != '"')
        return false;
    for (h->at++; *h->at && *h->at != quote; h->at++) {
        if (*h->at == '\\' || len + 1 >= n)
            return false;
        out[len++] = *h->at;
    }
    out[len] = '\0';
    return *h->at++ == quote;
}

static bool take_order(header *h)
{
    skip_spaces(h);
    h->has_order = true;
    h->fortran = strncmp(h->at, "True", 4) == 0;
    if (!h->fortran && strncmp(h->at, "False", 5) != 0)
        return false;
    h->at += h->fortran ? 4 : 5;
    return true;
}

static bool take_shape(header *h)
{
    h->has_shape = true;
    h->rank = 0;
    if (!take(h, '('))
        return false;
    while (!take(h, ')')) {
        int64_t v = 0;

        skip_spaces(h);
        if (h->rank == SS_STORED_MAX_RANK || *h->at < '0' || *h->at > '9')
            return false;
        for (; *h->at >= '0' && *h->at <= '9'; h->at++) {
            if (v > INT64_MAX / 16)
                return false;
            v = 10 * v + (*h->at - '0');
        }
        h->dim[h->rank++] = v;
        if (!take(h, ',')) {
            if (!take(h, ')'))
                return false;
            break;
        }
    }
    return true;
}

static bool parse(header *h)
{
    char key[16];

    if (!take(h, '{'))
        return false;
    while (!take(h, '}')) {
        bool fine;

        if (!take_text(h, key, sizeof key) || !take(h, ':'))
            return false;
        if (strcmp(key, "descr") == 0)
            fine = h->has_type = take_text(h, h->type, sizeof h->type);
        else if (strcmp(key, "fortran_order") == 0)
            fine = take_order(h);
        else
            fine = strcmp(key, "shape") == 0 && take_shape(h);
        if (!fine || (!take(h, ',') && *h->at != '}'))
            return false;
    }
    return h->has_type && h->has_order && h->has_shape;
}

static float f2(const unsigned char *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof v);
    return ss_half_to_float(v);
}

static float f4(const unsigned char *p)
{
    float v;

    memcpy(&v, p, sizeof v);
    return v;
}

static float f8(const unsigned char *p)
{
    double v;

    memcpy(&v, p, sizeof v);
    return (float)v;
}

static float u1(const unsigned char *p)
{
    return *p;
}

static float i1(const unsigned char *p)
{
    return (float)(int8_t)*p;
}

static float i2(const unsigned char *p)
{
    int16_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

static float i4(const unsigned char *p)
{
    int32_t v;

    memcpy(&v, p, sizeof v);
    return (float)v;
}

static float i8(const unsigned char *p)
{
    int64_t v;

    memcpy(&v, p, sizeof v);
    return (float)v;
}

static const struct {
    const char *name;
    size_t size;
    float (*value)(const unsigned char *p);
} types[] = {
    {"<f2", 2, f2}, {"<f4", 4, f4}, {"<f8", 8, f8}, {"|u1", 1, u1},
    {"|i1", 1, i1}, {"<i2", 2, i2}, {"<i4", 4, i4}, {"<i8", 8, i8},
};

static ss_code read_values(const header *h, const unsigned char *data, size_t bytes, ss_array *a,
                           ss_err *e)
{
    size_t type = 0, n = 1;

    while (type < sizeof types / sizeof *types && strcmp(types[type].name, h->type) != 0)
        type++;
    if (type == sizeof types / sizeof *types)
        return ss_fail(e, SS_UNSUPPORTED,
                       "%s: values of type '%s'; save them with numpy.save(FILE, x.astype('f4'))",
                       h->path, SS_SHOW(h->type));
    if (h->fortran && h->rank > 1)
        return ss_fail(e, SS_UNSUPPORTED,
                       "%s: an array in Fortran's order; save numpy.ascontiguousarray(x)", h->path);
    for (int i = 0; i < h->rank; i++) {
        if (h->dim[i] && n > SIZE_MAX / 16 / (size_t)h->dim[i])
            return ss_fail(e, SS_FORMAT, "%s: a shape of too many values", h->path);
        n *= (size_t)h->dim[i];
    }
    if (n * types[type].size != bytes)
        return ss_fail(e, SS_FORMAT, "%s: %zu bytes of values, its shape needs %zu", h->path, bytes,
                       n * types[type].size);
    *a = (ss_array){.rank = h->rank, .values = ss_alloc(n, sizeof *a->values)};
    if (!a->values)
        return ss_no_memory(e, h->path);
    memcpy(a->dim, h->dim, sizeof a->dim);
    for (size_t i = 0; i < n; i++) {
        const unsigned char *p = data + i * types[type].size;
        double exact = 0;

        a->values[i] = types[type].value(p);
        if (types[type].value == f8)
            memcpy(&exact, p, sizeof exact);
        if (isinf(a->values[i]) && isfinite(exact) && types[type].value == f8) {
            ss_array_release(a);
            return ss_fail(e, SS_FORMAT, "%s: value %zu is %g, which float32 cannot hold", h->path,
                           i, exact);
        }
    }
    return SS_OK;
}

static ss_code read_file(const char *path, const ss_map *map, ss_array *a, ss_err *e)
{
    static const unsigned char magic[] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    const unsigned char *p = map->data;
    header h = {.path = path};
    char *text;
    ss_code rc;

    if (map->size < PRELUDE + 4 || memcmp(p, magic, sizeof magic) != 0)
        return ss_fail(e, SS_FORMAT, "%s: not an array as numpy.save writes it", path);
    const int major = p[6];
    const size_t width = major == 1 ? 2 : 4, start = PRELUDE + width;
    size_t n = p[8] | (size_t)p[9] << 8;

    if (major < 1 || major > 3)
        return ss_fail(e, SS_UNSUPPORTED, "%s: version %d of the format; known: 1 to 3", path,
                       major);
    if (width == 4)
        n |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (n > MAX_HEADER || n > map->size - start)
        return ss_fail(e, SS_FORMAT, "%s: a header of %zu bytes", path, n);
    if (!(text = ss_calloc(n + 1, 1)))
        return ss_no_memory(e, path);
    memcpy(text, p + start, n);
    h.at = text;
    rc = parse(&h) ? read_values(&h, p + start + n, map->size - start - n, a, e)
                   : ss_fail(e, SS_FORMAT,
                             "%s: its header is not {'descr': ..., 'fortran_order': ..., 'shape': "
                             "(...)}",
                             path);
    ss_free(text);
    return rc;
}

ss_code ss_npy_load_f32(const char *path, ss_array *a, ss_err *e)
{
    ss_map map;
    ss_code rc = ss_map_open(path, &map, e);

    *a = (ss_array){0};
    if (rc != SS_OK)
        return rc;
    rc = read_file(path, &map, a, e);
    ss_map_close(&map);
    return rc;
}

ss_code ss_array_load_f32(const char *file, ss_array *a, ss_err *e)
{
    const size_t n = strlen(file);

    if (n > 4 && strcmp(file + n - 4, ".npy") == 0)
        return ss_npy_load_f32(file, a, e);
    if (!strchr(file, '#'))
        return ss_fail(e, SS_USAGE, "%s: expected NAME.npy, or FILE#NAME of a safetensors file",
                       file);
    return ss_safetensors_load_f32(file, a, e);
}
