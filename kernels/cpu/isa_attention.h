/* isa_attention.h - what the files of attention share: isa_attention.c, its gradients, products and
 * rows of logits
 */
#ifndef SS_KERNELS_CPU_ISA_ATTENTION_H
#define SS_KERNELS_CPU_ISA_ATTENTION_H

#include "kernels/cpu/isa.h"
#include "kernels/cpu/isa_pairs.h"
#include "kernels/cpu/isa_vector.h"

enum { STRIP = 24, KEYS = 2 * VL }; /* queries of a strip; keys of a panel */

/* Statistics of one segment of queries. Its mass (per key, the sum of p over the queries) is kept
 * apart. */
typedef struct {
    double entropy; /* sum over the queries */
    double entropy_min;
    float max_logit;
    ss_logit_stats logits;
} tally;

/* Sizes and places of one call. */
typedef struct {
    const ss_attention_args *a;
    int64_t T, S, D;
    int64_t S_pad, D_pad, stride; /* padded to whole vectors; heads * D */
    bool pairs;                   /* products are of bf16, in pairs: */
    int64_t q_len, l_len;         /* numbers, or pairs, that a query's product and a row of
                                     probabilities add up */
    int64_t l_step;               /* from one row of logits to the next */
    int64_t strips, per_segment, segments;
    float *keys, *values; /* [n][heads] packed: [S_pad][D], [S][D_pad] */
    float *work;          /* [thread]: queries, logits, output of a strip, a row of logits */
    tally *tallies;       /* [n][heads][segments] */
    float *mass;          /* [n][heads][segments][S_pad] */
    float *distance;      /* [n][heads][segments][frames]: mass by distance; NULL: no frames */
} plan;

/* Addends of a row of logits, [S] each or NULL. */
typedef struct {
    const float *bias, *mask;
} addends;

static inline addends addends_of(const plan *p, int64_t head, int64_t t)
{
    const ss_tensor *bias = p->a->bias, *mask = p->a->mask;
    const int64_t n = head / p->a->heads, h = head % p->a->heads;

    return (addends){bias ? (const float *)bias->data +
                                ((bias->shape.dim[0] > 1 ? h * p->T : 0) + t) * p->S
                          : NULL,
                     mask ? (const float *)mask->data + n * p->S : NULL};
}

/* 1 / |x|, or 0 for the zero vector */
static inline float inverse_length(const float *x, int64_t D)
{
    double sum = 0;

    for (int64_t i = 0; i < D; i++)
        sum += (double)x[i] * x[i];
    return sum == 0 ? 0 : (float)(1 / sqrt(sum));
}

/* ---- isa_attention.c ---- */

/* Sizes that follow from the arguments; no memory. */
plan ISA(attention_plan)(const ss_device *d, const ss_attention_args *a);

/* ---- isa_attention_product.c ---- */

/* c[STRIP][columns] = or += a[STRIP][K] times a panel of 1 to 3 vectors, the last of which may be
 * less than full; of pairs, K are added */
#define strip_product ISA(strip_product) /* long calls are formatted as a function's */
void strip_product(bool pairs, const float *a, int64_t a_stride, const float *panel,
                   int64_t columns, float *c, int64_t c_stride, int64_t K, bool add);
/* Keys k and values v of a head, p->stride apart, to panels. cosine: keys over their length */
void ISA(pack_keys)(const plan *p, const float *k, bool cosine, float *to);
void ISA(pack_values)(const plan *p, const float *v, float *to);
/* Rows beyond the last query are zero: they are computed along and dropped. Pairs are not scaled,
 * as that would round them. */
void ISA(pack_queries)(const plan *p, const float *q, int64_t rows, float *to);
/* out[STRIP][D_pad] = l V, in chunks of keys whose panel stays in the nearest cache */
void ISA(times_values)(const plan *p, const float *l, const float *values, float *out);

/* ---- isa_attention_rows.c ---- */

/* A row of logits, which pairs leave unscaled, to the numerators of its probabilities; returns 1/Z.
 * narrow: to pairs of them. t: where its statistics are added, with a row of work space, or NULL.
 */
PAIRS float ISA(softmax_row)(const plan *p, float *l, addends add, bool narrow, tally *t,
                             float *space);
/* mass[j] += sum over the rows of p_ij */
void ISA(add_mass)(const plan *p, const float *l, const float *inverse, int64_t rows, float *mass);
/* distance[d] += sum over the rows, the first of which is query t0, of their mass on frames at
 * distance d. space: S_pad values. */
void ISA(add_distances)(const plan *p, const float *l, const float *inverse, int64_t t0,
                        int64_t rows, float *distance, float *space);

#endif
