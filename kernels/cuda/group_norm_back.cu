// group_norm_back.cu - gradients of group norm with modulation and activation
//
// With h = (x - mean) / std, z = h a + b, a = gamma (1 + scale), dz = dy act'(z), and for each
// sample and channel S1 = sum dz, S2 = sum dz h; means over the group's n values:
//
//   dx = (a dz - mean(a dz) - h mean(a dz h)) / std
//   dgamma = sum (1 + scale) S2,  dbeta = sum (1 + scale) S1,
//   dscale = gamma S2 + beta S1,  dshift = S1
//
// Where a sample's slab of x and dy fits into registers, up to 6 Ki values, one launch does all,
// with 12 bytes a value, which is the least. Else there are four: moments, S of chunks, S of
// samples with all gradients but dx, and dx. dz is made again rather than kept: x is read three
// times and dy twice, 24 bytes a value. Sums over a thread's few rows are in f32, all others in
// double.
#include "kernels/cuda/group_norm.cuh"

enum { FOUR = 4, EIGHT = 8 };

// A channel's coefficients: h = (x - m) r + l, z = h a + b.
struct plan {
    float m, r, l, a, b;
};

template <class Args>
__device__ static plan plan_of(const Args &a, const moments &m, int64_t sample, int channels, int c)
{
    const modulation mod = modulation_of(a.mod, sample, channels, c);
    const float mean = (float)m.mean;

    return {mean, (float)m.rstd, (float)((mean - m.mean) * m.rstd),
            (float)(value_or(a.gamma, c, 1) * mod.scale),
            (float)(value_or(a.beta, c, 0) * mod.scale + mod.shift)};
}

__device__ static float normalised(const plan &k, float x)
{
    return fmaf(x - k.m, k.r, k.l);
}

// The first `count` of R rows of dy become dz.
template <int V, int R>
__device__ static void slopes(const pack<V> (&x)[R], pack<V> (&dy)[R], int count,
                              const plan (&k)[V], int act)
{
#define BODY(f)                                                                     \
    _Pragma("unroll") for (int r = 0; r < R; r++)                                   \
    {                                                                               \
        if (r < count)                                                              \
            for (int i = 0; i < V; i++)                                             \
                dy[r].v[i] *= f(fmaf(normalised(k[i], x[r].v[i]), k[i].a, k[i].b)); \
    }
    SWITCH_SLOPE(act)
#undef BODY
}

// Adds a few rows of dz and dz h to the sums of V channels.
template <int V, int R>
__device__ static void add_slopes(const pack<V> (&x)[R], const pack<V> (&dz)[R], int count,
                                  const plan (&k)[V], sums (&s)[V])
{
#pragma unroll
    for (int i = 0; i < V; i++) {
        float s1 = 0, s2 = 0;

#pragma unroll
        for (int r = 0; r < R; r++)
            if (r < count) {
                s1 += dz[r].v[i];
                s2 = fmaf(dz[r].v[i], normalised(k[i], x[r].v[i]), s2);
            }
        add(s[i], {s1, s2});
    }
}

// dx = dz k1 + k2 + h k3; k1 is a channel's, the others are a group's.
struct finish {
    float k2, k3;
};

__device__ static finish finish_of(const sums &scaled, double n, double rstd)
{
    return {(float)(-rstd * scaled.s1 / n), (float)(-rstd * scaled.s2 / n)};
}

template <int V, int R>
__device__ static void write_dx(const pack<V> (&x)[R], const pack<V> (&dz)[R], int count,
                                const plan (&k)[V], const float (&k1)[V], const finish (&f)[V],
                                float *dx, int64_t step)
{
#pragma unroll
    for (int r = 0; r < R; r++) {
        pack<V> to;

        if (r >= count)
            continue;
        for (int i = 0; i < V; i++)
            to.v[i] = fmaf(dz[r].v[i], k1[i], fmaf(normalised(k[i], x[r].v[i]), f[i].k3, f[i].k2));
        store(dx + r * step, to);
    }
}

