// step.cu - the step of an optimiser on all parameters at once, and sums of squares of all
// gradients
//
// One launch for all tensors of a network, however small: a block finds its tensor by halving. A
// step reads gradient, weight and moments once and writes what changes, 28 bytes a value for adam,
// 8 more with an average, 16 at a time; nothing is read twice. The values have the CPU's bits
// (kernels/cpu/optimizer.c): the same operations in f32 in the same order. Sums are of a block in
// the order of its threads, then of a tensor's blocks by the one that ends last.
#include "kernels/cuda/step.h"
#include "kernels/cuda/sums.cuh"

#include <math.h>

namespace
{

enum { THREADS = 256, WARPS = THREADS / 32, FOURS = SS_CUDA_STEP_BLOCK / THREADS / 4 };

// The last of n tensors whose first block, or row, is not beyond `at`.
template <class T>
__device__ __forceinline__ int64_t tensor_of(const T *tensors, int64_t n, int64_t at)
{
    int64_t low = 0, high = n;

    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;

        if (tensors[middle].first <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

// Four neighbouring values, those beyond n zero.
__device__ __forceinline__ float4 load(const float *x, int n, bool whole)
{
    if (whole && n >= 4)
        return *(const float4 *)x;
    return {n > 0 ? x[0] : 0, n > 1 ? x[1] : 0, n > 2 ? x[2] : 0, n > 3 ? x[3] : 0};
}

__device__ __forceinline__ void store(float *x, int n, bool whole, float4 v)
{
    if (whole && n >= 4) {
        *(float4 *)x = v;
        return;
    }
    if (n > 0)
        x[0] = v.x;
    if (n > 1)
        x[1] = v.y;
    if (n > 2)
        x[2] = v.z;
    if (n > 3)
        x[3] = v.w;
}

__device__ __forceinline__ bool is_aligned(const float *x)
{
    return ((size_t)x & 15) == 0;
}

// The weight after a step; m and v move on. g is the gradient times scale.
__device__ __forceinline__ float step_value(const ss_step_rule &r, float w, float g, float &m,
                                            float &v)
{
    if (r.kind == SS_OPTIMIZER_SGD) {
        if (r.decay != 0)
            g += r.decay * w;
        m = r.first ? g : r.momentum * m + g;
        return w - r.rate * (r.nesterov ? g + r.momentum * m : m);
    }
    if (r.kind == SS_OPTIMIZER_LION) {
        const float c = m * r.beta1 + r.rest1 * g;

        m = m * r.beta2 + r.rest2 * g;
        w *= r.keep;
        return w - r.rate * (c > 0 ? 1.0f : c < 0 ? -1.0f : c); // 0 and NaN are their own sign
    }
    if (r.kind == SS_OPTIMIZER_ADAMW)
        w *= r.keep;
    else if (r.decay != 0)
        g += r.decay * w;
    m += r.rest1 * (g - m);
    v = v * r.beta2 + r.rest2 * g * g;
    return w - r.rate1 * m / (sqrtf(v) / r.root2 + r.eps);
}

// g^2 / v with v at least `floor`, over 0; in f32, of which a sum of many keeps enough.
__device__ __forceinline__ float stale_of(float g, float v, float floor)
{
    const float q = g / sqrtf(v > floor ? v : floor);

    return q * q;
}

// Value i of a tensor, and what it adds to the sums if they are wanted; floor is that of v.
__device__ __forceinline__ void step_one(const ss_step_rule &r, uint64_t key, int64_t i, float g,
                                         float &w, float &m, float &v, float &ema, bool wanted,
                                         float floor, ss_step_sums &s)
{
    const float before = w;

    g *= r.scale;
    w = step_value(r, w, g, m, v);
    w = ss_keep_value(r.weights, r.stochastic, key, i, 0, w);
    m = ss_keep_value(r.states, r.stochastic, key, i, 1, m);
    v = ss_keep_value(r.states, r.stochastic, key, i, 2, v);
    ema -= r.ema_rest * (ema - w);
    if (!wanted)
        return;
    const double change = (double)w - (double)before;

    s.g2 = fma((double)g, (double)g, s.g2);
    s.dw2 = fma(change, change, s.dw2);
    s.w2 = fma((double)before, (double)before, s.w2);
    s.stale += (double)stale_of(g, v, floor);
    s.lost += v == 0 && g != 0;
}

// Thread 0 gets the five sums over the block.
__device__ __forceinline__ ss_step_sums sums_of_block(ss_step_sums s, double *shared)
{
    s.g2 = sum_of_block(s.g2, shared);
    s.dw2 = sum_of_block(s.dw2, shared + WARPS);
    s.w2 = sum_of_block(s.w2, shared + 2 * WARPS);
    s.stale = sum_of_block(s.stale, shared + 3 * WARPS);
    s.lost = sum_of_block(s.lost, shared + 4 * WARPS);
    return s;
}

} // namespace

KERNEL(optimizer_step)
{
    SHARED(double, shared, 5 * WARPS);
    SHARED(bool, last, 1);
    const int64_t which = tensor_of(a.tensors, a.n, blockIdx.x);
    const ss_cuda_stepped t = a.tensors[which];
    const int64_t block = blockIdx.x - t.first, begin = block * SS_CUDA_STEP_BLOCK;
    const int64_t blocks = (t.n + SS_CUDA_STEP_BLOCK - 1) / SS_CUDA_STEP_BLOCK;
    const bool whole = is_aligned(t.gradient) && is_aligned(t.w) && is_aligned(t.m) &&
                       is_aligned(t.v) && is_aligned(t.ema);
    const float floor = fmaxf((float)(a.rule.floor2 * a.rule.correction2), 0x1p-149F);
    const bool wanted = a.sums != NULL;
    ss_step_sums s = {0, 0, 0, 0, 0};

    for (int k = 0; k < FOURS; k++) {
        const int64_t i = begin + 4 * (k * THREADS + (int)threadIdx.x), rest = t.n - i;
        const int n = rest < 4 ? (int)rest : 4;
        const float4 none = {0, 0, 0, 0};
        float4 g = none, w, m, v = none, ema = none;

        if (n <= 0)
            break;
        w = load(t.w + i, n, whole);
        m = load(t.m + i, n, whole);
        if (t.gradient)
            g = load(t.gradient + i, n, whole);
        if (t.v)
            v = load(t.v + i, n, whole);
        if (t.ema)
            ema = load(t.ema + i, n, whole);
        step_one(a.rule, t.key, i, g.x, w.x, m.x, v.x, ema.x, wanted, floor, s);
        if (n > 1)
            step_one(a.rule, t.key, i + 1, g.y, w.y, m.y, v.y, ema.y, wanted, floor, s);
        if (n > 2)
            step_one(a.rule, t.key, i + 2, g.z, w.z, m.z, v.z, ema.z, wanted, floor, s);
        if (n > 3)
            step_one(a.rule, t.key, i + 3, g.w, w.w, m.w, v.w, ema.w, wanted, floor, s);
        store(t.w + i, n, whole, w);
        store(t.m + i, n, whole, m);
        if (t.v)
            store(t.v + i, n, whole, v);
        if (t.ema)
            store(t.ema + i, n, whole, ema);
    }
    if (!wanted)
        return;
    s = sums_of_block(s, shared);
    if (threadIdx.x == 0)
        a.part[blockIdx.x] = s;
    if (!is_last(&a.done[which], blocks, last[0]))
        return;
    s = {0, 0, 0, 0, 0};
    for (int64_t i = threadIdx.x; i < blocks; i += THREADS) {
        const ss_step_sums p = a.part[t.first + i];

        s.g2 += p.g2;
        s.dw2 += p.dw2;
        s.w2 += p.w2;
        s.stale += p.stale;
        s.lost += p.lost;
    }
    s = sums_of_block(s, shared);
    if (threadIdx.x == 0) {
        s.stale = t.v ? s.stale * a.rule.correction2 : 0;
        s.lost = t.v ? s.lost : 0;
        a.sums[which] = s;
    }
}

// A block for each row, which it reads twice: the second time from the cache.
KERNEL(unit_rows)
{
    SHARED(double, shared, WARPS);
    SHARED(double, factor, 1);
    const ss_cuda_unit t = a.tensors[tensor_of(a.tensors, a.n, blockIdx.x)];
    float *w = t.w + (blockIdx.x - t.first) * t.row;
    double sum = 0;

    for (int64_t i = threadIdx.x; i < t.row; i += THREADS)
        sum = fma((double)w[i], (double)w[i], sum);
    sum = sum_of_block(sum, shared);
    if (threadIdx.x == 0)
        factor[0] = 1 / (1e-4 + sqrt(sum / (double)t.row));
    __syncthreads();
    for (int64_t i = threadIdx.x; i < t.row; i += THREADS)
        w[i] = (float)(factor[0] * (double)w[i]);
}

// 4 bytes a value.
KERNEL(sum_squares)
{
    SHARED(double, shared, WARPS);
    SHARED(bool, last, 1);
    const ss_cuda_summed t = a.tensors[tensor_of(a.tensors, a.n, blockIdx.x)];
    const int64_t begin = (blockIdx.x - t.first) * SS_CUDA_STEP_BLOCK;
    const bool whole = is_aligned(t.x);
    double sum = 0;

    UNROLL
    for (int k = 0; k < FOURS; k++) {
        const int64_t i = begin + 4 * (k * THREADS + (int)threadIdx.x), rest = t.n - i;
        const float4 v = load(t.x + i, rest < 4 ? (int)rest : 4, whole);

        sum = fma((double)v.x, (double)v.x, sum);
        sum = fma((double)v.y, (double)v.y, sum);
        sum = fma((double)v.z, (double)v.z, sum);
        sum = fma((double)v.w, (double)v.w, sum);
    }
    sum = sum_of_block(sum, shared);
    if (threadIdx.x == 0)
        a.part[blockIdx.x] = sum;
    if (!is_last(a.done, gridDim.x, last[0]))
        return;
    sum = 0;
    for (int64_t i = threadIdx.x; i < gridDim.x; i += THREADS)
        sum += a.part[i];
    sum = sum_of_block(sum, shared);
    if (threadIdx.x == 0)
        *a.sum = sum;
}
