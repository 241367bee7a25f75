/* test_sick.c - sick runs, and what of them must and must not be said
 *
 * `made` says how each run is made: one function, and what it differs in from a healthy run. `said`
 * holds commands against them: the exit status, what has to be in the output, what must not be. A
 * report's output is its page. To add a sick run, add a row to `made` and rows to `said`.
 */
#include "tests/run_made.h"
#include "tests/run_training.h"
#include "tests/ss_command.h"

#include <hdf5.h>
#include <sys/stat.h>

/* ---- runs ---- */

/* Faults of a run; read by the functions below. */
typedef enum {
    HEALTHY,
    ALL_NAN,
    ALL_ZERO,
    HEAD_INF,  /* one head, in sample 1 */
    HEADS_NAN, /* all of them, everywhere */
    SAMPLE,    /* one sample of one input, at the highest sigma, from up_blocks.0 on */
    LIMIT,     /* the decoder stands at m->factor exactly */
    LOSS,      /* of the highest sigma */
    INPUT,     /* the second input is NaN before the network sees it */
    OVER,      /* the decoder is over fp16, finite */
} ailment;

static ailment ails;

static const char *const modules[] = {"", "conv_in", "mid_block", "up_blocks.0", "conv_out"};
static const char *const inputs[] = {"images:photos", "noise:white"};
static const char *const pictures[] = {"cat.png", "dog.png", "owl.png", "", "", ""};
static const double sigmas[] = {0.02, 1, 80}, to_inf[] = {0.02, 1, INFINITY};
static const ss_run_layer layers[] = {{"mid_block.attentions.0", 4, 16}};
static const ss_run_parameter whole[] = {{"conv_in.weight", 1, 0.5f, 0},
                                         {"up_blocks.0.conv.weight", 2, 0.5f, 0}};
static const ss_run_parameter one_nan[] = {{"conv_in.weight", 1, 0.5f, 0},
                                           {"up_blocks.0.conv.weight", 2, 0.5f, 1}};
static const ss_run_parameter all_nan[] = {{"conv_in.weight", NAN, NAN, 27},
                                           {"up_blocks.0.conv.weight", NAN, NAN, 9}};
enum { N_MODULES = N_OF(modules), N_INPUTS = 2, N_SIGMAS = 3, N_SAMPLES = 3 };

static bool is_sick(const made_run *m, int module, int input, int sigma, int sample)
{
    if (ails == SAMPLE)
        return (module >= 3 || module == 0) && input == 0 && sigma == m->n_sigmas - 1 &&
               sample == 2;
    return ails == ALL_NAN || (ails == INPUT && input == 1);
}

static void stats(const made_run *m, int module, int input, int sigma, int sample, ss_stats *s)
{
    const double size = 1 + 0.1 * module + 0.2 * sigma + 0.01 * sample + 0.02 * input;

    s->absmax = s->max = (float)size;
    if (ails == ALL_ZERO)
        s->absmax = s->max = 0;
    if ((ails == LIMIT || ails == OVER) && module >= 3)
        s->absmax = s->max = (float)m->factor;
    s->rms = s->absmax / 2;
    s->exponent[isinf(s->absmax) ? 255 : s->absmax > 0 ? 127 + ilogb((double)s->absmax) : 0] = 100;
    if (!is_sick(m, module, input, sigma, sample))
        return;
    *s = (ss_stats){.count = 100, .nonfinite = ails == ALL_NAN ? 100 : 7};
    if (ails == ALL_NAN)
        s->absmax = s->max = s->min = s->rms = NAN;
    else
        s->absmax = s->max = (float)size;
    s->exponent[255] = s->nonfinite;
    s->exponent[127] = 100 - s->nonfinite;
}

static ss_attention_stats attention(const made_run *m, int layer, int head, int input, int sigma,
                                    int sample)
{
    (void)m, (void)layer, (void)input, (void)sigma;
    const bool bad =
        ails == ALL_NAN || ails == HEADS_NAN || (ails == HEAD_INF && head == 2 && sample == 1);

    return bad ? (ss_attention_stats){NAN, NAN, NAN, NAN, 0, NULL}
               : (ss_attention_stats){2.5f, 2, 3, 0.1f, 0, NULL};
}

