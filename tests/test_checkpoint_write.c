/* test_checkpoint_write.c - safetensors files and model folders, written and read back */
#include "base/file.h"
#include "base/format.h"
#include "base/half.h"
#include "base/json.h"
#include "base/mem.h"
#include "models/file/checkpoint.h"
#include "models/file/checkpoint_write.h"
#include "models/model.h"
#include "tests/ss_tmp.h"

static void test_half_is_the_nearest(void **state)
{
    (void)state;
    ss_format fp16;

    assert_int_equal(ss_format_parse("fp16", &fp16, NULL), SS_OK);
    /* every 4093rd bit pattern, so that exponents, ties and subnormals all come by */
    for (uint64_t u = 0; u < 1ull << 32; u += 4093) {
        const uint32_t bits = (uint32_t)u;
        float x, want, got;
        uint16_t h;

        memcpy(&x, &bits, sizeof x);
        h = ss_half_from_float(x);
        ss_values_to_f32(SS_F16, &h, 1, &got);
        want = ss_format_round(&fp16, x);
        if (isnan(want) ? !isnan(got) : memcmp(&got, &want, sizeof got) != 0)
            fail_msg("%a gives %a, not %a", (double)x, (double)got, (double)want);
    }
    /* ties, the last finite one, the first that is not */
    static const struct {
        float x;
        uint16_t h;
    } known[] = {{1 + 0x1p-11f, 0x3c00}, {1 + 3 * 0x1p-11f, 0x3c02}, {65519, 0x7bff},
                 {65520, 0x7c00},        {-INFINITY, 0xfc00},        {0x1p-25f, 0},
                 {0x1.8p-24f, 2},        {0x1.ff8p-15f, 0x03ff},     {-0.0f, 0x8000}};
    for (size_t i = 0; i < N_OF(known); i++)
        assert_int_equal(ss_half_from_float(known[i].x), known[i].h);
}

static void test_items_come_back(void **state)
{
    (void)state;
    static const float a[6] = {1, -2, 3.25f, 1e30f, -INFINITY, 0x1p-149f}, b[3] = {0.1f, -7, 65504};
    const ss_st_item items[] = {
        {.name = "b \"quoted\"", .dtype = SS_F16, .rank = 1, .dim = {3}, .values = b},
        {.name = "z", .dtype = SS_F32, .rank = 2, .dim = {2, 3}, .values = a},
        {.name = "empty", .dtype = SS_F32, .rank = 1, .dim = {0}, .values = a},
        {.name = "a", .dtype = SS_F32, .rank = 0, .values = a + 2},
    };
    const ss_st_item other[] = {items[2], items[3], items[0], items[1]};
    const ss_st_note note = {"step", "250"};
    char x[65], y[65];
    ss_safetensors *f;
    float got[6];

    assert_int_equal(ss_safetensors_write(in_tmp("x.st"), items, 4, &note, 1, NULL), SS_OK);
    assert_int_equal(ss_safetensors_open(in_tmp("x.st"), &f, NULL), SS_OK);
    assert_int_equal(ss_safetensors_count(f), 4);
    assert_string_equal(ss_safetensors_metadata(f, "step"), "250");
    for (size_t i = 0; i < N_OF(items); i++) {
        const ss_stored_tensor *t = ss_safetensors_find(f, items[i].name);

        assert_non_null(t);
        assert_int_equal(t->rank, items[i].rank);
        assert_memory_equal(t->dim, items[i].dim, (size_t)t->rank * sizeof *t->dim);
        assert_int_equal(t->dtype, items[i].dtype);
        assert_int_equal((uintptr_t)t->data % ss_dtype_size(t->dtype), 0);
        ss_values_to_f32(t->dtype, t->data, t->bytes / ss_dtype_size(t->dtype), got);
        if (t->dtype == SS_F32)
            assert_memory_equal(got, items[i].values, t->bytes);
        else
            assert_close(t->name, got, b, 3, 0, 0x1p-11);
    }
    ss_safetensors_close(f);

    assert_int_equal(ss_safetensors_write(in_tmp("y.st"), other, 4, &note, 1, NULL), SS_OK);
    assert_int_equal(ss_sha256_file(in_tmp("x.st"), x, NULL), SS_OK);
    assert_int_equal(ss_sha256_file(in_tmp("y.st"), y, NULL), SS_OK);
    assert_string_equal(x, y); /* the order of naming does not matter */
}

static void test_refusals_leave_nothing(void **state)
{
    (void)state;
    static const float big[2] = {1, 65520}, fine[1] = {1};
    const struct {
        ss_st_item items[2];
        ss_code code;
        const char *want;
    } cases[] = {
        {{{.name = "a", .dtype = SS_F16, .rank = 1, .dim = {2}, .values = big},
          {.name = "b", .dtype = SS_F32, .rank = 1, .dim = {1}, .values = fine}},
         SS_SHAPE,
         "tensor a: value 1 is 65520, the largest of F16 is 65504"},
        {{{.name = "a", .dtype = SS_BF16, .rank = 1, .dim = {1}, .values = fine},
          {.name = "b", .dtype = SS_F32, .rank = 1, .dim = {1}, .values = fine}},
         SS_UNSUPPORTED,
         "tensor a: dtype BF16 is not written"},
        {{{.name = "a", .dtype = SS_F32, .rank = 1, .dim = {1}, .values = fine},
          {.name = "a", .dtype = SS_F16, .rank = 1, .dim = {1}, .values = fine}},
         SS_USAGE,
         "tensor a: the name is taken"},
        {{{.name = "a\xff", .dtype = SS_F32, .rank = 1, .dim = {1}, .values = fine},
          {.name = "b", .dtype = SS_F32, .rank = 1, .dim = {1}, .values = fine}},
         SS_USAGE,
         "a\\xff is not UTF-8"},
    };
    const int before = count_files(tmp_dir);

    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_err e = {0};

        assert_int_equal(ss_safetensors_write(in_tmp("no.st"), cases[i].items, 2, NULL, 0, &e),
                         cases[i].code);
        if (!strstr(e.msg, cases[i].want) || !strstr(e.msg, "no.st"))
            fail_msg("'%s', not '...%s...'", e.msg, cases[i].want);
    }
    assert_int_equal(
        ss_safetensors_write(in_tmp("none/no.st"), cases[0].items + 1, 1, NULL, 0, NULL), SS_IO);
    for (unsigned long k = 1; k < 40; k++) { /* every allocation fails once */
        ss_code rc;

        ss_mem_fail_at(k);
        rc = ss_safetensors_write(in_tmp("no.st"), cases[0].items + 1, 1, NULL, 0, NULL);
        ss_mem_fail_at(0);
        if (rc == SS_OK) {
            assert_true(k > 3);
            assert_int_equal(remove(in_tmp("no.st")), 0);
            break;
        }
        assert_int_equal(rc, SS_NOMEM);
    }
    assert_int_equal(count_files(tmp_dir), before);
}

