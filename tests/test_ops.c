/* Golden file: tests/golden/ops.safetensors, written by make_ops.py with PyTorch in float64,
 * seed 0: tensors OP/CASE/NAME, where y is the result, opt the numbers, the rest inputs. Every
 * case in the file is run by the row of `ops` for its OP. Worst relative L2 errors seen, on any
 * instruction set: attention 4.9e-7, conv2d 3.7e-7, the others below 2e-7. What depends on threads,
 * instruction sets or number formats is checked against ourselves.
 */
#include "kernels/context.h"
#include "kernels/hooks.h"
#include "kernels/ops.h"
#include "kernels/tape.h"
#include "models/file/safetensors.h"
#include "tests/ss_isa.h"

#include <stdio.h>
#include <sys/resource.h>

static ss_ctx *ctx;
static ss_safetensors *golden;

static ss_ctx *context(int threads)
{
    ss_ctx *c;
    ss_err e = {0};

    if (ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = threads}, &c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return c;
}

/* --- one case of the golden file ------------------------------------------------------ */

typedef struct {
    const char *path; /* "conv2d/3x3" */
    float opt[8];
} golden_case;

static const ss_stored_tensor *find(const golden_case *g, const char *name)
{
    char path[160];

    snprintf(path, sizeof path, "%s/%s", g->path, name);
    return ss_safetensors_find(golden, path);
}

/* NULL where the case has no such tensor */
static ss_tensor *input(const golden_case *g, const char *name)
{
    const ss_stored_tensor *t = find(g, name);
    ss_shape s;

    if (!t)
        return NULL;
    assert_int_equal(ss_stored_shape(t, &s, NULL), SS_OK);
    return ss_param(ctx, t->dtype, s, t->data);
}

/* Inputs of a case, released by run_case(). */
typedef struct {
    ss_tensor *x, *b, *c, *d, *e;
} inputs;

static ss_tensor *run_conv2d(const golden_case *g, inputs *in)
{
    const float *o = g->opt;
    const ss_conv2d_opt opt = {(int)o[0], (int)o[1], (int)o[2], (int)o[3], (int)o[4]};

    in->b = input(g, "w");
    in->c = input(g, "b");
    return ss_conv2d(ctx, in->x, in->b, in->c, opt);
}

static ss_tensor *run_linear(const golden_case *g, inputs *in)
{
    in->b = input(g, "w");
    in->c = input(g, "b");
    return ss_linear(ctx, in->x, in->b, in->c);
}

static ss_tensor *run_group_norm(const golden_case *g, inputs *in)
{
    in->b = input(g, "gamma");
    in->c = input(g, "beta");
    in->d = input(g, "mod");
    return ss_group_norm(ctx, in->x, in->b, in->c, in->d, (int)g->opt[0], g->opt[1],
                         (ss_act)g->opt[2], NULL);
}

static ss_tensor *run_layer_norm(const golden_case *g, inputs *in)
{
    in->b = input(g, "gamma");
    in->c = input(g, "beta");
    return ss_layer_norm(ctx, in->x, in->b, in->c, g->opt[0]);
}

static ss_tensor *run_rms_norm(const golden_case *g, inputs *in)
{
    in->b = input(g, "gamma");
    return ss_rms_norm(ctx, in->x, in->b, g->opt[0]);
}

/* T5LayerNorm in half precision, in the format of y. */
static ss_tensor *run_rms_norm_half(const golden_case *g, inputs *in)
{
    const bool bf16 = find(g, "y")->dtype == SS_BF16;
    ss_precision p = {.scope = SS_ROUND_HALF, .torch_norms = true};

    assert_int_equal(ss_format_parse(bf16 ? "bf16" : "fp16", &p.format, NULL), SS_OK);
    assert_int_equal(ss_ctx_setup(ctx, &(ss_setup){.precision = &p}, NULL), SS_OK);
    ss_tensor *y = run_rms_norm(g, in);
    assert_int_equal(ss_ctx_setup(ctx, &(ss_setup){0}, NULL), SS_OK);
    return y;
}

static ss_tensor *run_activate(const golden_case *g, inputs *in)
{
    return ss_activate(ctx, in->x, (ss_act)g->opt[0]);
}

static ss_tensor *run_geglu(const golden_case *g, inputs *in)
{
    (void)g;
    return ss_geglu(ctx, in->x);
}

