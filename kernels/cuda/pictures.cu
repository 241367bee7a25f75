// pictures.cu - pictures [N][H][W][C] made larger and smaller, and the gradients of that
//
// A thread makes a pack of channels of one pixel of y. What it reads of x its neighbours read too,
// or have read: from memory each value of x comes once, so 4 bytes for each value of x and of y.
// Sums in the order of kernels/cpu/isa_resample.c, with its bits.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/packs.cuh"

struct pixel {
    int64_t sample, i, j, c;
};

__device__ static inline pixel pixel_at(const ss_cuda_pictures &p, int64_t at)
{
    pixel y;

    y.c = take_remainder(at, p.channels);
    y.j = take_remainder(at, p.width);
    y.i = take_remainder(at, p.height);
    y.sample = at;
    return y;
}

// Channels of the pixel (i, j) of x beside y's.
template <int N>
__device__ static inline pack<N> see(const float *x, const ss_cuda_pictures &p, pixel y, int64_t i,
                                     int64_t j)
{
    const int64_t row = y.sample * p.x_height + i;

    return load<N>(x + N * ((row * p.x_width + j) * p.channels.by + y.c));
}

template <int N> __device__ static inline void add_to(pack<N> &y, pack<N> x)
{
    for (int k = 0; k < N; k++)
        y.v[k] += x.v[k];
}

template <int N> __device__ static inline pack<N> zeros()
{
    pack<N> z;

    for (int k = 0; k < N; k++)
        z.v[k] = 0;
    return z;
}

// The kernel NAME with packs of four or of one: NAME_packs<N>(a, y) is a pack of the pixel y.
#define PIXELS(name)                                                                     \
    template <int N> __device__ static inline void name##_all(const ss_kernel_##name &a) \
    {                                                                                    \
        EACH(i, a.p.n)                                                                   \
        {                                                                                \
            store<N>(a.y + N * i, name##_packs<N>(a, pixel_at(a.p, i)));                 \
        }                                                                                \
    }                                                                                    \
    KERNEL(name)                                                                         \
    {                                                                                    \
        if (a.p.pack == 4)                                                               \
            name##_all<4>(a);                                                            \
        else                                                                             \
            name##_all<1>(a);                                                            \
    }

template <int N>
__device__ static inline pack<N> upsample_packs(const ss_kernel_upsample &a, pixel y)
{
    return see<N>(a.x, a.p, y, quotient(y.i * a.p.x_height, a.p.height),
                  quotient(y.j * a.p.x_width, a.p.width));
}
PIXELS(upsample)

// The first of x's `size` places that took place i of y's, or a later one.
__device__ static inline int64_t first_taker(int64_t i, int64_t size, const ss_cuda_divisor &y)
{
    return quotient(i * size + y.by - 1, y);
}

template <int N>
__device__ static inline pack<N> back_upsample_packs(const ss_kernel_back_upsample &a, pixel y)
{
    const int64_t H = a.p.x_height, W = a.p.x_width;
    const int64_t i1 = first_taker(y.i + 1, H, a.p.height);
    const int64_t j0 = first_taker(y.j, W, a.p.width), j1 = first_taker(y.j + 1, W, a.p.width);
    pack<N> sum = zeros<N>();

    UNROLLED_ONCE
    for (int64_t i = first_taker(y.i, H, a.p.height); i < i1; i++) {
        UNROLLED_ONCE
        for (int64_t j = j0; j < j1; j++)
            add_to(sum, see<N>(a.x, a.p, y, i, j));
    }
    return sum;
}
PIXELS(back_upsample)

template <int N>
__device__ static inline pack<N> avg_pool_packs(const ss_kernel_avg_pool &a, pixel y)
{
    const int64_t i = 2 * y.i, j = 2 * y.j;
    pack<N> sum = see<N>(a.x, a.p, y, i, j);

    add_to(sum, see<N>(a.x, a.p, y, i, j + 1));
    add_to(sum, see<N>(a.x, a.p, y, i + 1, j));
    add_to(sum, see<N>(a.x, a.p, y, i + 1, j + 1));
    for (int k = 0; k < N; k++)
        sum.v[k] *= 0.25f;
    return sum;
}
PIXELS(avg_pool)

// An odd last row or column went nowhere.
template <int N>
__device__ static inline pack<N> back_avg_pool_packs(const ss_kernel_back_avg_pool &a, pixel y)
{
    const int64_t i = y.i / 2, j = y.j / 2;
    pack<N> v = zeros<N>();

    if (i < a.p.x_height && j < a.p.x_width)
        v = see<N>(a.x, a.p, y, i, j);
    for (int k = 0; k < N; k++)
        v.v[k] *= 0.25f;
    return v;
}
PIXELS(back_avg_pool)

// The first tap that meets a place of x, and which; each `div` taps later the next does, or the one
// before.
struct taps {
    int first;
    int64_t at;
};

__device__ static inline taps taps_at(const ss_kernel_fir &a, int64_t o)
{
    const int64_t p = o * a.mul + a.shift;
    const int64_t at = quotient(a.sign > 0 ? p + a.div.by - 1 : p, a.div);

    return {(int)(a.sign * (at * a.div.by - p)), at - a.bias};
}

template <int N> __device__ static inline pack<N> fir_packs(const ss_kernel_fir &a, pixel y)
{
    const taps rows = taps_at(a, y.i), columns = taps_at(a, y.j);
    const int step = (int)a.div.by;
    pack<N> sum = zeros<N>();

    int64_t i = rows.at;
    for (int t = rows.first; t < a.taps; t += step, i += a.sign) {
        if (i < 0 || i >= a.p.x_height)
            continue;
        int64_t j = columns.at;
        for (int s = columns.first; s < a.taps; s += step, j += a.sign) {
            if (j < 0 || j >= a.p.x_width)
                continue;
            const float w = a.kernel[a.taps - 1 - t] * a.kernel[a.taps - 1 - s];
            const pack<N> x = see<N>(a.x, a.p, y, i, j);

            for (int k = 0; k < N; k++)
                sum.v[k] = fmaf(w, x.v[k], sum.v[k]);
        }
    }
    return sum;
}
PIXELS(fir)
