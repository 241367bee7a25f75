/* checkpoint_case.h - opens checkpoints in tests, and compares their tensors */
#ifndef SS_CHECKPOINT_CASE_H
#define SS_CHECKPOINT_CASE_H

#include "base/mem.h"
#include "models/file/checkpoint.h"
#include "tests/ss_test.h"

#include <string.h>

static inline ss_checkpoint *opens(const char *path, const char *key)
{
    const ss_checkpoint_options opt = {.key = key};
    ss_checkpoint *k = NULL;
    ss_err e = {0};

    if (ss_checkpoint_open(path, &opt, &k, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return k;
}

static inline void open_fails(const char *path, const char *key, ss_code code, const char *want)
{
    const ss_checkpoint_options opt = {.key = key};
    ss_checkpoint *k;
    ss_err e = {0};
    const ss_code rc = ss_checkpoint_open(path, &opt, &k, &e);

    if (rc != code || !strstr(e.msg, want))
        fail_msg("code %d, not %d, and \"%s\", which lacks \"%s\"", rc, code, e.msg, want);
}

/* All tensors of a checkpoint are those of another, byte for byte. */
static inline void assert_same(const ss_checkpoint *got, const ss_checkpoint *want)
{
    ss_err e = {0};

    assert_int_equal(ss_checkpoint_count(got), ss_checkpoint_count(want));
    for (size_t i = 0; i < ss_checkpoint_count(want); i++) {
        const ss_stored_tensor *a = ss_checkpoint_at(got, i), *b = ss_checkpoint_at(want, i);
        char *x = ss_alloc(2, b->bytes);

        assert_non_null(x);
        assert_string_equal(a->name, b->name);
        assert_string_equal(a->type, b->type);
        assert_int_equal(a->usable, b->usable);
        assert_int_equal(a->rank, b->rank);
        assert_memory_equal(a->dim, b->dim, sizeof b->dim[0] * (size_t)b->rank);
        assert_int_equal(a->bytes, b->bytes);
        assert_int_equal(ss_stored_read(a, x, &e), SS_OK);
        assert_int_equal(ss_stored_read(b, x + b->bytes, &e), SS_OK);
        if (memcmp(x, x + b->bytes, b->bytes) != 0)
            fail_msg("%s: other values", b->name);
        ss_free(x);
    }
}

#endif
