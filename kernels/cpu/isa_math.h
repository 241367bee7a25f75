/* isa_math.h - exponential and activations, as scalar code that vectorises
 *
 * Largest errors seen over every 16th float, against double, where the result is a normal
 * number, in units of its last place, with and without fused multiply-add:
 *
 *   exp 1.0   silu 2.4   gelu 7.2 and 8.0 (x > -12.5)   mish 4.3
 *   quick_gelu 3.1   gelu_tanh 3.2 (results above 2^-120)
 *
 * NaN gives NaN, and infinities give what the formula gives in IEEE arithmetic: silu(-inf),
 * gelu(-inf) and mish(-inf) are NaN, as in PyTorch.
 */
#ifndef SS_KERNELS_CPU_ISA_MATH_H
#define SS_KERNELS_CPU_ISA_MATH_H

#include "kernels/act_cases.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_vector.h"

/* e^(x + low) for any x and |low| < 0.06; low may hold what rounding took from x.
 * Cody-Waite: x = n log 2 + r, |r| <= 0.3470, e^r = 1 + r + r^2 q(r) with q of degree 4,
 * minimax in relative error: 3.1e-9 (Remez), 9e-9 with the largest low. Scaling in two steps
 * lets results overflow to inf and underflow gradually. */
static inline float exp_split(float x, float low)
{
    const float round = 0x1.8p23f;

    x = x > 90.0f ? 90.0f : x; /* e^90 is inf, e^-110 is 0 */
    x = x < -110.0f ? -110.0f : x;

    const float t = MADD(x, 0x1.715476p0f, round); /* log2(e) */
    const float n = t - round;
    float r = MADD(n, -0.693359375f, x); /* log 2 in two parts; n times the first is exact */
    r = MADD(n, 2.12194440e-4f, r) + low;

    float q = 0.00138144336514f;
    q = MADD(q, r, 0.00836879667157f);
    q = MADD(q, r, 0.0416683957882f);
    q = MADD(q, r, 0.166665199736f);
    q = MADD(q, r, 0.499999934034f);
    const float p = 1.0f + MADD(q, r * r, r);

    const int32_t k = (int32_t)(bits_of(t) - bits_of(round)); /* n; anything if x is NaN */
    const int32_t half = k >> 1;
    return p * float_of((uint32_t)(half + 127) << 23) * float_of((uint32_t)(k - half + 127) << 23);
}

static inline float exp_f32(float x)
{
    return exp_split(x, 0);
}

/* e^x lane by lane, for x <= 0 or NaN, as softmax needs it; 0 below -87.7. The bits of t end
 * in n + 127, so moving them up gives 2^n, and 0 for n = -127. */
static inline vf vf_exp_nonpositive(vf x)
{
    const vf round = vf_all(0x1.8p23f + 127);

    x = vf_max(vf_all(-88.0f), x);

    const vf t = vf_madd(x, vf_all(0x1.715476p0f), round);
    const vf n = t - round;
    vf r = vf_madd(n, vf_all(-0.693359375f), x);
    r = vf_madd(n, vf_all(2.12194440e-4f), r);

    vf q = vf_madd(vf_all(0.00138144336514f), r, vf_all(0.00836879667157f));
    q = vf_madd(q, r, vf_all(0.0416683957882f));
    q = vf_madd(q, r, vf_all(0.166665199736f));
    q = vf_madd(q, r, vf_all(0.499999934034f));
    return (1.0f + vf_madd(q, r * r, r)) * (vf)((vi)t << 23);
}

static inline float silu_f32(float x)
{
    return x / (1.0f + exp_f32(-x));
}

/* g(a) = Phi(-a) exp(a^2/2), a scaled erfc: a polynomial of degree 10 in t = 1/(1 + 0.3 a),
 * minimax in relative error on [0, 14.5]: 3.0e-9 (Remez). */
