/* lora_values.c - see lora_values.h */
#include "models/file/lora_values.h"

#include "base/half.h"
#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <string.h>

/* A matrix in f32, row-major. */
typedef struct {
    float *v;
    size_t rows, columns;
} matrix;

static size_t numel(const ss_stored_tensor *t)
{
    size_t n = 1;

    for (int i = 0; i < t->rank; i++)
        n *= (size_t)t->dim[i];
    return n;
}

static size_t rows_of(const ss_stored_tensor *t)
{
    return t->rank ? (size_t)t->dim[0] : 1;
}

static size_t columns_of(const ss_stored_tensor *t)
{
    const size_t rows = rows_of(t);

    return rows ? numel(t) / rows : 0;
}

const char *ss_lora_kind(const ss_lora_source *s)
{
    const ss_stored_tensor *const *p = s->part;

    if (p[SS_LORA_DOWN] && p[SS_LORA_UP])
        return "LoRA";
    if (p[SS_LOHA_1A] && p[SS_LOHA_1B] && p[SS_LOHA_2A] && p[SS_LOHA_2B])
        return "LoHa";
    if ((p[SS_LOKR_1] || (p[SS_LOKR_1A] && p[SS_LOKR_1B])) &&
        (p[SS_LOKR_2] || (p[SS_LOKR_2A] && p[SS_LOKR_2B])))
        return "LoKr";
    return p[SS_LORA_DIFF] ? "full" : NULL;
}

int64_t ss_lora_rank(const ss_lora_source *s)
{
    static const ss_lora_part ranked[] = {SS_LORA_DOWN, SS_LOHA_1B, SS_LOKR_2B, SS_LOKR_1B};

    for (size_t i = 0; i < sizeof ranked / sizeof *ranked; i++) {
        if (s->part[ranked[i]])
            return (int64_t)rows_of(s->part[ranked[i]]);
    }
    return 0;
}

/* --- shapes --- */

static ss_code misfit(const ss_lora_source *s, const ss_stored_tensor *t, ss_err *e)
{
    char have[96], base[96];

    return ss_fail(e, SS_SHAPE, "%s: %s is %s, which does not fit the layer's weight of %s",
                   t->file, SS_SHOW(t->name), ss_stored_shape_text(t, have, sizeof have),
                   ss_stored_shape_text(s->base, base, sizeof base));
}

/* Checks that a [rows,r] and b [r,columns] make a matrix of rows x columns. */
static ss_code check_product(const ss_lora_source *s, const ss_stored_tensor *a,
                             const ss_stored_tensor *b, size_t rows, size_t columns, ss_err *e)
{
    if (rows_of(a) != rows)
        return misfit(s, a, e);
    return columns_of(b) != columns || columns_of(a) != rows_of(b) ? misfit(s, b, e) : SS_OK;
}

/* Checks B M A with a core. */
static ss_code check_core(const ss_lora_source *s, ss_err *e)
{
    const ss_stored_tensor *mid = s->part[SS_LORA_MID], *down = s->part[SS_LORA_DOWN];
    const ss_stored_tensor *up = s->part[SS_LORA_UP], *w = s->base;

    if (w->rank != 4 || mid->rank != 4 || mid->dim[1] < 1 || mid->dim[2] != w->dim[2] ||
        mid->dim[3] != w->dim[3] || (size_t)mid->dim[1] != rows_of(down))
        return misfit(s, mid, e);
    if (columns_of(down) != (size_t)w->dim[1])
        return misfit(s, down, e);
    return rows_of(up) == rows_of(w) && columns_of(up) == (size_t)mid->dim[0] ? SS_OK
                                                                              : misfit(s, up, e);
}

/* Returns the shape of a factor of LoKr, which may be a product. */
static ss_code factor_shape(const ss_lora_source *s, ss_lora_part whole, size_t *rows,
                            size_t *columns, ss_err *e)
{
    const ss_stored_tensor *t = s->part[whole], *a = s->part[whole + 1], *b = s->part[whole + 2];

    *rows = rows_of(t ? t : a);
    *columns = columns_of(t ? t : b);
    return t || columns_of(a) == rows_of(b) ? SS_OK : misfit(s, b, e);
}

