/* test_analyze.c - analyses of a run whose answers are known
 *
 * Modules in forward order, largest output at noise level sigma, input i:
 *
 *   (model)                  as conv_out
 *   conv_in                  4
 *   down_blocks.0            8
 *   mid_block                2
 *   up_blocks.0              as its child: a container shows what it holds
 *   up_blocks.0.resnets.0    1000 sigma for input 0, a tenth of that for input 1
 *   conv_out                 3, and NaN for all of input 1 at sigma 100
 *
 * RMS is sqrt(sigma) in up_blocks, 0.5 elsewhere. Each sample has 100 values: 4 with the
 * exponent of the largest, 50 of 2^0, 20 of 2^-20, 16 of 2^-30, 10 zeros.
 */
#include "analyze/math/median.h"
#include "analyze/one/growth.h"
#include "analyze/one/headroom.h"
#include "analyze/one/health.h"
#include "analyze/one/not_finite.h"
#include "analyze/one/overflow.h"
#include "analyze/one/stages.h"
#include "analyze/one/weights.h"
#include "base/mem.h"
#include "runfile/run_file.h"
#include "tests/ss_test.h"

#include <stdio.h>
#include <unistd.h>

enum { MODEL, CONV_IN, DOWN, MID, UP, UP_RESNET, CONV_OUT, N_MODULES };
static const ss_run_module modules[] = {
    {"", "UNet2DModel", false},      {"conv_in", "Conv2d", false},
    {"down_blocks.0", "Down", true}, {"mid_block", "Mid", true},
    {"up_blocks.0", "Up", true},     {"up_blocks.0.resnets.0", "ResnetBlock2D", false},
    {"conv_out", "Conv2d", false},
};
static const double sigmas[] = {10, 0.1, 1, 100}; /* not sorted, on purpose */
static const ss_run_parameter parameters[] = {
    {"conv_in.weight", 1, 0.1f, 0},
    {"up_blocks.0.resnets.0.conv.weight", 2, 0.3f, 0},
    {"up_blocks.0.resnets.0.conv.bias", 0.5f, 0.2f, 0},
    {"conv_out.weight", 40, 3, 0},
};
enum { N_SIGMAS = 4, N_INPUTS = 2, N_SAMPLES = 2 };

static char path[64];
static ss_run *run;
static ss_sites all, produced;

static float largest(int module, int input, int sigma)
{
    switch (module) {
    case CONV_IN: return 4;
    case DOWN: return 8;
    case MID: return 2;
    case UP:
    case UP_RESNET: return (float)((input ? 100 : 1000) * sigmas[sigma]);
    default: return input == 1 && sigmas[sigma] == 100 ? NAN : 3;
    }
}

static ss_stats stats_of(int module, int input, int sigma)
{
    const float x = largest(module, input, sigma);
    ss_stats s = {.count = 100, .absmax = x, .rms = 0.5f};

    if (module == UP || module == UP_RESNET)
        s.rms = (float)sqrt(sigmas[sigma]);
    if (isnan(x)) {
        s.rms = NAN;
        s.nonfinite = s.exponent[255] = 100;
        return s;
    }
    s.exponent[127 + ilogbf(x)] += 4;
    s.exponent[127] += 50;
    s.exponent[127 - 20] += 20;
    s.exponent[127 - 30] += 16;
    s.exponent[0] += 10;
    return s;
}

/* The run with its first n noise levels. */
static void write_run(int n)
{
    static const char *const inputs[] = {"noise:white", "images:x"};
    ss_err e = {0};
    ss_run_writer *w;
    ss_run_column *col;
    const ss_run_spec spec = {
        .histogram = true,
        .modules = modules,
        .n_modules = N_MODULES,
        .inputs = inputs,
        .n_inputs = N_INPUTS,
        .sigmas = sigmas,
        .n_sigmas = N_SIGMAS,
        .n_samples = N_SAMPLES,
        .parameters = parameters,
        .n_parameters = N_OF(parameters),
        .family = "UNet2DModel",
        .loss = true,
    };

    assert_int_equal(ss_run_create(path, &spec, true, &w, &e), SS_OK);
    for (int s = 0; s < n; s++) {
        assert_int_equal(ss_run_column_new(w, s, &col, &e), SS_OK);
        for (int i = 0; i < N_INPUTS; i++) {
            for (int k = 0; k < N_SAMPLES; k++) {
                for (int m = 0; m < N_MODULES; m++) {
                    ss_stats st = stats_of(m, i, s);
                    ss_run_put_stats(col, m, SS_PORT_OUTPUT, i, k, &st);
                }
                /* the decoder block's input is the middle's output */
                ss_stats in = stats_of(MID, i, s);
                ss_run_put_stats(col, UP, SS_PORT_INPUT, i, k, &in);
                if (i == 1) /* noise alone has no clean picture */
                    ss_run_put_loss(col, i, k, sigmas[s] + k);
            }
        }
        assert_int_equal(ss_run_submit(w, col, &e), SS_OK);
    }
    if (n == N_SIGMAS)
        assert_int_equal(ss_run_finish(w, &e), SS_OK);
    else
        ss_run_abandon(w);
}

