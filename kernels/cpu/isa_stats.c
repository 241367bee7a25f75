/* isa_stats.c - what stats.h defines, in one pass
 *
 * A sample is cut into chunks of CHUNK values, a chunk into pieces that stay in the nearest
 * cache while loops go over them: one takes the exponents out as bytes, one counts those, one does
 * extremes and moments.
 *
 * A counter for each exponent, raised value by value, would take most of the time. But nearly all
 * values of a tensor lie within a dozen exponents below the largest, or are zero: each of those is
 * counted by comparing whole vectors of bytes with it, and the few values below one by one.
 *
 * Moments are taken of x - x0 in double, x0 being the chunk's first finite value, and chunks
 * are combined in order (Chan, Golub & LeVeque 1983): accurate for |mean| >> std, and the
 * same for any number of threads. A value that is not finite is replaced by x0, which then
 * changes no extreme and adds 0 to both sums; how many there are, the histogram says.
 */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_vector.h"

enum { CHUNK = 1 << 16, VB = sizeof(vb), PIECE = 128 * VB };

typedef struct {
    double n, mean, m2; /* of the finite values: how many, mean, sum (x - mean)^2 */
    float min, max;
    uint32_t exponent[SS_N_EXPONENTS];
} partial;

static bool first_finite(const float *x, int64_t n, float *x0)
{
    for (int64_t i = 0; i < n; i++) {
        if (is_finite(x[i])) {
            *x0 = x[i];
            return true;
        }
    }
    return false;
}

/* Sums of x - x0 and its square, and extremes, lane by lane; two of each, as an addition takes
 * longer than the loop around it. */
typedef struct {
    vd sum[4], sum2[4];
    vf min[2], max[2];
} lanes;

static inline void lanes_add(lanes *a, int k, vf v, vd origin)
{
    const vd low = vd_low(v) - origin, high = vd_high(v) - origin;

    a->min[k] = vf_min(v, a->min[k]);
    a->max[k] = vf_max(v, a->max[k]);
    a->sum[2 * k] += low;
    a->sum[2 * k + 1] += high;
    a->sum2[2 * k] = vd_madd(low, low, a->sum2[2 * k]);
    a->sum2[2 * k + 1] = vd_madd(high, high, a->sum2[2 * k + 1]);
}

static inline vf finite_or(vf x0, vf x)
{
    return vf_select(vf_is_finite(x), x0, x);
}

static void moments_piece(const float *x, int64_t n, float x0, bool all_finite, lanes *total)
{
    const vf first = vf_all(x0);
    const vd origin = vd_low(first);
    lanes a = *total;
    int64_t i = 0;

    if (all_finite) {
        for (; i + 2 * VL <= n; i += 2 * VL) {
            __builtin_prefetch(x + i + PIECE); /* the next piece, while this one is at hand */
            lanes_add(&a, 0, vf_load(x + i), origin);
            lanes_add(&a, 1, vf_load(x + i + VL), origin);
        }
    }
    for (; i + VL <= n; i += VL)
        lanes_add(&a, 0, finite_or(first, vf_load(x + i)), origin);
    if (i < n) {
        vf rest = first;

        memcpy(&rest, x + i, (size_t)(n - i) * sizeof *x);
        lanes_add(&a, 0, finite_or(first, rest), origin);
    }
    *total = a;
}

static inline vi exponents(const float *x)
{
    return (vi)((vu)vf_load(x) << 1 >> 24);
}

/* The exponents of n values in any order, and zeros up to a whole vector; returns the largest. */
static int take_exponents(const float *x, int64_t n, uint8_t *to)
{
    float rest[VB] = {0};
    vb top = {0};
    int largest = 0;

    for (int64_t i = 0; i < n; i += VB) {
        const float *from = x + i;

        if (i + VB > n)
            from = memcpy(rest, from, (size_t)(n - i) * sizeof *rest);
        const vb e = vb_narrow(exponents(from), exponents(from + VL), exponents(from + 2 * VL),
                               exponents(from + 3 * VL));
        top = vb_max(e, top);
        memcpy(to + i, &e, sizeof e);
    }
    for (int i = 0; i < VB; i++)
        largest = top[i] > largest ? top[i] : largest;
    return largest;
}

enum { WINDOW = 11, WINDOWS = 6 };

/* count[k] = how many bytes are k, for WINDOW values from `low` on and for 0. At most 255 vectors.
 */
