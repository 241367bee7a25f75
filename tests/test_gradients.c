/* test_gradients.c - the gradient of every operation against float64 finite differences
 *
 * A case is an operation with operands of random values and a plain double implementation of
 * it, written here. For L = sum r y with random r, the gradient of L with respect to each value
 * of each operand is compared, signed and one by one, with the central difference
 * (L(x + h) - L(x - h)) / 2h of the double implementation, h = 1e-5 (its own error is some
 * 1e-9). Worst difference seen, relative to the operand's RMS gradient, on any instruction set:
 * 2.3e-6 (attention of one head of width 33). Then the laws of the tape.
 */
#include "base/rng.h"
#include "kernels/context.h"
#include "kernels/hooks.h"
#include "kernels/ops.h"
#include "kernels/tape.h"
#include "tests/ss_test.h"

#include <stdio.h>

enum { MAX_IN = 4, MAX_VALUES = 5120 };

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

static const ss_module module = {.path = "m", .kind = "Test", .parent = -1, .block = true};

static ss_ctx *context(int threads)
{
    ss_ctx *c;
    ss_err e = {0};

    if (ss_ctx_new(&(ss_ctx_options){.threads = threads}, &c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return c;
}

/* ---- the operations in double ---- */

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

static double act(double x, int kind)
{
    switch (kind) {
    case SS_ACT_SILU: return x / (1 + exp(-x));
    case SS_ACT_GELU: return x * 0.5 * erfc(-x * sqrt(0.5));
    case SS_ACT_MISH: return x * tanh(log1p(exp(x)));
    case SS_ACT_RELU: return x > 0 ? x : 0;
    default: return x;
    }
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
                    y[(n * P + p) * C + c] = act(v, (int)g->opt[2]);
                }
        }
}

