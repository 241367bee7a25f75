/* test_noising.c - scheduler files of every kind against diffusers, and what is said of them
 *
 * Golden data: tests/golden/schedulers.safetensors, written by make_schedulers.py.
 */
#include "models/file/safetensors.h"
#include "models/sampling/noising.h"
#include "models/sampling/sampler_config.h"
#include "tests/ss_tmp.h"

enum { N = 8, MAX_LEVELS = 16, LEVELS_OF_GOLDEN = 10 };

static ss_safetensors *golden;

static int open_golden(void **state)
{
    if (make_tmp(state) != 0)
        return -1;
    return ss_safetensors_open("tests/golden/schedulers.safetensors", &golden, NULL);
}

static int close_golden(void **state)
{
    ss_safetensors_close(golden);
    return remove_tmp(state);
}

static int64_t load(const char *name, const char *part, float *out)
{
    char full[128];

    snprintf(full, sizeof full, "%s%s", name, part);
    const ss_stored_tensor *t = ss_safetensors_find(golden, full);
    if (!t)
        fail_msg("no %s", full);
    const int64_t n = t->dim[0] * (t->rank > 1 ? t->dim[1] : 1);
    assert_true(n <= MAX_LEVELS * N);
    ss_values_to_f32(t->dtype, t->data, (size_t)n, out);
    return n;
}

static const char *write_scheduler(const char *json)
{
    const char *path = in_tmp("scheduler_config.json");

    write_file(path, json, strlen(json));
    return path;
}

/* opt: options beside the file, or NULL. */
static ss_noising *open_with(const char *json, const ss_noising_options *opt)
{
    ss_noising_options o = opt ? *opt : (ss_noising_options){0};
    ss_noising *k = NULL;
    ss_err e = {0};

    o.file = json ? write_scheduler(json) : NULL;
    if (ss_noising_open(&o, &k, &e) != SS_OK)
        fail_msg("%s: %s", json ? json : "no file", e.msg);
    return k;
}

static bool made_of_betas(const char *tensor, char name[64])
{
    const char *dot = strrchr(tensor, '.');

    snprintf(name, 64, "%.*s", (int)(dot - tensor), tensor);
    return strcmp(dot, ".abar") == 0;
}

/* A file with all keys of a class and one with its name alone mean what diffusers takes
 * them for: betas, spacing, clipping, where the last step ends. */
static void test_defaults_of_classes(void **state)
{
    (void)state;
    int classes = 0;

    for (size_t i = 0; i < ss_safetensors_count(golden); i++) {
        float want[MAX_LEVELS];
        char name[64], alone[128];
        ss_sampler_options full, bare;
        ss_err e = {0};

        if (!made_of_betas(ss_safetensors_at(golden, i)->name, name))
            continue;
        const char *saved = ss_safetensors_metadata(golden, name);
        snprintf(alone, sizeof alone, "{\"_class_name\": \"%sScheduler\"}", name);
        assert_int_equal(load(name, ".abar", want), LEVELS_OF_GOLDEN);
        for (int k = 0; k < 2; k++) {
            ss_noising *n = open_with(k ? alone : saved, NULL);

            if (ss_noising_check(n, &e) != SS_OK)
                fail_msg("%s", e.msg);
            assert_int_equal(ss_noising_kind(n), SS_SCHEDULER_BETAS);
            assert_false(ss_noising_assumed(n));
            for (int t = 0; t < LEVELS_OF_GOLDEN; t++) {
                const float got = ss_schedule_abar(ss_noising_schedule(n))[111 * t];

                /* worst seen: 1.2e-7; 1.2e-6 of CogVideoX, whose betas are computed in double */
                if (!(fabsf(got / want[t] - 1) < (strstr(name, "Cog") ? 3e-6f : 3e-7f)))
                    fail_msg("%s, step %d: abar %.9g, want %.9g", name, 111 * t, got, want[t]);
            }
            ss_noising_free(n);
        }
        assert_int_equal(ss_sampler_options_load(write_scheduler(saved), NULL, &full, &e), SS_OK);
        assert_int_equal(ss_sampler_options_load(write_scheduler(alone), NULL, &bare, &e), SS_OK);
        if (full.kind != bare.kind || full.clip != bare.clip || full.spacing != bare.spacing ||
            full.alpha_to_one != bare.alpha_to_one || full.clip_range != bare.clip_range)
            fail_msg("%s: its name alone means something else", name);
        assert_int_equal(full.clip, strstr(saved, "\"clip_sample\": true") != NULL);
        classes++;
    }
    assert_int_equal(classes, 23);
}

