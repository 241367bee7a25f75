// rows.cuh - norms of rows: by a warp that keeps the row in registers, or by a block that reads it
// again for each sum
//
// Both are written once, for a `Row` with each(f), which calls f(values, index of the first) for
// the packs of V values that are the thread's, and a `Team` of threads with sum(s), the sum over
// the team in each of them. Sums over a pack are in f32, all others in double: one operation in
// double a value.
#pragma once

#include "kernels/cuda/norm.cuh"
#include "kernels/cuda/rows.h"

enum {
    ROW_THREADS = 256, // of a block
    WARP_ROWS = SS_ROWS_OF_BLOCK,
    WARP_PACKS = SS_ROW_PACKS / 32, // that a lane keeps
};

template <int V> struct kept_row {
    pack<V> v[WARP_PACKS];
    int packs;

    __device__ kept_row(const float *x, int64_t channels) : packs((int)channels / V)
    {
        const int lane = (int)threadIdx.x % 32;

#pragma unroll
        for (int k = 0; k < WARP_PACKS; k++)
            if (k * 32 + lane < packs)
                v[k] = load<V>(x + (k * 32 + lane) * V);
    }

    template <class F> __device__ void each(F f) const
    {
        const int lane = (int)threadIdx.x % 32;

#pragma unroll
        for (int k = 0; k < WARP_PACKS; k++)
            if (k * 32 + lane < packs)
                f(v[k], (k * 32 + lane) * V);
    }
};

template <int V> struct read_row {
    const float *x;
    int64_t packs;

    __device__ read_row(const float *from, int64_t channels) : x(from), packs(channels / V)
    {
    }

    template <class F> __device__ void each(F f) const
    {
        for (int64_t k = threadIdx.x; k < packs; k += ROW_THREADS)
            f(load<V>(x + k * V), k * V);
    }
};

struct warp_team {
    __device__ sums sum(sums s) const
    {
        return sum_of_lanes(s, 32);
    }
    __device__ bool leads() const
    {
        return threadIdx.x % 32 == 0;
    }
};

struct block_team {
    sums *space; // [WARP_ROWS], shared

    __device__ sums sum(sums s) const
    {
        sums total = {0, 0};

        s = sum_of_lanes(s, 32);
        __syncthreads();
        if (threadIdx.x % 32 == 0)
            space[threadIdx.x / 32] = s;
        __syncthreads();
        for (int w = 0; w < WARP_ROWS; w++)
            add(total, space[w]);
        return total;
    }
    __device__ bool leads() const
    {
        return threadIdx.x == 0;
    }
};

// True where a sum of squares that were made in f32 has lost nothing to its range.
__device__ inline bool is_sound(double squares)
{
    return squares > 0x1p-80 && squares < 0x1p140;
}

// Mean and 1/std of a row of n values that begins with x0. Differences from m, the mean in f32,
// cancel what values have in common; where their squares leave the range of f32, or are all 0, all
// is in double, of x - x0.
template <int V, class Row, class Team>
__device__ inline moments row_moments(const Row &row, const Team &team, float x0, int64_t n,
                                      float eps, bool torch)
{
    sums s = {0, 0};

    row.each([&](const pack<V> &x, int64_t) {
        float total = 0;

        for (int i = 0; i < V; i++)
            total += x.v[i];
        s.s1 += total;
    });
    const float m = (float)(team.sum(s).s1 / (double)n);

    s = {0, 0};
    row.each([&](const pack<V> &x, int64_t) {
        float rest = 0, squares = 0;

        for (int i = 0; i < V; i++) {
            const float d = x.v[i] - m;

            rest += d;
            squares = fmaf(d, d, squares);
        }
        add(s, {rest, squares});
    });
    s = team.sum(s);
    if (is_sound(s.s2))
        return moments_of(s, (double)n, m, eps, torch);

    s = {0, 0};
    row.each([&](const pack<V> &x, int64_t) {
        for (int i = 0; i < V; i++) {
            const double d = (double)x.v[i] - x0;

            add(s, {d, d * d});
        }
    });
    return moments_of(team.sum(s), (double)n, x0, eps, torch);
}

// Of a row's n values: mean 0, and 1/std from the mean of their squares. Squares of a pack are in
// f32 where that loses nothing to its range.
template <int V, class Row, class Team>
__device__ inline moments row_moments_from_0(const Row &row, const Team &team, int64_t n, float eps,
                                             bool torch)
{
    sums s = {0, 0};

    row.each([&](const pack<V> &x, int64_t) {
        float squares = 0;

        for (int i = 0; i < V; i++)
            squares = fmaf(x.v[i], x.v[i], squares);
        s.s2 += squares;
    });
    s = team.sum(s);
    if (!is_sound(s.s2)) {
        s = {0, 0};
        row.each([&](const pack<V> &x, int64_t) {
            for (int i = 0; i < V; i++)
                s.s2 += (double)x.v[i] * x.v[i];
        });
        s = team.sum(s);
    }
    return {0, inverse_std(s.s2, (double)n, eps, torch)};
}

// Runs body(row, kernel's team, index) with a warp's row, or a block's. The kernels of a pair are
// NAME for rows of up to SS_ROW_PACKS packs and NAME_wide.
#define ROW_KERNELS(name, body)                                               \
    KERNEL(name)                                                              \
    {                                                                         \
        const int64_t r = blockIdx.x * (int64_t)WARP_ROWS + threadIdx.x / 32; \
                                                                              \
        if (r >= a.rows)                                                      \
            return;                                                           \
        if (a.vector == 4)                                                    \
            body<4, kept_row<4>>(a, warp_team(), r);                          \
        else                                                                  \
            body<1, kept_row<1>>(a, warp_team(), r);                          \
    }                                                                         \
    KERNEL(name##_wide)                                                       \
    {                                                                         \
        SHARED(sums, space, WARP_ROWS);                                       \
                                                                              \
        if (a.vector == 4)                                                    \
            body<4, read_row<4>>(a, block_team{space}, blockIdx.x);           \
        else                                                                  \
            body<1, read_row<1>>(a, block_team{space}, blockIdx.x);           \
    }
