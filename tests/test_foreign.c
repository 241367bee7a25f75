/* test_foreign.c - networks that are no UNet: made runs of them, through every command
 *
 * Modules are those of a transformer ("blocks.0.attn"), so no path names a stage.
 */
#include "analyze/one/headroom.h"
#include "analyze/one/overflow.h"
#include "analyze/search/expression.h"
#include "analyze/several/trend.h"
#include "tests/run_made.h"
#include "tests/ss_command.h"

#include <math.h>

#define GUEST "tests/golden/transformer.h5"

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
        ss_expression_release(&x);
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
        expect(line, 0, "(model)  0.5");
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

/* A made run of every kind that a network may be, each with how many figures its report has. */
static void grown(const made_run *m, int module, int input, int sigma, int sample, ss_stats *s)
{
    s->absmax = (float)((1 + module) * (1 + input) * (1 + sigma) + sample);
    s->rms = 0.25f * s->absmax;
    s->absmax *= (float)m->factor;
}

static void nothing_finite(const made_run *m, int module, int input, int sigma, int sample,
                           ss_stats *s)
{
    (void)m, (void)module, (void)input, (void)sigma, (void)sample;
    s->absmax = s->rms = NAN;
    s->nonfinite = s->count;
}

static void dead(const made_run *m, int module, int input, int sigma, int sample, ss_stats *s)
{
    (void)m, (void)module, (void)input, (void)sigma, (void)sample;
    s->absmax = s->rms = 0;
}

/* Only the whole model and only at one input. */
static void seldom(const made_run *m, int module, int input, int sigma, int sample, ss_stats *s)
{
    if (module || input)
        s->absmax = s->rms = NAN;
    else
        grown(m, module, input, sigma, sample, s);
}

static ss_attention_stats some_attention(const made_run *m, int layer, int head, int input,
                                         int sigma, int sample)
{
    (void)m, (void)layer, (void)head, (void)input, (void)sigma, (void)sample;
    return (ss_attention_stats){.entropy = 1, .entropy_min = 0.5f, .max_logit = 3, .sink = 0.25f};
}

static ss_attention_stats bad_attention(const made_run *m, int layer, int head, int input,
                                        int sigma, int sample)
{
    (void)m, (void)layer, (void)head, (void)input, (void)sigma, (void)sample;
    return (ss_attention_stats){NAN, NAN, NAN, NAN, 0, NULL};
}

static double some_loss(const made_run *m, int input, int sigma, int sample)
{
    (void)m, (void)input, (void)sample;
    return 0.5 + sigma;
}

static double no_loss(const made_run *m, int input, int sigma, int sample)
{
    (void)m, (void)input, (void)sigma, (void)sample;
    return NAN;
}

static double some_power(const made_run *m, int input, int sigma, int radius)
{
    (void)m, (void)sigma;
    return 1.0 / (1 + radius + input);
}

static double no_power(const made_run *m, int input, int sigma, int radius)
{
    (void)m, (void)input, (void)sigma, (void)radius;
    return NAN;
}

static int count(const char *text, const char *what)
{
    int n = 0;

    for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
        n++;
    return n;
}

/* The page of the report that $D/NAME is, in `output`. */
static void read_page(const char *name)
{
    char path[200];

    snprintf(path, sizeof path, "%s/index.html", in_tmp(name));
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    output[fread(output, 1, sizeof output - 1, f)] = '\0';
    fclose(f);
}