static ss_tensor *run_attention(const golden_case *g, inputs *in)
{
    in->x = input(g, "q");
    in->b = input(g, "k");
    in->c = input(g, "v");
    in->d = input(g, "mask");
    in->e = input(g, "bias");
    return ss_attention(
        ctx, in->x, in->b, in->c, in->d,
        &(ss_attention_opt){.heads = (int)g->opt[0], .scale = g->opt[1], .bias = in->e});
}

static ss_tensor *run_add(const golden_case *g, inputs *in)
{
    in->b = input(g, "b");
    return ss_add(ctx, in->x, in->b, g->opt[0]);
}

static ss_tensor *run_multiply(const golden_case *g, inputs *in)
{
    in->b = input(g, "b");
    return ss_multiply(ctx, in->x, in->b);
}

static ss_tensor *run_affine(const golden_case *g, inputs *in)
{
    return ss_affine(ctx, in->x, g->opt[0], g->opt[1]);
}

static ss_tensor *run_clamp(const golden_case *g, inputs *in)
{
    return ss_clamp(ctx, in->x, g->opt[0], g->opt[1]);
}

static ss_tensor *run_scale_samples(const golden_case *g, inputs *in)
{
    return ss_scale_samples(ctx, in->x, g->opt);
}

static ss_tensor *run_add_channels(const golden_case *g, inputs *in)
{
    in->b = input(g, "v");
    return ss_add_channels(ctx, in->x, in->b);
}

static ss_tensor *run_modulate(const golden_case *g, inputs *in)
{
    in->b = input(g, "v");
    return ss_modulate(ctx, in->x, in->b);
}

static ss_tensor *run_concat(const golden_case *g, inputs *in)
{
    in->b = input(g, "b");
    return ss_concat(ctx, in->x, in->b, (int)g->opt[0]);
}

static ss_tensor *run_slice(const golden_case *g, inputs *in)
{
    return ss_slice(ctx, in->x, (int)g->opt[0], (int64_t)g->opt[1], (int64_t)g->opt[2]);
}

static ss_tensor *run_upsample(const golden_case *g, inputs *in)
{
    return ss_upsample_nearest(ctx, in->x, (int64_t)g->opt[0], (int64_t)g->opt[1]);
}

static ss_tensor *run_avg_pool2(const golden_case *g, inputs *in)
{
    (void)g;
    return ss_avg_pool2(ctx, in->x);
}

static ss_tensor *run_fir(const golden_case *g, inputs *in)
{
    const ss_stored_tensor *k = find(g, "kernel");
    const float *o = g->opt;
    float kernel[8];

    ss_values_to_f32(k->dtype, k->data, (size_t)k->dim[0], kernel);
    return ss_fir_resample(ctx, in->x, kernel, (int)k->dim[0], (int)o[0], (int)o[1], (int)o[2],
                           (int)o[3]);
}

static ss_tensor *run_mean_tokens(const golden_case *g, inputs *in)
{
    (void)g;
    return ss_mean_tokens(ctx, in->x);
}

static ss_tensor *run_embedding(const golden_case *g, inputs *in)
{
    int64_t ids[4];

    for (int i = 0; i < 4; i++)
        ids[i] = (int64_t)g->opt[i];
    return ss_embedding(ctx, in->x, ids, 4);
}

static ss_tensor *run_permute(const golden_case *g, inputs *in)
{
    int axes[SS_MAX_RANK];

    for (int k = 0; k < SS_MAX_RANK; k++)
        axes[k] = (int)g->opt[k];
    return ss_permute(ctx, in->x, axes);
}

enum { WHOLE, PER_VALUE }; /* what the tolerance bounds */

static const struct {
    const char *name;
    ss_tensor *(*run)(const golden_case *g, inputs *in);
    double tolerance; /* of the relative L2 error, or of the relative error of each value */
    int measure;
} ops[] = {
    {"conv2d", run_conv2d, 1e-6, WHOLE}, /* 3x3_valid is one small sum: 8.3e-7 on AVX without FMA */
    {"linear", run_linear, 5e-7, WHOLE},
    {"group_norm", run_group_norm, 5e-7, WHOLE},
    {"layer_norm", run_layer_norm, 5e-7, WHOLE},
    {"rms_norm", run_rms_norm, 5e-7, WHOLE},
    {"rms_norm_half", run_rms_norm_half, 0, WHOLE},
    {"activate", run_activate, 4e-7, PER_VALUE},
    {"activate_special", run_activate, 0, WHOLE},
    {"geglu", run_geglu, 2e-7, WHOLE},
    {"attention", run_attention, 1e-6, WHOLE},
    {"add", run_add, 1e-7, WHOLE},
    {"multiply", run_multiply, 6e-8, PER_VALUE},
    {"affine", run_affine, 1e-7, WHOLE},
    {"clamp", run_clamp, 0, WHOLE},
    {"scale_samples", run_scale_samples, 1e-7, WHOLE},
    {"add_channels", run_add_channels, 1e-7, WHOLE},
    {"modulate", run_modulate, 1e-7, WHOLE},
    {"concat", run_concat, 0, WHOLE},
    {"slice", run_slice, 0, WHOLE},
    {"upsample", run_upsample, 0, WHOLE},
    {"avg_pool2", run_avg_pool2, 1e-7, WHOLE},
    {"fir", run_fir, 2e-7, WHOLE},
    {"mean_tokens", run_mean_tokens, 1e-7, WHOLE},
    {"embedding", run_embedding, 0, WHOLE},
    {"permute", run_permute, 0, WHOLE},
};

