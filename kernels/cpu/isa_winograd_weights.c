/* isa_winograd_weights.c - the gradient of 3 by 3 weights of stride 1, Winograd's way
 *
 * The derivative of isa_winograd.c's sum: with the patches d of all tiles and the outputs'
 * gradients dy, 2 by 2 of a tile,
 *
 *   dg = G' dm G      dm = sum over tiles of (A dy A') * (B' d B), element by element
 *
 * so that 16 outer products of a tile's channels take the place of 36. Tiles go in blocks whose
 * transforms stay in the shared cache: threads make them together, then share the sums by element
 * and input channels, so every sum runs over the tiles in the same order whatever the threads'
 * number.
 */
#include "kernels/cpu/isa_winograd.h"

enum { BLOCK_FLOATS = 1 << 18, LEAST_TILES = 64 };

typedef struct {
    const ss_conv *c;
    tiling tiles;
    int64_t block;         /* tiles of a block */
    int64_t in, out;       /* channels, in whole vectors */
    int64_t x_row, dy_row; /* from one tile to the next */
    const float *dy;       /* [n][out_h][out_w][c->out] */
    float *x_part;         /* [ELEMENTS][block][x_row]: patches */
    float *dy_part;        /* [ELEMENTS][block][dy_row] */
    float *sums;           /* [ELEMENTS][out][in] */
} plan;

static plan plan_of(const ss_conv *c)
{
    plan p = {.c = c,
              .tiles = tiling_of(c),
              .in = round_up(c->in, VL),
              .out = round_up(c->out, VL),
              .x_row = row_stride(c->in),
              .dy_row = row_stride(c->out)};
    const int64_t most = BLOCK_FLOATS / (ELEMENTS * (p.x_row + p.dy_row));

    p.block = min_i64(p.tiles.count, most < LEAST_TILES ? LEAST_TILES : most);
    return p;
}

size_t ISA(winograd_weights_floats)(const ss_conv *c)
{
    const plan p = plan_of(c);

    return (size_t)(ELEMENTS * (p.block * (p.x_row + p.dy_row) + p.out * p.in));
}

/* A dy for one column dy, or the like along rows */
static inline void spread(vf d0, vf d1, vf out[4])
{
    out[0] = d0;
    out[1] = d0 + d1;
    out[2] = d0 - d1;
    out[3] = -d1;
}

/* A dy A' of a tile. */
static void transform_outputs(const plan *p, place tile, float *to)
{
    const ss_conv *c = p->c;
    const float *from = p->dy + ((tile.n * c->out_h + tile.y) * c->out_w + tile.x) * c->out;
    const bool below = tile.y + 1 < c->out_h, right = tile.x + 1 < c->out_w;
    const vf none = {0};

    for (int64_t o = 0; o < c->out; o += VL) {
        const float *next = from + c->out_w * c->out;
        vf rows[2][4], out[4];

        spread(load_row(from, o, c->out), below ? load_row(next, o, c->out) : none, rows[0]);
        spread(right ? load_row(from + c->out, o, c->out) : none,
               right && below ? load_row(next + c->out, o, c->out) : none, rows[1]);
        for (int y = 0; y < 4; y++) {
            spread(rows[0][y], rows[1][y], out);
            for (int x = 0; x < 4; x++)
                vf_store(to + (y * 4 + x) * p->block * p->dy_row + o, out[x]);
        }
    }
}

/* Adds a block's tiles to one element's sums of one panel of inputs, few enough of them at a time
 * for the nearest cache. */
static void add_block(const plan *p, int64_t element, int64_t panel, int64_t tiles)
{
    enum { STEP = 64 };
    int64_t before;
    const int v = panel_at(p->in / VL, panel, &before);
    const float *x = p->x_part + element * p->block * p->x_row + before * VL;
    const float *dy = p->dy_part + element * p->block * p->dy_row;
    float *sums = p->sums + element * p->out * p->in + before * VL;

    for (int64_t r = 0; r < tiles; r += STEP) {
        const positions at = {1, 1, min_i64(STEP, tiles - r), .a_column = p->dy_row,
                              .b_column = p->x_row};

        for (int64_t o = 0; o < p->out; o += T_ROWS)
            outer_product(&at, dy + r * p->dy_row + o, x + r * p->x_row, v, sums + o * p->in,
                          p->in);
    }
}

/* dg of one output and input channel; m [4][4] are floats `step` apart. */
static bool gather(const float *m, int64_t step, float *dg)
{
    float rows[CENTRE][4];
    bool finite = true;

    for (int x = 0; x < 4; x++) {
        const float m1 = m[(4 + x) * step], m2 = m[(8 + x) * step];

        rows[0][x] = m[x * step] + 0.5F * (m1 + m2);
        rows[1][x] = 0.5F * (m1 - m2);
        rows[2][x] = 0.5F * (m1 + m2) + m[(12 + x) * step];
    }
    for (int y = 0; y < CENTRE; y++, dg += CENTRE) {
        const float sum = 0.5F * (rows[y][1] + rows[y][2]);

        dg[0] = rows[y][0] + sum;
        dg[1] = 0.5F * (rows[y][1] - rows[y][2]);
        dg[2] = sum + rows[y][3];
        finite = finite && is_finite(dg[0]) && is_finite(dg[1]) && is_finite(dg[2]);
    }
    return finite;
}

bool ISA(winograd_weights)(const ss_conv *c, const float *dy, float *dw, float *work, int team)
{
    plan p = plan_of(c);
    const int64_t panels = panel_count(p.in / VL), n_sums = ELEMENTS * p.out * p.in;
    bool finite = true;

    p.dy = dy;
    p.sums = work;
    p.x_part = p.sums + n_sums;
    p.dy_part = p.x_part + ELEMENTS * p.block * p.x_row;
    memset(p.sums, 0, (size_t)n_sums * sizeof *p.sums);
#pragma omp parallel num_threads(team) reduction(&& : finite)
    {
        for (int64_t first = 0; first < p.tiles.count; first += p.block) {
            const int64_t n = min_i64(p.block, p.tiles.count - first);

#pragma omp for schedule(static)
            for (int64_t r = 0; r < n; r++) {
                const place tile = place_of(&p.tiles, first + r);

                transform_patch(c, tile, p.x_part + r * p.x_row, p.block * p.x_row);
                transform_outputs(&p, tile, p.dy_part + r * p.dy_row);
            }
#pragma omp for schedule(static)
            for (int64_t u = 0; u < ELEMENTS * panels; u++)
                add_block(&p, u / panels, u % panels, n);
        }
#pragma omp for schedule(static)
        for (int64_t k = 0; k < c->out * c->in; k++) {
            const float *m = p.sums + k / c->in * p.in + k % c->in;

            finite = gather(m, p.out * p.in, dw + k * CENTRE * CENTRE) && finite;
        }
    }
    return finite;
}
