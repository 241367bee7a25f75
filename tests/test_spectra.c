/* test_spectra.c - spectra of inputs against activations, in runs whose answers are known */
#include "analyze/one/picture.h"
#include "analyze/one/spectra.h"
#include "analyze/several/conditioning.h"
#include "base/mem.h"
#include "base/rng.h"
#include "fft/spectrum.h"
#include "runfile/run_file.h"
#include "tests/ss_tmp.h"

static void ok(ss_code rc, const ss_err *e)
{
    if (rc != SS_OK)
        fail_msg("%s", e->msg);
}

static void near(const char *what, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s = %.9g, want %.9g", what, got, want);
}

static ss_correlation correlate(const double *x, const double *y, int n)
{
    ss_correlation c;
    ss_err e = {0};

    ok(ss_correlate(x, y, n, &c, &e), &e);
    return c;
}

static void test_correlation(void **state)
{
    (void)state;
    const double x[] = {3, 1, 2, 5, 4}, up[] = {6, 2, 4, 10, 8}, cube[] = {27, 1, 8, 125, 64};
    const double down[] = {-3, -1, -2, -5, -4}, same[] = {7, 7, 7, 7, 7};
    const double ties[] = {1, 2, 2, 3, NAN}, other[] = {1, 3, 2, 4, 5};

    ss_correlation c = correlate(x, up, 5);
    near("pearson of a line", c.pearson, 1, 1e-12);
    near("spearman of a line", c.spearman, 1, 1e-12);
    near("gap of a line", c.gap, 3 - 9, 1e-12); /* medians of {2, 4} and {8, 10} */
    c = correlate(x, cube, 5);
    near("pearson of a cube", c.pearson, 0.94309, 1e-4); /* numpy.corrcoef */
    near("spearman of a cube", c.spearman, 1, 1e-12);
    c = correlate(x, down, 5);
    near("pearson of a falling line", c.pearson, -1, 1e-12);
    near("spearman of a falling line", c.spearman, -1, 1e-12);
    c = correlate(ties, other, 5); /* four points: one is NaN */
    assert_int_equal(c.n, 4);
    near("spearman with ties", c.spearman, 0.9486832980505138, 1e-12); /* ranks 1 2.5 2.5 4 */
    c = correlate(x, same, 5);
    assert_true(isnan(c.pearson) && isnan(c.spearman) && isnan(c.gap));
    assert_false(ss_correlated(&c));
    c = correlate(x, up, 2);
    assert_true(c.n == 2 && isnan(c.pearson) && isnan(c.spearman));
}

/* Chance: few sets of independent points pass as correlated; the limit falls with n. */
static void test_chance(void **state)
{
    (void)state;
    enum { N = 20, TRIALS = 400 };
    double x[N], y[N];
    int n = 0;

    for (int t = 0; t < TRIALS; t++) {
        for (int i = 0; i < N; i++) {
            x[i] = ss_rng_normal((ss_rng){.seed = 1}, (uint64_t)(t * N + i));
            y[i] = ss_rng_normal((ss_rng){.seed = 2}, (uint64_t)(t * N + i));
        }
        const ss_correlation c = correlate(x, y, N);
        n += ss_correlated(&c);
    }
    assert_true(n < TRIALS / 20);
    assert_true(ss_correlated(&(ss_correlation){.n = 20, .spearman = -0.51}));
    assert_false(ss_correlated(&(ss_correlation){.n = 20, .spearman = 0.49}));
    assert_false(ss_correlated(&(ss_correlation){.n = 8, .spearman = 0.73}));
    assert_true(ss_correlated(&(ss_correlation){.n = 8, .spearman = 0.75}));
}

