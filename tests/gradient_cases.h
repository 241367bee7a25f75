/* gradient_cases.h - every operation that has a gradient: shapes, the engine's call, and a plain
 * implementation in double
 *
 * ref computes y [out] of the operands x; run records the same on the tape.
 */
#ifndef SS_TESTS_GRADIENT_CASES_H
#define SS_TESTS_GRADIENT_CASES_H

#include "tests/ss_gradient.h"

enum { MAX_IN = 5, MAX_VALUES = 5120 };

typedef struct gradient_case gradient_case;
struct gradient_case {
    const char *name;
    ss_shape in[MAX_IN]; /* rank 0: no such operand */
    ss_shape out;
    void (*ref)(const gradient_case *g, double *const x[], double *y);
    ss_tensor *(*run)(ss_ctx *c, const gradient_case *g, ss_tensor *const x[]);
    double opt[8];
    const char *intervention; /* at the module that run() enters, or NULL */
    unsigned constant;        /* bit k: operand k takes no gradient by nature */
};

#define DIM(s, i) ((s).dim[i])

static void ref_conv2d(const gradient_case *g, double *const x[], double *y)
{
    const int64_t N = DIM(g->in[0], 0), H = DIM(g->in[0], 1), W = DIM(g->in[0], 2);
    const int64_t I = DIM(g->in[0], 3), O = DIM(g->in[1], 0);
    const int64_t kh = DIM(g->in[1], 2), kw = DIM(g->in[1], 3);
    const int64_t stride = (int64_t)g->opt[0], top = (int64_t)g->opt[1], left = (int64_t)g->opt[2];
    const int64_t h = DIM(g->out, 1), w = DIM(g->out, 2);

    for (int64_t n = 0; n < N; n++)
        for (int64_t i = 0; i < h; i++)
            for (int64_t j = 0; j < w; j++)
                for (int64_t o = 0; o < O; o++) {
                    double sum = x[2] ? x[2][o] : 0;

                    for (int64_t a = 0; a < kh; a++)
                        for (int64_t b = 0; b < kw; b++)
                            for (int64_t k = 0; k < I; k++) {
                                const int64_t p = i * stride + a - top, q = j * stride + b - left;

                                if (p >= 0 && p < H && q >= 0 && q < W)
                                    sum += x[0][((n * H + p) * W + q) * I + k] *
                                           x[1][((o * I + k) * kh + a) * kw + b];
                            }
                    y[((n * h + i) * w + j) * O + o] = sum;
                }
}

static ss_tensor *run_conv2d(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    const double *o = g->opt;

    return ss_conv2d(c, x[0], x[1], x[2],
                     (ss_conv2d_opt){(int)o[0], (int)o[1], (int)o[2], (int)o[3], (int)o[4]});
}

static void ref_linear(const gradient_case *g, double *const x[], double *y)
{
    const int64_t I = DIM(g->in[1], 1), O = DIM(g->in[1], 0), R = ss_shape_numel(g->in[0]) / I;

    for (int64_t r = 0; r < R; r++)
        for (int64_t o = 0; o < O; o++) {
            y[r * O + o] = x[2] ? x[2][o] : 0;
            for (int64_t i = 0; i < I; i++)
                y[r * O + o] += x[0][r * I + i] * x[1][o * I + i];
        }
}

static ss_tensor *run_linear(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    (void)g;
    return ss_linear(c, x[0], x[1], x[2]);
}

static double act(double x, ss_act kind)
{
    switch (kind) {
    case SS_ACT_NONE: return x;
    case SS_ACT_SILU: return x / (1 + exp(-x));
    case SS_ACT_GELU: return x * 0.5 * erfc(-x * sqrt(0.5));
    case SS_ACT_MISH: return x * tanh(log1p(exp(x)));
    case SS_ACT_RELU: return x > 0 ? x : 0;
    case SS_ACT_QUICK_GELU: return x / (1 + exp(-1.702 * x));
    case SS_ACT_GELU_TANH:
    case SS_ACT_GELU_NEW: return x * 0.5 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case SS_ACT_SIGMOID: return 1 / (1 + exp(-x));
    case SS_N_ACTS: break;
    }
    return NAN;
}

