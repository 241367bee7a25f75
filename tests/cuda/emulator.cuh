// emulator.cuh - CUDA C++ as far as kernels/cuda uses it, for g++; included before a .cu file
//
// See emulator.h. What is not here is not to be used in kernels: atomics on floats, partial masks,
// functions whose bits differ between a GPU and a CPU.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __restrict__ __restrict
#define __launch_bounds__(...)

struct ss_emulated_index {
    unsigned x, y, z;
};

extern "C" {
// The thread that runs, and where; changed by the emulator at each switch.
extern struct ss_emulated_place {
    ss_emulated_index thread, block, blocks, threads;
} ss_emulated;

void ss_emulator_sync_block(const char *where);
void ss_emulator_sync_warp(const char *where);
// Gives each thread of the warp the values of all, 32 of them, until the next exchange.
const uint64_t *ss_emulator_exchange(unsigned mask, uint64_t value, const char *where);
void *ss_emulator_shared(size_t bytes, const char *where);
void ss_emulator_fence(void);
}

#define SS_TEXT_(x) #x
#define SS_TEXT(x) SS_TEXT_(x)
#define SS_HERE __FILE__ ":" SS_TEXT(__LINE__)

#define threadIdx ss_emulated.thread
#define blockIdx ss_emulated.block
#define blockDim ss_emulated.threads
#define gridDim ss_emulated.blocks
enum { warpSize = 32 };

#define KERNEL(name)                                       \
    static void ss_body_##name(const ss_kernel_##name &a); \
    extern "C" void sigmascope_##name(const void *args);   \
    extern "C" void sigmascope_##name(const void *args)    \
    {                                                      \
        ss_body_##name(*(const ss_kernel_##name *)args);   \
    }                                                      \
    static void ss_body_##name(const ss_kernel_##name &a)
