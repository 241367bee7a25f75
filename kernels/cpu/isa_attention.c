/* isa_attention.c - softmax(scale Q K^T + bias + mask) V, and its statistics, in memory linear in
 * the tokens
 *
 * For each sample and head, keys and values are first packed into panels, a few vectors wide,
 * that the product kernel reads from front to back:
 *
 *   keys    panel of 2 VL keys:     [S/2VL][D][2 VL], transposed; the last one padded with 0
 *   values  panel of 1 to 3 VL dims [D/..][S][.. VL]
 *
 * Then strips of STRIP queries go through three steps, each thread in its own work space:
 *
 *   l = q K^T        [STRIP][S]   one product
 *   e = exp(l - m)   in place     exact softmax over the whole row: m = max l, Z = sum e
 *   y = e V / Z      [STRIP][D]   the same product again
 *
 * So a query has all its logits at hand, and the statistics come from the same pass:
 * H = log Z - sum e (l - m) / Z. Gathering them adds sums beside those of the output and
 * touches none, so the output has the same bits with and without.
 *
 * Where q, k, v and the probabilities are numbers that bf16 holds, and the processor multiplies
 * those, both products are of pairs (isa_pairs.h), twice as fast; scale then comes after the sum.
 *
 * Strips are dealt out in segments, whose number depends on shapes alone; what a segment
 * tallied is combined in the order of segments, so threads do not change a bit.
 */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_math.h"
#include "kernels/cpu/isa_pairs.h"
#include "kernels/cpu/isa_product.h"
#include "kernels/cpu/isa_vector.h"

#include <omp.h>

/* Rows of the product's tile for 1, 2 and 3 vectors of columns: as many sums as registers
 * hold beside the operands, and enough to hide the latency of a multiply-add. */
#ifdef __AVX512F__
enum { ROWS_1 = 24, ROWS_2 = 12, ROWS_3 = 8 };
#else
enum { ROWS_1 = 12, ROWS_2 = 6, ROWS_3 = 4 };
#endif
enum { STRIP = 24, KEYS = 2 * VL };

/* c[ROWS][V VL] = or += a[ROWS][K] b[K][V VL]; a and c with a stride between rows. A macro, so
 * that the loops over sum are unrolled and it lives in registers. */
/* clang-format off */
#define EACH(i, n) _Pragma("GCC unroll 24") for (int i = 0; i < (n); i++)
#define TILE(name, ROWS, V, TARGET, MADD)                                            \
    static TARGET void name(const float *a, int64_t a_stride, const float *b,        \
                            float *c, int64_t c_stride, int64_t K, bool add)         \
    {                                                                                \
        vf sum[ROWS][V];                                                             \
                                                                                     \
        EACH(r, ROWS)                                                                \
            EACH(v, V)                                                               \
                sum[r][v] = add ? vf_load(c + r * c_stride + v * VL) : (vf){0};      \
        for (int64_t k = 0; k < K; k++, b += (V) * VL) {                             \
            EACH(r, ROWS) {                                                          \
                const vf ak = vf_all(a[r * a_stride + k]);                           \
                                                                                     \
                EACH(v, V)                                                           \
                    sum[r][v] = MADD(ak, vf_load(b + v * VL), sum[r][v]);            \
            }                                                                        \
        }                                                                            \
        EACH(r, ROWS)                                                                \
            EACH(v, V)                                                               \
                vf_store(c + r * c_stride + v * VL, sum[r][v]);                      \
    }
/* clang-format on */
#ifdef __AVX512F__
/* Two vectors and a half, as heads of 40 have; the half takes half the time. */
/* clang-format off */
#define HALF_TILE(name, TARGET, MADD, HALF_MADD)                                     \
    static TARGET void name(const float *a, int64_t a_stride, const float *b,        \
                            float *c, int64_t c_stride, int64_t K, bool add)         \
    {                                                                                \
        vf sum[ROWS_3][2];                                                           \
        __m256 half[ROWS_3];                                                         \
                                                                                     \
        EACH(r, ROWS_3) {                                                            \
            EACH(v, 2)                                                               \
                sum[r][v] = add ? vf_load(c + r * c_stride + v * VL) : (vf){0};      \
            half[r] = add ? _mm256_loadu_ps(c + r * c_stride + 2 * VL)               \
                          : _mm256_setzero_ps();                                     \
        }                                                                            \
        for (int64_t k = 0; k < K; k++, b += 3 * VL) {                               \
            EACH(r, ROWS_3) {                                                        \
                const vf ak = vf_all(a[r * a_stride + k]);                           \
                                                                                     \
                EACH(v, 2)                                                           \
                    sum[r][v] = MADD(ak, vf_load(b + v * VL), sum[r][v]);            \
                half[r] = HALF_MADD(_mm512_castps512_ps256((__m512)ak),              \
                                    _mm256_loadu_ps(b + 2 * VL), half[r]);           \
            }                                                                        \
        }                                                                            \
        EACH(r, ROWS_3) {                                                            \
            EACH(v, 2)                                                               \
                vf_store(c + r * c_stride + v * VL, sum[r][v]);                      \
            _mm256_storeu_ps(c + r * c_stride + 2 * VL, half[r]);                    \
        }                                                                            \
    }