static void test_formulas_are_diffusers(void **state)
{
    (void)state;
    int cases = 0;

    for (size_t i = 0; i < ss_safetensors_count(golden); i++) {
        static float x0[MAX_LEVELS * N], noise[MAX_LEVELS * N], x[MAX_LEVELS * N],
            y[MAX_LEVELS * N], want[MAX_LEVELS * N];
        float sigma[MAX_LEVELS], told[MAX_LEVELS], got[N];
        const char *tensor = ss_safetensors_at(golden, i)->name, *dot = strrchr(tensor, '.');
        char name[64];

        if (strcmp(dot, ".told") != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(dot - tensor), tensor);
        const int64_t levels = load(name, ".told", told);
        load(name, ".sigma", sigma);
        load(name, ".x0", x0);
        load(name, ".noise", noise);
        load(name, ".x", x);
        load(name, ".y", y);
        load(name, ".denoised", want);
        ss_noising *k = open_with(ss_safetensors_metadata(golden, name), NULL);
        ss_err e = {0};
        if (ss_noising_check(k, &e) != SS_OK)
            fail_msg("%s: %s", name, e.msg);
        for (int64_t s = 0; s < levels; s++) {
            const ss_noise_level l = ss_noising_level(k, sigma[s]);
            double back = 0;

            /* steps of betas are whole, and sigmas of a sampler between them; solvers cut the
             * fraction of flow's off */
            const double limit = strstr(name, "flow-") && !strstr(name, "shift") ? 1 : 2e-3;
            const double t = strcmp(name, "continuous-epsilon") == 0
                                 ? ss_noising_told_exactly(k, sigma[s])
                                 : ss_noising_told(k, sigma[s]);
            if (!(fabs(t - told[s]) < limit + 1e-6 * fabs((double)told[s])))
                fail_msg("%s, sigma %g: told %.9g, want %.9g", name, sigma[s], t, told[s]);
            ss_add_noise(l, x0 + s * N, noise + s * N, N, got);
            assert_close(name, got, x + s * N, N, 2e-6, 2e-6);
            ss_noising_denoised(k, l, x + s * N, y + s * N, N, got);
            assert_close(name, got, want + s * N, N, 1e-6 * fmin(1 + sigma[s], 1000), 4e-6);
            if (ss_noising_takes_sigma(k))
                continue;
            assert_int_equal(ss_noising_sigma(k, told[s], &back, &e), SS_OK);
            assert_true(limit == 1 || back == sigma[s] || fabs(back / sigma[s] - 1) < 2e-4);
        }
        ss_noising_free(k);
        cases++;
    }
    assert_int_equal(cases, 10);
}

/* The target of training, answered, gives the clean picture back, for every kind. */
static void test_targets_invert(void **state)
{
    (void)state;
    static const char *const files[] = {
        "{\"_class_name\": \"DDPMScheduler\"}",
        "{\"_class_name\": \"DDPMScheduler\", \"predict_epsilon\": false}",
        "{\"prediction_type\": \"v_prediction\", \"rescale_betas_zero_snr\": true}",
        "{\"_class_name\": \"EDMEulerScheduler\"}",
        "{\"_class_name\": \"EDMEulerScheduler\", \"prediction_type\": \"v_prediction\"}",
        "{\"_class_name\": \"CMStochasticIterativeScheduler\"}",
        "{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"shift\": 3}",
        NULL /* takes sigma */};
    static const double sigmas[] = {0.05, 0.7, 13};
    const float x0[] = {0.5f, -1, 0, 0.25f}, noise[] = {-0.3f, 2, 1, 0};
    const ss_noising_options score = {.takes_sigma = true};

    for (size_t f = 0; f < N_OF(files); f++) {
        ss_noising *k = open_with(files[f], files[f] ? NULL : &score);

        for (size_t s = 0; s < N_OF(sigmas); s++) {
            const ss_noise_level l = ss_noising_level(k, sigmas[s]);
            float x[4], y[4], back[4];

            assert_true(fabs(l.s / l.a / sigmas[s] - 1) < 1e-12);
            ss_add_noise(l, x0, noise, 4, x);
            ss_noising_target(k, l, x0, noise, 4, y);
            ss_noising_denoised(k, l, x, y, 4, back);
            assert_close(ss_noising_text(k), back, x0, 4, 4e-7 * (1 + sigmas[s]), 0);
        }
        ss_noising_free(k);
    }
}

