/* test_fft.c - laws of spectra, filters and coloured noise, over even, odd and tiny sizes */
#include "base/mem.h"
#include "fft/filter.h"
#include "fft/noise.h"
#include "fft/spectrum.h"
#include "tests/ss_test.h"

#include <omp.h>
#include <stdio.h>

enum { MAX = 64 * 64 * 3 };
static const double PI = 3.14159265358979323846;

static const int sizes[][3] = {
    /* h, w, c */
    {1, 1, 1},  {1, 7, 2},  {3, 1, 1},   {2, 2, 1},   {3, 3, 3},
    {7, 33, 2}, {33, 7, 3}, {32, 32, 1}, {16, 48, 3}, {64, 64, 3},
};

static void draw(float *x, int h, int w, int c, uint64_t seed)
{
    ss_rng_normals(ss_rng_stream(seed, "test", 0, 0), 0, x, (size_t)(h * w * c));
}

/* Mean over channels of the variance within each. */
static double variance(const float *x, int n, int c)
{
    double total = 0;

    for (int channel = 0; channel < c; channel++) {
        double mean = 0, square = 0;

        for (int i = 0; i < n; i++)
            mean += x[i * c + channel] / (double)n;
        for (int i = 0; i < n; i++)
            square += pow(x[i * c + channel] - mean, 2) / n;
        total += square / c;
    }
    return total;
}

static double sum(const double *p, int n)
{
    double s = 0;

    for (int i = 0; i < n; i++)
        s += p[i];
    return s;
}

static void test_parseval(void **state)
{
    (void)state;
    float x[MAX];
    double power[64 * 64];

    for (size_t k = 0; k < N_OF(sizes); k++) {
        int h = sizes[k][0], w = sizes[k][1], c = sizes[k][2];
        ss_spectrum *s;

        draw(x, h, w, c, k);
        for (int i = 0; i < h * w * c; i++)
            x[i] += 100; /* a large mean must not leak */
        assert_int_equal(ss_spectrum_new(h, w, &s, NULL), SS_OK);
        ss_spectrum_power(s, x, c, power);
        double want = variance(x, h * w, c); /* worst relative difference seen: 1e-7 */

        assert_true(fabs(sum(power, h * w) - want) <= 1e-6 * want);
        assert_true(power[0] == 0);
        ss_spectrum_free(s);
    }
}

/* The definition, written down in double precision: O(n^2). */
static void oracle(const float *x, int h, int w, int c, double *power)
{
    for (int ky = 0; ky < h; ky++) {
        for (int kx = 0; kx < w; kx++) {
            double p = 0;

            for (int channel = 0; channel < c; channel++) {
                double re = 0, im = 0;

                for (int i = 0; i < h * w; i++) {
                    double a =
                        2 * PI *
                        (fmod((double)ky * (i / w), h) / h + fmod((double)kx * (i % w), w) / w);

                    re += x[i * c + channel] * cos(a);
                    im -= x[i * c + channel] * sin(a);
                }
                p += (re * re + im * im) / c;
            }
            power[ky * w + kx] = p / ((double)(h * w) * (h * w));
        }
    }
    power[0] = 0;
}

static void test_power_is_the_definition(void **state)
{
    (void)state;
    float x[33 * 7 * 3];
    double got[33 * 7], want[33 * 7];

    for (size_t k = 0; k < 7; k++) {
        int h = sizes[k][0], w = sizes[k][1], c = sizes[k][2];
        ss_spectrum *s;

        draw(x, h, w, c, 10 + k);
        oracle(x, h, w, c, want);
        assert_int_equal(ss_spectrum_new(h, w, &s, NULL), SS_OK);
        ss_spectrum_power(s, x, c, got);
        for (int i = 0; i < h * w; i++) /* worst seen: 6e-8, of about 1 */
            assert_true(fabs(got[i] - want[i]) < 4e-7);
        ss_spectrum_free(s);
    }
}

