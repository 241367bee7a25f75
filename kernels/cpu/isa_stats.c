/* isa_stats.c - what stats.h defines, in one pass
 *
 * A sample is cut into chunks of CHUNK values, a chunk into pieces: one loop over a piece gathers
 * extremes and sums and takes the exponents out as bytes, another counts those in the nearest
 * cache.
 *
 * A counter for each exponent, raised value by value, would take most of the time. But nearly all
 * values of a tensor lie within a dozen exponents below the largest, or are zero: those are counted
 * vector by vector, and the few values below one by one. What is left are zeros.
 *
 * Sums of x and x^2 are of eight values in f32, then in double: to turn each value into a double
 * would take a third of the time. Where that could cost a digit, in pieces that are short, or hold
 * inf or NaN, or are very large or small, or whose mean exceeds their spread, all is in double, of
 * x - x0, x0 being the first finite value; what is not finite is replaced by x0, which changes no
 * extreme and adds 0 to both sums. Pieces are combined in order (Chan, Golub & LeVeque 1983):
 * accurate for |mean| >> std, and the same for any number of threads.
 */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_vector.h"

enum { VB = sizeof(vb), PIECE = 240 * VB, CHUNK = 61440 }; /* whole pieces, of any VB */
/* Values that quick_moments takes at a time, and how many must be there for it: f32 needs some to
 * average its errors over. */
enum { STRIDE = 2 * VB, MANY = 2048 };
enum { AHEAD = 4096, LINE = 16 }; /* how far values are fetched ahead */

/* Moments of finite values: their number, mean, sum (x - mean)^2, extremes. */
typedef struct {
    double n, mean, m2;
    float min, max; /* of none: inf and -inf */
} moments;

typedef struct {
    moments moments;
    uint32_t exponent[SS_N_EXPONENTS];
} partial;

static const moments no_values = {.min = INFINITY, .max = -INFINITY};

/* Adds b to a. */
static void merge(moments *a, const moments *b)
{
    const double n = a->n + b->n, delta = b->mean - a->mean;

    if (b->n == 0)
        return;
    a->m2 += b->m2 + delta * delta * (a->n * b->n / n);
    a->mean += delta * (b->n / n);
    a->n = n;
    a->min = b->min < a->min ? b->min : a->min;
    a->max = b->max > a->max ? b->max : a->max;
}

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

/* Moments of `count` finite values from the sums of x - x0 and its square, lane by lane. */
static moments from_sums(double count, double x0, vd sum, vd sum2, vf min, vf max)
{
    const double total = vd_sum(sum);
    moments m = {.n = count, .min = min[0], .max = max[0]};

    m.mean = x0 + total / count;
    m.m2 = vd_sum(sum2) - total * (total / count);
    for (int i = 1; i < VL; i++) {
        m.min = min[i] < m.min ? min[i] : m.min;
        m.max = max[i] > m.max ? max[i] : m.max;
    }
    return m;
}

/* Moments of n values; values that are not finite are replaced by x0. */
static moments careful_moments(const float *x, int64_t n)
{
    float x0 = 0;

    if (!first_finite(x, n, &x0))
        return no_values;

    const vf first = vf_all(x0);
    const vd origin = vd_low(first);
    vd sum[2] = {{0}}, sum2[2] = {{0}};
    vf min = first, max = first;
    vi others = {0};

    for (int64_t i = 0; i < n; i += VL) {
        vf v = first;

        if (i + VL <= n)
            v = vf_load(x + i);
        else
            memcpy(&v, x + i, (size_t)(n - i) * sizeof *x);

        const vi finite = vf_is_finite(v);
        others -= ~finite;
        v = vf_select(finite, first, v);

        const vd low = vd_low(v) - origin, high = vd_high(v) - origin;

        min = vf_min(v, min);
        max = vf_max(v, max);
        sum[0] += low;
        sum[1] += high;
        sum2[0] = vd_madd(low, low, sum2[0]);
        sum2[1] = vd_madd(high, high, sum2[1]);
    }
    for (int k = 0; k < VL; k++)
        n -= others[k];
    return from_sums((double)n, x0, sum[0] + sum[1], sum2[0] + sum2[1], min, max);
}

/* True when the result of quick_moments is exact enough: no value was inf or NaN, squares neither
 * overflowed nor vanished, and the mean does not hide the spread. */
static bool are_good(const moments *m)
{
    return isfinite(m->m2) && m->m2 > m->n * m->mean * m->mean && fmaxf(-m->min, m->max) > 0x1p-40F;
}

