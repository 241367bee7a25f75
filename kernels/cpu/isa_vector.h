/* isa_vector.h - the instruction set's widest vectors
 *
 * vf is VL floats, vi and vu as many int32 and uint32, vd half as many doubles; the operators of
 * GCC's vector extension work on them lane by lane, and comparisons give all ones or zero. vb is as
 * many bytes as a vector holds.
 */
#ifndef SS_KERNELS_CPU_ISA_VECTOR_H
#define SS_KERNELS_CPU_ISA_VECTOR_H

#include "kernels/cpu/isa.h"

#include <immintrin.h>

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
typedef uint32_t vu __attribute__((vector_size(VL * sizeof(uint32_t))));
typedef uint8_t vb __attribute__((vector_size(VL * sizeof(float))));
typedef uint8_t vb_any __attribute__((vector_size(VL * sizeof(float)), aligned(1)));
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

/* Operations that vector types lack. vf_max(a, b) is a > b ? a : b, so a NaN in b stays and one in
 * a does not; vf_min likewise. vf_madd is a * b + c. vd_low and vd_high widen half of the lanes. */
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

/* Four values of every fourth row, one after the other. */
static inline VF_INTRINSIC vf_load_quarters(const float *const row[], int64_t j)
{
#if defined __AVX512F__
    const __m512 one = _mm512_castps128_ps512(_mm_loadu_ps(row[0] + j));
    const __m512 two = _mm512_insertf32x4(one, _mm_loadu_ps(row[4] + j), 1);

    return _mm512_insertf32x4(_mm512_insertf32x4(two, _mm_loadu_ps(row[8] + j), 2),
                              _mm_loadu_ps(row[12] + j), 3);
#elif defined __AVX__
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(row[0] + j)),
                                _mm_loadu_ps(row[4] + j), 1);
#else
    return _mm_loadu_ps(row[0] + j);
#endif
}

/* m[0..3] = the columns of the rows a to d, in each quarter. */
static inline void vf_turn_quarters(VF_INTRINSIC a, VF_INTRINSIC b, VF_INTRINSIC c, VF_INTRINSIC d,
                                    vf m[4])
{
    const VF_INTRINSIC ab = VF_OP(unpacklo)(a, b), cd = VF_OP(unpacklo)(c, d);
    const VF_INTRINSIC ab_high = VF_OP(unpackhi)(a, b), cd_high = VF_OP(unpackhi)(c, d);

    m[0] = (vf)VF_OP(shuffle)(ab, cd, 0x44);
    m[1] = (vf)VF_OP(shuffle)(ab, cd, 0xee);
    m[2] = (vf)VF_OP(shuffle)(ab_high, cd_high, 0x44);
    m[3] = (vf)VF_OP(shuffle)(ab_high, cd_high, 0xee);
}

/* m[j] = value j of each row: VL rows of which VL values are read. */
static inline void vf_load_columns(const float *const row[VL], vf m[VL])
{
    for (int j = 0; j < VL; j += 4)
        vf_turn_quarters(vf_load_quarters(row, j), vf_load_quarters(row + 1, j),
                         vf_load_quarters(row + 2, j), vf_load_quarters(row + 3, j), m + j);
}

/* The same of rows of 16-bit floats, where the instructions are there. */
#if defined __AVX2__ && defined __F16C__
#define HAVE_WIDE_COLUMNS 1
static inline __m128i vh_load_two(const uint16_t *a, const uint16_t *b)
{
    return _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)a),
                              _mm_loadl_epi64((const __m128i *)b));
}

static inline VF_INTRINSIC vf_widen_quarters(const uint16_t *const row[], int64_t j, bool bf16)
{
    const __m128i low = vh_load_two(row[0] + j, row[4] + j);
#ifdef __AVX512F__
    const __m256i all = _mm256_inserti128_si256(_mm256_castsi128_si256(low),
                                                vh_load_two(row[8] + j, row[12] + j), 1);

    return bf16 ? _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(all), 16))
                : _mm512_cvtph_ps(all);