/* clang-format on */
static inline PAIRS __m256 dot_half(__m256 a, __m256 b, __m256 sum)
{
    return _mm256_dpbf16_ps(sum, (__m256bh)a, (__m256bh)b);
}

HALF_TILE(tile_half, , vf_madd, _mm256_fmadd_ps)
HALF_TILE(pairs_half, PAIRS, vf_dot, dot_half)
#else
#define tile_half tile_3
#define pairs_half pairs_3
#endif
TILE(tile_1, ROWS_1, 1, , vf_madd)
TILE(tile_2, ROWS_2, 2, , vf_madd)
TILE(tile_3, ROWS_3, 3, , vf_madd)
TILE(pairs_1, ROWS_1, 1, PAIRS, vf_dot)
TILE(pairs_2, ROWS_2, 2, PAIRS, vf_dot)
TILE(pairs_3, ROWS_3, 3, PAIRS, vf_dot)

/* c[STRIP][columns] = or += a[STRIP][K] times a panel of 1 to 3 vectors, the last of which may be
 * less than full; of pairs, K are added */
static void strip_product(bool pairs, const float *a, int64_t a_stride, const float *panel,
                          int64_t columns, float *c, int64_t c_stride, int64_t K, bool add)
{
    static void (*const tiles[2][4])(const float *a, int64_t a_stride, const float *b, float *c,
                                     int64_t c_stride, int64_t K, bool add) = {
        {tile_1, tile_2, tile_half, tile_3}, {pairs_1, pairs_2, pairs_half, pairs_3}};
    const int kind = columns <= VL ? 0 : columns <= 2 * VL ? 1 : columns <= 5 * VL / 2 ? 2 : 3;
    const int rows = kind == 0 ? ROWS_1 : kind == 1 ? ROWS_2 : ROWS_3;

    for (int r = 0; r < STRIP; r += rows)
        tiles[pairs][kind](a + r * a_stride, a_stride, panel, c + r * c_stride, c_stride, K, add);
}

/* Statistics of one segment of queries. Its mass (per key, the sum of p over the queries) is kept
 * apart. */
typedef struct {
    double entropy; /* sum over the queries */
    double entropy_min;
    float max_logit;
    ss_logit_stats logits;
} tally;

/* Sizes and places of one call. */
typedef struct {
    const ss_attention_args *a;
    int64_t T, S, D;
    int64_t S_pad, D_pad, stride; /* padded to whole vectors; heads * D */
    bool pairs;                   /* products are of bf16, in pairs: */
    int64_t q_len, l_len;         /* numbers, or pairs, that a query's product and a row of
                                     probabilities add up */
    int64_t l_step;               /* from one row of logits to the next */
    int64_t strips, per_segment, segments;
    float *keys, *values; /* [n][heads] packed: [S_pad][D], [S][D_pad] */
    float *work;          /* [thread]: queries, logits, output of a strip, a row of logits */
    tally *tallies;       /* [n][heads][segments] */
    float *mass;          /* [n][heads][segments][S_pad] */
} plan;

static int64_t work_floats(const plan *p)
{
    return round_up(STRIP * (p->D_pad + p->l_step + p->D_pad) + p->S, 16);
}

/* 1 / |x|, or 0 for the zero vector */
static float inverse_length(const float *x, int64_t D)
{
    double sum = 0;

    for (int64_t i = 0; i < D; i++)
        sum += (double)x[i] * x[i];
    return sum == 0 ? 0 : (float)(1 / sqrt(sum));
}

static void pack_keys(const plan *p, const float *k, bool cosine, float *to)
{
    memset(to, 0, (size_t)(p->S_pad * p->q_len) * sizeof *to);
    for (int64_t j = 0; j < p->S; j++) {
        const float *from = k + j * p->stride;
        const float scale = cosine ? inverse_length(from, p->D) : 1;
        float *column = to + j / KEYS * KEYS * p->q_len + j % KEYS;

        for (int64_t i = 0; i < p->D && !p->pairs; i++)
            column[i * KEYS] = from[i] * scale;
        for (int64_t i = 0; i < p->D && p->pairs; i += 2 * VL) {
            const int64_t n = min_i64(2 * VL, p->D - i);
            float some[VL];

            narrow_row(from + i, n, some);
            for (int64_t m = 0; m < (n + 1) / 2; m++)
                column[(i / 2 + m) * KEYS] = some[m];
        }
    }
}

static void pack_values(const plan *p, const float *v, float *to)
{
    const int64_t vectors = p->D_pad / VL;

    memset(to, 0, (size_t)(p->l_len * p->D_pad) * sizeof *to);
    for (int64_t done = 0, width; done < vectors; done += width) {
        width = tile_width(vectors - done);

        const int64_t d0 = done * VL, len = min_i64(width * VL, p->D - d0);
        const float *from = v + d0;
        float *row = to + d0 * p->l_len;

        for (int64_t j = 0; j < p->S && !p->pairs; j++)
            memcpy(row + j * width * VL, from + j * p->stride, (size_t)len * sizeof *to);
        for (int64_t j = 0; j < p->S && p->pairs; j += 2)
            narrow_two(from + j * p->stride, j + 1 < p->S ? from + (j + 1) * p->stride : NULL, len,
                       row + j / 2 * width * VL);
    }
}

/* Rows beyond the last query are zero: they are computed along and dropped. Pairs are not scaled,
 * as that would round them. */
