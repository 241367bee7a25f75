/* cuda.h - the CUDA device; private to kernels/cuda
 *
 * device.c opens the device; memory.c has its memory; launch.c runs kernels; later.c brings results
 * to the host; each file of operations (values.c, shape.c, norm.c ...) has entries of the backend's
 * table (backend.c) beside the .cu file with its kernels.
 *
 * One stream, in order: a block of memory that was freed may be reused at once, as what still uses
 * it comes before. Nothing here waits for the device but finish, a full ring, and the end of
 * memory.
 */
#ifndef SS_KERNELS_CUDA_CUDA_H
#define SS_KERNELS_CUDA_CUDA_H

#include "kernels/backend.h"
#include "kernels/context.h"
#include "kernels/cuda/api.h"
#include "kernels/cuda/kernels.h"
#include "kernels/pool.h"

#define X(name, threads, members) SS_KERNEL_##name,
typedef enum { SS_CUDA_KERNELS(X) SS_N_CUDA_KERNELS } ss_cuda_kernel;
#undef X
#define FILE(name, list) SS_CUDA_FILE_##name,
enum { SS_CUDA_FILES(FILE) SS_N_CUDA_FILES };
#undef FILE

typedef struct ss_cuda_later ss_cuda_later; /* later.c */
typedef struct ss_cuda_plans ss_cuda_plans; /* plans.h */

struct ss_device {
    const ss_cuda_api *api;
    int number; /* of the card, from 0 */
    CUdevice card;
    CUcontext context;
    CUstream stream;
    CUmodule modules[SS_N_CUDA_FILES];
    CUfunction kernels[SS_N_CUDA_KERNELS];
    cublasHandle_t blas;
    void *blas_space; /* cuBLAS's work space, of the pool */
    cudnnHandle_t dnn;
    ss_cuda_plans *plans; /* how its convolutions run */
    int64_t most_values;  /* of a tensor that cuDNN is given at once */
    ss_pool pool;
    int capability; /* 90 is 9.0 */
    ss_arithmetic arithmetic;
    bool has_tf32; /* tensor cores that multiply f32 values as TF32 */
    int multiprocessors;
    size_t memory;    /* of the card */
    int64_t launches; /* of kernels of our own, since the device was opened */
    ss_cuda_later *later;
    char name[96];
    char text[256];
};

/* ---- error.c: each is SS_DEVICE, or SS_NOMEM, with the function's and the error's name ---- */
ss_code ss_cuda_driver_error(const ss_cuda_api *api, CUresult r, const char *what, ss_err *e);
ss_code ss_cuda_blas_error(const ss_cuda_api *api, cublasStatus_t r, const char *what, ss_err *e);
ss_code ss_cuda_dnn_error(const ss_cuda_api *api, cudnnStatus_t r, const char *what, ss_err *e);

