/* isa_tile.h - rows times a panel of weights, the heart of isa_conv.c and isa_winograd.c
 *
 *   to[r][k] = from[r][k] + sum over channels i, taps t of row(t, r)[i] w[i][t][k]     k < v VL
 *
 * Output channels go in panels of one to three vectors, input channels in chunks of CHUNK, and
 * rows, which are positions of the picture, in blocks of at most BLOCK, so that what a call of
 * block_product reads again and again stays in the nearest caches. A panel's weights for one chunk
 * are packed (isa_pack.h) for each block anew, which many rows are to share.
 */
#ifndef SS_KERNELS_CPU_ISA_TILE_H
#define SS_KERNELS_CPU_ISA_TILE_H

#include "kernels/cpu/isa_product.h"

enum { BLOCK = 384, CHUNK = VL > 8 ? 64 : 128 };

/* Rows of a tile for 1, 2 and 3 vectors: enough sums to hide the latency, and no more row pointers
 * than there are registers. BLOCK and WHOLE are multiples of each. */
#ifdef __AVX512F__
enum { R1 = 12, R2 = 12, R3 = 8 };
#else
enum { R1 = 8, R2 = 6, R3 = 4 };
#endif
enum { WHOLE = 24 };
enum { LINE = 16 }; /* floats of a cache line */

/* Rows that a table has beyond a block's, to be looked at in advance; from one tap to the next. */
enum { AHEAD = R3, AT_STEP = BLOCK + AHEAD };

/* A product of rows with a panel of v vectors. Row r sees at[t * AT_STEP + r] through tap t; the
 * table has AHEAD rows more. */
typedef struct {
    const float *const *at;
    int64_t taps, first, n; /* channels [first, first + n) of a row */
    const float *weights;   /* [n][taps][v VL] */
    const float *from;      /* sums before; from_step 0: of all rows the same */
    int64_t from_step;
    float *to; /* and after */
    int64_t to_step;
    /* Values that are packed next, fetched meanwhile: `rows` runs of `bytes`, `step` bytes from one
     * to the next. As rows of a matrix are pages apart, nothing else foresees them. NULL: nothing.
     */
    struct {
        const char *at;
        int64_t rows, bytes, step;
    } next;
} product;

/* A tile: ROWS rows from r on. What the next tile's rows see is fetched meanwhile, where a register
 * is left to say where. */
/* clang-format off */
#define EACH(i, n) _Pragma("GCC unroll 12") for (int i = 0; i < (n); i++)
#define TILE(name, ROWS, V, FETCH)                                                      \
    static __attribute__((noinline)) void name(const product *p, int64_t r)             \
    {                                                                                   \
        const float *from = p->from + r * p->from_step;                                 \
        const float *const *at = p->at + r;                                             \
        const int64_t n = p->n, step = p->taps * (V) * VL;                              \
        float *to = p->to + r * p->to_step;                                             \
        vf sum[ROWS][V];                                                                \
                                                                                        \
        EACH(k, ROWS)                                                                   \
            EACH(v, V)                                                                  \
                sum[k][v] = vf_load(from + k * p->from_step + v * VL);                  \
        for (int64_t t = 0; t < p->taps; t++, at += AT_STEP) {                          \
            const float *row[ROWS], *w = p->weights + t * (V) * VL;                     \
                                                                                        \
            EACH(k, ROWS)                                                               \
                row[k] = at[k] + p->first;                                              \
            for (int64_t i = 0; i < n; i += LINE) {                                     \
                const int64_t end = min_i64(i + LINE, n);                               \
                                                                                        \
                EACH(k, (FETCH) ? ROWS : 0)                                             \
                    __builtin_prefetch(at[ROWS + k] + p->first + i);                    \
                for (int64_t j = i; j < end; j++, w += step) {                          \
                    EACH(k, ROWS) {                                                     \
                        const vf x = vf_all(row[k][j]);                                 \
                                                                                        \
                        EACH(v, V)                                                      \
                            sum[k][v] = vf_madd(x, vf_load(w + v * VL), sum[k][v]);     \
                    }                                                                   \
                }                                                                       \
            }                                                                           \
        }                                                                               \
        EACH(k, ROWS)                                                                   \
            EACH(v, V)                                                                  \
                vf_store(to + k * p->to_step + v * VL, sum[k][v]);                      \
    }
/* clang-format on */
TILE(tile_1, R1, 1, false)
TILE(tile_2, R2, 2, false)
TILE(tile_3, R3, 3, true)

static inline int64_t tile_rows(int v)
{
    return v == 1 ? R1 : v == 2 ? R2 : R3;
}

/* Fetches part k of n of what is packed next. */
static inline void fetch_next(const product *p, int64_t k, int64_t n)
{
    const int64_t end = p->next.rows * (k + 1) / n;

    for (int64_t r = p->next.rows * k / n; r < end; r++)
        for (int64_t b = 0; b < p->next.bytes; b += 64)
            __builtin_prefetch(p->next.at + r * p->next.step + b);
}

/* Rows [first, rows), rounded up to whole tiles. */
static inline void block_product(const product *p, int v, int64_t first, int64_t rows)
{
    const int64_t step = tile_rows(v), tiles = (rows - first + step - 1) / step;

    for (int64_t r = first, k = 0; r < rows; r += step, k++) {
        if (p->next.at)
            fetch_next(p, k, tiles);
        switch (v) {
        case 1: tile_1(p, r); break;
        case 2: tile_2(p, r); break;
        default: tile_3(p, r);
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

/* A place in the work: a unit, which are numbered block by block, and a row of its block. */
typedef struct {
    int64_t unit, row;
} cut;

/* Where thread t's share begins: all get as many rows times vectors as whole tiles allow. A unit
 * that is cut is packed by both threads, which costs less than one of them waiting. */
static inline cut cut_at(int64_t rows, int64_t blocks, int64_t vectors, int t, int threads)
{
    int64_t left = rows * vectors * t / threads, unit = 0; /* of what comes before */

    for (int64_t b = 0; b < blocks; b++) {
        const int64_t n = block_at(rows, blocks, b + 1) - block_at(rows, blocks, b);

        for (int64_t v, done = 0; done < vectors; done += v, unit++) {
            v = tile_width(vectors - done);
            if (left < n * v)
                return (cut){unit, min_i64(n, (left / v + WHOLE / 2) / WHOLE * WHOLE)};
            left -= n * v;
        }
    }
    return (cut){unit, 0};
}

#endif