static void pack_queries(const plan *p, const float *q, int64_t rows, float *to)
{
    memset(to, 0, (size_t)(STRIP * p->q_len) * sizeof *to);
    for (int64_t r = 0; r < rows; r++) {
        const float *from = q + r * p->stride;
        const float scale = p->a->scale * (p->a->cosine ? inverse_length(from, p->D) : 1);

        if (p->pairs)
            narrow_row(from, p->D, to + r * p->q_len);
        for (int64_t i = 0; i < p->D && !p->pairs; i++)
            to[r * p->D + i] = from[i] * scale;
    }
}

/* The largest value that is not NaN; -inf if there is none. n is a multiple of KEYS. */
static float row_max(const float *l, int64_t n)
{
    vf a = vf_all(-INFINITY), b = a;
    float m = -INFINITY;

    for (int64_t j = 0; j < n; j += KEYS) {
        a = vf_max(vf_load(l + j), a);
        b = vf_max(vf_load(l + j + VL), b);
    }
    a = vf_max(a, b);
    for (int i = 0; i < VL; i++)
        m = a[i] > m ? a[i] : m;
    return m;
}

/* bf16 itself, as the instruction rounds to it. */
static bool is_bf16(const ss_format *f)
{
    return f && f->exp_bits == 8 && f->man_bits == 7;
}

static float row_max_finite(const float *l, int64_t n)
{
    float m = -INFINITY;

    for (int64_t j = 0; j < n; j++)
        if (is_finite(l[j]) && l[j] > m)
            m = l[j];
    return m;
}

/* The least and the largest of n values; false where one is inf or NaN. */
static bool row_range(const float *l, int64_t n, float *least, float *most)
{
    float lo = INFINITY, hi = -INFINITY;
    int64_t j = 0;

    if (n >= KEYS) { /* x - x is 0 of finite numbers only */
        vf a = vf_load(l), b = a, bad = a - a;

        for (; j + VL <= n; j += VL) {
            const vf x = vf_load(l + j);

            a = vf_min(x, a);
            b = vf_max(x, b);
            bad += x - x;
        }
        for (int i = 0; i < VL; i++) {
            lo = a[i] < lo ? a[i] : lo;
            hi = b[i] > hi ? b[i] : hi;
            if (bad[i] != 0)
                lo = NAN;
        }
    }
    for (; j < n; j++) {
        if (!is_finite(l[j]))
            lo = NAN;
        lo = l[j] < lo ? l[j] : lo;
        hi = l[j] > hi ? l[j] : hi;
    }
    *least = lo;
    *most = hi;
    return is_finite(lo);
}

/* Statistics of one kind of logits in a segment, as in ss_logit_stats. */
typedef struct {
    float *least, *most, *peak;
    uint64_t *nonfinite, *large;
} logit_tally;

/* Counts value by value, for the few rows with inf, NaN or large values. A scaled logit may be
 * finite where the unscaled one is inf. */
static void count_row(const float *l, int64_t n, float factor, logit_tally t)
{
    for (int64_t j = 0; j < n; j++) {
        const float x = l[j] * factor;
        uint32_t bits;

        memcpy(&bits, &x, sizeof bits);
        const int exponent = (int)(bits >> 23 & 255) - 127;

        if (exponent == 128) { /* inf or NaN */
            ++*t.nonfinite;
            continue;
        }
        *t.least = l[j] < *t.least ? l[j] : *t.least;
        *t.most = l[j] > *t.most ? l[j] : *t.most;
        if (exponent >= SS_LOGIT_FROM)
            t.large[exponent - SS_LOGIT_FROM]++;
    }
}

/* Adds a row of scaled logits whose range is lo to hi, and finite or not. */
static void tally_row(const float *l, int64_t n, float factor, bool finite, float lo, float hi,
                      logit_tally t)
{
    const float top = fabsf(finite ? hi : row_max_finite(l, n)); /* inf: there is none */

    if (top > *t.peak && is_finite(top))
        *t.peak = top;
    if (!finite || fmaxf(fabsf(lo), fabsf(hi)) * factor >= 1 << SS_LOGIT_FROM) {
        count_row(l, n, factor, t);
        return;
    }
    *t.least = lo < *t.least ? lo : *t.least;
    *t.most = hi > *t.most ? hi : *t.most;
}

/* l[j] = e = exp(l[j] scale - m), or in pairs if so asked; returns Z = sum e. Unless dot is NULL,
 * *dot = sum e (l - m); the term of a logit of -inf is 0, as its e is. Sums run in f32 over CHUNK
 * keys, in f64 beyond; n is a multiple of KEYS. */