static void test_rings_average_the_power(void **state)
{
    (void)state;
    float x[MAX];
    double power[64 * 64], got[33];

    for (size_t k = 0; k < N_OF(sizes); k++) {
        int h = sizes[k][0], w = sizes[k][1], c = sizes[k][2], m = h < w ? h : w;
        int rings = ss_spectrum_rings(h, w);
        double total[33] = {0}, count[33] = {0};
        ss_spectrum *s;

        assert_int_equal(rings, m / 2 + 1);
        draw(x, h, w, c, k);
        assert_int_equal(ss_spectrum_new(h, w, &s, NULL), SS_OK);
        ss_spectrum_power(s, x, c, power);
        ss_spectrum_radial(s, x, 1, c, got);
        for (int ky = 0; ky < h; ky++) {
            for (int kx = 0; kx < w; kx++) {
                double fy = remainder(ky, h) * m / h, fx = remainder(kx, w) * m / w;
                int ring = (int)floor(hypot(fy, fx) + 0.5);

                if (ring < rings) {
                    total[ring] += power[ky * w + kx];
                    count[ring]++;
                }
            }
        }
        for (int r = 0; r < rings; r++)
            assert_true(fabs(got[r] - (count[r] > 0 ? total[r] / count[r] : 0)) < 1e-12);
        ss_spectrum_free(s);
    }
}

/* cos(2 pi (fy y + fx x)) of fy, fx cycles per pixel. */
static void wave(float *x, int h, int w, double fy, double fx, double phase)
{
    for (int i = 0; i < h * w; i++)
        x[i] = (float)cos(2 * PI * (fy * (i / w) + fx * (i % w)) + phase);
}

static void test_a_grating_lights_one_ring(void **state)
{
    (void)state;
    /* h, w, cycles along y and x, ring. Along the long side of 32 x 64, 10 cycles of the
     * image are 5 of its shorter side. */
    static const int cases[][5] = {{32, 32, 0, 5, 5},   {32, 32, 3, 4, 5},  {32, 32, 16, 0, 16},
                                   {32, 64, 0, 10, 5},  {64, 32, 10, 0, 5}, {33, 33, 5, 12, 13},
                                   {33, 33, 0, 16, 16}, {7, 33, 2, 0, 2}};
    float x[64 * 64];
    double psd[33];

    for (size_t k = 0; k < N_OF(cases); k++) {
        int h = cases[k][0], w = cases[k][1];
        ss_spectrum *s;

        wave(x, h, w, (double)cases[k][2] / h, (double)cases[k][3] / w, 0.3);
        assert_int_equal(ss_spectrum_new(h, w, &s, NULL), SS_OK);
        ss_spectrum_radial(s, x, 1, 1, psd);
        double total = sum(psd, ss_spectrum_rings(h, w));

        assert_true(psd[cases[k][4]] > (1 - 1e-10) * total);
        ss_spectrum_free(s);
    }
}

static void test_spectrum_ignores_shift_and_mean_and_grows_with_the_square(void **state)
{
    (void)state;
    enum { H = 33, W = 20, C = 2, N = H * W * C };
    float x[N], y[N];
    double a[11], b[11];
    ss_spectrum *s;

    draw(x, H, W, C, 1);
    for (int i = 0; i < N; i++) { /* 5 down, 3 to the left, times -2, plus 7 */
        int row = i / (W * C), column = i / C % W;

        y[((row + 5) % H * W + (column + W - 3) % W) * C + i % C] = -2 * x[i] + 7;
    }
    assert_int_equal(ss_spectrum_new(H, W, &s, NULL), SS_OK);
    ss_spectrum_radial(s, x, 1, C, a);
    ss_spectrum_radial(s, y, 1, C, b);
    for (int k = 0; k < 11; k++) /* worst seen: 4e-7 */
        assert_true(fabs(b[k] - 4 * a[k]) <= 2e-6 * a[k]);
    ss_spectrum_free(s);
}

static void test_the_spectrum_of_a_video_is_the_mean_over_frames(void **state)
{
    (void)state;
    enum { H = 9, W = 12, C = 2, N = H * W * C };
    float x[2 * N];
    double a[5], b[5], both[5];
    ss_spectrum *s;

    draw(x, H, W, C, 1);
    draw(x + N, H, W, C, 2);
    for (int i = 0; i < N; i++)
        x[i] *= 5;
    assert_int_equal(ss_spectrum_new(H, W, &s, NULL), SS_OK);
    ss_spectrum_radial(s, x, 1, C, a);
    ss_spectrum_radial(s, x + N, 1, C, b);
    ss_spectrum_radial(s, x, 2, C, both);
    for (int k = 0; k < 5; k++)
        assert_true(fabs(both[k] - (a[k] + b[k]) / 2) <= 1e-12 * a[k]);
    ss_spectrum_free(s);
}

