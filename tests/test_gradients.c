/* test_gradients.c - the gradient of every operation against float64 finite differences
 *
 * A case (gradient_cases.h) is an operation with operands of random values and a plain double
 * implementation of it. For L = sum r y with random r, the gradient of L with respect to each value
 * of each operand is compared, signed and one by one, with the central difference
 * (L(x + h) - L(x - h)) / 2h of the double implementation, h = 1e-5 (its own error is some
 * 1e-9). Worst difference seen, relative to the operand's RMS gradient, on any instruction set:
 * 2.3e-6 (attention of one head of width 33). test_tape.c has the laws of the tape.
 */
#include "base/rng.h"
#include "tests/gradient_cases.h"
#include "tests/ss_isa.h"

#include <stdio.h>

/* Values of an operand, exact in f32, one array a tensor; rand[MAX_IN] is r. */
typedef struct {
    float f[MAX_IN + 1][MAX_VALUES];
    double d[MAX_IN + 1][MAX_VALUES];
    int64_t n[MAX_IN + 1];
    double want[MAX_IN][MAX_VALUES]; /* the gradients by finite differences */
    double rms[MAX_IN];
} values;

static void draw(const gradient_case *g, values *v)
{
    for (int k = 0; k <= MAX_IN; k++) {
        const ss_shape s = k < MAX_IN ? g->in[k] : g->out;

        v->n[k] = s.rank ? ss_shape_numel(s) : 0;
        assert_true(v->n[k] <= MAX_VALUES);
        ss_rng_normals(ss_rng_stream(7, g->name, (uint64_t)k, 0), 0, v->f[k], (size_t)v->n[k]);
        for (int64_t i = 0; i < v->n[k]; i++)
            v->d[k][i] = v->f[k][i];
    }
}

static double loss(const gradient_case *g, values *v)
{
    static double y[MAX_VALUES];
    double *x[MAX_IN], sum = 0;

    for (int k = 0; k < MAX_IN; k++)
        x[k] = v->n[k] ? v->d[k] : NULL;
    g->ref(g, x, y);
    for (int64_t i = 0; i < v->n[MAX_IN]; i++)
        sum += y[i] * v->d[MAX_IN][i];
    return sum;
}

static void differentiate(const gradient_case *g, values *v)
{
    const double h = 1e-5;

    for (int k = 0; k < MAX_IN; k++) {
        double sum = 0;

        for (int64_t i = 0; i < v->n[k]; i++) {
            const double x = v->d[k][i];

            v->d[k][i] = x + h;
            const double above = loss(g, v);
            v->d[k][i] = x - h;
            v->want[k][i] = (above - loss(g, v)) / (2 * h);
            v->d[k][i] = x;
            sum += v->want[k][i] * v->want[k][i];
        }
        v->rms[k] = v->n[k] ? sqrt(sum / (double)v->n[k]) : 0;
    }
}

static void upload(ss_ctx *c, const gradient_case *g, const values *v, unsigned frozen,
                   ss_tensor *x[MAX_IN])
{
    for (int k = 0; k < MAX_IN; k++) {
        x[k] = v->n[k] ? ss_upload(c, g->in[k], v->f[k]) : NULL;
        ss_tensor_want_gradient(x[k], !((frozen | g->constant) >> k & 1));
    }
}

static void backward(ss_ctx *c, const gradient_case *g, const values *v, ss_tensor *x[MAX_IN],
                     bool again)
{
    ss_err e = {0};
    ss_tensor *r = ss_upload(c, g->out, v->f[MAX_IN]);

    assert_int_equal(ss_tape_begin(c, &(ss_tape_options){.recompute = again}, &e), SS_OK);
    ss_tensor *y = g->run(c, g, x);
    if (ss_ctx_check(c, &e) != SS_OK)
        fail_msg("%s: %s", g->name, e.msg);
    assert_true(ss_shape_equal(ss_shape_get(y), g->out));
    ss_tape_seed(c, y, r, 1);
    ss_release(y);
    if (ss_tape_backward(c, &e) != SS_OK)
        fail_msg("%s: %s", g->name, e.msg);
    ss_release(r);
}

static double worst;
static char worst_case[64];

/* Each gradient is `times` what finite differences say. */
static void compare(ss_ctx *c, const gradient_case *g, const values *v, ss_tensor *x[MAX_IN],
                    double times)
{
    static float got[MAX_VALUES];

    for (int k = 0; k < MAX_IN; k++) {
        if (!v->n[k] || g->constant >> k & 1)
            continue;
        download(c, x[k], got);
        for (int64_t i = 0; i < v->n[k]; i++) {
            const double d = fabs(got[i] - times * v->want[k][i]);
            const double relative = d / (times * (v->rms[k] + 1e-3));

            if (relative > worst) {
                worst = relative;
                snprintf(worst_case, sizeof worst_case, "%s, operand %d", g->name, k);
            }
            if (!(relative <= 1e-5))
                fail_msg("%s: operand %d, [%lld]: gradient %.9g, finite difference %.9g", g->name,
                         k, (long long)i, got[i], times * v->want[k][i]);
        }
    }
}

