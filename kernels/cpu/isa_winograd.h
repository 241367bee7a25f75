/* isa_winograd.h - patches of a picture, transformed: what isa_winograd.c and
 * isa_winograd_weights.c share
 *
 * A tile is 2 by 2 output positions. The patch that it sees through 3 by 3 weights is 4 by 4.
 */
#ifndef SS_KERNELS_CPU_ISA_WINOGRAD_H
#define SS_KERNELS_CPU_ISA_WINOGRAD_H

#include "kernels/cpu/isa_tile.h"

enum { ELEMENTS = 16, CENTRE = 3 }; /* of a patch; of the weights' taps in a row */

/* The tiles of a convolution, picture by picture and row by row. */
typedef struct {
    int64_t across, down, count; /* of one picture; of all */
} tiling;

/* The upper left output of a tile: picture, row and column. */
typedef struct {
    int64_t n, y, x;
} place;

static inline tiling tiling_of(const ss_conv *c)
{
    tiling t = {.across = (c->out_w + 1) / 2, .down = (c->out_h + 1) / 2};

    t.count = c->n * t.across * t.down;
    return t;
}

static inline place place_of(const tiling *t, int64_t tile)
{
    const int64_t row = tile / t->across;

    return (place){row / t->down, row % t->down * 2, tile % t->across * 2};
}

/* Floats from one tile's channels to the next one's; rows of 2^n would share few lines of the
 * cache.
 */
static inline int64_t row_stride(int64_t channels)
{
    return round_up(channels, VL) + VL;
}

/* The values [i, i + VL) of p, zeros from n on. */
static inline vf load_row(const float *p, int64_t i, int64_t n)
{
    vf v = {0};

    if (i + VL <= n)
        return vf_load(p + i);
    memcpy(&v, p + i, (size_t)(n - i) * sizeof *p);
    return v;
}

/* d B for one row d of a patch, or the like along its columns */
static inline void transform_row(vf d0, vf d1, vf d2, vf d3, vf out[4])
{
    out[0] = d0 - d2;
    out[1] = d1 + d2;
    out[2] = d2 - d1;
    out[3] = d1 - d3;
}

static inline place next_place(const tiling *t, place p)
{
    if ((p.x += 2) < 2 * t->across)
        return p;
    p.x = 0;
    if ((p.y += 2) < 2 * t->down)
        return p;
    return (place){p.n + 1, 0, 0};
}

/* Where c->x has the pixels of a tile's patch; c->zeros for those outside of the picture. */
static inline void look_at(const ss_conv *c, place tile, const float *pixel[ELEMENTS])
{
    const int64_t y0 = tile.y - c->top, x0 = tile.x - c->left;
    const float *first = c->x + ((tile.n * c->h + y0) * c->w + x0) * c->in;
    const bool inside = y0 >= 0 && y0 + 4 <= c->h && x0 >= 0 && x0 + 4 <= c->w;

    for (int k = 0; k < ELEMENTS; k++) {
        const int64_t y = y0 + k / 4, x = x0 + k % 4;
        const bool seen = inside || (y >= 0 && y < c->h && x >= 0 && x < c->w);

        pixel[k] = seen ? first + (k / 4 * c->w + k % 4) * c->in : c->zeros;
    }
}

/* B' d B of VL channels from i on, to rows that are `step` apart. */
static inline void transform_vector(const float *const pixel[ELEMENTS], int64_t i, int64_t in,
                                    float *to, int64_t step)
{
    vf half[4][4], out[4];

    for (int x = 0; x < 4; x++)
        transform_row(load_row(pixel[x], i, in), load_row(pixel[4 + x], i, in),
                      load_row(pixel[8 + x], i, in), load_row(pixel[12 + x], i, in), half[x]);
    for (int y = 0; y < 4; y++) {
        transform_row(half[0][y], half[1][y], half[2][y], half[3][y], out);
        for (int x = 0; x < 4; x++)
            vf_store(to + (y * 4 + x) * step + i, out[x]);
    }
}

/* Does so for all channels of a tile's patch. */
static inline void transform_patch(const ss_conv *c, place tile, float *to, int64_t step)
{
    const float *pixel[ELEMENTS];
    int64_t i = 0;

    look_at(c, tile, pixel);
    for (; i + VL <= c->in; i += VL)
        transform_vector(pixel, i, i + VL, to, step);
    if (i < c->in)
        transform_vector(pixel, i, c->in, to, step);
}

#endif
