/* test_findings.c - verdicts and sentences of runs that are fine, near a limit, or sick */
#include "analyze/findings/verdict.h"
#include "base/child.h"
#include "base/json.h"
#include "base/mem.h"
#include "tests/run_made.h"
#include "tests/ss_tmp.h"

#include <math.h>
#include <string.h>

static const char *const modules[] = {"conv_in", "mid_block", "up_blocks.0.conv", "conv_out"};
static const char *const inputs[] = {"noise:white", "constant:0"};
static const double sigmas[] = {0.1, 1, 10};
enum { MODULES = 4, INPUTS = 2, SIGMAS = 3, SAMPLES = 2 };

/* The largest value is m->factor, at up_blocks.0.conv, sigma 10, noise:white, sample 1; conv_in has
 * half of it there. Everything else is at most 1. */
static void stats(const made_run *m, int module, int input, int sigma, int sample, ss_stats *s)
{
    const bool there = input == 0 && sigma == 2 && sample == 1;

    s->absmax = (float)(there && module == 2   ? m->factor
                        : there && module == 0 ? m->factor / 2
                                               : 1);
    s->rms = s->absmax / 4;
}

static void zeros(const made_run *m, int module, int input, int sigma, int sample, ss_stats *s)
{
    (void)m, (void)module, (void)input, (void)sigma, (void)sample;
    s->absmax = 0;
    s->rms = 0;
}

/* mid_block is NaN from sigma 1 on, and so is all that follows. */
static void broken(const made_run *m, int module, int input, int sigma, int sample, ss_stats *s)
{
    (void)m, (void)input, (void)sample;
    s->absmax = 1;
    s->rms = 0.5f;
    if (sigma >= 1 && module >= 1) {
        s->nonfinite = 100;
        s->absmax = NAN;
        s->rms = NAN;
    }
}

static made_run run_of(double factor)
{
    return (made_run){.model_path = "models/step-100",
                      .modules = modules,
                      .n_modules = MODULES,
                      .inputs = inputs,
                      .n_inputs = INPUTS,
                      .sigmas = sigmas,
                      .n_sigmas = SIGMAS,
                      .n_samples = SAMPLES,
                      .factor = factor,
                      .stats = stats};
}

/* Judges a run by fp16; the caller releases v. Everything it says has to fit the schema. */
static void judge(const made_run *m, ss_verdict *v)
{
    const char *path = in_tmp("run.h5"), *json = in_tmp("findings.json");
    ss_format fp16;
    ss_analysis x;
    ss_findings f;
    ss_run *r;
    ss_err e = {0};
    json_t *all;

    make_run(path, m);
    assert_int_equal(ss_format_parse("fp16", &fp16, &e), SS_OK);
    assert_int_equal(ss_run_open(path, &r, &e), SS_OK);
    assert_int_equal(ss_analysis_make(r, NULL, 0, &fp16, 1, &x, &e), SS_OK);
    assert_int_equal(ss_verdict_run(&x, v, &e), SS_OK);
    assert_int_equal(ss_findings_init(&f, &e), SS_OK);
    ss_findings_run(&f, &x);
    all = ss_findings_document(&f, v);
    assert_int_equal(ss_json_write(json, all, 0, &e), SS_OK);
    json_decref(all);
    ss_findings_release(&f);
    ss_analysis_release(&x);
    ss_run_close(r);

    const char *const arguments[] = {"docs/schema/findings.schema.json", json, NULL};
    char said[400];
    ss_child child;

    assert_int_equal(ss_child_start(&child, "tests/validate", arguments, NULL, &e), SS_OK);
    const int status = ss_child_end(&child, said, sizeof said);
    if (status != 0 && status != 77)
        fail_msg("%s", said);
}

static void test_overflow_names_place(void **state)
{
    (void)state;
    made_run m = run_of(131008);
    ss_verdict v;

    judge(&m, &v);
    assert_int_equal(v.kind, SS_JUDGED_BAD);
    assert_string_equal(v.format, "fp16");
    assert_non_null(strstr(v.text, "up_blocks.0.conv overflows: |x| reaches 1.3101e+05, 2 times"));
    assert_non_null(strstr(v.where, "sigma 10, input noise:white, sample 1; 1 of 6 pairs"));
    assert_string_equal(json_string_value(json_object_get(v.data, "module")), "up_blocks.0.conv");
    assert_int_equal(v.n_next, 1);
    assert_non_null(strstr(v.next[0], "--keep-fp32 fp16 --check"));
    assert_int_equal(v.n_keep, 1);
    assert_string_equal(v.keep[0], "up_blocks.0.conv");
    ss_verdict_release(&v);
}

/* At the noise level and input of the largest value the place that comes first in forward order is
 * named, as PyTorch would. */
static void test_first_place_is_named(void **state)
{
    (void)state;
    made_run m = run_of(262016);
    ss_verdict v;

    judge(&m, &v);
    assert_non_null(strstr(v.text, "conv_in overflows: |x| reaches 1.3101e+05"));
    assert_int_equal(v.n_keep, 2);
    ss_verdict_release(&v);
}

