/* test_conv.c - convolutions and their gradients against plain loops in double: channels that fill
 * no vector, more of them than a kernel sums at a stretch, strides, uneven padding, cut borders
 *
 * The same bits on any number of threads, and of weights whatever type they are kept in.
 */
#include "kernels/context.h"
#include "kernels/hooks.h"
#include "kernels/ops.h"
#include "kernels/tape.h"
#include "models/file/safetensors.h"
#include "tests/conv_cases.h"
#include "tests/ss_test.h"

static uint32_t seed;

static float *random_values(int64_t n)
{
    float *x = malloc((size_t)n * sizeof *x);

    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)(seed ^ seed >> 16) * 0x1p-31f;
    }
    return x;
}

typedef struct {
    int64_t oh, ow, nx, nw, ny;
    float *x, *w, *b, *dy;
} operands;

static operands make(const conv_case *c)
{
    operands o = {.oh = (c->h + c->opt.top + c->opt.bottom - c->kh) / c->opt.stride + 1,
                  .ow = (c->w + c->opt.left + c->opt.right - c->kw) / c->opt.stride + 1};

    seed = (uint32_t)(c->in * 31 + c->out);
    o.nx = c->n * c->h * c->w * c->in;
    o.nw = c->out * c->in * c->kh * c->kw;
    o.ny = c->n * o.oh * o.ow * c->out;
    o.x = random_values(o.nx);
    o.w = random_values(o.nw);
    o.b = random_values(c->out);
    o.dy = random_values(o.ny);
    return o;
}

static void drop(operands *o)
{
    free(o->x);
    free(o->w);
    free(o->b);
    free(o->dy);
}

/* y and, for the output's gradient dy, dx. */
static void plain(const conv_case *c, const operands *o, double *y, double *dx)
{
    for (int64_t i = 0; i < o->nx; i++)
        dx[i] = 0;
    for (int64_t p = 0; p < o->ny; p++) {
        const int64_t k = p % c->out, u = p / c->out % o->ow, v = p / c->out / o->ow % o->oh;
        const int64_t n = p / c->out / o->ow / o->oh;

        y[p] = o->b[k];
        for (int64_t t = 0; t < c->kh * c->kw; t++) {
            const int64_t row = v * c->opt.stride + t / c->kw - c->opt.top;
            const int64_t column = u * c->opt.stride + t % c->kw - c->opt.left;
            const int64_t at = ((n * c->h + row) * c->w + column) * c->in;

            if (row < 0 || row >= c->h || column < 0 || column >= c->w)
                continue;
            for (int64_t i = 0; i < c->in; i++) {
                const double w = o->w[(k * c->in + i) * c->kh * c->kw + t];

                y[p] += w * o->x[at + i];
                dx[at + i] += w * o->dy[p];
            }
        }
    }
}

/* How the engine computes it: with these weights instead, under this policy. */
typedef struct {
    int threads;
    const void *w; /* NULL: the operands' */
    ss_dtype dtype;
    const ss_precision *precision; /* NULL: none */
} way;

static const ss_module module = {.path = "conv"};

