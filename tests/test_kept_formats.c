/* test_kept_formats.c - weights and moments that are kept in 16 bits: rounded as PyTorch rounds,
 * lost and kept small updates, the same random bits everywhere
 *
 * Golden data: tests/golden/optimizers_16.safetensors, written by make_optimizers_16.py.
 */
#include "base/mem.h"
#include "kernels/context.h"
#include "models/file/safetensors.h"
#include "tests/ss_command.h"
#include "train/optimizer.h"

#include <math.h>

enum { N = 24, STEPS = 50, VALUES = 4096 };

static void golden(const char *file, const char *name, float *out, size_t n)
{
    char path[300];
    ss_array a;
    ss_err e = {0};

    snprintf(path, sizeof path, "tests/golden/%s.safetensors#%s", file, name);
    if (ss_safetensors_load_f32(path, &a, &e) != SS_OK)
        fail_msg("%s", e.msg);
    size_t values = 1;
    for (int i = 0; i < a.rank; i++)
        values *= (size_t)a.dim[i];
    assert_int_equal(values, n);
    memcpy(out, a.values, n * sizeof *out);
    ss_free(a.values);
}

static ss_ctx *context_on(const char *device, int threads)
{
    const ss_ctx_options o = {.device = device, .threads = threads};
    ss_ctx *c;
    ss_err e = {0};

    if (ss_ctx_new(&o, &c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return c;
}

static ss_ctx *context(int threads)
{
    return context_on(test_device(), threads);
}

static ss_optimizer_options options(ss_kept weights, ss_kept states, bool stochastic)
{
    ss_optimizer_options o = ss_optimizer_defaults();

    o.lr = 0.01;
    o.weights = weights;
    o.states = states;
    o.stochastic = stochastic;
    o.seed = 5;
    return o;
}

static ss_optimizer *make(ss_ctx *c, const ss_optimizer_options *o, const ss_trained *t)
{
    ss_optimizer *x;
    ss_err e = {0};

    if (ss_optimizer_new(c, o, t, 1, &x, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return x;
}

static ss_update step(ss_ctx *c, ss_optimizer *o, const float *grad, int64_t n)
{
    ss_tensor *g = ss_upload(c, ss_shape_of(n), grad);
    const ss_tensor *const list[] = {g};
    ss_update u;
    ss_err e = {0};

    if (ss_optimizer_step(o, list, 1, 1, &u, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_release(g);
    return u;
}

/* Rounded to nearest, they are PyTorch's casts to the bit; a number of the format stays itself
 * under any random bits, and another goes to one of its neighbours. */
static void test_numbers(void **state)
{
    (void)state;
    static float x[VALUES], want[VALUES];

    golden("optimizers_16", "values", x, VALUES);
    for (int f = SS_KEPT_BF16; f <= SS_KEPT_FP16; f++) {
        golden("optimizers_16", f == SS_KEPT_BF16 ? "bf16" : "fp16", want, VALUES);
        for (int i = 0; i < VALUES; i++) {
            const float y = ss_keep_value((ss_kept)f, false, 7, i, 0, x[i]);

            if (memcmp(&y, &want[i], sizeof y) != 0 && !(y == 0 && want[i] == 0))
                fail_msg("%.9g is %.9g, PyTorch has %.9g", (double)x[i], (double)y,
                         (double)want[i]);
            for (uint64_t k = 0; k < 8; k++) {
                const float z = ss_keep_value((ss_kept)f, true, k, i, 1, y),
                            s = ss_keep_value((ss_kept)f, true, k, i, 2, x[i]);

                assert_true(z == y);
                assert_true(ss_keep_value((ss_kept)f, false, 0, 0, 0, s) == s); /* of the format */
                assert_true(!isfinite(s) || !isfinite(y) ||
                            fabsf(s - x[i]) <= fmaxf(0x1p-7f * fabsf(x[i]), 0x1p-24f));
            }
        }
    }
    /* on average a number is itself, also among fp16's subnormals */
    const float odd[] = {1.0011f, -0.3337f, 3.3e-6f, 1e-8f};
    for (int k = 0; k < 4; k++)
        for (int f = SS_KEPT_BF16; f <= SS_KEPT_FP16; f++) {
            double sum = 0;

            for (int i = 0; i < 200000; i++)
                sum += ss_keep_value((ss_kept)f, true, 3, i, 0, odd[k]);
            assert_true(fabs(sum / 200000 - odd[k]) < fmax(2e-5 * fabs(odd[k]), 6e-10));
        }
}

static void test_matches_pytorch(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        ss_kept weights, states;
    } cases[] = {{"bf16-bf16", SS_KEPT_BF16, SS_KEPT_BF16},
                 {"fp16-f32", SS_KEPT_FP16, SS_KEPT_F32},
                 {"f32-bf16", SS_KEPT_F32, SS_KEPT_BF16}};
    static float grad[STEPS * N];

    golden("optimizers", "grad", grad, STEPS * N);
    for (size_t k = 0; k < N_OF(cases); k++) {
        const ss_optimizer_options opt = options(cases[k].weights, cases[k].states, false);
        float w[N], want[3 * N];

        golden("optimizers", "start", w, N);
        golden("optimizers_16", cases[k].name, want, 3 * N);
        ss_ctx *c = context(1);
        const ss_trained t = {"w", ss_param(c, SS_F32, ss_shape_of(N), w), 0};
        ss_optimizer *o = make(c, &opt, &t);
        for (int s = 0; s < STEPS; s++) {
            step(c, o, grad + s * N, N);
            const int row = s == 0 ? 0 : s == 9 ? 1 : s == 49 ? 2 : -1;
            if (row < 0)
                continue;
            assert_int_equal(ss_download(c, t.w, w, NULL), SS_OK);
            assert_close(cases[k].name, w, want + row * N, N, 1e-7, 1e-6);
        }
        ss_optimizer_free(o);
        ss_release(t.w);
        ss_ctx_free(c);
    }
}

/* A weight of 1 with updates of 1e-4 stands still in bf16, whose numbers below 1 are 0.0039 apart;
 * rounded stochastically its mean moves as it should. The bits are those of any number of threads.
 */
static void test_small_updates(void **state)
{
    (void)state;
    enum { MANY = 40000, TIMES = 50 };
    float *w = ss_alloc(3 * MANY, sizeof *w), *grad = ss_alloc(MANY, sizeof *grad);
    double sum[3] = {0};

    for (int i = 0; i < MANY; i++)
        grad[i] = 1;
    for (int k = 0; k < 3; k++) {
        ss_optimizer_options opt = options(SS_KEPT_BF16, SS_KEPT_F32, k > 0);
        float *x = w + k * MANY;

        for (int i = 0; i < MANY; i++)
            x[i] = 1;
        opt.lr = 1e-4; /* Adam's update while all gradients are alike */
        ss_ctx *c = k == 1 ? context_on("cpu", 1) : context(4);
        const ss_trained t = {"w", ss_param(c, SS_F32, ss_shape_of(MANY), x), 0};
        ss_optimizer *o = make(c, &opt, &t);
        for (int s = 0; s < TIMES; s++)
            step(c, o, grad, MANY);
        assert_int_equal(ss_download(c, t.w, x, NULL), SS_OK);
        for (int i = 0; i < MANY; i++)
            sum[k] += x[i];
        ss_optimizer_free(o);
        ss_release(t.w);
        ss_ctx_free(c);
    }
    assert_true(sum[0] == MANY);
    if (!(fabs(sum[1] / MANY - (1 - TIMES * 1e-4)) < 1e-4))
        fail_msg("the mean is %.6f, want %.6f", sum[1] / MANY, 1 - TIMES * 1e-4);
    assert_memory_equal(w + MANY, w + 2 * MANY, MANY * sizeof *w);
    ss_free(w);
    ss_free(grad);
}

/* Squares that fp16 cannot hold are counted. */
static void test_lost(void **state)
{
    (void)state;
    const float grad[4] = {1e-5f, 1, 0, -1e-5f}, w[4] = {1, 1, 1, 1};

    for (int f = SS_KEPT_F32; f <= SS_KEPT_FP16; f++) {
        const ss_optimizer_options opt = options(SS_KEPT_F32, (ss_kept)f, false);
        ss_ctx *c = context(1);
        const ss_trained t = {"w", ss_param(c, SS_F32, ss_shape_of(4), w), 0};
        ss_optimizer *o = make(c, &opt, &t);

        assert_true(step(c, o, grad, 4).lost == (f == SS_KEPT_FP16 ? 0.5 : 0));
        ss_optimizer_free(o);
        ss_release(t.w);
        ss_ctx_free(c);
    }
}

static void test_refused(void **state)
{
    (void)state;
    const ss_optimizer_options opt = options(SS_KEPT_BF16, SS_KEPT_F32, false);
    const float w[4] = {1, 1, 1, 1};
    ss_ctx *c = context(1);
    const ss_trained t = {"w", ss_param(c, SS_F32, ss_shape_of(2, 2), w), 2};
    ss_optimizer *o;
    ss_err e;

    assert_int_equal(ss_optimizer_new(c, &opt, &t, 1, &o, &e), SS_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "optimizer.weights: w is brought to unit RMS"));
    ss_release(t.w);
    ss_ctx_free(c);
}

static const char training[] =
    "{\"steps\": 6, \"batch\": 4, \"model\": {\"_class_name\": \"UNet2DModel\","
    " \"sample_size\": 8, \"in_channels\": 1, \"out_channels\": 1, \"layers_per_block\": 1,"
    " \"block_out_channels\": [8, 16], \"down_block_types\": [\"DownBlock2D\", \"DownBlock2D\"],"
    " \"up_block_types\": [\"UpBlock2D\", \"UpBlock2D\"], \"norm_num_groups\": 4},"
    " \"data\": {\"kind\": \"shapes\"}, \"checkpoints\": {\"every\": 3},"
    " \"optimizer\": {\"weights\": \"bf16\", \"states\": \"fp16\", \"stochastic\": true}}";

/* A whole training: resumed to the same bytes on other threads, its weights are bfloat16, and it
 * says what fp16 loses. */
static void test_training(void **state)
{
    (void)state;
    write_file(in_tmp("train.json"), training, sizeof training - 1);
    expect("train $D/train.json -o $D/a --threads 1 --progress never", 0,
           "optimizer.states is fp16, which cannot hold their squares");
    expect("train $D/train.json -o $D/b --threads 2 --progress never --steps 3", 0, NULL);
    expect("train $D/train.json -o $D/b --threads 1 --quiet --resume", 0, NULL);
    expect("inspect $D/a/step-000006 $D/b/step-000006", 0, "0 of");
    expect("train $D/train.json -o $D/c --quiet --set optimizer.stochastic=false", 0, NULL);
    expect("inspect $D/a/step-000006 $D/c/step-000006", 0, "tensors differ");
    expect("train $D/train.json -o $D/b --resume --set optimizer.weights=fp16", 2,
           "optimizer.weights is \"bf16\" there, \"fp16\" here");
    expect("train $D/train.json -o $D/x --set optimizer.states=fp8", 1, "\"states\" is \"fp8\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),       cmocka_unit_test(test_matches_pytorch),
        cmocka_unit_test(test_small_updates), cmocka_unit_test(test_lost),
        cmocka_unit_test(test_refused),       cmocka_unit_test(test_training),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
