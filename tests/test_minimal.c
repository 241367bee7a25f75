/* test_minimal.c - the smallest set of modules that stay in fp32, on the bundled checkpoint: it
 * suffices, and without any one of it something is inf or NaN; both said by runs of the test's own
 */
#include "analyze/precision/emulation.h"
#include "analyze/precision/minimal.h"
#include "base/mem.h"
#include "probe/probe.h"
#include "tests/ss_tmp.h"

static ss_run *probe(const char *name)
{
    static const char *const inputs[] = {"noise:white", "constant:0"};
    ss_probe_options opt = ss_probe_defaults();
    ss_probe_summary summary;
    ss_run *r = NULL;
    ss_err e = {0};

    opt.network.model = "demo/fashion-mnist/step-06000";
    opt.output = in_tmp(name);
    opt.sigmas = "1,80";
    opt.inputs = inputs;
    opt.n_inputs = N_OF(inputs);
    opt.samples = 1;
    opt.class_label = 3;
    opt.threads = 1;
    if (ss_probe_run(&opt, &summary, &e) != SS_OK || ss_run_open(opt.output, &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return r;
}

static uint64_t nonfinite_with(ss_run *r, const ss_keep *k)
{
    ss_emulation m;
    ss_run *again;
    uint64_t n;
    ss_err e = {0};

    assert_int_equal(ss_emulation_begin(r, k->format.name, 1, NULL, &m, &e), SS_OK);
    if (ss_emulation_run(&m, r, k, &again, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(ss_emulation_count(again, &n, NULL, &e), SS_OK);
    ss_run_close(again);
    ss_emulation_end(&m);
    return n;
}

static void test_suffices_and_is_minimal(void **state)
{
    (void)state;
    ss_run *r = probe("a.h5");
    ss_format f;
    ss_minimal m;
    ss_table t;
    int kept[64], n = 0;
    ss_err e = {0};

    assert_int_equal(ss_format_parse("e4m3-ieee", &f, &e), SS_OK);
    if (ss_minimal_find(r, &f, 1, NULL, &m, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_true(m.found);
    assert_in_range(m.keep.n_kept, 1, m.n_start);
    assert_int_equal(nonfinite_with(r, &m.keep), 0);
    for (int i = 0; i < m.keep.n_modules; i++) {
        if (ss_keep_listed(&m.keep, i))
            kept[n++] = i;
    }
    assert_int_equal(n, m.keep.n_kept);
    for (int without = 0; without < n; without++) {
        ss_keep fewer = m.keep;
        int rest[64], k = 0;

        fewer.modules = ss_alloc((size_t)fewer.n_modules, sizeof *fewer.modules);
        memcpy(fewer.modules, m.keep.modules, (size_t)fewer.n_modules * sizeof *fewer.modules);
        for (int i = 0; i < n; i++) {
            if (i != without)
                rest[k++] = kept[i];
        }
        ss_keep_restrict(r, &fewer, rest, k);
        assert_int_equal(fewer.n_kept, n - 1);
        assert_true(nonfinite_with(r, &fewer) > 0);
        ss_free(fewer.modules);
    }
    assert_int_equal(ss_minimal_table(r, &m, &t, &e), SS_OK);
    assert_non_null(strstr(t.note, "not one can be taken off"));
    ss_table_release(&t);
    ss_minimal_release(&m);
    ss_run_close(r);
}

static void test_nothing_to_keep(void **state)
{
    (void)state;
    ss_run *r = probe("b.h5");
    ss_format f;
    ss_minimal m;
    ss_err e = {0};

    assert_int_equal(ss_format_parse("bf16", &f, &e), SS_OK);
    assert_int_equal(ss_minimal_find(r, &f, 1, NULL, &m, &e), SS_OK);
    assert_true(m.found);
    assert_int_equal(m.keep.n_kept, 0);
    ss_minimal_release(&m);
    assert_int_equal(ss_format_parse("fp32", &f, &e), SS_OK);
    assert_int_equal(ss_minimal_find(r, &f, 1, NULL, &m, &e), SS_USAGE);
    ss_run_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suffices_and_is_minimal),
        cmocka_unit_test(test_nothing_to_keep),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
