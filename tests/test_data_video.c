/* test_data_video.c - videos as training data: items that move, folders of frames, static videos */
#include "base/png.h"
#include "tests/data_case.h"

enum { SIDE = 8, POOLED = 4, ITEMS = 6, CLASSES = 3 };

/* An IDX pair: ITEMS pictures of 8 x 8, of which 2 x 2 pixels are alike and differ from those of
 * any other place and picture; item i has the label i % CLASSES. */
static void make_items(void)
{
    unsigned char p[16 + ITEMS * SIDE * SIDE] = {0, 0, 8, 3, 0, 0, 0, ITEMS};
    unsigned char l[8 + ITEMS] = {0, 0, 8, 1, 0, 0, 0, ITEMS};

    p[11] = p[15] = SIDE;
    for (int i = 0; i < ITEMS; i++) {
        l[8 + i] = (unsigned char)(i % CLASSES);
        for (int k = 0; k < SIDE * SIDE; k++)
            p[16 + i * SIDE * SIDE + k] =
                (unsigned char)(100 + 20 * i + k / SIDE / 2 * POOLED + k % SIDE / 2);
    }
    write_file(in_tmp("items"), p, sizeof p);
    write_file(in_tmp("classes"), l, sizeof l);
}

/* Value (y, x) of item i after averaging; -1 outside of it. */
static double item(int i, int y, int x)
{
    const bool in = y >= 0 && x >= 0 && y < POOLED && x < POOLED;

    return in ? (100 + 20 * i + y * POOLED + x) / 127.5 - 1 : -1;
}

static ss_data_options moving(int frames, int canvas)
{
    ss_data_options opt = ss_data_defaults();

    make_items();
    opt.kind = SS_DATA_MOVING;
    opt.path = in_tmp("items");
    opt.labels = in_tmp("classes");
    opt.pool = 2;
    opt.frames = frames;
    opt.h = opt.w = canvas;
    opt.null_class = CLASSES + 1;
    return opt;
}

/* v modulo n, 0 to n - 1. */
static int modulo(int v, int n)
{
    return (v % n + n) % n;
}

/* The item in a frame [h][w] and the place of its brightest pixel, its lower right one. */
static int find_item(const float *x, int h, int w, int *y0, int *x0)
{
    int at = 0;

    for (int k = 1; k < h * w; k++)
        at = x[k] > x[at] ? k : at;
    *y0 = at / w;
    *x0 = at % w;
    return (int)lrint((x[at] + 1) * 127.5 - 100 - (POOLED * POOLED - 1)) / 20;
}

static void test_items_wrap(void **state)
{
    (void)state;
    enum { N = 600, F = 5, S = 7 };
    static float x[N][F][S][S];
    ss_data_options opt = moving(F, S);
    int64_t label[N];
    int seen[5][5] = {0};
    ss_data *d = open_data(&opt);

    assert_int_equal(ss_data_size(d), ITEMS);
    assert_int_equal(ss_data_classes(d), CLASSES);
    assert_null(ss_data_caption(d, 0));
    ss_data_batch(d, 3, N, x[0][0][0], label);
    for (int n = 0; n < N; n++) {
        int y0, x0, y1, x1;
        const int which = find_item(x[n][0][0], S, S, &y0, &x0);

        assert_true(y0 == 1 + 3 && x0 == 1 + 3); /* (7 - 4) / 2 from the top and the left */
        find_item(x[n][1][0], S, S, &y1, &x1);
        const int vy = modulo(y1 - y0 + 3, S) - 3, vx = modulo(x1 - x0 + 3, S) - 3;

        assert_true(abs(vy) <= 2 && abs(vx) <= 2 && (vy || vx));
        seen[vy + 2][vx + 2]++;
        assert_int_equal(label[n], which % CLASSES);
        for (int k = 0; k < F * S * S; k++) {
            const int f = k / S / S, y = k / S % S, px = k % S;
            const double want = item(which, modulo(y - 1 - f * vy, S), modulo(px - 1 - f * vx, S));

            assert_true(fabs(x[n][f][y][px] - want) < 1e-6);
        }
    }
    for (int k = 0; k < 25; k++)
        assert_in_range(seen[k / 5][k % 5], k == 12 ? 0 : 8, k == 12 ? 0 : 50); /* 25 +- 5 */
    ss_data_close(d);
}

