// math.cuh - exponential, logarithm, activations and their slopes, rounding to a number format
//
// The same polynomials, special cases and order of operations as kernels/cpu/isa_math.h and
// isa_convert.c, where they are explained, so that a value has the same bits on the GPU, in the
// emulator and on a CPU with fused multiply-add. Largest errors, in units of the last place:
//
//   exp 1.0   silu 2.4   gelu 7.2 (x > -12.5)   mish 4.3   log 0.9   log of double 0.9
//   quick_gelu 3.1   gelu_tanh 3.2 (results above 2^-120)
//
// NaN gives NaN, and infinities give what the formula gives: silu(-inf), gelu(-inf) and mish(-inf)
// are NaN, as in PyTorch.
#pragma once

#include "kernels/cuda/rounding.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#if !defined(__CUDACC__) && !defined(__device__)
#define __device__
#endif

// ---- bits ----

__device__ inline uint32_t bits_of(float x)
{
    uint32_t u;

    memcpy(&u, &x, sizeof u);
    return u;
}

__device__ inline float float_of(uint32_t u)
{
    float x;

    memcpy(&x, &u, sizeof x);
    return x;
}

__device__ inline uint64_t bits_of_double(double x)
{
    uint64_t u;

    memcpy(&u, &x, sizeof u);
    return u;
}

__device__ inline double double_of(uint64_t u)
{
    double x;

    memcpy(&x, &u, sizeof x);
    return x;
}

__device__ inline float abs_f32(float x)
{
    return float_of(bits_of(x) & 0x7fffffff);
}

__device__ inline bool is_finite(float x)
{
    return (bits_of(x) & 0x7fffffff) < 0x7f800000;
}

__device__ inline bool is_nan(float x)
{
    return (bits_of(x) & 0x7fffffff) > 0x7f800000;
}

// ---- exponential ----

// e^(x + low) for any x and |low| < 0.06; low may hold what rounding took from x.
__device__ inline float exp_split(float x, float low)
{
    const float round = 0x1.8p23f;

    x = x > 90.0f ? 90.0f : x; // e^90 is inf, e^-110 is 0
    x = x < -110.0f ? -110.0f : x;

    const float t = fmaf(x, 0x1.715476p0f, round); // log2(e)
    const float n = t - round;
    float r = fmaf(n, -0.693359375f, x); // log 2 in two parts; n times the first is exact
    r = fmaf(n, 2.12194440e-4f, r) + low;

    float q = 0.00138144336514f;
    q = fmaf(q, r, 0.00836879667157f);
    q = fmaf(q, r, 0.0416683957882f);
    q = fmaf(q, r, 0.166665199736f);
    q = fmaf(q, r, 0.499999934034f);
    const float p = 1.0f + fmaf(q, r * r, r);

    const int32_t k = (int32_t)(bits_of(t) - bits_of(round)); // n; anything if x is NaN
    const int32_t half = k >> 1;
    return p * float_of((uint32_t)(half + 127) << 23) * float_of((uint32_t)(k - half + 127) << 23);
}

__device__ inline float exp_f32(float x)
{
    return exp_split(x, 0);
}

// e^x for x <= 0 or NaN, as softmax needs it; 0 below -87.7
__device__ inline float exp_nonpositive(float x)
{
    const float round = 0x1.8p23f + 127; // so that the bits of t end in n + 127

    x = -88.0f > x ? -88.0f : x;

    const float t = fmaf(x, 0x1.715476p0f, round);
    const float n = t - round;
    float r = fmaf(n, -0.693359375f, x);
    r = fmaf(n, 2.12194440e-4f, r);

    float q = fmaf(0.00138144336514f, r, 0.00836879667157f);
    q = fmaf(q, r, 0.0416683957882f);
    q = fmaf(q, r, 0.166665199736f);
    q = fmaf(q, r, 0.499999934034f);
    return (1.0f + fmaf(q, r * r, r)) * float_of(bits_of(t) << 23);
}

