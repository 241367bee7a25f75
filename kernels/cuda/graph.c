/* graph.c - see graph.h
 *
 * cuDNN names dimensions in the order N C H W, whatever lies where: strides say that channels are
 * innermost. Source: NVIDIA cuDNN, Backend API; cudnn_graph.h.
 */
#include "kernels/cuda/graph.h"

enum { ID_SUM = 's' }; /* of what the bias is added to */

static void fail(ss_cuda_descriptors *s, cudnnStatus_t r, const char *what)
{
    if (s->status == CUDNN_STATUS_SUCCESS && r != CUDNN_STATUS_SUCCESS) {
        s->status = r;
        s->what = what;
    }
}

cudnnBackendDescriptor_t ss_cuda_descriptor(ss_cuda_descriptors *s,
                                            cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t d;

    if (s->status == CUDNN_STATUS_SUCCESS)
        fail(s,
             s->n < SS_CUDA_MAX_DESCRIPTORS ? s->api->cudnnBackendCreateDescriptor(type, &d)
                                            : CUDNN_STATUS_INTERNAL_ERROR,
             "cudnnBackendCreateDescriptor");
    return s->status == CUDNN_STATUS_SUCCESS ? s->owned[s->n++] = d : NULL;
}

void ss_cuda_descriptor_set(ss_cuda_descriptors *s, cudnnBackendDescriptor_t d,
                            cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                            int64_t n, const void *values)
{
    if (s->status == CUDNN_STATUS_SUCCESS)
        fail(s, s->api->cudnnBackendSetAttribute(d, name, type, n, values),
             "cudnnBackendSetAttribute");
}

int64_t ss_cuda_descriptor_get(ss_cuda_descriptors *s, cudnnBackendDescriptor_t d,
                               cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                               int64_t room, void *values)
{
    int64_t n = 0;

    if (s->status == CUDNN_STATUS_SUCCESS)
        fail(s, s->api->cudnnBackendGetAttribute(d, name, type, room, &n, values),
             "cudnnBackendGetAttribute");
    return s->status != CUDNN_STATUS_SUCCESS ? 0 : room && n > room ? room : n;
}

void ss_cuda_descriptor_finalize(ss_cuda_descriptors *s, cudnnBackendDescriptor_t d)
{
    if (s->status == CUDNN_STATUS_SUCCESS)
        fail(s, s->api->cudnnBackendFinalize(d), "cudnnBackendFinalize");
}

void ss_cuda_descriptors_drop(ss_cuda_descriptors *s)
{
    while (s->n)
        s->api->cudnnBackendDestroyDescriptor(s->owned[--s->n]);
}

/* f32 with channels innermost. A virtual tensor passes from one operation to the next and has no
 * memory. */