static double loss(const made_run *m, int input, int sigma, int sample)
{
    (void)sample;
    if (input == 1)
        return NAN;
    return ails == ALL_NAN || (ails == LOSS && sigma == m->n_sigmas - 1) ? INFINITY : 0.5;
}

static double psd(const made_run *m, int input, int sigma, int radius)
{
    (void)m, (void)sigma;
    return ails == INPUT && input == 1 ? NAN : 1.0 / (1 + radius);
}

static made_run healthy(void)
{
    return (made_run){.model_path = "out/step-100",
                      .sha256 = "00",
                      .modules = modules,
                      .n_modules = N_MODULES,
                      .inputs = inputs,
                      .n_inputs = N_INPUTS,
                      .sigmas = sigmas,
                      .n_sigmas = N_SIGMAS,
                      .n_samples = N_SAMPLES,
                      .stats = stats,
                      .layers = layers,
                      .n_layers = 1,
                      .attention = attention,
                      .loss = loss,
                      .n_radii = 4,
                      .psd = psd,
                      .parameters = whole,
                      .n_parameters = N_OF(whole),
                      .prediction_type = "epsilon",
                      .tool = "sigmascope test",
                      .pictures = pictures};
}

static void nan_weight(made_run *m)
{
    m->parameters = one_nan;
}

static void all_nan_run(made_run *m)
{
    m->parameters = all_nan;
    m->model_path = "out/step-200";
}

static void emulated(made_run *m)
{
    m->precision = "fp16 (half, sdpa)";
}

static void eager(made_run *m)
{
    m->precision = "fp32 (half, eager)";
}

static void saturated(made_run *m)
{
    m->precision = "fp8-e4m3-sat (half, sdpa)";
    m->factor = 448;
}

static void clamped(made_run *m)
{
    m->plan = "{\"interventions\": [\"clamp:20@up_blocks.*\"]}";
    m->factor = 20;
}

static void over_fp16(made_run *m)
{
    m->factor = 70000;
}

static void sigma_inf(made_run *m)
{
    m->sigmas = to_inf;
}

static void empty(made_run *m)
{
    m->unfinished = N_SIGMAS;
}

static void cut_off(made_run *m)
{
    m->unfinished = 1;
}

static void one_module(made_run *m)
{
    m->n_modules = 1;
    m->n_layers = 0;
    m->n_parameters = 0;
}

static void many(made_run *m)
{
    static double levels[1000];

    for (int i = 0; i < 1000; i++)
        levels[i] = 1 + i;
    m->sigmas = levels;
    m->n_sigmas = 1000;
    m->n_modules = 3;
}

static void one_level(made_run *m)
{
    m->n_sigmas = 1;
}

/* Writes a file like somebody's hooks: no tool, no counts, no plan. */
static void foreign(made_run *m)
{
    m->tool = "";
    m->n_layers = 0;
    m->loss = NULL;
    m->n_radii = 0;
    m->pictures = NULL;
    m->n_parameters = 0;
}

static void foreign_inf(made_run *m)
{
    foreign(m);
    m->factor = INFINITY;
}

/* ---- what is taken out of a file afterwards ---- */

static void remove_sets(const char *path, const char *const *names)
{
    hid_t f = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);

    assert_true(f >= 0);
    for (; *names; names++)
        H5Ldelete(f, *names, H5P_DEFAULT);
    assert_true(H5Fclose(f) >= 0);
}

static const char *const uncounted[] = {"/stats/nonfinite", NULL};
static const char *const before_1_2[] = {"/weights/nonfinite", "/attention/heads", "/axes/picture",
                                         NULL};

