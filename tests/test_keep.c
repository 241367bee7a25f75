/* test_keep.c - which modules stay in fp32: of a run whose answers are known, and of the bundled
 * checkpoint, where emulation says whether they were right
 *
 * The made run: format e4m3-ieee, largest value 240. In forward order, largest |x| at sigma 1 (at
 * 0.1 it is a tenth), input, output, and why it is kept under autocast; in half precision a
 * container is
 *
 *   conv_in          1     20
 *   down             20   100   half: holds
 *   down.conv1       20   200   adds to temb_sum
 *   down.temb_sum         300   inner value
 *   down.norm        300    4   fp32 on CUDA, whatever it reads
 *   down.conv2       4    100
 *   up              100   130   half: holds
 *   up.conv_a       100   800   produces
 *   up.norm         800  1000   autocast on CPUs: produces
 *   up.conv_b      1000   130   reads
 *   up.act          130   130   one bit of margin only
 *   mid               9     9   attention eager: holds
 *   mid.to_q          9     9
 *   mid.logits            300   inner value
 *   tf                9    90   half: holds
 *   tf.attn1          9     9   holds: its operation casts what to_q gives
 *   tf.attn1.to_q     9   500
 *   tf.ff             9    90
 *   tf.ff.out         9    90   adds to the stream (port residual of tf.ff), 260
 *   tiny              1     1   half of its values are 2^-20
 */
#include "analyze/precision/keep_check.h"
#include "analyze/precision/keep_paste.h"
#include "base/mem.h"
#include "probe/probe.h"
#include "probe/replay.h"
#include "runfile/run_file.h"
#include "tests/ss_tmp.h"

#include <jansson.h>
#include <stdlib.h>
#include <sys/wait.h>

#define CHECKPOINT "demo/fashion-mnist/step-06000"

enum {
    ROOT,
    CONV_IN,
    DOWN,
    DOWN_CONV1,
    DOWN_SUM,
    DOWN_NORM,
    DOWN_CONV2,
    UP,
    UP_CONV_A,
    UP_NORM,
    UP_CONV_B,
    UP_ACT,
    MID,
    MID_TO_Q,
    MID_LOGITS,
    TF,
    TF_ATTN,
    TF_TO_Q,
    TF_FF,
    TF_OUT,
    TINY,
    N_MODULES
};
static const struct {
    const char *path, *kind;
    float in, out, residual;
} made[] = {
    {"", "UNet2DModel", 1, 1, 0},
    {"conv_in", "Conv2d", 1, 20, 0},
    {"down", "ResnetBlock2D", 20, 100, 0},
    {"down.conv1", "Conv2d", 20, 200, 0},
    {"down.temb_sum", "sum", 0, 300, 0},
    {"down.norm", "GroupNorm", 300, 4, 0},
    {"down.conv2", "Conv2d", 4, 100, 0},
    {"up", "UpBlock2D", 100, 130, 0},
    {"up.conv_a", "Conv2d", 100, 800, 0},
    {"up.norm", "GroupNorm", 800, 1000, 0},
    {"up.conv_b", "Conv2d", 1000, 130, 0},
    {"up.act", "SiLU", 130, 130, 0},
    {"mid", "Attention", 9, 9, 0},
    {"mid.to_q", "Linear", 9, 9, 0},
    {"mid.logits", "logits", 0, 300, 0},
    {"tf", "BasicTransformerBlock", 9, 90, 0},
    {"tf.attn1", "Attention", 9, 9, 0},
    {"tf.attn1.to_q", "Linear", 9, 500, 0},
    {"tf.ff", "FeedForward", 9, 90, 260},
    {"tf.ff.out", "Linear", 9, 90, 0},
    {"tiny", "SiLU", 1, 1, 0},
};

/* Where the run of the next call has NaN: at a port of a module, at sigma 1, sample 1. */
typedef struct {
    int module;
    ss_port port;
} bad_place;