static void test_waves(void **state)
{
    (void)state;
    static const int sizes[][2] = {{8, 8}, {7, 7}, {12, 5}, {1, 6}};
    static const double by_hand[] = {1, 8, 12, 16, 22}; /* ring 1: lengths 1 and sqrt(2) ... */
    double waves[5], psd[5];
    float image[8 * 8];

    ss_spectrum_waves(8, 8, waves);
    for (int k = 0; k < 5; k++)
        near("waves", waves[k], by_hand[k], 0);
    for (size_t k = 0; k < N_OF(sizes); k++) { /* white: each ring has power, none is forgotten */
        const int h = sizes[k][0], w = sizes[k][1];
        ss_spectrum *s;
        ss_err e = {0};
        double sum = 0, variance = 0, mean = 0;

        ss_rng_normals((ss_rng){.seed = k}, 0, image, (size_t)(h * w));
        ok(ss_spectrum_new(h, w, &s, &e), &e);
        ss_spectrum_radial(s, image, 1, 1, psd);
        ss_spectrum_free(s);
        ss_spectrum_waves(h, w, waves);
        for (int r = 0; r < ss_spectrum_rings(h, w); r++)
            sum += waves[r] * psd[r];
        for (int i = 0; i < h * w; i++)
            mean += image[i] / (h * w);
        for (int i = 0; i < h * w; i++)
            variance += (image[i] - mean) * (image[i] - mean) / (h * w);
        assert_true(sum > 0.2 * variance && sum < 1.000001 * variance); /* the rest: corners */
    }
}

static void test_low_share(void **state)
{
    (void)state;
    const double waves[] = {1, 8, 12, 16}, radii[] = {0, 1, 2, 3}, white[] = {0, 2, 2, 2};

    near("white", ss_low_share(white, waves, radii, 4, 2), 20 / 36.0, 1e-12);
    near("white, below 2", ss_low_share(white, waves, radii, 4, 1.9), 8 / 36.0, 1e-12);
    near("all", ss_low_share(white, waves, radii, 4, 3), 1, 0);
    assert_true(isnan(ss_low_share((double[]){0, 0, 0, 0}, waves, radii, 4, 2)));
    assert_true(isnan(ss_low_share((double[]){0, NAN, 0, 0}, waves, radii, 4, 2)));
}

/* A run of 3 inputs, 4 samples, noise levels 80 and 1. Point k of 12 has the low-frequency share
 * a = k/11: its power in rings of 1 and 3 cycles. Largest |x|:
 *
 *   up_blocks.0     80: 100 exp(-2a)    1: 100 (1 + a/10)
 *   down_blocks.0   80: exp(2a)         1: 1 for even k, 2 for odd
 *   mid_block       not finite at all
 */
enum { N_INPUTS = 3, N_SAMPLES = 4, N_SIGMAS = 2, N_POINTS = N_INPUTS * N_SAMPLES, RADII = 5 };
static const double sigmas[N_SIGMAS] = {80, 1};

static double share_of(int point)
{
    return point / 11.0;
}

static float largest(int module, int sigma, int point)
{
    const double a = share_of(point);

    switch (module) {
    case 0: return (float)(sigma == 0 ? exp(2 * a) : 1 + point % 2);
    case 1: return NAN;
    default: return (float)(sigma == 0 ? 100 * exp(-2 * a) : 100 * (1 + a / 10));
    }
}

static void write_run(const char *path, int n_radii)
{
    static const ss_run_module modules[] = {
        {"down_blocks.0", "Down", true}, {"mid_block", "Mid", true}, {"up_blocks.0", "Up", true}};
    static const char *const inputs[N_INPUTS] = {"images:x", "noise:white", "noise:pink"};
    const ss_run_spec spec = {
        .histogram = true,
        .modules = modules,
        .n_modules = N_OF(modules),
        .inputs = inputs,
        .n_inputs = N_INPUTS,
        .sigmas = sigmas,
        .n_sigmas = N_SIGMAS,
        .n_samples = N_SAMPLES,
        .n_radii = n_radii,
    };
    ss_run_writer *w;
    ss_run_column *col;
    ss_err e = {0};

    ok(ss_run_create(path, &spec, true, &w, &e), &e);
    for (int s = 0; s < N_SIGMAS; s++) {
        ok(ss_run_column_new(w, s, &col, &e), &e);
        for (int k = 0; k < N_POINTS; k++) {
            const double a = share_of(k), psd[RADII] = {0, a, 0, (1 - a) / 3, 0};

            for (int m = 0; m < 3; m++) {
                ss_stats st = {.count = 1, .absmax = largest(m, s, k), .rms = 1};

                st.nonfinite = m == 1;
                ss_run_put_stats(col, m, SS_PORT_OUTPUT, k / N_SAMPLES, k % N_SAMPLES, &st);
            }
            if (n_radii)
                ss_run_put_psd(col, k / N_SAMPLES, k % N_SAMPLES, psd);
        }
        ok(ss_run_submit(w, col, &e), &e);
    }
    ok(ss_run_finish(w, &e), &e);
}

