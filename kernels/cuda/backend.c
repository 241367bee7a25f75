/* backend.c - the table of the CUDA device (kernels/backend.h) */
#include "kernels/cuda/cuda.h"

static int one_thread(const ss_device *d)
{
    (void)d;
    return 1;
}

static const char *text_of(const ss_device *d)
{
    return d->text;
}

static ss_code alloc(ss_device *d, size_t bytes, void **p, ss_err *e)
{
    const ss_code rc = ss_cuda_enter(d, e);

    if (rc != SS_OK)
        return rc;
    *p = ss_cuda_work(d, bytes, "a tensor", e);
    return *p ? SS_OK : e->code;
}

static void give_back(ss_device *d, void *p)
{
    ss_pool_free(&d->pool, p);
}

static ss_code upload(ss_device *d, void *to, const void *host, size_t bytes, ss_err *e)
{
    const ss_code rc = ss_cuda_enter(d, e);

    return rc == SS_OK ? ss_cuda_copy_in(d, to, host, bytes, e) : rc;
}

static ss_code adopt(ss_device *d, const void *host, size_t bytes, ss_buffer *b, ss_err *e)
{
    ss_code rc = alloc(d, bytes, &b->data, e);

    b->bytes = bytes;
    if (rc != SS_OK)
        return rc;
    rc = ss_cuda_copy_in(d, b->data, host, bytes, e);
    if (rc != SS_OK)
        give_back(d, b->data);
    return rc;
}

/* f16 and bf16 become f32 on the device first. */
static ss_code download(ss_device *d, const ss_tensor *x, float *host, ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape);
    ss_code rc = ss_cuda_enter(d, e);

    if (rc != SS_OK || x->dtype == SS_F32)
        return rc == SS_OK ? ss_cuda_copy_out(d, x->data, host, (size_t)n * sizeof *host, e) : rc;
    float *wide = ss_cuda_work(d, (size_t)n * sizeof *wide, "values as f32", e);

    if (!wide)
        return e->code;
    rc = ss_cuda_widen(d, x->data, x->dtype, NULL, wide, n, e);
    if (rc == SS_OK)
        rc = ss_cuda_copy_out(d, wide, host, (size_t)n * sizeof *host, e);
    ss_pool_free(&d->pool, wide);
    return rc;
}

static ss_code finish(ss_device *d, ss_err *e)
{
    const ss_code rc = ss_cuda_enter(d, e);

    return rc == SS_OK ? ss_cuda_later_finish(d, e) : rc;
}

/* The entries, with the device's context made the calling thread's first. */
#define X(name, params, args)                                            \
    static ss_code run_##name(ss_device *d, SS_INSIDE params, ss_err *e) \
    {                                                                    \
        const ss_code rc = ss_cuda_enter(d, e);                          \
                                                                         \
        return rc == SS_OK ? ss_cuda_##name(d, SS_INSIDE args, e) : rc;  \
    }
SS_ENTRIES(X)
#undef X
#define X(name, params, args)                                                 \
    static ss_code run_back_##name(ss_device *d, SS_INSIDE params, ss_err *e) \
    {                                                                         \
        const ss_code rc = ss_cuda_enter(d, e);                               \
                                                                              \
        return rc == SS_OK ? ss_cuda_back_##name(d, SS_INSIDE args, e) : rc;  \
    }
SS_GRADIENTS(X)
#undef X

const ss_backend ss_backend_cuda = {.name = "cuda",
                                    .numbered = true,
                                    .open = ss_cuda_open,
                                    .close = ss_cuda_close,
                                    .threads = one_thread,
                                    .describe = text_of,
                                    .alloc = alloc,
                                    .free = give_back,
                                    .upload = upload,
                                    .adopt = adopt,
                                    .download = download,
                                    .finish = finish,
#define X(name, params, args) .name = run_##name,
                                    SS_ENTRIES(X)
#undef X
#define X(name, params, args) .back_##name = run_back_##name,
                                        SS_GRADIENTS(X)
#undef X
};
