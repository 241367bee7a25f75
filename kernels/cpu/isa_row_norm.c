/* isa_row_norm.c - norms of rows: layer norm, RMS norm, unit RMS
 *
 *   layer norm   h = (x - mean) / sqrt(var + eps),    y = h gamma + beta
 *   RMS norm     h = x / sqrt(mean(x^2) + eps),       y = h gamma
 *   unit RMS     y = x scale / (1e-4 + sqrt(mean(x^2)))
 *
 * Sums of a row run in double, where 1e30 squared fits.
 * Sources: Ba, Kiros & Hinton 2016; Zhang & Sennrich 2019; Karras et al. 2024.
 */
#include "kernels/cpu/isa_moments.h"

/* sum of a b */
static double row_product(const float *a, const float *b, int64_t n)
{
    double sum = 0;

#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

/* mean and M2 of x[C], from sums of x - x[0]; rms: M2 is that from 0 */
static moments row_moments(const float *x, int64_t C, bool rms)
{
    if (rms)
        return (moments){(double)C, 0, row_product(x, x, C)};

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
                           const float *beta, const ss_format *stored, float *y, int64_t C)
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
    if (stored)
        ISA(round_values)(stored, y, y, C);
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

    if ((a->gamma && !(gamma = ss_cpu_param(d, a->gamma, a->weight_format, e))) ||
        (a->beta && !(beta = ss_cpu_param(d, a->beta, a->weight_format, e))))
        return SS_NOMEM;
#pragma omp parallel for num_threads(ss_cpu_team(d, a->rows *C)) schedule(static)
    for (int64_t r = 0; r < a->rows; r++) {
        const moments m = row_moments(x + r * C, C, a->rms);
        const float mean = (float)m.mean, left = (float)(m.mean - mean);

        layer_norm_row(x + r * C, mean, left, (float)inverse_std(m, a->eps, a->torch), gamma, beta,
                       a->stored, y + r * C, C);
    }
    return SS_OK;
}

/* ---- gradients of layer norm and RMS norm ---- */

/* dx of one row, unless NULL; adds to sum [dgamma, dbeta][C]. h is work space [C]. */
static void layer_norm_row_back(const ss_layer_norm_args *a, const float *x, const float *dy,
                                const float *gamma, float *dx, double *sum, float *h, int64_t C)
{
    const moments m = row_moments(x, C, a->rms);
    const double rstd = inverse_std(m, a->eps, a->torch);
    const float mean = (float)m.mean, left = (float)(m.mean - mean), r = (float)rstd;
    double m1 = 0, m2 = 0;

    for (int64_t c = 0; c < C; c++) {
        const double g = gamma ? (double)dy[c] * gamma[c] : dy[c];

        h[c] = (x[c] - mean - left) * r;
        m1 += g;
        m2 += g * h[c];
        sum[c] += (double)dy[c] * h[c];
        sum[C + c] += dy[c];
    }
    m1 = a->rms ? 0 : m1 / (double)C; /* moving all x moves no mean there */
    m2 /= (double)C;
    for (int64_t c = 0; dx && c < C; c++)
        dx[c] = (float)(rstd * ((gamma ? (double)dy[c] * gamma[c] : dy[c]) - m1 - m2 * h[c]));
}

ss_code ISA(back_layer_norm)(ss_device *d, const ss_layer_norm_args *a, const ss_norm_gradients *g,
                             ss_err *e)
{
    const int64_t C = a->channels, step = block_positions(C);
    const int64_t blocks = (a->rows + step - 1) / step;
    const float *x = a->x->data, *dy = g->dy->data, *gamma = NULL;
    float *dx = g->dx ? g->dx->data : NULL;

    if (a->gamma && !(gamma = ss_cpu_param(d, a->gamma, a->weight_format, e)))
        return SS_NOMEM;
    const size_t sum_bytes = (size_t)((blocks + 1) * 2 * C) * sizeof(double);
    const size_t bytes = sum_bytes + (size_t)(blocks * C) * sizeof(float);
    double *sum = ss_pool_alloc(&d->pool, bytes); /* [1 + blocks][dgamma, dbeta][C] */
    if (!sum)
        return ss_fail(e, SS_NOMEM, "gradient of layer norm: %zu bytes of work space", bytes);
    float *work = (float *)(sum + (blocks + 1) * 2 * C);

    memset(sum, 0, sum_bytes);
#pragma omp parallel for num_threads(ss_cpu_team(d, a->rows *C)) schedule(static)
    for (int64_t b = 0; b < blocks; b++)
        for (int64_t r = b * step; r < min_i64((b + 1) * step, a->rows); r++)
            layer_norm_row_back(a, x + r * C, dy + r * C, gamma, dx ? dx + r * C : NULL,
                                sum + (b + 1) * 2 * C, work + b * C, C);
    for (int64_t b = 1; b <= blocks; b++)
        for (int64_t c = 0; c < 2 * C; c++)
            sum[c] += sum[b * 2 * C + c];
    store_sums(sum, C, g->dgamma);
    store_sums(sum + C, C, g->dbeta);
    ss_pool_free(&d->pool, sum);
    return SS_OK;
}

/* ---- unit RMS ---- */

static const double UNIT_EPS = 1e-4;

ss_code ISA(unit_rms)(ss_device *d, const ss_tensor *x, int64_t row, float scale, ss_tensor *y,
                      ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape);
    const float *from = ss_cpu_param(d, x, NULL, e);
    float *to = y->data;

    if (!from)
        return SS_NOMEM;
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t i = 0; i < n; i += row) {
        const double rms = sqrt(row_product(from + i, from + i, row) / (double)row);
        const float k = (float)(scale / (UNIT_EPS + rms));

        for (int64_t j = i; j < i + row; j++)
            to[j] = k * from[j];
    }
    return SS_OK;
}

ss_code ISA(back_unit_rms)(ss_device *d, const ss_tensor *x, int64_t row, float scale,
                           const ss_tensor *dy, ss_tensor *dx, ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape);
    const float *from = ss_cpu_param(d, x, NULL, e), *back = dy->data;
    float *to = dx->data;

    if (!from)
        return SS_NOMEM;
#pragma omp parallel for num_threads(ss_cpu_team(d, n)) schedule(static)
    for (int64_t i = 0; i < n; i += row) {
        const double rms = sqrt(row_product(from + i, from + i, row) / (double)row);
        const double u = UNIT_EPS + rms;
        const double along =
            rms > 0 ? row_product(back + i, from + i, row) / (u * (double)row * rms) : 0;

        for (int64_t j = i; j < i + row; j++)
            to[j] = (float)(scale / u * (back[j] - along * from[j]));
    }
    return SS_OK;
}
