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
enum { VD = VL / 2 };
typedef float vf __attribute__((vector_size(VL * sizeof(float))));
typedef int32_t vi __attribute__((vector_size(VL * sizeof(int32_t))));
typedef double vd __attribute__((vector_size(VD * sizeof(double))));
typedef float vf_any __attribute__((vector_size(VL * sizeof(float)), aligned(4)));

static inline vf vf_load(const float *p)
{
    return *(const vf_any *)p;
}

static inline void vf_store(float *p, vf v)
{
    *(vf_any *)p = v;
}

/* The same value in every lane. */
static inline vf vf_all(float x)
{
    return x - (vf){0};
}

/* b where c is all ones, a where it is zero */
static inline vf vf_select(vi c, vf a, vf b)
{
    return (vf)(((vi)a & ~c) | ((vi)b & c));
}

static inline vi vf_is_finite(vf x)
{
    return ((vi)x & 0x7fffffff) < 0x7f800000;
}

/* What the language lacks. vf_max(a, b) is a > b ? a : b, so a NaN in b stays and one in a
 * does not; vf_min likewise. vf_madd is a * b + c. vd_low and vd_high widen half of the
 * lanes. */
#if defined __AVX512F__
#define VF_OP(op) _mm512_##op##_ps
#define VF_INTRINSIC __m512
#elif defined __AVX__
#define VF_OP(op) _mm256_##op##_ps
#define VF_INTRINSIC __m256
#else
#define VF_OP(op) _mm_##op##_ps
#define VF_INTRINSIC __m128
#endif

static inline vf vf_max(vf a, vf b)
{
    return (vf)VF_OP(max)((VF_INTRINSIC)a, (VF_INTRINSIC)b);
}

static inline vf vf_min(vf a, vf b)
{
    return (vf)VF_OP(min)((VF_INTRINSIC)a, (VF_INTRINSIC)b);
}

static inline vf vf_madd(vf a, vf b, vf c)
{
#ifdef __FMA__
    return (vf)VF_OP(fmadd)((VF_INTRINSIC)a, (VF_INTRINSIC)b, (VF_INTRINSIC)c);
#else
    return a * b + c;
#endif
}

static inline vd vd_low(vf x)
{
#if defined __AVX512F__
    return (vd)_mm512_cvtps_pd(_mm512_castps512_ps256((__m512)x));
#elif defined __AVX__
    return (vd)_mm256_cvtps_pd(_mm256_castps256_ps128((__m256)x));
#else
    return (vd)_mm_cvtps_pd((__m128)x);
#endif
}

static inline vd vd_high(vf x)
{
#if defined __AVX512F__
    return (vd)_mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)x, 1));
#elif defined __AVX__
    return (vd)_mm256_cvtps_pd(_mm256_extractf128_ps((__m256)x, 1));
#else
    return (vd)_mm_cvtps_pd(_mm_movehl_ps((__m128)x, (__m128)x));
#endif
}

typedef double vd_any __attribute__((vector_size(VD * sizeof(double)), aligned(8)));

static inline vd vd_load(const double *p)
{
    return *(const vd_any *)p;
}

static inline void vd_store(double *p, vd v)
{
    *(vd_any *)p = v;
}

/* VD floats, widened */
static inline vd vd_of(const float *p)
{
#if defined __AVX512F__
    return (vd)_mm512_cvtps_pd(_mm256_loadu_ps(p));
#elif defined __AVX__
    return (vd)_mm256_cvtps_pd(_mm_loadu_ps(p));
#else
    return (vd){p[0], p[1]};
#endif
}

static inline double vd_sum(vd x)
{
    double s = 0;

    for (int i = 0; i < VD; i++)
        s += x[i];
    return s;
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

/* c ? a : b, in a form in which the compiler cannot put a computation under the condition,
 * where it would not vectorise. */
static inline uint32_t select_u32(bool c, uint32_t a, uint32_t b)
{
    const uint32_t mask = -(uint32_t)c;

    return (a & mask) | (b & ~mask);
}

static inline bool is_finite(float x)
{
    return (bits_of(x) & 0x7fffffff) < 0x7f800000;
}

#endif