static inline PAIRS __attribute__((always_inline)) double row_exp(float *l, int64_t n, float scale,
                                                                  float m, bool pairs, double *dot)
{
    enum { CHUNK = 512 };
    vd Z = {0}, D = {0};

    for (int64_t j0 = 0; j0 < n; j0 += CHUNK) {
        const int64_t j1 = min_i64(j0 + CHUNK, n);
        vf z[2] = {{0}}, s[2] = {{0}};

        for (int64_t j = j0; j < j1; j += KEYS) {
            vf e[2];

            for (int v = 0; v < 2; v++) {
                const vf t = vf_load(l + j + v * VL) * scale - m;

                e[v] = vf_exp_nonpositive(t);
                if (!pairs)
                    vf_store(l + j + v * VL, e[v]);
                z[v] += e[v];
                if (dot)
                    s[v] = vf_madd(e[v], vf_max(vf_all(-88.0f), t), s[v]);
            }
            if (pairs)
                vf_store(l + j / 2, vf_narrow(e[0], e[1]));
        }
        z[0] += z[1];
        s[0] += s[1];
        Z += vd_low(z[0]) + vd_high(z[0]);
        D += vd_low(s[0]) + vd_high(s[0]);
    }
    if (dot)
        *dot = vd_sum(D);
    return vd_sum(Z);
}

static bool all_are(const float *l, int64_t n, float value)
{
    for (int64_t j = 0; j < n; j++) {
        if (l[j] != value)
            return false;
    }
    return true;
}

/* Addends of a row of logits, [S] each or NULL. */
typedef struct {
    const float *bias, *mask;
} addends;

static addends addends_of(const plan *p, int64_t head, int64_t t)
{
    const ss_tensor *bias = p->a->bias, *mask = p->a->mask;
    const int64_t n = head / p->a->heads, h = head % p->a->heads;

    return (addends){bias ? (const float *)bias->data +
                                ((bias->shape.dim[0] > 1 ? h * p->T : 0) + t) * p->S
                          : NULL,
                     mask ? (const float *)mask->data + n * p->S : NULL};
}

static void add_row(float *l, const float *x, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        l[j] += x[j];
}

/* Copies the logits of keys that are not masked; returns how many. */
static int64_t unmasked(const float *l, addends a, int64_t n, float *to)
{
    int64_t kept = 0;

    for (int64_t j = 0; j < n; j++) {
        if ((a.bias && a.bias[j] <= SS_MASKED) || (a.mask && a.mask[j] <= SS_MASKED))
            continue;
        to[kept++] = l[j];
    }
    return kept;
}

/* A row of logits, which pairs leave unscaled, to the numerators of its probabilities; returns 1/Z.
 * narrow: to pairs of them. t: where its statistics are added, with a row of work space, or NULL.
 */
static PAIRS float softmax_row(const plan *p, float *l, addends add, bool narrow, tally *t,
                               float *space)
{
    const ss_format *f = p->a->rounding;
    const ss_attention_code code = p->a->code;
    const float unscale = 1 / p->a->scale;
    const bool adds = add.bias || add.mask;
    const bool changes = adds || (f && code != SS_ATTENTION_SDPA);
    const bool at_once = narrow && code == SS_ATTENTION_SDPA && is_bf16(f);
    const bool late = at_once && !t && !adds && p->a->scale > 0; /* scaled by row_exp */
    float lo = 0, hi = 0, top = -INFINITY;
    bool finite = false;
    double Z;

    if (p->pairs && !late)
        for (int64_t j = 0; j < p->S; j++)
            l[j] *= p->a->scale;
    if (t) {
        finite = row_range(l, p->S, &lo, &hi);
        tally_row(l, p->S, unscale, finite, lo, hi,
                  (logit_tally){&t->logits.raw_least, &t->logits.raw_most, &t->logits.raw_peak,
                                &t->logits.raw_nonfinite, t->logits.raw_large});
    }
    for (int64_t j = 0; f && !p->pairs && j < p->S; j++) { /* PyTorch scales q.k when summed */
        if (isinf(l[j] * unscale)) {
            l[j] *= unscale;
            finite = false;
        }
    }
    if (f && code == SS_ATTENTION_EAGER_UNSCALED) {
        for (int64_t j = 0; j < p->S; j++)
            l[j] *= unscale;
        ISA(round_values)(f, l, l, p->S);
        for (int64_t j = 0; j < p->S; j++)
            l[j] *= p->a->scale;
        ISA(round_values)(f, l, l, p->S);
    }
    if (add.bias)
        add_row(l, add.bias, p->S);
    if (add.bias && f && code != SS_ATTENTION_SDPA)
        ISA(round_values)(f, l, l, p->S);
    if (add.mask)
        add_row(l, add.mask, p->S);
    if (f && code != SS_ATTENTION_SDPA)
        ISA(round_values)(f, l, l, p->S);
    if (t) {
        const int64_t n = adds ? unmasked(l, add, p->S, space) : p->S;
        const float *seen = n < p->S ? space : l;

        if (changes)
            finite = row_range(seen, n, &lo, &hi);
        tally_row(seen, n, 1, finite, lo, hi,
                  (logit_tally){&t->logits.least, &t->logits.most, &t->logits.peak,
                                &t->logits.nonfinite, t->logits.large});
        top = finite ? hi : row_max_finite(seen, n);
        finite = finite && n == p->S;
    }
    for (int64_t j = p->S; j < p->S_pad; j++)
        l[j] = -INFINITY;

    const float m = finite ? hi : row_max(l, p->S_pad) * (late ? p->a->scale : 1);
    if (f && code == SS_ATTENTION_SDPA && m == -INFINITY && all_are(l, p->S, m)) {
        if (t)
            t->entropy = t->entropy_min = NAN;
        memset(l, 0, (size_t)p->S_pad * sizeof *l); /* where softmax has NaN, this code has 0 */
        return 0;
    }
    if (t) {
        double dot;

        Z = at_once ? row_exp(l, p->S_pad, 1, m, true, &dot)
                    : row_exp(l, p->S_pad, 1, m, false, &dot);
        const double H = log(Z) - dot / Z;
        t->entropy += H < 0 ? 0 : H; /* a NaN stays */
        t->entropy_min = H < t->entropy_min || isnan(H) ? (H < 0 ? 0 : H) : t->entropy_min;
        t->max_logit = top > t->max_logit ? top : t->max_logit;
    } else if (at_once) {
        Z = row_exp(l, p->S_pad, late ? p->a->scale : 1, m, true, NULL);
    } else {
        Z = row_exp(l, p->S_pad, 1, m, false, NULL);
    }

    const float inverse = (float)(1 / Z);
    if (t && !(inverse <= t->logits.probability)) { /* the largest is exp(0) / Z */
        if (isnan(inverse))
            t->logits.lost += (uint64_t)p->S;
        else
            t->logits.probability = inverse;
    }
    if (!f || at_once)
        return inverse;
    if (code != SS_ATTENTION_SDPA && !isnan(inverse)) {
#pragma omp simd
        for (int64_t j = 0; j < p->S_pad; j++)
            l[j] *= inverse;
    }
    ISA(round_values)(f, l, l, p->S);
    if (narrow)
        narrow_row(l, p->S_pad, l);
    return code == SS_ATTENTION_SDPA || isnan(inverse) ? inverse : 1;
}