static void release(ss_tensor *x[MAX_IN])
{
    for (int k = 0; k < MAX_IN; k++)
        ss_release(x[k]);
}

static gradient_case cases[MAX_CASES];
static size_t n_cases;
static values val;

static void run_all(int threads)
{
    worst = 0;
    for (size_t i = 0; i < n_cases; i++) {
        ss_ctx *c = context(threads);
        ss_tensor *x[MAX_IN];

        draw(&cases[i], &val);
        differentiate(&cases[i], &val);
        set_up(c, cases[i].intervention, NULL);
        upload(c, &cases[i], &val, 0, x);
        backward(c, &cases[i], &val, x, false);
        compare(c, &cases[i], &val, x, 1);
        backward(c, &cases[i], &val, x, false); /* adds */
        compare(c, &cases[i], &val, x, 2);
        for (int k = 0; k < MAX_IN; k++)
            ss_tensor_zero_gradient(x[k]);
        backward(c, &cases[i], &val, x, true); /* each module's inside once more */
        compare(c, &cases[i], &val, x, 1);
        release(x);
        assert_int_equal(ss_ctx_usage(c).live_bytes, 0);
        ss_ctx_free(c);
    }
    printf("worst: %.2g of the RMS (%s)\n", worst, worst_case);
}

static void test_finite_differences(void **state)
{
    use_isa(*state);
    run_all(1);
}

/* Freezing an operand leaves it without a gradient and changes no bit of the others'. */
static void test_frozen(void **state)
{
    static float got[MAX_VALUES], all[MAX_IN][MAX_VALUES];

    (void)state;
    for (size_t i = 0; i < n_cases; i++) {
        const gradient_case *g = &cases[i];
        ss_ctx *c = context(1);
        ss_tensor *x[MAX_IN];
        unsigned there = 0;

        draw(g, &val);
        set_up(c, g->intervention, NULL);
        upload(c, g, &val, 0, x);
        backward(c, g, &val, x, false);
        for (int k = 0; k < MAX_IN; k++) {
            if (!val.n[k] || g->constant >> k & 1)
                continue;
            there |= 1u << k;
            download(c, x[k], all[k]);
        }
        release(x);
        for (int k = 0; k < MAX_IN; k++) {
            if (!(there >> k & 1) || there == 1u << k)
                continue;
            upload(c, g, &val, 1u << k, x);
            backward(c, g, &val, x, false);
            assert_null(ss_tensor_gradient(x[k]));
            for (int j = 0; j < MAX_IN; j++) {
                if (j == k || !(there >> j & 1))
                    continue;
                download(c, x[j], got);
                assert_memory_equal(got, all[j], (size_t)val.n[j] * sizeof *got);
            }
            release(x);
        }
        ss_ctx_free(c);
    }
}

/* The slope at NaN is NaN; that of max(x, 0) and of the identity is 1, as in PyTorch. */
static void test_slopes_at_nan(void **state)
{
    static const float host[] = {NAN, 1, -1, -NAN, 2, NAN, 3}, ones[] = {1, 1, 1, 1, 1, 1, 1};

    use_isa(*state);
    for (int act = 0; act < SS_N_ACTS; act++) {
        const bool one = act == SS_ACT_RELU || act == SS_ACT_NONE;
        ss_ctx *c = context(1);
        ss_tensor *x = ss_upload(c, ss_shape_of(7), host), *dy = ss_upload(c, ss_shape_of(7), ones);
        float got[7];

        set_up(c, NULL, NULL);
        ss_tensor_want_gradient(x, true);
        assert_int_equal(ss_tape_begin(c, NULL, NULL), SS_OK);
        ss_tensor *y = ss_activate(c, x, (ss_act)act);
        ss_tape_seed(c, y, dy, 1);
        assert_int_equal(ss_tape_backward(c, NULL), SS_OK);
        download(c, x, got);
        for (int k = 0; k < 7; k++)
            assert_true(isnan(host[k]) && !one ? isnan(got[k]) : isfinite(got[k]));
        assert_true(!one || (got[0] == 1 && got[3] == 1));
        ss_release(x);
        ss_release(y);
        ss_release(dy);
        ss_ctx_free(c);
    }
}

static int setup(void **state)
{
    (void)state;
    n_cases = make_cases(cases);
    return n_cases <= MAX_CASES ? 0 : 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ISA_TESTS(test_finite_differences),
        ISA_TESTS(test_slopes_at_nan),
        cmocka_unit_test(test_frozen),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
