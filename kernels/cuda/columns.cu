// columns.cu - sums down the columns of a matrix, and of products
//
// Memory is read once: 4 bytes a value, 16 at a time where the rows are multiples of that, and
// neighbouring threads read neighbouring values. A thread goes down its column, BATCH rows fetched
// at a time; the threads of a block are added in the order of rows, then blocks in theirs by the
// block that ends last, so that there is one launch. All in double, as on the CPU: two operations
// a value, which a card with slow ones hides behind its memory.
#include "kernels/cuda/columns.h"
#include "kernels/cuda/sums.cuh"

#include <math.h>

namespace
{

enum { THREADS = 256, BATCH = 4, WIDEST = 4 };

struct channel : ss_cuda_channel {
    static __device__ __forceinline__ float absent()
    {
        return NAN;
    }
    __device__ __forceinline__ void clear()
    {
        square = 0;
        absmax = 0;
        n = 0;
    }
    __device__ __forceinline__ void add(float v)
    {
        const float a = fabsf(v);

        if (!(a < INFINITY))
            return;
        square = fma((double)a, (double)a, square);
        absmax = a > absmax ? a : absmax;
        n++;
    }
    __device__ __forceinline__ void merge(const ss_cuda_channel &o)
    {
        square += o.square;
        absmax = o.absmax > absmax ? o.absmax : absmax;
        n += o.n;
    }
};

struct total {
    double sum;

    static __device__ __forceinline__ float absent()
    {
        return 0;
    }
    __device__ __forceinline__ void clear()
    {
        sum = 0;
    }
    __device__ __forceinline__ void add(float v)
    {
        sum += (double)v;
    }
    __device__ __forceinline__ void merge(const total &o)
    {
        sum += o.sum;
    }
};

// Where a block works.
struct place {
    int64_t group, column_block, row_block;
    int64_t first; // channel
    int width;     // channels, a power of 2; those beyond the last are empty
};

__device__ __forceinline__ place place_of(const ss_cuda_columns &c)
{
    const int64_t b = blockIdx.x / c.row_blocks;
    const int64_t column_block = b % c.column_blocks;
    const int width = c.lanes * c.vector;

    return {b / c.column_blocks, column_block, blockIdx.x % c.row_blocks, column_block * width,
            width};
}

// Up to four neighbouring values of a row.
__device__ __forceinline__ void load(const float *x, int vector, bool aligned, float (&v)[WIDEST])
{
    if (vector == 1) {
        v[0] = *x;
    } else if (aligned) {
        const float4 four = *(const float4 *)x;

        v[0] = four.x;
        v[1] = four.y;
        v[2] = four.z;
        v[3] = four.w;
    } else {
        UNROLL
        for (int j = 0; j < WIDEST; j++)
            v[j] = x[j];
    }
}

// A thread's columns, down every (THREADS / lanes)th row of its block.
template <class A>
__device__ __forceinline__ void go_down(const float *x, const ss_cuda_columns &c, const place &p,
                                        A (&sum)[WIDEST])
{
    const int stride = THREADS / c.lanes;
    const int64_t column = p.first + (int)threadIdx.x % c.lanes * c.vector;
    const int64_t begin = p.row_block * c.step, rest = c.rows - begin;
    const int64_t end = begin + (rest < c.step ? rest : c.step);
    const bool inside = column < c.channels, aligned = ((size_t)x & 15) == 0;
    const float *from = x + p.group * c.rows * c.channels + column;

    UNROLL
    for (int j = 0; j < WIDEST; j++)
        sum[j].clear();
    for (int64_t r = begin + (int)threadIdx.x / c.lanes; inside && r < end; r += BATCH * stride) {
        float v[BATCH][WIDEST];

        UNROLL
        for (int k = 0; k < BATCH; k++) {
            UNROLL
            for (int j = 0; j < WIDEST; j++)
                v[k][j] = A::absent();
            if (r + k * stride < end)
                load(from + (r + k * stride) * c.channels, c.vector, aligned, v[k]);
        }
        UNROLL
        for (int k = 0; k < BATCH; k++) {
            UNROLL
            for (int j = 0; j < WIDEST; j++)
                sum[j].add(v[k][j]);
        }
    }
}

// Sums down columns. True in threads that have the whole sum, of channel p.first + threadIdx.x of
// the group, which is one.
template <class A>
__device__ __forceinline__ bool column_sum(const float *x, const ss_cuda_columns &c, const place &p,
                                           A *part, unsigned *done, A *shared, bool &last, A *whole)
{
    const int t = (int)threadIdx.x, ways = THREADS / p.width;
    const bool adds = t < p.width && p.first + t < c.channels;
    A sum[WIDEST];

    go_down(x, c, p, sum);
    UNROLL
    for (int j = 0; j < WIDEST; j++)
        if (j < c.vector)
            shared[t * c.vector + j] = sum[j];
    __syncthreads();
    whole->clear();
    for (int k = 0; adds && k < THREADS / c.lanes; k++)
        whole->merge(shared[k * p.width + t]);
    if (c.row_blocks == 1)
        return adds;

    A *column = part + p.group * c.row_blocks * c.channels + p.first;

    if (adds)
        column[p.row_block * c.channels + t] = *whole;
    if (!is_last(&done[p.group * c.column_blocks + p.column_block], c.row_blocks, last))
        return false;
    whole->clear();
    if (p.first + t % p.width < c.channels)
        for (int64_t k = t / p.width; k < c.row_blocks; k += ways)
            whole->merge(column[k * c.channels + t % p.width]);
    shared[t] = *whole;
    __syncthreads();
    for (int k = 1; adds && k < ways; k++)
        whole->merge(shared[k * p.width + t]);
    return adds;
}

} // namespace

