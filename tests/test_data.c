/* test_data.c - training data: what is drawn, and that it depends on seed, step and index alone */
#include "base/png.h"
#include "tests/data_case.h"

#include <inttypes.h>

/* A small IDX pair: 5 pictures of 4 x 6, pixel (y, x) of picture i is 40 i + 6 y + x. */
static void make_idx(void)
{
    unsigned char pictures[16 + 5 * 24] = {0, 0, 8, 3, 0, 0, 0, 5, 0, 0, 0, 4, 0, 0, 0, 6};
    unsigned char labels[8 + 5] = {0, 0, 8, 1, 0, 0, 0, 5, 3, 1, 4, 1, 2};

    for (int i = 0; i < 5 * 24; i++)
        pictures[16 + i] = (unsigned char)(i / 24 * 40 + i % 24);
    write_file(in_tmp("pictures"), pictures, sizeof pictures);
    write_file(in_tmp("labels"), labels, sizeof labels);
}

static void test_idx(void **state)
{
    (void)state;
    static const int marks[5] = {3, 1, 4, 1, 2};
    ss_data_options opt = ss_data_defaults();
    float x[400][4][5];
    int64_t label[400];
    int seen[5] = {0};

    make_idx();
    opt.kind = SS_DATA_IDX;
    opt.path = in_tmp("pictures");
    opt.labels = in_tmp("labels");
    opt.pool = 2;
    opt.h = 4; /* pictures of 2 x 3 in its middle: one line above and below, one column each side */
    opt.w = 5;
    opt.null_class = 5;
    ss_data *d = open_data(&opt);

    assert_int_equal(ss_data_size(d), 5);
    assert_int_equal(ss_data_classes(d), 5);
    ss_data_batch(d, 7, 400, &x[0][0][0], label);
    for (int i = 0; i < 400; i++) {
        /* the mean of a 2 x 2 square is that of its first pixel + 3.5 */
        const int which = (int)lrint(((x[i][1][1] + 1) * 127.5 - 3.5) / 40);

        assert_in_range(which, 0, 4);
        assert_int_equal(label[i], marks[which]);
        seen[which]++;
        for (int py = 0; py < 4; py++) {
            for (int px = 0; px < 5; px++) {
                const bool in = py >= 1 && py <= 2 && px >= 1 && px <= 3;
                const double v = 40 * which + 3.5 + 12 * (py - 1) + 2 * (px - 1);

                assert_true(fabs(x[i][py][px] - (in ? v / 127.5 - 1 : -1)) < 1e-6);
            }
        }
    }
    for (int i = 0; i < 5; i++)
        assert_in_range(seen[i], 50, 110); /* 80 +- 8 */
    for (int i = 0; i < 5; i++) {          /* one by one, in the file's order */
        ss_data_picture(d, i, &x[0][0][0], label);
        assert_int_equal(label[0], marks[i]);
        assert_true(fabs(x[0][1][1] - ((40 * i + 3.5) / 127.5 - 1)) < 1e-6);
    }
    ss_data_close(d);

    opt.pool = 4;
    refused(&opt, SS_USAGE, "pictures of 4 x 6 cannot be divided into 4 x 4 pixels");
    opt.pool = 1;
    refused(&opt, SS_USAGE, "pictures of 4 x 6 after averaging are larger than 4 x 5");
    opt.pool = 2;
    opt.null_class = 4;
    refused(&opt, SS_USAGE, "the null class is 4, but the data have labels 0 to 4");
    opt.null_class = 5;
    opt.labels = opt.path;
    refused(&opt, SS_USAGE, "has 3 dimensions; expected 1");
    opt.path = in_tmp("nothing");
    refused(&opt, SS_IO, "nothing");
}

