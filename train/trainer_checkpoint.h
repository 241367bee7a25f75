/* trainer_checkpoint.h - saves a trainer, loads it, branches off it, and takes it back
 *
 * A checkpoint is a folder: a model as diffusers loads it, with optimizer.safetensors and
 * training.json beside the weights.
 */
#ifndef SS_TRAIN_TRAINER_CHECKPOINT_H
#define SS_TRAIN_TRAINER_CHECKPOINT_H

#include "train/trainer.h"

/* Writes the folder whole or not at all, in place of one that save wrote before. ema: with the
 * averages of the weights in place of the weights; such a folder cannot be loaded. */
ss_code ss_trainer_save(const ss_trainer *t, const char *folder, bool ema, ss_err *e);

/* Goes on from a folder that save wrote, for the same network and optimiser. On failure the
 * trainer must be freed. */
ss_code ss_trainer_load(ss_trainer *t, const char *folder, ss_err *e);

/* Branches off another training: goes on from a checkpoint of it, with its weights, optimiser,
 * steps and all counters. The coming steps are those that it would have done, but for what differs
 * in the options of this trainer. That it ended early is forgotten.
 *
 * The network must have the same parameters, the optimiser the same state (adam and adamw have) of
 * those that are trained here, and losses by noise level the same bins. The loss scale goes on if
 * both trainings search one; else it begins as these options say. SS_USAGE or SS_FORMAT if
 * something does not fit; then the trainer must be freed. */
ss_code ss_trainer_branch(ss_trainer *t, const char *folder, ss_err *e);

/* Takes weights and optimiser back to those of such a folder. Steps and all other counters go on,
 * so that other batches come than those which led to the divergence (Chowdhery et al. 2022, section
 * 5.1). On failure the trainer must be freed. */
ss_code ss_trainer_rewind(ss_trainer *t, const char *folder, ss_err *e);

#endif
