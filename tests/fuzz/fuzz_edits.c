/* fuzz_edits.c - what is done to a checkpoint's tensors before a network asks for them */
#include "base/mem.h"
#include "models/file/cast_weights.h"
#include "models/file/wrapped_names.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

/* Reads every tensor that can be used. */
static void read_all(const ss_checkpoint *k)
{
    ss_err e = {0};

    for (size_t i = 0; i < ss_checkpoint_count(k); i++) {
        const ss_stored_tensor *t = ss_checkpoint_at(k, i);
        void *values = t->usable && t->bytes < 1 << 24 ? ss_alloc(t->bytes, 1) : NULL;

        if (values)
            fuzz_check(ss_stored_read(t, values, &e), &e);
        ss_free(values);
    }
}

/* Dtypes that are cast, with scales, and names with prefixes. */
void fuzz_edits(const uint8_t *data, size_t size)
{
    static const char *const asked[] = {"a.weight", "b.weight", "b.bias"};
    const char *path = fuzz_file("edits.safetensors", data, size);
    ss_checkpoint *k = NULL;
    bool changed = false;
    ss_err e = {0};
    ss_code rc = ss_checkpoint_open(path, NULL, &k, &e);

    fuzz_check(rc, &e);
    if (rc != SS_OK)
        return;
    rc = ss_checkpoint_cast(k, &e);
    fuzz_check(rc, &e);
    if (rc == SS_OK) {
        rc = ss_checkpoint_unwrap(k, asked, 3, size % 2, &changed, &e);
        fuzz_check(rc, &e);
    }
    read_all(k);
    ss_checkpoint_close(k);
}
