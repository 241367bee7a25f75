/* single_file.h - single files as tests/golden/make_single.py describes them
 *
 * Value i of tensor NAME (F16) has the bits (crc32(NAME) + 40503 i) & 0xbbff. A file of full size
 * is a hole where its values would be.
 */
#ifndef SS_TEST_SINGLE_FILE_H
#define SS_TEST_SINGLE_FILE_H

#include "base/mem.h"
#include "models/file/checkpoint.h"
#include "tests/ss_tmp.h"

#include <jansson.h>
#include <stdio.h>
#include <zlib.h>

/* The golden data; the caller's to json_decref. */
static inline json_t *read_single_cases(void)
{
    enum { MAX = 16 << 20 };
    gzFile f = gzopen("tests/golden/single.json.gz", "rb");
    char *text = malloc(MAX);

    assert_non_null(f);
    assert_non_null(text);
    const int n = gzread(f, text, MAX);
    gzclose(f);
    assert_in_range(n, 1, MAX - 1);
    json_t *all = json_loadb(text, (size_t)n, 0, NULL);
    free(text);
    assert_non_null(all);
    return all;
}

static inline uint32_t crc_of(const void *data, size_t n)
{
    return (uint32_t)crc32(crc32(0, NULL, 0), data, (uInt)n);
}

static inline size_t count_values(json_t *shape)
{
    size_t n = 1, i;
    json_t *d;

    json_array_foreach(shape, i, d) n *= (size_t)json_integer_value(d);
    return n;
}

/* Writes tensors {name: shape} as a safetensors file. */
static inline void write_single_file(const char *path, json_t *tensors, bool with_values)
{
    json_t *header = json_object(), *shape;
    FILE *f = fopen(path, "wb");
    const char *name;
    size_t at = 0;

    assert_non_null(f);
    json_object_foreach(tensors, name, shape)
    {
        const size_t from = at;

        at += 2 * count_values(shape);
        json_object_set_new(header, name,
                            json_pack("{s:s, s:O, s:[I, I]}", "dtype", "F16", "shape", shape,
                                      "data_offsets", (json_int_t)from, (json_int_t)at));
    }
    char *text = json_dumps(header, JSON_COMPACT);
    const uint64_t n = strlen(text);
    fwrite(&n, sizeof n, 1, f);
    fwrite(text, 1, n, f);
    json_object_foreach(tensors, name, shape)
    {
        const uint32_t seed = crc_of(name, strlen(name));

        for (size_t i = 0; with_values && i < count_values(shape); i++) {
            const uint16_t bits = (uint16_t)((seed + 40503 * i) & 0xbbff);

            fwrite(&bits, sizeof bits, 1, f);
        }
    }
    fflush(f);
    assert_int_equal(ftruncate(fileno(f), (off_t)(8 + n + at)), 0);
    assert_int_equal(fclose(f), 0);
    free(text);
    json_decref(header);
}

/* Checks names, shapes and values of a checkpoint against {name: [shape, crc or null]}. */
static inline void check_tensors(const char *what, const ss_checkpoint *k, json_t *want)
{
    const char *name;
    json_t *tensor;

    assert_int_equal(ss_checkpoint_count(k), json_object_size(want));
    json_object_foreach(want, name, tensor)
    {
        const ss_stored_tensor *t = ss_checkpoint_find(k, name);
        json_t *shape = json_array_get(tensor, 0), *crc = json_array_get(tensor, 1);
        ss_err e = {0};

        if (!t)
            fail_msg("%s: there is no %s", what, name);
        assert_int_equal(t->rank, json_array_size(shape));
        for (int i = 0; i < t->rank; i++)
            assert_int_equal(t->dim[i], json_integer_value(json_array_get(shape, (size_t)i)));
        assert_int_equal(t->bytes, 2 * count_values(shape));
        if (json_is_null(crc))
            continue;
        char *values = ss_alloc(t->bytes, 1);
        assert_non_null(values);
        assert_int_equal(ss_stored_read(t, values, &e), SS_OK);
        if (crc_of(values, t->bytes) != (uint32_t)json_integer_value(crc))
            fail_msg("%s: the values of %s differ", what, name);
        ss_free(values);
    }
}

#endif
