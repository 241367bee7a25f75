/* test_channels.c - outlier channels of a run in which they are known
 *
 * Modules of 10 channels, at 2 noise levels and 2 inputs. Channel c has RMS 1 and largest |x|
 * 2 + c/10, but:
 *
 *   down_blocks.0   channel 3 has RMS 20 and largest |x| 40 everywhere
 *   up_blocks.0     channel 7 has largest |x| 2.7 * 6 at sigma 80, input 1 only; channel 8 has
 *                   NaN there; channel 9 stays just below 6 times the medians
 *   up_blocks.1     nine channels are zero, so that there is no median to exceed: they are dead
 *   conv_out        3 channels, one of them huge: too few to judge
 *   mid_block       channel 2 has RMS 0.0009 everywhere: dead; channel 5 too, but for one cell with
 *                   0.0011; channel 6 is 0, but NaN in one cell
 */
#include "analyze/one/channels.h"
#include "base/mem.h"
#include "runfile/run_file.h"
#include "tests/ss_tmp.h"

enum { DOWN, UP0, UP1, OUT, MID, N_MODULES };
enum { C = 10, N_INPUTS = 2, N_SIGMAS = 2 };
static const ss_run_module modules[N_MODULES] = {
    {"down_blocks.0", "Down", true}, {"up_blocks.0", "Up", true}, {"up_blocks.1", "Up", true},
    {"conv_out", "Conv2d", true},    {"mid_block", "Mid", true},
};
static const double sigmas[N_SIGMAS] = {80, 0.1};

static void ok(ss_code rc, const ss_err *e)
{
    if (rc != SS_OK)
        fail_msg("%s", e->msg);
}

static void fill(int module, int input, int sigma, float *absmax, float *rms)
{
    for (int c = 0; c < C; c++) {
        absmax[c] = 2 + (float)c / 10; /* median 2.45 */
        rms[c] = 1;
    }
    if (module == DOWN) {
        rms[3] = 20;
        absmax[3] = 40;
    }
    if (module == UP0) {
        absmax[9] = 2.35f * 5.99f;
        rms[9] = 5.99f;
    }
    if (module == UP0 && sigma == 0 && input == 1) {
        absmax[7] = 2.45f * 6.01f;
        absmax[8] = rms[8] = NAN;
    }
    for (int c = 1; c < C && module == UP1; c++)
        absmax[c] = rms[c] = 0;
    if (module == OUT)
        absmax[1] = rms[1] = 1e6f;
    if (module == MID) {
        rms[2] = 0.0009f;
        rms[5] = sigma || input ? 0.0009f : 0.0011f;
        rms[6] = sigma || input ? 0 : NAN;
    }
}

static void write_run(const char *path, bool channels)
{
    static const char *const inputs[N_INPUTS] = {"images:x", "noise:white"};
    ss_run_channels list[N_MODULES];
    ss_run_writer *w;
    ss_run_column *col;
    ss_err e = {0};

    for (int m = 0; m < N_MODULES; m++)
        list[m] = (ss_run_channels){modules[m].path, m == OUT ? 3 : C};
    const ss_run_spec spec = {
        .histogram = true,
        .modules = modules,
        .n_modules = N_MODULES,
        .inputs = inputs,
        .n_inputs = N_INPUTS,
        .sigmas = sigmas,
        .n_sigmas = N_SIGMAS,
        .n_samples = 1,
        .channels = list,
        .n_channels = channels ? N_MODULES : 0,
    };

    ok(ss_run_create(path, &spec, true, &w, &e), &e);
    for (int s = 0; s < N_SIGMAS; s++) {
        ok(ss_run_column_new(w, s, &col, &e), &e);
        for (int m = 0; m < N_MODULES; m++) {
            for (int i = 0; i < N_INPUTS; i++) {
                const ss_stats st = {.count = 1, .absmax = 1, .rms = 1};
                float absmax[C], rms[C];

                ss_run_put_stats(col, m, SS_PORT_OUTPUT, i, 0, &st);
                fill(m, i, s, absmax, rms);
                if (channels)
                    ss_run_put_channels(col, m, SS_PORT_OUTPUT, i, list[m].channels, absmax, rms);
            }
        }
        ok(ss_run_submit(w, col, &e), &e);
    }
    ok(ss_run_finish(w, &e), &e);
}

