/* test_objective.c - training objectives against diffusers and closed forms
 *
 * Golden data: tests/golden/objectives.safetensors, written by make_objectives.py.
 */
#include "kernels/context.h"
#include "kernels/loss.h"
#include "models/file/safetensors.h"
#include "tests/ss_test.h"
#include "train/objective.h"

#include <stdio.h>

enum { N = 6, EACH = 20, ALL = N * EACH };

static void golden(const char *prefix, const char *name, float *out, size_t n)
{
    char path[160];
    ss_array a;
    ss_err e = {0};

    snprintf(path, sizeof path, "tests/golden/objectives.safetensors#%s%s", prefix, name);
    if (ss_safetensors_load_f32(path, &a, &e) != SS_OK)
        fail_msg("%s", e.msg);
    memcpy(out, a.values, n * sizeof *out);
    ss_array_release(&a);
}

static ss_schedule *cosine_schedule(void)
{
    ss_schedule_options opt = ss_schedule_defaults();
    ss_schedule *s;

    opt.betas = SS_BETAS_COSINE;
    assert_int_equal(ss_schedule_new(&opt, &s, NULL), SS_OK);
    return s;
}

static void take_squares(void *self, const double *squares, int64_t n)
{
    memcpy(self, squares, (size_t)n * sizeof *squares);
}

