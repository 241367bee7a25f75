/* test_cuda_math.c - the functions of kernels/cuda/math.cuh and packs.h, compiled for the host
 *
 * Activations, slopes and rounding have the bits of the CPU backend with fused multiply-add;
 * exponential and logarithm are compared with double. All over every 4096th f32 and what is
 * special.
 */
#include "tests/ss_gradient.h"
#include "tests/ss_isa.h"

#include <stdio.h>

#define __device__ static
#include "kernels/cuda/math.cuh"
#include "kernels/cuda/packs.h"

enum { EVERY = 1 << 20, MOST = EVERY + 256 };
static float x[MOST], y[MOST], slope[MOST];

/* Fills x; returns how many values. */
static int64_t make_inputs(void)
{
    static const float special[] = {0,
                                    1,
                                    2,
                                    3,
                                    20,
                                    14.5f,
                                    88,
                                    90,
                                    110,
                                    87.7f,
                                    103,
                                    65504,
                                    65520,
                                    448,
                                    464,
                                    0x1p100f,
                                    69.31472f,
                                    0x1p-126f,
                                    0x1p-149f,
                                    0x1.fffffep127f,
                                    0x1p-14f,
                                    0x1p-24f,
                                    0x1.fffffcp-127f,
                                    INFINITY};
    uint32_t low = 12345;
    int64_t n = 0;

    for (uint32_t i = 0; i < EVERY; i++) {
        low = low * 1664525 + 1013904223;
        x[n++] = float_of(i << 12 | (i % 4 ? low >> 20 : 0));
    }
    for (size_t i = 0; i < N_OF(special); i++) {
        const float near[] = {special[i], nextafterf(special[i], INFINITY),
                              nextafterf(special[i], -INFINITY)};

        for (size_t k = 0; k < N_OF(near); k++) {
            x[n++] = near[k];
            x[n++] = -near[k];
        }
    }
    x[n++] = NAN;
    x[n++] = -NAN;
    assert_true(n <= MOST);
    return n;
}

static void assert_same_bits(const char *what, float from, float got, float want)
{
    if (bits_of(got) != bits_of(want) && !(isnan(got) && isnan(want)))
        fail_msg("%s(%a) = %a, on the CPU %a", what, from, got, want);
}

/* ---- activations ---- */

static const struct {
    const char *name;
    ss_act act;
    float (*value)(float), (*slope)(float);
} acts[] = {
    {"silu", SS_ACT_SILU, silu_f32, silu_slope},
    {"gelu", SS_ACT_GELU, gelu_f32, gelu_slope},
    {"mish", SS_ACT_MISH, mish_f32, mish_slope},
    {"relu", SS_ACT_RELU, relu_f32, relu_slope},
    {"quick_gelu", SS_ACT_QUICK_GELU, quick_gelu_f32, quick_gelu_slope},
    {"gelu_tanh", SS_ACT_GELU_TANH, gelu_tanh_f32, gelu_tanh_slope},
    {"gelu_new", SS_ACT_GELU_NEW, gelu_new_f32, gelu_new_slope},
    {"sigmoid", SS_ACT_SIGMOID, sigmoid_f32, sigmoid_slope},
};

/* The CPU's values of x into y, and its slopes. */
static void activate_on_cpu(ss_act act, int64_t n, float *ones)
{
    ss_ctx *c;
    ss_err e = {0};

    assert_int_equal(ss_ctx_new(&(ss_ctx_options){.device = "cpu"}, &c, &e), SS_OK);
    ss_tensor *from = ss_upload(c, ss_shape_of(n), x), *dy = ss_upload(c, ss_shape_of(n), ones);
    ss_tensor_want_gradient(from, true);
    assert_int_equal(ss_tape_begin(c, NULL, &e), SS_OK);
    ss_tensor *to = ss_activate(c, from, act);
    ss_tape_seed(c, to, dy, 1);
    assert_int_equal(ss_tape_backward(c, &e), SS_OK);
    assert_int_equal(ss_download(c, to, y, &e), SS_OK);
    assert_int_equal(ss_download(c, ss_tensor_gradient(from), slope, &e), SS_OK);
    ss_release(to);
    ss_release(dy);
    ss_release(from);
    ss_ctx_free(c);
}

static void test_activations(void **state)
{
    use_isa(*state);
    const int64_t n = make_inputs();
    float *ones = malloc((size_t)n * sizeof *ones);

    for (int64_t i = 0; i < n; i++)
        ones[i] = 1;
    for (size_t k = 0; k < N_OF(acts); k++) {
        activate_on_cpu(acts[k].act, n, ones);
        for (int64_t i = 0; i < n; i++) {
            assert_same_bits(acts[k].name, x[i], acts[k].value(x[i]), y[i]);
            assert_same_bits("slope", x[i], acts[k].slope(x[i]), slope[i]);
        }
    }
    assert_true(identity_f32(3) == 3 && identity_slope(3) == 1);
    free(ones);
}

/* ---- rounding ---- */

static void test_rounding(void **state)
{
    (void)state;
    static const char *const names[] = {"fp16",     "bf16",         "fp8-e4m3",  "fp8-e4m3-nan",
                                        "fp8-e5m2", "fp8-e5m2-sat", "e4m3-ieee", "e4m3-ieee-sat",
                                        "e2m1",     "e8m2",         "e8m2-sat",  "e5m10-sat",
                                        "e3m4",     "e8m22",        "e5m23",     "fp32"};
    const int64_t n = make_inputs();
    ss_format f;
    char what[64];

    for (size_t k = 0; k < N_OF(names); k++) {
        assert_int_equal(ss_format_parse(names[k], &f, NULL), SS_OK);
        const ss_cuda_rounding r = ss_cuda_rounding_of(&f);

        snprintf(what, sizeof what, "rounding to %s", names[k]);
        for (int64_t i = 0; i < n; i++)
            assert_same_bits(what, x[i], round_f32(r, x[i]), ss_format_round(&f, x[i]));
    }
    for (int64_t i = 0; i < n; i++)
        assert_same_bits("no rounding", x[i], round_f32(ss_cuda_rounding_of(NULL), x[i]), x[i]);
}

