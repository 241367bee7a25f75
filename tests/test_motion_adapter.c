/* test_motion_adapter.c - MotionAdapters of AnimateDiff on a UNet2DConditionModel, and the group
 * norms of motion modules
 *
 * Golden data: tests/golden/adapters, written by make_motion_unets.py --adapters, which says what
 * is in it: `together` is what diffusers makes of a UNet and an adapter.
 */
#include "base/mem.h"
#include "kernels/context.h"
#include "models/convert.h"
#include "models/model.h"
#include "tests/ss_command.h"

#define ADAPTERS "tests/golden/adapters/"

static ss_model *open_model(const char *path, const char *adapter, const char *groupnorm)
{
    const ss_model_options opt = {.adapter = adapter, .groupnorm = groupnorm};
    ss_model *m;
    ss_err e = {0};

    if (ss_model_open(path, &opt, &m, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return m;
}

/* Opening fails with a message that has the text in it. */
static void check_refused(const char *path, const char *adapter, const char *groupnorm,
                          const char *text)
{
    const ss_model_options opt = {.adapter = adapter, .groupnorm = groupnorm};
    ss_model *m;
    ss_err e = {0};

    if (ss_model_open(path, &opt, &m, &e) == SS_OK)
        fail_msg("%s with %s opened", path, adapter ? adapter : groupnorm);
    if (!strstr(e.msg, text))
        fail_msg("%s: no '%s' in it", e.msg, text);
}

/* All weights are those of the other model, by name and byte by byte. */
static void check_same_weights(const ss_model *a, const ss_model *b)
{
    int n, n_other;
    ss_weight *const *w = ss_model_weights(a, &n), *const *v = ss_model_weights(b, &n_other);

    assert_int_equal(n, n_other);
    for (int i = 0; i < n; i++) {
        const void *x = ss_weight_data(w[i], NULL), *y = ss_weight_data(v[i], NULL);

        assert_string_equal(w[i]->name, v[i]->name);
        assert_int_equal(w[i]->dtype, v[i]->dtype);
        assert_int_equal(w[i]->bytes, v[i]->bytes);
        assert_memory_equal(x, y, w[i]->bytes);
    }
}

enum { FRAMES = 4, SIDE = 6, CHANNELS = 4, WIDTH = 12, VALUES = FRAMES * SIDE * SIDE * CHANNELS };

/* Runs a network of tests/golden/adapters/unet's width on a video, and closes it. */
static void answer(ss_model *m, int frames, float *y)
{
    float x[VALUES], text[2 * WIDTH];
    const float t = 300;
    const ss_condition cond = {.encoder_hidden_states = text, .tokens = 2, .width = WIDTH};
    ss_ctx *c;
    ss_err e = {0};

    for (int i = 0; i < VALUES; i++)
        x[i] = sinf((float)i * 1.7f);
    for (int i = 0; i < 2 * WIDTH; i++)
        text[i] = cosf((float)i);
    assert_int_equal(ss_ctx_new(&(ss_ctx_options){.threads = 1}, &c, &e), SS_OK);
    assert_int_equal(ss_model_bind(m, c, &e), SS_OK);
    ss_tensor *in = ss_upload(c, ss_shape_of(1, frames, SIDE, SIDE, CHANNELS), x);
    ss_tensor *out = ss_model_forward(c, m, in, &t, &cond);
    if (ss_ctx_finish(c, &e) != SS_OK || ss_download(c, out, y, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_release(in);
    ss_release(out);
    ss_model_close(m);
    ss_ctx_free(c);
}

static void test_as_diffusers_puts_it(void **state)
{
    static const char *const cases[][3] = {
        {ADAPTERS "unet", ADAPTERS "adapter", ADAPTERS "together"},
        {ADAPTERS "unet", ADAPTERS "adapter/diffusion_pytorch_model.safetensors",
         ADAPTERS "together"},
        {ADAPTERS "unet", ADAPTERS "mm.ckpt", ADAPTERS "together"},
        {ADAPTERS "sdxl-unet", ADAPTERS "sdxl-adapter", ADAPTERS "sdxl-together"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ss_model *a = open_model(cases[i][0], cases[i][1], NULL);
        ss_model *b = open_model(cases[i][2], NULL, NULL);

        assert_string_equal(ss_model_about(a)->family, "UNetMotionModel");
        assert_int_equal(ss_model_about(a)->net.sample_frames, 5);
        check_same_weights(a, b);
        ss_model_close(a);
        ss_model_close(b);
    }
}

static void test_answers_as_together(void **state)
{
    static const char *const adapters[] = {ADAPTERS "adapter", ADAPTERS "mm.ckpt"};
    float want[VALUES], got[VALUES];

    (void)state;
    answer(open_model(ADAPTERS "together", NULL, NULL), FRAMES, want);
    answer(open_model(ADAPTERS "unet", adapters[0], NULL), FRAMES, got);
    assert_memory_equal(got, want, sizeof got);
    /* the stored table of positions is rounded to F16, that of mm.ckpt is made */
    answer(open_model(ADAPTERS "unet", adapters[1], NULL), FRAMES, got);
    assert_true(relative_l2(got, want, VALUES) < 1e-3);
}

/* Both sources are part of the model's sum and of what is said. */
static void test_both_sources(void **state)
{
    ss_model *a = open_model(ADAPTERS "unet", NULL, NULL);
    ss_model *b = open_model(ADAPTERS "unet", ADAPTERS "adapter", NULL);
    char plain[65], both[65];

    (void)state;
    assert_int_equal(ss_model_sha256(a, plain, NULL), SS_OK);
    assert_int_equal(ss_model_sha256(b, both, NULL), SS_OK);
    assert_string_not_equal(plain, both);
    assert_non_null(strstr(ss_model_about(b)->weight_notes, ADAPTERS "adapter"));
    assert_int_equal(ss_checkpoint_n_files(ss_model_checkpoint(b)), 3); /* its config.json, too */
    ss_model_close(a);
    ss_model_close(b);
}

static void test_what_does_not_fit(void **state)
{
    (void)state;
    check_refused(ADAPTERS "unet", ADAPTERS "nowhere", NULL, "expected a folder");
    check_refused(ADAPTERS "unet", ADAPTERS "unet", NULL, "not MotionAdapter");
    check_refused(ADAPTERS "together", ADAPTERS "adapter", NULL, "UNet2DConditionModel");
    check_refused("tests/golden/unets/sdxl", ADAPTERS "adapter", NULL, "the UNet has 4, 8");
    check_refused("tests/golden/unets/layers-2-cond", ADAPTERS "adapter", NULL, "the UNet has");
    check_refused("tests/golden/unets/attn-blocks-cond", ADAPTERS "adapter", NULL,
                  "resnet_time_scale_shift");
    check_refused("tests/golden/unets/no-text-one-width", ADAPTERS "adapter", NULL,
                  "only_cross_attention");
    check_refused(ADAPTERS "unet", "tests/golden/unets/plain/diffusion_pytorch_model.safetensors",
                  NULL, "no tensor is of a motion module");
}

/* ---- group norms ---- */

static void test_groupnorm(void **state)
{
    float all[VALUES], each[VALUES];

    (void)state;
    answer(open_model(ADAPTERS "together", NULL, "all-frames"), FRAMES, all);
    answer(open_model(ADAPTERS "together", NULL, NULL), FRAMES, each);
    assert_memory_equal(all, each, sizeof each); /* the default */
    answer(open_model(ADAPTERS "together", NULL, "per-frame"), FRAMES, each);
    assert_true(relative_l2(each, all, VALUES) > 1e-3);
    answer(open_model(ADAPTERS "unet", ADAPTERS "adapter", "per-frame"), FRAMES, all);
    assert_memory_equal(all, each, sizeof each);
    /* one frame is all there are */
    answer(open_model(ADAPTERS "together", NULL, "per-frame"), 1, each);
    answer(open_model(ADAPTERS "together", NULL, NULL), 1, all);
    assert_true(relative_l2(each, all, VALUES / FRAMES) < 1e-6);
    check_refused(ADAPTERS "unet", NULL, "per-frame", "has no motion modules");
    check_refused(ADAPTERS "together", NULL, "none", "all-frames, per-frame");
}

/* ---- the commands ---- */

static void test_convert(void **state)
{
    (void)state;
    expect("convert " ADAPTERS "unet $D/converted --adapter " ADAPTERS "adapter", 0,
           "UNetMotionModel");
    ss_model *a = open_model(in_tmp("converted"), NULL, NULL);
    ss_model *b = open_model(ADAPTERS "together", NULL, NULL);
    check_same_weights(a, b);
    ss_model_close(a);
    ss_model_close(b);
}

#define PROBE                                                                      \
    "probe " ADAPTERS "unet --adapter " ADAPTERS "adapter --sigmas 1 --samples 1 " \
    "--prompt-embeds tests/golden/unets/motion/golden.safetensors#encoder_hidden_states "

static void test_probes(void **state)
{
    (void)state;
    expect(PROBE "--frames 6 -o $D/long.h5", 2, "positions of 5 frames");
    expect(PROBE "--frames 3 -o $D/all.h5", 0, NULL);
    expect(PROBE "--frames 3 --groupnorm per-frame -o $D/each.h5", 0, NULL);
    expect("compare $D/all.h5 $D/each.h5", 0, "differ in groupnorm (none, per-frame)");
    assert_non_null(strstr(output, ".moti")); /* names are cut short */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_diffusers_puts_it),
        cmocka_unit_test(test_answers_as_together),
        cmocka_unit_test(test_both_sources),
        cmocka_unit_test(test_what_does_not_fit),
        cmocka_unit_test(test_groupnorm),
        cmocka_unit_test(test_convert),
        cmocka_unit_test(test_probes),
    };

    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
