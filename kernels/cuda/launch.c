/* launch.c - kernels of our own: where they come from, and how they are run (cuda.h) */
#include "kernels/cuda/cuda.h"

#include <string.h>

/* The compiled kernels of each .cu file (Makefile). */
#define FILE(name, list) extern const unsigned char ss_fatbin_##name[];
SS_CUDA_FILES(FILE)
#undef FILE

static ss_code load_kernels(ss_device *d, CUmodule m, const char *const *names, int n,
                            ss_cuda_kernel first, ss_err *e)
{
    for (int k = 0; k < n; k++)
        SS_CU(d->api, e, cuModuleGetFunction, &d->kernels[(int)first + k], m, names[k]);
    return SS_OK;
}

static ss_code load(ss_device *d, int file, const unsigned char *image, ss_err *e)
{
    const CUresult r = d->api->cuModuleLoadData(&d->modules[file], image);

    if (r == CUDA_ERROR_NO_BINARY_FOR_GPU)
        return ss_fail(e, SS_DEVICE,
                       "this build has no kernels for the card, compute capability %d.%d, and its "
                       "driver cannot compile them; build with CUDA_ARCH=%d%d",
                       d->capability / 10, d->capability % 10, d->capability / 10,
                       d->capability % 10);
    return r == CUDA_SUCCESS ? SS_OK : ss_cuda_driver_error(d->api, r, "cuModuleLoadData", e);
}

ss_code ss_cuda_load(ss_device *d, ss_err *e)
{
    int first = 0;
    ss_code rc = SS_OK;

#define X(name, threads, members) "sigmascope_" #name,
#define FILE(name, list)                                                               \
    if (rc == SS_OK) {                                                                 \
        static const char *const names[] = {list(X)};                                  \
        const int n = sizeof names / sizeof *names;                                    \
        rc = load(d, SS_CUDA_FILE_##name, ss_fatbin_##name, e);                        \
        if (rc == SS_OK)                                                               \
            rc = load_kernels(d, d->modules[SS_CUDA_FILE_##name], names, n, first, e); \
        first += n;                                                                    \
    }
    SS_CUDA_FILES(FILE)
#undef FILE
#undef X
    return rc;
}

void ss_cuda_unload(ss_device *d)
{
    for (int i = 0; i < SS_N_CUDA_FILES; i++)
        if (d->modules[i])
            d->api->cuModuleUnload(d->modules[i]);
}

enum {
    VALUES_OF_A_THREAD = 4,
    BLOCKS_OF_A_MULTIPROCESSOR = 16,
    MOST_ROWS = 65535 /* of a grid's second and third dimension */
};

ss_cuda_grid_size ss_cuda_grid(const ss_device *d, int64_t n, int threads)
{
    const int64_t each = (int64_t)threads * VALUES_OF_A_THREAD, blocks = (n + each - 1) / each;
    const int64_t most = (int64_t)d->multiprocessors * BLOCKS_OF_A_MULTIPROCESSOR;

    return (ss_cuda_grid_size){.x = blocks < most ? blocks : most};
}

ss_code ss_cuda_launch(ss_device *d, ss_cuda_kernel k, ss_cuda_grid_size g, int threads,
                       const void *args, ss_err *e)
{
    const int64_t y = g.y ? g.y : 1, z = g.z ? g.z : 1;
    void *params[] = {(void *)args}; /* the driver copies what it points at */

    if (g.x <= 0 || y < 0 || z < 0)
        return SS_OK;
    if (g.x > INT32_MAX || y > MOST_ROWS || z > MOST_ROWS)
        return ss_fail(e, SS_UNSUPPORTED, "a grid of %lld x %lld x %lld blocks is too large",
                       (long long)g.x, (long long)y, (long long)z);
    d->launches++;
    SS_CU(d->api, e, cuLaunchKernel, d->kernels[k], (unsigned)g.x, (unsigned)y, (unsigned)z,
          (unsigned)threads, 1, 1, 0, d->stream, params, NULL);
    return SS_OK;
}