static void test_run(void **state)
{
    (void)state;
    ss_run *r;
    ss_sites sites;
    ss_spectra s;
    ss_table t;
    char sentence[512];
    ss_err e = {0};

    write_run(in_tmp("r.h5"), RADII);
    ok(ss_run_open(in_tmp("r.h5"), &r, &e), &e);
    ok(ss_sites_find(r, NULL, 0, SS_SITES_PRODUCED, &sites, &e), &e);
    ok(ss_spectra_find(r, &sites, 2, "", &s, &e), &e);

    assert_int_equal(s.n, 2);
    assert_int_equal(s.levels[0].sigma, 1); /* lowest first */
    near("share", s.low[ss_spectra_at(r, 1, 0, 2)], share_of(6), 1e-6);
    near("power", s.power[0], 2 * M_PI, 1e-5);
    near("peak of all", s.peaks[ss_spectra_at(r, 0, 1, 0) * (SS_N_STAGES + 1) + SS_N_STAGES], 100,
         1e-4);

    const ss_correlation *high = s.levels[1].by_stage, *low = s.levels[0].by_stage;
    near("decoder, sigma 80", high[SS_STAGE_DECODER].spearman, -1, 1e-12);
    near("its ln", high[SS_STAGE_DECODER].pearson, -1, 1e-6);
    near("its halves", high[SS_STAGE_DECODER].gap, 2 * 6 / 11.0, 1e-6);
    near("encoder, sigma 80", high[SS_STAGE_ENCODER].spearman, 1, 1e-12);
    near("decoder, sigma 1", low[SS_STAGE_DECODER].spearman, 1, 1e-12);
    near("all, sigma 80", high[SS_N_STAGES].spearman, -1, 1e-12);
    assert_int_equal(high[SS_STAGE_MIDDLE].n, 0);
    near("least share", s.levels[1].low_min, 0, 0);
    near("most share", s.levels[1].low_max, 1, 1e-12);

    ss_spectra_sentence(r, &s, sentence, sizeof sentence);
    assert_non_null(strstr(sentence, "at 1 of 2 noise levels, the smaller ones at 0; most at sigma "
                                     "80: 2.98 times (Spearman -1.00, 12 points)"));
    ok(ss_spectra_finding_table(r, &s, &t, &e), &e);
    static const char *const want[] = {"no", "yes", "no", "opposite", "no", "yes"};
    assert_int_equal(json_array_size(t.rows), N_OF(want)); /* no middle */
    for (size_t i = 0; i < N_OF(want); i++)
        assert_string_equal(json_string_value(json_array_get(json_array_get(t.rows, i), 8)),
                            want[i]);
    ss_table_release(&t);
    ok(ss_spectra_table(r, &s, &t, &e), &e);
    assert_int_equal(json_array_size(t.rows), N_INPUTS * N_SIGMAS);
    ss_table_release(&t);
    ss_spectra_release(&s);
    ss_sites_release(&sites);
    ss_run_close(r);
}

static void test_run_without_spectra(void **state)
{
    (void)state;
    ss_run *r;
    ss_sites sites;
    ss_spectra s;
    ss_err e = {0};

    write_run(in_tmp("none.h5"), 0);
    ok(ss_run_open(in_tmp("none.h5"), &r, &e), &e);
    ok(ss_sites_find(r, NULL, 0, SS_SITES_PRODUCED, &sites, &e), &e);
    assert_int_equal(ss_spectra_find(r, &sites, 2, "", &s, &e), SS_FORMAT);
    assert_non_null(strstr(e.msg, "none.h5: has no /inputs/psd"));
    ss_sites_release(&sites);
    ss_run_close(r);
}

static void test_no_memory(void **state)
{
    (void)state;
    ss_run *r;
    ss_sites sites;
    ss_err e = {0};

    ok(ss_run_open(in_tmp("r.h5"), &r, &e), &e);
    ok(ss_sites_find(r, NULL, 0, SS_SITES_PRODUCED, &sites, &e), &e);
    for (unsigned long k = 1;; k++) {
        ss_spectra s;
        const unsigned long before = ss_mem_calls();

        ss_mem_fail_at(k);
        const ss_code rc = ss_spectra_find(r, &sites, 2, "", &s, &e);
        ss_mem_fail_at(0);
        if (ss_mem_calls() - before < k) {
            ok(rc, &e);
            ss_spectra_release(&s);
            break;
        }
        assert_int_equal(rc, SS_NOMEM);
    }
    ss_sites_release(&sites);
    ss_run_close(r);
}