/* On a canvas with room an item stays whole, wherever it begins, and turns back at the edges. */
static void test_items_bounce(void **state)
{
    (void)state;
    enum { N = 60, F = 12, S = 9 };
    static float x[N][F][S][S][3];
    static float gray[S][S];
    ss_data_options opt = moving(F, S);
    int turned = 0, begins[S] = {0};

    opt.moving.law = SS_MOVING_BOUNCE;
    opt.moving.offset = true;
    opt.c = 3;
    ss_data *d = open_data(&opt);

    ss_data_batch(d, 3, N, x[0][0][0][0], NULL);
    for (int n = 0; n < N; n++) {
        int before[2] = {0}; /* lines of the two frames before */

        for (int f = 0; f < F; f++) {
            int y0, x0;

            for (int k = 0; k < S * S; k++) {
                const float *v = x[n][f][k / S][k % S];

                assert_true(v[0] == v[1] && v[0] == v[2]);
                gray[k / S][k % S] = v[0];
            }
            const int which = find_item(gray[0], S, S, &y0, &x0);
            y0 -= 3;
            x0 -= 3;
            assert_true(y0 >= 0 && x0 >= 0 && y0 <= S - POOLED && x0 <= S - POOLED);
            for (int k = 0; k < S * S; k++)
                assert_true(fabs(gray[k / S][k % S] - item(which, k / S - y0, k % S - x0)) < 1e-6);
            if (f == 0)
                begins[y0]++;
            if (f > 1) {
                const int was = before[1] - before[0], is = y0 - before[1];

                turned += was * is < 0;
                assert_true(abs(is) <= 2);
            }
            before[0] = before[1];
            before[1] = y0;
        }
    }
    assert_true(turned > N);
    for (int k = 0; k <= S - POOLED; k++)
        assert_true(begins[k] > 1);
    ss_data_close(d);
}

/* The words of a caption that say where an item goes. */
static void read_direction(const char *text, int *vy, int *vx)
{
    *vy = strstr(text, "down") ? 1 : strstr(text, " up") ? -1 : 0;
    *vx = strstr(text, "right") ? 1 : strstr(text, "left") ? -1 : 0;
}

static double light(const float *x, int n)
{
    double sum = 0;

    for (int k = 0; k < n; k++)
        sum += x[k] + 1;
    return sum;
}

static void test_captions_say_what_is_seen(void **state)
{
    (void)state;
    static const char *const names[] = {"a cup", "the moon", "two keys"};
    enum { N = 400, F = 3, S = 11 };
    static float x[N][F][S][S];
    ss_data_options opt = moving(F, S);
    int64_t label[N];
    int still = 0, grows = 0, shrinks = 0;

    opt.texts = true;
    opt.null_class = 1 << 20;
    refused(&opt, SS_USAGE, "3 classes, and names for 10");
    opt.names = names;
    opt.n_names = 3;
    opt.moving.still = 0.25;
    opt.moving.zoom = 0.5;
    ss_data *d = open_data(&opt);
    assert_int_equal(ss_data_classes(d), 3 * 9 * 3);
    ss_data_batch(d, 1, N, x[0][0][0], label);
    for (int n = 0; n < N; n++) {
        const char *text = ss_data_caption(d, label[n]);
        const double first = light(x[n][0][0], S * S), last = light(x[n][2][0], S * S);
        const bool grown = strstr(text, " and growing"), shrunk = strstr(text, " and shrinking");
        int y[2], px[2], vy, vx;

        assert_non_null(text);
        read_direction(text, &vy, &vx);
        assert_true((strstr(text, "standing still") != NULL) == (vy == 0 && vx == 0));
        still += vy == 0 && vx == 0;
        grows += grown;
        shrinks += shrunk;
        if (grown || shrunk) { /* half as high and as wide */
            const double ratio = grown ? first / last : last / first;

            assert_true(ratio > 0.2 && ratio < 0.3);
            continue;
        }
        assert_true(fabs(first - last) < 1e-4);
        const int which = find_item(x[n][0][0], S, S, &y[0], &px[0]);
        find_item(x[n][1][0], S, S, &y[1], &px[1]);
        assert_true((y[1] > y[0]) - (y[1] < y[0]) == vy);
        assert_true((px[1] > px[0]) - (px[1] < px[0]) == vx);
        assert_true(strncmp(text, names[which % 3], strlen(names[which % 3])) == 0);
    }
    assert_in_range(still, 70, 130); /* 100 +- 9 */
    assert_in_range(grows, 70, 130);
    assert_in_range(shrinks, 70, 130);
    ss_data_close(d);
    opt.labels = NULL;
    refused(&opt, SS_USAGE, "captions of moving items need their classes");
}

