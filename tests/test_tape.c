/* test_tape.c - laws of the tape: the same bits on any number of threads and recomputed by blocks,
 * what cuts a gradient, gradients rounded to a format, parameters that change, misuse
 */
#include "base/rng.h"
#include "tests/ss_gradient.h"

#include <stdio.h>

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
        ss_tensor *z = ss_group_norm(c, h, gamma, gamma, mod, 8, 1e-5f, SS_ACT_SILU, NULL);
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
        ss_set(&z, ss_attention(c, z, z, z, NULL, &(ss_attention_opt){.heads = 3, .scale = 0.35f}));
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
    ss_enter(c, &module, x);
    ss_tensor *y = ss_leave(c, &module, ss_affine(c, x, 2, 0));
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
    for (int k = 0; k < 2; k++) {
        const ss_round_scope scope = k ? SS_ROUND_BLOCKS : SS_ROUND_HALF;
        ss_ctx *c = context(1);
        ss_err e = {0};
        const ss_precision p = {.scope = scope, .gradient = e5m2};
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
            if (scope == SS_ROUND_HALF)
                want = ss_format_round(&e5m2, (float)want);
            assert_true(fabs(dx[i] - want) <= 1e-6 * (1 + fabs(want)));
        }
        for (int i = 0; i < 35; i++) {
            double want = 0;

            for (int n = 0; n < 3; n++)
                want += (double)vr[n * 5 + i / 7] * vx[n * 7 + i % 7];
            if (scope == SS_ROUND_HALF)
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
    ss_set(&h, ss_group_norm(c, h, gamma, NULL, NULL, 1, 1e-5f, SS_ACT_SILU, NULL));
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
    assert_int_equal(ss_format_parse("e4m3-ieee", &e4m3, NULL), SS_OK);
    for (int rounded = 0; rounded < 2; rounded++) {
        ss_ctx *c = context(1);
        ss_err e = {0};
        float first[81], second[81], third[81], gamma[3] = {0.5f, 3, -1};
        float y[3][48], dx[3][48];

        ss_rng_normals(ss_rng_stream(1, "w", 0, 0), 0, first, 81);
        ss_rng_normals(ss_rng_stream(1, "w", 1, 0), 0, second, 81);
        memcpy(third, first, sizeof first);
        if (rounded)
            set_up(c, NULL, &(ss_precision){.scope = SS_ROUND_HALF, .format = e4m3});
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_and_blocks),
        cmocka_unit_test(test_zero_cuts),
        cmocka_unit_test(test_gradient_formats),
        cmocka_unit_test(test_changed_parameter),
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