/* mass[j] += sum over the rows of p_ij */
static void add_mass(const plan *p, const float *l, const float *inverse, int64_t rows, float *mass)
{
    for (int64_t j = 0; j < p->S_pad; j += KEYS) {
        vf a = vf_load(mass + j), b = vf_load(mass + j + VL);

        for (int64_t r = 0; r < rows; r++) {
            const float *row = l + r * p->l_step;
            vf e[2];

            if (p->pairs)
                widen(vf_load(row + j / 2), e);
            else
                memcpy(e, row + j, sizeof e);
            a = vf_madd(e[0], vf_all(inverse[r]), a);
            b = vf_madd(e[1], vf_all(inverse[r]), b);
        }
        vf_store(mass + j, a);
        vf_store(mass + j + VL, b);
    }
}

/* out[STRIP][D_pad] = l V, in chunks of keys whose panel stays in the nearest cache */
static void times_values(const plan *p, const float *l, const float *values, float *out)
{
    enum { CHUNK = 256 };
    const int64_t vectors = p->D_pad / VL;

    for (int64_t done = 0, width; done < vectors; done += width) {
        width = tile_width(vectors - done);
        for (int64_t j = 0; j < p->l_len; j += CHUNK)
            strip_product(p->pairs, l + j, p->l_step, values + (done * p->l_len + j * width) * VL,
                          min_i64(width * VL, p->D - done * VL), out + done * VL, p->D_pad,
                          min_i64(CHUNK, p->l_len - j), j > 0);
    }
}

static void strip(const plan *p, int64_t head, int64_t t0, float *work, tally *t, float *mass)
{
    const int64_t n = head / p->a->heads, rows = min_i64(STRIP, p->T - t0);
    const int64_t at = (n * p->T + t0) * p->stride + head % p->a->heads * p->D;
    const float *q = (const float *)p->a->q->data + at;
    float *y = (float *)p->a->y->data + at;
    float *queries = work, *l = queries + STRIP * p->D_pad, *out = l + STRIP * p->l_step;
    float *row = out + STRIP * p->D_pad;
    float inverse[STRIP];

    pack_queries(p, q, rows, queries);
    for (int64_t j = 0; j < p->S_pad; j += KEYS)
        strip_product(p->pairs, queries, p->q_len, p->keys + (head * p->S_pad + j) * p->q_len, KEYS,
                      l + j, p->l_step, p->q_len, false);
    for (int64_t r = 0; r < rows; r++)
        inverse[r] =
            softmax_row(p, l + r * p->l_step, addends_of(p, head, t0 + r), p->pairs, t, row);
    if (t)
        add_mass(p, l, inverse, rows, mass);
    times_values(p, l, p->values + head * p->l_len * p->D_pad, out);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < p->D; i++) {
            const float value = out[r * p->D_pad + i] * inverse[r];

            /* One NaN for all: which of several a sum hands on depends on the compiler. */
            y[r * p->stride + i] = isnan(inverse[r]) ? NAN : value;
        }
    }
}

static void segment(const plan *p, int64_t unit, float *work)
{
    const int64_t first = unit % p->segments * p->per_segment;
    const int64_t last = min_i64(first + p->per_segment, p->strips);
    tally *t = p->tallies ? p->tallies + unit : NULL;
    float *mass = p->mass ? p->mass + unit * p->S_pad : NULL;

    if (t) {
        *t = (tally){
            0,
            INFINITY,
            -INFINITY,
            {.least = INFINITY, .most = -INFINITY, .raw_least = INFINITY, .raw_most = -INFINITY}};
        memset(mass, 0, (size_t)p->S_pad * sizeof *mass);
    }
    for (int64_t i = first; i < last; i++)
        strip(p, unit / p->segments, i * STRIP, work, t, mass);
}

