/* cached.h - a folder of runs, so that none is made twice
 *
 * Each run file has its name from what decides its numbers:
 *
 *   DIR/MODEL-PLAN.h5   the first 12 digits of the model's SHA-256, and of that of the plan
 *
 * A copy of a model, or another path to it, is the same model. Pictures and tensors are known by
 * their content (runfile/settings.h): after such a file has changed, the run is made again.
 */
#ifndef SS_PROBE_CACHED_H
#define SS_PROBE_CACHED_H

#include "probe/probe.h"

/* Makes the run that opt describes, unless a complete one is there; one that was cut off is
 * resumed. output, resume and replace of opt are ignored. The caller frees *path with ss_free.
 * *found: it was there. The folder is made if it is missing, its parent is not. */
ss_code ss_probe_cached(const ss_probe_options *opt, const char *dir, char **path, bool *found,
                        ss_err *e);

#endif
