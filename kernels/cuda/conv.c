/* conv.c - convolutions and their gradients (cuda.h)
 *
 * cuDNN has them (plans.h), with the bias in the same graph: a pass over y less than PyTorch's. 1x1
 * ones of stride 1 are matrix products (matrix.h), and so are their gradients, which are those of
 * products as well. What no engine takes exactly, and what is empty, runs in kernels of our own
 * (conv.cu).
 *
 * Weights come as [out][in][kh][kw] and are kept beside them as [out][kh][kw][in], rounded, until
 * they change; both gradients use that form. Their gradient is turned back.
 */
#include "kernels/cuda/arithmetic.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/matrix.h"
#include "kernels/cuda/plans.h"

/* How far all pointers are aligned, as far as engines care. */
static int64_t alignment(const ss_cuda_pointers *p)
{
    const uintptr_t all = (uintptr_t)p->x | (uintptr_t)p->w | (uintptr_t)p->y | (uintptr_t)p->bias;

    return all % 16 == 0 ? 16 : all % 8 == 0 ? 8 : 4;
}

static ss_cuda_conv_sizes sizes(const ss_cuda_conv *c)
{
    return (ss_cuda_conv_sizes){.n = c->n,
                                .h = c->h,
                                .w = c->w,
                                .in = c->in,
                                .out_h = c->out_h,
                                .out_w = c->out_w,
                                .out = c->out,
                                .kh = c->kh,
                                .kw = c->kw,
                                .stride = c->stride,
                                .top = c->top,
                                .left = c->left};
}

/* Without cuDNN. */
static ss_code run_directly(ss_device *d, const ss_cuda_conv *c, const ss_cuda_pointers *p,
                            ss_err *e)
{
    const int64_t results[] = {[SS_CUDA_FORWARD] = c->n * c->out_h * c->out_w * c->out,
                               [SS_CUDA_DATA] = c->n * c->h * c->w * c->in,
                               [SS_CUDA_FILTER] = c->out * c->kh * c->kw * c->in};
    const ss_cuda_grid_size grid = ss_cuda_grid(d, results[c->direction], SS_THREADS_direct_data);

    switch ((ss_cuda_direction)c->direction) {
    case SS_CUDA_FORWARD:
        return SS_LAUNCH(d, e, direct_forward, grid, .x = p->x, .w = p->w, .bias = p->bias,
                         .y = p->y, .size = sizes(c));
    case SS_CUDA_DATA:
        return SS_LAUNCH(d, e, direct_data, grid, .dy = p->y, .w = p->w, .dx = p->x,
                         .size = sizes(c));
    case SS_CUDA_FILTER:
        return SS_LAUNCH(d, e, direct_filter, grid, .x = p->x, .dy = p->y, .dw = p->w,
                         .size = sizes(c), .accumulate = c->accumulate);
    case SS_CUDA_N_DIRECTIONS: break;
    }
    return SS_OK;
}

static ss_code execute(ss_device *d, const ss_cuda_plan *plan, ss_cuda_pointers at, ss_err *e)
{
    if (plan->work_bytes) {
        at.work = ss_cuda_work(d, plan->work_bytes, "work space of a convolution", e);
        if (!at.work)
            return e->code;
    }
    const ss_code rc = ss_cuda_plan_run(d->plans, plan, &at, e);
    ss_pool_free(&d->pool, at.work);
    return rc;
}

