// group_norm.cuh - where a block and a thread of group norm's kernels are in a sample, and a
// channel's coefficients
#pragma once

#include "kernels/cuda/norm.cuh"

// A slab of channels: whole groups, or a part of one.
struct slab {
    int first, group; // channel and group that it begins with
    int width, groups;
};

__device__ inline slab slab_of(const ss_cuda_cut &c, int index)
{
    if (c.parts > 1) {
        const int g = index / c.parts, from = index % c.parts * c.width;

        return {g * c.group + from, g, min(c.group - from, c.width), 1};
    }
    const int first = index * c.width, width = min(c.channels - first, c.width);

    return {first, first / c.group, width, width / c.group};
}

// A thread's place in a block: its row, and its first channel from the slab's first on.
struct place {
    int row, column, channel;
    bool used;
};

__device__ inline place place_of(const ss_cuda_cut &c, const slab &b, int V)
{
    const int row = (int)threadIdx.x / c.columns, column = (int)threadIdx.x % c.columns;

    return {row, column, column * V, row < c.rows && column * V < b.width};
}

// Positions of the block's chunk, which begins at p0.
__device__ inline int chunk_positions(const ss_cuda_cut &c, int64_t p0)
{
    return c.positions - p0 < c.chunk ? (int)(c.positions - p0) : c.chunk;
}

// How many of the positions row, row + rows ... are below n; none if the thread is not used.
__device__ inline int positions_of(const place &at, int rows, int n)
{
    return at.used && at.row < n ? (n - at.row + rows - 1) / rows : 0;
}

// Index of a thread's first value in the sample's position p.
__device__ inline int64_t index_of(const ss_cuda_cut &c, const slab &b, const place &at,
                                   int64_t sample, int64_t p)
{
    return (sample * c.positions + p) * c.channels + b.first + at.channel;
}

// The first value of each channel's group in the sample, from which differences are summed.
template <int V>
__device__ inline void origins(const float *x, const ss_cuda_cut &c, const slab &b, const place &at,
                               int64_t sample, float (&x0)[V])
{
#pragma unroll
    for (int k = 0; k < V; k++) {
        const int g = (b.first + at.channel + k) / c.group;

        x0[k] = at.used ? x[sample * c.positions * c.channels + g * c.group] : 0.0f;
    }
}

// Reads the first `count` of R rows, `step` values apart.
template <int V, int R>
__device__ inline void load_run(const float *x, int64_t step, int count, pack<V> (&run)[R])
{
#pragma unroll
    for (int r = 0; r < R; r++)
        if (r < count)
            run[r] = load<V>(x + r * step);
}

// What one channel of a sample is multiplied by and added to after gamma and beta.
struct modulation {
    double scale, shift;
};

__device__ inline modulation modulation_of(const float *mod, int64_t sample, int channels, int c)
{
    const float *m = mod + sample * 2 * channels + c;

    return mod ? modulation{1.0 + m[0], m[channels]} : modulation{1.0, 0.0};
}

__device__ inline double value_or(const float *p, int c, double otherwise)
{
    return p ? p[c] : otherwise;
}
