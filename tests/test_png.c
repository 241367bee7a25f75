/* test_png.c - PNG files of every kind, and files that are none
 *
 * Kinds that ss_image_write_png does not make are written here with libpng.
 */
#include "base/mem.h"
#include "base/png.h"
#include "tests/ss_tmp.h"

#include <png.h>
#include <sys/resource.h>
#include <zlib.h>

static void fill(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * i * 31 + i * 7 + 5);
}

/* Writes one file of any kind; rows are h pieces of row bytes. */
static void write_kind(const char *path, int w, int h, int depth, int color, bool interlaced,
                       uint8_t *data, size_t row)
{
    static png_color palette[4] = {{1, 2, 3}, {255, 0, 0}, {0, 128, 64}, {9, 9, 9}};
    static png_byte palette_alpha[2] = {0, 128};
    FILE *f = fopen(path, "wb");
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_bytep rows[64];

    assert_non_null(f);
    assert_true(h <= 64);
    png_init_io(png, f);
    png_set_IHDR(png, info, (png_uint_32)w, (png_uint_32)h, depth, color,
                 interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
    if (color == PNG_COLOR_TYPE_PALETTE) {
        png_set_PLTE(png, info, palette, 4);
        png_set_tRNS(png, info, palette_alpha, 2, NULL);
    }
    png_write_info(png, info);
    for (int y = 0; y < h; y++)
        rows[y] = data + (size_t)y * row;
    png_write_image(png, rows);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    fclose(f);
}

static void assert_reads(const char *path, int w, int h, int c, const uint8_t *want)
{
    ss_image im = {0};
    ss_err e = {0};

    if (ss_image_read_png(path, &im, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(im.w, w);
    assert_int_equal(im.h, h);
    assert_int_equal(im.c, c);
    assert_memory_equal(im.data, want, (size_t)(w * h * c));
    ss_image_release(&im);
    assert_null(im.data);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const int sizes[][2] = {{1, 1}, {7, 3}, {3, 33}, {64, 64}};
    uint8_t data[64 * 64 * 3];

    fill(data, sizeof data);
    for (size_t i = 0; i < N_OF(sizes); i++) {
        for (int c = 1; c <= 3; c += 2) {
            ss_image im = {.w = sizes[i][0], .h = sizes[i][1], .c = c, .data = data};

            assert_int_equal(ss_image_write_png(in_tmp("a.png"), &im, NULL), SS_OK);
            assert_reads(in_tmp("a.png"), im.w, im.h, c, data);
        }
    }
}

static void test_sixteen_bits_are_rounded(void **state)
{
    (void)state;
    uint8_t gray[] = {0, 0, 0, 128, 0, 129, 0x80, 0x80, 0xff, 0xff, 0xff, 0x7e};
    const uint8_t want[] = {0, 0, 1, 128, 255, 254}; /* v / 257 to nearest */
    uint8_t rgb[] = {0x12, 0x12, 0x34, 0x34, 0x56, 0x56};
    const uint8_t want_rgb[] = {0x12, 0x34, 0x56};

    write_kind(in_tmp("g16.png"), 6, 1, 16, PNG_COLOR_TYPE_GRAY, false, gray, 12);
    assert_reads(in_tmp("g16.png"), 6, 1, 1, want);
    write_kind(in_tmp("c16.png"), 1, 1, 16, PNG_COLOR_TYPE_RGB, false, rgb, 6);
    assert_reads(in_tmp("c16.png"), 1, 1, 3, want_rgb);
}

static void test_few_bits_are_stretched(void **state)
{
    (void)state;
    uint8_t one[] = {0xa0, 0x40}, two[] = {0x1b}, four[] = {0x0f, 0x80};
    const uint8_t want_one[] = {255, 0, 255, 0, 255, 0}, want_two[] = {0, 85, 170, 255},
                  want_four[] = {0, 255, 136};

    write_kind(in_tmp("1.png"), 3, 2, 1, PNG_COLOR_TYPE_GRAY, false, one, 1);
    assert_reads(in_tmp("1.png"), 3, 2, 1, want_one);
    write_kind(in_tmp("2.png"), 4, 1, 2, PNG_COLOR_TYPE_GRAY, false, two, 1);
    assert_reads(in_tmp("2.png"), 4, 1, 1, want_two);
    write_kind(in_tmp("4.png"), 3, 1, 4, PNG_COLOR_TYPE_GRAY, false, four, 2);
    assert_reads(in_tmp("4.png"), 3, 1, 1, want_four);
}

static void test_palettes_become_rgb(void **state)
{
    (void)state;
    uint8_t index[] = {0x1b, 0xe4}; /* 0 1 2 3, 3 2 1 0; two entries have alpha */
    const uint8_t want[] = {1, 2, 3, 255, 0,   0,  0,   128, 64, 9, 9, 9,
                            9, 9, 9, 0,   128, 64, 255, 0,   0,  1, 2, 3};

    write_kind(in_tmp("p.png"), 4, 2, 2, PNG_COLOR_TYPE_PALETTE, false, index, 1);
    assert_reads(in_tmp("p.png"), 4, 2, 3, want);
}

static void test_alpha_is_dropped(void **state)
{
    (void)state;
    uint8_t rgba[] = {10, 20, 30, 0, 40, 50, 60, 255}, ga[] = {7, 0, 8, 9};
    const uint8_t want[] = {10, 20, 30, 40, 50, 60}, want_g[] = {7, 8};

    write_kind(in_tmp("ca.png"), 2, 1, 8, PNG_COLOR_TYPE_RGB_ALPHA, false, rgba, 8);
    assert_reads(in_tmp("ca.png"), 2, 1, 3, want);
    write_kind(in_tmp("ga.png"), 2, 1, 8, PNG_COLOR_TYPE_GRAY_ALPHA, false, ga, 4);
    assert_reads(in_tmp("ga.png"), 2, 1, 1, want_g);
}

static void test_interlaced(void **state)
{
    (void)state;
    uint8_t data[13 * 11 * 3];

    fill(data, sizeof data);
    write_kind(in_tmp("i.png"), 13, 11, 8, PNG_COLOR_TYPE_RGB, true, data, 13 * 3);
    assert_reads(in_tmp("i.png"), 13, 11, 3, data);
}

static size_t slurp(const char *path, uint8_t *out, size_t n)
{
    FILE *f = fopen(path, "rb");
    size_t len = fread(out, 1, n, f);

    fclose(f);
    return len;
}

static void test_truncated_and_broken_files(void **state)
{
    (void)state;
    uint8_t data[16 * 16 * 3], file[4096];
    ss_image im = {.w = 16, .h = 16, .c = 3, .data = data}, got = {0};
    ss_err e = {0};

    fill(data, sizeof data);
    assert_int_equal(ss_image_write_png(in_tmp("t.png"), &im, NULL), SS_OK);
    size_t n = slurp(in_tmp("t.png"), file, sizeof file);

    for (size_t cut = 0; cut < n; cut++) { /* every length but the whole */
        write_file(in_tmp("cut.png"), file, cut);
        assert_int_equal(ss_image_read_png(in_tmp("cut.png"), &got, &e), SS_FORMAT);
        assert_null(got.data);
    }
    for (size_t i = 0; i < n; i++) { /* every byte wrong once: an error or a picture, no crash */
        file[i] ^= 0x55;
        write_file(in_tmp("bad.png"), file, n);
        if (ss_image_read_png(in_tmp("bad.png"), &got, &e) == SS_OK)
            ss_image_release(&got);
        file[i] ^= 0x55;
    }
    assert_int_equal(ss_image_read_png(in_tmp("none.png"), &got, &e), SS_IO);
    write_file(in_tmp("text.png"), "a text, no picture", 18);
    assert_int_equal(ss_image_read_png(in_tmp("text.png"), &got, &e), SS_FORMAT);
    assert_non_null(strstr(e.msg, "text.png: not a PNG file"));
}

/* A valid file whose header is replaced, with its checksum, by one that claims w x h. */
static void claim_size(uint32_t w, uint32_t h)
{
    uint8_t file[4096];
    size_t n = slurp(in_tmp("t.png"), file, sizeof file);

    for (int i = 0; i < 4; i++) {
        file[16 + i] = (uint8_t)(w >> (24 - 8 * i));
        file[20 + i] = (uint8_t)(h >> (24 - 8 * i));
    }
    uint32_t crc = (uint32_t)crc32(0, file + 12, 17);

    for (int i = 0; i < 4; i++)
        file[29 + i] = (uint8_t)(crc >> (24 - 8 * i));
    write_file(in_tmp("huge.png"), file, n);
}

static void test_claims_are_checked_before_memory_is_asked_for(void **state)
{
    (void)state;
    ss_image got = {0};
    ss_err e = {0};

    claim_size(16384, 16384);
    assert_int_equal(ss_image_read_png(in_tmp("huge.png"), &got, &e), SS_FORMAT);
    assert_non_null(strstr(e.msg, "claims 16384 x 16384 pixels, which "));
    claim_size(0x7fffffff, 1);
    assert_int_equal(ss_image_read_png(in_tmp("huge.png"), &got, &e), SS_FORMAT);
    claim_size(0, 5);
    assert_int_equal(ss_image_read_png(in_tmp("huge.png"), &got, &e), SS_FORMAT);
    claim_size(16, 17); /* a row too many: the data end early */
    assert_int_equal(ss_image_read_png(in_tmp("huge.png"), &got, &e), SS_FORMAT);
}

static long peak_kb(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

/* A text and a colour profile of 1 GB, in a file of some hundred bytes. */
static void test_chunks_cost_no_more_than_they_hold(void **state)
{
    (void)state;
    static const char *const kinds[] = {"tEXt", "iCCP", "zTXt", "iTXt"};
    uint8_t file[4096], made[8192];
    const size_t n = slurp(in_tmp("t.png"), file, sizeof file);
    const long before = peak_kb();
    ss_image got = {0};
    ss_err e = {0};

    for (size_t i = 0; i < N_OF(kinds); i++) {
        memcpy(made, file, 33); /* signature and IHDR */
        memcpy(made + 33, "\x40\0\0\0", 4);
        memcpy(made + 37, kinds[i], 4);
        memcpy(made + 41, file + 33, n - 33);
        write_file(in_tmp("chunk.png"), made, n + 8);
        assert_int_equal(ss_image_read_png(in_tmp("chunk.png"), &got, &e), SS_FORMAT);
    }
    if (peak_kb() - before > 200 << 10)
        fail_msg("%ld MB were touched", (peak_kb() - before) >> 10);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    uint8_t data[8 * 8] = {0};
    ss_image im = {.w = 8, .h = 8, .c = 1, .data = data}, got = {0};
    ss_err e = {0};
    unsigned long k = 1, before;
    bool reached = true;

    for (; reached; k++) {
        ss_mem_fail_at(k);
        before = ss_mem_calls();
        ss_code rc = ss_image_write_png(in_tmp("m.png"), &im, &e);

        reached = ss_mem_calls() - before >= k;
        ss_mem_fail_at(0);
        assert_int_equal(rc, reached ? SS_NOMEM : SS_OK);
    }
    assert_true(k > 4);
    int files = count_files(tmp_dir);

    for (k = 1, reached = true; reached; k++) {
        ss_mem_fail_at(k);
        before = ss_mem_calls();
        ss_code rc = ss_image_read_png(in_tmp("m.png"), &got, &e);

        reached = ss_mem_calls() - before >= k;
        ss_mem_fail_at(0);
        assert_int_equal(rc, reached ? SS_NOMEM : SS_OK);
        if (rc == SS_OK)
            ss_image_release(&got);
    }
    assert_true(k > 4);
    assert_int_equal(count_files(tmp_dir), files);
}

static void test_impossible_pictures_are_not_written(void **state)
{
    (void)state;
    uint8_t data[16] = {0};
    ss_err e = {0};

    assert_int_equal(
        ss_image_write_png(in_tmp("x"), &(ss_image){.w = 1, .h = 1, .c = 4, .data = data}, &e),
        SS_SHAPE);
    assert_int_equal(
        ss_image_write_png(in_tmp("x"), &(ss_image){.w = 0, .h = 1, .c = 1, .data = data}, &e),
        SS_SHAPE);
    assert_int_equal(
        ss_image_write_png(in_tmp("no/x"), &(ss_image){.w = 1, .h = 1, .c = 1, .data = data}, &e),
        SS_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_sixteen_bits_are_rounded),
        cmocka_unit_test(test_few_bits_are_stretched),
        cmocka_unit_test(test_palettes_become_rgb),
        cmocka_unit_test(test_alpha_is_dropped),
        cmocka_unit_test(test_interlaced),
        cmocka_unit_test(test_truncated_and_broken_files),
        cmocka_unit_test(test_claims_are_checked_before_memory_is_asked_for),
        cmocka_unit_test(test_chunks_cost_no_more_than_they_hold),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_impossible_pictures_are_not_written),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
