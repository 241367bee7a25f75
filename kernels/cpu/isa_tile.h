/* isa_tile.h - rows times a panel of weights, the heart of isa_conv.c and isa_winograd.c
 *
 *   out[r][k] = (add ? out[r][k] : 0) + sum over taps t, channels i of row(t, r)[i] w[t][i][k]
 *
 * for k < v VL.
 *
 * Output channels go in panels of one to three vectors, input channels in chunks of CHUNK, and
 * rows, which are positions of the picture, in blocks of at most BLOCK, so that what a call of
 * block_product reads again and again stays in the nearest caches. Weights are packed as
 *
 *   weights   [panel][chunk][taps][channel of the chunk][v VL]      zeros beyond the last output
 */
#ifndef SS_KERNELS_CPU_ISA_TILE_H
#define SS_KERNELS_CPU_ISA_TILE_H

#include "kernels/cpu/isa_product.h"

enum { BLOCK = SS_TILE_ROWS, CHUNK = 128 };

/* Rows of a tile for 1, 2 and 3 vectors: enough sums to hide the latency, and no more row pointers
 * than there are registers. BLOCK is a multiple of each. */
enum { R1 = 8, R2 = 6, R3 = 4 };

/* One tile's ROWS rows over n channels of all taps; at[t * BLOCK + r] is where row r sees tap t. */
/* clang-format off */
#define EACH(i, n) _Pragma("GCC unroll 8") for (int i = 0; i < (n); i++)
#define TILE(name, ROWS, V)                                                             \
    static __attribute__((noinline)) void name(const float *const *at, int64_t taps,    \
                     int64_t first, int64_t n, const float *w, bool add, float *out)    \
    {                                                                                   \
        vf sum[ROWS][V];                                                                \
                                                                                        \
        EACH(r, ROWS)                                                                   \
            EACH(v, V)                                                                  \
                sum[r][v] = add ? vf_load(out + (r * (V) + v) * VL) : (vf){0};          \
        for (int64_t t = 0; t < taps; t++) {                                            \
            const float *row[ROWS];                                                     \
                                                                                        \
            EACH(r, ROWS)                                                               \
                row[r] = at[t * BLOCK + r] + first;                                     \
            for (int64_t i = 0; i < n; i++, w += (V) * VL) {                            \
                EACH(r, ROWS) {                                                         \
                    const vf x = vf_all(row[r][i]);                                     \
                                                                                        \
                    EACH(v, V)                                                          \
                        sum[r][v] = vf_madd(x, vf_load(w + v * VL), sum[r][v]);         \
                }                                                                       \
            }                                                                           \
        }                                                                               \
        EACH(r, ROWS)                                                                   \
            EACH(v, V)                                                                  \
                vf_store(out + (r * (V) + v) * VL, sum[r][v]);                          \
    }
/* clang-format on */
TILE(tile_1, R1, 1)
TILE(tile_2, R2, 2)
TILE(tile_3, R3, 3)

/* All rows, rounded up to whole tiles, over n channels from `first` on. */
static inline void block_product(const float *const *at, int64_t rows, int64_t taps, int64_t first,
                                 int64_t n, const float *w, int v, bool add, float *out)
{
    switch (v) {
    case 1:
        for (int64_t r = 0; r < rows; r += R1)
            tile_1(at + r, taps, first, n, w, add, out + r * VL);
        break;
    case 2:
        for (int64_t r = 0; r < rows; r += R2)
            tile_2(at + r, taps, first, n, w, add, out + r * 2 * VL);
        break;
    default:
        for (int64_t r = 0; r < rows; r += R3)
            tile_3(at + r, taps, first, n, w, add, out + r * 3 * VL);
    }
}

/* Vectors that come before panel p, and those in it. */
static inline int panel_at(int64_t vectors, int64_t p, int64_t *before)
{
    int v = tile_width(vectors);

    for (*before = 0; p > 0; p--) {
        *before += v;
        v = tile_width(vectors - *before);
    }
    return v;
}

static inline int64_t panel_count(int64_t vectors)
{
    int64_t n = 0;

    for (int64_t done = 0; done < vectors; n++)
        done += tile_width(vectors - done);
    return n;
}

#endif
