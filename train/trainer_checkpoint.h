/* trainer_checkpoint.h - a trainer on disk: saved, loaded, branched off, taken back
 *
 * A checkpoint is a folder: a model as diffusers loads it, with optimizer.safetensors and
 * training.json beside the weights.
 */
#ifndef SS_TRAIN_TRAINER_CHECKPOINT_H
#define SS_TRAIN_TRAINER_CHECKPOINT_H

#include "train/trainer.h"

/* Writes the folder whole or not at all. One that save wrote before is replaced. ema: the weights'
 * averages in place of the weights; such a folder cannot be loaded to go on. */
ss_code ss_trainer_save(const ss_trainer *t, const char *folder, bool ema, ss_err *e);

/* Goes on from a folder that save wrote, for the same network and optimiser. On failure the
 * trainer must be freed. */
ss_code ss_trainer_load(ss_trainer *t, const char *folder, ss_err *e);

/* Branches off another training: goes on from a checkpoint that it saved, with its weights,
 * optimiser, steps and all counters, so that the coming steps are those that it would have done,
 * but for what is otherwise in the options of this one. What it ended by is left behind.
 *
 * The network has the same parameters, the optimiser the same state (adam and adamw have), losses
 * by noise level the same bins. The loss scale goes on where both search one; else it is the one
 * that these options begin with. SS_USAGE or SS_FORMAT say what does not fit; then the trainer must
 * be freed. */
ss_code ss_trainer_branch(ss_trainer *t, const char *folder, ss_err *e);

/* Takes weights and optimiser back to those of such a folder, while steps, what they draw, and
 * all other counters go on: the batches that led to where nothing helped are left behind
 * (Chowdhery et al. 2022, section 5.1). On failure the trainer must be freed. */
ss_code ss_trainer_rewind(ss_trainer *t, const char *folder, ss_err *e);

#endif
