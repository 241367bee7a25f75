/* test_input.c - input specs, synthetic pictures, noise, filters, tensors */
#include "base/mem.h"
#include "base/str.h"
#include "fft/filter.h"
#include "fft/noise.h"
#include "fft/spectrum.h"
#include "tests/ss_input.h"

#include <math.h>

static void test_specs_are_understood(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        ss_input_kind kind;
        bool filtered;
    } cases[] = {
        {"images:a folder: with, all:", SS_INPUT_CLEAN, false},
        {"idx:t10k.gz", SS_INPUT_CLEAN, false},
        {"tensor:a#b.safetensors#x.y", SS_INPUT_CLEAN, false},
        {"raw:f#x", SS_INPUT_RAW, false},
        {"noise:white", SS_INPUT_NOISE, false},
        {"noise:pink", SS_INPUT_NOISE, false},
        {"noise:blue", SS_INPUT_NOISE, false},
        {"constant:-1e-3", SS_INPUT_CLEAN, false},
        {"grating:2.5,-45", SS_INPUT_CLEAN, false},
        {"checker:8", SS_INPUT_CLEAN, false},
        {"lowpass:8:noise:white", SS_INPUT_NOISE, true},
        {"highpass:0.5:lowpass:8:raw:f#x", SS_INPUT_RAW, true},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_input *in = parsed(cases[i].spec);

        assert_string_equal(ss_input_label(in), cases[i].spec);
        assert_int_equal(ss_input_kind_of(in), cases[i].kind);
        assert_int_equal(ss_input_is_filtered(in), cases[i].filtered);
        ss_input_free(in);
    }
    ss_input_free(NULL);
}

static void test_specs_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "'' is not a kind of input; there are images:PATH, idx:FILE[.gz], "},
        {"images", "'images' is not a kind of input"},
        {"noize:white", "highpass:CUTOFF:SPEC"},
        {"noise:red", "'red' is no white|pink|blue"},
        {"noise:", "'' is no white|pink|blue"},
        {"images:", "expected images:PATH"},
        {"idx:", "expected idx:FILE[.gz]"},
        {"tensor:f", "expected tensor:FILE#NAME"},
        {"raw:f#", "expected raw:FILE#NAME"},
        {"raw:#x", "expected raw:FILE#NAME"},
        {"constant:", "'' is no V, expected a number"},
        {"constant:1e60", "expected a number"},
        {"constant:nan", "expected a number"},
        {"grating:5", "'5' is no CYCLES,ANGLE"},
        {"grating:0,0", "a positive number of cycles"},
        {"grating:5,x", "an angle in degrees"},
        {"grating:,5", "CYCLES,ANGLE"},
        {"checker:0", "a whole number of pixels"},
        {"checker:1.5", "a whole number of pixels"},
        {"checker:99999999999", "a whole number of pixels"},
        {"lowpass:8", "'lowpass:8' should be lowpass:CUTOFF:SPEC"},
        {"highpass:-1:noise:white", "CUTOFF a positive number"},
        {"highpass:0:noise:white", "CUTOFF a positive number"},
        {"highpass:inf:noise:white", "CUTOFF a positive number"},
        {"lowpass::noise:white", "CUTOFF a positive number"},
        {"lowpass:8:highpass:x:noise:white", "'highpass:x:noise:white' should be"},
        {"lowpass:8:lowpass:2:", "'' is not a kind of input"},
        {"noise:white\x1b[2J", "'white\\x1b[2J' is no"},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_err e = {0};
        ss_input *in = NULL;

        assert_int_equal(ss_input_parse(cases[i][0], &in, &e), SS_USAGE);
        assert_null(in);
        if (strncmp(e.msg, "input '", 7) != 0 || !strstr(e.msg, cases[i][1]))
            fail_msg("'%s' should hold '%s'", e.msg, cases[i][1]);
    }
    assert_int_equal(ss_input_parse("x", &(ss_input *){NULL}, NULL), SS_USAGE);
}

