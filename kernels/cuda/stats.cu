// stats.cu - statistics of tensors, and of modulated values that nobody makes
#include "kernels/cuda/stats.cuh"

namespace
{

struct as_it_is {
    __device__ __forceinline__ float operator()(int, float v) const
    {
        return v;
    }
};

// v (1 + scale) of a value's channel, and that + shift; `first` is the channel of the chunk's first
// value.
struct modulated {
    const float *scale;
    unsigned channels, first;
    bool shifted;

    __device__ __forceinline__ float operator()(int at, float v) const
    {
        const unsigned c = (first + (unsigned)at) % channels;
        const float once = v * (1 + scale[c]);

        return shifted ? once + scale[channels + c] : once;
    }
};

} // namespace

KERNEL_AT_ONCE(stats, 4)
{
    SHARED(block_stats, b, 1);
    const int64_t sample = blockIdx.x / a.chunks, chunk = blockIdx.x % a.chunks;

    measure_chunk(a.x + sample * a.length, a.length, chunk, a.chunks, a.exponents, as_it_is(),
                  a.part + sample * a.chunks, a.done + sample,
                  (ss_stats *)(a.out + sample * a.stride), b[0]);
}

// A key of v, not NaN, that increases with it and is over 0.
static __device__ __forceinline__ unsigned key_of(float v)
{
    const unsigned bits = bits_of(v);

    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

static __device__ __forceinline__ unsigned max_of_warp(unsigned v)
{
    UNROLL
    for (int k = 16; k; k >>= 1) {
        const unsigned o = __shfl_xor_sync(FULL_WARP, v, k);

        v = o > v ? o : v;
    }
    return v;
}

// 4 bytes a value. A block sees a chunk, and a warp adds its extremes to those of the sample.
KERNEL(modulated_range)
{
    const int64_t sample = blockIdx.x / a.chunks,
                  begin = blockIdx.x % a.chunks * SS_CUDA_STATS_CHUNK;
    const int64_t rest = a.length - begin;
    const int n = rest < SS_CUDA_STATS_CHUNK ? (int)rest : SS_CUDA_STATS_CHUNK;
    const float *from = a.y + sample * a.length + begin;
    const modulated once = {a.mod + sample * 2 * a.channels, (unsigned)a.channels,
                            (unsigned)(begin % a.channels), false};
    const modulated twice = {once.scale, once.channels, once.first, true};
    unsigned range[4] = {0, 0, 0, 0};
    bool large = false;

    for (int i = (int)threadIdx.x; i < n; i += (int)blockDim.x) {
        const float v = from[i], s = once(i, v), t = twice(i, v);

        if (!(fabsf(s) < a.limit && fabsf(t) < a.limit)) {
            large = true;
            continue;
        }
        const unsigned key[4] = {~key_of(s), key_of(s), ~key_of(t), key_of(t)};

        UNROLL
        for (int k = 0; k < 4; k++)
            range[k] = key[k] > range[k] ? key[k] : range[k];
    }
    const bool any = __any_sync(FULL_WARP, large);

    UNROLL
    for (int k = 0; k < 4; k++)
        range[k] = max_of_warp(range[k]);
    if (threadIdx.x % 32 != 0)
        return;
    if (any)
        atomicOr(a.large, 1u);
    for (int k = 0; k < 4; k++)
        atomicMax(&a.range[sample * 4 + k], range[k]);
}

KERNEL_AT_ONCE(modulated_stats, 3)
{
    SHARED(block_stats, b, 1);
    const int64_t row = blockIdx.x / a.chunks, chunk = blockIdx.x % a.chunks;
    const int64_t sample = row % a.samples;
    const modulated change = {a.mod + sample * 2 * a.channels, (unsigned)a.channels,
                              (unsigned)(chunk * SS_CUDA_STATS_CHUNK % a.channels),
                              row >= a.samples};

    if (!*a.large)
        return;
    measure_chunk(a.y + sample * a.length, a.length, chunk, a.chunks, true, change,
                  a.part + row * a.chunks, a.done + row, a.out + row, b[0]);
}