/* Pure noise: epsilon says nothing of the picture there, everything else does. */
static void test_infinite_sigma(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        bool reaches, denoises;
        double told;
    } cases[] = {
        {"{\"_class_name\": \"DDIMScheduler\"}", true, false, 999},
        {"{\"_class_name\": \"DDIMScheduler\", \"prediction_type\": \"v_prediction\"}", true, true,
         999},
        {"{\"_class_name\": \"DDIMScheduler\", \"prediction_type\": \"sample\"}", true, true, 999},
        {"{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\"}", true, true, 1000},
        {"{\"_class_name\": \"EDMEulerScheduler\"}", false, false, INFINITY},
        {"{\"_class_name\": \"CMStochasticIterativeScheduler\"}", false, true, INFINITY},
        {"{\"_class_name\": \"EulerDiscreteScheduler\", \"prediction_type\": \"v_prediction\","
         " \"timestep_type\": \"continuous\"}",
         false, true, INFINITY},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        const float x[] = {1, -2}, y[] = {0.5f, 3};
        float out[2];
        ss_noising *k = open_with(cases[i].json, NULL);

        assert_int_equal(ss_noising_reaches_infinity(k), cases[i].reaches);
        assert_int_equal(ss_noising_can_denoise(k, INFINITY), cases[i].denoises);
        assert_true(ss_noising_can_denoise(k, 4000));
        assert_true(ss_noising_told(k, INFINITY) == cases[i].told);
        assert_true(ss_noising_told_exactly(k, INFINITY) == cases[i].told);
        if (cases[i].reaches) {
            const ss_noise_level l = ss_noising_level(k, INFINITY);

            assert_true(l.a == 0 && l.s == 1);
            ss_noising_denoised(k, l, x, y, 2, out);
            for (int j = 0; j < 2; j++)
                assert_true(cases[i].denoises ? isfinite(out[j]) : isnan(out[j]));
        }
        ss_noising_free(k);
    }
}

/* Timesteps with a fraction: whole ones are the schedule's own, between them sigma rises, and the
 * way back leads to where it came from, also beside infinite sigma. */
static void test_between_steps(void **state)
{
    (void)state;
    static const char *const files[] = {"{}", "{\"rescale_betas_zero_snr\": true}",
                                        "{\"beta_schedule\": \"squaredcos_cap_v2\"}",
                                        "{\"trained_betas\": [0, 0.1, 0.2, 0.3]}"};

    for (size_t f = 0; f < N_OF(files); f++) {
        ss_noising *k = open_with(files[f], NULL);
        const ss_schedule *s = ss_noising_schedule(k);
        const int64_t last = ss_schedule_steps(s) - 1;
        double before = -1, sigma;
        ss_err e = {0};

        for (double t = 0; t <= (double)last; t += 0.25) {
            assert_int_equal(ss_noising_sigma(k, t, &sigma, &e), SS_OK);
            if (t == floor(t))
                assert_true(sigma == ss_schedule_sigma(s, (int64_t)t));
            if (!(sigma > before))
                fail_msg("%s: sigma(%g) = %g, after %g", files[f], t, sigma, before);
            if (!(fabs(ss_noising_told_exactly(k, sigma) - t) < 1e-5))
                fail_msg("%s: %g comes back as %.9g", files[f], t,
                         ss_noising_told_exactly(k, sigma));
            before = sigma;
        }
        assert_int_equal(ss_noising_sigma(k, -0.5, &sigma, &e), SS_USAGE);
        assert_int_equal(ss_noising_sigma(k, (double)last + 0.5, &sigma, &e), SS_USAGE);
        assert_non_null(strstr(e.msg, "does not exist; there are 0 to"));
        assert_int_equal(ss_noising_sigma(k, NAN, &sigma, &e), SS_USAGE);
        ss_noising_free(k);
    }
    ss_noising *flow = open_with("{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\"}", NULL);
    double sigma;
    ss_err e = {0};
    assert_int_equal(ss_noising_sigma(flow, 250, &sigma, &e), SS_OK);
    assert_true(fabs(sigma - 1.0 / 3) < 1e-12);
    assert_int_equal(ss_noising_sigma(flow, 0, &sigma, &e), SS_USAGE);
    assert_int_equal(ss_noising_sigma(flow, 1000.5, &sigma, &e), SS_USAGE);
    ss_noising_free(flow);
}

