/* isa_moments.h - what group norm and the norms of rows share: moments, and sums of gradients
 *
 * Moments are (mean, M2 = sum (x - mean)^2), in double, from sums of x - x0, where x0 is one of the
 * values: then no large mean cancels, and 1e30 squared fits.
 */
#ifndef SS_KERNELS_CPU_ISA_MOMENTS_H
#define SS_KERNELS_CPU_ISA_MOMENTS_H

#include "kernels/cpu/isa.h"

typedef struct {
    double n, mean, m2;
} moments;

/* From the sums of x - x0 and of its square. Rounding must not make M2 negative. */
static inline moments moments_of(double n, double x0, double s1, double s2)
{
    const double mean = s1 / n, m2 = s2 - s1 * mean;

    return (moments){n, x0 + mean, m2 < 0 ? 0 : m2};
}

/* 1 / sqrt(var + eps). torch: M2 is summed in f32 there, so 2^128 is inf and this 0, which leaves
 * nothing of finite values but beta. (PyTorch's kernels for CPUs give NaN instead where a mean of
 * every eighth value reaches 2^64; those for CUDA do not.) */
static inline double inverse_std(moments g, float eps, bool torch)
{
    return torch && g.m2 >= 0x1p128 ? 0 : 1 / sqrt(g.m2 / g.n + eps);
}

/* Positions of a block: about 64 Ki values, whatever the number of threads. */
static inline int64_t block_positions(int64_t C)
{
    return C < 65536 ? 65536 / C : 1;
}

/* The sums as the values of a tensor, which may be NULL. */
static inline void store_sums(const double *sum, int64_t n, ss_tensor *to)
{
    float *y = to ? to->data : NULL;

    for (int64_t i = 0; y && i < n; i++)
        y[i] = (float)sum[i];
}

#endif
