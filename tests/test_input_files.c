/* test_input_files.c - pictures on their way from PNG and IDX files to a network's input */
#include "base/log.h"
#include "base/mem.h"
#include "base/png.h"
#include "probe/idx.h"
#include "probe/picture.h"
#include "tests/ss_input.h"

#include <sys/stat.h>
#include <zlib.h>

static const char fashion[] = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz";

static float unit(double byte)
{
    return (float)(byte / 127.5 - 1);
}

static void write_png(const char *name, int h, int w, int c, const uint8_t *data)
{
    ss_image im = {.h = h, .w = w, .c = c, .data = (uint8_t *)data};

    assert_int_equal(ss_image_write_png(in_tmp(name), &im, NULL), SS_OK);
}

static void fit(int fh, int fw, int fc, const uint8_t *data, int h, int w, int c, float *x)
{
    ss_image im = {.h = fh, .w = fw, .c = fc, .data = (uint8_t *)data};

    assert_int_equal(ss_picture_fit(&im, x, h, w, c, NULL), SS_OK);
}

static void test_same_size_is_untouched(void **state)
{
    (void)state;
    uint8_t data[5 * 7 * 3];
    float x[5 * 7 * 3];

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 37);
    fit(5, 7, 3, data, 5, 7, 3, x);
    for (size_t i = 0; i < sizeof data; i++)
        assert_true(x[i] == unit(data[i]));
    assert_true(unit(0) == -1 && unit(255) == 1);
}

static void test_channels(void **state)
{
    (void)state;
    static const uint8_t rgb[] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 12, 200, 77};
    static const uint8_t luma[] = {76, 150, 29, 130}; /* what PIL's convert("L") gives */
    float x[4], y[12];

    fit(1, 4, 3, rgb, 1, 4, 1, x);
    fit(1, 4, 1, luma, 1, 4, 3, y);
    for (int i = 0; i < 4; i++) {
        assert_true(x[i] == unit(luma[i]));
        for (int k = 0; k < 3; k++)
            assert_true(y[3 * i + k] == unit(luma[i]));
    }
}

static void test_shrinking_averages_areas(void **state)
{
    (void)state;
    static const uint8_t data[] = {0, 30, 90, 60, 120, 210, 6, 9, 12};
    static const float want_1[] = {537.0f / 9};
    /* 3 -> 2: one and a half pixels each, the middle row and column shared. */
    static const double want_2[] = {(0 + 15 + 30 + 30) / 2.25, (15 + 90 + 30 + 105) / 2.25,
                                    (30 + 30 + 6 + 4.5) / 2.25, (30 + 105 + 4.5 + 12) / 2.25};
    float x[4];

    fit(3, 3, 1, data, 1, 1, 1, x);
    assert_true(fabsf(x[0] - unit(want_1[0])) < 1e-6f);
    fit(3, 3, 1, data, 2, 2, 1, x);
    for (int i = 0; i < 4; i++)
        assert_true(fabsf(x[i] - unit(want_2[i])) < 1e-6f);
}

static void test_growing_interpolates(void **state)
{
    (void)state;
    static const uint8_t data[] = {0, 100, 0, 100};
    static const double want[] = {0, 25, 75, 100};
    float x[16];

    fit(2, 2, 1, data, 4, 4, 1, x);
    for (int i = 0; i < 16; i++)
        assert_true(fabsf(x[i] - unit(want[i % 4])) < 1e-6f);
}

static void test_resampling_keeps_constants_and_the_mean(void **state)
{
    (void)state;
    static const int sizes[][4] = {{1, 1, 5, 3}, {17, 40, 8, 8},  {40, 17, 8, 8},
                                   {9, 9, 9, 4}, {100, 3, 7, 50}, {64, 64, 3, 5}};
    uint8_t data[100 * 100 * 3];
    float x[64 * 64 * 3];

    memset(data, 200, sizeof data);
    for (size_t i = 0; i < N_OF(sizes); i++) {
        const int *s = sizes[i];

        fit(s[0], s[1], 3, data, s[2], s[3], 3, x);
        for (int k = 0; k < s[2] * s[3] * 3; k++)
            assert_true(fabsf(x[k] - unit(200)) < 1e-6f);
    }
    double mean[2] = {0};

    for (int i = 0; i < 60 * 60; i++) {
        data[i] = (uint8_t)(i * i % 251);
        mean[0] += unit(data[i]) / 3600;
    }
    fit(60, 60, 1, data, 17, 17, 1, x);
    for (int i = 0; i < 17 * 17; i++)
        mean[1] += x[i] / 289.0;
    assert_true(fabs(mean[0] - mean[1]) < 1e-6);
}