static void test_two_items(void **state)
{
    (void)state;
    static const char *const names[] = {"a cup", "the moon", "two keys"};
    enum { N = 300, F = 2, S = 20 };
    static float x[N][F][S][S];
    ss_data_options opt = moving(F, S);
    int64_t label[N];
    int two = 0, apart = 0;

    opt.texts = true;
    opt.null_class = 1 << 20;
    opt.names = names;
    opt.n_names = 3;
    opt.second = 0.5;
    ss_data *d = open_data(&opt);
    assert_int_equal(ss_data_classes(d), 3 * 9 * 3 + 24 * 24);
    ss_data_batch(d, 1, N, x[0][0][0], label);
    for (int n = 0; n < N; n++) {
        const char *text = ss_data_caption(d, label[n]);
        const char *second = strstr(text, "moving");
        int pixels = 0, bright_y, bright_x;

        second = second ? strstr(second + 6, "moving") : NULL;
        for (int k = 0; k < S * S; k++)
            pixels += x[n][0][k / S][k % S] > -1;
        assert_true(second ? pixels >= 16 && pixels <= 32 : pixels == 16);
        two += second != NULL;
        apart += pixels == 32;
        if (second) { /* the class of the brighter one is named */
            const int which = find_item(x[n][0][0], S, S, &bright_y, &bright_x);

            assert_non_null(strstr(text, names[which % 3]));
        }
    }
    assert_in_range(two, 120, 180); /* 150 +- 9 */
    assert_true(apart > two / 2);
    ss_data_close(d);

    opt.texts = false; /* the class of the first */
    opt.null_class = CLASSES;
    d = open_data(&opt);
    ss_data_batch(d, 1, N, x[0][0][0], label);
    for (int n = 0; n < N; n++)
        assert_in_range(label[n], 0, CLASSES - 1);
    ss_data_close(d);
    opt.flip = true;
    refused(&opt, SS_USAGE, "moving items cannot be mirrored");
}

static void test_depends_on_seed_step_and_index(void **state)
{
    (void)state;
    enum { N = 5, F = 4, S = 9, EACH = F * S * S };
    static float a[N][EACH], b[N][EACH];
    ss_data_options opt = moving(F, S);
    int64_t la[N], lb[N];

    opt.second = opt.moving.zoom = opt.moving.still = 0.4;
    opt.static_share = 0.3;
    opt.static_class = CLASSES;
    opt.moving.offset = true;
    ss_data *d = open_data(&opt), *again = open_data(&opt);
    ss_data_batch(d, 1, N, a[0], la);
    ss_data_batch(d, 2, N, a[0], la);
    ss_data_batch(again, 2, N, b[0], lb);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_equal(la, lb, sizeof la);
    ss_data_batch(again, 2, 2, b[0], lb);
    assert_memory_equal(a, b, sizeof a);
    ss_data_batch(again, 3, N, b[0], lb);
    assert_true(memcmp(a, b, sizeof a) != 0);
    ss_data_picture(d, 4, a[0], la); /* by number: that item, whatever the step */
    ss_data_picture(again, 4, b[0], lb);
    assert_memory_equal(a[0], b[0], sizeof a[0]);
    assert_int_equal(la[0], 4 % CLASSES);
    ss_data_close(again);
    ss_data_close(d);
}

