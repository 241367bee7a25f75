/* isa.h - for the isa_*.c files, which are compiled once for each instruction set
 *
 * SS_ISA is base (x86-64), v3 (AVX2, FMA) or v4 (AVX-512); ISA(name) is the name with that
 * suffix. Kernels are plain loops that the compiler vectorises; where registers must be
 * tiled by hand they use vf, the set's widest vector of floats.
 */
#ifndef SS_KERNELS_CPU_ISA_H
#define SS_KERNELS_CPU_ISA_H

#include "kernels/cpu/cpu.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#ifndef SS_ISA
#error "SS_ISA must be base, v3 or v4: see the Makefile"
#endif

#define SS_JOIN2(a, b) ss_##a##_##b
#define SS_JOIN(a, b) SS_JOIN2(a, b)
#define ISA(name) SS_JOIN(name, SS_ISA)

#define X(name, params, args) ss_code ISA(name) params;
SS_CPU_KERNELS(X)
#undef X
void ISA(to_f32)(const void *src, ss_dtype t, float *dst, int64_t n);
void ISA(round_values)(const ss_format *f, const float *x, float *y, int64_t n);

/* a * b + c, with one rounding where that is one instruction */
#ifdef __FMA__
#define MADD(a, b, c) fmaf(a, b, c)
#else
#define MADD(a, b, c) ((a) * (b) + (c))
#endif

#if defined __AVX512F__
enum { VL = 16 };
#elif defined __AVX__
enum { VL = 8 };
#else
enum { VL = 4 };
#endif
typedef float vf __attribute__((vector_size(VL * sizeof(float))));
typedef float vf_any __attribute__((vector_size(VL * sizeof(float)), aligned(4)));

static inline vf vf_load(const float *p)
{
    return *(const vf_any *)p;
}

static inline void vf_store(float *p, vf v)
{
    *(vf_any *)p = v;
}

/* a * b + c in every lane */
static inline vf vf_madd(float a, vf b, vf c)
{
#if defined __AVX512F__
    return (vf)_mm512_fmadd_ps(_mm512_set1_ps(a), (__m512)b, (__m512)c);
#elif defined __FMA__
    return (vf)_mm256_fmadd_ps(_mm256_set1_ps(a), (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

static inline int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline uint32_t bits_of(float x)
{
    uint32_t u;

    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float float_of(uint32_t u)
{
    float x;

    memcpy(&x, &u, sizeof x);
    return x;
}

static inline bool is_finite(float x)
{
    return (bits_of(x) & 0x7fffffff) < 0x7f800000;
}

#endif