/* Sums and extremes that quick_moments gathers, lane by lane. */
typedef struct {
    vd sum[2], sum2[2];
    vf min, max;
} gathered;

/* a + b, where minimum and maximum leave units idle. */
static inline vf plus(vf a, vf b)
{
#ifdef __FMA__
    return vf_madd(a, vf_all(1), b);
#else
    return a + b;
#endif
}

/* Four vectors: their sum, the sum of their squares, and the exponents, unless to is NULL. */
static inline void gather(gathered *g, const float *x, vf *sum, vf *square, uint8_t *to)
{
    const vf a = vf_load(x), b = vf_load(x + VL), c = vf_load(x + 2 * VL), d = vf_load(x + 3 * VL);

    if (to) {
        const vb e = vb_exponents(a, b, c, d);

        memcpy(to, &e, sizeof e);
    }
    g->min = vf_min(vf_min(a, b), vf_min(vf_min(c, d), g->min));
    g->max = vf_max(vf_max(a, b), vf_max(vf_max(c, d), g->max));
    *sum = plus(plus(a, b), plus(c, d));
    *square = plus(vf_madd(a, a, b * b), vf_madd(c, c, d * d));
}

/* Moments of n values, whole strides of them, with sums of eight in f32. Their exponents, in any
 * order, go to `to` unless that is NULL. */
static inline moments quick_moments(const float *x, int64_t n, uint8_t *to)
{
    gathered g = {.min = vf_load(x), .max = vf_load(x)};

    for (int64_t i = 0; i < n; i += STRIDE) {
        vf sum[2], square[2];

#pragma GCC unroll 8
        for (int64_t k = 0; k < STRIDE; k += LINE)
            __builtin_prefetch(x + i + AHEAD + k);
        gather(&g, x + i, &sum[0], &square[0], to ? to + i : NULL);
        gather(&g, x + i + VB, &sum[1], &square[1], to ? to + i + VB : NULL);
        sum[0] = plus(sum[0], sum[1]);
        square[0] = plus(square[0], square[1]);
        g.sum[0] += vd_low(sum[0]);
        g.sum[1] += vd_high(sum[0]);
        g.sum2[0] += vd_low(square[0]);
        g.sum2[1] += vd_high(square[0]);
    }
    return from_sums((double)n, 0, g.sum[0] + g.sum[1], g.sum2[0] + g.sum2[1], g.min, g.max);
}

/* The exponents of n values in any order, and zeros up to a whole vector. */
static void take_exponents(const float *x, int64_t n, uint8_t *to)
{
    float rest[VB] = {0};

    for (int64_t i = 0; i < n; i += VB) {
        const float *v = x + i;

        if (i + VB > n)
            v = memcpy(rest, v, (size_t)(n - i) * sizeof *rest);
        const vb e =
            vb_exponents(vf_load(v), vf_load(v + VL), vf_load(v + 2 * VL), vf_load(v + 3 * VL));
        memcpy(to + i, &e, sizeof e);
    }
}

/* The largest of n bytes, padded with zeros to a whole vector. */
static int largest_of(const uint8_t *x, int64_t n)
{
    vb top = {0};
    int largest = 0;

    for (int64_t i = 0; i < n; i += VB)
        top = vb_max(vb_load(x + i), top);
    for (int i = 0; i < VB; i++)
        largest = top[i] > largest ? top[i] : largest;
    return largest;
}

/* The largest exponent of finite values. */
static int top_of(const moments *m)
{
    return (int)(bits_of(fmaxf(fabsf(m->min), fabsf(m->max))) >> 23);
}

enum { WINDOW = 12, WINDOWS = 6 };

/* Number of bytes of each lane that are low + k, for k < WINDOW. */
typedef struct {
    vb of[WINDOW];
} counts;

#if defined __SSSE3__
/* A byte's place in the window is looked up in tables, each of which has 1 for one place, 16 for
 * the next, and 0 for others: so a sum of 15 of them counts both. */
