// sums.cuh - sums over a warp and a block in a fixed order, and the block that ends last
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/math.cuh"

#if defined(__CUDACC__)
#define UNROLL _Pragma("unroll") // the loop whole, so that what it indexes are registers
#else
#define UNROLL
#endif

// Each thread of the warp gets the sum.
template <class T> static __device__ __forceinline__ T sum_of_warp(T v)
{
    UNROLL
    for (int k = 16; k; k >>= 1)
        v += __shfl_xor_sync(FULL_WARP, v, k);
    return v;
}

// Thread 0 gets the sum over the block. shared [warps]; it may be used again after a barrier.
template <class T> static __device__ __forceinline__ T sum_of_block(T v, T *shared)
{
    T sum = 0;

    v = sum_of_warp(v);
    if (threadIdx.x % 32 == 0)
        shared[threadIdx.x / 32] = v;
    __syncthreads();
    if (threadIdx.x == 0)
        for (unsigned w = 0; w < blockDim.x / 32; w++)
            sum += shared[w];
    return sum;
}

// True, for all of the block, in the last of `blocks` that come here: it may read what the others
// wrote to global memory before. *done is 0 at first; `last` is shared.
static __device__ __forceinline__ bool is_last(unsigned *done, int64_t blocks, bool &last)
{
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        last = atomicAdd(done, 1u) == (unsigned)(blocks - 1);
        __threadfence();
    }
    __syncthreads();
    return last;
}
