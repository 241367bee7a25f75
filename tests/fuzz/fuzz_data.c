/* fuzz_data.c - pictures, and the captions that belong to them */
#include "base/png.h"
#include "probe/idx.h"
#include "probe/input.h"
#include "probe/picture.h"
#include "probe/samples.h"
#include "tests/fuzz/fuzz.h"
#include "train/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

void fuzz_idx(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file("a.idx", data, size);
    char spec[600];
    ss_idx idx = {0};
    ss_input *in = NULL;
    ss_err e = {0};

    for (size_t max = 0; max < 3; max++) {
        const ss_code rc = ss_idx_read(path, max == 2 ? SIZE_MAX : max, &idx, &e);

        fuzz_check(rc, &e);
        if (rc == SS_OK && idx.n > 0) {
            volatile uint8_t last = idx.data[idx.n * idx.item - 1];

            (void)last;
        }
        ss_idx_release(&idx);
    }
    for (int moving = 0; moving < 2; moving++) {
        snprintf(spec, sizeof spec, "%s:%s", moving ? "moving" : "idx", path);
        if (ss_input_parse(spec, &in, &e) == SS_OK)
            fuzz_check(ss_input_open(in, (ss_sample_size){2 * moving, 5, 7, 1}, 1, &e), &e);
        ss_input_free(in);
        in = NULL;
    }
}

/* Puts right the checksum of every chunk, [length, type, data, CRC of type and data]: mutations
 * then get as far as what they changed. */
static void repair(uint8_t *png, size_t size)
{
    for (size_t at = 8; size >= 12 && at <= size - 12;) {
        const uint8_t *p = png + at;
        const size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];

        if (n > size - 12 - at)
            return;
        const unsigned long crc = crc32(0, p + 4, (unsigned)n + 4);
        for (int i = 0; i < 4; i++)
            png[at + 8 + n + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
        at += n + 12;
    }
}

static void read_png(const uint8_t *data, size_t size)
{
    float x[5 * 7 * 3];
    ss_image im = {0};
    ss_err e = {0};
    const ss_code rc = ss_image_read_png(fuzz_file("a.png", data, size), &im, &e);

    fuzz_check(rc, &e);
    if (rc == SS_OK) {
        fuzz_check(ss_picture_fit(&im, x, 5, 7, 3, &e), &e);
        fuzz_check(ss_picture_fit(&im, x, 7, 5, 1, &e), &e);
    }
    ss_image_release(&im);
}

void fuzz_png(const uint8_t *data, size_t size)
{
    uint8_t *repaired = (uint8_t *)fuzz_text(data, size);

    repair(repaired, size);
    read_png(repaired, size);
    if (size && memcmp(repaired, data, size) != 0)
        read_png(data, size);
    free(repaired);
}

void fuzz_captions(const uint8_t *data, size_t size)
{
    static bool made;
    static uint8_t gray[2 * 2] = {0, 100, 200, 255}, rgb[3 * 2 * 3] = {9, 8, 7};
    const ss_image a = {.w = 2, .h = 2, .c = 1, .data = gray},
                   b = {.w = 3, .h = 2, .c = 3, .data = rgb};
    ss_data_options opt = ss_data_defaults();
    ss_err e = {0};
    float x[2 * 2 * 4 * 4];
    int64_t label[2];

    opt.kind = SS_DATA_FOLDER;
    opt.path = fuzz_folder("pictures");
    opt.h = opt.w = 4;
    if (!made) {
        made = ss_image_write_png(fuzz_path("pictures/a.png"), &a, &e) == SS_OK &&
               ss_image_write_png(fuzz_path("pictures/b.png"), &b, &e) == SS_OK;
        if (!made)
            abort();
    }
    fuzz_file("pictures/captions.jsonl", data, size);
    for (opt.frames = 0; opt.frames <= 2; opt.frames += 2) { /* of pictures, and of videos */
        ss_data *d = NULL;
        const ss_code rc = ss_data_open(&opt, &d, &e);

        fuzz_check(rc, &e);
        if (rc == SS_OK) {
            ss_data_batch(d, 3, 2, x, label);
            ss_data_caption(d, label[0]);
        }
        ss_data_close(d);
        opt.stills = true;
    }
}

/* Beside the description is one picture, in the folder of a model. */
void fuzz_samples(const uint8_t *data, size_t size)
{
    static bool made;
    static uint8_t gray[2 * 2] = {0, 100, 200, 255};
    const ss_image im = {.w = 2, .h = 2, .c = 1, .data = gray};
    const char *folder = fuzz_folder("samples");
    ss_samples *s = NULL;
    ss_err e = {0};
    uint8_t bytes[2 * 2];

    if (!made) {
        fuzz_folder("samples/01-m");
        made = ss_image_write_png(fuzz_path("samples/01-m/0000.png"), &im, &e) == SS_OK;
        if (!made)
            abort();
    }
    fuzz_file("samples/generate.json", data, size);
    const ss_code rc = ss_samples_open(folder, &s, &e);

    fuzz_check(rc, &e);
    for (int m = 0; rc == SS_OK && m < s->n_models; m++) {
        for (int i = 0; i < s->n && i < 4; i++)
            fuzz_check(ss_samples_picture(s, m, i, 2, 2, 1, bytes, &e), &e);
    }
    ss_samples_close(s);
}
