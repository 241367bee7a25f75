/* cast_weights.c - see cast_weights.h
 *
 *   finds which tensors are of such a dtype, and which belong to them
 *   derives a tensor for each, whose values are made when they are used
 */
#include "models/file/cast_weights.h"

#include "base/half.h"
#include "base/mem.h"
#include "base/str.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 128 /* usual block of scales */, MAX_TEXT = 4096 /* of comfy_quant, in bytes */ };

typedef enum { NOT_CAST, F64, E4M3, E5M2 } wide;

static wide wide_of(const ss_stored_tensor *t)
{
    return strcmp(t->type, "F64") == 0       ? F64
           : strcmp(t->type, "F8_E4M3") == 0 ? E4M3
           : strcmp(t->type, "F8_E5M2") == 0 ? E5M2
                                             : NOT_CAST;
}

static bool is_f8(const ss_stored_tensor *t)
{
    return wide_of(t) == E4M3 || wide_of(t) == E5M2;
}

/* --- values --- */

static float decode(unsigned v, int exponent_bits, bool has_inf)
{
    const int mantissa_bits = 7 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
    const unsigned top = (1U << exponent_bits) - 1, full = (1U << mantissa_bits) - 1;
    const unsigned e = v >> mantissa_bits & top, m = v & full;
    float x;

    if (e == top && has_inf)
        x = m ? NAN : INFINITY;
    else if (e == top && m == full)
        x = NAN;
    else if (e == 0)
        x = ldexpf((float)m, 1 - bias - mantissa_bits);
    else
        x = ldexpf((float)(m + full + 1), (int)e - bias - mantissa_bits);
    return v & 0x80 ? -x : x;
}

static void decode_all(const unsigned char *v, size_t n, int exponent_bits, bool has_inf,
                       float *out)
{
    float values[256];

    for (unsigned i = 0; i < 256; i++)
        values[i] = decode(i, exponent_bits, has_inf);
    for (size_t i = 0; i < n; i++)
        out[i] = values[v[i]];
}

void ss_f8_e4m3_to_f32(const unsigned char *v, size_t n, float *out)
{
    decode_all(v, n, 4, false, out);
}

void ss_f8_e5m2_to_f32(const unsigned char *v, size_t n, float *out)
{
    decode_all(v, n, 5, true, out);
}

static size_t numel(const ss_stored_tensor *t)
{
    size_t n = 1;

    for (int i = 0; i < t->rank; i++)
        n *= (size_t)t->dim[i];
    return n;
}

/* The source of a tensor that is made: the stored one, and how its scale goes over it. */
typedef struct {
    const ss_stored_tensor *t, *scale; /* scale NULL: none */
    size_t rows, columns;              /* of the weight: its first dimension, and all others */
    size_t row_block, column_block;
    size_t scale_columns; /* blocks in a row */
} source;

/* Returns the stored bytes: mapped, or read into *made, which the caller frees. NULL after an
 * error. */
static const void *bytes_of(const ss_stored_tensor *t, void **made, ss_err *e)
{
    *made = t->data ? NULL : ss_alloc(t->bytes, 1);
    if (t->data)
        return t->data;
    if (!*made)
        ss_no_memory(e, t->name);
    else if (ss_stored_read(t, *made, e) == SS_OK)
        return *made;
    return NULL;
}

static ss_code make_f32(const ss_stored_tensor *t, void *out, ss_err *e)
{
    const source *s = t->source;
    const size_t n = numel(s->t);
    float *to = out;
    void *made = NULL;
    const char *from = bytes_of(s->t, &made, e);

    for (size_t i = 0; i < n && from; i++) {
        double v;

        memcpy(&v, from + i * sizeof v, sizeof v);
        to[i] = (float)v;
    }
    ss_free(made);
    return from ? SS_OK : e->code;
}

/* Decodes the stored values to f32, out [n]. */
static ss_code decode_f8(const ss_stored_tensor *t, size_t n, float *out, ss_err *e)
{
    void *made = NULL;
    const void *from = bytes_of(t, &made, e);

    if (from && wide_of(t) == E4M3)
        ss_f8_e4m3_to_f32(from, n, out);
    else if (from)
        ss_f8_e5m2_to_f32(from, n, out);
    ss_free(made);
    return from ? SS_OK : e->code;
}