#else
    return bf16 ? _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(low), 16))
                : _mm256_cvtph_ps(low);
#endif
}

static inline void vf_widen_columns(const uint16_t *const row[VL], bool bf16, vf m[VL])
{
    for (int j = 0; j < VL; j += 4)
        vf_turn_quarters(vf_widen_quarters(row, j, bf16), vf_widen_quarters(row + 1, j, bf16),
                         vf_widen_quarters(row + 2, j, bf16), vf_widen_quarters(row + 3, j, bf16),
                         m + j);
}
#else
#define HAVE_WIDE_COLUMNS 0
#endif

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

static inline vd vd_madd(vd a, vd b, vd c)
{
#if defined __AVX512F__
    return (vd)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined __FMA__
    return (vd)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
    return a * b + c;
#endif
}

static inline vb vb_load(const uint8_t *p)
{
    return *(const vb_any *)p;
}

#if defined __AVX512F__
#define VB_OP(op) _mm512_##op
#define VB_INTRINSIC __m512i
#elif defined __AVX2__
#define VB_OP(op) _mm256_##op
#define VB_INTRINSIC __m256i
#else
#define VB_OP(op) _mm_##op
#define VB_INTRINSIC __m128i
#endif

static inline vb vb_max(vb a, vb b)
{
    return (vb)VB_OP(max_epu8)((VB_INTRINSIC)a, (VB_INTRINSIC)b);
}

/* The exponents of all four, in some order. */
static inline vb vb_exponents(vf a, vf b, vf c, vf d)
{
    const vu ab = ((vu)a >> 23 & 0xff) | ((vu)b >> 15 & ~0xffU);
    const vu cd = ((vu)c >> 7 & 0xff0000) | ((vu)d << 1 & ~0xff0000U);

    return (vb)((ab & 0xffff) | (cd & ~0xffffU));
}

static inline vb vb_min(vb a, vb b)
{
    return (vb)VB_OP(min_epu8)((VB_INTRINSIC)a, (VB_INTRINSIC)b);
}

/* Bit i says whether byte i of x is less than y's. */
static inline uint64_t vb_less(vb x, vb y)
{
#if defined __AVX512F__
    return _mm512_cmplt_epu8_mask((__m512i)x, (__m512i)y);
#else
    return (uint32_t)VB_OP(movemask_epi8)((VB_INTRINSIC)(vb)(x < y));
#endif
}

#if defined __SSSE3__
/* 16 bytes, repeated */
static inline vb vb_table(const uint8_t t[16])
{
    vb all;

    for (size_t i = 0; i < sizeof all; i += 16)
        memcpy((char *)&all + i, t, 16);
    return all;
}

/* table[x], where x < 16 */
static inline vb vb_look_up(vb table, vb x)
{
    return (vb)VB_OP(shuffle_epi8)((VB_INTRINSIC)table, (VB_INTRINSIC)x);
}
#endif

typedef uint64_t vq __attribute__((vector_size(sizeof(vb))));

/* Sums of each eight bytes. */
static inline vq vb_eights(vb x)
{
    return (vq)VB_OP(sad_epu8)((VB_INTRINSIC)x, (VB_INTRINSIC)(vb){0});
}

static inline uint64_t vq_sum(vq x)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < sizeof x / sizeof x[0]; i++)
        sum += x[i];
    return sum;
}

/* Sum of the bytes; and of four vectors at once, as each is less than 2^16. */
static inline uint32_t vb_sum(vb x)
{
    return (uint32_t)vq_sum(vb_eights(x));
}

static inline void vb_sums(const vb x[4], uint32_t sum[4])
{
    const uint64_t all = vq_sum(vb_eights(x[0]) | vb_eights(x[1]) << 16 | vb_eights(x[2]) << 32 |
                                vb_eights(x[3]) << 48);

    for (int i = 0; i < 4; i++)
        sum[i] = (uint32_t)(all >> 16 * i & 0xffff);
}

static inline double vd_sum(vd x)
{
    double s = 0;

    for (int i = 0; i < VD; i++)
        s += x[i];
    return s;
}

#endif
