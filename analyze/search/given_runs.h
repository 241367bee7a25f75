/* given_runs.h - run files in the place of checkpoints
 *
 * A run stands for the checkpoint that it was made of: its training step is in that path, or in its
 * own name, and its numbers are judged as they are. So it has to show the same as the others.
 */
#ifndef SS_ANALYZE_GIVEN_RUNS_H
#define SS_ANALYZE_GIVEN_RUNS_H

#include "runfile/run_reader.h"

/* Finds the training step of a run file: in the path of its model, else in its own ("step-250.h5");
 * -1 where neither has one. A file that cannot be read is an error of ss_run_open_any. */
ss_code ss_given_run_step(const char *path, int64_t *step, ss_err *e);

/* Writes how the run differs from another in what it shows: "--samples is 2, the run has 4", or, of
 * runs that do not say how they were made, their axes. False if they show the same. r is borrowed,
 * other too; the caller frees *difference with ss_free. Out of memory counts as no difference. */
bool ss_given_run_differs(const ss_run *r, const ss_run *other, char **difference);

/* Fails with SS_USAGE where the checkpoint of a run file is not at the path that the run recorded;
 * what: the option that needs it. */
ss_code ss_given_run_check_model(const ss_run *r, const char *what, ss_err *e);

#endif