static bool is_static(const float *x, int frames, size_t n)
{
    for (int f = 1; f < frames; f++) {
        if (memcmp(x, x + (size_t)f * n, n * sizeof *x) != 0)
            return false;
    }
    return true;
}

/* A share of the videos is static and is labelled so; the others are what they were. */
static void test_static_videos(void **state)
{
    (void)state;
    static const char *const names[] = {"a cup", "the moon", "two keys"};
    enum { N = 400, F = 4, S = 8 };
    static float x[N][F * S * S], y[N][F * S * S];
    ss_data_options opt = moving(F, S);
    int64_t label[N], plain[N];
    int stopped = 0, frames[F] = {0};
    ss_data *d = open_data(&opt);

    ss_data_batch(d, 9, N, y[0], plain);
    ss_data_close(d);
    opt.static_share = 0.25;
    refused(&opt, SS_USAGE, "static videos need a class of their own (static_class): it is -1");
    opt.static_class = opt.null_class;
    refused(&opt, SS_USAGE, "static videos need a class of their own");
    opt.static_class = CLASSES;
    d = open_data(&opt);
    assert_int_equal(ss_data_classes(d), CLASSES);
    ss_data_batch(d, 9, N, x[0], label);
    ss_data_close(d);
    for (int n = 0; n < N; n++) {
        assert_true(is_static(x[n], F, S * S) == (label[n] == CLASSES));
        if (label[n] != CLASSES) {
            assert_memory_equal(x[n], y[n], sizeof x[n]);
            assert_int_equal(label[n], plain[n]);
            continue;
        }
        stopped++;
        for (int f = 0; f < F; f++)
            frames[f] += memcmp(x[n], y[n] + f * S * S, S * S * sizeof **x) == 0;
    }
    assert_in_range(stopped, 70, 130); /* 100 +- 9 */
    for (int f = 0; f < F; f++)
        assert_true(frames[f] > 8);

    opt.static_class = -1;
    opt.texts = true;
    opt.names = names;
    opt.n_names = 3;
    opt.null_class = 1 << 20;
    d = open_data(&opt);
    assert_int_equal(ss_data_classes(d), 2 * 3 * 9 * 3);
    ss_data_batch(d, 9, N, x[0], label);
    for (int n = 0; n < N; n++) {
        static const char prefix[] = "static video, no movement. ";
        const char *text = ss_data_caption(d, label[n]);
        const bool says = strncmp(text, prefix, strlen(prefix)) == 0;

        assert_true(says == is_static(x[n], F, S * S));
        if (says) /* and of the same item */
            assert_string_equal(text + strlen(prefix), ss_data_caption(d, label[n] - 81));
    }
    ss_data_close(d);
    opt.frames = 0;
    refused(&opt, SS_USAGE, "networks of two frames and more");
    opt.frames = F;
    opt.static_share = 1.5;
    refused(&opt, SS_USAGE, "static is 1.5");
}

/* A folder of 7 frames, frame f gray 10 f, and a strip of 4, frame f gray 100 + 10 f. */
static void make_videos(void)
{
    uint8_t gray[2 * 2], strip[2 * 8];

    mkdir(in_tmp("walk"), 0700);
    for (int f = 0; f < 7; f++) {
        const ss_image im = {2, 2, 1, gray};
        char name[32];

        memset(gray, 10 * f, sizeof gray);
        snprintf(name, sizeof name, "walk/frame-%03d.png", f);
        assert_int_equal(ss_image_write_png(in_tmp(name), &im, NULL), SS_OK);
    }
    for (int k = 0; k < 16; k++)
        strip[k] = (uint8_t)(100 + 10 * (k % 8 / 2));
    const ss_image im = {2, 8, 1, strip};
    assert_int_equal(ss_image_write_png(in_tmp("run.png"), &im, NULL), SS_OK);
}

