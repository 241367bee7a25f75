/* test_adam_state.c - Adam's state of a real training: whose it is, and what it says
 *
 * Golden files: tests/golden/adam.json, by make_adam_state.py, for the state in
 * tests/golden/trainings, saved by accelerate; and tests/golden/trainings/dcp/adam.json, by
 * make_adam_dcp.py, for the folders of torch.distributed.checkpoint beside it.
 */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/file/adam_state.h"
#include "models/optimizer_table.h"
#include "models/torch_order.h"
#include "tests/ss_command.h"

#include <jansson.h>

#define STEP4 "tests/golden/trainings/diffusers/checkpoint-4"
#define STATE STEP4 "/optimizer.bin"
#define DCP "tests/golden/trainings/dcp"

static json_t *golden(const char *path)
{
    json_t *j = json_load_file(path, 0, NULL);

    assert_non_null(j);
    return j;
}

static ss_model *open_model(const char *path, const char *config)
{
    const ss_model_options opt = {.places = {.config = config}};
    ss_model *m = NULL;
    ss_err e = {0};

    if (ss_model_open(path, &opt, &m, &e) != SS_OK)
        fail_msg("%s: %s", path, e.msg);
    return m;
}

/* The order of parameters is PyTorch's, for every UNet of the goldens. */
static void test_order(void **state)
{
    (void)state;
    json_t *j = golden("tests/golden/adam.json"), *want;
    const char *name;
    int compared = 0;

    json_object_foreach(json_object_get(j, "orders"), name, want)
    {
        char path[256], hex[65];
        ss_str text = {0};
        ss_err e = {0};
        int n;

        snprintf(path, sizeof path, "tests/golden/unets/%s", name);
        ss_model *m = open_model(path, NULL);
        ss_weight *const *w = ss_model_weights(m, &n);
        ss_weight **order = ss_calloc((size_t)n, sizeof *order);
        memcpy(order, w, (size_t)n * sizeof *order);
        if (ss_torch_order(order, (size_t)n, &e) != SS_OK)
            fail_msg("%s: %s", name, e.msg);
        for (int i = 0; i < n; i++)
            ss_str_addf(&text, "%s%s", i ? "\n" : "", order[i]->name);
        assert_int_equal(ss_sha256_bytes(text.s, text.len, hex, &e), SS_OK);
        if (strcmp(hex, json_string_value(want)) != 0)
            fail_msg("%s: another order than PyTorch's", name);
        compared++;
        ss_str_release(&text);
        ss_free(order);
        ss_model_close(m);
    }
    assert_true(compared > 40);
    json_decref(j);
}

/* The table of the state beside a model has PyTorch's numbers, and none for parameters that were
 * not trained. */
