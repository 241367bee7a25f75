/* isa_winograd.c - convolutions 3 by 3 of stride 1, with 16 multiplications where 36 were
 *
 * Lavin & Gray, "Fast algorithms for convolutional neural networks" (CVPR 2016), F(2x2, 3x3): a
 * tile of 2 by 2 outputs y sees a patch of 4 by 4 inputs d, and with the weights g
 *
 *   y = A' m A      m = sum over input channels of (G g G') * (B' d B), element by element
 *
 *        1  0 -1  0          1   0   0                1  1  1  0
 *   B' = 0  1  1  0     G =  1/2 1/2 1/2         A' = 0  1 -1 -1
 *        0 -1  1  0          1/2 -1/2 1/2
 *        0  1  0 -1          0   0   1
 *
 * An output takes from those elements of m alone whose inputs it sees, and the factors are 1 and
 * 1/2, so errors of rounding are as local and as small as in the direct sum. Infinities are not the
 * same, as inf - inf is NaN; whoever calls sums up directly what comes out not finite.
 *
 * A unit of work is one block of tiles and one panel of output channels (isa_tile.h). A thread
 * keeps the transformed patches of its block; weights are transformed chunk by chunk, in the
 * cache, which costs less than reading 16/9 as many from memory. Units share no output, and their
 * sums run in one order: threads change no bit.
 */
#include "kernels/cpu/isa_tile.h"

#include <omp.h>

enum { ELEMENTS = 16, CENTRE = 3 };    /* of a patch; of the weights' taps in a row */
enum { W_STEP = CHUNK * 3 * VL + 32 }; /* not 2^n, which would share few lines of the cache */

typedef struct {
    const ss_conv *c;
    int64_t tiles_x, tiles_y, tiles; /* of a picture: across, down; of all */
    int64_t stride;                  /* from one row of `patches` to the next */
    float *patches;                  /* [ELEMENTS][BLOCK][stride] */
    float *weights;                  /* [ELEMENTS][CHUNK][3 VL] */
    float *sums;                     /* [ELEMENTS][BLOCK][3 VL] */
} plan;

static int64_t row_stride(int64_t in)
{
    return round_up(in, VL) + VL; /* rows of 2^n floats would share few lines of the cache */
}

size_t ISA(winograd_floats)(int64_t in)
{
    return (size_t)(ELEMENTS * (BLOCK * (row_stride(in) + 3 * VL) + W_STEP));
}

/* d B for one row d of a patch, or the like along its columns */
static inline void to_patch(vf d0, vf d1, vf d2, vf d3, vf out[4])
{
    out[0] = d0 - d2;
    out[1] = d1 + d2;
    out[2] = d2 - d1;
    out[3] = d1 - d3;
}

/* The channels [i, i + VL) of what pixel p sees, zeros from `in` on. */
static inline vf channels(const float *p, int64_t i, int64_t in)
{
    vf v = {0};

    if (i + VL <= in)
        return vf_load(p + i);
    memcpy(&v, p + i, (size_t)(in - i) * sizeof *p);
    return v;
}

/* B' d B of one tile, to rows that are `step` apart. */
static void transform_patch(const float *const pixel[ELEMENTS], int64_t in, float *to, int64_t step)
{
    for (int64_t i = 0; i < in; i += VL) {
        vf half[4][4], out[4];

        for (int x = 0; x < 4; x++) {
            to_patch(channels(pixel[x], i, in), channels(pixel[4 + x], i, in),
                     channels(pixel[8 + x], i, in), channels(pixel[12 + x], i, in), half[x]);
        }
        for (int y = 0; y < 4; y++) {
            to_patch(half[0][y], half[1][y], half[2][y], half[3][y], out);
            for (int x = 0; x < 4; x++)
                vf_store(to + (y * 4 + x) * step + i, out[x]);
        }
    }
}

/* The upper left output of a tile: picture, row and column. */
typedef struct {
    int64_t n, y, x;
} place;

static place place_of(const plan *p, int64_t tile)
{
    const int64_t row = tile / p->tiles_x;

    return (place){row / p->tiles_y, row % p->tiles_y * 2, tile % p->tiles_x * 2};
}

static void transform_patches(const plan *p, int64_t first, int64_t tiles)
{
    const ss_conv *c = p->c;

    for (int64_t r = 0; r < tiles; r++) {
        const place at = place_of(p, first + r);
        const int64_t y0 = at.y - c->top, x0 = at.x - c->left;
        const float *pixel[ELEMENTS];

        for (int k = 0; k < ELEMENTS; k++) {
            const int64_t y = y0 + k / 4, x = x0 + k % 4;
            const bool inside = y >= 0 && y < c->h && x >= 0 && x < c->w;

            pixel[k] = inside ? c->x + ((at.n * c->h + y) * c->w + x) * c->in : c->zeros;
        }
        transform_patch(pixel, c->in, p->patches + r * p->stride, BLOCK * p->stride);
    }
}

/* G g G' of n weights, of which g holds tap after tap, to rows that are W_STEP apart. n is a
 * multiple of VL. */
