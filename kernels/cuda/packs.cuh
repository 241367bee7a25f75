// packs.cuh - four values at a time, and places in arrays by quick division (packs.h)
#pragma once

#include "kernels/cuda/packs.h"

// N values that one instruction loads or stores.
template <int N> struct alignas(N * 4) pack {
    float v[N];
};

template <int N> __device__ static inline pack<N> load(const float *p)
{
    return *(const pack<N> *)p;
}

template <int N> __device__ static inline void store(float *p, pack<N> v)
{
    *(pack<N> *)p = v;
}

// i / d for i >= 0
__device__ static inline int64_t quotient(int64_t i, const ss_cuda_divisor &d)
{
    if (i <= INT32_MAX && d.multiplier)
        return (int64_t)((uint64_t)(uint32_t)i * d.multiplier >> d.shift);
    return i / d.by;
}

// i % d; i becomes i / d.
__device__ static inline int64_t take_remainder(int64_t &i, const ss_cuda_divisor &d)
{
    const int64_t q = quotient(i, d), r = i - q * d.by;

    i = q;
    return r;
}
