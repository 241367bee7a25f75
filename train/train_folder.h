/* train_folder.h - the folder of a training run: who has it, what is in it; private to train.c */
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
    int64_t steps; /* of the training that is there, where they are others than asked for; else 0 */
} ss_train_folder;

/* Makes the folder and locks it against other processes. A folder that holds a run already is
 * SS_IO without resume; with it, its configuration must be `config`, but for the output's name and
 * the number of steps, or SS_USAGE tells where they differ. config is stored in a new one. */
ss_code ss_train_folder_open(const char *path, const json_t *config, bool resume,
                             ss_train_folder *f, ss_err *e);
/* Stores another configuration, whole or not at all. */
ss_code ss_train_folder_set_config(const ss_train_folder *f, const json_t *config, ss_err *e);
void ss_train_folder_close(ss_train_folder *f); /* {0} is not fine, a failed open is */

/* PATH/NAME, the caller's to ss_free; NULL when out of memory. */
char *ss_train_folder_file(const ss_train_folder *f, const char *name);
/* PATH/step-001000, or with -ema behind it. */
char *ss_train_folder_step(const ss_train_folder *f, int64_t step, bool ema);

/* Steps of the checkpoints that are there, rising; the caller's to ss_free. */
ss_code ss_train_folder_steps(const ss_train_folder *f, int64_t **steps, size_t *n, ss_err *e);

/* Says of a checkpoint whether a training that was never cut off has one at this step. */
typedef bool ss_train_regular(const void *self, int64_t step);

/* Deletes all but the newest `keep` regular checkpoints, and the newest of all: the one of a
 * training that was cut off, or had fewer steps, goes when another comes. */
ss_code ss_train_folder_prune(const ss_train_folder *f, int64_t keep, ss_train_regular *regular,
                              const void *self, ss_err *e);

#endif