/* The error, where NaN must meet NaN and inf the same inf. Values below 1e-36 count as that,
 * so that the relative error of one value is not asked of subnormal numbers. */
static double error_of(float *got, float *want, int64_t n, bool per_value)
{
    double worst = 0;

    for (int64_t i = 0; i < n; i++) {
        const bool both_nan = isnan(got[i]) && isnan(want[i]);

        if (both_nan || (isinf(want[i]) && got[i] == want[i]))
            got[i] = want[i] = 0;
    }
    if (!per_value)
        return relative_l2(got, want, n);
    for (int64_t i = 0; i < n; i++) {
        const double error = fabs((double)got[i] - want[i]) / fmax(fabs((double)want[i]), 1e-36);

        worst = error > worst || isnan(error) ? error : worst;
    }
    return worst;
}

static void run_case(const char *path, size_t op)
{
    golden_case g = {.path = path};
    const ss_stored_tensor *y = find(&g, "y"), *opt = find(&g, "opt");
    inputs in = {0};
    ss_shape shape;
    char found[64], wanted[64];
    ss_err e = {0};

    if (opt)
        ss_values_to_f32(opt->dtype, opt->data, (size_t)opt->dim[0], g.opt);
    in.x = input(&g, "x");
    ss_tensor *out = ops[op].run(&g, &in);
    if (ss_ctx_check(ctx, &e) != SS_OK)
        fail_msg("%s: %s", path, e.msg);

    assert_int_equal(ss_stored_shape(y, &shape, NULL), SS_OK);
    if (!ss_shape_equal(shape, ss_shape_get(out)))
        fail_msg("%s: shape %s, want %s", path, ss_shape_text(ss_shape_get(out), found, 64),
                 ss_shape_text(shape, wanted, 64));

    const int64_t n = ss_shape_numel(shape);
    float *got = malloc((size_t)n * sizeof *got), *want = malloc((size_t)n * sizeof *want);
    assert_int_equal(ss_download(ctx, out, got, NULL), SS_OK);
    ss_values_to_f32(y->dtype, y->data, (size_t)n, want);
    const double error = error_of(got, want, n, ops[op].measure == PER_VALUE);
    if (getenv("SS_TEST_VERBOSE"))
        printf("%-36s %.2e\n", path, error);
    if (!(error <= ops[op].tolerance))
        for (int i = 0; i < 10; i++)
            printf("%a %a\n", got[i], want[i]);
    if (!(error <= ops[op].tolerance))
        fail_msg("%s: relative error %.3g, at most %.3g", path, error, ops[op].tolerance);
    free(got);
    free(want);
    ss_release(out);
    ss_release(in.x);
    ss_release(in.b);
    ss_release(in.c);
    ss_release(in.d);
    ss_release(in.e);
}

static void run_all_cases(void)
{
    int ran[N_OF(ops)] = {0};

    for (size_t i = 0; i < ss_safetensors_count(golden); i++) {
        char path[96];
        const char *name = ss_safetensors_at(golden, i)->name, *end = strrchr(name, '/');
        size_t op = 0;

        if (strcmp(end, "/y") != 0)
            continue;
        snprintf(path, sizeof path, "%.*s", (int)(end - name), name);
        const size_t len = strcspn(path, "/");
        while (op < N_OF(ops) && (strncmp(ops[op].name, path, len) != 0 || ops[op].name[len]))
            op++;
        if (op == N_OF(ops))
            fail_msg("%s: no such operation in the test", path);
        run_case(path, op);
        ran[op]++;
    }
    for (size_t op = 0; op < N_OF(ops); op++)
        if (!ran[op])
            fail_msg("%s: no case", ops[op].name);
}