static void compare(const ss_model *m, const json_t *rows, size_t n_rows)
{
    ss_table t;
    ss_err e = {0};
    char *path = NULL;
    size_t i, compared = 0;
    json_t *row;

    assert_int_equal(ss_optimizer_find(m, &path, &e), SS_OK);
    assert_non_null(path);
    if (ss_optimizer_table(m, path, 0, &t, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(json_array_size(t.rows), n_rows);
    json_array_foreach(t.rows, i, row)
    {
        const char *name = json_string_value(json_array_get(row, 0));
        const json_t *want = json_object_get(rows, name);

        for (size_t k = 0; k < 2 && want; k++) {
            const double a = json_number_value(json_array_get(row, k + 1));
            const double b = json_number_value(json_array_get(want, k));

            if (!(fabs(a - b) <= 1e-6 * fabs(b)))
                fail_msg("%s: %.9g, PyTorch has %.9g", name, a, b);
        }
        compared += want != NULL;
        assert_true(want || !json_is_real(json_array_get(row, 1)));
    }
    assert_int_equal(compared, json_object_size(rows));
    ss_free(path);
    ss_table_release(&t);
}

static void test_numbers(void **state)
{
    (void)state;
    json_t *j = golden("tests/golden/adam.json"), *rows = json_object_get(j, "rows"), *limit;
    ss_model *m = open_model(STEP4, NULL);
    size_t i;

    compare(m, rows, json_object_size(rows));
    json_array_foreach(json_object_get(j, "limits"), i, limit)
    {
        double x[4];

        for (size_t k = 0; k < 4; k++)
            x[k] = json_number_value(json_array_get(limit, k));
        assert_true(fabs(ss_adam_limit(x[0], x[1], x[2]) - x[3]) <= 1e-9 * x[3]);
    }
    ss_model_close(m);
    json_decref(j);
}

/* Folders of torch.distributed.checkpoint: by names, by names with options of each, by numbers. */
static void test_folders(void **state)
{
    (void)state;
    json_t *j = golden(DCP "/adam.json"), *rows;
    const char *name;

    assert_int_equal(json_object_size(j), 3);
    json_object_foreach(j, name, rows)
    {
        char path[256];

        snprintf(path, sizeof path, DCP "/%s", name);
        ss_model *m = open_model(path, DCP "/unet");
        compare(m, rows, 44);
        ss_model_close(m);
    }
    json_decref(j);
}

static void test_inspect_folders(void **state)
{
    (void)state;
    char line[512];

    expect("inspect " DCP "/flat --config " DCP "/unet", 0, "The last step changed ");
    /* the weights of one, the state of another */
    expect("inspect " DCP "/flat --config " DCP "/unet --optimizer " DCP "/numbers", 0,
           "The last step changed ");
    expect("inspect tests/golden/unets/attn --optimizer " DCP "/numbers", 1,
           "it has 44 parameters and the network");
    expect("inspect tests/golden/unets/attn --optimizer " DCP "/nested/.metadata", 1,
           "the state of time_embedding.linear_1.weight has another shape than the network's");
    expect("inspect " STEP4 " --optimizer tests/golden/formats/dcp/one", 1,
           "none of its parameters is the network's, the first is scale");
    expect("inspect " STEP4 " --optimizer tests/golden/formats/dcp/unet", 1,
           "no tensor is called KEYS.state.PARAMETER.exp_avg");
    /* FSDP as accelerate saves it: the state in a folder beside that of the weights */
    snprintf(line, sizeof line,
             "mkdir %s/s && cp -r tests/golden/formats/dcp/unet %s/s/pytorch_model_fsdp_0 && "
             "cp -r tests/golden/formats/dcp/one %s/s/optimizer_0",
             tmp_dir, tmp_dir, tmp_dir);
    assert_int_equal(system(line), 0);
    expect("inspect $D/s/pytorch_model_fsdp_0 --config tests/golden/unets/plain", 0,
           "optimizer_0/.metadata: none of its parameters");
}

static void test_inspect(void **state)
{
    (void)state;
    char line[512];

    expect("inspect " STEP4, 0, "No second moment is certain to be stale");
    assert_non_null(strstr(output, "The last step changed "));
    expect("inspect " STEP4 " --json", 0, "\"optimizer\": {");
    expect("inspect tests/golden/unets/attn --optimizer " STATE, 1,
           "--optimizer: " STATE ": it has 104 parameters and the network");
    expect("inspect tests/golden/unets/attn --optimizer tests/golden/unets/attn/config.json", 1,
           "--optimizer: ");
    /* a moment that did not follow: m^ is 0.1, v^ is 0.001 / (1 - 0.999^1000) */
    expect("inspect " STEP4 "/unet --optimizer tests/golden/stale.pt --top 2", 0,
           "Adam's second moment was stale in 1 of 104 parameters (above 2.3), most in "
           "mid_block.resnets.0.conv1.weight");
    assert_non_null(strstr(output, "2.51"));
    /* what lies beside the weights may be of another kind: a note, and no table */
    snprintf(line, sizeof line,
             "mkdir -p %s/c && cp -r " STEP4 "/unet %s/c/ && echo no > "
             "%s/c/optimizer.bin",
             tmp_dir, tmp_dir, tmp_dir);
    assert_int_equal(system(line), 0);
    expect("inspect $D/c", 0, "the optimiser's state is not shown: ");
}

/* States that are not Adam's, made with a pickle by hand (protocol 0). */
static void refused(const char *pickle, ss_code code, const char *text)
{
    ss_adam_state s;
    ss_err e = {0};
    FILE *f = fopen(in_tmp("by-hand.pt"), "w");

    assert_non_null(f);
    fputs(pickle, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(ss_adam_state_open(in_tmp("by-hand.pt"), &s, &e), code);
    if (!strstr(e.msg, text))
        fail_msg("%s lacks %s", e.msg, text);
}

static void test_other_states(void **state)
{
    (void)state;
    refused("(dp0\nVparam_groups\n(lp1\n(dp2\nVparams\n(lp3\nI0\nasVlr\nF0.1\nsasVstate\n(dp4\ns.",
            SS_UNSUPPORTED, "group 0 has no lr, betas and eps");
    refused("(dp0\nVparam_groups\n(lp1\nsVstate\n(dp2\ns.", SS_FORMAT, "0 parameters in 0 groups");
    refused("(dp0\nVmodel\n(dp1\ns.", SS_FORMAT, "no state of an optimizer");
    refused("(dp0\nVparam_groups\n(lp1\n(dp2\nVparams\n(lp3\nI0\nasVlr\nF0.1\nsVbetas\n(F0.9\nF0.99"
            "\ntp4\nsVeps\nF1e-8\nsasVstate\n(dp5\nI0\n(dp6\nVstep\nI3\nsVstate1\nI0\nsss.",
            SS_UNSUPPORTED, "8 bits (bitsandbytes)");
    refused("(dp0\nVparam_groups\n(lp1\n(dp2\nVparams\n(lp3\nI0\nasVlr\nF0.1\nsVbetas\n(F0.9\nF0.99"
            "\ntp4\nsVeps\nF1e-8\nsasVstate\n(dp5\nI0\n(dp6\nVmomentum_buffer\nI0\nsss.",
            SS_UNSUPPORTED, "parameter 0 has no exp_avg and exp_avg_sq");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),           cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_folders),         cmocka_unit_test(test_inspect),
        cmocka_unit_test(test_inspect_folders), cmocka_unit_test(test_other_states),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
