/* test_trend.c - power laws with their errors, and growth over training steps
 *
 * The runs of one made training, module by module, at step k and noise level sigma:
 *
 *   conv_in       4                          does not grow
 *   mid_block     k^0.5 sigma^0.1            grows slowly
 *   up_blocks.0   0.2 k sigma^0.25           reaches 448 (fp8-e4m3) at sigma 80
 *   up_blocks.1   as conv_in, and 7 values that are inf from step 2000 on
 */
#include "analyze/several/trend.h"
#include "base/rng.h"
#include "tests/run_made.h"
#include "tests/ss_tmp.h"

#include <sys/wait.h>

static void close_to(const char *what, double got, double want, double rtol)
{
    if (!(fabs(got - want) <= rtol * fabs(want)))
        fail_msg("%s is %.12g, want %.12g", what, got, want);
}

/* By mpmath in 25 digits: the root of 1 - I(df / (df + t^2); df/2, 1/2) = p, I the regularised
 * incomplete beta function. */
static void test_student(void **state)
{
    (void)state;
    static const struct {
        double p;
        int df;
        double t;
    } cases[] = {
        {0.95, 1, 12.7062047362}, {0.95, 2, 4.30265272975},  {0.95, 3, 3.18244630528},
        {0.95, 4, 2.7764451052},  {0.95, 5, 2.57058183564},  {0.95, 10, 2.22813885199},
        {0.99, 4, 4.60409487135}, {0.95, 30, 2.04227245630}, {0.5, 1, 1},
    };

    for (size_t i = 0; i < N_OF(cases); i++)
        close_to("t", ss_student_t(cases[i].p, cases[i].df), cases[i].t, 2e-11);
}

static void test_exact_law(void **state)
{
    (void)state;
    const double x[] = {250, 500, 1000, 2000, 4000};
    double y[5];

    for (int i = 0; i < 5; i++)
        y[i] = 0.37 * pow(x[i], 1.25);
    const ss_power_law p = ss_power_law_fit(x, y, 5);
    assert_int_equal(p.n, 5);
    close_to("b", p.b, 1.25, 1e-13);
    close_to("exp(a)", exp(p.a), 0.37, 1e-12);
    assert_true(p.error < 1e-13 && p.r2 > 1 - 1e-13);
    const ss_crossing c = ss_power_law_reach(&p, 65504);
    close_to("at", c.at, pow(65504 / 0.37, 1 / 1.25), 1e-11);
    close_to("low", c.low, c.at, 1e-10);
    close_to("high", c.high, c.at, 1e-10);
}

/* The decoder's largest activation over 3000 steps of a small training run. Numbers of the fits
 * by numpy 2.4 (lstsq on [1, u], inv(X'X)), of the interval by bisection of its definition. */
static void test_measured_law(void **state)
{
    (void)state;
    const double x[] = {250, 500, 1000, 1500, 2000, 3000}, y[] = {46, 81, 191, 288, 367, 577};

    ss_power_law p = ss_power_law_fit(x, y, 6);
    close_to("a", p.a, -1.9421235938, 1e-10);
    close_to("b", p.b, 1.03584698647, 1e-11);
    close_to("error", p.error, 0.0305963076877, 1e-10);
    close_to("R2", p.r2, 0.996522286249, 1e-11);
    close_to("low", p.low, 1.03584698647 - 2.7764451052 * 0.0305963076877, 1e-10);
    assert_int_equal(p.bend, SS_BEND_NONE); /* t = 0.4886 of the parabola */
    const ss_crossing c = ss_power_law_reach(&p, 65504);
    close_to("at", c.at, 290976.9039, 1e-9);
    close_to("from", c.low, 183103.0826, 1e-9);
    close_to("to", c.high, 499196.7221, 1e-9);

    p = ss_power_law_fit(x, y, 3);
    close_to("b of 3", p.b, 1.02693343599, 1e-11);
    close_to("error of 3", p.error, 0.121616172136, 1e-10);
    assert_int_equal(p.bend, SS_BEND_UNKNOWN);
    assert_true(p.low < 0); /* t is 12.7 with one degree of freedom */
    assert_true(isnan(ss_power_law_reach(&p, 65504).at));
}

