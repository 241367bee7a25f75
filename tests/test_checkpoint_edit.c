/* test_checkpoint_edit.c - changes to a checkpoint's tensors, and values that are made when used */
#include "base/mem.h"
#include "models/file/checkpoint_edit.h"
#include "models/model.h"
#include "tests/ss_test.h"

#include <string.h>

/* Made from a stored tensor: its values backwards. */
static ss_code backwards(const ss_stored_tensor *t, void *out, ss_err *e)
{
    const ss_stored_tensor *from = t->source;
    const size_t item = ss_dtype_size(t->dtype);

    (void)e;
    for (size_t i = 0; i < t->bytes; i += item)
        memcpy((char *)out + i, (const char *)from->data + t->bytes - item - i, item);
    return SS_OK;
}

static ss_checkpoint *open_small(void)
{
    ss_checkpoint *k = NULL;
    ss_err e = {0};

    if (ss_checkpoint_open("tests/golden/unets/attn", NULL, &k, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return k;
}

static void test_names_change(void **state)
{
    (void)state;
    ss_checkpoint *k = open_small();
    const size_t n = ss_checkpoint_count(k);
    const ss_stored_tensor **list = ss_calloc(n, sizeof *list);
    const ss_stored_tensor *first = ss_checkpoint_at(k, 0);
    ss_err e = {0};

    for (size_t i = 0; i < n; i++)
        list[i] = ss_checkpoint_at(k, i);
    list[0] = ss_checkpoint_derive(k, first, "zzz", &e);
    assert_int_equal(ss_checkpoint_replace(k, list, n, &e), SS_OK);
    assert_null(ss_checkpoint_find(k, first->name));
    assert_ptr_equal(ss_checkpoint_at(k, n - 1), list[0]);
    assert_ptr_equal(ss_checkpoint_find(k, "zzz")->data, first->data);

    list[0] = ss_checkpoint_derive(k, first, list[1]->name, &e);
    assert_int_equal(ss_checkpoint_replace(k, list, n, &e), SS_FORMAT);
    assert_non_null(strstr(e.msg, "twice in"));
    assert_ptr_equal(ss_checkpoint_at(k, n - 1), ss_checkpoint_find(k, "zzz"));

    assert_int_equal(ss_checkpoint_say(k, &e, "%d names changed", 1), SS_OK);
    assert_string_equal(ss_checkpoint_note(k, 0), "1 names changed");
    assert_null(ss_checkpoint_note(k, 1));
    ss_free(list);
    ss_checkpoint_close(k);
}

static void test_values_are_made(void **state)
{
    (void)state;
    ss_checkpoint *k = open_small();
    ss_err e = {0};
    const ss_stored_tensor *from = ss_checkpoint_at(k, 0);
    ss_stored_tensor *t = ss_checkpoint_derive(k, from, "made", &e);
    char *values = ss_alloc(from->bytes, 1), *again = ss_alloc(from->bytes, 1);
    ss_weight w = {.name = t->name, .stored = t, .bytes = t->bytes};

    t->data = NULL;
    t->make = backwards;
    t->source = from;
    assert_int_equal(ss_stored_read(t, values, &e), SS_OK);
    assert_int_equal(backwards(t, again, &e), SS_OK);
    assert_memory_equal(values, again, t->bytes);
    assert_int_equal(ss_stored_read(from, again, &e), SS_OK);
    assert_memory_equal(again, from->data, t->bytes);

    assert_memory_equal(ss_weight_data(&w, &e), values, t->bytes);
    assert_ptr_equal(ss_weight_data(&w, &e), w.loaded);
    ss_weight_unload(&w);
    assert_null(w.data);
    ss_mem_fail_at(1);
    assert_null(ss_weight_data(&w, &e));
    assert_int_equal(e.code, SS_NOMEM);
    ss_free(values);
    ss_free(again);
    ss_checkpoint_close(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_change),
        cmocka_unit_test(test_values_are_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