/* The same by the engine. */
static void run_so(const conv_case *c, const operands *o, way how, float *y, float *dx)
{
    const ss_setup setup = {
        .modules = (const ss_module *[]){&module}, .n_modules = 1, .precision = how.precision};
    ss_ctx *ctx;
    ss_err e = {0};

    assert_int_equal(
        ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = how.threads}, &ctx, &e),
        SS_OK);
    assert_int_equal(ss_ctx_setup(ctx, &setup, &e), SS_OK);
    ss_tensor *x = ss_upload(ctx, ss_shape_of(c->n, c->h, c->w, c->in), o->x);
    ss_tensor *w =
        ss_param(ctx, how.dtype, ss_shape_of(c->out, c->in, c->kh, c->kw), how.w ? how.w : o->w);
    ss_tensor *b = ss_param(ctx, SS_F32, ss_shape_of(c->out), o->b);
    ss_tensor *dy = ss_upload(ctx, ss_shape_of(c->n, o->oh, o->ow, c->out), o->dy);

    ss_tensor_want_gradient(x, true);
    assert_int_equal(ss_tape_begin(ctx, NULL, &e), SS_OK);
    ss_enter(ctx, &module, x);
    ss_tensor *out = ss_leave(ctx, &module, ss_conv2d(ctx, x, w, b, c->opt));
    ss_tape_seed(ctx, out, dy, 1);
    if (ss_download(ctx, out, y, &e) != SS_OK || ss_tape_backward(ctx, &e) != SS_OK ||
        ss_download(ctx, ss_tensor_gradient(x), dx, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_release(out);
    ss_release(dy);
    ss_release(b);
    ss_release(w);
    ss_release(x);
    ss_ctx_free(ctx);
}

static void run(const conv_case *c, const operands *o, int threads, float *y, float *dx)
{
    run_so(c, o, (way){.threads = threads}, y, dx);
}

static void hold(const char *what, size_t i, const float *got, const double *want, int64_t n,
                 double terms)
{
    /* `terms` roundings of sums that grow as sqrt(terms) / 3, at random: 2e-8 terms, times 5 */
    const double limit = 1e-7 * terms;

    for (int64_t k = 0; k < n; k++)
        if (isfinite(want[k]) ? !(fabs(got[k] - want[k]) <= limit)
                              : !(isnan(want[k]) ? isnan(got[k]) : got[k] == (float)want[k]))
            fail_msg("case %zu: %s[%lld] is %.9g, expected %.9g", i, what, (long long)k, got[k],
                     want[k]);
}

static void test_against_loops(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const conv_case *c = &cases[i];
        operands o = make(c);
        double *y = malloc((size_t)o.ny * sizeof *y), *dx = malloc((size_t)o.nx * sizeof *dx);
        float *got_y = malloc((size_t)o.ny * sizeof *got_y);
        float *got_dx = malloc((size_t)o.nx * sizeof *got_dx);

        plain(c, &o, y, dx);
        run(c, &o, 2, got_y, got_dx);
        hold("y", i, got_y, y, o.ny, (double)(c->in * c->kh * c->kw));
        hold("dx", i, got_dx, dx, o.nx, (double)(c->out * c->kh * c->kw));
        free(got_dx);
        free(got_y);
        free(dx);
        free(y);
        drop(&o);
    }
}

typedef struct {
    operands o;
    double *y, *dx;
    float *got_y, *got_dx;
} outcome;

/* With x[at] = value. */
static outcome with_value(const conv_case *c, int64_t at, float value)
{
    outcome r = {.o = make(c)};

    r.o.x[at] = value;
    r.y = malloc((size_t)r.o.ny * sizeof *r.y);
    r.dx = malloc((size_t)r.o.nx * sizeof *r.dx);
    r.got_y = malloc((size_t)r.o.ny * sizeof *r.got_y);
    r.got_dx = malloc((size_t)r.o.nx * sizeof *r.got_dx);
    plain(c, &r.o, r.y, r.dx);
    run(c, &r.o, 2, r.got_y, r.got_dx);
    return r;
}

static void drop_outcome(outcome *r)
{
    free(r->got_dx);
    free(r->got_y);
    free(r->dx);
    free(r->y);
    drop(&r->o);
}

/* Infinities and NaN come out as from the plain sum. */
static void test_not_finite(void **state)
{
    (void)state;
    const conv_case c = {1, 8, 8, 32, 32, 3, 3, {1, 1, 1, 1, 1}};

    for (int i = 0; i < 3; i++) {
        outcome r = with_value(&c, (3 * 8 + 4) * 32 + 5, (float[]){INFINITY, -INFINITY, NAN}[i]);
        int infinite = 0, nan = 0;

        for (int64_t k = 0; k < r.o.ny; k++) {
            infinite += isinf(r.y[k]) != 0;
            nan += isnan(r.y[k]) != 0;
        }
        assert_int_equal(i < 2 ? infinite : nan, 9 * 32);
        hold("y", 0, r.got_y, r.y, r.o.ny, 9 * 32);
        drop_outcome(&r);
    }
}

