/* isa_attention_product.c - products of a strip of queries, and their operands in panels
 *
 *   keys    panel of 2 VL keys:     [S/2VL][D][2 VL], transposed; the last one padded with 0
 *   values  panel of 1 to 3 VL dims [D/..][S][.. VL]
 *
 * which the product reads from front to back.
 */
#include "kernels/cpu/isa_attention.h"
#include "kernels/cpu/isa_product.h"

/* Rows of the product's tile for 1, 2 and 3 vectors of columns: as many sums as registers
 * hold beside the operands, and enough to hide the latency of a multiply-add. */
#ifdef __AVX512F__
enum { ROWS_1 = 24, ROWS_2 = 12, ROWS_3 = 8 };
#else
enum { ROWS_1 = 12, ROWS_2 = 6, ROWS_3 = 4 };
#endif

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

void strip_product(bool pairs, const float *a, int64_t a_stride, const float *panel,
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

void ISA(pack_keys)(const plan *p, const float *k, bool cosine, float *to)
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

void ISA(pack_values)(const plan *p, const float *v, float *to)
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

void ISA(pack_queries)(const plan *p, const float *q, int64_t rows, float *to)
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

void ISA(times_values)(const plan *p, const float *l, const float *values, float *out)
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
