/* test_fp8.c - weights of 8 and of 64 bits become what PyTorch makes of them
 *
 * Golden files: tests/golden/fp8, by make_fp8.py.
 */
#include "base/mem.h"
#include "models/file/cast_weights.h"
#include "models/file/safetensors.h"
#include "tests/made_model.h"
#include "tests/ss_command.h"

#define G "tests/golden/fp8/"

static ss_checkpoint *open_cast(const char *path, ss_code want, const char *text)
{
    ss_checkpoint *k = NULL;
    ss_err e = {0};
    ss_code rc = ss_checkpoint_open(path, NULL, &k, &e);

    assert_int_equal(rc, SS_OK);
    rc = ss_checkpoint_cast(k, &e);
    if (rc != want)
        fail_msg("%s: %d, %s", path, rc, e.msg);
    if (rc == SS_OK)
        return k;
    if (!strstr(e.msg, text))
        fail_msg("%s lacks %s", e.msg, text);
    ss_checkpoint_close(k);
    return NULL;
}

/* Every tensor of the file that is in want.safetensors has its values; *n counts them. */
static void same(const ss_checkpoint *k, int n)
{
    ss_safetensors *want;
    ss_err e = {0};

    assert_int_equal(ss_safetensors_open(G "want.safetensors", &want, &e), SS_OK);
    for (size_t i = 0; i < ss_checkpoint_count(k); i++) {
        const ss_stored_tensor *t = ss_checkpoint_at(k, i);
        const ss_stored_tensor *w = ss_safetensors_find(want, t->name);

        if (!w)
            continue;
        n--;
        const size_t count = w->bytes / sizeof(float);
        float *got = ss_alloc(count, sizeof *got), *exact = ss_alloc(count, sizeof *exact);
        void *raw = ss_alloc(t->bytes, 1);

        assert_true(t->usable);
        assert_int_equal(ss_stored_read(t, raw, &e), SS_OK);
        ss_values_to_f32(t->dtype, raw, count, got);
        memcpy(exact, w->data, w->bytes);
        for (size_t v = 0; v < count; v++) { /* bits, but for the payload of NaN */
            if (memcmp(&got[v], &exact[v], 4) != 0 && !(isnan(got[v]) && isnan(exact[v])))
                fail_msg("%s[%zu] is %.9g, PyTorch has %.9g", t->name, v, (double)got[v],
                         (double)exact[v]);
        }
        ss_free(got);
        ss_free(exact);
        ss_free(raw);
    }
    assert_int_equal(n, 0);
    ss_safetensors_close(want);
}

static void test_goldens(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        int compared, all;
        const char *note;
    } files[] = {
        {G "codes.safetensors", 2, 2, "2 tensors of F8_E4M3 have no scale and become F16, exactly"},
        {G "comfy.safetensors", 2, 3,
         "2 tensors of F8_E4M3 become F32, times their scales (2 of a tensor, 0 of rows, 0 of "
         "blocks); 1 scales of activations are not used"},
        {G "quant.safetensors", 2, 2,
         "2 tensors of F8_E4M3 become F32, times their scales (2 of a tensor, 0 of rows, 0 of "
         "blocks); 1 scales of activations are not used"},
        {G "rows.safetensors", 2, 2,
         "2 tensors of F8_E4M3 become F32, times their scales (0 of a tensor, 2 of rows, 0 of "
         "blocks); 1 scales of activations are not used"},
        {G "blocks.safetensors", 2, 2,
         "2 tensors of F8_E4M3 become F32, times their scales (0 of a tensor, 0 of rows, 2 of "
         "blocks)"},
        {G "double.safetensors", 3, 3, NULL},
    };

    for (size_t i = 0; i < N_OF(files); i++) {
        ss_checkpoint *k = open_cast(files[i].file, SS_OK, NULL);

        same(k, files[i].compared);
        assert_int_equal(ss_checkpoint_count(k), files[i].all);
        if (files[i].note)
            assert_string_equal(ss_checkpoint_note(k, 0), files[i].note);
        else
            assert_non_null(strstr(ss_checkpoint_note(k, 0), "1 VALUES BECOME INF"));
        ss_checkpoint_close(k);
    }
}