static const struct {
    const char *name;
    ailment ails;
    void (*change)(made_run *m);
    const char *const *without;
} made[] = {
    {"healthy", HEALTHY, NULL, NULL},
    {"all-nan", ALL_NAN, all_nan_run, NULL},
    {"all-nan-old", ALL_NAN, all_nan_run, before_1_2},
    {"nan-weight", HEALTHY, nan_weight, NULL},
    {"head-inf", HEAD_INF, NULL, NULL},
    {"heads-nan", HEADS_NAN, NULL, NULL},
    {"zero", ALL_ZERO, NULL, NULL},
    {"emulated-over", SAMPLE, emulated, NULL},
    {"emulated-fine", HEALTHY, emulated, NULL},
    {"eager", HEALTHY, eager, NULL},
    {"saturated", LIMIT, saturated, NULL},
    {"clamped", LIMIT, clamped, NULL},
    {"sample", SAMPLE, NULL, NULL},
    {"input", INPUT, NULL, NULL},
    {"loss", LOSS, NULL, NULL},
    {"sigma-inf", HEALTHY, sigma_inf, NULL},
    {"over", OVER, over_fp16, NULL},
    {"empty", HEALTHY, empty, NULL},
    {"cut-off", SAMPLE, cut_off, NULL},
    {"one-module", SAMPLE, one_module, NULL},
    {"many", HEALTHY, many, NULL},
    {"one-level", ALL_NAN, one_level, NULL},
    {"foreign", HEALTHY, foreign, uncounted},
    {"foreign-nan", ALL_NAN, foreign, uncounted},
    {"foreign-inf", OVER, foreign_inf, uncounted},
};

/* ---- trainings ---- */

/* A training that skipped most of its steps, with a largest value of 354 and inf from step 2000 on:
 * fp16 was not passed by anything. */
static void make_training(const char *path, bool skipped)
{
    ss_run_spec spec = trn_spec();
    ss_run_writer *w;
    ss_err e = {0};

    spec.precision = "e4m3-ieee";
    assert_int_equal(ss_run_create(path, &spec, true, &w, &e), SS_OK);
    for (int s = 0; s < TRN_STEPS; s++) {
        ss_run_column *col;
        const bool bad = skipped && s > 0;

        assert_int_equal(ss_run_column_new(w, s, &col, &e), SS_OK);
        for (int n = 0; n < TRN_SAMPLES; n++) {
            for (int m = 0; m < TRN_MODULES; m++) {
                const ss_stats st = {.count = 100,
                                     .absmax = skipped ? 350 + (float)m + n : 1 + (float)m,
                                     .rms = 1,
                                     .nonfinite = bad && m == 2 ? 5 : 0};
                ss_run_put_stats(col, m, SS_PORT_OUTPUT, 0, n, &st);
            }
            ss_run_put_level(col, n, trn_sigmas[n], bad ? NAN : 0.5);
        }
        ss_run_put_step(col, &(ss_run_step){.loss = bad ? NAN : 0.5f,
                                            .penalty = NAN,
                                            .norm = bad ? NAN : 1,
                                            .rate = 0.001f,
                                            .scale = bad ? 1.0f / (float)(1 << s) : 65536,
                                            .skipped = bad,
                                            .skips = bad ? (float)trn_steps[s] - 4 : 0});
        for (int b = 0; b < TRN_BINS; b++)
            ss_run_put_bin(col, b, 0.5);
        assert_int_equal(ss_run_submit(w, col, &e), SS_OK);
    }
    assert_int_equal(ss_run_finish(w, &e), SS_OK);
}

/* ---- what is said ---- */

enum { MAX_TEXTS = 7 };

#define NO_OVERFLOW "does not overflow"
#define IS_WITHIN "  within "
#define REPORT(name) "report $D/" name ".h5 -o $D/page --force"

