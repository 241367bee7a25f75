/* fuzz_pickles.c - what torch.save writes: archives, pickles, folders of parts */
#include "base/mem.h"
#include "models/file/adam_state.h"
#include "models/file/checkpoint.h"
#include "models/file/dcp.h"
#include "models/file/pickle.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 5, MAX_ITEMS = 8, STORAGE = 96 };

/* Reads a tensor that is not too large to be made. */
static void read_tensor(const ss_stored_tensor *t)
{
    void *values = t->bytes < 1 << 20 ? ss_alloc(t->bytes, 1) : NULL;
    ss_err e = {0};

    if (values)
        fuzz_check(ss_stored_read(t, values, &e), &e);
    ss_free(values);
}

/* Touches every text and tensor near the root. */
static void walk(const ss_pickle_value *v, int depth)
{
    volatile char sum = 0;
    int64_t ints[SS_STORED_MAX_RANK];

    if (v->kind == SS_PICKLE_TEXT || v->kind == SS_PICKLE_BYTES || v->kind == SS_PICKLE_BIG)
        sum = (char)(v->text.n ? sum + v->text.s[0] + v->text.s[v->text.n - 1] : 0);
    if (v->kind == SS_PICKLE_TENSOR)
        read_tensor(v->tensor);
    ss_pickle_names(v, "torch.Size");
    ss_pickle_ints(v, ints, SS_STORED_MAX_RANK);
    ss_pickle_find(v, "a.0.b");
    for (size_t i = 0; depth < MAX_DEPTH && i < ss_pickle_count(v) && i < MAX_ITEMS; i++)
        walk(ss_pickle_at(v, i), depth + 1);
    if (v->kind == SS_PICKLE_OBJECT && depth < MAX_DEPTH) {
        walk(v->object.class_, depth + 1);
        walk(v->object.args, depth + 1);
    }
}

/* Opens a file as a pickle, then as weights. */
static void use(const char *path)
{
    static const char *const keys[] = {NULL, "a", "model.a"};
    ss_pickle *p = NULL;
    ss_err e = {0};
    ss_code rc = ss_pickle_open(path, &p, &e);

    fuzz_check(rc, &e);
    if (rc == SS_OK)
        walk(ss_pickle_root(p), 0);
    ss_pickle_close(p);
    for (size_t i = 0; rc == SS_OK && i < sizeof keys / sizeof *keys; i++) {
        ss_checkpoint *k = NULL;
        const ss_code opened =
            ss_checkpoint_open(path, &(ss_checkpoint_options){.key = keys[i]}, &k, &e);

        fuzz_check(opened, &e);
        for (size_t t = 0; opened == SS_OK && t < ss_checkpoint_count(k); t++)
            read_tensor(ss_checkpoint_at(k, t));
        ss_checkpoint_close(k);
    }
}

void fuzz_pickle(const uint8_t *data, size_t size)
{
    use(fuzz_file("a.pt", data, size));
}

static void put(unsigned char **to, uint64_t v, int bytes)
{
    while (bytes--) {
        *(*to)++ = (unsigned char)v;
        v >>= 8;
    }
}

static void put_bytes(unsigned char **to, const void *bytes, size_t n)
{
    if (n)
        memcpy(*to, bytes, n);
    *to += n;
}

