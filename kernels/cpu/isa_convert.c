/* isa_convert.c - 16-bit floats to f32, which is exact, and f32 to any format */
#include "kernels/cpu/isa.h"

/* The 15 magnitude bits, moved to f32's place, are the value times 2^-112, subnormal or not;
 * the largest exponent means inf and NaN in both. */
static inline float f32_of_f16(uint16_t h)
{
    const uint32_t magnitude = h & 0x7fffu;
    const uint32_t special = magnitude >= 0x7c00 ? 0x7f800000u : 0;
    const float value = float_of(magnitude << 13) * 0x1p112f;

    return float_of(bits_of(value) | special | (uint32_t)(h & 0x8000) << 16);
}

void ISA(to_f32)(const void *src, ss_dtype t, float *dst, int64_t n)
{
    const uint16_t *h = src;

    switch (t) {
    case SS_F32: memcpy(dst, src, (size_t)n * sizeof *dst); break;
    case SS_F16:
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            dst[i] = f32_of_f16(h[i]);
        break;
    case SS_BF16:
#pragma omp simd
        for (int64_t i = 0; i < n; i++)
            dst[i] = float_of((uint32_t)h[i] << 16);
        break;
    }
}

/* A format with f32's exponents, such as bf16: its subnormals are f32's, and a carry out of the
 * largest exponent makes inf. */
static void round_fraction(int man_bits, const float *x, float *y, int64_t n)
{
    const int k = 23 - man_bits;
    const uint32_t half = k ? (1u << (k - 1)) - 1 : 0, odd = k ? 1 : 0;
    const uint32_t keep = ~((1u << k) - 1);

#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const uint32_t u = bits_of(x[i]), r = (u + half + (u >> k & odd)) & keep;

        y[i] = float_of(select_u32((u & 0x7fffffff) > 0x7f800000, u, r)); /* a NaN stays */
    }
}

/* format.h defines it; this form has no branch. With k fraction bits less than f32,
 *   normal      adding half of the last kept place, less one unless that place is odd, and
 *               cutting k bits rounds to nearest even; a carry runs into the exponent, as
 *               it should
 *   subnormal   (|x| + c) - c with c = 2^23 * min_subnormal rounds to a multiple of
 *               min_subnormal, because that is the last place of the sum */
void ISA(round_values)(const ss_format *f, const float *x, float *y, int64_t n)
{
    const int k = 23 - f->man_bits;
    const uint32_t half = k ? (1u << (k - 1)) - 1 : 0, odd = k ? 1 : 0;
    const uint32_t keep = ~((1u << k) - 1);
    const float min_normal = (float)f->min_normal, max = (float)f->max;
    const float c = (float)(0x1p23 * f->min_subnormal);
    const uint32_t largest = bits_of(max), inf = 0x7f800000;
    const uint32_t overflow = f->saturate ? largest : f->no_inf ? 0x7fc00000 : inf;

    if (f->exp_bits == 8 && !f->saturate) {
        round_fraction(f->man_bits, x, y, n);
        return;
    }
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const uint32_t u = bits_of(x[i]), magnitude = u & 0x7fffffff;
        const float a = float_of(magnitude);
        const uint32_t normal = (magnitude + half + (magnitude >> k & odd)) & keep;
        const uint32_t small = bits_of((a + c) - c);
        uint32_t r = select_u32(a < min_normal, small, normal);

        r = select_u32(r > largest, overflow, r);
        r = select_u32(magnitude > inf, magnitude, r); /* NaN */
        y[i] = float_of(r | (u & 0x80000000));
    }
}
