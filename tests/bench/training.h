/* training.h - the trainings that are timed: FAST-16, a small network on Fashion-MNIST, the same at
 * 32x32, and VIDEO-16, its motion blocks on moving items */
#ifndef SS_TESTS_BENCH_TRAINING_H
#define SS_TESTS_BENCH_TRAINING_H

#include "train/trainer.h"

/* size: 16 or 32. v-prediction, cosine levels, Adam at 5e-3, batch 32. */
ss_trainer_options bench_training(int size, int threads);
/* VIDEO-16: 4 videos of 8 frames; only motion blocks are trained. */
ss_trainer_options bench_video_training(int threads);
/* A side: one step; state is the ss_trainer. */
double bench_training_step(void *trainer);
/* True when the pictures are there; says where they come from if not. */
bool bench_training_possible(void);

#endif
