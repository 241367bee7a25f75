// row.cuh - a row of values that a team of threads shares, each with some cells of it
#pragma once

#include "kernels/cuda/device.cuh"

// A team of TEAM threads: one warp, or the block. Each of its members calls the same functions.
template <int TEAM> struct team {
    enum { SIZE = TEAM };
    int rank;       // of this thread
    float *scratch; // [2][2][32], shared by the block; not used by a warp
    int turn;

    // Lane w of each warp gets what the threads of warp w have. One barrier is enough, as values of
    // the next call go elsewhere and those of the one after come after the next barrier.
    __device__ void exchange(float &a, float &b)
    {
        float *at = scratch + turn * 64;

        if (rank % 32 == 0) {
            at[rank / 32] = a;
            at[32 + rank / 32] = b;
        }
        __syncthreads();
        a = at[rank % (TEAM / 32)];
        b = at[32 + rank % (TEAM / 32)];
        turn ^= 1;
    }

    // Of values that are not NaN
    __device__ float max(float v)
    {
        for (int k = 16; k; k >>= 1)
            v = larger(v, __shfl_xor_sync(FULL_WARP, v, k));
        if (TEAM > 32) {
            float none = 0;

            exchange(v, none);
            for (int k = TEAM / 64; k; k >>= 1)
                v = larger(v, __shfl_xor_sync(FULL_WARP, v, k));
        }
        return v;
    }

    __device__ static float larger(float a, float b)
    {
        return b > a ? b : a;
    }

    // Two sums over the team
    __device__ void sum(float &a, float &b)
    {
        for (int k = 16; k; k >>= 1) {
            a += __shfl_xor_sync(FULL_WARP, a, k);
            b += __shfl_xor_sync(FULL_WARP, b, k);
        }
        if (TEAM > 32) {
            exchange(a, b);
            for (int k = TEAM / 64; k; k >>= 1) {
                a += __shfl_xor_sync(FULL_WARP, a, k);
                b += __shfl_xor_sync(FULL_WARP, b, k);
            }
        }
    }

    __device__ void wait() const
    {
        if (TEAM > 32)
            __syncthreads();
        else
            __syncwarp();
    }
};

// A thread's cells of a row of at most 4 N TEAM values, in registers from load to store: N times
// four neighbours, so that a team reads and writes whole lines. The row begins at a multiple of 16
// bytes.
template <int TEAM, int N> struct cells {
    float v[N][4];
    float *row;
    int n, first; // values of the row; this thread's first

    __device__ cells(float *at, int64_t count, int rank) : row(at), n((int)count), first(4 * rank)
    {
    }

    // Places beyond the row are filled with `none`.
    __device__ void load(float none)
    {
#pragma unroll
        for (int g = 0; g < N; g++) {
            const int j = first + g * 4 * TEAM;

            if (j + 4 <= n) {
                const float4 x = *(const float4 *)(row + j);

                v[g][0] = x.x, v[g][1] = x.y, v[g][2] = x.z, v[g][3] = x.w;
            } else {
                for (int i = 0; i < 4; i++)
                    v[g][i] = j + i < n ? row[j + i] : none;
            }
        }
    }

    __device__ void store() const
    {
#pragma unroll
        for (int g = 0; g < N; g++) {
            const int j = first + g * 4 * TEAM;

            if (j + 4 <= n)
                *(float4 *)(row + j) = make_float4(v[g][0], v[g][1], v[g][2], v[g][3]);
            else
                for (int i = 0; i < 4; i++)
                    if (j + i < n)
                        row[j + i] = v[g][i];
        }
    }

    // f(cell, its place in the row)
    template <class F> __device__ void each(F f)
    {
#pragma unroll
        for (int g = 0; g < N; g++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                if (first + g * 4 * TEAM + i < n)
                    f(v[g][i], (int64_t)(first + g * 4 * TEAM + i));
    }

    // f(cell), also of places beyond the row
    template <class F> __device__ void all(F f)
    {
#pragma unroll
        for (int g = 0; g < N; g++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                f(v[g][i]);
    }

    // f(cell, cell of another row), also of places beyond
    template <class F> __device__ void beside(cells &other, F f)
    {
#pragma unroll
        for (int g = 0; g < N; g++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                f(v[g][i], other.v[g][i]);
    }

    // f(cell, whether there is one, its place): all threads of a warp together
    template <class F> __device__ void together(F f)
    {
#pragma unroll
        for (int g = 0; g < N; g++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                f(v[g][i], first + g * 4 * TEAM + i < n, (int64_t)(first + g * 4 * TEAM + i));
    }
};

// The same of a row of any length, which stays in memory.
template <int TEAM> struct cells<TEAM, 0> {
    float *row;
    int64_t n;
    int rank;

    __device__ cells(float *at, int64_t count, int r) : row(at), n(count), rank(r)
    {
    }
    __device__ void load(float)
    {
    }
    __device__ void store() const
    {
    }
    template <class F> __device__ void each(F f)
    {
        for (int64_t j = rank; j < n; j += TEAM) {
            float x = row[j];

            f(x, j);
            row[j] = x;
        }
    }
    template <class F> __device__ void all(F f)
    {
        each([&](float &x, int64_t) { f(x); });
    }
    template <class F> __device__ void beside(cells &other, F f)
    {
        for (int64_t j = rank; j < n; j += TEAM) {
            float x = row[j], y = other.row[j];

            f(x, y);
            row[j] = x;
            other.row[j] = y;
        }
    }
    template <class F> __device__ void together(F f)
    {
        for (int64_t j = rank; j - rank < n; j += TEAM) {
            const bool inside = j < n;

            f(inside ? row[j] : 0, inside, j);
        }
    }
};
