/* statistics.h - the run file of a training: all statistics of every module at every N-th step
 *
 * Measured are the first step, every N-th, and the last; of a branch those that come after the step
 * where it begins. A measured step has the bits of one that is not.
 *
 * A file of the same training with another number of steps becomes one with the configuration's:
 * the bytes are those of a file that had this number from the beginning, but for `created` and
 * `command`, which are of the run that changed it.
 *
 *   rc = ss_statistics_open(&opt, &s, &err);
 *   if (ss_statistics_due(s, step)) {
 *       rc = ss_statistics_begin(s, &err);          // hooks into the trainer
 *       rc = ss_trainer_step(t, &did, &err);
 *       rc = ss_statistics_end(s, &did, &err);      // and out again; the step goes to the file
 *   }
 */
#ifndef SS_TRAIN_STATISTICS_H
#define SS_TRAIN_STATISTICS_H

#include "train/config.h"
#include "train/watch.h"

typedef struct ss_statistics ss_statistics;

typedef struct {
    const char *path;    /* of the run file; one that is there is of the same run, and goes on */
    const char *command; /* for the record */
    int64_t after;       /* the step after which the training begins: 0, but for a branch */
    const ss_train_config *config;
    ss_trainer *trainer;
    ss_watch *watch; /* sees the measured steps, too; borrowed, as all of it */
} ss_statistics_options;

ss_code ss_statistics_open(const ss_statistics_options *opt, ss_statistics **s, ss_err *e);

bool ss_statistics_due(const ss_statistics *s, int64_t step);
ss_code ss_statistics_begin(ss_statistics *s, ss_err *e);
ss_code ss_statistics_end(ss_statistics *s, const ss_trainer_did *did, ss_err *e);

/* What was measured so far is in the file when it returns. */
ss_code ss_statistics_sync(ss_statistics *s, ss_err *e);

/* Frees s, also on failure; NULL is fine. finished: all steps were done, and the file is complete;
 * else it can be gone on with. */
ss_code ss_statistics_close(ss_statistics *s, bool finished, ss_err *e);

#endif