static void test_long_specs_end(void **state)
{
    (void)state;
    ss_str b = {0};
    ss_err e = {0};
    ss_input *in = NULL;

    for (int i = 0; i < SS_INPUT_MAX_FILTERS; i++)
        ss_str_add(&b, "lowpass:1:");
    ss_str_add(&b, "constant:0");
    ss_input_free(parsed(b.s));
    ss_str_release(&b);

    for (int i = 0; i < 100000; i++)
        ss_str_add(&b, "lowpass:1:");
    assert_int_equal(ss_input_parse(b.s, &in, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "more than 16 filters"));
    ss_str_release(&b);

    ss_str_add(&b, "lowpass:1");
    for (int i = 0; i < 1000; i++)
        ss_str_add(&b, "0");
    ss_str_add(&b, ":constant:0");
    assert_int_equal(ss_input_parse(b.s, &in, &e), SS_USAGE);
    ss_str_release(&b);
}

static void test_constant_and_checker(void **state)
{
    (void)state;
    static const float want[] = {1, 1, -1, -1, 1, 1, 1, -1, -1, 1, -1, -1, 1, 1, -1};
    float x[2 * 3 * 2], y[15];
    ss_input *in = opened("constant:0.25", 2, 3, 2, 4);

    sample(in, 3, x);
    for (size_t i = 0; i < N_OF(x); i++)
        assert_true(x[i] == 0.25f);
    ss_input_free(in);

    in = opened("checker:2", 3, 5, 1, 1);
    sample(in, 0, y);
    assert_memory_equal(y, want, sizeof want);
    ss_input_free(in);
    assert_not_opened("checker:5", 3, 5, 1, 1, SS_USAGE, "squares of 5 pixels");
}

static void test_grating(void **state)
{
    (void)state;
    /* spec, height, width, ring that holds all its power */
    static const struct {
        const char *spec;
        int h, w, ring;
    } cases[] = {
        {"grating:5,0", 32, 32, 5},
        {"grating:5,90", 32, 64, 5},
        {"grating:16,0", 32, 32, 16},
        {"grating:10,53.13010235415598", 32, 32, 10}, /* 6 along x, 8 along y */
        {"grating:4,-90", 48, 32, 4},
    };
    float x[48 * 64];
    double psd[33];

    for (size_t i = 0; i < N_OF(cases); i++) {
        int h = cases[i].h, w = cases[i].w;
        ss_input *in = opened(cases[i].spec, h, w, 1, 1);
        double total = 0;
        ss_spectrum *s;

        sample(in, 0, x);
        assert_true(x[0] == 1);
        assert_int_equal(ss_spectrum_new(h, w, &s, NULL), SS_OK);
        ss_spectrum_radial(s, x, 1, 1, psd);
        for (int k = 0; k < ss_spectrum_rings(h, w); k++)
            total += psd[k];
        assert_true(total > 0 && psd[cases[i].ring] > 0.999999 * total);
        ss_spectrum_free(s);
        ss_input_free(in);
    }

    ss_input *in = opened("grating:8,0", 32, 32, 3, 1); /* 4 pixels a cycle along x */
    float y[32 * 32 * 3];

    sample(in, 0, y);
    for (int i = 0; i < 32 * 32 * 3; i++) {
        static const float cycle[] = {1, 0, -1, 0};

        assert_true(fabsf(y[i] - cycle[i / 3 % 4]) < 1e-6f);
    }
    ss_input_free(in);
    in = opened("grating:3,30", 32, 40, 1, 1); /* rises to the right and down the picture */
    sample(in, 0, x);
    for (int i = 0; i < 32 * 40; i++) {
        double f = 3.0 / 32, along = sqrt(0.75) * (i % 40) + 0.5 * (i / 40);

        assert_true(fabs(x[i] - cos(2 * 3.14159265358979323846 * f * along)) < 1e-6);
    }
    ss_input_free(in);
    assert_not_opened("grating:17,0", 32, 32, 1, 1, SS_USAGE, "at least 2 pixels");
    ss_input_free(opened("grating:20,45", 32, 32, 1, 1)); /* 14.1 along each side */
}

