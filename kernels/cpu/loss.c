/* loss.c - the squared error of an answer (kernels/loss.h): a sample is summed by one thread */
#include "kernels/cpu/cpu.h"

static double squared_error(const float *y, const float *target, int64_t n, double slope, float *dy)
{
    double sum = 0;

    for (int64_t k = 0; k < n; k++) {
        const double d = (double)y[k] - target[k];

        sum += d * d;
        dy[k] = (float)(slope * d);
    }
    return sum;
}

ss_code ss_cpu_squared_error(ss_device *d, const ss_tensor *y, const float *target,
                             const double *slope, ss_tensor *dy, double *squares, ss_err *e)
{
    const int64_t N = y->shape.dim[0], each = N ? ss_shape_numel(y->shape) / N : 0;
    const float *values = y->data;
    float *to = dy->data;

    (void)e;
#pragma omp parallel for num_threads(ss_cpu_team(d, N *each)) schedule(static)
    for (int64_t i = 0; i < N; i++)
        squares[i] =
            squared_error(values + i * each, target + i * each, each, slope[i], to + i * each);
    return SS_OK;
}