static void put(ss_run_column *col, int m, ss_port port, double x, bool bad, int sample)
{
    ss_stats st = {.absmax = (float)x, .rms = (float)x / 3, .count = 4};

    st.exponent[127] = 2;
    st.exponent[m == TINY ? 127 - 20 : 127] += 2;
    if (bad) {
        st.absmax = NAN;
        st.nonfinite = 4;
    }
    ss_run_put_stats(col, m, port, 0, sample, &st);
}

static ss_run *make_run(const char *path, const char *precision, const bad_place *bad, int n_bad)
{
    static const double sigmas[] = {0.1, 1};
    static const char *const inputs[] = {"noise:white"};
    static const ss_run_layer layers[] = {{"mid", 1, 4}};
    ss_run_module modules[N_MODULES];
    ss_run_writer *w;
    ss_run_column *col;
    ss_run *r;
    ss_err e = {0};

    for (int m = 0; m < N_MODULES; m++)
        modules[m] = (ss_run_module){made[m].path, made[m].kind, false};
    const ss_run_spec spec = {
        .histogram = true,
        .modules = modules,
        .n_modules = N_MODULES,
        .inputs = inputs,
        .n_inputs = 1,
        .sigmas = sigmas,
        .n_sigmas = 2,
        .n_samples = 2,
        .layers = layers,
        .n_layers = 1,
        .precision = precision,
    };
    assert_int_equal(ss_run_create(path, &spec, true, &w, &e), SS_OK);
    for (int s = 0; s < 2; s++) {
        assert_int_equal(ss_run_column_new(w, s, &col, &e), SS_OK);
        for (int n = 0; n < 2; n++) {
            for (int m = 0; m < N_MODULES; m++) {
                const double x[SS_N_PORTS] = {[SS_PORT_INPUT] = made[m].in,
                                              [SS_PORT_OUTPUT] = made[m].out,
                                              [SS_PORT_RESIDUAL] = made[m].residual};

                for (int p = 0; p < SS_N_PORTS; p++) {
                    bool is_bad = false;

                    for (int b = 0; b < n_bad && s == 1 && n == 1; b++)
                        is_bad |= bad[b].module == m && (int)bad[b].port == p;
                    if (x[p] > 0)
                        put(col, m, (ss_port)p, s ? x[p] : x[p] / 10, is_bad, n);
                }
            }
            ss_run_put_attention(col, 0, 0, 0, n,
                                 &(ss_attention_stats){1, 1, s ? 300.0f : 30.0f, 0.3f, 0, NULL});
        }
        assert_int_equal(ss_run_submit(w, col, &e), SS_OK);
    }
    assert_int_equal(ss_run_finish(w, &e), SS_OK);
    if (ss_run_open(path, &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return r;
}

static ss_format format_of(const char *name)
{
    ss_format f;

    assert_int_equal(ss_format_parse(name, &f, NULL), SS_OK);
    return f;
}

/* The list as "NAME why, ..." in forward order. */
static char *list_of(const ss_run *r, const ss_keep *k)
{
    static const char *const why[] = {"", "reads", "adds", "produces", "holds"};
    static char text[1024];
    size_t n = 0;

    text[0] = '\0';
    for (int m = 0; m < k->n_modules; m++)
        if (ss_keep_listed(k, m))
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %s", n ? ", " : "",
                                  r->modules[m], why[k->modules[m].why]);
    return text;
}

static void test_reasons(void **state)
{
    (void)state;
    static const struct {
        ss_round_scope as;
        ss_attention_code attention;
        double margin;
        const char *list;
    } cases[] = {
        {SS_ROUND_AUTOCAST, SS_ATTENTION_SDPA, 0,
         "down.conv1 adds, up.conv_a produces, up.conv_b reads, tf.attn1 holds, tf.ff.out adds"},
        {SS_ROUND_AUTOCAST_CPU, SS_ATTENTION_SDPA, 0,
         "down.conv1 adds, up.conv_a produces, up.norm produces, up.conv_b reads, tf.attn1 holds, "
         "tf.ff.out adds"},
        {SS_ROUND_AUTOCAST, SS_ATTENTION_EAGER, 0,
         "down.conv1 adds, up.conv_a produces, up.conv_b reads, mid holds, tf.attn1 holds, "
         "tf.ff.out adds"},
        {SS_ROUND_HALF, SS_ATTENTION_SDPA, 0, "down holds, up holds, tf holds"},
        {SS_ROUND_HALF, SS_ATTENTION_EAGER, 0, "down holds, up holds, mid holds, tf holds"},
        /* 130 and 200 are near 240; what leaves `up` never fits */
        {SS_ROUND_AUTOCAST, SS_ATTENTION_SDPA, 1,
         "down.conv1 produces, up.conv_a produces, up.conv_b produces, up.act produces, "
         "tf.attn1 holds, tf.ff.out adds"},
        {SS_ROUND_HALF, SS_ATTENTION_SDPA, 1, "(model) holds"},
    };
    const ss_format f = format_of("e4m3-ieee");
    ss_run *r = make_run(in_tmp("run.h5"), "fp32", NULL, 0);
    ss_err e = {0};
    ss_keep k;

    assert_int_equal(r->as, SS_ROUND_HALF);
    for (size_t i = 0; i < N_OF(cases); i++) {
        r->as = cases[i].as;
        r->attention = cases[i].attention;
        assert_int_equal(ss_keep_find(r, &f, cases[i].margin, &k, &e), SS_OK);
        if (strcmp(list_of(r, &k), cases[i].list) != 0)
            fail_msg("case %zu: %s", i, list_of(r, &k));
        assert_int_equal(k.n_flushed, 1);
        assert_true(k.modules[TINY].flush == 0.5);
        if (i == 0) {
            assert_true(k.modules[UP_CONV_A].peak == 800 && k.modules[UP_CONV_A].sigma == 1);
            assert_int_equal(k.modules[DOWN_CONV1].value.module, DOWN_SUM);
            assert_true(k.modules[TF_TO_Q].covered && !k.modules[UP_CONV_A].covered);
        }
        ss_keep_release(&k);
    }
    ss_run_close(r);
}

static void test_maps(void **state)
{
    (void)state;
    static const char *const want[] = {"down=fp32", "up=fp32", "tf=fp32"};
    const ss_format f = format_of("e4m3-ieee");
    ss_run *r = make_run(in_tmp("run.h5"), "fp32", NULL, 0);
    ss_err e = {0};
    ss_keep k;
    char **maps;
    int n;

    assert_int_equal(ss_keep_find(r, &f, 0, &k, &e), SS_OK);
    assert_int_equal(ss_keep_maps(r, &k, &maps, &n, &e), SS_OK);
    assert_int_equal(n, N_OF(want));
    for (int i = 0; i < n; i++)
        assert_string_equal(maps[i], want[i]);
    ss_keep_maps_free(maps, n);
    ss_keep_release(&k);
    ss_run_close(r);
}

static void test_refusals(void **state)
{
    (void)state;
    const ss_format f = format_of("e4m3-ieee"), fp32 = format_of("fp32");
    ss_run *r = make_run(in_tmp("run.h5"), "fp32", NULL, 0);
    ss_run *emulated = make_run(in_tmp("bf16.h5"), "bf16 (half, sdpa)", NULL, 0);
    ss_run *mixed = make_run(in_tmp("mixed.h5"), "fp32 (half, sdpa), up=bf16", NULL, 0);
    ss_run *foreign = make_run(in_tmp("foreign.h5"), NULL, NULL, 0);
    ss_keep_check c;
    ss_err e = {0};
    ss_keep k;

    assert_int_equal(ss_keep_find(r, &fp32, 0, &k, &e), SS_USAGE);
    assert_int_equal(ss_keep_find(emulated, &f, 0, &k, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "made with --precision bf16"));
    assert_int_equal(ss_keep_find(mixed, &f, 0, &k, &e), SS_USAGE);
    assert_int_equal(ss_keep_find(foreign, &f, 0, &k, &e), SS_OK); /* other hooks say nothing */
    assert_int_equal(ss_keep_check_run(foreign, &k, 1, "cpu", &c, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "does not say how it was made"));
    ss_keep_release(&k);
    ss_run_close(r);
    ss_run_close(emulated);
    ss_run_close(mixed);
    ss_run_close(foreign);
}

/* Where inf comes from under emulation: the first place of its cell, and what made it. */
static void test_growth(void **state)
{
    (void)state;
    static const struct {
        bad_place bad[2]; /* what follows is bad as well */
        int module;
        ss_keep_reason why;
    } cases[] = {
        {{{CONV_IN, SS_PORT_OUTPUT}, {DOWN, SS_PORT_INPUT}}, CONV_IN, SS_KEEP_PRODUCES},
        {{{DOWN_SUM, SS_PORT_OUTPUT}, {DOWN_NORM, SS_PORT_INPUT}}, DOWN, SS_KEEP_HOLDS},
        {{{UP_ACT, SS_PORT_INPUT}, {UP_ACT, SS_PORT_OUTPUT}}, UP, SS_KEEP_HOLDS},
        {{{UP, SS_PORT_OUTPUT}, {ROOT, SS_PORT_OUTPUT}}, UP, SS_KEEP_HOLDS},
        {{{TINY, SS_PORT_INPUT}, {TINY, SS_PORT_OUTPUT}}, ROOT, SS_KEEP_HOLDS},
    };
    const ss_format f = format_of("e4m3-ieee");
    ss_run *r = make_run(in_tmp("run.h5"), "fp32 (autocast, sdpa)", NULL, 0);
    ss_err e = {0};
    ss_keep k;
    int added;

    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_run *emulated =
            make_run(in_tmp("emulated.h5"), "e4m3-ieee (autocast, sdpa)", cases[i].bad, 2);

        assert_int_equal(ss_keep_find(r, &f, 0, &k, &e), SS_OK);
        assert_int_not_equal(k.modules[cases[i].module].why, cases[i].why);
        assert_int_equal(ss_keep_grow(emulated, &k, &added, &e), SS_OK);
        assert_int_equal(k.modules[cases[i].module].why, cases[i].why);
        assert_int_equal(added, 1);
        assert_int_equal(k.modules[cases[i].module].round, 1);
        ss_keep_release(&k);
        ss_run_close(emulated);
    }
    ss_run_close(r);
}