/* Runs of two noise levels, one input of two samples. Largest |x| of up_blocks.0 is
 *
 *   exp(+-0.4 told + -0.2 noise level + -0.1 product of both signs + -0.05 sample)
 *
 * so that the four parts of the variance are as 0.16, 0.04, 0.01 and 0.0025. conv_in has 1. */
typedef struct {
    const char *name, *plan, *sha;
    double sign; /* of what is told */
} told_run;

#define LEVELS(a, b) \
    "\"kind\":\"probe\",\"levels\":[\"0.1, timestep 5, told " a "\",\"80, timestep 9, told " b "\"]"

static void write_told(const told_run *t)
{
    static const ss_run_module told_modules[] = {{"conv_in", "Conv2d", true},
                                                 {"up_blocks.0", "Up", true}};
    static const double told_sigmas[] = {0.1, 80};
    const ss_run_spec spec = {
        .histogram = true,
        .modules = told_modules,
        .n_modules = 2,
        .inputs = (const char *const[]){"images:x"},
        .n_inputs = 1,
        .sigmas = told_sigmas,
        .n_sigmas = 2,
        .n_samples = 2,
        .plan = t->plan,
        .model_sha256 = t->sha,
    };
    ss_run_writer *w;
    ss_run_column *col;
    ss_err e = {0};

    ok(ss_run_create(in_tmp(t->name), &spec, true, &w, &e), &e);
    for (int s = 0; s < 2; s++) {
        ok(ss_run_column_new(w, s, &col, &e), &e);
        for (int k = 0; k < 2; k++) {
            const double b = s ? 1 : -1, c = k ? 1 : -1;
            const double y = 0.4 * t->sign + 0.2 * b + 0.1 * t->sign * b + 0.05 * c;
            const ss_stats up = {.count = 1, .absmax = (float)exp(y), .rms = 1};
            const ss_stats in = {.count = 1, .absmax = 0.1f, .rms = 1};

            ss_run_put_stats(col, 0, SS_PORT_OUTPUT, 0, k, &in);
            ss_run_put_stats(col, 1, SS_PORT_OUTPUT, 0, k, &up);
        }
        ok(ss_run_submit(w, col, &e), &e);
    }
    ok(ss_run_finish(w, &e), &e);
}

#define PLAIN ",\"interventions\":[]"

static const told_run told_runs[] = {
    {"own.h5", "{" LEVELS("5", "9") PLAIN ",\"condition_sigma\":null}", "aa", 0},
    {"told80.h5", "{" LEVELS("9", "9") PLAIN ",\"condition_sigma\":\"80\"}", "aa", 1},
    {"told1.h5", "{" LEVELS("7", "7") PLAIN ",\"condition_sigma\":\"1\"}", "aa", -1},
    {"again.h5", "{" LEVELS("7", "7") PLAIN ",\"condition_sigma\":\"1\"}", "aa", -1},
    {"other.h5", "{" LEVELS("7", "7") PLAIN ",\"condition_sigma\":\"2\"}", "bb", -1},
    {"clamp.h5", "{" LEVELS("7", "7") ",\"condition_sigma\":\"3\",\"interventions\":[\"x\"]}", "aa",
     1},
    {"foreign.h5", "some hooks", "aa", 1},
};
enum { N_TOLD = N_OF(told_runs) };