/* Writes an archive of two stored entries, a/data.pkl and a/data/0; the caller frees it. */
static unsigned char *make_zip(const void *pickle, size_t size, size_t *n)
{
    static const unsigned char storage[STORAGE] = {1, 2, 3};
    const struct {
        const char *name;
        const void *bytes;
        size_t n;
    } entries[] = {{"a/data.pkl", pickle, size}, {"a/data/0", storage, sizeof storage}};
    unsigned char *zip = malloc(size + STORAGE + 512), *p = zip;
    uint64_t at[2];

    if (!zip)
        abort();
    for (int i = 0; i < 2; i++) {
        at[i] = (uint64_t)(p - zip);
        put(&p, 0x04034b50, 4);
        put(&p, 0, 14);
        put(&p, entries[i].n, 4);
        put(&p, entries[i].n, 4);
        put(&p, strlen(entries[i].name), 4);
        put_bytes(&p, entries[i].name, strlen(entries[i].name));
        put_bytes(&p, entries[i].bytes, entries[i].n);
    }
    const uint64_t central = (uint64_t)(p - zip);
    for (int i = 0; i < 2; i++) {
        put(&p, 0x02014b50, 4);
        put(&p, 0, 16);
        put(&p, entries[i].n, 4);
        put(&p, entries[i].n, 4);
        put(&p, strlen(entries[i].name), 4);
        put(&p, 0, 10);
        put(&p, at[i], 4);
        put_bytes(&p, entries[i].name, strlen(entries[i].name));
    }
    const uint64_t end = (uint64_t)(p - zip);
    put(&p, 0x06054b50, 4);
    put(&p, 0, 4);
    put(&p, 2, 2);
    put(&p, 2, 2);
    put(&p, end - central, 4);
    put(&p, central, 4);
    put(&p, 0, 2);
    *n = (size_t)(p - zip);
    return zip;
}

void fuzz_zipped(const uint8_t *data, size_t size)
{
    size_t n;
    unsigned char *zip = make_zip(data, size, &n);

    use(fuzz_file("b.pt", zip, n));
    free(zip);
}

/* A part of 4 x 6 floats, as many as there are in the storage. */
static const char part[] = "\x80\x02"
                           "ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\n"
                           "FloatStorage\nX\1\0\0\0"
                           "0X\3\0\0\0cpuK\x18tQK\0K\4K\6\x86K\6K\1\x86\x89}tR.";

/* Parts that are an optimizer's numbers: lr and eps, betas, step, params. */
static const char *const options[] = {"F0.9\n.", "(F0.9\nF0.99\nt.", "I3\n.", "(lVw\na."};

void fuzz_dcp(const uint8_t *data, size_t size)
{
    static bool made;
    ss_checkpoint *k = NULL;
    ss_adam_state state;
    ss_dcp *d = NULL;
    ss_pickle *p = NULL;
    ss_err e = {0};

    if (!made) {
        size_t n;
        unsigned char *zip = make_zip(part, sizeof part - 1, &n);

        fuzz_folder("dcp");
        fuzz_file("dcp/__0_0.distcp", zip, n);
        fuzz_file("dcp/__1_0.distcp", zip, n);
        free(zip);
        for (int i = 0; i < (int)(sizeof options / sizeof *options); i++) {
            char name[32];

            snprintf(name, sizeof name, "dcp/__%d_0.distcp", i + 2);
            zip = make_zip(options[i], strlen(options[i]), &n);
            fuzz_file(name, zip, n);
            free(zip);
        }
        made = true;
    }
    const char *path = fuzz_file("dcp/.metadata", data, size);
    ss_code rc = ss_dcp_open(path, &d, &e);
    fuzz_check(rc, &e);
    for (size_t i = 0; rc == SS_OK && i < ss_dcp_count(d); i++) {
        if (ss_dcp_find(d, ss_dcp_at(d, i)->name) != ss_dcp_at(d, i))
            abort();
        read_tensor(ss_dcp_at(d, i));
    }
    if (rc == SS_OK && ss_dcp_object(d, "step", &p, &e) == SS_OK)
        walk(ss_pickle_root(p), 0);
    ss_pickle_close(p);
    ss_dcp_close(d);
    rc = ss_checkpoint_open(fuzz_path("dcp"), NULL, &k, &e);
    fuzz_check(rc, &e);
    ss_checkpoint_close(rc == SS_OK ? k : NULL);
    rc = ss_adam_state_open(fuzz_path("dcp"), &state, &e);
    fuzz_check(rc, &e);
    for (size_t i = 0; rc == SS_OK && i < state.n; i++) {
        if (state.list[i].m)
            read_tensor(state.list[i].m);
    }
    ss_adam_state_close(&state);
}