static inline float gelu_tail(float a)
{
    const float t = 1.0f / MADD(0.3f, a, 1.0f) - 0.5f;
    float g = -0.020019307863f;
    g = MADD(g, t, 0.0087913054766f);
    g = MADD(g, t, 0.045696104469f);
    g = MADD(g, t, -0.018381723196f);
    g = MADD(g, t, -0.095791060308f);
    g = MADD(g, t, -0.009728793142f);
    g = MADD(g, t, 0.23661180528f);
    g = MADD(g, t, 0.45724047456f);
    g = MADD(g, t, 0.50225837306f);
    g = MADD(g, t, 0.386550096f);
    return MADD(g, t, 0.11098530659f);
}

/* x Phi(x), with small relative error also in the negative tail, where 1 + erf cancels:
 * for a = |x|, Phi(-a) = exp(-a^2/2) g(a). */
static inline float gelu_f32(float x)
{
    /* min(|x|, 14.5), beyond which Phi is 0 or 1 in f32; on bits, so that it is no branch */
    const uint32_t magnitude = bits_of(x) & 0x7fffffff, limit = bits_of(14.5f);
    const float a = float_of(magnitude < limit ? magnitude : limit);

    /* a^2 = h^2 + (a - h)(a + h), h^2 exact: a rounding error of a^2 would grow a^2-fold */
    const float h = float_of(bits_of(a) & 0xfffff000);
    const float phi = gelu_tail(a) * exp_split(-0.5f * h * h, -0.5f * (a - h) * (a + h));
    const float signed_phi = float_of(bits_of(phi) | (bits_of(x) & 0x80000000));
    return x * ((x < 0 ? 0.0f : 1.0f) - signed_phi); /* Phi: phi or 1 - phi, no branch */
}

/* x tanh(log(1 + e^x)) = x w / (w + 2), w = e^x (e^x + 2) */
static inline float mish_f32(float x)
{
    const float e = exp_f32(x > 20.0f ? 20.0f : x); /* beyond, the quotient is 1 */
    const float w = e * (e + 2.0f);

    return x * (w / (w + 2.0f));
}

static inline float relu_f32(float x)
{
    return x < 0 ? 0 : x;
}

/* a b - p, for p = a b rounded: exact */
static inline float product_rest(float a, float b, float p)
{
#ifdef __FMA__
    return fmaf(a, b, -p);
#else /* Dekker 1971: halves of 12 bits, whose products are exact */
    const float ah = float_of(bits_of(a) & 0xfffff000), al = a - ah;
    const float bh = float_of(bits_of(b) & 0xfffff000), bl = b - bh;

    return ((ah * bh - p) + ah * bl + al * bh) + al * bl;
#endif
}

/* min(|x|, most); of a NaN most, and the factor x makes NaN of the result. */
static inline float magnitude_f32(float x, float most)
{
    const uint32_t magnitude = bits_of(x) & 0x7fffffff, limit = bits_of(most);

    return float_of(magnitude < limit ? magnitude : limit);
}

/* e^-v, v = 1.702 |x|, 0 from |x| = 64 on. v is in two parts: what rounding takes from it would be
 * an error of the result's, times the result. */
static inline float quick_gelu_exp(float x)
{
    const float a = magnitude_f32(x, 64.0f), v = 1.702f * a;

    return exp_split(-v, -MADD(-2.19345093e-8f, a, product_rest(1.702f, a, v)));
}

/* e^-v, v = 2 sqrt(2/pi) (|x| + 0.044715 |x|^3) = |x| (a + b x^2), where a, b and each step are in
 * two parts; 0 from |x| = 11 on. */
static inline float gelu_tanh_exp(float x)
{
    const float a = 1.59576917f, a_rest = -4.53406804e-8f;
    const float b = 0.0713548139f, b_rest = 2.3988324e-9f;
    const float z = magnitude_f32(x, 11.0f), s = z * z, s_rest = product_rest(z, z, s);
    const float q = b * s, q_rest = MADD(b, s_rest, product_rest(b, s, q)) + b_rest * s;
    const float t = a + q, of_a = t - q;
    const float t_rest = ((a - of_a) + (q - (t - of_a))) + (q_rest + a_rest);
    const float v = z * t;

    return exp_split(-v, -MADD(z, t_rest, product_rest(z, t, v)));
}

