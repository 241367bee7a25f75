/* test_sampler.c - samplers against diffusers' schedulers, and the laws that they obey
 *
 * Golden data: tests/golden/samplers.safetensors, written by make_samplers.py, which says what
 * the network is.
 */
#include "base/rng.h"
#include "models/file/safetensors.h"
#include "models/sampling/sampler.h"
#include "models/sampling/sampler_config.h"
#include "models/sampling/schedule_config.h"
#include "tests/ss_tmp.h"

enum { N = 24, MAX_STEPS = 16 };

static ss_safetensors *golden;

static int open_golden(void **state)
{
    if (make_tmp(state) != 0)
        return -1;
    return ss_safetensors_open("tests/golden/samplers.safetensors", &golden, NULL);
}

static int close_golden(void **state)
{
    ss_safetensors_close(golden);
    return remove_tmp(state);
}

/* A tensor of the golden file as f32, at most [MAX_STEPS * 2 + 1][N]; its length. */
static int64_t load(const char *name, const char *part, float *out)
{
    char full[128];

    snprintf(full, sizeof full, "%s%s", name, part);
    const ss_stored_tensor *t = ss_safetensors_find(golden, full);
    if (!t)
        return 0;
    int64_t n = t->dim[0] * (t->rank > 1 ? t->dim[1] : 1);
    assert_true(n <= (2 * MAX_STEPS + 1) * N);
    ss_values_to_f32(t->dtype, t->data, (size_t)n, out);
    return n;
}

static void network(const float *x, float t, float *y, float *variance)
{
    for (int i = 0; i < N; i++) {
        y[i] = tanhf(0.8f * x[i] + 0.3f * x[(i + 1) % N]) + 0.2f * cosf(t / 100 + (float)i);
        variance[i] = sinf(x[i] + t / 200);
    }
}