/* opt: groups, eps, act */
static void ref_group_norm(const gradient_case *g, double *const x[], double *y)
{
    const int64_t N = DIM(g->in[0], 0), C = g->in[0].dim[g->in[0].rank - 1];
    const int64_t P = ss_shape_numel(g->in[0]) / N / C, G = (int64_t)g->opt[0], K = C / G;

    for (int64_t n = 0; n < N; n++)
        for (int64_t k = 0; k < G; k++) {
            double mean = 0, var = 0;

            for (int64_t p = 0; p < P; p++)
                for (int64_t c = k * K; c < (k + 1) * K; c++)
                    mean += x[0][(n * P + p) * C + c] / (double)(P * K);
            for (int64_t p = 0; p < P; p++)
                for (int64_t c = k * K; c < (k + 1) * K; c++)
                    var += pow(x[0][(n * P + p) * C + c] - mean, 2) / (double)(P * K);
            for (int64_t p = 0; p < P; p++)
                for (int64_t c = k * K; c < (k + 1) * K; c++) {
                    double v = (x[0][(n * P + p) * C + c] - mean) / sqrt(var + (float)g->opt[1]);

                    v = v * (x[1] ? x[1][c] : 1) + (x[2] ? x[2][c] : 0);
                    if (x[3])
                        v = v * (1 + x[3][n * 2 * C + c]) + x[3][n * 2 * C + C + c];
                    y[(n * P + p) * C + c] = act(v, (ss_act)g->opt[2]);
                }
        }
}

static ss_tensor *run_group_norm(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    return ss_group_norm(c, x[0], x[1], x[2], x[3], (int)g->opt[0], (float)g->opt[1],
                         (ss_act)g->opt[2], NULL);
}

static void ref_layer_norm(const gradient_case *g, double *const x[], double *y)
{
    const int64_t C = g->in[0].dim[g->in[0].rank - 1], R = ss_shape_numel(g->in[0]) / C;

    for (int64_t r = 0; r < R; r++) {
        double mean = 0, var = 0;

        for (int64_t c = 0; c < C; c++)
            mean += x[0][r * C + c] / (double)C;
        for (int64_t c = 0; c < C; c++)
            var += pow(x[0][r * C + c] - mean, 2) / (double)C;
        for (int64_t c = 0; c < C; c++)
            y[r * C + c] = (x[0][r * C + c] - mean) / sqrt(var + 1e-5f) * (x[1] ? x[1][c] : 1) +
                           (x[2] ? x[2][c] : 0);
    }
}

static ss_tensor *run_layer_norm(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    (void)g;
    return ss_layer_norm(c, x[0], x[1], x[2], 1e-5f);
}

static void ref_rms_norm(const gradient_case *g, double *const x[], double *y)
{
    const int64_t C = g->in[0].dim[g->in[0].rank - 1], R = ss_shape_numel(g->in[0]) / C;

    for (int64_t r = 0; r < R; r++) {
        double square = 0;

        for (int64_t c = 0; c < C; c++)
            square += pow(x[0][r * C + c], 2) / (double)C;
        for (int64_t c = 0; c < C; c++)
            y[r * C + c] = x[0][r * C + c] / sqrt(square + 1e-6f) * (x[1] ? x[1][c] : 1);
    }
}

static ss_tensor *run_rms_norm(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    (void)g;
    return ss_rms_norm(c, x[0], x[1], 1e-6f);
}

static void ref_activate(const gradient_case *g, double *const x[], double *y)
{
    for (int64_t i = 0; i < ss_shape_numel(g->out); i++)
        y[i] = act(x[0][i], (ss_act)g->opt[0]);
}

static ss_tensor *run_activate(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    return ss_activate(c, x[0], (ss_act)g->opt[0]);
}

static void ref_geglu(const gradient_case *g, double *const x[], double *y)
{
    const int64_t K = g->out.dim[g->out.rank - 1], n = ss_shape_numel(g->out);

    for (int64_t i = 0; i < n; i++)
        y[i] = x[0][i / K * 2 * K + i % K] * act(x[0][i / K * 2 * K + K + i % K], SS_ACT_GELU);
}

static ss_tensor *run_geglu(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    (void)g;
    return ss_geglu(c, x[0]);
}

static double length(const double *x, int64_t D)
{
    double sum = 0;

    for (int64_t i = 0; i < D; i++)
        sum += x[i] * x[i];
    return sqrt(sum);
}