static void test_matches_pytorch(void **state)
{
    (void)state;
    ctx = context(2);
    run_all_cases();
    ss_ctx_free(ctx);
}

static void test_instructions(void **state)
{
    use_isa(*state);
    ctx = context(1);
    run_all_cases();
    ss_ctx_free(ctx);
}

/* Each in the list has golden data of its own, and is no other one by another name, but gelu_new,
 * which is gelu_tanh with another precision under autocast. */
static void test_every_activation(void **state)
{
    static const float x[] = {-7, -2, -0.5F, 0.25F, 1, 3, 40};
#define X(id, name) #name,
    static const char *const names[] = {SS_ACTS(X)};
#undef X
    float y[SS_N_ACTS][N_OF(x)];

    (void)state;
    ctx = context(1);
    for (int a = 0; a < SS_N_ACTS; a++) {
        for (int k = 0; k < 3; k++) {
            char path[64], opt[80];

            snprintf(path, sizeof path, "%s/%s",
                     (const char *[]){"activate", "activate_special", "group_norm"}[k], names[a]);
            snprintf(opt, sizeof opt, "%s/opt", path);
            const ss_stored_tensor *t = ss_safetensors_find(golden, opt);
            float value[3];

            if (!t)
                fail_msg("tests/golden/make_ops.py makes no case %s", path);
            ss_values_to_f32(t->dtype, t->data, (size_t)t->dim[0], value);
            assert_float_equal(value[k < 2 ? 0 : 2], a, 0);
        }
        ss_tensor *in = ss_upload(ctx, ss_shape_of(N_OF(x)), x);
        ss_tensor *out = ss_activate(ctx, in, (ss_act)a);

        assert_int_equal(ss_download(ctx, out, y[a], NULL), SS_OK);
        ss_release(out);
        ss_release(in);
        for (int b = 0; b < a; b++)
            if ((memcmp(y[a], y[b], sizeof *y) == 0) !=
                (a == SS_ACT_GELU_NEW && b == SS_ACT_GELU_TANH))
                fail_msg("%s computes %s", names[a], names[b]);
    }
    ss_ctx_free(ctx);
}

/* Every finite weight of 16 bits comes out of a product with the identity as it is in f32. */
static void test_weights_in_16_bits(void **state)
{
    enum { IN = 40, OUT = 1 << 16, ROWS = IN };
    static uint16_t w[OUT + IN][IN];
    static float identity[ROWS][IN], want[OUT + IN][IN], y[ROWS][OUT + IN];

    use_isa(*state);
    ctx = context(1);
    for (int type = SS_F16; type <= SS_BF16; type++) {
        const int inf = type == SS_F16 ? 0x7c00 : 0x7f80;

        for (int o = 0; o < OUT + IN; o++)
            for (int i = 0; i < IN; i++) /* each value meets each place of a vector */
                w[o][i] = (uint16_t)((o + i) & inf) == inf ? 0 : (uint16_t)(o + i);
        for (int i = 0; i < IN; i++)
            identity[i][i] = 1;
        ss_values_to_f32((ss_dtype)type, w, (size_t)(OUT + IN) * IN, want[0]);

        ss_tensor *x = ss_upload(ctx, ss_shape_of(ROWS, IN), identity[0]);
        ss_tensor *weights = ss_param(ctx, (ss_dtype)type, ss_shape_of(OUT + IN, IN), w);
        ss_tensor *out = ss_linear(ctx, x, weights, NULL);
        assert_int_equal(ss_download(ctx, out, y[0], NULL), SS_OK);
        for (int o = 0; o < OUT + IN; o++)
            for (int i = 0; i < IN; i++)
                if (y[i][o] != want[o][i])
                    fail_msg("weight %x of type %d is %a", w[o][i], type, y[i][o]);
        ss_release(out);
        ss_release(weights);
        ss_release(x);
    }
    ss_ctx_free(ctx);
}

static void test_unknown_instruction_set(void **state)
{
    ss_ctx *c = NULL;
    ss_err e = {0};

    (void)state;
    setenv("SIGMASCOPE_ISA", "v5", 1);
    assert_int_equal(ss_ctx_new(&(ss_ctx_options){.device = "cpu"}, &c, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "\"v5\""));
    unsetenv("SIGMASCOPE_ISA");
}

/* --- against ourselves ---------------------------------------------------------------- */

