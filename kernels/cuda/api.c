/* api.c - see api.h */
#include "kernels/cuda/api.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT2(x) #x
#define TEXT(x) TEXT2(x)

/* One of the libraries. Those of the toolkit carry the major version whose headers this was
 * compiled with, as another may have other types. */
typedef struct {
    const char *file, *what, *remedy;
} library;

static const library driver = {"libcuda.so.1", "NVIDIA's driver",
                               "it comes with the driver, which this machine may not have"};
static const library blas = {"libcublas.so." TEXT(CUBLAS_VER_MAJOR), "cuBLAS",
                             "it is part of the CUDA toolkit and of PyTorch's packages"};
static const library dnn = {"libcudnn.so." TEXT(CUDNN_MAJOR), "cuDNN",
                            "it is a package of NVIDIA's, and one of PyTorch's"};

static void *open_in(const char *folder, const char *file)
{
    char path[4096];
    const int n = snprintf(path, sizeof path, "%s/%s", folder, file);

    return n > 0 && (size_t)n < sizeof path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
}

/* Folders that match below the folder that the environment variable names. */
static void *open_below(const char *variable, const char *pattern, const char *file)
{
    const char *root = getenv(variable);
    char path[4096];
    glob_t found = {0};
    void *handle = NULL;

    if (!root || !*root || snprintf(path, sizeof path, "%s/%s", root, pattern) >= (int)sizeof path)
        return NULL;
    if (glob(path, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc && !handle; i++)
            handle = open_in(found.gl_pathv[i], file);
    }
    globfree(&found);
    return handle;
}

static void *open_library(const library *l, ss_err *e)
{
    const char *folder = getenv("SIGMASCOPE_CUDA_LIBRARIES");
    void *handle;

    if (folder && *folder) {
        if (!(handle = open_in(folder, l->file)))
            ss_fail(e, SS_DEVICE, "%s cannot be opened: %s (SIGMASCOPE_CUDA_LIBRARIES is %s)",
                    l->what, dlerror(), folder);
        return handle;
    }
    if ((handle = dlopen(l->file, RTLD_NOW | RTLD_LOCAL)))
        return handle;

    char why[512];
    snprintf(why, sizeof why, "%s", dlerror());
    if ((handle = open_below("CUDA_HOME", "lib64", l->file)) ||
        (handle = open_in("/usr/local/cuda/lib64", l->file)) ||
        (handle = open_below("VIRTUAL_ENV", "lib/python3*/site-packages/nvidia/*/lib", l->file)) ||
        (handle = open_below("CONDA_PREFIX", "lib", l->file)) ||
        (handle = open_below("CONDA_PREFIX", "lib/python3*/site-packages/nvidia/*/lib", l->file)))
        return handle;
    ss_fail(e, SS_DEVICE,
            "%s cannot be opened: %s; %s. SIGMASCOPE_CUDA_LIBRARIES names the folder that has it",
            l->what, why, l->remedy);
    return NULL;
}

static bool lacks(const library *l, const char *function, ss_err *e)
{
    ss_fail(e, SS_DEVICE, "%s (%s) has no %s: it is too old for this build, which needs CUDA %d.%d",
            l->what, l->file, function, CUDA_VERSION / 1000, CUDA_VERSION % 1000 / 10);
    return false;
}

static ss_cuda_api table;

/* Names go through the headers' macros before they become text. */
#define NAME_OF(f) #f
#define TAKE(l, f)                               \
    do {                                         \
        void *found = dlsym(handle, NAME_OF(f)); \
        if (!found)                              \
            return lacks(l, NAME_OF(f), e);      \
        memcpy(&table.f, &found, sizeof found);  \
    } while (0);

static bool take_driver(ss_err *e)
{
    void *handle = open_library(&driver, e);

    if (!handle)
        return false;
#define X(f) TAKE(&driver, f)
    SS_CUDA_DRIVER(X)
#undef X
    return true;
}

static bool take_blas(ss_err *e)
{
    void *handle = open_library(&blas, e);

    if (!handle)
        return false;
#define X(f) TAKE(&blas, f)
    SS_CUDA_BLAS(X)
#undef X
    return true;
}

static bool take_dnn(ss_err *e)
{
    void *handle = open_library(&dnn, e);

    if (!handle)
        return false;
#define X(f) TAKE(&dnn, f)
    SS_CUDA_DNN(X)
#undef X
    return true;
}

/* Each library is opened once, and stays open: CUDA cannot be unloaded. */
static ss_code take_once(bool *have, bool (*take)(ss_err *e), ss_err *e)
{
    ss_err why = {0};

    if (*have || (*have = take(&why)))
        return SS_OK;
    return ss_fail(e, why.code, "%s", why.msg);
}

static bool have_dnn;

ss_code ss_cuda_api_open(const ss_cuda_api **api, ss_err *e)
{
    static bool have_driver, have_blas;
    ss_code rc = take_once(&have_driver, take_driver, e);

    if (rc == SS_OK)
        rc = take_once(&have_blas, take_blas, e);
    if (rc == SS_OK)
        rc = take_once(&have_dnn, take_dnn, e);
    if (rc == SS_OK)
        *api = &table;
    return rc;
}

ss_code ss_cuda_api_open_dnn(const ss_cuda_api **api, ss_err *e)
{
    const ss_code rc = take_once(&have_dnn, take_dnn, e);

    if (rc == SS_OK)
        *api = &table;
    return rc;
}
