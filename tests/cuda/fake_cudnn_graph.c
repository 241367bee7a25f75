/* fake_cudnn_graph.c - graphs that the fake cuDNN takes, and its engines for them (fake_cudnn.h) */
#include "tests/cuda/fake_cudnn.h"

#include <stdlib.h>
#include <string.h>

void ss_fake_check_tensor(const descriptor *d)
{
    int64_t dim[4], stride[4];

    for (int i = 0; i < 4; i++) {
        dim[i] = ss_fake_value(d, CUDNN_ATTR_TENSOR_DIMENSIONS, i);
        stride[i] = ss_fake_value(d, CUDNN_ATTR_TENSOR_STRIDES, i);
        if (dim[i] <= 0)
            ss_fake_refuse("a tensor with a dimension of %lld", (long long)dim[i]);
    }
    if (stride[1] != 1 || stride[3] != dim[1] || stride[2] != dim[3] * dim[1] ||
        stride[0] != dim[2] * dim[3] * dim[1])
        ss_fake_refuse("strides %lld %lld %lld %lld are not those of channels innermost",
                       (long long)stride[0], (long long)stride[1], (long long)stride[2],
                       (long long)stride[3]);
    const int64_t align = ss_fake_value(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 0);
    if (align != 4 && align != 8 && align != 16)
        ss_fake_refuse("an alignment of %lld", (long long)align);
    if (ss_fake_value(d, CUDNN_ATTR_TENSOR_DATA_TYPE, 0) != CUDNN_DATA_FLOAT ||
        !ss_fake_value(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, 0))
        ss_fake_refuse("a tensor that is not f32, or has no id");
}

void ss_fake_check_convolution(const descriptor *d)
{
    if (ss_fake_value(d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 0) != 2 ||
        ss_fake_value(d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, 0) != CUDNN_DATA_FLOAT ||
        ss_fake_value(d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, 0) != CUDNN_CROSS_CORRELATION)
        ss_fake_refuse("a convolution that is not two-dimensional cross-correlation in f32");
    for (int i = 0; i < 2; i++)
        if (ss_fake_value(d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, i) < 0 ||
            ss_fake_value(d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, i) < 0 ||
            ss_fake_value(d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, i) < 1 ||
            ss_fake_value(d, CUDNN_ATTR_CONVOLUTION_DILATIONS, i) != 1)
            ss_fake_refuse("a convolution with a padding below 0, a stride below 1 or dilation");
}

/* ---- graph to convolution ---- */

typedef struct {
    cudnnBackendDescriptorType_t operation;
    cudnnBackendAttributeName_t x, w, y, how, alpha, beta;
} names;

#define NAMES(d, p, dx, dw, dy)                               \
    {                                                         \
        CUDNN_BACKEND_OPERATION_CONVOLUTION_##d##_DESCRIPTOR, \
            CUDNN_ATTR_OPERATION_CONVOLUTION_##p##_##dx,      \
            CUDNN_ATTR_OPERATION_CONVOLUTION_##p##_##dw,      \
            CUDNN_ATTR_OPERATION_CONVOLUTION_##p##_##dy,      \
            CUDNN_ATTR_OPERATION_CONVOLUTION_##p##_CONV_DESC, \
            CUDNN_ATTR_OPERATION_CONVOLUTION_##p##_ALPHA,     \
            CUDNN_ATTR_OPERATION_CONVOLUTION_##p##_BETA       \
    }

static const names operations[] = {[FORWARD] = NAMES(FORWARD, FORWARD, X, W, Y),
                                   [DATA] = NAMES(BACKWARD_DATA, BWD_DATA, DX, W, DY),
                                   [FILTER] = NAMES(BACKWARD_FILTER, BWD_FILTER, X, DW, DY)};

static int64_t id_of(const descriptor *t)
{
    return ss_fake_value(t, CUDNN_ATTR_TENSOR_UNIQUE_ID, 0);
}

static bool is_virtual(const descriptor *t)
{
    return ss_fake_value(t, CUDNN_ATTR_TENSOR_IS_VIRTUAL, 0) & 1;
}

static int64_t dim_of(const descriptor *t, int i)
{
    return ss_fake_value(t, CUDNN_ATTR_TENSOR_DIMENSIONS, i);
}