/* x sigmoid(v), e = e^-|v|, v of x's sign */
static inline float gated_f32(float x, float e)
{
    return x * ((x < 0 ? e : 1.0f) / (1.0f + e));
}

static inline float quick_gelu_f32(float x)
{
    return gated_f32(x, quick_gelu_exp(x));
}

static inline float gelu_tanh_f32(float x)
{
    return gated_f32(x, gelu_tanh_exp(x));
}

static inline float gelu_new_f32(float x)
{
    return gelu_tanh_f32(x);
}

static inline float sigmoid_f32(float x)
{
    const float e = exp_f32(x < 0 ? x : -x);

    return (x < 0 ? e : 1.0f) / (1.0f + e);
}

static inline float identity_f32(float x)
{
    return x;
}

/* Derivatives. s = sigmoid(x): s (1 + x (1 - s)); 1 - s = 1 / (1 + e^x) does not cancel. */
static inline float silu_slope(float x)
{
    const float e = exp_f32(-x), s = 1.0f / (1.0f + e);

    /* beyond, e s^2 x is 0 in f32 */
    return s + float_of(select_u32(e > 0x1p100f, 0, bits_of(x * s * (e * s))));
}

/* Phi(x) + x phi(x), by the same polynomial; the normal density phi shares its exponential. */
static inline float gelu_slope(float x)
{
    const uint32_t magnitude = bits_of(x) & 0x7fffffff, limit = bits_of(14.5f);
    const float a = float_of(magnitude < limit ? magnitude : limit);

    const float h = float_of(bits_of(a) & 0xfffff000);
    const float density = exp_split(-0.5f * h * h, -0.5f * (a - h) * (a + h));
    const float tail = gelu_tail(a) * density;
    const float xphi = 0.3989422804f * a * density; /* of |x| */
    const uint32_t slope = select_u32(x < 0, bits_of(tail - xphi), bits_of(1.0f - tail + xphi));
    return float_of(
        select_u32(magnitude > 0x7f800000, bits_of(x), slope)); /* NaN, of which a is not */
}

/* t = tanh(softplus(x)) = w / (w + 2); t + x (1 - t^2) sigmoid(x), 1 - t^2 = 4 (w+1) / (w+2)^2 */
static inline float mish_slope(float x)
{
    const float z = x > 20.0f ? 20.0f : x, e = exp_f32(z);
    const float w = e * (e + 2.0f), r = 1.0f / (w + 2.0f);

    return w * r + z * (4.0f * (w + 1.0f) * r * r) * (e / (1.0f + e));
}

static inline float relu_slope(float x)
{
    return x <= 0 ? 0 : 1; /* NaN: 1, as PyTorch */
}

/* The derivative of that: s (1 + x v' (1 - s)), s = sigmoid(v); beyond |x| = most it is s. */
static inline float gated_slope(float x, float most, float slope, float e)
{
    const float one = 1.0f / (1.0f + e), other = e * one;
    const float low = x < 0 ? other : one, high = x < 0 ? one : other;

    x = x > most ? most : x; /* a NaN stays */
    x = x < -most ? -most : x;
    return low * MADD(x * slope, high, 1.0f);
}

static inline float quick_gelu_slope(float x)
{
    return gated_slope(x, 64.0f, 1.702f, quick_gelu_exp(x));
}

static inline float gelu_tanh_slope(float x)
{
    const float z = magnitude_f32(x, 11.0f);

    return gated_slope(x, 11.0f, MADD(0.214064449f, z * z, 1.59576917f), gelu_tanh_exp(x));
}

static inline float gelu_new_slope(float x)
{
    return gelu_tanh_slope(x);
}

static inline float sigmoid_slope(float x)
{
    const float e = exp_f32(x < 0 ? x : -x), s = 1.0f / (1.0f + e);

    return e * s * s;
}

static inline float identity_slope(float x)
{
    (void)x;
    return 1;
}

#endif
