/* conv.h - arguments of the kernels in conv.cu (kernels.h) */
#ifndef SS_KERNELS_CUDA_CONV_H
#define SS_KERNELS_CUDA_CONV_H

#include <stdint.h>

/* x [n][h][w][in], w [out][kh][kw][in], y [n][out_h][out_w][out] */
typedef struct {
    int64_t n, h, w, in, out_h, out_w, out, kh, kw, stride, top, left;
} ss_cuda_conv_sizes;

/* direct_forward   y = the convolution of x with w, plus bias unless NULL
 * direct_data      dx of dy and w
 * direct_filter    dw of x and dy; added to what is there if `accumulate` is 1
 * Each thread has one value of the result. */
#define SS_CUDA_CONV(X)                                                                         \
    X(direct_forward, 256,                                                                      \
      (const float *x; const float *w; const float *bias; float *y; ss_cuda_conv_sizes size;))  \
    X(direct_data, 256, (const float *dy; const float *w; float *dx; ss_cuda_conv_sizes size;)) \
    X(direct_filter, 256,                                                                       \
      (const float *x; const float *dy; float *dw; ss_cuda_conv_sizes size; int64_t accumulate;))

#endif
