/* board.h - a training's curves for TensorBoard (events.h)
 *
 *   each step            train/loss, penalty, gradient_norm, learning_rate, loss_scale, staleness
 *   each measured step   absmax/PATH and rms/PATH of each module's output,
 *                        update/NAME and staleness/NAME of each parameter: RMS of the update over
 *                        that of the weights, and optimizer.h
 */
#ifndef SS_TRAIN_BOARD_H
#define SS_TRAIN_BOARD_H

#include "train/events.h"
#include "train/trainer.h"
#include "train/watch.h"

typedef struct ss_board ss_board;

/* Makes FOLDER (its parent must exist) and an event file in it. */
ss_code ss_board_open(const char *folder, ss_board **b, ss_err *e);
ss_code ss_board_step(ss_board *b, const ss_trainer_did *did, ss_err *e);
ss_code ss_board_modules(ss_board *b, ss_trainer *t, const ss_watch *w, int64_t step, ss_err *e);
/* Frees b, also on failure; NULL is fine. */
ss_code ss_board_close(ss_board *b, ss_err *e);

#endif