static void test_every_command(void **state)
{
    (void)state;
    static const char *const one[] = {"net"}, *const two[] = {"noise:white", "images:cats"};
    static const char *const parts[] = {"", "out", "middle.x"};
    static const double level[] = {3}, zero[] = {0, 1, 10}, infinite[] = {INFINITY, 1, 0.1},
                        all_infinite[] = {INFINITY}, negative[] = {-1, 1, 4};
    static const ss_run_layer layers[] = {{"blocks.0.attn", 2, 16}};
    const made_run full = {.model_path = "dit/step-100",
                           .modules = modules,
                           .n_modules = N_OF(modules),
                           .inputs = two,
                           .n_inputs = 2,
                           .sigmas = sigmas,
                           .n_sigmas = N_OF(sigmas),
                           .n_samples = 2,
                           .factor = 1,
                           .stats = grown,
                           .layers = layers,
                           .n_layers = 1,
                           .attention = some_attention,
                           .loss = some_loss,
                           .n_radii = 4,
                           .psd = some_power};
    made_run made[16];
    struct {
        const char *name;
        int figures;
        const char *says;
        int status; /* 3: not everything is finite */
    } cases[] = {
        {"full", 10, "No module&#39;s path names an encoder", 0},
        {"plain", 7, "No module&#39;s path names an encoder", 0},
        {"one-module", 6, "No module&#39;s path names an encoder", 0},
        {"one-level", 2, "With one noise level", 0},
        {"nan", 0, "No figure: no module has a largest |x|", 3},
        {"zero", 2, "No figure: no module has a largest |x|", 0},
        {"sick", 7, "No figure: no input has both a spectrum", 3},
        {"sigma-0", 7, NULL, 0},
        {"sigma-inf", 10, "sigma inf", 0},
        {"only-inf", 2, NULL, 0},
        {"negative", 7, NULL, 0},
        {"seldom", 6, NULL, 0},
        {"half-unet", 7, "Encoder, middle and decoder", 0},
    };
    char line[300];

    for (size_t i = 0; i < N_OF(cases); i++)
        made[i] = full;
    for (size_t i = 1; i < N_OF(cases); i++) {
        if (i == 8)
            continue;
        made[i].n_layers = made[i].n_radii = 0;
        made[i].loss = NULL;
    }
    made[2].modules = one;
    made[2].n_modules = 1;
    made[3].sigmas = level;
    made[3].n_sigmas = 1;
    made[4].stats = nothing_finite;
    made[5].stats = dead;
    made[6].n_layers = 1;
    made[6].attention = bad_attention;
    made[6].loss = no_loss;
    made[6].n_radii = 4;
    made[6].psd = no_power;
    made[7].sigmas = zero;
    made[7].n_sigmas = 3;
    made[8].sigmas = infinite;
    made[8].n_sigmas = 3;
    made[9].sigmas = all_infinite;
    made[9].n_sigmas = 1;
    made[10].sigmas = negative;
    made[10].n_sigmas = 3;
    made[11].stats = seldom;
    made[12].modules = parts;
    made[12].n_modules = 3;

    for (size_t i = 0; i < N_OF(cases); i++) {
        const char *name = cases[i].name;
        made_run later = made[i];

        snprintf(line, sizeof line, "%s.h5", name);
        make_run(in_tmp(line), &made[i]);
        snprintf(line, sizeof line, "%s-2.h5", name);
        later.model_path = "dit/step-200";
        later.factor = 2;
        make_run(in_tmp(line), &later);
        snprintf(line, sizeof line, "analyze $D/%s.h5 --json >/dev/null", name);
        expect(line, cases[i].status, NULL);
        snprintf(line, sizeof line, "analyze $D/%s.h5", name);
        expect(line, cases[i].status, "growth");
        snprintf(line, sizeof line, "analyze $D/%s.h5 --by-input", name);
        expect(line, cases[i].status, "growth");
        snprintf(line, sizeof line, "analyze $D/%s.h5 $D/%s-2.h5", name, name);
        expect(line, cases[i].status, "trend");
        snprintf(line, sizeof line, "compare $D/%s.h5 $D/%s-2.h5", name, name);
        expect(line, 0, "statistics B");
        snprintf(line, sizeof line, "attn $D/%s.h5", name);
        expect(line, made[i].n_layers ? cases[i].status : 1, NULL);
        snprintf(line, sizeof line, "spectrum $D/%s.h5", name);
        expect(line, made[i].n_radii ? 0 : 1, NULL);
        snprintf(line, sizeof line, "report $D/%s.h5 $D/%s-2.h5 -o $D/two --force", name, name);
        expect(line, 0, "index.html");
        if (strstr(output, "missing"))
            fail_msg("%s: %s", line, output);
        snprintf(line, sizeof line, "report $D/%s.h5 -o $D/one-%s --force", name, name);
        expect(line, 0, "index.html");
        if (strstr(output, "missing"))
            fail_msg("%s: %s", line, output);
        snprintf(line, sizeof line, "one-%s", name);
        read_page(line);
        if (count(output, "<figure") != cases[i].figures)
            fail_msg("%s: %d figures, want %d", name, count(output, "<figure"), cases[i].figures);
        if (cases[i].says && !strstr(output, cases[i].says))
            fail_msg("%s: its report does not say '%s'", name, cases[i].says);
    }
}

/* A transformer of diffusers, recorded by the hooks of docs/recorder.md
 * (tests/golden/make_outsider.py): 81 modules, outputs only, without attention, weights, spectra or
 * block flags. */
