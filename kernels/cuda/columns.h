/* columns.h - arguments of the kernels in columns.cu (kernels.h) */
#ifndef SS_KERNELS_CUDA_COLUMNS_H
#define SS_KERNELS_CUDA_COLUMNS_H

#include <stdint.h>

/* How blocks share the columns of x [groups][rows][channels]: each takes `step` rows of `lanes` x
 * `vector` neighbouring channels. It depends on the shape alone, as the order of sums does. */
typedef struct {
    int64_t rows, channels;
    int vector, lanes; /* 1 or 4; 1, 2, 4 ... 32 */
    int64_t step;
    int64_t row_blocks, column_blocks; /* of a group */
} ss_cuda_columns;

/* Sum of squares, largest magnitude and number of finite values. */
typedef struct {
    double square;
    float absmax;
    unsigned n;
} ss_cuda_channel;

enum { SS_CUDA_DOT_CHUNK = 8192 };

/* channel_stats  absmax, rms [groups][channels] over finite values; part [groups][row_blocks]
 *                [channels], done [groups][column_blocks] zeros, as the next
 * sum_rows       y [groups][channels]
 * dot            *y = sum of x z, by blocks of SS_CUDA_DOT_CHUNK products; part [blocks], *done 0
 */
#define SS_CUDA_COLUMNS(X)                                                                \
    X(channel_stats, 256,                                                                 \
      (const float *x; ss_cuda_columns columns; ss_cuda_channel * part; unsigned *done;   \
       float *absmax; float *rms;))                                                       \
    X(sum_rows, 256,                                                                      \
      (const float *x; ss_cuda_columns columns; double *part; unsigned *done; float *y;)) \
    X(dot, 256,                                                                           \
      (const float *x; const float *z; int64_t n; double *part; unsigned *done; float *y;))

#endif
