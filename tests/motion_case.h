/* motion_case.h - inputs and answers of the networks in tests/golden/motion (motion_net.py) */
#ifndef SS_MOTION_CASE_H
#define SS_MOTION_CASE_H

#include "kernels/context.h"
#include "tests/unet_case.h"

#define MOTION "tests/golden/motion"

/* A tensor [N,F,C,H,W] of a golden file as [N][F][H][W][C], and that shape. */
static inline float *golden_video(const ss_safetensors *f, const char *name, ss_shape *s)
{
    const ss_stored_tensor *t;
    float *x = golden(f, name, &t);

    if (!x)
        fail_msg("the golden file has no %s", name);
    *s = picture(t);
    return to_channels_last(x, t);
}

static inline double length_of(const float *x, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sqrt(sum);
}

/* |got - want| / |want| */
static inline double relative_error(const float *got, const float *want, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
    return sqrt(sum) / length_of(want, n);
}

static inline ss_ctx *motion_context(int threads)
{
    ss_ctx *c;
    ss_err e = {0};

    if (ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = threads}, &c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return c;
}

static inline ss_model *motion_model(const char *dir, ss_ctx *c)
{
    ss_model *m;
    ss_err e = {0};

    if (ss_model_open(dir, NULL, &m, &e) != SS_OK || ss_model_bind(m, c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return m;
}

/* The answer of a network, as the caller's numbers. */
static inline float *motion_answer(ss_ctx *c, ss_model *m, const sample *s)
{
    float *y = ss_alloc((size_t)ss_shape_numel(s->out_shape), sizeof *y);
    ss_err e = {0};

    assert_non_null(y);
    ss_tensor *x = ss_upload(c, s->x_shape, s->x);
    ss_tensor *out = ss_model_forward(c, m, x, s->t, &s->cond);
    if (ss_ctx_finish(c, &e) != SS_OK || ss_download(c, out, y, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_release(x);
    ss_release(out);
    return y;
}

#endif
