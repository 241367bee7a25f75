/* isa_norm.c - group norm; norms of rows are in isa_row_norm.c
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
 * Moments (isa_moments.h) are of x - x0, where x0 is the block's first value of the group.
 * Sources: Wu & He 2018; Chan, Golub & LeVeque 1983 (combining).
 */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_math.h"
#include "kernels/cpu/isa_moments.h"
#include "kernels/cpu/isa_vector.h"

/* Combines the moments of two disjoint sets. */
static moments combine(moments a, moments b)
{
    const double n = a.n + b.n, delta = b.mean - a.mean;

    return (moments){n, a.mean + delta * (b.n / n), a.m2 + b.m2 + delta * delta * (a.n * b.n / n)};
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

/* The three coefficients of each channel of sample s, [mean, mul, add][C]. */
static void fold(const ss_group_norm_args *a, const float *gamma, const float *beta,
                 const moments *group, const ss_tensor *modulation, int64_t s, float *mean)
{
    const int64_t C = a->channels, per_group = C / a->groups;
    const float *mod = modulation ? (const float *)modulation->data + s * 2 * C : NULL;
    float *mul = mean + C, *add = mul + C;

    for (int64_t c = 0; c < C; c++) {
        const moments g = group[c / per_group];
        const double scale = mod ? 1.0 + mod[c] : 1.0, shift = mod ? mod[C + c] : 0.0;
        const double slope = (gamma ? gamma[c] : 1.0) * inverse_std(g, a->eps, a->torch) * scale;

        mean[c] = (float)g.mean;
        mul[c] = (float)slope;
        add[c] = (float)((mean[c] - g.mean) * slope + (beta ? beta[c] : 0.0) * scale + shift);
    }
}

static void apply_row(const float *x, const float *mean, float *y, int64_t C, ss_act act)
{
    const float *mul = mean + C, *add = mul + C;

#define BODY(f)                                                \
    _Pragma("omp simd") for (int64_t c = 0; c < C; c++) y[c] = \
        f(MADD(x[c] - mean[c], mul[c], add[c]))
    SWITCH_ACT(act)
#undef BODY
}

static int64_t block_count(const ss_group_norm_args *a)
{
    const int64_t step = block_positions(a->channels);

    return (a->positions + step - 1) / step;
}

/* m [N][blocks][G]: those of whole samples end in the first block's place. */
static void all_moments(const ss_device *d, const ss_group_norm_args *a, moments *m)
{
    const int64_t N = a->n, P = a->positions, C = a->channels, G = a->groups;
    const int64_t step = block_positions(C), blocks = block_count(a);
    const float *x = a->x->data;

#pragma omp parallel for num_threads(ss_cpu_team(d, N *P *C)) schedule(static)
    for (int64_t b = 0; b < N * blocks; b++) {
        const int64_t p = b % blocks * step;

        block_moments(x + (b / blocks * P + p) * C, min_i64(step, P - p), C, G, m + b * G);
    }
    for (int64_t s = 0; s < N; s++) {
        moments *group = m + s * blocks * G;

        for (int64_t b = 1; b < blocks; b++)
            for (int64_t g = 0; g < G; g++)
                group[g] = combine(group[g], group[b * G + g]);
    }
}

ss_code ISA(group_norm)(ss_device *d, const ss_group_norm_args *a, ss_err *e)
{
    const int64_t N = a->n, P = a->positions, C = a->channels, G = a->groups;
    const int64_t blocks = block_count(a);
    const int team = ss_cpu_team(d, N * P * C);
    const float *x = a->x->data;
    float *y = a->y->data;
    const float *gamma = NULL, *beta = NULL;

    if ((a->gamma && !(gamma = ss_cpu_param(d, a->gamma, a->weight_format, e))) ||
        (a->beta && !(beta = ss_cpu_param(d, a->beta, a->weight_format, e))))
        return SS_NOMEM;

    const size_t moment_bytes = (size_t)(N * blocks * G) * sizeof(moments);
    const size_t bytes = moment_bytes + (size_t)(6 * N * C) * sizeof(float);
    char *scratch = ss_pool_alloc(&d->pool, bytes);
    if (!scratch)
        return ss_fail(e, SS_NOMEM, "group norm: %zu bytes of work space", bytes);
    moments *partial = (moments *)scratch;                  /* [N][blocks][G] */
    float *coefficient = (float *)(scratch + moment_bytes); /* [N][mean, mul, add][C] */
    float *plain = coefficient + 3 * N * C;                 /* likewise */

    all_moments(d, a, partial);
    for (int64_t s = 0; s < N; s++) {
        float *k = coefficient + 3 * s * C;

        fold(a, gamma, beta, partial + s * blocks * G, a->mod, s, k);
        if (a->plain)
            fold(a, gamma, beta, partial + s * blocks * G, NULL, s, plain + 3 * s * C);
    }
#pragma omp parallel for num_threads(team) schedule(static)
    for (int64_t r = 0; r < N * P; r++) {
        apply_row(x + r * C, coefficient + 3 * (r / P) * C, y + r * C, C, a->act);
        if (a->plain)
            apply_row(x + r * C, plain + 3 * (r / P) * C, (float *)a->plain->data + r * C, C,
                      SS_ACT_NONE);
    }
    ss_pool_free(&d->pool, scratch);
    return SS_OK;
}

/* ---- gradients ----
 *
 * Group norm, in three passes: moments; dz = dy act'(z) and, for each sample and channel,
 * S1 = sum dz and S2 = sum dz h; then dx from those. h = (x - mean) / std. */

/* Coefficients for the rows of one sample, [C] each; z = h a + b, h = (x - m) r + l. */
typedef struct {
    float *m, *r, *l, *a, *b;
    float *k1, *k2, *k3; /* dx = k1 dz + k2 + k3 h */
} row_plan;

static row_plan row_plan_at(float *p, int64_t C)
{
    return (row_plan){p, p + C, p + 2 * C, p + 3 * C, p + 4 * C, p + 5 * C, p + 6 * C, p + 7 * C};
}

static void fill_row_plan(const ss_group_norm_args *a, const float *gamma, const float *beta,
                          const moments *group, int64_t s, row_plan k)
{
    const int64_t C = a->channels, per_group = C / a->groups;
    const float *mod = a->mod ? (const float *)a->mod->data + s * 2 * C : NULL;

    for (int64_t c = 0; c < C; c++) {
        const moments g = group[c / per_group];
        const double rstd = inverse_std(g, a->eps, a->torch), scale = mod ? 1.0 + mod[c] : 1.0;

        k.m[c] = (float)g.mean;
        k.r[c] = (float)rstd;
        k.l[c] = (float)((k.m[c] - g.mean) * rstd);
        k.a[c] = (float)((gamma ? gamma[c] : 1.0) * scale);
        k.b[c] = (float)((beta ? beta[c] : 0.0) * scale + (mod ? mod[C + c] : 0.0));
    }
}

/* dz of one row, and its shares of S1 and S2. */
static void slope_row(const float *x, const float *dy, row_plan k, float *dz, float *s1, float *s2,
                      int64_t C, ss_act act)
{
#define BODY(f)                                              \
    _Pragma("omp simd") for (int64_t c = 0; c < C; c++)      \
    {                                                        \
        const float h = MADD(x[c] - k.m[c], k.r[c], k.l[c]); \
        const float g = dy[c] * f(MADD(h, k.a[c], k.b[c]));  \
        dz[c] = g;                                           \
        s1[c] += g;                                          \
        s2[c] = MADD(g, h, s2[c]);                           \
    }
    SWITCH_SLOPE(act)
#undef BODY
}

/* dz of a block of rows; sums in f32 over SHORT rows, in double beyond. sum [S1, S2][C],
 * work [2][C] */
static void slope_block(const float *x, const float *dy, row_plan k, float *dz, int64_t rows,
                        double *sum, float *work, int64_t C, ss_act act)
{
    enum { SHORT = 32 };

    memset(sum, 0, (size_t)(2 * C) * sizeof *sum);
    for (int64_t r = 0; r < rows; r += SHORT) {
        memset(work, 0, (size_t)(2 * C) * sizeof *work);
        for (int64_t i = r; i < min_i64(r + SHORT, rows); i++)
            slope_row(x + i * C, dy + i * C, k, dz + i * C, work, work + C, C, act);
        for (int64_t c = 0; c < 2 * C; c++)
            sum[c] += work[c];
    }
}

/* The last three coefficients of sample s, and what it adds to the gradients of parameters, which
 * are gathered in dgamma and dbeta. */
static void finish_sample(const ss_group_norm_args *a, const float *gamma, const float *beta,
                          const moments *group, const double *s1, int64_t s, row_plan k,
                          double *dgamma, double *dbeta, float *dmod)
{
    const int64_t C = a->channels, per_group = C / a->groups;
    const double *s2 = s1 + C;
    const float *mod = a->mod ? (const float *)a->mod->data + s * 2 * C : NULL;

    for (int64_t g = 0; g < a->groups; g++) {
        const double rstd = inverse_std(group[g], a->eps, a->torch);
        double m1 = 0, m2 = 0;

        for (int64_t c = g * per_group; c < (g + 1) * per_group; c++) {
            m1 += k.a[c] * s1[c];
            m2 += k.a[c] * s2[c];
        }
        for (int64_t c = g * per_group; c < (g + 1) * per_group; c++) {
            k.k1[c] = (float)(rstd * k.a[c]);
            k.k2[c] = (float)(-rstd * m1 / group[g].n);
            k.k3[c] = (float)(-rstd * m2 / group[g].n);
        }
    }
    for (int64_t c = 0; c < C; c++) {
        const double scale = mod ? 1.0 + mod[c] : 1.0;

        dgamma[c] += scale * s2[c];
        dbeta[c] += scale * s1[c];
        if (dmod) {
            dmod[s * 2 * C + c] =
                (float)((gamma ? gamma[c] : 1.0) * s2[c] + (beta ? beta[c] : 0.0) * s1[c]);
            dmod[s * 2 * C + C + c] = (float)s1[c];
        }
    }
}

static void finish_row(const float *x, row_plan k, float *dz, int64_t C)
{
#pragma omp simd
    for (int64_t c = 0; c < C; c++) {
        const float h = MADD(x[c] - k.m[c], k.r[c], k.l[c]);

        dz[c] = MADD(dz[c], k.k1[c], MADD(h, k.k3[c], k.k2[c]));
    }
}

ss_code ISA(back_group_norm)(ss_device *d, const ss_group_norm_args *a, const ss_norm_gradients *g,
                             ss_err *e)
{
    const int64_t N = a->n, P = a->positions, C = a->channels, G = a->groups;
    const int64_t step = block_positions(C), blocks = block_count(a);
    const int team = ss_cpu_team(d, N * P * C);
    const float *x = a->x->data, *dy = g->dy->data, *gamma = NULL, *beta = NULL;

    if ((a->gamma && !(gamma = ss_cpu_param(d, a->gamma, a->weight_format, e))) ||
        (a->beta && !(beta = ss_cpu_param(d, a->beta, a->weight_format, e))))
        return SS_NOMEM;

    const size_t moment_bytes = (size_t)(N * blocks * G) * sizeof(moments);
    const size_t sum_bytes = (size_t)((N * blocks * 2 + 2) * C) * sizeof(double);
    const size_t plan_bytes = (size_t)(N * 8 * C) * sizeof(float);
    const size_t work_bytes = (size_t)(N * blocks * 2 * C) * sizeof(float);
    const size_t dz_bytes = g->dx ? 0 : (size_t)(N * P * C) * sizeof(float);
    const size_t bytes = moment_bytes + sum_bytes + plan_bytes + work_bytes + dz_bytes;
    char *scratch = ss_pool_alloc(&d->pool, bytes);
    if (!scratch)
        return ss_fail(e, SS_NOMEM, "gradient of group norm: %zu bytes of work space", bytes);
    moments *group = (moments *)scratch;              /* [N][blocks][G] */
    double *sum = (double *)(scratch + moment_bytes); /* [N][blocks][S1, S2][C] */
    double *dgamma = sum + N * blocks * 2 * C, *dbeta = dgamma + C;
    float *plans = (float *)(scratch + moment_bytes + sum_bytes); /* [N][8][C] */
    float *work = plans + N * 8 * C;                              /* [N][blocks][2][C] */
    float *dz = g->dx ? g->dx->data : work + N * blocks * 2 * C;

    all_moments(d, a, group);
    for (int64_t s = 0; s < N; s++)
        fill_row_plan(a, gamma, beta, group + s * blocks * G, s, row_plan_at(plans + s * 8 * C, C));
#pragma omp parallel for num_threads(team) schedule(static)
    for (int64_t b = 0; b < N * blocks; b++) {
        const int64_t p = b % blocks * step, at = (b / blocks * P + p) * C;

        slope_block(x + at, dy + at, row_plan_at(plans + b / blocks * 8 * C, C), dz + at,
                    min_i64(step, P - p), sum + b * 2 * C, work + b * 2 * C, C, a->act);
    }
    memset(dgamma, 0, (size_t)(2 * C) * sizeof *dgamma);
    for (int64_t s = 0; s < N; s++) {
        double *first = sum + s * blocks * 2 * C;

        for (int64_t b = 1; b < blocks; b++)
            for (int64_t c = 0; c < 2 * C; c++)
                first[c] += first[b * 2 * C + c];
        finish_sample(a, gamma, beta, group + s * blocks * G, first, s,
                      row_plan_at(plans + s * 8 * C, C), dgamma, dbeta,
                      g->dmod ? g->dmod->data : NULL);
    }
    store_sums(dgamma, C, g->dgamma);
    store_sums(dbeta, C, g->dbeta);
    if (g->dx) {
#pragma omp parallel for num_threads(team) schedule(static)
        for (int64_t r = 0; r < N * P; r++)
            finish_row(x + r * C, row_plan_at(plans + r / P * 8 * C, C), dz + r * C, C);
    }
    ss_pool_free(&d->pool, scratch);
    return SS_OK;
}