static void test_noise_is_the_streams(void **state)
{
    (void)state;
    enum { H = 16, W = 24, C = 3, N = H * W * C };
    ss_rng r = ss_rng_stream(1, "noise", 2, 3);
    float x[N], want[N];

    for (ss_noise_color color = 0; color < SS_NOISE_N_COLORS; color++) {
        char spec[32];

        snprintf(spec, sizeof spec, "noise:%s", ss_noise_name(color));
        ss_input *in = opened(spec, H, W, C, 2);

        assert_int_equal(ss_input_sample(in, 1, r, x, NULL), SS_OK);
        assert_int_equal(ss_noise_draw(color, r, (ss_sample_size){0, H, W, C}, want, NULL), SS_OK);
        assert_memory_equal(x, want, sizeof x);
        ss_input_free(in);
    }
    ss_input *in = opened("noise:pink", 1, 1, 1, 1);
    ss_err e = {0};

    assert_int_equal(ss_input_sample(in, 0, r, x, &e), SS_SHAPE);
    assert_string_equal(e.msg,
                        "input 'noise:pink': pink noise of 1 x 1 pixels: no wave fits into it");
    ss_input_free(in);
}

static void test_filters_are_applied_inside_out(void **state)
{
    (void)state;
    enum { H = 20, W = 32, C = 2, N = H * W * C };
    float x[N], want[N];
    ss_input *in = opened("highpass:2:lowpass:6:constant:0", H, W, C, 1);

    ss_rng_normals(ss_rng_stream(1, "x", 0, 0), 0, x, N);
    memcpy(want, x, sizeof x);
    assert_int_equal(ss_input_filter(in, x, NULL), SS_OK);
    ss_filter_gaussian(SS_LOWPASS, 6, (ss_sample_size){0, H, W, C}, want, NULL);
    ss_filter_gaussian(SS_HIGHPASS, 2, (ss_sample_size){0, H, W, C}, want, NULL);
    assert_memory_equal(x, want, sizeof x);
    ss_input_free(in);

    in = opened("constant:0", H, W, C, 1);
    assert_int_equal(ss_input_filter(in, x, NULL), SS_OK);
    assert_memory_equal(x, want, sizeof x);
    ss_input_free(in);
}

/* A safetensors file with one F32 tensor "x" of values 0, 1, 2, ... */
static void write_tensor(const char *name, const char *shape, size_t n)
{
    unsigned char file[8192];
    char *json = (char *)file + 8;
    int len =
        snprintf(json, 200, "{\"x\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[0,%zu]}}",
                 shape, 4 * n);

    assert_true(200 + 4 * n < sizeof file);
    while (len % 8)
        json[len++] = ' ';
    for (int i = 0; i < 8; i++)
        file[i] = (unsigned char)((uint64_t)len >> (8 * i));
    for (size_t i = 0; i < n; i++) {
        float v = (float)i;

        memcpy(json + len + 4 * i, &v, 4);
    }
    write_file(in_tmp(name), file, 8 + (size_t)len + 4 * n);
}

static void test_tensors_become_channels_last(void **state)
{
    (void)state;
    enum { N = 3, C = 4, H = 2, W = 5 };
    float x[H * W * C];

    write_tensor("t", "3,4,2,5", N * C * H * W);
    for (int raw = 0; raw < 2; raw++) {
        ss_input *in = opened(spec_of(raw ? "raw" : "tensor", "t#x"), H, W, C, 2);

        for (int n = 0; n < 2; n++) {
            sample(in, n, x);
            for (int i = 0; i < H * W * C; i++)
                assert_true(x[i] == (float)((n * C + i % C) * H * W + i / C));
        }
        ss_input_free(in);
    }

    write_tensor("one", "1,4,2,5", C * H * W);
    ss_input *in = opened(spec_of("raw", "one#x"), H, W, C, 7); /* one serves all */
    sample(in, 6, x);
    assert_true(x[1] == H * W);
    ss_input_free(in);
}

