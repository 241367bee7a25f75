/* test_video_measures.c - what is measured of videos: laws, and numbers worked out by hand
 *
 * Videos are made here: a texture of waves, computed at every place that it is asked at, so that a
 * moved one needs no interpolation.
 */
#include "analyze/video/measure.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tests/ss_test.h"

#include <stdio.h>

enum { WAVES = 24 };

static double texture(double y, double x)
{
    static double f[WAVES][4];
    static bool made;
    double sum = 120;

    for (int k = 0; k < WAVES && !made; k++) {
        const ss_rng r = ss_rng_stream(5, "texture", (uint64_t)k, 0);
        const double length = 0.03 * pow(6, ss_rng_uniform(r, 0)),
                     way = 6.283 * ss_rng_uniform(r, 1);

        f[k][0] = length * sin(way) * 6.283;
        f[k][1] = length * cos(way) * 6.283;
        f[k][2] = 6.283 * ss_rng_uniform(r, 2);
        f[k][3] = 12;
    }
    made = true;
    for (int k = 0; k < WAVES; k++)
        sum += f[k][3] * cos(f[k][0] * y + f[k][1] * x + f[k][2]);
    return sum;
}

/* How a video is made, and of which size. */
typedef struct {
    int F, h, w, c;
    double dx, dy; /* pixels a frame */
    double noise;  /* drawn again for every frame */
    int cut;       /* from this frame on the picture is another; 0: never */
    double fade;   /* brighter by so much a frame */
    double faster; /* pixels by which each step is longer than the one before */
} scene;

static ss_video make(const scene *s)
{
    ss_video v = {{s->F, s->h, s->w, s->c}, NULL};
    const ss_rng r = ss_rng_stream(9, "noise", 0, 0);

    assert_non_null(v.x = ss_alloc((size_t)ss_sample_values(v.size), sizeof *v.x));
    for (int t = 0; t < s->F; t++)
        for (int i = 0; i < s->h * s->w * s->c; i++) {
            const int y = i / s->c / s->w, x = i / s->c % s->w, k = i % s->c;
            const double on = t + s->faster * t * t / 2;
            const double jump = s->cut && t >= s->cut ? 500 : 0;
            const double p = texture(y - s->dy * on + jump, x - s->dx * on + 40 * k);
            const int64_t at = (int64_t)t * s->h * s->w * s->c + i;

            v.x[at] = (float)(p + s->fade * t + s->noise * ss_rng_normal(r, (uint64_t)at));
        }
    return v;
}

static ss_video_measures measure(const scene *s, int window, int overlap)
{
    const ss_video_options opt = {window, overlap, 1};
    ss_video v = make(s);
    ss_video_measures m;
    ss_err e = {0};

    if (ss_video_measure(&v, &opt, &m, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_video_release(&v);
    return m;
}

static void show(const char *what, const ss_video_measures *m)
{
    char line[600];
    int at = 0;

    for (int k = 0; k < SS_VIDEO_N_MEASURES; k++)
        at += snprintf(line + at, sizeof line - (size_t)at, " %s %.4g", ss_video_measure_name(k),
                       m->value[k]);
    print_message("%s:%s; found %d p %.3f\n", what, line, m->found.at, m->found.p);
}

static void test_still(void **state)
{
    (void)state;
    const scene s = {.F = 16, .h = 32, .w = 40, .c = 3};
    ss_video_measures m = measure(&s, 8, 2);

    show("still", &m);
    assert_true(m.value[SS_VIDEO_FLICKER] == 1 && m.value[SS_VIDEO_SECOND] == 0);
    assert_true(m.value[SS_VIDEO_SPEED] == 0 && m.value[SS_VIDEO_DYNAMIC] == 0);
    assert_true(m.value[SS_VIDEO_WARPING] == 0 && m.value[SS_VIDEO_HIDDEN] == 0);
    assert_true(m.value[SS_VIDEO_BOILING] < 1e-3 && isnan(m.value[SS_VIDEO_SHARE]));
    assert_true(m.boiling.band[0].still > 100 && m.boiling.followed == 1);
    assert_true(m.value[SS_VIDEO_SEAM] == 0 && m.seam.p == 1 && m.found.p == 1);
    assert_true(m.value[SS_VIDEO_COLOUR_DRIFT] == 0 && m.value[SS_VIDEO_LOW_DRIFT] == 0);
    assert_true(m.movement.speeds[0] == 15 * 32 * 40);
    ss_video_measures_release(&m);
}

static void test_moving(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        const scene s = {.F = 16, .h = 32, .w = 40, .c = 1, .dx = k ? 0.7 : 2, .dy = k ? -0.4 : -1};
        ss_video_measures m = measure(&s, 0, 0);
        double u = 0, v = 0;

        show("moving", &m);
        for (int t = 0; t < 15; t++) {
            u += m.movement.u[t] / 15;
            v += m.movement.v[t] / 15;
        }
        assert_true(fabs(u - s.dx) < 0.05 && fabs(v - s.dy) < 0.05);
        assert_true(fabs(m.value[SS_VIDEO_SPEED] - hypot(s.dx, s.dy)) < 0.05);
        assert_true(m.value[SS_VIDEO_DYNAMIC] == (hypot(s.dx, s.dy) > 6 * 32.0 / 256));
        assert_true(m.value[SS_VIDEO_DIFFERENCE] > 5);
        assert_true(m.value[SS_VIDEO_WARPING] < 0.35);
        assert_true(m.value[SS_VIDEO_BOILING] < 0.5);
        assert_true(m.value[SS_VIDEO_SEAM] != 0); /* NaN: no window is known */
        ss_video_measures_release(&m);
    }
}

static void test_noise_boils(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        const scene s = {.F = 16, .h = 32, .w = 40, .c = 1, .noise = 6, .dx = k ? 1 : 0};
        ss_video_measures m = measure(&s, 0, 0);

        show("noise", &m);
        /* 11/16 of the variance, less what cubic interpolation smooths */
        assert_true(m.value[SS_VIDEO_BOILING] > 0.6 * 6 && m.value[SS_VIDEO_BOILING] < 1.0 * 6);
        assert_true(m.value[SS_VIDEO_SHARE] > 0.6 && m.value[SS_VIDEO_SHARE] < 0.8);
        /* white noise is finest of all */
        assert_true(m.boiling.band[1].fast > m.boiling.band[2].fast &&
                    m.boiling.band[2].fast > m.boiling.band[3].fast);
        ss_video_measures_release(&m);
    }
}