static ss_probe_options small_probe(const char *output)
{
    static const char *const inputs[] = {"images:demo/fashion-mnist/images", "noise:white"};
    ss_probe_options opt = ss_probe_defaults();

    opt.network.model = CHECKPOINT;
    opt.output = output;
    opt.replace = true;
    opt.sigmas = "0.02,2,80";
    opt.inputs = inputs;
    opt.n_inputs = 2;
    opt.samples = 2;
    opt.class_label = 3;
    opt.threads = 1;
    return opt;
}

static ss_run *probe(const ss_probe_options *opt)
{
    ss_probe_summary s = {0};
    ss_err e = {0};
    ss_run *r = NULL;

    if (ss_probe_run(opt, &s, &e) != SS_OK || ss_run_open(opt->output, &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return r;
}

static uint64_t count_bad(ss_run *r)
{
    const uint64_t *bad;
    uint64_t n = 0;

    assert_int_equal(ss_run_nonfinite(r, &bad, NULL), SS_OK);
    for (int m = 0; m < r->n_modules; m++)
        for (int p = 0; p < r->n_ports; p++)
            n += ss_site_count(r, bad, (ss_site){m, p}, SS_ALL, SS_ALL);
    return n;
}

/* The replayed run is the run: every statistic, bit for bit. */
static void test_replay(void **state)
{
    (void)state;
    ss_probe_options opt = small_probe(in_tmp("first.h5"));
    const float *a, *b;
    ss_err e = {0};
    ss_replay p;

    opt.seed = 5;
    opt.condition_sigma = "3";
    opt.network.changes.interventions = (const char *const[]){"scale:0.5@mid_block"};
    opt.network.changes.n_interventions = 1;
    ss_run *r = probe(&opt);
    assert_int_equal(ss_replay_read(r, &p, &e), SS_OK);
    assert_string_equal(p.opt.condition_sigma, "3");
    p.opt.output = in_tmp("second.h5");
    p.opt.threads = 1;
    ss_run *again = probe(&p.opt);
    assert_string_equal(again->plan, r->plan);
    assert_int_equal(ss_run_stat(r, "absmax", &a, &e), SS_OK);
    assert_int_equal(ss_run_stat(again, "absmax", &b, &e), SS_OK);
    assert_memory_equal(a, b, (size_t)r->n_modules * (size_t)r->n_ports * 2 * 3 * 2 * sizeof *a);
    ss_run_close(again);
    ss_replay_release(&p);

    ss_free(r->plan); /* of another version: something is missing */
    r->plan = ss_strdup("{\"device\":\"cpu\"}");
    assert_int_equal(ss_replay_read(r, &p, &e), SS_FORMAT);
    assert_non_null(strstr(e.msg, "its plan says nothing usable of"));
    ss_run_close(r);
}

/* On the bundled checkpoint: the list suffices in the code that it is for, and each module of it
 * that produces or holds is needed. */
static void check_list(ss_run *r, const ss_probe_options *opt, ss_round_scope as,
                       const char *format)
{
    const ss_format f = format_of(format);
    ss_probe_options again = *opt;
    ss_keep_check c;
    ss_err e = {0};
    ss_keep k;
    char **maps;
    int n, needed = 0;

    r->as = as;
    assert_int_equal(ss_keep_find(r, &f, 0, &k, &e), SS_OK);
    assert_int_equal(ss_keep_check_run(r, &k, 1, "cpu", &c, &e), SS_OK);
    assert_true(c.clean && c.trials[0].nonfinite > 0 && c.trials[0].lost > 0);
    assert_true(c.trials[c.n - 1].nonfinite == 0 && c.trials[c.n - 1].lost == 0);
    assert_int_equal(c.trials[1].pictures, 12);
    assert_true(c.trials[c.n - 1].change > 0 && c.trials[c.n - 1].change < 0.1);
    ss_keep_check_release(&c);

    assert_int_equal(ss_keep_maps(r, &k, &maps, &n, &e), SS_OK);
    for (int m = 0; m < k.n_modules; m++) { /* leave out one at a time */
        const char *some[256];
        const size_t length = strlen(r->modules[m]);
        int left = 0;

        if (!ss_keep_listed(&k, m) || k.modules[m].why < SS_KEEP_PRODUCES)
            continue;
        for (int i = 0; i < n; i++)
            if (strncmp(maps[i], r->modules[m], length) != 0 || maps[i][length] != '=')
                some[left++] = maps[i];
        assert_int_equal(left, n - 1);
        again.output = in_tmp("without.h5");
        again.network.changes.precision = format;
        again.network.changes.as = ss_round_scope_name(as);
        again.network.changes.precision_maps = some;
        again.network.changes.n_precision_maps = left;
        ss_run *without = probe(&again);
        if (!count_bad(without))
            fail_msg("%s: %s is not needed", ss_round_scope_name(as), r->modules[m]);
        ss_run_close(without);
        needed++;
    }
    printf("%s: %d listed, %d of them tried\n", ss_round_scope_name(as), k.n_kept, needed);
    assert_true(needed >= 1);
    ss_keep_maps_free(maps, n);
    ss_keep_release(&k);
}

static void test_check(void **state)
{
    (void)state;
    const ss_format fp16 = format_of("fp16");
    const ss_probe_options opt = small_probe(in_tmp("fp32.h5"));
    ss_run *r = probe(&opt);
    ss_keep_check c;
    ss_err e = {0};
    ss_keep k;

    check_list(r, &opt, SS_ROUND_AUTOCAST, "e4m3-ieee");
    check_list(r, &opt, SS_ROUND_AUTOCAST_CPU, "e4m3-ieee");
    check_list(r, &opt, SS_ROUND_HALF, "e4m3-ieee");
    assert_int_equal(ss_keep_find(r, &fp16, 0, &k, &e), SS_OK); /* nothing to keep */
    assert_int_equal(k.n_kept, 0);
    assert_int_equal(ss_keep_check_run(r, &k, 1, "cpu", &c, &e), SS_OK);
    assert_true(c.clean && c.n == 1 && c.trials[0].change < 0.001);
    ss_keep_check_release(&c);
    ss_keep_release(&k);
    ss_run_close(r);
}

static char output[1 << 16];

static int run(const char *args)
{
    const char *program = getenv("SIGMASCOPE");
    char command[2048];

    snprintf(command, sizeof command, "D=%s; %s %s 2>&1", tmp_dir,
             program ? program : "build/sigmascope", args);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    output[fread(output, 1, sizeof output - 1, p)] = '\0';
    return WEXITSTATUS(pclose(p));
}

static void expect(const char *args, int status, const char *text)
{
    const int got = run(args);

    if (got != status || !strstr(output, text))
        fail_msg("%s: exit status %d, want %d; it printed:\n%s", args, got, status, output);
}

static void test_command(void **state)
{
    (void)state;
    json_error_t error;
    ss_probe_options opt = small_probe(in_tmp("cli.h5"));

    ss_run_close(probe(&opt));
    expect("analyze $D/cli.h5 --keep-fp32 e4m3-ieee", 0,
           "    \"up_blocks.0.upsamplers.0.conv\",\n");
    assert_non_null(strstr(output, "--precision e4m3-ieee --as autocast --attention sdpa \\\n"));
    assert_non_null(strstr(output, "--precision-map 'up_blocks.0.upsamplers.0.conv=fp32'"));
    expect("analyze $D/cli.h5 --keep-fp32 e4m3-ieee --as half", 0, "half_but(model, keep_fp32)\n");
    expect("analyze $D/cli.h5 --keep-fp32 e4m3-ieee --as no", 2,
           "--as takes half, autocast or autocast-cpu, not 'no'");
    expect("analyze $D/cli.h5 --keep-fp32 e4m3-ieee --check --threads 1 --quiet", 0,
           "the list suffices");

    /* in the verdict, and below the table */
    expect("report $D/cli.h5 -o $D/half --format e4m3-ieee --as half --quiet && "
           "grep -c '^half_but(model, keep_fp32)' $D/half/index.html",
           0, "\n2\n");
    expect("report $D/cli.h5 -o $D/cast --format e4m3-ieee --quiet && "
           "grep -c '^keep_in_fp32(model, keep_fp32)' $D/cast/index.html",
           0, "\n2\n");
    expect("report $D/cli.h5 -o $D/no --attention flash", 2, "--attention takes sdpa, eager");

    assert_int_equal(run("analyze $D/cli.h5 --keep-fp32 e4m3-ieee --json"), 0);
    json_t *j = json_loads(output, 0, &error);
    assert_non_null(j);
    const json_t *names = json_object_get(j, "keep_fp32");
    assert_int_equal(
        json_array_size(names),
        json_array_size(json_object_get(json_object_get(j, "keep fp32 e4m3-ieee"), "rows")));
    json_decref(j);

    expect("analyze $D/cli.h5 --keep-fp32 e4m3-ieee --write-map $D/keep.txt --quiet && cat "
           "$D/keep.txt",
           0,
           "# stay in fp32 when the rest is e4m3-ieee: --precision e4m3-ieee --as autocast "
           "--attention sdpa\n");
    assert_non_null(strstr(strstr(output, "# stay in"), "\nup_blocks.0.upsamplers.0.conv=fp32\n"));
    expect("analyze $D/cli.h5 --write-map $D/keep.txt", 2, "--write-map go with --keep-fp32");
    expect("analyze $D/cli.h5 --keep-fp32 fp16 --write-map $D/none/keep.txt", 1, "none/keep.txt");

    expect("analyze $D/cli.h5 --keep-fp32 fp17", 2, "'fp17' is not a number format");
    expect("analyze $D/cli.h5 --keep-fp32 fp32", 2, "name a smaller format");
    expect("analyze $D/cli.h5 --keep-fp32 fp16 --modules up_blocks.0", 2, "do not go with it");
    expect("analyze $D/cli.h5 --check", 2, "go with --keep-fp32");
    expect("analyze $D/cli.h5 --keep-fp32 fp16 --margin -1", 2, "--margin takes a number from 0");
    expect("analyze $D/cli.h5 $D/cli.h5 --keep-fp32 fp16", 2, "is for one run");
    expect("analyze $D/none.h5 --keep-fp32 fp16", 1, "none.h5");
    expect("analyze $D/cli.h5 --keep-fp32 fp16 --check --device tpu", 2, "no device 'tpu'");
    setenv("TMPDIR", "/nonexistent", 1);
    expect("analyze $D/cli.h5 --keep-fp32 fp16 --check", 1, "TMPDIR says where there is room");
    unsetenv("TMPDIR");
}

/* Runs a probe with the lines as @FILE; want: what is printed, or the precision of its run. */
static void probe_with_map(const char *lines, size_t n, int status, const char *want)
{
    ss_run *r;
    ss_err e = {0};

    write_file(in_tmp("map.txt"), lines, n);
    expect("probe demo/fashion-mnist/step-06000 -o $D/mapped.h5 --force --sigmas 1 --samples 1 "
           "--quiet --precision-map "
           "conv_in=bf16 --precision-map @$D/map.txt --precision-map conv_out=fp16",
           status, status ? want : "");
    if (status)
        return;
    assert_int_equal(ss_run_open(in_tmp("mapped.h5"), &r, &e), SS_OK);
    assert_string_equal(r->precision, want);
    ss_run_close(r);
}

/* The rules of a file are as if each had been given in its place. */
static void test_map_in_a_file(void **state)
{
    (void)state;
    static const char good[] = "# why\r\n\n  up*=fp32 \r\n\t#no\nmid_block=e5m10";
    static const char bad[] = "a=fp16\n\nmid_block\n", format[] = "a=fp16\nb=fp17\n",
                      glob[] = "a[=fp16\n", zero[] = "a=fp16\0\n";

    probe_with_map(good, sizeof good - 1, 0,
                   "fp32 (half, sdpa), conv_in=bf16, up*=fp32, mid_block=fp16, conv_out=fp16");
    probe_with_map("", 0, 0, "fp32 (half, sdpa), conv_in=bf16, conv_out=fp16");
    probe_with_map(bad, sizeof bad - 1, 2, "map.txt:3: expected GLOB=FMT, not 'mid_block'");
    probe_with_map(format, sizeof format - 1, 2, "map.txt:2: 'fp17' is not a number format");
    probe_with_map(glob, sizeof glob - 1, 2, "map.txt:1: ");
    probe_with_map(zero, sizeof zero - 1, 2, "map.txt: is no text, it has a zero byte");
    expect("probe demo/fashion-mnist/step-06000 -o $D/mapped.h5 --precision-map @$D/missing", 2,
           "missing");
    expect("generate demo/fashion-mnist/step-06000 -o $D/made --precision-map @$D/missing", 2,
           "missing");
}

/* Names that other people's files may have, as Python and as globs. */
static void test_strange_names(void **state)
{
    (void)state;
    static char *modules[] = {"(model)", "a*[b]{c,d}?\"\\", "#b", "@c\n ", "caf\xe9"};
    static char *ports[] = {"output"}, *kinds[] = {"x", "x", "x", "x", "x"};
    enum { N = N_OF(modules) };
    ss_run r = {.path = "r",
                .modules = modules,
                .n_modules = N,
                .ports = ports,
                .n_ports = 1,
                .kinds = kinds,
                .family = "No class",
                .component = "",
                .role = ""};
    ss_keep_module found[N] = {0};
    ss_keep k = {.n_modules = N, .modules = found, .n_kept = N};

    assert_int_equal(ss_format_parse("bf16", &k.format, NULL), SS_OK);
    for (int i = 0; i < N; i++)
        found[i].why = SS_KEEP_PRODUCES;
    r.as = SS_ROUND_HALF;
    char *torch = ss_keep_paste_torch(&r, &k), *diffusers = ss_keep_paste_diffusers(&r, &k);
    char *map = ss_keep_paste_map(&r, &k);
    assert_non_null(strstr(torch,
                           "keep_fp32 = [\n    \"\",\n    \"a*[b]{c,d}?\\\"\\\\\",\n    \"#b\",\n"
                           "    \"@c\\x0a \",\n    \"caf\\xe9\",\n]\n"));
    assert_non_null(strstr(torch, "dtype=torch.bfloat16"));
    assert_string_equal(diffusers, "");
    assert_non_null(strstr(map, "\n(model)=fp32\na[*][[]b][{]c,d}[?]\"\\=fp32\n[#]b=fp32\n[@]c??"
                                "=fp32\n"));
    for (int i = 1; i < 4; i++) { /* each glob matches its module, and is read as one line */
        const char *line = map;
        char glob[64];

        for (int j = 0; j <= i; j++)
            line = strchr(line, '\n') + 1;
        snprintf(glob, sizeof glob, "%.*s",
                 (int)(strrchr(line, '\n') ? strcspn(line, "\n") - 5 : 0), line);
        assert_int_equal(ss_glob_check(glob, NULL), SS_OK);
        assert_true(ss_glob_module(glob, modules[i]));
        assert_false(ss_glob_module(glob, modules[(i + 1) % N]));
    }
    r.family = "UNet2DConditionModel";
    ss_free(diffusers);
    diffusers = ss_keep_paste_diffusers(&r, &k);
    assert_non_null(strstr(diffusers, "net = UNet2DConditionModel.from_pretrained(CHECKPOINT, "
                                      "subfolder=\"unet\", torch_dtype=torch.float32)\n"
                                      "half_but(net, keep_fp32)\n"));
    ss_free(map);
    ss_free(torch);
    ss_free(diffusers);
}

/* A check of a model that is not the one of the run any more says so, and leaves nothing. */
static void test_changed_model(void **state)
{
    (void)state;
    ss_probe_options opt = small_probe(in_tmp("copy.h5"));
    char command[512], model[128], weights[256];

    snprintf(model, sizeof model, "%s/model", tmp_dir);
    snprintf(weights, sizeof weights, "%s/unet/diffusion_pytorch_model.safetensors", model);
    snprintf(command, sizeof command, "cp -r %s %s && mkdir %s/tmp", CHECKPOINT, model, tmp_dir);
    assert_int_equal(system(command), 0);
    opt.network.model = model;
    ss_run_close(probe(&opt));
    FILE *f = fopen(weights, "r+b");
    assert_non_null(f);
    fseek(f, -1, SEEK_END);
    const int last = fgetc(f);
    fseek(f, -1, SEEK_END);
    fputc(last ^ 1, f);
    fclose(f);
    setenv("TMPDIR", in_tmp("tmp"), 1);
    expect("analyze $D/copy.h5 --keep-fp32 fp16 --check --threads 1 --quiet", 1, "is not what");
    assert_int_equal(count_files(in_tmp("tmp")), 0);
    unsetenv("TMPDIR");
}

static void test_out_of_memory(void **state)
{
    (void)state;
    const ss_format f = format_of("e4m3-ieee");
    ss_code rc = SS_NOMEM;

    for (unsigned long i = 1; rc != SS_OK; i++) {
        ss_run *r = make_run(in_tmp("run.h5"), "fp32", NULL, 0);
        ss_err e = {0};
        ss_keep k;
        char **maps = NULL;
        int n = 0;

        ss_mem_fail_at(i);
        rc = ss_keep_find(r, &f, 0, &k, &e);
        if (rc == SS_OK)
            rc = ss_keep_maps(r, &k, &maps, &n, &e);
        ss_mem_fail_at(0);
        assert_true(rc == SS_OK || (rc == SS_NOMEM && e.msg[0]));
        ss_keep_maps_free(maps, n);
        ss_keep_release(&k);
        ss_run_close(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reasons),       cmocka_unit_test(test_maps),
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_growth),
        cmocka_unit_test(test_replay),        cmocka_unit_test(test_check),
        cmocka_unit_test(test_command),       cmocka_unit_test(test_map_in_a_file),
        cmocka_unit_test(test_strange_names), cmocka_unit_test(test_changed_model),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
