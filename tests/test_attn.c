/* test_attn.c - attention of a run whose answers are known
 *
 * Layers of 16 keys, x that of which RMS enters to_q and to_k, at noise level sigma (0.1, 1, 10;
 * in the file in another order), input i, sample n:
 *
 *   uniform    2 heads, entropy ln 16, logits 1
 *   onehot     1 head, entropy 0, logits 40 at every level, q and k of RMS 1, all look at one key
 *   inputs     2 heads, RMS x = 20 sqrt(sigma), q and k twice x, head 1 has logits q k / 4 and an
 *              entropy of 0.6 ln 16 (0.5 for input 1), head 0 a tenth of the logits
 *   collapse   1 head, RMS x = 1, q = 2, k = 3, logits 20, 60, 180, entropy 0.8, 0.3, 0.02 ln 16
 *   both       1 head, x = 1, q and k = 10 sqrt(sigma), logits q k, entropy as collapse
 */
#include "analyze/one/attention.h"
#include "attn/entropy.h"
#include "base/mem.h"
#include "base/rng.h"
#include "runfile/run_file.h"
#include "tests/ss_tmp.h"

#include <hdf5.h>
#include <jansson.h>
#include <sys/wait.h>

enum { UNIFORM, ONEHOT, INPUTS, COLLAPSE, BOTH, N_LAYERS };
enum { KEYS = 16, N_SIGMAS = 3, N_INPUTS = 2, N_SAMPLES = 2 };
static const ss_run_layer layers[] = {
    {"uniform", 2, KEYS},  {"onehot", 1, KEYS}, {"inputs", 2, KEYS},
    {"collapse", 1, KEYS}, {"both", 1, KEYS},
};
static const double sigmas[] = {10, 0.1, 1};
static const int level[] = {2, 0, 1}; /* of each: its place when sorted */

/* Inputs of to_q and to_k, then q, k. */
typedef struct {
    double x, q, k;
} truth;

static truth truth_of(int layer, int s)
{
    switch (layer) {
    case INPUTS: return (truth){20 * sqrt(sigmas[s]), 40 * sqrt(sigmas[s]), 40 * sqrt(sigmas[s])};
    case COLLAPSE: return (truth){1, 2, 3};
    case BOTH: return (truth){1, 10 * sqrt(sigmas[s]), 10 * sqrt(sigmas[s])};
    default: return (truth){1, 1, 1};
    }
}

static ss_attention_stats attention_of(int layer, int head, int input, int s)
{
    static const double falling[] = {0.8, 0.3, 0.02}, growing[] = {20, 60, 180};
    const truth t = truth_of(layer, s);
    double h = 1, m = 1, sink = 1.0 / KEYS;

    switch (layer) {
    case ONEHOT:
        h = 0;
        m = 40;
        sink = 1;
        break;
    case INPUTS:
        h = input ? 0.5 : 0.6;
        m = t.q * t.k / (head ? 4 : 40);
        break;
    case COLLAPSE:
    case BOTH:
        h = falling[level[s]];
        m = layer == BOTH ? t.q * t.k : growing[level[s]];
        sink = 0.3;
        break;
    }
    return (ss_attention_stats){
        (float)(h * log(KEYS)), (float)(h * log(KEYS) / 2), (float)m, (float)sink, 0, NULL};
}

static void put_rms(ss_run_column *col, int module, ss_port port, int input, double rms)
{
    const ss_stats st = {.rms = (float)rms, .absmax = (float)(3 * rms), .count = 1};

    for (int n = 0; n < N_SAMPLES; n++)
        ss_run_put_stats(col, module, port, input, n, &st);
}

