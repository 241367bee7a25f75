/* test_flow.c - optical flow: against motion that is known, and OpenCV's error on it
 *
 * Golden file: tests/golden/flow.safetensors, written by make_flow.py with OpenCV.
 */
#include "analyze/video/correlate.h"
#include "analyze/video/field.h"
#include "analyze/video/flow.h"
#include "base/rng.h"
#include "models/file/safetensors.h"
#include "tests/ss_test.h"

#include <stdio.h>

enum { H = 48, W = 64 };

static ss_array golden(const char *name, const char *part)
{
    char path[200];
    ss_array a;
    ss_err e = {0};

    snprintf(path, sizeof path, "tests/golden/flow.safetensors#%s.%s", name, part);
    if (ss_safetensors_load_f32(path, &a, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return a;
}

static void test_opencv(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double bound;
    } cases[] = {
        {"whole_pixels", 0.01},
        {"parts_of_pixels", 0.03},
        {"far", 0.15},
        {"turn", 0.05},
        {"zoom", 0.05},
        {"item", 0.2},
        {"item_and_ground", 0.3},
    };
    float forward[H * W * 2], backward[H * W * 2];
    uint8_t hidden[H * W];
    ss_err e = {0};

    for (size_t k = 0; k < N_OF(cases); k++) {
        const char *name = cases[k].name;
        ss_array a = golden(name, "a"), b = golden(name, "b"), flow = golden(name, "flow"),
                 gone = golden(name, "hidden"), theirs = golden(name, "error");
        double sum = 0, marked = 0, fine = 0, warp;
        int n = 0;

        assert_int_equal(ss_flow_find(a.values, b.values, H, W, forward, &e), SS_OK);
        assert_int_equal(ss_flow_find(b.values, a.values, H, W, backward, &e), SS_OK);
        ss_flow_hidden(forward, backward, H, W, hidden);
        for (int i = 0; i < H * W; i++) {
            if (gone.values[i] != 0) {
                marked += hidden[i];
                continue;
            }
            n++;
            fine += !hidden[i];
            sum += hypot(forward[2 * i] - flow.values[2 * i],
                         forward[2 * i + 1] - flow.values[2 * i + 1]);
        }
        assert_int_equal(
            ss_flow_warping_error(a.values, b.values, H, W, 1, forward, hidden, &warp, &e), SS_OK);
        const double best = fmin(theirs.values[0], theirs.values[1]);

        print_message("%-16s error %.3f, OpenCV %.3f and %.3f; %.2f of hidden marked, %.3f of "
                      "seen not; warping error %.2f\n",
                      name, sum / n, theirs.values[0], theirs.values[1],
                      n < H * W ? marked / (H * W - n) : 1.0, fine / n, warp);
        assert_true(sum / n < cases[k].bound && sum / n < best + 0.02);
        assert_true(n == H * W || marked / (H * W - n) > 0.5);
        assert_true(fine / n > 0.85 && warp < 1.5);
        ss_array_release(&a);
        ss_array_release(&b);
        ss_array_release(&flow);
        ss_array_release(&gone);
        ss_array_release(&theirs);
    }
}

static void test_what_does_not_move(void **state)
{
    (void)state;
    float a[20 * 30], b[20 * 30], flow[20 * 30 * 2];
    ss_err e = {0};

    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 20 * 30; i++) {
            a[i] = k ? (float)(40 * sin(i * 0.7)) : 100;
            b[i] = k ? a[i] : 130; /* brighter as a whole is no motion */
        }
        assert_int_equal(ss_flow_find(a, b, 20, 30, flow, &e), SS_OK);
        for (int i = 0; i < 20 * 30 * 2; i++)
            assert_true(flow[i] == 0);
    }
}

static void test_phase_correlation(void **state)
{
    (void)state;
    enum { SIDE = 48, TILE = 32 };
    static float a[SIDE * SIDE], b[SIDE * SIDE];
    ss_correlator *k;
    ss_err e = {0};
    int dy, dx;

    ss_rng_normals(ss_rng_stream(1, "texture", 0, 0), 0, a, SIDE * SIDE);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            b[y * SIDE + x] = 10 * a[(y + 7 + SIDE) % SIDE * SIDE + (x - 5 + SIDE) % SIDE];
    assert_int_equal(ss_correlator_new(TILE, TILE, &k, &e), SS_OK);
    ss_correlator_run(k, a, b, SIDE, 8, 8, &dy, &dx);
    assert_true(dy == -7 && dx == 5);
    memset(b, 0, sizeof b);
    ss_correlator_run(k, a, b, SIDE, 8, 8, &dy, &dx);
    assert_true(dy == 0 && dx == 0);
    ss_correlator_free(k);
}

/* |w + w'|^2 against 0.01 (|w|^2 + |w'|^2) + 0.5, by hand. */
static void test_hidden(void **state)
{
    (void)state;
    float w[5 * 5 * 2] = {0}, back[5 * 5 * 2] = {0};
    uint8_t hidden[25];

    for (int i = 0; i < 25; i++)
        w[2 * i] = 2;
    for (int i = 0; i < 25; i++)
        back[2 * i] = i % 5 == 2 ? -2 : i % 5 == 3 ? -1.26f : -1.24f;
    /* columns 3 and 4 leave; column 1 meets 0.74^2 = 0.548 < 0.556, column 2 meets 0.76^2 = 0.578
     */
    assert_int_equal(ss_flow_hidden(w, back, 5, 5, hidden), 15);
    for (int y = 0; y < 5; y++)
        assert_true(!hidden[5 * y] && !hidden[5 * y + 1] && hidden[5 * y + 2] &&
                    hidden[5 * y + 3] && hidden[5 * y + 4]);
}

static void test_between_pixels(void **state)
{
    (void)state;
    float x[6 * 7];

    for (int i = 0; i < 6 * 7; i++) {
        const double y = i / 7, c = i % 7;

        x[i] = (float)(3 + 2 * y - c + 0.5 * c * c + 0.25 * y * c - y * y);
    }
    const double y = 2.3, c = 3.6;
    assert_true(fabs(ss_field_at(x, 6, 7, (float)y, (float)c) -
                     (3 + 2 * y - c + 0.5 * c * c + 0.25 * y * c - y * y)) < 1e-4);
    assert_true(ss_field_at(x, 6, 7, 4, 5) == x[4 * 7 + 5]);
    assert_true(ss_field_at(x, 6, 7, -3, 99) == x[6]);
    assert_true(isnan(ss_field_at(x, 6, 7, NAN, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opencv),
        cmocka_unit_test(test_what_does_not_move),
        cmocka_unit_test(test_phase_correlation),
        cmocka_unit_test(test_hidden),
        cmocka_unit_test(test_between_pixels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
