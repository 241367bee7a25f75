/* isa.h - for the isa_*.c files, which are compiled once for each instruction set
 *
 * SS_ISA is base (x86-64), v3 (AVX2, FMA) or v4 (AVX-512); ISA(name) is the name with that
 * suffix. Kernels are plain loops that the compiler vectorises; where registers must be
 * tiled by hand they use isa_vector.h.
 */
#ifndef SS_KERNELS_CPU_ISA_H
#define SS_KERNELS_CPU_ISA_H

#include "kernels/cpu/cpu.h"

#include <math.h>
#include <string.h>

#ifndef SS_ISA
#error "SS_ISA must be base, v3 or v4: see the Makefile"
#endif

#define SS_JOIN2(a, b) ss_##a##_##b
#define SS_JOIN(a, b) SS_JOIN2(a, b)
#define ISA(name) SS_JOIN(name, SS_ISA)

#define X(name, params, args) ss_code ISA(name)(ss_device * d, SS_INSIDE params, ss_err * e);
SS_KERNEL_ENTRIES(X)
#undef X
#define X(name, params, args) ss_code ISA(back_##name)(ss_device * d, SS_INSIDE params, ss_err * e);
SS_KERNEL_GRADIENTS(X)
#undef X
ss_code ISA(channel_range)(ss_device *d, const ss_tensor *x, float *least, float *most, ss_err *e);
void ISA(direct_conv)(const ss_conv *c, float *work, int team);
size_t ISA(direct_floats)(int64_t taps);
bool ISA(winograd)(const ss_conv *c, float *work, int team);
size_t ISA(winograd_floats)(const ss_conv *c);
/* isa_winograd_weights.c: kh, kw, stride, weights, bias and y of c are not looked at. False when a
 * gradient is not finite: then they are without meaning. work: winograd_weights_floats. */
bool ISA(winograd_weights)(const ss_conv *c, const float *dy, float *dw, float *work, int team);
size_t ISA(winograd_weights_floats)(const ss_conv *c);
void ISA(to_f32)(const void *src, ss_dtype t, float *dst, int64_t n);
void ISA(round_values)(const ss_format *f, const float *x, float *y, int64_t n);

/* a * b + c, with one rounding where that is one instruction */
#ifdef __FMA__
#define MADD(a, b, c) fmaf(a, b, c)
#else
#define MADD(a, b, c) ((a) * (b) + (c))
#endif

static inline int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

/* Narrows the positions [*from, *to) to those p whose source p stride + first lies in [0, size). If
 * none is left, *to <= *from. */
static inline void keep_inside(int64_t stride, int64_t first, int64_t size, int64_t *from,
                               int64_t *to)
{
    const int64_t low = first >= 0 ? 0 : (-first + stride - 1) / stride;
    const int64_t high = size <= first ? 0 : (size - first + stride - 1) / stride;

    *from = *from > low ? *from : low;
    *to = min_i64(*to, high);
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