static void test_narrow_types(void **state)
{
    (void)state;
    for (uint32_t u = 0; u < 1 << 16; u++) {
        const uint16_t h = (uint16_t)u;
        float want;

        ss_values_to_f32(SS_F16, &h, 1, &want);
        assert_same_bits("fp16", (float)u, f32_of_f16(h), want);
        ss_values_to_f32(SS_BF16, &h, 1, &want);
        assert_same_bits("bf16", (float)u, f32_of_bf16(h), want);
    }
}

/* ---- exponential and logarithm ---- */

/* |got - want| in units of got's last place. */
static double places(double got, long double want, int digits)
{
    int e;

    if (want == 0 || !isfinite((double)want))
        return got == (double)want ? 0 : INFINITY;
    frexpl(want, &e);
    return (double)(fabsl(got - want) / ldexpl(1, e - digits));
}

static void assert_places(const char *what, double from, double got, long double want, int digits,
                          double most)
{
    if (isnan(want) ? !isnan(got) : !(places(got, want, digits) <= most))
        fail_msg("%s(%a) = %a, want %La", what, from, got, want);
}

static void test_exponential(void **state)
{
    (void)state;
    const int64_t n = make_inputs();

    for (int64_t i = 0; i < n; i++) {
        const double want = exp((double)x[i]);

        if (want >= 0x1p-126 && want < 0x1p128)
            assert_places("exp", x[i], exp_f32(x[i]), want, 24, 1.01);
        if (x[i] <= 0 && want >= 0x1p-126)
            assert_places("exp of x <= 0", x[i], exp_nonpositive(x[i]), want, 24, 1.01);
        if (x[i] < -87.7f)
            assert_true(exp_nonpositive(x[i]) == 0);
    }
    assert_true(exp_f32(INFINITY) == INFINITY && exp_f32(89) == INFINITY);
    assert_true(exp_f32(-INFINITY) == 0 && exp_f32(-104) == 0 && exp_f32(-103) > 0);
    assert_true(exp_f32(0) == 1 && exp_nonpositive(0) == 1 && exp_nonpositive(-0.0f) == 1);
    assert_true(isnan(exp_f32(NAN)) && isnan(exp_nonpositive(NAN)));
}

static void test_logarithm(void **state)
{
    (void)state;
    const int64_t n = make_inputs();

    for (int64_t i = 0; i < n; i++) {
        assert_places("log", x[i], log_f32(x[i]), log((double)x[i]), 24, 0.9);
        assert_places("log of double", x[i], log_f64(x[i]), logl((long double)x[i]), 53, 0.9);
    }
    uint64_t u = 12345; /* doubles of all sizes, and near 1 */
    for (int i = 0; i < 1 << 20; i++) {
        u = u * 6364136223846793005u + 1442695040888963407u;
        const double d =
            i % 2 ? double_of(u % 0x7ff0000000000000) : 0.5 + (double)(u >> 11) * 0x1p-53;

        assert_places("log of double", d, log_f64(d), logl((long double)d), 53, 0.9);
    }
}

/* ---- division by multiplication (packs.h) ---- */

static void assert_divides(int64_t d)
{
    const ss_cuda_divisor r = ss_cuda_divisor_of(d);
    const int64_t multiples = INT32_MAX / d;

    assert_true(r.by == d && r.multiplier && r.shift < 64);
    for (int64_t k = 0; k <= multiples; k += multiples / 100 + 1) {
        for (int64_t i = k * d - 1; i <= k * d + 1; i++)
            if (i >= 0 && i <= INT32_MAX)
                assert_true((int64_t)((uint64_t)i * r.multiplier >> r.shift) == i / d);
    }
    assert_true((int64_t)((uint64_t)INT32_MAX * r.multiplier >> r.shift) == INT32_MAX / d);
}

static void test_divisors(void **state)
{
    (void)state;
    for (int64_t d = 1; d < 5000; d++)
        assert_divides(d);
    for (int k = 12; k < 31; k++)
        for (int64_t d = (1LL << k) - 3; d <= (1LL << k) + 3; d++)
            assert_divides(d);
    for (int64_t d = INT32_MAX - 3LL; d <= INT32_MAX; d++)
        assert_divides(d);
    assert_int_equal(ss_cuda_divisor_of(INT32_MAX + 1LL).multiplier,
                     0); /* then the device divides */
    assert_int_equal(ss_cuda_divisor_of(0).multiplier, 0);
}

int main(void)
{
    /* clang-format off: with fused multiply-add alone, so not the base set */
    const struct CMUnitTest tests[] = {
        ISA_TEST(test_activations, "v3"),   ISA_TEST(test_activations, "v4"),
        cmocka_unit_test(test_rounding),    cmocka_unit_test(test_narrow_types),
        cmocka_unit_test(test_exponential), cmocka_unit_test(test_logarithm),
        cmocka_unit_test(test_divisors),
    };
    /* clang-format on */
    unsetenv("SIGMASCOPE_DEVICE"); /* the CPU is the reference, whichever device is tested */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
