// device.cuh - what every kernel uses: KERNEL, EACH, SHARED, sums over a warp and a block
//
// The same text is compiled by nvcc for the GPU and by g++ for the emulator (tests/cuda), whose
// header is included before this one there and defines KERNEL, SHARED, threadIdx and the like.
// Both give the same bits: so no expf, logf, rsqrtf, sinf, no atomics on floats, no fmaxf on
// zeros of both signs; fmaf only where it is written; sums in an order that the shape alone gives,
// never the number of multiprocessors.
#pragma once

#include "kernels/cuda/kernels.h"

#if defined(__CUDACC__)
#define KERNEL(name)                                                \
    extern "C" __global__ void __launch_bounds__(SS_THREADS_##name) \
        sigmascope_##name(const __grid_constant__ ss_kernel_##name a)
// The same with so few registers that a multiprocessor runs so many blocks at once.
#define KERNEL_AT_ONCE(name, blocks)                                        \
    extern "C" __global__ void __launch_bounds__(SS_THREADS_##name, blocks) \
        sigmascope_##name(const __grid_constant__ ss_kernel_##name a)
// An array that the threads of a block share; its values are undefined at first.
#define SHARED(type, name, count) __shared__ type name[count]
#else
#define KERNEL_AT_ONCE(name, blocks) KERNEL(name)
#endif

#define FULL_WARP 0xffffffffu

// No copies of a loop's body: the number of rounds would cost 64-bit divisions, and most threads
// have one round.
#if defined(__CUDACC__)
#define UNROLLED_ONCE _Pragma("unroll 1")
#else
#define UNROLLED_ONCE
#endif

// The threads of a one-dimensional grid share the indices below n.
#define EACH(i, n)                                                   \
    UNROLLED_ONCE                                                    \
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x, \
                 step_ = gridDim.x * (int64_t)blockDim.x;            \
         i < (n); i += step_)