static float scalar(const descriptor *d, cudnnBackendAttributeName_t name)
{
    const int64_t bits = ss_fake_value(d, name, 0);
    float v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

static void check_sizes(const convolution *c)
{
    if (c->x[0] != c->y[0] || c->x[1] != c->w[1] || c->y[1] != c->w[0])
        ss_fake_refuse("x, w and y of a convolution have other samples or channels");
    for (int i = 0; i < 2; i++) {
        const int64_t space = c->x[2 + i] + c->before[i] + c->after[i] - c->w[2 + i];

        if (space < 0 || space / c->stride[i] + 1 != c->y[2 + i])
            ss_fake_refuse("a convolution of %lld by %lld with paddings %lld and %lld and stride "
                           "%lld does not give %lld",
                           (long long)c->x[2 + i], (long long)c->w[2 + i], (long long)c->before[i],
                           (long long)c->after[i], (long long)c->stride[i], (long long)c->y[2 + i]);
    }
}

/* Sets what the bias is, and the id of the sum with it. */
static void add_bias(convolution *c, const descriptor *d, const descriptor *y)
{
    const descriptor *how = ss_fake_named(d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, 0);
    const descriptor *x = ss_fake_named(d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, 0);
    const descriptor *bias = ss_fake_named(d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, 0);
    const descriptor *sum = ss_fake_named(d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, 0);

    if (d->type != CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR || c->direction != FORWARD ||
        ss_fake_value(how, CUDNN_ATTR_POINTWISE_MODE, 0) != CUDNN_POINTWISE_ADD ||
        ss_fake_value(how, CUDNN_ATTR_POINTWISE_MATH_PREC, 0) != CUDNN_DATA_FLOAT)
        ss_fake_refuse("a graph that is no convolution with a bias");
    if (x != y || !is_virtual(y) || is_virtual(sum) || is_virtual(bias))
        ss_fake_refuse("what the bias is added to is not virtual, or something else is");
    for (int i = 0; i < 4; i++)
        if (dim_of(sum, i) != c->y[i] || dim_of(bias, i) != (i == 1 ? c->y[1] : 1))
            ss_fake_refuse("a bias, or the sum with it, of another size");
    c->id_bias = id_of(bias);
    c->id_y = id_of(sum);
}

static void check_ids(const convolution *c, const descriptor *y)
{
    const int64_t id[] = {c->id_x, c->id_w, c->id_y, c->id_bias, c->id_bias ? id_of(y) : -1};

    for (int i = 0; i < 5; i++)
        for (int k = 0; k < i; k++)
            if (id[i] == id[k])
                ss_fake_refuse("two tensors of a graph have the id %lld", (long long)id[i]);
}

convolution ss_fake_convolution(const descriptor *graph)
{
    const descriptor *op = ss_fake_named(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, 0);
    convolution c = {0};
    int k = 0;

    while (k < 3 && operations[k].operation != op->type)
        k++;
    if (k == 3)
        ss_fake_refuse("a graph that does not begin with a convolution");
    const names *a = &operations[k];
    const descriptor *x = ss_fake_named(op, a->x, 0), *w = ss_fake_named(op, a->w, 0);
    const descriptor *y = ss_fake_named(op, a->y, 0), *how = ss_fake_named(op, a->how, 0);
    const bool bias = ss_fake_value(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, 1) != 0;

    c.accumulate = scalar(op, a->beta) == 1;
    if (scalar(op, a->alpha) != 1 || (!c.accumulate && scalar(op, a->beta) != 0))
        ss_fake_refuse("a convolution with factors other than 1 and 0");
    c.direction = (direction)k;
    if (c.accumulate && c.direction != FILTER)
        ss_fake_refuse("only gradients of weights are added to what is there");
    for (int i = 0; i < 4; i++) {
        c.x[i] = dim_of(x, i);
        c.w[i] = dim_of(w, i);
        c.y[i] = dim_of(y, i);
    }
    for (int i = 0; i < 2; i++) {
        c.stride[i] = ss_fake_value(how, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, i);
        c.before[i] = ss_fake_value(how, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, i);
        c.after[i] = ss_fake_value(how, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, i);
    }
    check_sizes(&c);
    c.align = ss_fake_value(x, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 0);
    c.id_x = id_of(x);
    c.id_w = id_of(w);
    c.id_y = id_of(y);
    if (is_virtual(x) || is_virtual(w) || is_virtual(y) != bias)
        ss_fake_refuse("a tensor of a convolution that is virtual, or that should be");
    if (bias)
        add_bias(&c, ss_fake_named(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, 1), y);
    check_ids(&c, y);
    return c;
}

/* ---- engines ---- */

#define NOTE(name) (1u << CUDNN_NUMERICAL_NOTE_##name)

/* Those that mode A lists, as the real one does: what is fast first, whatever it rounds. */
static const engine of_mode_a[] = {
    {.index = 67, .numerical = NOTE(TENSOR_CORE), .work = 256},
    {.index = 41, .numerical = NOTE(TENSOR_CORE) | NOTE(DOWN_CONVERT_INPUTS), .work = -1},
    {.index = 12, .numerical = NOTE(WINOGRAD) | NOTE(WINOGRAD_TILE_4x4), .work = 0},
    {.index = 25, .numerical = NOTE(NONDETERMINISTIC)},
    {.index = 4, .numerical = NOTE(FFT), .work = -1},
    {.index = 5, .numerical = NOTE(REDUCED_PRECISION_REDUCTION)},
    {.index = 80, .behavior = 1u << CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION},
    {.index = 30, .refuses = true},
    {.index = 2, .work = (int64_t)1 << 50},
    {.index = 70, .work = -1},
};
static const engine of_fallback[] = {
    {.index = 25, .numerical = NOTE(NONDETERMINISTIC)},
    {.index = 0, .numerical = NOTE(STRICT_NAN_PROP)},
};

int ss_fake_engines(const convolution *c, cudnnBackendHeurMode_t mode, const engine *of[16])
{
    const bool fallback = mode == CUDNN_HEUR_MODE_FALLBACK;
    const engine *list = fallback ? of_fallback : of_mode_a;
    int n =
        fallback ? sizeof of_fallback / sizeof *of_fallback : sizeof of_mode_a / sizeof *of_mode_a;

    if (!fallback && mode != CUDNN_HEUR_MODE_A)
        ss_fake_refuse("mode %d of the heuristics", (int)mode);
    if (getenv("SIGMASCOPE_CUDA_NO_ENGINES"))
        return 0;
    /* mode A has no exact engine where the paddings differ and the stride is above 1 */
    if (!fallback && c->stride[0] > 1 && c->before[0] != c->after[0])
        n--;
    for (int i = 0; i < n; i++)
        of[i] = &list[i];
    return n;
}

int64_t ss_fake_work_bytes(const descriptor *plan)
{
    const convolution *c = &plan->conv;

    if (plan->engine->work >= 0)
        return plan->engine->work;
    return 4 * (c->x[0] * c->x[1] * c->x[2] * c->x[3] + c->y[0] * c->y[1] * c->y[2] * c->y[3]) + 16;
}