static void test_edges(void **state)
{
    (void)state;
    const double x[] = {1, 10, 100, 1000, 10000}, flat[] = {3, 3, 3, 3, 3};
    const double falling[] = {16, 8, 4, 2, 1}, holes[] = {NAN, 10, 0, 1000, INFINITY};
    const double same[] = {7, 7, 7, 7, 7};
    double bent[5];

    ss_power_law p = ss_power_law_fit(x, flat, 5);
    assert_true(p.b == 0 && isnan(p.r2) && isnan(ss_power_law_reach(&p, 10).at));
    p = ss_power_law_fit(x, falling, 5);
    assert_true(p.b < 0 && isnan(ss_power_law_reach(&p, 0.1).at));
    p = ss_power_law_fit(x, holes, 5);
    assert_int_equal(p.n, 2);
    close_to("b of two points", p.b, 1, 1e-14);
    assert_true(isnan(p.error) && isnan(p.low));
    assert_true(!ss_power_law_holds(&p) && isnan(ss_power_law_reach(&p, 5000).at));
    assert_true(isnan(ss_power_law_fit(same, x, 5).b));
    assert_true(isnan(ss_power_law_fit(x, x, 1).b));
    assert_true(isnan(ss_power_law_fit(x, x, 0).b));
    for (int sign = -1; sign <= 1; sign += 2) {
        for (int i = 0; i < 5; i++)
            bent[i] = exp(0.5 * log(x[i]) + sign * 0.05 * log(x[i]) * log(x[i]) + 0.01 * (i % 2));
        assert_int_equal(ss_power_law_fit(x, bent, 5).bend, sign > 0 ? SS_BEND_UP : SS_BEND_DOWN);
    }
}

/* Shares of 4000 simulated trainings whose slope, and whose later point, lie inside their
 * intervals; the standard error of a share of 95 % is 0.34 %. */
/* Few points that no test of 95 % calls bent, plainly are; and some are on no line at all. */
static void test_plain_bends(void **state)
{
    (void)state;
    const double x[] = {250, 500, 1000, 2000, 4000}, y[] = {6.9, 1e5, 6.7e5, 3.9e5, 3.8e5};
    const double up[] = {4, 3.9, 4.1, 40, 4000}, about[] = {1, 100, 2, 200, 3};

    ss_power_law p = ss_power_law_fit(x, y, 5);
    assert_int_equal(p.bend, SS_BEND_DOWN);
    assert_false(ss_power_law_holds(&p));
    p = ss_power_law_fit(x, up, 5);
    assert_int_equal(p.bend, SS_BEND_UP);
    assert_false(ss_power_law_holds(&p));
    p = ss_power_law_fit(x, about, 5);
    assert_int_equal(p.bend, SS_BEND_NO_LAW);
    assert_false(ss_power_law_holds(&p));
}

static void test_coverage(void **state)
{
    (void)state;
    enum { TRIALS = 4000, N = 5 };
    const double x[N] = {250, 500, 1000, 1500, 2000}, later = 20000;
    const ss_rng rng = ss_rng_stream(1, "trend", 0, 0);
    int slopes = 0, steps = 0, bends = 0, growing = 0;

    for (int k = 0; k < TRIALS; k++) {
        double y[N];

        for (int i = 0; i < N; i++)
            y[i] = 0.3 * x[i] * exp(0.05 * ss_rng_normal(rng, (uint64_t)(k * (N + 1) + i)));
        const double last =
            0.3 * later * exp(0.05 * ss_rng_normal(rng, (uint64_t)(k * (N + 1) + N)));
        const ss_power_law p = ss_power_law_fit(x, y, N);
        const ss_crossing c = ss_power_law_reach(&p, last);

        slopes += p.low <= 1 && 1 <= p.high;
        bends += p.bend != SS_BEND_NONE;
        growing += !isnan(c.at);
        steps += c.low <= later && later <= c.high;
    }
    assert_int_equal(growing, TRIALS);
    if (fabs(slopes / (double)TRIALS - 0.95) > 0.0104) /* 3 standard errors */
        fail_msg("the interval of the exponent holds it %d times of %d", slopes, TRIALS);
    if (fabs(steps / (double)TRIALS - 0.95) > 0.0104)
        fail_msg("the interval of the step holds it %d times of %d", steps, TRIALS);
    if (fabs(bends / (double)TRIALS - 0.05) > 0.0104)
        fail_msg("%d straight lines of %d are called bent", bends, TRIALS);
}

