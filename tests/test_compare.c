/* test_compare.c - two runs whose differences are known
 *
 * A has the modules and noise levels of `modules` and `sigmas`. B has its modules and noise
 * levels in another order, one module less and one more, one noise level more, and
 *
 *   up_blocks.0   4 sigma^0.5 in A; in B 3 times that at sigma 10 with "noise:white", else the same
 *   mid_block     2 in A, 1 in B everywhere
 *   tiny          1e-7 in A, 1e-6 in B: a ratio of 10 that means nothing
 *   conv_out      3; in B 5 values of each sample are not finite at sigma 80
 *
 * RMS is half of the largest. Attention: entropy is 0.75 ln 16 in A, and in B 0.25 ln 64 (more
 * keys) of head 1 at sigma 0.5, else 0.75 ln 64. Losses, spectra and weights are said where they
 * are.
 */
#include "analyze/several/comparison.h"
#include "analyze/several/trend.h"
#include "base/mem.h"
#include "tests/run_made.h"
#include "tests/ss_tmp.h"

#include <jansson.h>
#include <sys/wait.h>

static const char *const modules[] = {"conv_in", "mid_block", "tiny", "up_blocks.0", "conv_out"};
static const char *const others[] = {"conv_in", "extra", "up_blocks.0", "tiny",
                                     "mid_block"}; /* and conv_out is renamed below */
static const char *const others_out[] = {"conv_out", "extra", "up_blocks.0", "tiny", "mid_block"};
static const char *const inputs[] = {"images:x", "noise:white"};
static const char *const swapped[] = {"noise:white", "images:x", "noise:pink"};
static const double sigmas[] = {0.5, 10, 80};
static const double more_sigmas[] = {80.02, 10, 200, 0.5};
static const ss_run_layer layers[] = {{"mid_block.attn", 2, 16}, {"down.attn", 2, 16}};
static const ss_run_layer other_layers[] = {{"mid_block.attn", 2, 64}, {"up.attn", 2, 64}};
static const ss_run_parameter parameters[] = {{"conv_in.weight", 1, 0.5f, 0},
                                              {"conv_in.bias", 0.25f, 0.1f, 0},
                                              {"conv_out.weight", 2, 0.5f, 0}};
static const ss_run_parameter other_parameters[] = {
    {"conv_out.weight", 2, 0.5f, 0}, {"conv_in.weight", 4, 1, 0}, {"extra.weight", 1, 1, 0}};

/* factor 1: as in A; 2: as in B. */
static void made_stats(const made_run *m, int module, int input, int sigma, int sample, ss_stats *s)
{
    const char *name = m->modules[module];
    const bool b = m->factor == 2;
    const double level = m->sigmas[sigma];
    double x = 4;

    if (strcmp(name, "mid_block") == 0)
        x = b ? 1 : 2;
    else if (strcmp(name, "tiny") == 0)
        x = b ? 1e-6 : 1e-7;
    else if (strcmp(name, "up_blocks.0") == 0) {
        x = 4 * sqrt(level);
        if (b && level == 10 && strcmp(m->inputs[input], "noise:white") == 0)
            x *= 3;
    } else if (strcmp(name, "conv_out") == 0) {
        x = 3;
        s->nonfinite = b && level > 79 && level < 100 ? 5 : 0;
    }
    s->absmax = (float)(x / (1 + sample));
    s->rms = (float)x / 2;
}

static ss_attention_stats made_attention(const made_run *m, int layer, int head, int input,
                                         int sigma, int sample)
{
    const bool low = m->factor == 2 && head == 1 && m->sigmas[sigma] == 0.5;
    const double keys = (double)m->layers[layer].keys;

    (void)input;
    return (ss_attention_stats){.entropy = (float)((low ? 0.25 : 0.75) * log(keys)),
                                .max_logit = (float)(m->factor * 10 + sample)};
}

