/* param.c - parameters as the kernels read them: plain f32, in the order they want (cuda.h) */
#include "base/mem.h"
#include "kernels/cuda/cuda.h"

typedef struct {
    ss_format format; /* exp_bits are 0 where nothing is rounded */
    ss_cuda_order order;
    unsigned version; /* of the tensor's values */
    float *values;
} plain;

static bool is_rounded_alike(const plain *p, const ss_format *f)
{
    const ss_format *g = &p->format;

    if (!f || !g->exp_bits)
        return !f && !g->exp_bits;
    return g->exp_bits == f->exp_bits && g->man_bits == f->man_bits && g->saturate == f->saturate &&
           g->no_inf == f->no_inf;
}

static void plain_free(ss_device *d, void *form)
{
    plain *p = form;

    ss_pool_free(&d->pool, p->values);
    ss_free(p);
}

static int64_t inputs_of(const ss_tensor *w)
{
    return w->shape.rank > 1 ? w->shape.dim[1] : 1;
}

static int64_t taps_of(const ss_tensor *w)
{
    const int64_t columns = w->shape.dim[0] * inputs_of(w);

    return columns ? ss_shape_numel(w->shape) / columns : 1;
}

/* x [O][I][taps] -> y [O][taps][I], or as it is. */
static ss_code arrange(ss_device *d, const ss_tensor *w, const ss_format *f, ss_cuda_order order,
                       float *y, ss_err *e)
{
    const int64_t n = ss_shape_numel(w->shape), in = inputs_of(w), taps = taps_of(w);

    if (order == SS_CUDA_AS_IS)
        return ss_cuda_widen(d, w->data, w->dtype, f, y, n, e);
    if (w->dtype == SS_F32)
        return ss_cuda_transpose(d, w->data, y, w->shape.dim[0], in, taps, f, e);
    float *x = ss_cuda_work(d, (size_t)n * sizeof *x, "weights", e);
    if (!x)
        return e->code;
    ss_code rc = ss_cuda_widen(d, w->data, w->dtype, NULL, x, n, e);
    if (rc == SS_OK)
        rc = ss_cuda_transpose(d, x, y, w->shape.dim[0], in, taps, f, e);
    ss_pool_free(&d->pool, x);
    return rc;
}

const float *ss_cuda_param(ss_device *d, const ss_tensor *w, ss_use use, const ss_format *f,
                           ss_cuda_order order, ss_err *e)
{
    const size_t bytes = (size_t)ss_shape_numel(w->shape) * sizeof(float);
    plain *p = w->prepared[use].form;

    if (taps_of(w) == 1)
        order = SS_CUDA_AS_IS;
    if (w->dtype == SS_F32 && !f && order == SS_CUDA_AS_IS)
        return w->data;
    if (p && p->version == w->version && p->order == order && is_rounded_alike(p, f))
        return p->values;
    p = ss_calloc(1, sizeof *p);
    if (!p) {
        ss_no_memory(e, "a parameter's form");
        return NULL;
    }
    p->version = w->version;
    p->order = order;
    if (f)
        p->format = *f;
    p->values = ss_cuda_work(d, bytes, "weights as f32", e);
    if (!p->values || arrange(d, w, f, order, p->values, e) != SS_OK) {
        plain_free(d, p);
        return NULL;
    }
    ss_prepared_set(d, w, use, (ss_prepared){p, plain_free});
    return p->values;
}