static ss_code make_scaled(const ss_stored_tensor *t, void *out, ss_err *e)
{
    const source *s = t->source;
    const size_t n_scales = numel(s->scale);
    float *to = out, *scales = ss_alloc(n_scales, sizeof *scales);
    void *made = NULL;
    const void *stored = scales ? bytes_of(s->scale, &made, e) : NULL;
    ss_code rc = !scales ? ss_no_memory(e, t->name) : !stored ? e->code : SS_OK;

    if (rc == SS_OK)
        rc = decode_f8(s->t, s->rows * s->columns, to, e);
    if (rc == SS_OK)
        ss_values_to_f32(s->scale->dtype, stored, n_scales, scales);
    for (size_t r = 0; r < s->rows && rc == SS_OK; r++) {
        const float *of_row = scales + r / s->row_block * s->scale_columns;

        for (size_t c = 0; c < s->columns; c++)
            to[r * s->columns + c] *= of_row[c / s->column_block];
    }
    ss_free(made);
    ss_free(scales);
    return rc;
}

static ss_code make_f16(const ss_stored_tensor *t, void *out, ss_err *e)
{
    const source *s = t->source;
    const size_t n = numel(s->t);
    float *values = ss_alloc(n, sizeof *values);
    ss_code rc = values ? decode_f8(s->t, n, values, e) : ss_no_memory(e, t->name);

    for (size_t i = 0; i < n && rc == SS_OK; i++) {
        const uint16_t h = ss_half_from_float(values[i]);

        memcpy((char *)out + i * sizeof h, &h, sizeof h);
    }
    ss_free(values);
    return rc;
}

/* --- which tensors belong together --- */

typedef enum { NO_ROLE, SCALE, INPUT_SCALE, COMFY_TEXT } role;

/* Facts about each tensor of the list. */
typedef struct {
    const ss_stored_tensor *scale; /* of a weight */
    bool drop;                     /* it belongs to a weight */
} item;

/* Counts for the notes. */
typedef struct {
    size_t n_f64, n_inexact, n_infinite, n_scaled, n_plain, n_inputs, n_tensor, n_row, n_block;
    const char *type; /* of the F8 weights, the first */
    double worst;     /* largest relative change of a F64 value */
    const char *where;
} account;

typedef struct {
    ss_checkpoint *k;
    item *items; /* in the order of the list */
    size_t n;
    account a;
} casting;