/* FAST-16's data, where the package that holds them is installed. */
static void test_fashion_mnist(void **state)
{
    (void)state;
    static const char dir[] = "/usr/share/datasets/fashion-mnist";
    ss_data_options opt = ss_data_defaults();
    static float x[16][16][16];
    int64_t label[16];

    opt.kind = SS_DATA_IDX;
    opt.path = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz";
    opt.labels = "/usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz";
    opt.pool = 2;
    opt.null_class = 10;
    if (access(dir, R_OK) != 0)
        skip_because("%s is not there (Debian's dataset-fashion-mnist)", dir);
    ss_data *d = open_data(&opt);

    assert_int_equal(ss_data_size(d), 10000);
    assert_int_equal(ss_data_classes(d), 10);
    ss_data_batch(d, 0, 16, &x[0][0][0], label);
    for (int i = 0; i < 16; i++) {
        double most = -1;

        assert_in_range(label[i], 0, 9);
        for (int k = 0; k < 16; k++) {
            assert_true(x[i][0][k] == -1 && x[i][15][k] == -1);
            assert_true(x[i][k][0] == -1 && x[i][k][15] == -1);
            for (int j = 0; j < 16; j++)
                most = fmax(most, x[i][k][j]);
        }
        assert_true(most > 0 && most <= 1);
    }
    ss_data_close(d);
}

static void test_depends_on_seed_step_and_index(void **state)
{
    (void)state;
    enum { N = 6, EACH = 16 * 12 * 3 };
    ss_data_options opt = ss_data_defaults();
    static float a[N][EACH], b[N][EACH];
    int64_t la[N], lb[N];

    opt.h = 16;
    opt.w = 12;
    opt.c = 3;
    opt.flip = true;
    opt.dropout = 0.2;
    opt.null_class = 3;
    ss_data *d = open_data(&opt), *again = open_data(&opt);

    ss_data_batch(d, 1, N, a[0], la);
    ss_data_batch(d, 2, N, a[0], la);
    ss_data_batch(again, 2, N, b[0], lb); /* without step 1 before */
    assert_memory_equal(a, b, sizeof a);
    assert_memory_equal(la, lb, sizeof la);
    ss_data_batch(again, 2, 3, b[0], NULL); /* a smaller batch is the beginning of it */
    assert_memory_equal(a, b, sizeof a);
    for (int i = 1; i < N; i++)
        assert_true(memcmp(a[0], a[i], sizeof a[0]) != 0);
    ss_data_batch(again, 3, N, b[0], lb);
    assert_true(memcmp(a, b, sizeof a) != 0);
    ss_data_close(again);
    opt.seed = 1;
    again = open_data(&opt);
    ss_data_batch(again, 2, N, b[0], lb);
    assert_true(memcmp(a, b, sizeof a) != 0);
    ss_data_close(again);
    ss_data_close(d);
}

/* Each kind fills its own share of its bounding box: 1, pi/4, 1/2. */
static void test_shapes(void **state)
{
    (void)state;
    enum { N = 300, H = 32, W = 40 };
    static const double want[3] = {1, 3.14159265 / 4, 0.5};
    ss_data_options opt = ss_data_defaults();
    static float x[N][H][W];
    int64_t label[N];
    int seen[3] = {0};
    double share[3] = {0};

    opt.h = H;
    opt.w = W;
    ss_data *d = open_data(&opt);
    assert_int_equal(ss_data_size(d), 0);
    assert_int_equal(ss_data_classes(d), 3);
    ss_data_batch(d, 0, N, x[0][0], label);
    for (int i = 0; i < N; i++) {
        double most = -1, area = 0, across = 0;

        assert_in_range(label[i], 0, 2);
        for (int k = 0; k < H * W; k++)
            most = fmax(most, x[i][k / W][k % W]);
        assert_true(most >= -0.5 && most <= 1);
        for (int px = 0; px < W; px++) { /* the widest line is as wide as the shape */
            double up = -1;

            for (int py = 0; py < H; py++) {
                area += (x[i][py][px] + 1) / (most + 1);
                up = fmax(up, x[i][py][px]);
            }
            across += (up + 1) / (most + 1);
        }
        seen[label[i]]++;
        share[label[i]] += area / (across * across);
    }
    for (int k = 0; k < 3; k++) {
        print_message("kind %d: %d, share %.3f\n", k, seen[k], share[k] / seen[k]);
        assert_in_range(seen[k], 70, 130);
        assert_true(fabs(share[k] / seen[k] - want[k]) < 0.06);
    }
    ss_data_close(d);
    opt.h = 3;
    refused(&opt, SS_USAGE, "4 x 4 and more");
}

