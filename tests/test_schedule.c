/* test_schedule.c - noise schedules against diffusers, and the laws that they obey
 *
 * Golden data: tests/golden/schedules.safetensors, written by make_schedules.py.
 */
#include "models/file/safetensors.h"
#include "models/sampling/schedule.h"
#include "models/sampling/schedule_config.h"
#include "tests/ss_tmp.h"

static ss_schedule *load_text(const char *json)
{
    ss_schedule *s;
    ss_err e = {0};

    write_file(in_tmp("scheduler_config.json"), json, strlen(json));
    if (ss_schedule_load(in_tmp("scheduler_config.json"), &s, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return s;
}

static void test_matches_diffusers(void **state)
{
    (void)state;
    ss_safetensors *f;

    assert_int_equal(ss_safetensors_open("tests/golden/schedules.safetensors", &f, NULL), SS_OK);
    assert_true(ss_safetensors_count(f) >= 9);
    for (size_t i = 0; i < ss_safetensors_count(f); i++) {
        const ss_stored_tensor *t = ss_safetensors_at(f, i);
        ss_schedule *s = load_text(ss_safetensors_metadata(f, t->name));
        const int64_t n = t->dim[0];
        /* worst seen: 0 for plain ones, 4.3e-6 after rescaling */
        const double limit = strstr(t->name, "zero-snr") ? 1e-5
                             : strstr(t->name, "shift")  ? 1e-6 /* betas in double there */
                                                         : 1.2e-7;
        float want[2000];
        double worst = 0;

        assert_int_equal(ss_schedule_steps(s), n);
        ss_values_to_f32(t->dtype, t->data, (size_t)n, want);
        for (int64_t k = 0; k < n; k++) {
            const double d = fabs((double)ss_schedule_abar(s)[k] - want[k]);
            worst = fmax(worst, want[k] > 0 ? d / want[k] : d > 0 ? INFINITY : 0);
        }
        print_message("%-18s worst relative difference %.1e\n", t->name, worst);
        assert_true(worst <= limit);
        ss_schedule_free(s);
    }
    ss_safetensors_close(f);
}

static void test_sigma_and_nearest(void **state)
{
    (void)state;
    ss_schedule *s;

    assert_int_equal(ss_schedule_load(NULL, &s, NULL), SS_OK);
    for (int64_t t = 0; t < ss_schedule_steps(s); t++) {
        const double sigma = ss_schedule_sigma(s, t), abar = ss_schedule_abar(s)[t];

        assert_true(fabs(1 / (1 + sigma * sigma) - abar) < 1e-12);
        assert_int_equal(ss_schedule_nearest(s, sigma), t);
    }
    assert_int_equal(ss_schedule_nearest(s, 0), 0);
    assert_int_equal(ss_schedule_nearest(s, INFINITY), 999);
    assert_int_equal(ss_schedule_nearest(s, 1e9), 999);
    assert_int_equal(ss_schedule_nearest(s, NAN), 0);
    /* on either side of the geometric mean of two neighbours */
    const double mean = sqrt(ss_schedule_sigma(s, 500) * ss_schedule_sigma(s, 501));
    assert_int_equal(ss_schedule_nearest(s, mean * (1 - 1e-9)), 500);
    assert_int_equal(ss_schedule_nearest(s, mean * (1 + 1e-9)), 501);
    ss_schedule_free(s);

    s = load_text("{\"rescale_betas_zero_snr\": true, \"_class_name\": \"DDIMScheduler\"}");
    assert_true(isinf(ss_schedule_sigma(s, 999)));
    assert_int_equal(ss_schedule_nearest(s, 1e30), 998); /* infinity is infinitely far away */
    assert_int_equal(ss_schedule_nearest(s, INFINITY), 999);
    const ss_noise_level last = ss_schedule_level(s, 999);
    assert_true(last.a == 0 && last.s == 1);
    ss_schedule_free(s);
}

/* x_t of x0 and n, the target of training, and back to x0: for every prediction and level. */
static void test_conversions_invert(void **state)
{
    (void)state;
    const float x0[] = {0.5f, -1, 0, 0.25f}, noise[] = {-0.3f, 2, 1, 0};
    const double sigmas[] = {0.002, 0.5, 1, 80};

    for (ss_prediction p = 0; p < SS_N_PREDICTIONS; p++) {
        for (size_t k = 0; k < N_OF(sigmas); k++) { /* flow at a + s = 1, too: test_noising.c */
            const ss_noise_level l = ss_noise_level_at(sigmas[k]);
            float xt[4], target[4], back[4];

            assert_true(fabs(l.a * l.a + l.s * l.s - 1) < 1e-14);
            assert_true(fabs(l.s / l.a - sigmas[k]) < 1e-12 * sigmas[k]);
            ss_add_noise(l, x0, noise, 4, xt);
            ss_training_target(p, l, x0, noise, 4, target);
            ss_denoised(p, l, xt, target, 4, back);
            /* an epsilon prediction has its rounding magnified by sigma */
            assert_close(ss_prediction_name(p), back, x0, 4, 4e-7 * (1 + sigmas[k]), 0);
        }
    }
    const ss_noise_level pure = ss_noise_level_at(INFINITY);
    assert_true(pure.a == 0 && pure.s == 1);
    const ss_noise_level huge = ss_noise_level_at(1e300);
    assert_true(huge.a > 0 && huge.s == 1);
}

static void test_names(void **state)
{
    (void)state;
    ss_betas b;
    ss_prediction p;
    ss_err e = {0};

    assert_int_equal(ss_betas_parse("cosine", &b, &e), SS_OK);
    assert_int_equal(b, SS_BETAS_COSINE);
    for (ss_betas i = 0; i < SS_N_BETAS; i++) {
        assert_int_equal(ss_betas_parse(ss_betas_name(i), &b, &e), SS_OK);
        assert_int_equal(b, i);
    }
    assert_int_equal(ss_betas_parse("quadratic", &b, &e), SS_USAGE);
    assert_string_equal(e.msg, "'quadratic' is no noise schedule; there are linear, "
                               "scaled_linear, squaredcos_cap_v2, sigmoid, laplace");
    assert_int_equal(ss_prediction_parse("flow", &p, &e), SS_USAGE);
    assert_string_equal(e.msg,
                        "'flow' is no prediction type; there are epsilon, v_prediction, sample, "
                        "flow_prediction");
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json, *want;
    } cases[] = {
        {"{\"beta_schedule\": \"gauss\"}", "\"beta_schedule\" is \"gauss\""},
        {"{\"prediction_type\": \"flow_prediction\"}", "\"prediction_type\""},
        {"{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\"}", "\"_class_name\""},
        {"{\"num_train_timesteps\": 0}", "a schedule of 0 steps"},
        {"{\"num_train_timesteps\": 9000000000000}", "a schedule of 9000000000000 steps"},
        {"{\"num_train_timesteps\": -3}", "a schedule of -3 steps"},
        {"{\"beta_end\": 1.5}", "betas from 0.0001 to 1.5"},
        {"{\"beta_start\": -1e300}", "betas from -1e+300"},
        {"{\"trained_betas\": [0.1, 2]}", "beta 1 is 2"},
        {"{\"trained_betas\": [0.1, \"a\"]}", "\"trained_betas\""},
        {"{\"trained_betas\": []}", "\"trained_betas\""},
        {"{\"num_train_timesteps\": 1, \"rescale_betas_zero_snr\": true}", "more than one step"},
        {"[]", "expected a JSON object"},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_schedule *s;
        ss_err e = {0};

        write_file(in_tmp("s.json"), cases[i].json, strlen(cases[i].json));
        assert_int_not_equal(ss_schedule_load(in_tmp("s.json"), &s, &e), SS_OK);
        if (!strstr(e.msg, cases[i].want) || !strstr(e.msg, "s.json"))
            fail_msg("%s gives '%s', not '...%s...'", cases[i].json, e.msg, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches_diffusers),
        cmocka_unit_test(test_sigma_and_nearest),
        cmocka_unit_test(test_conversions_invert),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
