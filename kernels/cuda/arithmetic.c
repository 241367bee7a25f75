/* arithmetic.c - see arithmetic.h */
#include "kernels/cuda/arithmetic.h"

#include "kernels/cuda/cuda.h"

enum { TF32_EXPONENT = 8, TF32_FRACTION = 10 };

ss_cuda_numbers ss_cuda_numbers_of(const ss_tensor *x, const ss_format *f)
{
    if (f)
        return (ss_cuda_numbers){f->exp_bits, f->man_bits};
    if (x->dtype == SS_F16)
        return (ss_cuda_numbers){5, 10};
    if (x->dtype == SS_BF16)
        return (ss_cuda_numbers){8, 7};
    return (ss_cuda_numbers){x->buf->exp_bits, x->buf->man_bits};
}

static bool fits(ss_cuda_numbers n)
{
    return n.exp_bits > 0 && n.exp_bits <= TF32_EXPONENT && n.man_bits <= TF32_FRACTION;
}

bool ss_cuda_on_tensor_cores(const ss_device *d, ss_cuda_numbers a, ss_cuda_numbers b)
{
    if (!d->has_tf32)
        return false;
    switch (d->arithmetic) {
    case SS_ARITHMETIC_AUTO: return fits(a) && fits(b);
    case SS_ARITHMETIC_F32: return false;
    case SS_ARITHMETIC_TENSOR: return true;
    }
    return false;
}