static void test_crop_is_central(void **state)
{
    (void)state;
    static const uint8_t wide[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    float x[4];

    fit(2, 5, 1, wide, 2, 2, 1, x); /* columns 1 and 2 of 0..4 */
    assert_true(x[0] == unit(2) && x[1] == unit(3) && x[2] == unit(7) && x[3] == unit(8));
    fit(5, 2, 1, wide, 2, 2, 1, x); /* rows 1 and 2 */
    assert_true(x[0] == unit(3) && x[1] == unit(4) && x[2] == unit(5) && x[3] == unit(6));
}

static void test_folders_are_read_in_order(void **state)
{
    (void)state;
    float x[4];
    static const char *const names[] = {"b.png", "a.png", "B.png", "a10.png", "a2.png"};
    static const int order[] = {2, 1, 3, 4, 0}; /* by bytes */

    mkdir(in_tmp("folder"), 0777);
    mkdir(in_tmp("folder/nothing"), 0777);
    for (size_t i = 0; i < N_OF(names); i++) {
        uint8_t data[4] = {(uint8_t)(10 * i), 1, 2, 3};
        char name[64];

        snprintf(name, sizeof name, "folder/%s", names[i]);
        write_png(name, 2, 2, 1, data);
    }
    write_file(in_tmp("folder/.hidden.png"), "?", 1);
    write_file(in_tmp("folder/notes.txt"), "?", 1);
    write_file(in_tmp("folder/.png"), "?", 1);

    ss_input *in = opened(spec_of("images", "folder"), 2, 2, 1, 5);
    for (int i = 0; i < 5; i++) {
        sample(in, i, x);
        assert_true(x[0] == unit(10 * order[i]));
    }
    ss_input_free(in);
    assert_not_opened(spec_of("images", "folder"), 2, 2, 1, 6, SS_USAGE,
                      "5 PNG files in the folder, 6 samples are asked for");
    assert_not_opened(spec_of("images", "folder/nothing"), 2, 2, 1, 1, SS_USAGE,
                      "no PNG file (NAME.png) in the folder");
    write_file(in_tmp("folder/A.png"), "\x89PNG\r\n\x1a\nbroken", 14);
    assert_not_opened(spec_of("images", "folder"), 2, 2, 1, 2, SS_FORMAT, "folder/A.png: ");
}

static void test_one_file_serves_every_sample(void **state)
{
    (void)state;
    static const uint8_t data[] = {0, 255, 51, 102};
    float x[4];

    write_png("single.png", 2, 2, 1, data);
    ss_input *in = opened(spec_of("images", "single.png"), 2, 2, 1, 3);

    for (int i = 0; i < 3; i++) {
        sample(in, i, x);
        assert_true(x[0] == -1 && x[1] == 1);
    }
    ss_input_free(in);
    assert_not_opened(spec_of("images", "none.png"), 2, 2, 1, 1, SS_IO, "No such file");
    assert_not_opened(spec_of("images", "single.png"), 2, 2, 4, 1, SS_USAGE,
                      "has 4 channels, pictures have 1 or 3; if it works on latents");
}

static void test_folders_of_videos(void **state)
{
    (void)state;
    const ss_sample_size video = {2, 2, 2, 1};
    float x[8];

    mkdir(in_tmp("videos"), 0777);
    mkdir(in_tmp("videos/.cache"), 0777);
    for (int v = 0; v < 2; v++) {
        char name[64];

        snprintf(name, sizeof name, "videos/%c", 'b' - v);
        mkdir(in_tmp(name), 0777);
        for (int f = 0; f < 3; f++) {
            const uint8_t data[4] = {(uint8_t)(100 * v + 10 * f), 1, 2, 3};

            snprintf(name, sizeof name, "videos/%c/%d.png", 'b' - v, f);
            write_png(name, 2, 2, 1, data);
        }
    }
    ss_input *in = opened_as(spec_of("images", "videos"), video, 2);
    for (int v = 0; v < 2; v++) {
        sample(in, v, x);
        assert_true(x[0] == unit(100 * !v) && x[4] == unit(100 * !v + 10));
        assert_string_equal(ss_input_sample_name(in, v), v ? "b" : "a");
    }
    ss_input_free(in);
    /* a folder of pictures holds one sample each, which stands still */
    in = opened_as(spec_of("images", "videos/a"), video, 3);
    sample(in, 2, x);
    assert_true(x[0] == unit(120) && x[4] == unit(120) && x[7] == unit(3));
    ss_input_free(in);
    in = opened_as(spec_of("images", "videos/b/1.png"), video, 3);
    sample(in, 2, x);
    assert_true(x[0] == unit(10) && x[4] == unit(10));
    ss_input_free(in);

    assert_not_opened_as(spec_of("images", "videos"), video, 3, SS_USAGE,
                         "2 folders of frames in the folder, 3 samples are asked for");
    assert_not_opened_as(spec_of("images", "videos"), (ss_sample_size){4, 2, 2, 1}, 1, SS_USAGE,
                         "videos/a: 3 PNG files in the folder, a video has 4 frames");
    assert_not_opened_as(spec_of("images", "videos/.cache"), video, 1, SS_USAGE,
                         "no PNG file (NAME.png) in the folder, and no folder of them");
    assert_not_opened(spec_of("images", "videos"), 2, 2, 1, 1, SS_USAGE,
                      "no PNG file (NAME.png) in the folder");
}

static void test_idx_of_videos(void **state)
{
    (void)state;
    /* 2 videos of 3 frames of 1 x 2 */
    static const unsigned char videos[] = {0, 0, 8, 4, 0, 0, 0, 2, 0, 0, 0,  3,  0,  0,  0,  1,
                                           0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16};
    const ss_sample_size video = {2, 1, 2, 1};
    float x[4];

    write_file(in_tmp("videos.idx"), videos, sizeof videos);
    ss_input *in = opened_as(spec_of("idx", "videos.idx"), video, 2);
    sample(in, 1, x);
    for (int i = 0; i < 4; i++)
        assert_true(x[i] == unit(11 + i));
    ss_input_free(in);
    assert_not_opened_as(spec_of("idx", "videos.idx"), (ss_sample_size){4, 1, 2, 1}, 1, SS_USAGE,
                         "has videos of 3 frames, the network takes 4");
    assert_not_opened(spec_of("idx", "videos.idx"), 1, 2, 1, 1, SS_USAGE,
                      "has 4 dimensions, pictures have 3: number, height, width");
}

/* Pictures of 4 x 4, averaged to 2 x 2, move over 3 x 3. */
static void test_moving_pictures(void **state)
{
    (void)state;
    enum { N = 40, F = 4, S = 3, EACH = F * S * S };
    unsigned char file[16 + N * 16] = {0, 0, 8, 3, 0, 0, 0, N, 0, 0, 0, 4, 0, 0, 0, 4};
    const ss_sample_size video = {F, S, S, 1};
    float x[N][F][S][S], again[EACH];
    int ways = 0;

    memset(file + 16, 200, N * 16);
    for (int i = 0; i < N; i++)
        file[16 + 16 * i] = 240; /* the first of its four pixels is then brighter, 210 */
    write_file(in_tmp("items.idx"), file, sizeof file);
    ss_input *in = opened_as(spec_of("moving", "items.idx"), video, N);
    for (int i = 0; i < N; i++) {
        int at[F][2] = {0};

        sample(in, i, x[i][0][0]);
        for (int k = 0; k < EACH; k++) {
            if (x[i][k / 9][k / 3 % 3][k % 3] == unit(210)) {
                at[k / 9][0] = k / 3 % 3;
                at[k / 9][1] = k % 3;
            }
        }
        assert_true(at[0][0] == 0 && at[0][1] == 0); /* (3 - 2) / 2 */
        for (int f = 1; f < F; f++) { /* the same way in each frame, round the canvas */
            assert_int_equal(at[f][0], f * at[1][0] % 3);
            assert_int_equal(at[f][1], f * at[1][1] % 3);
        }
        ways |= 1 << (3 * at[1][0] + at[1][1]);
    }
    assert_int_equal(ways, 0x1fe); /* a step of 2 lands where one of -1 does; none is 0 */
    ss_input_free(in);
    in = opened_as(spec_of("moving", "items.idx"), video, 2); /* fewer samples, the same */
    sample(in, 1, again);
    assert_memory_equal(again, x[1], sizeof again);
    ss_input_free(in);
    assert_not_opened(spec_of("moving", "items.idx"), S, S, 1, 1, SS_USAGE,
                      "the network takes pictures, not videos");
    assert_not_opened_as(spec_of("moving", "items.idx"), video, N + 1, SS_USAGE,
                         "holds 40 pictures, 41 samples are asked for");
}

static const unsigned char three[] = {
    0, 0, 8, 3, 0, 0, 0,  3,  0,  0,  0,  2,  0,  0,  0,  3, /* 3 pictures of 2 x 3 */
    1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16, 21, 22, 23, 24, 25, 26};

static void test_idx_plain_and_gzipped(void **state)
{
    (void)state;
    write_file(in_tmp("three.idx"), three, sizeof three);
    gzFile g = gzopen(in_tmp("three.idx.gz"), "wb");

    gzwrite(g, three, sizeof three);
    gzclose(g);
    static const char *const names[] = {"three.idx", "three.idx.gz"};

    for (size_t i = 0; i < 2; i++) {
        for (size_t max = 0; max < 5; max++) {
            ss_idx idx;

            assert_int_equal(ss_idx_read(in_tmp(names[i]), max, &idx, NULL), SS_OK);
            assert_int_equal(idx.rank, 3);
            assert_true(idx.dim[0] == 3 && idx.dim[1] == 2 && idx.dim[2] == 3 && idx.dim[3] == 1);
            assert_int_equal(idx.n, max < 3 ? max : 3);
            if (idx.n)
                assert_memory_equal(idx.data, three + 16, 6 * idx.n);
            ss_idx_release(&idx);
        }
    }
}

static void assert_idx_fails(const void *bytes, size_t n, size_t max, ss_code code,
                             const char *text)
{
    ss_idx idx;
    ss_err e = {0};

    write_file(in_tmp("bad.idx"), bytes, n);
    assert_int_equal(ss_idx_read(in_tmp("bad.idx"), max, &idx, &e), code);
    if (!strstr(e.msg, text))
        fail_msg("'%s' should hold '%s'", e.msg, text);
}

static void test_hostile_idx_files(void **state)
{
    (void)state;
    unsigned char b[sizeof three + 1];
    static const char ends[] = "ends before the data that its header promises";

    for (size_t n = 0; n < sizeof three; n++)
        assert_idx_fails(three, n, 10, SS_FORMAT, ends);
    memcpy(b, three, sizeof three);
    assert_idx_fails(b, sizeof b, 10, SS_FORMAT, "has more data than");
    b[4] = 0xff; /* four billion pictures: refused when the data end, without their memory */
    assert_idx_fails(b, sizeof three, SIZE_MAX, SS_FORMAT, ends);
    b[8] = b[12] = 0xff;
    assert_idx_fails(b, sizeof three, 10, SS_FORMAT, "bytes: 1 to ");
    b[8] = b[11] = b[12] = 0;
    assert_idx_fails(b, sizeof three, 10, SS_FORMAT, "items of 0 x 3 x 1 bytes");
    b[2] = 0x0d;
    assert_idx_fails(b, sizeof three, 10, SS_UNSUPPORTED, "type 0x0d");
    b[3] = 5;
    assert_idx_fails(b, sizeof three, 10, SS_FORMAT, "not an IDX file");
    assert_idx_fails("PK\3\4", 4, 10, SS_FORMAT, "not an IDX file (begins with 50 4b 03 04)");

    ss_idx idx;
    ss_err e = {0};

    assert_int_equal(ss_idx_read(in_tmp("none"), 1, &idx, &e), SS_IO);
    ss_mem_fail_at(1);
    write_file(in_tmp("three.idx"), three, sizeof three);
    assert_int_equal(ss_idx_read(in_tmp("three.idx"), 1, &idx, &e), SS_NOMEM);
}

static void test_broken_gzip(void **state)
{
    (void)state;
    unsigned char big[16 + 3000] = {0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 10, 0, 0, 0, 100}, file[4096];

    for (size_t i = 16; i < sizeof big; i++)
        big[i] = (unsigned char)(i * i * i % 253);
    gzFile g = gzopen(in_tmp("big.gz"), "wb");

    gzwrite(g, big, sizeof big);
    gzclose(g);
    FILE *f = fopen(in_tmp("big.gz"), "rb");
    size_t n = fread(file, 1, sizeof file, f);

    fclose(f);
    for (size_t cut = 0; cut < n - 8; cut += 7)
        assert_idx_fails(file, cut, 10, SS_FORMAT, "bad.idx: ");
    for (size_t i = 12; i < n - 4; i += 5) { /* the checksum differs, if nothing else does */
        file[i] ^= 0x10;
        assert_idx_fails(file, n, 10, SS_FORMAT, "bad.idx: ");
        file[i] ^= 0x10;
    }
}

static void test_idx_pictures_are_centred(void **state)
{
    (void)state;
    float x[5 * 4 * 3];

    write_file(in_tmp("three.idx"), three, sizeof three);
    ss_input *in = opened(spec_of("idx", "three.idx"), 5, 4, 3, 3);

    sample(in, 1, x);
    for (int i = 0; i < 20; i++) { /* rows 1 and 2, columns 0 to 2 */
        bool inside = i / 4 >= 1 && i / 4 <= 2 && i % 4 <= 2;
        float want = inside ? unit(11 + (i / 4 - 1) * 3 + i % 4) : -1;

        for (int k = 0; k < 3; k++)
            assert_true(x[3 * i + k] == want);
    }
    ss_input_free(in);

    in = opened(spec_of("idx", "three.idx"), 2, 2, 1, 3); /* too wide: cut */
    sample(in, 0, x);
    assert_true(x[0] == unit(1) && x[1] == unit(2) && x[2] == unit(4) && x[3] == unit(5));
    ss_input_free(in);
    assert_not_opened(spec_of("idx", "three.idx"), 4, 4, 1, 4, SS_USAGE,
                      "holds 3 pictures, 4 samples are asked for");
    static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 7, 9};

    write_file(in_tmp("labels"), labels, sizeof labels);
    assert_not_opened(spec_of("idx", "labels"), 4, 4, 1, 1, SS_USAGE, "has 1 dimensions");
}

