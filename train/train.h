/* train.h - a whole training run, from its configuration to a folder of results
 *
 *   OUT/config.json       the effective configuration (config.h), with the version of the program
 *   OUT/log.jsonl         a line for each step: loss, penalty, norm, rate, scale, staleness
 *   OUT/events.jsonl      what stood out: overflows with module, sigma, sample and share; gradients
 *                         that overflowed; spikes of the loss; rollbacks
 *   OUT/statistics.h5     all statistics of every module at every N-th step (runfile/run_file.h)
 *   OUT/tensorboard/      event files, if asked for
 *   OUT/step-001000/      checkpoints: models as diffusers loads them, with what --resume needs
 *   OUT/step-001000-ema/  the averages of their weights, if asked for
 *
 * A run that was interrupted goes on from its last checkpoint and gives the bytes of one that was
 * not: lines and statistics of later steps are written again. A run that ended early, by
 * on_nonfinite or max_overflows, stays as it is: its checkpoint has the reason.
 *
 * Another number of steps, not below those that are done, gives the folder of a training that had
 * it from the beginning, except that the former last checkpoint stays if all are kept, and that the
 * run file names the later command; SS_USAGE if learning rates depend on the number. A branch
 * (init.state) goes on from another training's checkpoint, at its step, and needs it again when it
 * is resumed. One process at a time has the folder.
 */
#ifndef SS_TRAIN_TRAIN_H
#define SS_TRAIN_TRAIN_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    const char *config;      /* file of a configuration (config.h) */
    const char *const *sets; /* [n_sets] KEY=VALUE that replace values of it */
    int n_sets;
    const char *output; /* folder in place of the configuration's; or NULL */
    bool resume;
    int threads;
    const char *device;
    const char *command; /* the command line, to be recorded */
} ss_train_options;

typedef struct {
    char output[512];        /* folder */
    char checkpoint[512];    /* folder of the last checkpoint; "": none */
    int64_t steps;           /* done, also by earlier runs of the program */
    double loss;             /* mean over the last 100 finite steps of this run */
    double scale;            /* of the loss, at the end */
    int64_t skipped, spikes; /* steps so far */
    int rollbacks;
    int64_t overflows;     /* steps so far whose loss was inf or NaN */
    int64_t overflow_step; /* the first in this run that overflowed; 0: none did */
    char overflow_module[256];
    double overflow_sigma;
    bool diverged;    /* ended early, in this run or before, since a step was not finite and nothing
                         helped, or by max_overflows */
    char reason[400]; /* if diverged: why */
    int64_t lately;   /* skipped ones of the last 100 steps of this run */
    int64_t lately_of;  /* how many steps those are, up to 100 */
    bool stalled;       /* more than half of all steps, or of the last 100, were skipped */
    double scale_first; /* of the loss, in the first step of this run */
    bool measured;      /* there is a statistics.h5 */
    double seconds;     /* of the steps, by the clock */
    double cpu_seconds; /* of the steps, of all threads */
    int64_t run_steps;  /* steps of this run of the program */
} ss_train_summary;

/* Trains to the end, or until it diverges, which is no error. Weights that are inf or NaN at the
 * beginning are SS_FORMAT: no step can mend them. SIGINT and SIGTERM end it with SS_INTERRUPTED if
 * ss_interrupt (probe/interrupt.h) is their handler; a checkpoint of the current step is saved
 * first. After an error it can be resumed from the last checkpoint. */
ss_code ss_train_run(const ss_train_options *opt, ss_train_summary *summary, ss_err *e);

#endif