static uint32_t seed;

static uint32_t random_bits(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed ^ seed >> 16;
}

/* Evenly in [-2, 2) */
static ss_tensor *random_tensor(ss_ctx *c, ss_shape s)
{
    const int64_t n = ss_shape_numel(s);
    float *x = malloc((size_t)n * sizeof *x);

    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(int32_t)random_bits() * 0x1p-30f;
    ss_tensor *t = ss_upload(c, s, x);
    free(x);
    return t;
}

/* The values of x, the caller's. */
static float *values_of(ss_ctx *c, const ss_tensor *x)
{
    float *v = malloc((size_t)ss_shape_numel(ss_shape_get(x)) * sizeof *v);

    assert_int_equal(ss_download(c, x, v, NULL), SS_OK);
    return v;
}

/* PyTorch's gradients of every golden case. */
static void test_permute_gradients(void **state)
{
    (void)state;
    int ran = 0;

    ctx = context(2);
    for (size_t i = 0; i < ss_safetensors_count(golden); i++) {
        const char *name = ss_safetensors_at(golden, i)->name;
        char path[96];
        golden_case g = {.path = path};
        inputs in = {0};

        if (strncmp(name, "permute/", 8) != 0 || !strstr(name, "/dx"))
            continue;
        snprintf(path, sizeof path, "%.*s", (int)(strlen(name) - 3), name);
        const ss_stored_tensor *opt = find(&g, "opt"), *want = find(&g, "dx");
        ss_values_to_f32(opt->dtype, opt->data, (size_t)opt->dim[0], g.opt);
        in.x = input(&g, "x");
        ss_tensor *dy = input(&g, "dy");

        ss_tensor_want_gradient(in.x, true);
        assert_int_equal(ss_tape_begin(ctx, NULL, NULL), SS_OK);
        ss_tensor *y = run_permute(&g, &in);
        ss_tape_seed(ctx, y, dy, 1);
        assert_int_equal(ss_tape_backward(ctx, NULL), SS_OK);
        float *dx = values_of(ctx, ss_tensor_gradient(in.x));
        assert_memory_equal(dx, want->data, want->bytes);
        free(dx);
        ss_release(y);
        ss_release(dy);
        ss_release(in.x);
        ran++;
    }
    assert_int_equal(ran, 10);
    ss_ctx_free(ctx);
}

/* Planes of several tiles and many threads, rows and single values; and what is no permutation. */
static void test_permute(void **state)
{
    (void)state;
    static const struct {
        int64_t dim[3];
        int axes[3];
    } cases[] = {{{67, 35, 41}, {2, 1, 0}}, {{131, 3, 97}, {0, 2, 1}}, {{50, 33, 40}, {1, 0, 2}}};

    for (size_t k = 0; k < N_OF(cases); k++) {
        for (int threads = 1; threads <= 3; threads++) {
            ss_ctx *c = context(threads);
            const int64_t *d = cases[k].dim;
            const int *a = cases[k].axes;
            ss_tensor *x = random_tensor(c, ss_shape_of(d[0], d[1], d[2]));
            ss_tensor *y = ss_permute(c, x, a);
            float *from = values_of(c, x), *to = values_of(c, y);
            int64_t at[3];

            for (int64_t i = 0; i < d[0] * d[1] * d[2]; i++) {
                at[0] = i / d[2] / d[1];
                at[1] = i / d[2] % d[1];
                at[2] = i % d[2];
                assert_true(to[(at[a[0]] * d[a[1]] + at[a[1]]) * d[a[2]] + at[a[2]]] == from[i]);
            }
            free(from);
            free(to);
            ss_release(y);
            ss_release(x);
            ss_ctx_free(c);
        }
    }
    static const int bad[][3] = {{0, 1, 1}, {0, 1, 3}, {-1, 1, 2}};
    ss_ctx *c = context(1);
    ss_tensor *x = random_tensor(c, ss_shape_of(2, 3, 4));
    ss_err e;

    for (size_t k = 0; k < N_OF(bad); k++) {
        assert_null(ss_permute(c, x, bad[k]));
        assert_int_equal(ss_ctx_check(c, &e), SS_SHAPE);
        assert_string_equal(e.msg, "permute: the axes of [2,3,4] are not all named once");
        ss_ctx_clear(c);
    }
    ss_release(x);
    ss_ctx_free(c);
}

