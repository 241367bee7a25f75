/* test_recorded.c - run files of a recorder in a live training: bins of noise level, and growing
 * files
 *
 * Made ones (run_recorded.h), and tests/golden/recorded.h5 of PyTorch (make_recorded.py).
 */
#include "analyze/findings/training_analysis.h"
#include "base/mem.h"
#include "tests/run_recorded.h"
#include "tests/run_training.h"
#include "tests/ss_command.h"

#include <jansson.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define GOLDEN "tests/golden/recorded.h5"

static void make(const char *name, const rec_kind *kind, int n)
{
    ss_err e = {0};

    if (rec_write(in_tmp(name), kind, n, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

static ss_run *open_run(const char *name)
{
    ss_run *r;
    ss_err e = {0};

    if (ss_run_open_any(in_tmp(name), &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return r;
}

/* Fails if the last output has one of these texts, which end with NULL. */
static void lacks(const char *const *texts)
{
    for (; *texts; texts++) {
        if (strstr(output, *texts))
            fail_msg("printed\n%s\nwhich has \"%s\"", output, *texts);
    }
}

/* Every number of the made file that the run has, by column of the file. */
static void check_numbers(ss_run *r, const rec_kind *kind, const int *columns, int n)
{
    const float *absmax, *loss, *bins;
    const uint64_t *bad;
    ss_err e = {0};

    assert_int_equal(r->n_sigmas, n);
    assert_int_equal(r->n_done, n);
    assert_int_equal(ss_run_stat(r, "absmax", &absmax, &e), SS_OK);
    assert_int_equal(ss_run_nonfinite(r, &bad, &e), SS_OK);
    assert_int_equal(ss_run_training(r, "loss", &loss, &e), SS_OK);
    assert_int_equal(ss_run_training(r, "loss_by_sigma", &bins, &e), SS_OK);
    for (int s = 0; s < n; s++) {
        const int i = columns[s];

        assert_true(r->done[s] && r->steps[s] == kind->first + (int64_t)rec_k(i));
        assert_float_equal(loss[s], 1 / (1 + (float)i), 0);
        for (int b = 0; b < kind->bins; b++) {
            const bool empty = !rec_count(kind, i, b);

            assert_float_equal(ss_run_count(r, s, b), rec_count(kind, i, b), 0);
            assert_true(isnan(ss_run_level(r, s, b)) == empty);
            assert_true(isnan(bins[b * n + s]) == empty);
            if (!empty)
                assert_float_equal(ss_run_level(r, s, b), rec_sigma(i, b), 0);
            for (int m = 0; m < REC_MODULES; m++) {
                const size_t at = ss_run_at(r, m, SS_PORT_OUTPUT, 0, s, b);

                assert_true(bad[at] == (m == 3 && b == 2 && rec_k(i) >= 2000 ? 7 : 0));
                assert_true(isnan(absmax[at]) == empty);
                if (!empty)
                    assert_float_equal(absmax[at], (float)rec_absmax(kind, m, i, b), 0);
            }
        }
    }
}

/* Columns that are not done are nowhere; done flags may have holes, and count in a closed file. */
static void test_only_done(void **state)
{
    (void)state;
    static const int first[] = {0, 1, 2}, holes[] = {0, 3, 4, 9};
    const rec_kind *kind = &rec_usual;
    ss_err e = {0};

    make("a.h5", kind, 3);
    ss_run *r = open_run("a.h5");
    assert_true(r->binned && !r->complete);
    check_numbers(r, kind, first, 3);
    ss_run_close(r);

    assert_int_equal(rec_make(in_tmp("holes.h5"), kind, &e), SS_OK);
    assert_int_equal(rec_fill(in_tmp("holes.h5"), kind, holes, N_OF(holes), &e), SS_OK);
    r = open_run("holes.h5");
    check_numbers(r, kind, holes, N_OF(holes));
    ss_run_close(r);

    const hid_t f = H5Fopen(in_tmp("holes.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
    const hid_t a = H5Aopen(f, "complete", H5P_DEFAULT);
    H5Awrite(a, H5T_NATIVE_INT, &(int){1});
    H5Aclose(a);
    H5Fclose(f);
    r = open_run("holes.h5");
    assert_true(r->complete);
    check_numbers(r, kind, holes, N_OF(holes));
    ss_run_close(r);
    expect("analyze $D/holes.h5 --format fp16", 0, "complete, 4 recorded steps");
}

static void test_no_step(void **state)
{
    (void)state;
    static const char *const commands[] = {
        "analyze $D/none.h5",
        "report $D/none.h5 -o $D/none-page",
        "bisect $D/none.h5 --fail 'overflow(fp16)'",
        "attn $D/none.h5",
        "compare $D/none.h5 $D/none.h5",
    };

    make("none.h5", &rec_usual, 0);
    for (size_t i = 0; i < N_OF(commands); i++)
        expect(commands[i], 1, "none.h5: no step is recorded yet");
    assert_int_equal(access(in_tmp("none-page"), F_OK), -1);
}

/* A process writes columns while this one opens the file again and again. */
static void test_growing(void **state)
{
    (void)state;
    const rec_kind *kind = &rec_usual;
    int columns[REC_ROOM], status, seen = 0, opened = 0, different = 0;
    ss_err e = {0};

    for (int i = 0; i < REC_ROOM; i++)
        columns[i] = i;
    make("grows.h5", kind, 1);
    const pid_t pid = fork();
    if (pid == 0) {
        int64_t steps[REC_ROOM * 4];
        const ss_run_spec spec = rec_spec(kind, steps);
        ss_run_writer *w;
        ss_code rc = ss_run_resume(in_tmp("grows.h5"), &spec, &w, &e);

        for (int i = 1; i < 40 && rc == SS_OK; i++) {
            rc = rec_submit(w, kind, i, &e);
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        }
        alarm(60); /* if the parent fails before it kills this process */
        for (;;)
            pause();
    }
    assert_true(pid > 0);
    while (seen < 40) {
        ss_run *r = open_run("grows.h5");

        assert_true(r->n_sigmas >= seen);
        different += r->n_sigmas > seen;
        seen = r->n_sigmas;
        check_numbers(r, kind, columns, seen);
        ss_run_close(r);
        if (++opened % 16 == 0) {
            const int got = run("analyze $D/grows.h5 --format fp16 --top 1");

            assert_true(got == 0 || got == 3); /* inf is in the last column */
            assert_non_null(strstr(output, "still open, "));
        }
        assert_true(opened < 4000);
    }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    print_message("opened %d times while it grew, at %d sizes\n", opened, different);
    assert_true(different > 4);
    ss_run *r = open_run("grows.h5");
    check_numbers(r, kind, columns, 40);
    ss_run_close(r);
}

/* Room is made by a larger file that is renamed over the old one. */
static void test_replaced(void **state)
{
    (void)state;
    static const int columns[] = {0, 1, 2, 3, 4, 5};
    rec_kind small = rec_usual, large = rec_usual;
    ss_err e = {0};

    small.room = 4;
    large.room = 8;
    make("replaced.h5", &small, 4);
    ss_run *before = open_run("replaced.h5");
    make("larger.h5", &large, 4);
    assert_int_equal(rename(in_tmp("larger.h5"), in_tmp("replaced.h5")), 0);
    assert_int_equal(rec_fill(in_tmp("replaced.h5"), &large, columns + 4, 2, &e), SS_OK);
    check_numbers(before, &small, columns, 4);
    ss_run_close(before);
    ss_run *after = open_run("replaced.h5");
    check_numbers(after, &large, columns, 6);
    ss_run_close(after);
}

/* Texts and tables speak of noise levels, never of samples by number or of a total of steps. */
static void test_words(void **state)
{
    (void)state;
    static const char *const never[] = {
        "sample 0",  "sample 1",     "sample 2",       " of 64",    "samples each",
        "log.jsonl", "NOT complete", "samples a step", "(samples)", "not at its end",
        NULL};

    make("grown.h5", &rec_usual, 50);
    expect("analyze $D/grown.h5 --format fp8-e4m3", 3, "BAD in fp8-e4m3: up_blocks.0 is over");
    assert_non_null(strstr(output, "where  sigma about 10.3\n"));
    assert_non_null(strstr(output, "since  step 1350; at 24 of 50 measured steps"));
    assert_non_null(strstr(output, "the recorder's file is still open"));
    assert_non_null(strstr(output, "still open, 50 recorded steps"));
    assert_non_null(strstr(output, "3 bins of noise level"));
    assert_non_null(strstr(output, "first at step 2000, sigma about 10.4"));
    assert_non_null(strstr(output, "and sigma of the bin, at the first such step"));
    lacks(never);
    expect("report $D/grown.h5 -o $D/page --format fp8-e4m3 && cat $D/page/index.html", 0,
           "4 modules at 50 recorded steps from 50 to 2500, in 3 bins of noise level; the "
           "recorder&#39;s file is still open.");
    assert_non_null(strstr(output, "Training of grown"));
    assert_non_null(strstr(output, "4 modules, 50 steps, 3 bins of noise level"));
    assert_non_null(strstr(output, "Of the recorded steps."));
    lacks(never);
    expect("report $D/grown.h5 -o $D/page --force --format fp8-e4m3 && cat $D/page/findings.json",
           0, "sigma");
    lacks((const char *const[]){"\"sample\"", "sample 2", NULL});
}

static json_t *finding(json_t *all, const char *id)
{
    json_t *f;
    size_t i;

    json_array_foreach(json_object_get(all, "findings"), i, f)
    {
        if (strcmp(json_string_value(json_object_get(f, "id")), id) == 0)
            return f;
    }
    fail_msg("no finding %s", id);
    return NULL;
}

static void test_data(void **state)
{
    (void)state;
    json_error_t error;

    make("grown.h5", &rec_usual, 50);
    expect("analyze $D/grown.h5 --format fp8-e4m3 --json", 3, "{");
    json_t *all = json_loads(output, 0, &error);
    assert_non_null(all);
    const json_t *verdict = json_object_get(all, "verdict");
    assert_int_equal(json_integer_value(json_object_get(verdict, "step")), 1350);
    assert_true(fabs(json_number_value(json_object_get(verdict, "sigma")) - 10.26) < 1e-5);
    assert_null(json_object_get(verdict, "sample"));
    const json_t *bad = finding(all, "nonfinite-modules");
    assert_int_equal(json_integer_value(json_object_get(bad, "step")), 2000);
    assert_true(fabs(json_number_value(json_object_get(bad, "sigma")) - 10.39) < 1e-5);
    assert_null(json_object_get(bad, "sample"));
    json_decref(all);
    expect("analyze $D/grown.h5 --csv --table nonfinite", 3,
           "up_blocks.1,,output,77,2000,training,10.39");
}

static void test_bisect(void **state)
{
    (void)state;
    make("grown.h5", &rec_usual, 50);
    expect("bisect $D/grown.h5 --fail 'overflow(fp8-e4m3)'", 3, "BAD since step 1350 of /tmp/");
    assert_non_null(strstr(output, "up_blocks.0 at sigma about 10.3: |x| up to 480.14, over 448"));
    assert_non_null(strstr(output, "good before: step 1300 of /tmp/"));
    assert_non_null(strstr(output, "50 of 50 steps tried"));
    lacks((const char *const[]){"sample", NULL});
    /* conditions select bins: the one of 0.1 is empty at every other step, which is skipped */
    expect("bisect $D/grown.h5 --fail 'absmax(up_blocks.0, sigma<2) > 200'", 3,
           "BAD since step 1050 of /tmp/");
    assert_non_null(strstr(output, "up_blocks.0 at sigma about 1.02: 210 (absmax("));
    expect("bisect $D/grown.h5 --fail 'absmax(up_blocks.0, sigma<0.5) > 200'", 3,
           "BAD since step 1850 of /tmp/");
    assert_non_null(strstr(output, "good before: step 1750 of /tmp/"));
    assert_non_null(strstr(output, "1 skipped between"));
    expect("bisect $D/grown.h5 --fail 'nonfinite(*, sigma>=5)'", 3, "BAD since step 2000 of /tmp/");
    expect("bisect $D/grown.h5 --fail 'nonfinite(*, sigma<5)'", 0, "GOOD: 50 of 50 steps tried");
    expect("bisect $D/grown.h5 --fail 'absmax(*, sigma>20) > 1'", 2,
           "no bin there has such a noise level; they have sigma 0.1 to 10.5");
    /* the mean over all samples of a step: 1 x 0.5, 2 x 1.5, 3 x 2.5 */
    expect("bisect $D/grown.h5 --fail 'loss() > 1.8333 and loss() < 1.8334'", 3,
           "BAD since step 50 of /tmp/");
    make("finite.h5", &rec_usual, 30);
    expect("bisect $D/finite.h5 --fail 'loss(sigma>0.5) > 2.11'", 0,
           "loss at sigma about 10.3: 2.1 (loss(");
    expect("bisect $D/finite.h5 --fail 'not loss() > 1.8334'", 3, "BAD since step 50 of /tmp/");
    expect("bisect $D/finite.h5 --fail 'loss() > 2.2'", 0, "GOOD: 30 of 30 steps tried");
    /* RMS of 3 samples at half of 10^0.1 k^0.5, 2 at half of k^0.5 */
    expect("bisect $D/finite.h5 --fail 'rms(mid_block, sigma>0.5) > 18.8' --csv --table verdict", 3,
           "mid_block");
}

/* Bins without samples are no values that are not finite, and are counted nowhere. */
static void test_empty_bins(void **state)
{
    (void)state;
    ss_err e = {0};
    ss_not_finite x;

    make("grown.h5", &rec_usual, 50);
    ss_run *r = open_run("grown.h5");
    assert_int_equal(ss_not_finite_find(r, &x, &e), SS_OK);
    assert_int_equal(x.n_sites, 1);
    assert_int_equal(x.values, 7 * 11);
    assert_int_equal(x.unclear, 0);
    ss_not_finite_release(&x);
    ss_run_close(r);

    rec_kind fine = rec_usual;
    fine.fine = true;
    make("fine.h5", &fine, 50);
    r = open_run("fine.h5");
    assert_int_equal(ss_not_finite_find(r, &x, &e), SS_OK);
    assert_false(ss_not_finite_any(&x));
    assert_int_equal(x.unclear, 0);
    ss_not_finite_release(&x);
    ss_run_close(r);
    expect("analyze $D/fine.h5 --format fp16", 0, "GOOD in fp16: nothing overflows");
    lacks((const char *const[]){"NOT FINITE", "inf or NaN (", NULL});
}

/* One bin of all samples, and no noise level: nothing is said of low or high noise. */
static void test_no_sigma(void **state)
{
    (void)state;
    rec_kind blind = rec_usual;

    blind.bins = 1;
    blind.sigma = false;
    make("blind.h5", &blind, 40);
    expect("analyze $D/blind.h5 --format fp8-e4m3 --format fp16", 0, "1 bin of all samples");
    lacks((const char *const[]){"noise levels\n", "samples with sigma", "sigma about", "no sigma",
                                "sigma nan", "high exp", "high noise", "\nloss\n", NULL});
    expect("analyze $D/blind.h5 --format fp16 --json", 0, "{");
    lacks((const char *const[]){"\"id\": \"bands\"", NULL});
    expect("report $D/blind.h5 -o $D/blind-page --format fp16 && cat $D/blind-page/index.html", 0,
           "at 40 recorded steps from 50 to 2000; the recorder");
    lacks((const char *const[]){"high noise", "sigma from", "samples at low", NULL});
    expect("bisect $D/blind.h5 --fail 'absmax(up_blocks.0) > 150'", 3,
           "up_blocks.0: 151.83 (absmax");
    expect("bisect $D/blind.h5 --fail 'absmax(*, sigma>1) > 1'", 2,
           "no noise level is known there");
}

/* A loss that the recorder was not given is not known, rather than lost or fine. */
static void test_no_loss(void **state)
{
    (void)state;
    rec_kind kind = rec_usual;

    kind.loss = false;
    kind.fine = true;
    make("mute.h5", &kind, 20);
    expect("analyze $D/mute.h5 --format fp16", 0, "whether steps were skipped is not known");
    lacks((const char *const[]){"loss is inf", "were skipped, of all", NULL});
    expect("analyze $D/mute.h5 --format fp16 --json", 0,
           "Whether steps were skipped: the run does not say.");
    expect("bisect $D/mute.h5 --fail 'loss() > 1'", 2, "the run has no losses of samples");
}

static void test_large_steps(void **state)
{
    (void)state;
    rec_kind kind = rec_usual;

    kind.first = 3000000000;
    make("late.h5", &kind, 50);
    expect("analyze $D/late.h5 --format fp8-e4m3", 3, "since  step 3000001350; ");
    assert_non_null(strstr(output, "50 from 3000000050 to 3000002500"));
    expect("bisect $D/late.h5 --fail 'overflow(fp8-e4m3)'", 3, "BAD since step 3000001350 of ");
}

/* The forecast is in training steps: 0.2 k 10^0.25 reaches 448 at k = 1260. */
static void test_forecast(void **state)
{
    (void)state;
    json_error_t error;
    json_t *row;
    size_t i;
    bool found = false;

    make("early.h5", &rec_usual, 20);
    expect("analyze $D/early.h5 --format fp8-e4m3 --json", 0, "{");
    json_t *all = json_loads(output, 0, &error);
    assert_non_null(all);
    const json_t *rows = json_object_get(json_object_get(all, "forecast fp8-e4m3"), "rows");
    json_array_foreach(rows, i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "module")), "up_blocks.0") != 0)
            continue;
        found = true;
        assert_true(fabs(json_number_value(json_object_get(row, "at step")) - 1259.6) < 1);
    }
    json_decref(all);
    assert_true(found);
}

static double cell(const json_t *all, const char *table, const char *key, const char *value,
                   const char *column)
{
    json_t *row;
    size_t i;

    json_array_foreach(json_object_get(json_object_get(all, table), "rows"), i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, key)), value) == 0)
            return json_number_value(json_object_get(row, column));
    }
    fail_msg("%s has no row %s", table, value);
    return NAN;
}