static void test_told(void **state)
{
    (void)state;
    static const struct {
        const char *plan;
        ss_told_kind kind;
        const char *text;
    } cases[] = {
        {"{" LEVELS("5", "9") "}", SS_TOLD_OWN, "own"},
        {"{" LEVELS("9", "9") "}", SS_TOLD_FIXED, "t 9"},
        {"{" LEVELS("5", "8") "}", SS_TOLD_UNKNOWN, NULL},
        {"{" LEVELS("9", "9") ",\"condition_sigma\":\"80\"}", SS_TOLD_FIXED, "80"},
        {"{" LEVELS("0", "0") ",\"condition_sigma\":\"none\"}", SS_TOLD_FIXED, "none"},
        {"{\"levels\":[]}", SS_TOLD_UNKNOWN, NULL},
        {"{\"levels\":[7]}", SS_TOLD_UNKNOWN, NULL},
        {"{\"levels\":3}", SS_TOLD_UNKNOWN, NULL},
        {"[]", SS_TOLD_UNKNOWN, NULL},
        {"", SS_TOLD_UNKNOWN, NULL},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        char plan[200], path[] = "r.h5";
        const ss_run r = {.plan = plan, .path = path};
        ss_told t;
        ss_err e = {0};

        snprintf(plan, sizeof plan, "%s", cases[i].plan);
        ok(ss_told_of(&r, &t, &e), &e);
        if (t.kind != cases[i].kind || (cases[i].text && strcmp(t.text, cases[i].text) != 0))
            fail_msg("%s: kind %d, told %s", plan, (int)t.kind, t.text);
    }
}

static void open_told(ss_run **runs, int n)
{
    for (int i = 0; i < n; i++) {
        ss_err e = {0};

        ok(ss_run_open(in_tmp(told_runs[i].name), &runs[i], &e), &e);
    }
}

static void test_conditioning(void **state)
{
    (void)state;
    ss_run *runs[N_TOLD];
    ss_conditioning c;
    ss_table t;
    char sentence[400];
    ss_err e = {0};

    for (int i = 0; i < N_TOLD; i++)
        write_told(&told_runs[i]);
    open_told(runs, N_TOLD);
    ok(ss_conditioning_find(runs, N_TOLD, &c, &e), &e);
    assert_int_equal(c.n_told, 2);
    assert_int_equal(c.n_runs, 3);
    assert_int_equal(c.n_left_out, 4);
    assert_string_equal(c.told[0].text, "1"); /* smallest first, its own last */
    assert_string_equal(c.told[1].text, "80");
    assert_string_equal(c.told[2].text, "own");

    const ss_effects *f = &c.effects[SS_STAGE_DECODER];
    assert_int_equal(f->n, 2);
    near("told", f->told, 0.16 / 0.2125, 1e-6);
    near("sigma", f->sigma, 0.04 / 0.2125, 1e-6);
    near("both", f->both, 0.01 / 0.2125, 1e-6);
    near("content", f->content, 0.0025 / 0.2125, 1e-6);
    near("told ratio", f->told_ratio, exp(0.8), 1e-6);
    near("sigma ratio", f->sigma_ratio, exp(0.4), 1e-6);
    near("told, all", c.effects[SS_N_STAGES].told, f->told, 0);
    assert_true(isnan(c.effects[SS_STAGE_ENCODER].told)); /* nothing varies */
    assert_int_equal(c.effects[SS_STAGE_MIDDLE].n, 0);
    near("told 80, sigma 0.1", c.largest[1 * 2 + 0], exp(0.4 - 0.2 - 0.1 + 0.05), 1e-6);
    assert_non_null(strstr(ss_conditioning_sentence(&c, sentence, sizeof sentence),
                           "The conditioning does it: of the variance of ln largest |x|, what the "
                           "network is told explains 75 %, the input's noise level 19 %"));

    ok(ss_conditioning_table(&c, &t, &e), &e);
    assert_int_equal(json_array_size(t.rows), 2);
    assert_int_equal(json_array_size(t.columns), 4);
    ss_table_release(&t);
    ok(ss_effects_table(&c, &t, &e), &e);
    assert_int_equal(json_array_size(t.rows), 3); /* no middle */
    ss_table_release(&t);
    ss_conditioning_release(&c);

    ok(ss_conditioning_find(runs, 2, &c, &e), &e); /* its own and 80: nothing to compare */
    assert_int_equal(c.n_told, 1);
    ss_conditioning_release(&c);
    for (int i = 0; i < N_TOLD; i++)
        ss_run_close(runs[i]);
}

static void test_conditioning_no_memory(void **state)
{
    (void)state;
    ss_run *runs[3];
    ss_err e = {0};

    open_told(runs, 3);
    for (unsigned long k = 1;; k++) {
        ss_conditioning c;
        const unsigned long before = ss_mem_calls();

        ss_mem_fail_at(k);
        const ss_code rc = ss_conditioning_find(runs, 3, &c, &e);
        ss_mem_fail_at(0);
        if (ss_mem_calls() - before < k) {
            ok(rc, &e);
            ss_conditioning_release(&c);
            break;
        }
        assert_int_equal(rc, SS_NOMEM);
    }
    for (int i = 0; i < 3; i++)
        ss_run_close(runs[i]);
}