static const struct {
    const char *command;
    int status;
    const char *must[MAX_TEXTS], *never[MAX_TEXTS];
} said[] = {
    /* the control: none of the alarms */
    {"analyze $D/healthy.h5", 0, {"growth"}, {"inf or NaN", "INF OR NaN", "nan", "cuts values"}},
    {"attn $D/healthy.h5", 0, {"0 of 4 heads collapse"}, {"NOT FINITE", "nan"}},
    {"compare $D/healthy.h5 $D/healthy.h5", 0, {"same"}, {"INF OR NaN", "nan", "EXCEEDED"}},
    {REPORT("healthy"),
     0,
     {"Every value that was seen is finite", "fp16 does not overflow", ">no trouble<"},
     {">trouble<", " inf or NaN in", " nan"}},

    {"analyze $D/many.h5 --top 5", 0, {"5 of 1000 rows, evenly"}, {" nan"}},
    {"spectrum $D/many.h5 --top 5",
     0,
     {"5 of 2000 rows, evenly", "5 of 2000 rows, evenly"},
     {" nan"}},

    /* everything is NaN */
    {"analyze $D/all-nan.h5",
     3,
     {"36 weights are inf or NaN, in 2 of 2 parameters, the first in conv_in.weight (27 there)",
      "Nothing at all is finite: all values at all 5 places are inf or NaN",
      "Of 4 attention heads 4 are not finite",
      "The answer of the network is inf or NaN in 18 of 18", "The loss is inf or NaN in 9 of the 9",
      "not one of 2 parameters has a finite weight"},
     {NO_OVERFLOW, "records no weights", "no attention", " nan", "no input has a known clean"}},
    {"analyze $D/all-nan-old.h5",
     3,
     {"2 of 2 parameters have no finite largest value", "Nothing at all is finite",
      "The loss is inf or NaN"},
     {NO_OVERFLOW, "records no weights", " nan"}},
    {"attn $D/all-nan.h5",
     3,
     {"Of 4 attention heads 4 are not finite", "Of 4 heads 4 are NOT FINITE", "36 weights are"},
     {"0 of 0 heads", "0 of 4 heads collapse", " nan"}},
    {"spectrum $D/all-nan.h5",
     0,
     {"36 weights are inf or NaN", "Nothing at all is finite"},
     {" nan"}},
    {"compare $D/healthy.h5 $D/all-nan.h5",
     0,
     {"B: 36 weights are inf or NaN", "B: Nothing at all is finite",
      "Of these 2 the first that is not finite is B, of step 200; the last finite one before it is "
      "A, "
      "of step 100",
      "INF OR NaN in 0 parameters of A, 2 of B"},
     {" nan", "A: "}},
    {"compare $D/healthy.h5 $D/all-nan.h5 --fail-over absmax=1.5", 3, {"EXCEEDED"}, {IS_WITHIN}},
    {"compare $D/healthy.h5 $D/all-nan.h5 --fail-over rms=1.5", 3, {"EXCEEDED"}, {IS_WITHIN}},
    {"compare $D/healthy.h5 $D/all-nan.h5 --fail-over weights=2", 3, {"EXCEEDED"}, {IS_WITHIN}},
    {"compare $D/healthy.h5 $D/all-nan.h5 --fail-over entropy=1", 3, {"EXCEEDED"}, {IS_WITHIN}},
    {"compare $D/healthy.h5 $D/all-nan.h5 --fail-over loss=9", 3, {"EXCEEDED"}, {IS_WITHIN}},
    {"compare $D/healthy.h5 $D/all-nan.h5 --fail-over nonfinite=0", 3, {"EXCEEDED"}, {IS_WITHIN}},
    {"compare $D/all-nan.h5 $D/all-nan.h5 --fail-over weights=2", 3, {"EXCEEDED"}, {IS_WITHIN}},
    {"compare $D/all-nan.h5 $D/all-nan.h5 --fail-over absmax=2", 3, {"EXCEEDED"}, {IS_WITHIN}},
    {"analyze $D/healthy.h5 $D/all-nan.h5",
     3,
     {"the last finite one before it is ", "Nothing at all is finite"},
     {" nan", "ahead, no error"}},
    {"analyze $D/all-nan.h5 --keep-fp32 fp16",
     3,
     {"36 weights are inf or NaN"},
     {"the list suffices"}},
    {REPORT("all-nan"),
     0,
     {"36 weights are inf or NaN", "Nothing at all is finite", "4 heads 4 are NOT FINITE",
      "nothing is finite, whatever the format", "none of them is finite", "The loss is inf or NaN"},
     {NO_OVERFLOW, "the run has none", "no attention layer", ">no trouble<", " nan"}},
    {"report $D/healthy.h5 $D/all-nan.h5 -o $D/page --force",
     0,
     {"the last finite one before it is step-100, of step 100",
      "step-200: 36 weights are inf or NaN"},
     {" nan"}},

    /* one weight of two parameters */
    {"analyze $D/nan-weight.h5",
     3,
     {"1 weight is inf or NaN, in 1 of 2 parameters, the first in up_blocks.0.conv.weight (1 "
      "there)",
      "weights inf or NaN"},
     {NO_OVERFLOW}},
    {"compare $D/healthy.h5 $D/nan-weight.h5 --fail-over weights=1.01",
     3,
     {"B: 1 weight is inf or NaN", "up_blocks.0.conv.weight, inf or NaN", "EXCEEDED"},
     {IS_WITHIN}},
    {"compare $D/nan-weight.h5 $D/healthy.h5 --fail-over weights=1.01",
     0,
     {"A: 1 weight is inf or NaN", IS_WITHIN},
     {"EXCEEDED", "B: "}},
    {REPORT("nan-weight"), 0, {"1 weight is inf or NaN"}, {"Every value that was seen is finite"}},

    /* attention heads */
    {"attn $D/head-inf.h5",
     3,
     {"Of 4 attention heads 1 is not finite: entropy or logits are inf or NaN. The first is "
      "mid_block.attentions.0, head 2, in 6 of 18 samples, first at sigma 0.02, input "
      "images:photos, "
      "sample 1, dog.png",
      "NOT FINITE", "Of 4 heads 1 is NOT FINITE"},
     {"0 of 3 heads", "of 3 heads", " nan"}},
    {"attn $D/head-inf.h5 --json", 3, {"\"part\": \"heads\""}, {"NaN,"}},
    {REPORT("head-inf"),
     0,
     {"Of 4 heads 1 is NOT FINITE"},
     {"Every value that was seen is finite"}},
    {"analyze $D/heads-nan.h5", 3, {"Of 4 attention heads 4 are not finite"}, {"no attention"}},
    {"attn $D/heads-nan.h5",
     3,
     {"Of 4 heads 4 are NOT FINITE"},
     {"0 of 4 heads collapse", "has none"}},

    /* nothing but zeros */
    {"analyze $D/zero.h5", 0, {"Every value that was seen, at all 5 places, is zero"}, {" nan"}},
    {REPORT("zero"),
     0,
     {"Every value that was seen, at all 5 places, is zero"},
     {"inf bits are left", NO_OVERFLOW, " nan"}},

    /* made under emulation */
    {"analyze $D/emulated-over.h5",
     3,
     {"under emulation of fp16 (half, sdpa)", "INF OR NaN in 3 of 5 places"},
     {NO_OVERFLOW}},
    {REPORT("emulated-over"),
     0,
     {"under emulation of fp16 (half, sdpa)", "values are inf or NaN at 3 places already"},
     {NO_OVERFLOW, "is finite, at all"}},
    {"analyze $D/emulated-over.h5 --keep-fp32 fp16", 2, {"fp16"}, {"the list suffices"}},
    {REPORT("emulated-fine"),
     0,
     {"fp16 does not overflow: the run was made in it", "Whether fp8-e4m3 would overflow"},
     {"fp8-e4m3 does not overflow"}},
    {"analyze $D/saturated.h5",
     0,
     {"fp8-e4m3 cuts values off: the largest is exactly 448 at 2 of 5 places, first in "
      "up_blocks.0",
      "at one place and noise level at most 100 % of the values are", "CUT OFF"},
     {NO_OVERFLOW}},
    {"analyze $D/saturated.h5 --format fp8-e4m3 --format fp16",
     0,
     {"over 448 (fp8-e4m3); 0 of 6 pairs of noise level and input overflow or are not finite; the "
      "run was made in fp8-e4m3, which cuts values off at 448",
      "over 65504 (fp16); 0 of 6 pairs of noise level and input overflow or are not finite; the "
      "run was made in fp8-e4m3"},
     {NO_OVERFLOW}},
    {"analyze $D/emulated-fine.h5 --format fp16", 0, {"0 of 6 pairs"}, {"the run was made in"}},
    {REPORT("eager"), 0, {"fp16 does not overflow"}, {"Whether fp16"}},
    {REPORT("saturated"),
     0,
     {"fp8-e4m3 cuts values off", "which cuts them off"},
     {"fp8-e4m3 does not overflow", "fp16 does not overflow"}},
    {"analyze $D/clamped.h5",
     0,
     {"clamp:20@up_blocks.* cuts values off: the largest is exactly 20 at 1 of 1 places"},
     {NO_OVERFLOW}},
    {REPORT("clamped"), 0, {"clamp:20@up_blocks.* cuts values off"}, {NO_OVERFLOW}},

    /* which sample */
    {"analyze $D/sample.h5",
     3,
     {"first at sigma 80, input images:photos, sample 2, owl.png", "2, owl.png",
      "in 1 of 18 samples", "1 of 6 pairs of noise level and input"},
     {NO_OVERFLOW}},
    {REPORT("sample"),
     0,
     {"sample 2, owl.png", "values are inf or NaN at 3 places already"},
     {NO_OVERFLOW, "is finite, at all"}},
    {"compare $D/healthy.h5 $D/sample.h5 --fail-over nonfinite=0", 3, {"EXCEEDED"}, {IS_WITHIN}},
    {"analyze $D/input.h5",
     3,
     {"9 of 18 samples were inf or NaN before the network saw them, the first at sigma 0.02, input "
      "noise:white, sample 0"},
     {NO_OVERFLOW}},
    {"spectrum $D/input.h5", 0, {"9 of 18 samples were inf or NaN before"}, {" nan"}},

    /* losses and noise levels */
    {"analyze $D/loss.h5",
     3,
     {"The loss is inf or NaN in 3 of the 9 samples that have one, first at sigma 80",
      "inf: INF OR NaN"},
     {" nan"}},
    {"compare $D/healthy.h5 $D/loss.h5 --fail-over loss=9", 3, {"EXCEEDED"}, {IS_WITHIN}},
    {REPORT("loss"),
     0,
     {"The loss is inf or NaN in 3 of the 9",
      "is finite at the lowest sigma and inf or NaN at the"},
     {" nan"}},
    {"analyze $D/sigma-inf.h5",
     0,
     {"1 of 3 noise levels is sigma = inf (alpha = 0): the network sees noise alone"},
     {" nan"}},

    /* over a limit, and finite */
    {"analyze $D/over.h5", 0, {"over fp16 (65504)"}, {"INF OR NaN", NO_OVERFLOW}},
    {REPORT("over"), 0, {"fp16 would overflow in"}, {"fp16 does not overflow"}},

    /* little or nothing there */
    {"analyze $D/empty.h5", 0, {"NOT complete, 0 of 3 noise levels"}, {NO_OVERFLOW, " nan"}},
    {"attn $D/empty.h5", 0, {"no noise level is finished"}, {"NOT FINITE"}},
    {"spectrum $D/empty.h5", 0, {"Too few inputs"}, {" nan"}},
    {REPORT("empty"), 0, {"No noise level of this run is finished"}, {NO_OVERFLOW, ">no trouble<"}},
    {"analyze $D/cut-off.h5", 0, {"NOT complete, 2 of 3 noise levels"}, {" nan"}},
    {REPORT("cut-off"), 0, {"The run is not complete: 2 of 3"}, {" nan"}},
    {"analyze $D/one-module.h5",
     3,
     {"Values are inf or NaN at 1 of 1 place", "records no weights"},
     {NO_OVERFLOW}},
    {"attn $D/one-module.h5", 1, {"no attention was recorded"}, {"NOT FINITE"}},
    {REPORT("one-module"),
     0,
     {"no attention layer was recorded", "the run records none"},
     {NO_OVERFLOW, " nan"}},
    {REPORT("one-level"), 0, {"Nothing at all is finite"}, {NO_OVERFLOW, ">no trouble<", " nan"}},

    /* of other people's hooks */
    {"analyze $D/foreign.h5", 0, {"growth"}, {"INF OR NaN", " nan"}},
    {REPORT("foreign"), 0, {"the run does not count it"}, {"Every value that was seen is finite"}},
    {"analyze $D/foreign-nan.h5",
     0,
     {"5 of 5 modules have a largest value that is missing or NaN"},
     {NO_OVERFLOW, "nothing that was seen is inf or NaN", " nan"}},
    {REPORT("foreign-nan"),
     0,
     {"5 of 5 modules have a largest value that is missing or NaN"},
     {NO_OVERFLOW, ">no trouble<", "is finite, at all"}},
    {"analyze $D/foreign-inf.h5",
     3,
     {"Values are inf or NaN at 2 of 5 places (at least 36 values)"},
     {NO_OVERFLOW, " nan"}},
    {REPORT("foreign-inf"),
     0,
     {"Values are inf or NaN at 2 of 5 places"},
     {NO_OVERFLOW, ">no trouble<"}},

    /* trainings */
    {"analyze $D/skipped.h5",
     3,
     {"3996 of 4000 steps were skipped", "the loss scale went from 65536 to 0.03125",
      "This training learned little or nothing", "The loss is inf or NaN at 5 of 6 measured steps",
      "overflow e4m3-ieee", "inf or NaN"},
     {NO_OVERFLOW}},
    {"analyze $D/skipped.h5 --format fp16", 3, {"0 passed it, 1 inf or NaN"}, {}},
    {REPORT("skipped"),
     0,
     {"3996 of 4000 steps were skipped", "fp16 was passed by no finite value",
      "places are over the limit of e4m3-ieee (240)"},
     {"fp16 was passed first", "fp16 was passed by up", " nan"}},
    {"analyze $D/learned.h5",
     0,
     {"overflow e4m3-ieee"},
     {"were skipped, because", "INF OR NaN", " nan"}},
    {REPORT("learned"), 0, {"No step was skipped, and the loss is finite"}, {">trouble<"}},
};

