/* api.h - the functions of NVIDIA's driver, cuBLAS and cuDNN, opened at run time; private to
 * kernels/cuda
 *
 *   const ss_cuda_api *api;
 *   if (ss_cuda_api_open(&api, e) == SS_OK)
 *       api->cuInit(0);
 *
 * One binary serves machines with and without a GPU: nothing of NVIDIA's is linked. Types come from
 * NVIDIA's own headers, so a call that does not fit does not compile. Names pass through the
 * headers' macros (cuMemAlloc is cuMemAlloc_v2).
 *
 * Libraries are looked for in the folder SIGMASCOPE_CUDA_LIBRARIES, where it is set, and only
 * there; else where the dynamic linker looks, and in the usual folders of the toolkit.
 */
#ifndef SS_KERNELS_CUDA_API_H
#define SS_KERNELS_CUDA_API_H

#include "base/err.h"

#include <cublas_v2.h>
#include <cuda.h>
#include <cudnn.h>

#define SS_CUDA_DRIVER(X)        \
    X(cuInit)                    \
    X(cuDriverGetVersion)        \
    X(cuGetErrorName)            \
    X(cuGetErrorString)          \
    X(cuDeviceGet)               \
    X(cuDeviceGetCount)          \
    X(cuDeviceGetName)           \
    X(cuDeviceGetAttribute)      \
    X(cuDeviceTotalMem)          \
    X(cuDevicePrimaryCtxRetain)  \
    X(cuDevicePrimaryCtxRelease) \
    X(cuCtxSetCurrent)           \
    X(cuModuleLoadData)          \
    X(cuModuleUnload)            \
    X(cuModuleGetFunction)       \
    X(cuStreamCreate)            \
    X(cuStreamDestroy)           \
    X(cuStreamSynchronize)       \
    X(cuEventCreate)             \
    X(cuEventDestroy)            \
    X(cuEventRecord)             \
    X(cuEventSynchronize)        \
    X(cuEventElapsedTime)        \
    X(cuMemAlloc)                \
    X(cuMemFree)                 \
    X(cuMemGetInfo)              \
    X(cuMemAllocHost)            \
    X(cuMemFreeHost)             \
    X(cuMemcpyHtoDAsync)         \
    X(cuMemcpyDtoHAsync)         \
    X(cuMemcpyDtoDAsync)         \
    X(cuMemsetD8Async)           \
    X(cuMemsetD32Async)          \
    X(cuLaunchKernel)

#define SS_CUDA_BLAS(X)      \
    X(cublasCreate)          \
    X(cublasDestroy)         \
    X(cublasGetProperty)     \
    X(cublasGetStatusString) \
    X(cublasSetStream)       \
    X(cublasSetWorkspace)    \
    X(cublasSetMathMode)     \
    X(cublasGemmEx)          \
    X(cublasGemmStridedBatchedEx)

#define SS_CUDA_DNN(X)               \
    X(cudnnGetVersion)               \
    X(cudnnGetErrorString)           \
    X(cudnnGetLastErrorString)       \
    X(cudnnCreate)                   \
    X(cudnnDestroy)                  \
    X(cudnnSetStream)                \
    X(cudnnBackendCreateDescriptor)  \
    X(cudnnBackendDestroyDescriptor) \
    X(cudnnBackendSetAttribute)      \
    X(cudnnBackendGetAttribute)      \
    X(cudnnBackendFinalize)          \
    X(cudnnBackendExecute)

typedef struct {
#define X(f) __typeof__(f) *f;
    SS_CUDA_DRIVER(X) SS_CUDA_BLAS(X) SS_CUDA_DNN(X)
#undef X
} ss_cuda_api;

/* The functions of all three libraries, opened at the first call and kept for the process. Not
 * safe for two threads at once. SS_DEVICE, with what is missing and where it was looked for,
 * otherwise. */
ss_code ss_cuda_api_open(const ss_cuda_api **api, ss_err *e);

/* cuDNN alone: plans can be made without a GPU and without a driver. */
ss_code ss_cuda_api_open_dnn(const ss_cuda_api **api, ss_err *e);

#endif