static void test_dropout_and_flip(void **state)
{
    (void)state;
    enum { N = 2000 };
    ss_data_options opt = ss_data_defaults();
    static float x[N][16 * 16], y[N][16][16];
    int64_t label[N], plain[N];
    int dropped = 0, mirrored = 0;

    opt.dropout = 0.1;
    refused(&opt, SS_USAGE, "condition dropout needs a null class");
    opt.null_class = 3;
    opt.flip = true;
    ss_data *d = open_data(&opt);
    opt.dropout = 0;
    opt.flip = false;
    ss_data *e = open_data(&opt);

    ss_data_batch(d, 5, N, x[0], label);
    ss_data_batch(e, 5, N, y[0][0], plain);
    for (int i = 0; i < N; i++) {
        assert_in_range(plain[i], 0, 2);
        assert_true(label[i] == 3 || label[i] == plain[i]); /* the others are what they were */
        dropped += label[i] == 3;
        if (memcmp(x[i], y[i], sizeof x[i]) == 0)
            continue;
        mirrored++;
        for (int k = 0; k < 256; k++)
            assert_true(x[i][k] == y[i][k / 16][15 - k % 16]);
    }
    print_message("%d of %d dropped, %d mirrored\n", dropped, N, mirrored);
    assert_in_range(dropped, 150, 250);   /* 200 +- 13 */
    assert_in_range(mirrored, 900, 1100); /* 1000 +- 22, less the symmetric */
    mirrored = 0;
    for (int i = 0; i < N; i++) { /* by number: mirrored alike, but nothing is dropped */
        ss_data_picture(d, i, x[0], label);
        ss_data_picture(e, i, y[0][0], plain);
        assert_true(label[0] == plain[0] && label[0] < 3);
        mirrored += memcmp(x[0], y[0], sizeof x[0]) != 0;
        ss_data_picture(d, i, x[1], label);
        assert_memory_equal(x[0], x[1], sizeof x[0]);
    }
    assert_in_range(mirrored, 900, 1100);
    ss_data_close(d);
    ss_data_close(e);
    opt.dropout = 1.5;
    refused(&opt, SS_USAGE, "condition dropout is 1.5");
    opt.dropout = 0;
    opt.c = 4;
    refused(&opt, SS_USAGE, "4 channels");
}