// Gradients of a sample's modulation, and its share of those of parameters, in channel c.
template <class Args>
__device__ static void write_channel(const Args &a, int64_t sample, int channels, int c,
                                     const sums &s)
{
    const double scale = modulation_of(a.mod, sample, channels, c).scale;

    if (a.dmod) {
        float *to = a.dmod + sample * 2 * channels + c;

        to[0] = (float)(value_or(a.gamma, c, 1) * s.s2 + value_or(a.beta, c, 0) * s.s1);
        to[channels] = (float)s.s1;
    }
    if (a.share) {
        double *to = a.share + (sample * channels + c) * 2;

        to[0] = scale * s.s1;
        to[1] = scale * s.s2;
    }
}

// ---- a sample's slab in one block ----

// How many blocks of each slab have come to their end; 0 between launches.
static __device__ unsigned tiles_arrived[SS_GROUP_SLABS];

// A group's values in shared memory.
struct tile_group {
    moments of;
    finish back;
};

// Sums over the channels of each group of a slab, eight lanes a group: use(g, sum) in all of them.
template <class Value, class Use>
__device__ static void each_group(const slab &b, int group, Value value, Use use)
{
    const int lane = (int)threadIdx.x % EIGHT;

    for (int g0 = 0; g0 < b.groups; g0 += (int)blockDim.x / EIGHT) {
        const int g = g0 + (int)threadIdx.x / EIGHT, end = g < b.groups ? group : 0;
        sums s = {0, 0};

        for (int c = lane; c < end; c += EIGHT)
            add(s, value(g, c));
        s = sum_of_lanes(s, EIGHT);
        if (g < b.groups)
            use(g, lane, s);
    }
}

// The sums of a block's threads by channel, in space.
template <int T, int V>
__device__ static void sum_tile(const ss_cuda_cut &c, const place &at, sums (&s)[V], sums *space)
{
    add_rows<V, T>(s, at.row, c.rows, at.column, c.columns, space);
    if (at.row == 0 && at.used)
        for (int k = 0; k < V; k++)
            space[at.channel + k] = s[k];
    __syncthreads();
}

// R rows a thread, of T.
template <int V, int T, int R, class Args>
__device__ static void back_tile(const Args &a, sums *space, plan *plans, tile_group *groups)
{
    const ss_cuda_cut &c = a.cut;
    const int index = (int)(blockIdx.x % c.slabs);
    const int64_t sample = blockIdx.x / c.slabs, step = (int64_t)c.rows * c.channels;
    const slab b = slab_of(c, index);
    const place at = place_of(c, b, V);
    const int count = positions_of(at, c.rows, (int)c.positions);
    const int64_t first = index_of(c, b, at, sample, at.row);
    const double n = (double)c.positions * c.group;
    pack<V> x[R], dy[R];
    float x0[V];
    sums s[V] = {};

    load_run(a.x + first, step, count, x);
    load_run(a.dy + first, step, count, dy);
    origins(a.x, c, b, at, sample, x0);
    add_run(x, count, x0, s);
    sum_tile<T>(c, at, s, space);
    each_group(
        b, c.group, [&](int g, int k) { return space[g * c.group + k]; },
        [&](int g, int lane, const sums &of) {
            const float from = a.x[sample * c.positions * c.channels + b.first + g * c.group];
            const moments m = moments_of(of, n, from, a.eps, a.torch != 0);

            for (int k = g * c.group + lane; k < (g + 1) * c.group; k += EIGHT)
                plans[k] = plan_of(a, m, sample, c.channels, b.first + k);
            if (lane == 0)
                groups[g].of = m;
        });
    __syncthreads();
    plan k[V];
#pragma unroll
    for (int i = 0; i < V; i++) {
        k[i] = at.used ? plans[at.channel + i] : plan{};
        s[i] = {0, 0};
    }
    slopes(x, dy, count, k, a.act);
    add_slopes(x, dy, count, k, s);
    sum_tile<T>(c, at, s, space);
    for (int i = (int)threadIdx.x; i < b.width; i += T)
        write_channel(a, sample, c.channels, b.first + i, space[i]);
    each_group(
        b, c.group,
        [&](int g, int i) {
            const sums of = space[g * c.group + i];
            const double by = plans[g * c.group + i].a;
            return sums{by * of.s1, by * of.s2};
        },
        [&](int g, int lane, const sums &of) {
            if (lane == 0)
                groups[g].back = finish_of(of, n, groups[g].of.rstd);
        });
    __syncthreads();
    if (a.dx && at.used) {
        finish f[V];
        float k1[V];

#pragma unroll
        for (int i = 0; i < V; i++) {
            const tile_group &g = groups[(at.channel + i) / c.group];

            f[i] = g.back;
            k1[i] = (float)(g.of.rstd * k[i].a);
        }
        write_dx(x, dy, count, k, k1, f, a.dx + first, step);
    }
    if (a.share && is_last_block(&tiles_arrived[index], (unsigned)a.n))
        sum_shares<T>(a.share, a.n, c.channels, b.first, b.width, a.dbeta, a.dgamma, space);
}

