/* isa_product.h - sums of outer products, the heart of gradients of weights and of keys
 *
 *   c[r][i] += sum over j, k of a[j, k][r] b[j, k][i]      r < T_ROWS, i < v VL
 *
 * where a and b are read along memory: r and i are neighbours, positions (j, k) have strides.
 * The sum of one call is made in registers before it is added to c, so an error of rounding
 * grows with the length of a call and the number of calls, not with their product.
 */
#ifndef SS_KERNELS_CPU_ISA_PRODUCT_H
#define SS_KERNELS_CPU_ISA_PRODUCT_H

#include "kernels/cpu/isa_vector.h"

/* Rows of a tile: with three vectors of columns as many sums as registers hold. */
#ifdef __AVX512F__
enum { T_ROWS = 8 };
#else
enum { T_ROWS = 4 };
#endif

/* Positions: `samples` times `rows` times `columns`, with their strides in a and b. */
typedef struct {
    int64_t samples, rows, columns;
    int64_t a_sample, a_row, a_column;
    int64_t b_sample, b_row, b_column;
} positions;

/* clang-format off */
#define T_EACH(i, n) _Pragma("GCC unroll 24") for (int i = 0; i < (n); i++)
#define T_TILE(name, V)                                                              \
    static void name(const positions *p, const float *a, const float *b, float *c,  \
                     int64_t c_stride)                                               \
    {                                                                                \
        vf sum[T_ROWS][V];                                                           \
                                                                                     \
        T_EACH(r, T_ROWS)                                                            \
            T_EACH(v, V)                                                             \
                sum[r][v] = (vf){0};                                                 \
        for (int64_t s = 0; s < p->samples; s++) {                                   \
            for (int64_t j = 0; j < p->rows; j++) {                                  \
                const float *ak = a + s * p->a_sample + j * p->a_row;                \
                const float *bk = b + s * p->b_sample + j * p->b_row;                \
                                                                                     \
                for (int64_t k = 0; k < p->columns; k++) {                           \
                    T_EACH(r, T_ROWS) {                                              \
                        const vf ar = vf_all(ak[r]);                                 \
                                                                                     \
                        T_EACH(v, V)                                                 \
                            sum[r][v] = vf_madd(ar, vf_load(bk + v * VL), sum[r][v]);\
                    }                                                                \
                    ak += p->a_column;                                               \
                    bk += p->b_column;                                               \
                }                                                                    \
            }                                                                        \
        }                                                                            \
        T_EACH(r, T_ROWS)                                                            \
            T_EACH(v, V)                                                             \
                vf_store(c + r * c_stride + v * VL,                                  \
                         vf_load(c + r * c_stride + v * VL) + sum[r][v]);            \
    }
/* clang-format on */
T_TILE(outer_1, 1)
T_TILE(outer_2, 2)
T_TILE(outer_3, 3)

/* The tile of v vectors, 1 to 3. */
static inline void outer_product(const positions *p, const float *a, const float *b, int v,
                                 float *c, int64_t c_stride)
{
    switch (v) {
    case 1: outer_1(p, a, b, c, c_stride); break;
    case 2: outer_2(p, a, b, c, c_stride); break;
    default: outer_3(p, a, b, c, c_stride);
    }
}

/* Vectors of the next tile when `vectors` remain: 3s and 2s, 1 only alone. */
static inline int tile_width(int64_t vectors)
{
    return vectors == 4 ? 2 : vectors >= 3 ? 3 : (int)vectors;
}

#endif