static void open_run(const char *name, ss_run **r, ss_sites *sites)
{
    ss_err e = {0};

    ok(ss_run_open(in_tmp(name), r, &e), &e);
    ok(ss_sites_find(*r, NULL, 0, SS_SITES_PRODUCED, sites, &e), &e);
}

static void test_outliers(void **state)
{
    (void)state;
    ss_run *r;
    ss_sites sites;
    ss_channels k;
    ss_table t;
    ss_err e = {0};

    write_run(in_tmp("channels.h5"), true);
    open_run("channels.h5", &r, &sites);
    ok(ss_channels_find(r, &sites, &k, &e), &e);
    assert_int_equal(k.n, 2);
    assert_int_equal(k.n_sites, 4);
    assert_int_equal(k.n_sites_with, 2);
    assert_int_equal(k.n_channels, 4 * C);

    const ss_channel_row *row = &k.rows[0];
    assert_int_equal(row->site.module, DOWN);
    assert_int_equal(row->channel, 3);
    assert_true(row->share == 1 && row->rms_ratio == 20 && row->absmax == 40);
    assert_true(fabs(row->absmax_ratio - 40 / 2.55) < 1e-5);

    row = &k.rows[1];
    assert_int_equal(row->site.module, UP0);
    assert_int_equal(row->channel, 7);
    assert_true(row->share == 0.25 && row->rms_ratio == 1);
    assert_int_equal(row->sigma, 0);
    assert_int_equal(row->input, 1);

    ok(ss_channels_table(r, &k, 1, &t, &e), &e);
    assert_int_equal(json_array_size(t.rows), 1);
    assert_non_null(strstr(t.note, "2 of 40 channels, in 2 of 4 places"));
    assert_non_null(strstr(t.note, "1 always do"));
    ss_table_release(&t);

    assert_int_equal(k.n_dead, 10);
    assert_int_equal(k.n_dead_sites, 2);
    assert_int_equal(k.dead[0].site.module, UP1);
    assert_int_equal(k.dead[0].n, 9);
    assert_string_equal(k.dead[0].list, "1, 2, 3, 4, 5, 6, 7, 8, 9");
    assert_int_equal(k.dead[1].site.module, MID);
    assert_string_equal(k.dead[1].list, "2");
    ok(ss_dead_table(r, &k, 1, &t, &e), &e);
    assert_int_equal(json_array_size(t.rows), 1);
    assert_non_null(strstr(t.note, "10 of 40 channels, in 2 of 4 places"));
    ss_table_release(&t);
    ss_channels_release(&k);
    ss_sites_release(&sites);
    ss_run_close(r);
}

static void test_none(void **state)
{
    (void)state;
    ss_run *r;
    ss_sites sites;
    ss_channels k;
    ss_err e = {0};

    write_run(in_tmp("none.h5"), false);
    open_run("none.h5", &r, &sites);
    ok(ss_channels_find(r, &sites, &k, &e), &e);
    assert_int_equal(k.n_sites, 0);
    assert_int_equal(k.n, 0);
    ss_channels_release(&k);
    ss_sites_release(&sites);
    ss_run_close(r);
}

static void test_no_memory(void **state)
{
    (void)state;
    ss_run *r;
    ss_sites sites;
    ss_err e = {0};

    open_run("channels.h5", &r, &sites);
    for (unsigned long n = 1;; n++) {
        ss_channels k;
        const unsigned long before = ss_mem_calls();

        ss_mem_fail_at(n);
        const ss_code rc = ss_channels_find(r, &sites, &k, &e);
        ss_mem_fail_at(0);
        if (ss_mem_calls() - before < n) {
            ok(rc, &e);
            ss_channels_release(&k);
            break;
        }
        if (rc == SS_OK) /* a path that could not be made reads as a module without channels */
            ss_channels_release(&k);
        else
            assert_true(k.rows == NULL && e.msg[0]);
    }
    ss_sites_release(&sites);
    ss_run_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outliers),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
