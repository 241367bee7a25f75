/* values.c - elementwise operations on the device */
#include "kernels/cuda/cuda.h"

ss_code ss_cuda_fill(ss_device *d, ss_tensor *y, float value, ss_err *e)
{
    const int64_t n = ss_shape_numel(y->shape);

    return SS_LAUNCH(d, e, fill, ss_cuda_grid(d, n, SS_THREADS_fill), .y = y->data, .value = value,
                     .n = n);
}
