/* test_guard_bundle.c - bundles of the recorder's NaN guard, as `bisect --bundle` plays them
 *
 * They are written here as python/sigmascope/bundle.py does; python/tests/test_guard.py plays what
 * a training saved.
 */
#include "base/mem.h"
#include "models/file/safetensors_write.h"
#include "tests/ss_command.h"

#include <jansson.h>
#include <math.h>
#include <sys/stat.h>

/* Writes a bundle of one module with the settings; the phase is forward unless the text of the
 * finding begins with "backward". */
static void bundle(const char *name, const char *class, const char *settings,
                   const ss_st_item *items, size_t n)
{
    char path[600];
    ss_err e = {0};

    mkdir(in_tmp(name), 0777);
    snprintf(path, sizeof path, "%s/finding.json", in_tmp(name));
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "{\"format\": \"sigmascope-finding\", \"version\": 1, \"text\": \"step 7: it fails\", "
            "\"phase\": \"forward\", \"module\": \"up\", \"class\": \"%s\", \"settings\": %s}\n",
            class, settings);
    assert_int_equal(fclose(f), 0);
    snprintf(path, sizeof path, "%s/tensors.safetensors", in_tmp(name));
    if (ss_safetensors_write(path, items, n, NULL, 0, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

static void test_format(void **state)
{
    (void)state;
    /* 2 * 300 * 200 is beyond fp16 in the second row alone. */
    static const float x[2][2] = {{1, 2}, {300, 300}}, w[3][2] = {{1, 1}, {200, 200}, {0, 1}},
                       y[2][3] = {{3, 600, 2}, {600, INFINITY, 300}};
    const ss_st_item items[] = {
        {"input.0", SS_F32, 2, {2, 2}, x[0]},
        {"weight.weight", SS_F32, 2, {3, 2}, w[0]},
        {"output.0", SS_F16, 2, {2, 3}, y[0]},
    };

    bundle("linear", "Linear", "{\"in_features\": 2, \"out_features\": 3, \"bias\": false}", items,
           3);
    expect("bisect --bundle $D/linear", 3,
           "A matter of the format: fp32 holds it, up to 1.2e+05; in fp16 1 of 6 values are not "
           "finite, the first at [1,1].");
    expect("bisect --bundle $D/linear", 3, "step 7: it fails");
    expect("bisect --bundle $D/linear --csv", 3, "computed here,fp16,6,1,600,\"[1,1]\"");
    expect("bisect --bundle $D/linear --csv", 3, "output.0,F16,6,1,600,\"[1,1]\"");
    expect("bisect --bundle $D/linear --json", 3, "\"title\": \"bundle\"");
}

static void test_weights_and_inputs(void **state)
{
    (void)state;
    static const float x[3] = {2, 2, 2}, y[3] = {NAN, NAN, NAN}, one[3] = {1, 1, 1},
                       bad[3] = {1, INFINITY, 1};
    const ss_st_item items[] = {
        {"input.0", SS_F32, 2, {1, 3}, x},
        {"weight.weight", SS_F32, 1, {3}, one},
        {"weight.bias", SS_F32, 1, {3}, one},
        {"output.0", SS_F32, 2, {1, 3}, y},
    };
    ss_st_item weights[4];

    bundle("norm", "LayerNorm", "{\"normalized_shape\": [3], \"eps\": 0.0}", items, 4);
    expect(
        "bisect --bundle $D/norm", 3,
        "A matter of weights and inputs: fp32 does not hold it either, 3 of 3 values, the first at "
        "[0,0].");
    memcpy(weights, items, sizeof items);
    weights[2].values = bad;
    bundle("weights", "LayerNorm", "{\"normalized_shape\": [3], \"eps\": 1e-5}", weights, 4);
    expect("bisect --bundle $D/weights", 3,
           "A matter of what it takes: its input or weights are not finite.");
}

/* Pictures are turned on the way in and out: the place is PyTorch's. */
static void test_pictures(void **state)
{
    (void)state;
    float x[2 * 3 * 4 * 5], w[2 * 3] = {1, 1, 1, 0, 0, 1}, y[2 * 2 * 4 * 5];

    for (int i = 0; i < 120; i++)
        x[i] = (float)i;
    x[1 * 60 + 2 * 20 + 3 * 5 + 4] = 66000; /* sample 1, channel 2, row 3, column 4 */
    for (int n = 0; n < 2; n++)
        for (int o = 0; o < 2; o++)
            for (int i = 0; i < 20; i++)
                y[n * 40 + o * 20 + i] =
                    (o ? 0 : x[n * 60 + i] + x[n * 60 + 20 + i]) + x[n * 60 + 40 + i];
    const ss_st_item items[] = {
        {"input.0", SS_F32, 4, {2, 3, 4, 5}, x},
        {"weight.weight", SS_F32, 4, {2, 3, 1, 1}, w},
        {"output.0", SS_F32, 4, {2, 2, 4, 5}, y},
    };

    bundle("conv", "Conv2d", "{\"stride\": [1, 1], \"padding\": [0, 0], \"groups\": 1}", items, 3);
    expect("bisect --bundle $D/conv", 0,
           "It is finite here, up to 6.618e+04, other than recorded.");
    expect("bisect --bundle $D/conv", 0, "are within 0.0e+00 (relative L2)");
    bundle("groups", "Conv2d", "{\"stride\": [1, 1], \"padding\": [0, 0], \"groups\": 3}", items,
           3);
    expect("bisect --bundle $D/groups", 0, "Not computed here: it has groups. python ");
    bundle("own", "Attention", "null", items, 3);
    expect("bisect --bundle $D/own", 0, "Not computed here: it is none of torch.nn. python ");
}

static void test_broken(void **state)
{
    (void)state;
    static const float x[4] = {1, 2, 3, 4};
    const ss_st_item items[] = {{"input.0", SS_F32, 2, {2, 2}, x},
                                {"weight.weight", SS_F32, 2, {1, 4}, x}};
    static char bytes[4096];

    bundle("shapes", "Linear", "{}", items, 2);
    expect("bisect --bundle $D/shapes", 1, "sigmascope bisect: ");
    bundle("strides", "Conv2d", "{\"stride\": [0, 0]}",
           (const ss_st_item[]){{"input.0", SS_F32, 4, {1, 1, 2, 2}, x},
                                {"weight.weight", SS_F32, 4, {1, 1, 2, 2}, x}},
           2);
    expect("bisect --bundle $D/strides", 1, "the settings of its convolution make no sense");
    bundle("many", "GroupNorm", "{\"num_groups\": 0}", items, 1);
    expect("bisect --bundle $D/many", 1, "its GroupNorm has 0 groups of 2 channels");
    expect("bisect --bundle $D/no", 1, "has no finding.json");
    expect("bisect --bundle $D/shapes --fail 'nonfinite()'", 2, "--bundle plays one module");
    expect("bisect $M --bundle $D/shapes", 2, "bisect");
    mkdir(in_tmp("other"), 0777);
    write_file(in_tmp("other/expected.json"), "{}", 2);
    expect("bisect --bundle $D/other", 2, "replay.sh CHECKPOINT plays it");

    /* Each file cut at each byte is an error that is said. */
    for (int k = 0; k < 2; k++) {
        const char *const name = k ? "shapes/tensors.safetensors" : "shapes/finding.json";
        FILE *f = fopen(in_tmp(name), "rb");
        assert_non_null(f);
        const size_t n = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        for (size_t cut = 0; cut + 1 < n; cut += 1 + n / 40) {
            write_file(in_tmp(name), bytes, cut);
            expect("bisect --bundle $D/shapes", 1, "sigmascope bisect: ");
        }
        write_file(in_tmp(name), bytes, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_weights_and_inputs),
        cmocka_unit_test(test_pictures),
        cmocka_unit_test(test_broken),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