static void says(const char *json, const ss_noising_options *opt, bool assumed, const char *want)
{
    ss_noising *k = open_with(json, opt);
    ss_err e = {0};

    if (ss_noising_check(k, &e) != SS_OK)
        fail_msg("%s", e.msg);
    if (ss_noising_assumed(k) != assumed || strcmp(ss_noising_text(k), want) != 0)
        fail_msg("%s says '%s', not '%s'", json ? json : "no file", ss_noising_text(k), want);
    ss_noising_free(k);
}

/* A network that is told ln(sigma) / 4 goes as far as its file says. */
static void test_range(void **state)
{
    (void)state;
    static const char svd[] =
        "{\"_class_name\": \"EulerDiscreteScheduler\", \"beta_start\": 0.00085, \"beta_end\": "
        "0.012,"
        " \"beta_schedule\": \"scaled_linear\", \"prediction_type\": \"v_prediction\","
        " \"timestep_type\": \"%s\", \"sigma_min\": 0.002, \"sigma_max\": 700.0}";

    for (int continuous = 0; continuous < 2; continuous++) {
        char json[512];
        double low, high;
        ss_noising *k;
        ss_err e = {0};

        snprintf(json, sizeof json, svd, continuous ? "continuous" : "discrete");
        write_file(in_tmp("range.json"), json, strlen(json));
        const ss_noising_options o = {.file = in_tmp("range.json")};
        if (ss_noising_open(&o, &k, &e) != SS_OK)
            fail_msg("%s", e.msg);
        assert_int_equal(ss_noising_range(k, &low, &high), continuous);
        assert_true(!continuous || (low == 0.002 && high == 700));
        assert_true(!continuous || ss_noising_lowest(k) == 0.002);
        assert_int_equal(strstr(ss_noising_text(k), "sigma 0.002 to 700") != NULL, continuous);
        ss_noising_free(k);
    }
}

