/* test_fold.c - containers that repeat a module inside of them, in one run and alike in several */
#include "analyze/one/sites.h"
#include "base/mem.h"
#include "runfile/run_writer.h"
#include "tests/ss_test.h"
#include "tests/ss_tmp.h"

#include <math.h>

enum { UP, RESNET, SAMPLER, CONV, N };
static const ss_run_module modules[] = {{"up", "Up", true},
                                        {"up.resnets.0", "ResnetBlock2D", false},
                                        {"up.upsamplers.0", "Upsample2D", false},
                                        {"up.upsamplers.0.conv", "Conv2d", false}};

/* A run in which each module puts out so much, at two noise levels; `up` is larger by `more`. */
static ss_run *made(const char *name, float value, float more)
{
    static const char *const inputs[] = {"noise:white"};
    static const double sigmas[] = {1, 10};
    const ss_run_spec spec = {.modules = modules,
                              .n_modules = N,
                              .inputs = inputs,
                              .n_inputs = 1,
                              .sigmas = sigmas,
                              .n_sigmas = 2,
                              .n_samples = 1,
                              .family = "UNet2DModel"};
    ss_run_writer *w;
    ss_run_column *col;
    ss_run *r;
    ss_err e = {0};

    assert_int_equal(ss_run_create(in_tmp(name), &spec, true, &w, &e), SS_OK);
    for (int s = 0; s < 2; s++) {
        assert_int_equal(ss_run_column_new(w, s, &col, &e), SS_OK);
        for (int m = 0; m < N; m++) {
            const float x = (m == RESNET ? 3 : value) + (m == UP ? more : 0);
            ss_stats st = {.count = 9, .absmax = x, .rms = x / 2};

            if (isnan(value))
                st.nonfinite = 9;
            ss_run_put_stats(col, m, SS_PORT_OUTPUT, 0, 0, &st);
        }
        assert_int_equal(ss_run_submit(w, col, &e), SS_OK);
    }
    assert_int_equal(ss_run_finish(w, &e), SS_OK);
    assert_int_equal(ss_run_open(in_tmp(name), &r, &e), SS_OK);
    return r;
}

static int n_sites(ss_run *r, const char *glob)
{
    ss_sites s;
    ss_err e = {0};

    assert_int_equal(ss_sites_find(r, &glob, 1, SS_SITES_PRODUCED, &s, &e), SS_OK);
    const int n = s.n;
    ss_sites_release(&s);
    return n;
}

static void test_chain_is_one_row(void **state)
{
    (void)state;
    ss_run *r = made("chain.h5", 7, 0);
    const int out = ss_run_port(r, "output");
    char name[200];
    ss_table t;

    assert_int_equal(n_sites(r, "*"), 2);
    assert_int_equal(n_sites(r, "up"), 1);
    assert_int_equal(ss_fold_origin(r, (ss_site){UP, out}).module, CONV);
    assert_int_equal(ss_fold_around(r, (ss_site){CONV, out}), SAMPLER);
    assert_int_equal(ss_fold_around(r, (ss_site){UP, out}), -1);
    assert_true(ss_fold_is_block(r, (ss_site){CONV, out})); /* up is */
    assert_false(ss_fold_is_block(r, (ss_site){RESNET, out}));
    assert_string_equal(ss_fold_name(r, (ss_site){CONV, out}, name, sizeof name),
                        "up = .upsamplers.0 = .conv");
    assert_string_equal(ss_site_name(r, (ss_site){CONV, out}, name, sizeof name),
                        "up.upsamplers.0.conv");
    assert_int_equal(ss_table_init(&t, "t", NULL), SS_OK);
    ss_fold_columns(&t);
    ss_table_row(&t);
    ss_fold_module(&t, r, UP); /* any of them names the row */
    char *cell = ss_table_cell(&t, 0, 0);
    assert_string_equal(cell, "up = .upsamplers.0 = .conv");
    ss_free(cell);
    ss_table_release(&t);
    ss_run_close(r);
}

static void test_runs_fold_alike(void **state)
{
    (void)state;
    ss_run *r[] = {made("a.h5", 7, 0), made("nan.h5", NAN, 0), made("other.h5", 7, 1)};
    ss_err e = {0};

    assert_int_equal(n_sites(r[0], "*"), 2);
    assert_int_equal(n_sites(r[1], "*"), N); /* NaN throughout: nobody knows */
    assert_int_equal(n_sites(r[2], "*"), 3); /* up has values of its own */
    assert_int_equal(ss_fold_alike(r, 2, &e), SS_OK);
    assert_int_equal(n_sites(r[0], "*"), 2);
    assert_int_equal(n_sites(r[1], "*"), 2);
    assert_int_equal(ss_fold_alike(r, 3, &e), SS_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(n_sites(r[i], "*"), 3);
        ss_run_close(r[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain_is_one_row),
        cmocka_unit_test(test_runs_fold_alike),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