static __attribute__((noinline)) void transform_weights(const float *g, int64_t n, float *to)
{
    const vf half = vf_all(0.5F);

    for (int64_t i = 0; i < n; i += VL) {
        vf rows[4][CENTRE];

        for (int x = 0; x < CENTRE; x++) {
            const vf a = vf_load(g + x * n + i), b = vf_load(g + (3 + x) * n + i);
            const vf c = vf_load(g + (6 + x) * n + i);
            const vf outer = half * (a + c), middle = half * b;

            rows[0][x] = a;
            rows[1][x] = outer + middle;
            rows[2][x] = outer - middle;
            rows[3][x] = c;
        }
        for (int y = 0; y < 4; y++) {
            const vf outer = half * (rows[y][0] + rows[y][2]), middle = half * rows[y][1];
            float *out = to + y * 4 * W_STEP + i;

            vf_store(out, rows[y][0]);
            vf_store(out + W_STEP, outer + middle);
            vf_store(out + 2 * W_STEP, outer - middle);
            vf_store(out + 3 * W_STEP, rows[y][2]);
        }
    }
}

/* y of one tile and one vector of output channels. */
static inline void from_sums(const float *sums, int64_t step, vf bias, vf y[4])
{
    vf rows[2][4];

    for (int x = 0; x < 4; x++) {
        const vf m0 = vf_load(sums + x * step), m1 = vf_load(sums + (4 + x) * step);
        const vf m2 = vf_load(sums + (8 + x) * step), m3 = vf_load(sums + (12 + x) * step);

        rows[0][x] = m0 + m1 + m2;
        rows[1][x] = m1 - m2 - m3;
    }
    for (int v = 0; v < 2; v++) {
        y[2 * v] = rows[v][0] + rows[v][1] + rows[v][2] + bias;
        y[2 * v + 1] = rows[v][1] - rows[v][2] - rows[v][3] + bias;
    }
}

static inline void put(const vf *y, int64_t n, float *to)
{
    if (n == VL)
        vf_store(to, *y);
    else
        memcpy(to, y, (size_t)n * sizeof *to);
}

/* Writes `columns` output channels from o on of the block's tiles; false when one is not finite. */
static __attribute__((noinline)) bool write_outputs(const plan *p, int64_t first, int64_t tiles,
                                                    int64_t o, int64_t columns, int v)
{
    const ss_conv *c = p->c;
    const int64_t wide = v * VL;
    vi finite = (vi){0} - 1;

    for (int64_t r = 0; r < tiles; r++) {
        const place at = place_of(p, first + r);
        float *to = c->y + ((at.n * c->out_h + at.y) * c->out_w + at.x) * c->out + o;

        for (int64_t k = 0; k < columns; k += VL) {
            const int64_t n = min_i64(VL, columns - k);
            const vf bias = c->bias ? channels(c->bias + o, k, columns) : (vf){0};
            vf y[4];

            from_sums(p->sums + r * wide + k, BLOCK * wide, bias, y);
            for (int q = 0; q < 4; q++) {
                if (at.y + q / 2 >= c->out_h || at.x + q % 2 >= c->out_w)
                    continue;
                finite &= vf_is_finite(y[q]);
                put(&y[q], n, to + (q / 2 * c->out_w + q % 2) * c->out + k);
            }
        }
    }
    for (int i = 0; i < VL; i++)
        if (!finite[i])
            return false;
    return true;
}

static bool unit(const plan *p, int64_t first, int64_t tiles, int64_t panel)
{
    const ss_conv *c = p->c;
    const int64_t vectors = round_up(c->out, VL) / VL;
    int64_t before;
    const int v = panel_at(vectors, panel, &before);
    const int64_t o = before * VL, wide = v * VL;
    const float *w = c->weights + o * CENTRE * CENTRE * c->in, *at[BLOCK];

    memset(p->sums, 0, (size_t)(ELEMENTS * BLOCK * wide) * sizeof *p->sums);
    for (int64_t i = 0; i < c->in; i += CHUNK) {
        const int64_t n = min_i64(CHUNK, c->in - i);

        transform_weights(w + i * CENTRE * CENTRE * wide, n * wide, p->weights);
        for (int64_t k = 0; k < ELEMENTS; k++) {
            for (int64_t r = 0; r < BLOCK; r++)
                at[r] = p->patches + (k * BLOCK + r) * p->stride;
            block_product(at, tiles, 1, i, n, p->weights + k * W_STEP, v,
                          p->sums + k * BLOCK * wide);
        }
    }
    return write_outputs(p, first, tiles, o, min_i64(wide, c->out - o), v);
}

bool ISA(winograd)(const ss_conv *c, float *work, int team)
{
    const int64_t tiles_x = (c->out_w + 1) / 2, tiles_y = (c->out_h + 1) / 2;
    const int64_t tiles = c->n * tiles_x * tiles_y, panels = panel_count(round_up(c->out, VL) / VL);
    const int64_t units = (tiles + BLOCK - 1) / BLOCK * panels;
    bool finite = true;

#pragma omp parallel num_threads(team) reduction(&& : finite)
    {
        float *mine = work + (size_t)omp_get_thread_num() * ISA(winograd_floats)(c->in);
        const int64_t stride = row_stride(c->in);
        plan p = {c, tiles_x, tiles_y, tiles, stride, .patches = mine};
        int64_t have = -1;

        p.weights = p.patches + ELEMENTS * BLOCK * stride;
        p.sums = p.weights + ELEMENTS * W_STEP;
#pragma omp for schedule(static)
        for (int64_t k = 0; k < units; k++) {
            const int64_t first = k / panels * BLOCK, n = min_i64(BLOCK, tiles - first);

            if (first != have)
                transform_patches(&p, first, n);
            have = first;
            finite = unit(&p, first, n, k % panels) && finite;
        }
    }
    return finite;
}