static ss_code check_kronecker(const ss_lora_source *s, ss_err *e)
{
    size_t r1, c1, r2, c2, rows, columns;
    const ss_stored_tensor *t = s->part[SS_LOKR_2] ? s->part[SS_LOKR_2] : s->part[SS_LOKR_2A];

    if (factor_shape(s, SS_LOKR_1, &r1, &c1, e) != SS_OK ||
        factor_shape(s, SS_LOKR_2, &r2, &c2, e) != SS_OK)
        return e->code;
    return __builtin_mul_overflow(r1, r2, &rows) || __builtin_mul_overflow(c1, c2, &columns) ||
                   rows != rows_of(s->base) || columns != columns_of(s->base)
               ? misfit(s, t, e)
               : SS_OK;
}

static ss_code check_magnitude(const ss_lora_source *s, ss_err *e)
{
    const ss_stored_tensor *m = s->part[SS_LORA_MAGNITUDE], *w = s->base;
    const size_t n = numel(m);

    return n == rows_of(w) || (w->rank >= 2 && n == (size_t)w->dim[1]) ? SS_OK : misfit(s, m, e);
}

ss_code ss_lora_check(const ss_lora_source *s, ss_err *e)
{
    const size_t rows = rows_of(s->base), columns = columns_of(s->base);
    const ss_stored_tensor *const *p = s->part;
    const char *kind = ss_lora_kind(s);
    ss_code rc = SS_OK;

    for (int i = 0; i < SS_LORA_N_PARTS; i++) {
        if (p[i] && !p[i]->usable)
            return ss_fail(e, SS_UNSUPPORTED, "%s: %s has dtype %s, which cannot be used",
                           p[i]->file, SS_SHOW(p[i]->name), SS_SHOW(p[i]->type));
    }
    if (strcmp(kind, "LoRA") == 0)
        rc = p[SS_LORA_MID] ? check_core(s, e)
                            : check_product(s, p[SS_LORA_UP], p[SS_LORA_DOWN], rows, columns, e);
    else if (strcmp(kind, "LoHa") == 0 &&
             (rc = check_product(s, p[SS_LOHA_1A], p[SS_LOHA_1B], rows, columns, e)) == SS_OK)
        rc = check_product(s, p[SS_LOHA_2A], p[SS_LOHA_2B], rows, columns, e);
    else if (strcmp(kind, "LoKr") == 0)
        rc = check_kronecker(s, e);
    else if (strcmp(kind, "full") == 0 && numel(p[SS_LORA_DIFF]) != rows * columns)
        rc = misfit(s, p[SS_LORA_DIFF], e);
    return rc == SS_OK && p[SS_LORA_MAGNITUDE] ? check_magnitude(s, e) : rc;
}

/* --- values --- */

static float round_to(ss_dtype d, float x)
{
    uint32_t u;

    if (d == SS_F16)
        return ss_half_to_float(ss_half_from_float(x));
    if (d == SS_F32 || isnan(x))
        return x;
    memcpy(&u, &x, sizeof u);
    u = (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000;
    memcpy(&x, &u, sizeof u);
    return x;
}

static void round_all(ss_dtype d, float *v, size_t n)
{
    if (d == SS_F32)
        return;
#pragma omp parallel for
    for (size_t i = 0; i < n; i++)
        v[i] = round_to(d, v[i]);
}

/* Writes f32 values, which are of dtype d, as such. */
static void store(ss_dtype d, const float *v, size_t n, char *out)
{
    const size_t item = ss_dtype_size(d);

    if (d == SS_F32) {
        memcpy(out, v, n * sizeof *v);
        return;
    }
#pragma omp parallel for
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        uint16_t h;

        memcpy(&u, &v[i], sizeof u);
        h = d == SS_F16 ? ss_half_from_float(v[i]) : (uint16_t)(u >> 16);
        if (d == SS_BF16 && isnan(v[i]))
            h |= 0x40; /* its payload may be in the half that is cut off */
        memcpy(out + i * item, &h, sizeof h);
    }
}

