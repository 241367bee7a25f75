// stats.cuh - what base/stats.h defines, of one chunk of a sample, and of the sample by the last
// block that ends
//
// A thread keeps VALUES of the chunk in registers; memory is read once, 4 bytes a value, 16 at a
// time. Costs about 15 instructions a value, so that an H200 waits for memory and not for us. One
// launch measures all samples of a tensor: small ones in one block each; of larger ones, blocks
// leave moments (40 bytes for 32 KiB of values), and the block that ends last combines them.
//
// Sums of x and x^2 are of 16 values in f32, then in double. Where that could cost a digit (chunks
// that are not full, or hold inf or NaN, or are very large or small, or whose mean exceeds their
// spread), all is in double: the mean first, then the squares of what is left. The order of all
// sums is given by the length alone.
//
// Exponents: nearly all values of a warp lie within ten below the largest, and a lane counts these
// in the fields of one register. If many are left, the next ten are counted so, then the rest one
// by one. Zeros are what is missing in the end.
#pragma once

#include "kernels/cuda/stats.h"
#include "kernels/cuda/sums.cuh"

#include <math.h>

enum {
    STATS_THREADS = SS_THREADS_stats,
    STATS_WARPS = STATS_THREADS / 32,
    VALUES = SS_CUDA_STATS_CHUNK / STATS_THREADS,
    WINDOW = 10, // exponents that a lane counts at a time
    FIELD = 6,   // bits of each counter: at most VALUES
    WINDOWS = 3,
    FEW = 32 // left of a warp's: they are counted one by one
};
static_assert(VALUES < 1 << FIELD && WINDOW * FIELD <= 64, "the counters of a lane are too small");

// What the threads of a block share.
struct block_stats {
    double count[STATS_WARPS], sum[STATS_WARPS], square[STATS_WARPS];
    float min[STATS_WARPS], max[STATS_WARPS];
    unsigned n[STATS_WARPS];
    ss_cuda_moments all;
    bool good, last;
    unsigned exponent[SS_N_EXPONENTS];
    unsigned long long counted[STATS_WARPS];
};

struct lane_stats {
    double sum, square;
    float min, max;
    unsigned n;
};

static __device__ __forceinline__ unsigned exponent_of(float x)
{
    return bits_of(x) >> 23 & 255;
}

static __device__ __forceinline__ void extremes_of_warp(float *min, float *max)
{
    UNROLL
    for (int k = 16; k; k >>= 1) {
        const float a = __shfl_xor_sync(FULL_WARP, *min, k),
                    b = __shfl_xor_sync(FULL_WARP, *max, k);

        *min = a < *min ? a : *min;
        *max = b > *max ? b : *max;
    }
}

// n values from x[begin] on, four in a row of each 4 x STATS_THREADS, changed; NaN where there are
// none.
template <class Change>
static __device__ __forceinline__ void load_chunk(const float *x, int64_t begin, int n,
                                                  Change change, float (&v)[VALUES])
{
    const float *from = x + begin;
    const bool aligned = ((size_t)from & 15) == 0;

    UNROLL
    for (int k = 0; k < VALUES; k += 4) {
        const int at = k * STATS_THREADS + 4 * (int)threadIdx.x;

        if (aligned && at + 4 <= n) {
            const float4 four = *(const float4 *)(from + at);

            v[k] = four.x;
            v[k + 1] = four.y;
            v[k + 2] = four.z;
            v[k + 3] = four.w;
        } else {
            UNROLL
            for (int j = 0; j < 4; j++)
                v[k + j] = at + j < n ? from[at + j] : NAN;
        }
        UNROLL
        for (int j = 0; j < 4; j++)
            v[k + j] = change(at + j, v[k + j]);
    }
}

static __device__ __forceinline__ lane_stats quick_sums(const float (&v)[VALUES])
{
    lane_stats s = {0, 0, v[0], v[0], 0};

    UNROLL
    for (int k = 0; k < VALUES; k += 16) {
        float sum[4], square[4];

        UNROLL
        for (int j = 0; j < 4; j++) {
            const float a = v[k + 4 * j], b = v[k + 4 * j + 1], c = v[k + 4 * j + 2],
                        d = v[k + 4 * j + 3];

            sum[j] = (a + b) + (c + d);
            square[j] = fmaf(a, a, b * b) + fmaf(c, c, d * d);
        }
        s.sum += (double)((sum[0] + sum[1]) + (sum[2] + sum[3]));
        s.square += (double)((square[0] + square[1]) + (square[2] + square[3]));
    }
    UNROLL
    for (int k = 1; k < VALUES; k++) {
        s.min = v[k] < s.min ? v[k] : s.min;
        s.max = v[k] > s.max ? v[k] : s.max;
    }
    return s;
}

