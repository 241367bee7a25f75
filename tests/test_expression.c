/* test_expression.c - the language of `bisect --fail`: what it says of a made run, what is wrong
 * usage, and that no text harms it
 *
 * The made run: noise levels 0.1, 1, 10, inputs "noise:white" and "grating:3,90", 2 samples. The
 * value of module m at level s, input i, sample n is base[m] * (1, 10, 100)[s] * (i ? 2 : 1), and
 * half of it for sample 1; RMS a tenth. Module "bad" has two inf at the highest level of input 1.
 */
#include "analyze/search/expression.h"
#include "base/rng.h"
#include "base/str.h"
#include "tests/run_made.h"
#include "tests/ss_tmp.h"

static const char *const modules[] = {"conv_in", "up", "up.conv", "bad"};
static const double base[] = {1, 3, 7, 2};
static const char *const inputs[] = {"noise:white", "grating:3,90"};
static const double sigmas[] = {0.1, 1, 10};
static const ss_run_layer layers[] = {{"up.attn", 2, 16}, {"mid.attn", 1, 64}};

static void stats(const made_run *m, int k, int input, int sigma, int sample, ss_stats *s)
{
    const double v = base[k] * pow(10, sigma) * (input ? 2 : 1) / (sample + 1);

    (void)m;
    s->absmax = (float)v;
    s->rms = (float)(v / 10);
    if (k == 3 && sigma == 2 && input == 1 && sample == 0)
        s->nonfinite = 2;
}

/* Entropy: half of ln keys for layer 0, head 1 at the highest level; else all of it. */
static ss_attention_stats attention(const made_run *m, int layer, int head, int input, int sigma,
                                    int sample)
{
    const double share = layer == 0 && head == 1 && sigma == 2 ? 0.5 : 1;

    (void)m, (void)input, (void)sample;
    return (ss_attention_stats){.entropy = (float)(share * log(layers[layer].keys)),
                                .entropy_min = 0,
                                .max_logit = (float)(10 * layer + sigma),
                                .sink = 0.1f};
}

static double loss(const made_run *m, int input, int sigma, int sample)
{
    (void)m;
    return input == 0 ? NAN : 0.1 * (sigma + 1) + 0.02 * sample;
}

