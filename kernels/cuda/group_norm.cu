// group_norm.cu - group norm with modulation and activation, channels last
//
//   y = act((x - mean) / sqrt(var + eps) * gamma + beta) * ..., as kernels/cpu/isa_norm.c has it
//
// The values of a group lie scattered, C / G of every C. So a block takes whole rows of a slab of
// groups, its threads side by side along the channels: memory is read in order. A thread has the
// same channels in every row, and sums them apart from their neighbours; the block adds up rows,
// then the channels of each group. What is summed and how exactly: add_run in norm.cuh.
//
// Where a sample's slab fits into registers, up to 12 Ki values, one launch does all and reads
// once; up to 2 Ki values in blocks of which four run at once:
//   64 x 4 x 4 x 256     one launch of 256 blocks, 8 bytes a value, which is the least
// Else there are two launches, of moments and application, and x is read twice; where it fits, the
// second time from the second-level cache, as the second launch begins with what was read last:
//   2 x 64 x 64 x 320    two launches of 172 and 172 blocks, 12 bytes a value, of which 4 from the
//                        cache
// PyTorch 2.11: 28 bytes a value with SiLU, in five launches and more.
//
// The last block of a sample to end adds the sums of all its chunks, in their order, and
// makes mean and 1/std: a third launch would take longer.
#include "kernels/cuda/group_norm.cuh"

// y = act((x - mean) mul + add), where add has what rounding took from the mean.
struct coefficients {
    float mean, mul, add;
};

__device__ static coefficients fold(const moments &m, double gamma, double beta, modulation mod)
{
    const float mean = (float)m.mean;
    const double slope = gamma * m.rstd * mod.scale;

    return {mean, (float)slope, (float)((mean - m.mean) * slope + beta * mod.scale + mod.shift)};
}

// Writes the first `count` of R rows, `step` values apart.
template <int V, int R>
__device__ static void write_run(const pack<V> (&x)[R], int count, const coefficients (&k)[V],
                                 int act, float *y, int64_t step)
{
#define BODY(f)                                                               \
    _Pragma("unroll") for (int r = 0; r < R; r++)                             \
    {                                                                         \
        pack<V> to;                                                           \
                                                                              \
        if (r < count) {                                                      \
            for (int i = 0; i < V; i++)                                       \
                to.v[i] = f(fmaf(x[r].v[i] - k[i].mean, k[i].mul, k[i].add)); \
            store(y + r * step, to);                                          \
        }                                                                     \
    }
    SWITCH_ACT(act)
#undef BODY
}

// ---- a sample's slab in one block ----

enum { EIGHT = 8 };

// The coefficients of a slab's channels from their sums: eight lanes a group.
template <int T, class Args>
__device__ static void fold_slab(const Args &a, const slab &b, int64_t sample, const sums *channel,
                                 coefficients *full, coefficients *plain)
{
    const int64_t P = a.cut.positions;
    const int C = a.cut.channels, group = a.cut.group, lane = (int)threadIdx.x % EIGHT;

    for (int g0 = 0; g0 < b.groups; g0 += T / EIGHT) {
        const int g = g0 + (int)threadIdx.x / EIGHT, end = g < b.groups ? group : 0;
        sums s = {0, 0};

        for (int c = lane; c < end; c += EIGHT)
            add(s, channel[g * group + c]);
        s = sum_of_lanes(s, EIGHT);
        if (g >= b.groups)
            continue;
        const double x0 = a.x[sample * P * C + b.first + g * group];
        const moments m = moments_of(s, (double)P * group, x0, a.eps, a.torch != 0);
        for (int k = g * group + lane; k < (g + 1) * group; k += EIGHT) {
            const int c = b.first + k;
            const double gamma = value_or(a.gamma, c, 1), beta = value_or(a.beta, c, 0);

            full[k] = fold(m, gamma, beta, modulation_of(a.mod, sample, C, c));
            if (a.plain)
                plain[k] = fold(m, gamma, beta, {1, 0});
        }
    }
}

