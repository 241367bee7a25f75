/* isa_norm.c - group norm and layer norm
 *
 * Group norm over channels-last pictures: the values of a group lie scattered, C/G of every
 * C. So one pass makes moments per channel, over blocks of positions, reading memory in
 * order; the moments are combined to those of the groups; and a second pass applies
 *
 *   y = act((x - m[c]) * a[c] + b[c])
 *
 * with gamma, beta, scale, shift and 1/sqrt(var + eps) folded into a and b, in double. m is
 * the mean as a float and b holds what that rounding lost, so that the result is right to
 * f32 precision even where |mean| >> std.
 *
 * Moments are (mean, M2 = sum (x - mean)^2), in double, from sums of x - x0, where x0 is the
 * block's first value of the group: then no large mean cancels, and 1e30 squared fits.
 * Sources: Wu & He 2018; Ba, Kiros & Hinton 2016; Chan, Golub & LeVeque 1983 (combining).
 */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_math.h"
#include "kernels/cpu/isa_vector.h"

typedef struct {
    double n, mean, m2;
} moments;

/* From the sums of x - x0 and of its square. Rounding must not make M2 negative. */
static moments moments_of(double n, double x0, double s1, double s2)
{
    const double mean = s1 / n, m2 = s2 - s1 * mean;

    return (moments){n, x0 + mean, m2 < 0 ? 0 : m2};
}

/* Those of two disjoint sets together. */
static moments combine(moments a, moments b)
{
    const double n = a.n + b.n, delta = b.mean - a.mean;

    return (moments){n, a.mean + delta * (b.n / n), a.m2 + b.m2 + delta * delta * (a.n * b.n / n)};
}

/* Positions of a block: about 64 Ki values, whatever the number of threads. */
static int64_t block_positions(int64_t C)
{
    return C < 65536 ? 65536 / C : 1;
}

/* Adds v = x - x0 and v^2 to the sums of n channels, for ROWS positions at a time: rows are
 * read in order, and the sums in memory are touched once for all of them. */
enum { ROWS = 8 };

static void add_rows(const float *x, int64_t C, int64_t n, const double *x0, double *s1, double *s2)
{
    int64_t c = 0;

    for (; c + VD <= n; c += VD) {
        const vd origin = vd_load(x0 + c);
        vd a = vd_load(s1 + c), b = vd_load(s2 + c);

#pragma GCC unroll 8
        for (int r = 0; r < ROWS; r++) {
            const vd v = vd_of(x + r * C + c) - origin;

            a += v;
            b += v * v;
        }
        vd_store(s1 + c, a);
        vd_store(s2 + c, b);
    }
    for (; c < n; c++) {
        for (int r = 0; r < ROWS; r++) {
            const double v = x[r * C + c] - x0[c];

            s1[c] += v;
            s2[c] += v * v;
        }
    }
}

static void add_row(const float *x, int64_t n, const double *x0, double *s1, double *s2)
{
    for (int64_t c = 0; c < n; c++) {
        const double v = x[c] - x0[c];

        s1[c] += v;
        s2[c] += v * v;
    }
}

/* Moments of each group over the positions x [positions][C]. x0 is the first value of the
 * channel's group, so that the channels' sums simply add up. */
static void block_moments(const float *x, int64_t positions, int64_t C, int64_t G, moments *group)
{
    enum { SPAN = 512 }; /* channels at a time, whose sums fit the nearest cache */
    const int64_t per_group = C / G;
    const double n = (double)(positions * per_group);
    double x0[SPAN], s1[SPAN], s2[SPAN], total1 = 0, total2 = 0;

    for (int64_t c0 = 0; c0 < C; c0 += SPAN) {
        const int64_t len = min_i64(SPAN, C - c0);
        int64_t p = 0;

        for (int64_t c = 0; c < len; c++) {
            x0[c] = x[(c0 + c) / per_group * per_group];
            s1[c] = s2[c] = 0;
        }
        for (; p + ROWS <= positions; p += ROWS)
            add_rows(x + p * C + c0, C, len, x0, s1, s2);
        for (; p < positions; p++)
            add_row(x + p * C + c0, len, x0, s1, s2);
        for (int64_t c = 0; c < len; c++) {
            total1 += s1[c];
            total2 += s2[c];
            if ((c0 + c + 1) % per_group == 0) {
                group[(c0 + c) / per_group] = moments_of(n, x0[c], total1, total2);
                total1 = total2 = 0;
            }
        }
    }
}

/* The three coefficients of each channel of sample s. */
static void fold(const ss_group_norm_args *a, const float *gamma, const float *beta,
                 const moments *group, int64_t s, float *mean, float *mul, float *add)
{
    const int64_t C = a->channels, per_group = C / a->groups;
    const float *mod = a->mod ? (const float *)a->mod->data + s * 2 * C : NULL;

    for (int64_t c = 0; c < C; c++) {
        const moments g = group[c / per_group];
        const double scale = mod ? 1.0 + mod[c] : 1.0, shift = mod ? mod[C + c] : 0.0;
        const double slope = (gamma ? gamma[c] : 1.0) / sqrt(g.m2 / g.n + a->eps) * scale;

        mean[c] = (float)g.mean;
        mul[c] = (float)slope;
        add[c] = (float)((mean[c] - g.mean) * slope + (beta ? beta[c] : 0.0) * scale + shift);
    }
}