static void test_nan_is_not_hidden(void **state)
{
    (void)state;
    float x[64];
    double power[64], psd[5];
    ss_spectrum *s;

    draw(x, 8, 8, 1, 1);
    x[9] = NAN;
    assert_int_equal(ss_spectrum_new(8, 8, &s, NULL), SS_OK);
    ss_spectrum_power(s, x, 1, power);
    ss_spectrum_radial(s, x, 1, 1, psd);
    for (int i = 0; i < 64; i++)
        assert_true(isnan(power[i]));
    for (int k = 0; k < 5; k++)
        assert_true(isnan(psd[k]));
    ss_spectrum_free(s);
}

static void filter(ss_filter_kind kind, double cutoff, float *x, int h, int w, int c)
{
    assert_int_equal(ss_filter_gaussian(kind, cutoff, (ss_sample_size){0, h, w, c}, x, NULL),
                     SS_OK);
}

static void test_low_and_high_add_up(void **state)
{
    (void)state;
    static const double cutoffs[] = {1e-300, 0.3, 2, 11, 1e300};
    float x[MAX], low[MAX], high[MAX];

    for (size_t k = 0; k < N_OF(sizes); k++) {
        int h = sizes[k][0], w = sizes[k][1], c = sizes[k][2], n = h * w * c;

        draw(x, h, w, c, k);
        for (int i = 0; i < n; i++)
            x[i] += (float)(i % c);
        for (size_t j = 0; j < N_OF(cutoffs); j++) {
            memcpy(low, x, sizeof x);
            memcpy(high, x, sizeof x);
            filter(SS_LOWPASS, cutoffs[j], low, h, w, c);
            filter(SS_HIGHPASS, cutoffs[j], high, h, w, c);
            for (int channel = 0; channel < c; channel++) {
                double mean[3] = {0};

                for (int i = channel; i < n; i += c) {
                    mean[0] += x[i] / (double)(h * w);
                    mean[1] += low[i] / (double)(h * w);
                    mean[2] += high[i] / (double)(h * w);
                }
                assert_true(fabs(mean[1] - mean[0]) < 1e-6);
                assert_true(fabs(mean[2]) < 1e-6);
            }
            for (int i = 0; i < n; i++)
                low[i] += high[i];
            assert_close("low + high", low, x, n, 4e-6, 0); /* worst seen: 1e-6 */
        }
    }
}

static void test_filters_weigh_waves_as_documented(void **state)
{
    (void)state;
    enum { H = 40, W = 30 };
    float x[H * W], y[H * W];

    for (int cycles = 0; cycles <= 15; cycles++) { /* along x, 30 pixels: the shorter side */
        double low = exp(-cycles * cycles / (2 * 6.0 * 6.0));

        wave(x, H, W, 0, cycles / 30.0, 0.2);
        memcpy(y, x, sizeof x);
        filter(SS_LOWPASS, 6, y, H, W, 1);
        for (int i = 0; i < H * W; i++)
            x[i] = (float)(x[i] * low);
        assert_close("low", y, x, H * W, 1e-6, 0); /* worst seen: 2.4e-7 */
    }
    wave(x, H, W, 8 / 40.0, 0, 0); /* 8 cycles in 40 pixels are 6 in 30: the cutoff */
    memcpy(y, x, sizeof x);
    filter(SS_HIGHPASS, 6, y, H, W, 1);
    for (int i = 0; i < H * W; i++)
        x[i] *= 0.39346934f;                    /* 1 - exp(-1/2) */
    assert_close("high", y, x, H * W, 1e-6, 0); /* worst seen: 6e-8 */
}

