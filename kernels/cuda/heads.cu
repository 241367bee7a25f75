// heads.cu - what an attention needs beside its products and its softmax: statistics of heads from
// those of rows, and rows of one head scaled or normalised
#include "kernels/cuda/math.cuh"
#include "kernels/cuda/tally.cuh"

enum { WARPS = 8 };

// ---- statistics of a unit ----

// Sums the mass of 32 keys over all teams: in f32 over runs of 16 teams, in f64 beyond.
__device__ static double mass_of(const ss_kernel_softmax_sum &a, int64_t unit, int64_t key,
                                 double *part)
{
    enum { RUN = 16 };
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    const float *from = a.s.mass + unit * a.s.teams * a.s.pitch + key;
    double sum = 0;

    for (int64_t t0 = warp; key < a.s.keys && t0 < a.s.teams; t0 += WARPS * RUN) {
        float some = 0;

        for (int64_t t = t0; t < t0 + WARPS * RUN && t < a.s.teams; t += WARPS)
            some += from[t * a.s.pitch];
        sum += some;
    }
    part[warp * 32 + lane] = sum;
    __syncthreads();
    sum = 0;
    for (int w = 0; w < WARPS; w++)
        sum += part[w * 32 + lane];
    return sum;
}

__device__ static void add_mass(const ss_kernel_softmax_sum &a, int64_t unit, int64_t key,
                                double *part, ss_cuda_unit_stats &all)
{
    double sum = mass_of(a, unit, key, part);

    if (threadIdx.x >= 32 || key >= a.s.keys)
        return;
    if (!a.first)
        sum += a.total[unit * a.s.pitch + key];
    if (a.last)
        atomicMax(&all.sink, sum == sum ? bits_of((float)sum) : 0x7fc00000u);
    else
        a.total[unit * a.s.pitch + key] = sum;
}

// In pairs, so that the order is that of the teams' number alone.
__device__ static void add_parts(const ss_kernel_softmax_sum &a, int64_t unit,
                                 ss_cuda_row_stats *shared, ss_cuda_unit_stats &all)
{
    const int k = (int)threadIdx.x;

    clear(shared[k]);
    for (int64_t t = k; t < a.s.teams; t += WARPS * 32)
        merge(shared[k], a.s.parts[unit * a.s.teams + t]);
    for (int half = WARPS * 16; half; half /= 2) {
        __syncthreads();
        if (k < half)
            merge(shared[k], shared[k + half]);
    }
    if (k == 0) {
        if (!a.first)
            merge(shared[0], all.rows);
        all.rows = shared[0];
    }
}

// Blocks of a unit: one for each 32 keys, and one for the parts
KERNEL(softmax_sum)
{
    SHARED(ss_cuda_row_stats, shared, WARPS * 32);
    const int64_t blocks = (a.s.keys + 31) / 32 + 1, unit = blockIdx.x / blocks;
    const int64_t block = blockIdx.x % blocks;
    ss_cuda_unit_stats &all = a.s.stats[unit / a.s.heads * a.s.all_heads + unit % a.s.heads];

    if (block == blocks - 1)
        add_parts(a, unit, shared, all);
    else
        add_mass(a, unit, block * 32 + threadIdx.x % 32, (double *)shared, all);
}

// The probabilities of a row on the tokens of a frame; 0 where there is no such frame
__device__ static float on_frame(const float *p, int64_t frame, int64_t frames, int64_t each)
{
    float sum = 0;

    for (int64_t k = frame * each; frame >= 0 && frame < frames && k < (frame + 1) * each; k++)
        sum += p[k];
    return sum;
}

KERNEL(frame_mass)
{
    const int64_t F = a.frames, each = a.s.keys / F;

    EACH(i, a.s.units * 2 * F)
    {
        const int64_t unit = i / (2 * F), f = i % F;
        const bool of_keys = i / F % 2;
        double sum = 0;

        for (int64_t r = 0; r < a.s.rows; r++) {
            const int64_t row = unit * a.s.rows + r, own = (a.t0 + r) / each;
            const float *p = a.s.l + row * a.s.pitch;
            float some = on_frame(p, of_keys ? f : own - f, F, each);

            if (!of_keys && f > 0)
                some += on_frame(p, own + f, F, each);
            sum += some * (a.s.inverse ? a.s.inverse[row] : 1);
        }
        a.out[(unit / a.s.heads * a.s.all_heads + unit % a.s.heads) * 2 * F + i % (2 * F)] +=
            (float)sum;
    }
}

// ---- rows, a warp each ----

__device__ static int64_t row_of_warp()
{
    return blockIdx.x * (int64_t)WARPS + threadIdx.x / 32;
}

KERNEL(scale_rows)
{
    const int64_t row = row_of_warp(), unit = row / a.rows;

    if (unit >= a.units)
        return;
    float *y =
        a.y + unit / a.heads * a.sample_step + row % a.rows * a.row_step + unit % a.heads * a.width;
    for (int64_t i = threadIdx.x % 32; i < a.width; i += 32)
        y[i] *= a.inverse[row];
}

__device__ static double sum_of_warp(double v)
{
    for (int k = 16; k; k >>= 1)
        v += __shfl_xor_sync(FULL_WARP, v, k);
    return v;
}

// 1 / |x|, or 0 for the zero vector
__device__ static float inverse_length(const float *x, int64_t width)
{
    double sum = 0;

    for (int64_t i = threadIdx.x % 32; i < width; i += 32)
        sum = fma((double)x[i], (double)x[i], sum);
    sum = sum_of_warp(sum);
    return sum == 0 ? 0 : (float)(1 / sqrt(sum));
}

KERNEL(unit_vectors)
{
    const int64_t row = row_of_warp();

    if (row >= a.rows)
        return;
    const float *x = a.x + row * a.width;
    const float inverse = inverse_length(x, a.width);

    for (int64_t i = threadIdx.x % 32; i < a.width; i += 32)
        a.y[row * a.width + i] = x[i] * inverse;
}

KERNEL(unit_gradient)
{
    const int64_t row = row_of_warp();

    if (row >= a.rows)
        return;
    const float *x = a.x + row * a.width;
    const float inverse = inverse_length(x, a.width);
    float *dx = a.dx + row * a.width;
    double dot = 0;

    for (int64_t i = threadIdx.x % 32; i < a.width; i += 32)
        dot += (double)x[i] * inverse * dx[i];
    dot = sum_of_warp(dot);
    for (int64_t i = threadIdx.x % 32; i < a.width; i += 32)
        dx[i] = (float)(inverse * (dx[i] - dot * x[i] * inverse));
}