// A block's array of exactly this size; full of NaN at first.
#define SHARED(type, name, count) \
    type(&name)[count] =          \
        *(type(*)[count])ss_emulator_shared(sizeof(type) * (count), SS_HERE " " #name)

#define __syncthreads() ss_emulator_sync_block(SS_HERE)
#define __syncwarp() ss_emulator_sync_warp(SS_HERE)
#define __threadfence() ss_emulator_fence()
#define __threadfence_block() ss_emulator_fence()

template <class T> static inline T ss_shuffle(unsigned mask, T v, unsigned from, const char *where)
{
    static_assert(sizeof v == 4 || sizeof v == 8, "shuffles take 4 or 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &v, sizeof v);
    const uint64_t *all = ss_emulator_exchange(mask, bits, where);
    memcpy(&v, &all[from], sizeof v);
    return v;
}
#define SS_LANE (threadIdx.x % 32)
#define __shfl_sync(m, v, lane) ss_shuffle(m, v, (unsigned)(lane) % 32, SS_HERE)
#define __shfl_xor_sync(m, v, k) ss_shuffle(m, v, (SS_LANE ^ (unsigned)(k)) % 32, SS_HERE)
#define __shfl_down_sync(m, v, k) \
    ss_shuffle(m, v, SS_LANE + (unsigned)(k) < 32 ? SS_LANE + (unsigned)(k) : SS_LANE, SS_HERE)
#define __shfl_up_sync(m, v, k) \
    ss_shuffle(m, v, SS_LANE >= (unsigned)(k) ? SS_LANE - (unsigned)(k) : SS_LANE, SS_HERE)

static inline unsigned ss_ballot(unsigned mask, bool yes, const char *where)
{
    const uint64_t *all = ss_emulator_exchange(mask, yes, where);
    unsigned bits = 0;
    for (unsigned k = 0; k < 32; k++)
        bits |= (unsigned)all[k] << k;
    return bits;
}
#define __ballot_sync(m, yes) ss_ballot(m, (yes) != 0, SS_HERE)
#define __any_sync(m, yes) (ss_ballot(m, (yes) != 0, SS_HERE) != 0)
#define __all_sync(m, yes) (ss_ballot(m, (yes) != 0, SS_HERE) == 0xffffffffu)

// Atomics are for integers: their result does not depend on the order.
#define SS_ATOMICS(T)                                                                       \
    static inline T atomicAdd(T *p, T v)                                                    \
    {                                                                                       \
        return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);                                  \
    }                                                                                       \
    static inline T atomicOr(T *p, T v)                                                     \
    {                                                                                       \
        return __atomic_fetch_or(p, v, __ATOMIC_RELAXED);                                   \
    }                                                                                       \
    static inline T atomicAnd(T *p, T v)                                                    \
    {                                                                                       \
        return __atomic_fetch_and(p, v, __ATOMIC_RELAXED);                                  \
    }                                                                                       \
    static inline T atomicExch(T *p, T v)                                                   \
    {                                                                                       \
        return __atomic_exchange_n(p, v, __ATOMIC_RELAXED);                                 \
    }                                                                                       \
    static inline T atomicCAS(T *p, T old, T v)                                             \
    {                                                                                       \
        __atomic_compare_exchange_n(p, &old, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED); \
        return old;                                                                         \
    }                                                                                       \
    static inline T atomicMax(T *p, T v)                                                    \
    {                                                                                       \
        T old = __atomic_load_n(p, __ATOMIC_RELAXED);                                       \
        while (old < v && !__atomic_compare_exchange_n(p, &old, v, false, __ATOMIC_RELAXED, \
                                                       __ATOMIC_RELAXED))                   \
            ;                                                                               \
        return old;                                                                         \
    }                                                                                       \
    static inline T atomicMin(T *p, T v)                                                    \
    {                                                                                       \
        T old = __atomic_load_n(p, __ATOMIC_RELAXED);                                       \
        while (v < old && !__atomic_compare_exchange_n(p, &old, v, false, __ATOMIC_RELAXED, \
                                                       __ATOMIC_RELAXED))                   \
            ;                                                                               \
        return old;                                                                         \
    }
SS_ATOMICS(int)
SS_ATOMICS(unsigned)
SS_ATOMICS(unsigned long long)

// Vectors, aligned as on a GPU: UBSan reports loads that are not.
#define SS_VECTORS(T, name, align2, align4)                  \
    struct alignas(align2) name##2                           \
    {                                                        \
        T x, y;                                              \
    };                                                       \
    struct name##3                                           \
    {                                                        \
        T x, y, z;                                           \
    };                                                       \
    struct alignas(align4) name##4                           \
    {                                                        \
        T x, y, z, w;                                        \
    };                                                       \
    static inline name##2 make_##name##2(T x, T y)           \
    {                                                        \
        return name##2 {x, y};                               \
    }                                                        \
    static inline name##3 make_##name##3(T x, T y, T z)      \
    {                                                        \
        return name##3 {x, y, z};                            \
    }                                                        \
    static inline name##4 make_##name##4(T x, T y, T z, T w) \
    {                                                        \
        return name##4 {x, y, z, w};                         \
    }
SS_VECTORS(float, float, 8, 16)
SS_VECTORS(double, double, 16, 16)
SS_VECTORS(int, int, 8, 16)
SS_VECTORS(unsigned, uint, 8, 16)
SS_VECTORS(unsigned short, ushort, 4, 8)
SS_VECTORS(unsigned char, uchar, 2, 4)
SS_VECTORS(long long, longlong, 16, 16)
SS_VECTORS(unsigned long long, ulonglong, 16, 16)

template <class To, class From> static inline To ss_bits(From v)
{
    static_assert(sizeof(To) == sizeof(From), "as many bits as before");
    To to;
    memcpy(&to, &v, sizeof to);
    return to;
}
#define __float_as_uint(v) ss_bits<unsigned>((float)(v))
#define __float_as_int(v) ss_bits<int>((float)(v))
#define __uint_as_float(v) ss_bits<float>((unsigned)(v))
#define __int_as_float(v) ss_bits<float>((int)(v))
#define __double_as_longlong(v) ss_bits<long long>((double)(v))
#define __longlong_as_double(v) ss_bits<double>((long long)(v))

template <class T> static inline T __ldg(const T *p)
{
    return *p;
}
static inline int __popc(unsigned v)
{
    return __builtin_popcount(v);
}
static inline int __clz(int v)
{
    return v ? __builtin_clz((unsigned)v) : 32;
}
static inline int __ffs(int v)
{
    return __builtin_ffs(v);
}
#define SS_MIN_MAX(T)             \
    static inline T min(T a, T b) \
    {                             \
        return b < a ? b : a;     \
    }                             \
    static inline T max(T a, T b) \
    {                             \
        return a < b ? b : a;     \
    }
SS_MIN_MAX(int)
SS_MIN_MAX(unsigned)
SS_MIN_MAX(long)
SS_MIN_MAX(unsigned long)
SS_MIN_MAX(long long)
SS_MIN_MAX(unsigned long long)