static void test_seams(void **state)
{
    (void)state;
    const scene cut = {.F = 24, .h = 32, .w = 32, .c = 1, .dx = 0.5, .noise = 1, .cut = 14};
    ss_video_measures m = measure(&cut, 14, 0);

    show("cut", &m);
    assert_true(m.found.at == 13 && m.found.p < 0.01);
    assert_true(m.seam.n == 1 && m.seam.exact && fabs(m.seam.p - 1.0 / 23) < 1e-12);
    assert_true(m.seam.score > 10 && m.warped_seam.score > 5);
    ss_video_measures_release(&m);
    m = measure(&cut, 10, 2); /* joints where nothing happens */
    assert_true(m.seam.n == 2 && m.seam.p > 0.1);
    ss_video_measures_release(&m);
    const scene none[] = {
        {.F = 24, .h = 32, .w = 32, .c = 1, .noise = 4},
        {.F = 24, .h = 32, .w = 32, .c = 1, .dx = 0.1, .faster = 0.1},
    };
    for (size_t k = 0; k < N_OF(none); k++) {
        m = measure(&none[k], 0, 0);
        show("no cut", &m);
        assert_true(m.found.p > 0.05);
        ss_video_measures_release(&m);
    }
}

/* Frames of 2 x 2: 0, 10, 40, and one pixel of 4 in the last. */
static void test_change_by_hand(void **state)
{
    (void)state;
    float x[4 * 4] = {0, 0, 0, 0, 10, 10, 10, 10, 40, 40, 40, 40, 40, 40, 40, 80};
    const ss_video v = {{4, 2, 2, 1}, x};
    const ss_video_options opt = {0};
    ss_video_measures m;
    ss_err e = {0};

    assert_int_equal(ss_video_measure(&v, &opt, &m, &e), SS_OK);
    assert_true(m.difference[0] == 10 && m.difference[1] == 30 && m.difference[2] == 10);
    assert_true(m.second[0] == 20 && m.second[1] == (3 * 30 + 10) / 4.0);
    assert_true(fabs(m.value[SS_VIDEO_FLICKER] - (255 - 50 / 3.0) / 255) < 1e-12);
    /* means 0, 10, 40, 50: slope (1.5 * 50 + 0.5 * 30) / 5 = 18 a frame */
    assert_true(fabs(m.value[SS_VIDEO_MEAN_DRIFT] - 3 * 18) < 1e-9);
    /* fields of a pixel each, without their mean: -10, -10, -10, 30 against 0 */
    assert_true(fabs(m.value[SS_VIDEO_LOW_DRIFT] - sqrt(300)) < 1e-9);
    assert_true(isnan(m.value[SS_VIDEO_BOILING]) && m.boiling.frames == 0);
    assert_true(m.n_tiles == 1 && m.found.at == -1 && isnan(m.found.p));
    ss_video_measures_release(&m);
}