static void count_window(const uint8_t *x, int64_t vectors, int low, uint32_t *count)
{
    vb found[WINDOW + 1] = {0};

    for (int64_t i = 0; i < vectors; i++) {
        const vb b = vb_load(x + i * VB);

#pragma GCC unroll 16
        for (int k = 0; k < WINDOW; k++)
            found[k] -= (vb)(b == (uint8_t)(low + k));
        found[WINDOW] -= (vb)(b == 0);
    }
    for (int k = 0; k <= WINDOW; k++) {
        uint32_t sum = 0;

        for (int i = 0; i < VB; i++)
            sum += found[k][i];
        count[k < WINDOW ? low + k : 0] = sum;
    }
}

/* Counts one by one the bytes from 1 to `top`. */
static void count_rest(const uint8_t *x, int64_t vectors, int top, uint32_t *count)
{
    for (int64_t i = 0; i < vectors; i++, x += VB) {
        uint64_t some = vb_bits((vb)((vb)(vb_load(x) - 1) < (uint8_t)top));

        for (; some; some &= some - 1)
            count[x[__builtin_ctzll(some)]]++;
    }
}

/* Adds the exponents of one piece; returns the largest. */
static int count_piece(const float *x, int64_t n, uint32_t *total)
{
    uint8_t bytes[PIECE] __attribute__((aligned(64)));
    uint32_t count[SS_N_EXPONENTS] = {0}, counted = 0;
    const int64_t vectors = (n + VB - 1) / VB, all = vectors * VB;
    const int largest = take_exponents(x, n, bytes);
    int top = largest; /* what is above is counted, but for zeros */

    for (int w = 0; w == 0 || (w < WINDOWS && top > 0 && all - counted > n / 128); w++) {
        const int low = top > WINDOW ? top - WINDOW + 1 : 1;

        count_window(bytes, vectors, low, count);
        top = low - 1;
        counted = 0;
        for (int k = 0; k < SS_N_EXPONENTS; k++)
            counted += count[k];
    }
    if (counted < all)
        count_rest(bytes, vectors, top, count);
    count[0] -= (uint32_t)(all - n);
    for (int k = 0; k < SS_N_EXPONENTS; k++)
        total[k] += count[k];
    return largest;
}

static void stats_chunk(const float *x, int64_t n, partial *p)
{
    float x0 = 0;
    const bool any = first_finite(x, n, &x0);
    lanes a = {.min = {vf_all(x0), vf_all(x0)}, .max = {vf_all(x0), vf_all(x0)}};

    *p = (partial){0};
    for (int64_t i = 0; i < n; i += PIECE) {
        const int64_t len = min_i64(PIECE, n - i);
        const int largest = count_piece(x + i, len, p->exponent);

        if (any)
            moments_piece(x + i, len, x0, largest < SS_N_EXPONENTS - 1, &a);
    }
    p->n = (double)n - p->exponent[SS_N_EXPONENTS - 1];
    if (!any)
        return;

    const double sum = vd_sum(a.sum[0] + a.sum[1] + a.sum[2] + a.sum[3]);
    const double sum2 = vd_sum(a.sum2[0] + a.sum2[1] + a.sum2[2] + a.sum2[3]);
    const vf min = vf_min(a.min[0], a.min[1]), max = vf_max(a.max[0], a.max[1]);

    p->mean = x0 + sum / p->n;
    p->m2 = sum2 - sum * (sum / p->n);
    p->min = p->max = x0;
    for (int i = 0; i < VL; i++) {
        p->min = min[i] < p->min ? min[i] : p->min;
        p->max = max[i] > p->max ? max[i] : p->max;
    }
}

static ss_stats summarise(const partial *p, int64_t chunks, int64_t count)
{
    ss_stats s = {.count = (uint64_t)count};
    double n = 0, mean = 0, m2 = 0;
    float min = INFINITY, max = -INFINITY;

    for (int64_t i = 0; i < chunks; i++) {
        for (int k = 0; k < SS_N_EXPONENTS; k++)
            s.exponent[k] += p[i].exponent[k];
        if (p[i].n == 0)
            continue;

        const double both = n + p[i].n, delta = p[i].mean - mean;

        m2 += p[i].m2 + delta * delta * (n * p[i].n / both);
        mean += delta * (p[i].n / both);
        n = both;
        min = p[i].min < min ? p[i].min : min;
        max = p[i].max > max ? p[i].max : max;
    }
    s.nonfinite = s.exponent[SS_N_EXPONENTS - 1];
    if (n == 0) {
        s.min = s.max = s.absmax = s.mean = s.std = s.rms = s.l2 = NAN;
        return s;
    }

    const double square = (m2 < 0 ? 0 : m2) + n * mean * mean; /* sum of x^2 */

    s.min = min;
    s.max = max;
    s.absmax = fmaxf(fabsf(min), fabsf(max));
    s.mean = (float)mean;
    s.std = (float)sqrt((m2 < 0 ? 0 : m2) / n);
    s.rms = (float)sqrt(square / n);
    s.l2 = (float)sqrt(square);
    return s;
}