static void test_room_left(void **state)
{
    (void)state;
    static const struct {
        double largest;
        ss_judged kind;
        const char *says;
    } cases[] = {
        {65504, SS_JUDGED_RISK, "a factor of 1 is left to 65504"},
        {40000, SS_JUDGED_RISK, "a factor of 1.64 is left"},
        {32752, SS_JUDGED_GOOD, "a factor of 2 is left"},
        {100, SS_JUDGED_GOOD, "a factor of 655 is left"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        made_run m = run_of(cases[i].largest);
        ss_verdict v;

        judge(&m, &v);
        assert_int_equal(v.kind, cases[i].kind);
        assert_non_null(strstr(v.text, cases[i].says));
        assert_non_null(strstr(v.covers, "3 noise levels, 2 inputs, 2 samples each"));
        assert_int_equal(v.n_keep, 0);
        ss_verdict_release(&v);
    }
}

static void test_not_finite(void **state)
{
    (void)state;
    made_run m = run_of(1);
    ss_verdict v;

    m.stats = broken;
    judge(&m, &v);
    assert_int_equal(v.kind, SS_JUDGED_BAD);
    assert_non_null(strstr(v.text, "mid_block is the first place with inf or NaN, of 3"));
    assert_non_null(strstr(v.where, "sigma 1, input noise:white, sample 0"));
    ss_verdict_release(&v);
}

/* Weights that are NaN come before all that follows from them, and are of no format. */
static void test_weights_first(void **state)
{
    (void)state;
    static const ss_run_parameter parameters[] = {{"conv_in.weight", 1, 0.5f, 0},
                                                  {"mid_block.weight", NAN, NAN, 7}};
    made_run m = run_of(1);
    ss_verdict v;

    m.stats = broken;
    m.parameters = parameters;
    m.n_parameters = 2;
    judge(&m, &v);
    assert_int_equal(v.kind, SS_JUDGED_BAD);
    assert_string_equal(v.format, "");
    assert_non_null(strstr(v.text, "1 parameter is inf or NaN, the first is mid_block.weight"));
    ss_verdict_release(&v);
}

/* A run that says nothing gets no good verdict. */
static void test_nothing_known(void **state)
{
    (void)state;
    made_run m = run_of(1);
    ss_verdict v;

    m.stats = zeros;
    judge(&m, &v);
    assert_int_equal(v.kind, SS_JUDGED_UNKNOWN);
    assert_non_null(strstr(v.text, "every value that was seen is zero"));
    ss_verdict_release(&v);

    m = run_of(1);
    m.unfinished = SIGMAS;
    judge(&m, &v);
    assert_int_equal(v.kind, SS_JUDGED_UNKNOWN);
    assert_non_null(strstr(v.text, "no noise level of this run is finished"));
    ss_verdict_release(&v);

    m = run_of(1);
    m.unfinished = 1;
    judge(&m, &v);
    assert_int_equal(v.kind, SS_JUDGED_GOOD);
    assert_non_null(strstr(v.covers, "2 noise levels"));
    assert_non_null(strstr(v.covers, "the run is not complete"));
    ss_verdict_release(&v);
}

/* A run that was made in a format is judged by that one. */
static void test_own_format(void **state)
{
    (void)state;
    made_run m = run_of(100);
    ss_verdict v;

    m.precision = "bf16 (half, sdpa)";
    judge(&m, &v);
    assert_int_equal(v.kind, SS_JUDGED_GOOD);
    assert_string_equal(v.format, "bf16");
    ss_verdict_release(&v);
}

/* The first bad run in training order leads, whatever their order as operands. */
static void test_since(void **state)
{
    (void)state;
    static const double largest[] = {1e6, 10, 1e5};
    static const char *const models[] = {"m/step-300", "m/step-100", "m/step-200"};
    ss_format fp16;
    ss_analysis x[3] = {0};
    ss_run *runs[3];
    ss_verdict v;
    ss_err e = {0};
    char name[16];

    assert_int_equal(ss_format_parse("fp16", &fp16, &e), SS_OK);
    for (int i = 0; i < 3; i++) {
        made_run m = run_of(largest[i]);

        m.model_path = models[i];
        snprintf(name, sizeof name, "%d.h5", i);
        make_run(in_tmp(name), &m);
        assert_int_equal(ss_run_open(in_tmp(name), &runs[i], &e), SS_OK);
        assert_int_equal(ss_analysis_make(runs[i], NULL, 0, &fp16, 1, &x[i], &e), SS_OK);
    }
    ss_analysis_name(x, 3);
    ss_several s = {.runs = runs, .found = x, .n = 3, .format = &fp16, .n_formats = 1};
    assert_int_equal(ss_several_find(&s, &e), SS_OK);
    assert_int_equal(ss_verdict_several(&s, &v, &e), SS_OK);
    assert_int_equal(v.kind, SS_JUDGED_BAD);
    assert_string_equal(v.since, "step-200 (step 200); good before: step-100 (step 100)");
    assert_int_equal(json_integer_value(json_object_get(v.data, "step")), 200);
    ss_verdict_release(&v);
    ss_several_release(&s);
    for (int i = 0; i < 3; i++) {
        ss_analysis_release(&x[i]);
        ss_run_close(runs[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overflow_names_place),
        cmocka_unit_test(test_first_place_is_named),
        cmocka_unit_test(test_room_left),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_weights_first),
        cmocka_unit_test(test_nothing_known),
        cmocka_unit_test(test_own_format),
        cmocka_unit_test(test_since),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
