// loss.cu - the squared error of an answer and its gradient: one launch, 12 bytes a value
//
// The gradient has the CPU's bits (kernels/cpu/loss.c): the same operations in double.
#include "kernels/cuda/loss.h"
#include "kernels/cuda/sums.cuh"

KERNEL(squared_error)
{
    SHARED(double, shared, SS_THREADS_squared_error / 32);
    SHARED(bool, last, 1);
    const int64_t sample = blockIdx.x / a.chunks, chunk = blockIdx.x % a.chunks;
    const int64_t begin = chunk * SS_CUDA_LOSS_CHUNK, rest = a.length - begin;
    const int64_t first = sample * a.length + begin;
    const int n = rest < SS_CUDA_LOSS_CHUNK ? (int)rest : SS_CUDA_LOSS_CHUNK;
    const double slope = a.slope[sample];
    double sum = 0;

    for (int i = (int)threadIdx.x; i < n; i += (int)blockDim.x) {
        const double d = (double)a.y[first + i] - (double)a.target[first + i];

        sum = fma(d, d, sum);
        a.dy[first + i] = (float)(slope * d);
    }
    sum = sum_of_block(sum, shared);
    if (threadIdx.x == 0)
        a.part[blockIdx.x] = sum;
    if (!is_last(&a.done[sample], a.chunks, last[0]))
        return;
    sum = 0;
    for (int64_t i = threadIdx.x; i < a.chunks; i += blockDim.x)
        sum += a.part[sample * a.chunks + i];
    sum = sum_of_block(sum, shared);
    if (threadIdx.x == 0)
        a.squares[sample] = sum;
}