static int make_all(void **state)
{
    if (make_tmp(state) != 0)
        return -1;
    for (size_t i = 0; i < N_OF(made); i++) {
        made_run m = healthy();
        char name[64];

        ails = made[i].ails;
        if (made[i].change)
            made[i].change(&m);
        snprintf(name, sizeof name, "%s.h5", made[i].name);
        make_run(in_tmp(name), &m);
        if (made[i].without)
            remove_sets(in_tmp(name), made[i].without);
    }
    make_training(in_tmp("skipped.h5"), true);
    make_training(in_tmp("learned.h5"), false);
    return 0;
}

/* The page without its tags, behind the output. */
static void append_page(void)
{
    const size_t at = strlen(output);
    FILE *f = fopen(in_tmp("page/index.html"), "rb");

    assert_non_null(f);
    output[at + fread(output + at, 1, sizeof output - 1 - at, f)] = '\0';
    fclose(f);
}

/* Every row is looked at before the test fails: what is wrong is often wrong in several. */
static void test_said(void **state)
{
    (void)state;
    int wrong = 0;

    setenv("PATH", "/bin:/nowhere", 1); /* no gnuplot: of a report only words matter here */
    for (size_t i = 0; i < N_OF(said); i++) {
        const int status = run(said[i].command);

        if (strncmp(said[i].command, "report", 6) == 0 && status == 0)
            append_page();
        if (status != said[i].status && ++wrong)
            print_error("%s: exit status %d, want %d\n%.2000s\n", said[i].command, status,
                        said[i].status, output);
        for (int k = 0; k < MAX_TEXTS && said[i].must[k]; k++) {
            if (!strstr(output, said[i].must[k]) && ++wrong)
                print_error("%s: does not say \"%s\"\n", said[i].command, said[i].must[k]);
        }
        for (int k = 0; k < MAX_TEXTS && said[i].never[k]; k++) {
            const char *hit = strstr(output, said[i].never[k]);

            if (hit && ++wrong)
                print_error("%s: must not say \"%s\"; it says \"%.80s\"\n", said[i].command,
                            said[i].never[k], hit - (hit - output > 30 ? 30 : hit - output));
        }
    }
    if (wrong)
        fail_msg("%d sentences or exit statuses are wrong", wrong);
}