static void open_run(void)
{
    ss_err e = {0};

    if (ss_run_open(path, &run, &e) != SS_OK ||
        ss_sites_find(run, NULL, 0, SS_SITES_ALL, &all, &e) != SS_OK ||
        ss_sites_find(run, NULL, 0, SS_SITES_PRODUCED, &produced, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

static void close_run(void)
{
    ss_sites_release(&all);
    ss_sites_release(&produced);
    ss_run_close(run);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/ss_test_analyze.%ld.h5", (long)getpid());
    write_run(N_SIGMAS);
    open_run();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_run();
    return unlink(path);
}

static void test_forward_order(void **state)
{
    (void)state;
    static const struct {
        int module, port;
    } want[] = {{CONV_IN, 1}, {DOWN, 1}, {MID, 1}, {UP, 0}, {UP_RESNET, 1}, {CONV_OUT, 1}};
    const char *glob = "up_*", *container = "(model)", *none = "down_blocks.7";
    ss_sites some;
    ss_err e = {0};

    assert_int_equal(all.n, N_OF(want));
    for (size_t i = 0; i < N_OF(want); i++) {
        assert_int_equal(all.site[i].module, want[i].module);
        assert_int_equal(all.site[i].port, want[i].port);
    }
    assert_int_equal(produced.n, all.n - 1);
    assert_int_equal(ss_sites_find(run, &glob, 1, SS_SITES_ALL, &some, &e), SS_OK);
    assert_int_equal(some.n, 2);
    ss_sites_release(&some);
    /* conv_out alone has the values of the whole model */
    assert_int_equal(ss_sites_find(run, &container, 1, SS_SITES_ALL, &some, &e), SS_OK);
    assert_int_equal(some.n, 1);
    assert_int_equal(some.site[0].module, CONV_OUT);
    ss_sites_release(&some);
    assert_int_equal(ss_sites_find_each(run, NULL, 0, SS_SITES_ALL, &some, &e), SS_OK);
    assert_int_equal(some.n, 8);
    assert_int_equal(some.site[5].module, UP);
    assert_int_equal(some.site[7].module, MODEL);
    ss_sites_release(&some);
    assert_int_equal(ss_sites_find(run, &none, 1, SS_SITES_ALL, &some, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "no module matches 'down_blocks.7'"));
}

static void test_growth(void **state)
{
    (void)state;
    ss_err e = {0};
    ss_growth g;

    assert_int_equal(ss_growth_find(run, &produced, SS_ALL, &g, &e), SS_OK);
    assert_int_equal(g.low, 1); /* sigma 0.1 */
    assert_int_equal(g.mid, 0); /* the third of four: 10 */
    assert_int_equal(g.high, 3);
    assert_int_equal(g.n, 5); /* up_blocks.0 and the whole model repeat others */
    assert_int_equal(g.rows[0].site.module, UP_RESNET);
    assert_true(g.rows[0].peak == 1e5f && g.rows[0].peak_sigma == 3 && g.rows[0].peak_input == 0);
    assert_true(g.rows[0].absmax.low == 100 && g.rows[0].absmax.mid == 1e4f);
    assert_true(fabs(g.rows[0].absmax.ratio - 1000) < 1e-9);
    assert_true(fabs(g.rows[0].absmax.slope - 1) < 1e-7);
    assert_true(fabs(g.rows[0].rms.slope - 0.5) < 1e-7);
    assert_int_equal(g.rows[1].site.module, DOWN);
    assert_true(g.rows[1].absmax.slope == 0);
    ss_growth_release(&g);

    assert_int_equal(ss_growth_find(run, &produced, 1, &g, &e), SS_OK);
    assert_true(g.rows[0].peak == 1e4f && g.rows[0].peak_input == 1);
    const ss_growth_row *last = &g.rows[g.n - 1]; /* MID, with the least */
    assert_int_equal(last->site.module, MID);
    for (int i = 0; i < g.n; i++) {
        if (g.rows[i].site.module == CONV_OUT) { /* NaN at the highest level */
            assert_true(isnan(g.rows[i].absmax.high) && isnan(g.rows[i].absmax.ratio));
            assert_true(g.rows[i].absmax.slope == 0); /* over the other three */
        }
    }
    ss_growth_release(&g);
}

static void test_ranges(void **state)
{
    (void)state;
    ss_format fp16, bf16, fp32;
    uint64_t counts[256] = {[0] = 5, [255] = 5, [127 + 15] = 20, [127 + 16] = 10};
    assert_int_equal(ss_format_parse("fp16", &fp16, NULL), SS_OK);
    assert_int_equal(ss_format_parse("bf16", &bf16, NULL), SS_OK);
    assert_int_equal(ss_format_parse("fp32", &fp32, NULL), SS_OK);

    assert_false(ss_overflows(&fp16, 65519));
    assert_true(ss_overflows(&fp16, 65520));
    assert_true(ss_overflows(&bf16, 3.4e38));
    assert_false(ss_overflows(&fp16, NAN));
    assert_int_equal(ss_format_parse("fp8-e4m3-sat", &fp32, NULL), SS_OK);
    assert_true(ss_overflows(&fp32, 480));
    assert_int_equal(ss_format_parse("fp32", &fp32, NULL), SS_OK);

    ss_range g = ss_range_of(counts, &fp16, NAN);
    assert_true(g.total == 40 && g.zero == 5.0 / 40 && g.nonfinite == 5.0 / 40);
    assert_true(g.over_least == 10.0 / 40 && g.over_most == 30.0 / 40);
    assert_true(g.flush == 0 && g.denormal == 0);
    counts[127 + 16] = 0; /* nothing is over for sure */
    g = ss_range_of(counts, &fp16, 65000);
    assert_true(g.over_least == 0 && g.over_most == 0);
    g = ss_range_of(counts, &fp16, 65530);
    assert_true(g.over_least == 1.0 / 30 && g.over_most == 20.0 / 30);

    /* 2^-14 normal, 2^-15 and 2^-25 denormal, 2^-26 gone */
    const int exponents[] = {-14, -15, -25, -26};
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < 4; i++)
        counts[127 + exponents[i]] = 1u << i;
    g = ss_range_of(counts, &fp16, NAN);
    assert_true(g.denormal == 6.0 / 15 && g.flush == 8.0 / 15);
    g = ss_range_of(counts, &bf16, NAN);
    assert_true(g.denormal == 0 && g.flush == 0);
    memset(counts, 0, sizeof counts);
    assert_true(isnan(ss_range_of(counts, &fp32, NAN).flush));
}

static void test_headroom(void **state)
{
    (void)state;
    ss_err e = {0};
    ss_headroom h;
    ss_format f[2];

    assert_int_equal(ss_format_parse("fp16", &f[0], &e), SS_OK);
    assert_int_equal(ss_format_parse("bf16", &f[1], &e), SS_OK);
    assert_int_equal(ss_headroom_find(run, &all, f, 2, &h, &e), SS_OK);
    assert_int_equal(h.n, N_MODULES - 1); /* of up_blocks.0 its input, of the model nothing */
    assert_int_equal(h.n_negative[0], 1);
    assert_int_equal(h.n_negative[1], 0);
    assert_int_equal(h.rows[0].module, UP_RESNET);
    assert_true(fabs(h.rows[0].bits[0] - log2(65504.0 / 1e5)) < 1e-12);
    assert_int_equal(h.rows[1].module, DOWN);
    assert_true(h.rows[1].bits[0] == log2(65504.0 / 8));
    /* 16 of 100 are 2^-30 and become zero in fp16; 20 are 2^-20, denormal */
    assert_true(fabs(h.rows[1].range[0].flush - 0.16) < 1e-12);
    assert_true(fabs(h.rows[1].range[0].denormal - 0.20) < 1e-12);
    assert_true(fabs(h.rows[1].range[0].zero - 0.10) < 1e-12);
    assert_true(h.rows[1].range[1].flush == 0);
    ss_headroom_release(&h);
}

static void test_overflow(void **state)
{
    (void)state;
    ss_err e = {0};
    ss_overflow o;
    ss_format f;

    assert_int_equal(ss_format_parse("fp16", &f, &e), SS_OK);
    assert_int_equal(ss_overflow_find(run, &all, &f, &o, &e), SS_OK);
    assert_int_equal(o.n, N_SIGMAS * N_INPUTS);
    for (int i = 0; i < o.n; i++) {
        const ss_overflow_row *x = &o.rows[i];
        bool highest = sigmas[x->sigma] == 100;

        assert_true(i == 0 || sigmas[o.rows[i - 1].sigma] <= sigmas[x->sigma]);
        assert_int_equal(x->n_over, highest && x->input == 0);
        assert_int_equal(x->n_nonfinite, highest && x->input == 1);
        if (x->n_over) { /* the child, not the container before it in the list */
            assert_int_equal(x->first.module, UP_RESNET);
            assert_true(x->absmax == 1e5f);
            assert_true(x->range.over_least == 0.04 && x->range.over_most == 0.04);
        }
        if (x->n_nonfinite) {
            assert_int_equal(x->observed.module, CONV_OUT);
            assert_int_equal(x->nonfinite, 200);
        }
    }
    ss_overflow_release(&o);

    assert_int_equal(ss_format_parse("e4m3-ieee", &f, &e), SS_OK); /* max 240 */
    assert_int_equal(ss_overflow_find(run, &all, &f, &o, &e), SS_OK);
    assert_int_equal(o.rows[0].n_over, 0); /* sigma 0.1: 100 */
    assert_int_equal(o.rows[2].n_over, 1); /* sigma 1: 1000 */
    assert_int_equal(o.rows[3].n_over, 0); /* input 1: 100 */
    ss_overflow_release(&o);
}

static void test_stages(void **state)
{
    (void)state;
    ss_err e = {0};
    ss_stages s;

    assert_int_equal(ss_stage_of("down_blocks.1.resnets.0"), SS_STAGE_ENCODER);
    assert_int_equal(ss_stage_of("time_embedding.linear_1"), SS_STAGE_ENCODER);
    assert_int_equal(ss_stage_of("conv_norm_out"), SS_STAGE_DECODER);
    assert_int_equal(ss_stage_of("up_blocksy"), SS_STAGE_NONE);
    assert_int_equal(ss_stage_of("(model)"), SS_STAGE_NONE);

    assert_int_equal(ss_stages_find(run, &produced, SS_ALL, &s, &e), SS_OK);
    assert_int_equal(s.n, N_SIGMAS);
    assert_int_equal(s.n_sites[SS_STAGE_ENCODER], 2);
    assert_int_equal(s.n_sites[SS_STAGE_DECODER], 2);
    assert_int_equal(s.n_sites[SS_STAGE_NONE], 0);
    assert_true(s.rows[3].absmax[SS_STAGE_ENCODER] == 8);
    assert_true(s.rows[3].absmax[SS_STAGE_MIDDLE] == 2);
    assert_true(s.rows[3].absmax_ratio == 1e5 / 8);
    assert_true(s.rows[3].rms[SS_STAGE_DECODER] == 5.25); /* median of 10, 0.5 */
    assert_true(s.rows[0].rms[SS_STAGE_ENCODER] == 0.5);
    ss_stages_release(&s);
}

static void test_weights(void **state)
{
    (void)state;
    ss_err e = {0};
    ss_weights w;

    assert_int_equal(ss_weights_find(run, &produced, &w, &e), SS_OK);
    assert_int_equal(w.n_parameters, 4);
    assert_true(w.weight_max == 40 && w.largest == 3);
    assert_true(w.weight_median == 1.5);   /* of 0.5, 1, 2, 40 */
    assert_true(w.activation_median == 4); /* of 2, 3, 4, 8, 1e5 */
    assert_int_equal(w.n, 3);              /* DOWN and MID have no parameters */
    assert_int_equal(w.rows[0].module, UP_RESNET);
    assert_true(w.rows[0].weight == 2 && fabs(w.rows[0].weight_rms - 0.25) < 1e-7);
    assert_true(w.rows[0].huge && w.rows[0].normal);
    assert_int_equal(w.n_huge, 1);
    assert_int_equal(w.n_huge_normal, 1);
    for (int i = 0; i < w.n; i++) {
        if (w.rows[i].module == CONV_OUT)
            assert_true(!w.rows[i].huge && !w.rows[i].normal);
    }
    ss_weights_release(&w);
}

static void test_health(void **state)
{
    (void)state;
    ss_err e = {0};
    ss_not_finite x;
    double mean[N_INPUTS * N_SIGMAS];
    bool any;

    assert_int_equal(ss_not_finite_find(run, &x, &e), SS_OK);
    assert_int_equal(x.n_sites, 1); /* the whole model repeats it */
    assert_int_equal(x.values, 200);
    assert_int_equal(x.sites[0].site.module, CONV_OUT);
    assert_true(x.sites[0].first.sigma == 3 && x.sites[0].first.input == 1 &&
                x.sites[0].first.sample == 0 && !x.sites[0].nothing_finite);
    ss_not_finite_release(&x);

    assert_int_equal(ss_loss_find(run, mean, &any, &e), SS_OK);
    assert_true(any && isnan(mean[0]));
    assert_true(mean[N_SIGMAS + 3] == 100.5);

    ss_table t; /* a row where there is a loss: of input 1, from the lowest sigma on */
    assert_int_equal(ss_loss_table(run, &t, &e), SS_OK);
    assert_int_equal(json_array_size(t.rows), N_SIGMAS);
    const json_t *last = json_array_get(t.rows, N_SIGMAS - 1);
    assert_string_equal(json_string_value(json_array_get(last, 0)), "images:x");
    assert_int_equal(json_integer_value(json_array_get(last, 1)), 100);
    assert_true(json_number_value(json_array_get(last, 2)) == 100.5);
    ss_table_release(&t);
}

/* A value that only passes through, as an input or a skip, is cut off where it was made alone. */
static void test_limits(void **state)
{
    (void)state;
    static const char *const inputs[] = {"noise:white"};
    static const ss_run_module list[] = {{"made", "Conv2d", false}, {"gets", "Conv2d", false}};
    const ss_run_spec spec = {
        .histogram = true,
        .modules = list,
        .n_modules = N_OF(list),
        .inputs = inputs,
        .n_inputs = 1,
        .sigmas = sigmas,
        .n_sigmas = 1,
        .n_samples = 1,
        .family = "UNet2DModel",
        .plan = "{\"interventions\": [\"clamp:20@*\"]}",
    };
    const ss_stats at = {.count = 100, .absmax = 20, .rms = 1};
    const ss_stats below = {.count = 100, .absmax = 19, .rms = 1};
    char file[80];
    ss_not_finite x;
    ss_run_writer *w;
    ss_run_column *col;
    ss_run *r;
    ss_err e = {0};

    snprintf(file, sizeof file, "%s.limits", path);
    assert_int_equal(ss_run_create(file, &spec, true, &w, &e), SS_OK);
    assert_int_equal(ss_run_column_new(w, 0, &col, &e), SS_OK);
    ss_run_put_stats(col, 0, SS_PORT_INPUT, 0, 0, &at);
    ss_run_put_stats(col, 0, SS_PORT_OUTPUT, 0, 0, &at);
    ss_run_put_stats(col, 1, SS_PORT_SKIP, 0, 0, &at);
    ss_run_put_stats(col, 1, SS_PORT_INPUT, 0, 0, &at);
    ss_run_put_stats(col, 1, SS_PORT_OUTPUT, 0, 0, &below);
    ss_run_put_stats(col, 1, SS_PORT_RESIDUAL, 0, 0, &at);
    assert_int_equal(ss_run_submit(w, col, &e), SS_OK);
    assert_int_equal(ss_run_finish(w, &e), SS_OK);
    assert_int_equal(ss_run_open(file, &r, &e), SS_OK);
    assert_int_equal(ss_not_finite_find(r, &x, &e), SS_OK);
    assert_int_equal(x.n_limits, 1);
    assert_true(x.limits[0].limit == 20);
    assert_int_equal(x.limits[0].of, 3); /* two outputs and a residual */
    assert_int_equal(x.limits[0].n_sites, 2);
    assert_int_equal(x.limits[0].first.module, 0);
    assert_string_equal(r->ports[x.limits[0].first.port], "output");
    ss_not_finite_release(&x);
    ss_run_close(r);
    assert_int_equal(unlink(file), 0);
}

static void test_unfinished_run(void **state)
{
    (void)state;
    ss_err e = {0};
    ss_growth g;
    ss_stages s;
    ss_table t;
    char text[4096] = "";

    close_run();
    write_run(0); /* killed before the first noise level */
    open_run();
    assert_int_equal(all.n, 0);
    assert_int_equal(ss_growth_find(run, &produced, SS_ALL, &g, &e), SS_OK);
    assert_int_equal(g.n, 0);
    ss_growth_release(&g);
    close_run();

    write_run(2);
    open_run();
    assert_int_equal(run->n_done, 2);
    assert_int_equal(ss_growth_find(run, &produced, SS_ALL, &g, &e), SS_OK);
    assert_true(g.low == 1 && g.high == 0 && g.rows[0].peak == 1e4f);
    ss_growth_release(&g);
    assert_int_equal(ss_stages_find(run, &produced, SS_ALL, &s, &e), SS_OK);
    assert_int_equal(s.n, 2);
    ss_stages_release(&s);
    assert_int_equal(ss_summary_table(run, &t, &e), SS_OK);
    FILE *f = fmemopen(text, sizeof text, "w");
    ss_table_print(&t, f, 80);
    fclose(f);
    ss_table_release(&t);
    assert_non_null(strstr(text, "NOT complete, 2 of 4 noise levels finished"));
    close_run();
    write_run(N_SIGMAS);
    open_run();
}

static void test_measures(void **state)
{
    (void)state;
    double x[] = {3, NAN, 1, 2, 10}, nothing[] = {NAN};
    const double a[] = {1, 10, 100, 0}, b[] = {5, 50, 500, 7}, same[] = {2, 2, 2, 2};

    assert_true(ss_median(x, 5) == 2.5);
    assert_true(isnan(ss_median(nothing, 1)));
    assert_true(fabs(ss_log_slope(a, b, 4) - 1) < 1e-12); /* the pair with 0 is left out */
    assert_true(isnan(ss_log_slope(same, b, 4)));
    assert_true(isnan(ss_log_slope(a, b, 1)));
}

/* The program prints the same numbers as JSON. */
static void test_command(void **state)
{
    (void)state;
    const char *program = getenv("SIGMASCOPE");
    char command[512];
    json_error_t error;

    if (!program)
        skip_because("SIGMASCOPE does not name the program");
    snprintf(command, sizeof command, "%s analyze --json --format e4m3-ieee %s", program, path);
    FILE *f = popen(command, "r");
    json_t *all_tables = json_loadf(f, 0, &error);
    assert_int_equal(WEXITSTATUS(pclose(f)), 3); /* the run has inf or NaN */
    assert_non_null(all_tables);

    const json_t *rows = json_object_get(json_object_get(all_tables, "overflow e4m3-ieee"), "rows");
    const json_t *row = json_array_get(rows, 0);
    assert_string_equal(json_string_value(json_object_get(row, "first module over")),
                        "up_blocks.0.resnets.0");
    assert_true(json_number_value(json_object_get(row, "largest")) == 1000);
    row = json_array_get(json_object_get(json_object_get(all_tables, "headroom"), "rows"), 0);
    void *cell = json_object_iter_at((json_t *)(uintptr_t)row, "e4m3-ieee"); /* bits come first */
    cell = json_object_iter_next((json_t *)(uintptr_t)row, cell);
    assert_string_equal(json_object_iter_key(cell), "largest");
    rows = json_object_get(json_object_get(all_tables, "growth"), "rows");
    assert_int_equal(json_array_size(rows), 5);
    row = json_array_get(rows, 0);
    assert_string_equal(json_string_value(json_object_get(row, "module")), "up_blocks.0.resnets.0");
    const json_t *also = json_object_get(row, "also");
    assert_int_equal(json_array_size(also), 1);
    assert_string_equal(json_string_value(json_array_get(also, 0)), "up_blocks.0");
    assert_non_null(json_object_get(all_tables, "nonfinite"));
    assert_non_null(json_object_get(all_tables, "loss"));
    json_decref(all_tables);

    snprintf(command, sizeof command, "%s analyze --format fp17 %s 2>/dev/null", program, path);
    assert_int_equal(WEXITSTATUS(system(command)), 2);
    snprintf(command, sizeof command, "%s analyze /nonexistent.h5 2>/dev/null", program);
    assert_int_equal(WEXITSTATUS(system(command)), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward_order), cmocka_unit_test(test_growth),
        cmocka_unit_test(test_ranges),        cmocka_unit_test(test_headroom),
        cmocka_unit_test(test_overflow),      cmocka_unit_test(test_stages),
        cmocka_unit_test(test_weights),       cmocka_unit_test(test_health),
        cmocka_unit_test(test_measures),      cmocka_unit_test(test_command),
        cmocka_unit_test(test_limits),        cmocka_unit_test(test_unfinished_run),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
