/* test_references.c - frames of a training video that the network is given */
#include "tests/ss_command.h"
#include "tests/ss_tmp.h"
#include "train/references.h"

enum { F = 4, SIDE = 4, AREA = SIDE * SIDE, N = F * AREA };

static const ss_sample_size size = {F, SIDE, SIDE, 1};

static void fill(float *x0, float *input)
{
    for (int i = 0; i < N; i++) {
        x0[i] = (float)(i % 8) / 4 - 1 + (float)(i / AREA) / 100;
        input[i] = 100 + (float)i;
    }
}

/* Bit f: frame f is given. Everything else must be as it was, or zero. */
static int given(const ss_references_options *o, uint64_t number)
{
    float x0[N], input[N], out[3 * N];
    int mask = 0;
    ss_err e = {0};

    fill(x0, input);
    assert_int_equal(
        ss_references_put(o, size, ss_rng_stream(1, "reference", number, 0), x0, input, out, &e),
        SS_OK);
    for (int i = 0; i < N; i++) {
        const bool is = out[3 * i + 2] == 1;

        assert_true(out[3 * i] == input[i]);
        assert_true(out[3 * i + 1] == (is ? x0[i] : 0));
        assert_true(is || out[3 * i + 2] == 0);
        mask |= is << i / AREA;
    }
    return mask;
}

static void test_what_is_given(void **state)
{
    (void)state;
    const ss_references_options o = {.first = 0.5, .ends = 0.25, .second = 0.125};
    int count[1 << F] = {0};

    for (uint64_t k = 0; k < 2000; k++)
        count[given(&o, k)]++;
    const int first = count[1] + count[3] + count[7];
    assert_true(count[1] > 270 && count[3] > 270 && count[7] > 270);
    assert_true(first > 900 && first < 1100);
    assert_true(count[9] > 420 && count[9] < 580);
    assert_true(count[5] > 190 && count[5] < 310); /* frames 0 and 2 */
    assert_int_equal(first + count[9] + count[5] + count[0], 2000);
}

/* A lower resolution is the mean, and a picture that is one value stays that. */
static void test_lower(void **state)
{
    (void)state;
    const ss_references_options o = {.lower = 2};
    float x0[N], input[N], out[3 * N];
    ss_err e = {0};

    fill(x0, input);
    for (int i = 0; i < AREA; i++) {
        x0[i] = 0.2f;
        x0[AREA + i] = i % SIDE < 2 ? -1 : 1;
    }
    assert_int_equal(
        ss_references_put(&o, size, ss_rng_stream(1, "reference", 0, 0), x0, input, out, &e),
        SS_OK);
    const float step[SIDE] = {-1, -0.5, 0.5, 1}; /* between the middles of two pixels */
    for (int i = 0; i < AREA; i++) {
        assert_true(fabs(out[3 * i + 1] - 0.2) < 1 / 255.0);
        assert_true(fabs(out[3 * (AREA + i) + 1] - step[i % SIDE]) < 1e-5);
    }
    for (int i = 0; i < N; i++)
        assert_true(out[3 * i] == input[i] && out[3 * i + 2] == 1);
}

static void expect_refused(ss_references_options o, ss_sample_size s, const char *text)
{
    ss_err e = {0};

    assert_int_equal(ss_references_check(&o, s, &e), SS_USAGE);
    if (!strstr(e.msg, text))
        fail_msg("\"%s\" lacks \"%s\"", e.msg, text);
}

static void test_refused(void **state)
{
    (void)state;
    ss_err e = {0};

    expect_refused((ss_references_options){.first = 0.6, .ends = 0.6}, size, "are chances");
    expect_refused((ss_references_options){.ends = 0.6, .lower = 2}, size, "gives all frames");
    expect_refused((ss_references_options){.ends = 0.6}, (ss_sample_size){2, 4, 4, 1},
                   "need 3 frames or more");
    expect_refused((ss_references_options){.lower = 3}, size, "pictures of 4 x 4");
    expect_refused((ss_references_options){.first = NAN}, size, "are chances");
    const ss_references_options good = {.first = 0.5, .ends = 0.5}, none = {0};
    assert_int_equal(ss_references_check(&good, size, &e), SS_OK);
    assert_int_equal(ss_references_check(&none, (ss_sample_size){0, 4, 4, 1}, &e), SS_OK);
}

/* A training with given frames, from pictures' weights; and a network that takes none. */
static void test_training(void **state)
{
    (void)state;
    static const char text[] =
        "{\"steps\": 2, \"batch\": 2, \"model\": {\"_class_name\": \"UNet2DModel\", "
        "\"sample_size\": 8, "
        "\"in_channels\": 1, \"out_channels\": 1, \"block_out_channels\": [4, 8], "
        "\"layers_per_block\": 1, \"down_block_types\": [\"DownBlock2D\", \"DownBlock2D\"], "
        "\"up_block_types\": [\"UpBlock2D\", \"UpBlock2D\"], \"norm_num_groups\": 2, "
        "\"attention_head_dim\": 4, \"motion\": {\"frames\": 3, \"reference\": %s}}, "
        "\"data\": {\"kind\": \"shapes\", \"stills\": true, \"given_ends\": 0.5}}";
    char config[1000];

    for (int k = 0; k < 2; k++) {
        snprintf(config, sizeof config, text, k ? "false" : "true");
        write_file(in_tmp("train.json"), config, strlen(config));
        if (k)
            expect("train $D/train.json -o $D/none", 2, "takes no reference frames");
        else
            expect("train $D/train.json -o $D/given", 0, NULL);
    }
    expect("inspect $D/given/step-000002", 0, "no norm, reference frames");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_given),
        cmocka_unit_test(test_lower),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_training),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