/* Settings that are given, by file or option, and those that are assumed. */
static void test_what_is_said(void **state)
{
    (void)state;
    const ss_noising_options sd = {.like_stable_diffusion = true};
    const ss_noising_options scaled = {.like_stable_diffusion = true,
                                       .beta_schedule = "scaled_linear"};
    const ss_noising_options all = {.beta_schedule = "linear",
                                    .beta_start = "0.001",
                                    .beta_end = "0.01",
                                    .prediction = "v_prediction"};
    const ss_noising_options v = {.prediction = "v_prediction"};
    const ss_noising_options start = {.beta_start = "0.002"};
    const ss_noising_options score = {.takes_sigma = true};

    says(NULL, NULL, true,
         "assumed linear betas 0.0001 to 0.02, 1000 steps, predicts epsilon; give --scheduler");
    says(NULL, &sd, true,
         "assumed scaled_linear betas 0.00085 to 0.012, 1000 steps, predicts epsilon, as of Stable "
         "Diffusion, which the network looks like; give --scheduler");
    says(NULL, &scaled, true,
         "assumed scaled_linear betas 0.00085 to 0.012, 1000 steps, predicts epsilon; give "
         "--scheduler");
    says(NULL, &all, false,
         "linear betas 0.001 to 0.01, 1000 steps, sigma 0.03164 to 15.76, predicts v_prediction");
    says("{\"_class_name\": \"FlaxDDIMScheduler\"}", &all, false,
         "DDIMScheduler: linear betas 0.001 to 0.01, 1000 steps, sigma 0.03164 to 15.76, predicts "
         "v_prediction");
    says("{\"_class_name\": \"PNDMScheduler\", \"beta_end\": 0.012}", &start, false,
         "PNDMScheduler: linear betas 0.002 to 0.012, 1000 steps, sigma 0.04477 to 33.58, predicts "
         "epsilon");
    says("{\"trained_betas\": [0.1, 0.2], \"predict_epsilon\": true}", NULL, false,
         "DDPMScheduler: trained betas, 2 steps, sigma 0.3333 to 0.6236, predicts epsilon");
    says("{\"_class_name\": \"DDPMScheduler\", \"predict_epsilon\": false}", NULL, false,
         "DDPMScheduler: linear betas 0.0001 to 0.02, 1000 steps, sigma 0.01 to 157.4, predicts "
         "sample");
    says("{\"trained_betas\": [0.1, 0.2]}", &start, false,
         "DDPMScheduler: linear betas 0.002 to 0.02, 1000 steps, sigma 0.04477 to 254, predicts "
         "epsilon");
    /* a contradiction is resolved by the option */
    says("{\"predict_epsilon\": true, \"prediction_type\": \"sample\"}", &v, false,
         "DDPMScheduler: linear betas 0.0001 to 0.02, 1000 steps, sigma 0.01 to 157.4, predicts "
         "v_prediction");
    says("{\"_class_name\": \"MyScheduler\"}", &all, false,
         "linear betas 0.001 to 0.01, 1000 steps, sigma 0.03164 to 15.76, predicts v_prediction");
    says("{\"_class_name\": \"EDMEulerScheduler\"}", NULL, false,
         "EDMEulerScheduler: EDM preconditioning, sigma_data 0.5");
    says("{\"_class_name\": \"CMStochasticIterativeScheduler\"}", NULL, false,
         "CMStochasticIterativeScheduler: consistency model, sigma 0.002 to 80, sigma_data 0.5");
    says("{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"shift\": 3.0}", NULL, false,
         "FlowMatchEulerDiscreteScheduler: flow matching, timesteps to 1000, shift 3, predicts "
         "flow_prediction");
    says(NULL, &score, false, "none: the network takes sigma itself");
}

/* A scheduler that cannot be understood opens with the defaults, and says why when asked. */
static void test_not_known(void **state)
{
    (void)state;
    static const struct {
        const char *json, *want;
    } cases[] = {
        {"version https://git-lfs.github.com/spec/v1", "a git-lfs pointer"},
        {"{\"beta_start\": ", "line 1"},
        {"{\"_class_name\": \"WarpScheduler\"}", "\"_class_name\" is \"WarpScheduler\""},
        {"{\"_class_name\": \"ScoreSdeVeScheduler\"}", "networks that take sigma"},
        {"{\"_class_name\": \"DDPMWuerstchenScheduler\"}", "this class is not known"},
        {"{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"invert_sigmas\": true}",
         "\"invert_sigmas\""},
        {"{\"_class_name\": \"UniPCMultistepScheduler\", \"use_flow_sigmas\": true,"
         " \"prediction_type\": \"epsilon\"}",
         "supported: flow_prediction"},
        {"{\"prediction_type\": \"flow_prediction\"}", "\"prediction_type\""},
        {"{\"prediction_type\": \"trigflow\"}", "\"trigflow\""},
        {"{\"predict_epsilon\": false, \"prediction_type\": \"epsilon\"}", "--prediction"},
        {"{\"timestep_type\": \"sideways\"}", "supported: discrete, continuous"},
        {"{\"_class_name\": \"EDMEulerScheduler\", \"sigma_data\": 0}", "\"sigma_data\" is 0"},
        {"{\"_class_name\": \"CMStochasticIterativeScheduler\", \"sigma_min\": 90}",
         "more than sigma_min"},
        {"{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"num_train_timesteps\": -1}",
         "\"num_train_timesteps\" is -1"},
        {"{\"beta_start\": \"x\"}", "\"beta_start\""},
        {"{\"beta_start\": 2}", "betas from 2"},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_noising *k = open_with(cases[i].json, NULL);
        ss_err e = {0};

        assert_int_not_equal(ss_noising_check(k, &e), SS_OK);
        if (!strstr(e.msg, cases[i].want) || !strstr(e.msg, "scheduler_config.json") ||
            !strstr(e.msg, "--scheduler"))
            fail_msg("%s gives '%s', not '...%s...'", cases[i].json, e.msg, cases[i].want);
        assert_true(ss_noising_assumed(k));
        assert_non_null(strstr(ss_noising_text(k), "assumed linear betas 0.0001 to 0.02"));
        assert_non_null(strstr(ss_noising_text(k), cases[i].want));
        assert_int_equal(ss_noising_kind(k), SS_SCHEDULER_BETAS);
        assert_true(ss_noising_told(k, 1) == 258);
        ss_noising_free(k);
    }
}