/* The loss as a training step gets it; each [n] and grad [n][values] may be NULL. */
static double loss_of(const ss_level *l, int64_t n, int64_t values, const float *answer,
                      const float *target, double scale, double *each, float *grad)
{
    double squares[N], slope[N];
    ss_ctx *c;
    ss_err e = {0};

    if (ss_ctx_new(&(ss_ctx_options){.device = test_device()}, &c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    for (int64_t i = 0; i < n; i++)
        slope[i] = ss_objective_slope(&l[i], n, values, scale);
    ss_tensor *y = ss_upload(c, ss_shape_of(n, values), answer);
    ss_tensor *dy = ss_squared_error(c, y, target, slope, take_squares, squares);

    if (grad)
        assert_int_equal(ss_download(c, dy, grad, NULL), SS_OK);
    ss_release(y);
    ss_release(dy);
    assert_int_equal(ss_ctx_finish(c, NULL), SS_OK);
    ss_ctx_free(c);
    return ss_objective_loss(l, n, values, squares, each);
}

static void test_matches_diffusers(void **state)
{
    (void)state;
    static const char *const prefix[] = {"epsilon.", "v_prediction.", "sample.", "edm."};
    ss_objective o = ss_objective_defaults();
    ss_schedule *schedule = cosine_schedule();
    float x0[ALL], noise[ALL], answer[ALL], at[N], want[ALL], input[ALL], target[ALL], grad[ALL];
    ss_level l[N];

    golden("", "x0", x0, ALL);
    golden("", "noise", noise, ALL);
    golden("", "answer", answer, ALL);
    for (int k = 0; k < (int)(sizeof prefix / sizeof *prefix); k++) {
        const bool edm = k == SS_OBJECTIVE_EDM;

        o.prediction = (ss_objective_kind)k;
        o.levels = edm ? SS_LEVELS_LOGNORMAL : SS_LEVELS_TIMESTEPS;
        o.weighting = edm ? SS_WEIGHTING_EDM : SS_WEIGHTING_MIN_SNR;
        o.schedule = schedule;
        assert_int_equal(ss_objective_check(&o, NULL), SS_OK);
        golden("", edm ? "sigmas" : "timesteps", at, N);
        for (int i = 0; i < N; i++) {
            l[i] = ss_objective_level(&o, at[i]);
            ss_objective_prepare(&o, l[i], x0 + i * EACH, noise + i * EACH, EACH, input + i * EACH,
                                 target + i * EACH);
        }
        golden(prefix[k], "input", want, ALL);
        assert_close("input", input, want, ALL, 1e-6, 1e-6);
        if (edm) {
            golden(prefix[k], "timestep", want, N);
            for (int i = 0; i < N; i++) {
                assert_close("timestep", &l[i].timestep, want + i, 1, 1e-6, 1e-6);
                assert_true(fabs(l[i].weight - 1) < 1e-12);
            }
            golden(prefix[k], "x0", want, ALL);
            for (int j = 0; j < ALL; j++) {
                const ss_level v = l[j / EACH];
                const double x = v.c_skip * (input[j] / v.c_in) + v.c_out * answer[j];

                assert_true(fabs(x - want[j]) <= 1e-5);
                /* the target is what gives x0 back */
                assert_true(fabs(v.c_skip * (input[j] / v.c_in) + v.c_out * target[j] - x0[j]) <
                            1e-5);
            }
        } else {
            golden(prefix[k], "target", want, ALL);
            assert_close("target", target, want, ALL, 1e-6, 1e-6);
            golden(prefix[k], "weight", want, N);
            for (int i = 0; i < N; i++) {
                const float w = (float)l[i].weight;
                assert_close("weight", &w, want + i, 1, 0, 3e-5); /* abar's 1 - x in f32 there */
                assert_true(l[i].timestep == at[i]);
            }
        }
        loss_of(l, N, EACH, answer, target, 1, NULL, grad);
        golden(prefix[k], "grad", want, ALL);
        /* edm divides by sigma 0.002, which multiplies the rounding of x_t */
        assert_close("grad", grad, want, ALL, edm ? 3e-6 : 1e-8, 5e-5);
    }
    ss_schedule_free(schedule);
}

/* The gradient is the slope of the loss. */
static void test_gradient_is_the_slope(void **state)
{
    (void)state;
    const ss_objective o = ss_objective_defaults();
    const ss_level l[2] = {ss_objective_level(&o, 0.3), {.weight = 0.25}};
    float answer[6] = {1, -2, 3, 0.5f, 2, -1}, target[6] = {0, 1, 2.5f, -1, 2, 3}, grad[6];
    double each[2];
    const double at = loss_of(l, 2, 3, answer, target, 1024, each, grad);

    assert_true(fabs(at - (each[0] + each[1]) / 2) < 1e-15);
    assert_true(fabs(each[0] - (1 + 9 + 0.25) / 3) < 1e-12);
    assert_true(fabs(each[1] - 0.25 * (2.25 + 0 + 16) / 3) < 1e-12);
    for (int j = 0; j < 6; j++) {
        const float h = 0x1p-8f, keep = answer[j];
        double slope;

        answer[j] = keep + h;
        slope = loss_of(l, 2, 3, answer, target, 1, NULL, NULL);
        answer[j] = keep - h;
        slope -= loss_of(l, 2, 3, answer, target, 1, NULL, NULL);
        answer[j] = keep;
        assert_true(fabs(grad[j] - 1024 * slope / (2 * h)) < 1e-3);
    }
}

static void test_cosine_is_continuous(void **state)
{
    (void)state;
    const ss_objective o = ss_objective_defaults();
    int low = 0;

    for (int i = 1; i < 100; i++) {
        const double u = i / 100.0;
        const ss_level l = ss_objective_level(&o, u);

        assert_true(fabs(l.a - cos(M_PI * u / 2)) < 1e-12);
        assert_true(fabs(l.s - sin(M_PI * u / 2)) < 1e-12);
        assert_true(fabs(l.timestep - 1000 * u) < 1e-4);
        assert_true(l.weight == 1);
    }
    assert_true(fabs(log(1 / pow(ss_objective_level(&o, 1 - 1e-9).sigma, 2)) + 15) < 1e-9);
    assert_true(fabs(log(1 / pow(ss_objective_level(&o, 1e-9).sigma, 2)) - 15) < 1e-9);
    for (int i = 0; i < 4000; i++) {
        const ss_level l = ss_objective_draw(&o, 3, i);

        low += l.sigma < 1; /* half of them: tan(pi/4) = 1 */
    }
    assert_in_range(low, 1870, 2130);
}

/* Twice the size doubles sigma at every draw, and the network is told where that is. */
static void test_shift(void **state)
{
    (void)state;
    ss_schedule *schedule = cosine_schedule();

    for (int law = 0; law < 3; law++) {
        ss_objective o = ss_objective_defaults(), p;

        o.levels = (ss_level_law)law;
        o.schedule = schedule;
        if (o.levels == SS_LEVELS_LOGNORMAL)
            o.prediction = SS_OBJECTIVE_EDM;
        p = o;
        ss_objective_fit(&p, 32, 32);
        assert_true(p.shift == 0); /* as long as none is asked for */
        p.base_size = 16;
        ss_objective_fit(&p, 16, 16);
        assert_true(p.shift == 0);
        ss_objective_fit(&p, 64, 16);
        assert_true(fabs(p.shift + 2 * log(2)) < 1e-12);
        for (int i = 0; i < 500; i++) {
            const ss_level a = ss_objective_draw(&o, 3, i), b = ss_objective_draw(&p, 3, i);

            if (a.sigma < 0.1 || a.sigma > 8) /* ends of the schedule */
                continue;
            assert_true(fabs(b.sigma / a.sigma - 2) < (law == SS_LEVELS_TIMESTEPS ? 0.05 : 1e-9));
            if (law == SS_LEVELS_COSINE)
                assert_true(fabs(ss_objective_level(&o, b.timestep / 1000).sigma / b.sigma - 1) <
                            1e-4);
            if (law == SS_LEVELS_TIMESTEPS)
                assert_true(b.timestep == ss_schedule_nearest(schedule, 2 * a.sigma));
        }
    }
    ss_schedule_free(schedule);
}

static void test_draws(void **state)
{
    (void)state;
    ss_objective o = ss_objective_defaults();
    ss_schedule *schedule = cosine_schedule();
    double sum = 0, square = 0;
    int64_t least = 1000, most = 0;
    float a[8], b[8];

    o.levels = SS_LEVELS_LOGNORMAL;
    o.prediction = SS_OBJECTIVE_EDM;
    for (int i = 0; i < 10000; i++) {
        const double x = log(ss_objective_draw(&o, 9, i).sigma);

        sum += x;
        square += x * x;
    }
    assert_true(fabs(sum / 10000 + 1.2) < 0.04);
    assert_true(fabs(sqrt(square / 10000 - pow(sum / 10000, 2)) - 1.2) < 0.03);

    o = ss_objective_defaults();
    o.levels = SS_LEVELS_TIMESTEPS;
    o.schedule = schedule;
    for (int i = 0; i < 20000; i++) {
        const int64_t t = (int64_t)ss_objective_draw(&o, 9, i).timestep;

        least = t < least ? t : least;
        most = t > most ? t : most;
    }
    assert_int_equal(least, 0);
    assert_int_equal(most, 999);
    assert_true(ss_objective_draw(&o, 9, 1).timestep != ss_objective_draw(&o, 10, 1).timestep);

    ss_objective_noise(&o, 4, 2, 8, a);
    ss_objective_noise(&o, 4, 2, 8, b);
    assert_memory_equal(a, b, sizeof a);
    ss_objective_noise(&o, 4, 3, 8, b);
    assert_true(memcmp(a, b, sizeof a) != 0);
    ss_schedule_free(schedule);
}

static void refused(const ss_objective *o, const char *want)
{
    ss_err e = {0};

    assert_int_equal(ss_objective_check(o, &e), SS_USAGE);
    if (!strstr(e.msg, want))
        fail_msg("'%s', not '...%s...'", e.msg, want);
}

static void test_refusals_and_zero_snr(void **state)
{
    (void)state;
    ss_schedule_options opt = ss_schedule_defaults();
    ss_objective o = ss_objective_defaults();
    ss_schedule *zero;

    o.levels = SS_LEVELS_LOGNORMAL;
    refused(&o, "go with the edm prediction");
    o.levels = SS_LEVELS_TIMESTEPS;
    refused(&o, "need a schedule");
    o.gamma = 0;
    refused(&o, "gamma is 0; expected");
    o.gamma = 5;
    o.sigma_data = NAN;
    refused(&o, "sigma_data is nan");
    o.sigma_data = 0.5;

    opt.zero_snr = true;
    assert_int_equal(ss_schedule_new(&opt, &zero, NULL), SS_OK);
    o.schedule = zero;
    for (int w = 0; w < SS_N_WEIGHTINGS; w++) {
        static const double want[][3] = {{1, 1, 1}, {1, 0, 0}, {NAN, 4, 4}};

        o.weighting = (ss_weighting)w;
        for (int k = SS_OBJECTIVE_EPSILON; k <= SS_OBJECTIVE_SAMPLE; k++) {
            o.prediction = (ss_objective_kind)k;
            if (isnan(want[w][k]))
                refused(&o, "zero SNR");
            else
                assert_true(fabs(ss_objective_level(&o, 999).weight - want[w][k]) < 1e-9);
        }
        o.prediction = SS_OBJECTIVE_EDM;
        refused(&o, "zero SNR");
    }
    ss_schedule_free(zero);
}

static void test_bins(void **state)
{
    (void)state;
    ss_loss_bins b = {.n = 4, .lo = 0.01, .hi = 100, .decay = 0.9};

    assert_int_equal(ss_loss_bin(&b, 0), 0);
    assert_int_equal(ss_loss_bin(&b, 0.05), 0);
    assert_int_equal(ss_loss_bin(&b, 0.5), 1);
    assert_int_equal(ss_loss_bin(&b, 5), 2);
    assert_int_equal(ss_loss_bin(&b, 50), 3);
    assert_int_equal(ss_loss_bin(&b, INFINITY), 3);
    assert_true(fabs(ss_loss_bin_center(&b, 1) - sqrt(0.1)) < 1e-12);
    ss_loss_bins_add(&b, 5, NAN);
    ss_loss_bins_add(&b, 5, 2);
    ss_loss_bins_add(&b, 5, 3);
    ss_loss_bins_add(&b, 5, INFINITY);
    assert_int_equal(b.count[2], 4);
    assert_true(fabs(b.mean[2] - 2.1) < 1e-12);
    assert_int_equal(b.count[1], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches_diffusers),
        cmocka_unit_test(test_gradient_is_the_slope),
        cmocka_unit_test(test_cosine_is_continuous),
        cmocka_unit_test(test_draws),
        cmocka_unit_test(test_shift),
        cmocka_unit_test(test_refusals_and_zero_snr),
        cmocka_unit_test(test_bins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