/* Calls a function of the driver and returns from the caller where it fails. */
#define SS_CU(api_, e, f, ...)                            \
    do {                                                  \
        const CUresult r_ = (api_)->f(__VA_ARGS__);       \
        if (r_ != CUDA_SUCCESS)                           \
            return ss_cuda_driver_error(api_, r_, #f, e); \
    } while (0)

/* ---- launch.c ---- */

ss_code ss_cuda_load(ss_device *d, ss_err *e); /* the compiled kernels */
void ss_cuda_unload(ss_device *d);

typedef struct {
    int64_t x, y, z; /* y and z 1 if they are 0; at most 65535 */
} ss_cuda_grid_size;
ss_code ss_cuda_launch(ss_device *d, ss_cuda_kernel k, ss_cuda_grid_size grid, int threads,
                       const void *args, ss_err *e);

/* Padding is cleared, so that arguments compare as bytes, and the emulated device does not take
 * what is left there for an address. */
#define X(name, threads, members)                                                \
    static inline ss_code ss_launch_##name(ss_device *d, ss_cuda_grid_size grid, \
                                           ss_kernel_##name a, ss_err *e)        \
    {                                                                            \
        __builtin_clear_padding(&a);                                             \
        return ss_cuda_launch(d, SS_KERNEL_##name, grid, threads, &a, e);        \
    }
SS_CUDA_KERNELS(X)
#undef X

/* Runs a kernel on a grid of blocks, later and in order:
 *
 *   return SS_LAUNCH(d, e, affine, ss_cuda_grid(d, n, SS_THREADS_affine), .x = x, .y = y,
 *                    .mul = mul, .add = add, .n = n);
 *
 * A grid without blocks does nothing. */
#define SS_LAUNCH(d, e, name, grid, ...) \
    ss_launch_##name(d, grid, (ss_kernel_##name){__VA_ARGS__}, e)

/* Blocks for EACH over n values: at most as many as run at once, each thread with several. */
ss_cuda_grid_size ss_cuda_grid(const ss_device *d, int64_t n, int threads);

/* ---- device.c ---- */

ss_code ss_cuda_open(int number, const ss_ctx_options *opt, ss_device **out, ss_err *e);
void ss_cuda_close(ss_device *d); /* NULL is fine */
/* Makes the device's context the calling thread's. */
ss_code ss_cuda_enter(ss_device *d, ss_err *e);

/* ---- memory.c ---- */

/* The pool's functions; self is the device. With SIGMASCOPE_EXACT_MEMORY in the environment the
 * pool keeps nothing and rounds nothing: compute-sanitizer and the emulated device then see what is
 * used after it was given back, and what lies past its end. */
void *ss_cuda_get_memory(void *self, size_t bytes);
void ss_cuda_give_memory_back(void *self, void *p);

/* Work space of a call; given back with ss_pool_free(&d->pool, p) as soon as the last use of it has
 * been launched. NULL after filling e: what it is for, how much, and how much there is. */
void *ss_cuda_work(ss_device *d, size_t bytes, const char *what, ss_err *e);

/* ---- later.c: host operands and results ---- */

ss_code ss_cuda_later_open(ss_device *d, ss_err *e);
void ss_cuda_later_close(ss_device *d);
/* Waits, and hands over all results. After an error of the device they are dropped. */
ss_code ss_cuda_later_finish(ss_device *d, ss_err *e);

/* Copies host values, which live for the call only, to device memory, later and in order. */
ss_code ss_cuda_copy_in(ss_device *d, void *to, const void *host, size_t bytes, ss_err *e);

/* The same into memory of the device's own: *p is good for what is launched before the next operand
 * is copied. */
ss_code ss_cuda_operand(ss_device *d, const void *host, size_t bytes, const void **p, ss_err *e);

/* A place of `bytes` on the device, zeroed and at a multiple of 64, for kernels to write. When the
 * device has finished, take(values, t) is called with what they wrote, in the order of these calls.
 * The memory that t names is the caller's and stays until then. */
typedef struct {
    void *out, *out2;
    int64_t n, m;
    double value;
} ss_cuda_taker;
typedef void ss_cuda_take(const void *values, const ss_cuda_taker *t);
ss_code ss_cuda_result(ss_device *d, size_t bytes, ss_cuda_take *take, ss_cuda_taker t,
                       void **place, ss_err *e);

/* Copies bytes of the device to the host, where they are when the device has finished. The device's
 * memory may be freed at once. */
ss_code ss_cuda_copy_out(ss_device *d, const void *from, void *host, size_t bytes, ss_err *e);

/* ---- param.c ---- */

typedef enum {
    SS_CUDA_AS_IS,
    SS_CUDA_OHWI, /* [O][I][kh][kw] as [O][kh][kw][I], as cuDNN wants it beside NHWC */
} ss_cuda_order;

/* The values of a parameter as plain f32 on the device, rounded to f unless NULL, in this order:
 * the tensor's own memory where nothing changes, else a copy made once and kept with the tensor in
 * the slot `use`. NULL after filling e. */
const float *ss_cuda_param(ss_device *d, const ss_tensor *w, ss_use use, const ss_format *f,
                           ss_cuda_order order, ss_err *e);

/* ---- convert.c, copies.c: not entries themselves ---- */

/* y = n values of dtype t as f32, rounded to f unless NULL. */
ss_code ss_cuda_widen(ss_device *d, const void *x, ss_dtype t, const ss_format *f, float *y,
                      int64_t n, ss_err *e);
/* y [n][b][a] = x [n][a][b], rounded to f unless NULL. */
ss_code ss_cuda_transpose(ss_device *d, const float *x, float *y, int64_t n, int64_t a, int64_t b,
                          const ss_format *f, ss_err *e);

/* ---- the entries, ss_cuda_NAME and ss_cuda_back_NAME ---- */
#define X(name, params, args) ss_code ss_cuda_##name(ss_device *d, SS_INSIDE params, ss_err *e);
SS_ENTRIES(X)
#undef X
#define X(name, params, args) \
    ss_code ss_cuda_back_##name(ss_device *d, SS_INSIDE params, ss_err *e);
SS_GRADIENTS(X)
#undef X

#endif