/* Writes $D/NAME with items [n] whose dtypes the writer does not have: a header by hand. */
static const char *write_raw(const char *name, const char *header, const void *data, size_t n)
{
    const uint64_t length = strlen(header);
    FILE *f = fopen(in_tmp(name), "wb");

    assert_non_null(f);
    fwrite(&length, sizeof length, 1, f);
    fwrite(header, 1, length, f);
    fwrite(data, 1, n, f);
    assert_int_equal(fclose(f), 0);
    return in_tmp(name);
}

#define F8 "\"dtype\":\"F8_E4M3\",\"shape\":[2,2],\"data_offsets\":[0,4]"
#define A "{\"a.weight\":{" F8 "},"

static void test_what_does_not_fit(void **state)
{
    (void)state;
    static const char zeros[64];
    static const char quant[] = "\0\0\0\0{\"format\": \"nvfp4\"}";

    open_cast(write_raw("shape.safetensors",
                        A "\"a.weight_scale\":{\"dtype\":\"F32\",\"shape\":[3],"
                          "\"data_offsets\":[4,16]}}",
                        zeros, 16),
              SS_SHAPE, "scale a.weight_scale is [3], which does not go over a weight of [2,2]");
    open_cast(write_raw("two.safetensors",
                        A "\"a.weight_scale\":{\"dtype\":\"F32\",\"shape\":[],"
                          "\"data_offsets\":[4,8]},\"a.scale_weight\":{\"dtype\":\"F32\","
                          "\"shape\":[1],\"data_offsets\":[8,12]}}",
                        zeros, 12),
              SS_FORMAT, "has two scales");
    open_cast(write_raw("e8m0.safetensors",
                        A "\"a.weight_scale\":{\"dtype\":\"F8_E8M0\",\"shape\":[1],"
                          "\"data_offsets\":[4,5]}}",
                        zeros, 5),
              SS_UNSUPPORTED, "has dtype F8_E8M0");
    open_cast(write_raw("comfy.safetensors",
                        A "\"a.comfy_quant\":{\"dtype\":\"U8\",\"shape\":[19],"
                          "\"data_offsets\":[4,23]}}",
                        quant, 23),
              SS_UNSUPPORTED, "a.weight is quantised as nvfp4");
    open_cast(write_raw("text.safetensors",
                        A "\"a.comfy_quant\":{\"dtype\":\"U8\",\"shape\":[2],"
                          "\"data_offsets\":[4,6]}}",
                        "\0\0\0\0{}", 6),
              SS_FORMAT, "is no text with a format");
    /* a scale without such a weight stays, and the network refuses it */
    ss_checkpoint *k = open_cast(
        write_raw("alone.safetensors",
                  A "\"b.weight_scale\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[4,8]}}",
                  zeros, 8),
        SS_OK, NULL);
    assert_non_null(ss_checkpoint_find(k, "b.weight_scale"));
    ss_checkpoint_close(k);
}

/* A whole network: F64 weights, and an 8-bit copy of a weight with a scale. */
static void test_network(void **state)
{
    (void)state;
#define UNET "tests/golden/trainings/diffusers/checkpoint-4/unet"
#define NETWORK G "network.safetensors --config " UNET "/config.json "

    expect("inspect " NETWORK, 0, "F64 (81 tensors), F8_E4M3 (23 tensors)");
    assert_non_null(strstr(output, "81 tensors of F64 are rounded to F32, exactly"));
    assert_non_null(strstr(output, "23 tensors of F8_E4M3 become F32, times"));
    expect("probe " NETWORK "-o $D/fp8.h5 --samples 1 --sigmas 1 --quiet", 0, NULL);
    expect("inspect " NETWORK G "network.safetensors", 0, "0 of 104");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_what_does_not_fit),
        cmocka_unit_test(test_network),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