/* Frames of a video are pictures of a batch: the same bits, in video's shape. */
static void test_video(void **state)
{
    (void)state;
    static const float taps[] = {0.25f, 0.5f, 0.25f};
    ss_ctx *c = context(2);
    ss_tensor *video = random_tensor(c, ss_shape_of(2, 3, 6, 5, 9));
    ss_tensor *batch = ss_reshape(c, video, ss_shape_of(6, 6, 5, 9));
    ss_tensor *w = random_tensor(c, ss_shape_of(10, 9, 3, 3));
    const ss_conv2d_opt opt = {2, 1, 1, 1, 1};

    for (int k = 0; k < 4; k++) {
        ss_tensor *y[2];

        for (int i = 0; i < 2; i++) {
            const ss_tensor *x = i ? batch : video;

            y[i] = k == 0   ? ss_conv2d(c, x, w, NULL, opt)
                   : k == 1 ? ss_upsample_nearest(c, x, 9, 11)
                   : k == 2 ? ss_avg_pool2(c, x)
                            : ss_fir_resample(c, x, taps, 3, 1, 2, 1, 1);
        }
        const ss_shape v = ss_shape_get(y[0]), b = ss_shape_get(y[1]);
        assert_true(v.rank == 5 && b.rank == 4 && v.dim[0] == 2 && v.dim[1] == 3);
        assert_memory_equal(v.dim + 2, b.dim + 1, 3 * sizeof *b.dim);
        float *got = values_of(c, y[0]), *want = values_of(c, y[1]);
        assert_memory_equal(got, want, (size_t)ss_shape_numel(b) * sizeof *got);
        free(got);
        free(want);
        ss_release(y[0]);
        ss_release(y[1]);
    }
    ss_release(w);
    ss_release(batch);
    ss_release(video);
    ss_ctx_free(c);
}

/* A chain through every kernel of ours that has a parallel loop, on tensors large enough for
 * several blocks; only add, and so the order of reductions, may differ by threads. */
