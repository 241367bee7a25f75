/* test_reel.c - videos in windows, and frames that are given, against plain sampling
 *
 * Networks are of tests/tiny_video.h: what they answer for a frame depends on that frame and what
 * is given beside it alone. So windows, however they are joined, must not change what is made.
 */
#include "base/file.h"
#include "base/mem.h"
#include "base/png.h"
#include "kernels/context.h"
#include "probe/generate.h"
#include "probe/reel.h"
#include "runfile/run_reader.h"
#include "tests/ss_tmp.h"
#include "tests/tiny_video.h"

#include <sys/stat.h>

enum { F = 4, SIDE = 8, AREA = SIDE * SIDE, SAMPLES = 2, LONG = 10, MOST = 16 };

static ss_ctx *ctx;
static char plain_net[512], given_net[512];

/* Writes a strip of `frames` frames [SIDE][SIDE], frame k of gray 20 (k + 1) + 3 for the next ones.
 */
static void write_strip(const char *name, int frames, int first)
{
    static uint8_t data[MOST * AREA];
    ss_image im = {.h = SIDE, .w = frames * SIDE, .c = 1, .data = data};

    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < frames * SIDE; x++)
            data[y * frames * SIDE + x] = (uint8_t)(first + 20 * (x / SIDE) + y);
    assert_int_equal(ss_image_write_png(in_tmp(name), &im, NULL), SS_OK);
}

static float gray(int first, int frame, int pixel)
{
    return (float)((first + 20 * frame + pixel / SIDE) / 127.5 - 1);
}

static int set_up(void **state)
{
    ss_ctx_options o = {.device = test_device(), .threads = 1};

    if (make_tmp(state) != 0 || ss_ctx_new(&o, &ctx, NULL) != SS_OK)
        return -1;
    snprintf(plain_net, sizeof plain_net, "%s", in_tmp("plain"));
    make_tiny(plain_net, F, SIDE, 1, 1);
    snprintf(given_net, sizeof given_net, "%s", in_tmp("given"));
    make_model(given_net,
               "{\"_class_name\": \"TinyVideoModel\", \"frames\": 4, \"sample_size\": 8, "
               "\"in_channels\": 3, \"out_channels\": 1, \"reference\": true}",
               NULL);
    write_strip("six.png", 6, 10);
    return 0;
}

static int tear_down(void **state)
{
    ss_ctx_free(ctx);
    return remove_tmp(state);
}

static ss_trajectory_options options(const char *model)
{
    static const ss_sampler_kind ddim = SS_SAMPLER_DDIM;
    ss_trajectory_options o = ss_generate_defaults().each;

    o.network.model = model;
    o.device = test_device();
    o.threads = 1;
    o.sampler = &ddim;
    o.steps = 4;
    o.samples = SAMPLES;
    return o;
}

/* All videos of a run, one after another; *frames: of each. */
static void sample(const ss_trajectory_options *o, float *out, int *frames)
{
    ss_trajectory *t;
    ss_err e = {0};

    if (ss_trajectory_open(o, &t, &e) != SS_OK ||
        ss_trajectory_run(t, ctx, NULL, NULL, &e) != SS_OK)
        fail_msg("%s", e.msg);
    *frames = ss_trajectory_size(t).frames;
    assert_true(*frames <= MOST);
    for (int i = 0; i < SAMPLES; i++)
        memcpy(out + i * *frames * AREA, ss_trajectory_picture(t, i),
               (size_t)(*frames * AREA) * sizeof *out);
    ss_trajectory_close(t);
}

static void expect_refused(const ss_trajectory_options *o, const char *text)
{
    ss_trajectory *t;
    ss_err e = {0};

    assert_int_equal(ss_trajectory_open(o, &t, &e), SS_USAGE);
    if (!strstr(e.msg, text))
        fail_msg("\"%s\" lacks \"%s\"", e.msg, text);
}

static const ss_sampler_kind kinds[] = {SS_SAMPLER_DDIM, SS_SAMPLER_DDPM, SS_SAMPLER_HEUN};

/* One window that is the whole video is plain sampling, bit for bit, whatever the join; and where
 * frames do not depend on each other, so are many windows, within rounding. */
static void test_windows_change_nothing(void **state)
{
    (void)state;
    static const char *const joins[] = {"separate", "states", "flat", "pyramid"};
    static float plain[SAMPLES * MOST * AREA], got[SAMPLES * MOST * AREA];
    int frames;

    for (int s = 0; s < 3; s++) {
        for (int j = 0; j < 4; j++) {
            ss_trajectory_options o = options(plain_net);

            o.sampler = &kinds[s];
            o.network.frames = LONG;
            sample(&o, plain, &frames);
            assert_int_equal(frames, LONG);
            o.reel.join = joins[j];
            o.reel.length = LONG;
            o.batch = 1;
            sample(&o, got, &frames);
            assert_memory_equal(got, plain, SAMPLES * LONG * AREA * sizeof *got);
            o.network.frames = F;
            o.reel.overlap = 2;
            o.reel.noise = "fresh";
            sample(&o, got, &frames);
            assert_int_equal(frames, LONG);
            assert_close(joins[j], got, plain, SAMPLES * LONG * AREA, 1e-5,
                         2e-5); /* seen: 3e-6 of 61 */
        }
    }
}

