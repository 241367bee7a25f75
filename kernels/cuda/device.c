/* device.c - the card: opened, described and closed (cuda.h) */
#include "base/mem.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/plans.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    LEAST_CAPABILITY = 75,
    LEAST_TF32 = 80,
    BLAS_SPACE = 32 << 20 /* what cuBLAS asks for on large cards */
};

#define GIB (1024.0 * 1024 * 1024)

static ss_code attribute(const ss_device *d, CUdevice_attribute which, int *value, ss_err *e)
{
    SS_CU(d->api, e, cuDeviceGetAttribute, value, which, d->card);
    return SS_OK;
}

/* A driver runs what was compiled for its own major version of CUDA or an earlier one. */
static ss_code check_driver(const ss_cuda_api *api, ss_err *e)
{
    int version = 0;

    SS_CU(api, e, cuDriverGetVersion, &version);
    if (version / 1000 < CUDA_VERSION / 1000)
        return ss_fail(
            e, SS_DEVICE,
            "the driver is for CUDA %d.%d, and this build needs %d.0 or later: update the "
            "driver, or build with an earlier toolkit",
            version / 1000, version % 1000 / 10, CUDA_VERSION / 1000);
    return SS_OK;
}

static ss_code find_card(ss_device *d, int number, ss_err *e)
{
    int count = 0, major = 0, minor = 0;
    const CUresult r = d->api->cuInit(0);

    if (r == CUDA_ERROR_NO_DEVICE)
        return ss_fail(e, SS_DEVICE,
                       "NVIDIA's driver finds no card (CUDA_VISIBLE_DEVICES hides them)");
    if (r != CUDA_SUCCESS)
        return ss_cuda_driver_error(d->api, r, "cuInit", e);
    ss_code rc = check_driver(d->api, e);
    if (rc != SS_OK)
        return rc;
    SS_CU(d->api, e, cuDeviceGetCount, &count);
    if (count == 0)
        return ss_fail(e, SS_DEVICE,
                       "NVIDIA's driver finds no card (CUDA_VISIBLE_DEVICES hides them)");
    if (number >= count)
        return ss_fail(e, SS_USAGE, "there is no cuda:%d; cards: %d, counted from 0", number,
                       count);
    SS_CU(d->api, e, cuDeviceGet, &d->card, number);
    SS_CU(d->api, e, cuDeviceGetName, d->name, sizeof d->name, d->card);
    rc = attribute(d, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, &major, e);
    if (rc == SS_OK)
        rc = attribute(d, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, &minor, e);
    if (rc == SS_OK)
        rc = attribute(d, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, &d->multiprocessors, e);
    d->capability = 10 * major + minor;
    d->number = number;
    d->has_tf32 = d->capability >= LEAST_TF32;
    if (rc == SS_OK && d->capability < LEAST_CAPABILITY)
        return ss_fail(e, SS_DEVICE,
                       "cuda:%d (%s) has compute capability %d.%d; %d.%d or more is needed: "
                       "--device cpu",
                       number, d->name, major, minor, LEAST_CAPABILITY / 10, LEAST_CAPABILITY % 10);
    if (rc == SS_OK && d->arithmetic == SS_ARITHMETIC_TENSOR && !d->has_tf32)
        return ss_fail(e, SS_USAGE,
                       "--arithmetic tensor: cuda:%d (%s) has compute capability %d.%d, and TF32 "
                       "needs %d.%d or more; leave it at auto",
                       number, d->name, major, minor, LEAST_TF32 / 10, LEAST_TF32 % 10);
    return rc;
}

static ss_code open_context(ss_device *d, ss_err *e)
{
    SS_CU(d->api, e, cuDevicePrimaryCtxRetain, &d->context, d->card);
    SS_CU(d->api, e, cuCtxSetCurrent, d->context);
    SS_CU(d->api, e, cuStreamCreate, &d->stream, CU_STREAM_NON_BLOCKING);
    return ss_cuda_load(d, e);
}