static float *chain(int threads, int64_t *n)
{
    ss_ctx *c = context(threads);

    seed = 1;
    ss_tensor *x = random_tensor(c, ss_shape_of(2, 61, 67, 48));
    ss_tensor *gamma = random_tensor(c, ss_shape_of(48)),
              *mod = random_tensor(c, ss_shape_of(2, 96));
    ss_tensor *h = ss_group_norm(c, x, gamma, gamma, mod, 8, 1e-5f, SS_ACT_SILU, NULL);

    ss_set(&h, ss_add(c, h, x, 0.5f));
    ss_set(&h, ss_fir_resample(c, h, (float[]){0.25f, 0.5f, 0.25f}, 3, 1, 2, 1, 1));
    ss_set(&h, ss_upsample_nearest(c, h, 50, 50));
    ss_set(&h, ss_avg_pool2(c, h));
    ss_set(&h, ss_layer_norm(c, h, gamma, NULL, 1e-5f));
    ss_set(&h, ss_geglu(c, h));
    ss_set(&h, ss_activate(c, h, SS_ACT_MISH));
    ss_set(&h, ss_reshape(c, h, ss_shape_of(2, 625, 24)));
    ss_set(&h, ss_attention(c, h, h, h, NULL, &(ss_attention_opt){.heads = 3, .scale = 0.35f}));
    ss_set(&h, ss_concat(c, h, h, -1));
    ss_tensor *mean = ss_mean_tokens(c, h);
    ss_set(&mean, ss_reshape(c, mean, ss_shape_of(2, 48)));
    ss_set(&h, ss_add_channels(c, h, mean));
    ss_set(&h, ss_scale_samples(c, h, (float[]){1, 3}));

    *n = ss_shape_numel(ss_shape_get(h));
    float *out = malloc((size_t)*n * sizeof *out);
    ss_err e = {0};
    if (ss_download(c, h, out, &e) != SS_OK || ss_ctx_check(c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_release(mean);
    ss_release(h);
    ss_release(mod);
    ss_release(gamma);
    ss_release(x);
    ss_ctx_free(c);
    return out;
}

static void test_threads_do_not_matter(void **state)
{
    int64_t n;
    float *one = chain(1, &n), *two = chain(2, &n), *three = chain(3, &n);

    (void)state;
    assert_memory_equal(one, two, (size_t)n * sizeof *one);
    assert_memory_equal(one, three, (size_t)n * sizeof *one);
    free(one);
    free(two);
    free(three);
}

/* More values than a block of the kernel holds, and a mean that drifts from block to block;
 * too large for the golden file. */
static void test_group_norm_of_many_blocks(void **state)
{
    enum { P = 60000, C = 3 };
    static float x[P * C], y[P * C], want[P * C];
    ss_ctx *c = context(2);
    double mean = 0, var = 0;

    (void)state;
    seed = 6;
    for (int i = 0; i < P * C; i++)
        x[i] = (float)(int32_t)random_bits() * 0x1p-31f + (float)i * 1e-4f;
    for (int i = 0; i < P * C; i++)
        mean += (double)x[i] / (P * C);
    for (int i = 0; i < P * C; i++)
        var += (x[i] - mean) * (x[i] - mean) / (P * C);
    for (int i = 0; i < P * C; i++)
        want[i] = (float)((x[i] - mean) / sqrt(var + 1e-5));
    ss_tensor *t = ss_upload(c, ss_shape_of(1, P, C), x);
    ss_set(&t, ss_group_norm(c, t, NULL, NULL, NULL, 1, 1e-5f, SS_ACT_NONE, NULL));
    assert_int_equal(ss_download(c, t, y, NULL), SS_OK);
    assert_true(relative_l2(y, want, P * C) < 1e-7);
    ss_release(t);
    ss_ctx_free(c);
}

static void test_convolution_repeats_its_bits(void **state)
{
    ss_ctx *c = context(2);
    enum { N = 2 * 16 * 16 * 33 };
    static float a[N], b[N];

    (void)state;
    seed = 2;
    ss_tensor *x = random_tensor(c, ss_shape_of(2, 16, 16, 40));
    ss_tensor *w = random_tensor(c, ss_shape_of(33, 40, 3, 3));
    const ss_conv2d_opt opt = {1, 1, 1, 1, 1};

    for (int i = 0; i < 3; i++) {
        ss_tensor *y = ss_conv2d(c, x, w, NULL, opt);

        assert_int_equal(ss_download(c, y, i ? b : a, NULL), SS_OK);
        ss_release(y);
        if (i)
            assert_memory_equal(a, b, sizeof a);
    }
    ss_release(x);
    ss_release(w);
    ss_ctx_free(c);
}

/* Every upper half of a float with random, with zero and with extreme lower halves. */
static void test_rounding_matches_its_definition(void **state)
{
    static const char *const names[] = {"bf16",         "fp16",         "fp8-e4m3-nan", "fp8-e5m2",
                                        "fp8-e4m3-sat", "fp8-e5m2-sat", "e4m3-ieee",    "e2m1",
                                        "e3m2",         "e8m23",        "e8m1",         "e5m23",
                                        "e2m23",        "bf16-sat",     "fp16-sat",     "e6m9"};
    static const uint32_t low[] = {0, 1, 0xffff, 0x8000, 0x7fff, 0x8001};
    enum { PER = 8, N = 65536 * PER };
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    static const ss_module block = {.path = "block", .parent = -1, .block = true};
    ss_ctx *c = context(1);

    (void)state;
    seed = 3;
    for (uint32_t i = 0; i < N; i++) {
        const uint32_t k = i % PER;
        const uint32_t u = i / PER << 16 | (k < N_OF(low) ? low[k] : random_bits() >> 16);

        memcpy(&x[i], &u, sizeof u);
    }
    ss_tensor *from = ss_upload(c, ss_shape_of(N), x);
    for (size_t k = 0; k < N_OF(names); k++) {
        ss_precision p = {.scope = SS_ROUND_BLOCKS};
        ss_setup setup = {
            .modules = (const ss_module *[]){&block}, .n_modules = 1, .precision = &p};

        assert_int_equal(ss_format_parse(names[k], &p.format, NULL), SS_OK);
        assert_int_equal(ss_ctx_setup(c, &setup, NULL), SS_OK);
        ss_enter(c, &block, from);
        ss_tensor *to = ss_leave(c, &block, ss_retain(from));
        assert_int_equal(ss_download(c, to, y, NULL), SS_OK);
        ss_release(to);
        for (int i = 0; i < N; i++) {
            const float want = ss_format_round(&p.format, x[i]);

            if (isnan(want) ? !isnan(y[i]) : memcmp(&y[i], &want, sizeof want) != 0)
                fail_msg("%s: %a rounds to %a, want %a", names[k], x[i], y[i], want);
        }
    }
    ss_release(from);
    ss_ctx_free(c);
    free(x);
    free(y);
}

static struct rusage usage(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return r;
}

/* Freed memory is given out again, so that its pages are faulted in once. */
static void test_memory_is_reused(void **state)
{
    (void)state;
    if (test_device())
        skip_because("the host's pages say nothing of a device's memory");
    ss_ctx *c = context(1);

    seed = 4;
    ss_tensor *x = random_tensor(c, ss_shape_of(3 << 20));
    ss_release(ss_affine(c, x, 2, 0));
    const long before = usage().ru_minflt;
    for (int i = 0; i < 20; i++)
        ss_release(ss_affine(c, x, 2, 0));
    assert_true(usage().ru_minflt - before < 200); /* 3072 pages each, or 6 huge ones */
    ss_release(x);
    ss_ctx_free(c);
}

/* Memory kept for reuse never adds to the peak of live memory. */
static void test_memory_stays_within_its_peak(void **state)
{
    (void)state;
    enum { MIB = 1 << 18 }; /* values */
    if (test_device())
        skip_because("the host's pages say nothing of a device's memory");
    ss_ctx *c = context(1);
    const long before = usage().ru_maxrss; /* KiB */

    for (int mib = 20; mib <= 80; mib += 5) {
        ss_tensor *x = ss_tensor_new(c, ss_shape_of(mib, MIB));

        ss_release(ss_affine(c, x, 0, 1));
        ss_release(x);
    }
    assert_true(usage().ru_maxrss - before < (2 * 80 + 30) << 10);
    ss_ctx_free(c);
}

static int setup(void **state)
{
    ss_err e = {0};

    (void)state;
    if (ss_safetensors_open("tests/golden/ops.safetensors", &golden, &e) == SS_OK)
        return 0;
    print_error("%s\n", e.msg);
    return 1;
}

static int teardown(void **state)
{
    (void)state;
    ss_safetensors_close(golden);
    return 0;
}

/* A norm's output that is watched before modulation and activation has the bits of a norm of its
 * own, and the rest those of a run that nobody watches; on a tape, too. */
static void test_group_norm_watched(void **state)
{
    enum { VALUES = 2 * 9 * 11 * 24 };
    static float plain[2][VALUES], full[2][VALUES];

    (void)state;
    for (int taped = 0; taped < 2; taped++) {
        ss_ctx *c;

        assert_int_equal(
            ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = 2}, &c, NULL), SS_OK);
        ss_tensor *x = random_tensor(c, ss_shape_of(2, 9, 11, 24)), *seen;
        ss_tensor *gamma = random_tensor(c, ss_shape_of(24)),
                  *mod = random_tensor(c, ss_shape_of(2, 48));

        ss_tensor_want_gradient(x, true);
        if (taped)
            assert_int_equal(ss_tape_begin(c, NULL, NULL), SS_OK);
        ss_tensor *y[] = {
            ss_group_norm(c, x, gamma, NULL, mod, 6, 1e-5f, SS_ACT_SILU, &seen),
            ss_group_norm(c, x, gamma, NULL, mod, 6, 1e-5f, SS_ACT_SILU, NULL),
            ss_group_norm(c, x, gamma, NULL, NULL, 6, 1e-5f, SS_ACT_NONE, NULL),
        };
        assert_int_equal(ss_download(c, seen, plain[0], NULL), SS_OK);
        assert_int_equal(ss_download(c, y[2], plain[1], NULL), SS_OK);
        assert_int_equal(ss_download(c, y[0], full[0], NULL), SS_OK);
        assert_int_equal(ss_download(c, y[1], full[1], NULL), SS_OK);
        assert_memory_equal(plain[0], plain[1], sizeof plain[0]);
        assert_memory_equal(full[0], full[1], sizeof full[0]);
        ss_tape_end(c);
        for (int i = 0; i < 3; i++)
            ss_release(y[i]);
        ss_release(seen);
        ss_release(x);
        ss_release(gamma);
        ss_release(mod);
        ss_ctx_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches_pytorch),
        cmocka_unit_test(test_permute_gradients),
        cmocka_unit_test(test_permute),
        cmocka_unit_test(test_video),
        ISA_TESTS(test_instructions),
        ISA_TESTS(test_weights_in_16_bits),
        cmocka_unit_test(test_every_activation),
        cmocka_unit_test(test_unknown_instruction_set),
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_group_norm_of_many_blocks),
        cmocka_unit_test(test_group_norm_watched),
        cmocka_unit_test(test_convolution_repeats_its_bits),
        cmocka_unit_test(test_rounding_matches_its_definition),
        cmocka_unit_test(test_memory_is_reused),
        cmocka_unit_test(test_memory_stays_within_its_peak),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