/* Medians over the last third of the common steps; of two trainings, whoever wrote them. */
static void test_compare(void **state)
{
    (void)state;
    rec_kind fine = rec_usual, late = rec_usual;
    json_error_t error;
    ss_err e = {0};

    fine.fine = true;
    late.first = 100000;
    make("grown.h5", &rec_usual, 50);
    make("fine.h5", &fine, 20);
    make("late.h5", &late, 20);
    assert_int_equal(trn_write(in_tmp("statistics.h5"), TRN_STEPS, &e), SS_OK);
    /* both have 50 to 1000: 700 to 1000, whose median is 850; 4 against 0.2 k 10^0.25 */
    expect("compare $D/grown.h5 $D/fine.h5 --json --fail-over absmax=2", 0, "{");
    json_t *all = json_loads(output, 0, &error);
    assert_non_null(all);
    const double grown = 0.2 * 850 * pow(10, 0.25),
                 high = cell(all, "noise levels B", "noise", "high", "A");
    assert_true(fabs(cell(all, "modules B", "module", "up_blocks.0", "A") - grown) < 0.01);
    assert_true(cell(all, "modules B", "module", "up_blocks.0", "B") == 4);
    assert_true(cell(all, "modules B", "module", "up_blocks.1", "fp16 since A") == 2000);
    assert_true(fabs(cell(all, "modules B", "module", "up_blocks.0", "exp A") - 1) < 1e-3);
    assert_true(fabs(high - grown) < 0.01);
    assert_true(fabs(cell(all, "noise levels B", "noise", "mid", "A") - 0.2 * 850) < 0.01);
    assert_true(fabs(cell(all, "noise levels B", "noise", "high", "loss A") - 2.5) < 1e-6);
    assert_true(fabs(cell(all, "fail-over", "measure", "absmax", "value") - 1) < 0.01);
    json_decref(all);
    expect("compare $D/fine.h5 $D/grown.h5 --fail-over absmax=2", 3, "up_blocks.1, inf or NaN");
    expect(
        "compare $D/fine.h5 $D/fine.h5 --fail-over absmax=1 --fail-over rms=1 --fail-over loss=0",
        0, "0 limits exceeded");
    /* what train writes has steps 1, 250, 500, 1000, 2000, 4000 */
    expect("compare $D/grown.h5 $D/statistics.h5", 0,
           "medians over 17 and 1 measured steps from 1683 to 2500");
    assert_non_null(strstr(output, "3 bins of noise level"));
    expect("compare $D/statistics.h5 $D/grown.h5 --csv --table 'modules B'", 0, "up_blocks.0");
    expect("compare $D/grown.h5 $D/late.h5", 1, "no range of training steps in common");
    expect("compare $D/grown.h5 " GOLDEN, 0, "left out: 3 places of A alone, 49 of B alone");
    expect("compare $D/grown.h5 tests/golden/outsider.h5", 2, "compare runs of one kind");
    expect("compare $D/fine.h5 $D/fine.h5 --fail-over entropy=1", 1, "entropy of two trainings");
}