static void from_text(const char *json, const ss_sampler_kind *kind, ss_sampler_options *o,
                      ss_schedule **schedule)
{
    const char *path = in_tmp("scheduler_config.json");
    ss_err e = {0};

    write_file(path, json, strlen(json));
    if (ss_sampler_options_load(path, kind, o, &e) != SS_OK ||
        ss_schedule_load(path, schedule, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

/* The largest difference, relative to the largest value of each row. */
static double row_error(const float *got, const float *want, int n)
{
    double largest = 1, worst = 0;

    for (int i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)want[i]));
    for (int i = 0; i < n; i++) {
        const double d = fabs((double)got[i] - want[i]) / largest;

        worst = isnan(d) ? INFINITY : fmax(worst, d);
    }
    return worst;
}

static void compare_case(const char *name, const char *config)
{
    static float want_x[(2 * MAX_STEPS + 1) * N], want_x0[(2 * MAX_STEPS + 1) * N],
        noise[(2 * MAX_STEPS + 1) * N];
    float t[2 * MAX_STEPS], sigma[2 * MAX_STEPS], x[N], in[N], x0[N], y[N], variance[N],
        memory[2 * N];
    char key[64];
    int steps = 0, draws = 0;
    double eta = 0, worst_x = 0, worst_x0 = 0, worst_t = 0, worst_sigma = 0;
    ss_sampler_options o;
    ss_schedule *schedule;
    ss_sampler *s;
    ss_err e = {0};

    snprintf(key, sizeof key, "%s.run", name);
    assert_int_equal(sscanf(ss_safetensors_metadata(golden, key), "%d %lf", &steps, &eta), 2);
    load("noise", "", noise);
    load("start", "", x);
    load(name, ".x", want_x);
    load(name, ".x0", want_x0);
    const bool has_sigma = load(name, ".sigma", sigma) > 0;
    const int64_t count = load(name, ".t", t);

    from_text(config, NULL, &o, &schedule);
    o.eta = eta;
    if (ss_sampler_new(&o, schedule, steps, &s, &e) != SS_OK)
        fail_msg("%s: %s", name, e.msg);
    assert_int_equal(ss_sampler_count(s), count);
    for (int k = 0; k < N; k++)
        x[k] = (float)(ss_sampler_start(s) * x[k]);
    worst_x = row_error(x, want_x, N);
    for (int i = 0; i < count; i++) {
        const ss_sampler_point *p = ss_sampler_at(s, i);

        worst_t = fmax(worst_t, fabs((double)p->timestep - t[i]));
        if (has_sigma)
            worst_sigma = fmax(worst_sigma, fabs(p->sigma / sigma[i] - 1));
        ss_sampler_input(s, i, x, N, in);
        network(in, t[i], y, variance);
        ss_sampler_step(s, i, y, variance, p->noisy ? noise + N * draws++ : NULL, N, x, memory, x0);
        worst_x = fmax(worst_x, row_error(x, want_x + (i + 1) * N, N));
        worst_x0 = fmax(worst_x0, row_error(x0, want_x0 + i * N, N));
    }
    print_message("%-18s x %.1e  x0 %.1e  t %.1e  sigma %.1e\n", name, worst_x, worst_x0, worst_t,
                  worst_sigma);
    /* Worst seen: 3.3e-6, where sampling starts at sigma 150 or below. States are f32, which from
     * sigma 20000 on leaves an error of that size's last bit in what follows. */
    const double limit = 1e-5 + 0x1p-23 * ss_sampler_start(s);
    assert_true(worst_x < limit);
    assert_true(worst_x0 < limit);
    assert_true(worst_t < 1e-3);
    assert_true(worst_sigma < 1e-6);
    ss_sampler_free(s);
    ss_schedule_free(schedule);
}

static void test_matches_diffusers(void **state)
{
    (void)state;
    int cases = 0;

    for (size_t i = 0; i < ss_safetensors_count(golden); i++) {
        const char *tensor = ss_safetensors_at(golden, i)->name, *dot = strrchr(tensor, '.');
        char name[64];

        if (!dot || strcmp(dot, ".x") != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(dot - tensor), tensor);
        compare_case(name, ss_safetensors_metadata(golden, name));
        cases++;
    }
    assert_int_equal(cases, 30);
}

/* ---- laws, with the exact answers for pictures whose values are N(MEAN, WIDTH^2) ---- */

#define MEAN 0.3
#define WIDTH 0.5

/* The noise in x = a x0 + s n that is most likely, or the score. */
static void gaussian(const ss_sampler_point *p, bool score, const float *x, int n, float *y)
{
    const double a = p->level.a, v = p->level.s;
    const double var = a * a * WIDTH * WIDTH + v * v;

    for (int k = 0; k < n; k++)
        y[k] = (float)((x[k] - a * MEAN) / var * (score ? -1 : v));
}

/* Samples n values to the end, or until `stop` evaluations are left, from x as it is. */
static void sample(const ss_sampler *s, bool score, int stop, int n, float *x)
{
    float *b = calloc((size_t)n * 6, sizeof *b);
    float *in = b, *y = b + n, *x0 = b + 2 * n, *z = b + 3 * n, *memory = b + 4 * n;

    assert_non_null(b);
    for (int i = 0; i < ss_sampler_count(s) - stop; i++) {
        ss_sampler_input(s, i, x, n, in);
        gaussian(ss_sampler_at(s, i), score, in, n, y);
        ss_rng_normals(ss_rng_stream(1, "z", (uint64_t)i, 0), 0, z, (size_t)n);
        ss_sampler_step(s, i, y, NULL, z, n, x, memory, x0);
    }
    free(b);
}

static ss_sampler *make(ss_sampler_options o, const ss_schedule *schedule, int steps)
{
    ss_sampler *s = NULL;
    ss_err e = {0};

    if (ss_sampler_new(&o, schedule, steps, &s, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return s;
}

/* Along the probability flow (x - mean) / sqrt(width^2 + sigma^2) is constant. Relative error of
 * the state at the lowest sigma, before the last step. */
static double flow_error(ss_sampler_options o, const ss_schedule *schedule, int steps)
{
    ss_sampler *s = make(o, schedule, steps);
    const int last = ss_sampler_count(s) - 1;
    const ss_sampler_point *from = ss_sampler_at(s, 0), *to = ss_sampler_at(s, last);
    const bool vp = o.kind == SS_SAMPLER_DDIM; /* holds a x */
    const double start = 1.7 * from->sigma;
    float x = (float)(start * (vp ? from->level.a : 1));

    sample(s, !schedule, 1, 1, &x);
    const double want = MEAN + (start - MEAN) * hypot(WIDTH, to->sigma) / hypot(WIDTH, from->sigma);
    const double error = fabs(x / (vp ? to->level.a : 1) / want - 1);
    ss_sampler_free(s);
    return error;
}

static ss_sampler_options free_of_limits(ss_sampler_kind kind)
{
    ss_sampler_options o = ss_sampler_defaults(kind);

    o.clip = false;
    return o;
}

/* Errors shrink with the number of steps as the order says: ddim and euler 1, heun 2. */
static void test_orders(void **state)
{
    (void)state;
    ss_sampler_options o = free_of_limits(SS_SAMPLER_HEUN);
    ss_schedule *s;
    ss_err e = {0};

    assert_int_equal(ss_schedule_load(NULL, &s, &e), SS_OK);
    o.sigmas = SS_SIGMAS_KARRAS;
    o.sigma_min = 0.01;
    o.sigma_max = 20;
    const double heun = flow_error(o, NULL, 20) / flow_error(o, NULL, 40);
    o.kind = SS_SAMPLER_EULER;
    const double euler = flow_error(o, NULL, 40) / flow_error(o, NULL, 80);
    const double ddim = flow_error(free_of_limits(SS_SAMPLER_DDIM), s, 50) /
                        flow_error(free_of_limits(SS_SAMPLER_DDIM), s, 100);
    print_message("twice the steps: heun %.2f, euler %.2f, ddim %.2f times smaller; ddim of 1000 "
                  "%.1e\n",
                  heun, euler, ddim, flow_error(free_of_limits(SS_SAMPLER_DDIM), s, 1000));
    assert_true(heun > 3.6 && heun < 4.6);   /* seen: 4.39 */
    assert_true(euler > 1.8 && euler < 2.2); /* seen: 2.00 */
    assert_true(ddim > 1.8 && ddim < 2.4);   /* seen: 1.97 */
    assert_true(flow_error(free_of_limits(SS_SAMPLER_DDIM), s, 1000) < 0.02);
    ss_schedule_free(s);
}

/* Sampling with the exact denoiser gives the pictures' own mean and width, noise drawn or not. */
static void test_samples_are_distributed_as_the_pictures(void **state)
{
    (void)state;
    enum { MANY = 4000 };
    static float x[MANY];
    ss_schedule *schedule;

    assert_int_equal(ss_schedule_load(NULL, &schedule, NULL), SS_OK);
    for (int k = 0; k < 5; k++) {
        ss_sampler_options o = free_of_limits(k < 2   ? SS_SAMPLER_DDPM
                                              : k < 4 ? SS_SAMPLER_DDIM
                                                      : SS_SAMPLER_EULER);
        double sum = 0, squares = 0;

        o.variance = k == 0 ? SS_VARIANCE_SMALL : SS_VARIANCE_LARGE;
        o.eta = k == 3;
        ss_sampler *s = make(o, schedule, 500);
        ss_rng_normals(ss_rng_stream(0, "noise", 0, 0), 0, x, MANY);
        for (int i = 0; i < MANY; i++)
            x[i] = (float)(ss_sampler_start(s) * x[i]);
        sample(s, false, 0, MANY, x);
        for (int i = 0; i < MANY; i++) {
            sum += x[i];
            squares += (double)x[i] * x[i];
        }
        const double mean = sum / MANY, width = sqrt(squares / MANY - mean * mean);
        print_message("%s: mean %.3f, width %.3f\n", ss_sampler_name(o.kind), mean, width);
        assert_true(fabs(mean - MEAN) < 0.03); /* of 4000 samples: 0.008 is one sigma */
        assert_true(fabs(width - WIDTH) < 0.025);
        ss_sampler_free(s);
    }
    ss_schedule_free(schedule);
}

static void last_state(ss_sampler_options o, const ss_schedule *schedule, float says, float *x)
{
    ss_sampler *s = make(o, schedule, 20);
    float y[N], z[N], x0[N], memory[2 * N], variance[N];

    ss_rng_normals(ss_rng_stream(3, "noise", 0, 0), 0, x, N);
    for (int i = 0; i < ss_sampler_count(s); i++) {
        for (int k = 0; k < N; k++)
            variance[k] = says;
        gaussian(ss_sampler_at(s, i), false, x, N, y);
        ss_rng_normals(ss_rng_stream(3, "z", (uint64_t)i, 0), 0, z, N);
        ss_sampler_step(s, i, y, variance, z, N, x, memory, x0);
    }
    ss_sampler_free(s);
}

/* ddim of eta 1 is ddpm of small variance; a learned range ends at small and large; the forms
 * through logarithms are the same numbers. */
static void test_identities(void **state)
{
    (void)state;
    ss_sampler_options p = free_of_limits(SS_SAMPLER_DDPM), i = free_of_limits(SS_SAMPLER_DDIM);
    ss_schedule *s;
    float small[N], large[N], x[N];

    assert_int_equal(ss_schedule_load(NULL, &s, NULL), SS_OK);
    last_state(p, s, 0, small);
    p.variance = SS_VARIANCE_LARGE;
    last_state(p, s, 0, large);
    assert_true(relative_l2(small, large, N) > 0.01);
    i.eta = 1;
    last_state(i, s, 0, x);
    assert_close("eta 1", x, small, N, 2e-6, 0);
    p.variance = SS_VARIANCE_SMALL_LOG;
    last_state(p, s, 0, x);
    assert_close("small log", x, small, N, 1e-7, 0);
    p.variance = SS_VARIANCE_LARGE_LOG;
    last_state(p, s, 0, x);
    assert_close("large log", x, large, N, 1e-7, 0);
    p.variance = SS_VARIANCE_LEARNED_RANGE;
    last_state(p, s, -1, x);
    assert_close("learned, -1", x, small, N, 2e-6, 0);
    last_state(p, s, 1, x);
    assert_close("learned, 1", x, large, N, 2e-6, 0);
    ss_schedule_free(s);
}

/* A NaN goes through every limit as it is, and stays in its own value. */
static void test_nan_stays(void **state)
{
    (void)state;
    ss_schedule *schedule;

    assert_int_equal(ss_schedule_load(NULL, &schedule, NULL), SS_OK);
    for (int k = 0; k < 2 * SS_N_SAMPLERS; k++) {
        ss_sampler_options o = ss_sampler_defaults((ss_sampler_kind)(k / 2));
        float x[N] = {0}, y[N] = {0}, z[N] = {0}, x0[N], memory[2 * N];

        o.clip = !(o.threshold = k % 2);
        ss_sampler *s = make(o, schedule, 4);
        y[3] = NAN;
        ss_sampler_step(s, 0, y, NULL, z, N, x, memory, x0);
        for (int j = 0; j < N; j++)
            assert_true(isnan(x[j]) == (j == 3) && isnan(x0[j]) == (j == 3));
        ss_sampler_free(s);
    }
    ss_schedule_free(schedule);
}

static void test_options_from_files(void **state)
{
    (void)state;
    const ss_sampler_kind ddim = SS_SAMPLER_DDIM, heun = SS_SAMPLER_HEUN;
    ss_sampler_options o;
    ss_schedule *s;

    from_text("{\"_class_name\": \"PNDMScheduler\", \"skip_prk_steps\": true, \"steps_offset\": 1,"
              " \"clip_sample\": false, \"set_alpha_to_one\": false}",
              NULL, &o, &s);
    assert_int_equal(o.kind, SS_SAMPLER_DDIM);
    assert_true(!o.clip && o.clip_given && !o.alpha_to_one && o.steps_offset == 1);
    assert_int_equal(o.spacing, SS_SPACING_LEADING);
    ss_schedule_free(s);
    from_text("{\"_class_name\": \"DDPMScheduler\", \"variance_type\": \"learned_range\","
              " \"thresholding\": true, \"sample_max_value\": 1.5}",
              NULL, &o, &s);
    assert_int_equal(o.kind, SS_SAMPLER_DDPM);
    assert_true(o.threshold && o.threshold_max == 1.5);
    ss_schedule_free(s);
    from_text("{\"_class_name\": \"DDPMScheduler\", \"variance_type\": \"learned\"}", &ddim, &o,
              &s);
    assert_int_equal(o.kind, SS_SAMPLER_DDIM);
    ss_schedule_free(s);
    /* what has no effect on the sampler is no reason to refuse the file */
    from_text("{\"_class_name\": \"DDIMScheduler\", \"skip_prk_steps\": true, \"tensor_format\":"
              " \"pt\", \"use_beta_sigmas\": true, \"interpolation_type\": \"log_linear\","
              " \"warp\": 9}",
              NULL, &o, &s);
    assert_true(o.kind == SS_SAMPLER_DDIM && o.clip && !o.clip_given);
    ss_schedule_free(s);
    assert_int_equal(ss_sampler_options_load_score(NULL, NULL, &o, NULL), SS_OK);
    assert_true(o.kind == heun && o.sigma_max == 1348);
}

static void expect_refused(const char *json, const char *want)
{
    const char *path = in_tmp("scheduler_config.json");
    ss_sampler_options o;
    ss_err e = {0};

    write_file(path, json, strlen(json));
    assert_int_not_equal(ss_sampler_options_load(path, NULL, &o, &e), SS_OK);
    if (!strstr(e.msg, want) || !strstr(e.msg, "scheduler_config.json"))
        fail_msg("%s gives '%s', not '...%s...'", json, e.msg, want);
}

static void test_refused(void **state)
{
    (void)state;
    ss_sampler_kind kind;
    ss_sampler_options o;
    ss_schedule *schedule;
    ss_sampler *s;
    ss_err e = {0};

    expect_refused("{\"_class_name\": \"DDPMScheduler\", \"variance_type\": \"learned\"}",
                   "\"variance_type\" is \"learned\"; supported: fixed_small");
    expect_refused("{\"timestep_spacing\": \"quadratic\"}", "leading, trailing, linspace");
    expect_refused("{\"_class_name\": \"HeunDiscreteScheduler\", \"use_beta_sigmas\": true}",
                   "\"use_beta_sigmas\"");
    expect_refused(
        "{\"_class_name\": \"EulerDiscreteScheduler\", \"interpolation_type\": \"log_linear\"}",
        "\"interpolation_type\"");
    expect_refused("{\"use_karras_sigmas\": true, \"use_exponential_sigmas\": true}",
                   "use_karras_sigmas is true too");
    expect_refused("{\"sample_max_value\": 0.5}", "expected at least 1");
    expect_refused("{\"steps_offset\": -1}", "\"steps_offset\" is -1");

    assert_int_equal(ss_sampler_kind_parse("dpm", &kind, &e), SS_USAGE);
    assert_string_equal(e.msg, "'dpm' is no sampler; there are ddpm, ddim, euler, heun");

    assert_int_equal(ss_schedule_load(NULL, &schedule, NULL), SS_OK);
    o = ss_sampler_defaults(SS_SAMPLER_DDIM);
    assert_int_equal(ss_sampler_new(&o, schedule, 1001, &s, &e), SS_USAGE);
    assert_string_equal(e.msg, "1001 sampling steps; the schedule has 1000");
    assert_int_equal(ss_sampler_new(&o, schedule, 0, &s, &e), SS_USAGE);
    assert_int_equal(ss_sampler_new(&o, NULL, 10, &s, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "use euler or heun"));
    o.steps_offset = 1;
    assert_int_equal(ss_sampler_new(&o, schedule, 1000, &s, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "steps_offset leads to step 1000"));
    o.eta = 2;
    assert_int_equal(ss_sampler_new(&o, schedule, 10, &s, &e), SS_USAGE);
    assert_string_equal(e.msg, "eta of 2; expected 0 to 1");
    ss_schedule_free(schedule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches_diffusers),
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_samples_are_distributed_as_the_pictures),
        cmocka_unit_test(test_identities),
        cmocka_unit_test(test_nan_stays),
        cmocka_unit_test(test_options_from_files),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, open_golden, close_golden);
}