// ---- logarithm ----
//
// x = 2^n (1 + f), sqrt(1/2) <= 1 + f < sqrt(2); s = f / (2 + f), |s| < 0.1716;
// log(1 + f) = 2 atanh(s) = f - (f^2/2 - s (f^2/2 + R)), R = sum over k > 0 of 2 s^2k / (2k + 1):
// the form of fdlibm, whose large term f is exact. Cut where the rest is below 2^-26 and 2^-56 of
// the result. n log 2 is in two parts, of which n times the first is exact. log(0) = -inf, of what
// is less NaN.

__device__ inline float log_f32(float x)
{
    const uint32_t root = 0x3f3504f3; // sqrt(1/2)
    uint32_t u = bits_of(x);
    float n = 0;

    if (!(x > 0) || u >= 0x7f800000)
        return x == 0 ? float_of(0xff800000) : x > 0 ? x : is_nan(x) ? x : float_of(0x7fc00000);
    if (u < 0x00800000) {
        u = bits_of(x * 0x1p23f);
        n = -23;
    }
    u += 0x3f800000 - root;
    n += (float)((int32_t)(u >> 23) - 127);
    const float f = float_of((u & 0x007fffff) + root) - 1.0f;

    const float s = f / (2.0f + f), z = s * s, half = 0.5f * f * f;
    float r = fmaf(z, 0.2222222222f, 0.2857142857f); // 2/9, 2/7
    r = fmaf(r, z, 0.4f);
    r = fmaf(r, z, 0.6666666667f) * z;
    return fmaf(n, 0.693359375f, f - (half - fmaf(s, half + r, n * -2.12194440e-4f)));
}

__device__ inline double log_f64(double x)
{
    const uint64_t root = 0x3fe6a09e667f3bcd; // sqrt(1/2)
    uint64_t u = bits_of_double(x);
    double n = 0;

    if (!(x > 0) || u >= 0x7ff0000000000000)
        return x == 0  ? double_of(0xfff0000000000000)
               : x > 0 ? x
               : x < 0 ? double_of(0x7ff8000000000000)
                       : x;
    if (u < 0x0010000000000000) {
        u = bits_of_double(x * 0x1p54);
        n = -54;
    }
    u += 0x3ff0000000000000 - root;
    n += (double)((int32_t)(u >> 52) - 1023);
    const double f = double_of((u & 0x000fffffffffffff) + root) - 1.0;

    const double s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
    double r = 2.0 / 21;
    r = fma(r, z, 2.0 / 19);
    r = fma(r, z, 2.0 / 17);
    r = fma(r, z, 2.0 / 15);
    r = fma(r, z, 2.0 / 13);
    r = fma(r, z, 2.0 / 11);
    r = fma(r, z, 2.0 / 9);
    r = fma(r, z, 2.0 / 7);
    r = fma(r, z, 2.0 / 5);
    r = fma(r, z, 2.0 / 3) * z;
    // log 2 = 0x1.62e42feep-1 + 0x1.a39ef35793c76p-33, the first with 32 bits
    return fma(n, 0.693147180369123816490,
               f - (half - fma(s, half + r, n * 1.90821492927058770002e-10)));
}

// ---- activations ----

__device__ inline float silu_f32(float x)
{
    return x / (1.0f + exp_f32(-x));
}

// Phi(-a) exp(a^2/2) for 0 <= a <= 14.5
__device__ inline float gelu_tail(float a)
{
    const float t = 1.0f / fmaf(0.3f, a, 1.0f) - 0.5f;
    float g = -0.020019307863f;
    g = fmaf(g, t, 0.0087913054766f);
    g = fmaf(g, t, 0.045696104469f);
    g = fmaf(g, t, -0.018381723196f);
    g = fmaf(g, t, -0.095791060308f);
    g = fmaf(g, t, -0.009728793142f);
    g = fmaf(g, t, 0.23661180528f);
    g = fmaf(g, t, 0.45724047456f);
    g = fmaf(g, t, 0.50225837306f);
    g = fmaf(g, t, 0.386550096f);
    return fmaf(g, t, 0.11098530659f);
}

