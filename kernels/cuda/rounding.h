/* rounding.h - a number format as kernels round to it (math.cuh); private to kernels/cuda
 *
 * What follows from a format's numbers of bits is computed here, on the host, so that a thread has
 * only integers to look at. The struct of zeros rounds to f32, which changes nothing.
 */
#ifndef SS_KERNELS_CUDA_ROUNDING_H
#define SS_KERNELS_CUDA_ROUNDING_H

#include <stdint.h>

typedef struct {
    uint32_t cut;      /* fraction bits fewer than f32's */
    uint32_t narrow;   /* 1: it has fewer exponents than f32, or saturates; 0: the rest is 0 too */
    float min_normal;  /* as in ss_format */
    float shift;       /* 2^23 min_subnormal: (x + shift) - shift is a multiple of min_subnormal */
    uint32_t largest;  /* bits of the largest finite value */
    uint32_t overflow; /* bits of what stands for anything larger */
} ss_cuda_rounding;

#ifndef __cplusplus
#include "base/format.h"

#include <string.h>

/* The format's; of NULL the one that changes nothing. */
static inline ss_cuda_rounding ss_cuda_rounding_of(const ss_format *f)
{
    ss_cuda_rounding r = {.cut = f ? (uint32_t)(23 - f->man_bits) : 0};

    if (!f || (f->exp_bits == 8 && !f->saturate))
        return r;
    const float max = (float)f->max;
    r.narrow = 1;
    r.min_normal = (float)f->min_normal;
    r.shift = (float)(0x1p23 * f->min_subnormal);
    memcpy(&r.largest, &max, sizeof max);
    r.overflow = f->saturate ? r.largest : f->no_inf ? 0x7fc00000 : 0x7f800000;
    return r;
}
#endif

#endif