static ss_run *make(const char *name, bool all)
{
    made_run m = {.model_path = "out/step-10",
                  .sha256 = "abc",
                  .modules = modules,
                  .n_modules = N_OF(modules),
                  .inputs = inputs,
                  .n_inputs = N_OF(inputs),
                  .sigmas = sigmas,
                  .n_sigmas = N_OF(sigmas),
                  .n_samples = 2,
                  .stats = stats};
    ss_run *r;
    ss_err e = {0};

    if (all) {
        m.layers = layers;
        m.n_layers = N_OF(layers);
        m.attention = attention;
        m.loss = loss;
    }
    make_run(in_tmp(name), &m);
    if (ss_run_open(in_tmp(name), &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return r;
}

static void test_what_it_says(void **state)
{
    (void)state;
    ss_run *r = make("a.h5", true);
    static const struct {
        const char *text;
        bool holds;
        const char *name;
        double sigma;
        int input;
        double value;
    } cases[] = {
        {"absmax(*) > 100", true, "conv_in", 10, 1, 200},
        {"absmax(up*) > 100", true, "up.conv", 10, 1, 1400}, /* deeper than "up" */
        {"absmax(up*, sigma<=1) > 100", true, "up.conv", 1, 1, 140},
        {"absmax(up*, sigma<1) > 100", false, "up.conv", 0.1, 1, 14},
        {"absmax(up*, sigma=1, input=noise:*) >= 70", true, "up.conv", 1, 0, 70},
        {"absmax(up*, sigma=1, input=noise:*) > 70", false, "up.conv", 1, 0, 70},
        {"absmax('up.conv', input='grating:3,90') < 15", true, "up.conv", 0.1, 1, 14},
        {"absmax({up,conv_in}) > 599", true, "up", 10, 1, 600},
        {"absmax(up.conv) <= 14", true, "up.conv", 0.1, 0, 7},
        {"absmax(bad) > 1e30", true, "bad", 10, 1, INFINITY},
        {"rms(bad) > 1e30", true, "bad", 10, 1, INFINITY},
        {"headroom(fp16, bad) < -1e30", true, "bad", 10, 1, -INFINITY},
        {"rms(conv_in) > 15", true, "conv_in", 10, 1, 0},
        {"nonfinite()", true, "bad", 10, 1, 2},
        {"nonfinite(*) > 2", false, "bad", 10, 1, 2},
        {"nonfinite(up*)", false, "up.conv", 0.1, 0, 0},
        {"overflow(e4m3-ieee, up*)", true, "up.conv", 10, 1, 1400},
        {"overflow(fp16, up*)", false, "up.conv", 10, 1, 1400},
        {"overflow(fp16)", true, "bad", 10, 1, INFINITY},
        {"headroom(e4m3-ieee, conv_in) < 0.5", true, "conv_in", 10, 1, 0},
        {"headroom(e4m3-ieee, conv_in) < 0.25", false, "conv_in", 10, 1, 0},
        {"entropy(*) < 0.6", true, "up.attn, head 1", 10, 0, 0.5},
        {"entropy(mid*) < 0.6", false, "mid.attn, head 0", 0.1, 0, 1},
        {"entropy(*, sigma<10) < 0.6", false, "up.attn, head 0", 0.1, 0, 1},
        {"max_logit(*) > 11", true, "mid.attn, head 0", 10, 0, 12},
        {"loss(sigma>0.5, sigma<5) > 0.2", true, "loss", 1, 1, 0.21},
        {"loss(sigma>0.5,sigma<5) > 0.25", false, "loss", 1, 1, 0.21},
        {"not absmax(*) > 1e9 ", false, "bad", 10, 1, INFINITY},
        {"loss() > 1e30", true, "loss", 10, 1, INFINITY}, /* the answer is not finite */
        {"absmax(up*) > 1e9 or loss() > 0.2", true, "loss", 10, 1, INFINITY},
        {"absmax(up*) > 1e9 and loss() > 0.2", false, "up.conv", 10, 1, 1400},
        {"rms(up)>99 and rms(up)>99 or max_logit()>11", true, "mid.attn, head 0", 10, 0, 12},
        {"rms(up)>99 and (rms(up)>99 or max_logit()>11)", false, "up", 10, 1, 0},
        {"not not (not loss(sigma<5) > 9)", true, "loss", 1, 1, 0.21},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_expression x;
        ss_witness w;
        bool holds = false;
        char name[256];
        ss_err e = {0};

        if (ss_expression_parse(cases[i].text, &x, &e) != SS_OK ||
            ss_expression_eval(&x, r, &holds, &w, &e) != SS_OK)
            fail_msg("%s: %s", cases[i].text, e.msg);
        ss_witness_name(r, &w, name, sizeof name);
        if (holds != cases[i].holds || strcmp(name, cases[i].name) != 0 ||
            r->sigmas[w.sigma] != cases[i].sigma || w.input != cases[i].input ||
            (cases[i].value != 0 && !(w.value == cases[i].value) &&
             !(fabs(w.value - cases[i].value) < 1e-6 * fabs(cases[i].value))))
            fail_msg("%s: %d, %s, sigma %g, input %d, %g", cases[i].text, holds, name,
                     r->sigmas[w.sigma], w.input, w.value);
        ss_expression_release(&x);
    }
    ss_run_close(r);
}

static void test_missing_data(void **state)
{
    (void)state;
    ss_run *r = make("b.h5", false);
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"loss() > 1", "the run has no losses"},
        {"entropy(*) < 0.1", "the run has no attention statistics"},
        {"nonfinite(*) or max_logit(*) > 9", "the run has no attention statistics"},
        {"absmax(none*) > 1", "no module matches 'none*'"},
        {"absmax(*, sigma>10) > 1", "none of its 3 finished noise levels (sigma 0.1 to 10)"},
        {"absmax(*, input=none) > 1", "no input matches; the first of 2 is 'noise:white'"},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_expression x;
        ss_witness w;
        bool holds = false;
        ss_err e = {0};

        assert_int_equal(ss_expression_parse(cases[i].text, &x, &e), SS_OK);
        assert_int_equal(ss_expression_eval(&x, r, &holds, &w, &e), SS_USAGE);
        if (!strstr(e.msg, cases[i].error))
            fail_msg("%s: %s", cases[i].text, e.msg);
        ss_expression_release(&x);
    }
    ss_run_close(r);
}