/* A picture of one wave of 4 cycles around 100, amplitude 50, in bytes: its filtered spectra are
 * known. */
static void test_picture(void **state)
{
    (void)state;
    enum { S = 32 };
    uint8_t bytes[S * S];
    ss_image im = {S, S, 1, bytes};
    ss_picture p;
    ss_table t;
    bool is;
    int64_t cut;
    ss_err e = {0};

    for (int i = 0; i < S * S; i++)
        bytes[i] = (uint8_t)rint(100 + 50 * cos(2 * M_PI * 4 * (i % S) / S));
    ok(ss_image_write_png(in_tmp("wave.png"), &im, &e), &e);
    ok(ss_picture_is_png(in_tmp("wave.png"), &is, &e), &e);
    assert_true(is);
    ok(ss_picture_is_png(in_tmp("r.h5"), &is, &e), &e);
    assert_false(is);
    assert_int_equal(ss_picture_is_png(in_tmp("nothing.png"), &is, &e), SS_IO);

    const ss_picture_filter low = {.lowpass = 4}, high = {.highpass = 4}, none = {0};
    const double kept = exp(-1), lost = (1 - exp(-0.5)) * (1 - exp(-0.5));

    ok(ss_picture_read(in_tmp("wave.png"), &none, 4, "", &p, &e), &e);
    near("mean", p.side[0].mean, 100, 0.1);
    near("variance", p.side[0].variance, (4 * 35 * 35 + 2 * 50 * 50) / 8.0, 0.1);
    near("low share at 4 cycles", p.side[0].low, 1, 1e-3);
    ss_picture_release(&p);

    ok(ss_picture_read(in_tmp("wave.png"), &low, 3, "", &p, &e), &e);
    near("low share at 3 cycles", p.side[0].low, 0, 1e-3);
    near("lowpass", p.side[1].psd[4] / p.side[0].psd[4], kept, 1e-3);
    near("lowpass keeps the mean", p.side[1].mean, p.side[0].mean, 1e-4);
    ok(ss_picture_table(&p, &t, &e), &e);
    assert_int_equal(json_array_size(t.columns), 3);
    ss_table_release(&t);
    ok(ss_picture_psd_table(&p, false, &t, &e), &e);
    assert_int_equal(json_array_size(t.rows), 12); /* 1 to 8, 10, 12, 14, 16 */
    ss_table_release(&t);
    ok(ss_picture_psd_table(&p, true, &t, &e), &e);
    assert_int_equal(json_array_size(t.rows), 16);
    ss_table_release(&t);
    ok(ss_picture_write(&p, &low, in_tmp("low.png"), &cut, &e), &e);
    assert_int_equal(cut, 0);
    ss_picture_release(&p);

    ok(ss_picture_read(in_tmp("wave.png"), &high, 3, "", &p, &e), &e);
    near("highpass", p.side[1].psd[4] / p.side[0].psd[4], lost, 1e-3);
    near("highpass removes the mean", p.side[1].mean, 0, 1e-4);
    ok(ss_picture_write(&p, &high, in_tmp("high.png"), &cut, &e), &e);
    ss_picture_release(&p);

    /* the files that were written have what was computed */
    ok(ss_picture_read(in_tmp("low.png"), &none, 3, "", &p, &e), &e);
    near("written lowpass", p.side[0].variance, 1237.5 * kept, 12);
    near("its mean", p.side[0].mean, 100, 0.5);
    ss_picture_release(&p);
    ok(ss_picture_read(in_tmp("high.png"), &none, 3, "", &p, &e), &e);
    near("written highpass", p.side[0].variance, 1237.5 * lost, 12);
    near("its mean", p.side[0].mean, 127.5, 0.6);
    ss_picture_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_correlation),  cmocka_unit_test(test_chance),
        cmocka_unit_test(test_waves),        cmocka_unit_test(test_low_share),
        cmocka_unit_test(test_run),          cmocka_unit_test(test_run_without_spectra),
        cmocka_unit_test(test_no_memory),    cmocka_unit_test(test_told),
        cmocka_unit_test(test_conditioning), cmocka_unit_test(test_conditioning_no_memory),
        cmocka_unit_test(test_picture),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
