/* isa_tile.h - rows times a panel of weights, the heart of isa_conv.c and isa_winograd.c
 *
 *   to[r][k] = from[r][k] + sum over taps t, channels i of row(t, r)[i] w[t][i][k]     k < v VL
 *
 * Output channels go in panels of one to three vectors, input channels in chunks of CHUNK, and
 * rows, which are positions of the picture, in blocks of at most BLOCK, so that what a call of
 * block_product reads again and again stays in the nearest caches. A panel's weights for one chunk
 * are packed (isa_pack.h) for each block anew, which many rows are to share.
 */
#ifndef SS_KERNELS_CPU_ISA_TILE_H
#define SS_KERNELS_CPU_ISA_TILE_H

#include "kernels/cpu/isa_product.h"

enum { BLOCK = 384, CHUNK = 128 };

/* Rows of a tile for 1, 2 and 3 vectors: enough sums to hide the latency, and no more row pointers
 * than there are registers. BLOCK and WHOLE are multiples of each. */
enum { R1 = 8, R2 = 6, R3 = 4, WHOLE = 24 };
enum { LINE = 16 }; /* floats of a cache line */

/* Rows that a table has beyond a block's, to be looked at in advance; from one tap to the next. */
enum { AHEAD = R3, AT_STEP = BLOCK + AHEAD };

/* Sums before and after a product: rows of v vectors that are so far apart. No step before: all
 * rows start from the same. */
typedef struct {
    const float *from;
    int64_t from_step;
    float *to;
    int64_t to_step;
} tile_sums;

/* One tile's ROWS rows over n channels of all taps; at[t * AT_STEP + r] is where row r sees tap t.
 * What the next tile's rows see is fetched meanwhile, where a register is left to say where. */
/* clang-format off */
#define EACH(i, n) _Pragma("GCC unroll 8") for (int i = 0; i < (n); i++)
#define TILE(name, ROWS, V, FETCH)                                                      \
    static __attribute__((noinline)) void name(const float *const *at, int64_t taps,    \
                                               int64_t first, int64_t n,                \
                                               const float *w, tile_sums s)                 \
    {                                                                                   \
        vf sum[ROWS][V];                                                                \
                                                                                        \
        EACH(r, ROWS)                                                                   \
            EACH(v, V)                                                                  \
                sum[r][v] = vf_load(s.from + r * s.from_step + v * VL);                 \
        for (int64_t t = 0; t < taps; t++) {                                            \
            const float *row[ROWS];                                                     \
                                                                                        \
            EACH(r, ROWS)                                                               \
                row[r] = at[t * AT_STEP + r] + first;                                     \
            for (int64_t i = 0; i < n; i += LINE) {                                     \
                const int64_t end = min_i64(i + LINE, n);                               \
                                                                                        \
                EACH(r, (FETCH) ? ROWS : 0)                                             \
                    __builtin_prefetch(at[t * AT_STEP + AHEAD + r] + first + i);       \
                for (int64_t j = i; j < end; j++, w += (V) * VL) {                      \
                    EACH(r, ROWS) {                                                     \
                        const vf x = vf_all(row[r][j]);                                 \
                                                                                        \
                        EACH(v, V)                                                      \
                            sum[r][v] = vf_madd(x, vf_load(w + v * VL), sum[r][v]);     \
                    }                                                                   \
                }                                                                       \
            }                                                                           \
        }                                                                               \
        EACH(r, ROWS)                                                                   \
            EACH(v, V)                                                                  \
                vf_store(s.to + r * s.to_step + v * VL, sum[r][v]);                     \
    }
/* clang-format on */
TILE(tile_1, R1, 1, false)
TILE(tile_2, R2, 2, false)
TILE(tile_3, R3, 3, true)

static inline int64_t tile_rows(int v)
{
    return v == 1 ? R1 : v == 2 ? R2 : R3;
}

static inline tile_sums tile_sums_at(tile_sums s, int64_t r)
{
    return (tile_sums){s.from + r * s.from_step, s.from_step, s.to + r * s.to_step, s.to_step};
}

/* All rows, rounded up to whole tiles, over n channels from `first` on. at has AHEAD more. */
static inline void block_product(const float *const *at, int64_t rows, int64_t taps, int64_t first,
                                 int64_t n, const float *w, int v, tile_sums s)
{
    for (int64_t r = 0; r < rows; r += tile_rows(v)) {
        switch (v) {
        case 1: tile_1(at + r, taps, first, n, w, tile_sums_at(s, r)); break;
        case 2: tile_2(at + r, taps, first, n, w, tile_sums_at(s, r)); break;
        default: tile_3(at + r, taps, first, n, w, tile_sums_at(s, r));
        }
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

/* Where block k of `blocks` begins, which share `rows` evenly and in whole tiles: none has more
 * than BLOCK, or another multiple of WHOLE, if so many would do for all. */
static inline int64_t block_at(int64_t rows, int64_t blocks, int64_t k)
{
    return min_i64(rows, round_up(rows, WHOLE) / WHOLE * k / blocks * WHOLE);
}

static inline int64_t panel_count(int64_t vectors)
{
    int64_t n = 0;

    for (int64_t done = 0; done < vectors; n++)
        done += tile_width(vectors - done);
    return n;
}

#endif
