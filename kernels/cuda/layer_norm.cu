// layer_norm.cu - layer norm, RMS norm and their gradients
//
//   y = (x - mean) / sqrt(var + eps) gamma + beta, over each row of C values; of RMS norm the mean
//   is 0, and so is mean(g) below
//
// A warp takes a row of up to 1536 values and keeps it: it is read once, 8 bytes a value, which is
// the least. For gradients, with h = (x - mean) / std, g = dy gamma and means over the row,
//
//   dx = (g - mean(g) - h mean(g h)) / std,  dgamma = sum dy h,  dbeta = sum dy
//
// a first launch makes dx and keeps the moments of rows, 12 bytes a value; a second one sums down
// the columns, 8 bytes a value.
#include "kernels/cuda/rows.cuh"

// h = (x - mean - left) r
struct row_scale {
    float mean, left, r;
};

__device__ static row_scale row_scale_of(const moments &m)
{
    const float mean = (float)m.mean;

    return {mean, (float)(m.mean - mean), (float)m.rstd};
}

__device__ static float normalised(const row_scale &k, float x)
{
    return (x - k.mean - k.left) * k.r;
}

template <int V> __device__ static pack<V> ones()
{
    pack<V> one;

    for (int i = 0; i < V; i++)
        one.v[i] = 1;
    return one;
}

template <int V, class Row, class Team, class Args>
__device__ static moments moments_of_kind(const Args &a, const Row &row, const Team &team,
                                          int64_t r)
{
    return a.rms ? row_moments_from_0<V>(row, team, a.channels, a.eps, a.torch != 0)
                 : row_moments<V>(row, team, a.x[r * a.channels], a.channels, a.eps, a.torch != 0);
}

template <int V, class Row, class Team, class Args>
__device__ static void layer_norm(const Args &a, const Team &team, int64_t r)
{
    const int64_t C = a.channels;
    const Row row(a.x + r * C, C);
    const row_scale k = row_scale_of(moments_of_kind<V>(a, row, team, r));

    row.each([&](const pack<V> &x, int64_t c) {
        const pack<V> gamma = a.gamma ? load<V>(a.gamma + c) : ones<V>();
        const pack<V> beta = a.beta ? load<V>(a.beta + c) : pack<V>{};
        pack<V> y;

        for (int i = 0; i < V; i++)
            y.v[i] = normalised(k, x.v[i]);
        if (a.rounds)
            for (int i = 0; i < V; i++)
                y.v[i] = round_f32(a.to, y.v[i]);
        for (int i = 0; i < V; i++)
            y.v[i] = fmaf(y.v[i], gamma.v[i], beta.v[i]);
        store(a.y + r * C + c, y);
    });
}

template <int V, class Row, class Team, class Args>
__device__ static void layer_norm_back(const Args &a, const Team &team, int64_t r)
{
    const int64_t C = a.channels;
    const Row row(a.x + r * C, C);
    const moments m = moments_of_kind<V>(a, row, team, r);
    const row_scale k = row_scale_of(m);
    sums s = {0, 0};

    if (a.moments && team.leads()) {
        float *to = a.moments + r * 3;

        to[0] = k.mean, to[1] = k.left, to[2] = k.r;
    }
    if (!a.dx)
        return;
    const auto gradient = [&](int64_t c) {
        const pack<V> gamma = a.gamma ? load<V>(a.gamma + c) : ones<V>();
        pack<V> dy = load<V>(a.dy + r * C + c);

        for (int i = 0; i < V; i++)
            dy.v[i] *= gamma.v[i];
        return dy;
    };
    row.each([&](const pack<V> &x, int64_t c) {
        const pack<V> g = gradient(c);
        float s1 = 0, s2 = 0;

        for (int i = 0; i < V; i++) {
            s1 += g.v[i];
            s2 = fmaf(g.v[i], normalised(k, x.v[i]), s2);
        }
        add(s, {s1, s2});
    });
    s = team.sum(s);
    const float m1 = a.rms ? 0.0f : (float)(s.s1 / (double)C), m2 = (float)(s.s2 / (double)C);
    row.each([&](const pack<V> &x, int64_t c) {
        pack<V> g = gradient(c);

        for (int i = 0; i < V; i++)
            g.v[i] = k.r * fmaf(-m2, normalised(k, x.v[i]), g.v[i] - m1);
        store(a.dx + r * C + c, g);
    });
}

ROW_KERNELS(layer_norm, layer_norm)
ROW_KERNELS(layer_norm_back, layer_norm_back)

// ---- down the columns ----

enum { COLUMNS = 32, COLUMN_ROWS = ROW_THREADS / COLUMNS, FOUR = 4 };

static __device__ unsigned columns_arrived[SS_COLUMN_SLABS];

template <int V> __device__ static void columns(const ss_kernel_layer_norm_columns &a, sums *space)
{
    const int64_t C = a.channels, slab = blockIdx.x / a.chunks, chunk = blockIdx.x % a.chunks;
    const int row = (int)threadIdx.x / COLUMNS, column = (int)threadIdx.x % COLUMNS;
    const int64_t first = slab * COLUMNS * V, c = first + column * V;
    const int64_t end = min((chunk + 1) * a.chunk, a.rows);
    sums s[V] = {};

    for (int64_t r = chunk * a.chunk + row; r < end && c < C; r += FOUR * COLUMN_ROWS) {
        const int count = (int)min((int64_t)FOUR, (end - r + COLUMN_ROWS - 1) / COLUMN_ROWS);
        pack<V> x[FOUR], dy[FOUR];
        row_scale k[FOUR];

#pragma unroll
        for (int j = 0; j < FOUR; j++)
            if (j < count) {
                const int64_t at = r + j * COLUMN_ROWS;

                x[j] = load<V>(a.x + at * C + c);
                dy[j] = load<V>(a.dy + at * C + c);
                k[j] = {a.moments[at * 3], a.moments[at * 3 + 1], a.moments[at * 3 + 2]};
            }
#pragma unroll
        for (int i = 0; i < V; i++) {
            float s1 = 0, s2 = 0;

#pragma unroll
            for (int j = 0; j < FOUR; j++)
                if (j < count) {
                    s1 += dy[j].v[i];
                    s2 = fmaf(dy[j].v[i], normalised(k[j], x[j].v[i]), s2);
                }
            add(s[i], {s1, s2});
        }
    }
    add_rows<V, ROW_THREADS>(s, row, COLUMN_ROWS, column, COLUMNS, space);
    if (row == 0 && c < C) {
        double *to = a.partial + (chunk * C + c) * 2;

        for (int i = 0; i < V; i++)
            to[2 * i] = s[i].s1, to[2 * i + 1] = s[i].s2;
    }
    if (is_last_block(&columns_arrived[slab], (unsigned)a.chunks))
        sum_shares<ROW_THREADS>(a.partial, a.chunks, C, first,
                                (int)min((int64_t)COLUMNS * V, C - first), a.dbeta, a.dgamma,
                                space);
}

KERNEL(layer_norm_columns)
{
    SHARED(sums, space, 2 * ROW_THREADS);

    if (a.vector == 4)
        columns<4>(a, space);
    else
        columns<1>(a, space);
}