static void test_fashion_mnist(void **state)
{
    (void)state;
    char spec[128];
    float x[32 * 32], y[14 * 14];
    double sum[2] = {0};

    if (access(fashion, R_OK) != 0)
        skip_because("%s is not there (Debian's dataset-fashion-mnist)", fashion);
    snprintf(spec, sizeof spec, "idx:%s", fashion);
    ss_input *in = opened(spec, 32, 32, 1, 16);

    sample(in, 15, x);
    for (int i = 0; i < 32 * 32; i++) {
        bool border = i / 32 < 2 || i / 32 >= 30 || i % 32 < 2 || i % 32 >= 30;

        assert_true(x[i] >= -1 && x[i] <= 1 && (!border || x[i] == -1));
        sum[0] += x[i] + 1;
    }
    ss_input_free(in);
    assert_true(sum[0] > 10); /* there is something in the middle */

    in = opened(spec, 14, 14, 1, 16); /* averaged over 2 x 2: a quarter of the sum is left */
    sample(in, 15, y);
    for (int i = 0; i < 14 * 14; i++)
        sum[1] += 4 * (y[i] + 1);
    ss_input_free(in);
    assert_true(fabs(sum[0] - sum[1]) < 1e-3);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    static const uint8_t data[12 * 12] = {0};
    static const char *const kinds[][2] = {
        {"images", "m"}, {"images", "m/b.png"}, {"idx", "m/idx"}, {"images", "videos"}};

    mkdir(in_tmp("m"), 0777);
    write_png("m/a.png", 12, 12, 1, data);
    write_png("m/b.png", 12, 9, 1, data);
    write_file(in_tmp("m/idx"), three, sizeof three);
    for (size_t i = 0; i < N_OF(kinds); i++) {
        ss_input *in = parsed(spec_of(kinds[i][0], kinds[i][1]));
        unsigned long k = 1;
        ss_code rc = SS_NOMEM;

        for (; rc != SS_OK; k++) {
            ss_mem_fail_at(k);
            rc = ss_input_open(in, (ss_sample_size){2 * (i == 3), 2, 2, 1}, 2, NULL);
            assert_true(rc == SS_OK || rc == SS_NOMEM);
        }
        ss_mem_fail_at(0);
        assert_true(k > 4);
        ss_input_free(in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_size_is_untouched),
        cmocka_unit_test(test_channels),
        cmocka_unit_test(test_shrinking_averages_areas),
        cmocka_unit_test(test_growing_interpolates),
        cmocka_unit_test(test_resampling_keeps_constants_and_the_mean),
        cmocka_unit_test(test_crop_is_central),
        cmocka_unit_test(test_folders_are_read_in_order),
        cmocka_unit_test(test_one_file_serves_every_sample),
        cmocka_unit_test(test_folders_of_videos),
        cmocka_unit_test(test_idx_of_videos),
        cmocka_unit_test(test_moving_pictures),
        cmocka_unit_test(test_idx_plain_and_gzipped),
        cmocka_unit_test(test_hostile_idx_files),
        cmocka_unit_test(test_broken_gzip),
        cmocka_unit_test(test_idx_pictures_are_centred),
        cmocka_unit_test(test_fashion_mnist),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    ss_log_setup(SS_LOG_QUIET, SS_PROGRESS_NEVER);
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
