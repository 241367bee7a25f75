// convert.cu - values of other types as f32, and matrices turned
//
// Parameters pass through here once, when they are first used in another form than the file's.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/math.cuh"

KERNEL(widen_f32)
{
    EACH(i, a.n)
    a.y[i] = round_f32(a.to, a.x[i]);
}

// An IEEE half: its exponent moves up by 112; subnormals are multiples of 2^-24.
__device__ static float from_half(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, magnitude = h & 0x7fff;

    if (magnitude < 0x400)
        return float_of(bits_of((float)magnitude * 0x1p-24f) | sign);
    return float_of(sign | (magnitude >= 0x7c00 ? 0x7f800000 | (magnitude & 0x3ff) << 13
                                                : (magnitude << 13) + (112u << 23)));
}

KERNEL(widen_f16)
{
    EACH(i, a.n)
    a.y[i] = round_f32(a.to, from_half(a.x[i]));
}

KERNEL(widen_bf16)
{
    EACH(i, a.n)
    a.y[i] = round_f32(a.to, float_of((uint32_t)a.x[i] << 16));
}

// Rows are read and written whole: a tile is turned in shared memory, whose rows are one value
// longer so that a column lies in 32 banks.
KERNEL(transpose)
{
    enum { TILE = 32, STEP = 8 };
    SHARED(float, tile, TILE *(TILE + 1));
    const int64_t tiles = a.across * a.down, at = blockIdx.x % tiles;
    const int64_t matrix = blockIdx.x / tiles * a.rows * a.columns;
    const int64_t row0 = at / a.across * TILE, column0 = at % a.across * TILE;
    const int k = threadIdx.x % TILE, first = threadIdx.x / TILE;

    for (int r = first; r < TILE; r += STEP)
        if (row0 + r < a.rows && column0 + k < a.columns)
            tile[r * (TILE + 1) + k] = a.x[matrix + (row0 + r) * a.columns + column0 + k];
    __syncthreads();
    for (int r = first; r < TILE; r += STEP)
        if (column0 + r < a.columns && row0 + k < a.rows)
            a.y[matrix + (column0 + r) * a.rows + row0 + k] = tile[k * (TILE + 1) + r];
}