static cudnnBackendDescriptor_t tensor(ss_cuda_descriptors *s, int64_t id, const int64_t dim[4],
                                       int64_t align, bool is_virtual)
{
    const int64_t c = dim[1], h = dim[2], w = dim[3], stride[] = {h * w * c, 1, w * c, c};
    const cudnnDataType_t f32 = CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t d = ss_cuda_descriptor(s, CUDNN_BACKEND_TENSOR_DESCRIPTOR);

    ss_cuda_descriptor_set(s, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &f32);
    ss_cuda_descriptor_set(s, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dim);
    ss_cuda_descriptor_set(s, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, stride);
    ss_cuda_descriptor_set(s, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
    ss_cuda_descriptor_set(s, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
    ss_cuda_descriptor_set(s, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    ss_cuda_descriptor_finalize(s, d);
    return d;
}

static cudnnBackendDescriptor_t convolution(ss_cuda_descriptors *s, const ss_cuda_conv *c)
{
    const int64_t dimensions = 2, stride[] = {c->stride, c->stride}, dilation[] = {1, 1};
    const int64_t before[] = {c->top, c->left}, after[] = {c->bottom, c->right};
    const cudnnDataType_t f32 = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    cudnnBackendDescriptor_t d = ss_cuda_descriptor(s, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);

    ss_cuda_descriptor_set(s, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1,
                           &dimensions);
    ss_cuda_descriptor_set(s, d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &f32);
    ss_cuda_descriptor_set(s, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1,
                           &mode);
    ss_cuda_descriptor_set(s, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, before);
    ss_cuda_descriptor_set(s, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, after);
    ss_cuda_descriptor_set(s, d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation);
    ss_cuda_descriptor_set(s, d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2,
                           stride);
    ss_cuda_descriptor_finalize(s, d);
    return d;
}

typedef struct {
    cudnnBackendDescriptorType_t operation;
    cudnnBackendAttributeName_t x, w, y, convolution, alpha, beta;
} names;

#define NAMES(operation, p, dx, dw, dy)                               \
    {                                                                 \
        CUDNN_BACKEND_OPERATION_CONVOLUTION_##operation##_DESCRIPTOR, \
            CUDNN_ATTR_OPERATION_CONVOLUTION_##p##_##dx,              \
            CUDNN_ATTR_OPERATION_CONVOLUTION_##p##_##dw,              \
            CUDNN_ATTR_OPERATION_CONVOLUTION_##p##_##dy,              \
            CUDNN_ATTR_OPERATION_CONVOLUTION_##p##_CONV_DESC,         \
            CUDNN_ATTR_OPERATION_CONVOLUTION_##p##_ALPHA,             \
            CUDNN_ATTR_OPERATION_CONVOLUTION_##p##_BETA               \
    }

/* y is 1 times the convolution plus 1 or 0 times what was there. */
static cudnnBackendDescriptor_t operation(ss_cuda_descriptors *s, const ss_cuda_conv *c,
                                          cudnnBackendDescriptor_t y)
{
    static const names of[] = {[SS_CUDA_FORWARD] = NAMES(FORWARD, FORWARD, X, W, Y),
                               [SS_CUDA_DATA] = NAMES(BACKWARD_DATA, BWD_DATA, DX, W, DY),
                               [SS_CUDA_FILTER] = NAMES(BACKWARD_FILTER, BWD_FILTER, X, DW, DY)};
    const names *a = &of[c->direction];
    const int64_t x_dim[] = {c->n, c->in, c->h, c->w}, w_dim[] = {c->out, c->in, c->kh, c->kw};
    const float one = 1, before = c->accumulate ? 1 : 0;
    cudnnBackendDescriptor_t x = tensor(s, SS_CUDA_ID_X, x_dim, c->align, false);
    cudnnBackendDescriptor_t w = tensor(s, SS_CUDA_ID_W, w_dim, c->align, false);
    cudnnBackendDescriptor_t how = convolution(s, c), d = ss_cuda_descriptor(s, a->operation);

    ss_cuda_descriptor_set(s, d, a->x, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x);
    ss_cuda_descriptor_set(s, d, a->w, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w);
    ss_cuda_descriptor_set(s, d, a->y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y);
    ss_cuda_descriptor_set(s, d, a->convolution, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &how);
    ss_cuda_descriptor_set(s, d, a->alpha, CUDNN_TYPE_FLOAT, 1, &one);
    ss_cuda_descriptor_set(s, d, a->beta, CUDNN_TYPE_FLOAT, 1, &before);
    ss_cuda_descriptor_finalize(s, d);
    return d;
}

/* z = y + bias of each channel. */
static cudnnBackendDescriptor_t add_bias(ss_cuda_descriptors *s, const ss_cuda_conv *c,
                                         cudnnBackendDescriptor_t y, cudnnBackendDescriptor_t z)
{
    const int64_t dim[] = {1, c->out, 1, 1};
    const cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
    const cudnnDataType_t f32 = CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t bias = tensor(s, SS_CUDA_ID_BIAS, dim, c->align, false);
    cudnnBackendDescriptor_t how = ss_cuda_descriptor(s, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);

    ss_cuda_descriptor_set(s, how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    ss_cuda_descriptor_set(s, how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &f32);
    ss_cuda_descriptor_finalize(s, how);

    cudnnBackendDescriptor_t d =
        ss_cuda_descriptor(s, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    ss_cuda_descriptor_set(s, d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR,
                           CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &how);
    ss_cuda_descriptor_set(s, d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC,
                           CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y);
    ss_cuda_descriptor_set(s, d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC,
                           CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &bias);
    ss_cuda_descriptor_set(s, d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC,
                           CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &z);
    ss_cuda_descriptor_finalize(s, d);
    return d;
}

cudnnBackendDescriptor_t ss_cuda_graph(ss_cuda_descriptors *s, const ss_cuda_conv *c,
                                       cudnnHandle_t handle)
{
    const int64_t dim[] = {c->n, c->out, c->out_h, c->out_w};
    cudnnBackendDescriptor_t y = tensor(s, SS_CUDA_ID_Y, dim, c->align, false);
    cudnnBackendDescriptor_t sum = c->bias ? tensor(s, ID_SUM, dim, c->align, true) : y;
    cudnnBackendDescriptor_t operations[2] = {operation(s, c, sum)};

    if (c->bias)
        operations[1] = add_bias(s, c, sum, y);
    cudnnBackendDescriptor_t graph = ss_cuda_descriptor(s, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    ss_cuda_descriptor_set(s, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                           c->bias ? 2 : 1, operations);
    if (handle)
        ss_cuda_descriptor_set(s, graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1,
                               &handle);
    ss_cuda_descriptor_finalize(s, graph);
    return s->status == CUDNN_STATUS_SUCCESS ? graph : NULL;
}
