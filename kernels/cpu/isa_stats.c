/* isa_stats.c - what stats.h defines, in one pass
 *
 * A sample is cut into chunks of CHUNK values, a chunk into pieces that stay in the nearest
 * cache while two loops go over them: one for extremes and moments, which vectorises, and
 * one that counts exponents, which cannot. Neighbouring values mostly have the same exponent
 * and the same counter cannot be raised twice in a few cycles, so there are TABLES counters
 * of each.
 *
 * Moments are taken of x - x0 in double, x0 being the chunk's first finite value, and chunks
 * are combined in order (Chan, Golub & LeVeque 1983): accurate for |mean| >> std, and the
 * same for any number of threads. A value that is not finite is replaced by x0, which then
 * changes no extreme and adds 0 to both sums; how many there are, the histogram says.
 */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_vector.h"

enum { CHUNK = 1 << 16, PIECE = 1 << 12, TABLES = 8 };

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

/* Sums of x - x0 and its square, and extremes, lane by lane. */
typedef struct {
    vd sum[2], sum2[2];
    vf min, max;
} lanes;

static inline void lanes_add(lanes *a, vf x, vf x0, vd origin)
{
    const vf v = vf_select(vf_is_finite(x), x0, x);
    const vd low = vd_low(v) - origin, high = vd_high(v) - origin;

    a->min = vf_min(v, a->min);
    a->max = vf_max(v, a->max);
    a->sum[0] += low;
    a->sum[1] += high;
    a->sum2[0] += low * low;
    a->sum2[1] += high * high;
}

static void moments_piece(const float *x, int64_t n, float x0, lanes *total)
{
    const vf first = vf_all(x0);
    const vd origin = vd_low(first);
    lanes a = *total;
    int64_t i = 0;

    for (; i + VL <= n; i += VL)
        lanes_add(&a, vf_load(x + i), first, origin);
    if (i < n) {
        vf rest = first;

        memcpy(&rest, x + i, (size_t)(n - i) * sizeof *x);
        lanes_add(&a, rest, first, origin);
    }
    *total = a;
}

/* Counts by exponent; a row is longer than it need be, lest counters of one exponent in
 * different tables lie a multiple of 4096 bytes apart, which the processor mistakes for one. */
typedef uint32_t counters[TABLES][SS_N_EXPONENTS + 16];

static void count_piece(const float *x, int64_t n, counters count)
{
    int64_t i = 0;

    for (; i + TABLES <= n; i += TABLES) {
#pragma GCC unroll 8
        for (int k = 0; k < TABLES; k += 2) {
            uint64_t two; /* values a load */

            memcpy(&two, x + i + k, sizeof two);
            count[k][(uint8_t)(two >> 23)]++;
            count[k + 1][(uint8_t)(two >> 55)]++;
        }
    }
    for (; i < n; i++)
        count[0][(uint8_t)(bits_of(x[i]) >> 23)]++;
}

static void stats_chunk(const float *x, int64_t n, partial *p)
{
    counters count = {{0}};
    float x0 = 0;
    const bool any = first_finite(x, n, &x0);
    lanes a = {.min = vf_all(x0), .max = vf_all(x0)};

    for (int64_t i = 0; i < n; i += PIECE) {
        const int64_t len = min_i64(PIECE, n - i);

        if (any)
            moments_piece(x + i, len, x0, &a);
        count_piece(x + i, len, count);
    }
    for (int k = 0; k < SS_N_EXPONENTS; k++) {
        p->exponent[k] = 0;
        for (int t = 0; t < TABLES; t++)
            p->exponent[k] += count[t][k];
    }
    p->n = (double)n - p->exponent[SS_N_EXPONENTS - 1];
    if (!any)
        return;

    const double sum = vd_sum(a.sum[0] + a.sum[1]), sum2 = vd_sum(a.sum2[0] + a.sum2[1]);

    p->mean = x0 + sum / p->n;
    p->m2 = sum2 - sum * (sum / p->n);
    p->min = p->max = x0;
    for (int i = 0; i < VL; i++) {
        p->min = a.min[i] < p->min ? a.min[i] : p->min;
        p->max = a.max[i] > p->max ? a.max[i] : p->max;
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
    ss_pool_free(&d->pool, p, bytes);
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
    ss_pool_free(&d->pool, partials, bytes);
    return SS_OK;
}