// True where f32 was exact enough, which is never the case with inf or NaN.
static __device__ __forceinline__ bool are_good(const ss_cuda_moments &m)
{
    const float peak = -m.min > m.max ? -m.min : m.max;

    return m.m2 <= 1e300 && m.m2 > m.n * m.mean * m.mean && peak > 0x1p-40F;
}

// Moments of a chunk without gaps, into b.all; b.good is whether they can be used. *min and *max
// become those of the warp. All of the block calls it.
static __device__ void quick_moments(const float (&v)[VALUES], float *min, float *max,
                                     block_stats &b)
{
    lane_stats s = quick_sums(v);
    const int warp = (int)threadIdx.x / 32;

    s.sum = sum_of_warp(s.sum);
    s.square = sum_of_warp(s.square);
    extremes_of_warp(&s.min, &s.max);
    if (threadIdx.x % 32 == 0) {
        b.sum[warp] = s.sum;
        b.square[warp] = s.square;
        b.min[warp] = s.min;
        b.max[warp] = s.max;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        ss_cuda_moments m = {SS_CUDA_STATS_CHUNK, 0, 0, b.min[0], b.max[0]};
        double sum = 0, square = 0;

        for (int w = 0; w < STATS_WARPS; w++) {
            sum += b.sum[w];
            square += b.square[w];
            m.min = b.min[w] < m.min ? b.min[w] : m.min;
            m.max = b.max[w] > m.max ? b.max[w] : m.max;
        }
        m.mean = sum / m.n;
        m.m2 = square - sum * m.mean;
        b.all = m;
        b.good = are_good(m);
    }
    __syncthreads();
    *min = s.min;
    *max = s.max;
}

// The sums of the careful way: of finite values, and of their distances from the mean.
static __device__ __forceinline__ lane_stats finite_sums(const float (&v)[VALUES])
{
    lane_stats s = {0, 0, INFINITY, -INFINITY, 0};

    UNROLL
    for (int k = 0; k < VALUES; k++) {
        if (exponent_of(v[k]) == 255)
            continue;
        s.n++;
        s.sum += (double)v[k];
        s.min = v[k] < s.min ? v[k] : s.min;
        s.max = v[k] > s.max ? v[k] : s.max;
    }
    return s;
}

static __device__ __forceinline__ double finite_squares(const float (&v)[VALUES], double mean)
{
    double square = 0;

    UNROLL
    for (int k = 0; k < VALUES; k++) {
        if (exponent_of(v[k]) == 255)
            continue;
        const double d = (double)v[k] - mean;

        square = fma(d, d, square);
    }
    return square;
}

// Moments of any chunk, into b.all; the rest is as above.
static __device__ void careful_moments(const float (&v)[VALUES], float *min, float *max,
                                       block_stats &b)
{
    lane_stats s = finite_sums(v);
    const int warp = (int)threadIdx.x / 32;

    s.n = sum_of_warp(s.n);
    s.sum = sum_of_warp(s.sum);
    extremes_of_warp(&s.min, &s.max);
    if (threadIdx.x % 32 == 0) {
        b.n[warp] = s.n;
        b.sum[warp] = s.sum;
        b.min[warp] = s.min;
        b.max[warp] = s.max;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        ss_cuda_moments m = {0, 0, 0, INFINITY, -INFINITY};
        double sum = 0;

        for (int w = 0; w < STATS_WARPS; w++) {
            m.n += b.n[w];
            sum += b.sum[w];
            m.min = b.min[w] < m.min ? b.min[w] : m.min;
            m.max = b.max[w] > m.max ? b.max[w] : m.max;
        }
        m.mean = m.n > 0 ? sum / m.n : 0;
        b.all = m;
    }
    __syncthreads();
    s.square = sum_of_warp(finite_squares(v, b.all.mean));
    if (threadIdx.x % 32 == 0)
        b.square[warp] = s.square;
    __syncthreads();
    if (threadIdx.x == 0)
        for (int w = 0; w < STATS_WARPS; w++)
            b.all.m2 += b.square[w];
    *min = s.min;
    *max = s.max;
}

