/* rows.h - norms of rows: which of two kernels takes a row (rows.cuh); private to kernels/cuda */
#ifndef SS_KERNELS_CUDA_ROWS_H
#define SS_KERNELS_CUDA_ROWS_H

#include <stdint.h>

enum {
    SS_ROW_PACKS = 256, /* packs of values at most that a warp keeps in registers, a row */
    SS_ROWS_OF_BLOCK = 8,
};

/* Launches the kernel `name` for rows of n values in packs of `vector`, or the one for wide rows;
 * the rest are the kernel's arguments. */
#define SS_LAUNCH_ROWS(d, e, name, rows, n, vector, ...)                                           \
    ((n) > (int64_t)(vector)*SS_ROW_PACKS                                                          \
         ? SS_LAUNCH(d, e, name##_wide, (ss_cuda_grid_size){.x = (rows)}, __VA_ARGS__)             \
         : SS_LAUNCH(d, e, name,                                                                   \
                     (ss_cuda_grid_size){.x = ((rows) + SS_ROWS_OF_BLOCK - 1) / SS_ROWS_OF_BLOCK}, \
                     __VA_ARGS__))

#endif
