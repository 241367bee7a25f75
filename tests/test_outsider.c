/* test_outsider.c - run files that others made: with our documented layout, but only some groups
 *
 * tests/golden/outsider.h5 was written by the hooks of tests/golden/hook_run.py, with
 * make_outsider.py: a UNet2DModel of diffusers with random weights, 116 modules, no port axis,
 * three statistics and nothing else. The other files are made here, through HDF5's own functions.
 */
#include "analyze/one/growth.h"
#include "analyze/one/headroom.h"
#include "analyze/one/health.h"
#include "analyze/one/not_finite.h"
#include "analyze/one/overflow.h"
#include "analyze/one/weights.h"
#include "analyze/several/comparison.h"
#include "analyze/several/trend.h"
#include "tests/ss_tmp.h"

#include <hdf5.h>
#include <hdf5_hl.h>
#include <sys/wait.h>

#define OUTSIDER "tests/golden/outsider.h5"

static ss_run *open_run(const char *path)
{
    ss_err e = {0};
    ss_run *r;

    if (ss_run_open(path, &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return r;
}

static int module_of(const ss_run *r, const char *path)
{
    const int m = ss_align_label(r->modules, r->n_modules, path);

    if (m < 0)
        fail_msg("no module %s", path);
    return m;
}

static void test_axes(void **state)
{
    (void)state;
    ss_run *r = open_run(OUTSIDER);

    assert_int_equal(r->n_modules, 116);
    assert_int_equal(r->n_ports, 1);
    assert_string_equal(r->ports[0], "output");
    assert_int_equal(r->n_inputs, 2);
    assert_string_equal(r->inputs[1], "grating");
    assert_int_equal(r->n_sigmas, 3);
    assert_int_equal(r->n_done, 3);
    assert_int_equal(r->n_samples, 2);
    assert_true(r->complete);
    assert_string_equal(r->model_path, "outsider/step-00100");
    /* in the order in which PyTorch entered them */
    assert_string_equal(r->modules[0], "(model)");
    assert_true(module_of(r, "down_blocks.1") < module_of(r, "mid_block"));
    assert_true(module_of(r, "mid_block") < module_of(r, "up_blocks.0"));
    ss_run_close(r);
}

/* Properties of the numbers: normalised outputs have RMS 1, a container shows its last part. */
static void test_statistics(void **state)
{
    (void)state;
    ss_run *r = open_run(OUTSIDER);
    const float *absmax, *rms;
    ss_err e = {0};
    int norms = 0;

    assert_int_equal(ss_run_stat(r, "absmax", &absmax, &e), SS_OK);
    assert_int_equal(ss_run_stat(r, "rms", &rms, &e), SS_OK);
    for (int m = 0; m < r->n_modules; m++) {
        const char *last = strrchr(r->modules[m], '.');

        for (int i = 0; i < 2; i++)
            for (int s = 0; s < 3; s++)
                for (int n = 0; n < 2; n++) {
                    const size_t at = ss_run_at(r, m, 0, i, s, n);

                    assert_true(rms[at] > 0 && rms[at] <= absmax[at]);
                    if (last && strncmp(last, ".norm", 5) == 0) {
                        assert_true(fabsf(rms[at] - 1) < 3e-3f); /* their epsilon: worst 2.0e-3 */
                        norms++;
                    }
                }
    }
    assert_int_equal(norms, 16 * 12); /* eight residual blocks have two */
    const size_t n = 12, whole = ss_run_at(r, 0, 0, 0, 0, 0);
    const size_t last = ss_run_at(r, module_of(r, "conv_out"), 0, 0, 0, 0);
    assert_memory_equal(absmax + whole, absmax + last, n * sizeof *absmax);
    ss_run_close(r);
}

static void test_analyses(void **state)
{
    (void)state;
    ss_run *r = open_run(OUTSIDER);
    ss_err e = {0};
    ss_sites all, produced;
    ss_format fp16, tiny;
    ss_growth g;
    ss_headroom h;
    ss_overflow o;
    ss_stages s;
    ss_weights w;
    ss_not_finite x;
    char name[256];

    assert_int_equal(ss_format_parse("fp16", &fp16, &e), SS_OK);
    assert_int_equal(ss_format_parse("e2m3", &tiny, &e), SS_OK); /* max 3.75 */
    assert_int_equal(ss_sites_find(r, NULL, 0, SS_SITES_ALL, &all, &e), SS_OK);
    assert_int_equal(ss_sites_find(r, NULL, 0, SS_SITES_PRODUCED, &produced, &e), SS_OK);
    assert_int_equal(all.n, 107); /* of 116, without containers that repeat others */
    assert_int_equal(produced.n, 107);

    assert_int_equal(ss_growth_find(r, &produced, SS_ALL, &g, &e), SS_OK);
    assert_string_equal(ss_site_name(r, g.rows[0].site, name, sizeof name),
                        "up_blocks.1.resnets.0.norm1");
    assert_true(fabs(g.rows[0].peak - 5.338) < 1e-3);
    ss_growth_release(&g);
    assert_int_equal(ss_headroom_find(r, &all, &fp16, 1, &h, &e), SS_OK);
    assert_false(h.has_hist);
    assert_true(fabs(h.rows[0].bits[0] - log2(65504 / 5.338)) < 1e-3);
    ss_headroom_release(&h);
    assert_int_equal(ss_overflow_find(r, &all, &tiny, &o, &e), SS_OK);
    assert_int_equal(o.n, 6);
    assert_true(o.rows[0].n_over > 0 && isnan(o.rows[0].range.over_least));
    ss_overflow_release(&o);
    assert_int_equal(ss_stages_find(r, &produced, SS_ALL, &s, &e), SS_OK);
    assert_int_equal(s.n_sites[SS_STAGE_DECODER], 53);
    assert_true(fabs(s.rows[0].absmax[SS_STAGE_DECODER] - 5.338) < 1e-3);
    ss_stages_release(&s);
    assert_int_equal(ss_weights_find(r, &produced, &w, &e), SS_OK);
    assert_int_equal(w.n_parameters, 0);
    ss_weights_release(&w);
    assert_int_equal(ss_not_finite_find(r, &x, &e), SS_OK);
    assert_true(x.n_sites == 0 && x.unclear == 0 && !ss_not_finite_any(&x));
    ss_not_finite_release(&x);
    ss_sites_release(&all);
    ss_sites_release(&produced);
    ss_run_close(r);
}

/* A copy of the outsider's file whose largest values are `factor` times as large. */
static const char *grown_copy(const char *name, float factor)
{
    float x[116 * 2 * 3 * 2];
    char command[1200];

    snprintf(command, sizeof command, "cp " OUTSIDER " %s", in_tmp(name));
    assert_int_equal(system(command), 0);
    hid_t f = H5Fopen(in_tmp(name), H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(f >= 0);
    hid_t set = H5Dopen2(f, "/stats/absmax", H5P_DEFAULT);
    assert_true(H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) >= 0);
    for (size_t i = 0; i < N_OF(x); i++)
        x[i] *= factor;
    assert_true(H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) >= 0);
    H5Dclose(set);
    assert_true(H5Fclose(f) >= 0);
    return in_tmp(name);
}

static void test_trend_and_comparison(void **state)
{
    (void)state;
    ss_run *runs[3];
    const int64_t steps[] = {100, 200, 400};
    ss_format fp16;
    ss_trend t;
    ss_comparison x;
    ss_err e = {0};

    runs[0] = open_run(OUTSIDER);
    runs[1] = open_run(grown_copy("x2.h5", 2));
    runs[2] = open_run(grown_copy("x4.h5", 4));
    assert_int_equal(ss_format_parse("fp16", &fp16, &e), SS_OK);
    assert_int_equal(ss_trend_find(runs, steps, 3, NULL, 0, &t, &e), SS_OK);
    assert_int_equal(t.n, 107);
    for (int i = 0; i < t.n; i++)
        assert_true(fabs(t.rows[i].peak.law.b - 1) < 1e-12);
    const ss_forecast f = ss_trend_forecast(&t, &t.rows[0], &fp16);
    assert_int_equal(f.reach, SS_REACH_FAR);
    assert_true(isnan(f.at.at));
    ss_trend_release(&t);

    assert_int_equal(ss_comparison_find(runs[0], runs[2], "B", NULL, 0, &x, &e), SS_OK);
    for (int i = 0; i < x.sites.n; i++) {
        const ss_compare_cell *c = &x.sites.rows[i].absmax.worst;

        assert_true(ss_compare_ratio(c->a, c->b) == 4 && c->bits > 1.5);
        assert_true(x.sites.rows[i].rms.worst.bits == 0);
    }
    assert_int_equal(x.heads.n + x.inputs.n_losses + x.inputs.n_spectra + (int)x.weights.n, 0);
    ss_comparison_release(&x);
    for (int i = 0; i < 3; i++)
        ss_run_close(runs[i]);
}

/* Runs "PROGRAM ARGS" with $O for the outsider's file and $D; its exit status must be status and
 * its output hold text. */
static void expect(const char *args, int status, const char *text)
{
    static char output[1 << 20];
    const char *program = getenv("SIGMASCOPE");
    char command[1024];

    snprintf(command, sizeof command, "O=" OUTSIDER "; D=%s; { %s %s; } 2>&1", tmp_dir,
             program ? program : "build/sigmascope", args);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    output[fread(output, 1, sizeof output - 1, p)] = '\0';
    const int got = WEXITSTATUS(pclose(p));
    if (got != status || !strstr(output, text))
        fail_msg("%s: exit status %d, want %d and \"%s\"; it printed\n%s", args, got, status, text,
                 output);
}

static void test_commands(void **state)
{
    (void)state;
    grown_copy("x2.h5", 2);
    expect("analyze $O", 0, "116 modules, 2 samples, 0 attention layers, 0 parameters");
    expect("analyze $O", 0, "no histogram, so no shares");
    expect("analyze $O", 0, "the run records no weights");
    expect("analyze $O --by-input --json", 0, "\"growth grating\"");
    expect("analyze $O $D/x2.h5 --steps 100,200 --format fp16", 0,
           "no forecast: fewer than 3 steps");
    expect("analyze $O $D/x2.h5", 2, "are both of step 100");
    expect("compare $O $O --fail-over 1", 0, "0 limits exceeded");
    expect("compare $O $D/x2.h5 --fail-over 1.9 --fail-over rms=1", 3, "1 limits exceeded");
    expect("report $O -o $D/page", 0, "index.html");
    expect("attn $O", 1, "no attention was recorded");
}

/* A file with /axes/module (2), /axes/sigma (3), and one set of the shape given; NULL: none. */
static void make_guest(const char *name, const char *set, int rank, const hsize_t *dims)
{
    const char *const labels[] = {"encoder.conv", "decoder.conv"};
    const double sigmas[] = {1, 10, 100};
    float values[64];
    hid_t f = H5Fcreate(in_tmp(name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), text, space, d;

    assert_true(f >= 0);
    H5Gclose(H5Gcreate2(f, "/axes", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Gclose(H5Gcreate2(f, "/stats", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    text = H5Tcopy(H5T_C_S1);
    H5Tset_size(text, H5T_VARIABLE);
    space = H5Screate_simple(1, (hsize_t[]){2}, NULL);
    d = H5Dcreate2(f, "/axes/module", text, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Dwrite(d, text, H5S_ALL, H5S_ALL, H5P_DEFAULT, labels) >= 0);
    H5Dclose(d);
    H5Sclose(space);
    H5Tclose(text);
    assert_true(H5LTmake_dataset_double(f, "/axes/sigma", 1, (hsize_t[]){3}, sigmas) >= 0);
    for (size_t i = 0; i < N_OF(values); i++)
        values[i] = (float)(1 + i) * 100;
    if (set)
        assert_true(H5LTmake_dataset_float(f, set, rank, dims, values) >= 0);
    assert_true(H5Fclose(f) >= 0);
}

static void test_few_groups(void **state)
{
    (void)state;
    const hsize_t good[] = {2, 3}, turned[] = {3, 2}, deep[] = {2, 1, 3}, flat[] = {6};

    make_guest("absmax.h5", "/stats/absmax", 2, good); /* 100 to 600 */
    expect("analyze $D/absmax.h5", 0, "decoder.conv");
    expect("analyze $D/absmax.h5 --format fp8-e4m3", 0, "2 of 3 pairs of noise level and input");
    expect("analyze $D/absmax.h5 $D/absmax.h5 --steps 1,2", 0, "not by this trend");
    expect("analyze $D/absmax.h5 $D/absmax.h5", 2,
           "the model's path '' has no certain training step");
    expect("compare $D/absmax.h5 $D/absmax.h5 --fail-over 1", 0, "0 limits exceeded");
    expect("compare $D/absmax.h5 $D/absmax.h5 --fail-over rms=1", 1, "rms cannot be judged");
    expect("compare $D/absmax.h5 $O", 1, "have no noise level in common");

    make_guest("rms.h5", "/stats/rms", 2, good);
    expect("analyze $D/rms.h5", 1, "has no /stats/absmax");
    expect("compare $D/absmax.h5 $D/rms.h5", 1, "rms.h5: has no /stats/absmax");
    make_guest("nothing.h5", NULL, 0, NULL);
    expect("analyze $D/nothing.h5", 1, "has no /stats/absmax");

    make_guest("turned.h5", "/stats/absmax", 2, turned);
    expect("analyze $D/turned.h5", 1, "/stats/absmax is [3,2], its axes say [2,3]");
    make_guest("deep.h5", "/stats/absmax", 3, deep);
    expect("analyze $D/deep.h5", 1, "/stats/absmax is [2,1,3], its axes say [2,3]");
    make_guest("flat.h5", "/stats/absmax", 1, flat);
    expect("compare $D/absmax.h5 $D/flat.h5", 1, "/stats/absmax is [6], its axes say [2,3]");
    expect("analyze $D/absmax.h5 $D/flat.h5 --steps 1,2", 1, "flat.h5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_axes),     cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_analyses), cmocka_unit_test(test_trend_and_comparison),
        cmocka_unit_test(test_commands), cmocka_unit_test(test_few_groups),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
