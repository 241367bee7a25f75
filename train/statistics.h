/* statistics.h - the run file of a training: all statistics of every module at every N-th step
 *
 * The first step, every N-th, and the last are measured; of a branch, those after the step where it
 * begins. Measuring changes no bit of a step.
 *
 * A file of the same training with another number of steps is changed to the configuration's. It
 * has the bytes of a file that had this number from the beginning, but for `created` and `command`,
 * which are of the run that changed it.
 *
 *   rc = ss_statistics_open(&opt, &s, &err);
 *   if (ss_statistics_due(s, step)) {
 *       rc = ss_statistics_begin(s, &err);          // hooks into the trainer
 *       rc = ss_trainer_step(t, &did, &err);
 *       rc = ss_statistics_end(s, &did, &err);      // hooks out; the step goes to the file
 *   }
 */
#ifndef SS_TRAIN_STATISTICS_H
#define SS_TRAIN_STATISTICS_H

#include "train/config.h"
#include "train/watch.h"

typedef struct ss_statistics ss_statistics;

typedef struct {
    const char *path;    /* of the run file; an existing one of the same run is continued */
    const char *command; /* recorded in it */
    int64_t after;       /* step after which the training begins: 0, more for a branch */
    const ss_train_config *config;
    ss_trainer *trainer;
    ss_watch *watch; /* sees the measured steps, too; borrowed like all others */
} ss_statistics_options;

ss_code ss_statistics_open(const ss_statistics_options *opt, ss_statistics **s, ss_err *e);

bool ss_statistics_due(const ss_statistics *s, int64_t step);
ss_code ss_statistics_begin(ss_statistics *s, ss_err *e);
ss_code ss_statistics_end(ss_statistics *s, const ss_trainer_did *did, ss_err *e);

/* Writes all that was measured so far into the file. */
ss_code ss_statistics_sync(ss_statistics *s, ss_err *e);

/* Frees s, also on failure; NULL is fine. finished: all steps were done, and the file becomes
 * complete; else it can be continued. */
ss_code ss_statistics_close(ss_statistics *s, bool finished, ss_err *e);

#endif
