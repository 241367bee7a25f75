/* memory.c - memory of the card (cuda.h) */
#include "kernels/cuda/cuda.h"

#define GIB (1024.0 * 1024 * 1024)

void *ss_cuda_get_memory(void *self, size_t bytes)
{
    const ss_device *d = self;
    CUdeviceptr p;

    return d->api->cuMemAlloc(&p, bytes) == CUDA_SUCCESS ? (void *)p : NULL;
}

void ss_cuda_give_memory_back(void *self, void *p)
{
    const ss_device *d = self;

    d->api->cuCtxSetCurrent(d->context); /* a tensor may go when another device's turn is */
    d->api->cuMemFree((CUdeviceptr)p);
}

static ss_code no_memory(const ss_device *d, size_t bytes, const char *what, ss_err *e)
{
    size_t available = 0, total = 0;

    d->api->cuMemGetInfo(&available, &total);
    return ss_fail(e, SS_NOMEM,
                   "cuda:%d (%s) is out of memory: %s of %.3f GiB; in use here %.3f GiB, at most "
                   "%.3f so far; available %.3f of %.3f. Fewer samples at a time need less",
                   d->number, d->name, what, (double)bytes / GIB, (double)d->pool.asked / GIB,
                   (double)d->pool.peak / GIB, (double)available / GIB, (double)total / GIB);
}

void *ss_cuda_work(ss_device *d, size_t bytes, const char *what, ss_err *e)
{
    void *p = ss_pool_alloc(&d->pool, bytes);

    if (!p)
        no_memory(d, bytes, what, e);
    return p;
}
