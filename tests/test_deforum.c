/* test_deforum.c - the picture as a camera that moves sees it, its colours, and videos made so
 *
 * Golden data: tests/golden/warp.safetensors (make_warp.py).
 */
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "models/file/safetensors.h"
#include "probe/color_match.h"
#include "probe/warp.h"
#include "tests/ss_command.h"

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
    if (fabsf(out[0] - want[0]) > 1e-5) /* or the other way round */
        for (int i = 0; i < SIDE * SIDE; i++)
            want[i] = x[(SIDE - 1 - i % SIDE) * SIDE + i / SIDE];
    assert_close("a quarter turn", out, want, SIDE * SIDE, 1e-5, 0);
    for (int k = 0; k < 3; k++) {
        memcpy(want, out, sizeof want);
        ss_warp(want, depth, SIDE, SIDE, 1, &quarter, out);
    }
    assert_close("four quarter turns", out, x, SIDE * SIDE, 1e-5, 0);
    /* far behind the camera, or with an absurd turn: values of the picture, never others */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warp_is_pytorchs),
        cmocka_unit_test(test_laws_of_warping),
        cmocka_unit_test(test_colours_are_skimages),
    };

    ss_log_setup(true, SS_PROGRESS_NEVER);
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
