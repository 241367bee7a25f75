/* idx.h - reads IDX files, plain or gzipped, such as MNIST and Fashion-MNIST
 *
 *   bytes 0, 1   0
 *   byte 2       element type; 8: unsigned byte, the only one read here
 *   byte 3       number of dimensions, 1 to 4
 *   then         each dimension, u32 big-endian, outermost first
 *   then         the elements, row-major
 *
 * Memory is allocated as the data arrive, so a header that promises more than its file holds is
 * merely an error.
 *
 * Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits".
 */
#ifndef SS_PROBE_IDX_H
#define SS_PROBE_IDX_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { SS_IDX_MAX_RANK = 4, SS_IDX_MAX_ITEM = 1 << 26 };

typedef struct {
    int rank;
    uint32_t dim[SS_IDX_MAX_RANK]; /* from the header; 1 beyond rank */
    size_t item;                   /* bytes of one item: the product of dim[1..] */
    size_t n;                      /* items read, at most dim[0] */
    uint8_t *data;                 /* [n][item], owned */
} ss_idx;

/* Reads the header and the first max items; all, if there are fewer. SS_FORMAT for a file that is
 * no IDX file, ends early, or, if all items were read, has more data after them. */
ss_code ss_idx_read(const char *path, size_t max, ss_idx *idx, ss_err *e);
void ss_idx_release(ss_idx *idx); /* {0} is fine */

/* Value (y, x) of picture i averaged down: the mean over pool x pool bytes, scaled to [-1,1]. pool
 * divides dim[1] and dim[2]. */
float ss_idx_mean(const ss_idx *idx, size_t i, int pool, int y, int x);

#endif
