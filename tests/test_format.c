/* test_format.c - number formats against tables made by PyTorch and ml_dtypes
 *
 * tests/golden/formats.safetensors, written by tests/golden/make_formats.py, lists every
 * finite value of each format in the order of its bit patterns. Rounding is right when it
 * keeps each of them, takes the nearer of two neighbours, and at the midpoint the one whose
 * pattern is even.
 */
#include "base/format.h"
#include "kernels/context.h"
#include "kernels/hooks.h"
#include "kernels/ops.h"
#include "models/file/safetensors.h"
#include "tests/ss_test.h"

#include <stdio.h>

static const char *const formats[] = {"fp16", "bf16", "fp8-e4m3", "fp8-e5m2", "e4m3-ieee", "e3m4"};

static float *load(const char *kind, const char *name, int64_t *n)
{
    char path[128];
    ss_array a;
    ss_err e = {0};

    snprintf(path, sizeof path, "tests/golden/formats.safetensors#%s:%s", kind, name);
    if (ss_safetensors_load_f32(path, &a, &e) != SS_OK)
        fail_msg("%s", e.msg);
    *n = a.dim[0];
    return a.values;
}

static bool same(float a, float b)
{
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

static void check(const ss_format *f, float x, float want)
{
    if (!same(ss_format_round(f, x), want))
        fail_msg("%s(%.9g) = %.9g, want %.9g", f->name, x, ss_format_round(f, x), want);
    if (!same(ss_format_round(f, -x), -want))
        fail_msg("%s(%.9g) = %.9g, want %.9g", f->name, -x, ss_format_round(f, -x), -want);
}

/* The golden casts overflow. */
static void parse(const char *name, ss_format *f)
{
    assert_int_equal(ss_format_parse(name, f, NULL), SS_OK);
    *f = ss_format_overflowing(f);
}

static void test_every_bit_pattern(void **state)
{
    (void)state;
    for (size_t k = 0; k < N_OF(formats); k++) {
        ss_format f;
        int64_t n;

        parse(formats[k], &f);
        float *v = load("values", formats[k], &n);
        assert_true((double)v[n - 1] == f.max);
        assert_true((double)v[1] == f.min_subnormal);
        for (int64_t i = 0; i < n; i++) {
            check(&f, v[i], v[i]);
            if (i + 1 == n)
                break;
            double mid = ((double)v[i] + v[i + 1]) / 2;
            float m = (float)mid;

            if (m != mid) /* below f32's own resolution: nothing lies between */
                continue;
            check(&f, m, i % 2 ? v[i + 1] : v[i]);
            check(&f, nextafterf(m, 0), v[i]);
            check(&f, nextafterf(m, INFINITY), v[i + 1]);
        }
        free(v);
    }
}

static void test_matches_casts(void **state)
{
    (void)state;
    for (size_t k = 0; k < N_OF(formats); k++) {
        ss_format f;
        int64_t n;

        parse(formats[k], &f);
        float *x = load("x", formats[k], &n), *y = load("y", formats[k], &n);
        for (int64_t i = 0; i < n; i++) {
            if (!same(ss_format_round(&f, x[i]), y[i]))
                fail_msg("%s(%.9g) = %.9g, want %.9g", f.name, x[i], ss_format_round(&f, x[i]),
                         y[i]);
        }
        free(x);
        free(y);
    }
}

static void test_overflow(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        float x, y;
    } cases[] = {
        {"fp16", 65519.996f, 65504}, /* just under the midpoint 65520 */
        {"fp16", 65520, INFINITY},
        {"fp16", INFINITY, INFINITY},
        {"fp16-sat", 65520, 65504},
        {"fp16-sat", INFINITY, 65504},
        {"fp8-e4m3", 464, 448}, /* a tie: 448 has the even fraction */
        {"fp8-e4m3-nan", 465, NAN},
        {"fp8-e4m3", 465, 448},
        {"fp8-e4m3", INFINITY, 448},
        {"fp8-e4m3-sat", 465, 448},
        {"e4m3-ieee", 247.9f, 240},
        {"e4m3-ieee", 248, INFINITY},
        {"e4m3-ieee-sat", 1e9f, 240},
        {"fp8-e5m2", 61440, INFINITY},
        {"bf16", 3.3961775e38f, INFINITY}, /* the midpoint above bf16's largest */
        {"bf16", 3.39617732e38f, 3.3895314e38f},
        {"e2m1", 1e9f, INFINITY},
        {"e2m1", 2.9f, 3},
        {"e8m22", 1.5f, 1.5f},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_format f;

        assert_int_equal(ss_format_parse(cases[i].name, &f, NULL), SS_OK);
        check(&f, cases[i].x, cases[i].y);
        check(&f, 0, 0);
        assert_true(isnan(ss_format_round(&f, NAN)));
    }
}

static void test_names(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",         "fp17",         "e1m3",  "e9m3",
        "e4m0",     "e4m24",        "e4m3x", "-sat",
        "fp32-sat", "e4m3-sat-sat", "fp8",   "an-endless-name-that-fits-nowhere-at-all"};
    ss_format f;
    ss_err e;

    for (size_t i = 0; i < N_OF(bad); i++) {
        assert_int_equal(ss_format_parse(bad[i], &f, &e), SS_USAGE);
        assert_non_null(strstr(e.msg, "known: fp32, bf16"));
    }
    assert_int_equal(ss_format_parse("fp32", &f, &e), SS_OK);
    assert_true(ss_format_is_f32(&f));
    assert_int_equal(ss_format_parse("tf32", &f, &e), SS_OK);
    assert_true(f.exp_bits == 8 && f.man_bits == 10 && f.max == 0x1.ffcp127);
    assert_int_equal(ss_format_parse("e8m23", &f, &e), SS_OK);
    assert_true(ss_format_is_f32(&f));
}