static ss_tensor *run_group_norm(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    return ss_group_norm(c, x[0], x[1], x[2], x[3], (int)g->opt[0], (float)g->opt[1],
                         (ss_act)g->opt[2]);
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

static void ref_activate(const gradient_case *g, double *const x[], double *y)
{
    for (int64_t i = 0; i < ss_shape_numel(g->out); i++)
        y[i] = act(x[0][i], (int)g->opt[0]);
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
    return ss_leave(c, &module,
                    ss_attention(c, x[0], x[1], x[2], x[3], (int)g->opt[0], (float)g->opt[1]));
}

static ss_tensor *run_cosine_attention(ss_ctx *c, const gradient_case *g, ss_tensor *const x[])
{
    return ss_cosine_attention(c, x[0], x[1], x[2], x[3], (int)g->opt[0], (float)g->opt[1]);
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

/* What an intervention makes of a module's output: opt: lo, hi, factor */
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
    CASE("cosine attention", {S(2, 7, 6), S(2, 3, 6), S(2, 3, 6)}, S(2, 7, 6), ref_attention,
         run_attention, {2, 2.5, 1}, .intervention = "cosine-attention:2.5@m");
    CASE("cosine attention of its own", {S(2, 7, 6), S(2, 3, 6), S(2, 3, 6)}, S(2, 7, 6),
         ref_attention, run_cosine_attention, {2, 2.5, 1});
    CASE("add", {S(3, 7), S(3, 7)}, S(3, 7), ref_add, run_add, {1});
    CASE("add scaled", {S(3, 7), S(3, 7)}, S(3, 7), ref_add, run_add, {0.70710678});
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
enum { MAX_CASES = 80 };

/* ---- running a case ---- */

/* Values of an operand, exact in f32, one array a tensor; rand[MAX_IN] is r. */
typedef struct {
    float f[MAX_IN + 1][MAX_VALUES];
    double d[MAX_IN + 1][MAX_VALUES];
    int64_t n[MAX_IN + 1];
    double want[MAX_IN][MAX_VALUES]; /* the gradients by finite differences */
    double rms[MAX_IN];
} values;

static void draw(const gradient_case *g, values *v)
{
    for (int k = 0; k <= MAX_IN; k++) {
        const ss_shape s = k < MAX_IN ? g->in[k] : g->out;

        v->n[k] = s.rank ? ss_shape_numel(s) : 0;
        assert_true(v->n[k] <= MAX_VALUES);
        ss_rng_normals(ss_rng_stream(7, g->name, (uint64_t)k, 0), 0, v->f[k], (size_t)v->n[k]);
        for (int64_t i = 0; i < v->n[k]; i++)
            v->d[k][i] = v->f[k][i];
    }
}

static double loss(const gradient_case *g, values *v)
{
    static double y[MAX_VALUES];
    double *x[MAX_IN], sum = 0;

    for (int k = 0; k < MAX_IN; k++)
        x[k] = v->n[k] ? v->d[k] : NULL;
    g->ref(g, x, y);
    for (int64_t i = 0; i < v->n[MAX_IN]; i++)
        sum += y[i] * v->d[MAX_IN][i];
    return sum;
}

static void differentiate(const gradient_case *g, values *v)
{
    const double h = 1e-5;

    for (int k = 0; k < MAX_IN; k++) {
        double sum = 0;

        for (int64_t i = 0; i < v->n[k]; i++) {
            const double x = v->d[k][i];

            v->d[k][i] = x + h;
            const double above = loss(g, v);
            v->d[k][i] = x - h;
            v->want[k][i] = (above - loss(g, v)) / (2 * h);
            v->d[k][i] = x;
            sum += v->want[k][i] * v->want[k][i];
        }
        v->rms[k] = v->n[k] ? sqrt(sum / (double)v->n[k]) : 0;
    }
}

static void set_up(ss_ctx *c, const char *intervention, const ss_precision *p)
{
    ss_intervention change;
    ss_err e = {0};
    ss_setup setup = {.modules = (const ss_module *[]){&module}, .n_modules = 1, .precision = p};

    if (intervention) {
        assert_int_equal(ss_intervention_parse(intervention, &change, &e), SS_OK);
        setup.interventions = &change;
        setup.n_interventions = 1;
    }
    if (ss_ctx_setup(c, &setup, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

static void upload(ss_ctx *c, const gradient_case *g, const values *v, unsigned frozen,
                   ss_tensor *x[MAX_IN])
{
    for (int k = 0; k < MAX_IN; k++) {
        x[k] = v->n[k] ? ss_upload(c, g->in[k], v->f[k]) : NULL;
        ss_tensor_want_gradient(x[k], !((frozen | g->constant) >> k & 1));
    }
}

static void backward(ss_ctx *c, const gradient_case *g, const values *v, ss_tensor *x[MAX_IN],
                     bool again)
{
    ss_err e = {0};
    ss_tensor *r = ss_upload(c, g->out, v->f[MAX_IN]);

    assert_int_equal(ss_tape_begin(c, &(ss_tape_options){.recompute = again}, &e), SS_OK);
    ss_tensor *y = g->run(c, g, x);
    if (ss_ctx_check(c, &e) != SS_OK)
        fail_msg("%s: %s", g->name, e.msg);
    assert_true(ss_shape_equal(ss_shape_get(y), g->out));
    ss_tape_seed(c, y, r, 1);
    ss_release(y);
    if (ss_tape_backward(c, &e) != SS_OK)
        fail_msg("%s: %s", g->name, e.msg);
    ss_release(r);
}

static void download(ss_ctx *c, const ss_tensor *x, float *to)
{
    assert_non_null(ss_tensor_gradient(x));
    assert_true(ss_shape_equal(ss_shape_get(x), ss_shape_get(ss_tensor_gradient(x))));
    assert_int_equal(ss_download(c, ss_tensor_gradient(x), to, NULL), SS_OK);
}

static double worst;
static char worst_case[64];

/* Each gradient is `times` what finite differences say. */
static void compare(ss_ctx *c, const gradient_case *g, const values *v, ss_tensor *x[MAX_IN],
                    double times)
{
    static float got[MAX_VALUES];

    for (int k = 0; k < MAX_IN; k++) {
        if (!v->n[k] || g->constant >> k & 1)
            continue;
        download(c, x[k], got);
        for (int64_t i = 0; i < v->n[k]; i++) {
            const double d = fabs(got[i] - times * v->want[k][i]);
            const double relative = d / (times * (v->rms[k] + 1e-3));

            if (relative > worst) {
                worst = relative;
                snprintf(worst_case, sizeof worst_case, "%s, operand %d", g->name, k);
            }
            if (!(relative <= 1e-5))
                fail_msg("%s: operand %d, [%lld]: gradient %.9g, finite difference %.9g", g->name,
                         k, (long long)i, got[i], times * v->want[k][i]);
        }
    }
}

static void release(ss_tensor *x[MAX_IN])
{
    for (int k = 0; k < MAX_IN; k++)
        ss_release(x[k]);
}

static gradient_case cases[MAX_CASES];
static size_t n_cases;
static values val;

static void run_all(int threads)
{
    worst = 0;
    for (size_t i = 0; i < n_cases; i++) {
        ss_ctx *c = context(threads);
        ss_tensor *x[MAX_IN];

        draw(&cases[i], &val);
        differentiate(&cases[i], &val);
        set_up(c, cases[i].intervention, NULL);
        upload(c, &cases[i], &val, 0, x);
        backward(c, &cases[i], &val, x, false);
        compare(c, &cases[i], &val, x, 1);
        backward(c, &cases[i], &val, x, false); /* adds */
        compare(c, &cases[i], &val, x, 2);
        for (int k = 0; k < MAX_IN; k++)
            ss_tensor_zero_gradient(x[k]);
        backward(c, &cases[i], &val, x, true); /* each module's inside once more */
        compare(c, &cases[i], &val, x, 1);
        release(x);
        assert_int_equal(ss_ctx_usage(c).live_bytes, 0);
        ss_ctx_free(c);
    }
    printf("worst: %.2g of the RMS (%s)\n", worst, worst_case);
}

static void test_finite_differences(void **state)
{
    (void)state;
    for (const char *const *isa = (const char *const[]){"base", "v3", "v4", NULL}; *isa; isa++) {
        setenv("SIGMASCOPE_ISA", *isa, 1);
        run_all(1);
    }
    unsetenv("SIGMASCOPE_ISA");
}

/* Freezing an operand leaves it without a gradient and changes no bit of the others'. */
static void test_frozen(void **state)
{
    static float got[MAX_VALUES], all[MAX_IN][MAX_VALUES];

    (void)state;
    for (size_t i = 0; i < n_cases; i++) {
        const gradient_case *g = &cases[i];
        ss_ctx *c = context(1);
        ss_tensor *x[MAX_IN];
        unsigned there = 0;

        draw(g, &val);
        set_up(c, g->intervention, NULL);
        upload(c, g, &val, 0, x);
        backward(c, g, &val, x, false);
        for (int k = 0; k < MAX_IN; k++) {
            if (!val.n[k] || g->constant >> k & 1)
                continue;
            there |= 1u << k;
            download(c, x[k], all[k]);
        }
        release(x);
        for (int k = 0; k < MAX_IN; k++) {
            if (!(there >> k & 1) || there == 1u << k)
                continue;
            upload(c, g, &val, 1u << k, x);
            backward(c, g, &val, x, false);
            assert_null(ss_tensor_gradient(x[k]));
            for (int j = 0; j < MAX_IN; j++) {
                if (j == k || !(there >> j & 1))
                    continue;
                download(c, x[j], got);
                assert_memory_equal(got, all[j], (size_t)val.n[j] * sizeof *got);
            }
            release(x);
        }
        ss_ctx_free(c);
    }
}

/* ---- laws of the tape ---- */

enum { LARGE = 2 * 40 * 40 * 48, CHAIN = LARGE + 48 * 48 * 9 + 192 + 1 };

static ss_tensor *normal(ss_ctx *c, ss_shape s, uint64_t stream)
{
    const int64_t n = ss_shape_numel(s);
    float *x = malloc((size_t)n * sizeof *x);

    ss_rng_normals(ss_rng_stream(3, "large", stream, 0), 0, x, (size_t)n);
    ss_tensor *t = ss_upload(c, s, x);
    free(x);
    return t;
}

static ss_tensor *wanted(ss_tensor *x)
{
    ss_tensor_want_gradient(x, true);
    return x;
}

/* Gradients of a chain through every kernel that has a parallel loop, on tensors large enough
 * for several blocks and tasks. [LARGE] of x, then of the weights [48][48][3][3], then of mod, then
 * of a gain. */
static float *chain(int threads, bool recompute, int64_t *peak)
{
    ss_ctx *c = context(threads);
    ss_err e = {0};
    ss_tensor *x = wanted(normal(c, ss_shape_of(2, 40, 40, 48), 0));
    ss_tensor *w = wanted(normal(c, ss_shape_of(48, 48, 3, 3), 1));
    ss_tensor *mod = wanted(normal(c, ss_shape_of(2, 96), 2));
    ss_tensor *gamma = wanted(normal(c, ss_shape_of(48), 3));
    ss_tensor *one = wanted(normal(c, ss_shape_of(1), 4));

    ss_ctx_usage_reset(c);
    assert_int_equal(ss_tape_begin(c, &(ss_tape_options){.recompute = recompute}, &e), SS_OK);
    ss_tensor *h = ss_retain(x);
    for (int i = 0; i < 4; i++) {
        ss_enter(c, &module, h);
        ss_tensor *z = ss_group_norm(c, h, gamma, gamma, mod, 8, 1e-5f, SS_ACT_SILU);
        ss_set(&z, ss_conv2d(c, z, w, gamma, (ss_conv2d_opt){1, 1, 1, 1, 1}));
        ss_set(&z, ss_fir_resample(c, z, (float[]){0.25f, 0.5f, 0.25f}, 3, 1, 2, 1, 1));
        ss_set(&z, ss_upsample_nearest(c, z, 80, 80));
        ss_set(&z, ss_avg_pool2(c, z));
        ss_set(&z, ss_layer_norm(c, z, gamma, NULL, 1e-5f));
        ss_set(&z, ss_activate(c, z, SS_ACT_MISH));
        ss_set(&z, ss_clamp(c, z, -1, 1));
        ss_set(&z, ss_modulate(c, z, mod));
        ss_tensor *both = ss_concat(c, z, h, -1);
        ss_set(&z, ss_geglu(c, both));
        ss_release(both);
        ss_set(&z, ss_reshape(c, z, ss_shape_of(2, 1600, 48)));
        ss_tensor *mean = ss_mean_tokens(c, z);
        ss_set(&z, ss_attention(c, z, z, z, NULL, 3, 0.35f));
        ss_set(&z, ss_reshape(c, z, ss_shape_of(2, 40, 40, 48)));
        ss_set(&mean, ss_reshape(c, mean, ss_shape_of(2, 48)));
        ss_set(&z, ss_add_channels(c, z, mean));
        ss_release(mean);
        ss_set(&z, ss_gain(c, z, one));
        ss_set(&z, ss_unit_rms(c, z, 48, 1));
        ss_set(&z, ss_add(c, z, h, 0.5f));
        z = ss_leave(c, &module, z);
        ss_set(&h, z);
    }
    ss_tape_seed(c, h, h, 1);
    ss_release(h);
    if (ss_tape_backward(c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    *peak = ss_ctx_usage(c).peak_bytes;
    float *out = malloc(CHAIN * sizeof *out);
    download(c, x, out);
    download(c, w, out + LARGE);
    download(c, mod, out + LARGE + 48 * 48 * 9);
    download(c, one, out + CHAIN - 1);
    ss_release(one);
    ss_release(x);
    ss_release(w);
    ss_release(mod);
    ss_release(gamma);
    assert_int_equal(ss_ctx_usage(c).live_bytes, 0); /* nothing is left of the tape */
    ss_ctx_free(c);
    return out;
}

static void test_threads_and_blocks(void **state)
{
    const size_t bytes = CHAIN * sizeof(float);
    int64_t peak, less;
    float *one = chain(1, false, &peak), *four = chain(4, false, &peak);
    float *again = chain(3, true, &less);

    (void)state;
    assert_memory_equal(one, four, bytes);
    assert_memory_equal(one, again, bytes);
    printf("peak memory %.1f MiB, recomputed %.1f MiB\n", (double)peak / (1 << 20),
           (double)less / (1 << 20));
    assert_true((double)less < 0.75 * (double)peak);
    free(one);
    free(four);
    free(again);
}

/* The zero intervention cuts: no gradient comes to what is before it. */
static void test_zero_cuts(void **state)
{
    ss_ctx *c = context(1);
    ss_err e = {0};
    ss_tensor *x = wanted(normal(c, ss_shape_of(3, 3), 0));

    (void)state;
    set_up(c, "zero@m", NULL);
    assert_int_equal(ss_tape_begin(c, NULL, &e), SS_OK);
    ss_tensor *y = run_module(c, NULL, &x);
    ss_set(&y, ss_add(c, y, x, 1));
    ss_tape_seed(c, y, y, 1);
    ss_release(y);
    assert_int_equal(ss_tape_backward(c, &e), SS_OK);
    float g[9], v[9];
    download(c, x, g);
    assert_int_equal(ss_download(c, x, v, NULL), SS_OK);
    assert_memory_equal(g, v, sizeof g);
    ss_release(x);
    ss_ctx_free(c);
}

/* Gradients are rounded to a format of their own: of blocks' outputs, or of every operation's
 * output and of what it adds to parameters. */
static void test_gradient_formats(void **state)
{
    ss_format e5m2;

    (void)state;
    assert_int_equal(ss_format_parse("e5m2", &e5m2, NULL), SS_OK);
    for (int scope = 0; scope < 2; scope++) {
        ss_ctx *c = context(1);
        ss_err e = {0};
        const ss_precision p = {.scope = (ss_round_scope)scope, .gradient = e5m2};
        ss_tensor *x = wanted(normal(c, ss_shape_of(3, 7), 0));
        ss_tensor *w = wanted(normal(c, ss_shape_of(5, 7), 1));
        ss_tensor *r = normal(c, ss_shape_of(3, 5), 2);
        float dx[21], dw[35], vx[21], vw[35], vr[15];

        set_up(c, NULL, &p);
        assert_int_equal(ss_tape_begin(c, NULL, &e), SS_OK);
        ss_enter(c, &module, x);
        ss_tensor *y = ss_leave(c, &module, ss_linear(c, x, w, NULL));
        ss_tape_seed(c, y, r, 1);
        ss_release(y);
        assert_int_equal(ss_ctx_setup(c, &(ss_setup){0}, &e), SS_USAGE);
        assert_int_equal(ss_tape_backward(c, &e), SS_OK);
        download(c, x, dx);
        download(c, w, dw);
        ss_download(c, x, vx, NULL);
        ss_download(c, w, vw, NULL);
        ss_download(c, r, vr, NULL);
        for (int i = 0; i < 15; i++)
            vr[i] = ss_format_round(&e5m2, vr[i]);
        for (int i = 0; i < 21; i++) {
            double want = 0;

            for (int o = 0; o < 5; o++)
                want += (double)vr[i / 7 * 5 + o] * vw[o * 7 + i % 7];
            if (scope == SS_ROUND_OPS)
                want = ss_format_round(&e5m2, (float)want);
            assert_true(fabs(dx[i] - want) <= 1e-6 * (1 + fabs(want)));
        }
        for (int i = 0; i < 35; i++) {
            double want = 0;

            for (int n = 0; n < 3; n++)
                want += (double)vr[n * 5 + i / 7] * vx[n * 7 + i % 7];
            if (scope == SS_ROUND_OPS)
                want = ss_format_round(&e5m2, (float)want);
            assert_true(fabs(dw[i] - want) <= 1e-6 * (1 + fabs(want)));
        }
        ss_release(x);
        ss_release(w);
        ss_release(r);
        ss_ctx_free(c);
    }
}

/* y and the gradient of x of a convolution and a norm, [3 * 16] each */
static void small_step(ss_ctx *c, const ss_tensor *w, const ss_tensor *gamma, float *y, float *dx)
{
    ss_err e = {0};
    ss_tensor *x = wanted(normal(c, ss_shape_of(1, 4, 4, 3), 5));

    assert_int_equal(ss_tape_begin(c, NULL, &e), SS_OK);
    ss_tensor *h = ss_conv2d(c, x, w, NULL, (ss_conv2d_opt){1, 1, 1, 1, 1});
    ss_set(&h, ss_group_norm(c, h, gamma, NULL, NULL, 1, 1e-5f, SS_ACT_SILU));
    ss_tape_seed(c, h, x, 1);
    assert_int_equal(ss_download(c, h, y, &e), SS_OK);
    ss_release(h);
    if (ss_tape_backward(c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    download(c, x, dx);
    ss_release(x);
}

/* A parameter that was changed computes as one made of the new values, bit for bit, forward and
 * backward, emulated precision or not; what it was made of stays. */
static void test_changed_parameter(void **state)
{
    static const uint16_t half[3] = {0x3c00, 0x4000, 0xbc00}; /* 1, 2, -1 */
    ss_format e4m3;

    (void)state;
    assert_int_equal(ss_format_parse("e4m3", &e4m3, NULL), SS_OK);
    for (int rounded = 0; rounded < 2; rounded++) {
        ss_ctx *c = context(1);
        ss_err e = {0};
        float first[81], second[81], third[81], gamma[3] = {0.5f, 3, -1};
        float y[3][48], dx[3][48];

        ss_rng_normals(ss_rng_stream(1, "w", 0, 0), 0, first, 81);
        ss_rng_normals(ss_rng_stream(1, "w", 1, 0), 0, second, 81);
        memcpy(third, first, sizeof first);
        if (rounded)
            set_up(c, NULL, &(ss_precision){.scope = SS_ROUND_OPS, .format = e4m3});
        ss_tensor *w = ss_param(c, SS_F32, ss_shape_of(3, 3, 3, 3), first);
        ss_tensor *g = ss_param(c, SS_F16, ss_shape_of(3), half);
        small_step(c, w, g, y[0], dx[0]);
        for (int again = 0; again < 2; again++) { /* out of the given memory, then in its own */
            assert_int_equal(ss_param_set(c, w, again ? second : third, &e), SS_OK);
            assert_int_equal(ss_param_set(c, g, gamma, &e), SS_OK);
            small_step(c, w, g, y[1], dx[1]);
        }
        assert_memory_equal(first, third, sizeof first);
        ss_release(w);
        ss_release(g);

        w = ss_param(c, SS_F32, ss_shape_of(3, 3, 3, 3), second);
        g = ss_param(c, SS_F32, ss_shape_of(3), gamma);
        small_step(c, w, g, y[2], dx[2]);
        assert_memory_equal(y[1], y[2], sizeof y[1]);
        assert_memory_equal(dx[1], dx[2], sizeof dx[1]);
        assert_memory_not_equal(y[0], y[1], sizeof y[0]);
        assert_memory_not_equal(dx[0], dx[1], sizeof dx[0]);

        assert_int_equal(ss_tape_begin(c, NULL, &e), SS_OK);
        assert_int_equal(ss_param_set(c, w, first, &e), SS_USAGE);
        ss_tape_end(c);
        ss_release(w);
        ss_release(g);
        assert_int_equal(ss_ctx_usage(c).live_bytes, 0);
        ss_ctx_free(c);
    }
}

static void test_errors(void **state)
{
    ss_ctx *c = context(1);
    ss_err e = {0};
    ss_tensor *x = normal(c, ss_shape_of(3, 3), 0), *z = normal(c, ss_shape_of(2), 1);

    (void)state;
    assert_int_equal(ss_tape_begin(c, NULL, &e), SS_OK);
    assert_int_equal(ss_tape_begin(c, NULL, &e), SS_USAGE);
    ss_tensor *y = ss_affine(c, x, 2, 0); /* x wants none */
    ss_tape_seed(c, y, y, 1);
    assert_int_equal(ss_tape_backward(c, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "depends on nothing"));
    ss_ctx_clear(c);

    wanted(x);
    assert_int_equal(ss_tape_begin(c, NULL, &e), SS_OK);
    ss_set(&y, ss_affine(c, x, 2, 0));
    ss_tape_seed(c, y, z, 1);
    assert_int_equal(ss_tape_backward(c, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "another shape"));
    ss_ctx_clear(c);

    /* what an earlier tape made is a constant to a later one */
    assert_int_equal(ss_tape_begin(c, NULL, &e), SS_OK);
    ss_tensor *late = ss_affine(c, y, 2, 0);
    assert_true(!ss_ctx_failed(c));
    ss_tape_seed(c, late, late, 1);
    assert_int_equal(ss_tape_backward(c, &e), SS_USAGE);
    assert_null(ss_tensor_gradient(x));
    ss_release(late);
    ss_release(y);
    ss_release(z);
    ss_release(x);
    ss_ctx_free(c);
}

static int setup(void **state)
{
    (void)state;
    n_cases = make_cases(cases);
    return n_cases <= MAX_CASES ? 0 : 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finite_differences),
        cmocka_unit_test(test_frozen),
        cmocka_unit_test(test_threads_and_blocks),
        cmocka_unit_test(test_zero_cuts),
        cmocka_unit_test(test_gradient_formats),
        cmocka_unit_test(test_changed_parameter),
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