/* ---- a checkpoint with one weight that is NaN ---- */

#define QUICK " --quiet --threads 1 --class 3 --samples 2 --sigmas 0.5"

static void copy_model(const char *name)
{
    char command[512];

    snprintf(command, sizeof command, "cp -r %s %s/%s", MODEL, tmp_dir, name);
    assert_int_equal(system(command), 0);
}

static void spoil(const char *file)
{
    unsigned char raw[8];
    FILE *f = fopen(in_tmp(file), "r+b");
    long header = 0;

    assert_non_null(f);
    assert_int_equal(fread(raw, 1, 8, f), 8);
    for (int i = 7; i >= 0; i--)
        header = header << 8 | raw[i];
    fseek(f, 8 + header, SEEK_SET);
    fwrite((unsigned char[]){0, 0, 0xc0, 0x7f}, 1, 4, f); /* NaN in F32, 0 and NaN in F16 */
    fclose(f);
}

static void test_checkpoints(void **state)
{
    (void)state;
    static const char begin[] =
        "{\"model\": {\"_class_name\": \"UNet2DModel\", \"sample_size\": 8, \"in_channels\": 1, "
        "\"out_channels\": 1, \"layers_per_block\": 1, \"block_out_channels\": [8], "
        "\"norm_num_groups\": 4, \"down_block_types\": [\"DownBlock2D\"], \"up_block_types\": "
        "[\"UpBlock2D\"], \"mid_block_type\": null}, \"data\": {\"kind\": \"shapes\"}, "
        "\"steps\": 1, \"batch\": 2, \"init\": %s}";
    char text[1024];

    copy_model("step-100");
    copy_model("step-200");
    spoil("step-200/unet/diffusion_pytorch_model.safetensors");
    expect("inspect $D/step-200", 3, "1 weight is inf or NaN, in 1 of 248 tensors");
    expect("inspect $D/step-100", 0, NULL);
    assert_null(strstr(output, "inf or NaN"));
    expect("probe $D/step-200 -o $D/probed.h5" QUICK, 0, "1 weight is inf or NaN, in 1 of 248 p");
    expect("analyze $D/probed.h5 --keep-fp32 fp16 --check", 3, "NO LIST SUFFICES");
    assert_null(strstr(output, "the list suffices"));
    expect("bisect $D/step-100 $D/step-200 --fail 'overflow(fp16)' --cache $D/runs --save-bundle "
           "$D/bundle" QUICK,
           3, "step-200: 1 weight is inf or NaN, in 1 of 248 parameters");
    assert_non_null(strstr(output, "the last finite one before it is "));
    assert_non_null(strstr(output, "\nsample      0"));
    expect("bisect $D/step-200 --fail 'absmax(time_embedding*) > 1e9' --cache $D/runs" QUICK, 0,
           "is good by what was asked, but NOT FINITE: 1 parameters");
    expect("bisect $D/step-200 --fail 'max_logit(*) > 1e9' --cache $D/runs" QUICK, 3, NULL);

    snprintf(text, sizeof text, begin, "{}");
    write_file(in_tmp("train.json"), text, strlen(text));
    expect("train $D/train.json -o $D/first --quiet", 0, NULL);
    spoil("first/step-000001/diffusion_pytorch_model.safetensors");
    snprintf(text, sizeof text, begin, "{\"from\": \"first/step-000001\"}");
    write_file(in_tmp("train.json"), text, strlen(text));
    expect("train $D/train.json -o $D/out --quiet", 1, "are inf or NaN in 1 of ");
    assert_int_equal(access(in_tmp("out"), F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkpoints),
        cmocka_unit_test(test_said),
    };
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return cmocka_run_group_tests(tests, make_all, remove_tmp);
}