// R rows a thread, of T.
template <int V, int T, int R, class Args>
__device__ static void tile(const Args &a, sums *space, coefficients *full, coefficients *plain)
{
    const ss_cuda_cut &c = a.cut;
    const int64_t sample = blockIdx.x / c.slabs, step = (int64_t)c.rows * c.channels;
    const slab b = slab_of(c, (int)(blockIdx.x % c.slabs));
    const place at = place_of(c, b, V);
    const int count = positions_of(at, c.rows, (int)c.positions);
    const int64_t first = index_of(c, b, at, sample, at.row);
    pack<V> x[R];
    float x0[V];
    sums s[V] = {};

    load_run(a.x + first, step, count, x);
    origins(a.x, c, b, at, sample, x0);
    add_run(x, count, x0, s);
    add_rows<V, T>(s, at.row, c.rows, at.column, c.columns, space);
    if (at.row == 0 && at.used)
        for (int k = 0; k < V; k++)
            space[at.channel + k] = s[k];
    __syncthreads();
    fold_slab<T>(a, b, sample, space, full, plain);
    __syncthreads();
    if (!at.used)
        return;
    coefficients k[V];
#pragma unroll
    for (int i = 0; i < V; i++)
        k[i] = full[at.channel + i];
    write_run(x, count, k, a.act, a.y + first, step);
    if (!a.plain)
        return;
#pragma unroll
    for (int i = 0; i < V; i++)
        k[i] = plain[at.channel + i];
    write_run(x, count, k, SS_ACT_NONE, a.plain + first, step);
}

