/* isa_conv.c - convolution of channels-last pictures, directly
 *
 *   y[n][v][u][o] = bias[o] + sum over ky, kx, i of
 *                   w[o][i][ky][kx] x[n][v s + ky - top][u s + kx - left][i]
 *
 * Output positions go in blocks. For each block a table points, tap by tap, to the row of channels
 * in x that an output position sees, or to a row of zeros outside of the
 * picture, so the loops below know no borders. A unit of work is one block and one panel of output
 * channels (isa_tile.h); partial sums wait in a buffer in the nearest cache. Units share no output,
 * and their sums run in one order: threads change no bit.
 *
 * Why beside oneDNN: it wants a packed copy of all weights (isa_pack.h). And without AVX-512 it
 * wants pictures in blocks of 8 channels: what it takes to put them there is a fifth of the time of
 * a convolution with few channels, and its kernels for those are slower, too.
 */
#include "kernels/cpu/isa_pack.h"
#include "kernels/cpu/isa_tile.h"

#include <omp.h>

/* Where `n` positions of one output row, from column u on, see tap kx of the input row, which is
 * NULL outside of the picture. */
static void look_along(const ss_conv *c, const float *row, int64_t u, int64_t n, int64_t kx,
                       const float **to)
{
    const int64_t x = u * c->stride - c->left + kx, step = c->stride * c->in;
    int64_t from = 0, end = row ? n : 0, p = 0;

    keep_inside(c->stride, x, c->w, &from, &end);
    for (; p < from && p < n; p++)
        to[p] = c->zeros;
    for (; p < end; p++)
        to[p] = row + x * c->in + p * step;
    for (; p < n; p++)
        to[p] = c->zeros;
}

/* Where `count` positions from `first` on see x: at[tap][AT_STEP]; positions beyond the last see
 * zeros. */
static void look_up(const ss_conv *c, int64_t first, int64_t count, const float *at[])
{
    const int64_t rows = c->n * c->out_h;
    int64_t u = first % c->out_w, row = first / c->out_w, n;

    for (int64_t p = 0; p < count; p += n, row++, u = 0) {
        const int64_t y = row % c->out_h * c->stride - c->top;
        const float *picture = c->x + row / c->out_h * c->h * c->w * c->in;

        n = min_i64(count - p, c->out_w - u);
        for (int64_t ky = 0; ky < c->kh; ky++) {
            const bool inside = row < rows && y + ky >= 0 && y + ky < c->h;

            for (int64_t kx = 0; kx < c->kw; kx++)
                look_along(c, inside ? picture + (y + ky) * c->w * c->in : NULL, u, n, kx,
                           at + (ky * c->kw + kx) * AT_STEP + p);
        }
    }
}

/* Says what follows the weights of p: the same outputs of the next chunk, or of the first chunk the
 * next outputs. */
static void look_ahead(const ss_conv *c, product *p, int64_t o, int64_t wide)
{
    const int64_t size = (int64_t)ss_dtype_size(c->weights.dtype);
    const bool last = p->first + p->n >= c->in;
    const int64_t row = last ? o + wide : o, column = last ? 0 : p->first + p->n;

    p->next.at = NULL;
    if (p->taps > 1 || c->weights.turned || row >= c->out)
        return;
    p->next.at = (const char *)c->weights.values + (row * c->in + column) * size;
    p->next.rows = min_i64(wide, c->out - row);
    p->next.bytes = min_i64(CHUNK, c->in - column) * size;
    p->next.step = c->in * size;
}

/* Panel `panel` of the block's positions, which begin at y. The sums of whole tiles go straight to
 * y after the last chunk. */
static void unit(const ss_conv *c, const float *const *at, int64_t rows, int64_t panel,
                 float *weights, float *y)
{
    const int64_t taps = c->kh * c->kw, vectors = round_up(c->out, VL) / VL;
    int64_t before;
    const int v = panel_at(vectors, panel, &before);
    const int64_t o = before * VL, wide = v * VL, columns = min_i64(wide, c->out - o);
    const int64_t straight = columns == wide ? rows / tile_rows(v) * tile_rows(v) : 0;
    float bias[3 * VL] = {0}, partial[BLOCK * 3 * VL] __attribute__((aligned(64)));
    product p = {.at = at, .taps = taps, .weights = weights, .from = bias};

    if (c->bias)
        memcpy(bias, c->bias + o, (size_t)columns * sizeof *bias);
    for (p.first = 0; p.first < c->in; p.first += p.n, p.from = partial, p.from_step = wide) {
        const bool last = p.first + CHUNK >= c->in;

        p.n = min_i64(CHUNK, c->in - p.first);
        look_ahead(c, &p, o, wide);
        pack_weights(c, o, wide, p.first, p.n, weights);
        p.to = y + o;
        p.to_step = c->out;
        if (last)
            block_product(&p, v, 0, straight);
        p.to = partial;
        p.to_step = wide;
        block_product(&p, v, last ? straight : 0, rows);
    }
    for (int64_t r = straight; r < rows; r++)
        memcpy(y + r * c->out + o, partial + r * wide, (size_t)columns * sizeof *y);
}

size_t ISA(direct_floats)(int64_t taps)
{
    return (size_t)(taps * CHUNK * 3 * VL);
}

void ISA(direct_conv)(const ss_conv *c, float *work, int team)
{
    const int64_t count = c->n * c->out_h * c->out_w, blocks = (count + BLOCK - 1) / BLOCK;
    const int64_t vectors = round_up(c->out, VL) / VL, panels = panel_count(vectors);

#pragma omp parallel num_threads(team)
    {
        const float *at[SS_DIRECT_TAPS * AT_STEP];
        const int t = omp_get_thread_num(), threads = omp_get_num_threads();
        const cut begin = cut_at(count, blocks, vectors, t, threads);
        const cut end = cut_at(count, blocks, vectors, t + 1, threads);
        float *weights = work + (size_t)t * ISA(direct_floats)(c->kh * c->kw);
        int64_t have = -1;

        for (int64_t k = begin.unit; k < end.unit + (end.row > 0); k++) {
            const int64_t first = block_at(count, blocks, k / panels);
            const int64_t rows = block_at(count, blocks, k / panels + 1) - first;
            const int64_t from = k == begin.unit ? begin.row : 0;
            const int64_t to = k == end.unit ? end.row : rows;

            if (from >= to)
                continue;
            if (first != have)
                look_up(c, first, round_up(rows, WHOLE) + AHEAD, at);
            have = first;
            unit(c, at + from, to - from, k % panels, weights, c->y + (first + from) * c->out);
        }
    }
}