static void test_folder(void **state)
{
    (void)state;
    static uint8_t gray[2][4] = {{0, 255, 0, 255}, {255, 255, 255, 255}};
    static const struct {
        const char *text, *want;
    } bad[] = {
        {"", "captions.jsonl: 0 lines"},
        {"{\"file\": \"a.png\"}\n{\"file\": 3}\n", "captions.jsonl:2: \"file\" is 3"},
        {"{\"label\": 3}", "captions.jsonl:1: \"file\" is missing"},
        {"{\"file\": \"../a.png\"}",
         "\"file\" is \"../a.png\"; expected the name of a PNG file in the folder"},
        {"{\"file\": \"a.png\", \"lable\": 3}", "\"lable\" is 3; known: file, frames, label, text"},
        {"{\"file\": \"a.png\", \"label\": -3}", "\"label\" is -3; labels are 0 to"},
        {"{\"file\": \"a.png\", \"label\": 1, \"text\": \"x\"}", "a label or a text, not both"},
        {"{\"file\": \"a.png\", \"label\": 1}\n{\"file\": \"b.png\"}",
         "captions.jsonl:2: has neither a label nor a text, the lines before have a label"},
        {"{\"file\": \"a.png\"", "captions.jsonl:1: line 1"},
        {"{\"file\": \"none.png\"}", "none.png"},
    };
    ss_data_options opt = ss_data_defaults();
    float x[64][4];
    int64_t label[64];
    int second = 0;

    for (int i = 0; i < 2; i++) {
        const ss_image im = {2, 2, 1, gray[i]};
        assert_int_equal(ss_image_write_png(in_tmp(i ? "b.png" : "a.png"), &im, NULL), SS_OK);
    }
    opt.kind = SS_DATA_FOLDER;
    opt.path = tmp_dir;
    opt.h = opt.w = 2;

    captions("{\"file\": \"a.png\", \"label\": 3}\n{\"file\": \"b.png\", \"label\": 7}\n");
    ss_data *d = open_data(&opt);
    assert_int_equal(ss_data_size(d), 2);
    assert_int_equal(ss_data_classes(d), 8);
    assert_null(ss_data_caption(d, 0));
    ss_data_batch(d, 0, 64, x[0], label);
    for (int i = 0; i < 64; i++) {
        const bool b = label[i] == 7;

        assert_true(b || label[i] == 3);
        assert_true(x[i][0] == (b ? 1 : -1) && x[i][1] == 1);
        second += b;
    }
    assert_in_range(second, 16, 48);
    ss_data_close(d);

    captions(
        "{\"file\": \"b.png\", \"text\": \"white\"}\n{\"file\": \"a.png\", \"text\": \"half\"}");
    d = open_data(&opt);
    assert_int_equal(ss_data_classes(d), 2);
    assert_string_equal(ss_data_caption(d, 1), "half");
    assert_null(ss_data_caption(d, 2));
    ss_data_batch(d, 0, 64, x[0], label);
    for (int i = 0; i < 64; i++)
        assert_true(x[i][0] == (label[i] == 0 ? 1 : -1));
    ss_data_close(d);

    captions("{\"file\": \"a.png\"}\n");
    d = open_data(&opt);
    assert_int_equal(ss_data_classes(d), 0);
    ss_data_batch(d, 0, 1, x[0], label);
    assert_int_equal(label[0], -1);
    ss_data_close(d);

    for (size_t i = 0; i < N_OF(bad); i++) {
        ss_err e = {0};

        captions(bad[i].text);
        assert_int_not_equal(ss_data_open(&opt, &d, &e), SS_OK);
        if (!strstr(e.msg, bad[i].want))
            fail_msg("%s gives '%s', not '...%s...'", bad[i].text, e.msg, bad[i].want);
    }
}

/* Two classes are enough: every third step has the rare one alone, twice as large, the others have
 * none of it. */
static void test_rare_class(void **state)
{
    (void)state;
    static uint8_t gray[1] = {255};
    const ss_image im = {1, 1, 1, gray};
    ss_data_options opt = ss_data_defaults();
    float x[8];
    int64_t label[8];

    assert_int_equal(ss_image_write_png(in_tmp("a.png"), &im, NULL), SS_OK);
    opt.kind = SS_DATA_FOLDER;
    opt.path = tmp_dir;
    opt.h = opt.w = 1;
    opt.rare = 1;
    opt.rare_every = 3;
    opt.rare_scale = 2;
    captions("{\"file\": \"a.png\", \"label\": 0}\n{\"file\": \"a.png\", \"label\": 1}\n");
    ss_data *d = open_data(&opt);
    assert_int_equal(ss_data_classes(d), 2);
    for (int step = 0; step < 7; step++) {
        ss_data_batch(d, step, 8, x, label);
        for (int i = 0; i < 8; i++) {
            assert_int_equal(label[i], step % 3 == 0);
            assert_true(x[i] == (step % 3 == 0 ? 2 : 1));
        }
    }
    ss_data_close(d);

    opt.rare = 2;
    refused(&opt, SS_USAGE, "the rare class is 2, but the data have 2 classes");
    opt.rare = 0;
    captions("{\"file\": \"a.png\", \"label\": 0}\n");
    refused(&opt, SS_USAGE, "a rare class needs another class");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idx),
        cmocka_unit_test(test_fashion_mnist),
        cmocka_unit_test(test_depends_on_seed_step_and_index),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_dropout_and_flip),
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_rare_class),
    };

    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
