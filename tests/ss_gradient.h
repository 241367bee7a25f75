/* ss_gradient.h - a context with one module, and gradients out of it */
#ifndef SS_TESTS_SS_GRADIENT_H
#define SS_TESTS_SS_GRADIENT_H

#include "kernels/context.h"
#include "kernels/hooks.h"
#include "kernels/ops.h"
#include "kernels/tape.h"
#include "tests/ss_test.h"

static const ss_module module = {.path = "m", .kind = "Test", .parent = -1, .block = true};

static inline ss_ctx *context(int threads)
{
    ss_ctx *c;
    ss_err e = {0};

    if (ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = threads}, &c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return c;
}

static inline void set_up(ss_ctx *c, const char *intervention, const ss_precision *p)
{
    ss_intervention change;
    ss_err e = {0};
    ss_setup setup = {.modules = (const ss_module *[]){&module}, .n_modules = 1, .precision = p};

    if (intervention) {
        assert_int_equal(ss_intervention_parse(intervention, &change, &e), SS_OK);
        setup.interventions = &change;
        setup.n_interventions = 1;
    }
    if (ss_ctx_setup(c, &setup, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

static inline void download(ss_ctx *c, const ss_tensor *x, float *to)
{
    assert_non_null(ss_tensor_gradient(x));
    assert_true(ss_shape_equal(ss_shape_get(x), ss_shape_get(ss_tensor_gradient(x))));
    assert_int_equal(ss_download(c, ss_tensor_gradient(x), to, NULL), SS_OK);
}

#endif
