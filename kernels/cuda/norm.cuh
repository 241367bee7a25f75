// norm.cuh - what the kernels of norms share: sums of a block, moments
#pragma once

#include "kernels/act_cases.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/math.cuh"
#include "kernels/cuda/packs.cuh"

// ---- sums ----

// Two sums at a time: of x - x0 and its square; of dz and dz h.
struct sums {
    double s1, s2;
};

__device__ inline void add(sums &to, const sums &from)
{
    to.s1 += from.s1;
    to.s2 += from.s2;
}

// The sum over each `lanes` neighbouring lanes, a power of two, in each of them.
__device__ inline sums sum_of_lanes(sums s, int lanes)
{
    for (int k = lanes / 2; k; k >>= 1) {
        s.s1 += __shfl_xor_sync(FULL_WARP, s.s1, k);
        s.s2 += __shfl_xor_sync(FULL_WARP, s.s2, k);
    }
    return s;
}

// Adds up, column by column, the sums of V channels that each row of a block's threads has; those
// of row 0 then have the total. The block's T threads are rows x columns and a rest, whose rows are
// past the last; space [V][T / 2].
template <int V, int T>
__device__ inline void add_rows(sums (&s)[V], int row, int rows, int column, int columns,
                                sums *space)
{
    for (int n = rows; n > 1;) {
        const int half = (n + 1) / 2;

        if (row >= half && row < n)
            for (int k = 0; k < V; k++)
                space[k * (T / 2) + (row - half) * columns + column] = s[k];
        __syncthreads();
        if (row + half < n)
            for (int k = 0; k < V; k++)
                add(s[k], space[k * (T / 2) + row * columns + column]);
        __syncthreads();
        n = half;
    }
}

// True in all threads of the block that comes here last of `blocks`: it sees what the others have
// written. *arrived is 0 before and after.
__device__ inline bool is_last_block(unsigned *arrived, unsigned blocks)
{
    SHARED(int, last, 1);

    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        last[0] = atomicAdd(arrived, 1u) == blocks - 1;
        if (last[0])
            atomicExch(arrived, 0u);
    }
    __syncthreads();
    if (last[0])
        __threadfence();
    return last[0] != 0;
}

// dbeta and dgamma, unless NULL, of `width` channels: the sums over share [n][channels][2], by a
// block of T threads; space [T / 2].
template <int T>
__device__ inline void sum_shares(const double *share, int64_t n, int64_t channels, int64_t first,
                                  int width, float *dbeta, float *dgamma, sums *space)
{
    const int row = (int)threadIdx.x / width, column = (int)threadIdx.x % width;
    const int rows = T / width;
    const int64_t c = first + column;
    sums s[1] = {};

    for (int64_t k = row; k < n && row < rows; k += rows) {
        const double *from = share + (k * channels + c) * 2;

        add(s[0], {from[0], from[1]});
    }
    add_rows<1, T>(s, row, rows, column, width, space);
    if (row == 0 && dbeta)
        dbeta[c] = (float)s[0].s1;
    if (row == 0 && dgamma)
        dgamma[c] = (float)s[0].s2;
}

// ---- moments ----

// 1 / sqrt(v): in the middle range from f32 by a step of Newton's, right to 2^-45, as double
// division and square root are slow on most cards.
__device__ inline double inverse_root(double v)
{
    if (v > 0x1p-100 && v < 0x1p100) {
        const double r = 1.0f / sqrtf((float)v);

        return r * (1.5 - 0.5 * v * r * r);
    }
    return 1 / sqrt(v);
}

// 1 / sqrt(var + eps) of n values with sum m2 of squared differences from their mean; torch: m2 is
// summed in f32 there, so 2^128 is inf and this 0.
__device__ inline double inverse_std(double m2, double n, float eps, bool torch)
{
    return torch && m2 >= 0x1p128 ? 0 : inverse_root(m2 / n + eps);
}

// The mean and the inverse of the standard deviation.
struct moments {
    double mean, rstd;
};

// From the sums of x - x0 and of its square. Rounding must not make the variance negative.
__device__ inline moments moments_of(sums s, double n, double x0, float eps, bool torch)
{
    const double mean = s.s1 / n, m2 = s.s2 - s.s1 * mean;

    return {x0 + mean, inverse_std(m2 < 0 ? 0 : m2, n, eps, torch)};
}

// Adds the first `count` of R rows to the sums of x - x0 and of its square in V channels.
//
// A channel's few values are summed in f32 as differences from their own mean m, which cancels
// what they have in common, and the sums moved to x0 in double: a dozen operations for R values,
// where fp64 may be 64 times slower than f32. Where squares leave the range of f32, or are all 0,
// each value is added in double.
template <int V, int R>
__device__ inline void add_run(const pack<V> (&x)[R], int count, const float (&x0)[V], sums (&s)[V])
{
#pragma unroll
    for (int k = 0; k < V; k++) {
        float total = 0, rest = 0, squares = 0;

#pragma unroll
        for (int r = 0; r < R; r++)
            total += r < count ? x[r].v[k] : 0.0f;
        const float m = total / (float)count;
#pragma unroll
        for (int r = 0; r < R; r++) {
            const float d = r < count ? x[r].v[k] - m : 0.0f;

            rest += d;
            squares = fmaf(d, d, squares);
        }
        if (squares > 0x1p-90f && is_finite(squares)) {
            const double from = (double)m - x0[k], sum = count * from + rest;

            s[k].s1 += sum;
            s[k].s2 += squares + from * (sum + rest);
            continue;
        }
#pragma unroll
        for (int r = 0; r < R; r++) {
            const double v = r < count ? (double)x[r].v[k] - x0[k] : 0.0;

            s[k].s1 += v;
            s[k].s2 += v * v;
        }
    }
}