/* Runs a convolution by the first way that there is a plan and memory for. */
static ss_code run_part(ss_device *d, ss_cuda_conv *c, const ss_cuda_pointers *at, ss_err *e)
{
    c->align = alignment(at);
    for (int choice = 0; choice < SS_CUDA_N_PLANS; choice++) {
        const ss_cuda_plan *plan = NULL;
        ss_err why = {0};
        ss_code rc = ss_cuda_plans_find(d->plans, c, (ss_cuda_choice)choice, &plan, e);

        if (rc != SS_OK)
            return rc;
        rc = plan ? execute(d, plan, *at, &why) : SS_NOMEM;
        if (rc != SS_NOMEM)
            return rc == SS_OK ? rc : ss_fail(e, rc, "%s", why.msg);
    }
    return run_directly(d, c, at, e);
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Runs a convolution, some samples at a time where all have too many values for cuDNN. */
static ss_code run(ss_device *d, const ss_cuda_conv *c, const ss_cuda_pointers *at, ss_err *e)
{
    const int64_t x = c->h * c->w * c->in, y = c->out_h * c->out_w * c->out;
    const int64_t weights = c->out * c->kh * c->kw * c->in;
    ss_code rc = SS_OK;

    if (c->n * x * y == 0 || most(weights, most(x, y)) > d->most_values)
        return run_directly(d, c, at, e);
    const int64_t at_once = d->most_values / most(x, y);
    for (int64_t first = 0; first < c->n && rc == SS_OK; first += at_once) {
        ss_cuda_conv part = *c;
        ss_cuda_pointers p = *at;

        part.n = c->n - first < at_once ? c->n - first : at_once;
        part.accumulate = c->direction == SS_CUDA_FILTER && first > 0;
        p.x = (float *)at->x + first * x;
        p.y = (float *)at->y + first * y;
        rc = run_part(d, &part, &p, e);
    }
    return rc;
}

ss_code ss_cuda_conv2d(ss_device *d, const ss_conv2d_args *a, ss_err *e)
{
    const int64_t *x = a->x->shape.dim, *y = a->y->shape.dim, *w = a->w->shape.dim;
    const ss_conv2d_opt o = a->opt;
    const ss_format *f = a->weight_format;

    if (w[2] * w[3] == 1 && o.stride == 1 && !(o.top | o.left | o.bottom | o.right))
        return ss_cuda_linear(d,
                              &(ss_linear_args){.x = a->x,
                                                .w = a->w,
                                                .bias = a->bias,
                                                .rows = x[0] * x[1] * x[2],
                                                .in = x[3],
                                                .out = y[3],
                                                .weight_format = f,
                                                .y = a->y},
                              e);
    ss_cuda_pointers at = {.x = a->x->data, .y = a->y->data};
    const ss_cuda_conv c = {.direction = SS_CUDA_FORWARD,
                            .n = x[0],
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
                            .bias = a->bias != NULL,
                            .tensor = ss_cuda_on_tensor_cores(d, ss_cuda_numbers_of(a->x, NULL),
                                                              ss_cuda_numbers_of(a->w, f))};

    at.w = (void *)ss_cuda_param(d, a->w, SS_PREPARED_FORWARD, f, SS_CUDA_OHWI, e);
    if (!at.w || (a->bias &&
                  !(at.bias = ss_cuda_param(d, a->bias, SS_PREPARED_FORWARD, f, SS_CUDA_AS_IS, e))))
        return e->code;
    return run(d, &c, &at, e);
}

static ss_cuda_conv gradient_of(ss_cuda_direction direction, const ss_conv2d_gradient_args *a,
                                bool tensor)
{
    return (ss_cuda_conv){.direction = direction,
                          .n = a->n,
                          .h = a->h,
                          .w = a->width,
                          .in = a->in,
                          .out_h = a->out_h,
                          .out_w = a->out_w,
                          .out = a->out,
                          .kh = a->kh,
                          .kw = a->kw,
                          .stride = a->opt.stride,
                          .top = a->opt.top,
                          .left = a->opt.left,
                          .bottom = a->opt.bottom,
                          .right = a->opt.right,
                          .tensor = tensor};
}

ss_code ss_cuda_back_conv2d_data(ss_device *d, const ss_conv2d_gradient_args *a, ss_tensor *dx,
                                 ss_err *e)
{
    if (ss_cuda_is_product(a))
        return ss_cuda_product_data(d, a, dx, e);
    const ss_cuda_conv c =
        gradient_of(SS_CUDA_DATA, a,
                    ss_cuda_on_tensor_cores(d, ss_cuda_numbers_of(a->dy, NULL),
                                            ss_cuda_numbers_of(a->w, a->weight_format)));
    const ss_cuda_pointers at = {
        .x = dx->data,
        .w = (void *)ss_cuda_param(d, a->w, SS_PREPARED_FORWARD, a->weight_format, SS_CUDA_OHWI, e),
        .y = a->dy->data};

    return at.w ? run(d, &c, &at, e) : e->code;
}

ss_code ss_cuda_back_conv2d_weights(ss_device *d, const ss_conv2d_gradient_args *a, ss_tensor *dw,
                                    ss_err *e)
{
    if (ss_cuda_is_product(a))
        return ss_cuda_product_weights(d, a, dw, e);
    const int64_t taps = a->kh * a->kw;
    const ss_cuda_conv c = gradient_of(SS_CUDA_FILTER, a,
                                       ss_cuda_on_tensor_cores(d, ss_cuda_numbers_of(a->x, NULL),
                                                               ss_cuda_numbers_of(a->dy, NULL)));
    float *turned = taps == 1 ? dw->data
                              : ss_cuda_work(d, (size_t)(a->out * taps * a->in) * sizeof *turned,
                                             "a gradient of weights", e);

    if (!turned)
        return e->code;
    ss_code rc = run(d, &c, &(ss_cuda_pointers){.x = a->x->data, .w = turned, .y = a->dy->data}, e);
    if (taps == 1)
        return rc;
    if (rc == SS_OK)
        rc = ss_cuda_transpose(d, turned, dw->data, a->out, taps, a->in, NULL, e);
    ss_pool_free(&d->pool, turned);
    return rc;
}
