/* train.h - a whole training run, from its configuration to a folder of results
 *
 *   OUT/config.json       the effective configuration (config.h), with the version of the program
 *   OUT/log.jsonl         a line a step: loss, penalty, norm, rate, scale, staleness (journal.h)
 *   OUT/events.jsonl      what stood out: overflows with module, sigma, sample and share; gradients
 *                         that overflowed; spikes of the loss; rollbacks
 *   OUT/statistics.h5     all statistics of every module at every N-th step (runfile/run_file.h)
 *   OUT/tensorboard/      event files, if asked for
 *   OUT/step-001000/      checkpoints: models as diffusers loads them, with what --resume needs
 *   OUT/step-001000-ema/  the averages of their weights, if asked for
 *
 * A run that was cut off goes on from its last checkpoint and gives the bytes of one that was not:
 * lines and statistics behind it are written again. One that ended early, by on_nonfinite or
 * max_overflows, stays as it is: its checkpoint has the reason. Another number of steps, not below
 * those that are done, gives the folder of a training that had it from the beginning, except that
 * the former last checkpoint stays where all are kept, and that the run file names the later
 * command; SS_USAGE where learning rates depend on the number. A branch (init.state) goes on from
 * another training's checkpoint, at its step, and needs it again when it is resumed. One process at
 * a time has the folder.
 */
#ifndef SS_TRAIN_TRAIN_H
#define SS_TRAIN_TRAIN_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    const char *config;      /* a file, as config.h describes it */
    const char *const *sets; /* [n_sets] KEY=VALUE over it */
    int n_sets;
    const char *output; /* instead of its own; NULL */
    bool resume;
    int threads;
    const char *device;
    const char *command; /* for the record: the command line */
} ss_train_options;

typedef struct {
    char output[512], checkpoint[512]; /* folders; the last checkpoint, "" for none */
    int64_t steps;                     /* done, those of earlier runs of the program too */
    double loss;                       /* mean over the last 100 finite steps of this run */
    double scale;                      /* of the loss, at the end */
    int64_t skipped, spikes;           /* so far */
    int rollbacks;
    int64_t overflows;     /* steps so far whose loss was inf or NaN */
    int64_t overflow_step; /* first that overflowed in this run; 0: none did */
    char overflow_module[256];
    double overflow_sigma;
    bool diverged;    /* ended early, because a step was not finite and nothing helped, or because
                         of max_overflows; now, or in the run that is to be gone on with */
    char reason[400]; /* why, where it did */
    int64_t lately,
        lately_of;      /* steps skipped of the last 100 of this run, and how many those are */
    bool stalled;       /* more than half of all steps, or of those, were skipped */
    double scale_first; /* of the loss, in the first step of this run */
    bool measured;      /* there is a statistics.h5 */
    double seconds, cpu_seconds; /* of the steps: by the clock, and of all threads */
    int64_t run_steps;           /* of this run of the program */
} ss_train_summary;

/* Trains to the end, or to where it diverges, which is no error. Weights that are inf or NaN at the
 * beginning are SS_FORMAT: no step can mend them. SIGINT and SIGTERM end it with
 * SS_INTERRUPTED when ss_interrupt (probe/interrupt.h) is their handler; a checkpoint of the step
 * at hand is saved first. What an error leaves can be resumed from its last checkpoint. */
ss_code ss_train_run(const ss_train_options *opt, ss_train_summary *summary, ss_err *e);

#endif
