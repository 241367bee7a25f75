/* training_windows.h - what changed in a training between two windows of its measured steps
 *
 * training_log.h says which windows those are, and what is compared.
 */
#ifndef SS_ANALYZE_TRAINING_WINDOWS_H
#define SS_ANALYZE_TRAINING_WINDOWS_H

#include "analyze/training/training_log.h"

/* Fills what the run file of a training says: seed, format, peaks, windows, mechanism. Needs
 * t->first_overflow, which the events say. */
ss_code ss_training_windows_read(ss_run *r, ss_training_log *t, ss_err *e);

#endif