/* Commands for what no recorder writes say so. */
static void test_not_in_it(void **state)
{
    (void)state;
    make("grown.h5", &rec_usual, 50);
    expect("attn $D/grown.h5", 2, "is a training run, over steps");
    expect("spectrum $D/grown.h5", 2, "is a training run, over steps");
}

/* PyTorch's own. */
static void test_golden(void **state)
{
    (void)state;
    expect("analyze " GOLDEN " --format fp16", 0,
           "BAD in fp16: up_blocks.1.resnets.1.conv_shortcut is over the limit first: |x| reaches");
    assert_non_null(strstr(output, "since  step 140; at 3 of 16 measured steps"));
    assert_non_null(strstr(output, "still open, 16 recorded steps"));
    assert_non_null(strstr(output, "Mechanism: residual stream grows"));
    expect("bisect " GOLDEN " --fail 'overflow(fp16, sigma>1)'", 3,
           "BAD since step 140 of tests/golden/recorded.h5: up_blocks.1.resnets.1");
    expect("report " GOLDEN " -o $D/golden && cat $D/golden/index.html", 0,
           "UNet2DModel in training: 58 modules at 16 recorded steps from 10 to 160, in 5 bins of "
           "noise level; the recorder");
    lacks((const char *const[]){"sample 0", "of 20", "log.jsonl", NULL});
    assert_int_equal(access(in_tmp("golden/growth.png"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_done),   cmocka_unit_test(test_no_step),
        cmocka_unit_test(test_growing),     cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_words),       cmocka_unit_test(test_data),
        cmocka_unit_test(test_bisect),      cmocka_unit_test(test_empty_bins),
        cmocka_unit_test(test_no_sigma),    cmocka_unit_test(test_no_loss),
        cmocka_unit_test(test_large_steps), cmocka_unit_test(test_forecast),
        cmocka_unit_test(test_compare),     cmocka_unit_test(test_not_in_it),
        cmocka_unit_test(test_golden),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