// min(|x|, 14.5); of a NaN 14.5, and the factor x makes NaN of the result
__device__ inline float gelu_limit(float x)
{
    const uint32_t magnitude = bits_of(x) & 0x7fffffff, limit = bits_of(14.5f);

    return float_of(magnitude < limit ? magnitude : limit);
}

// exp(-a^2/2); a^2 = h^2 + (a - h)(a + h), h^2 exact
__device__ inline float gelu_density(float a)
{
    const float h = float_of(bits_of(a) & 0xfffff000);

    return exp_split(-0.5f * h * h, -0.5f * (a - h) * (a + h));
}

__device__ inline float gelu_f32(float x)
{
    const float a = gelu_limit(x), phi = gelu_tail(a) * gelu_density(a);
    const float signed_phi = float_of(bits_of(phi) | (bits_of(x) & 0x80000000));

    return x * ((x < 0 ? 0.0f : 1.0f) - signed_phi);
}

__device__ inline float mish_f32(float x)
{
    const float e = exp_f32(x > 20.0f ? 20.0f : x); // beyond, the quotient is 1
    const float w = e * (e + 2.0f);

    return x * (w / (w + 2.0f));
}

__device__ inline float relu_f32(float x)
{
    return x < 0 ? 0 : x;
}

// a b - p, for p = a b rounded: exact
__device__ inline float product_rest(float a, float b, float p)
{
    return fmaf(a, b, -p);
}

// min(|x|, most); of a NaN most, and the factor x makes NaN of the result.
__device__ inline float magnitude_f32(float x, float most)
{
    const uint32_t magnitude = bits_of(x) & 0x7fffffff, limit = bits_of(most);

    return float_of(magnitude < limit ? magnitude : limit);
}

// e^-v, v = 1.702 |x|, 0 from |x| = 64 on. v is in two parts: what rounding takes from it would be
// an error of the result's, times the result.
__device__ inline float quick_gelu_exp(float x)
{
    const float a = magnitude_f32(x, 64.0f), v = 1.702f * a;

    return exp_split(-v, -fmaf(-2.19345093e-8f, a, product_rest(1.702f, a, v)));
}

// e^-v, v = 2 sqrt(2/pi) (|x| + 0.044715 |x|^3) = |x| (a + b x^2), where a, b and each step are in
// two parts; 0 from |x| = 11 on.
__device__ inline float gelu_tanh_exp(float x)
{
    const float a = 1.59576917f, a_rest = -4.53406804e-8f;
    const float b = 0.0713548139f, b_rest = 2.3988324e-9f;
    const float z = magnitude_f32(x, 11.0f), s = z * z, s_rest = product_rest(z, z, s);
    const float q = b * s, q_rest = fmaf(b, s_rest, product_rest(b, s, q)) + b_rest * s;
    const float t = a + q, of_a = t - q;
    const float t_rest = ((a - of_a) + (q - (t - of_a))) + (q_rest + a_rest);
    const float v = z * t;

    return exp_split(-v, -fmaf(z, t_rest, product_rest(z, t, v)));
}

// x sigmoid(v), e = e^-|v|, v of x's sign
__device__ inline float gated_f32(float x, float e)
{
    return x * ((x < 0 ? e : 1.0f) / (1.0f + e));
}

__device__ inline float quick_gelu_f32(float x)
{
    return gated_f32(x, quick_gelu_exp(x));
}

__device__ inline float gelu_tanh_f32(float x)
{
    return gated_f32(x, gelu_tanh_exp(x));
}

__device__ inline float gelu_new_f32(float x)
{
    return gelu_tanh_f32(x);
}