/* 0.1 sigma for each input in A; in B 0.03 more at sigma 80 with "images:x", 0.5 less at 10. */
static double made_loss(const made_run *m, int input, int sigma, int sample)
{
    const double level = rint(m->sigmas[sigma] * 2) / 2;
    double x = 0.1 * level;

    if (strcmp(m->inputs[input], "images:x") != 0)
        return NAN;
    if (m->factor == 2)
        x += level == 80 ? 0.03 : level == 10 ? -0.5 : 0;
    return x + (sample ? 1 : -1); /* cancels in the mean over 2 samples */
}

/* 100, 10, 1; in B 20 in the second ring with "noise:white" at sigma 10: 3.01 dB. */
static double made_psd(const made_run *m, int input, int sigma, int radius)
{
    const double x = radius == 0 ? 100 : radius == 1 ? 10 : 1;
    const bool other = m->factor == 2 && radius == 1 && m->sigmas[sigma] == 10 &&
                       strcmp(m->inputs[input], "noise:white") == 0;

    return other ? 2 * x : x;
}

static made_run made_a(void)
{
    return (made_run){
        .model_path = "model-a",
        .sha256 = "aa",
        .modules = modules,
        .n_modules = N_OF(modules),
        .inputs = inputs,
        .n_inputs = N_OF(inputs),
        .sigmas = sigmas,
        .n_sigmas = N_OF(sigmas),
        .n_samples = 2,
        .factor = 1,
        .stats = made_stats,
        .layers = layers,
        .n_layers = 2,
        .attention = made_attention,
        .loss = made_loss,
        .n_radii = 3,
        .psd = made_psd,
        .parameters = parameters,
        .n_parameters = N_OF(parameters),
    };
}

static made_run made_b(void)
{
    made_run m = made_a();

    m.model_path = "model-b";
    m.sha256 = "bb";
    m.modules = others_out;
    m.inputs = swapped;
    m.n_inputs = N_OF(swapped);
    m.sigmas = more_sigmas;
    m.n_sigmas = N_OF(more_sigmas);
    m.factor = 2;
    m.layers = other_layers;
    m.parameters = other_parameters;
    m.n_parameters = N_OF(other_parameters);
    return m;
}

static int set_up(void **state)
{
    const made_run a = made_a();
    made_run b = made_b();

    if (make_tmp(state) != 0)
        return -1;
    make_run(in_tmp("a.h5"), &a);
    make_run(in_tmp("b.h5"), &b);
    b.modules = others;
    make_run(in_tmp("c.h5"), &b);
    return 0;
}