/* Reads a tensor as f32, in the precision of d; v is the caller's to ss_free. */
static ss_code load(const ss_stored_tensor *t, ss_dtype d, matrix *m, ss_err *e)
{
    const size_t n = numel(t);
    void *raw = ss_alloc(t->bytes, 1);
    ss_code rc;

    *m = (matrix){.v = ss_alloc(n, sizeof *m->v), .rows = rows_of(t), .columns = columns_of(t)};
    rc = raw && m->v ? ss_stored_read(t, raw, e) : ss_no_memory(e, t->name);
    if (rc == SS_OK) {
        ss_values_to_f32(t->dtype, raw, n, m->v);
        round_all(d, m->v, n);
    }
    ss_free(raw);
    return rc;
}

static ss_code make_matrix(matrix *m, size_t rows, size_t columns, ss_err *e)
{
    size_t n;

    *m = (matrix){.rows = rows, .columns = columns};
    if (!__builtin_mul_overflow(rows, columns, &n))
        m->v = ss_calloc(n, sizeof *m->v);
    return m->v ? SS_OK : ss_no_memory(e, "a LoRA");
}

/* out = a b */
static ss_code multiply(const matrix *a, const matrix *b, matrix *out, ss_err *e)
{
    if (make_matrix(out, a->rows, b->columns, e) != SS_OK)
        return e->code;
#pragma omp parallel for
    for (size_t i = 0; i < a->rows; i++) {
        float *to = out->v + i * b->columns;

        for (size_t r = 0; r < b->rows; r++) {
            const float x = a->v[i * a->columns + r], *from = b->v + r * b->columns;

            for (size_t k = 0; k < b->columns; k++)
                to[k] += x * from[k];
        }
    }
    return SS_OK;
}

/* Multiplies two parts. */
static ss_code product_of(const ss_lora_source *s, ss_lora_part a, ss_lora_part b, matrix *out,
                          ss_err *e)
{
    matrix x = {0}, y = {0};
    ss_code rc = load(s->part[a], s->base->dtype, &x, e);

    if (rc == SS_OK)
        rc = load(s->part[b], s->base->dtype, &y, e);
    if (rc == SS_OK)
        rc = multiply(&x, &y, out, e);
    ss_free(x.v);
    ss_free(y.v);
    return rc;
}

/* Spreads A over the core: out [r,in kh kw] = M [r,r',kh kw] A [r',in]. */
static ss_code spread_core(const matrix *mid, const matrix *down, matrix *out, ss_err *e)
{
    const size_t kernel = mid->columns / down->rows, in = down->columns;

    if (make_matrix(out, mid->rows, in * kernel, e) != SS_OK)
        return e->code;
    for (size_t r = 0; r < mid->rows; r++) {
        for (size_t q = 0; q < down->rows; q++) {
            const float *core = mid->v + (r * down->rows + q) * kernel;

            for (size_t i = 0; i < in; i++) {
                for (size_t k = 0; k < kernel; k++)
                    out->v[(r * in + i) * kernel + k] += core[k] * down->v[q * in + i];
            }
        }
    }
    return SS_OK;
}

static ss_code lora_with_core(const ss_lora_source *s, matrix *out, ss_err *e)
{
    const ss_dtype d = s->base->dtype;
    matrix mid = {0}, down = {0}, up = {0}, spread = {0};
    ss_code rc = load(s->part[SS_LORA_MID], d, &mid, e);

    if (rc == SS_OK)
        rc = load(s->part[SS_LORA_DOWN], d, &down, e);
    if (rc == SS_OK)
        rc = load(s->part[SS_LORA_UP], d, &up, e);
    if (rc == SS_OK)
        rc = spread_core(&mid, &down, &spread, e);
    if (rc == SS_OK)
        rc = multiply(&up, &spread, out, e);
    ss_free(mid.v);
    ss_free(down.v);
    ss_free(up.v);
    ss_free(spread.v);
    return rc;
}

static ss_code hadamard(const ss_lora_source *s, matrix *out, ss_err *e)
{
    matrix other = {0};
    ss_code rc = product_of(s, SS_LOHA_1A, SS_LOHA_1B, out, e);

    if (rc == SS_OK)
        rc = product_of(s, SS_LOHA_2A, SS_LOHA_2B, &other, e);
    for (size_t i = 0; i < out->rows * out->columns && rc == SS_OK; i++)
        out->v[i] *= other.v[i];
    ss_free(other.v);
    return rc;
}

