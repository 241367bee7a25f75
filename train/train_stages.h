/* train_stages.h - a training in stages: resolution, frames and batch grow from one to the next
 *
 * The steps are those of one training. Weights and the optimiser's state go on, and what a step
 * draws depends on its number and the stage's sizes, so that a resumed training has the bits of one
 * that was never stopped, inside a stage and at its end.
 */
#ifndef SS_TRAIN_STAGES_H
#define SS_TRAIN_STAGES_H

#include "base/err.h"

#include <stdint.h>

enum { SS_MOST_STAGES = 256, SS_MOST_SAMPLES = 1 << 16 }; /* samples: of a step */

/* A stage; what is 0 (lr: negative) is as the training says without stages. */
typedef struct {
    int64_t steps;     /* how long it is; the last one goes on to the end of the training */
    int height, width; /* of a sample, in pixels of the network's input */
    int frames;        /* of a video */
    int pool;          /* ss_data_options.pool */
    int batch;         /* samples of a pass through the network */
    int accumulate;    /* passes of a step */
    double lr;         /* what the learning rate's warm-up and decay multiply */
} ss_train_stage;

/* The stage of a step, from 1; 0 where there are no stages. */
int ss_train_stage_of(const ss_train_stage *stages, int n, int64_t step);

/* SS_USAGE if a number is out of its range; the message counts stages from 1. */
ss_code ss_train_stages_check(const ss_train_stage *stages, int n, ss_err *e);

#endif