static void test_colours(void **state)
{
    (void)state;
    /* pure red and mid-gray; CIELAB by colour-science 0.4: 53.2408, 80.0925, 67.2032; 53.5850 */
    float x[2 * 3] = {255, 0, 0, 128, 128, 128};
    const ss_video v = {{2, 1, 1, 3}, x};
    ss_change_look look[2];
    ss_err e = {0};

    assert_int_equal(ss_change_looks(&v, look, &e), SS_OK);
    assert_true(fabs(look[0].lightness - 53.2408) < 2e-3 && fabs(look[0].a - 80.0925) < 2e-3 &&
                fabs(look[0].b - 67.2032) < 2e-3);
    assert_true(fabs(look[1].lightness - 53.5850) < 2e-3 && fabs(look[1].a) < 0.02);
    assert_true(fabs(look[0].mean - 0.299 * 255) < 1e-3);
    assert_true(fabs(ss_change_colour(&look[0], &look[1]) - 104.55) < 0.05);
}

static void test_drift(void **state)
{
    (void)state;
    const scene s = {.F = 8, .h = 16, .w = 16, .c = 3, .fade = 2};
    ss_video_measures m = measure(&s, 0, 0);

    show("fade", &m);
    assert_true(fabs(m.value[SS_VIDEO_MEAN_DRIFT] - 14) < 1e-4);
    assert_true(fabs(m.value[SS_VIDEO_STD_DRIFT]) < 1e-4 && m.value[SS_VIDEO_LOW_DRIFT] < 1e-4);
    assert_true(m.value[SS_VIDEO_COLOUR_DRIFT] > 3 && m.value[SS_VIDEO_SECOND] < 1e-4);
    assert_true(m.boiling.frames == 8 && m.value[SS_VIDEO_SHARE] < 0.1);
    ss_video_measures_release(&m);
}

static void test_what_is_not_defined(void **state)
{
    (void)state;
    static const ss_sample_size sizes[] = {{1, 8, 8, 1}, {2, 8, 8, 3},  {3, 1, 1, 1},
                                           {9, 1, 1, 1}, {9, 1, 30, 2}, {20, 5, 3, 3}};
    const ss_video_options opt = {4, 1, 1};
    ss_video_measures m;
    ss_err e = {0};

    for (size_t k = 0; k < N_OF(sizes); k++) {
        ss_video v = {sizes[k], NULL};
        const int64_t n = ss_sample_values(v.size);

        assert_non_null(v.x = ss_alloc((size_t)n, sizeof *v.x));
        for (int64_t i = 0; i < n; i++)
            v.x[i] = (float)(i * 37 % 256);
        assert_int_equal(ss_video_measure(&v, &opt, &m, &e), SS_OK);
        assert_int_equal(m.not_finite, 0);
        assert_true(isnan(m.value[SS_VIDEO_FLICKER]) == (v.size.frames < 2));
        assert_true(isnan(m.value[SS_VIDEO_SECOND]) == (v.size.frames < 3));
        ss_video_measures_release(&m);
        v.x[n - 1] = NAN;
        assert_int_equal(ss_video_measure(&v, &opt, &m, &e), SS_OK);
        assert_int_equal(m.not_finite, 1);
        for (int i = 0; i < SS_VIDEO_N_MEASURES; i++)
            assert_true(isnan(m.value[i]));
        ss_video_measures_release(&m);
        ss_video_release(&v);
    }
}

static void test_every_allocation(void **state)
{
    (void)state;
    const scene s = {.F = 8, .h = 16, .w = 16, .c = 1, .dx = 1};
    const ss_video_options opt = {4, 1, 1};
    ss_video v = make(&s);
    ss_video_measures m;
    unsigned long calls = ss_mem_calls();
    ss_err e = {0};

    assert_int_equal(ss_video_measure(&v, &opt, &m, &e), SS_OK);
    ss_video_measures_release(&m);
    calls = ss_mem_calls() - calls;
    for (unsigned long k = 1; k <= calls; k++) {
        ss_mem_fail_at(k);
        assert_int_equal(ss_video_measure(&v, &opt, &m, &e), SS_NOMEM);
    }
    ss_mem_fail_at(0);
    ss_video_release(&v);
}