static void test_filters_are_linear_and_follow_shifts(void **state)
{
    (void)state;
    enum { H = 21, W = 32, C = 3, N = H * W * C };
    float x[N], y[N], z[N], shifted[N], want[N];

    draw(x, H, W, C, 1);
    draw(y, H, W, C, 2);
    for (int i = 0; i < N; i++) {
        int row = i / (W * C), column = i / C % W;

        z[i] = 3 * x[i] - y[i];
        shifted[((row + 4) % H * W + (column + 9) % W) * C + i % C] = x[i];
    }
    filter(SS_HIGHPASS, 4, x, H, W, C);
    filter(SS_HIGHPASS, 4, y, H, W, C);
    filter(SS_HIGHPASS, 4, z, H, W, C);
    filter(SS_HIGHPASS, 4, shifted, H, W, C);
    for (int i = 0; i < N; i++) {
        int row = i / (W * C), column = i / C % W;

        want[((row + 4) % H * W + (column + 9) % W) * C + i % C] = x[i];
        x[i] = 3 * x[i] - y[i];
    }
    assert_close("linear", z, x, N, 1e-5, 0);           /* worst seen: 2e-6 */
    assert_close("shifted", shifted, want, N, 4e-6, 0); /* worst seen: 5e-7 */
}

static void test_white_noise_is_the_stream_itself(void **state)
{
    (void)state;
    ss_rng r = ss_rng_stream(5, "noise", 1, 2);
    float got[7 * 9 * 2], want[7 * 9 * 2];

    assert_int_equal(ss_noise_draw(SS_NOISE_WHITE, r, (ss_sample_size){0, 7, 9, 2}, got, NULL),
                     SS_OK);
    ss_rng_normals(r, 0, want, N_OF(want));
    assert_memory_equal(got, want, sizeof got);
}

/* Least-squares slope of log psd over log k, rings 2 to m/2 - 1, of `images` images. */
static double slope(ss_noise_color color, int h, int w, int images)
{
    float x[64 * 64];
    double psd[33], mean[33] = {0}, s[5] = {0};
    int rings = ss_spectrum_rings(h, w);
    ss_spectrum *spectrum;

    assert_int_equal(ss_spectrum_new(h, w, &spectrum, NULL), SS_OK);
    for (int i = 0; i < images; i++) {
        ss_rng r = ss_rng_stream(1, "slope", (uint64_t)i, 0);

        assert_int_equal(ss_noise_draw(color, r, (ss_sample_size){0, h, w, 1}, x, NULL), SS_OK);
        ss_spectrum_radial(spectrum, x, 1, 1, psd);
        for (int k = 0; k < rings; k++)
            mean[k] += psd[k] / images;
    }
    for (int k = 2; k < rings - 1; k++) {
        double a = log(k), b = log(mean[k]);

        s[0] += 1;
        s[1] += a;
        s[2] += b;
        s[3] += a * a;
        s[4] += a * b;
    }
    ss_spectrum_free(spectrum);
    return (s[0] * s[4] - s[1] * s[2]) / (s[0] * s[3] - s[1] * s[1]);
}

static void test_noise_has_its_slope(void **state)
{
    (void)state;
    static const int shapes[][2] = {{64, 64}, {33, 63}};

    for (size_t i = 0; i < N_OF(shapes); i++) {
        int h = shapes[i][0], w = shapes[i][1];

        assert_true(fabs(slope(SS_NOISE_WHITE, h, w, 64)) < 0.05);
        assert_true(fabs(slope(SS_NOISE_PINK, h, w, 64) + 2) < 0.06);
        assert_true(fabs(slope(SS_NOISE_BLUE, h, w, 64) - 2) < 0.06);
    }
}

static void test_coloured_noise_is_scaled(void **state)
{
    (void)state;
    float x[MAX], again[MAX];

    for (size_t k = 1; k < N_OF(sizes); k++) {
        int h = sizes[k][0], w = sizes[k][1], c = sizes[k][2], n = h * w * c;

        for (ss_noise_color color = SS_NOISE_PINK; color <= SS_NOISE_BLUE; color++) {
            ss_rng r = ss_rng_stream(k, "noise", 0, 0);
            double mean = 0, square = 0;

            assert_int_equal(ss_noise_draw(color, r, (ss_sample_size){0, h, w, c}, x, NULL), SS_OK);
            for (int i = 0; i < n; i++) {
                mean += x[i] / (double)n;
                square += (double)x[i] * x[i] / n;
            }
            assert_true(fabs(mean) < 1e-6);
            assert_true(fabs(square - 1) < 1e-6);
            assert_int_equal(ss_noise_draw(color, r, (ss_sample_size){0, h, w, c}, again, NULL),
                             SS_OK);
            assert_memory_equal(x, again, (size_t)n * sizeof *x);
        }
    }
}