/* opt: heads, scale, cosine */
static void ref_attention(const gradient_case *g, double *const x[], double *y)
{
    const int64_t N = DIM(g->in[0], 0), T = DIM(g->in[0], 1), S = DIM(g->in[1], 1);
    const int64_t heads = (int64_t)g->opt[0], W = DIM(g->in[0], 2), D = W / heads;
    double p[64];

    for (int64_t u = 0; u < N * heads * T; u++) {
        const int64_t n = u / heads / T, h = u / T % heads, t = u % T;
        const double *q = x[0] + (n * T + t) * W + h * D;
        double Z = 0, m = -INFINITY;

        for (int64_t s = 0; s < S; s++) {
            const double *k = x[1] + (n * S + s) * W + h * D;
            double l = 0;

            for (int64_t i = 0; i < D; i++)
                l += q[i] * k[i];
            l *= (float)g->opt[1];
            if (g->opt[2] != 0)
                l /= length(q, D) * length(k, D);
            p[s] = l + (x[3] ? x[3][n * S + s] : 0);
            if (x[4])
                p[s] += x[4][((DIM(g->in[4], 0) > 1 ? h * T : 0) + t) * S + s];
            m = fmax(m, p[s]);
        }
        for (int64_t s = 0; s < S; s++)
            Z += p[s] = exp(p[s] - m);
        for (int64_t i = 0; i < D; i++) {
            double sum = 0;

            for (int64_t s = 0; s < S; s++)
                sum += p[s] / Z * x[2][(n * S + s) * W + h * D + i];
            y[(n * T + t) * W + h * D + i] = sum;
        }
    }
}

static ss_tensor *run_attention(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    ss_enter(c, &module, x[0]);
    return ss_leave(
        c, &module,
        ss_attention(
            c, x[0], x[1], x[2], x[3],
            &(ss_attention_opt){.heads = (int)g->opt[0], .scale = (float)g->opt[1], .bias = x[4]}));
}

static ss_tensor *run_cosine_attention(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    return ss_attention(
        c, x[0], x[1], x[2], x[3],
        &(ss_attention_opt){.heads = (int)g->opt[0], .scale = (float)g->opt[1], .cosine = true});
}

static void ref_add(const gradient_case *g, double *const x[], double *y)
{
    for (int64_t i = 0; i < ss_shape_numel(g->out); i++)
        y[i] = (x[0][i] + x[1][i]) * (float)g->opt[0];
}

static ss_tensor *run_add(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    return ss_add(c, x[0], x[1], (float)g->opt[0]);
}

static void ref_multiply(const gradient_case *g, double *const x[], double *y)
{
    for (int64_t i = 0; i < ss_shape_numel(g->out); i++)
        y[i] = x[0][i] * x[1][i];
}

static ss_tensor *run_multiply(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    (void)g;
    return ss_multiply(c, x[0], x[1]);
}

static void ref_affine(const gradient_case *g, double *const x[], double *y)
{
    for (int64_t i = 0; i < ss_shape_numel(g->out); i++)
        y[i] = x[0][i] * g->opt[0] + g->opt[1];
}

static ss_tensor *run_affine(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    return ss_affine(c, x[0], (float)g->opt[0], (float)g->opt[1]);
}

static const float sample_scale[] = {1.5f, -2, 0.25f};

static void ref_scale_samples(const gradient_case *g, double *const x[], double *y)
{
    const int64_t n = ss_shape_numel(g->out), per = n / DIM(g->out, 0);

    for (int64_t i = 0; i < n; i++)
        y[i] = x[0][i] * sample_scale[i / per];
}

static ss_tensor *run_scale_samples(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    (void)g;
    return ss_scale_samples(c, x[0], sample_scale);
}

static void ref_add_channels(const gradient_case *g, double *const x[], double *y)
{
    const int64_t C = g->out.dim[g->out.rank - 1], per = ss_shape_numel(g->out) / DIM(g->out, 0);

    for (int64_t i = 0; i < ss_shape_numel(g->out); i++)
        y[i] = x[0][i] + x[1][i / per * C + i % C];
}

static ss_tensor *run_add_channels(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    (void)g;
    return ss_add_channels(c, x[0], x[1]);
}

static void ref_modulate(const gradient_case *g, double *const x[], double *y)
{
    const int64_t C = g->out.dim[g->out.rank - 1], per = ss_shape_numel(g->out) / DIM(g->out, 0);

    for (int64_t i = 0; i < ss_shape_numel(g->out); i++)
        y[i] = x[0][i] * (1 + x[1][i / per * 2 * C + i % C]) + x[1][i / per * 2 * C + C + i % C];
}