static void test_tensors_must_fit(void **state)
{
    (void)state;
    write_tensor("t", "3,4,2,5", 120);
    write_tensor("flat", "120", 120);
    assert_not_opened(spec_of("raw", "t#x"), 2, 5, 4, 4, SS_USAGE,
                      "the tensor is [3,4,2,5], 4 samples are asked for");
    assert_not_opened(spec_of("raw", "t#x"), 5, 2, 4, 3, SS_SHAPE,
                      "the tensor is [3,4,2,5], the network takes [N,4,5,2]");
    assert_not_opened(spec_of("tensor", "flat#x"), 2, 5, 4, 3, SS_SHAPE, "the tensor is [120]");
    assert_not_opened(spec_of("tensor", "t#y"), 2, 5, 4, 3, SS_USAGE, "no tensor y");
    assert_not_opened(spec_of("tensor", "none#x"), 2, 5, 4, 3, SS_IO, "No such file");
    write_file(in_tmp("junk"), "\xff\xff\xff\xff\xff\xff\xff\xffjunk", 12);
    assert_not_opened(spec_of("tensor", "junk#x"), 2, 5, 4, 3, SS_FORMAT, "junk: ");
}

/* Every frame is a picture of its own: drawn from other normals, scaled and filtered by itself. */
static void test_frames_of_noise_are_independent(void **state)
{
    (void)state;
    enum { F = 3, H = 8, W = 12, C = 2, N = H * W * C };
    const ss_sample_size video = {F, H, W, C}, picture = {0, H, W, C};
    const ss_rng r = ss_rng_stream(1, "noise", 2, 3);
    float x[F * N], normals[F * N], one[N];

    ss_input *in = opened_as("noise:white", video, 1);
    ss_rng_normals(r, 0, normals, F * N);
    assert_int_equal(ss_input_sample(in, 0, r, x, NULL), SS_OK);
    assert_memory_equal(x, normals, sizeof x);
    ss_input_free(in);

    in = opened_as("lowpass:2:noise:pink", video, 1);
    assert_int_equal(ss_input_sample(in, 0, r, x, NULL), SS_OK);
    assert_int_equal(ss_noise_draw(SS_NOISE_PINK, r, picture, one, NULL), SS_OK);
    assert_memory_equal(x, one, sizeof one); /* the first frame is the picture of the same stream */
    for (int f = 0; f < F; f++) {
        double square = 0, product = 0;

        for (int i = 0; i < N; i++) {
            square += (double)x[f * N + i] * x[f * N + i];
            product += (double)x[f * N + i] * x[(f + 1) % F * N + i];
        }
        assert_true(fabs(square / N - 1) < 1e-6);
        assert_true(fabs(product / N) < 0.5);
    }
    memcpy(normals, x, sizeof x);
    assert_int_equal(ss_input_filter(in, x, NULL), SS_OK);
    for (int f = 0; f < F; f++) {
        ss_filter_gaussian(SS_LOWPASS, 2, picture, normals + f * N, NULL);
        assert_memory_equal(x + f * N, normals + f * N, sizeof one);
    }
    ss_input_free(in);
}

static void test_formulas_stand_still(void **state)
{
    (void)state;
    enum { F = 4, H = 6, W = 5, N = H * W };
    float x[F * N], one[N];

    ss_input *still = opened("checker:2", H, W, 1, 1);
    ss_input *in = opened_as("checker:2", (ss_sample_size){F, H, W, 1}, 2);
    sample(still, 0, one);
    sample(in, 1, x);
    for (int f = 0; f < F; f++)
        assert_memory_equal(x + f * N, one, sizeof one);
    ss_input_free(still);
    ss_input_free(in);
}

