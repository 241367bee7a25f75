/* half.h - f32 to IEEE halves (binary16) and back */
#ifndef SS_BASE_HALF_H
#define SS_BASE_HALF_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t ss_half_bits(float x)
{
    uint32_t u;

    memcpy(&u, &x, sizeof u);
    return u;
}

static inline uint32_t ss_half_either(bool c, uint32_t yes, uint32_t no)
{
    const uint32_t mask = -(uint32_t)c;

    return (yes & mask) | (no & ~mask);
}

/* The bits of the IEEE half nearest to x, ties to even; beyond 65520 that of inf, NaN stays NaN. It
 * has no branch, so that loops over it vectorise. */
static inline uint16_t ss_half_from_float(float x)
{
    const uint32_t u = ss_half_bits(x), magnitude = u & 0x7fffffff;
    /* half a step, or a little less when that keeps it even; a carry goes on into the exponent */
    const uint32_t normal = (magnitude + 0xfff + (magnitude >> 13 & 1) - ((127 - 15) << 23)) >> 13;
    /* below 2^-14 the fraction counts steps of 2^-24, as does that of 0.5 */
    const uint32_t small = ss_half_bits(fabsf(x) + 0.5f) - ss_half_bits(0.5f);
    uint32_t h = ss_half_either(magnitude < 0x38800000, small, normal);

    h = ss_half_either(magnitude >= 0x477ff000, 0x7c00, h); /* 65520 and more round to inf */
    h = ss_half_either(magnitude > 0x7f800000, 0x7e00, h);  /* NaN */
    return (uint16_t)(h | (u >> 16 & 0x8000));
}

/* IEEE half: sign, 5 exponent bits of bias 15, 10 fraction bits. Multiplying by 2^112 moves
 * the exponent to f32's bias and makes subnormals normal on the way. */
static inline float ss_half_to_float(uint16_t h)
{
    uint32_t u = (uint32_t)(h & 0x7fff) << 13;
    float f;

    memcpy(&f, &u, sizeof f);
    f *= 0x1p112f;
    memcpy(&u, &f, sizeof u);
    if ((h & 0x7c00) == 0x7c00) /* inf and NaN keep their fraction */
        u |= 0x7f800000;
    u |= (uint32_t)(h & 0x8000) << 16;
    memcpy(&f, &u, sizeof f);
    return f;
}

#endif