static ss_run *open_run(const char *name)
{
    ss_err e = {0};
    ss_run *r;

    if (ss_run_open(in_tmp(name), &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return r;
}

static void close_to(const char *what, double got, double want, double atol)
{
    if (!(fabs(got - want) <= atol))
        fail_msg("%s is %.12g, want %.12g", what, got, want);
}

static const ss_compare_row *row_of(const ss_compare *c, const char *module)
{
    char name[64];

    for (int i = 0; i < c->n; i++) {
        const ss_site s = ss_align_site(&c->aligned, c->rows[i].site, 0);

        if (strcmp(ss_site_name(c->aligned.runs[0], s, name, sizeof name), module) == 0)
            return &c->rows[i];
    }
    fail_msg("no row for %s", module);
    return NULL;
}

static void test_alignment(void **state)
{
    (void)state;
    ss_run *runs[] = {open_run("a.h5"), open_run("b.h5")};
    ss_aligned a;
    ss_err e = {0};
    ss_str left = {0};

    assert_int_equal(ss_align(runs, 2, NULL, 0, &a, &e), SS_OK);
    assert_int_equal(a.n_sites, 4);
    assert_int_equal(a.n_sigmas, 3);
    assert_int_equal(a.n_inputs, 2);
    assert_false(a.renamed);
    for (int i = 0; i < a.n_sites; i++)
        assert_string_equal(runs[0]->modules[ss_align_site(&a, i, 0).module],
                            runs[1]->modules[ss_align_site(&a, i, 1).module]);
    static const int want[][2] = {{0, 3}, {1, 1}, {2, 0}};
    for (int k = 0; k < 3; k++) {
        assert_int_equal(ss_align_sigma(&a, k, 0), want[k][0]);
        assert_int_equal(ss_align_sigma(&a, k, 1), want[k][1]);
    }
    assert_int_equal(ss_align_input(&a, 0, 1), 1);
    assert_int_equal(ss_align_input(&a, 1, 1), 0);
    ss_align_describe(&a, &left);
    assert_string_equal(left.s, "; left out: 1 sites of a.h5, 1 sites of b.h5, 1 noise levels of "
                                "b.h5, 1 inputs of b.h5");
    ss_str_release(&left);
    ss_align_release(&a);
    ss_run_close(runs[0]);
    ss_run_close(runs[1]);
}

/* Noise levels are the same within the tolerance, above and below, and not beyond. */
static void test_tolerance(void **state)
{
    (void)state;
    static const double factors[] = {1 / 1.0011, 1 / 1.0009, 1, 1.0009, 1.0011};
    made_run m = made_a();
    double moved[3] = {sigmas[0], sigmas[1]};
    ss_err e = {0};

    for (size_t i = 0; i < N_OF(factors); i++) {
        const int common = i == 0 || i == N_OF(factors) - 1 ? 2 : 3;
        ss_aligned a;

        moved[2] = sigmas[2] * factors[i];
        m.sigmas = moved;
        make_run(in_tmp("moved.h5"), &m);
        ss_run *runs[] = {open_run("a.h5"), open_run("moved.h5")};
        assert_int_equal(ss_align(runs, 2, NULL, 0, &a, &e), SS_OK);
        if (a.n_sigmas != common)
            fail_msg("by a factor of %.9g: %d levels in common", factors[i], a.n_sigmas);
        ss_align_release(&a);
        ss_run_close(runs[0]);
        ss_run_close(runs[1]);
    }
}

static void test_statistics(void **state)
{
    (void)state;
    ss_run *a = open_run("a.h5"), *b = open_run("b.h5");
    ss_compare c;
    ss_err e = {0};
    double y[3];

    assert_int_equal(ss_compare_find(a, b, "B", NULL, 0, &c, &e), SS_OK);
    assert_int_equal(c.n, 4);
    /* medians of 2, 1e-6, 4 sqrt(80) and 3 (the finite part of conv_out) */
    close_to("floor", c.floor[0], 2.5e-3, 1e-9);

    const ss_compare_row *out = row_of(&c, "conv_out"), *up = row_of(&c, "up_blocks.0");
    const ss_compare_row *mid = row_of(&c, "mid_block"), *tiny = row_of(&c, "tiny");
    assert_ptr_equal(out, &c.rows[0]); /* infinite */
    assert_ptr_equal(up, &c.rows[1]);
    assert_ptr_equal(mid, &c.rows[2]);
    assert_ptr_equal(tiny, &c.rows[3]);
    assert_true(isinf(out->absmax.worst.b) && out->absmax.worst.a == 3);
    assert_int_equal(out->nonfinite[0], 0);
    assert_int_equal(out->nonfinite[1], 2 * 2 * 5); /* inputs, samples */
    assert_int_equal(c.n_nonfinite, 1);

    close_to("up", ss_compare_ratio(up->absmax.worst.a, up->absmax.worst.b), 3, 1e-6);
    close_to("up bits", up->absmax.worst.bits, log2(3), 1e-3);
    assert_true(up->absmax.worst.sigma == 1 && up->absmax.worst.input == 1);
    close_to("up high", up->absmax.high.bits, 0, 2e-4);
    close_to("mid", mid->absmax.worst.bits, -1, 3e-3);
    assert_true(mid->absmax.rise.bits < 0);
    close_to("mid rms", mid->rms.high.bits, -1, 3e-3);
    assert_true(fabs(tiny->absmax.worst.bits) < 1e-3);
    assert_true(tiny->absmax.worst.bits > 0);

    const int site = up->site;
    assert_int_equal(ss_compare_curve(&c, 1, site, SS_STAGE_NONE, y, &e), SS_OK);
    close_to("curve", y[1], 12 * sqrt(10), 1e-5);
    close_to("curve high", y[2], 4 * sqrt(80.02), 1e-5);
    assert_int_equal(ss_compare_curve(&c, 0, SS_ALL, SS_STAGE_DECODER, y, &e), SS_OK);
    close_to("decoder", y[0], 3, 1e-5); /* conv_out; up_blocks.0 has 2.83 */
    ss_compare_release(&c);
    ss_run_close(a);
    ss_run_close(b);
}

static void test_the_rest(void **state)
{
    (void)state;
    ss_run *a = open_run("a.h5"), *b = open_run("b.h5");
    ss_comparison x;
    ss_err e = {0};

    assert_int_equal(ss_comparison_find(a, b, "B", NULL, 0, &x, &e), SS_OK);
    assert_true(x.heads.normalised);
    assert_int_equal(x.heads.n, 2); /* of the layer that both have */
    assert_int_equal(x.heads.rows[0].head, 1);
    assert_int_equal(x.heads.rows[0].sigma, 0);
    close_to("entropy A", x.heads.rows[0].entropy[0], 0.75, 1e-6);
    close_to("entropy B", x.heads.rows[0].entropy[1], 0.25, 1e-6);
    close_to("head 0", x.heads.rows[1].entropy[1], 0.75, 1e-6);
    close_to("logit A", x.heads.rows[0].max_logit[0], 11, 0);
    close_to("logit B", x.heads.rows[0].max_logit[1], 21, 0);

    assert_int_equal(x.inputs.n_spectra, 2);
    close_to("dB of images", x.inputs.spectra[0].decibel, 0, 0);
    close_to("dB of noise", x.inputs.spectra[1].decibel, 3.0103, 1e-3);
    assert_true(x.inputs.spectra[1].sigma == 1 && x.inputs.spectra[1].radius == 1);
    assert_int_equal(x.inputs.n_losses, 3);
    close_to("loss", x.inputs.losses[0].loss[1] - x.inputs.losses[0].loss[0], -0.5, 1e-6);
    assert_int_equal(x.inputs.losses[0].sigma, 1);

    assert_int_equal(x.weights.n, 2);
    assert_int_equal(x.weights.rows[0].parameter, 0);
    close_to("weight", x.weights.rows[0].bits, 2, 4e-3);
    close_to("equal weight", x.weights.rows[1].bits, 0, 0);
    assert_int_equal(x.weights.lone[0], 1);
    assert_int_equal(x.weights.lone[1], 1);
    ss_comparison_release(&x);

    static const char *const glob[] = {"up*"};
    assert_int_equal(ss_comparison_find(a, b, "B", glob, 1, &x, &e), SS_OK);
    assert_int_equal(x.sites.n, 1);
    assert_int_equal(x.heads.n, 0);
    ss_comparison_release(&x);
    ss_run_close(a);
    ss_run_close(b);
}

static void test_same_run(void **state)
{
    (void)state;
    ss_run *a = open_run("a.h5"), *b = open_run("a.h5");
    ss_comparison x;
    ss_err e = {0};

    assert_int_equal(ss_comparison_find(a, b, "B", NULL, 0, &x, &e), SS_OK);
    assert_int_equal(x.sites.n, N_OF(modules));
    for (int i = 0; i < x.sites.n; i++)
        assert_true(x.sites.rows[i].absmax.worst.bits == 0 && x.sites.rows[i].rms.high.bits == 0);
    for (int m = 0; m < SS_N_COMPARED; m++) {
        double value;
        char where[256];

        assert_int_equal(ss_compared_value(&x, (ss_compared)m, &value, where, sizeof where, &e),
                         SS_OK);
        const bool ratio =
            m == SS_COMPARED_absmax || m == SS_COMPARED_rms || m == SS_COMPARED_weights;
        assert_true(value == (ratio ? 1 : 0));
    }
    ss_comparison_release(&x);
    ss_run_close(a);
    ss_run_close(b);
}

/* Runs "PROGRAM compare ARGS" with $D; its exit status must be status and its output hold text. */
static const char *expect(const char *args, int status, const char *text)
{
    static char output[1 << 16];
    const char *program = getenv("SIGMASCOPE");
    char command[1024];

    snprintf(command, sizeof command, "D=%s; { %s compare %s; } 2>&1", tmp_dir,
             program ? program : "build/sigmascope", args);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    output[fread(output, 1, sizeof output - 1, p)] = '\0';
    const int got = WEXITSTATUS(pclose(p));
    if (got != status || !strstr(output, text))
        fail_msg("%s: exit status %d, want %d and \"%s\"; it printed\n%s", args, got, status, text,
                 output);
    return output;
}

static void test_fail_over(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        int status;
        const char *text;
    } cases[] = {
        /* c.h5 is b.h5 without conv_out, so that nothing is infinite */
        {"$D/c.h5 --fail-over 3.1", 0, "0 limits exceeded"},
        {"$D/c.h5 --fail-over 2.9", 3, "up_blocks.0 at sigma 10, noise:white"},
        {"$D/c.h5 --fail-over absmax=2.9 --fail-over rms=9", 3, "1 limits exceeded"},
        {"$D/c.h5 --fail-over rms=2.9", 3, "EXCEEDED"},
        {"$D/c.h5 --fail-over rms=3.1", 0, "within"},
        {"$D/c.h5 --fail-over nonfinite=0", 0, "within"},
        {"$D/b.h5 --fail-over nonfinite=19", 3, "conv_out"},
        {"$D/b.h5 --fail-over nonfinite=20", 0, "within"},
        {"$D/b.h5 --fail-over 1000", 3, "inf"},
        {"$D/c.h5 --fail-over entropy=0.49", 3, "mid_block.attn, head 1 at sigma 0.5"},
        {"$D/c.h5 --fail-over entropy=0.51", 0, "within"},
        {"$D/c.h5 --fail-over loss=0.029", 3, "loss at sigma 80, images:x"},
        {"$D/c.h5 --fail-over loss=0.031", 0, "within"}, /* 0.5 less is no failure */
        {"$D/c.h5 --fail-over weights=3.9", 3, "conv_in.weight"},
        {"$D/c.h5 --fail-over weights=4.1", 0, "within"},
        {"$D/c.h5 $D/a.h5 --fail-over 3.1", 0, "statistics C"},
        {"$D/c.h5 --fail-over frob=1", 2, "'frob=1' is no limit"},
        {"$D/c.h5 --fail-over absmax=", 2, "is no limit"},
        {"$D/c.h5 --fail-over loss=-1", 2, "not negative"},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        char args[256];

        snprintf(args, sizeof args, "$D/a.h5 %s", cases[i].spec);
        expect(args, cases[i].status, cases[i].text);
    }
    expect("$D/a.h5 $D/a.h5 --fail-over 1 --fail-over entropy=0 --fail-over loss=0", 0, "0 limits");
}

static void test_command(void **state)
{
    (void)state;
    static const char *const one[] = {"photos"};
    made_run bare = made_a();
    json_error_t error;

    bare.n_layers = bare.n_radii = bare.n_parameters = 0;
    bare.loss = NULL;
    bare.inputs = one;
    bare.n_inputs = 1;
    make_run(in_tmp("bare.h5"), &bare);

    expect("$D/a.h5", 2, "expected A.h5 B.h5...");
    expect("$D/a.h5 $D/missing.h5", 1, "missing.h5");
    expect("$D/a.h5 $D/b.h5", 0, "the runs differ in model, sha256, inputs, sigmas");
    expect("$D/a.h5 $D/b.h5", 0, "only in one B");
    expect("$D/a.h5 $D/b.h5", 0, "THE NETWORKS SAW DIFFERENT INPUTS");
    expect("$D/a.h5 $D/a.h5", 0,
           "the runs differ in nothing that is recorded; all were made by other hooks");
    expect("$D/a.h5 $D/a.h5", 0, "the same, within 0 dB");
    expect("$D/a.h5 $D/a.h5", 0, "rows are the same (--wide)\nwhat ");
    expect("$D/a.h5 $D/a.h5 --wide", 0, "sigmas      same ");
    expect("$D/a.h5 $D/a.h5 --json", 0, "\"what\": \"sigmas\"");
    expect("$D/bare.h5 $D/bare.h5", 0, "statistics B");
    expect("$D/bare.h5 $D/bare.h5 --fail-over loss=1", 1, "loss cannot be judged");
    expect("$D/bare.h5 $D/bare.h5 --fail-over entropy=1", 1, "entropy cannot be judged");
    expect("$D/a.h5 $D/bare.h5", 1, "no input is in all runs");
    expect("$D/a.h5 $D/b.h5 --modules 'nothing*'", 2, "no module matches 'nothing*'");
    expect("$D/a.h5 $D/b.h5 --modules extra", 2, "no module matches 'extra'");
    expect("$D/a.h5 $D/b.h5 > /dev/full", 1, "writing the output");

    json_t *all = json_loads(expect("$D/a.h5 $D/b.h5 --json --fail-over 1.5", 3, "{"), 0, &error);
    if (!all)
        fail_msg("%s at line %d", error.text, error.line);
    const json_t *rows = json_object_get(json_object_get(all, "statistics B"), "rows");
    assert_int_equal(json_array_size(rows), 4);
    const json_t *up = json_array_get(rows, 1);
    assert_string_equal(json_string_value(json_object_get(up, "module")), "up_blocks.0");
    close_to("ratio", json_number_value(json_object_get(up, "ratio")), 3, 1e-6);
    assert_int_equal(json_array_size(json_object_get(json_object_get(all, "fail-over"), "rows")),
                     1);
    json_decref(all);
}

/* Every allocation of an alignment, a comparison and a trend fails once: an error, no leak. */
static void test_no_memory(void **state)
{
    (void)state;
    const int64_t steps[] = {1, 2};
    unsigned long k = 0;
    ss_code rc = SS_NOMEM;
    ss_err e;

    for (int trend = 0; trend < 2; trend++) {
        for (k = 0, rc = SS_NOMEM; rc != SS_OK; k++) {
            ss_run *runs[] = {open_run("a.h5"), open_run("b.h5")};
            ss_comparison x;
            ss_trend t;

            e = (ss_err){0};
            ss_mem_fail_at(k + 1);
            rc = trend ? ss_trend_find(runs, steps, 2, NULL, 0, &t, &e)
                       : ss_comparison_find(runs[0], runs[1], "B", NULL, 0, &x, &e);
            ss_mem_fail_at(0);
            assert_true(rc == SS_OK || (rc == SS_NOMEM && e.code == SS_NOMEM && *e.msg));
            if (rc == SS_OK && trend)
                ss_trend_release(&t);
            else if (rc == SS_OK)
                ss_comparison_release(&x);
            ss_run_close(runs[0]);
            ss_run_close(runs[1]);
        }
        assert_true(k > 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alignment),  cmocka_unit_test(test_tolerance),
        cmocka_unit_test(test_statistics), cmocka_unit_test(test_the_rest),
        cmocka_unit_test(test_same_run),   cmocka_unit_test(test_fail_over),
        cmocka_unit_test(test_command),    cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, set_up, remove_tmp);
}
