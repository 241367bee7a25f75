/* fuzz_tensors.c - safetensors files, and the index of those in several files */
#include "models/file/checkpoint.h"
#include "models/file/npy.h"
#include "models/file/safetensors_write.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>

/* Touches the first and last byte of a tensor: a sanitizer, or the end of the mapping, shows when
 * they are not in the file. */
static void use(const ss_stored_tensor *t)
{
    char text[64];
    ss_shape s;
    ss_err e = {0};
    volatile unsigned char sum = 0;

    ss_stored_shape_text(t, text, sizeof text);
    fuzz_check(ss_stored_shape(t, &s, &e), &e);
    if (t->bytes) {
        sum = (unsigned char)(sum + ((const unsigned char *)t->data)[0]);
        sum = (unsigned char)(sum + ((const unsigned char *)t->data)[t->bytes - 1]);
    }
}

void fuzz_safetensors(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file("a.safetensors", data, size);
    ss_safetensors *f = NULL;
    ss_err e = {0};
    ss_code rc = ss_safetensors_open(path, &f, &e);

    fuzz_check(rc, &e);
    if (rc != SS_OK)
        return;
    ss_safetensors_metadata(f, "format");
    for (size_t i = 0; i < ss_safetensors_count(f); i++) {
        const ss_stored_tensor *t = ss_safetensors_at(f, i);
        char name[4096];
        ss_array a = {0};

        use(t);
        if (ss_safetensors_find(f, t->name) == NULL)
            abort();
        snprintf(name, sizeof name, "%s#%s", path, t->name);
        fuzz_check(ss_safetensors_load_f32(name, &a, &e), &e);
        ss_array_release(&a);
    }
    ss_safetensors_close(f);
}

static void write_shard(const char *path, const char *name)
{
    static const float x[6] = {1, 2, 3, 4, 5, 6};
    const ss_st_item item = {.name = name, .dtype = SS_F32, .rank = 2, .dim = {2, 3}, .values = x};

    if (ss_safetensors_write(path, &item, 1, NULL, 0, NULL) != SS_OK)
        abort();
}

void fuzz_shards(const uint8_t *data, size_t size)
{
    static bool made;
    ss_checkpoint *k = NULL;
    ss_err e = {0};

    if (!made) {
        fuzz_folder("shards");
        write_shard(fuzz_path("shards/1.safetensors"), "a");
        write_shard(fuzz_path("shards/2.safetensors"), "b");
        made = true;
    }
    fuzz_file("shards/diffusion_pytorch_model.safetensors.index.json", data, size);
    ss_code rc = ss_checkpoint_open(fuzz_path("shards"), NULL, &k, &e);

    fuzz_check(rc, &e);
    if (rc != SS_OK)
        return;
    for (size_t i = 0; i < ss_checkpoint_count(k); i++) {
        use(ss_checkpoint_at(k, i));
        if (!ss_checkpoint_find(k, ss_checkpoint_at(k, i)->name))
            abort();
    }
    ss_checkpoint_close(k);
}

void fuzz_npy(const uint8_t *data, size_t size)
{
    ss_array a = {0};
    ss_err e = {0};
    const ss_code rc = ss_npy_load_f32(fuzz_file("a.npy", data, size), &a, &e);
    int64_t n = 1;

    fuzz_check(rc, &e);
    for (int i = 0; i < a.rank; i++)
        n *= a.dim[i];
    if (rc == SS_OK && n > 0) {
        volatile float last = a.values[n - 1];

        (void)last;
    }
    ss_array_release(&a);
}
