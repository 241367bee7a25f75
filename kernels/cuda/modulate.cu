// modulate.cu - scale and shift by channels, gated units, and their gradients
//
//   y = x (1 + scale) + shift          dx = dy (1 + scale), dscale = sum dy x, dshift = sum dy
//   y = value gelu(gate)               dvalue = dy gelu(gate), dgate = dy value gelu'(gate)
//
// Each operand is read and each result written once: 8 bytes a value of x forward and 12 back, 12
// and 20 bytes a value of y for the gated units. But for the sums these are the CPU's bits.
#include "kernels/cuda/norm.cuh"

template <int V> __device__ static void modulate(const ss_kernel_modulate &a)
{
    const int64_t C = a.channels.by * V;

    EACH(i, a.n)
    {
        int64_t row = i;
        const int64_t c = take_remainder(row, a.channels) * V;
        const float *mod = a.mod + quotient(row, a.rows) * a.width + c;
        const pack<V> scale = load<V>(mod);
        pack<V> x = load<V>(a.x + i * V);

        for (int k = 0; k < V; k++)
            x.v[k] *= 1 + scale.v[k];
        if (a.width > C) {
            const pack<V> shift = load<V>(mod + C);

            for (int k = 0; k < V; k++)
                x.v[k] += shift.v[k];
        }
        store<V>(a.y + i * V, x);
    }
}

KERNEL(modulate)
{
    if (a.pack == 4)
        modulate<4>(a);
    else
        modulate<1>(a);
}

template <int V> __device__ static void geglu(const ss_kernel_geglu &a)
{
    EACH(i, a.n)
    {
        int64_t row = i;
        const int64_t k = take_remainder(row, a.row);
        const float *from = a.x + (2 * row * a.row.by + k) * V;
        const pack<V> value = load<V>(from), gate = load<V>(from + a.row.by * V);
        pack<V> y;

        for (int j = 0; j < V; j++)
            y.v[j] = value.v[j] * gelu_f32(gate.v[j]);
        store<V>(a.y + i * V, y);
    }
}

KERNEL(geglu)
{
    if (a.pack == 4)
        geglu<4>(a);
    else
        geglu<1>(a);
}

template <int V> __device__ static void geglu_back(const ss_kernel_geglu_back &a)
{
    EACH(i, a.n)
    {
        int64_t row = i;
        const int64_t k = take_remainder(row, a.row), at = (2 * row * a.row.by + k) * V;
        const int64_t half = a.row.by * V;
        const pack<V> value = load<V>(a.x + at), gate = load<V>(a.x + at + half);
        const pack<V> dy = load<V>(a.dy + i * V);
        pack<V> dvalue, dgate;

        for (int j = 0; j < V; j++) {
            dvalue.v[j] = dy.v[j] * gelu_f32(gate.v[j]);
            dgate.v[j] = dy.v[j] * value.v[j] * gelu_slope(gate.v[j]);
        }
        store<V>(a.dx + at, dvalue);
        store<V>(a.dx + at + half, dgate);
    }
}

KERNEL(geglu_back)
{
    if (a.pack == 4)
        geglu_back<4>(a);
    else
        geglu_back<1>(a);
}

// ---- gradient of modulation: dx, and sums down the columns ----

enum { THREADS = SS_THREADS_modulate_back, COLUMNS = 32, ROWS = THREADS / COLUMNS, FOUR = 4 };

// How many blocks of each slab of a sample have come to their end; 0 between launches.
static __device__ unsigned modulate_arrived[SS_MODULATE_COUNTERS];

// dx of a thread's rows of a chunk, FOUR at a time, and its sums of dy and dy x.
template <int V>
__device__ static void go_down(const ss_kernel_modulate_back &a, int64_t sample, int64_t first_row,
                               int64_t end, int64_t c, sums (&s)[V])
{
    const pack<V> scale = load<V>(a.mod + sample * a.width + c);

    for (int64_t r = first_row; r < end; r += FOUR * ROWS) {
        const int count = (int)min((int64_t)FOUR, (end - r + ROWS - 1) / ROWS);
        const int64_t at = (sample * a.rows + r) * a.channels + c, step = ROWS * a.channels;
        pack<V> x[FOUR], dy[FOUR];

#pragma unroll
        for (int j = 0; j < FOUR; j++)
            if (j < count) {
                x[j] = load<V>(a.x + at + j * step);
                dy[j] = load<V>(a.dy + at + j * step);
            }
#pragma unroll
        for (int i = 0; i < V; i++) {
            float s1 = 0, s2 = 0;

#pragma unroll
            for (int j = 0; j < FOUR; j++)
                if (j < count) {
                    s1 += dy[j].v[i];
                    s2 = fmaf(dy[j].v[i], x[j].v[i], s2);
                    dy[j].v[i] *= 1 + scale.v[i];
                }
            add(s[i], {s1, s2});
        }
#pragma unroll
        for (int j = 0; j < FOUR; j++)
            if (a.dx && j < count)
                store<V>(a.dx + at + j * step, dy[j]);
    }
}

template <int V> __device__ static void modulate_back(const ss_kernel_modulate_back &a, sums *space)
{
    const int64_t C = a.channels, chunk = blockIdx.x % a.chunks, which = blockIdx.x / a.chunks;
    const int64_t sample = which / a.slabs, first = which % a.slabs * COLUMNS * V;
    const int row = (int)threadIdx.x / COLUMNS, column = (int)threadIdx.x % COLUMNS;
    const int64_t c = first + column * V, end = min((chunk + 1) * a.chunk, a.rows);
    float *dscale = a.dmod + sample * a.width, *dshift = a.width > C ? dscale + C : NULL;
    sums s[V] = {};

    if (c < C)
        go_down<V>(a, sample, chunk * a.chunk + row, end, c, s);
    if (!a.dmod)
        return;
    add_rows<V, THREADS>(s, row, ROWS, column, COLUMNS, space);
    if (row == 0 && c < C)
        for (int k = 0; k < V; k++) {
            double *to = a.partial + ((sample * a.chunks + chunk) * C + c + k) * 2;

            if (a.chunks > 1) {
                to[0] = s[k].s1;
                to[1] = s[k].s2;
                continue;
            }
            dscale[c + k] = (float)s[k].s2;
            if (dshift)
                dshift[c + k] = (float)s[k].s1;
        }
    if (a.chunks > 1 && is_last_block(&modulate_arrived[which], (unsigned)a.chunks))
        sum_shares<THREADS>(a.partial + sample * a.chunks * C * 2, a.chunks, C, first,
                            (int)min((int64_t)COLUMNS * V, C - first), dshift, dscale, space);
}

KERNEL(modulate_back)
{
    SHARED(sums, space, 2 * THREADS);

    if (a.pack == 4)
        modulate_back<4>(a, space);
    else
        modulate_back<1>(a, space);
}
