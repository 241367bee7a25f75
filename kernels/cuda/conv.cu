// conv.cu - convolutions for which cuDNN has no engine that is exact (conv.c): plain sums
//
// Threads of a warp have neighbouring channels of the result, so they read one value of what they
// all multiply, and neighbouring ones of the rest. Each operand is read once for each tap and each
// channel of the result from the caches, not from memory; the rate is that of loads, a tenth of an
// engine's. What no engine takes is empty or odd, so that does not matter.
//
// Runs of 16 products are added in f32, the runs in double, whose rounding does not show.
#include "kernels/cuda/device.cuh"

enum { RUN = 16 };

// A sum of many products.
struct long_sum {
    double total;
    float run;
    int n;
};

__device__ static inline void add_product(long_sum *s, float a, float b)
{
    s->run = fmaf(a, b, s->run);
    if (++s->n == RUN) {
        s->total += s->run;
        s->run = 0;
        s->n = 0;
    }
}

KERNEL(direct_forward)
{
    const ss_cuda_conv_sizes s = a.size;

    EACH(i, s.n * s.out_h * s.out_w * s.out)
    {
        const int64_t o = i % s.out, u = i / s.out % s.out_w, v = i / s.out / s.out_w % s.out_h;
        const int64_t n = i / s.out / s.out_w / s.out_h;
        long_sum sum = {0, 0, 0};

        for (int64_t ky = 0; ky < s.kh; ky++)
            for (int64_t kx = 0; kx < s.kw; kx++) {
                const int64_t row = v * s.stride + ky - s.top, column = u * s.stride + kx - s.left;

                if (row < 0 || row >= s.h || column < 0 || column >= s.w)
                    continue;
                const float *x = a.x + ((n * s.h + row) * s.w + column) * s.in;
                const float *w = a.w + ((o * s.kh + ky) * s.kw + kx) * s.in;
                for (int64_t c = 0; c < s.in; c++)
                    add_product(&sum, x[c], w[c]);
            }
        a.y[i] = (float)(sum.total + sum.run + (a.bias ? a.bias[o] : 0.0f));
    }
}

KERNEL(direct_data)
{
    const ss_cuda_conv_sizes s = a.size;

    EACH(i, s.n * s.h * s.w * s.in)
    {
        const int64_t c = i % s.in, column = i / s.in % s.w, row = i / s.in / s.w % s.h;
        const int64_t n = i / s.in / s.w / s.h;
        long_sum sum = {0, 0, 0};

        for (int64_t ky = 0; ky < s.kh; ky++)
            for (int64_t kx = 0; kx < s.kw; kx++) {
                const int64_t v = row + s.top - ky, u = column + s.left - kx;

                if (v < 0 || u < 0 || v % s.stride || u % s.stride || v / s.stride >= s.out_h ||
                    u / s.stride >= s.out_w)
                    continue;
                const int64_t at = (n * s.out_h + v / s.stride) * s.out_w + u / s.stride;
                const float *dy = a.dy + at * s.out;
                for (int64_t o = 0; o < s.out; o++)
                    add_product(&sum, dy[o], a.w[((o * s.kh + ky) * s.kw + kx) * s.in + c]);
            }
        a.dx[i] = (float)(sum.total + sum.run);
    }
}

KERNEL(direct_filter)
{
    const ss_cuda_conv_sizes s = a.size;

    EACH(i, s.out * s.kh * s.kw * s.in)
    {
        const int64_t c = i % s.in, kx = i / s.in % s.kw, ky = i / s.in / s.kw % s.kh;
        const int64_t o = i / s.in / s.kw / s.kh;
        long_sum sum = {0, 0, 0};

        for (int64_t at = 0; at < s.n * s.out_h * s.out_w; at++) {
            const int64_t u = at % s.out_w, v = at / s.out_w % s.out_h, n = at / s.out_w / s.out_h;
            const int64_t row = v * s.stride + ky - s.top, column = u * s.stride + kx - s.left;

            if (row >= 0 && row < s.h && column >= 0 && column < s.w)
                add_product(&sum, a.x[((n * s.h + row) * s.w + column) * s.in + c],
                            a.dy[at * s.out + o]);
        }
        a.dw[i] = (float)(sum.total + sum.run + (a.accumulate ? a.dw[i] : 0.0f));
    }
}
