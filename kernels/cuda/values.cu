// values.cu - operations that treat each value by itself
//
// Each reads its operands once and writes its result once, 8 or 12 bytes a value, four values an
// instruction: nothing less would do. Memory is the limit, but of the activations, whose 40 (silu)
// to 75 instructions a value (gelu) take about as long on an H200. In place where the result is an
// operand, as a thread has read a pack before it writes it. Same bits as
// kernels/cpu/isa_elementwise.c and isa_rows.c with fused multiply-add.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/math.cuh"
#include "kernels/cuda/packs.cuh"

__device__ static inline bool begin_packs(const void *p, const void *q, const void *r)
{
    return ((uintptr_t)p | (uintptr_t)q | (uintptr_t)r) % sizeof(pack<4>) == 0;
}

// y = f(x, z) for n values; packs of four, and what is left over, or all, one by one.
template <class F>
__device__ static inline void map(const float *x, const float *z, float *y, int64_t n, F f)
{
    const int64_t packs = begin_packs(x, z, y) ? n / 4 : 0, rest = n - 4 * packs;

    EACH(i, packs)
    {
        const pack<4> u = load<4>(x + 4 * i), w = load<4>(z + 4 * i);
        pack<4> to;

        for (int k = 0; k < 4; k++)
            to.v[k] = f(u.v[k], w.v[k]);
        store<4>(y + 4 * i, to);
    }
    x += 4 * packs, z += 4 * packs, y += 4 * packs;
    EACH(i, rest)
    {
        y[i] = f(x[i], z[i]);
    }
}

// y = f(x): the same, as the two loads of an address are one.
template <class F> __device__ static inline void map(const float *x, float *y, int64_t n, F f)
{
    map(x, x, y, n, [=](float v, float) { return f(v); });
}

KERNEL(fill)
{
    const int64_t packs = begin_packs(a.y, a.y, a.y) ? a.n / 4 : 0, rest = a.n - 4 * packs;
    const float v = a.value;

    EACH(i, packs)
    {
        store<4>(a.y + 4 * i, pack<4>{{v, v, v, v}});
    }
    EACH(i, rest)
    {
        a.y[4 * packs + i] = v;
    }
}

KERNEL(affine)
{
    const float mul = a.mul, add = a.add;

    map(a.x, a.y, a.n, [=](float x) { return x * mul + add; });
}

// The sum with 0 makes 0 of -0, as an affine map does.
KERNEL(gain)
{
    const float g = a.g[0];

    map(a.x, a.y, a.n, [=](float x) { return x * g + 0.0f; });
}

KERNEL(clamp)
{
    const float lo = a.lo, hi = a.hi;

    map(a.x, a.y, a.n, [=](float x) {
        const float v = x < lo ? lo : x; // a NaN compares false, and stays

        return v > hi ? hi : v;
    });
}

KERNEL(round_values)
{
    const ss_cuda_rounding to = a.to;

    map(a.x, a.y, a.n, [=](float x) { return round_f32(to, x); });
}

// y = f(x) for n values of 16 bits
template <class F>
__device__ static inline void map_halves(const uint16_t *x, float *y, int64_t n, F f)
{
    struct alignas(8) halves {
        uint16_t v[4];
    };
    const bool aligned = (uintptr_t)x % sizeof(halves) == 0 && begin_packs(y, y, y);
    const int64_t packs = aligned ? n / 4 : 0, rest = n - 4 * packs;

    EACH(i, packs)
    {
        const halves from = *(const halves *)(x + 4 * i);
        pack<4> to;

        for (int k = 0; k < 4; k++)
            to.v[k] = f(from.v[k]);
        store<4>(y + 4 * i, to);
    }
    x += 4 * packs, y += 4 * packs;
    EACH(i, rest)
    {
        y[i] = f(x[i]);
    }
}

KERNEL(widen_f16)
{
    const ss_cuda_rounding to = a.to;

    map_halves(a.x, a.y, a.n, [=](uint16_t x) { return round_f32(to, f32_of_f16(x)); });
}

KERNEL(widen_bf16)
{
    const ss_cuda_rounding to = a.to;

    map_halves(a.x, a.y, a.n, [=](uint16_t x) { return round_f32(to, f32_of_bf16(x)); });
}

KERNEL(add)
{
    const float scale = a.scale;

    map(a.a, a.b, a.y, a.n, [=](float u, float v) { return (u + v) * scale; });
}

KERNEL(multiply)
{
    map(a.a, a.b, a.y, a.n, [](float u, float v) { return u * v; });
}

// ---- samples and channels ----

template <int N> __device__ static inline void scale_packs(const ss_kernel_scale_samples &a)
{
    EACH(i, a.n)
    {
        pack<N> x = load<N>(a.x + N * i);
        const float k = a.k[quotient(i, a.sample)];

        for (int c = 0; c < N; c++)
            x.v[c] *= k;
        store<N>(a.y + N * i, x);
    }
}

KERNEL(scale_samples)
{
    if (a.pack == 4)
        scale_packs<4>(a);
    else
        scale_packs<1>(a);
}

template <int N> __device__ static inline void add_packs(const ss_kernel_add_channels &a)
{
    EACH(i, a.n)
    {
        int64_t row = i;
        const int64_t c = take_remainder(row, a.channels), sample = quotient(row, a.rows);
        pack<N> x = load<N>(a.x + N * i);
        const pack<N> v = load<N>(a.v + N * (sample * a.channels.by + c));

        for (int k = 0; k < N; k++)
            x.v[k] += v.v[k];
        store<N>(a.y + N * i, x);
    }
}

KERNEL(add_channels)
{
    if (a.pack == 4)
        add_packs<4>(a);
    else
        add_packs<1>(a);
}

// ---- activations and their slopes ----

#define ACTIVATION(name)                                                                   \
    KERNEL(activate_##name)                                                                \
    {                                                                                      \
        map(a.x, a.y, a.n, [](float x) { return name##_f32(x); });                         \
    }                                                                                      \
    KERNEL(slope_##name)                                                                   \
    {                                                                                      \
        map(a.x, a.dy, a.dx, a.n, [](float x, float dy) { return dy * name##_slope(x); }); \
    }
ACTIVATION(identity)
ACTIVATION(silu)
ACTIVATION(gelu)
ACTIVATION(mish)
ACTIVATION(relu)
ACTIVATION(quick_gelu)
ACTIVATION(gelu_tanh)
ACTIVATION(gelu_new)
ACTIVATION(sigmoid)

// To a NaN, which stayed, all of dy.
KERNEL(back_clamp)
{
    const float lo = a.lo, hi = a.hi;

    map(a.x, a.dy, a.dx, a.n, [=](float x, float dy) { return x < lo || x > hi ? 0 : dy; });
}