static void test_options_refused(void **state)
{
    (void)state;
    static const struct {
        ss_noising_options o;
        const char *want;
    } cases[] = {
        {{.beta_schedule = "warp"}, "--beta-schedule: 'warp' is no noise schedule"},
        {{.beta_start = "1"}, "--beta-start takes a number from 0 to below 1, not '1'"},
        {{.beta_end = "much"}, "--beta-end takes a number"},
        {{.prediction = "noise"}, "--prediction: 'noise' is no prediction type"},
        {{.takes_sigma = true, .prediction = "epsilon"}, "the network takes sigma itself"},
        {{.takes_sigma = true, .beta_end = "0.1"}, "the network takes sigma itself"},
        {{.file = "/nowhere/scheduler_config.json"}, "/nowhere/scheduler_config.json"},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_noising *k = NULL;
        ss_err e = {0};

        assert_int_not_equal(ss_noising_open(&cases[i].o, &k, &e), SS_OK);
        assert_null(k);
        if (!strstr(e.msg, cases[i].want))
            fail_msg("'%s' lacks '%s'", e.msg, cases[i].want);
    }
}

/* Files as they are published: what the network is told at sigma 1, what it answers, and whether
 * its sampler clips. */
static void test_published_files(void **state)
{
    (void)state;
/* clang-format off */
#define SD "\"beta_start\": 0.00085, \"beta_end\": 0.012, \"beta_schedule\": \"scaled_linear\", "
    static const struct {
        const char *name, *json, *prediction;
        double told;
        bool clip;
    } cases[] = {
        {"Stable Diffusion 1.4",
         "{\"_class_name\": \"PNDMScheduler\", \"_diffusers_version\": \"0.7.0.dev0\", " SD
         "\"num_train_timesteps\": 1000, \"set_alpha_to_one\": false, \"skip_prk_steps\": true,"
         " \"steps_offset\": 1, \"trained_betas\": null}",
         "epsilon", 354, false},
        {"Stable Diffusion 1.5",
         "{\"_class_name\": \"PNDMScheduler\", " SD
         "\"num_train_timesteps\": 1000, \"set_alpha_to_one\": false, \"skip_prk_steps\": true,"
         " \"steps_offset\": 1, \"trained_betas\": null, \"clip_sample\": false}",
         "epsilon", 354, false},
        {"Stable Diffusion 2.1",
         "{\"_class_name\": \"DDIMScheduler\", " SD
         "\"clip_sample\": false, \"num_train_timesteps\": 1000, \"prediction_type\":"
         " \"v_prediction\", \"set_alpha_to_one\": false, \"skip_prk_steps\": true,"
         " \"steps_offset\": 1, \"trained_betas\": null}",
         "v_prediction", 354, false},
        {"Stable Diffusion XL",
         "{\"_class_name\": \"EulerDiscreteScheduler\", " SD
         "\"clip_sample\": false, \"interpolation_type\": \"linear\", \"num_train_timesteps\": "
         "1000,"
         " \"prediction_type\": \"epsilon\", \"sample_max_value\": 1.0, \"set_alpha_to_one\": "
         "false,"
         " \"skip_prk_steps\": true, \"steps_offset\": 1, \"timestep_spacing\": \"leading\","
         " \"trained_betas\": null, \"use_karras_sigmas\": false}",
         "epsilon", 354, false},
        {"LCM",
         "{\"_class_name\": \"LCMScheduler\", " SD "\"clip_sample\": false, \"clip_sample_range\": "
                                                   "1.0, \"dynamic_thresholding_ratio\": 0.995,"
         " \"num_train_timesteps\": 1000, \"original_inference_steps\": 50, \"prediction_type\":"
         " \"epsilon\", \"rescale_betas_zero_snr\": false, \"sample_max_value\": 1.0,"
         " \"set_alpha_to_one\": true, \"steps_offset\": 0, \"thresholding\": false,"
         " \"timestep_scaling\": 10.0, \"timestep_spacing\": \"leading\", \"trained_betas\": null}",
         "epsilon", 354, false},
        {"DeepFloyd IF",
         "{\"_class_name\": \"DDPMScheduler\", \"beta_end\": 0.02, \"beta_schedule\":"
         " \"squaredcos_cap_v2\", \"beta_start\": 0.0001, \"clip_sample\": true,"
         " \"clip_sample_range\": 1.0, \"dynamic_thresholding_ratio\": 0.95,"
         " \"num_train_timesteps\": 1000, \"prediction_type\": \"epsilon\","
         " \"sample_max_value\": 1.5, \"thresholding\": true, \"trained_betas\": null,"
         " \"variance_type\": \"learned_range\"}",
         "epsilon", 495, true},
        {"Kandinsky 2.2",
         "{\"_class_name\": \"DDPMScheduler\", \"beta_end\": 0.012, \"beta_schedule\": \"linear\","
         " \"beta_start\": 0.00085, \"clip_sample\": true, \"clip_sample_range\": 2.0,"
         " \"dynamic_thresholding_ratio\": 0.995, \"num_train_timesteps\": 1000,"
         " \"prediction_type\": \"epsilon\", \"sample_max_value\": 2.0, \"thresholding\": false,"
         " \"trained_betas\": null, \"variance_type\": \"learned_range\"}",
         "epsilon", 284, true},
        {"DDPM of the first diffusers",
         "{\"_class_name\": \"DDPMScheduler\", \"beta_schedule\": \"linear\", \"beta_start\":"
         " 0.0001, \"beta_end\": 0.02, \"clip_sample\": true, \"num_train_timesteps\": 1000,"
         " \"tensor_format\": \"pt\", \"timestep_values\": null, \"variance_type\": "
         "\"fixed_large\"}",
         "epsilon", 258, true},
        {"Stable Video Diffusion",
         "{\"_class_name\": \"EulerDiscreteScheduler\", " SD
         "\"clip_sample\": false, \"interpolation_type\": \"linear\", \"num_train_timesteps\": "
         "1000,"
         " \"prediction_type\": \"v_prediction\", \"set_alpha_to_one\": false, \"sigma_max\": "
         "700.0,"
         " \"sigma_min\": 0.002, \"skip_prk_steps\": true, \"steps_offset\": 1, "
         "\"timestep_spacing\":"
         " \"leading\", \"timestep_type\": \"continuous\", \"use_karras_sigmas\": true}",
         "v_prediction", 0, false},
    };
    /* clang-format on */

    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_noising *k = open_with(cases[i].json, NULL);
        ss_sampler_options o;
        ss_err e = {0};

        if (ss_noising_check(k, &e) != SS_OK ||
            ss_sampler_options_load(write_scheduler(cases[i].json), NULL, &o, &e) != SS_OK)
            fail_msg("%s: %s", cases[i].name, e.msg);
        if (ss_noising_told(k, 1) != cases[i].told || o.clip != cases[i].clip ||
            strcmp(ss_noising_prediction(k), cases[i].prediction) != 0)
            fail_msg("%s: told %g, clip %d, predicts %s", cases[i].name, ss_noising_told(k, 1),
                     o.clip, ss_noising_prediction(k));
        ss_noising_free(k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_of_classes), cmocka_unit_test(test_formulas_are_diffusers),
        cmocka_unit_test(test_targets_invert),      cmocka_unit_test(test_infinite_sigma),
        cmocka_unit_test(test_between_steps),       cmocka_unit_test(test_range),
        cmocka_unit_test(test_what_is_said),        cmocka_unit_test(test_not_known),
        cmocka_unit_test(test_options_refused),     cmocka_unit_test(test_published_files),
    };
    return cmocka_run_group_tests(tests, open_golden, close_golden);
}
