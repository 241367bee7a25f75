/* test_report.c - reports: pages that hold together, whatever a run file says, with gnuplot or
 * without
 *
 * The synthetic run has a module with a hostile name; the probed one is a real network. What only a
 * browser can show is checked by tests/browser/run, where there is a Chromium.
 */
#include "base/file.h"
#include "base/mem.h"
#include "base/outdir.h"
#include "base/png.h"
#include "probe/probe.h"
#include "reports/page/color.h"
#include "reports/page/html.h"
#include "reports/page/plot.h"
#include "reports/page/single.h"
#include "reports/page/tiles.h"
#include "reports/report.h"
#include "tests/run_made.h"
#include "tests/run_synth.h"
#include "tests/run_training.h"
#include "tests/ss_tmp.h"

#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char hostile[] = "x'\"`touch /tmp/owned`<script>alert(1)</script>&\n%s$(id)";

/* The page at FOLDER/FILE; ss_free. */
static char *page_of(const char *folder, const char *file)
{
    char path[512], *text;
    ss_err e;

    snprintf(path, sizeof path, "%s/%s", folder, file);
    if (ss_file_read(path, 64 << 20, &text, NULL, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return text;
}

static void expect_text(const char *page, const char *text)
{
    if (!strstr(page, text))
        fail_msg("the page lacks \"%s\"", text);
}

static void probe(const char *path, const char *sigmas, const char *const *inputs, int n_inputs)
{
    static const char *const dumps[] = {"up_blocks.?", "mid_block"};
    ss_probe_options opt = ss_probe_defaults();
    ss_probe_summary sum;
    ss_err e = {0};

    opt.network.model = "demo/fashion-mnist/step-06000";
    opt.output = path;
    opt.command = "sigmascope probe";
    opt.sigmas = sigmas;
    opt.inputs = inputs;
    opt.n_inputs = n_inputs;
    opt.samples = 2;
    opt.class_label = 3;
    opt.dumps = dumps;
    opt.n_dumps = 2;
    opt.threads = 1;
    if (ss_probe_run(&opt, &sum, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

/* A probe of the bundled model, made once. */
static const char *probed(void)
{
    static char path[512];
    static const char *const inputs[] = {"images:demo/fashion-mnist/images", "noise:white"};

    if (!*path) {
        snprintf(path, sizeof path, "%s", in_tmp("probed.h5"));
        probe(path, "0.02,1,80", inputs, 2);
    }
    return path;
}

/* A synthetic run with n of its noise levels finished. */
static const char *synthetic(const char *name, int finished)
{
    const char *path = in_tmp(name);
    ss_run_module modules[SYN_MODULES];
    ss_run_spec spec = syn_spec();
    ss_run_writer *w;
    ss_err e;

    memcpy(modules, syn_modules, sizeof modules);
    modules[SYN_MODULES - 1].path = hostile;
    spec.modules = modules;
    spec.model_path = hostile;
    spec.n_channels = 1;
    if (ss_run_create(path, &spec, true, &w, &e) != SS_OK)
        fail_msg("%s", e.msg);
    for (int s = 0; s < finished; s++) {
        ss_run_column *col;

        assert_int_equal(ss_run_column_new(w, s, &col, &e), SS_OK);
        for (int m = 0; m < SYN_MODULES; m++)
            for (int i = 0; i < SYN_INPUTS; i++)
                for (int n = 0; n < SYN_SAMPLES; n++) {
                    ss_stats st = syn_stats(m, SS_PORT_OUTPUT, i, s, n);

                    st.min = -st.absmax;
                    ss_run_put_stats(col, m, SS_PORT_OUTPUT, i, n, &st);
                }
        assert_int_equal(ss_run_submit(w, col, &e), SS_OK);
    }
    if (finished == SYN_SIGMAS)
        assert_int_equal(ss_run_finish(w, &e), SS_OK);
    else
        ss_run_abandon(w);
    return path;
}

static ss_report_summary report(const char *run, const char *folder)
{
    ss_report_options opt = ss_report_defaults();
    ss_report_summary sum;
    ss_err e = {0};

    opt.runs = &run;
    opt.n_runs = 1;
    opt.folder = folder;
    opt.command = "sigmascope report";
    opt.replace = true;
    if (ss_report_write(&opt, &sum, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return sum;
}

/* Calls `each` with every value of the attribute. */
static int each_attribute(const char *page, const char *attribute,
                          void (*each)(const char *page, const char *folder, const char *value),
                          const char *folder)
{
    char start[32], value[512];
    int n = 0;

    snprintf(start, sizeof start, " %s=\"", attribute);
    for (const char *p = page; (p = strstr(p, start)); n++) {
        p += strlen(start);
        size_t len = strcspn(p, "\"");
        if (strncmp(p, "data:image/png;base64,", 22) == 0) {
            n--; /* the cells of a heat map, which has a text alternative itself */
            continue;
        }
        assert_true(len < sizeof value);
        snprintf(value, sizeof value, "%.*s", (int)len, p);
        each(page, folder, value);
    }
    return n;
}

static void check_link(const char *page, const char *folder, const char *value)
{
    char text[600];

    if (strcmp(value, "data:,") == 0)
        return;
    if (*value == '#')
        snprintf(text, sizeof text, "id=\"%s\"", value + 1);
    else
        snprintf(text, sizeof text, "%s/%s", folder, value);
    if (*value == '#')
        expect_text(page, text);
    else if (!ss_file_exists(text))
        fail_msg("the page names %s, which is not there", text);
}

static void check_alt(const char *page, const char *folder, const char *value)
{
    (void)page, (void)folder;
    if (strlen(value) < 10)
        fail_msg("a picture has the text alternative \"%s\"", value);
}

/* Everything that the page names is there; each picture has a text alternative. */
static void check_page(const char *folder, const char *file)
{
    char *page = page_of(folder, file);
    int pictures = each_attribute(page, "src", check_link, folder);

    each_attribute(page, "href", check_link, folder);
    each_attribute(page, "srcset", check_link, folder);
    assert_int_equal(each_attribute(page, "alt", check_alt, folder), pictures);
    assert_null(strstr(page, "http://"));
    assert_null(strstr(page, "https://"));
    ss_free(page);
}

static void test_probed_run(void **state)
{
    (void)state;
    static const char *const sections[] = {"growth",  "player", "heat",       "headroom",
                                           "bands",   "inputs", "maps",       "loss",
                                           "weights", "made",   "histograms", "attention"};
    const char *folder = in_tmp("probed");
    ss_report_summary sum = report(probed(), folder);
    char *page = page_of(folder, "index.html"), id[64];

    assert_int_equal(sum.n_missing, 0);
    assert_true(sum.n_figures >= 10);
    for (size_t i = 0; i < N_OF(sections); i++) {
        snprintf(id, sizeof id, "<h2 id=\"%s\">", sections[i]);
        expect_text(page, id);
    }
    expect_text(page, "step-06000");
    expect_text(page, "up_blocks.0.upsamplers.0.conv"); /* where the largest value is made */
    ss_free(page);
    check_page(folder, "index.html");
}

static void test_pictures_are_pictures(void **state)
{
    (void)state;
    static const char *const names[] = {"growth-stages.png", "heat.png", "inputs-1.png",
                                        "maps-01-1.png", "frame-00.png"};
    const char *folder = in_tmp("pictures");

    report(probed(), folder);
    for (size_t i = 0; i < N_OF(names); i++) {
        ss_image im = {0};
        char path[600];
        ss_err e = {0};
        int different = 0;

        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (ss_image_read_png(path, &im, &e) != SS_OK)
            fail_msg("%s", e.msg);
        for (int k = im.c; k < im.h * im.w * im.c; k++)
            different += im.data[k] != im.data[k - im.c];
        if (different < 100)
            fail_msg("%s is nearly empty", names[i]);
        ss_image_release(&im);
    }
}

static void test_hostile_names(void **state)
{
    (void)state;
    const char *folder = in_tmp("hostile");
    const char *run = synthetic("hostile.h5", SYN_SIGMAS);

    unlink("/tmp/owned");
    ss_report_summary sum = report(run, folder);
    if (sum.n_missing)
        fail_msg("%s", sum.problem);
    assert_int_equal(access("/tmp/owned", F_OK), -1);

    char *page = page_of(folder, "index.html");
    assert_null(strstr(page, "<script>alert"));
    expect_text(page, "&lt;script&gt;alert(1)");
    ss_free(page);
    check_page(folder, "index.html");
}

static void test_without_gnuplot(void **state)
{
    (void)state;
    const char *folder = in_tmp("plain");

    ss_plot_program("/no/such/gnuplot");
    ss_report_summary sum = report(probed(), folder);
    assert_true(sum.n_missing >= 5);
    assert_true(sum.n_figures >= 3); /* pixels need no gnuplot */
    assert_non_null(strstr(sum.problem, "install gnuplot-nox"));
    char *page = page_of(folder, "index.html");
    expect_text(page, "This figure could not be drawn:");
    expect_text(page, "Install gnuplot-nox");
    ss_free(page);
    check_page(folder, "index.html");

    ss_plot_program("false");
    sum = report(probed(), folder);
    assert_true(sum.n_missing >= 5);
    assert_non_null(strstr(sum.problem, "failed"));

    ss_plot_program("true"); /* says that all is well, and drew nothing: as on a full disk */
    sum = report(probed(), folder);
    assert_true(sum.n_missing >= 5);
    assert_non_null(strstr(sum.problem, "left no whole picture"));
    ss_plot_program("gnuplot");
}

static void test_gnuplot_complains(void **state)
{
    (void)state;
    ss_plot p = {0};
    ss_str markup = {0};
    ss_err e = {0};

    ss_plot_add(&p, "plot no_such_thing\n");
    assert_int_equal(ss_plot_draw(&p, tmp_dir, "bad", 300, 200, "alt", &markup, &e), SS_IO);
    assert_non_null(strstr(e.msg, "no_such_thing"));
    assert_int_equal(markup.len, 0);
    assert_int_equal(access(in_tmp("bad.png"), F_OK), -1);
    assert_int_equal(access(in_tmp("bad-1.svg"), F_OK), -1);
    ss_str_release(&markup);
}

/* A block returns what its last layer made. */
static void handed_on(const made_run *m, int module, int input, int sigma, int sample, ss_stats *s)
{
    (void)m, (void)input, (void)sample;
    s->absmax = (float)(module ? 8 * (sigma + 1) : 1);
    s->rms = s->absmax / 2;
}

/* The layer that made the largest value is named, not the blocks around it that hand it on. */
static void test_names_the_maker(void **state)
{
    (void)state;
    static const char *const names[] = {"conv_in", "up_blocks.0", "up_blocks.0.resnets.1",
                                        "up_blocks.0.resnets.1.conv2"};
    static const char *const inputs[] = {"noise:white"};
    static const double sigmas[] = {0.5, 1, 80};
    const made_run m = {.model_path = "m",
                        .sha256 = "00",
                        .modules = names,
                        .n_modules = N_OF(names),
                        .inputs = inputs,
                        .n_inputs = 1,
                        .sigmas = sigmas,
                        .n_sigmas = N_OF(sigmas),
                        .n_samples = 1,
                        .stats = handed_on};

    make_run(in_tmp("maker.h5"), &m);
    report(in_tmp("maker.h5"), in_tmp("maker"));
    char *page = page_of(in_tmp("maker"), "index.html");
    expect_text(page, "The largest activation is 24, in up_blocks.0.resnets.1.conv2,");
    ss_free(page);
}

static void test_unfinished_runs(void **state)
{
    (void)state;
    const char *folder = in_tmp("unfinished");

    report(synthetic("none.h5", 0), folder);
    char *page = page_of(folder, "index.html");
    expect_text(page, "No noise level of this run is finished");
    ss_free(page);
    check_page(folder, "index.html");

    report(synthetic("some.h5", 2), folder);
    page = page_of(folder, "index.html");
    expect_text(page, "2 of 5 noise levels are finished");
    ss_free(page);
    check_page(folder, "index.html");

    report(synthetic("one.h5", 1), folder); /* one noise level: no curves, but tables */
    check_page(folder, "index.html");
}

static void test_folders(void **state)
{
    (void)state;
    ss_report_options opt = ss_report_defaults();
    ss_report_summary sum;
    const char *run = synthetic("folders.h5", 2), *missing = "no-such.h5";
    char folder[512];
    ss_err e = {0};

    ss_plot_program("/no/such/gnuplot"); /* quick */
    snprintf(folder, sizeof folder, "%s", in_tmp("folder"));
    opt.runs = &run;
    opt.n_runs = 1;
    opt.folder = folder;
    assert_int_equal(ss_report_write(&opt, &sum, &e), SS_OK);
    assert_int_equal(ss_report_write(&opt, &sum, &e), SS_IO);
    assert_non_null(strstr(e.msg, "--force replaces it"));
    opt.replace = true;
    assert_int_equal(ss_report_write(&opt, &sum, &e), SS_OK);

    /* An error leaves what was there. */
    opt.runs = &missing;
    assert_int_equal(ss_report_write(&opt, &sum, &e), SS_IO);
    assert_non_null(strstr(e.msg, "no-such.h5"));
    check_page(folder, "index.html");

    /* Nothing but reports is ever replaced. */
    opt.runs = &run;
    opt.folder = tmp_dir;
    assert_int_equal(ss_report_write(&opt, &sum, &e), SS_IO);
    assert_non_null(strstr(e.msg, "not ours to replace"));
    opt.folder = run;
    assert_int_equal(ss_report_write(&opt, &sum, &e), SS_IO);
    assert_non_null(strstr(e.msg, "not a folder"));
    opt.folder = "/proc/no/such";
    assert_int_equal(ss_report_write(&opt, &sum, &e), SS_IO);
    ss_plot_program("gnuplot");
}

/* Runs a, b and maybe c as one report. */
static void report_several(const char *folder, int n, const char *const *runs, const char *steps,
                           ss_code want, const char *text)
{
    ss_report_options opt = ss_report_defaults();
    ss_report_summary sum;
    ss_err e = {0};

    opt.runs = runs;
    opt.n_runs = n;
    opt.folder = folder;
    opt.replace = true;
    opt.steps = steps;
    ss_code rc = ss_report_write(&opt, &sum, &e);
    if (rc != want || (rc != SS_OK && !strstr(e.msg, text)))
        fail_msg("got %d, \"%s\", want %d, \"%s\"", rc, e.msg, want, text);
    if (rc != SS_OK)
        return;
    if (sum.n_missing)
        fail_msg("%s", sum.problem);
    char *page = page_of(folder, "index.html");
    expect_text(page, text);
    ss_free(page);
    check_page(folder, "index.html");
    for (int i = 1; i <= n; i++) {
        char file[32];

        snprintf(file, sizeof file, "run-%d.html", i);
        check_page(folder, file);
    }
}

static void test_several_runs(void **state)
{
    (void)state;
    char folder[512], a[512], b[512], c[512];
    const char *const runs[] = {a, b, c}, *const other = "noise:blue";

    snprintf(folder, sizeof folder, "%s", in_tmp("several"));
    snprintf(a, sizeof a, "%s", synthetic("several-a.h5", SYN_SIGMAS));
    snprintf(b, sizeof b, "%s", synthetic("several-b.h5", 3));
    snprintf(c, sizeof c, "%s", in_tmp("several-c.h5"));
    probe(c, "5", &other, 1);
    report_several(folder, 2, runs, "100,200", SS_OK, "<h2 id=\"trend\">");
    report_several(folder, 2, runs, NULL, SS_OK, "<h2 id=\"runs\">"); /* no steps: no trend */
    char *page = page_of(folder, "index.html");
    assert_null(strstr(page, "id=\"trend\""));
    ss_free(page);
    report_several(folder, 3, runs, NULL, SS_OK, "there is nothing to compare");
    report_several(folder, 2, runs, "100,100", SS_USAGE, "step");
    report_several(folder, 2, runs, "100", SS_USAGE, "--steps has 1 numbers for 2 runs");
    report_several(folder, 3, runs, "1,2,3", SS_SHAPE, "common");
}

/* Writes the made training, its first n steps. */
static const char *training(const char *name, int n)
{
    const char *path = in_tmp(name);
    ss_err e = {0};

    if (trn_write(path, n, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return path;
}

/* The run file of a training has a page of its own kind. */
static void test_training(void **state)
{
    (void)state;
    static const char *const sections[] = {"growth",   "trend",   "heat",
                                           "training", "updates", "made"};
    static const char *const texts[] = {
        "UNet2DModel in training: 4 modules at 6 measured steps from 1 to 4000, 3 samples each.",
        "20 of 4000 steps were skipped, because gradients were inf or NaN",
        "1 of 4 places are over the limit of fp16 (65504), or inf or NaN (1 of them); the largest "
        "finite value is 1423. The first is up_blocks.1, at step 2000, at sigma 10.",
        "Over 5 measured steps the largest activation (up_blocks.0) goes as step^(1.00",
        "fp8-e4m3 was passed first by up_blocks.0, between steps 1000 and 2000 (",
        "a factor of 3.16",
        "the decoder is 356 times that of the encoder",
        "At 2 of 6 measured steps, the first of them 1000, parameters have a staleness above 2.3",
        "Worst is up_blocks.0.weight with 3 at step 2000.",
    };
    enum { FIGURES = 6 };
    char folder[512], id[64];
    ss_report_options opt = ss_report_defaults();
    ss_report_summary sum;
    ss_err e = {0};

    snprintf(folder, sizeof folder, "%s", in_tmp("training"));
    sum = report(training("training.h5", TRN_STEPS), folder);
    assert_int_equal(sum.n_missing, 0);
    assert_int_equal(sum.n_figures, FIGURES);
    char *page = page_of(folder, "index.html");
    for (size_t i = 0; i < N_OF(sections); i++) {
        snprintf(id, sizeof id, "<h2 id=\"%s\">", sections[i]);
        expect_text(page, id);
    }
    for (size_t i = 0; i < N_OF(texts); i++)
        expect_text(page, texts[i]);
    assert_null(strstr(page, "id=\"headroom\"")); /* it has no noise levels */
    ss_free(page);
    check_page(folder, "index.html");

    ss_plot_program("/no/such/gnuplot");
    sum = report(in_tmp("training.h5"), folder);
    assert_true(sum.n_missing == FIGURES && sum.n_figures == 0);
    check_page(folder, "index.html");
    ss_plot_program("gnuplot");
    for (int n = 1; n < 3; n++) { /* one step is no curve; two are no error */
        assert_int_equal(report(training("begun.h5", n), folder).n_missing, 0);
        check_page(folder, "index.html");
    }

    const char *runs[] = {training("none.h5", 0), in_tmp("training.h5")};
    opt.runs = runs;
    opt.n_runs = 1;
    opt.folder = folder;
    opt.replace = true;
    assert_int_equal(ss_report_write(&opt, &sum, &e), SS_FORMAT);
    expect_text(e.msg, "no step is finished");
    opt.n_runs = 2;
    assert_int_equal(ss_report_write(&opt, &sum, &e), SS_USAGE);
    expect_text(e.msg, "is a training run, over steps");
}

/* Out of memory at any place is an error, and leaves no folder. */
static void lack_memory(const char *run)
{
    ss_report_options opt = ss_report_defaults();
    ss_report_summary sum;
    char folder[512];
    unsigned long calls, failed = 0;
    ss_err e = {0};

    ss_plot_program("/no/such/gnuplot");
    snprintf(folder, sizeof folder, "%s", in_tmp("memory"));
    opt.runs = &run;
    opt.n_runs = 1;
    opt.folder = folder;
    opt.replace = true;
    calls = ss_mem_calls();
    assert_int_equal(ss_report_write(&opt, &sum, &e), SS_OK);
    calls = ss_mem_calls() - calls;
    for (unsigned long k = 1; k <= calls; k += 1 + k / 40) {
        ss_mem_fail_at(k);
        failed += ss_report_write(&opt, &sum, &e) != SS_OK;
        ss_mem_fail_at(0);
        check_page(folder, "index.html"); /* the one that was there, or a whole new one */
    }
    assert_true(failed > 10);
    ss_plot_program("gnuplot");
}

static void test_out_of_memory(void **state)
{
    (void)state;
    lack_memory(synthetic("memory.h5", 2));
    lack_memory(training("memory-training.h5", TRN_STEPS));
}

static void write_samples(const char *folder, const char *json)
{
    ss_tiles t;
    float x[12] = {0};
    char path[600];
    ss_err e;

    mkdir(folder, 0777);
    snprintf(path, sizeof path, "%s/a.png", folder);
    assert_int_equal(ss_tiles_new(&t, 1, 1, 2, 2, &e), SS_OK);
    ss_tiles_picture(&t, 0, 0, x, 2, 2, 3, 1);
    assert_int_equal(ss_image_write_png(path, &t.sheet, &e), SS_OK);
    ss_image_release(&t.sheet);
    snprintf(path, sizeof path, "%s/generate.json", folder);
    write_file(path, json, strlen(json));
}

static void test_samples(void **state)
{
    (void)state;
    static const struct {
        const char *json, *error;
    } cases[] = {
        {"{\"format\": \"sigmascope-generate\", \"sampler\": \"ddim\", \"steps\": 5, \"guidance\": "
         "1,"
         "\"seed\": 0, \"precision\": \"fp32\", \"conditions\": [\"class <3>\"], \"models\": "
         "[{\"name\":"
         "\"first\", \"pictures\": [\"a.png\", \"a.png\"], \"nonfinite\": [0, 7], \"absmax\": [1, "
         "2.5]}]}",
         NULL},
        {"{\"format\": \"sigmascope-generate\", \"models\": [{\"pictures\": [\"../a.png\"]}]}",
         "names of files in that folder"},
        {"{\"format\": \"sigmascope-generate\", \"models\": [{\"pictures\": [7]}]}",
         "names of files in that folder"},
        {"{\"format\": \"sigmascope-generate\", \"models\": [{\"pictures\": [\"b.png\"]}]}",
         "b.png"},
        {"{\"format\": \"sigmascope-generate\", \"models\": []}", "names no pictures"},
        {"{\"format\": \"sigmascope-generate\"}", "a list of models is expected"},
        {"{\"format\": \"other\", \"models\": []}", "\"sigmascope-generate\" is expected"},
        {"{", "generate.json"},
    };
    ss_report_options opt = ss_report_defaults();
    ss_report_summary sum;
    const char *run = synthetic("samples.h5", 1);
    char folder[512], samples[512];
    ss_err e = {0};

    ss_plot_program("/no/such/gnuplot");
    snprintf(folder, sizeof folder, "%s", in_tmp("samples-report"));
    snprintf(samples, sizeof samples, "%s", in_tmp("samples"));
    opt.runs = &run;
    opt.n_runs = 1;
    opt.folder = folder;
    opt.samples = samples;
    opt.replace = true;
    for (size_t i = 0; i < N_OF(cases); i++) {
        write_samples(samples, cases[i].json);
        ss_code rc = ss_report_write(&opt, &sum, &e);
        if (!cases[i].error) {
            assert_int_equal(rc, SS_OK);
            char *page = page_of(folder, "index.html");
            expect_text(page, "<h2 id=\"samples\">");
            expect_text(page, "class &lt;3&gt;");
            ss_free(page);
            check_page(folder, "index.html");
        } else if (rc == SS_OK || !strstr(e.msg, cases[i].error)) {
            fail_msg("%s: got \"%s\", which lacks \"%s\"", cases[i].json, rc ? e.msg : "ok",
                     cases[i].error);
        }
    }
    ss_plot_program("gnuplot");
}

static void test_colors(void **state)
{
    (void)state;
    double last = -1;

    for (int i = 0; i <= 100; i++) { /* viridis gets lighter all the way */
        ss_rgb c = ss_viridis(i / 100.0);
        double light = 0.2126 * c.r + 0.7152 * c.g + 0.0722 * c.b;

        assert_true(light > last - 0.5);
        last = light;
    }
    assert_int_equal(ss_viridis(-1).r, ss_viridis(0).r);
    assert_int_equal(ss_viridis(2).r, ss_viridis(1).r);
    assert_int_equal(ss_viridis(NAN).g, 0);
    assert_int_equal(ss_ink_on((ss_rgb){255, 255, 255}).r, 0);
    assert_int_equal(ss_ink_on((ss_rgb){10, 10, 60}).r, 255);
}

static void test_tiles(void **state)
{
    (void)state;
    const float x[] = {-1, 1, NAN, 0};
    ss_tiles t;
    ss_err e;
    int h, w;

    ss_tiles_fit(8, 4, 64, &h, &w);
    assert_int_equal(h, 64);
    assert_int_equal(w, 32);
    ss_tiles_fit(300, 100, 60, &h, &w);
    assert_int_equal(h, 60);
    assert_int_equal(w, 20);
    assert_int_equal(ss_tiles_new(&t, 1, 2, 4, 4, &e), SS_OK);
    assert_int_equal(t.sheet.w, 4 + SS_TILE_GAP + 4);
    ss_tiles_picture(&t, 0, 0, x, 2, 2, 1, 1);
    assert_int_equal(t.sheet.data[0], 0);       /* -1 is black */
    assert_int_equal(t.sheet.data[3 * 3], 255); /* 1 is white */
    const uint8_t *low = t.sheet.data + (size_t)3 * (size_t)t.sheet.w * 3;
    assert_int_equal(low[0], 255); /* NaN is magenta */
    assert_int_equal(low[1], 0);
    assert_int_equal(low[3 * 3], 128);          /* 0 is mid-grey */
    assert_int_equal(t.sheet.data[5 * 3], 128); /* the gap */
    ss_image_release(&t.sheet);
    assert_int_equal(ss_tiles_new(&t, 1, 10000, 64, 64, &e), SS_UNSUPPORTED);
}

/* No picture, page or anchor is outside of a single file. */
static void check_inside(const char *page, const char *folder, const char *value)
{
    (void)folder;
    char text[600];

    if (*value == '#') {
        snprintf(text, sizeof text, " id=\"%s\"", value + 1);
        expect_text(page, text);
    } else if (strncmp(value, "data:", 5) != 0) {
        fail_msg("the file names %s", value);
    }
}

/* The whole value may be long: only its start is looked at. */
static void each_start(const char *page, const char *attribute)
{
    char start[32], value[100];

    snprintf(start, sizeof start, " %s=\"", attribute);
    for (const char *p = page; (p = strstr(p, start));) {
        p += strlen(start);
        snprintf(value, sizeof value, "%.*s", (int)strcspn(p, "\""), p);
        check_inside(page, NULL, value);
    }
}

static void check_single(const char *path)
{
    char *page;
    ss_err e;

    assert_int_equal(ss_file_read(path, 64 << 20, &page, NULL, &e), SS_OK);
    each_start(page, "src");
    each_start(page, "srcset");
    each_start(page, "href");
    assert_null(strstr(page, "frame-00.png")); /* names in the player's data, too */
    for (const char *p = page; (p = strstr(p, " id=\"")); p++) {
        const int n = (int)strcspn(p + 5, "\"") + 6;
        char id[200];

        snprintf(id, sizeof id, "%.*s", n, p);
        if (strstr(p + 1, id))
            fail_msg("%s is there twice", id);
    }
    ss_free(page);
}

static void test_single_file(void **state)
{
    (void)state;
    const char *runs[] = {probed(), synthetic("single.h5", SYN_SIGMAS)};
    ss_report_options opt = ss_report_defaults();
    ss_report_summary sum;
    char path[512], pages[540], *page;
    ss_err e = {0};

    snprintf(path, sizeof path, "%s", in_tmp("one.html"));
    opt.runs = runs;
    opt.n_runs = 2;
    opt.folder = path;
    opt.single_file = true;
    assert_int_equal(ss_report_write(&opt, &sum, &e), SS_OK);
    assert_true(sum.n_files > 20 && sum.n_left_out == 0);
    check_single(path);
    assert_int_equal(ss_file_read(path, 64 << 20, &page, NULL, &e), SS_OK);
    expect_text(page, "<section class=\"page\" id=\"run-2\">");
    expect_text(page, "<h2 id=\"run-1--headroom\">");
    expect_text(page, "<a href=\"#run-1\">");
    assert_null(strstr(strstr(page, "<main") + 1, "<main")); /* a document has one */
    ss_free(page);

    assert_int_equal(ss_report_write(&opt, &sum, &e), SS_IO);
    assert_non_null(strstr(e.msg, "--force replaces it"));
    opt.folder = tmp_dir;
    assert_int_equal(ss_report_write(&opt, &sum, &e), SS_IO);
    assert_non_null(strstr(e.msg, "is a folder"));
    opt.folder = "/proc/no/such.html";
    assert_int_equal(ss_report_write(&opt, &sum, &e), SS_IO);

    runs[1] = "no-such.h5"; /* an error leaves what was there, and nothing beside it */
    opt.folder = path;
    opt.replace = true;
    assert_int_equal(ss_report_write(&opt, &sum, &e), SS_IO);
    check_single(path);
    snprintf(pages, sizeof pages, "%s.pages", path);
    assert_int_equal(access(pages, F_OK), -1);
}

/* Leaves out pictures that have no room: dark pictures first, and the file says so. */
static void test_small_single_file(void **state)
{
    (void)state;
    char folder[512], *page;
    ss_single_summary all, some;
    ss_outfile out;
    ss_err e = {0};

    snprintf(folder, sizeof folder, "%s", in_tmp("small"));
    report(probed(), folder);
    assert_int_equal(ss_outfile_open(&out, in_tmp("all.html"), &e), SS_OK);
    assert_int_equal(ss_single_write(folder, out.f, SS_SINGLE_LIMIT, &all, &e), SS_OK);
    assert_int_equal(ss_outfile_commit(&out, &e), SS_OK);
    const int64_t limit = all.bytes - 200000;
    assert_int_equal(ss_outfile_open(&out, in_tmp("some.html"), &e), SS_OK);
    assert_int_equal(ss_single_write(folder, out.f, limit, &some, &e), SS_OK);
    assert_int_equal(ss_outfile_commit(&out, &e), SS_OK);
    assert_true(some.bytes <= limit && some.n_left_out > 0 && some.n_left_out < some.n_files);
    assert_int_equal(ss_outfile_open(&out, in_tmp("none.html"), &e), SS_OK);
    assert_int_equal(ss_single_write(folder, out.f, 0, &some, &e), SS_OK);
    assert_int_equal(ss_outfile_commit(&out, &e), SS_OK);
    assert_int_equal(some.n_left_out, some.n_files);
    assert_int_equal(ss_file_read(in_tmp("none.html"), 64 << 20, &page, NULL, &e), SS_OK);
    expect_text(page, "pictures are left out, so that this file stays below");
    expect_text(page, "Left out to keep this file small: inputs-1.png");
    assert_null(strstr(page, "src=\"data:"));
    ss_free(page);
    check_single(in_tmp("all.html"));
    check_single(in_tmp("some.html"));
    write_file(in_tmp("small/index.html"), "<p>", 3);
    assert_int_equal(ss_outfile_open(&out, in_tmp("foreign.html"), &e), SS_OK);
    if (ss_single_write(folder, out.f, limit, &some, &e) != SS_FORMAT)
        fail_msg("%s", e.msg);
    ss_outfile_discard(&out);
}

static void browse(const char *path)
{
    char command[700], line[400];
    int status;

    snprintf(command, sizeof command, "tests/browser/run %s 2>&1", path);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    while (fgets(line, sizeof line, p))
        fputs(line, stderr);
    status = pclose(p);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip_because("no Chromium, so no page was opened in a browser");
    assert_int_equal(status, 0);
}

static void test_in_a_browser(void **state)
{
    (void)state;
    const char *folder = in_tmp("browser");
    char path[600];

    report(probed(), folder);
    snprintf(path, sizeof path, "%s/index.html", folder);
    browse(path);
}

/* Two runs in one file, one of them with a hostile name. */
static void test_single_file_in_a_browser(void **state)
{
    (void)state;
    const char *runs[] = {probed(), synthetic("single-browser.h5", SYN_SIGMAS)};
    ss_report_options opt = ss_report_defaults();
    ss_report_summary sum;
    char path[600];
    ss_err e = {0};

    mkdir(in_tmp("single-browser"), 0777);
    snprintf(path, sizeof path, "%s/report.html", in_tmp("single-browser"));
    opt.runs = runs;
    opt.n_runs = 2;
    opt.folder = path;
    opt.single_file = true;
    if (ss_report_write(&opt, &sum, &e) != SS_OK)
        fail_msg("%s", e.msg);
    browse(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probed_run),
        cmocka_unit_test(test_pictures_are_pictures),
        cmocka_unit_test(test_hostile_names),
        cmocka_unit_test(test_without_gnuplot),
        cmocka_unit_test(test_gnuplot_complains),
        cmocka_unit_test(test_names_the_maker),
        cmocka_unit_test(test_unfinished_runs),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_training),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_several_runs),
        cmocka_unit_test(test_colors),
        cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_single_file),
        cmocka_unit_test(test_small_single_file),
        cmocka_unit_test(test_in_a_browser),
        cmocka_unit_test(test_single_file_in_a_browser),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