/* The network is the same in every run, and tells textures and changes over time apart. */
static void test_features(void **state)
{
    (void)state;
    const scene still = {.F = 8, .h = 40, .w = 90, .c = 1},
                moving = {.F = 8, .h = 40, .w = 90, .c = 1, .dx = 3},
                rough = {.F = 8, .h = 40, .w = 90, .c = 1, .noise = 30};
    const scene *const scenes[] = {&still, &still, &moving, &rough};
    float x[4][SS_VIDEO_FEATURES];
    ss_err e = {0};

    for (int k = 0; k < 4; k++) {
        ss_video v = make(scenes[k]);

        assert_int_equal(ss_video_features_find(&v, x[k], &e), SS_OK);
        ss_video_release(&v);
    }
    assert_memory_equal(x[0], x[1], sizeof x[0]);
    for (int k = 2; k < 4; k++) {
        double apart = 0;

        for (int i = 0; i < SS_VIDEO_FEATURES; i++)
            apart += fabs(x[k][i] - x[0][i]);
        assert_true(apart > 0.05);
    }
    /* one pixel, black and white: the features of white are what its first weights make of it */
    float black[1] = {0}, white[1] = {255}, gray[1] = {127.5f};
    for (int k = 0; k < 3; k++) {
        const ss_video v = {{1, 1, 1, 1}, k == 0 ? black : k == 1 ? white : gray};

        assert_int_equal(ss_video_features_find(&v, x[k], &e), SS_OK);
    }
    for (int i = 0; i < SS_VIDEO_FEATURES; i++)
        assert_true(x[2][i] == 0 && (i % 2 == 0 || x[1][i] == 0));
}

/* ---- seams by hand ---- */

static void test_joints(void **state)
{
    (void)state;
    int joint[40];

    assert_int_equal(ss_seams_joints(16, 8, 0, joint), 1);
    assert_true(joint[0] == 7);
    assert_int_equal(ss_seams_joints(20, 8, 2, joint), 2); /* 0-7, 6-13, 12-19 */
    assert_true(joint[0] == 7 && joint[1] == 13);
    assert_int_equal(ss_seams_joints(8, 8, 7, joint), 0);
    assert_int_equal(ss_seams_joints(10, 8, 7, joint), 2);
    assert_int_equal(ss_seams_joints(3, 1, 0, joint), 2);
}

static void test_permutations(void **state)
{
    (void)state;
    const double d[] = {1, 9, 2, 3, 8, 4}, bad[] = {1, NAN, 2, 3, 8, 4};
    const int joints[] = {1, 4}, other[] = {0, 1};
    double many[60];
    int every[20];
    ss_seam s, again;
    ss_err e = {0};

    assert_int_equal(ss_seams_test(d, 1, 6, joints, 2, 1, &s, &e), SS_OK);
    assert_true(s.exact && s.joints == 8.5 && s.inside == 2.5 && s.score == 6);
    assert_true(fabs(s.p - 1.0 / 15) < 1e-12);
    ss_seams_test(d, 1, 6, other, 2, 1, &s, &e); /* 10: as 9+2, 9+3, 9+8, 9+4, 8+2, 8+3, 8+4, 1+9 */
    assert_true(fabs(s.p - 8.0 / 15) < 1e-12);
    ss_seams_test(bad, 1, 6, joints, 2, 1, &s, &e);
    assert_true(isnan(s.p) && isnan(s.score));
    ss_seams_test(d, 1, 6, joints, 0, 1, &s, &e);
    assert_true(isnan(s.p));
    for (int i = 0; i < 60; i++)
        many[i] = i % 3 == 2 ? 5 + 0.01 * i : 4.75 + 0.013 * i;
    for (int i = 0; i < 20; i++)
        every[i] = 3 * i + 2;
    ss_seams_test(many, 1, 60, every, 20, 1, &s, &e);
    ss_seams_test(many, 1, 60, every, 20, 1, &again, &e);
    assert_true(!s.exact && s.p > 1e-3 && s.p < 0.3 && s.p == again.p);
    /* many short series say together what one cannot */
    ss_seams_test(many, 10, 6, joints, 1, 1, &s, &e);
    assert_true(!s.exact && s.n == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_still),
        cmocka_unit_test(test_moving),
        cmocka_unit_test(test_noise_boils),
        cmocka_unit_test(test_seams),
        cmocka_unit_test(test_change_by_hand),
        cmocka_unit_test(test_colours),
        cmocka_unit_test(test_features),
        cmocka_unit_test(test_drift),
        cmocka_unit_test(test_what_is_not_defined),
        cmocka_unit_test(test_every_allocation),
        cmocka_unit_test(test_joints),
        cmocka_unit_test(test_permutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
