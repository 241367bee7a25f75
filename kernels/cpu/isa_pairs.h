/* isa_pairs.h - two numbers of bf16 in the place of one float, and their products
 *
 * The first of a pair is in the low half. A sum of products reads pairs of neighbours in both
 * operands and adds both products in f32: exact as those of f32 are, but for subnormals, which
 * count as zero.
 *
 * Functions that use these are PAIRS. Only AVX-512 has them: elsewhere HAVE_PAIRS is false, and no
 * device takes them.
 */
#ifndef SS_KERNELS_CPU_ISA_PAIRS_H
#define SS_KERNELS_CPU_ISA_PAIRS_H

#include "kernels/cpu/isa_vector.h"

#ifdef __AVX512F__
enum { HAVE_PAIRS = true };
#define PAIRS __attribute__((target("avx512bf16")))

/* sum + a0 b0 + a1 b1, lane by lane */
static inline PAIRS vf vf_dot(vf a, vf b, vf sum)
{
    return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}

/* The pairs of 2 VL neighbours, rounded to nearest even: a has the first VL. */
static inline PAIRS vf vf_narrow(vf a, vf b)
{
    return (vf)_mm512_cvtne2ps_pbh((__m512)b, (__m512)a);
}

/* The pairs of each lane of a with that of b. */
static inline PAIRS vf vf_interleave(vf a, vf b)
{
    const vu low = (vu)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)a));
    const vu high = (vu)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)b));

    return (vf)(low | high << 16);
}
#else
enum { HAVE_PAIRS = false };
#define PAIRS

static inline vf vf_dot(vf a, vf b, vf sum)
{
    return (void)a, (void)b, sum;
}

static inline vf vf_narrow(vf a, vf b)
{
    return (void)b, a;
}

static inline vf vf_interleave(vf a, vf b)
{
    return (void)b, a;
}
#endif

/* Pairs to 2 VL neighbours. */
static inline void widen(vf pairs, vf to[2])
{
    float both[2 * VL];

    for (int k = 0; k < VL; k++) {
        const uint32_t u = ((vu)pairs)[k];

        both[2 * k] = float_of(u << 16);
        both[2 * k + 1] = float_of(u & 0xffff0000);
    }
    memcpy(to, both, sizeof both);
}

/* x [n] as pairs, the last one with 0 where n is odd. to may be x. */
static inline PAIRS void narrow_row(const float *x, int64_t n, float *to)
{
    int64_t i = 0;

    for (; i + 2 * VL <= n; i += 2 * VL)
        vf_store(to + i / 2, vf_narrow(vf_load(x + i), vf_load(x + i + VL)));
    if (i < n) {
        float rest[2 * VL] = {0};

        memcpy(rest, x + i, (size_t)(n - i) * sizeof *x);
        const vf pairs = vf_narrow(vf_load(rest), vf_load(rest + VL));
        memcpy(to + i / 2, &pairs, (size_t)(n - i + 1) / 2 * sizeof *to);
    }
}

/* The pairs of a[i] and b[i], or of a[i] and 0. */
static inline PAIRS void narrow_two(const float *a, const float *b, int64_t n, float *to)
{
    int64_t i = 0;

    for (; i + VL <= n; i += VL)
        vf_store(to + i, vf_interleave(vf_load(a + i), b ? vf_load(b + i) : (vf){0}));
    if (i < n) {
        vf low = {0}, high = {0};
        const size_t bytes = (size_t)(n - i) * sizeof *to;

        memcpy(&low, a + i, bytes);
        if (b)
            memcpy(&high, b + i, bytes);
        const vf pairs = vf_interleave(low, high);
        memcpy(to + i, &pairs, bytes);
    }
}

#endif