static void fill(ss_run_column *col, int s, bool projections)
{
    for (int i = 0; i < N_INPUTS; i++) {
        for (int l = 0; l < N_LAYERS; l++) {
            const truth t = truth_of(l, s);
            const int module = projections ? 3 * l : l;

            put_rms(col, module, SS_PORT_INPUT, i, t.x);
            if (projections) {
                put_rms(col, module + 1, SS_PORT_INPUT, i, t.x);
                put_rms(col, module + 1, SS_PORT_OUTPUT, i, t.q);
                put_rms(col, module + 2, SS_PORT_INPUT, i, t.x);
                put_rms(col, module + 2, SS_PORT_OUTPUT, i, t.k);
            }
            for (int h = 0; h < layers[l].heads; h++) {
                const ss_attention_stats a = attention_of(l, h, i, s);

                for (int n = 0; n < N_SAMPLES; n++)
                    ss_run_put_attention(col, l, h, i, n, &a);
            }
        }
    }
}

/* A run with its first n noise levels; projections: with to_q and to_k watched. */
static void write_run(const char *path, int n, int n_layers, bool projections)
{
    static const char *const inputs[] = {"noise:white", "images:x"};
    static char names[3 * N_LAYERS][32];
    ss_run_module modules[3 * N_LAYERS];
    ss_run_writer *w;
    ss_run_column *col;
    ss_err e = {0};
    int count = 0;

    for (int l = 0; l < N_LAYERS; l++) {
        static const char *const children[] = {"", ".to_q", ".to_k"};

        for (int k = 0; k < (projections ? 3 : 1); k++) {
            snprintf(names[count], sizeof names[0], "%s%s", layers[l].path, children[k]);
            modules[count] = (ss_run_module){names[count], "Attention", false};
            count++;
        }
    }
    const ss_run_spec spec = {
        .histogram = true,
        .modules = modules,
        .n_modules = count,
        .inputs = inputs,
        .n_inputs = N_INPUTS,
        .sigmas = sigmas,
        .n_sigmas = N_SIGMAS,
        .n_samples = N_SAMPLES,
        .layers = layers,
        .n_layers = n_layers,
    };
    assert_int_equal(ss_run_create(path, &spec, true, &w, &e), SS_OK);
    for (int s = 0; s < n; s++) {
        assert_int_equal(ss_run_column_new(w, s, &col, &e), SS_OK);
        if (n_layers)
            fill(col, s, projections);
        assert_int_equal(ss_run_submit(w, col, &e), SS_OK);
    }
    if (n == N_SIGMAS)
        assert_int_equal(ss_run_finish(w, &e), SS_OK);
    else
        ss_run_abandon(w);
}

