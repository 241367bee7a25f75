/* test_optimizer.c - optimisers against PyTorch, and the laws that they obey
 *
 * Golden data: tests/golden/optimizers.safetensors, written by make_optimizers.py.
 */
#include "base/rng.h"
#include "kernels/context.h"
#include "kernels/tape.h"
#include "models/file/safetensors.h"
#include "tests/ss_tmp.h"
#include "train/optimizer.h"

enum { STEPS = 50, N = 24, CUT = 7 };

static void golden(const char *name, float *out, size_t n)
{
    char path[160];
    ss_array a;
    ss_err e = {0};

    snprintf(path, sizeof path, "tests/golden/optimizers.safetensors#%s", name);
    if (ss_safetensors_load_f32(path, &a, &e) != SS_OK)
        fail_msg("%s", e.msg);
    memcpy(out, a.values, n * sizeof *out);
    ss_array_release(&a);
}

static ss_ctx *context(int threads)
{
    ss_ctx *c;
    ss_err e = {0};

    if (ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = threads}, &c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return c;
}

static ss_optimizer *make(ss_ctx *c, const ss_optimizer_options *opt, const ss_trained *t, size_t n)
{
    ss_optimizer *o;
    ss_err e = {0};

    if (ss_optimizer_new(c, opt, t, n, &o, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return o;
}

static void values_of(ss_ctx *c, const ss_tensor *x, float *out)
{
    assert_int_equal(ss_download(c, x, out, NULL), SS_OK);
}

/* One step of two tensors with the gradients g [cut], [n - cut]. */
static double step(ss_ctx *c, ss_optimizer *o, const float *g, int64_t cut, int64_t n,
                   double multiplier, ss_update *u)
{
    ss_tensor *first = ss_upload(c, ss_shape_of(cut), g);
    ss_tensor *second = ss_upload(c, ss_shape_of(n - cut), g + cut);
    const ss_tensor *const both[] = {first, second};
    double norm;
    ss_err e = {0};

    if (ss_optimizer_norm(o, both, &norm, &e) != SS_OK ||
        ss_optimizer_step(o, both, multiplier, norm, u, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_release(first);
    ss_release(second);
    return norm;
}

static ss_optimizer_options options(ss_optimizer_kind kind, double lr, double decay)
{
    ss_optimizer_options o = ss_optimizer_defaults();

    o.kind = kind;
    o.lr = lr;
    o.weight_decay = decay;
    o.momentum = 0;
    return o;
}

static void check_case(const char *name, ss_optimizer_options opt, double loss_scale)
{
    static float grad[STEPS][N], want[3][N];
    float w[N], got[3][N];
    int row = 0;

    golden("start", w, N);
    golden("grad", grad[0], STEPS * N);
    golden(name, want[0], 3 * N);
    ss_ctx *c = context(1);
    const ss_trained t[] = {{"a", ss_param(c, SS_F32, ss_shape_of(CUT), w), 0},
                            {"b", ss_param(c, SS_F32, ss_shape_of(N - CUT), w + CUT), 0}};
    ss_optimizer *o = make(c, &opt, t, 2);

    for (int s = 0; s < STEPS; s++) {
        for (int k = 0; k < N; k++)
            grad[s][k] *= (float)loss_scale;
        step(c, o, grad[s], CUT, N, 1 / loss_scale, NULL);
        if (s == 0 || s == 9 || s == 49) {
            for (int i = 0; i < 2; i++)
                values_of(c, opt.ema_decay > 0 ? ss_optimizer_ema(o, (size_t)i) : t[i].w,
                          got[row] + i * CUT);
            row++;
        }
    }
    assert_int_equal(ss_optimizer_steps(o), STEPS);
    ss_optimizer_free(o);
    ss_release(t[0].w);
    ss_release(t[1].w);
    ss_ctx_free(c);
    assert_close(name, got[0], want[0], 3 * N, 1e-7, 1e-6);
}

static void test_matches_pytorch(void **state)
{
    (void)state;
    ss_optimizer_options o = options(SS_OPTIMIZER_ADAM, 0.01, 0);

    check_case("adam", o, 1);
    check_case("adam", o, 1024); /* a loss scale that is a power of two changes no bit */
    o.ema_decay = 0.8;
    check_case("ema", o, 1);
    o.ema_decay = 0;
    o.clip = 1;
    check_case("adam-clip", o, 1);
    check_case("adam-clip", o, 0.25);
    o = options(SS_OPTIMIZER_ADAM, 0.01, 0.1);
    o.beta1 = 0.8;
    o.beta2 = 0.95;
    o.eps = 1e-4;
    check_case("adam-decay", o, 1);
    check_case("adamw", options(SS_OPTIMIZER_ADAMW, 0.01, 0.1), 1);
    check_case("sgd", options(SS_OPTIMIZER_SGD, 0.01, 0.1), 1);
    o = options(SS_OPTIMIZER_SGD, 0.01, 0);
    o.momentum = 0.9;
    check_case("sgd-momentum", o, 1);
    o.weight_decay = 0.1;
    o.nesterov = true;
    o.clip = 2;
    check_case("sgd-nesterov", o, 1);
    o = options(SS_OPTIMIZER_LION, 0.001, 0.1);
    o.beta2 = 0.99;
    check_case("lion", o, 1);
}

/* Unit-variance gradients, then one that is k times larger: for k to infinity the update peaks
 * at (1 - beta1) / sqrt(1 - beta2) learning rates, and the staleness ratio saw it coming. */
static void test_one_large_gradient(void **state)
{
    (void)state;
    static const struct {
        double beta2, peak;
    } cases[] = {{0.999, 3.1623}, {0.98, 0.70711}};

    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_optimizer_options opt = options(SS_OPTIMIZER_ADAM, 1, 0);
        const ss_rng r = ss_rng_stream(3, "gradients", 0, 0);
        float w = 0;
        ss_ctx *c = context(1);
        const ss_trained t = {"w", ss_param(c, SS_F32, ss_shape_of(1), &w), 0};
        ss_tensor *g = ss_param_full(c, ss_shape_of(1), 0);
        const ss_tensor *const gs[] = {g};
        double calm = 0;
        ss_update u;

        opt.beta2 = cases[i].beta2;
        ss_optimizer *o = make(c, &opt, &t, 1);
        for (uint64_t s = 0; s < 10000; s++) {
            const float value = (float)ss_rng_normal(r, s);

            assert_int_equal(ss_param_set(c, g, &value, NULL), SS_OK);
            assert_int_equal(ss_optimizer_step(o, gs, 1, 0, &u, NULL), SS_OK);
            calm += u.staleness * u.staleness;
        }
        assert_true(fabs(sqrt(calm / 10000) - 1) < 0.1);
        const float large = 1e6f;

        /* from 0, so that the difference is not rounded away */
        assert_int_equal(ss_param_set(c, t.w, &(float){0}, NULL), SS_OK);
        assert_int_equal(ss_param_set(c, g, &large, NULL), SS_OK);
        assert_int_equal(ss_optimizer_step(o, gs, 1, 0, &u, NULL), SS_OK);
        values_of(c, t.w, &w);
        print_message("beta2 %g: update %.5f learning rates, staleness %.3f\n", opt.beta2,
                      u.update_rms, u.staleness);
        assert_true(fabs(u.update_rms / cases[i].peak - 1) < 1e-3);
        assert_true(w < 0);
        /* g^2 / v = 1 / (1 - beta2): the largest that the ratio can be */
        assert_true(fabs(u.staleness * sqrt(1 - opt.beta2) - 1) < 1e-3);
        ss_optimizer_free(o);
        ss_release(g);
        ss_release(t.w);
        ss_ctx_free(c);
    }
}

static void test_rates(void **state)
{
    (void)state;
    ss_optimizer_options o = ss_optimizer_defaults();

    o.lr = 2;
    o.warmup = 100;
    o.steps = 300;
    assert_true(ss_optimizer_rate(&o, 1) == 2 * 0.01);
    assert_true(ss_optimizer_rate(&o, 100) == 2 && ss_optimizer_rate(&o, 1000) == 2);
    o.rate = SS_RATE_LINEAR;
    assert_true(ss_optimizer_rate(&o, 100) == 2 && ss_optimizer_rate(&o, 150) == 1.5);
    assert_true(ss_optimizer_rate(&o, 300) == 0 && ss_optimizer_rate(&o, 400) == 0);
    o.rate = SS_RATE_COSINE;
    o.floor = 0.1;
    assert_true(ss_optimizer_rate(&o, 100) == 2);
    assert_true(fabs(ss_optimizer_rate(&o, 200) - 1) < 1e-12);
    assert_true(fabs(ss_optimizer_rate(&o, 150) - (1 + sqrt(0.5))) < 1e-12);
    assert_true(ss_optimizer_rate(&o, 300) == 0.2);

    o.ema_decay = 0.999;
    assert_true(ss_optimizer_ema_decay(&o, 1) == 0);
    assert_true(fabs(ss_optimizer_ema_decay(&o, 2) - 2. / 11) < 1e-12);
    assert_true(ss_optimizer_ema_decay(&o, 100000) == 0.999);
    o.ema_warmup = SS_EMA_EDM;
    assert_true(fabs(ss_optimizer_ema_decay(&o, 20) - 0.5) < 1e-12); /* half-life 1 */
    assert_true(ss_optimizer_ema_decay(&o, 100000) == 0.999);
    o.ema_warmup = SS_EMA_CONSTANT;
    assert_true(ss_optimizer_ema_decay(&o, 1) == 0.999);
}

/* Tensors larger than a block of the sums. */
enum { BIG = 10000, SMALL = 33 };

typedef struct {
    ss_ctx *c;
    ss_trained t[2];
    ss_optimizer *o;
    ss_update u[2];
    double norm;
    float w[BIG + SMALL], ema[BIG + SMALL];
} trainee;

static void begin(trainee *a, int threads, ss_optimizer_kind kind)
{
    ss_optimizer_options opt = options(kind, 0.01, 0.01);

    opt.clip = 3;
    opt.ema_decay = 0.9;
    opt.warmup = 5;
    ss_rng_normals(ss_rng_stream(1, "weights", 0, 0), 0, a->w, BIG + SMALL);
    a->c = context(threads);
    a->t[0] = (ss_trained){"big", ss_param(a->c, SS_F32, ss_shape_of(BIG), a->w), 0};
    a->t[1] = (ss_trained){"small", ss_param(a->c, SS_F32, ss_shape_of(SMALL), a->w + BIG), 11};
    a->o = make(a->c, &opt, a->t, 2);
}

static void end(trainee *a)
{
    ss_optimizer_free(a->o);
    ss_release(a->t[0].w);
    ss_release(a->t[1].w);
    assert_int_equal(ss_ctx_usage(a->c).live_bytes, 0);
    ss_ctx_free(a->c);
}

static void go(trainee *a, int from, int to)
{
    static float g[BIG + SMALL];

    for (int s = from; s < to; s++) {
        ss_rng_normals(ss_rng_stream(1, "gradients", (uint64_t)s, 0), 0, g, BIG + SMALL);
        a->norm = step(a->c, a->o, g, BIG, BIG + SMALL, 1, a->u);
    }
    for (int i = 0; i < 2; i++) {
        values_of(a->c, a->t[i].w, a->w + i * BIG);
        values_of(a->c, ss_optimizer_ema(a->o, (size_t)i), a->ema + i * BIG);
    }
}

static void assert_same(const trainee *a, const trainee *b)
{
    assert_memory_equal(a->w, b->w, sizeof a->w);
    assert_memory_equal(a->u, b->u, sizeof a->u);
    assert_memory_equal(a->ema, b->ema, sizeof a->ema);
    assert_true(a->norm == b->norm);
}

static void test_same_bits(void **state)
{
    (void)state;
    static trainee a, b;
    ss_err e = {0};

    for (int kind = 0; kind < SS_N_OPTIMIZERS; kind++) {
        begin(&a, 1, (ss_optimizer_kind)kind);
        begin(&b, 4, (ss_optimizer_kind)kind);
        go(&a, 0, 12);
        go(&b, 0, 12);
        assert_same(&a, &b);
        assert_true(fabs(a.norm - sqrt(BIG + SMALL)) < 3);
        assert_true(a.u[0].update_rms > 0 && a.u[1].weight_rms > 0.5);
        for (int row = 0; row < SMALL; row += 11) { /* kept at unit RMS */
            double sum = 0;

            for (int k = 0; k < 11; k++)
                sum += (double)a.w[BIG + row + k] * a.w[BIG + row + k];
            assert_true(fabs(sqrt(sum / 11) - 1) < 2e-4);
        }
        end(&b);

        /* cut off after 5 steps, and resumed */
        begin(&b, 1, (ss_optimizer_kind)kind);
        go(&b, 0, 5);
        assert_int_equal(ss_optimizer_save(b.o, in_tmp("state"), &e), SS_OK);
        end(&b);
        static float kept[BIG + SMALL];
        memcpy(kept, b.w, sizeof kept);
        begin(&b, 1, (ss_optimizer_kind)kind);
        assert_int_equal(ss_param_set(b.c, b.t[0].w, kept, &e), SS_OK);
        assert_int_equal(ss_param_set(b.c, b.t[1].w, kept + BIG, &e), SS_OK);
        if (ss_optimizer_load(b.o, in_tmp("state"), false, &e) != SS_OK)
            fail_msg("%s", e.msg);
        assert_int_equal(ss_optimizer_steps(b.o), 5);
        go(&b, 5, 12);
        assert_same(&a, &b);
        end(&b);
        end(&a);
    }
}

/* A tensor without a gradient has one of zeros. */
static void test_no_gradient(void **state)
{
    (void)state;
    static float zeros[BIG + SMALL];
    const ss_tensor *const none[] = {NULL, NULL};
    static trainee a, b;
    double norm = 1;

    for (int kind = 0; kind < SS_N_OPTIMIZERS; kind++) {
        begin(&a, 2, (ss_optimizer_kind)kind);
        begin(&b, 2, (ss_optimizer_kind)kind);
        go(&a, 0, 2);
        go(&b, 0, 2);
        a.norm = step(a.c, a.o, zeros, BIG, BIG + SMALL, 1, a.u);
        assert_int_equal(ss_optimizer_norm(b.o, none, &norm, NULL), SS_OK);
        assert_true(norm == 0 && a.norm == 0);
        assert_int_equal(ss_optimizer_step(b.o, none, 1, norm, b.u, NULL), SS_OK);
        go(&a, 3, 4);
        go(&b, 3, 4);
        assert_same(&a, &b);
        end(&b);
        end(&a);
    }
}

enum { N_SIZES = 6, LONGEST = 9001 };
static const int64_t sizes[N_SIZES] = {1, 7, 4096, 4097, LONGEST, 36};

/* Parameters of odd sizes on a device, and what is kept of them. */
typedef struct {
    ss_ctx *c;
    ss_tensor *gradient[N_SIZES];
    ss_step steps[N_SIZES];
    ss_step_sums sums[N_SIZES];
} stepped;

static ss_tensor *param_of(ss_ctx *c, uint64_t stream, int64_t n)
{
    static float values[LONGEST];
    ss_tensor *x = ss_param_full(c, ss_shape_of(n), 0);

    ss_rng_normals(ss_rng_stream(3, "step", stream, 0), 0, values, (size_t)n);
    for (int64_t i = 0; stream % 5 == 3 && i < n; i++) /* v */
        values[i] *= values[i];
    values[0] = 0;
    assert_int_equal(ss_param_set(c, x, values, NULL), SS_OK);
    return x;
}

static void stepped_new(stepped *s, const char *device, bool moments)
{
    const ss_ctx_options o = {.device = device, .threads = 1};

    *s = (stepped){0};
    assert_int_equal(ss_ctx_new(&o, &s->c, NULL), SS_OK);
    for (int i = 0; i < N_SIZES; i++) {
        ss_tensor *x[5];

        for (int k = 0; k < 5; k++)
            x[k] = param_of(s->c, (uint64_t)(5 * i + k), sizes[i]);
        s->gradient[i] = x[0];
        s->steps[i] = (ss_step){.gradient = i == 2 ? NULL : x[0],
                                .w = x[1],
                                .m = x[2],
                                .v = moments ? x[3] : NULL,
                                .ema = x[4],
                                .unit_row = i == 5 ? 9 : 0};
        if (!moments)
            ss_release(x[3]);
    }
}

static void stepped_free(stepped *s)
{
    for (int i = 0; i < N_SIZES; i++) {
        ss_release(s->gradient[i]);
        ss_release(s->steps[i].w);
        ss_release(s->steps[i].m);
        ss_release(s->steps[i].v);
        ss_release(s->steps[i].ema);
    }
    ss_ctx_free(s->c);
}

static void assert_same_bits(const stepped *a, const stepped *b, const ss_tensor *x,
                             const ss_tensor *y, int64_t n, bool exactly)
{
    static float values[2][LONGEST];

    if (!x)
        return;
    values_of(a->c, x, values[0]);
    values_of(b->c, y, values[1]);
    if (exactly)
        assert_memory_equal(values[0], values[1], (size_t)n * sizeof(float));
    assert_close("values", values[0], values[1], n, 0, 1.2e-7);
}

static void assert_sums(const ss_step_sums *got, const ss_step_sums *want)
{
    const double a[] = {got->g2, got->dw2, got->w2, got->stale};
    const double b[] = {want->g2, want->dw2, want->w2, want->stale};

    for (int k = 0; k < 4; k++)
        assert_true(fabs(a[k] - b[k]) <= (k < 3 ? 1e-12 : 1e-6) * b[k]);
}

/* The tensors of one call become what each becomes alone on the CPU, bit for bit; but for rows of
 * unit RMS, whose sum may have another order. */
static void test_all_at_once(void **state)
{
    (void)state;
    for (int kind = 0; kind < SS_N_OPTIMIZERS; kind++) {
        const ss_step_rule r = {.kind = (ss_optimizer_kind)kind,
                                .nesterov = true,
                                .scale = 0.7f,
                                .decay = 0.01f,
                                .keep = 0.99f,
                                .beta1 = 0.9f,
                                .rest1 = 0.1f,
                                .beta2 = 0.99f,
                                .rest2 = 0.01f,
                                .eps = 1e-8f,
                                .momentum = 0.9f,
                                .rate = 0.1f,
                                .rate1 = 0.2f,
                                .root2 = 0.3f,
                                .correction2 = 0.09,
                                .floor2 = 1e-16,
                                .ema_rest = 0.1f};
        const bool moments = kind == SS_OPTIMIZER_ADAM || kind == SS_OPTIMIZER_ADAMW;
        stepped a, b;
        double norm[2];

        stepped_new(&a, test_device(), moments);
        stepped_new(&b, NULL, moments);
        assert_int_equal(ss_param_step(a.c, a.steps, N_SIZES, &r, a.sums, NULL), SS_OK);
        for (int i = 0; i < N_SIZES; i++)
            assert_int_equal(ss_param_step(b.c, &b.steps[i], 1, &r, &b.sums[i], NULL), SS_OK);
        assert_int_equal(
            ss_sum_squares(a.c, (const ss_tensor *const *)a.gradient, N_SIZES, &norm[0], NULL),
            SS_OK);
        assert_int_equal(
            ss_sum_squares(b.c, (const ss_tensor *const *)b.gradient, N_SIZES, &norm[1], NULL),
            SS_OK);
        assert_int_equal(ss_ctx_finish(a.c, NULL), SS_OK);
        for (int i = 0; i < N_SIZES; i++) {
            const ss_step *x = &a.steps[i], *y = &b.steps[i];

            assert_same_bits(&a, &b, x->w, y->w, sizes[i], i != 5);
            assert_same_bits(&a, &b, x->m, y->m, sizes[i], true);
            assert_same_bits(&a, &b, x->v, y->v, sizes[i], true);
            assert_same_bits(&a, &b, x->ema, y->ema, sizes[i], true);
            assert_sums(&a.sums[i], &b.sums[i]);
        }
        assert_true(fabs(norm[0] - norm[1]) < 1e-12 * norm[1]);
        stepped_free(&a);
        stepped_free(&b);
    }
}

/* A step does not change what others hold, nor what a tape needs; where it refuses one of several,
 * it changes none. */
static void test_step_refusals(void **state)
{
    (void)state;
    ss_ctx *c = context(1);
    ss_tensor *own = ss_param_full(c, ss_shape_of(2), 1), *m = ss_param_full(c, ss_shape_of(2), 0);
    ss_tensor *other = ss_param_full(c, ss_shape_of(2), 1),
              *gradient = ss_full(c, ss_shape_of(2), 1);
    const ss_step_rule r = {.kind = SS_OPTIMIZER_SGD, .first = true, .scale = 1, .rate = 1};
    const ss_step both[] = {{.gradient = gradient, .w = other, .m = m},
                            {.gradient = gradient, .w = own, .m = m}};
    ss_tensor *view = ss_reshape(c, own, ss_shape_of(1, 2));
    float values[2];
    ss_err e = {0};

    assert_int_equal(ss_param_step(c, &both[1], 1, &r, NULL, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "do not own their memory"));
    assert_int_equal(ss_param_step(c, both, 2, &r, NULL, &e), SS_USAGE);
    values_of(c, other, values);
    assert_true(values[0] == 1);
    ss_release(view);
    assert_int_equal(ss_tape_begin(c, NULL, &e), SS_OK);
    assert_int_equal(ss_param_step(c, both, 2, &r, NULL, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "a tape records"));
    ss_tape_end(c);
    assert_int_equal(ss_param_step(c, both, 1, &r, NULL, &e), SS_OK);
    values_of(c, other, values);
    assert_true(values[0] == 0);
    ss_release(own);
    ss_release(other);
    ss_release(gradient);
    ss_release(m);
    ss_ctx_free(c);
}

static void test_refusals(void **state)
{
    (void)state;
    ss_optimizer_options o = ss_optimizer_defaults();
    static trainee a;
    float w = 0;
    ss_ctx *c = context(1);
    const ss_trained t = {"other", ss_param(c, SS_F32, ss_shape_of(1), &w), 0};
    ss_optimizer *other;
    ss_err e = {0};

    o.beta2 = 1;
    assert_int_equal(ss_optimizer_new(c, &o, NULL, 0, &other, &e), SS_USAGE);
    assert_string_equal(e.msg, "beta2 is 1; expected 0 or more, and less than 1");
    o = ss_optimizer_defaults();
    o.lr = NAN;
    assert_int_equal(ss_optimizer_check(&o, &e), SS_USAGE);
    assert_string_equal(e.msg, "lr is nan; expected a finite number, 0 or more");
    o = ss_optimizer_defaults();
    o.rate = SS_RATE_COSINE;
    assert_int_equal(ss_optimizer_check(&o, &e), SS_USAGE);
    assert_string_equal(e.msg, "steps is 0; expected more than the 0 of the warm-up");

    begin(&a, 1, SS_OPTIMIZER_ADAM);
    assert_int_equal(ss_optimizer_save(a.o, in_tmp("state"), &e), SS_OK);
    end(&a);
    begin(&a, 1, SS_OPTIMIZER_LION);
    assert_int_equal(ss_optimizer_load(a.o, in_tmp("state"), false, &e), SS_FORMAT);
    assert_non_null(strstr(e.msg, "of an optimiser 'adam', expected 'lion'"));
    end(&a);
    o = ss_optimizer_defaults();
    other = make(c, &o, &t, 1);
    assert_int_equal(ss_optimizer_load(other, in_tmp("state"), false, &e), SS_FORMAT);
    assert_non_null(strstr(e.msg, "has averages of weights (ema_decay), this training keeps none"));
    ss_optimizer_free(other);
    o.ema_decay = 0.9;
    other = make(c, &o, &t, 1);
    assert_int_equal(ss_optimizer_load(other, in_tmp("state"), false, &e), SS_FORMAT);
    assert_non_null(strstr(e.msg, "no tensor m.other"));
    assert_int_equal(ss_optimizer_load(other, "tests/golden/optimizers.safetensors", false, &e),
                     SS_FORMAT);
    assert_non_null(strstr(e.msg, "not the state of an optimiser"));
    ss_optimizer_free(other);
    ss_release(t.w);
    ss_ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches_pytorch), cmocka_unit_test(test_one_large_gradient),
        cmocka_unit_test(test_rates),           cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_no_gradient),     cmocka_unit_test(test_all_at_once),
        cmocka_unit_test(test_step_refusals),   cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