/* One head's statistics from those of its segments. */
static ss_attention_stats summarise(const plan *p, int64_t head)
{
    const tally *t = p->tallies + head * p->segments;
    const float *mass = p->mass + head * p->segments * p->S_pad;
    tally all = {.entropy_min = INFINITY, .max_logit = -INFINITY};
    double sink = 0;

    for (int64_t i = 0; i < p->segments; i++) {
        all.entropy += t[i].entropy;
        if (t[i].entropy_min < all.entropy_min || isnan(t[i].entropy_min))
            all.entropy_min = t[i].entropy_min;
        if (t[i].max_logit > all.max_logit)
            all.max_logit = t[i].max_logit;
    }
    for (int64_t j = 0; j < p->S; j++) {
        double sum = 0;

        for (int64_t i = 0; i < p->segments; i++)
            sum += mass[i * p->S_pad + j];
        if (sum > sink || isnan(sum))
            sink = sum;
    }
    return (ss_attention_stats){
        .entropy = (float)(all.entropy / (double)p->T),
        .entropy_min = (float)all.entropy_min,
        .max_logit = isinf(all.max_logit) ? NAN : all.max_logit,
        .sink = (float)(sink / (double)p->T),
    };
}

/* True when products may be made of pairs. */
static bool suits_pairs(const ss_device *d, const ss_attention_args *a)
{
    return HAVE_PAIRS && d->bf16 && !a->cosine && a->rounding &&
           ss_bf16_holds(a->rounding->exp_bits, a->rounding->man_bits) && ss_is_in_bf16(a->q) &&
           ss_is_in_bf16(a->k) && ss_is_in_bf16(a->v);
}

/* Sizes that follow from the arguments. */
static plan plan_of(const ss_device *d, const ss_attention_args *a)
{
    plan p = {.a = a, .T = a->queries, .S = a->keys, .D = a->width, .pairs = suits_pairs(d, a)};

    p.q_len = p.pairs ? (p.D + 1) / 2 : p.D;
    p.l_len = p.pairs ? (p.S + 1) / 2 : p.S;
    p.S_pad = round_up(p.S, KEYS);
    p.D_pad = round_up(p.D, VL);
    p.l_step = p.S_pad + KEYS; /* not 2^n, which would share few lines of the cache */
    p.stride = a->heads * p.D;
    p.strips = (p.T + STRIP - 1) / STRIP;
    return p;
}

/* Combines the segments' statistics of stored logits. */
static ss_logit_stats summarise_logits(const plan *p, int64_t head)
{
    const tally *t = p->tallies + head * p->segments;
    ss_logit_stats all = t[0].logits;

    for (int64_t i = 1; i < p->segments; i++) {
        const ss_logit_stats *x = &t[i].logits;

        all.least = fminf(all.least, x->least);
        all.most = fmaxf(all.most, x->most);
        all.raw_least = fminf(all.raw_least, x->raw_least);
        all.raw_most = fmaxf(all.raw_most, x->raw_most);
        all.peak = fmaxf(all.peak, x->peak);
        all.raw_peak = fmaxf(all.raw_peak, x->raw_peak);
        all.probability = fmaxf(all.probability, x->probability);
        all.nonfinite += x->nonfinite;
        all.raw_nonfinite += x->raw_nonfinite;
        all.lost += x->lost;
        for (int k = 0; k < SS_LOGIT_EXPONENTS; k++) {
            all.large[k] += x->large[k];
            all.raw_large[k] += x->raw_large[k];
        }
    }
    if (all.least > all.most)
        all.least = all.most = all.peak = NAN;
    if (all.raw_least > all.raw_most)
        all.raw_least = all.raw_most = all.raw_peak = NAN;
    return all;
}

ss_code ISA(attention)(ss_device *d, const ss_attention_args *a, ss_err *e)
{
    const int64_t heads = a->n * a->heads; /* of all samples */
    plan p = plan_of(d, a);

    p.per_segment = p.strips * heads / 64 + 1; /* some 64 pieces of work to deal out */
    p.segments = (p.strips + p.per_segment - 1) / p.per_segment;

    const int team = ss_cpu_team(d, heads * p.T * p.S);
    const int64_t n_keys = heads * p.S_pad * p.q_len, n_values = heads * p.l_len * p.D_pad;
    const int64_t n_units = heads * p.segments, n_mass = a->stats ? n_units * p.S_pad : 0;
    const size_t floats =
        (size_t)(n_keys + round_up(n_values, 16) + team * work_floats(&p) + n_mass);
    const size_t bytes = floats * sizeof(float) + (a->stats ? (size_t)n_units * sizeof(tally) : 0);
    float *scratch = ss_pool_alloc(&d->pool, bytes);
    if (!scratch)
        return ss_fail(e, SS_NOMEM, "attention: %zu bytes of work space", bytes);
    p.keys = scratch;
    p.values = p.keys + n_keys;
    p.work = p.values + round_up(n_values, 16);
    if (a->stats) {
        p.mass = p.work + team * work_floats(&p);
        p.tallies = (tally *)(scratch + floats);
    }

#pragma omp parallel num_threads(team)
    {
#pragma omp for schedule(static)
        for (int64_t h = 0; h < heads; h++) {
            const int64_t at = h / a->heads * p.S * p.stride + h % a->heads * p.D;

            pack_keys(&p, (const float *)a->k->data + at, a->cosine,
                      p.keys + h * p.S_pad * p.q_len);
            pack_values(&p, (const float *)a->v->data + at, p.values + h * p.l_len * p.D_pad);
        }
#pragma omp for schedule(dynamic)
        for (int64_t u = 0; u < n_units; u++)
            segment(&p, u, p.work + omp_get_thread_num() * work_floats(&p));
    }
    for (int64_t h = 0; a->stats && h < heads; h++) {
        a->stats[h] = summarise(&p, h);
        a->logits[h] = summarise_logits(&p, h);
    }
    ss_pool_free(&d->pool, scratch);
    return SS_OK;
}