/* A large value reaches, to the bit, only those outputs that see it. */
static void test_outlier(void **state)
{
    (void)state;
    const conv_case c = {1, 8, 8, 32, 32, 3, 3, {1, 1, 1, 1, 1}};
    outcome small = with_value(&c, (3 * 8 + 4) * 32 + 5, 0.5F);
    outcome large = with_value(&c, (3 * 8 + 4) * 32 + 5, 1e6F);

    for (int64_t k = 0; k < small.o.ny; k++) {
        const int64_t v = k / 32 / 8, u = k / 32 % 8;

        if (v < 2 || v > 4 || u < 3 || u > 5)
            assert_float_equal(small.got_y[k], large.got_y[k], 0);
    }
    drop_outcome(&small);
    drop_outcome(&large);
}

/* Computes one case in two ways; returns how many outputs and gradients differ in a bit. */
static int64_t differing(const conv_case *c, const operands *o, way a, way b)
{
    float *y[2], *dx[2];
    int64_t n = 0;

    for (int i = 0; i < 2; i++) {
        y[i] = malloc((size_t)o->ny * sizeof(float));
        dx[i] = malloc((size_t)o->nx * sizeof(float));
        run_so(c, o, i ? b : a, y[i], dx[i]);
    }
    for (int64_t k = 0; k < o->ny; k++)
        n += y[0][k] != y[1][k];
    for (int64_t k = 0; k < o->nx; k++)
        n += dx[0][k] != dx[1][k];
    for (int i = 0; i < 2; i++) {
        free(y[i]);
        free(dx[i]);
    }
    return n;
}

/* However the rows are cut among threads, within panels of channels that are not alike. */
static void test_threads(void **state)
{
    (void)state;
    static const conv_case shared[] = {
        {3, 33, 31, 24, 40, 3, 3, {1, 1, 1, 1, 1}}, {2, 32, 32, 33, 129, 3, 3, {1, 1, 1, 1, 1}},
        {1, 61, 33, 17, 97, 5, 5, {2, 2, 2, 2, 2}}, {1, 1, 999, 40, 130, 1, 1, {1, 0, 0, 0, 0}},
        {1, 4, 4, 160, 170, 3, 3, {1, 1, 1, 1, 1}},
    };
    static const int threads[] = {2, 3, 5, 16};

    for (size_t i = 0; i < N_OF(shared); i++) {
        operands o = make(&shared[i]);

        for (size_t k = 0; k < N_OF(threads); k++)
            assert_int_equal(
                differing(&shared[i], &o, (way){.threads = 1}, (way){.threads = threads[k]}), 0);
        drop(&o);
    }
}

/* 16-bit weights give what the same numbers in f32 give. */
static void test_half_weights(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        operands o = make(&cases[i]);
        uint16_t *half = malloc((size_t)o.nw * sizeof *half);

        for (int bf16 = 0; bf16 < 2; bf16++) {
            const ss_dtype dtype = bf16 ? SS_BF16 : SS_F16;

            for (int64_t k = 0; k < o.nw; k++) { /* of either sign, below 1 */
                seed = seed * 1664525u + 1013904223u;
                half[k] = (uint16_t)(seed >> 16 & (bf16 ? 0xbf7f : 0xbbff));
            }
            ss_values_to_f32(dtype, half, (size_t)o.nw, o.w);
            assert_int_equal(differing(&cases[i], &o, (way){.threads = 2},
                                       (way){.threads = 2, .dtype = dtype, .w = half}),
                             0);
        }
        free(half);
        drop(&o);
    }
}

