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
 * 1/2, so errors of rounding are as local as in the direct sum: smaller where inputs are alike, up
 * to some four times larger where one stands far out. Infinities are not the same, as inf - inf is
 * NaN; whoever calls sums up directly what comes out not finite.
 *
 * A unit of work is one block of tiles and one panel of output channels (isa_tile.h). A thread
 * keeps the transformed patches of its block; weights are packed and transformed chunk by chunk, in
 * the cache, which costs less than reading 16/9 as many from memory. Units share no output, and
 * their sums run in one order: threads change no bit.
 */
#include "kernels/cpu/isa_winograd.h"

#include "kernels/cpu/isa_pack.h"

#include <omp.h>

enum { W_STEP = CHUNK * 3 * VL + 32 }; /* not 2^n, which would share few lines of the cache */
enum { SLICE = 16 };                   /* inputs packed at a time */
enum { LEAST_TILES = 96, PATCH_FLOATS = 1 << 17 }; /* of a block */

typedef struct {
    const ss_conv *c;
    tiling tiles;
    int64_t stride;        /* from one row of `patches` to the next */
    int64_t blocks, block; /* their number; tiles of the largest one */
    int64_t sums_step;     /* from one element's sums to the next ones */
    float *patches;        /* [ELEMENTS][block][stride] */
    float *weights;        /* [ELEMENTS][W_STEP] */
    float *slice;          /* [SLICE][CENTRE CENTRE][3 VL] */
    float *sums;           /* [ELEMENTS][sums_step], of which [block][vectors] */
} plan;

/* A block has tiles enough to share the work on its weights, and no more than the second cache has
 * room for. */
static plan plan_of(const ss_conv *c)
{
    plan p = {.c = c, .tiles = tiling_of(c), .stride = row_stride(c->in)};
    const int64_t most = min_i64(BLOCK, PATCH_FLOATS / (ELEMENTS * p.stride) / WHOLE * WHOLE);
    const int64_t all = round_up(p.tiles.count, WHOLE);

    p.block = min_i64(all, most < LEAST_TILES ? LEAST_TILES : most);
    p.blocks = (all + p.block - 1) / p.block;
    p.sums_step = p.block * 3 * VL + LINE; /* not 2^n */
    return p;
}

size_t ISA(winograd_floats)(const ss_conv *c)
{
    const plan p = plan_of(c);

    return (size_t)(ELEMENTS * (p.block * p.stride + p.sums_step + W_STEP) +
                    CENTRE * CENTRE * SLICE * 3 * VL);
}

static void transform_patches(const plan *p, int64_t first, int64_t tiles)
{
    place at = place_of(&p->tiles, first);

    for (int64_t r = 0; r < tiles; r++, at = next_place(&p->tiles, at))
        transform_patch(p->c, at, p->patches + r * p->stride, p->block * p->stride);
}

/* G g G' of one input and n outputs, of which g holds tap after tap, to rows that are W_STEP apart.
 * n is a multiple of VL. */
static void transform_weights(const float *g, int64_t n, float *to)
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
static bool write_outputs(const plan *p, int64_t first, int64_t tiles, int64_t o, int64_t columns,
                          int v)
{
    const ss_conv *c = p->c;
    const int64_t wide = v * VL;
    vi finite = (vi){0} - 1;

    place at = place_of(&p->tiles, first);

    for (int64_t r = 0; r < tiles; r++, at = next_place(&p->tiles, at)) {
        float *to = c->y + ((at.n * c->out_h + at.y) * c->out_w + at.x) * c->out + o;

        for (int64_t k = 0; k < columns; k += VL) {
            const int64_t n = min_i64(VL, columns - k);
            const vf bias = c->bias ? load_row(c->bias + o, k, columns) : (vf){0};
            vf y[4];

            from_sums(p->sums + r * wide + k, p->sums_step, bias, y);
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

/* Panel `panel` of a block's tiles [from, to); the block begins with tile `first`. */
static bool unit(const plan *p, int64_t first, int64_t from, int64_t to, int64_t panel)
{
    const ss_conv *c = p->c;
    const int64_t vectors = round_up(c->out, VL) / VL;
    int64_t before;
    const int v = panel_at(vectors, panel, &before);
    const int64_t o = before * VL, wide = v * VL;
    const int64_t tiles = to - from;
    const int64_t rows = round_up(tiles, WHOLE) + AHEAD; /* weights follow the patches */
    const float zeros[3 * VL] = {0}, *at[AT_STEP];

    for (int64_t i = 0; i < c->in; i += CHUNK) {
        const int64_t n = min_i64(CHUNK, c->in - i);

        for (int64_t s = 0; s < n; s += SLICE) {
            const int64_t some = min_i64(SLICE, n - s);

            pack_weights(c, o, wide, i + s, some, p->slice);
            for (int64_t k = 0; k < some; k++)
                transform_weights(p->slice + k * CENTRE * CENTRE * wide, wide,
                                  p->weights + (s + k) * wide);
        }
        for (int64_t k = 0; k < ELEMENTS; k++) {
            const float *row = p->patches + (k * p->block + from) * p->stride;
            float *sums = p->sums + k * p->sums_step;
            const product q = {.at = at,
                               .taps = 1,
                               .first = i,
                               .n = n,
                               .weights = p->weights + k * W_STEP,
                               .from = i > 0 ? sums : zeros,
                               .from_step = i > 0 ? wide : 0,
                               .to = sums,
                               .to_step = wide};

            for (int64_t r = 0; r < rows; r++, row += p->stride)
                at[r] = row;
            block_product(&q, v, 0, tiles);
        }
    }
    return write_outputs(p, first + from, tiles, o, min_i64(wide, c->out - o), v);
}

/* The plan with a thread's share of the work space. */
static plan with_work(plan p, float *work)
{
    p.patches = work;
    p.weights = p.patches + ELEMENTS * p.block * p.stride;
    p.slice = p.weights + ELEMENTS * W_STEP;
    p.sums = p.slice + CENTRE * CENTRE * SLICE * 3 * VL;
    return p;
}

bool ISA(winograd)(const ss_conv *c, float *work, int team)
{
    const plan shared = plan_of(c);
    const int64_t vectors = round_up(c->out, VL) / VL, panels = panel_count(vectors);
    bool finite = true;

#pragma omp parallel num_threads(team) reduction(&& : finite)
    {
        const int t = omp_get_thread_num(), threads = omp_get_num_threads();
        const plan p = with_work(shared, work + (size_t)t * ISA(winograd_floats)(c));
        const cut begin = cut_at(p.tiles.count, p.blocks, vectors, t, threads);
        const cut end = cut_at(p.tiles.count, p.blocks, vectors, t + 1, threads);
        int64_t have = -1;

        for (int64_t k = begin.unit; k < end.unit + (end.row > 0); k++) {
            const int64_t first = block_at(p.tiles.count, p.blocks, k / panels);
            const int64_t n = block_at(p.tiles.count, p.blocks, k / panels + 1) - first;
            const int64_t from = k == begin.unit ? begin.row : 0;
            const int64_t to = k == end.unit ? end.row : n;

            if (from >= to)
                continue;
            if (first != have)
                transform_patches(&p, first, n);
            have = first;
            finite = unit(&p, first, from, to, k % panels) && finite;
        }
    }
    return finite;
}