static void apply_row(const float *x, const float *mean, const float *mul, const float *add,
                      float *y, int64_t C, ss_act act)
{
#define BODY(f)                                                \
    _Pragma("omp simd") for (int64_t c = 0; c < C; c++) y[c] = \
        f(MADD(x[c] - mean[c], mul[c], add[c]))
    SWITCH_ACT(act, BODY)
#undef BODY
}

ss_code ISA(group_norm)(ss_device *d, const ss_group_norm_args *a, ss_err *e)
{
    const int64_t N = a->n, P = a->positions, C = a->channels, G = a->groups;
    const int64_t step = block_positions(C), blocks = (P + step - 1) / step;
    const int team = ss_cpu_team(d, N * P * C);
    const float *x = a->x->data;
    float *y = a->y->data;
    const float *gamma = NULL, *beta = NULL;

    if ((a->gamma && !(gamma = ss_cpu_param(d, a->gamma, NULL, e))) ||
        (a->beta && !(beta = ss_cpu_param(d, a->beta, NULL, e))))
        return SS_NOMEM;

    const size_t moment_bytes = (size_t)(N * blocks * G) * sizeof(moments);
    const size_t bytes = moment_bytes + (size_t)(3 * N * C) * sizeof(float);
    char *scratch = ss_pool_alloc(&d->pool, bytes);
    if (!scratch)
        return ss_fail(e, SS_NOMEM, "group norm: %zu bytes of work space", bytes);
    moments *partial = (moments *)scratch;                  /* [N][blocks][G] */
    float *coefficient = (float *)(scratch + moment_bytes); /* [N][mean, mul, add][C] */

#pragma omp parallel for num_threads(team) schedule(static)
    for (int64_t b = 0; b < N * blocks; b++) {
        const int64_t p = b % blocks * step;

        block_moments(x + (b / blocks * P + p) * C, min_i64(step, P - p), C, G, partial + b * G);
    }
    for (int64_t s = 0; s < N; s++) {
        moments *group = partial + s * blocks * G; /* the first block's become the sample's */
        float *k = coefficient + 3 * s * C;

        for (int64_t b = 1; b < blocks; b++)
            for (int64_t g = 0; g < G; g++)
                group[g] = combine(group[g], group[b * G + g]);
        fold(a, gamma, beta, group, s, k, k + C, k + 2 * C);
    }
#pragma omp parallel for num_threads(team) schedule(static)
    for (int64_t r = 0; r < N * P; r++) {
        const float *k = coefficient + 3 * (r / P) * C;

        apply_row(x + r * C, k, k + C, k + 2 * C, y + r * C, C, a->act);
    }
    ss_pool_free(&d->pool, scratch, bytes);
    return SS_OK;
}

/* mean and M2 of x[C], from sums of x - x[0] */
static moments row_moments(const float *x, int64_t C)
{
    const double x0 = x[0];
    double s1 = 0, s2 = 0;

#pragma omp simd reduction(+ : s1, s2)
    for (int64_t c = 0; c < C; c++) {
        const double v = x[c] - x0;

        s1 += v;
        s2 += v * v;
    }
    return moments_of((double)C, x0, s1, s2);
}

static void layer_norm_row(const float *x, float mean, float left, float rstd, const float *gamma,
                           const float *beta, float *y, int64_t C)
{
    if (gamma && beta) {
#pragma omp simd
        for (int64_t c = 0; c < C; c++)
            y[c] = MADD((x[c] - mean - left) * rstd, gamma[c], beta[c]);
        return;
    }
#pragma omp simd
    for (int64_t c = 0; c < C; c++)
        y[c] = (x[c] - mean - left) * rstd;
    for (int64_t c = 0; gamma && c < C; c++)
        y[c] *= gamma[c];
    for (int64_t c = 0; beta && c < C; c++)
        y[c] += beta[c];
}

ss_code ISA(layer_norm)(ss_device *d, const ss_layer_norm_args *a, ss_err *e)
{
    const int64_t C = a->channels;
    const float *x = a->x->data, *gamma = NULL, *beta = NULL;
    float *y = a->y->data;

    if ((a->gamma && !(gamma = ss_cpu_param(d, a->gamma, NULL, e))) ||
        (a->beta && !(beta = ss_cpu_param(d, a->beta, NULL, e))))
        return SS_NOMEM;
#pragma omp parallel for num_threads(ss_cpu_team(d, a->rows *C)) schedule(static)
    for (int64_t r = 0; r < a->rows; r++) {
        const moments m = row_moments(x + r * C, C);
        const float mean = (float)m.mean, left = (float)(m.mean - mean);

        layer_norm_row(x + r * C, mean, left, (float)(1.0 / sqrt(m.m2 / m.n + a->eps)), gamma, beta,
                       y + r * C, C);
    }
    return SS_OK;
}