// Adds how many of a warp's values have each exponent from 1 to top, the largest of finite ones.
// What is the same in each window is not taken out of the loop: it would need as many registers as
// the values.
static __device__ void count_exponents(const float (&v)[VALUES], int top, unsigned *count)
{
    const int lane = (int)threadIdx.x % 32;
    unsigned left = 0; // one bit for each value below the window that is not zero

    for (int w = 0; w < WINDOWS && top > 0; w++) {
        const int low = top - WINDOW + 1;
        const unsigned below = low > 1 ? 257 - (unsigned)low : 256;
        uint64_t fields = 0;

        left = 0;
        UNROLL
        for (int k = 0; k < VALUES; k++) {
            const unsigned place = (bits_of(v[k]) - ((unsigned)low << 23)) << 1 >> 24; // mod 256

            fields += place < WINDOW ? (uint64_t)1 << place * FIELD : 0;
            left |= place >= below ? 1u << k : 0;
        }
        UNROLL
        for (int p = 0; p < WINDOW; p += 2) {
            const unsigned one = 1u << FIELD;
            unsigned two = (unsigned)(fields >> p * FIELD) % one |
                           (unsigned)(fields >> (p + 1) * FIELD) % one << 16;

            two = sum_of_warp(two);
            if (lane == p && low + p > 0)
                atomicAdd(&count[low + p], two & 0xffff);
            if (lane == p + 1 && low + p + 1 > 0)
                atomicAdd(&count[low + p + 1], two >> 16);
        }
        top = low - 1;
        if (sum_of_warp((unsigned)__popc(left)) <= FEW)
            break;
    }
    UNROLL
    for (int k = 0; k < VALUES; k++)
        if (left >> k & 1)
            atomicAdd(&count[exponent_of(v[k])], 1u);
}

// A number near the sample's mean, for all of the block: the first chunk's mean, or where that has
// no finite value, the mean of all.
static __device__ double origin_of(const ss_cuda_moments *part, int64_t chunks, block_stats &b)
{
    double n = 0, sum = 0;

    if (part[0].n > 0)
        return part[0].mean;
    for (int64_t i = threadIdx.x; i < chunks; i += STATS_THREADS) {
        n += part[i].n;
        sum += part[i].n * part[i].mean;
    }
    n = sum_of_block(n, b.count);
    sum = sum_of_block(sum, b.sum);
    if (threadIdx.x == 0)
        b.all.mean = n > 0 ? sum / n : 0;
    __syncthreads();
    return b.all.mean;
}

// Adds the moments of all chunks of a sample around `origin`, each thread some of them: for each
// warp into b.count, sum, square, min and max.
static __device__ void gather_chunks(const ss_cuda_moments *part, int64_t chunks, double origin,
                                     block_stats &b)
{
    const int warp = (int)threadIdx.x / 32;
    double n = 0, sum = 0, square = 0;
    float min = INFINITY, max = -INFINITY;

    for (int64_t i = threadIdx.x; i < chunks; i += STATS_THREADS) {
        const ss_cuda_moments m = part[i];
        const double away = m.mean - origin;

        n += m.n;
        sum += m.n * away;
        square += m.m2 + m.n * (away * away);
        min = m.min < min ? m.min : min;
        max = m.max > max ? m.max : max;
    }
    n = sum_of_warp(n);
    sum = sum_of_warp(sum);
    square = sum_of_warp(square);
    extremes_of_warp(&min, &max);
    if (threadIdx.x % 32 == 0) {
        b.count[warp] = n;
        b.sum[warp] = sum;
        b.square[warp] = square;
        b.min[warp] = min;
        b.max[warp] = max;
    }
}

// For one thread: what gather_chunks left, together.
static __device__ ss_cuda_moments gathered(double origin, const block_stats &b)
{
    ss_cuda_moments m = {0, origin, 0, b.min[0], b.max[0]};
    double sum = 0, square = 0;

    for (int w = 0; w < STATS_WARPS; w++) {
        m.n += b.count[w];
        sum += b.sum[w];
        square += b.square[w];
        m.min = b.min[w] < m.min ? b.min[w] : m.min;
        m.max = b.max[w] > m.max ? b.max[w] : m.max;
    }
    if (m.n > 0) {
        m.mean += sum / m.n;
        m.m2 = square - sum * (sum / m.n);
    }
    return m;
}