static ss_tensor *run_modulate(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    (void)g;
    return ss_modulate(c, x[0], x[1]);
}

/* opt: row, scale */
static void ref_unit_rms(const gradient_case *g, double *const x[], double *y)
{
    const int64_t row = (int64_t)g->opt[0];

    for (int64_t i = 0; i < ss_shape_numel(g->out); i++)
        y[i] = x[0][i] * (float)g->opt[1] /
               (1e-4 + length(x[0] + i / row * row, row) / sqrt((double)row));
}

static ss_tensor *run_unit_rms(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    return ss_unit_rms(c, x[0], (int64_t)g->opt[0], (float)g->opt[1]);
}

static void ref_gain(const gradient_case *g, double *const x[], double *y)
{
    for (int64_t i = 0; i < ss_shape_numel(g->out); i++)
        y[i] = x[0][i] * x[1][0];
}

static ss_tensor *run_gain(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    (void)g;
    return ss_gain(c, x[0], x[1]);
}

static void ref_clamp(const gradient_case *g, double *const x[], double *y)
{
    for (int64_t i = 0; i < ss_shape_numel(g->out); i++)
        y[i] = fmin(fmax(x[0][i], g->opt[0]), g->opt[1]);
}

static ss_tensor *run_clamp(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    return ss_clamp(c, x[0], (float)g->opt[0], (float)g->opt[1]);
}

/* Index along each of up to four axes to the place of a value; shapes are padded with ones. */
static int64_t place(ss_shape s, const int64_t at[4])
{
    int64_t p = 0;

    for (int i = 0; i < s.rank; i++)
        p = p * s.dim[i] + at[i];
    return p;
}

static void index_of(ss_shape s, int64_t p, int64_t at[4])
{
    for (int i = s.rank - 1; i >= 0; i--) {
        at[i] = p % s.dim[i];
        p /= s.dim[i];
    }
}

static void ref_concat(const gradient_case *g, double *const x[], double *y)
{
    const int axis = (int)g->opt[0];

    for (int64_t p = 0; p < ss_shape_numel(g->out); p++) {
        int64_t at[4];

        index_of(g->out, p, at);
        const bool second = at[axis] >= DIM(g->in[0], axis);
        if (second)
            at[axis] -= DIM(g->in[0], axis);
        y[p] = second ? x[1][place(g->in[1], at)] : x[0][place(g->in[0], at)];
    }
}

static ss_tensor *run_concat(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    return ss_concat(c, x[0], x[1], (int)g->opt[0]);
}

static void ref_slice(const gradient_case *g, double *const x[], double *y)
{
    for (int64_t p = 0; p < ss_shape_numel(g->out); p++) {
        int64_t at[4];

        index_of(g->out, p, at);
        at[(int)g->opt[0]] += (int64_t)g->opt[1];
        y[p] = x[0][place(g->in[0], at)];
    }
}

static ss_tensor *run_slice(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    return ss_slice(c, x[0], (int)g->opt[0], (int64_t)g->opt[1], (int64_t)g->opt[2]);
}

static void ref_copy(const gradient_case *g, double *const x[], double *y)
{
    memcpy(y, x[0], (size_t)ss_shape_numel(g->out) * sizeof *y);
}

static ss_tensor *run_reshape(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    return ss_reshape(c, x[0], g->out);
}

/* y's axis k is x's axis opt[k]. */
static void ref_permute(const gradient_case *g, double *const x[], double *y)
{
    const int rank = g->out.rank;

    for (int64_t i = 0; i < ss_shape_numel(g->out); i++) {
        int64_t index[SS_MAX_RANK] = {0}, at = 0, rest = i;

        for (int k = rank - 1; k >= 0; k--) {
            index[(int)g->opt[k]] = rest % DIM(g->out, k);
            rest /= DIM(g->out, k);
        }
        for (int k = 0; k < rank; k++)
            at = at * DIM(g->in[0], k) + index[k];
        y[i] = x[0][at];
    }
}

static ss_tensor *run_permute(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    int axes[SS_MAX_RANK];

    for (int k = 0; k < SS_MAX_RANK; k++)
        axes[k] = (int)g->opt[k];
    return ss_permute(c, x[0], axes);
}

