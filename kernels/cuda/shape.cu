// shape.cu - operations that move values: copies, axes in another order, rows of tables
//
// Each value is read once and written once, 8 bytes; the places are computed with multiplications
// (packs.h), as 64-bit divisions would cost more than the memory. Where the innermost axes of a
// permutation change, tiles go through shared memory, so that reads and writes both are whole
// sectors.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/math.cuh"
#include "kernels/cuda/packs.cuh"

template <int N> __device__ static inline void copy_packs(const ss_kernel_copy_rows &a)
{
    EACH(i, a.n)
    {
        int64_t r = i;
        const int64_t k = take_remainder(r, a.len);

        store<N>(a.y + N * (r * a.y_stride + k), load<N>(a.x + N * (r * a.x_stride + k)));
    }
}

KERNEL(copy_rows)
{
    if (a.pack == 4)
        copy_packs<4>(a);
    else
        copy_packs<1>(a);
}

// ---- axes ----

// Where the i-th combination of steps begins in x and in y.
__device__ static inline void steps(const ss_cuda_axes &axes, int64_t i, int64_t &x, int64_t &y)
{
    x = y = 0;
    for (int k = axes.n - 1; k >= 0; k--) {
        const int64_t step = k ? take_remainder(i, axes.size[k]) : i;

        x += step * axes.x[k];
        y += step * axes.y[k];
    }
}

template <int N> __device__ static inline void gather_packs(const ss_kernel_permute &a)
{
    EACH(i, a.n)
    {
        int64_t from, to;

        steps(a.axes, i, from, to);
        store<N>(a.y + N * i, load<N>(a.x + N * from));
    }
}

KERNEL(permute)
{
    if (a.pack == 4)
        gather_packs<4>(a);
    else
        gather_packs<1>(a);
}

// Rows of a tile are one value longer, so that a column lies in 32 banks.
KERNEL(permute_planes)
{
    enum { TILE = 32, ROWS = 8 };
    SHARED(float, tile, TILE *(TILE + 1));
    int64_t plane = blockIdx.x, from, to;
    const int64_t j0 = take_remainder(plane, a.tiles_down) * TILE;
    const int64_t i0 = take_remainder(plane, a.tiles_across) * TILE;
    const int lane = (int)threadIdx.x % TILE, first = (int)threadIdx.x / TILE;

    steps(a.axes, plane, from, to);
    from += i0 * a.x_stride + j0;
    to += j0 * a.y_stride + i0;
    for (int i = first; i < TILE; i += ROWS)
        if (i0 + i < a.across && j0 + lane < a.down)
            tile[i * (TILE + 1) + lane] = a.x[from + i * a.x_stride + lane];
    __syncthreads();
    for (int j = first; j < TILE; j += ROWS)
        if (j0 + j < a.down && i0 + lane < a.across)
            a.y[to + j * a.y_stride + lane] = round_f32(a.to, tile[lane * (TILE + 1) + j]);
}

// ---- tokens ----

// The sum runs over the tokens in order, as on the CPU; eight loads are under way at a time.
KERNEL(mean_tokens)
{
    EACH(i, a.n)
    {
        int64_t sample = i;
        const int64_t c = take_remainder(sample, a.channels), C = a.channels.by;
        const float *x = a.x + sample * a.tokens * C + c;
        double sum = 0;
        int64_t t = 0;

        for (; t + 8 <= a.tokens; t += 8) {
            float v[8];

            for (int k = 0; k < 8; k++)
                v[k] = x[(t + k) * C];
            for (int k = 0; k < 8; k++)
                sum += v[k];
        }
        for (; t < a.tokens; t++)
            sum += x[t * C];
        a.y[i] = (float)(sum / (double)a.tokens);
    }
}

template <int N> __device__ static inline void spread_packs(const ss_kernel_back_mean_tokens &a)
{
    EACH(i, a.n)
    {
        int64_t row = i;
        const int64_t c = take_remainder(row, a.channels), sample = quotient(row, a.tokens);
        pack<N> v = load<N>(a.dy + N * (sample * a.channels.by + c));

        for (int k = 0; k < N; k++)
            v.v[k] /= (float)a.tokens.by;
        store<N>(a.dx + N * i, v);
    }
}

KERNEL(back_mean_tokens)
{
    if (a.pack == 4)
        spread_packs<4>(a);
    else
        spread_packs<1>(a);
}

// ---- rows of a table ----

template <int N> __device__ static inline void look_up_packs(const ss_kernel_embedding &a)
{
    EACH(i, a.n)
    {
        int64_t row = i;
        const int64_t c = take_remainder(row, a.channels);

        store<N>(a.y + N * i, load<N>(a.table + N * (a.ids[row] * a.channels.by + c)));
    }
}

KERNEL(embedding)
{
    if (a.pack == 4)
        look_up_packs<4>(a);
    else
        look_up_packs<1>(a);
}

// All threads of a block look through the ids alike; there are as many as samples, or tokens.
KERNEL(back_embedding)
{
    const int64_t first = blockIdx.x, id = a.ids[first];

    for (int64_t j = 0; j < first; j++)
        if (a.ids[j] == id)
            return;
    for (int64_t c = threadIdx.x; c < a.channels; c += blockDim.x) {
        float sum = 0;

        for (int64_t j = first; j < a.n; j++)
            if (a.ids[j] == id)
                sum += a.dy[j * a.channels + c];
        a.dtable[id * a.channels + c] = sum;
    }
}