KERNEL_AT_ONCE(channel_stats, 3)
{
    SHARED(channel, shared, THREADS * WIDEST);
    SHARED(bool, last, 1);
    const place p = place_of(a.columns);
    channel c;

    if (!column_sum(a.x, a.columns, p, (channel *)a.part, a.done, shared, last[0], &c))
        return;
    const int64_t i = p.group * a.columns.channels + p.first + threadIdx.x;

    a.absmax[i] = c.n ? c.absmax : NAN;
    a.rms[i] = c.n ? (float)sqrt(c.square / c.n) : NAN;
}

KERNEL_AT_ONCE(sum_rows, 4)
{
    SHARED(total, shared, THREADS * WIDEST);
    SHARED(bool, last, 1);
    const place p = place_of(a.columns);
    total c;

    if (column_sum(a.x, a.columns, p, (total *)a.part, a.done, shared, last[0], &c))
        a.y[p.group * a.columns.channels + p.first + threadIdx.x] = (float)c.sum;
}

KERNEL(dot)
{
    SHARED(double, shared, THREADS / 32);
    SHARED(bool, last, 1);
    const int64_t begin = (int64_t)blockIdx.x * SS_CUDA_DOT_CHUNK, rest = a.n - begin;
    const int n = rest < SS_CUDA_DOT_CHUNK ? (int)rest : SS_CUDA_DOT_CHUNK;
    double sum = 0;

    for (int i = (int)threadIdx.x; i < n; i += THREADS)
        sum = fma((double)a.x[begin + i], (double)a.z[begin + i], sum);
    sum = sum_of_block(sum, shared);
    if (gridDim.x > 1) {
        if (threadIdx.x == 0)
            a.part[blockIdx.x] = sum;
        if (!is_last(a.done, gridDim.x, last[0]))
            return;
        sum = 0;
        for (int64_t i = threadIdx.x; i < gridDim.x; i += THREADS)
            sum += a.part[i];
        sum = sum_of_block(sum, shared);
    }
    if (threadIdx.x == 0)
        *a.y = (float)sum;
}
