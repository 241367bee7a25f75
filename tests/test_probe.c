/* test_probe.c - what holds of every probe: one noise for all inputs, a module that runs twice
 * counts once, and a run is kept for its own plan only
 */
#include "base/file.h"
#include "base/mem.h"
#include "kernels/context.h"
#include "kernels/hooks.h"
#include "kernels/ops.h"
#include "probe/cached.h"
#include "probe/probe.h"
#include "probe/recorder.h"
#include "runfile/run_reader.h"
#include "tests/ss_tmp.h"

static ss_probe_options options(const char *output, const char *const *inputs, int n_inputs)
{
    ss_probe_options opt = ss_probe_defaults();

    opt.network.model = "demo/fashion-mnist/step-00250";
    opt.output = output;
    opt.command = "sigmascope probe";
    opt.sigmas = "0.5,20";
    opt.inputs = inputs;
    opt.n_inputs = n_inputs;
    opt.samples = 2;
    opt.class_label = 3;
    opt.threads = 1;
    return opt;
}

static ss_run *open_run(const char *path)
{
    ss_run *r;
    ss_err e = {0};

    if (ss_run_open(path, &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return r;
}

/* Two inputs differ in their pictures only: two constants differ by as much at every pixel. Two
 * samples differ in their noise. */
static void test_noise_is_shared(void **state)
{
    static const char *const inputs[] = {"constant:0.25", "constant:-0.5"};
    enum { PIXELS = 32 * 32 };
    const ss_probe_options opt = options(in_tmp("shared.h5"), inputs, 2);
    float x[2][2][PIXELS]; /* [input][sample] */
    ss_run_shape shape;
    ss_probe_summary sum;
    ss_err e = {0};

    (void)state;
    if (ss_probe_run(&opt, &sum, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_run *r = open_run(in_tmp("shared.h5"));
    assert_true(ss_run_has_pictures(r, "/inputs/x", &shape));
    assert_true(shape.n <= PIXELS);
    for (int s = 0; s < 2; s++) {
        double differing = 0;

        for (int i = 0; i < 4; i++)
            assert_int_equal(ss_run_picture(r, "/inputs/x", i / 2, s, i % 2, x[i / 2][i % 2], &e),
                             SS_OK);
        for (int k = 0; k < 2; k++) {
            const double by = (double)x[0][k][0] - x[1][k][0];

            assert_true(by > 0);
            for (int64_t i = 0; i < shape.n; i++)
                assert_true(fabs((double)x[0][k][i] - x[1][k][i] - by) < 1e-5);
        }
        for (int64_t i = 0; i < shape.n; i++)
            differing += x[0][0][i] != x[0][1][i];
        assert_true(differing > 0.9 * (double)shape.n);
    }
    ss_run_close(r);
}

/* The loss of a network that predicts v follows from its picture: x0 = a x - s v, so it is
 * mean (x0 - denoised)^2 / s^2, s^2 = sigma^2 / (1 + sigma^2). */
static void test_loss(void **state)
{
    static const float pictures[] = {0.25F, -0.5F};
    float x[32 * 32];
    const float *loss;
    ss_run_shape shape;
    ss_err e = {0};

    (void)state;
    ss_run *r = open_run(in_tmp("shared.h5"));
    assert_string_equal(r->prediction_type, "v_prediction");
    assert_int_equal(ss_run_loss(r, &loss, &e), SS_OK);
    assert_non_null(loss);
    assert_true(ss_run_has_pictures(r, "/outputs/denoised", &shape));
    assert_true(shape.n <= (int64_t)N_OF(x));
    for (int k = 0; k < 8; k++) {
        const int input = k / 4, sigma = k / 2 % 2, sample = k % 2;
        const double got = loss[k];
        double sum = 0;

        assert_int_equal(ss_run_picture(r, "/outputs/denoised", input, sigma, sample, x, &e),
                         SS_OK);
        for (int64_t i = 0; i < shape.n; i++)
            sum += pow((double)pictures[input] - x[i], 2);
        const double want = sum / (double)shape.n * (1 + pow(r->sigmas[sigma], -2));
        if (!(fabs(got - want) <= 1e-3 * want))
            fail_msg("input %d, sigma %g: the loss is %g, want %g", input, r->sigmas[sigma], got,
                     want);
    }
    ss_run_close(r);
}

/* ---- the recorder, on a network whose second module runs twice ---- */

static const ss_module root = {.path = "", .kind = "Toy", .id = 0, .parent = -1};
static const ss_module twice = {.path = "shared", .kind = "Linear", .id = 1, .parent = 0};
static const ss_module *const modules[] = {&root, &twice};

enum { N = 2, C = 3 };

static void forward(ss_ctx *c, int n)
{
    static const float values[N * C] = {1, -2, 3, -4, 5, -6};
    ss_tensor *x = ss_upload(c, ss_shape_of(n, C), values);

    ss_enter(c, &root, x);
    for (int k = 0; k < 2; k++) {
        ss_enter(c, &twice, x);
        ss_set(&x, ss_leave(c, &twice, ss_affine(c, x, 10, 0)));
    }
    x = ss_leave(c, &root, x);
    ss_release(x);
}

static void test_module_that_runs_twice(void **state)
{
    const ss_recorder_options opt = {.modules = modules,
                                     .n_modules = 2,
                                     .histogram = true,
                                     .channels = true,
                                     .dump = (const char *[]){"shared"},
                                     .n_dump = 1};
    static const int input[N] = {0, 0}, sample[N] = {0, 1};
    ss_setup setup = {.modules = modules, .n_modules = 2};
    ss_run_spec spec = {.family = "Toy",
                        .precision = "fp32",
                        .inputs = (const char *[]){"x"},
                        .n_inputs = 1,
                        .sigmas = (const double[]){1},
                        .n_sigmas = 1,
                        .n_samples = N};
    uint64_t counts[SS_N_PORTS][SS_N_EXPONENTS], all[SS_N_PORTS] = {0};
    const float *absmax;
    ss_recorder *rec;
    ss_run_writer *w;
    ss_run_column *col;
    ss_ctx *c;
    ss_err e = {0};

    (void)state;
    assert_int_equal(ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = 1}, &c, &e),
                     SS_OK);
    assert_int_equal(ss_recorder_new(&opt, &rec, &e), SS_OK);
    setup.hooks = ss_recorder_hooks(rec);
    assert_int_equal(ss_ctx_setup(c, &setup, &e), SS_OK);

    ss_ctx_set_shapes_only(c, true);
    ss_recorder_begin(rec, NULL, 1, input, sample);
    forward(c, 1);
    ss_ctx_set_shapes_only(c, false);
    ss_recorder_spec(rec, &spec);
    assert_int_equal(ss_run_create(in_tmp("twice.h5"), &spec, true, &w, &e), SS_OK);
    assert_int_equal(ss_run_column_new(w, 0, &col, &e), SS_OK);
    ss_recorder_begin(rec, col, N, input, sample);
    forward(c, N);
    assert_int_equal(ss_ctx_finish(c, &e), SS_OK);
    assert_int_equal(ss_recorder_check(rec, &e), SS_OK);
    assert_int_equal(ss_run_submit(w, col, &e), SS_OK);
    assert_int_equal(ss_run_finish(w, &e), SS_OK);
    ss_recorder_free(rec);
    ss_ctx_free(c);

    ss_run *r = open_run(in_tmp("twice.h5"));
    const int port = (int)SS_PORT_OUTPUT;
    assert_string_equal(r->modules[1], "shared");
    assert_int_equal(ss_run_stat(r, "absmax", &absmax, &e), SS_OK);
    assert_float_equal(absmax[ss_run_at(r, 1, port, 0, 0, 0)], 30, 0); /* of the first time */
    assert_float_equal(absmax[ss_run_at(r, 1, port, 0, 0, 1)], 60, 0);
    assert_float_equal(absmax[ss_run_at(r, 0, port, 0, 0, 1)], 600, 0);
    assert_int_equal(ss_run_hist(r, 1, counts[0], &e), SS_OK);
    assert_int_equal(r->n_ports, SS_N_PORTS);
    for (int i = 0; i < SS_N_PORTS * SS_N_EXPONENTS; i++)
        all[i / SS_N_EXPONENTS] += counts[i / SS_N_EXPONENTS][i % SS_N_EXPONENTS];
    assert_int_equal(all[SS_PORT_INPUT], N * C);
    assert_int_equal(all[SS_PORT_OUTPUT], N * C);
    ss_run_close(r);
}

/* The run of another plan under a kept run's name is not taken for it. */
static void test_kept_for_its_plan(void **state)
{
    static const char *const inputs[] = {"noise:white"};
    ss_probe_options opt = options(NULL, inputs, 1);
    char folder[600];
    ss_run_cache c = {.dir = folder, .limit = SS_RUN_CACHE_LIMIT};
    char *path[2], *again;
    bool found;
    ss_err e = {0};

    (void)state;
    snprintf(folder, sizeof folder, "%s", in_tmp("kept"));
    for (int k = 0; k < 2; k++) {
        opt.seed = (uint64_t)k;
        assert_int_equal(ss_probe_cached(&opt, &c, &path[k], &found, &e), SS_OK);
        assert_false(found);
    }
    assert_string_not_equal(path[0], path[1]);
    assert_int_equal(ss_probe_cached(&opt, &c, &again, &found, &e), SS_OK);
    assert_true(found);
    assert_string_equal(again, path[1]);
    ss_free(again);

    assert_int_equal(rename(path[0], path[1]), 0);
    assert_int_equal(ss_probe_cached(&opt, &c, &again, &found, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "seed"));
    write_file(path[1], "no run", 6); /* damaged: made again */
    if (ss_probe_cached(&opt, &c, &again, &found, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_false(found);
    ss_free(again);
    ss_run_cache_close(&c);
    ss_free(path[0]);
    ss_free(path[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_noise_is_shared),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_module_that_runs_twice),
        cmocka_unit_test(test_kept_for_its_plan),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
