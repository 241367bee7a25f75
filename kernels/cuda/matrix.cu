// matrix.cu - what matrix products by a library leave to do
//
// Adding the bias reads and writes each value once, 8 bytes; a thread keeps its columns' bias.
#include "kernels/cuda/device.cuh"

__device__ static float4 plus(float4 a, float4 b)
{
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

__device__ static float plus(float a, float b)
{
    return a + b;
}

template <class V> __device__ static void add_to_rows(const ss_kernel_add_bias &a)
{
    const int64_t columns = a.columns / (int64_t)(sizeof(V) / sizeof(float));
    const int64_t across = (columns + a.tile - 1) / a.tile;
    const int at_once = (int)blockDim.x / a.tile, down = (int)threadIdx.x / a.tile;
    const int64_t column = blockIdx.x % across * a.tile + threadIdx.x % a.tile;
    const int64_t first = blockIdx.x / across * at_once * a.each + down;

    if (column >= columns || down >= at_once)
        return;
    const V bias = ((const V *)a.bias)[column];
    V *y = (V *)a.y + column;

#pragma unroll 4
    for (int k = 0; k < a.each; k++) {
        const int64_t row = first + k * (int64_t)at_once;

        if (row < a.rows)
            y[row * columns] = plus(y[row * columns], bias);
    }
}

KERNEL(add_bias)
{
    if (a.vector == 4)
        add_to_rows<float4>(a);
    else
        add_to_rows<float>(a);
}
