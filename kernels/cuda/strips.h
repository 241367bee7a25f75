/* strips.h - an attention strip by strip, for its forward and its gradients; private to
 * kernels/cuda
 *
 *   rc = ss_cuda_strips_plan(d, a, ss_cuda_strip_bytes(d), &p, e);
 *   while (rc == SS_OK && ss_cuda_strip_next(&p, &s))      // s is {0} before
 *       rc = forward_strip(d, &p, &s, e);                  // products, rows, products
 *   ss_cuda_strips_release(d, &p);
 *
 * A strip is some heads of some samples with all of their queries, or some queries of one head. Its
 * logits are [samples][heads][rows][pitch].
 */
#ifndef SS_KERNELS_CUDA_STRIPS_H
#define SS_KERNELS_CUDA_STRIPS_H

#include "kernels/cuda/arithmetic.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/matrix.h"

/* Sizes and operands of one call. */
typedef struct {
    const ss_attention_args *a;
    int64_t T, S, D, C;           /* C: all heads together */
    int64_t pitch;                /* from one row of logits to the next */
    int64_t samples, heads, rows; /* of a strip, at most */
    const float *q, *k;           /* divided by their lengths where cosine */
    float *unit_q, *unit_k;       /* those, or NULL */
    ss_cuda_numbers in_q, in_k, in_p;
} ss_cuda_strips;

typedef struct {
    int64_t n0, n, h0, heads, t0, rows;
} ss_cuda_strip;

/* A matrix of each head of each sample. */
typedef struct {
    float *p; /* the first one's */
    int64_t ld, sample, head;
} ss_cuda_matrices;

/* The kernels for rows of at most so many keys; how many teams a block has; and how many rows there
 * should be before a team takes several, so that all of a card has something to do. */
typedef struct {
    int64_t keys;
    ss_cuda_kernel plain, watched, gradient;
    int64_t teams, busy;
} ss_cuda_row_kernels;

/* Bytes of logits at a time. */
int64_t ss_cuda_strip_bytes(const ss_device *d);

/* Sizes and operands of an attention whose strips take at most so many bytes; for cosine attention
 * q and k are normalised. To be released, after an error too. */
ss_code ss_cuda_strips_plan(ss_device *d, const ss_attention_args *a, int64_t bytes,
                            ss_cuda_strips *p, ss_err *e);
void ss_cuda_strips_release(ss_device *d, ss_cuda_strips *p);
/* Rows of the largest strip, of all its heads and samples. */
int64_t ss_cuda_strips_rows(const ss_cuda_strips *p);
/* Work space of n values; NULL after filling e. */
void *ss_cuda_strips_space(ss_device *d, int64_t n, size_t size, ss_err *e);
ss_cuda_numbers ss_cuda_numbers_of_format(const ss_format *f);

/* The next strip, all queries of a head before the next head; false after the last. */
bool ss_cuda_strip_next(const ss_cuda_strips *p, ss_cuda_strip *s);

/* The strip's part of a tensor like q, like k, and of its logits. */
ss_cuda_matrices ss_cuda_of_queries(const ss_cuda_strips *p, const ss_cuda_strip *s,
                                    const float *x);
ss_cuda_matrices ss_cuda_of_keys(const ss_cuda_strips *p, const ss_cuda_strip *s, const float *x);
ss_cuda_matrices ss_cuda_of_logits(const ss_cuda_strips *p, const ss_cuda_strip *s, float *l);
/* c = a b for each head of each sample of the strip; g has the sizes of one. */
ss_code ss_cuda_strip_multiply(ss_device *d, const ss_cuda_strip *s, ss_cuda_gemm_args g,
                               ss_cuda_matrices a, ss_cuda_matrices b, ss_cuda_matrices c,
                               ss_err *e);
/* l = q k^T, unscaled */
ss_code ss_cuda_strip_logits(ss_device *d, const ss_cuda_strips *p, const ss_cuda_strip *s,
                             float *l, ss_err *e);

const ss_cuda_row_kernels *ss_cuda_row_kernels_for(int64_t keys);
/* Arguments of these kernels for the strip's logits, without statistics. */
ss_cuda_softmax ss_cuda_softmax_of(const ss_cuda_strips *p, const ss_cuda_strip *s, float *l);
/* Runs one of the kernels r. */
ss_code ss_cuda_run_rows(ss_device *d, ss_cuda_kernel k, const ss_cuda_row_kernels *r,
                         const ss_cuda_softmax *m, ss_err *e);

/* Blocks of eight warps, each with a row */
static inline ss_cuda_grid_size ss_cuda_warps(int64_t rows)
{
    return (ss_cuda_grid_size){.x = (rows + 7) / 8};
}

#endif