static counts count_bytes(const uint8_t *x, int64_t vectors, int low)
{
    enum { TABLES = WINDOW / 2, RUN = 15 };
    const vb base = (vb){0} + (uint8_t)low, last = (vb){0} + 15, nibble = last;
    counts c = {0};
    vb table[TABLES];

    for (int k = 0; k < TABLES; k++) {
        uint8_t t[16] = {0};

        t[2 * k] = 1;
        t[2 * k + 1] = 16;
        table[k] = vb_table(t);
    }
    for (int64_t i = 0; i < vectors; i += RUN) {
        const int64_t end = min_i64(i + RUN, vectors);
        vb two[TABLES] = {0};

        for (int64_t j = i; j < end; j++) {
            const vb place = vb_min(vb_load(x + j * VB) - base, last);

#pragma GCC unroll 8
            for (int k = 0; k < TABLES; k++)
                two[k] += vb_look_up(table[k], place);
        }
#pragma GCC unroll 8
        for (int k = 0; k < TABLES; k++) {
            c.of[2 * k] += two[k] & nibble;
            c.of[2 * k + 1] += (two[k] >> 4) & nibble;
        }
    }
    return c;
}
#else
static counts count_bytes(const uint8_t *x, int64_t vectors, int low)
{
    counts c = {0};

    for (int64_t i = 0; i < vectors; i++) {
        const vb b = vb_load(x + i * VB);

#pragma GCC unroll 16
        for (int k = 0; k < WINDOW; k++)
            c.of[k] -= (vb)(b == (uint8_t)(low + k));
    }
    return c;
}
#endif

/* Adds to count how many bytes have each of the values from `low` to `top`, of which there are at
 * most WINDOW; returns how many those are. At most 255 vectors. */
static uint32_t count_window(const uint8_t *x, int64_t vectors, int low, int top, uint32_t *count)
{
    const counts c = count_bytes(x, vectors, low);
    uint32_t all = 0, n[WINDOW];

    for (int k = 0; k < WINDOW; k += 4)
        vb_sums(c.of + k, n + k);
    for (int k = low; k <= top; k++) {
        count[k] += n[k - low];
        all += n[k - low];
    }
    return all;
}

static uint32_t count_zeros(const uint8_t *x, int64_t vectors)
{
    vb found = {0};

    for (int64_t i = 0; i < vectors; i++)
        found -= (vb)(vb_load(x + i * VB) == 0);
    return vb_sum(found);
}

/* Counts one by one the bytes from 1 to `top`, which are few: first where they are, as a branch at
 * each vector would often be guessed wrong. Returns how many those are. */
static uint32_t count_rest(const uint8_t *x, int64_t vectors, int top, uint32_t *count)
{
    const uint8_t *where[PIECE / VB];
    uint64_t which[PIECE / VB];
    uint32_t all = 0;
    int64_t n = 0;

    for (int64_t i = 0; i < vectors; i++, x += VB) {
        where[n] = x;
        which[n] = vb_less(vb_load(x) - 1, (vb){0} + (uint8_t)top);
        n += which[n] != 0;
    }
    for (int64_t k = 0; k < n; k++)
        for (uint64_t some = which[k]; some; some &= some - 1, all++)
            count[where[k][__builtin_ctzll(some)]]++;
    return all;
}

/* Adds n exponents, padded with zeros to a whole vector; the largest is top. Those that are
 * not found elsewhere are zeros. */
static void count_exponents(const uint8_t *x, int64_t n, int top, uint32_t *count)
{
    const int64_t vectors = round_up(n, VB) / VB;
    int64_t left = n, zeros = 0;

    for (int w = 0; w < WINDOWS && top > 0 && left - zeros > n / 128; w++) {
        const int low = top > WINDOW ? top - WINDOW + 1 : 1;

        left -= count_window(x, vectors, low, top, count);
        top = low - 1;
        if (w == 0 && left > n / 128)
            zeros = count_zeros(x, vectors) - (vectors * VB - n);
    }
    if (top > 0 && left > zeros)
        left -= count_rest(x, vectors, top, count);
    count[0] += (uint32_t)left;
}

static void stats_chunk(const float *x, int64_t n, bool exponents, partial *p)
{
    uint8_t bytes[PIECE] __attribute__((aligned(64)));
    const int64_t pieces = (n + PIECE - 1) / PIECE;
    int64_t len;

    *p = (partial){.moments = no_values};
    for (int64_t i = 0; i < n; i += len) {
        const float *from = x + i;
        const bool many = n - i >= MANY;
        moments m = no_values;

        len = many ? min_i64(round_up(n / pieces, STRIDE), (n - i) / STRIDE * STRIDE) : n - i;
        if (!many && exponents)
            take_exponents(from, len, bytes);
        else if (many)
            m = exponents ? quick_moments(from, len, bytes) : quick_moments(from, len, NULL);
        if (!are_good(&m))
            m = careful_moments(from, len);
        merge(&p->moments, &m);
        if (exponents)
            count_exponents(bytes, len, m.n == (double)len ? top_of(&m) : largest_of(bytes, len),
                            p->exponent);
    }
}