/* ---- gradients ----
 *
 *   dP = dY V^T,  dL = P (dP - D),  D = rowsum(P dP),  dQ = scale dL K,
 *   dK = scale dL^T Q,  dV = P^T dY
 *
 * Strip by strip as forward: a strip has all logits of its queries at hand, so P comes out of
 * them whole, with the bits of the forward pass, and nothing needs to be saved but q, k and v.
 * A head's strips run in order on one thread, because all add to its dK and dV. With cosine
 * attention q and k above are the normalised ones, and their gradients go through
 *
 *   dq = (dq^ - q^ (q^ . dq^)) / |q|,  q^ = q / |q|
 */

/* One thread's work space; K and V as keys (to be multiplied transposed) and as values. */
typedef struct {
    float *keys, *keys_back, *values; /* [S_pad][D], [S][D_pad], [S_pad][D] */
    float *dk, *dv;                   /* [S_pad][D_pad] */
    float *q, *q_wide, *dy, *dy_wide; /* [STRIP][D], [STRIP][D_pad], and so of dy */
    float *l, *dl, *dq;               /* [STRIP][l_step], the same, [STRIP][D_pad] */
    float *k;                         /* [S][D], normalised */
} back_work;

/* Carves the parts out of memory; NULL: only counts the floats. */
static int64_t back_work_at(const plan *p, float *memory, back_work *w)
{
    const struct {
        float **to;
        int64_t n;
    } parts[] = {
        {&w->keys, p->S_pad * p->D},
        {&w->keys_back, p->S * p->D_pad},
        {&w->values, p->S_pad * p->D},
        {&w->dk, p->S_pad * p->D_pad},
        {&w->dv, p->S_pad * p->D_pad},
        {&w->q, STRIP * p->D},
        {&w->q_wide, STRIP * p->D_pad},
        {&w->dy, STRIP * p->D},
        {&w->dy_wide, STRIP * p->D_pad},
        {&w->l, STRIP * p->l_step},
        {&w->dl, STRIP * p->l_step},
        {&w->dq, STRIP * p->D_pad},
        {&w->k, p->S * p->D},
    };
    int64_t at = 0;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *parts[i].to = memory ? memory + at : NULL;
        at += round_up(parts[i].n, 16);
    }
    return at;
}

/* Rows [rows][D] of x, `stride` apart, each times scale, over its length if cosine, to [D] and
 * to [wide] apart; zeros up to STRIP rows. */
static void strip_rows(const plan *p, const float *x, int64_t rows, float scale, bool cosine,
                       float *narrow, float *wide)
{
    memset(narrow, 0, (size_t)(STRIP * p->D) * sizeof *narrow);
    memset(wide, 0, (size_t)(STRIP * p->D_pad) * sizeof *wide);
    for (int64_t r = 0; r < rows; r++) {
        const float *from = x + r * p->stride;
        const float s = scale * (cosine ? inverse_length(from, p->D) : 1);

        for (int64_t i = 0; i < p->D; i++)
            wide[r * p->D_pad + i] = narrow[r * p->D + i] = from[i] * s;
    }
}

/* P of a row of logits in place, and of a row of dP in place dL. */
static void back_row(const plan *p, const ss_format *rounding, addends add, float *l, float *dl)
{
    const float inverse = softmax_row(p, l, add, false, NULL, NULL);
    double dot = 0;

    if (rounding)
        ISA(round_values)(rounding, dl, dl, p->S);
    for (int64_t j = 0; j < p->S; j++) {
        l[j] *= inverse;
        dot += (double)l[j] * dl[j];
    }
    for (int64_t j = 0; j < p->S; j++)
        dl[j] = l[j] * (dl[j] - (float)dot);
    if (rounding)
        ISA(round_values)(rounding, dl, dl, p->S);
    memset(l + p->S, 0, (size_t)(p->S_pad - p->S) * sizeof *l);
    memset(dl + p->S, 0, (size_t)(p->S_pad - p->S) * sizeof *dl);
}

/* c[S_pad][D_pad] += a[STRIP][S_pad of l_step]^T b[STRIP][D_pad] */
static void add_transposed(const plan *p, const float *a, const float *b, float *c)
{
    const positions at = {
        .samples = 1, .rows = 1, .columns = STRIP, .a_column = p->l_step, .b_column = p->D_pad};
    const int64_t vectors = p->D_pad / VL;

    for (int64_t done = 0, width; done < vectors; done += width) {
        width = tile_width(vectors - done);
        for (int64_t j = 0; j < p->S_pad; j += T_ROWS)
            outer_product(&at, a + j, b + done * VL, (int)width, c + j * p->D_pad + done * VL,
                          p->D_pad);
    }
}

