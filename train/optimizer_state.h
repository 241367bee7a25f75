/* optimizer_state.h - the inside of an optimiser */
#ifndef SS_TRAIN_OPTIMIZER_STATE_H
#define SS_TRAIN_OPTIMIZER_STATE_H

#include "train/optimizer.h"

/* Sums over a block of values: g^2, (change of w)^2, w^2, g^2 / v^. */
typedef struct {
    double g2, dw2, w2, stale;
} ss_step_sums;

struct ss_optimizer {
    ss_optimizer_options opt;
    ss_trained *tensor; /* [n] */
    int64_t *first;     /* [n] where the state of a tensor begins in m, v, ema */
    size_t n;
    int64_t total;      /* values of all tensors */
    int64_t t;          /* steps done */
    float *m, *v, *ema; /* [total]; m is sgd's momentum buffer; v and ema may be NULL */
    ss_step_sums *part; /* one for each block of the largest tensor */
};

#endif
