/* test_deforum.c - the picture as a camera that moves sees it, its colours, and videos made so
 *
 * Golden data: tests/golden/warp.safetensors (make_warp.py).
 */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/png.h"
#include "base/rng.h"
#include "models/file/safetensors.h"
#include "probe/color_match.h"
#include "probe/deforum.h"
#include "probe/warp.h"
#include "tests/ss_command.h"
#include "train/data.h"

enum { H = 9, W = 14, SIDE = 8 };

static ss_array golden(const char *name)
{
    ss_array a;
    ss_err e = {0};
    char spec[200];

    snprintf(spec, sizeof spec, "tests/golden/warp.safetensors#%s", name);
    if (ss_safetensors_load_f32(spec, &a, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return a;
}

static void test_warp_is_pytorchs(void **state)
{
    (void)state;
    static const char *const cases[] = {"still", "pan", "zoom", "turn", "all"};
    ss_array x = golden("x"), depth = golden("depth");

    for (size_t i = 0; i < N_OF(cases); i++) {
        for (int rays = 0; rays < 2; rays++) {
            char name[64];
            float out[H * W * 3];

            snprintf(name, sizeof name, "%s.move", cases[i]);
            ss_array m = golden(name);
            snprintf(name, sizeof name, "%s.%s", cases[i], rays ? "rays" : "deforum");
            ss_array want = golden(name);
            const float *v = m.values;
            const ss_camera_move move = {{v[0], v[1], v[2]}, {v[3], v[4], v[5]}, v[6], rays};
            ss_warp(x.values, depth.values, H, W, 3, &move, out);
            assert_close(name, out, want.values, H * W * 3, 2e-6, 0); /* worst seen: 3e-7 */
            ss_array_release(&m);
            ss_array_release(&want);
        }
    }
    ss_array_release(&x);
    ss_array_release(&depth);
}

static void fill(float *x, float *depth, int n, float z)
{
    ss_rng_normals(ss_rng_stream(1, "warp", 0, 0), 0, x, (size_t)n);
    for (int i = 0; i < n; i++)
        depth[i] = z;
}

static void test_laws_of_warping(void **state)
{
    (void)state;
    float x[SIDE * SIDE], depth[SIDE * SIDE], out[SIDE * SIDE], want[SIDE * SIDE];

    for (int rays = 0; rays < 2; rays++) {
        /* no move, any depth: the picture itself */
        fill(x, depth, SIDE * SIDE, 1);
        for (int i = 0; i < SIDE * SIDE; i++)
            depth[i] += (float)(i % 5);
        ss_camera_move m = {.fov = 40, .rays = rays};
        ss_warp(x, depth, SIDE, SIDE, 1, &m, out);
        assert_close("no move", out, x, SIDE * SIDE, 1e-6, 0);
        /* a plane at depth z: a pixel of 2 / SIDE is a move by z tan(fov / 2) 2 / SIDE */
        fill(x, depth, SIDE * SIDE, 1.5f);
        m.fov = 90;
        m.translation[0] = 3 * 1.5 * 2 / SIDE * SS_WARP_UNITS;
        ss_warp(x, depth, SIDE, SIDE, 1, &m, out);
        for (int i = 0; i < SIDE * SIDE; i++)
            want[i] = x[i / SIDE * SIDE + (i % SIDE + 3 < SIDE ? i % SIDE + 3 : SIDE - 1)];
        assert_close("three pixels to the left", out, want, SIDE * SIDE, 1e-5, 0);
        m.translation[0] = 0;
        m.translation[1] = 1.5 * 2 / SIDE * SS_WARP_UNITS;
        ss_warp(x, depth, SIDE, SIDE, 1, &m, out);
        for (int i = 0; i < SIDE * SIDE; i++)
            want[i] = x[i < SIDE ? i : i - SIDE];
        assert_close("one pixel down", out, want, SIDE * SIDE, 1e-5, 0);
    }
    /* rays: a quarter turn moves pixels to pixels, four give the picture back */
    ss_camera_move quarter = {.fov = 40, .rotation = {0, 0, 90}, .rays = true};
    ss_warp(x, depth, SIDE, SIDE, 1, &quarter, out);
    for (int i = 0; i < SIDE * SIDE; i++)
        want[i] = x[i % SIDE * SIDE + (SIDE - 1 - i / SIDE)];
    assert_close("a quarter turn", out, want, SIDE * SIDE, 1e-5, 0);
    for (int k = 0; k < 3; k++) {
        memcpy(want, out, sizeof want);
        ss_warp(want, depth, SIDE, SIDE, 1, &quarter, out);
    }
    assert_close("four quarter turns", out, x, SIDE * SIDE, 1e-5, 0);
    /* A camera that passes all points, or turns wildly, still gives values of the picture only. */
    ss_camera_move wild = {
        .fov = 179, .translation = {1e30, -1e30, 1e30}, .rotation = {91, 181, 7}};
    for (int rays = 0; rays < 2; rays++) {
        wild.rays = rays;
        ss_warp(x, depth, SIDE, SIDE, 1, &wild, out);
        for (int i = 0; i < SIDE * SIDE; i++)
            assert_true(isfinite(out[i]) && fabsf(out[i]) < 6);
    }
}

static void test_colours_are_skimages(void **state)
{
    (void)state;
    static const char *const cases[] = {"gray", "rgb"};
    ss_err e = {0};

    for (int i = 0; i < 2; i++) {
        char name[64];

        snprintf(name, sizeof name, "%s.x", cases[i]);
        ss_array x = golden(name);
        snprintf(name, sizeof name, "%s.reference", cases[i]);
        ss_array reference = golden(name);
        snprintf(name, sizeof name, "%s.matched", cases[i]);
        ss_array want = golden(name);
        const int c = (int)x.dim[1];
        assert_int_equal(ss_color_match(x.values, reference.values, x.dim[0], c, &e), SS_OK);
        assert_close(name, x.values, want.values, x.dim[0] * c, 2e-4, 0);
        /* matched to itself a picture stays */
        memcpy(x.values, reference.values, (size_t)(x.dim[0] * c) * sizeof *x.values);
        assert_int_equal(ss_color_match(x.values, reference.values, x.dim[0], c, &e), SS_OK);
        assert_close("itself", x.values, reference.values, x.dim[0] * c, 1e-4, 0);
        x.values[0] = NAN;
        memcpy(want.values, x.values, (size_t)(x.dim[0] * c) * sizeof *x.values);
        assert_int_equal(ss_color_match(x.values, reference.values, x.dim[0], c, &e), SS_OK);
        assert_close("NaN", x.values, want.values, x.dim[0] * c, 0, 0);
        ss_array_release(&x);
        ss_array_release(&reference);
        ss_array_release(&want);
    }
}

/* ---- videos ---- */

static void write_text(const char *name, const char *text)
{
    write_file(in_tmp(name), text, strlen(text));
}

static void test_plans(void **state)
{
    (void)state;
    static const struct {
        const char *file, *says;
    } bad[] = {
        {"{", "bad.json"},
        {"{}", "\"frames\" is missing"},
        {"{\"frames\": 1}", "2 to 10000"},
        {"{\"frames\": 4, \"fov\": 180}", "between 0 and 180"},
        {"{\"frames\": 4, \"strength\": 1}", "between 0 and 1"},
        {"{\"frames\": 4, \"near\": 10, \"far\": 10}", "more than near"},
        {"{\"frames\": 4, \"depth\": -1}", "a plane's distance"},
        {"{\"frames\": 4, \"depth\": {\"net\": \"x\"}}", "a plane's distance"},
        {"{\"frames\": 4, \"warp\": \"flow\"}", "deforum, rays"},
        {"{\"frames\": 4, \"translation\": [1, 2]}", "three numbers [x, y, z]"},
        {"{\"frames\": 4, \"translation\": [1, 2, NaN]}", "three numbers [x, y, z]"},
        {"{\"frames\": 4, \"rotation\": {}}", "of frames 0 to 3"},
        {"{\"frames\": 4, \"rotation\": {\"4\": [0, 0, 1]}}", "of frames 0 to 3"},
        {"{\"frames\": 4, \"rotation\": {\"1\": [0, 0, 1], \"x\": [0, 0, 1]}}", "of frames 0"},
        {"{\"frames\": 4, \"rotation\": {\"1\": 3}}", "of frames 0 to 3"},
        {"{\"frames\": 4, \"translatoin\": [0, 0, 1]}", "there is no key 'translatoin'"},
    };
    ss_deforum_plan p;
    ss_err e = {0};

    for (size_t i = 0; i < N_OF(bad); i++) {
        write_text("bad.json", bad[i].file);
        assert_int_not_equal(ss_deforum_plan_read(in_tmp("bad.json"), &p, &e), SS_OK);
        if (!strstr(e.msg, bad[i].says))
            fail_msg("case %zu: '%s' lacks '%s'", i, e.msg, bad[i].says);
    }
    write_text("good.json", "{\"frames\": 7, \"translation\": [1, 2, 3], \"rotation\": {"
                            "\"5\": [0, 0, 8], \"1\": [0, 0, 4]}}");
    assert_int_equal(ss_deforum_plan_read(in_tmp("good.json"), &p, &e), SS_OK);
    for (int k = 0; k < 7; k++) {
        static const double turn[] = {4, 4, 5, 6, 7, 8, 8};

        assert_true(p.translation[3 * k] == 1 && p.translation[3 * k + 2] == 3);
        assert_true(p.rotation[3 * k + 2] == turn[k]);
    }
    assert_true(p.fov == 40 && p.strength == 0.65 && p.depth.plane == 200 && p.color_match);
    ss_deforum_plan_release(&p);
}

#define GENERATE "generate $M --classes 0,7 --sampler ddim --steps 10 --threads 1 --force "

/* Pixels of a strip of 32 x 32 gray frames. */
static ss_image strip(const char *folder, int sample)
{
    ss_image im = {0};
    ss_err e = {0};
    char name[100];

    snprintf(name, sizeof name, "%s/01-step-00250/%04d.png", folder, sample);
    if (ss_image_read_png(in_tmp(name), &im, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return im;
}

/* Root of the mean square of frame a of one strip, moved by `shift` pixels to the left, from frame
 * b of the other, away from the border. */
static double distance(const ss_image *x, int a, const ss_image *y, int b, int shift)
{
    double sum = 0;

    for (int i = 4; i < 28; i++) {
        for (int j = 4; j < 28 - shift; j++) {
            const double d =
                (double)x->data[i * x->w + 32 * a + j + shift] - y->data[i * y->w + 32 * b + j];

            sum += d * d;
        }
    }
    return sqrt(sum / (24 * (24 - shift)));
}

/* Two pixels of a plane at 200 are 2 x 2 / 32 tan(45 degrees) of its half height. */
#define MOVE "\"fov\": 90, \"translation\": [25, 0, 0], \"strength\": 0.9, \"color_match\": false"

static void test_frames_follow_the_camera(void **state)
{
    (void)state;
    write_text("move.json", "{\"frames\": 3, " MOVE "}");
    expect(GENERATE "-o $D/plain", 0, NULL);
    expect(GENERATE "-o $D/film --deforum $D/move.json", 0, "film/sheet.png");
    for (int i = 0; i < 2; i++) {
        ss_image plain = strip("plain", i), film = strip("film", i);

        assert_int_equal(film.w, 3 * 32);
        /* frame 0 is the picture of the same seed */
        assert_true(distance(&plain, 0, &film, 0, 0) < 1e-9);
        for (int k = 1; k < 3; k++) { /* a tenth of the trajectory changes little */
            const double moved = distance(&film, k - 1, &film, k, 2);

            assert_true(moved < 12);                                      /* worst seen: 6.5 */
            assert_true(2 * moved < distance(&film, k - 1, &film, k, 0)); /* worst seen: 0.2 */
        }
        ss_image_release(&plain);
        ss_image_release(&film);
    }
    assert_true(ss_file_exists(in_tmp("film/player.html")));
}

/* Writes 3 depths of 32 x 32 as numpy.save does, each value the one given. */
static void write_depths(const char *name, float value)
{
    char head[128] = "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': "
                     "(3, 32, 32), }";
    float v[3 * 32 * 32];
    FILE *f = fopen(in_tmp(name), "wb");

    memset(head + 10 + strlen(head + 10), ' ', sizeof head - 10 - strlen(head + 10));
    head[127] = '\n';
    for (size_t i = 0; i < N_OF(v); i++)
        v[i] = value;
    assert_non_null(f);
    assert_int_equal(fwrite(head, 1, sizeof head, f), sizeof head);
    assert_int_equal(fwrite(v, sizeof *v, N_OF(v), f), N_OF(v));
    fclose(f);
}

static void write_plan(const char *depth)
{
    char text[900];

    snprintf(text, sizeof text, "{\"frames\": 3, \"depth\": %s, " MOVE "}", depth);
    write_text("depth.json", text);
}

/* A network that takes a gray picture of 32 x 32, without a class, and answers one channel. */
#define NETWORK                                                                               \
    "{\"model\": {\"_class_name\": \"UNet2DModel\", \"sample_size\": 32, \"in_channels\": 1," \
    " \"out_channels\": 1, \"layers_per_block\": 1, \"block_out_channels\": [4, 4],"          \
    " \"down_block_types\": [\"DownBlock2D\", \"DownBlock2D\"],"                              \
    " \"up_block_types\": [\"UpBlock2D\", \"UpBlock2D\"], \"norm_num_groups\": 2,"            \
    " \"attention_head_dim\": 2}, \"data\": {\"kind\": \"shapes\"}, \"batch\": 1, \"steps\": 1}"

static void test_depths_of_every_kind(void **state)
{
    (void)state;
    static uint8_t data[32 * 32];
    const ss_image white = {.h = 32, .w = 32, .c = 1, .data = data};
    char depth[600];
    ss_err e = {0};

    memset(data, 255, sizeof data); /* as near as can be: 200, as the plane */
    assert_int_equal(ss_image_write_png(in_tmp("white.png"), &white, &e), SS_OK);
    write_depths("near.npy", 200);
    write_depths("sick.npy", INFINITY);
    ss_image want = strip("film", 1);
    static const char *const kinds[] = {"white.png", "near.npy", ""};
    for (size_t i = 0; i < N_OF(kinds); i++) { /* the last one: the folder, with its one PNG file */
        snprintf(depth, sizeof depth, "\"%s\"", in_tmp(kinds[i]));
        write_plan(depth);
        expect(GENERATE "-o $D/same --deforum $D/depth.json", 0, NULL);
        ss_image got = strip("same", 1);
        assert_memory_equal(got.data, want.data, (size_t)(got.w * got.h));
        ss_image_release(&got);
    }
    write_plan("800"); /* four times as far: half a pixel */
    expect(GENERATE "-o $D/far --deforum $D/depth.json", 0, NULL);
    ss_image far = strip("far", 1);
    assert_true(distance(&far, 0, &far, 1, 0) < distance(&far, 0, &far, 1, 2));
    write_text("net.json", NETWORK);
    expect("train $D/net.json -o $D/net --threads 1", 0, NULL);
    snprintf(depth, sizeof depth, "{\"model\": \"%s\"}", in_tmp("net/step-000001"));
    write_plan(depth); /* whatever such a network answers */
    expect(GENERATE "-o $D/asked --deforum $D/depth.json", 0, NULL);
    ss_image asked = strip("asked", 1);
    assert_true(distance(&asked, 1, &want, 1, 0) > 1);
    ss_image_release(&asked);
    ss_image_release(&far);
    ss_image_release(&want);

    snprintf(depth, sizeof depth, "\"%s\"", in_tmp("sick.npy"));
    write_plan(depth);
    expect(GENERATE "-o $D/no --deforum $D/depth.json", 1, "depth 0 is not finite");
    write_plan("\"tests/golden/warp.safetensors#depth\"");
    expect(GENERATE "-o $D/no --deforum $D/depth.json", 1, "expected depths [32,32], or [F,32,32]");
    write_plan("{\"model\": \"tests/golden/unets/no-text-one-width\"}");
    expect(GENERATE "-o $D/no --deforum $D/depth.json", 1, "answers 1");
    expect(GENERATE "-o $D/no --deforum $D/depth.json --init x --strength 0.5", 2, "goes without");
    expect("generate tests/golden/unets/no-text-one-width --steps 2 -o $D/no --deforum "
           "$D/move.json",
           1, "works on latents");
    assert_false(ss_file_exists(in_tmp("no")));
}

/* ---- depth by training ---- */

/* A floor has 1 / depth that grows evenly from row to row; the wall has one depth. */
static void test_scenes_are_in_space(void **state)
{
    (void)state;
    enum { N = 32, SCENES = 30 };
    static float x[N * N * 2], again[N * N * 2];
    ss_data_options o = ss_data_defaults();
    ss_data *d;
    ss_err e = {0};
    int floors = 0, walls = 0;

    o.kind = SS_DATA_SCENES;
    o.h = o.w = N;
    assert_int_equal(ss_data_open(&o, &d, &e), SS_USAGE); /* 1 channel: no room for depth */
    assert_non_null(strstr(e.msg, "beside their depth"));
    o.c = 2;
    assert_int_equal(ss_data_open(&o, &d, &e), SS_OK);
    for (int k = 0; k < SCENES; k++) {
        int64_t label;

        ss_data_picture(d, k, x, &label);
        ss_data_picture(d, k, again, &label);
        assert_memory_equal(x, again, sizeof x);
        for (int i = 0; i < N * N * 2; i++)
            assert_true(x[i] >= -1 && x[i] <= 1);
        for (int j = 0; j < N; j++) {
            const float *a = x + ((N - 3) * N + j) * 2 + 1, *b = a + 2 * N, *c = b + 2 * N;

            floors += *b - *a > 1e-3f && fabsf(*c - 2 * *b + *a) < 1e-5f;
            walls += x[2 * j + 1] == x[1] && x[2 * (N + j) + 1] == x[1];
        }
    }
    assert_true(floors > SCENES * N / 2); /* seen: 753 of 960 */
    assert_true(walls > SCENES * N / 2);
    ss_data_close(d);
}

#define DEPTH "\"data\": {\"kind\": \"scenes\"}, \"objective\": {\"prediction\": \"depth\"}"

static double loss_of(const char *log, int step)
{
    char mark[32];

    snprintf(mark, sizeof mark, "\"step\":%d,", step);
    const char *line = strstr(log, mark), *loss = line ? strstr(line, "\"loss\":") : NULL;
    if (!loss)
        fail_msg("no loss of step %d in the log", step);
    return strtod(loss + 7, NULL);
}

static void test_a_network_learns_depth(void **state)
{
    (void)state;
    char text[2000], *log = NULL;
    const char *cut = strstr(NETWORK, "\"data\"");
    double first = 0, last = 0;
    ss_err e = {0};

    snprintf(text, sizeof text,
             "%.*s" DEPTH ", \"batch\": 4, \"steps\": 60, \"optimizer\": {\"lr\": 1e-2}}",
             (int)(cut - NETWORK), NETWORK);
    write_text("depth.json", text);
    expect("train $D/depth.json -o $D/depth --threads 1", 0, NULL);
    assert_int_equal(ss_file_read(in_tmp("depth/log.jsonl"), 1 << 20, &log, NULL, &e), SS_OK);
    for (int k = 0; k < 10; k++) {
        first += loss_of(log, 1 + k) / 10;
        last += loss_of(log, 51 + k) / 10;
    }
    ss_free(log);
    print_message("loss of depth: %g, then %g\n", first, last);
    assert_true(last < 0.6 * first);
    expect("train $D/depth.json -o $D/no --set data.kind=shapes", 2, "go together only");
    expect("train $D/depth.json -o $D/no --set objective.prediction=sample", 2, "go together only");
    expect("train $D/depth.json -o $D/no --set model.out_channels=2", 2, "answers 1 channel");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warp_is_pytorchs),
        cmocka_unit_test(test_laws_of_warping),
        cmocka_unit_test(test_colours_are_skimages),
        cmocka_unit_test(test_plans),
        cmocka_unit_test(test_frames_follow_the_camera),
        cmocka_unit_test(test_depths_of_every_kind),
        cmocka_unit_test(test_scenes_are_in_space),
        cmocka_unit_test(test_a_network_learns_depth),
    };

    ss_log_setup(SS_LOG_QUIET, SS_PROGRESS_NEVER);
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