/* Each frame is a picture. */
static void ref_conv2d_video(const gradient_case *g, double *const x[], double *y)
{
    gradient_case pictures = *g;
    const int64_t *d = g->in[0].dim, *to = g->out.dim;

    pictures.in[0] = ss_shape_of(d[0] * d[1], d[2], d[3], d[4]);
    pictures.out = ss_shape_of(to[0] * to[1], to[2], to[3], to[4]);
    ref_conv2d(&pictures, x, y);
}

static void ref_upsample(const gradient_case *g, double *const x[], double *y)
{
    for (int64_t p = 0; p < ss_shape_numel(g->out); p++) {
        int64_t at[4];

        index_of(g->out, p, at);
        for (int i = 1; i < 3; i++)
            at[i] = at[i] * DIM(g->in[0], i) / DIM(g->out, i);
        y[p] = x[0][place(g->in[0], at)];
    }
}

static ss_tensor *run_upsample(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    return ss_upsample_nearest(c, x[0], DIM(g->out, 1), DIM(g->out, 2));
}

static void ref_avg_pool2(const gradient_case *g, double *const x[], double *y)
{
    for (int64_t p = 0; p < ss_shape_numel(g->out); p++) {
        int64_t at[4];

        index_of(g->out, p, at);
        y[p] = 0;
        for (int k = 0; k < 4; k++) {
            const int64_t from[4] = {at[0], 2 * at[1] + k / 2, 2 * at[2] + k % 2, at[3]};

            y[p] += x[0][place(g->in[0], from)] / 4;
        }
    }
}

static ss_tensor *run_avg_pool2(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    (void)g;
    return ss_avg_pool2(c, x[0]);
}

static const float fir_taps[] = {0.1f, 0.2f, 0.4f, 0.3f};

/* opt: up, down, pad0, pad1. Zero insertion, padding, true convolution, decimation. */
static void ref_fir(const gradient_case *g, double *const x[], double *y)
{
    const int64_t up = (int64_t)g->opt[0], down = (int64_t)g->opt[1], pad = (int64_t)g->opt[2];

    for (int64_t p = 0; p < ss_shape_numel(g->out); p++) {
        int64_t at[4];

        index_of(g->out, p, at);
        y[p] = 0;
        for (int64_t a = 0; a < 4; a++)
            for (int64_t b = 0; b < 4; b++) {
                const int64_t i = at[1] * down + a - pad, j = at[2] * down + b - pad;
                const int64_t from[4] = {at[0], i / up, j / up, at[3]};

                if (i >= 0 && j >= 0 && i % up == 0 && j % up == 0 && from[1] < DIM(g->in[0], 1) &&
                    from[2] < DIM(g->in[0], 2))
                    y[p] += x[0][place(g->in[0], from)] * fir_taps[3 - a] * fir_taps[3 - b];
            }
    }
}

static ss_tensor *run_fir(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    return ss_fir_resample(c, x[0], fir_taps, 4, (int)g->opt[0], (int)g->opt[1], (int)g->opt[2],
                           (int)g->opt[3]);
}

static void ref_mean_tokens(const gradient_case *g, double *const x[], double *y)
{
    const int64_t T = DIM(g->in[0], 1), C = DIM(g->in[0], 2);

    memset(y, 0, (size_t)ss_shape_numel(g->out) * sizeof *y);
    for (int64_t i = 0; i < ss_shape_numel(g->in[0]); i++)
        y[i / (T * C) * C + i % C] += x[0][i] / (double)T;
}

static ss_tensor *run_mean_tokens(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    (void)g;
    return ss_mean_tokens(c, x[0]);
}

static const int64_t rows[] = {4, 0, 0, 3};

static void ref_embedding(const gradient_case *g, double *const x[], double *y)
{
    const int64_t C = DIM(g->out, 1);

    for (int64_t i = 0; i < 4 * C; i++)
        y[i] = x[0][rows[i / C] * C + i % C];
}

static ss_tensor *run_embedding(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    (void)g;
    return ss_embedding(c, x[0], rows, 4);
}

/* An intervention on a module's output; opt: lo, hi, factor */
static void ref_change(const gradient_case *g, double *const x[], double *y)
{
    for (int64_t i = 0; i < ss_shape_numel(g->out); i++)
        y[i] = fmin(fmax(2 * x[0][i], g->opt[0]), g->opt[1]) * (float)g->opt[2];
}