#define TILE_KERNEL(name, at_once, R)                             \
    KERNEL_AT_ONCE(name, at_once)                                 \
    {                                                             \
        SHARED(sums, space, 2 * SS_THREADS_##name);               \
        SHARED(coefficients, full, SS_GROUP_WIDTH);               \
        SHARED(coefficients, plain, SS_GROUP_WIDTH);              \
                                                                  \
        if (a.cut.vector == 4)                                    \
            tile<4, SS_THREADS_##name, R>(a, space, full, plain); \
        else                                                      \
            tile<1, SS_THREADS_##name, R>(a, space, full, plain); \
    }
TILE_KERNEL(group_norm_small, 4, SS_SMALL_ROWS)
TILE_KERNEL(group_norm_tile, 2, SS_TILE_ROWS)

// ---- larger samples: moments ----

enum { MOMENTS = SS_THREADS_group_norm_moments };

// How many blocks of each sample have come to their end; 0 between launches.
static __device__ unsigned moments_arrived[SS_GROUP_SAMPLES];

// Sums of x - x0 over the block's chunk of positions in a thread's channels.
template <int V>
__device__ static void sum_chunk(const ss_kernel_group_norm_moments &a, const slab &b,
                                 const place &at, int64_t sample, int64_t p0, sums (&s)[V])
{
    const ss_cuda_cut &c = a.cut;
    const int count = positions_of(at, c.rows, chunk_positions(c, p0));
    const int64_t step = (int64_t)c.rows * c.channels;
    const float *x = a.x + index_of(c, b, at, sample, p0 + at.row);
    float x0[V];

    origins(a.x, c, b, at, sample, x0);
    for (int p = 0; p < count; p += EIGHT, x += EIGHT * step) {
        const int here = min(count - p, (int)EIGHT);
        pack<V> run[EIGHT];

        load_run(x, step, here, run);
        add_run(run, here, x0, s);
    }
}

// Mean and 1/std of each group of a sample from the sums of its chunks, in their order but for the
// lanes that share them.
__device__ static void finish_moments(const ss_kernel_group_norm_moments &a, int64_t sample)
{
    const ss_cuda_cut &c = a.cut;
    const int lanes = c.groups > MOMENTS / 32 ? EIGHT : 32, lane = (int)threadIdx.x % lanes;
    const int each = c.chunks * c.parts;
    const float *x = a.x + sample * c.positions * c.channels;

    for (int g0 = 0; g0 < c.groups; g0 += MOMENTS / lanes) {
        const int g = g0 + (int)threadIdx.x / lanes, end = g < c.groups ? each : 0;
        const double *from = a.partial + (sample * c.groups + g) * each * 2;
        sums s = {0, 0};

#pragma unroll 4
        for (int k = lane; k < end; k += lanes)
            add(s, {from[2 * k], from[2 * k + 1]});
        s = sum_of_lanes(s, lanes);
        if (lane || g >= c.groups)
            continue;
        const double n = (double)c.positions * c.group;
        const moments m = moments_of(s, n, x[g * c.group], a.eps, a.torch != 0);
        double *to = a.group + (sample * c.groups + g) * 2;
        to[0] = m.mean;
        to[1] = m.rstd;
    }
}

template <int V>
__device__ static void moments_of_chunk(const ss_kernel_group_norm_moments &a, sums *space)
{
    const ss_cuda_cut &c = a.cut;
    const int chunk = (int)(blockIdx.x % c.chunks), index = (int)(blockIdx.x / c.chunks % c.slabs);
    const int64_t sample = blockIdx.x / c.chunks / c.slabs;
    const slab b = slab_of(c, index);
    const place at = place_of(c, b, V);
    const int group = c.parts > 1 ? b.width : c.group;
    sums s[V] = {};

    sum_chunk(a, b, at, sample, (int64_t)chunk * c.chunk, s);
    add_rows<V, MOMENTS>(s, at.row, c.rows, at.column, c.columns, space);
    if (at.row == 0 && at.used)
        for (int k = 0; k < V; k++)
            space[at.channel + k] = s[k];
    __syncthreads();
    for (int g0 = 0; g0 < b.groups; g0 += MOMENTS / EIGHT) {
        const int g = g0 + (int)threadIdx.x / EIGHT, end = g < b.groups ? group : 0;
        sums t = {0, 0};

        for (int k = (int)threadIdx.x % EIGHT; k < end; k += EIGHT)
            add(t, space[g * group + k]);
        t = sum_of_lanes(t, EIGHT);
        if (threadIdx.x % EIGHT || g >= b.groups)
            continue;
        const int64_t which = (sample * c.groups + b.group + g) * c.chunks + chunk;
        double *to = a.partial + (which * c.parts + index % c.parts) * 2;
        to[0] = t.s1;
        to[1] = t.s2;
    }
    if (is_last_block(&moments_arrived[sample], (unsigned)(c.slabs * c.chunks)))
        finish_moments(a, sample);
}

KERNEL(group_norm_moments)
{
    SHARED(sums, space, 2 * MOMENTS);

    if (a.cut.vector == 4)
        moments_of_chunk<4>(a, space);
    else
        moments_of_chunk<1>(a, space);
}

// ---- larger samples: application ----

template <int V> __device__ static void apply(const ss_kernel_group_norm_apply &a)
{
    enum { RUN = 4 };
    const ss_cuda_cut &c = a.cut;
    const unsigned index = gridDim.x - 1 - blockIdx.x; // what moments read last is still near
    const int64_t sample = index / c.chunks / c.slabs, p0 = (int64_t)(index % c.chunks) * c.chunk;
    const slab b = slab_of(c, (int)(index / c.chunks % c.slabs));
    const place at = place_of(c, b, V);
    const int count = positions_of(at, c.rows, chunk_positions(c, p0));
    const int64_t step = (int64_t)c.rows * c.channels;
    int64_t i = index_of(c, b, at, sample, p0 + at.row);
    coefficients full[V], plain[V];

    if (!count)
        return;
#pragma unroll
    for (int k = 0; k < V; k++) {
        const int ch = b.first + at.channel + k;
        const double *m = a.group + (sample * c.groups + ch / c.group) * 2;
        const double gamma = value_or(a.gamma, ch, 1), beta = value_or(a.beta, ch, 0);

        full[k] = fold({m[0], m[1]}, gamma, beta, modulation_of(a.mod, sample, c.channels, ch));
        plain[k] = fold({m[0], m[1]}, gamma, beta, {1, 0});
    }
    for (int p = 0; p < count; p += RUN, i += RUN * step) {
        const int here = min(count - p, (int)RUN);
        pack<V> x[RUN];

        load_run(a.x + i, step, here, x);
        write_run(x, here, full, (int)a.act, a.y + i, step);
        if (a.plain)
            write_run(x, here, plain, SS_ACT_NONE, a.plain + i, step);
    }
}

KERNEL(group_norm_apply)
{
    if (a.cut.vector == 4)
        apply<4>(a);
    else
        apply<1>(a);
}