static void test_tensors_of_videos(void **state)
{
    (void)state;
    enum { C = 2, F = 3, H = 2, W = 5, P = F * H * W };
    const ss_sample_size video = {F, H, W, C};
    float x[P * C];

    write_tensor("v", "2,2,3,2,5", 2 * C * P); /* [N][C][F][H][W] */
    ss_input *in = opened_as(spec_of("tensor", "v#x"), video, 2);
    for (int n = 0; n < 2; n++) {
        sample(in, n, x);
        for (int i = 0; i < P * C; i++)
            assert_true(x[i] == (float)((n * C + i % C) * P + i / C));
    }
    ss_input_free(in);

    write_tensor("s", "1,2,2,5", C * H * W); /* [N][C][H][W] stands still */
    in = opened_as(spec_of("raw", "s#x"), video, 4);
    sample(in, 3, x);
    for (int i = 0; i < P * C; i++)
        assert_true(x[i] == (float)(i % C * H * W + i / C % (H * W)));
    ss_input_free(in);

    assert_not_opened_as(spec_of("tensor", "v#x"), (ss_sample_size){4, H, W, C}, 2, SS_SHAPE,
                         "the tensor is [2,2,3,2,5], the network takes [N,2,4,2,5], or [N,2,2,5] "
                         "for the same picture in every frame");
    assert_not_opened(spec_of("tensor", "v#x"), H, W, C, 2, SS_SHAPE,
                      "the network takes [N,2,2,5]");
}

static void test_sizes_are_checked(void **state)
{
    (void)state;
    assert_not_opened("noise:white", 0, 5, 1, 1, SS_SHAPE, "0 x 5 pixels");
    assert_not_opened("constant:0", 5, 5, 1, 0, SS_SHAPE, "0 samples");
    assert_not_opened("constant:0", 1 << 20, 1 << 20, 1 << 20, 1, SS_SHAPE, "pixels");
    assert_not_opened_as("constant:0", (ss_sample_size){1 << 20, 64, 64, 1}, 1, SS_SHAPE, "pixels");
    assert_not_opened_as("constant:0", (ss_sample_size){-1, 4, 4, 1}, 1, SS_SHAPE, "pixels");
}

static void test_failing_memory(void **state)
{
    (void)state;
    for (unsigned long k = 1; k <= 2; k++) {
        ss_err e = {0};
        ss_input *in = NULL;

        ss_mem_fail_at(k);
        assert_int_equal(ss_input_parse("checker:2", &in, &e), SS_NOMEM);
        assert_null(in);
        assert_string_equal(e.msg, "input 'checker:2': a source: out of memory");
    }
    ss_input *in = parsed("checker:2");
    ss_err e = {0};

    ss_mem_fail_at(1);
    assert_int_equal(ss_input_open(in, (ss_sample_size){0, 4, 4, 1}, 1, &e), SS_NOMEM);
    assert_int_equal(ss_input_open(in, (ss_sample_size){0, 4, 4, 1}, 1, &e),
                     SS_OK); /* another try may succeed */
    assert_int_equal(ss_input_open(in, (ss_sample_size){0, 8, 4, 1}, 1, &e), SS_OK);
    ss_input_free(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_specs_are_understood),
        cmocka_unit_test(test_specs_are_refused),
        cmocka_unit_test(test_long_specs_end),
        cmocka_unit_test(test_constant_and_checker),
        cmocka_unit_test(test_grating),
        cmocka_unit_test(test_noise_is_the_streams),
        cmocka_unit_test(test_filters_are_applied_inside_out),
        cmocka_unit_test(test_tensors_become_channels_last),
        cmocka_unit_test(test_tensors_must_fit),
        cmocka_unit_test(test_frames_of_noise_are_independent),
        cmocka_unit_test(test_formulas_stand_still),
        cmocka_unit_test(test_tensors_of_videos),
        cmocka_unit_test(test_sizes_are_checked),
        cmocka_unit_test(test_failing_memory),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
