/* train_folder.h - the folder of a training run: its lock and its contents; private to train.c */
#ifndef SS_TRAIN_FOLDER_H
#define SS_TRAIN_FOLDER_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    char *path;
    int lock; /* file descriptor */
    bool fresh;
    int64_t steps; /* of the training in it, if it was for another number of steps; else 0 */
} ss_train_folder;

/* Makes the folder, locks it against other processes, and stores config in it if it is new. A
 * folder that holds a run already is SS_IO without resume. With resume its configuration must be
 * `config`, but for what may change (ss_train_config_fixed); else SS_USAGE says where they differ.
 */
ss_code ss_train_folder_open(const char *path, const json_t *config, bool resume,
                             ss_train_folder *f, ss_err *e);
/* Stores another configuration, whole or not at all. */
ss_code ss_train_folder_set_config(const ss_train_folder *f, const json_t *config, ss_err *e);
void ss_train_folder_close(ss_train_folder *f); /* after a failed open, too; {0} is not fine */

/* PATH/NAME, the caller's to ss_free; NULL: no memory. */
char *ss_train_folder_file(const ss_train_folder *f, const char *name);
/* PATH/step-001000 or PATH/step-001000-ema, likewise. */
char *ss_train_folder_step(const ss_train_folder *f, int64_t step, bool ema);

/* The steps of the checkpoints in it, rising; the caller's to ss_free. */
ss_code ss_train_folder_steps(const ss_train_folder *f, int64_t **steps, size_t *n, ss_err *e);

/* True if a training that was never interrupted has a checkpoint at this step. */
typedef bool ss_train_regular(const void *self, int64_t step);

/* Deletes all checkpoints but the newest `keep` regular ones and the newest of all: one that an
 * interruption saved, or that was the last of fewer steps, goes when the next comes. */
ss_code ss_train_folder_prune(const ss_train_folder *f, int64_t keep, ss_train_regular *regular,
                              const void *self, ss_err *e);

#endif