static void test_threads_agree(void **state)
{
    (void)state;
    enum { H = 17, W = 24, N = H * W };
    float one[N], many[8][N];
    ss_rng r = ss_rng_stream(1, "threads", 0, 0);

    assert_int_equal(ss_noise_draw(SS_NOISE_PINK, r, (ss_sample_size){0, H, W, 1}, one, NULL),
                     SS_OK);
#pragma omp parallel for num_threads(4) schedule(static, 1)
    for (int i = 0; i < 8; i++)
        ss_noise_draw(SS_NOISE_PINK, r, (ss_sample_size){0, H, W, 1}, many[i], NULL);
    for (int i = 0; i < 8; i++)
        assert_memory_equal(many[i], one, sizeof one);
}

static void test_impossible_work_is_refused(void **state)
{
    (void)state;
    float x[4] = {1, 2, 3, 4};
    ss_spectrum *s = NULL;
    ss_err e = {0};

    assert_int_equal(ss_spectrum_new(0, 5, &s, &e), SS_SHAPE);
    assert_int_equal(ss_spectrum_new(5, -1, &s, &e), SS_SHAPE);
    assert_null(s);
    assert_int_equal(ss_noise_draw(SS_NOISE_PINK, (ss_rng){0}, (ss_sample_size){0, 1, 1, 4}, x, &e),
                     SS_SHAPE);
    assert_string_equal(e.msg, "pink noise of 1 x 1 pixels: no wave fits into it");
    assert_int_equal(ss_filter_gaussian(SS_LOWPASS, 0, (ss_sample_size){0, 2, 2, 1}, x, &e),
                     SS_USAGE);
    assert_int_equal(ss_filter_gaussian(SS_LOWPASS, NAN, (ss_sample_size){0, 2, 2, 1}, x, &e),
                     SS_USAGE);
    assert_int_equal(ss_filter_gaussian(SS_LOWPASS, INFINITY, (ss_sample_size){0, 2, 2, 1}, x, &e),
                     SS_USAGE);
    assert_int_equal(ss_filter_gaussian(SS_LOWPASS, 1, (ss_sample_size){0, 0, 2, 1}, x, &e),
                     SS_SHAPE);
    assert_true(x[0] == 1 && x[3] == 4);
    for (unsigned long k = 1; k <= 5; k++) {
        ss_mem_fail_at(k);
        assert_int_equal(ss_spectrum_new(4, 4, &s, &e), SS_NOMEM);
    }
    assert_null(s);
    ss_mem_fail_at(2);
    assert_int_equal(ss_filter_gaussian(SS_LOWPASS, 1, (ss_sample_size){0, 2, 2, 1}, x, &e),
                     SS_NOMEM);
    ss_mem_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parseval),
        cmocka_unit_test(test_power_is_the_definition),
        cmocka_unit_test(test_rings_average_the_power),
        cmocka_unit_test(test_a_grating_lights_one_ring),
        cmocka_unit_test(test_spectrum_ignores_shift_and_mean_and_grows_with_the_square),
        cmocka_unit_test(test_the_spectrum_of_a_video_is_the_mean_over_frames),
        cmocka_unit_test(test_nan_is_not_hidden),
        cmocka_unit_test(test_low_and_high_add_up),
        cmocka_unit_test(test_filters_weigh_waves_as_documented),
        cmocka_unit_test(test_filters_are_linear_and_follow_shifts),
        cmocka_unit_test(test_white_noise_is_the_stream_itself),
        cmocka_unit_test(test_noise_has_its_slope),
        cmocka_unit_test(test_coloured_noise_is_scaled),
        cmocka_unit_test(test_threads_agree),
        cmocka_unit_test(test_impossible_work_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