static ss_run *open_run(const char *path)
{
    ss_run *r;
    ss_err e = {0};

    if (ss_run_open(path, &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return r;
}

static void remove_set(const char *path, const char *name)
{
    hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);

    assert_true(f >= 0);
    assert_true(H5Ldelete(f, name, H5P_DEFAULT) >= 0);
    H5Fclose(f);
}

static double softmax_entropy(const double *l, int n)
{
    double z = 0, dot = 0, top = l[0];

    for (int i = 1; i < n; i++)
        top = fmax(top, l[i]);
    for (int i = 0; i < n; i++) {
        z += exp(l[i] - top);
        dot += exp(l[i] - top) * (l[i] - top);
    }
    return log(z) - dot / z;
}

static void test_entropy(void **state)
{
    (void)state;
    assert_true(ss_entropy_normalised(log(64), 64) == 1);
    assert_true(ss_entropy_normalised(0, 64) == 0);
    assert_true(isnan(ss_entropy_normalised(0, 1)) && isnan(ss_entropy_normalised(1, NAN)));
    assert_true(ss_entropy_collapsed(0) && ss_entropy_collapsed(0.0999));
    assert_false(ss_entropy_collapsed(0.1) || ss_entropy_collapsed(NAN));
    assert_true(ss_attention_sink(0.3, 100) && ss_attention_sink(0.3, 10));
    assert_false(ss_attention_sink(0.29, 100) || ss_attention_sink(0.3, 9)); /* 2.7 even shares */
    assert_false(ss_attention_sink(1, 2) || ss_attention_sink(1, 3) || ss_attention_sink(NAN, 9));
    assert_true(ss_attention_sink(0.75, 4));
    assert_false(ss_attention_sink(0.5, NAN));
}

/* No logits of a spread have less entropy than the bound says, and some have that. */
static void test_entropy_bound(void **state)
{
    (void)state;
    enum { N = 12 };
    const ss_rng rng = ss_rng_stream(3, "logits", 0, 0);
    double l[N];

    for (int trial = 0; trial < 2000; trial++) {
        const double spread = 0.01 * (trial + 1);
        const int n = 2 + trial % (N - 1);

        l[0] = 700; /* a constant offset changes nothing */
        l[1] = 700 + spread;
        for (int i = 2; i < n; i++) /* a third of them at either end, where the least is */
            l[i] =
                l[0] +
                spread * fmin(1, fmax(0, 3 * ss_rng_uniform(rng, (uint64_t)(trial * N + i)) - 1));
        const double h = softmax_entropy(l, n), bound = ss_entropy_least(spread, n);
        assert_true(h >= bound - 1e-9);
        assert_true(ss_entropy_spread(h, n) <= spread + 1e-6);
    }
    for (double spread = 0.125; spread < 30; spread *= 2) {
        double least = INFINITY;

        for (int m = 1; m < N; m++) { /* every corner of what the spread allows */
            for (int i = 0; i < N; i++)
                l[i] = i < m ? spread : 0;
            least = fmin(least, softmax_entropy(l, N));
        }
        assert_true(fabs(least - ss_entropy_least(spread, N)) < 1e-9);
        assert_true(fabs(ss_entropy_spread(least, N) - spread) < 1e-5 * spread);
    }
    assert_true(ss_entropy_spread(log(N), N) == 0);
    assert_true(ss_entropy_least(0, N) == log(N));
    assert_true(ss_entropy_spread(0, 1e30) < 200); /* whatever a file says */
    assert_true(isnan(ss_entropy_spread(NAN, N)) && isnan(ss_entropy_least(1, 1)));
}

static void test_shares(void **state)
{
    (void)state;
    enum { N = 8 };
    ss_logit_cell c[N];

    /* ln M = 0.75 ln R + the rest, which does not go with R: exactly three quarters */
    for (int i = 0; i < N; i++)
        c[i] = (ss_logit_cell){100 * exp(0.75 * (i % 2) + (i / 2 % 2 ? 0.2 : -0.2)),
                               0.5 - 0.01 * (i % 2), exp(i % 2), NAN};
    ss_logits g = ss_logits_explain(c, N);
    const double var = 0.75 * 0.75 * 0.25 + 0.04;
    assert_true(fabs(g.size_share - 0.75 * 0.25 / var) < 1e-9);
    assert_true(isnan(g.input_share));
    assert_true(fabs(g.entropy_corr + 0.75 * 0.5 / sqrt(var)) < 1e-9);
    assert_int_equal(g.verdict, SS_LOGITS_INPUTS);
    assert_false(g.from_input);

    for (int i = 0; i < N; i++)
        c[i] = (ss_logit_cell){i ? -3 : NAN, 0.5, 1, 1};
    g = ss_logits_explain(c, N); /* negative logits have no logarithm */
    assert_int_equal(g.n, N - 1);
    assert_int_equal(g.verdict, SS_LOGITS_SMALL);
    assert_true(isnan(g.varies) && isnan(g.size_share));

    c[0] = (ss_logit_cell){100, NAN, NAN, NAN};
    g = ss_logits_explain(c, 1);
    assert_int_equal(g.verdict, SS_LOGITS_UNKNOWN);
    c[0] = (ss_logit_cell){100, 0.5, 11, 4}; /* level: R >= sqrt(M), X >= sqrt(R) */
    g = ss_logits_explain(c, 1);
    assert_true(g.verdict == SS_LOGITS_INPUTS && g.from_input);
    c[0] = (ss_logit_cell){100, 0.5, 9, 4};
    assert_int_equal(ss_logits_explain(c, 1).verdict, SS_LOGITS_ALIGNED);
    assert_int_equal(ss_logits_explain(c, 0).verdict, SS_LOGITS_UNKNOWN);
}

static void test_heads(void **state)
{
    (void)state;
    ss_run *r = open_run(in_tmp("run.h5"));
    ss_err e = {0};
    ss_attn a;

    assert_int_equal(ss_attn_find(r, NULL, NULL, 0, SS_ALL, &a, &e), SS_OK);
    assert_true(a.has_keys);
    assert_int_equal(a.n_heads, 7);
    assert_true(a.low == 1 && a.mid == 2 && a.high == 0);
    for (int l = 0; l < N_SIGMAS; l++) {
        assert_true(fabs(ss_attn_at(&a, 0, l) - 1) < 1e-6); /* uniform */
        assert_true(ss_attn_at(&a, 2, l) == 0);             /* onehot */
        assert_true(fabs(ss_attn_at(&a, 4, l) - 0.55) < 1e-6);
    }
    assert_true(fabs(ss_attn_at(&a, 5, 0) - 0.8) < 1e-6 &&
                fabs(ss_attn_at(&a, 5, 2) - 0.02) < 1e-6);

    const ss_attn_head *uniform = &a.heads[0], *onehot = &a.heads[2], *inputs = &a.heads[4];
    const ss_attn_head *falls = &a.heads[5];
    assert_true(!uniform->collapsed && !uniform->has_sink && uniform->max_logit == 1);
    assert_true(onehot->collapsed && onehot->has_sink && onehot->sink == 1);
    assert_true(inputs->layer == INPUTS && inputs->head == 1 && !inputs->collapsed);
    assert_true(fabs(inputs->least - 0.5) < 1e-6 && inputs->least_input == 1);
    assert_true(falls->collapsed && falls->has_sink && falls->least_sigma == 0);
    assert_true(fabs(falls->low - 0.8) < 1e-6 && fabs(falls->mid - 0.3) < 1e-6);
    assert_int_equal(a.n_collapsed, 3);
    ss_attn_release(&a);

    assert_int_equal(ss_attn_find(r, NULL, NULL, 0, 1, &a, &e), SS_OK); /* one input */
    assert_true(fabs(ss_attn_at(&a, 4, 0) - 0.5) < 1e-6);
    assert_string_equal(a.title[0], "heads images:x");
    ss_attn_release(&a);
    ss_run_close(r);
}

/* Large logits from large inputs, and from an entropy that falls while inputs stay. */
static void test_verdicts(void **state)
{
    (void)state;
    ss_run *r = open_run(in_tmp("run.h5"));
    ss_err e = {0};
    ss_attn a;

    assert_int_equal(ss_attn_find(r, NULL, NULL, 0, SS_ALL, &a, &e), SS_OK);
    assert_int_equal(a.n_layers, N_LAYERS);
    assert_int_equal(a.layers[UNIFORM].logits.verdict, SS_LOGITS_SMALL);
    assert_int_equal(a.layers[ONEHOT].logits.verdict, SS_LOGITS_COLLAPSED);

    const ss_attn_layer *x = &a.layers[INPUTS];
    assert_int_equal(x->logits.verdict, SS_LOGITS_INPUTS);
    assert_true(x->logits.from_input && x->head == 1 && x->sigma == 0);
    assert_true(fabs(x->logits.size_share - 1) < 1e-6 && fabs(x->logits.input_share - 1) < 1e-6);
    assert_true(fabs(x->logits.at.max_logit - 4000) < 0.01 && fabs(x->logits.varies - 100) < 0.01);
    assert_true(fabs(x->q - 40 * sqrt(10)) < 1e-4 && fabs(x->x - 20 * sqrt(10)) < 1e-4);
    /* logits of 4000, where 4.3 of spread are enough for entropy 0.3 ln 16 */
    assert_true(fabs(x->spread - ss_entropy_spread(0.3 * log(KEYS), KEYS)) < 1e-5);
    assert_true(x->spread < 5);

    x = &a.layers[COLLAPSE];
    assert_int_equal(x->logits.verdict, SS_LOGITS_COLLAPSED);
    assert_true(fabs(x->logits.size_share) < 1e-6 && x->logits.entropy_corr < -0.9);

    x = &a.layers[BOTH];
    assert_int_equal(x->logits.verdict, SS_LOGITS_BOTH);
    assert_false(x->logits.from_input); /* x is 1: the projections make them large */

    char *text = ss_attn_sentence(&a);
    assert_non_null(strstr(text, "3 of 7 heads collapse"));
    assert_non_null(strstr(text, "large (32 and more) in 4 of 5 layers: 1 because q and k are, "
                                 "without collapse, 2 because entropy collapsed, 1 because q and "
                                 "k are, and entropy collapsed."));
    assert_non_null(
        strstr(text, "the layer's input is large in 1, the projections enlarge it in 1"));
    ss_free(text);
    ss_attn_release(&a);
    ss_run_close(r);
}

/* Runs that lack something: other hooks watch other things. */
static void test_what_is_missing(void **state)
{
    (void)state;
    const char *glob = "col*", *none = "up_*";
    char text[8192] = "";
    ss_err e = {0};
    ss_attn a;
    ss_table t;

    write_run(in_tmp("nokeys.h5"), N_SIGMAS, N_LAYERS, true);
    remove_set(in_tmp("nokeys.h5"), "/attention/keys");
    ss_run *r = open_run(in_tmp("nokeys.h5"));
    assert_int_equal(ss_attn_find(r, NULL, NULL, 0, SS_ALL, &a, &e), SS_OK);
    assert_true(!a.has_keys && a.n_heads == 7 && a.n_collapsed == 0 && a.n_sinks == 0);
    assert_true(isnan(ss_attn_at(&a, 0, 0)) && isnan(a.layers[INPUTS].spread));
    assert_int_equal(a.layers[INPUTS].logits.verdict, SS_LOGITS_INPUTS); /* without entropy */
    assert_int_equal(ss_attn_heads_table(r, &a, 9, &t, &e), SS_OK);
    FILE *f = fmemopen(text, sizeof text, "w");
    ss_table_print(&t, f, 100);
    fclose(f);
    assert_non_null(strstr(text, "entropy cannot be normalised"));
    ss_table_release(&t);
    ss_attn_release(&a);
    ss_run_close(r);

    write_run(in_tmp("layers.h5"), N_SIGMAS, N_LAYERS, false); /* no to_q, no to_k */
    remove_set(in_tmp("layers.h5"), "/attention/sink");
    r = open_run(in_tmp("layers.h5"));
    assert_int_equal(ss_attn_find(r, NULL, NULL, 0, SS_ALL, &a, &e), SS_OK);
    assert_int_equal(a.layers[INPUTS].logits.verdict, SS_LOGITS_INPUTS);
    assert_true(a.layers[INPUTS].logits.from_input && isnan(a.layers[INPUTS].q));
    assert_true(a.n_sinks == 0 && isnan(a.heads[0].sink));
    ss_attn_release(&a);
    assert_int_equal(ss_attn_find(r, NULL, &glob, 1, SS_ALL, &a, &e), SS_OK);
    assert_true(a.n_layers == 1 && a.n_heads == 1 && a.heads[0].layer == COLLAPSE);
    ss_attn_release(&a);
    assert_int_equal(ss_attn_find(r, NULL, &none, 1, SS_ALL, &a, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "no attention layer matches 'up_*'; the first is 'uniform'"));
    ss_run_close(r);

    write_run(in_tmp("cut.h5"), 0, N_LAYERS, true); /* killed before the first noise level */
    r = open_run(in_tmp("cut.h5"));
    assert_int_equal(ss_attn_find(r, NULL, NULL, 0, SS_ALL, &a, &e), SS_OK);
    assert_true(a.n_heads == 0 && a.low == -1);
    assert_int_equal(a.n_verdict[SS_LOGITS_UNKNOWN], N_LAYERS);
    ss_attn_release(&a);
    ss_run_close(r);

    write_run(in_tmp("none.h5"), N_SIGMAS, 0, true);
    r = open_run(in_tmp("none.h5"));
    assert_int_equal(ss_attn_find(r, NULL, NULL, 0, SS_ALL, &a, &e), SS_FORMAT);
    assert_non_null(strstr(e.msg, "no attention was recorded"));
    ss_run_close(r);
}

/* Each allocation fails once; each failure is an error, and nothing leaks. */
static void test_out_of_memory(void **state)
{
    (void)state;
    ss_code rc = SS_NOMEM;

    for (unsigned long k = 1; rc != SS_OK; k++) {
        ss_run *r = open_run(in_tmp("run.h5"));
        ss_err e = {0};
        ss_attn a;
        ss_table t = {0};

        ss_mem_fail_at(k);
        rc = ss_attn_find(r, NULL, NULL, 0, SS_ALL, &a, &e);
        if (rc == SS_OK)
            rc = ss_attn_heads_table(r, &a, 4, &t, &e);
        ss_mem_fail_at(0);
        assert_true(rc == SS_OK || (rc == SS_NOMEM && e.msg[0]));
        ss_table_release(&t);
        ss_attn_release(&a);
        ss_run_close(r);
    }
}

static json_t *run_json(const char *program, const char *args)
{
    char command[1024];
    json_error_t error;

    snprintf(command, sizeof command, "%s attn --json %s", program, args);
    FILE *f = popen(command, "r");
    json_t *j = json_loadf(f, 0, &error);
    assert_int_equal(pclose(f), 0);
    assert_non_null(j);
    return j;
}

static int status_of(const char *program, const char *args)
{
    char command[1024];

    snprintf(command, sizeof command, "%s attn %s >/dev/null 2>&1", program, args);
    return WEXITSTATUS(system(command));
}

static void test_command(void **state)
{
    (void)state;
    const char *program = getenv("SIGMASCOPE");
    char args[600];

    if (!program)
        skip_because("SIGMASCOPE does not name the program");
    snprintf(args, sizeof args, "--by-input %s", in_tmp("run.h5"));
    json_t *j = run_json(program, args);
    const json_t *rows = json_object_get(json_object_get(j, "logits"), "rows");
    const json_t *row = json_array_get(rows, 0);
    assert_string_equal(json_string_value(json_object_get(row, "layer")), "inputs");
    assert_string_equal(json_string_value(json_object_get(row, "verdict")), "large inputs");
    assert_string_equal(json_string_value(json_object_get(row, "from")), "x");
    rows = json_object_get(json_object_get(j, "heads"), "rows");
    assert_int_equal(json_array_size(rows), 7);
    row = json_array_get(rows, 0);
    assert_string_equal(json_string_value(json_object_get(row, "layer")), "onehot");
    assert_string_equal(json_string_value(json_object_get(row, "finding")), "one key");
    assert_non_null(json_object_get(j, "shares images:x"));
    assert_non_null(json_string_value(json_object_get(j, "verdict")));
    json_decref(j);

    assert_int_equal(status_of(program, in_tmp("run.h5")), 0);
    snprintf(args, sizeof args, "--layers 'up*' %s", in_tmp("run.h5"));
    assert_int_equal(status_of(program, args), 2);
    assert_int_equal(status_of(program, in_tmp("none.h5")), 1);
    assert_int_equal(status_of(program, in_tmp("absent.h5")), 1);
    assert_int_equal(status_of(program, ""), 2);
}

static int set_up(void **state)
{
    const int failed = make_tmp(state);

    if (!failed)
        write_run(in_tmp("run.h5"), N_SIGMAS, N_LAYERS, true);
    return failed;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entropy),  cmocka_unit_test(test_entropy_bound),
        cmocka_unit_test(test_shares),   cmocka_unit_test(test_heads),
        cmocka_unit_test(test_verdicts), cmocka_unit_test(test_what_is_missing),
        cmocka_unit_test(test_command),  cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, set_up, remove_tmp);
}
