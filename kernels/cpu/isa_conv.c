/* isa_conv.c - convolution of channels-last pictures, directly
 *
 *   y[n][v][u][o] = bias[o] + sum over ky, kx, i of
 *                   w[o][i][ky][kx] x[n][v s + ky - top][u s + kx - left][i]
 *
 * Output positions go in blocks. For each block a table tells, tap by tap, where in x the row of
 * channels lies that an output position sees, or a row of zeros where that is outside of the
 * picture, so the loops below know no borders. A unit of work is one block and one panel of output
 * channels (isa_tile.h); partial sums wait in a buffer in the nearest cache. Units share no output,
 * and their sums run in one order: threads change no bit.
 *
 * Why beside oneDNN: without AVX-512, it wants pictures in blocks of 8 channels, and what it takes
 * to put them there is a fifth of the time of a convolution with few channels; its kernels for
 * those are slower, too.
 */
#include "kernels/cpu/isa_tile.h"

/* Positions [from, to) of [0, n) whose source p stride + first lies in [0, size). */
static void visible(int64_t n, int64_t stride, int64_t first, int64_t size, int64_t *from,
                    int64_t *to)
{
    const int64_t low = first >= 0 ? 0 : (-first + stride - 1) / stride;
    const int64_t high = size <= first ? 0 : (size - first + stride - 1) / stride;

    *from = min_i64(low, n);
    *to = high < *from ? *from : min_i64(high, n);
}

/* Where `n` positions of one output row, from column u on, see tap kx of the input row, which is
 * NULL outside of the picture. */
static void look_along(const ss_conv *c, const float *row, int64_t u, int64_t n, int64_t kx,
                       const float **to)
{
    const int64_t x = u * c->stride - c->left + kx, step = c->stride * c->in;
    int64_t from = 0, end = 0, p = 0;

    if (row)
        visible(n, c->stride, x, c->w, &from, &end);
    for (; p < from; p++)
        to[p] = c->zeros;
    for (; p < end; p++)
        to[p] = row + x * c->in + p * step;
    for (; p < n; p++)
        to[p] = c->zeros;
}

/* Where the positions from `first` on see x: at[tap][BLOCK]; positions beyond the last see zeros.
 */
static void look_up(const ss_conv *c, int64_t first, const float *at[])
{
    const int64_t rows = c->n * c->out_h;
    int64_t u = first % c->out_w, row = first / c->out_w, n;

    for (int64_t p = 0; p < BLOCK; p += n, row++, u = 0) {
        const int64_t y = row % c->out_h * c->stride - c->top;
        const float *picture = c->x + row / c->out_h * c->h * c->w * c->in;

        n = min_i64(BLOCK - p, c->out_w - u);
        for (int64_t ky = 0; ky < c->kh; ky++) {
            const bool inside = row < rows && y + ky >= 0 && y + ky < c->h;

            for (int64_t kx = 0; kx < c->kw; kx++)
                look_along(c, inside ? picture + (y + ky) * c->w * c->in : NULL, u, n, kx,
                           at + (ky * c->kw + kx) * BLOCK + p);
        }
    }
}

/* Every row of a block is the bias, or 0. */
static void begin_sums(const float *bias, int64_t columns, int v, float *sums)
{
    float first[3 * VL] = {0};

    if (bias)
        memcpy(first, bias, (size_t)columns * sizeof *first);
    for (int64_t r = 0; r < BLOCK; r++)
        for (int k = 0; k < v; k++)
            vf_store(sums + (r * v + k) * VL, vf_load(first + k * VL));
}

static void end_sums(const float *sums, int64_t rows, int64_t columns, int v, float *y,
                     int64_t stride)
{
    for (int64_t r = 0; r < rows; r++, y += stride, sums += v * VL) {
        if (columns < v * VL) {
            memcpy(y, sums, (size_t)columns * sizeof *y);
            continue;
        }
        for (int k = 0; k < v; k++)
            vf_store(y + k * VL, vf_load(sums + k * VL));
    }
}

