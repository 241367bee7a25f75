/* attention.h - arguments of the kernels in attention.cu (kernels.h)
 *
 * A unit is one head of one sample. A launch takes some heads of some samples, and of each the same
 * run of queries, its rows; unit u is head u % heads of sample u / heads. A team is the threads
 * that share a row; it takes `each` rows of a unit, one after the other.
 */
#ifndef SS_KERNELS_CUDA_ATTENTION_H
#define SS_KERNELS_CUDA_ATTENTION_H

#include "kernels/cuda/rounding.h"

#include <stdint.h>

/* Exponents of large logits (kernels/stats.h), and inf or NaN after them: bins of a histogram. */
#define SS_CUDA_MASKED                                                        \
    (-65504.0f) /* likewise: keys that this or less is added to have no logit \
                 */
enum { SS_CUDA_LOGIT_FROM = 7, SS_CUDA_LOGIT_BINS = 128 - SS_CUDA_LOGIT_FROM + 1 };
/* A team keeps the sums of a row in the lane of the row's number. */
enum { SS_CUDA_MOST_ROWS = 16 };

/* Finite logits; least > most: there are none. first_peak and last_peak: the least and the largest
 * of the rows' largest ones. */
typedef struct {
    float least, most, first_peak, last_peak;
} ss_cuda_range;

/* Statistics of the rows of a team, or of all of a unit. */
typedef struct {
    double entropy;       /* sum over the rows */
    double entropy_min;   /* NaN if a row's is */
    ss_cuda_range raw;    /* scale q.k */
    ss_cuda_range stored; /* with bias, mask and rounding, of keys that are not masked */
    float probability;    /* the largest; 0: there is none */
    uint64_t lost;        /* probabilities that are NaN */
} ss_cuda_row_stats;

typedef struct {
    ss_cuda_row_stats rows;
    unsigned long long large[2][SS_CUDA_LOGIT_BINS]; /* of q.k, and of stored logits */
    uint32_t sink; /* bits of the largest sum of a key's probabilities; a NaN's are the largest */
} ss_cuda_unit_stats;

typedef struct {
    float *l;       /* [units][rows][pitch]: q.k, unscaled; becomes probabilities, or numerators */
    float *inverse; /* [units][rows]: 1 / Z of numerators; NULL where l becomes probabilities */
    float *dp;      /* [units][rows][pitch]: their gradients, which become those of logits */
    const float *mask; /* [samples][keys] or NULL */
    const float *bias; /* [heads][rows][keys], added before the mask, or NULL; heads are bias_step
                          apart, 0 where all have the same */
    int64_t bias_step;
    int64_t units, rows, keys, pitch;
    int64_t each, teams; /* rows of a team; teams of a unit */
    int64_t heads;       /* of a sample, in this launch */
    float scale;
    /* Flags, each for values that are rounded by `to`: q.k; logits; exp(l - m); else probabilities
     */
    int round_products, round_logits, round_numerators, round_probabilities;
    ss_cuda_rounding to, gradients_to; /* the latter: dp, before and after */
    /* Statistics, or NULL where none are wanted. Those of unit u are stats[u / heads * all_heads +
     * u % heads] */
    ss_cuda_unit_stats *stats;
    int64_t all_heads;
    ss_cuda_row_stats *parts; /* [units][teams] */
    float *mass;              /* [units][teams][pitch]: sums of probabilities over a team's rows */
} ss_cuda_softmax;

/* softmax_*   a team a row: a warp of at most 256 keys, a block of at most 4096, and of any number
 * watched_*   the same with statistics
 * dsoftmax_*  with dp, without statistics */
#define SS_CUDA_ATTENTION(X)                     \
    X(softmax_warp, 256, (ss_cuda_softmax s;))   \
    X(softmax_block, 256, (ss_cuda_softmax s;))  \
    X(softmax_any, 256, (ss_cuda_softmax s;))    \
    X(watched_warp, 256, (ss_cuda_softmax s;))   \
    X(watched_block, 256, (ss_cuda_softmax s;))  \
    X(watched_any, 256, (ss_cuda_softmax s;))    \
    X(dsoftmax_warp, 256, (ss_cuda_softmax s;))  \
    X(dsoftmax_block, 256, (ss_cuda_softmax s;)) \
    X(dsoftmax_any, 256, (ss_cuda_softmax s;))

#endif
