/* optimizer_state.h - the inside of an optimiser */
#ifndef SS_TRAIN_OPTIMIZER_STATE_H
#define SS_TRAIN_OPTIMIZER_STATE_H

#include "train/optimizer.h"

struct ss_optimizer {
    ss_optimizer_options opt;
    ss_ctx *c;
    ss_trained *tensor; /* [n] */
    size_t n;
    int64_t total;             /* values of all tensors */
    int64_t t;                 /* steps done */
    ss_tensor **m, **v, **ema; /* [n], each [values of the tensor]; v and ema may be NULL */
    ss_step *steps;            /* [n] of the step that is done */
    ss_step_sums *sums;        /* [n] */
};

#endif