/* The noise of later windows is that of the first, in another order or the same. */
static void test_noise_of_windows(void **state)
{
    (void)state;
    static float fresh[SAMPLES * MOST * AREA], got[SAMPLES * MOST * AREA];
    ss_trajectory_options o = options(plain_net);
    int frames;

    o.reel.length = 2 * F;
    o.reel.overlap = 0;
    o.reel.noise = "fresh";
    sample(&o, fresh, &frames);
    o.reel.noise = NULL; /* shuffled */
    sample(&o, got, &frames);
    assert_int_equal(frames, 2 * F);
    for (int i = 0; i < SAMPLES; i++) {
        const float *a = got + i * 2 * F * AREA;

        assert_memory_equal(a, fresh + i * 2 * F * AREA, F * AREA * sizeof *a);
        for (int k = F; k < 2 * F; k++) {
            int found = 0;

            for (int j = 0; j < F; j++)
                found += memcmp(a + k * AREA, a + j * AREA, AREA * sizeof *a) == 0;
            assert_int_equal(found, 1);
        }
    }
    o.reel.join = "separate";
    o.reel.noise = "repeated";
    sample(&o, got, &frames);
    for (int i = 0; i < SAMPLES; i++)
        assert_memory_equal(got + i * 2 * F * AREA, got + (2 * i + 1) * F * AREA,
                            F * AREA * sizeof *got);
}

/* Frames that are given come out as they were; what is made depends on them. */
static void test_extrapolation(void **state)
{
    (void)state;
    static float x[SAMPLES * MOST * AREA], y[SAMPLES * MOST * AREA];
    ss_trajectory_options o = options(given_net);
    char init[600], run[600];
    int frames;

    snprintf(init, sizeof init, "%s", in_tmp("six.png"));
    snprintf(run, sizeof run, "%s", in_tmp("more.h5"));
    o.reel.init = init;
    o.reel.keep = 2;
    o.reel.length = 11; /* 6 of init, windows of 4 that are given 2: 2, 2, and 1 of 2 */
    o.run = run;
    sample(&o, x, &frames);
    assert_int_equal(frames, 11);
    for (int i = 0; i < SAMPLES; i++)
        for (int k = 0; k < 6 * AREA; k++)
            assert_true(fabs(x[i * 11 * AREA + k] - gray(10, k / AREA, k % AREA)) < 1e-6);
    for (int k = 0; k < 3; k++) { /* a run file for each window */
        ss_run *r;
        ss_err e = {0};
        char name[32];
        static float seen[F * AREA * 3];

        snprintf(name, sizeof name, k ? "more-%02d.h5" : "more.h5", k + 1);
        assert_int_equal(ss_run_open(in_tmp(name), &r, &e), SS_OK);
        assert_int_equal(r->n_samples, SAMPLES);
        assert_int_equal(ss_run_picture(r, "/inputs/x", 0, 1, 1, seen, &e), SS_OK);
        for (int j = 0; j < F; j++) { /* the mask, and the frame that is given */
            const float *at = seen + j * AREA * 3;
            const float want = x[(11 + 4 + 2 * k + j) * AREA]; /* of sample 1 */

            assert_true(at[2] == (j < 2));
            assert_true(at[1] == (j < 2 ? want : 0));
        }
        ss_run_close(r);
    }
    assert_false(ss_file_exists(in_tmp("more-04.h5")));

    o.run = NULL;
    o.reel.length = 0; /* one window */
    sample(&o, y, &frames);
    assert_int_equal(frames, 8);
    assert_memory_equal(y, x, 8 * AREA * sizeof *x);
    o.reel.keep = 7;
    expect_refused(&o, "--keep 7: init has 6 frames, a window 4; expected at most 3");
    o.reel.keep = 2;
    o.reel.length = 6;
    expect_refused(&o, "--length 6: init alone has 6 frames");
    o.network.model = plain_net;
    expect_refused(&o, "takes no frames that are given");
}

