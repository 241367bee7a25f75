/* test_concat.c - channels beside the picture: asked for, not noised, behind the picture
 *
 * A network that takes two channels more than its picture has, which it multiplies by zero, answers
 * as the network without them does; one that does not multiply them by zero shows which sample got
 * which of them.
 */
#include "kernels/context.h"
#include "probe/generate.h"
#include "probe/probe.h"
#include "runfile/run_reader.h"
#include "tests/made_model.h"
#include "tests/ss_command.h"

#include <math.h>

#define CONFIG(in, out)                                                                     \
    "{\"_class_name\": \"UNet2DModel\", \"sample_size\": 8, \"in_channels\": " in           \
    ", \"out_channels\": " out ", \"layers_per_block\": 1, \"block_out_channels\": [4, 8]," \
    "\"down_block_types\": [\"DownBlock2D\", \"DownBlock2D\"], \"up_block_types\":"         \
    "[\"UpBlock2D\", \"UpBlock2D\"], \"norm_num_groups\": 2, \"attention_head_dim\": 4}"

enum { PICTURE = 3, EXTRA = 2, IN = PICTURE + EXTRA, FIRST = 4, SIDE = 8, PIXELS = SIDE * SIDE };

static float first_layer[FIRST * PICTURE * 9]; /* conv_in of the network without */

static void keep_first(const char *name, float *values, size_t n)
{
    if (strcmp(name, "conv_in.bias") == 0)
        memset(values, 0, n * sizeof *values);
    if (strcmp(name, "conv_in.weight") == 0) {
        assert_int_equal(n, FIRST * PICTURE * 9);
        memcpy(first_layer, values, sizeof first_layer);
    }
}

/* conv_in [FIRST][IN][3][3]: the kept one, and zeros behind it. */
static void use_first(const char *name, float *values, size_t n)
{
    if (strcmp(name, "conv_in.bias") == 0)
        memset(values, 0, n * sizeof *values);
    if (strcmp(name, "conv_in.weight") != 0)
        return;
    assert_int_equal(n, FIRST * IN * 9);
    memset(values, 0, n * sizeof *values);
    for (int o = 0; o < FIRST; o++)
        memcpy(values + o * IN * 9, first_layer + o * PICTURE * 9, PICTURE * 9 * sizeof *values);
}

static int make_all(void **state)
{
    float values[2 * EXTRA * PIXELS];
    ss_array a = {.rank = 4, .dim = {2, EXTRA, SIDE, SIDE}, .values = values};
    ss_err e = {0};

    if (make_tmp(state) != 0)
        return -1;
    for (int i = 0; i < 2 * EXTRA * PIXELS; i++)
        values[i] = (float)i / 64;
    assert_int_equal(ss_safetensors_write_f32(in_tmp("c.safetensors"), "two", &a, &e), SS_OK);
    a.dim[0] = 1;
    assert_int_equal(ss_safetensors_write_f32(in_tmp("one.safetensors"), "one", &a, &e), SS_OK);
    make_model(in_tmp("without"), CONFIG("3", "3"), keep_first);
    make_model(in_tmp("zero"), CONFIG("5", "3"), use_first);
    make_model(in_tmp("with"), CONFIG("5", "3"), NULL);
    make_model(in_tmp("variance"), CONFIG("3", "6"), NULL);
    make_model(in_tmp("both"), CONFIG("6", "6"), NULL);
    return 0;
}

static ss_run *probe(const char *model, const char *concat, const char *name)
{
    ss_probe_options opt = ss_probe_defaults();
    ss_probe_summary summary;
    ss_run *r = NULL;
    ss_err e = {0};
    char folder[512], from[512];

    snprintf(folder, sizeof folder, "%s", in_tmp(model));
    snprintf(from, sizeof from, "%s",
             concat && strchr(concat, '#') ? in_tmp(concat)
             : concat                      ? concat
                                           : "");
    opt.network.model = folder;
    opt.concat = concat ? from : NULL;
    opt.output = in_tmp(name);
    opt.replace = true;
    opt.sigmas = "0.1,80";
    opt.samples = 2;
    opt.batch = 1;
    opt.threads = 1;
    if (ss_probe_run(&opt, &summary, &e) != SS_OK || ss_run_open(opt.output, &r, &e) != SS_OK)
        fail_msg("%s: %s", model, e.msg);
    return r;
}