/* A limit that the module has itself. */
static ss_tensor *run_limited(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    static const ss_module limited = {.path = "m", .kind = "Test", .parent = -1, .limit = 0.5f};

    (void)g;
    ss_enter(c, &limited, x[0]);
    return ss_leave(c, &limited, ss_affine(c, x[0], 2, 0));
}

static ss_tensor *run_module(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    (void)g;
    ss_enter(c, &module, x[0]);
    return ss_leave(c, &module, ss_affine(c, x[0], 2, 0));
}

/* x used three times: y = x + conv(x) + 1.5 x, the convolution 1x1 by weights [C][C]. */
static void ref_fan_out(const gradient_case *g, double *const x[], double *y)
{
    const int64_t C = DIM(g->in[1], 0);

    for (int64_t i = 0; i < ss_shape_numel(g->out); i++) {
        y[i] = 2.5 * x[0][i];
        for (int64_t k = 0; k < C; k++)
            y[i] += x[0][i / C * C + k] * x[1][i % C * C + k];
    }
}

static ss_tensor *run_fan_out(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    (void)g;
    ss_tensor *y = ss_linear(c, x[0], x[1], NULL), *z = ss_affine(c, x[0], 1.5f, 0);

    ss_set(&z, ss_add(c, z, x[0], 1));
    ss_set(&y, ss_add(c, y, z, 1));
    ss_release(z);
    return y;
}

#define S(...) ss_shape_of(__VA_ARGS__)

enum { MAX_CASES = 112 };

