/* tensor.h - n-dimensional arrays on a device
 *
 * Layout: dense, outermost dimension first, channels last: pictures [N][H][W][C],
 * token sequences [N][T][C], video [N][F][H][W][C]. Convolution weights keep
 * PyTorch's order [O][I][kh][kw], linear weights [O][I].
 *
 * Tensors are opaque: their memory may be on a GPU. Host code reads and writes them
 * only through upload and download. They are immutable once an operation returned
 * them, which is why statistics may be remembered with them.
 *
 * Ownership is by reference count. Every function that returns a tensor hands over
 * one reference; ss_release drops one; the memory is reused as soon as the last is
 * gone. Arguments are borrowed unless the comment says otherwise. NULL is accepted
 * wherever a tensor is: an operation on NULL returns NULL, so a chain of operations
 * needs one error check, at its end (see context.h).
 */
#ifndef SS_KERNELS_TENSOR_H
#define SS_KERNELS_TENSOR_H

#include "base/err.h"
#include "base/shape.h"

typedef struct ss_ctx ss_ctx;
typedef struct ss_tensor ss_tensor;

/* Uninitialised f32 tensor on the context's device. */
ss_tensor *ss_tensor_new(ss_ctx *c, ss_shape s);

/* Copies numel f32 values from the host. */
ss_tensor *ss_upload(ss_ctx *c, ss_shape s, const float *host);

/* A tensor of one value everywhere. */
ss_tensor *ss_full(ss_ctx *c, ss_shape s, float value);

/* A parameter: numel values of any dtype in host memory that outlives the tensor (a
 * mapped checkpoint). The CPU reads them in place; other devices copy. The value may be
 * needed in another arrangement or type: backends make that once and keep it with the
 * tensor. */
ss_tensor *ss_param(ss_ctx *c, ss_dtype t, ss_shape s, const void *host);

/* An f32 parameter of one value everywhere, in memory of its own. */
ss_tensor *ss_param_full(ss_ctx *c, ss_shape s, float value);

/* Gives a parameter new values, numel f32 from the host. It is f32 from then on and owns its
 * memory; what ss_param was given stays as it is. The arrangements that backends keep are made
 * again at the next use. Views of the parameter keep the old values. SS_USAGE while a tape
 * records, whose backward would mix both; on failure the old values stay. */
ss_code ss_param_set(ss_ctx *c, ss_tensor *w, const float *host, ss_err *e);

/* Copies all values to the host as f32, converting where the tensor is not. */
ss_code ss_download(ss_ctx *c, const ss_tensor *x, float *host, ss_err *e);

ss_tensor *ss_retain(const ss_tensor *x); /* the same tensor, one reference more */
void ss_release(ss_tensor *x);

/* *slot = x, releasing what *slot held; takes the reference of x. Lets a chain read
 * as it computes:   ss_set(&h, ss_conv2d(c, h, w, b, opt));                          */
void ss_set(ss_tensor **slot, ss_tensor *x);

ss_shape ss_shape_get(const ss_tensor *x); /* rank 0 for NULL */
int64_t ss_dim(const ss_tensor *x, int i); /* i < 0 counts from the end; 0 for NULL */

/* The same values under another shape of equal size; shares memory. */
ss_tensor *ss_reshape(ss_ctx *c, const ss_tensor *x, ss_shape s);

#endif