/* With work space of its own cuBLAS gives the same bits on each run. */
static ss_code open_blas(ss_device *d, ss_err *e)
{
    cublasStatus_t r = d->api->cublasCreate(&d->blas);

    if (r != CUBLAS_STATUS_SUCCESS)
        return ss_cuda_blas_error(d->api, r, "cublasCreate", e);
    d->blas_space = ss_cuda_work(d, BLAS_SPACE, "work space of cuBLAS", e);
    if (!d->blas_space)
        return e->code;
    if ((r = d->api->cublasSetStream(d->blas, d->stream)) == CUBLAS_STATUS_SUCCESS &&
        (r = d->api->cublasSetWorkspace(d->blas, d->blas_space, BLAS_SPACE)) ==
            CUBLAS_STATUS_SUCCESS)
        r = d->api->cublasSetMathMode(d->blas, CUBLAS_DEFAULT_MATH);
    return r == CUBLAS_STATUS_SUCCESS ? SS_OK : ss_cuda_blas_error(d->api, r, "its setup", e);
}

static ss_code open_dnn(ss_device *d, ss_err *e)
{
    cudnnStatus_t r = d->api->cudnnCreate(&d->dnn);

    if (r == CUDNN_STATUS_SUCCESS)
        r = d->api->cudnnSetStream(d->dnn, d->stream);
    if (r != CUDNN_STATUS_SUCCESS)
        return ss_cuda_dnn_error(d->api, r, "cudnnCreate", e);
    return ss_cuda_plans_open(d->api, d->dnn, NULL, &d->plans, e);
}

static ss_code describe(ss_device *d, ss_err *e)
{
    int driver = 0, blas[3] = {0};
    size_t available = 0;
    const int dnn = (int)d->api->cudnnGetVersion();

    SS_CU(d->api, e, cuDriverGetVersion, &driver);
    SS_CU(d->api, e, cuMemGetInfo, &available, &d->memory);
    for (int k = 0; k < 3; k++)
        d->api->cublasGetProperty((libraryPropertyType)k, &blas[k]);
    snprintf(d->text, sizeof d->text,
             "cuda:%d: %s, compute capability %d.%d, %d multiprocessors, %.1f GiB, driver CUDA "
             "%d.%d, cuBLAS %d.%d.%d, cuDNN %d.%d.%d",
             d->number, d->name, d->capability / 10, d->capability % 10, d->multiprocessors,
             (double)d->memory / GIB, driver / 1000, driver % 1000 / 10, blas[0], blas[1], blas[2],
             dnn / 10000, dnn / 100 % 100, dnn % 100);
    return SS_OK;
}

/* Always, although it mostly is: what a thread had last may have been destroyed. */
ss_code ss_cuda_enter(ss_device *d, ss_err *e)
{
    SS_CU(d->api, e, cuCtxSetCurrent, d->context);
    return SS_OK;
}

void ss_cuda_close(ss_device *d)
{
    if (!d)
        return;
    if (d->context)
        d->api->cuCtxSetCurrent(d->context);
    if (d->stream)
        d->api->cuStreamSynchronize(d->stream);
    ss_cuda_later_close(d);
    ss_cuda_plans_close(d->plans);
    if (d->dnn)
        d->api->cudnnDestroy(d->dnn);
    if (d->blas)
        d->api->cublasDestroy(d->blas);
    ss_pool_free(&d->pool, d->blas_space);
    ss_pool_release(&d->pool);
    ss_cuda_unload(d);
    if (d->stream)
        d->api->cuStreamDestroy(d->stream);
    if (d->context)
        d->api->cuDevicePrimaryCtxRelease(d->card);
    ss_free(d);
}

ss_code ss_cuda_open(int number, const ss_ctx_options *opt, ss_device **out, ss_err *e)
{
    const char *exact = getenv("SIGMASCOPE_EXACT_MEMORY");
    ss_device *d = ss_calloc(1, sizeof *d);

    if (!d)
        return ss_no_memory(e, "CUDA device");
    d->arithmetic = opt->arithmetic;
    d->most_values = INT32_MAX; /* engines count in 32 bits */
    d->pool = (ss_pool){.get = ss_cuda_get_memory,
                        .give_back = ss_cuda_give_memory_back,
                        .self = d,
                        .exact = exact && *exact};
    ss_code rc = ss_cuda_api_open(&d->api, e);
    if (rc == SS_OK)
        rc = find_card(d, number, e);
    if (rc == SS_OK)
        rc = open_context(d, e);
    if (rc == SS_OK)
        rc = open_blas(d, e);
    if (rc == SS_OK)
        rc = open_dnn(d, e);
    if (rc == SS_OK)
        rc = ss_cuda_later_open(d, e);
    if (rc == SS_OK)
        rc = describe(d, e);
    if (rc != SS_OK) {
        ss_cuda_close(d);
        return rc;
    }
    *out = d;
    return SS_OK;
}
