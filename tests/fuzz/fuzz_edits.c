/* fuzz_edits.c - what is done to a checkpoint's tensors before a network asks for them */
#include "base/mem.h"
#include "models/file/adam_state.h"
#include "models/file/cast_weights.h"
#include "models/file/lora.h"
#include "models/file/safetensors_write.h"
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

/* Merges a file into a layer and a kernel. */
void fuzz_lora(const uint8_t *data, size_t size)
{
    static const float zeros[54];
    const ss_st_item items[] = {
        {.name = "a.0.weight", .dtype = SS_F32, .rank = 2, .dim = {2, 3}, .values = zeros},
        {.name = "b_c.weight", .dtype = SS_F32, .rank = 4, .dim = {2, 3, 3, 3}, .values = zeros}};
    static bool made;
    const char *base = fuzz_path("base.safetensors");
    const char *path = fuzz_file("lora.safetensors", data, size);
    ss_lora_layers layers = {0};
    ss_checkpoint *k = NULL;
    ss_err e = {0};

    if (!made && ss_safetensors_write(base, items, 2, NULL, 0, NULL) != SS_OK)
        abort();
    made = true;
    if (ss_checkpoint_open(base, NULL, &k, &e) != SS_OK)
        abort();
    const ss_lora_target targets[] = {{"a.0.weight", ss_checkpoint_at(k, 0)},
                                      {"b_c.weight", ss_checkpoint_at(k, 1)}};
    fuzz_check(ss_lora_merge(k, path, "denoiser", targets, 2, &layers, &e), &e);
    read_all(k);
    ss_lora_layers_release(&layers);
    ss_checkpoint_close(k);
}

/* Reads every moment of a state. */
void fuzz_adam(const uint8_t *data, size_t size)
{
    ss_adam_state s;
    ss_err e = {0};
    const ss_code rc = ss_adam_state_open(fuzz_file("optimizer.bin", data, size), &s, &e);

    fuzz_check(rc, &e);
    if (rc != SS_OK)
        return;
    for (size_t i = 0; i < s.n; i++) {
        const ss_stored_tensor *t = s.list[i].m;
        void *values = t && t->bytes < 1 << 24 ? ss_alloc(t->bytes, 1) : NULL;

        if (values)
            fuzz_check(ss_stored_read(t, values, &e), &e);
        ss_free(values);
    }
    ss_adam_state_close(&s);
}
