// values.cu - elementwise kernels
#include "kernels/cuda/device.cuh"

KERNEL(fill)
{
    EACH(i, a.n)
    a.y[i] = a.value;
}