/* [H][W][C] of a run */
static void picture(ss_run *r, const char *set, int sigma, int sample, float *out)
{
    ss_err e = {0};

    if (ss_run_picture(r, set, 0, sigma, sample, out, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

static void test_probe(void **state)
{
    (void)state;
    ss_run *without = probe("without", NULL, "a.h5"),
           *zero = probe("zero", "c.safetensors#two", "b.h5");
    float seen[PIXELS * IN], alone[PIXELS * PICTURE], y[2][PIXELS * PICTURE];

    for (int sigma = 0; sigma < 2; sigma++) {
        for (int sample = 0; sample < 2; sample++) {
            picture(without, "/inputs/x", sigma, sample, alone);
            picture(zero, "/inputs/x", sigma, sample, seen);
            for (int i = 0; i < PIXELS; i++) {
                assert_memory_equal(seen + i * IN, alone + i * PICTURE, PICTURE * sizeof *seen);
                for (int j = 0; j < EXTRA; j++) /* as it is in the file, at any noise level */
                    assert_true(seen[i * IN + PICTURE + j] ==
                                (float)((sample * EXTRA + j) * PIXELS + i) / 64);
            }
            picture(without, "/outputs/denoised", sigma, sample, y[0]);
            picture(zero, "/outputs/denoised", sigma, sample, y[1]);
            assert_close("denoised", y[1], y[0], PIXELS * PICTURE, 1e-4f, 1e-5f);
        }
    }
    ss_run_close(without);
    ss_run_close(zero);
}

/* Noise that does not follow the noise level; of each sample another. */
static void test_noise(void **state)
{
    (void)state;
    ss_run *r = probe("with", "noise", "n.h5");
    float low[PIXELS * IN], high[PIXELS * IN], other[PIXELS * IN];
    double sum = 0;
    int same = 0;

    picture(r, "/inputs/x", 0, 0, low);
    picture(r, "/inputs/x", 1, 0, high);
    picture(r, "/inputs/x", 1, 1, other);
    for (int i = 0; i < PIXELS; i++) {
        for (int c = PICTURE; c < IN; c++) {
            assert_true(low[i * IN + c] == high[i * IN + c]);
            same += other[i * IN + c] == high[i * IN + c];
            sum += (double)low[i * IN + c] * low[i * IN + c];
        }
    }
    assert_int_equal(same, 0);
    assert_true(fabs(sum / (PIXELS * EXTRA) - 1) < 0.3);
    ss_run_close(r);
}

/* Samples of two pictures, [2][H][W][C]. */
static void generate(const char *model, const char *concat, double guidance, float *out)
{
    const ss_sampler_kind ddim = SS_SAMPLER_DDIM;
    ss_ctx_options device = {.device = test_device(), .threads = 1};
    ss_ctx *c;
    ss_trajectory *t;
    ss_err e = {0};
    char folder[512], from[512];
    ss_trajectory_options o = ss_generate_defaults().each;

    snprintf(folder, sizeof folder, "%s", in_tmp(model));
    snprintf(from, sizeof from, "%s", concat ? in_tmp(concat) : "");
    o.network.model = folder;
    o.concat = concat ? from : NULL;
    o.sampler = &ddim;
    o.steps = 3;
    o.samples = 2;
    o.guidance = guidance;
    if (ss_ctx_new(&device, &c, &e) != SS_OK || ss_trajectory_open(&o, &t, &e) != SS_OK ||
        ss_trajectory_run(t, c, NULL, NULL, &e) != SS_OK)
        fail_msg("%s: %s", model, e.msg);
    assert_int_equal(ss_trajectory_size(t).channels, PICTURE);
    for (int i = 0; i < 2; i++)
        memcpy(out + i * PIXELS * PICTURE, ss_trajectory_picture(t, i),
               sizeof(float) * PIXELS * PICTURE);
    ss_trajectory_close(t);
    ss_ctx_free(c);
}

static void test_generate(void **state)
{
    (void)state;
    enum { ONE = PIXELS * PICTURE };
    static float without[2 * ONE], zero[2 * ONE], two[2 * ONE], one[2 * ONE];

    generate("without", NULL, 1, without);
    generate("zero", "c.safetensors#two", 1, zero);
    assert_close("samples", zero, without, 2 * ONE, 1e-4f, 1e-5f);
    generate("with", "c.safetensors#two", 1, two);
    generate("with", "one.safetensors#one", 1, one);
    assert_close("sample 0", one, two, ONE, 1e-5f, 1e-5f); /* row 0 is the same */
    double differ = 0;
    for (int i = ONE; i < 2 * ONE; i++)
        differ = fmax(differ, fabs((double)one[i] - two[i]));
    assert_true(differ > 1e-3); /* row 1 is not */
}

static void test_asked_for(void **state)
{
    (void)state;
#define QUICK " --samples 1 --sigmas 1 --quiet "
    expect("inspect $D/with", 0, "--concat [N,2,H,W], after the picture's 3 channels");
    expect("probe $D/with -o $D/x.h5" QUICK, 2,
           "takes 5 channels, and its picture has 3: the other 2 are a condition");
    expect("bisect $D/with --fail 'absmax(*) > 1' --cache $D/kept" QUICK, 2, "--concat FILE#NAME");
    expect("generate $D/with -o $D/g --samples 1 --steps 1 --quiet", 2, "--concat FILE#NAME");
    expect("generate $D/with -o $D/g --samples 1 --steps 2 --quiet --concat noise --probe $D/g.h5",
           0, NULL);
    expect("probe $D/with -o $D/x.h5 --concat noise" QUICK, 0, NULL);
    expect("probe $D/with -o $D/zeros.h5 --concat zeros" QUICK, 0, NULL);
    expect("probe $D/with -o $D/x.h5 --resume --concat noise" QUICK, 0, NULL);
    expect("probe $D/with -o $D/x.h5 --resume --concat $D/c.safetensors#two" QUICK, 2,
           "--concat is");
    expect("analyze $D/x.h5 --keep-fp32 e4m3-ieee --check --quiet", 0, NULL); /* runs it again */
    expect("probe $D/with -o $D/y.h5 --concat $D/none" QUICK, 2, "--concat");
    expect("probe $D/without -o $D/y.h5 --concat noise" QUICK, 2,
           "no channels besides its picture");
    /* the network's input as a whole */
    expect("bisect $D/with --fail 'absmax(*) > 1e-6' --concat noise --cache $D/kept "
           "--save-bundle $D/bundle" QUICK,
           3, NULL);
    expect("probe $D/with -o $D/z.h5 --inputs raw:$D/bundle/input.safetensors#x" QUICK, 0, NULL);
    expect("probe $D/with -o $D/w.h5 --inputs noise:white --inputs "
           "raw:$D/bundle/input.safetensors#x" QUICK,
           2, "--concat FILE#NAME");
}

/* An answer that is twice as wide has a variance behind the picture: no condition. Where input and
 * answer are as wide, the scheduler decides. */
static void test_variance_is_no_condition(void **state)
{
    (void)state;
    expect("probe $D/variance -o $D/v.h5" QUICK, 0, NULL);
    expect("generate $D/variance -o $D/v --samples 1 --steps 1 --quiet", 0, NULL);
    expect("probe $D/both -o $D/v.h5 --force" QUICK, 0, NULL);
    write_file(in_tmp("both/scheduler_config.json"),
               "{\"_class_name\": \"DDPMScheduler\", \"variance_type\": \"learned_range\"}", 66);
    expect("inspect $D/both", 0, "--concat [N,3,H,W], after the picture's 3 channels");
    expect("probe $D/both -o $D/v.h5 --force" QUICK, 2, "its picture has 3: the other 3");
    expect("generate $D/both -o $D/u --samples 1 --steps 1 --quiet --concat noise", 0, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_generate),
        cmocka_unit_test(test_asked_for),
        cmocka_unit_test(test_variance_is_no_condition),
    };
    return cmocka_run_group_tests(tests, make_all, remove_tmp);
}
