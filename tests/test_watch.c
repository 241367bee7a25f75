/* test_watch.c - what a training sees of a forward pass, fed by hand */
#include "tests/ss_test.h"
#include "train/watch.h"

#include <math.h>

static const ss_module first = {.path = "first", .id = 0, .parent = -1};
static const ss_module second = {.path = "second", .id = 1, .parent = -1};

/* The largest and the RMS are those of the finite values, however many of which sample. */
static void test_finite_values_count(void **state)
{
    (void)state;
    const ss_stats some[] = {{.count = 4, .nonfinite = 1, .absmax = 3, .rms = 2},
                             {.count = 2, .absmax = 5, .rms = 4},
                             {.count = 3, .nonfinite = 3, .absmax = NAN, .rms = NAN}};
    const ss_stats none[] = {some[2], some[2], some[2]};
    ss_watch *w;
    ss_err e = {0};

    assert_int_equal(ss_watch_new(3, &w, &e), SS_OK);
    assert_int_equal(ss_watch_begin(w, 3, &e), SS_OK);
    const ss_hooks *h = ss_watch_hooks(w);
    h->see_stats(h->self, NULL, &first, SS_PORT_OUTPUT, some, 3);
    h->see_stats(h->self, NULL, &second, SS_PORT_OUTPUT, none, 3);
    assert_true(ss_watch_absmax(w, 0) == 5);
    assert_true(fabs(ss_watch_rms(w, 0) - sqrt((3 * 4 + 2 * 16) / 5.0)) < 1e-12);
    assert_true(isnan(ss_watch_absmax(w, 1)) && isnan(ss_watch_rms(w, 1)));
    assert_true(isnan(ss_watch_absmax(w, 2)) && isnan(ss_watch_rms(w, 2))); /* not come by */

    assert_true(ss_watch_origin(w, 0).module == &first && ss_watch_origin(w, 0).share == 0.25);
    assert_true(ss_watch_origin(w, 1).module == &second && ss_watch_origin(w, 1).share == 1);
    assert_true(ss_watch_origin(w, 2).module == &first && ss_watch_origin(w, 2).share == 1);

    assert_int_equal(ss_watch_begin(w, 1, &e), SS_OK); /* the next pass knows nothing of it */
    assert_true(isnan(ss_watch_absmax(w, 0)) && !ss_watch_origin(w, 0).module);
    ss_watch_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finite_values_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
