/* rng.c - see rng.h
 *
 * Philox4x32-10: the counter is {i low, i high, stream low, stream high}, the key is
 * {seed low, seed high}; ten rounds of two 32x32-bit products and a swap.
 *
 * The normal law's inverse is a quotient of two polynomials in the middle and in the tails.
 * Every operation below is +, -, *, / or sqrt on doubles, which IEEE 754 rounds
 * exactly, so any machine that does not contract them draws the same bits.
 */
#include "base/rng.h"

#include <math.h>
#include <string.h>

/* The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection that spreads every bit. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

ss_rng ss_rng_stream(uint64_t seed, const char *name, uint64_t a, uint64_t b)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a over the name */

    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    return (ss_rng){seed, mix(mix(mix(h) ^ a) ^ b)};
}

void ss_rng_block(ss_rng r, uint64_t i, uint32_t out[4])
{
    uint32_t c[4] = {(uint32_t)i, (uint32_t)(i >> 32), (uint32_t)r.stream,
                     (uint32_t)(r.stream >> 32)};
    uint32_t k0 = (uint32_t)r.seed, k1 = (uint32_t)(r.seed >> 32);

    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xd2511f53u * c[0], p1 = (uint64_t)0xcd9e8d57u * c[2];

        c[0] = (uint32_t)(p1 >> 32) ^ c[1] ^ k0;
        c[1] = (uint32_t)p1;
        c[2] = (uint32_t)(p0 >> 32) ^ c[3] ^ k1;
        c[3] = (uint32_t)p0;
        k0 += 0x9e3779b9u; /* golden ratio */
        k1 += 0xbb67ae85u; /* sqrt(3) - 1 */
    }
    memcpy(out, c, sizeof c);
}

uint32_t ss_rng_u32(ss_rng r, uint64_t i)
{
    uint32_t word[4];

    ss_rng_block(r, i / 4, word);
    return word[i % 4];
}

static double uniform(uint32_t word)
{
    return (word + 0.5) * 0x1p-32;
}

double ss_rng_uniform(ss_rng r, uint64_t i)
{
    return uniform(ss_rng_u32(r, i));
}

/* log x for a normal x > 0: x = m 2^e with m in [sqrt(1/2), sqrt(2)), and
 *   log m = 2 (s + s^3/3 + s^5/5 + ...),  s = (m - 1)/(m + 1),  |s| < 0.1716;
 * what is left out after s^21 is below 3e-18. Worst relative error seen: 2e-16. */
static double portable_log(double x)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof bits);
    /* Shifts the exponent's beginning to sqrt(1/2), so that its field counts e exactly. */
    int64_t shifted = (int64_t)(bits - 0x3fe6a09e667f3bcdu);
    int64_t e = shifted >> 52;
    double m, s, z, sum = 0;

    bits -= (uint64_t)e << 52;
    memcpy(&m, &bits, sizeof m);
    s = (m - 1) / (m + 1);
    z = s * s;
    for (int k = 21; k >= 3; k -= 2)
        sum = (sum + 1.0 / k) * z;
    return (double)e * 0x1.62e42fefa39efp-1 + 2 * (s + s * sum);
}

/* c[0] + c[1] x + ... + c[7] x^7 */
static double poly7(const double c[8], double x)
{
    double y = c[7];

    for (int i = 6; i >= 0; i--)
        y = y * x + c[i];
    return y;
}

/* z with Phi(z) = p: Wichura's PPND16, relative error about 1e-16. Its third range begins
 * at p = exp(-25), 6.7 standard deviations out; ours ends at p = 2^-33, so two suffice. */
static double inverse_normal(double p)
{
    static const double a[8] = {3.3871328727963666080e0,  1.3314166789178437745e+2,
                                1.9715909503065514427e+3, 1.3731693765509461125e+4,
                                4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                3.3430575583588128105e+4, 2.5090809287301226727e+3};
    static const double b[8] = {1.0,
                                4.2313330701600911252e+1,
                                6.8718700749205790830e+2,
                                5.3941960214247511077e+3,
                                2.1213794301586595867e+4,
                                3.9307895800092710610e+4,
                                2.8729085735721942674e+4,
                                5.2264952788528545610e+3};
    static const double c[8] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                                5.76949722146069140550e0,  3.64784832476320460504e0,
                                1.27045825245236838258e0,  2.41780725177450611770e-1,
                                2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double d[8] = {1.0,
                                2.05319162663775882187e0,
                                1.67638483018380384940e0,
                                6.89767334985100004550e-1,
                                1.48103976427480074590e-1,
                                1.51986665636164571966e-2,
                                5.47593808499534494600e-4,
                                1.05075007164441684324e-9};
    double q = p - 0.5;

    if (fabs(q) <= 0.425) {
        double r = 0.180625 - q * q;

        return q * poly7(a, r) / poly7(b, r);
    }
    double r = sqrt(-portable_log(q < 0 ? p : 1 - p)) - 1.6;
    double z = poly7(c, r) / poly7(d, r);

    return q < 0 ? -z : z;
}

double ss_rng_normal(ss_rng r, uint64_t i)
{
    return inverse_normal(ss_rng_uniform(r, i));
}

void ss_rng_normals(ss_rng r, uint64_t first, float *x, size_t n)
{
    uint32_t word[4];

    for (size_t k = 0; k < n; k++) {
        uint64_t i = first + k;

        if (k == 0 || i % 4 == 0)
            ss_rng_block(r, i / 4, word);
        x[k] = (float)inverse_normal(uniform(word[i % 4]));
    }
}
