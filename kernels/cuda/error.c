/* error.c - what NVIDIA's libraries report, as ours (cuda.h) */
#include "kernels/cuda/cuda.h"

ss_code ss_cuda_driver_error(const ss_cuda_api *api, CUresult r, const char *what, ss_err *e)
{
    const char *name = NULL, *text = NULL;

    api->cuGetErrorName(r, &name);
    api->cuGetErrorString(r, &text);
    return ss_fail(e, r == CUDA_ERROR_OUT_OF_MEMORY ? SS_NOMEM : SS_DEVICE, "CUDA: %s: %s (%s)",
                   what, text ? text : "an unknown error", name ? name : "?");
}

ss_code ss_cuda_blas_error(const ss_cuda_api *api, cublasStatus_t r, const char *what, ss_err *e)
{
    return ss_fail(e, r == CUBLAS_STATUS_ALLOC_FAILED ? SS_NOMEM : SS_DEVICE, "cuBLAS: %s: %s",
                   what, api->cublasGetStatusString(r));
}

ss_code ss_cuda_dnn_error(const ss_cuda_api *api, cudnnStatus_t r, const char *what, ss_err *e)
{
    char detail[512] = "";

    api->cudnnGetLastErrorString(detail, sizeof detail);
    return ss_fail(e, r == CUDNN_STATUS_ALLOC_FAILED ? SS_NOMEM : SS_DEVICE, "cuDNN: %s: %s%s%s",
                   what, api->cudnnGetErrorString(r), *detail ? ": " : "", detail);
}
