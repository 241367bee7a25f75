/* fake_cudnn.c - libcudnn.so.9 of the emulated device (fake.h) */
#include "tests/cuda/fake.h"

#include <cudnn.h>
#include <stdio.h>
#include <stdlib.h>

struct cudnnContext {
    CUstream stream;
};

size_t cudnnGetVersion(void)
{
    return CUDNN_VERSION;
}

const char *cudnnGetErrorString(cudnnStatus_t s)
{
    return s == CUDNN_STATUS_SUCCESS         ? "CUDNN_STATUS_SUCCESS"
           : s == CUDNN_STATUS_ALLOC_FAILED  ? "CUDNN_STATUS_ALLOC_FAILED"
           : s == CUDNN_STATUS_NOT_SUPPORTED ? "CUDNN_STATUS_NOT_SUPPORTED"
                                             : "CUDNN_STATUS_INTERNAL_ERROR";
}

void cudnnGetLastErrorString(char *text, size_t size)
{
    snprintf(text, size, "%s", "");
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *out)
{
    if (ss_fake_fails(__func__))
        return CUDNN_STATUS_INTERNAL_ERROR;
    ss_fake_context(__func__);
    *out = calloc(1, sizeof **out);
    if (!*out)
        return CUDNN_STATUS_ALLOC_FAILED;
    ss_fake_made("cuDNN handles", 1);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t h)
{
    const bool fails = ss_fake_fails(__func__);

    ss_fake_context(__func__);
    free(h);
    ss_fake_made("cuDNN handles", -1);
    return fails ? CUDNN_STATUS_INTERNAL_ERROR : CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t h, cudaStream_t stream)
{
    if (ss_fake_fails(__func__))
        return CUDNN_STATUS_INTERNAL_ERROR;
    ss_fake_context(__func__);
    h->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t *d)
{
    (void)type, (void)d;
    return CUDNN_STATUS_NOT_SUPPORTED;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t d)
{
    (void)d;
    return CUDNN_STATUS_NOT_SUPPORTED;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t n,
                                       const void *values)
{
    (void)d, (void)name, (void)type, (void)n, (void)values;
    return CUDNN_STATUS_NOT_SUPPORTED;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const d,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t room, int64_t *n,
                                       void *values)
{
    (void)d, (void)name, (void)type, (void)room, (void)n, (void)values;
    return CUDNN_STATUS_NOT_SUPPORTED;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t d)
{
    (void)d;
    return CUDNN_STATUS_NOT_SUPPORTED;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t h, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t variants)
{
    (void)h, (void)plan, (void)variants;
    return CUDNN_STATUS_NOT_SUPPORTED;
}