/* Whichever name was given, the same numbers are called the same. */
static void test_one_name(void **state)
{
    (void)state;
    static const struct {
        const char *given, *name, *overflowing;
        double max;
    } cases[] = {
        {"e4m3", "e4m3-ieee", "e4m3-ieee", 240},
        {"e4m3-ieee", "e4m3-ieee", "e4m3-ieee", 240},
        {"e4m3-sat", "e4m3-ieee-sat", "e4m3-ieee", 240},
        {"fp8-e4m3", "fp8-e4m3", "fp8-e4m3-nan", 448},
        {"fp8-e4m3-sat", "fp8-e4m3", "fp8-e4m3-nan", 448},
        {"fp8-e4m3-nan", "fp8-e4m3-nan", "fp8-e4m3-nan", 448},
        {"e5m2", "fp8-e5m2", "fp8-e5m2", 57344},
        {"e5m2-ieee-sat", "fp8-e5m2-sat", "fp8-e5m2", 57344},
        {"e5m10-sat", "fp16-sat", "fp16", 65504},
        {"e8m7", "bf16", "bf16", 0x1.fep127},
        {"e8m10", "tf32", "tf32", 0x1.ffcp127},
        {"e8m23", "fp32", "fp32", 0x1.fffffep127},
        {"e3m4", "e3m4", "e3m4", 15.5},
        {"e3m4-ieee", "e3m4", "e3m4", 15.5},
        {"e2m1", "e2m1-ieee", "e2m1-ieee", 3},
        {"e2m03", "e2m3-ieee", "e2m3-ieee", 3.75},
        {"e3m2", "e3m2-ieee", "e3m2-ieee", 14},
    };
    static const char *const none[] = {"e4m3-ieee-nan", "fp16-ieee",      "fp8-e4m3-ieee",
                                       "e4m3-sat-ieee", "e4m3-ieee-ieee", "-ieee"};
    ss_format f;

    for (size_t i = 0; i < N_OF(cases); i++) {
        assert_int_equal(ss_format_parse(cases[i].given, &f, NULL), SS_OK);
        assert_string_equal(f.name, cases[i].name);
        assert_true(f.max == cases[i].max);
        assert_true(ss_format_read(cases[i].given, &f));
        assert_string_equal(f.name, cases[i].name);
        assert_string_equal(ss_format_overflowing(&f).name, cases[i].overflowing);
        assert_int_equal(ss_format_parse(cases[i].name, &f, NULL), SS_OK); /* and is read */
        assert_string_equal(f.name, cases[i].name);
    }
    for (size_t i = 0; i < N_OF(none); i++) {
        assert_int_equal(ss_format_parse(none[i], &f, NULL), SS_USAGE);
        assert_false(ss_format_read(none[i], &f));
    }
}

/* The exponent histogram's promise, see ss_format_over_from(). */
static void test_over_from(void **state)
{
    (void)state;
    for (size_t k = 0; k < N_OF(formats); k++) {
        ss_format f;

        parse(formats[k], &f);
        int e = ss_format_over_from(&f);
        if (e < 128)
            assert_false(isfinite(ss_format_round(&f, ldexpf(1, e))));
        assert_true(isfinite(ss_format_round(&f, nextafterf(ldexpf(1, e - 1), 0))));
    }
}

/* The device's fast rounding is the definition's, over every upper half of an f32 pattern. */
static void test_device_rounds_alike(void **state)
{
    (void)state;
    enum { N = 1 << 18 };
    static const char *const more[] = {"fp16",     "bf16",      "fp8-e4m3-nan",  "fp8-e4m3-sat",
                                       "fp8-e5m2", "e4m3-ieee", "e4m3-ieee-sat", "e2m1",
                                       "e8m2",     "e5m10-sat", "e3m4",          "e8m22"};
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    ss_ctx *c;
    ss_err e = {0};

    uint32_t low = 12345;
    for (uint32_t i = 0; i < N; i++) {
        static const uint32_t tails[] = {0, 0x8000, 0x7fff};
        uint32_t bits = (i / 4) << 16;

        low = low * 1664525 + 1013904223;
        bits |= i % 4 < 3 ? tails[i % 4] : low >> 16;
        memcpy(&x[i], &bits, sizeof bits);
    }
    for (size_t k = 0; k < N_OF(more); k++) {
        static const ss_module root = {.path = "", .kind = "test", .parent = -1, .block = true};
        const ss_module *modules[] = {&root};
        ss_precision p = {.scope = SS_ROUND_BLOCKS};

        assert_int_equal(
            ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = 2}, &c, &e), SS_OK);
        assert_int_equal(ss_format_parse(more[k], &p.format, &e), SS_OK);
        ss_setup setup = {.modules = modules, .n_modules = 1, .precision = &p};
        assert_int_equal(ss_ctx_setup(c, &setup, &e), SS_OK);
        ss_tensor *t = ss_upload(c, ss_shape_of(1, N), x);
        ss_enter(c, &root, t);
        t = ss_leave(c, &root, t);
        assert_int_equal(ss_download(c, t, y, &e), SS_OK);
        ss_release(t);
        for (int i = 0; i < N; i++) {
            if (!same(y[i], ss_format_round(&p.format, x[i])))
                fail_msg("%s(%.9g) = %.9g on the device, want %.9g", more[k], x[i], y[i],
                         ss_format_round(&p.format, x[i]));
        }
        ss_ctx_free(c);
    }
    free(x);
    free(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_bit_pattern),
        cmocka_unit_test(test_matches_casts),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_one_name),
        cmocka_unit_test(test_over_from),
        cmocka_unit_test(test_device_rounds_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