static void test_step_of_a_path(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int64_t step; /* -1: none */
    } cases[] = {
        {"demo/step-00250", 250},
        {"out/checkpoint-6000/unet", 6000},
        {"unet-1234", 1234},
        {"run7/step-00250/unet", 250},
        {"sd-v1.5/unet2d", -1},
        {"a/2024/ckpt_12000.st", 12000},
        {"", -1},
        {"model", -1},
        {"step250", 250},
        /* with what follows a step */
        {"named/step_500_fp16", 500},
        {"out/checkpoint-500-ema/unet", 500},
        {"out/checkpoint-500/unet_ema/", 500},
        {"out/step=1500/diffusion_pytorch_model.fp16.safetensors", 1500},
        {"lightning/epoch=3-step=500.ckpt", 500},
        {"deepspeed/global_step4000", 4000},
        {"iter_80k", 80000},
        {"out/unet_1000_fp16", 1000},
        {"out/model-2000.ema.safetensors", 2000},
        {"network-snapshot-006000", 6000},
        {"model050000.pt", 50000},
        {"ema_0.9999_050000.pt", 50000},
        {"out/006000/unet", 6000},
        {"out/6000/unet/.", 6000},
        {"step-500/pipeline-2/final", 500},
        {"exp-3/step-7/unet", 7},
        {"500-steps", -1},
        /* digits that are no step */
        {"hub/models--me--sd-v1-5/snapshots/451f4fe16113bff5a5d2269ed5ad43b0592e9a14/unet", -1},
        {"snapshots/39593d5650112b4cc580433f6b0435385882d819", -1},
        {"snapshots/1234567890123456789012345678901234567890", -1},
        {"checkpoint-1d0c4ebf6ff58a5caecab40fa1406526bca4b5b9", -1},
        {"runs/451f4fe", -1},
        {"stable-diffusion-v1-5/unet", -1},
        {"sd-v1.5", -1},
        {"sdxl-1.0/unet", -1},
        {"step-1.5", -1},
        {"run-2024-01-05", -1},
        {"run-20240105", -1},
        {"exp-3/final/unet", -1},
        {"unet2", -1},
        {"model-4k", -1},
        {"step_1e5", -1},
        {"x-123456789012345678901234567890", -1},
        {"step-0", 0},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        int64_t step = -1;

        if (ss_trend_step(cases[i].path, &step) != (cases[i].step >= 0) || step != cases[i].step)
            fail_msg("'%s' gives step %lld", cases[i].path, (long long)step);
    }
}

static const char *const modules[] = {"conv_in", "mid_block", "up_blocks.0", "up_blocks.1"};
static const char *const inputs[] = {"noise:white"};
static const double sigmas[] = {80, 0.02, 2};

static void training_stats(const made_run *m, int module, int input, int sigma, int sample,
                           ss_stats *s)
{
    const double step = m->factor, level = m->sigmas[sigma];

    (void)input;
    s->absmax = 4;
    if (strcmp(m->modules[module], "mid_block") == 0)
        s->absmax = (float)(sqrt(step) * pow(level, 0.1));
    if (strcmp(m->modules[module], "up_blocks.0") == 0)
        s->absmax = (float)(0.2 * step * pow(level, 0.25));
    s->absmax /= (float)(1 + sample); /* the first is the largest */
    s->rms = s->absmax / 2;
    if (strcmp(m->modules[module], "up_blocks.1") == 0 && step >= 2000)
        s->nonfinite = 7;
}

