/* test_video_demo.c - the bundled chain of networks that make videos, and weights in half precision
 */
#include "base/half.h"
#include "models/file/half_tensor.h"
#include "tests/ss_command.h"

#include <math.h>
#include <unistd.h>

/* Fewer steps and one class: what is tested is that the networks fit each other and that videos
 * move. */
static void test_chain(void **state)
{
    (void)state;
    char command[1024], path[512];
    double speed = 0;

    snprintf(command, sizeof command,
             "sed -e \"s#\\\"model\\\": \\\"#&$PWD/demo/video/#\" -e 's/\"steps\": "
             "[0-9]*/\"steps\": 6/' "
             "-e 's/\"classes\": .*/\"classes\": [1],/' demo/video/chain.json >%s/chain.json",
             tmp_dir);
    assert_int_equal(system(command), 0);
    expect("generate --chain $D/chain.json -o $D/out --quiet", 0, "03-upscale");
    if (strstr(output, "inf or NaN"))
        fail_msg("%s", output);
    for (const char *const *f = (const char *const[]){"player.html", "sheet.png", "generate.json",
                                                      "01-base/01-base/0000.png", NULL};
         *f && f[1]; f++) {
        snprintf(path, sizeof path, "%s/out/%s", tmp_dir, *f);
        assert_int_equal(access(path, F_OK), 0);
    }
    expect("video $D/out --json", 0, "\"motion by model\"");
    const char *at = strstr(output, "\"motion by model\"");
    assert_non_null(at = strstr(at, "\"stage\": \"01-base\""));
    assert_non_null(at = strstr(at, "\"speed\": "));
    assert_int_equal(sscanf(at, "\"speed\": %lf", &speed), 1);
    if (!(speed > 0.2))
        fail_msg("items move by %g pixels a frame", speed);
}

static void test_half_tensor(void **state)
{
    (void)state;
    static const float fine[] = {1, 1.0009765625f, 1.00048828125f, -65504, 6e-8f, INFINITY};
    static const float large[] = {1, 1e5f};
    ss_stored_tensor t = {.name = "w",
                          .file = "x.safetensors",
                          .type = "F32",
                          .usable = true,
                          .dtype = SS_F32,
                          .rank = 1,
                          .dim = {N_OF(fine)},
                          .data = fine,
                          .bytes = sizeof fine};
    uint16_t out[N_OF(fine)];
    ss_err e = {0};
    ss_stored_tensor h = ss_stored_half(&t);

    assert_string_equal(h.type, "F16");
    assert_int_equal(h.bytes, sizeof out);
    assert_int_equal(ss_stored_read(&h, out, &e), SS_OK);
    for (size_t i = 0; i < N_OF(fine); i++) {
        const float want = i == 2 ? 1 : fine[i]; /* a tie, to even */

        if (i == 4)
            assert_float_equal(ss_half_to_float(out[i]), 0x1p-24f, 0);
        else
            assert_true(ss_half_to_float(out[i]) == want);
    }
    t.data = large;
    t.dim[0] = N_OF(large);
    t.bytes = sizeof large;
    h = ss_stored_half(&t);
    assert_int_equal(ss_stored_read(&h, out, &e), SS_FORMAT);
    assert_non_null(strstr(e.msg, "w is 100000"));
    t.type = "BF16";
    t.dtype = SS_BF16;
    assert_string_equal(ss_stored_half(&t).type, "BF16");
}

/* Weights that are fp16 already keep their bytes. */
static void test_convert(void **state)
{
    (void)state;
    char command[1200];

    expect("convert demo/video/base $D/half --half", 0, NULL);
    snprintf(command, sizeof command,
             "cmp demo/video/base/diffusion_pytorch_model.safetensors "
             "%s/half/diffusion_pytorch_model.safetensors",
             tmp_dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_half_tensor),
        cmocka_unit_test(test_convert),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