/* The bundled model, read, written in f32 and f16, and opened again as a model. */
static void test_model_folder(void **state)
{
    (void)state;
    static const char from[] = "demo/fashion-mnist/step-00250";
    ss_model *m, *again;
    ss_json schedule;
    ss_err e = {0};
    int n, n2;

    assert_int_equal(ss_model_open(from, NULL, &m, &e), SS_OK);
    assert_int_equal(ss_json_load(&schedule, ss_model_about(m)->scheduler, &e), SS_OK);
    const ss_checkpoint *k = ss_model_checkpoint(m);
    const size_t count = ss_checkpoint_count(k);
    ss_st_item *items = ss_calloc(count, sizeof *items);
    float **values = ss_calloc(count, sizeof *values);

    for (size_t i = 0; i < count; i++) {
        const ss_stored_tensor *t = ss_checkpoint_at(k, i);
        const size_t numel = t->bytes / ss_dtype_size(t->dtype);

        values[i] = ss_alloc(numel, sizeof(float));
        ss_values_to_f32(t->dtype, t->data, numel, values[i]);
        items[i] =
            (ss_st_item){.name = t->name, .dtype = t->dtype, .rank = t->rank, .values = values[i]};
        memcpy(items[i].dim, t->dim, sizeof items[i].dim);
    }
    const ss_checkpoint_parts parts = {ss_model_config(m), schedule.root, items, count};
    const char *dir = in_tmp("unet");

    if (ss_checkpoint_write(dir, &parts, false, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(count_files(dir), 3);
    assert_int_equal(ss_checkpoint_write(dir, &parts, false, &e), SS_IO);
    assert_non_null(strstr(e.msg, "unet exists"));
    if (ss_checkpoint_write(dir, &parts, true, &e) != SS_OK)
        fail_msg("%s", e.msg);
    /* the bundled one has more: the table of classes lies in its folder */
    char *table = ss_path_join(from, "class_embeddings.safetensors"), *text;
    size_t len;
    assert_int_equal(ss_file_read(table, 1 << 20, &text, &len, NULL), SS_OK);
    ss_free(table);
    write_file(in_tmp("unet/class_embeddings.safetensors"), text, len);
    ss_free(text);
    if (ss_model_open(dir, NULL, &again, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_non_null(ss_model_about(again)->scheduler);
    ss_model_weights(m, &n);
    ss_model_weights(again, &n2);
    assert_int_equal(n, n2);
    assert_true(json_equal(ss_model_config(m), ss_model_config(again)));
    for (size_t i = 0; i < count; i++) {
        const ss_stored_tensor *a = ss_checkpoint_at(k, i),
                               *b = ss_checkpoint_at(ss_model_checkpoint(again), i);

        assert_string_equal(a->name, b->name);
        assert_int_equal(a->bytes, b->bytes);
        assert_memory_equal(a->data, b->data, a->bytes);
        ss_free(values[i]);
    }
    ss_free(values);
    ss_free(items);
    ss_json_release(&schedule);
    ss_model_close(again);
    ss_model_close(m);
}

/* Keeps the old files when the weights cannot be written. */
static void test_failed_folder_keeps_the_old(void **state)
{
    (void)state;
    static const float good = 1, bad = 1e6f;
    ss_st_item item = {.name = "w", .dtype = SS_F16, .values = &good};
    json_t *config = json_pack("{s:s}", "_class_name", "UNet2DModel");
    const ss_checkpoint_parts parts = {.config = config, .weights = &item, .n_weights = 1};
    const char *dir = in_tmp("old");
    char x[65], y[65];
    ss_err e = {0};

    assert_int_equal(ss_checkpoint_write(dir, &parts, false, &e), SS_OK);
    assert_int_equal(count_files(dir), 2);
    const int files = count_files(tmp_dir);
    assert_int_equal(ss_sha256_file(in_tmp("old/diffusion_pytorch_model.safetensors"), x, NULL),
                     SS_OK);
    item.values = &bad;
    assert_int_equal(ss_checkpoint_write(dir, &parts, true, &e), SS_SHAPE);
    assert_int_equal(ss_sha256_file(in_tmp("old/diffusion_pytorch_model.safetensors"), y, NULL),
                     SS_OK);
    assert_string_equal(x, y);
    assert_int_equal(count_files(tmp_dir), files);
    json_decref(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_is_the_nearest),         cmocka_unit_test(test_items_come_back),
        cmocka_unit_test(test_refusals_leave_nothing),      cmocka_unit_test(test_model_folder),
        cmocka_unit_test(test_failed_folder_keeps_the_old),
    };

    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