ss_code ISA(stats)(ss_device *d, const ss_tensor *x, ss_stats *out, ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape), N = x->shape.rank ? x->shape.dim[0] : 1;
    const int64_t len = N ? n / N : 0, chunks = (len + CHUNK - 1) / CHUNK;
    const size_t bytes = (size_t)(N * chunks) * sizeof(partial);
    const float *values = x->data;
    partial *p = ss_pool_alloc(&d->pool, bytes); /* [N][chunks] */

    if (!p)
        return ss_fail(e, SS_NOMEM, "statistics: %zu bytes of work space", bytes);
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t i = 0; i < N * chunks; i++) {
        const int64_t at = i % chunks * CHUNK;

        stats_chunk(values + i / chunks * len + at, min_i64(CHUNK, len - at), &p[i]);
    }
    for (int64_t s = 0; s < N; s++)
        out[s] = summarise(p + s * chunks, chunks, len);
    ss_pool_free(&d->pool, p);
    return SS_OK;
}

/* Per channel: how many finite values, their largest magnitude, their sum of squares. */
typedef struct {
    double square;
    float absmax;
    uint32_t n;
} channel;

static void channel_block(const float *x, int64_t rows, int64_t C, channel *to)
{
    enum { SPAN = 512 }; /* channels at a time, whose sums fit the nearest cache */
    double square[SPAN];
    float top[SPAN];
    uint32_t n[SPAN];

    for (int64_t c0 = 0; c0 < C; c0 += SPAN) {
        const int64_t len = min_i64(SPAN, C - c0);

        memset(square, 0, sizeof square);
        memset(top, 0, sizeof top);
        memset(n, 0, sizeof n);
        for (int64_t r = 0; r < rows; r++) {
            const float *xr = x + r * C + c0;

#pragma omp simd
            for (int64_t c = 0; c < len; c++) {
                const uint32_t magnitude = bits_of(xr[c]) & 0x7fffffff;
                const uint32_t finite = magnitude < 0x7f800000 ? 1 : 0;
                const float a = float_of(magnitude & -finite);

                square[c] += (double)a * a;
                top[c] = a > top[c] ? a : top[c];
                n[c] += finite;
            }
        }
        for (int64_t c = 0; c < len; c++)
            to[c0 + c] = (channel){square[c], top[c], n[c]};
    }
}

ss_code ISA(channel_stats)(ss_device *d, const ss_tensor *x, float *absmax, float *rms, ss_err *e)
{
    const int64_t N = x->shape.dim[0], C = x->shape.dim[x->shape.rank - 1];
    const int64_t n = ss_shape_numel(x->shape), rows = n ? n / (N * C) : 0;
    const int64_t step = C < CHUNK ? CHUNK / C : 1, blocks = (rows + step - 1) / step;
    const size_t bytes = (size_t)(N * blocks * C) * sizeof(channel);
    const float *values = x->data;
    channel *partials = ss_pool_alloc(&d->pool, bytes); /* [N][blocks][C] */

    if (!partials)
        return ss_fail(e, SS_NOMEM, "channel statistics: %zu bytes of work space", bytes);
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t b = 0; b < N * blocks; b++) {
        const int64_t r = b % blocks * step;

        channel_block(values + (b / blocks * rows + r) * C, min_i64(step, rows - r), C,
                      partials + b * C);
    }
    for (int64_t i = 0; i < N * C; i++) {
        const channel *c = partials + (i / C * blocks) * C + i % C;
        double square = 0, count = 0;
        float top = 0;

        for (int64_t b = 0; b < blocks; b++) {
            square += c[b * C].square;
            count += c[b * C].n;
            top = c[b * C].absmax > top ? c[b * C].absmax : top;
        }
        absmax[i] = count > 0 ? top : NAN;
        rms[i] = count > 0 ? (float)sqrt(square / count) : NAN;
    }
    ss_pool_free(&d->pool, partials);
    return SS_OK;
}