/* Under a policy, weights are rounded: to have rounded them before changes nothing, to have moved
 * them to the other neighbour does. */
static void test_rounded_weights(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        operands o = make(&cases[i]);
        float *w = malloc((size_t)o.nw * sizeof *w);
        ss_precision p = {.scope = SS_ROUND_HALF};
        ss_err e = {0};

        assert_int_equal(ss_format_parse("e5m6", &p.format, &e), SS_OK);
        for (int64_t k = 0; k < o.nw; k++)
            w[k] = ss_format_round(&p.format, o.w[k]);
        const way plainly = {.threads = 2, .precision = &p};
        const way before = {.threads = 2, .precision = &p, .w = w};

        assert_int_equal(differing(&cases[i], &o, plainly, before), 0);
        for (int64_t k = 0; k < o.nw; k++)
            w[k] *= 1 + 0x1p-6F;
        assert_true(differing(&cases[i], &o, plainly, before) > 0);
        free(w);
        drop(&o);
    }
}

/* True when y may be what bf16 makes of a sum that is exact but for `slack`. */
static bool rounds_from(const ss_format *bf16, double exact, double slack, float y)
{
    return y >= ss_format_round(bf16, (float)(exact - slack)) &&
           y <= ss_format_round(bf16, (float)(exact + slack));
}

/* Case `i` with all operands in bf16, which some processors multiply: the sums are still those of
 * f32, and, if asked for, the same on any number of threads. */
static void hold_bf16(const conv_case *c, size_t i, bool threads)
{
    operands o = make(c);
    ss_precision p = {.scope = SS_ROUND_HALF};
    ss_err e = {0};

    assert_int_equal(ss_format_parse("bf16", &p.format, &e), SS_OK);
    p.gradient = p.format;
    float *const values[] = {o.x, o.w, o.b, o.dy};
    const int64_t n[] = {o.nx, o.nw, c->out, o.ny};
    for (int k = 0; k < 4; k++)
        for (int64_t j = 0; j < n[k]; j++)
            values[k][j] = ss_format_round(&p.format, values[k][j]);

    float *y = malloc((size_t)o.ny * sizeof *y), *dx = malloc((size_t)o.nx * sizeof *dx);
    double *want_y = malloc((size_t)o.ny * sizeof *want_y);
    double *want_dx = malloc((size_t)o.nx * sizeof *want_dx);

    plain(c, &o, want_y, want_dx);
    run_so(c, &o, (way){.threads = 2, .precision = &p}, y, dx);
    for (int64_t k = 0; k < o.ny; k++)
        if (!rounds_from(&p.format, want_y[k], 1e-5, y[k]))
            fail_msg("case %zu: y[%lld] is %.9g, not %.9g rounded", i, (long long)k, y[k],
                     want_y[k]);
    for (int64_t k = 0; k < o.nx; k++)
        if (!rounds_from(&p.format, want_dx[k], 1e-5, dx[k]))
            fail_msg("case %zu: dx[%lld] is %.9g, not %.9g rounded", i, (long long)k, dx[k],
                     want_dx[k]);
    if (threads)
        assert_int_equal(differing(c, &o, (way){.threads = 1, .precision = &p},
                                   (way){.threads = 2, .precision = &p}),
                         0);
    free(y);
    free(dx);
    free(want_y);
    free(want_dx);
    drop(&o);
}

static void test_bf16(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        hold_bf16(&cases[i], i, true);
}

/* Channels that fill no vector, or no pair, in every way that a network convolves. */
static void test_bf16_channels(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ODD; i++) {
        const conv_case c = odd_case(i);

        hold_bf16(&c, i, false);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_loops), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_not_finite),    cmocka_unit_test(test_outlier),
        cmocka_unit_test(test_half_weights),  cmocka_unit_test(test_rounded_weights),
        cmocka_unit_test(test_bf16),          cmocka_unit_test(test_bf16_channels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