/* Writes and opens the run of a step. */
static ss_run *made_step(int step)
{
    char name[32], model[64];
    const made_run m = {
        .model_path = model,
        .modules = modules,
        .n_modules = N_OF(modules),
        .inputs = inputs,
        .n_inputs = 1,
        .sigmas = sigmas,
        .n_sigmas = N_OF(sigmas),
        .n_samples = 2,
        .factor = step,
        .stats = training_stats,
    };
    ss_err e = {0};
    ss_run *r;

    snprintf(name, sizeof name, "%d.h5", step);
    snprintf(model, sizeof model, "out/checkpoint-%d/unet", step);
    make_run(in_tmp(name), &m);
    if (ss_run_open(in_tmp(name), &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return r;
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

static void test_trend(void **state)
{
    (void)state;
    const int64_t steps[] = {1000, 250, 4000, 2000};
    ss_run *runs[4];
    ss_trend t;
    ss_err e = {0};
    ss_format fp16, e4m3, near;

    assert_int_equal(ss_format_parse("fp16", &fp16, &e), SS_OK);
    assert_int_equal(ss_format_parse("fp8-e4m3", &e4m3, &e), SS_OK);
    assert_int_equal(ss_format_parse("e4m3-ieee", &near, &e), SS_OK); /* to 240 */
    for (int i = 0; i < 4; i++)
        runs[i] = made_step((int)steps[i]);
    assert_int_equal(ss_trend_find(runs, steps, 4, NULL, 0, &t, &e), SS_OK);
    assert_true(t.steps[0] == 250 && t.steps[3] == 4000);
    assert_string_equal(t.runs[1]->model_path, "out/checkpoint-1000/unet");
    assert_int_equal(t.n, 4);

    const ss_trend_row *up = row_of(&t, "up_blocks.0"), *mid = row_of(&t, "mid_block");
    assert_ptr_equal(up, &t.rows[0]);
    assert_int_equal(up->stage, SS_STAGE_DECODER);
    close_to("exponent", up->peak.law.b, 1, 1e-6); /* values are f32 */
    close_to("exponent of mid", mid->high.law.b, 0.5, 1e-6);
    close_to("peak", up->peak.y[1], 0.2 * 1000 * pow(80, 0.25), 1e-6);
    close_to("decoder", t.stages[SS_STAGE_DECODER].peak.y[1], up->peak.y[1], 0);
    close_to("encoder", t.stages[SS_STAGE_ENCODER].peak.y[1], 4, 0);

    ss_forecast x = ss_trend_forecast(&t, up, &fp16); /* at 109,500: beyond 4000 + 10 x 3750 */
    assert_true(x.reach == SS_REACH_FAR && isnan(x.at.at));
    x = ss_trend_forecast(&t, mid, &near);
    assert_int_equal(x.reach, SS_REACH_AHEAD);
    close_to("step of e4m3-ieee", x.at.at, pow(240 / pow(80, 0.1), 2), 1e-4);
    x = ss_trend_forecast(&t, up, &e4m3); /* 150, 598, ... */
    assert_int_equal(x.reach, SS_REACH_PASSED);
    assert_true(x.over == 1 && !x.back && isnan(x.at.at));
    x = ss_trend_forecast(&t, mid, &fp16);
    assert_int_equal(x.reach, SS_REACH_FAR);
    assert_int_equal(ss_trend_forecast(&t, row_of(&t, "conv_in"), &fp16).reach, SS_REACH_NEVER);
    x = ss_trend_forecast(&t, row_of(&t, "up_blocks.1"), &fp16);
    assert_int_equal(x.reach, SS_REACH_LOST); /* not finite */
    assert_int_equal(x.over, 2);
    assert_int_equal(row_of(&t, "up_blocks.1")->peak.law.n, 2);
    ss_trend_release(&t);

    const int64_t twice[] = {1000, 250, 250, 2000}, zero[] = {1000, 250, 0, 2000};
    assert_int_equal(ss_trend_find(runs, twice, 4, NULL, 0, &t, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "are both of step 250"));
    assert_int_equal(ss_trend_find(runs, zero, 4, NULL, 0, &t, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "step 0 has no place"));
    for (int i = 0; i < 4; i++)
        ss_run_close(runs[i]);
}

/* Runs "PROGRAM analyze ARGS" with $D; its exit status must be status and its output hold text. */
static void expect(const char *args, int status, const char *text)
{
    const char *program = getenv("SIGMASCOPE");
    char command[1024], output[1 << 14];

    snprintf(command, sizeof command, "D=%s; { %s analyze %s; } 2>&1", tmp_dir,
             program ? program : "build/sigmascope", args);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    output[fread(output, 1, sizeof output - 1, p)] = '\0';
    const int got = WEXITSTATUS(pclose(p));
    if (got != status || !strstr(output, text))
        fail_msg("%s: exit status %d, want %d and \"%s\"; it printed\n%s", args, got, status, text,
                 output);
}

static void test_command(void **state)
{
    (void)state;
    static const char *const other[] = {"input_blocks.0"}, *const clean[] = {"images:x"};
    static const double low[] = {0.5}, near[] = {80.05, 0.02};
    made_run m = {
        .model_path = "model",
        .modules = other,
        .n_modules = 1,
        .inputs = clean,
        .n_inputs = 1,
        .sigmas = near,
        .n_sigmas = 2,
        .n_samples = 1,
        .factor = 1,
        .stats = training_stats,
    };

    ss_run_close(made_step(0)); /* the others are there from test_trend */
    make_run(in_tmp("other.h5"), &m);
    m.modules = modules;
    m.n_modules = 4;
    m.factor = 3000;
    make_run(in_tmp("near.h5"), &m);
    m.sigmas = low;
    m.n_sigmas = 1;
    make_run(in_tmp("low.h5"), &m);
    m.unfinished = 1;
    make_run(in_tmp("none.h5"), &m);

    expect("$D/250.h5 $D/1000.h5 $D/4000.h5", 3, "forecast fp8-e5m2"); /* 4000 has inf or NaN */
    expect("$D/250.h5 $D/1000.h5 $D/4000.h5", 3, "the last finite one before it is ");
    expect("$D/250.h5 $D/1000.h5 $D/4000.h5 --format fp8-e4m3", 3, "passed");
    expect("$D/250.h5 $D/4000.h5 --format fp16", 3, "inf or NaN");
    expect("$D/250.h5 $D/1000.h5", 0, "2 steps, no law");
    expect("$D/250.h5 $D/1000.h5", 0, "no forecast: fewer than 3 steps");
    expect("$D/250.h5 $D/1000.h5 --steps 5,7 --json", 0, "\"step\": 7");
    /* 80.05 is 80 within the tolerance, sigma 2 is left out, the inputs are one each */
    expect("$D/250.h5 $D/near.h5 --steps 250,3000", 3,
           "1 noise levels of 250.h5; the inputs have "
           "different names");
    expect("$D/250.h5 $D/near.h5", 2, "'model' has no certain training step");
    expect("$D/250.h5 $D/0.h5", 2, "step 0 has no place");
    expect("$D/250.h5 $D/250.h5", 2, "are both of step 250");
    expect("$D/250.h5 $D/1000.h5 --steps 5", 2, "--steps has 1 numbers for 2 runs");
    expect("$D/250.h5 $D/1000.h5 --steps 5,x", 2, "not '5,x'");
    expect("$D/250.h5 $D/1000.h5 --steps 5,6,7", 2, "for each of the 2 runs");
    expect("$D/250.h5 $D/1000.h5 --by-input", 2, "--by-input is for one run");
    expect("$D/250.h5 --steps 5", 2, "--steps is for several runs");
    expect("$D/250.h5 $D/1000.h5 --modules 'nothing*'", 2, "no module matches 'nothing*'");
    expect("$D/250.h5 $D/other.h5 --steps 1,2", 1,
           "have no module in common: 4 sites, from conv_in");
    expect("$D/250.h5 $D/low.h5 --steps 1,2", 1, "have no noise level in common");
    expect("$D/250.h5 $D/none.h5 --steps 1,2", 1, "no noise level is finished");
    expect("$D/none.h5 $D/250.h5 --steps 1,2", 1, "no noise level is finished");
    expect("$D/250.h5 $D/missing.h5", 1, "missing.h5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_student),        cmocka_unit_test(test_exact_law),
        cmocka_unit_test(test_measured_law),   cmocka_unit_test(test_edges),
        cmocka_unit_test(test_coverage),       cmocka_unit_test(test_plain_bends),
        cmocka_unit_test(test_step_of_a_path), cmocka_unit_test(test_trend),
        cmocka_unit_test(test_command),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