/* dx [D] = scale dy, through x / |x| where cosine. */
static void finish_gradient(const float *x, const float *dy, float scale, bool cosine, float *dx,
                            int64_t D)
{
    const float inverse = cosine ? inverse_length(x, D) : 1;
    double dot = 0;

    for (int64_t i = 0; cosine && i < D; i++)
        dot += (double)x[i] * inverse * dy[i];
    for (int64_t i = 0; i < D; i++)
        dx[i] = (float)(scale * inverse * (dy[i] - dot * x[i] * inverse));
}

static void back_head(const plan *p, const ss_attention_gradient_args *g, int64_t head,
                      const back_work *w)
{
    const ss_attention_args *a = p->a;
    const int64_t n = head / a->heads, column = head % a->heads * p->D;
    const int64_t of_q = n * p->T * p->stride + column, of_k = n * p->S * p->stride + column;
    const float *k = (const float *)a->k->data + of_k, *v = (const float *)a->v->data + of_k;
    plan plain = *p; /* products with gradients are of f32 */

    plain.pairs = false;
    plain.q_len = p->D;
    plain.l_len = p->S;
    plan turned = plain; /* for K beside its values: rows of width D, as pack_values reads */

    pack_keys(p, k, a->cosine, w->keys);
    pack_keys(&plain, v, false, w->values);
    for (int64_t j = 0; j < p->S; j++) {
        const float scale = a->cosine ? inverse_length(k + j * p->stride, p->D) : 1;

        for (int64_t i = 0; i < p->D; i++)
            w->k[j * p->D + i] = k[j * p->stride + i] * scale;
    }
    turned.stride = p->D;
    pack_values(&turned, w->k, w->keys_back);
    memset(w->dk, 0, (size_t)(p->S_pad * p->D_pad) * sizeof *w->dk);
    memset(w->dv, 0, (size_t)(p->S_pad * p->D_pad) * sizeof *w->dv);

    for (int64_t t = 0; t < p->T; t += STRIP) {
        const int64_t rows = min_i64(STRIP, p->T - t), at = of_q + t * p->stride;
        const float *q = (const float *)a->q->data + at;

        strip_rows(p, q, rows, a->scale, a->cosine, w->q, w->q_wide);
        strip_rows(p, (const float *)g->dy->data + at, rows, 1, false, w->dy, w->dy_wide);
        if (p->pairs)
            pack_queries(p, q, rows, w->q);
        for (int64_t j = 0; j < p->S_pad; j += KEYS) {
            strip_product(p->pairs, w->q, p->q_len, w->keys + j * p->q_len, KEYS, w->l + j,
                          p->l_step, p->q_len, false);
            strip_product(false, w->dy, p->D, w->values + j * p->D, KEYS, w->dl + j, p->l_step,
                          p->D, false);
        }
        for (int64_t r = 0; r < rows; r++)
            back_row(p, g->rounding, addends_of(p, head, t + r), w->l + r * p->l_step,
                     w->dl + r * p->l_step);
        for (int64_t r = rows; r < STRIP; r++) {
            memset(w->l + r * p->l_step, 0, (size_t)p->S_pad * sizeof *w->l);
            memset(w->dl + r * p->l_step, 0, (size_t)p->S_pad * sizeof *w->dl);
        }
        if (g->dv)
            add_transposed(p, w->l, w->dy_wide, w->dv);
        if (g->dk)
            add_transposed(p, w->dl, w->q_wide, w->dk); /* q holds the scale */
        if (!g->dq)
            continue;
        times_values(&plain, w->dl, w->keys_back, w->dq);
        for (int64_t r = 0; r < rows; r++)
            finish_gradient(q + r * p->stride, w->dq + r * p->D_pad, a->scale, a->cosine,
                            (float *)g->dq->data + at + r * p->stride, p->D);
    }
    for (int64_t j = 0; j < p->S; j++) {
        const int64_t at = of_k + j * p->stride;

        if (g->dk)
            finish_gradient(k + j * p->stride, w->dk + j * p->D_pad, 1, a->cosine,
                            (float *)g->dk->data + at, p->D);
        if (g->dv)
            memcpy((float *)g->dv->data + at, w->dv + j * p->D_pad, (size_t)p->D * sizeof(float));
    }
}

ss_code ISA(back_attention)(ss_device *d, const ss_attention_gradient_args *g, ss_err *e)
{
    const ss_attention_args *a = &g->forward;
    const int64_t heads = a->n * a->heads; /* of all samples */
    const plan p = plan_of(d, a);
    const int team = ss_cpu_team(d, heads * p.T * p.S);
    back_work none;
    const int64_t floats = back_work_at(&p, NULL, &none);
    const size_t bytes = (size_t)(team * floats) * sizeof(float);
    float *scratch = ss_pool_alloc(&d->pool, bytes);

    if (!scratch)
        return ss_fail(e, SS_NOMEM, "gradient of attention: %zu bytes of work space", bytes);
#pragma omp parallel num_threads(team)
    {
        back_work w;

        back_work_at(&p, scratch + omp_get_thread_num() * floats, &w);
#pragma omp for schedule(dynamic)
        for (int64_t h = 0; h < heads; h++)
            back_head(&p, g, h, &w);
    }
    ss_pool_free(&d->pool, scratch);
    return SS_OK;
}
