/* test_frames.c - pictures of files that sampling begins from: reading, fitting, a part of the
 * steps */
#include "base/mem.h"
#include "kernels/context.h"
#include "probe/frames.h"
#include "probe/generate.h"
#include "probe/trajectory.h"
#include "runfile/run_reader.h"
#include "tests/ss_command.h"
#include "tests/ss_tmp.h"

#include <sys/stat.h>

#define LATE "demo/fashion-mnist/step-06000"
#define PICTURES "demo/fashion-mnist/images"

enum { PIXELS = 32 * 32, SAMPLES = 2 };

/* Writes a gray picture [h][w] whose pixels are first, first + 1, ... */
static void write_gray(const char *name, int h, int w, int first)
{
    ss_image im = {.h = h, .w = w, .c = 1};
    uint8_t data[1024];

    assert_true(h * w <= 1024);
    for (int i = 0; i < h * w; i++)
        data[i] = (uint8_t)(first + i);
    im.data = data;
    assert_int_equal(ss_image_write_png(in_tmp(name), &im, NULL), SS_OK);
}

static void make_dir(const char *name)
{
    assert_int_equal(mkdir(in_tmp(name), 0777), 0);
}

static ss_frames read_frames(const char *path)
{
    ss_frames f;
    ss_err e = {0};

    if (ss_frames_read(path, &f, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return f;
}

static void expect_refused(const char *path, const char *text)
{
    ss_frames f;
    ss_err e = {0};

    assert_int_not_equal(ss_frames_read(path, &f, &e), SS_OK);
    if (!strstr(e.msg, text))
        fail_msg("\"%s\" lacks \"%s\"", e.msg, text);
}

static void assert_size(const ss_frames *f, int videos, int frames, int h, int w)
{
    assert_int_equal(f->videos, videos);
    assert_int_equal(f->frames, frames);
    assert_int_equal(f->height, h);
    assert_int_equal(f->width, w);
}

static void test_a_strip_is_cut(void **state)
{
    (void)state;
    write_gray("strip.png", 2, 6, 10);
    ss_frames f = read_frames(in_tmp("strip.png"));
    const uint8_t want[3][4] = {{10, 11, 16, 17}, {12, 13, 18, 19}, {14, 15, 20, 21}};

    assert_size(&f, 1, 3, 2, 2);
    for (int k = 0; k < 3; k++)
        assert_memory_equal(f.image[k].data, want[k], 4);
    float x[4];
    assert_int_equal(ss_frames_fit(&f, 5, 1, 2, 2, 1, x, NULL), SS_OK);
    for (int i = 0; i < 4; i++)
        assert_true(fabs(x[i] - (want[1][i] / 127.5 - 1)) < 1e-6);
    ss_frames_release(&f);

    write_gray("wide.png", 2, 5, 0);
    expect_refused(in_tmp("wide.png"), "2 x 5 pixels (height x width) are no square frames");
}

static void test_folders(void **state)
{
    (void)state;
    make_dir("one");
    make_dir("two");
    make_dir("two/a");
    make_dir("two/b");
    make_dir("empty");
    for (int k = 0; k < 3; k++) {
        char name[32];

        snprintf(name, sizeof name, "one/%d.png", k);
        write_gray(name, 2, 4, 10 * k);
        for (int v = 0; v < 2; v++) {
            snprintf(name, sizeof name, "two/%c/%d.png", 'a' + v, k);
            write_gray(name, 2, 2, 100 * v + 10 * k);
        }
    }
    ss_frames f = read_frames(in_tmp("one"));
    assert_size(&f, 1, 3, 2, 4);
    assert_int_equal(f.image[2].data[0], 20);
    ss_frames_release(&f);
    f = read_frames(in_tmp("two"));
    assert_size(&f, 2, 3, 2, 2);
    assert_int_equal(f.image[1 * 3 + 2].data[0], 120);
    ss_frames_release(&f);

    expect_refused(in_tmp("empty"), "no PNG file (NAME.png) in the folder");
    expect_refused(in_tmp("none"), "none");
    write_gray("two/b/3.png", 2, 2, 0);
    expect_refused(in_tmp("two"),
                   "video b has 4 frames of 2 x 2 pixels (height x width), the first 3 of 2 x 2");
}

static void write_json(const char *more)
{
    char text[1000];

    snprintf(text, sizeof text,
             "{\"format\": \"sigmascope-generate\", \"version\": 1, \"frames\": 3, \"samples\": 2, "
             "\"conditions\": [\"\", \"\"], \"models\": [%s%s]}",
             "{\"folder\": \"01-a\", \"pictures\": [\"01-a/0000.png\", \"01-a/0001.png\"], "
             "\"nonfinite\": [0, 0], \"absmax\": [1, 1]}",
             more);
    write_file(in_tmp("made/generate.json"), text, strlen(text));
}

/* A model's folder is known by generate.json beside it, also where its samples lie as frames, too.
 */
static void test_folders_of_generate(void **state)
{
    (void)state;
    make_dir("made");
    make_dir("made/01-a");
    make_dir("made/01-a/0000");
    make_dir("made/02-b");
    write_gray("made/01-a/0000.png", 2, 6, 0);
    write_gray("made/01-a/0001.png", 2, 6, 100);
    write_gray("made/02-b/0000.png", 2, 6, 200);
    write_gray("made/02-b/0001.png", 2, 6, 220);
    write_json("");
    ss_frames f = read_frames(in_tmp("made"));
    assert_size(&f, 2, 3, 2, 2);
    assert_int_equal(f.image[3].data[0], 100);
    ss_frames_release(&f);
    write_json(", {\"folder\": \"02-b\", \"pictures\": [\"02-b/0000.png\", \"02-b/0001.png\"], "
               "\"nonfinite\": [0, 7], \"absmax\": [1, 1]}");
    f = read_frames(in_tmp("made/01-a/"));
    assert_size(&f, 2, 3, 2, 2);
    assert_int_equal(f.image[4].data[0], 102);
    ss_frames_release(&f);
    expect_refused(in_tmp("made"), "made/02-b: give the folder of one of them");
    expect_refused(in_tmp("made/02-b"), "video 0001 has values that are inf or NaN");
}

/* ---- sampling from a part of the trajectory ---- */

static const ss_sampler_kind ddim = SS_SAMPLER_DDIM, ddpm = SS_SAMPLER_DDPM;

static ss_trajectory_options options(double strength)
{
    static const int classes[] = {1, 9};
    ss_trajectory_options o = ss_generate_defaults().each;

    o.network.model = LATE;
    o.device = test_device();
    o.threads = 1;
    o.sampler = &ddim;
    o.steps = 10;
    o.samples = SAMPLES;
    o.condition.classes = classes;
    o.condition.n_classes = SAMPLES;
    o.reel.init = PICTURES;
    o.strength = strength;
    return o;
}

static ss_ctx *ctx;

static void sample_from(ss_trajectory *t, const ss_trajectory_start *from, float *out)
{
    ss_err e = {0};

    if (ss_trajectory_run_from(t, ctx, from, NULL, NULL, &e) != SS_OK)
        fail_msg("%s", e.msg);
    for (int i = 0; i < SAMPLES; i++)
        memcpy(out + i * PIXELS, ss_trajectory_picture(t, i), PIXELS * sizeof *out);
}

static ss_trajectory *open_trajectory(const ss_trajectory_options *o)
{
    ss_trajectory *t;
    ss_err e = {0};

    if (ss_trajectory_open(o, &t, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return t;
}

static void sample(const ss_trajectory_options *o, float *out)
{
    ss_trajectory *t = open_trajectory(o);

    sample_from(t, &(ss_trajectory_start){0}, out);
    ss_trajectory_close(t);
}

/* Strength 1 is plain sampling; the less of the steps is made, the more stays of the pictures. */
static void test_strength(void **state)
{
    (void)state;
    float plain[SAMPLES * PIXELS], got[SAMPLES * PIXELS], init[SAMPLES * PIXELS];
    ss_trajectory_options o = options(1);
    ss_frames f = read_frames(PICTURES);
    double before = 0;

    assert_size(&f, 1, 10, 32, 32);
    for (int i = 0; i < SAMPLES; i++)
        ss_frames_fit(&f, 0, i, 32, 32, 1, init + i * PIXELS, NULL);
    ss_frames_release(&f);
    sample(&o, got);
    o.reel.init = NULL;
    sample(&o, plain);
    assert_memory_equal(got, plain, sizeof got);
    for (int k = 1; k < 10; k += 4) {
        o = options(k / 10.0);
        sample(&o, got);
        const double far = relative_l2(got, init, SAMPLES * PIXELS);
        print_message("strength %.1f: %.3f from the pictures\n", k / 10.0, far);
        assert_true(far > before);
        before = far;
        if (k == 1)
            assert_true(far < 0.2);
    }
}

/* A trajectory can run again, from other pictures and with other noise. */
static void test_runs_again(void **state)
{
    (void)state;
    float a[SAMPLES * PIXELS], b[SAMPLES * PIXELS], init[SAMPLES * PIXELS];
    char run[600];
    ss_trajectory_options o = options(0.5);
    ss_run *r;
    ss_err e = {0};

    snprintf(run, sizeof run, "%s", in_tmp("half.h5"));
    o.sampler = &ddpm;
    o.run = run;
    ss_trajectory *t = open_trajectory(&o);
    assert_int_equal(ss_trajectory_evaluations(t), 5);
    sample_from(t, &(ss_trajectory_start){0}, a);
    sample_from(t, &(ss_trajectory_start){0}, b);
    assert_memory_equal(a, b, sizeof a);
    sample_from(t, &(ss_trajectory_start){.draw = 1}, b);
    assert_true(relative_l2(b, a, SAMPLES * PIXELS) > 0.02);
    memset(init, 0, sizeof init);
    sample_from(t, &(ss_trajectory_start){.init = init}, b);
    assert_true(relative_l2(b, a, SAMPLES * PIXELS) > 0.1);
    ss_trajectory_close(t);
    assert_int_equal(ss_run_open(run, &r, &e), SS_OK);
    assert_int_equal(r->n_sigmas, 5);
    ss_run_close(r);

    o.run = NULL;
    o.reel.init = NULL;
    t = open_trajectory(&o);
    assert_int_equal(ss_trajectory_run(t, ctx, NULL, NULL, &e), SS_USAGE);
    assert_string_equal(e.msg, "a strength of 0.5 needs pictures to begin from");
    ss_trajectory_close(t);
}

static void test_commands(void **state)
{
    (void)state;
    expect("generate " LATE " -o $D/i --samples 2 --steps 4 --class 1 --init " PICTURES
           " --strength 0.5 --quiet",
           0, NULL);
    expect("generate " LATE " -o $D/j --samples 2 --steps 4 --strength 0.5", 2,
           "--strength needs --init FRAMES");
    expect("generate " LATE " -o $D/j --samples 2 --steps 4 --init $D/i", 2,
           "--init needs --keep, --interpolate, or a --strength below 1");
    expect("generate " LATE " -o $D/j --steps 4 --init $D/i --strength 2", 2,
           "--strength takes a number above 0, up to 1, not '2'");
    expect("generate " LATE " -o $D/j --steps 4 --init $D/i --strength 0.1 --quiet", 2,
           "--strength: strength 0.1 leaves no step of 4");
    expect("generate " LATE
           " -o $D/j --samples 2 --steps 4 --class 1 --init $D/i/01-step-06000 --strength 0.25 "
           "--quiet",
           0, NULL);
}

static int set_up(void **state)
{
    ss_ctx_options o = {.device = test_device(), .threads = 1};

    return make_tmp(state) != 0 || ss_ctx_new(&o, &ctx, NULL) != SS_OK ? -1 : 0;
}

static int tear_down(void **state)
{
    ss_ctx_free(ctx);
    return remove_tmp(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_strip_is_cut),      cmocka_unit_test(test_folders),
        cmocka_unit_test(test_folders_of_generate), cmocka_unit_test(test_strength),
        cmocka_unit_test(test_runs_again),          cmocka_unit_test(test_commands),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
