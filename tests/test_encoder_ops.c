/* test_encoder_ops.c - what the operations of text encoders store under a precision policy
 *
 * Their values and gradients in f32 are in test_ops.c and test_gradients.c.
 */
#include "kernels/context.h"
#include "kernels/hooks.h"
#include "kernels/ops.h"
#include "tests/ss_isa.h"

static const ss_module module = {.path = "m", .kind = "M", .parent = -1};

/* A context where values of the module are rounded to the format as in this code. */
static ss_ctx *context(ss_round_scope scope, const char *format)
{
    const ss_module *const modules[] = {&module};
    ss_precision p = {.scope = scope};
    ss_ctx *c;
    ss_err e = {0};

    assert_int_equal(ss_format_parse(format, &p.format, &e), SS_OK);
    if (ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = 1}, &c, &e) != SS_OK ||
        ss_ctx_setup(c, &(ss_setup){.modules = modules, .n_modules = 1, .precision = &p}, &e) !=
            SS_OK)
        fail_msg("%s", e.msg);
    return c;
}

/* ---- autocast ---- */

static ss_tensor *gelu_new(ss_ctx *c, const ss_tensor *h)
{
    return ss_activate(c, h, SS_ACT_GELU_NEW);
}

static ss_tensor *gelu_tanh(ss_ctx *c, const ss_tensor *h)
{
    return ss_activate(c, h, SS_ACT_GELU_TANH);
}

static ss_tensor *quick_gelu(ss_ctx *c, const ss_tensor *h)
{
    return ss_activate(c, h, SS_ACT_QUICK_GELU);
}

static ss_tensor *rms_norm(ss_ctx *c, const ss_tensor *h)
{
    return ss_rms_norm(c, h, NULL, 1e-6F);
}

static ss_tensor *square(ss_ctx *c, const ss_tensor *h)
{
    return ss_multiply(c, h, h);
}

/* T5's gated feed-forward: act(a) b */
static ss_tensor *gated(ss_ctx *c, const ss_tensor *h)
{
    ss_tensor *act = gelu_new(c, h), *y = ss_multiply(c, act, h);

    ss_release(act);
    return y;
}

/* An operation of an input in fp16, as a linear layer leaves it. transformers' gelu_new has a pow,
 * which autocast computes in fp32; on the CPU it is on no list. T5LayerNorm casts to fp32 by
 * itself. A product is as wide as the wider factor. */
static void test_autocast(void **state)
{
    static const struct {
        ss_round_scope scope;
        ss_tensor *(*run)(ss_ctx *c, const ss_tensor *h);
        bool rounded;
    } cases[] = {{SS_ROUND_AUTOCAST, gelu_new, false},
                 {SS_ROUND_AUTOCAST, gelu_tanh, true},
                 {SS_ROUND_AUTOCAST, quick_gelu, true},
                 {SS_ROUND_AUTOCAST_CPU, gelu_new, true},
                 {SS_ROUND_HALF, gelu_new, true},
                 {SS_ROUND_AUTOCAST, rms_norm, false},
                 {SS_ROUND_AUTOCAST_CPU, rms_norm, false},
                 {SS_ROUND_HALF, rms_norm, true},
                 {SS_ROUND_AUTOCAST, square, true},
                 {SS_ROUND_AUTOCAST, gated, false},
                 {SS_ROUND_HALF, gated, true}};
    static const float one = 1, w[4] = {0.3F, -0.7F, 1.1F, 2.3F};

    (void)state;
    for (size_t k = 0; k < N_OF(cases); k++) {
        ss_ctx *c = context(cases[k].scope, "fp16");
        ss_format f;
        ss_tensor *x = ss_upload(c, ss_shape_of(1, 1), &one);
        ss_tensor *weights = ss_param(c, SS_F32, ss_shape_of(4, 1), w);
        int rounded = 0;
        float y[4];

        ss_enter(c, &module, x);
        ss_tensor *h = ss_linear(c, x, weights, NULL);
        ss_set(&h, cases[k].run(c, h));
        assert_int_equal(ss_download(c, h, y, NULL), SS_OK);
        ss_release(ss_leave(c, &module, h));
        ss_format_parse("fp16", &f, NULL);
        for (int i = 0; i < 4; i++)
            rounded += y[i] == ss_format_round(&f, y[i]);
        if ((rounded == 4) != cases[k].rounded)
            fail_msg("case %d: %d values are rounded", (int)k, rounded);
        ss_release(weights);
        ss_release(x);
        ss_ctx_free(c);
    }
}

