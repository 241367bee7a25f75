/* h5_trial.h - files that might crash HDF5, tried in a child process; private to runfile/ */
#ifndef SS_RUNFILE_H5_TRIAL_H
#define SS_RUNFILE_H5_TRIAL_H

#include <stdbool.h>

/* Does what(self) in a child process, of which nothing comes back; false if that crashed, or took
 * longer than a minute. HDF5 1.10 trusts the sizes in its heap of texts, and a damaged file can
 * crash it. True also where there is no child: the caller takes the risk. */
bool ss_h5_survives(void (*what)(void *self), void *self);

#endif