static void test_transformer(void **state)
{
    (void)state;
    static const char *const says[] = {
        "Whether the decoder grows more than the encoder: the module "
        "paths do not name both",
        "fp8-e4m3 would overflow",
        "fp16 does not overflow at the outputs of modules",
        "No module&#39;s path names",
        "Rows: the modules with the largest peaks",
        "of each module: output"};

    expect("analyze " GUEST, 0, "no module's path names an encoder, a middle or a decoder");
    expect("analyze " GUEST " --format fp8-e4m3", 0, "3 over fp8-e4m3 (448)");
    expect("analyze " GUEST " --modules '(model)'", 0, "(model)");
    expect("analyze " GUEST " --modules ''", 0, "(model)");
    expect("analyze " GUEST " --keep-fp32 fp8-e4m3", 0, "inputs of modules were not recorded");
    expect("analyze " GUEST " " GUEST " --steps 100,200", 0, "all modules");
    expect("attn " GUEST, 1, "or the hooks that wrote the file record none");
    expect("spectrum " GUEST, 1, "has no /inputs/psd");
    expect("compare " GUEST " " GUEST, 0, "seed        -");
    expect("compare " GUEST " " GUEST " --modules ''", 0, "(model)");
    expect("compare " GUEST " tests/golden/outsider.h5", 0, "(model)");
    expect("report " GUEST " tests/golden/outsider.h5 -o $D/guests", 0, "index.html");
    assert_null(strstr(output, "missing"));
    expect("report " GUEST " -o $D/guest", 0, "index.html");
    assert_null(strstr(output, "missing"));
    read_page("guest");
    assert_int_equal(count(output, "<figure"), 5);
    for (size_t i = 0; i < N_OF(says); i++) {
        if (!strstr(output, says[i]))
            fail_msg("the report does not say '%s'", says[i]);
    }
}

static void test_no_level(void **state)
{
    (void)state;
    static const double bad[][2] = {{NAN, 1}, {1, -INFINITY}};

    for (size_t i = 0; i < N_OF(bad); i++) {
        made_run m = plain;

        m.sigmas = bad[i];
        m.factor = 1;
        make_run(in_tmp("bad.h5"), &m);
        expect("analyze $D/bad.h5", 1,
               i ? "entry 1 is -inf, expected a noise level"
                 : "entry 0 is nan, expected a noise level");
    }
}

/* A power is called a variance only if all waves are in it; otherwise the text says which are. */
static void test_power_is_no_variance(void **state)
{
    (void)state;
    int within = -1; /* the wave of length 0 is the mean */

    for (int k = -16; k < 16; k++)
        for (int l = -16; l < 16; l++)
            within += hypot(k, l) < 16.5; /* the rings of a picture of 32 x 32 */
    expect("probe $M -o $D/power.h5 --class 3 --sigmas 1 --samples 1 --quiet --modules ''", 0, "");
    expect("spectrum $D/power.h5", 0, "power of the waves of 16 cycles per picture or less");
    char text[64];
    snprintf(text, sizeof text, "%.0f %% of white noise's variance",
             100.0 * within / (32 * 32 - 1));
    assert_non_null(strstr(output, text));
}

/* The bundled network with a schedule that ends in noise alone: sigma = inf at timestep 999. */
static void test_zero_terminal_snr(void **state)
{
    (void)state;
    static const char probe[] = "--class 3 --timesteps 10,500,999 --samples 1";
    char line[600];

    snprintf(line, sizeof line,
             "cp -r " MODEL " %s && sed -i "
             "'/rescale_betas_zero_snr/s/false/true/' "
             "%s/scheduler/scheduler_config.json",
             in_tmp("zero"), in_tmp("zero"));
    assert_int_equal(system(line), 0);
    snprintf(line, sizeof line, "probe $D/zero -o $D/zero-snr.h5 %s --quiet", probe);
    expect(line, 0, NULL);
    run("analyze $D/zero-snr.h5");
    assert_non_null(strstr(output, "slope over ln sigma (of finite sigma)"));
    assert_non_null(strstr(output, "1 of 3 noise levels is sigma = inf (alpha = 0)"));
    expect("report $D/zero-snr.h5 -o $D/zero-page", 0, "index.html");
    assert_null(strstr(output, "missing"));
    snprintf(line, sizeof line,
             "bisect $D/zero --fail 'absmax(*) > 1' --cache $D/cache --save-bundle $D/bundle "
             "--class 3 --timesteps 999 --samples 1 --quiet");
    expect(line, 3, "replay.sh");
    snprintf(line, sizeof line, "grep -q '\"sigma\": \"inf\"' %s/expected.json", in_tmp("bundle"));
    assert_int_equal(system(line), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounding_decides),  cmocka_unit_test(test_root_has_one_name),
        cmocka_unit_test(test_every_command),     cmocka_unit_test(test_transformer),
        cmocka_unit_test(test_no_level),          cmocka_unit_test(test_power_is_no_variance),
        cmocka_unit_test(test_zero_terminal_snr),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