/* How many there are of cases [MAX_CASES]. */
static size_t make_cases(gradient_case *g)
{
    size_t n = 0;

#define CASE(...) g[n++] = (gradient_case){.name = __VA_ARGS__}
#define CONV(text, N, H, W, I, O, k, stride, pt, pl, pb, pr)                                  \
    CASE(text, {S(N, H, W, I), S(O, I, k, k), S(O)},                                          \
         S(N, (H + pt + pb - k) / stride + 1, (W + pl + pr - k) / stride + 1, O), ref_conv2d, \
         run_conv2d, {stride, pt, pl, pb, pr})
    CONV("conv 3x3", 2, 5, 3, 3, 7, 3, 1, 1, 1, 1, 1);
    CONV("conv 3x3 wide", 1, 3, 4, 33, 17, 3, 1, 1, 1, 1, 1);
    CONV("conv 3x3 16", 3, 4, 4, 16, 16, 3, 1, 1, 1, 1, 1);
    CONV("conv one", 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0);
    CONV("conv 1x1 stride 2", 1, 7, 6, 3, 7, 1, 2, 0, 0, 0, 0);
    CONV("conv stride 2", 2, 7, 6, 3, 9, 3, 2, 1, 1, 1, 1);
    CONV("conv stride 2 asymmetric", 2, 6, 8, 16, 8, 3, 2, 0, 0, 1, 1);
    CONV("conv 5x5", 1, 6, 7, 2, 3, 5, 1, 2, 2, 2, 2);
    CONV("conv valid", 1, 5, 4, 3, 1, 3, 1, 0, 0, 0, 0);
    CONV("conv far padding", 1, 2, 2, 1, 2, 3, 1, 3, 3, 3, 3);
    g[n - 1].in[2] = (ss_shape){0};
    CASE("linear", {S(3, 7, 33), S(17, 33), S(17)}, S(3, 7, 17), ref_linear, run_linear);
    CASE("linear one", {S(1, 1), S(1, 1), S(1)}, S(1, 1), ref_linear, run_linear);
    CASE("linear no bias", {S(33, 3), S(7, 3)}, S(33, 7), ref_linear, run_linear);
    CASE("linear 1x1", {S(2, 3, 3, 16), S(33, 16, 1, 1), S(33)}, S(2, 3, 3, 33), ref_linear,
         run_linear);
    for (int a = 0; a < SS_N_ACTS; a++) {
        CASE("group norm act", {S(2, 3, 3, 8), S(8), S(8)}, S(2, 3, 3, 8), ref_group_norm,
             run_group_norm, {2, 1e-5, a});
        if (a)
            CASE("activate", {S(3, 33)}, S(3, 33), ref_activate, run_activate, {a});
    }
    CASE("group norm mod", {S(3, 7, 1, 6), S(6), S(6), S(3, 12)}, S(3, 7, 1, 6), ref_group_norm,
         run_group_norm, {3, 1e-5, SS_ACT_SILU});
    CASE("group norm plain", {S(2, 7, 33)}, S(2, 7, 33), ref_group_norm, run_group_norm,
         {1, 1e-5, 0});
    CASE("group norm only mod", {S(2, 5, 3), {0}, {0}, S(2, 6)}, S(2, 5, 3), ref_group_norm,
         run_group_norm, {3, 1e-5, SS_ACT_GELU});
    CASE("group norm one position", {S(2, 1, 1, 8), S(8), S(8)}, S(2, 1, 1, 8), ref_group_norm,
         run_group_norm, {2, 1e-6, SS_ACT_SILU});
    CASE("layer norm", {S(2, 7, 33), S(33), S(33)}, S(2, 7, 33), ref_layer_norm, run_layer_norm);
    CASE("layer norm plain", {S(3, 7)}, S(3, 7), ref_layer_norm, run_layer_norm);
    CASE("rms norm", {S(2, 7, 33), S(33)}, S(2, 7, 33), ref_rms_norm, run_rms_norm);
    CASE("rms norm plain", {S(3, 7)}, S(3, 7), ref_rms_norm, run_rms_norm);
    CASE("rms norm narrow", {S(5, 3), S(3)}, S(5, 3), ref_rms_norm, run_rms_norm);
    CASE("geglu", {S(2, 3, 14)}, S(2, 3, 7), ref_geglu, run_geglu);
    CASE("attention", {S(2, 7, 6), S(2, 7, 6), S(2, 7, 6)}, S(2, 7, 6), ref_attention,
         run_attention, {2, 0.6});
    CASE("attention cross", {S(1, 33, 9), S(1, 3, 9), S(1, 3, 9)}, S(1, 33, 9), ref_attention,
         run_attention, {3, 0.5});
    CASE("attention wide", {S(1, 3, 33), S(1, 33, 33), S(1, 33, 33)}, S(1, 3, 33), ref_attention,
         run_attention, {1, 0.2});
    CASE("attention one", {S(1, 1, 1), S(1, 1, 1), S(1, 1, 1)}, S(1, 1, 1), ref_attention,
         run_attention, {1, 1});
    CASE("attention mask", {S(2, 3, 4), S(2, 7, 4), S(2, 7, 4), S(2, 7)}, S(2, 3, 4), ref_attention,
         run_attention, {2, 0.7}, .constant = 8);
    CASE("attention bias", {S(2, 5, 6), S(2, 7, 6), S(2, 7, 6), {0}, S(2, 5, 7)}, S(2, 5, 6),
         ref_attention, run_attention, {2, 0.7}, .constant = 16);
    CASE("attention bias and mask", {S(2, 3, 6), S(2, 9, 6), S(2, 9, 6), S(2, 9), S(1, 3, 9)},
         S(2, 3, 6), ref_attention, run_attention, {3, 1}, .constant = 24);
    CASE("cosine attention", {S(2, 7, 6), S(2, 3, 6), S(2, 3, 6)}, S(2, 7, 6), ref_attention,
         run_attention, {2, 2.5, 1}, .intervention = "cosine-attention:2.5@m");
    CASE("cosine attention of its own", {S(2, 7, 6), S(2, 3, 6), S(2, 3, 6)}, S(2, 7, 6),
         ref_attention, run_cosine_attention, {2, 2.5, 1});
    CASE("add", {S(3, 7), S(3, 7)}, S(3, 7), ref_add, run_add, {1});
    CASE("add scaled", {S(3, 7), S(3, 7)}, S(3, 7), ref_add, run_add, {0.70710678});
    CASE("multiply", {S(3, 7, 33), S(3, 7, 33)}, S(3, 7, 33), ref_multiply, run_multiply);
    CASE("affine", {S(3, 7)}, S(3, 7), ref_affine, run_affine, {2.5, -1});
    CASE("scale samples", {S(3, 7, 3)}, S(3, 7, 3), ref_scale_samples, run_scale_samples);
    CASE("add channels", {S(3, 7, 33), S(3, 33)}, S(3, 7, 33), ref_add_channels, run_add_channels);
    CASE("modulate", {S(3, 7, 5), S(3, 10)}, S(3, 7, 5), ref_modulate, run_modulate);
    CASE("unit rms", {S(2, 3, 2, 33)}, S(2, 3, 2, 33), ref_unit_rms, run_unit_rms, {33, 1});
    CASE("unit rms of heads", {S(2, 5, 12)}, S(2, 5, 12), ref_unit_rms, run_unit_rms, {4, 1});
    CASE("unit rms of weights", {S(7, 3, 3, 3)}, S(7, 3, 3, 3), ref_unit_rms, run_unit_rms,
         {27, 0.19245009});
    CASE("unit rms one", {S(3, 1)}, S(3, 1), ref_unit_rms, run_unit_rms, {1, 0.5});
    CASE("gain", {S(3, 7, 5), S(1)}, S(3, 7, 5), ref_gain, run_gain);
    CASE("gain one", {S(1), S(1)}, S(1), ref_gain, run_gain);
    CASE("clamp", {S(3, 33)}, S(3, 33), ref_clamp, run_clamp, {-0.5, 0.75});
    CASE("concat last", {S(2, 3, 3), S(2, 3, 7)}, S(2, 3, 10), ref_concat, run_concat, {2});
    CASE("concat first", {S(1, 5), S(3, 5)}, S(4, 5), ref_concat, run_concat, {0});
    CASE("slice last", {S(3, 5, 7)}, S(3, 5, 3), ref_slice, run_slice, {2, 2, 5});
    CASE("slice first", {S(3, 5)}, S(2, 5), ref_slice, run_slice, {0, 1, 3});
    CASE("reshape", {S(3, 4, 5)}, S(6, 10), ref_copy, run_reshape);
    CASE("permute", {S(3, 5, 7)}, S(7, 3, 5), ref_permute, run_permute, {2, 0, 1});
    CASE("permute video", {S(2, 3, 5, 1, 7)}, S(2, 5, 1, 3, 7), ref_permute, run_permute,
         {0, 2, 3, 1, 4});
    CASE("permute nothing", {S(2, 1, 5)}, S(1, 2, 5), ref_permute, run_permute, {1, 0, 2});
    CASE("conv2d video", {S(2, 3, 4, 5, 3), S(4, 3, 3, 3), S(4)}, S(2, 3, 4, 5, 4),
         ref_conv2d_video, run_conv2d, {1, 1, 1, 1, 1});
    CASE("upsample", {S(2, 4, 3, 5)}, S(2, 8, 6, 5), ref_upsample, run_upsample);
    CASE("upsample odd", {S(2, 4, 3, 5)}, S(2, 7, 5, 5), ref_upsample, run_upsample);
    CASE("upsample down", {S(1, 4, 3, 5)}, S(1, 3, 1, 5), ref_upsample, run_upsample);
    CASE("average pool", {S(2, 5, 7, 3)}, S(2, 2, 3, 3), ref_avg_pool2, run_avg_pool2);
    CASE("fir up", {S(2, 4, 3, 3)}, S(2, 8, 6, 3), ref_fir, run_fir, {2, 1, 2, 1});
    CASE("fir down", {S(2, 4, 6, 3)}, S(2, 2, 3, 3), ref_fir, run_fir, {1, 2, 1, 1});
    CASE("fir up 3 down 2", {S(1, 4, 4, 3)}, S(1, 6, 6, 3), ref_fir, run_fir, {3, 2, 2, 1});
    CASE("fir crop", {S(1, 4, 4, 3)}, S(1, 6, 6, 3), ref_fir, run_fir, {2, 1, -1, 2});
    CASE("mean tokens", {S(3, 7, 5)}, S(3, 1, 5), ref_mean_tokens, run_mean_tokens);
    CASE("embedding", {S(5, 33)}, S(4, 33), ref_embedding, run_embedding);
    CASE("clamped module", {S(3, 33)}, S(3, 33), ref_change, run_module, {-0.5, 0.5, 1},
         .intervention = "clamp:0.5@m");
    CASE("limited module", {S(3, 33)}, S(3, 33), ref_change, run_limited, {-0.5, 0.5, 1});
    CASE("module with two limits", {S(3, 33)}, S(3, 33), ref_change, run_limited, {-0.2, 0.2, 1},
         .intervention = "clamp:0.2@m");
    CASE("scaled module", {S(3, 33)}, S(3, 33), ref_change, run_module, {-INFINITY, INFINITY, 0.3},
         .intervention = "scale:0.3@m");
    CASE("fan out", {S(3, 7), S(7, 7)}, S(3, 7), ref_fan_out, run_fan_out);
    return n;
}

#endif