static __device__ void summarise(const ss_cuda_moments &m, int64_t length, ss_stats *out)
{
    const double m2 = m.m2 < 0 ? 0 : m.m2, square = m2 + m.n * m.mean * m.mean; // sum of x^2
    const bool any = m.n > 0;
    const float low = fabsf(m.min), high = fabsf(m.max);

    out->min = any ? m.min : NAN;
    out->max = any ? m.max : NAN;
    out->absmax = any ? low > high ? low : high : NAN;
    out->mean = any ? (float)m.mean : NAN;
    out->std = any ? (float)sqrt(m2 / m.n) : NAN;
    out->rms = any ? (float)sqrt(square / m.n) : NAN;
    out->l2 = any ? (float)sqrt(square) : NAN;
    out->count = (uint64_t)length;
    out->nonfinite = out->count - (uint64_t)m.n;
}

// Adds the counts of the chunk to those of the sample.
static __device__ void add_exponents(const block_stats &b, int64_t chunks, ss_stats *out)
{
    for (int k = (int)threadIdx.x; k < SS_N_EXPONENTS; k += STATS_THREADS) {
        if (chunks == 1)
            out->exponent[k] = b.exponent[k];
        else if (b.exponent[k])
            atomicAdd((unsigned long long *)&out->exponent[k], (unsigned long long)b.exponent[k]);
    }
}

// How many of the sample's values are in the exponents from 1 to 254: for each warp into b.counted.
static __device__ void gather_exponents(const ss_stats *out, block_stats &b)
{
    unsigned long long counted = 0;

    for (int k = 1 + (int)threadIdx.x; k < SS_N_EXPONENTS - 1; k += STATS_THREADS)
        counted += out->exponent[k];
    counted = sum_of_warp(counted);
    if (threadIdx.x % 32 == 0)
        b.counted[threadIdx.x / 32] = counted;
}

// For one thread: what is not finite has the largest exponent, and what is left is zero.
static __device__ void complete_exponents(const block_stats &b, ss_stats *out)
{
    uint64_t zeros = out->count - out->nonfinite;

    for (int w = 0; w < STATS_WARPS; w++)
        zeros -= b.counted[w];
    out->exponent[0] = zeros;
    out->exponent[SS_N_EXPONENTS - 1] = out->nonfinite;
}

// Measures chunk number `chunk` of a sample, of values change(index in it, value); the block that
// ends last writes the sample's statistics. part [chunks], *done 0 and out->exponent zeros at
// first.
template <class Change>
static __device__ void measure_chunk(const float *x, int64_t length, int64_t chunk, int64_t chunks,
                                     bool exponents, Change change, ss_cuda_moments *part,
                                     unsigned *done, ss_stats *out, block_stats &b)
{
    const int64_t begin = chunk * SS_CUDA_STATS_CHUNK, rest = length - begin;
    const int n = rest < SS_CUDA_STATS_CHUNK ? (int)rest : SS_CUDA_STATS_CHUNK;
    float v[VALUES], min, max;
    double origin = 0;

    load_chunk(x, begin, n, change, v);
    for (int k = (int)threadIdx.x; k < SS_N_EXPONENTS; k += STATS_THREADS)
        b.exponent[k] = 0;
    quick_moments(v, &min, &max, b);
    if (!b.good)
        careful_moments(v, &min, &max, b);
    if (exponents) {
        const float low = fabsf(min), high = fabsf(max);
        const int top = min > max ? 0 : (int)exponent_of(low > high ? low : high);

        count_exponents(v, top, b.exponent);
        __syncthreads();
        add_exponents(b, chunks, out);
    }
    if (chunks > 1) {
        if (threadIdx.x == 0)
            part[chunk] = b.all;
        if (!is_last(done, chunks, b.last))
            return;
        origin = origin_of(part, chunks, b);
        gather_chunks(part, chunks, origin, b);
    } else {
        __syncthreads();
    }
    if (exponents)
        gather_exponents(out, b);
    __syncthreads();
    if (threadIdx.x != 0)
        return;
    summarise(chunks > 1 ? gathered(origin, b) : b.all, length, out);
    if (exponents)
        complete_exponents(b, out);
}
