/* test_video_files.c - videos in folders, strips, run files and samples; arrays of numpy.save
 *
 * The network is one of tests/tiny_video.h.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/png.h"
#include "models/file/npy.h"
#include "probe/generate.h"
#include "probe/probe.h"
#include "probe/videos.h"
#include "runfile/run_reader.h"
#include "tests/ss_tmp.h"
#include "tests/tiny_video.h"

#include <sys/stat.h>

enum { F = 3, SIDE = 8 };

/* Writes a picture of h x w whose every byte is `value` plus its column. */
static void picture(const char *name, int h, int w, int value)
{
    uint8_t data[64 * 64];
    const ss_image im = {.h = h, .w = w, .c = 1, .data = data};

    for (int i = 0; i < h * w; i++)
        data[i] = (uint8_t)(value + i % w);
    assert_int_equal(ss_image_write_png(in_tmp(name), &im, NULL), SS_OK);
}

static ss_videos *find(const char *name, int frames)
{
    const ss_videos_options opt = {.frames = frames};
    ss_videos *l = NULL;
    ss_err e = {0};

    if (ss_videos_find(&l, in_tmp(name), &opt, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return l;
}

static void refused(const char *name, int frames, ss_code code, const char *text)
{
    const ss_videos_options opt = {.frames = frames};
    ss_videos *l = NULL;
    ss_video v;
    ss_err e = {0};
    ss_code rc = ss_videos_find(&l, in_tmp(name), &opt, &e);

    for (int i = 0; rc == SS_OK && i < l->n; i++)
        if ((rc = ss_videos_read(l, i, &v, &e)) == SS_OK)
            ss_video_release(&v);
    assert_int_equal(rc, code);
    if (!strstr(e.msg, text))
        fail_msg("'%s' does not say '%s'", e.msg, text);
    ss_videos_free(l);
}

static ss_video take(const ss_videos *l, int i)
{
    ss_video v;
    ss_err e = {0};

    if (ss_videos_read(l, i, &v, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return v;
}

static void test_frames_are_in_the_order_of_their_numbers(void **state)
{
    (void)state;
    mkdir(in_tmp("walk"), 0700);
    picture("walk/f10.png", 2, 3, 100);
    picture("walk/f9.png", 2, 3, 90);
    picture("walk/f1.png", 2, 3, 10);
    picture("walk/.f0.png", 2, 3, 0);
    ss_videos *l = find("walk", 0);

    assert_int_equal(l->n, 1);
    assert_string_equal(l->entry[0].name, "walk");
    ss_video v = take(l, 0);
    assert_true(v.size.frames == 3 && v.size.height == 2 && v.size.width == 3);
    assert_true(v.x[0] == 10 && v.x[6] == 90 && v.x[12] == 100 && v.x[13] == 101);
    ss_video_release(&v);
    ss_videos_free(l);
}

static void test_strips_are_cut_apart(void **state)
{
    (void)state;
    mkdir(in_tmp("strips"), 0700);
    picture("strips/0001.png", 2, 6, 50);
    picture("strips/0000.png", 2, 6, 20);
    ss_videos *l = find("strips", 3);

    assert_int_equal(l->n, 2);
    assert_string_equal(l->entry[1].name, "0001");
    ss_video v = take(l, 0);
    const float want[] = {20, 21, 20, 21, 22, 23, 22, 23, 24, 25, 24, 25};
    assert_close("strip", v.x, want, 12, 0, 0);
    ss_video_release(&v);
    ss_videos_free(l);
    l = find("strips/0001.png", 2);
    v = take(l, 0);
    assert_true(v.size.frames == 2 && v.size.width == 3 && v.x[6] == 53);
    ss_video_release(&v);
    ss_videos_free(l);
    refused("strips", 4, SS_SHAPE, "which 4 frames side by side cannot be");
    refused("strips/0001.png", 0, SS_USAGE, "--frames");
}

static void test_folders_of_folders(void **state)
{
    (void)state;
    char name[64];

    mkdir(in_tmp("set"), 0700);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "set/%d", 8 + i);
        mkdir(in_tmp(name), 0700);
        for (int t = 0; t < 2; t++) {
            snprintf(name, sizeof name, "set/%d/%04d.png", 8 + i, t);
            picture(name, 4, 4, 10 * i + t);
        }
    }
    ss_videos *l = find("set", 0);
    assert_int_equal(l->n, 3);
    assert_string_equal(l->entry[0].name, "8");
    assert_string_equal(l->entry[2].name, "10");
    assert_string_equal(l->entry[2].model, in_tmp("set"));
    ss_video v = take(l, 2);
    assert_true(v.size.frames == 2 && v.x[16] == 21);
    ss_video_release(&v);
    ss_videos_free(l);
    l = find("set", 2); /* strips of three models */
    assert_int_equal(l->n, 6);
    assert_string_equal(l->entry[2].model, in_tmp("set/9"));
    ss_videos_free(l);
}

static void test_what_is_no_video_is_refused(void **state)
{
    (void)state;
    mkdir(in_tmp("empty"), 0700);
    refused("empty", 0, SS_USAGE, "no PNG file");
    refused("nowhere", 0, SS_IO, "nowhere");
    write_file(in_tmp("text.mp4"), "text", 4);
    refused("text.mp4", 0, SS_FORMAT, "no folder, no PNG picture, and no run file");
    mkdir(in_tmp("mixed"), 0700);
    mkdir(in_tmp("mixed/a"), 0700);
    picture("mixed/0.png", 4, 4, 0);
    refused("mixed", 0, SS_USAGE, "pictures and folders");
    mkdir(in_tmp("sizes"), 0700);
    picture("sizes/0.png", 4, 4, 0);
    picture("sizes/1.png", 4, 5, 0);
    refused("sizes", 0, SS_SHAPE, "a frame of 4 x 5 x 1");
}

static void make_video_model(const char *name, uint64_t seed)
{
    char path[512];

    snprintf(path, sizeof path, "%s", in_tmp(name));
    make_tiny(path, F, SIDE, 1, seed);
}

static void test_run_files(void **state)
{
    (void)state;
    static const char *const inputs[] = {"checker:2", "noise:white"};
    ss_probe_options opt = ss_probe_defaults();
    ss_videos_options from = {.inputs = true};
    ss_probe_summary sum;
    ss_videos *l = NULL;
    ss_err e = {0};
    char model[512], output[512];
    float x[F * SIDE * SIDE];

    make_video_model("model", 1);
    snprintf(model, sizeof model, "%s", in_tmp("model"));
    snprintf(output, sizeof output, "%s", in_tmp("run.h5"));
    opt.network.model = model;
    opt.device = test_device();
    opt.output = output;
    opt.command = "sigmascope probe";
    opt.timesteps = "10,900";
    opt.inputs = inputs;
    opt.n_inputs = 2;
    opt.samples = 2;
    opt.threads = 1;
    if (ss_probe_run(&opt, &sum, &e) != SS_OK || ss_videos_find(&l, output, &from, &e) != SS_OK)
        fail_msg("%s", e.msg);
    from.inputs = false;
    assert_int_equal(ss_videos_find(&l, output, &from, &e), SS_OK);
    assert_int_equal(l->n, 2 * 2 * 2 * 2);
    assert_memory_equal(l->entry[0].stage, "sigma ", 6);
    assert_string_not_equal(l->entry[0].stage, l->entry[4].stage);
    assert_string_equal(l->entry[3].name, "noise:white, sample 1");
    assert_string_equal(l->entry[3].name, l->entry[7].name);
    for (int k = 0; k < 2; k++) {
        ss_run *r;
        ss_video v = take(l, 8 * k + 4 + 3); /* second noise level, input 1, sample 1 */

        assert_int_equal(ss_run_open(output, &r, &e), SS_OK);
        assert_int_equal(ss_run_picture(r, k ? "/outputs/denoised" : "/inputs/x", 1, 1, 1, x, &e),
                         SS_OK);
        assert_int_equal(v.size.frames, F);
        for (int i = 0; i < F * SIDE * SIDE; i++)
            assert_true(fabsf(v.x[i] - (x[i] + 1) * 127.5f) < 1e-3f);
        ss_video_release(&v);
        ss_run_close(r);
    }
    ss_videos_free(l);
}

static void test_samples(void **state)
{
    (void)state;
    char path[2][512], out[512];
    const char *models[] = {path[0], path[1]};
    ss_generate_options opt = ss_generate_defaults();
    ss_generate_summary sum = {0};
    ss_err e = {0};

    make_video_model("one", 1);
    make_video_model("two", 2);
    snprintf(path[0], sizeof path[0], "%s", in_tmp("one"));
    snprintf(path[1], sizeof path[1], "%s", in_tmp("two"));
    snprintf(out, sizeof out, "%s", in_tmp("samples"));
    opt.models = models;
    opt.n_models = 2;
    opt.output = out;
    opt.each.samples = 2;
    opt.each.steps = 2;
    opt.each.threads = 1;
    opt.each.device = test_device();
    if (ss_generate_run(&opt, &sum, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_table_release(&sum.table);
    ss_videos *l = find("samples", 0);
    assert_int_equal(l->n, 4);
    assert_string_equal(l->entry[1].name, "0001");
    assert_string_equal(l->entry[1].name, l->entry[3].name);
    assert_non_null(strstr(l->entry[2].model, "/02-"));
    ss_video v = take(l, 3);
    assert_true(v.size.frames == F && v.size.width == SIDE && v.size.height == SIDE);
    ss_video_release(&v);
    ss_videos_free(l);

    json_error_t why;
    json_t *j = json_load_file(in_tmp("samples/generate.json"), 0, &why);
    json_t *model = json_array_get(json_object_get(j, "models"), 1);
    json_array_set_new(json_object_get(model, "nonfinite"), 1, json_integer(7));
    assert_int_equal(json_dump_file(j, in_tmp("samples/generate.json"), 0), 0);
    l = find("samples", 0);
    v = take(l, 3);
    assert_true(isnan(v.x[0]) && isnan(v.x[F * SIDE * SIDE - 1]));
    ss_video_release(&v);
    ss_videos_free(l);
    json_object_set_new(j, "chain", json_object());
    json_object_set_new(model, "folder", json_string("02-longer/01-two"));
    json_object_set_new(model, "frames", json_integer(2));
    assert_int_equal(json_dump_file(j, in_tmp("samples/generate.json"), 0), 0);
    l = find("samples", 0);
    assert_string_equal(l->entry[2].model, in_tmp("samples"));
    assert_string_equal(l->entry[2].model, l->entry[0].model);
    assert_string_equal(l->entry[2].stage, "02-longer");
    v = take(l, 2);
    assert_true(v.size.frames == 2 && v.size.width == F * SIDE / 2);
    ss_video_release(&v);
    ss_videos_free(l);
    json_object_set_new(model, "frames", json_integer(-1));
    assert_int_equal(json_dump_file(j, in_tmp("samples/generate.json"), 0), 0);
    refused("samples", 0, SS_FORMAT, "frames");
    json_object_del(model, "frames");
    json_object_del(j, "frames");
    assert_int_equal(json_dump_file(j, in_tmp("samples/generate.json"), 0), 0);
    json_decref(j);
    refused("samples", 0, SS_USAGE, "pictures, not videos");
}

/* ---- numpy ---- */

static const char *npy(const char *name, const char *type, const char *order, const char *shape,
                       const void *data, size_t n)
{
    unsigned char bytes[512] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    const int h =
        snprintf((char *)bytes + 10, 200,
                 "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }   \n", type, order, shape);

    bytes[8] = (unsigned char)h;
    memcpy(bytes + 10 + h, data, n);
    write_file(in_tmp(name), bytes, 10 + (size_t)h + n);
    return in_tmp(name);
}

static void npy_refused(const char *path, ss_code code, const char *text)
{
    ss_array a;
    ss_err e = {0};

    assert_int_equal(ss_array_load_f32(path, &a, &e), code);
    if (!strstr(e.msg, text))
        fail_msg("'%s' does not say '%s'", e.msg, text);
}

static void test_npy(void **state)
{
    (void)state;
    const double d[] = {0.5, -2, 1e300}, fine[] = {0.5, -2, INFINITY};
    const uint16_t half[] = {0x3c00, 0xc000, 0x7c00, 1};
    const int16_t small[] = {-300, 300};
    const float want[] = {0.5f, -2, INFINITY}, halves[] = {1, -2, INFINITY, 0x1p-24f};
    ss_array a;
    ss_err e = {0};

    assert_int_equal(ss_array_load_f32(npy("a.npy", "<f8", "False", "(3, 1)", fine, 24), &a, &e),
                     SS_OK);
    assert_true(a.rank == 2 && a.dim[0] == 3 && a.dim[1] == 1);
    assert_close("doubles", a.values, want, 3, 0, 0);
    ss_array_release(&a);
    assert_int_equal(ss_array_load_f32(npy("a.npy", "<f2", "True", "(4,)", half, 8), &a, &e),
                     SS_OK);
    assert_true(a.rank == 1 && a.dim[0] == 4);
    assert_close("halves", a.values, halves, 4, 0, 0);
    ss_array_release(&a);
    assert_int_equal(ss_array_load_f32(npy("a.npy", "<i2", "False", "(1, 2)", small, 4), &a, &e),
                     SS_OK);
    assert_true(a.values[0] == -300 && a.values[1] == 300);
    ss_array_release(&a);
    npy_refused(npy("a.npy", "<f8", "False", "(3,)", d, 24), SS_FORMAT, "value 2 is 1e+300");
    npy_refused(npy("a.npy", "<f8", "False", "(4,)", d, 24), SS_FORMAT, "24 bytes of values");
    npy_refused(npy("a.npy", "<f8", "True", "(3, 1)", d, 24), SS_UNSUPPORTED, "Fortran");
    npy_refused(npy("a.npy", "<c8", "False", "(3,)", d, 24), SS_UNSUPPORTED, "'<c8'");
    npy_refused(npy("a.npy", "<f8", "Maybe", "(3,)", d, 24), SS_FORMAT, "its header");
    npy_refused(npy("a.npy", "<f8", "False", "(3", d, 24), SS_FORMAT, "its header");
    write_file(in_tmp("b.npy"), "no array at all", 15);
    npy_refused(in_tmp("b.npy"), SS_FORMAT, "numpy.save");
    npy_refused("features.bin", SS_USAGE, "NAME.npy");
}

static int begin(void **state)
{
    ss_log_setup(SS_LOG_QUIET, SS_PROGRESS_NEVER);
    return make_tmp(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_are_in_the_order_of_their_numbers),
        cmocka_unit_test(test_strips_are_cut_apart),
        cmocka_unit_test(test_folders_of_folders),
        cmocka_unit_test(test_what_is_no_video_is_refused),
        cmocka_unit_test(test_run_files),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_npy),
    };
    return cmocka_run_group_tests(tests, begin, remove_tmp);
}