static ss_code kronecker(const ss_lora_source *s, matrix *out, ss_err *e)
{
    matrix a = {0}, b = {0};
    ss_code rc = s->part[SS_LOKR_1] ? load(s->part[SS_LOKR_1], s->base->dtype, &a, e)
                                    : product_of(s, SS_LOKR_1A, SS_LOKR_1B, &a, e);

    if (rc == SS_OK)
        rc = s->part[SS_LOKR_2] ? load(s->part[SS_LOKR_2], s->base->dtype, &b, e)
                                : product_of(s, SS_LOKR_2A, SS_LOKR_2B, &b, e);
    if (rc == SS_OK)
        rc = make_matrix(out, a.rows * b.rows, a.columns * b.columns, e);
    for (size_t i = 0; rc == SS_OK && i < out->rows; i++) {
        for (size_t k = 0; k < out->columns; k++)
            out->v[i * out->columns + k] = a.v[i / b.rows * a.columns + k / b.columns] *
                                           b.v[i % b.rows * b.columns + k % b.columns];
    }
    ss_free(a.v);
    ss_free(b.v);
    return rc;
}

/* Computes dW without its scale. */
static ss_code change_of(const ss_lora_source *s, matrix *out, ss_err *e)
{
    const char *kind = ss_lora_kind(s);

    if (strcmp(kind, "LoHa") == 0)
        return hadamard(s, out, e);
    if (strcmp(kind, "LoKr") == 0)
        return kronecker(s, out, e);
    if (strcmp(kind, "full") == 0)
        return load(s->part[SS_LORA_DIFF], s->base->dtype, out, e);
    return s->part[SS_LORA_MID] ? lora_with_core(s, out, e)
                                : product_of(s, SS_LORA_UP, SS_LORA_DOWN, out, e);
}

/* Gives rows, or columns of the second dimension, the length of m. */
static ss_code set_magnitude(const ss_lora_source *s, float *w, ss_err *e)
{
    const ss_stored_tensor *base = s->base;
    const size_t rows = rows_of(base), columns = columns_of(base);
    matrix m = {0};
    ss_code rc = load(s->part[SS_LORA_MAGNITUDE], base->dtype, &m, e);
    const size_t n = rc == SS_OK ? m.rows * m.columns : 0;
    const size_t kernel = n == rows ? columns : n ? columns / n : 0;
    double *sum = rc == SS_OK ? ss_calloc(n, sizeof *sum) : NULL;

    if (rc == SS_OK && !sum)
        rc = ss_no_memory(e, base->name);
    for (int pass = 0; pass < 2 && rc == SS_OK; pass++) {
        for (size_t i = 0; i < rows * columns; i++) {
            const size_t k = n == rows ? i / columns : i % columns / kernel;

            if (pass == 0)
                sum[k] += (double)w[i] * (double)w[i];
            else
                w[i] = (float)((double)w[i] * (double)m.v[k] / sqrt(sum[k]));
        }
    }
    ss_free(sum);
    ss_free(m.v);
    return rc;
}

ss_code ss_lora_make(const ss_stored_tensor *t, void *out, ss_err *e)
{
    const ss_lora_source *s = t->source;
    const ss_dtype d = s->base->dtype;
    const float scale = (float)s->scale;
    matrix w = {0}, change = {0};
    ss_code rc = load(s->base, d, &w, e);

    if (rc == SS_OK)
        rc = change_of(s, &change, e);
    const size_t n = rc == SS_OK ? w.rows * w.columns : 0;
#pragma omp parallel for
    for (size_t i = 0; i < n; i++)
        w.v[i] += round_to(d, change.v[i] * scale);
    if (rc == SS_OK && s->part[SS_LORA_MAGNITUDE])
        rc = set_magnitude(s, w.v, e);
    if (rc == SS_OK) {
        round_all(d, w.v, n);
        store(d, w.v, n, out);
    }
    ss_free(w.v);
    ss_free(change.v);
    return rc;
}