static void test_interpolation(void **state)
{
    (void)state;
    static float x[SAMPLES * MOST * AREA];
    ss_trajectory_options o = options(given_net);
    char init[600], run[600];
    static float first[3 * AREA * 3], second[3 * AREA * 3];
    int frames;
    ss_run *r;
    ss_err e = {0};

    snprintf(init, sizeof init, "%s", in_tmp("six.png"));
    snprintf(run, sizeof run, "%s", in_tmp("between.h5"));
    o.reel.init = init;
    o.reel.interpolate = 1;
    o.run = run;
    sample(&o, x, &frames);
    assert_int_equal(frames, 11);
    for (int i = 0; i < SAMPLES; i++)
        for (int k = 0; k < 6; k++)
            for (int p = 0; p < AREA; p++)
                assert_true(fabs(x[(i * 11 + 2 * k) * AREA + p] - gray(10, k, p)) < 1e-6);
    assert_int_equal(ss_run_open(run, &r, &e), SS_OK);
    assert_int_equal(r->n_samples, SAMPLES * 5); /* every window is a sample */
    assert_int_equal(ss_run_picture(r, "/inputs/x", 0, 0, 0, first, &e), SS_OK);
    assert_int_equal(ss_run_picture(r, "/inputs/x", 0, 0, 1, second, &e), SS_OK);
    for (int i = 0; i < 3 * AREA; i++) {
        const int frame = i / AREA, given = frame != 1;

        assert_true(first[3 * i] == second[3 * i]); /* the same noise */
        assert_true(first[3 * i + 2] == given);
        assert_true(fabs(second[3 * i + 1] - (given ? gray(10, 1 + frame / 2, i % AREA) : 0)) <
                    1e-6);
    }
    ss_run_close(r);
    o.network.frames = 4;
    expect_refused(&o, "--frames 4: windows of --interpolate 1 have 3");
    o.network.frames = 0;
    o.reel.length = 9;
    expect_refused(&o, "--length: the frames of --init decide it");
    o.reel.length = 0;
    o.reel.keep = 1;
    expect_refused(&o, "exclude each other");
}

/* Larger frames: each is given, none is replaced; windows that share states agree with one window.
 */
static void test_upscaling(void **state)
{
    (void)state;
    static float x[SAMPLES * MOST * AREA], y[SAMPLES * MOST * AREA];
    ss_trajectory_options o = options(given_net);
    char from[600];
    int frames;

    snprintf(from, sizeof from, "%s", in_tmp("six.png"));
    o.reel.upscale_from = from;
    o.network.frames = 6;
    sample(&o, x, &frames);
    assert_int_equal(frames, 6);
    assert_true(fabs(x[0] - gray(10, 0, 0)) > 1e-3);
    for (int k = 0; k < 2; k++) {
        o.network.frames = F;
        o.reel.overlap = 1;
        o.reel.join = k ? "separate" : NULL;
        sample(&o, y, &frames);
        assert_int_equal(frames, 6);
        assert_close("windows", y, x, SAMPLES * 6 * AREA, 1e-5, 2e-5);
    }
    o.network.frames = 7;
    expect_refused(&o, "a video of 6 frames, and the network sees 7 at once: give --frames 6");
    o.network.model = plain_net;
    o.network.frames = F;
    expect_refused(&o, "takes no frames that are given");
}

/* Without frames a network that takes some is given zeros. */
static void test_nothing_given(void **state)
{
    (void)state;
    static float x[SAMPLES * MOST * AREA], seen[F * AREA * 3];
    ss_trajectory_options o = options(given_net);
    char run[600];
    int frames;
    ss_run *r;
    ss_err e = {0};

    snprintf(run, sizeof run, "%s", in_tmp("none.h5"));
    o.run = run;
    sample(&o, x, &frames);
    assert_int_equal(frames, F);
    assert_int_equal(ss_run_open(run, &r, &e), SS_OK);
    assert_int_equal(ss_run_picture(r, "/inputs/x", 0, 2, 1, seen, &e), SS_OK);
    for (int i = 0; i < F * AREA; i++)
        assert_true(seen[3 * i + 1] == 0 && seen[3 * i + 2] == 0);
    ss_run_close(r);
    o.reel.join = "sequence";
    expect_refused(&o, "no others a sequence");
    o.reel.join = "loose";
    expect_refused(&o, "--join: 'loose' is none of separate, states, flat, pyramid, sequence");
    o.reel.join = NULL;
    o.reel.length = 3;
    expect_refused(&o, "a video of 3 frames, and the network sees 4 at once");
}

/* A part of the steps, from a video. */
static void test_strength_of_videos(void **state)
{
    (void)state;
    static float x[SAMPLES * MOST * AREA];
    ss_trajectory_options o = options(plain_net);
    char init[600];
    int frames;

    snprintf(init, sizeof init, "%s", in_tmp("six.png"));
    o.reel.init = init;
    o.strength = 0.5;
    o.reel.length = 6;
    sample(&o, x, &frames);
    assert_int_equal(frames, 6);
    o.reel.length = 7;
    expect_refused(&o, "--init: videos of 6 frames, 7 are needed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows_change_nothing),
        cmocka_unit_test(test_noise_of_windows),
        cmocka_unit_test(test_extrapolation),
        cmocka_unit_test(test_interpolation),
        cmocka_unit_test(test_upscaling),
        cmocka_unit_test(test_nothing_given),
        cmocka_unit_test(test_strength_of_videos),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
