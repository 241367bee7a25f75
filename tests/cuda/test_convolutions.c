/* test_convolutions.c - convolutions of a CUDA device and both gradients against plain loops in
 * double: by cuDNN, by our own kernels where it has no engine, with too little memory for work
 * space, on tensor cores
 *
 * Without SIGMASCOPE_DEVICE the device is the emulated one.
 */
#include "kernels/context.h"
#include "kernels/cuda/arithmetic.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/plans.h"
#include "kernels/internal.h"
#include "kernels/tape.h"
#include "tests/conv_cases.h"
#include "tests/ss_test.h"

#include <dlfcn.h>

static uint32_t seed;

static float random_value(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(int32_t)(seed ^ seed >> 16) * 0x1p-31f;
}

static float *random_values(int64_t n)
{
    float *x = malloc((size_t)n * sizeof *x + 1);

    for (int64_t i = 0; i < n; i++)
        x[i] = random_value();
    return x;
}

typedef struct {
    int64_t oh, ow, nx, nw, ny;
    float *x, *w, *b, *dy;  /* of the host */
    float *y, *dx, *dw;     /* the device's answers */
    double *py, *pdx, *pdw; /* of plain loops */
} numbers;

static numbers make(const conv_case *c)
{
    numbers v = {.oh = (c->h + c->opt.top + c->opt.bottom - c->kh) / c->opt.stride + 1,
                 .ow = (c->w + c->opt.left + c->opt.right - c->kw) / c->opt.stride + 1};

    v.nx = c->n * c->h * c->w * c->in;
    v.nw = c->out * c->in * c->kh * c->kw;
    v.ny = c->n * v.oh * v.ow * c->out;
    v.x = random_values(v.nx);
    v.w = random_values(v.nw);
    v.b = random_values(c->out);
    v.dy = random_values(v.ny);
    v.y = random_values(v.ny);
    v.dx = random_values(v.nx);
    v.dw = random_values(v.nw);
    v.py = calloc((size_t)v.ny + 1, sizeof *v.py);
    v.pdx = calloc((size_t)v.nx + 1, sizeof *v.pdx);
    v.pdw = calloc((size_t)v.nw + 1, sizeof *v.pdw);
    return v;
}

static void drop(numbers *v)
{
    void *all[] = {v->x, v->w, v->b, v->dy, v->y, v->dx, v->dw, v->py, v->pdx, v->pdw};

    for (size_t i = 0; i < N_OF(all); i++)
        free(all[i]);
}

static void run_plainly(const conv_case *c, const numbers *v)
{
    for (int64_t p = 0; p < v->ny; p++) {
        const int64_t k = p % c->out, u = p / c->out % v->ow, at = p / c->out / v->ow % v->oh;
        const int64_t n = p / c->out / v->ow / v->oh;

        v->py[p] = v->b[k];
        for (int64_t t = 0; t < c->kh * c->kw; t++) {
            const int64_t row = at * c->opt.stride + t / c->kw - c->opt.top;
            const int64_t column = u * c->opt.stride + t % c->kw - c->opt.left;
            const int64_t from = ((n * c->h + row) * c->w + column) * c->in;

            if (row < 0 || row >= c->h || column < 0 || column >= c->w)
                continue;
            for (int64_t i = 0; i < c->in; i++) {
                const int64_t weight = (k * c->in + i) * c->kh * c->kw + t;

                v->py[p] += (double)v->w[weight] * v->x[from + i];
                v->pdx[from + i] += (double)v->w[weight] * v->dy[p];
                v->pdw[weight] += (double)v->x[from + i] * v->dy[p];
            }
        }
    }
}

static ss_ctx *open_device(ss_arithmetic arithmetic)
{
    ss_ctx *c;
    ss_err e = {0};

    setenv("SIGMASCOPE_DEVICE", "cuda-emulated", 0);
    if (ss_ctx_new(&(ss_ctx_options){.device = test_device(), .arithmetic = arithmetic}, &c, &e) !=
        SS_OK)
        fail_msg("%s", e.msg);
    return c;
}