__device__ inline float sigmoid_f32(float x)
{
    const float e = exp_f32(x < 0 ? x : -x);

    return (x < 0 ? e : 1.0f) / (1.0f + e);
}

__device__ inline float identity_f32(float x)
{
    return x;
}

// ---- slopes ----

__device__ inline float silu_slope(float x)
{
    const float e = exp_f32(-x), s = 1.0f / (1.0f + e);

    return s + (e > 0x1p100f ? 0.0f : x * s * (e * s)); // beyond, e s^2 x is 0 in f32
}

__device__ inline float gelu_slope(float x)
{
    const float a = gelu_limit(x), density = gelu_density(a);
    const float tail = gelu_tail(a) * density;
    const float xphi = 0.3989422804f * a * density; // of |x|

    return is_nan(x) ? x : x < 0 ? tail - xphi : 1.0f - tail + xphi;
}

__device__ inline float mish_slope(float x)
{
    const float z = x > 20.0f ? 20.0f : x, e = exp_f32(z);
    const float w = e * (e + 2.0f), r = 1.0f / (w + 2.0f);

    return w * r + z * (4.0f * (w + 1.0f) * r * r) * (e / (1.0f + e));
}

__device__ inline float relu_slope(float x)
{
    return x <= 0 ? 0 : 1; // NaN: 1, as PyTorch
}

// The derivative of that: s (1 + x v' (1 - s)), s = sigmoid(v); beyond |x| = most it is s.
__device__ inline float gated_slope(float x, float most, float slope, float e)
{
    const float one = 1.0f / (1.0f + e), other = e * one;
    const float low = x < 0 ? other : one, high = x < 0 ? one : other;

    x = x > most ? most : x; // a NaN stays
    x = x < -most ? -most : x;
    return low * fmaf(x * slope, high, 1.0f);
}

__device__ inline float quick_gelu_slope(float x)
{
    return gated_slope(x, 64.0f, 1.702f, quick_gelu_exp(x));
}

__device__ inline float gelu_tanh_slope(float x)
{
    const float z = magnitude_f32(x, 11.0f);

    return gated_slope(x, 11.0f, fmaf(0.214064449f, z * z, 1.59576917f), gelu_tanh_exp(x));
}

__device__ inline float gelu_new_slope(float x)
{
    return gelu_tanh_slope(x);
}

__device__ inline float sigmoid_slope(float x)
{
    const float e = exp_f32(x < 0 ? x : -x), s = 1.0f / (1.0f + e);

    return e * s * s;
}

__device__ inline float identity_slope(float x)
{
    (void)x;
    return 1;
}

// ---- number formats ----

// The value rounded to the format, as base/format.h defines it and isa_convert.c does.
__device__ inline float round_f32(ss_cuda_rounding f, float x)
{
    const uint32_t u = bits_of(x), magnitude = u & 0x7fffffff;
    const uint32_t half = f.cut ? (1u << (f.cut - 1)) - 1 : 0, odd = f.cut ? 1 : 0;

    if (magnitude > 0x7f800000)
        return x; // NaN
    uint32_t r = (magnitude + half + (magnitude >> f.cut & odd)) & ~((1u << f.cut) - 1);
    if (f.narrow) {
        const float a = float_of(magnitude);

        r = a < f.min_normal ? bits_of((a + f.shift) - f.shift) : r;
        r = r > f.largest ? f.overflow : r;
    }
    return float_of(r | (u & 0x80000000));
}

// Exact, as f32 holds all numbers of both types.
__device__ inline float f32_of_f16(uint16_t h)
{
    const uint32_t magnitude = h & 0x7fffu, special = magnitude >= 0x7c00 ? 0x7f800000u : 0;
    const float value = float_of(magnitude << 13) * 0x1p112f;

    return float_of(bits_of(value) | special | (uint32_t)(h & 0x8000) << 16);
}

__device__ inline float f32_of_bf16(uint16_t h)
{
    return float_of((uint32_t)h << 16);
}