#define TILE_KERNEL(name, at_once, R)                                    \
    KERNEL_AT_ONCE(name, at_once)                                        \
    {                                                                    \
        SHARED(sums, space, 2 * SS_THREADS_##name);                      \
        SHARED(plan, plans, SS_GROUP_WIDTH);                             \
        SHARED(tile_group, groups, SS_GROUP_WIDTH);                      \
                                                                         \
        if (a.cut.vector == 4)                                           \
            back_tile<4, SS_THREADS_##name, R>(a, space, plans, groups); \
        else                                                             \
            back_tile<1, SS_THREADS_##name, R>(a, space, plans, groups); \
    }
TILE_KERNEL(group_norm_back_small, 2, SS_SMALL_ROWS)
TILE_KERNEL(group_norm_back_tile, 2, SS_BACK_TILE_ROWS)

// ---- larger samples ----

enum { BLOCK = SS_THREADS_group_norm_slopes };

// The coefficients of a thread's channels.
template <int V, class Args>
__device__ static void plans_of(const Args &a, const slab &b, const place &at, int64_t sample,
                                plan (&k)[V])
{
    const ss_cuda_cut &c = a.cut;

#pragma unroll
    for (int i = 0; i < V; i++) {
        const int channel = b.first + at.channel + i;
        const double *m = a.group + (sample * c.groups + channel / c.group) * 2;

        k[i] = at.used ? plan_of(a, {m[0], m[1]}, sample, c.channels, channel) : plan{};
    }
}

template <int V>
__device__ static void slopes_of_chunk(const ss_kernel_group_norm_slopes &a, sums *space)
{
    const ss_cuda_cut &c = a.cut;
    const int chunk = (int)(blockIdx.x % c.chunks), index = (int)(blockIdx.x / c.chunks % c.slabs);
    const int64_t sample = blockIdx.x / c.chunks / c.slabs, p0 = (int64_t)chunk * c.chunk;
    const slab b = slab_of(c, index);
    const place at = place_of(c, b, V);
    const int count = positions_of(at, c.rows, chunk_positions(c, p0));
    const int64_t step = (int64_t)c.rows * c.channels;
    int64_t i = index_of(c, b, at, sample, p0 + at.row);
    plan k[V];
    sums s[V] = {};

    plans_of(a, b, at, sample, k);
    for (int p = 0; p < count; p += FOUR, i += FOUR * step) {
        const int here = min(count - p, (int)FOUR);
        pack<V> x[FOUR], dy[FOUR];

        load_run(a.x + i, step, here, x);
        load_run(a.dy + i, step, here, dy);
        slopes(x, dy, here, k, a.act);
        add_slopes(x, dy, here, k, s);
    }
    add_rows<V, BLOCK>(s, at.row, c.rows, at.column, c.columns, space);
    if (at.row || !at.used)
        return;
    double *to = a.partial + ((sample * c.chunks + chunk) * c.channels + b.first + at.channel) * 2;
    for (int j = 0; j < V; j++) {
        to[2 * j] = s[j].s1;
        to[2 * j + 1] = s[j].s2;
    }
}

KERNEL(group_norm_slopes)
{
    SHARED(sums, space, 2 * BLOCK);

    if (a.cut.vector == 4)
        slopes_of_chunk<4>(a, space);
    else
        slopes_of_chunk<1>(a, space);
}

static __device__ unsigned slabs_arrived[SS_GROUP_SLABS];

KERNEL(group_norm_slope_sums)
{
    SHARED(sums, space, BLOCK / 2);
    const int index = (int)(blockIdx.x % a.slabs), first = index * a.width;
    const int width = min(a.channels - first, a.width), rows = BLOCK / width;
    const int row = (int)threadIdx.x / width, column = (int)threadIdx.x % width;
    const int64_t sample = blockIdx.x / a.slabs;
    sums s[1] = {};

    for (int k = row; k < a.chunks && row < rows; k += rows) {
        const double *from =
            a.partial + ((sample * a.chunks + k) * a.channels + first + column) * 2;

        add(s[0], {from[0], from[1]});
    }
    add_rows<1, BLOCK>(s, row, rows, column, width, space);
    if (row == 0) {
        double *to = a.sum + (sample * a.channels + first + column) * 2;

        to[0] = s[0].s1;
        to[1] = s[0].s2;
        write_channel(a, sample, a.channels, first + column, s[0]);
    }
    if (a.share && is_last_block(&slabs_arrived[index], (unsigned)a.n))
        sum_shares<BLOCK>(a.share, a.n, a.channels, first, width, a.dbeta, a.dgamma, space);
}

// What dx adds in each group of a slab, or in the one that it is a part of.
__device__ static void finish_groups(const ss_kernel_group_norm_dx &a, const slab &b,
                                     int64_t sample, finish *groups)
{
    const ss_cuda_cut &c = a.cut;
    const double n = (double)c.positions * c.group;

    each_group(
        b, c.group,
        [&](int g, int i) {
            const int channel = (b.group + g) * c.group + i;
            const double *from = a.sum + (sample * c.channels + channel) * 2;
            const double scale = modulation_of(a.mod, sample, c.channels, channel).scale;
            const double by = (float)(value_or(a.gamma, channel, 1) * scale);
            return sums{by * from[0], by * from[1]};
        },
        [&](int g, int lane, const sums &of) {
            if (lane == 0)
                groups[g] = finish_of(of, n, a.group[(sample * c.groups + b.group + g) * 2 + 1]);
        });
    __syncthreads();
}

template <int V>
__device__ static void dx_of_chunk(const ss_kernel_group_norm_dx &a, finish *groups)
{
    const ss_cuda_cut &c = a.cut;
    const unsigned block = gridDim.x - 1 - blockIdx.x; // what was read last is still near
    const int64_t sample = block / c.chunks / c.slabs, p0 = (int64_t)(block % c.chunks) * c.chunk;
    const slab b = slab_of(c, (int)(block / c.chunks % c.slabs));
    const place at = place_of(c, b, V);
    const int count = positions_of(at, c.rows, chunk_positions(c, p0));
    const int64_t step = (int64_t)c.rows * c.channels;
    int64_t i = index_of(c, b, at, sample, p0 + at.row);
    plan k[V];
    finish f[V];
    float k1[V];

    finish_groups(a, b, sample, groups);
    if (!count)
        return;
    plans_of(a, b, at, sample, k);
#pragma unroll
    for (int j = 0; j < V; j++) {
        const int g = (b.first + at.channel + j) / c.group;

        f[j] = groups[g - b.group];
        k1[j] = (float)(a.group[(sample * c.groups + g) * 2 + 1] * k[j].a);
    }
    for (int p = 0; p < count; p += FOUR, i += FOUR * step) {
        const int here = min(count - p, (int)FOUR);
        pack<V> x[FOUR], dy[FOUR];

        load_run(a.x + i, step, here, x);
        load_run(a.dy + i, step, here, dy);
        slopes(x, dy, here, k, a.act);
        write_dx(x, dy, here, k, k1, f, a.dx + i, step);
    }
}

KERNEL(group_norm_dx)
{
    SHARED(finish, groups, SS_GROUP_WIDTH);

    if (a.cut.vector == 4)
        dx_of_chunk<4>(a, groups);
    else
        dx_of_chunk<1>(a, groups);
}