static void run_on(ss_ctx *ctx, const conv_case *c, const numbers *v)
{
    ss_err e = {0};
    ss_tensor *x = ss_upload(ctx, ss_shape_of(c->n, c->h, c->w, c->in), v->x);
    ss_tensor *w = ss_param(ctx, SS_F32, ss_shape_of(c->out, c->in, c->kh, c->kw), v->w);
    ss_tensor *b = ss_param(ctx, SS_F32, ss_shape_of(c->out), v->b);
    ss_tensor *dy = ss_upload(ctx, ss_shape_of(c->n, v->oh, v->ow, c->out), v->dy);

    ss_tensor_want_gradient(x, true);
    ss_tensor_want_gradient(w, true);
    assert_int_equal(ss_tape_begin(ctx, NULL, &e), SS_OK);
    ss_tensor *y = ss_conv2d(ctx, x, w, b, c->opt);
    ss_tape_seed(ctx, y, dy, 1);
    if (ss_tape_backward(ctx, &e) != SS_OK || ss_download(ctx, y, v->y, &e) != SS_OK ||
        ss_download(ctx, ss_tensor_gradient(x), v->dx, &e) != SS_OK ||
        ss_download(ctx, ss_tensor_gradient(w), v->dw, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_release(y);
    ss_release(dy);
    ss_release(b);
    ss_release(w);
    ss_release(x);
}

/* Skips what only the fakes of tests/cuda can show. */
static void need_fakes(void)
{
    const char *device = getenv("SIGMASCOPE_DEVICE");

    if (device && strcmp(device, "cuda-emulated"))
        skip_because("only on the device cuda-emulated");
}

/* The largest difference, in units of what `terms` random roundings of f32 sums may come to. */
static double worst(const float *got, const double *want, int64_t n, int64_t terms)
{
    double most = 0;

    for (int64_t i = 0; i < n; i++) {
        const double d = fabs(got[i] - want[i]) / (1e-7 * (double)terms);

        most = d > most || isnan(d) ? (isnan(d) ? INFINITY : d) : most;
    }
    return most;
}

static double worst_of(ss_ctx *ctx, const conv_case *c)
{
    numbers v = make(c);

    run_plainly(c, &v);
    run_on(ctx, c, &v);
    const double all[] = {worst(v.y, v.py, v.ny, c->in * c->kh * c->kw),
                          worst(v.dx, v.pdx, v.nx, c->out * c->kh * c->kw),
                          worst(v.dw, v.pdw, v.nw, c->n * v.oh * v.ow)};
    double most = 0;

    for (size_t i = 0; i < N_OF(all); i++)
        most = all[i] > most ? all[i] : most;
    drop(&v);
    return most;
}

static double worst_of_all(ss_arithmetic arithmetic)
{
    ss_ctx *ctx = open_device(arithmetic);
    double most = 0;

    for (size_t i = 0; i < N_OF(cases) + N_ODD; i++) {
        const conv_case c = i < N_OF(cases) ? cases[i] : odd_case(i - N_OF(cases));
        const double d = worst_of(ctx, &c);

        if (d > 1 && arithmetic != SS_ARITHMETIC_TENSOR)
            fail_msg("case %zu is %g of what is allowed", i, d);
        most = d > most ? d : most;
    }
    ss_ctx_free(ctx);
    return most;
}

static void test_by_cudnn(void **state)
{
    (void)state;
    worst_of_all(SS_ARITHMETIC_AUTO);
    worst_of_all(SS_ARITHMETIC_F32);
}

/* cuDNN has no engine for anything. */
static void test_by_own_kernels(void **state)
{
    (void)state;
    need_fakes();
    setenv("SIGMASCOPE_CUDA_NO_ENGINES", "1", 1);
    worst_of_all(SS_ARITHMETIC_AUTO);
    unsetenv("SIGMASCOPE_CUDA_NO_ENGINES");
}

/* Tensors are cut between samples, here 2, 2, 2 and 1; one sample that has too many values is not
 * for cuDNN. */
static void test_many_values(void **state)
{
    static const int64_t at_once[] = {1500, 647};
    const conv_case c = {7, 9, 9, 8, 7, 3, 3, {1, 1, 1, 1, 1}};

    (void)state;
    need_fakes();
    for (int i = 0; i < 4; i++) {
        ss_ctx *ctx = open_device(SS_ARITHMETIC_F32);

        if (i % 2)
            setenv("SIGMASCOPE_CUDA_NO_ENGINES", "1", 1);
        ctx->dev->most_values = at_once[i / 2];
        assert_true(worst_of(ctx, &c) <= 1);
        unsetenv("SIGMASCOPE_CUDA_NO_ENGINES");
        ss_ctx_free(ctx);
    }
}

/* Operands are cut to 10 bits of fraction, which is seen, but no more than that. */
static void test_tensor_cores(void **state)
{
    (void)state;
    need_fakes();
    const double most = worst_of_all(SS_ARITHMETIC_TENSOR);

    assert_true(most > 10 && most < 0x1p-9 / 1e-7);
}

/* Room for the operands, and not for the work space of the first engine, or the first two. */
static void test_little_memory(void **state)
{
    const conv_case c = {1, 96, 96, 256, 2, 3, 3, {1, 1, 1, 1, 1}};
    ss_err e = {0};

    (void)state;
    need_fakes();
    setenv("SIGMASCOPE_CUDA_MEMORY", "72000000", 1); /* 33.6 MB are cuBLAS's, x and dx 9.4 each */
    ss_ctx *ctx = open_device(SS_ARITHMETIC_AUTO);
    void *rest = ss_cuda_work(ctx->dev, 12 << 20, "the rest", &e);

    assert_non_null(rest);
    assert_true(worst_of(ctx, &c) <= 1);
    ss_pool_free(&ctx->dev->pool, rest);
    ss_ctx_free(ctx);
    unsetenv("SIGMASCOPE_CUDA_MEMORY");
}

/* The engines of the emulated cuDNN (tests/cuda/fake_cudnn_graph.c): of what it lists before 70,
 * one is for tensor cores, the others are not admitted, one of them as it wants too much memory. */
static void test_choice(void **state)
{
    ss_cuda_conv c = {.n = 2,
                      .h = 8,
                      .w = 8,
                      .in = 4,
                      .out_h = 4,
                      .out_w = 4,
                      .out = 3,
                      .kh = 3,
                      .kw = 3,
                      .stride = 2,
                      .top = 1,
                      .left = 1,
                      .bottom = 1,
                      .right = 1,
                      .align = 16};
    static const int64_t engines[] = {2, 70, 0};
    const ss_cuda_plan *plan;
    ss_cuda_plan all[4];
    int n;
    ss_err e = {0};

    (void)state;
    need_fakes();
    ss_ctx *ctx = open_device(SS_ARITHMETIC_AUTO);
    ss_cuda_plans *plans = ctx->dev->plans;

    assert_int_equal(ss_cuda_plans_find(plans, &c, SS_CUDA_PLAN_FAST, &plan, &e), SS_OK);
    assert_int_equal(plan->engine, 70);
    assert_false(plan->fallback);
    assert_int_equal(ss_cuda_plans_find(plans, &c, SS_CUDA_PLAN_LEAN, &plan, &e), SS_OK);
    assert_int_equal(plan->engine, 0);
    assert_int_equal(plan->work_bytes, 0);
    assert_int_equal(ss_cuda_plans_all(plans, &c, 4, all, &n, &e), SS_OK);
    assert_int_equal(n, 3);
    for (int k = 0; k < n; k++) {
        assert_int_equal(all[k].engine, engines[k]);
        ctx->dev->api->cudnnBackendDestroyDescriptor(all[k].plan);
    }
    assert_int_equal(ss_cuda_plans_all(plans, &c, 1, all, &n, &e), SS_OK);
    assert_int_equal(n, 1);
    ctx->dev->api->cudnnBackendDestroyDescriptor(all[0].plan);
    c.tensor = 1;
    assert_int_equal(ss_cuda_plans_find(plans, &c, SS_CUDA_PLAN_FAST, &plan, &e), SS_OK);
    assert_int_equal(plan->engine, 67);
    c.tensor = c.top = c.left = 0;
    assert_int_equal(ss_cuda_plans_find(plans, &c, SS_CUDA_PLAN_FAST, &plan, &e), SS_OK);
    assert_int_equal(plan->engine, 0);
    assert_true(plan->fallback);
    ss_ctx_free(ctx);
}

/* ---- who may use tensor cores ---- */

static void test_arithmetic(void **state)
{
    static const struct {
        const char *a, *b;
        bool fits;
    } formats[] = {{"bf16", "bf16", true},   {"fp16", "fp8-e4m3", true}, {"e8m10", "e2m1", true},
                   {"e8m11", "bf16", false}, {"bf16", "e5m11", false},   {"fp32", "bf16", false}};
    ss_device d = {.has_tf32 = true};
    ss_buffer buffer = {0};
    ss_tensor x = {.dtype = SS_F32, .buf = &buffer};

    (void)state;
    for (size_t i = 0; i < N_OF(formats); i++) {
        ss_format a, b;
        ss_err e = {0};

        assert_int_equal(ss_format_parse(formats[i].a, &a, &e), SS_OK);
        assert_int_equal(ss_format_parse(formats[i].b, &b, &e), SS_OK);
        buffer.exp_bits = a.exp_bits;
        buffer.man_bits = a.man_bits;
        const ss_cuda_numbers from = ss_cuda_numbers_of(&x, NULL), to = ss_cuda_numbers_of(&x, &b);

        d.arithmetic = SS_ARITHMETIC_AUTO;
        assert_int_equal(ss_cuda_on_tensor_cores(&d, from, to), formats[i].fits);
        assert_int_equal(ss_cuda_on_tensor_cores(&d, to, from), formats[i].fits);
        d.arithmetic = SS_ARITHMETIC_F32;
        assert_false(ss_cuda_on_tensor_cores(&d, from, to));
        d.arithmetic = SS_ARITHMETIC_TENSOR;
        assert_true(ss_cuda_on_tensor_cores(&d, from, to));
    }
    d.arithmetic = SS_ARITHMETIC_AUTO;
    buffer.exp_bits = buffer.man_bits = 0; /* any numbers */
    const ss_cuda_numbers any = ss_cuda_numbers_of(&x, NULL);
    x.dtype = SS_BF16;
    const ss_cuda_numbers bf16 = ss_cuda_numbers_of(&x, NULL);
    x.dtype = SS_F16;
    const ss_cuda_numbers f16 = ss_cuda_numbers_of(&x, NULL);

    assert_false(ss_cuda_on_tensor_cores(&d, any, bf16));
    assert_true(ss_cuda_on_tensor_cores(&d, f16, bf16));
    d.has_tf32 = false;
    assert_false(ss_cuda_on_tensor_cores(&d, f16, bf16));
    d.arithmetic = SS_ARITHMETIC_TENSOR;
    assert_false(ss_cuda_on_tensor_cores(&d, f16, bf16));
}

static void mark(ss_tensor *x, const ss_format *f)
{
    x->buf->exp_bits = f->exp_bits;
    x->buf->man_bits = f->man_bits;
}

/* True when a plan for tensor cores was made, for a problem that has been run. */
static bool used_tensor_cores(ss_device *d, ss_cuda_conv c)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    long (*calls)(void) = (long (*)(void))dlsym(library, "ss_fake_calls");
    const ss_cuda_plan *plan;
    ss_err e = {0};

    assert_non_null(calls);
    c.tensor = 1;
    const long before = calls();
    assert_int_equal(ss_cuda_plans_find(d->plans, &c, SS_CUDA_PLAN_FAST, &plan, &e), SS_OK);
    const bool had_it = calls() == before;
    dlclose(library);
    return had_it;
}

/* Tensor cores run where both operands were rounded to bf16, in each direction. */
static void test_rounded_operands(void **state)
{
    enum { N = 2, H = 6, IN = 5, OUT = 4, K = 3 };
    const ss_conv2d_opt opt = {1, 1, 1, 1, 1};
    float values[N * H * H * IN + OUT * IN * K * K] = {0};
    ss_format bf16;
    ss_err e = {0};

    (void)state;
    need_fakes();
    ss_format_parse("bf16", &bf16, &e);
    for (int i = 0; i < 8; i++) {
        ss_ctx *ctx = open_device(SS_ARITHMETIC_AUTO);
        ss_tensor *x = ss_upload(ctx, ss_shape_of(N, H, H, IN), values);
        ss_tensor *w = ss_param(ctx, SS_F32, ss_shape_of(OUT, IN, K, K), values);
        ss_tensor *y = ss_upload(ctx, ss_shape_of(N, H, H, OUT), values);
        const ss_format *rounded = i & 2 ? &bf16 : NULL;
        const ss_conv2d_gradient_args a = {.x = x,
                                           .w = w,
                                           .dy = y,
                                           .n = N,
                                           .h = H,
                                           .width = H,
                                           .in = IN,
                                           .out_h = H,
                                           .out_w = H,
                                           .out = OUT,
                                           .kh = K,
                                           .kw = K,
                                           .opt = opt,
                                           .weight_format = rounded};
        ss_cuda_conv c = {.n = N,
                          .h = H,
                          .w = H,
                          .in = IN,
                          .out_h = H,
                          .out_w = H,
                          .out = OUT,
                          .kh = K,
                          .kw = K,
                          .stride = 1,
                          .top = 1,
                          .left = 1,
                          .bottom = 1,
                          .right = 1,
                          .align = 16};

        if (i & 1)
            mark(x, &bf16);
        if (i & 4)
            mark(y, &bf16);
        assert_int_equal(
            ctx->be->conv2d(
                ctx->dev,
                &(ss_conv2d_args){.x = x, .w = w, .opt = opt, .weight_format = rounded, .y = y},
                &e),
            SS_OK);
        assert_int_equal(used_tensor_cores(ctx->dev, c), (i & 3) == 3);
        c.direction = SS_CUDA_DATA;
        assert_int_equal(ctx->be->back_conv2d_data(ctx->dev, &a, x, &e), SS_OK);
        assert_int_equal(used_tensor_cores(ctx->dev, c), (i & 6) == 6);
        c.direction = SS_CUDA_FILTER;
        assert_int_equal(ctx->be->back_conv2d_weights(ctx->dev, &a, w, &e), SS_OK);
        assert_int_equal(used_tensor_cores(ctx->dev, c), (i & 5) == 5);
        ss_release(y);
        ss_release(w);
        ss_release(x);
        ss_ctx_free(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arithmetic),     cmocka_unit_test(test_by_cudnn),
        cmocka_unit_test(test_by_own_kernels), cmocka_unit_test(test_many_values),
        cmocka_unit_test(test_tensor_cores),   cmocka_unit_test(test_rounded_operands),
        cmocka_unit_test(test_little_memory),  cmocka_unit_test(test_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
