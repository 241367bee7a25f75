/* convolutions.h - which convolutions a network has: it is run on a device that computes nothing
 * and notes them
 *
 * The network's weights are never filled in: programs that include this are linked with
 * -Wl,--wrap=ss_init_fill.
 */
#ifndef SS_TESTS_CUDA_CONVOLUTIONS_H
#define SS_TESTS_CUDA_CONVOLUTIONS_H

#include "base/json.h"
#include "base/mem.h"
#include "kernels/cuda/graph.h"
#include "kernels/internal.h"
#include "models/model.h"
#include "tests/ss_test.h"

#include <jansson.h>

enum { MAX_CONVOLUTIONS = 512 };
typedef struct {
    ss_cuda_conv of[MAX_CONVOLUTIONS]; /* each once, in the forward direction */
    int n;
} convolutions;

static convolutions *noted;

static void note(convolutions *list, const ss_cuda_conv *c)
{
    for (int i = 0; i < list->n; i++)
        if (!memcmp(&list->of[i], c, sizeof *c))
            return;
    assert_true(list->n < MAX_CONVOLUTIONS);
    list->of[list->n++] = *c;
}

/* Products aside, which cuDNN does not see (kernels/cuda/conv.c). */
static ss_code note_conv2d(ss_device *d, const ss_conv2d_args *a, ss_err *e)
{
    const int64_t *x = a->x->shape.dim, *w = a->w->shape.dim, *y = a->y->shape.dim;
    const ss_conv2d_opt o = a->opt;

    (void)d, (void)e;
    if (w[2] * w[3] > 1 || o.stride > 1 || (o.top | o.left | o.bottom | o.right))
        note(noted, &(ss_cuda_conv){.n = x[0],
                                    .h = x[1],
                                    .w = x[2],
                                    .in = x[3],
                                    .out_h = y[1],
                                    .out_w = y[2],
                                    .out = y[3],
                                    .kh = w[2],
                                    .kw = w[3],
                                    .stride = o.stride,
                                    .top = o.top,
                                    .left = o.left,
                                    .bottom = o.bottom,
                                    .right = o.right,
                                    .align = 16,
                                    .bias = a->bias != NULL});
    return SS_OK;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"

#define X(name, params, args)                                             \
    static ss_code skip_##name(ss_device *d, SS_INSIDE params, ss_err *e) \
    {                                                                     \
        return SS_OK;                                                     \
    }
SS_ENTRIES(X)
#undef X

ss_code __wrap_ss_init_fill(const ss_init *init, const ss_module *m, const char *name,
                            ss_shape shape, int64_t fan_in, bool normalised, float *w, ss_err *e);
ss_code __wrap_ss_init_fill(const ss_init *init, const ss_module *m, const char *name,
                            ss_shape shape, int64_t fan_in, bool normalised, float *w, ss_err *e)
{
    return SS_OK;
}

static ss_code skip_open(int number, const ss_ctx_options *opt, ss_device **d, ss_err *e)
{
    return SS_OK;
}

static void skip_close(ss_device *d)
{
}

static const char *skip_describe(const ss_device *d)
{
    return "a device that computes nothing";
}

static ss_code skip_alloc(ss_device *d, size_t bytes, void **p, ss_err *e)
{
    static max_align_t nowhere;

    *p = &nowhere;
    return SS_OK;
}

static void skip_free(ss_device *d, void *p)
{
}

static ss_code skip_upload(ss_device *d, void *to, const void *host, size_t bytes, ss_err *e)
{
    return SS_OK;
}

static ss_code skip_adopt(ss_device *d, const void *host, size_t bytes, ss_buffer *b, ss_err *e)
{
    b->bytes = bytes;
    b->borrowed = true;
    b->data = (void *)host;
    return SS_OK;
}

static ss_code skip_finish(ss_device *d, ss_err *e)
{
    return SS_OK;
}

#pragma GCC diagnostic pop

/* Adds those of n samples through the network whose config.json is at path. */
static void note_network(convolutions *list, const char *path, int64_t n)
{
    ss_backend be = {.open = skip_open,
                     .close = skip_close,
                     .describe = skip_describe,
                     .alloc = skip_alloc,
                     .free = skip_free,
                     .upload = skip_upload,
                     .adopt = skip_adopt,
                     .finish = skip_finish};
    enum { TOKENS = 77, TIME_IDS = 6 };
    json_t *config = json_load_file(path, 0, NULL);
    const ss_init init = {0};
    ss_model *m;
    ss_ctx *c;
    ss_err e = {0};

#define X(name, params, args) be.name = skip_##name;
    SS_ENTRIES(X)
#undef X
    be.conv2d = note_conv2d;
    noted = list;
    assert_non_null(config);
    if (ss_ctx_new_on(&be, 0, &(ss_ctx_options){0}, &c, &e) != SS_OK ||
        ss_model_create(config, path, &init, &m, &e) != SS_OK || ss_model_bind(m, c, &e) != SS_OK)
        fail_msg("%s", e.msg);

    const ss_network_info *net = &ss_model_about(m)->net;
    const int64_t width = net->needs.text_width, added = net->needs.added_width;
    const int64_t ids = net->needs.time_id_width ? TIME_IDS : 0;
    float *zeros = ss_calloc((size_t)(n * (TOKENS * width + added + TIME_IDS)) + 1, sizeof *zeros);
    const ss_condition cond = {.encoder_hidden_states = width ? zeros : NULL,
                               .tokens = TOKENS,
                               .width = width,
                               .text_embeds = ids ? zeros : NULL,
                               .text_width = added - ids * net->needs.time_id_width,
                               .time_ids = ids ? zeros : NULL,
                               .n_time_ids = ids};
    ss_tensor *x =
        ss_upload(c, ss_shape_of(n, net->sample_h, net->sample_w, net->in_channels), zeros);
    ss_tensor *y = ss_model_forward(c, m, x, zeros, &cond);

    if (ss_ctx_finish(c, &e) != SS_OK)
        fail_msg("%s: %s", path, e.msg);
    ss_release(y);
    ss_release(x);
    ss_free(zeros);
    ss_model_close(m);
    ss_ctx_free(c);
    json_decref(config);
}

#endif