/* ---- the range of f32 ---- */

/* Where PyTorch's sum of squares overflows nothing is left; without its norms all is right. */
static void test_huge_values_of_rms_norm(void **state)
{
    static const float x[6] = {1e30F, -1e30F, 1e30F, 2, -2, 2};
    const ss_precision torch = {.scope = SS_ROUND_HALF, .torch_norms = true};
    ss_ctx *c;
    float y[6];

    (void)state;
    for (int k = 0; k < 2; k++) {
        ss_setup s = {.precision = k ? &torch : NULL};

        assert_int_equal(ss_ctx_new(&(ss_ctx_options){.device = test_device()}, &c, NULL), SS_OK);
        assert_int_equal(ss_ctx_setup(c, &s, NULL), SS_OK);
        ss_tensor *in = ss_upload(c, ss_shape_of(2, 3), x), *out = ss_rms_norm(c, in, NULL, 0);
        assert_int_equal(ss_download(c, out, y, NULL), SS_OK);
        for (int i = 0; i < 3; i++) {
            assert_true(y[i] == (k ? 0 : y[3 + i]));
            assert_true(fabsf(y[3 + i] - (i == 1 ? -1 : 1)) < 1e-6F);
        }
        ss_release(in);
        ss_release(out);
        ss_ctx_free(c);
    }
}

/* ---- statistics of logits ---- */

static const ss_module logits = {
    .path = "m.logits", .kind = "logits", .id = 1, .inner = SS_INNER_LOGITS};
static const ss_module unscaled = {
    .path = "m.unscaled", .kind = "unscaled", .id = 2, .inner = SS_INNER_UNSCALED};

static bool wants(void *self, const ss_module *m, ss_port p)
{
    (void)self;
    return m->inner && p == SS_PORT_OUTPUT;
}

static void see_stats(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_stats *s,
                      int n)
{
    (void)c, (void)p;
    assert_int_equal(n, 1);
    ((ss_stats *)self)[m->id] = *s;
}

/* Logits of keys that are masked are not among those of the module, by whichever number; q.k is
 * stored of all. One that is large or not finite without a mask is. */
static void test_masked_logits(void **state)
{
    static const float masks[] = {-INFINITY, -3.4e38F, -65504};
    const ss_module *const modules[] = {&module, &logits, &unscaled};
    const float bad = INFINITY, x[3] = {1, 2, 300}; /* q.k: 1 2 300, 2 4 600, 300 600 90000 */

    (void)state;
    for (size_t k = 0; k < N_OF(masks) * 2; k++) {
        const bool with_bad = k >= N_OF(masks);
        const float no = masks[k % N_OF(masks)], add = with_bad ? bad : -2;
        const float bias[9] = {0, no, no, add, 0, no, 0, no, no};
        ss_stats s[3];
        const ss_hooks hooks = {.self = s, .wants = wants, .see_stats = see_stats};
        ss_ctx *c;
        ss_err e = {0};

        assert_int_equal(ss_ctx_new(&(ss_ctx_options){.device = test_device()}, &c, &e), SS_OK);
        assert_int_equal(
            ss_ctx_setup(c, &(ss_setup){.modules = modules, .n_modules = 3, .hooks = &hooks}, &e),
            SS_OK);
        ss_tensor *t = ss_upload(c, ss_shape_of(1, 3, 1), x);
        ss_tensor *b = ss_upload(c, ss_shape_of(1, 3, 3), bias);
        ss_enter(c, &module, t);
        ss_release(ss_leave(c, &module,
                            ss_attention(c, t, t, t, NULL,
                                         &(ss_attention_opt){.heads = 1,
                                                             .scale = 0.5F,
                                                             .bias = b,
                                                             .logits = &logits,
                                                             .unscaled = &unscaled})));
        assert_int_equal(ss_ctx_finish(c, &e), SS_OK);
        /* left: 0.5; 1 + add, 2; 150 */
        assert_true(s[1].max == 150 && s[1].absmax == 150);
        assert_true(s[1].min == (with_bad ? 0.5F : -1));
        assert_int_equal(s[1].nonfinite, with_bad);
        assert_true(s[2].min == 1 && s[2].max == 90000);
        assert_int_equal(s[2].nonfinite, 0);
        ss_release(t);
        ss_release(b);
        ss_ctx_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_autocast),
        cmocka_unit_test(test_huge_values_of_rms_norm),
        cmocka_unit_test(test_masked_logits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
