/* keep.h - what a parameter, or a moment of it, becomes where it is kept in 16 bits; on every
 * device the same
 *
 * Values stay in memory of f32 and are numbers of the format: rounded to nearest, ties to even, or
 * stochastically: to one of the two neighbours a <= x <= b, to b with probability (x - a) / (b -
 * a), so that the mean is x (Gupta et al. 2015). A change smaller than half the distance of
 * neighbours is lost by the first and kept on average by the second.
 *
 * Random bits depend on the tensor and the step, by `key`, and on the place in the tensor: any
 * device and any number of threads draws the same. They are SplitMix64's (Steele et al. 2014), as a
 * function of its counter.
 */
#ifndef SS_KERNELS_KEEP_H
#define SS_KERNELS_KEEP_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define SS_KEEP_FUNCTION static __host__ __device__ __forceinline__
#else
#define SS_KEEP_FUNCTION static inline
#endif

#define SS_KEPT(X)  \
    X(F32, "f32")   \
    X(BF16, "bf16") \
    X(FP16, "fp16")
#define X(name, text) SS_KEPT_##name,
typedef enum { SS_KEPT(X) SS_N_KEPT } ss_kept;
#undef X

/* 32 random bits of value i; `what` tells a weight's from those of its moments. */
SS_KEEP_FUNCTION uint32_t ss_keep_bits(uint64_t key, int64_t i, unsigned what)
{
    uint64_t z = key + ((uint64_t)i * 4 + what + 1) * UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

/* x as bfloat16: its upper half. `random` as 16 bits are added below it, or half of its last place.
 */
SS_KEEP_FUNCTION float ss_keep_bf16(float x, bool stochastic, uint32_t random)
{
    uint32_t u;

    memcpy(&u, &x, sizeof u);
    if ((u & 0x7f800000) == 0x7f800000) /* inf and NaN */
        return x;
    u += stochastic ? random >> 16 : 0x7fff + (u >> 16 & 1);
    u &= 0xffff0000;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* x as IEEE's binary16, inf beyond its largest number: rounded in units of its last place, which
 * below 2^-14 are those of subnormal numbers. */
SS_KEEP_FUNCTION float ss_keep_fp16(float x, bool stochastic, uint32_t random)
{
    uint32_t u, exponent, unit_bits, inverse_bits;
    float unit, inverse, q, whole;

    memcpy(&u, &x, sizeof u);
    exponent = u >> 23 & 0xff;
    if (exponent == 0xff)
        return x;
    if (exponent < 127 - 14)
        exponent = 127 - 14;
    unit_bits = (exponent - 10) << 23;
    inverse_bits = (254 - exponent + 10) << 23;
    memcpy(&unit, &unit_bits, sizeof unit);
    memcpy(&inverse, &inverse_bits, sizeof inverse);
    q = x * inverse; /* exact */
    whole = floorf(q);
    q = stochastic ? whole + (float)((float)(random >> 8) * 0x1p-24f < q - whole) : rintf(q);
    q *= unit;
    return q > 65504 ? INFINITY : q < -65504 ? -INFINITY : q;
}

SS_KEEP_FUNCTION float ss_keep_value(ss_kept format, bool stochastic, uint64_t key, int64_t i,
                                     unsigned what, float x)
{
    const uint32_t random = stochastic ? ss_keep_bits(key, i, what) : 0;

    if (format == SS_KEPT_BF16)
        return ss_keep_bf16(x, stochastic, random);
    return format == SS_KEPT_FP16 ? ss_keep_fp16(x, stochastic, random) : x;
}

#endif