static long index_of(const casting *c, const char *name)
{
    size_t from = 0, to = c->n;

    while (from < to) {
        const size_t middle = from + (to - from) / 2;
        const int order = strcmp(ss_checkpoint_at(c->k, middle)->name, name);

        if (order == 0)
            return (long)middle;
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return -1;
}

/* Finds the tensor that another one belongs to by its name, -1 for none. *failed: no memory. */
static long owner_of(const casting *c, const char *name, role *r, bool *failed)
{
    static const struct {
        const char *end, *instead;
        role role;
    } ends[] = {{".scale_weight", ".weight", SCALE},
                {"_scale", "", SCALE},
                {"_scale_inv", "", SCALE},
                {".scale_input", ".weight", INPUT_SCALE},
                {".input_scale", ".weight", INPUT_SCALE},
                {".comfy_quant", ".weight", COMFY_TEXT}};
    const size_t n = strlen(name);
    long owner = -1;

    for (size_t i = 0; i < sizeof ends / sizeof *ends && owner < 0; i++) {
        const size_t m = strlen(ends[i].end);
        ss_str s = {0};

        if (n <= m || strcmp(name + n - m, ends[i].end) != 0)
            continue;
        ss_str_addn(&s, name, n - m);
        ss_str_add(&s, ends[i].instead);
        *failed |= s.failed;
        owner = s.failed ? -1 : index_of(c, s.s);
        *r = ends[i].role;
        ss_str_release(&s);
    }
    return owner;
}

/* Checks the text that ComfyUI puts beside a weight. */
static ss_code check_comfy(const ss_stored_tensor *text, const ss_stored_tensor *weight, ss_err *e)
{
    void *made = NULL;
    const char *bytes = text->bytes <= MAX_TEXT ? bytes_of(text, &made, e) : NULL;
    json_t *j = bytes ? json_loadb(bytes, text->bytes, 0, NULL) : NULL;
    const char *format = json_string_value(json_object_get(j, "format"));
    ss_code rc = SS_OK;

    if (!bytes && text->bytes <= MAX_TEXT)
        rc = e->code;
    else if (!format)
        rc = ss_fail(e, SS_FORMAT, "%s: %s is no text with a format", text->file,
                     SS_SHOW(text->name));
    else if (strcmp(format, "float8_e4m3fn") != 0 && strcmp(format, "float8_e5m2") != 0)
        rc = ss_fail(e, SS_UNSUPPORTED,
                     "%s: %s is quantised as %s; float8_e4m3fn and float8_e5m2 can be used",
                     text->file, SS_SHOW(weight->name), SS_SHOW(format));
    else if (strcmp(format, wide_of(weight) == E4M3 ? "float8_e4m3fn" : "float8_e5m2") != 0)
        rc = ss_fail(e, SS_FORMAT, "%s: %s says that %s is %s, and it is %s", text->file,
                     SS_SHOW(text->name), SS_SHOW(weight->name), SS_SHOW(format),
                     SS_SHOW(weight->type));
    json_decref(j);
    ss_free(made);
    return rc;
}

/* True for ComfyUI's marker of a file with scales. */
static bool is_marker(const ss_stored_tensor *t)
{
    const char *dot = strrchr(t->name, '.');

    return strcmp(dot ? dot + 1 : t->name, "scaled_fp8") == 0;
}

static ss_code relate(casting *c, size_t i, ss_err *e)
{
    const ss_stored_tensor *t = ss_checkpoint_at(c->k, i);
    bool failed = false;
    role r = NO_ROLE;
    const long o = owner_of(c, t->name, &r, &failed);
    const ss_stored_tensor *weight = o < 0 ? NULL : ss_checkpoint_at(c->k, (size_t)o);

    if (failed)
        return ss_no_memory(e, t->name);
    if (weight && r == COMFY_TEXT && check_comfy(t, weight, e) != SS_OK)
        return e->code;
    if (!weight || !is_f8(weight)) {
        c->items[i].drop = is_marker(t);
        return SS_OK;
    }
    c->items[i].drop = true;
    c->a.n_inputs += r == INPUT_SCALE;
    if (r != SCALE)
        return SS_OK;
    if (c->items[o].scale)
        return ss_fail(e, SS_FORMAT, "%s: %s has two scales, %s and %s", t->file,
                       SS_SHOW(weight->name), SS_SHOW(c->items[o].scale->name), SS_SHOW(t->name));
    c->items[o].scale = t;
    return SS_OK;
}

/* --- tensors that are made --- */

static bool fits_blocks(int64_t n, int64_t blocks, int64_t *block)
{
    *block = BLOCK;
    if (blocks == (n + BLOCK - 1) / BLOCK)
        return true;
    *block = blocks ? n / blocks : 0;
    return blocks && n % blocks == 0;
}

/* Finds out how the scale goes over the weight. */
static ss_code match_scale(source *s, account *a, ss_err *e)
{
    const ss_stored_tensor *t = s->t, *k = s->scale;
    const size_t n = numel(k);
    int64_t rows = 0, columns = 0;
    char weight[96], scale[96];

    if (!k->usable)
        return ss_fail(e, SS_UNSUPPORTED, "%s: scale %s has dtype %s, which cannot be used",
                       k->file, SS_SHOW(k->name), SS_SHOW(k->type));
    s->row_block = s->rows;
    s->column_block = s->columns;
    s->scale_columns = 1;
    if (n == 1) {
        a->n_tensor++;
        return SS_OK;
    }
    if (n == s->rows && k->rank >= 1 && (size_t)k->dim[0] == n) {
        s->row_block = 1;
        a->n_row++;
        return SS_OK;
    }
    if (k->rank == 2 && t->rank == 2 && fits_blocks(t->dim[0], k->dim[0], &rows) &&
        fits_blocks(t->dim[1], k->dim[1], &columns)) {
        s->row_block = (size_t)rows;
        s->column_block = (size_t)columns;
        s->scale_columns = (size_t)k->dim[1];
        a->n_block++;
        return SS_OK;
    }
    return ss_fail(e, SS_SHAPE, "%s: scale %s is %s, which does not go over a weight of %s",
                   k->file, SS_SHOW(k->name), ss_stored_shape_text(k, scale, sizeof scale),
                   ss_stored_shape_text(t, weight, sizeof weight));
}

/* Measures how far F64 values are from F32. */
static ss_code measure(const ss_stored_tensor *t, account *a, ss_err *e)
{
    void *made = NULL;
    const char *from = bytes_of(t, &made, e);
    double worst = 0;

    for (size_t i = 0; i < numel(t) && from; i++) {
        double v;

        memcpy(&v, from + i * sizeof v, sizeof v);
        const double change = fabs((double)(float)v - v) / fabs(v);
        a->n_infinite += isfinite(v) && !isfinite((float)v);
        if (change > worst && isfinite(change)) /* 0 and inf stay */
            worst = change;
    }
    a->n_inexact += worst > 0;
    if (worst > a->worst) {
        a->worst = worst;
        a->where = t->name;
    }
    ss_free(made);
    return from ? SS_OK : e->code;
}

/* Derives the tensor that is used in the place of t; NULL after an error. */
static const ss_stored_tensor *cast(casting *c, const ss_stored_tensor *t,
                                    const ss_stored_tensor *scale, ss_err *e)
{
    ss_stored_tensor *d = ss_checkpoint_derive(c->k, t, t->name, e);
    source *s = d ? ss_checkpoint_alloc(c->k, sizeof *s, e) : NULL;
    const size_t n = numel(t);

    if (!s)
        return NULL;
    *s = (source){.t = t, .scale = scale, .rows = t->rank ? (size_t)t->dim[0] : 1};
    s->columns = s->rows ? n / s->rows : 0;
    d->usable = true;
    d->dtype = SS_F32;
    d->data = NULL;
    d->source = s;
    if (wide_of(t) == F64) {
        d->make = make_f32;
        c->a.n_f64++;
        if (measure(t, &c->a, e) != SS_OK)
            return NULL;
    } else if (scale) {
        d->make = make_scaled;
        c->a.n_scaled++;
        if (match_scale(s, &c->a, e) != SS_OK)
            return NULL;
    } else {
        d->make = make_f16;
        d->dtype = SS_F16;
        c->a.n_plain++;
    }
    if (is_f8(t) && !c->a.type)
        c->a.type = t->type;
    if (__builtin_mul_overflow(n, ss_dtype_size(d->dtype), &d->bytes)) {
        ss_fail(e, SS_SHAPE, "%s: tensor %s is too large", t->file, SS_SHOW(t->name));
        return NULL;
    }
    return d;
}

static ss_code say_all(casting *c, ss_err *e)
{
    const account *a = &c->a;
    char change[200] = ", exactly", infinite[80] = "", inputs[80] = "";
    ss_code rc = SS_OK;

    if (a->n_inexact)
        snprintf(change, sizeof change, ", %zu of them with a largest relative change of %.1e (%s)",
                 a->n_inexact, a->worst, SS_SHOW(a->where));
    if (a->n_infinite)
        snprintf(infinite, sizeof infinite, ", %zu VALUES BECOME INF", a->n_infinite);
    if (a->n_inputs)
        snprintf(inputs, sizeof inputs, "; %zu scales of activations are not used", a->n_inputs);
    if (a->n_f64)
        rc = ss_checkpoint_say(c->k, e, "%zu tensors of F64 are rounded to F32%s%s", a->n_f64,
                               change, infinite);
    if (rc == SS_OK && a->n_scaled)
        rc = ss_checkpoint_say(c->k, e,
                               "%zu tensors of %s become F32, times their scales (%zu of a tensor, "
                               "%zu of rows, %zu of blocks)%s",
                               a->n_scaled, a->type, a->n_tensor, a->n_row, a->n_block, inputs);
    if (rc == SS_OK && a->n_plain)
        rc = ss_checkpoint_say(c->k, e, "%zu tensors of %s have no scale and become F16, exactly",
                               a->n_plain, a->type);
    return rc;
}

static ss_code cast_all(casting *c, ss_err *e)
{
    const ss_stored_tensor **list = ss_calloc(c->n, sizeof *list);
    size_t n = 0;
    ss_code rc = list ? SS_OK : ss_no_memory(e, ss_checkpoint_name(c->k));

    for (size_t i = 0; i < c->n && rc == SS_OK; i++)
        rc = relate(c, i, e);
    for (size_t i = 0; i < c->n && rc == SS_OK; i++) {
        const ss_stored_tensor *t = ss_checkpoint_at(c->k, i);

        if (c->items[i].drop)
            continue;
        list[n] = wide_of(t) == NOT_CAST ? t : cast(c, t, c->items[i].scale, e);
        rc = list[n++] ? SS_OK : e->code;
    }
    if (rc == SS_OK)
        rc = ss_checkpoint_replace(c->k, list, n, e);
    ss_free(list);
    return rc == SS_OK ? say_all(c, e) : rc;
}

ss_code ss_checkpoint_cast(ss_checkpoint *k, ss_err *e)
{
    casting c = {.k = k, .n = ss_checkpoint_count(k)};
    bool any = false;

    for (size_t i = 0; i < c.n && !any; i++)
        any = wide_of(ss_checkpoint_at(k, i)) != NOT_CAST;
    if (!any)
        return SS_OK;
    c.items = ss_calloc(c.n, sizeof *c.items);
    const ss_code rc = c.items ? cast_all(&c, e) : ss_no_memory(e, ss_checkpoint_name(k));
    ss_free(c.items);
    return rc;
}
