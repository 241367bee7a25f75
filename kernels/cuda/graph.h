/* graph.h - descriptors of cuDNN's backend, and a convolution as a graph of its operations; private
 * to kernels/cuda
 *
 *   ss_cuda_descriptors s = {.api = api};
 *   cudnnBackendDescriptor_t graph = ss_cuda_graph(&s, &problem, handle);
 *   if (s.status == CUDNN_STATUS_SUCCESS) ...
 *   ss_cuda_descriptors_drop(&s);
 */
#ifndef SS_KERNELS_CUDA_GRAPH_H
#define SS_KERNELS_CUDA_GRAPH_H

#include "kernels/cuda/api.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The result: of x [n][h][w][in], w [out][kh][kw][in] and y [n][out_h][out_w][out] it is y, the
 * gradient of x, or that of w. */
typedef enum {
    SS_CUDA_FORWARD,
    SS_CUDA_DATA,
    SS_CUDA_FILTER,
    SS_CUDA_N_DIRECTIONS
} ss_cuda_direction;

/* A convolution. All members are of one type, so that two are equal when their bytes are. */
typedef struct {
    int64_t direction; /* ss_cuda_direction */
    int64_t n, h, w, in, out_h, out_w, out, kh, kw;
    int64_t stride, top, left, bottom, right; /* paddings >= 0 */
    int64_t align;                            /* all pointers are multiples of it; 4, 8 or 16 */
    int64_t bias;                             /* 1: [out] is added to y */
    int64_t accumulate;                       /* 1: the result is added to what is there */
    int64_t tensor;                           /* 1: products may be of TF32 */
} ss_cuda_conv;

/* Names of the tensors in a graph. */
enum { SS_CUDA_ID_X = 'x', SS_CUDA_ID_W = 'w', SS_CUDA_ID_Y = 'y', SS_CUDA_ID_BIAS = 'b' };

/* Descriptors that are destroyed together. After the first failing call the others do nothing. */
enum { SS_CUDA_MAX_DESCRIPTORS = 256 };
typedef struct {
    const ss_cuda_api *api;
    cudnnStatus_t status; /* of the first failing call */
    const char *what;     /* its name */
    cudnnBackendDescriptor_t owned[SS_CUDA_MAX_DESCRIPTORS];
    size_t n;
} ss_cuda_descriptors;

/* A new descriptor of the set, or NULL. */
cudnnBackendDescriptor_t ss_cuda_descriptor(ss_cuda_descriptors *s,
                                            cudnnBackendDescriptorType_t type);
void ss_cuda_descriptor_set(ss_cuda_descriptors *s, cudnnBackendDescriptor_t d,
                            cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                            int64_t n, const void *values);
/* Reads up to `room` values; returns how many there are to be read, with room 0, or were. */
int64_t ss_cuda_descriptor_get(ss_cuda_descriptors *s, cudnnBackendDescriptor_t d,
                               cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                               int64_t room, void *values);
void ss_cuda_descriptor_finalize(ss_cuda_descriptors *s, cudnnBackendDescriptor_t d);
void ss_cuda_descriptors_drop(ss_cuda_descriptors *s);

/* The graph of a convolution, for a handle, or NULL for a described device. NULL on failure. */
cudnnBackendDescriptor_t ss_cuda_graph(ss_cuda_descriptors *s, const ss_cuda_conv *c,
                                       cudnnHandle_t handle);

#endif