static void test_folders_of_videos(void **state)
{
    (void)state;
    enum { N = 300, F = 3, EACH = F * 4 };
    static float x[N][F][4];
    ss_data_options opt = ss_data_defaults();
    int64_t label[N];
    int begins[2][7] = {0};

    make_videos();
    opt.kind = SS_DATA_FOLDER;
    opt.path = tmp_dir;
    opt.h = opt.w = 2;
    opt.frames = F;
    captions("{\"file\": \"walk\", \"label\": 0}\n"
             "{\"file\": \"run.png\", \"frames\": 4, \"label\": 1}\n");
    ss_data *d = open_data(&opt);
    assert_int_equal(ss_data_size(d), 2);
    ss_data_batch(d, 0, N, x[0][0], label);
    for (int n = 0; n < N; n++) {
        const int base = label[n] ? 100 : 0;
        const int from = (int)lrint(((x[n][0][0] + 1) * 127.5 - base) / 10);

        for (int k = 0; k < EACH; k++)
            assert_true(fabs(x[n][k / 4][k % 4] - ((base + 10 * (from + k / 4)) / 127.5 - 1)) <
                        1e-6);
        begins[label[n]][from]++;
    }
    for (int k = 0; k < 7; k++) { /* 150 by 5, or by 2, places */
        assert_in_range(begins[0][k], k < 5 ? 15 : 0, k < 5 ? 50 : 0);
        assert_in_range(begins[1][k], k < 2 ? 50 : 0, k < 2 ? 100 : 0);
    }
    ss_data_close(d);

    opt.stride = 2;
    refused(&opt, SS_USAGE,
            "captions.jsonl:2: run.png has 4 frames; 3 frames at a stride of 2 are taken from 5");
    captions("{\"file\": \"walk\"}\n");
    d = open_data(&opt);
    ss_data_batch(d, 0, 8, x[0][0], NULL);
    for (int n = 0; n < 8; n++)
        assert_true(fabs(x[n][2][0] - x[n][1][0] - 20 / 127.5) < 1e-6);
    ss_data_close(d);

    opt.stride = 1;
    captions("{\"file\": \"run.png\"}\n");
    refused(&opt, SS_USAGE, "run.png is a picture, and the network takes videos of 3 frames");
    opt.stills = true;
    d = open_data(&opt);
    ss_data_batch(d, 0, 1, x[0][0], NULL);
    assert_true(is_static(x[0][0], F, 4));
    ss_data_close(d);
    captions("{\"file\": \"run.png\", \"frames\": 3}\n");
    refused(&opt, SS_FORMAT, "captions.jsonl:1: the strip is 8 pixels wide, not a multiple of 3");
    captions("{\"file\": \"run.png\", \"frames\": -3}\n");
    refused(&opt, SS_FORMAT, "\"frames\" is -3; a strip has 1 to");
    captions("{\"file\": \"walk\", \"frames\": 3}\n");
    refused(&opt, SS_USAGE, "walk is a folder");
    opt.frames = 0;
    captions("{\"file\": \"walk\"}\n");
    refused(&opt, SS_USAGE, "walk is a video, and the network takes pictures");
}

/* Pictures are videos only where that is asked for. */
static void test_pictures_that_stand_still(void **state)
{
    (void)state;
    enum { F = 3, S = 8 };
    static float x[2][F * S * S];
    ss_data_options opt = moving(F, S);

    opt.kind = SS_DATA_IDX;
    refused(&opt, SS_USAGE, "kind moving makes them move");
    opt.stills = true;
    ss_data *d = open_data(&opt);
    ss_data_batch(d, 0, 2, x[0], NULL);
    for (int n = 0; n < 2; n++)
        assert_true(is_static(x[n], F, S * S));
    ss_data_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_wrap),
        cmocka_unit_test(test_items_bounce),
        cmocka_unit_test(test_captions_say_what_is_seen),
        cmocka_unit_test(test_two_items),
        cmocka_unit_test(test_depends_on_seed_step_and_index),
        cmocka_unit_test(test_static_videos),
        cmocka_unit_test(test_folders_of_videos),
        cmocka_unit_test(test_pictures_that_stand_still),
    };

    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
