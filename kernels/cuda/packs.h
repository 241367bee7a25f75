/* packs.h - four values at a time, and places in arrays by quick division; private to kernels/cuda
 *
 * A kernel moves packs of four values where rows are whole packs and memory begins at a multiple of
 * 16 bytes, else single values. Its host code asks ss_cuda_pack which of them, and counts
 * everything (n, channels, strides) in packs; packs.cuh has the device's side.
 */
#ifndef SS_KERNELS_CUDA_PACKS_H
#define SS_KERNELS_CUDA_PACKS_H

#include <stdint.h>

/* A divisor d > 0 with its reciprocal: i / d = i multiplier >> shift for 0 <= i < 2^31. Source:
 * Granlund and Montgomery 1994, theorem 4.2. multiplier is 0 where d >= 2^31. */
typedef struct {
    int64_t by;
    uint32_t multiplier;
    uint32_t shift;
} ss_cuda_divisor;

static inline ss_cuda_divisor ss_cuda_divisor_of(int64_t d)
{
    ss_cuda_divisor r = {d, 0, 31};

    if (d <= 0 || d > INT32_MAX)
        return r;
    while ((int64_t)1 << (r.shift - 31) < d)
        r.shift++;
    r.multiplier = (uint32_t)((((uint64_t)1 << r.shift) + (uint64_t)d - 1) / (uint64_t)d);
    return r;
}

/* Values of a pack, 4 or 1, where rows are of `row` values. p, q, r are the memory; NULL is fine.
 */
static inline int ss_cuda_pack(int64_t row, const void *p, const void *q, const void *r)
{
    const uintptr_t all = (uintptr_t)p | (uintptr_t)q | (uintptr_t)r;

    return row % 4 == 0 && all % 16 == 0 ? 4 : 1;
}

#endif
