/* test_foreign.c - networks that are no UNet: made runs of them, through every command
 *
 * Modules are those of a transformer ("blocks.0.attn"), so no path names a stage.
 */
#include "analyze/expression.h"
#include "analyze/headroom.h"
#include "analyze/overflow.h"
#include "analyze/trend.h"
#include "tests/run_made.h"
#include "tests/ss_command.h"

#include <math.h>

static const char *const modules[] = {"", "pos_embed", "blocks.0", "blocks.0.attn", "proj_out"};
static const char *const inputs[] = {"noise:white"};
static const double sigmas[] = {1, 10};

static ss_run *open_made(const made_run *m, const char *name)
{
    ss_run *r;
    ss_err e = {0};

    make_run(in_tmp(name), m);
    if (ss_run_open(in_tmp(name), &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return r;
}

/* The largest value of "blocks.0.attn" is m->factor, of all others 1. */
static void one_large(const made_run *m, int module, int input, int sigma, int sample, ss_stats *s)
{
    (void)input, (void)sigma, (void)sample;
    s->rms = 0.5f;
    s->absmax = strcmp(m->modules[module], "blocks.0.attn") == 0 ? (float)m->factor : 1;
}

static const made_run plain = {.model_path = "dit/step-100",
                               .modules = modules,
                               .n_modules = N_OF(modules),
                               .inputs = inputs,
                               .n_inputs = 1,
                               .sigmas = sigmas,
                               .n_sigmas = N_OF(sigmas),
                               .n_samples = 2,
                               .stats = one_large};

/* Everything that judges a value of a format gives the same answer: whether it is over. */
static void judge(double value, const char *format, bool over)
{
    made_run m = plain;
    const int64_t steps[] = {100, 200};
    char text[64];
    ss_run *r[2];
    ss_sites all;
    ss_format f;
    ss_headroom h;
    ss_overflow o;
    ss_trend t;
    ss_err e = {0};

    m.factor = value / 2; /* at the first step; at the second one the value itself */
    r[0] = open_made(&m, "half.h5");
    m.factor = value;
    r[1] = open_made(&m, "edge.h5");
    assert_int_equal(ss_format_parse(format, &f, &e), SS_OK);
    assert_int_equal(ss_sites_find(r[1], NULL, 0, SS_SITES_ALL, &all, &e), SS_OK);
    assert_int_equal(ss_overflows(&f, value), over);
    assert_int_equal(ss_headroom_find(r[1], &all, &f, 1, &h, &e), SS_OK);
    assert_int_equal(h.n_negative[0], over);
    assert_int_equal(h.rows[0].bits[0] < 0, over);
    ss_headroom_release(&h);
    assert_int_equal(ss_overflow_find(r[1], &all, &f, &o, &e), SS_OK);
    assert_int_equal(o.rows[0].n_over, over);
    ss_overflow_release(&o);
    ss_sites_release(&all);
    for (int i = 0; i < 2; i++) {
        ss_expression x;
        ss_witness w;
        bool holds = !over;

        snprintf(text, sizeof text, i ? "headroom(%s) < 0" : "overflow(%s)", format);
        if (ss_expression_parse(text, &x, &e) != SS_OK ||
            ss_expression_eval(&x, r[1], &holds, &w, &e) != SS_OK)
            fail_msg("%s", e.msg);
        if (holds != over)
            fail_msg("%s is %d of %.9g", text, holds, value);
    }
    assert_int_equal(ss_trend_find(r, steps, 2, NULL, 0, &t, &e), SS_OK);
    assert_int_equal(ss_trend_forecast(&t, &t.rows[0], &f).reach == SS_REACH_PASSED, over);
    ss_trend_release(&t);
    ss_run_close(r[0]);
    ss_run_close(r[1]);

    snprintf(text, sizeof text, "analyze $D/edge.h5 --format %s", format);
    expect(text, 0, over ? "1 over " : "0 over ");
    assert_non_null(strstr(output, over ? "2 of 2 pairs" : "0 of 2 pairs"));
    snprintf(text, sizeof text, "report $D/edge.h5 --format %s -o $D/edge --force", format);
    expect(text, 0, NULL);
    char command[2200];
    snprintf(command, sizeof command, "grep -q '\"over\":\\[.*1.*\\],\"low\"' %s/index.html",
             in_tmp("edge"));
    assert_int_equal(system(command) == 0, over); /* the bars of the player */
    snprintf(command, sizeof command, "grep -q '%s' %s/index.html",
             over ? "would overflow in 1 modules" : "does not overflow", in_tmp("edge"));
    assert_int_equal(system(command), 0);
}

static void test_rounding_decides(void **state)
{
    (void)state;
    judge(65504, "fp16", false);
    judge(65510, "fp16", false);
    judge(65519, "fp16", false);
    judge(65520, "fp16", true); /* the midpoint rounds to even, which is 65536 */
    judge(460, "fp8-e4m3", false);
    judge(464, "fp8-e4m3", false); /* here the largest number is the even one */
    judge(465, "fp8-e4m3", true);
    judge(465, "fp8-e4m3-sat", true); /* what saturates is over, too */
}

/* The whole model is "(model)" to whoever reads, and "" or that to whoever writes a glob. */
static void test_root_has_one_name(void **state)
{
    (void)state;
    static const char *const globs[] = {"''", "'(model)'"};
    static const char probe[] = "--class 3 --sigmas 1,10 --samples 1 --quiet --force";
    char line[500];

    for (size_t i = 0; i < N_OF(globs); i++) {
        const char *g = globs[i];

        snprintf(line, sizeof line,
                 "probe $M -o $D/root.h5 %s --modules %s --dump %s --channels "
                 "--precision-map %s=bf16 --intervene clamp:0.5@%s",
                 probe, g, g, g, g);
        expect(line, 0, "(model)      0.5");
        snprintf(line, sizeof line, "analyze $D/root.h5 --modules %s", g);
        expect(line, 0, "1 modules");
        snprintf(line, sizeof line, "compare $D/root.h5 $D/root.h5 --modules %s", g);
        expect(line, 0, "(model)");
        snprintf(line, sizeof line, "report $D/root.h5 -o $D/root --force --modules %s", g);
        expect(line, 0, "index.html");
        for (int quoted = 0; quoted < 2; quoted++) {
            snprintf(line, sizeof line, "bisect $M --fail \"absmax(%s) > 0.1\" %s --cache $D/cache",
                     quoted || i == 0 ? g : "(model)", "--class 3 --sigmas 1 --samples 1 --quiet");
            expect(line, 3, "(model)");
        }
        snprintf(line, sizeof line,
                 "generate $M -o $D/samples --force --quiet --class 3 --steps 2 --samples 1 "
                 "--precision-map %s=bf16 --intervene clamp:0.5@%s",
                 g, g);
        expect(line, 0, "sheet.png");
    }
    expect("analyze $D/root.h5 --modules '?*'", 2, "no module matches '?*'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounding_decides),
        cmocka_unit_test(test_root_has_one_name),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