static void test_wrong_usage(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "position 1: expected overflow, nonfinite, absmax"},
        {"frob(x) > 1", "position 1: expected overflow"},
        {"absmax", "position 7: expected '(', found the end"},
        {"absmax(x", "position 9: expected ',' or ')'"},
        {"absmax(x) = 1", "position 11: expected '>', '>=', '<' or '<=' and a number"},
        {"absmax(x)", "position 10: expected '>'"},
        {"absmax(x) > ", "position 13: expected a number, found the end"},
        {"absmax(x) > fast", "expected a number, found 'fast'"},
        {"absmax(x,y) > 1", "position 10: expected sigma>NUMBER or input=GLOB"},
        {"absmax([a) > 1", "position 8"},
        {"absmax('x) > 1", "expected the closing quote"},
        {"absmax(x,,y) > 1", "position 10: expected a glob"},
        {"absmax(x, sigma>a) > 1", "position 17: expected a number, found 'a"},
        {"absmax(x, input>a) > 1", "expected input=GLOB"},
        {"loss(x) > 1", "position 6: expected sigma>NUMBER or input=GLOB"},
        {"overflow()", "expected a number format such as fp16"},
        {"overflow(fp17)", "'fp17' is not a number format"},
        {"overflow(fp16) > 1", "expected no comparison"},
        {"overflow(fp16) overflow(fp16)", "position 16: expected 'and', 'or' or the end"},
        {"(overflow(fp16)", "expected 'and', 'or' or ')', found the end"},
        {"overflow(fp16))", "position 15: expected 'and', 'or' or the end, found ')'"},
        {"not", "position 4: expected overflow"},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_expression x;
        ss_err e = {0};

        assert_int_equal(ss_expression_parse(cases[i].text, &x, &e), SS_USAGE);
        if (!strstr(e.msg, cases[i].error))
            fail_msg("'%s': %s", cases[i].text, e.msg);
        assert_null(x.nodes);
    }
}

/* Texts made of pieces of the language and of any bytes: parsed and evaluated, or refused with a
 * message; the sanitizers watch. */
static void test_any_text(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "overflow(",
        "fp16",
        "e4m3-ieee",
        ")",
        "(",
        "absmax(",
        "*",
        " > ",
        "3e4",
        "and ",
        " or ",
        "not ",
        "loss(",
        "sigma>",
        "input=",
        "'",
        "\"",
        ",",
        "{a,",
        "}",
        "[",
        "nonfinite()",
        "1",
        "<=",
        "entropy(*) < .1",
        "nan",
        "inf",
        "up",
        "max_logit() > 1",
        "\\",
        "\x80",
        "\t",
    };
    ss_run *r = make("c.h5", true);
    const ss_rng rng = ss_rng_stream(3, "texts", 0, 0);
    int parsed = 0;

    for (int k = 0; k < 20000; k++) {
        char text[512] = "";
        float draw[20];
        ss_expression x;
        ss_witness w;
        bool holds = false;
        ss_err e = {0};

        ss_rng_normals(rng, (uint64_t)k * 20, draw, 20);
        for (int i = 0; i < 1 + k % 18; i++) {
            const unsigned v = (unsigned)(fabsf(draw[i]) * 1e5f);
            const size_t n = strlen(text);

            if (v % 16 == 0)
                text[n] = (char)(1 + v / 16 % 255);
            else
                strcat(text, pieces[v % N_OF(pieces)]);
        }
        if (k % 2) { /* something right with one byte wrong */
            strcpy(text, "overflow(fp16, up*) or not (loss(sigma>1, input='g*') > 0.5 and "
                         "entropy({up,mid}*) < 0.1)");
            text[(unsigned)(fabsf(draw[18]) * 1e5f) % strlen(text)] =
                (char)(1 + (unsigned)(fabsf(draw[19]) * 1e5f) % 255);
        }
        if (ss_expression_parse(text, &x, &e) == SS_OK) {
            parsed++;
            if (ss_expression_eval(&x, r, &holds, &w, &e) != SS_OK)
                assert_int_equal(e.code, SS_USAGE);
            ss_expression_release(&x);
        } else {
            assert_int_equal(e.code, SS_USAGE);
            assert_true(ss_utf8_valid(e.msg, strlen(e.msg)));
        }
    }
    assert_in_range(parsed, 100, 15000);
    ss_run_close(r);
}

static void test_deep_text(void **state)
{
    (void)state;
    static char text[40000];
    ss_expression x;
    ss_err e = {0};

    memset(text, '(', 20000);
    assert_int_equal(ss_expression_parse(text, &x, &e), SS_USAGE);
    text[0] = '\0';
    for (int i = 0; i < 300; i++)
        strcat(text, "nonfinite() or ");
    assert_int_equal(ss_expression_parse(text, &x, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "more than 256 parts"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_it_says), cmocka_unit_test(test_missing_data),
        cmocka_unit_test(test_wrong_usage),  cmocka_unit_test(test_any_text),
        cmocka_unit_test(test_deep_text),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