static void summarise(const partial *p, int64_t chunks, int64_t count, ss_stats *s)
{
    moments m = no_values;

    *s = (ss_stats){.count = (uint64_t)count};
    for (int64_t i = 0; i < chunks; i++) {
        for (int k = 0; k < SS_N_EXPONENTS; k++)
            s->exponent[k] += p[i].exponent[k];
        merge(&m, &p[i].moments);
    }
    s->nonfinite = s->count - (uint64_t)m.n;
    if (m.n == 0) {
        s->min = s->max = s->absmax = s->mean = s->std = s->rms = s->l2 = NAN;
        return;
    }

    const double m2 = m.m2 < 0 ? 0 : m.m2, square = m2 + m.n * m.mean * m.mean; /* sum of x^2 */

    s->min = m.min;
    s->max = m.max;
    s->absmax = fmaxf(fabsf(m.min), fabsf(m.max));
    s->mean = (float)m.mean;
    s->std = (float)sqrt(m2 / m.n);
    s->rms = (float)sqrt(square / m.n);
    s->l2 = (float)sqrt(square);
}

ss_code ISA(stats)(ss_device *d, const ss_tensor *x, bool exponents, ss_stats *out, ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape), N = x->shape.rank ? x->shape.dim[0] : 1;
    const int64_t len = N ? n / N : 0, chunks = (len + CHUNK - 1) / CHUNK;
    const size_t bytes = (size_t)(N * chunks) * sizeof(partial);
    const float *values = x->data;
    partial *p = ss_pool_alloc(&d->pool, bytes); /* [N][chunks] */

    if (!p)
        return ss_fail(e, SS_NOMEM, "statistics: %zu bytes of work space", bytes);
#pragma omp parallel num_threads(ss_cpu_team(d, n))
    {
#pragma omp for schedule(static)
        for (int64_t i = 0; i < N * chunks; i++) {
            const int64_t at = i % chunks * CHUNK;

            stats_chunk(values + i / chunks * len + at, min_i64(CHUNK, len - at), exponents, &p[i]);
        }
#pragma omp for schedule(static)
        for (int64_t s = 0; s < N; s++)
            summarise(p + s * chunks, chunks, len, &out[s]);
    }
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

ss_code ISA(channel_range)(ss_device *d, const ss_tensor *x, float *least, float *most, ss_err *e)
{
    const int64_t N = x->shape.dim[0], C = x->shape.dim[x->shape.rank - 1];
    const int64_t n = ss_shape_numel(x->shape), rows = n ? n / (N * C) : 0;
    const int64_t step = C < CHUNK ? CHUNK / C : 1, blocks = (rows + step - 1) / step;
    const float *values = x->data;
    float *partials = ss_pool_alloc(&d->pool, (size_t)(N * blocks * 2 * C) * sizeof *partials);

    if (!partials)
        return ss_fail(e, SS_NOMEM, "channel ranges: no work space");
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t b = 0; b < N * blocks; b++) {
        const int64_t r0 = b % blocks * step, r1 = min_i64(r0 + step, rows);
        const float *from = values + b / blocks * rows * C;
        float *lo = partials + b * 2 * C, *hi = lo + C;

        for (int64_t c = 0; c < C; c++)
            lo[c] = hi[c] = from[r0 * C + c];
        for (int64_t r = r0; r < r1; r++) {
            const float *row = from + r * C;

#pragma omp simd
            for (int64_t c = 0; c < C; c++) {
                const float bad = row[c] - row[c]; /* 0, but NaN of inf and NaN */

                lo[c] = (row[c] < lo[c] ? row[c] : lo[c]) + bad;
                hi[c] = row[c] > hi[c] ? row[c] : hi[c];
            }
        }
    }
    for (int64_t i = 0; i < N * C; i++) {
        const float *p = partials + i / C * blocks * 2 * C + i % C;

        least[i] = most[i] = rows ? p[0] : NAN;
        for (int64_t b = 0; b < blocks && !isnan(least[i]); b++) {
            const float lo = p[b * 2 * C], hi = p[b * 2 * C + C];

            least[i] = lo < least[i] || isnan(lo) ? lo : least[i];
            most[i] = hi > most[i] ? hi : most[i];
        }
        if (isnan(least[i]))
            most[i] = NAN;
    }
    ss_pool_free(&d->pool, partials);
    return SS_OK;
}
