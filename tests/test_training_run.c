/* test_training_run.c - what a training's own run file shows, on the made one of run_training.h */
#include "analyze/training/training_overflow.h"
#include "analyze/training/updates.h"
#include "base/mem.h"
#include "tests/run_training.h"
#include "tests/ss_tmp.h"

#include <jansson.h>
#include <sys/wait.h>

static void close_to(const char *what, double got, double want, double rtol)
{
    if (!(fabs(got - want) <= rtol * fabs(want)))
        fail_msg("%s is %.12g, want %.12g", what, got, want);
}

/* An open run with its analysis. */
typedef struct {
    ss_run *run;
    ss_sites all, produced;
    ss_training t;
} opened;

static opened open_file(const char *name)
{
    opened o = {0};
    ss_err e = {0};

    if (ss_run_open_any(in_tmp(name), &o.run, &e) != SS_OK ||
        ss_sites_find(o.run, NULL, 0, SS_SITES_ALL, &o.all, &e) != SS_OK ||
        ss_sites_find(o.run, NULL, 0, SS_SITES_PRODUCED, &o.produced, &e) != SS_OK ||
        ss_training_find(o.run, &o.produced, &o.t, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return o;
}

static opened open_made(const char *name, int steps)
{
    ss_err e = {0};

    if (trn_write(in_tmp(name), steps, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return open_file(name);
}

static void close_made(opened *o)
{
    ss_training_release(&o->t);
    ss_sites_release(&o->all);
    ss_sites_release(&o->produced);
    ss_run_close(o->run);
}

static ss_format format_of(const char *name)
{
    ss_format f;
    ss_err e = {0};

    assert_int_equal(ss_format_parse(name, &f, &e), SS_OK);
    return f;
}

static const ss_trend_row *row_of(const ss_trend *t, const char *module)
{
    char name[64];

    for (int i = 0; i < t->n; i++) {
        if (strcmp(ss_trend_name(t, &t->rows[i], name, sizeof name), module) == 0)
            return &t->rows[i];
    }
    fail_msg("no row for %s", module);
    return NULL;
}

static void test_growth(void **state)
{
    (void)state;
    opened o = open_made("a.h5", TRN_STEPS);
    const ss_trend *t = &o.t.trend;
    const ss_format fp16 = format_of("fp16"), e4m3 = format_of("fp8-e4m3");
    const ss_trend_row *up = row_of(t, "up_blocks.0"), *mid = row_of(t, "mid_block");
    char name[64];

    assert_int_equal(t->n_steps, TRN_STEPS);
    assert_ptr_equal(up, &t->rows[0]);   /* largest at the last step */
    assert_int_equal(up->peak.law.n, 5); /* the first step is that of the untrained network */
    close_to("exponent", up->peak.law.b, 1, 1e-6);
    close_to("exponent of mid", mid->peak.law.b, 0.5, 1e-6);
    close_to("exponent at high noise", mid->high.law.b, 0.5, 1e-6);
    close_to("peak", up->peak.y[3], 0.2 * 1000 * pow(10, 0.25), 1e-6);
    close_to("encoder", t->stages[SS_STAGE_ENCODER].peak.y[3], 4, 0);
    close_to("decoder", t->stages[SS_STAGE_DECODER].peak.y[3], up->peak.y[3], 0);
    assert_int_equal(row_of(t, "up_blocks.1")->peak.law.n, 3); /* 250, 500, 1000 are finite */

    ss_forecast x = ss_trend_forecast(t, up, &fp16); /* at 184,000: beyond ten times the range */
    assert_int_equal(x.reach, SS_REACH_FAR);
    x = ss_trend_forecast(t, up, &e4m3);
    assert_true(x.reach == SS_REACH_PASSED && x.over == 4 && !x.back);
    assert_int_equal(ss_trend_forecast(t, row_of(t, "conv_in"), &fp16).reach, SS_REACH_NEVER);

    ss_training_peak p = ss_training_largest(&o.t, NULL, SS_ALL);
    assert_ptr_equal(p.row, up);
    assert_true(p.step == 5 && p.sigma == 10);
    p = ss_training_largest(&o.t, NULL, 0); /* at step 1 nothing has grown: 4 twice, in order */
    assert_true(p.step == 0 && p.value == 4);
    p = ss_training_largest(&o.t, mid, 2);
    close_to("largest of mid", p.value, sqrt(500) * pow(10, 0.1), 1e-6);
    assert_string_equal(ss_trend_name(t, p.row, name, sizeof name), "mid_block");

    /* the decoder's median RMS: of half of up_blocks.0, whose mean square is over three samples,
     * and 2 */
    const double ms = (sqrt(10) + sqrt(0.1) + 1) / 3, rms = 0.1 * 4000 * sqrt(ms);
    close_to("decoder rms", o.t.stage_rms[SS_STAGE_DECODER * TRN_STEPS + 5], (rms + 2) / 2, 1e-6);
    close_to("encoder rms", o.t.stage_rms[SS_STAGE_ENCODER * TRN_STEPS + 5], 2, 1e-6);
    close_made(&o);
}

static void test_bands(void **state)
{
    (void)state;
    opened o = open_made("a.h5", TRN_STEPS);
    const ss_trend_row *up = row_of(&o.t.trend, "up_blocks.0");
    const double sigma[] = {0.1, 1, 10};

    assert_true(o.t.cut[0] == 1 && o.t.cut[1] == 10 && o.t.trend.high_sigma == 10);
    assert_int_equal(ss_training_band_of(&o.t, 0.99), SS_BAND_LOW);
    assert_int_equal(ss_training_band_of(&o.t, 1), SS_BAND_MID);
    assert_int_equal(ss_training_band_of(&o.t, 10), SS_BAND_HIGH);
    assert_int_equal(ss_training_band_of(&o.t, NAN), SS_N_BANDS);
    for (int b = 0; b < SS_N_BANDS; b++) {
        const double *y = ss_training_band(&o.t, up, (ss_band)b);

        for (int j = 0; j < TRN_STEPS; j++)
            close_to(ss_band_name((ss_band)b), y[j],
                     0.2 * (double)trn_steps[j] * pow(sigma[b], 0.25), 1e-6);
    }
    assert_null(ss_training_band(&o.t, &o.t.trend.stages[0], SS_BAND_LOW));
    close_made(&o);
}

static void test_overflow(void **state)
{
    (void)state;
    opened o = open_made("a.h5", TRN_STEPS);
    const ss_format e4m3 = format_of("fp8-e4m3"), fp16 = format_of("fp16");
    ss_training_overflow x;
    ss_err e = {0};

    assert_int_equal(ss_training_overflow_find(&o.t, &o.all, &e4m3, &x, &e), SS_OK);
    assert_string_equal(x.title, "overflow fp8-e4m3");
    assert_true(x.n == 2 && x.n_sites == TRN_MODULES);
    assert_string_equal(o.run->modules[x.rows[0].site.module], "up_blocks.0");
    assert_true(x.rows[0].first == 4 && x.rows[0].last == 5 && x.rows[0].n_steps == 2);
    close_to("first over", x.rows[0].value, 0.2 * 2000 * pow(10, 0.25), 1e-6);
    assert_true(x.rows[0].sigma == 10 && x.rows[0].nonfinite == 0);
    assert_string_equal(o.run->modules[x.rows[1].site.module], "up_blocks.1");
    assert_true(x.rows[1].first == 4 && x.rows[1].nonfinite == 14 && x.rows[1].sigma == 10);
    ss_training_overflow_release(&x);

    assert_int_equal(ss_training_overflow_find(&o.t, &o.all, &fp16, &x, &e), SS_OK);
    assert_int_equal(x.n, 1); /* what is not finite is over any limit */
    close_to("largest", x.largest, 0.2 * 4000 * pow(10, 0.25), 1e-6);
    ss_training_overflow_release(&x);
    close_made(&o);
}

static void test_updates(void **state)
{
    (void)state;
    opened o = open_made("a.h5", TRN_STEPS);
    ss_updates u;
    ss_err e = {0};

    assert_int_equal(ss_updates_find(&o.t, &u, &e), SS_OK);
    assert_int_equal(u.n, TRN_PARAMETERS);
    assert_true(u.n_stale == 2 && u.first_stale == 3 && u.stale[3] == 1 && u.stale[4] == 1);
    assert_true(u.rows[0].parameter == 1 && u.rows[0].n_stale == 2);
    assert_true(u.rows[0].staleness == 3 && u.rows[0].staleness_step == 4);
    close_to("ratio", u.rows[0].ratio, 0.04, 1e-6);
    assert_int_equal(u.rows[0].ratio_step, 0); /* the same at all steps: the first */
    close_to("gradient", u.rows[0].gradient, 8000, 0);
    assert_true(u.rows[1].staleness == 1 && u.rows[1].n_stale == 0);
    assert_true(isnan(u.worst[2]) && u.worst[3] == 2.5); /* step 500 was skipped */
    ss_updates_release(&u);
    close_made(&o);
}

/* The columns of steps that both have, and the weights as they were; a failure changes nothing. */
static void test_change_steps(void **state)
{
    (void)state;
    static const int64_t fewer[] = {1, 500, 1000, 3000};
    static const ss_run_parameter later[TRN_PARAMETERS] = {{"conv_in.weight", 9, 9, 9},
                                                           {"up_blocks.0.weight", 9, 9, 9}};
    ss_run_spec was = trn_spec(), now = trn_spec();
    const float *p, *q;
    ss_run_writer *w;
    ss_err e = {0};

    assert_int_equal(trn_write(in_tmp("whole.h5"), TRN_STEPS, &e), SS_OK);
    assert_int_equal(trn_write(in_tmp("other.h5"), TRN_STEPS, &e), SS_OK);
    now.steps = fewer;
    now.n_sigmas = N_OF(fewer);
    now.plan = "{\"steps\": 3000}";
    now.parameters = later;
    for (unsigned long k = 1;; k++) {
        ss_mem_fail_at(k);
        const ss_code rc = ss_run_change_steps(in_tmp("other.h5"), &was, &now, &e);
        ss_mem_fail_at(0);
        if (rc == SS_OK)
            break;
        assert_int_equal(rc, SS_NOMEM);
        opened same = open_file("other.h5");
        assert_true(same.run->complete && same.run->n_sigmas == TRN_STEPS);
        close_made(&same);
    }
    opened a = open_file("whole.h5");
    ss_run *b;
    assert_int_equal(ss_run_open_any(in_tmp("other.h5"), &b, &e), SS_OK);
    assert_true(!b->complete && b->n_sigmas == (int)N_OF(fewer) && b->steps[3] == 3000);
    assert_int_equal(ss_run_stat(a.run, "absmax", &p, &e), SS_OK);
    assert_int_equal(ss_run_stat(b, "absmax", &q, &e), SS_OK);
    for (int row = 0; row < TRN_MODULES * b->n_ports; row++) {
        static const int from[] = {0, 2, 3};
        const float *x = p + row * TRN_STEPS * TRN_SAMPLES, *y = q + row * 4 * TRN_SAMPLES;

        for (int s = 0; s < 3; s++)
            assert_memory_equal(x + from[s] * TRN_SAMPLES, y + s * TRN_SAMPLES,
                                TRN_SAMPLES * sizeof *x);
        assert_true(isnan(y[3 * TRN_SAMPLES]));
    }
    assert_int_equal(ss_run_updates(a.run, "staleness", &p, &e), SS_OK);
    assert_int_equal(ss_run_updates(b, "staleness", &q, &e), SS_OK);
    assert_float_equal(p[TRN_STEPS + 3], q[4 + 2], 0);
    assert_int_equal(ss_run_weights(b, "absmax", &q, &e), SS_OK);
    assert_float_equal(q[0], 2.5, 0);
    ss_run_close(b);
    close_made(&a);

    assert_int_equal(ss_run_resume(in_tmp("other.h5"), &now, &w, &e), SS_OK);
    for (int s = 0; s < 4; s++)
        assert_int_equal(ss_run_is_done(w, s), s < 3);
    ss_run_abandon(w);
    /* one that is no such file stays */
    assert_int_equal(ss_run_change_steps(in_tmp("other.h5"), &was, &now, &e), SS_USAGE);
    assert_int_not_equal(ss_run_change_steps(in_tmp("none.h5"), &was, &now, &e), SS_OK);
    assert_int_equal(access(in_tmp("none.h5"), F_OK), -1);
}

/* Worst first: by staleness, then by update/weight, then as in the file; those without any last. */
static void test_order_of_updates(void **state)
{
    (void)state;
    static const struct {
        ss_run_parameter p;
        float staleness, update;
        int place;
    } list[] = {
        {{"none.a", 1, 1, 0}, NAN, NAN, 5}, {{"calm", 1, 1, 0}, 1, 0.9f, 4},
        {{"same.a", 1, 1, 0}, 2, 0.1f, 2},  {{"same.b", 1, 1, 0}, 2, 0.1f, 3},
        {{"larger", 1, 1, 0}, 2, 0.3f, 1},  {{"none.b", 1, 1, 0}, NAN, NAN, 6},
        {{"stale", 1, 1, 0}, 4, 0.01f, 0},
    };
    ss_run_parameter parameters[N_OF(list)];
    ss_run_spec spec = trn_spec();
    ss_run_writer *w;
    ss_updates u;
    ss_err e = {0};

    for (size_t i = 0; i < N_OF(list); i++)
        parameters[i] = list[i].p;
    spec.parameters = parameters;
    spec.n_parameters = N_OF(list);
    assert_int_equal(ss_run_create(in_tmp("order.h5"), &spec, true, &w, &e), SS_OK);
    for (int s = 0; s < TRN_STEPS; s++) {
        const ss_stats st = {.count = 100, .absmax = 1, .rms = 1};
        const ss_run_step did = {.loss = 1, .norm = 1, .rate = 1, .scale = 1};
        ss_run_column *col;

        assert_int_equal(ss_run_column_new(w, s, &col, &e), SS_OK);
        for (int n = 0; n < TRN_SAMPLES; n++) {
            ss_run_put_stats(col, 0, SS_PORT_OUTPUT, 0, n, &st);
            ss_run_put_level(col, n, trn_sigmas[n], 1);
        }
        ss_run_put_step(col, &did);
        for (size_t i = 0; i < N_OF(list); i++)
            ss_run_put_update(col, (int64_t)i,
                              &(ss_run_update){1, list[i].update, 1, list[i].staleness});
        assert_int_equal(ss_run_submit(w, col, &e), SS_OK);
    }
    assert_int_equal(ss_run_finish(w, &e), SS_OK);

    opened o = open_file("order.h5");
    assert_int_equal(ss_updates_find(&o.t, &u, &e), SS_OK);
    assert_int_equal(u.n, N_OF(list));
    for (size_t i = 0; i < N_OF(list); i++)
        assert_int_equal(u.rows[list[i].place].parameter, i);
    ss_updates_release(&u);
    close_made(&o);
}

static void test_losses(void **state)
{
    (void)state;
    opened o = open_made("a.h5", TRN_STEPS);
    ss_training_loss rows[TRN_BINS];
    ss_err e = {0};
    int n;

    assert_int_equal(ss_training_losses(&o.t, rows, &n, &e), SS_OK);
    assert_int_equal(n, TRN_BINS);
    assert_true(rows[0].bin == 0 && rows[0].first_step == 1 && rows[0].first == 1);
    close_to("last", rows[0].last, 1.0 / 6, 1e-6);
    assert_true(rows[2].bin == 2 && rows[2].first_step == 250 && rows[2].first == 2.5);
    close_made(&o);
}

/* The first and the last are always among those shown. */
static void test_shown(void **state)
{
    (void)state;
    for (int n = 1; n < 40; n++) {
        for (int shown = 1; shown <= n; shown++) {
            assert_int_equal(ss_training_shown(shown - 1, shown, n), n - 1);
            for (int i = 1; i < shown; i++)
                assert_true(ss_training_shown(i - 1, shown, n) < ss_training_shown(i, shown, n));
            if (shown > 1)
                assert_int_equal(ss_training_shown(0, shown, n), 0);
        }
    }
}

/* Runs "PROGRAM ARGS" with $D; output: what it printed, both ways. Its exit status. */
static int run_program(const char *args, char *output, size_t room)
{
    const char *program = getenv("SIGMASCOPE");
    char command[1024];

    snprintf(command, sizeof command, "D=%s; { %s %s; } 2>&1", tmp_dir,
             program ? program : "build/sigmascope", args);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    output[fread(output, 1, room - 1, p)] = '\0';
    return WEXITSTATUS(pclose(p));
}

static void expect(const char *args, int status, const char *text)
{
    static char output[1 << 16];
    const int got = run_program(args, output, sizeof output);

    if (got != status || !strstr(output, text))
        fail_msg("%s: exit status %d, want %d and \"%s\"; it printed\n%s", args, got, status, text,
                 output);
}

static void test_command(void **state)
{
    (void)state;
    opened whole = open_made("a.h5", TRN_STEPS), part = open_made("part.h5", 2);
    ss_err e = {0};

    close_made(&whole);
    close_made(&part);
    assert_int_equal(trn_write(in_tmp("none.h5"), 0, &e), SS_OK);

    expect("analyze $D/a.h5", 3, "6 from 1 to 4000");
    expect("analyze $D/a.h5", 3, "1 of 4 places go over 65504 or are not finite");
    expect("analyze $D/a.h5 --format fp8-e4m3", 3, "2 of 4 places go over 448");
    expect("analyze $D/a.h5 --top 2", 3, "2 of 6 steps; ");
    expect("analyze $D/a.h5 --modules 'up_*'", 3, "of 2 places");
    expect("analyze $D/a.h5 --modules 'nope*'", 2, "no module matches 'nope*'");
    expect("analyze $D/a.h5", 3, "2 of 6 measured steps have a staleness above 2.3");
    expect("analyze $D/part.h5", 0, "NOT complete, 2 of 6 measured steps finished");
    expect("analyze $D/none.h5", 1, "no step is finished");
    expect("analyze $D/a.h5 --by-input", 2, "--by-input is for runs over noise levels");
    expect("analyze $D/a.h5 $D/part.h5", 2, "is a training run, over steps");
    expect("analyze $D/a.h5 --keep-fp32 fp16", 2, "is a training run, over steps");
    expect("compare $D/a.h5 $D/a.h5", 0, "the runs differ in nothing that is recorded");
}

static double number_at(json_t *all, const char *table, size_t row, const char *column)
{
    json_t *x = json_object_get(
        json_array_get(json_object_get(json_object_get(all, table), "rows"), row), column);

    if (!json_is_number(x))
        fail_msg("%s, row %zu: %s is not a number", table, row, column);
    return json_number_value(x);
}

static void test_json(void **state)
{
    (void)state;
    static char output[1 << 16];
    opened o = open_made("a.h5", TRN_STEPS);
    json_error_t where;

    close_made(&o);
    assert_int_equal(run_program("analyze $D/a.h5 --json", output, sizeof output), 3);
    json_t *all = json_loads(output, 0, &where);
    if (!all)
        fail_msg("line %d: %s", where.line, where.text);
    assert_true(number_at(all, "steps", 5, "step") == 4000);
    assert_true(number_at(all, "steps", 5, "not finite") == 1);
    assert_true(number_at(all, "steps", 3, "norm") == 5);
    close_to("largest", number_at(all, "growth", 0, "last"), 800 * pow(10, 0.25), 1e-6);
    close_to("middle", number_at(all, "growth", 0, "middle"), 200 * pow(10, 0.25), 1e-6);
    close_to("low", number_at(all, "noise levels", 0, "low"), 800 * pow(0.1, 0.25), 1e-6);
    close_to("exponent", number_at(all, "noise levels", 0, "mid exp"), 1, 1e-6);
    close_to("ratio", number_at(all, "noise levels", 0, "high/low"), pow(100, 0.25), 1e-6);
    close_to("stages", number_at(all, "stages", 5, "ratio"), 200 * pow(10, 0.25), 1e-6);
    assert_true(number_at(all, "overflow fp16", 0, "first step") == 2000);
    assert_true(number_at(all, "updates", 0, "staleness") == 3);
    assert_true(number_at(all, "stale steps", 0, "step") == 1000);
    assert_true(number_at(all, "loss", 2, "from step") == 250);
    assert_non_null(json_object_get(all, "forecast fp8-e4m3"));
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growth),       cmocka_unit_test(test_bands),
        cmocka_unit_test(test_overflow),     cmocka_unit_test(test_updates),
        cmocka_unit_test(test_change_steps), cmocka_unit_test(test_order_of_updates),
        cmocka_unit_test(test_losses),       cmocka_unit_test(test_shown),
        cmocka_unit_test(test_command),      cmocka_unit_test(test_json),
    };

    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
