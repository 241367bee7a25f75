// tally.cuh - statistics of rows of logits, and how those of several rows combine
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/math.cuh"

#define INFINITE float_of(0x7f800000)

__device__ static void clear(ss_cuda_range &r)
{
    r.least = r.first_peak = INFINITE;
    r.most = r.last_peak = -INFINITE;
}

__device__ static float less(float a, float b)
{
    return b < a ? b : a;
}

__device__ static float more(float a, float b)
{
    return b > a ? b : a;
}

__device__ static void merge(ss_cuda_range &a, const ss_cuda_range &b)
{
    a.least = less(a.least, b.least);
    a.most = more(a.most, b.most);
    a.first_peak = less(a.first_peak, b.first_peak);
    a.last_peak = more(a.last_peak, b.last_peak);
}

// The largest logit of a row, unless it has none that is finite
__device__ static void add_peak(ss_cuda_range &r, float top)
{
    if (is_finite(top)) {
        r.first_peak = less(r.first_peak, top);
        r.last_peak = more(r.last_peak, top);
    }
}

// The least of two, NaN if one is
__device__ static double least_or_nan(double a, double b)
{
    return b < a || b != b ? b : a;
}

__device__ static void clear(ss_cuda_row_stats &s)
{
    s.entropy = 0;
    s.entropy_min = INFINITE;
    clear(s.raw);
    clear(s.stored);
    s.probability = 0;
    s.lost = 0;
}

__device__ static void merge(ss_cuda_row_stats &a, const ss_cuda_row_stats &b)
{
    a.entropy += b.entropy;
    a.entropy_min = least_or_nan(a.entropy_min, b.entropy_min);
    merge(a.raw, b.raw);
    merge(a.stored, b.stored);
    a.probability = more(a.probability, b.probability);
    a.lost += b.lost;
}
