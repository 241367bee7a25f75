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

/* ---- activations ---- */

/* An input in fp16, as a linear layer leaves it. transformers' gelu_new has a pow, which autocast
 * computes in fp32; on the CPU it is on no list. */
static void test_activations_under_autocast(void **state)
{
    static const struct {
        ss_round_scope scope;
        ss_act act;
        bool rounded;
    } cases[] = {{SS_ROUND_AUTOCAST, SS_ACT_GELU_NEW, false},
                 {SS_ROUND_AUTOCAST, SS_ACT_GELU_TANH, true},
                 {SS_ROUND_AUTOCAST, SS_ACT_QUICK_GELU, true},
                 {SS_ROUND_AUTOCAST_CPU, SS_ACT_GELU_NEW, true},
                 {SS_ROUND_HALF, SS_ACT_GELU_NEW, true}};
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
        ss_set(&h, ss_activate(c, h, cases[k].act));
        assert_int_equal(ss_download(c, h, y, NULL), SS_OK);
        ss_release(ss_leave(c, &module, h));
        ss_format_parse("fp16", &f, NULL);
        for (int i = 0; i < 4; i++)
            rounded += y[i] == ss_format_round(&f, y[i]);
        assert_int_equal(rounded == 4, cases[k].rounded);
        ss_release(weights);
        ss_release(x);
        ss_ctx_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_activations_under_autocast),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