static void unit(const ss_conv *c, const float *const *at, int64_t first, int64_t panel)
{
    const int64_t taps = c->kh * c->kw, vectors = round_up(c->out, VL) / VL;
    const int64_t rows = min_i64(BLOCK, c->n * c->out_h * c->out_w - first);
    int64_t before;
    const int v = panel_at(vectors, panel, &before);
    const int64_t o = before * VL, wide = v * VL, columns = min_i64(wide, c->out - o);
    const float *w = c->weights + o * taps * c->in;
    float sums[BLOCK * 3 * VL] __attribute__((aligned(64)));

    begin_sums(c->bias ? c->bias + o : NULL, columns, v, sums);
    for (int64_t i = 0; i < c->in; i += CHUNK)
        block_product(at, rows, taps, i, min_i64(CHUNK, c->in - i), w + i * taps * wide, v, true,
                      sums);
    end_sums(sums, rows, columns, v, c->y + first * c->out + o, c->out);
}

void ISA(direct_conv)(const ss_conv *c, int team)
{
    const int64_t count = c->n * c->out_h * c->out_w;
    const int64_t panels = panel_count(round_up(c->out, VL) / VL);
    const int64_t units = (count + BLOCK - 1) / BLOCK * panels;

#pragma omp parallel num_threads(team)
    {
        const float *at[SS_DIRECT_TAPS * BLOCK];
        int64_t have = -1;

#pragma omp for schedule(static)
        for (int64_t k = 0; k < units; k++) {
            const int64_t first = k / panels * BLOCK;

            if (first != have)
                look_up(c, first, at);
            have = first;
            unit(c, at, first, k % panels);
        }
    }
}

size_t ISA(direct_floats)(int64_t out, int64_t in, int64_t taps)
{
    return (size_t)(round_up(out, VL) * in * taps);
}

typedef struct {
    const float *w; /* [O][I][taps], plain */
    int64_t out, in, taps;
    int64_t o_step, i_step; /* in w */
    bool turned;
} packing;

/* n input channels from `first` on, of `wide` outputs from o on, in the order in which w has them.
 */
static void pack_chunk(const packing *p, int64_t o, int64_t wide, int64_t first, int64_t n,
                       float *to)
{
    const int64_t some = min_i64(wide, p->out - o);
    const int64_t outer = p->turned ? n : some, inner = p->turned ? some : n;

    if (some < wide)
        memset(to, 0, (size_t)(p->taps * n * wide) * sizeof *to);
    for (int64_t a = 0; a < outer; a++) {
        for (int64_t b = 0; b < inner; b++) {
            const int64_t i = p->turned ? a : b, k = p->turned ? b : a;
            const float *from = p->w + (o + k) * p->o_step + (first + i) * p->i_step;

            for (int64_t t = 0; t < p->taps; t++)
                to[(t * n + i) * wide + k] = from[p->turned ? p->taps - 1 - t : t];
        }
    }
}

/* w [O][I][taps] plain; turned: inputs and outputs change roles, and taps are in reverse. */
void ISA(direct_pack)(const float *w, int64_t O, int64_t I, int64_t taps, bool turned, float *to,
                      int team)
{
    const packing p = {.w = w,
                       .out = turned ? I : O,
                       .in = turned ? O : I,
                       .taps = taps,
                       .o_step = turned ? taps : I * taps,
                       .i_step = turned ? I * taps : taps,
                       .turned = turned};
    const int64_t vectors = round_up(p.out, VL) / VL, panels = panel_count(vectors);

#pragma omp parallel for num_threads(team) schedule(dynamic)
    for (int64_t k = 0; k < panels; k++) {
        int64_t before;
        const int64_t wide = panel_at(vectors, k, &before) * VL, o = before * VL;

        for (int64_t i = 0; i < p.in; i += CHUNK)
            pack_chunk(&p, o, wide, i, min_i64(CHUNK, p.in - i), to + (o * p.in + i * wide) * taps);
    }
}
