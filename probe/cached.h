/* cached.h - probes that are kept, so that none is made twice
 *
 * A folder of run files, each called after what decides its numbers:
 *
 *   DIR/MODEL-PLAN.h5   the first 12 digits of the model's SHA-256, and of that of the plan
 *
 * A copy of a model, or another path to it, is the same model. Pictures and tensors are known by
 * what they hold (runfile/settings.h): after such a file was changed, the run is made again.
 */
#ifndef SS_PROBE_CACHED_H
#define SS_PROBE_CACHED_H

#include "probe/probe.h"

/* Makes the run that opt describes (its output, resume and replace do not count) unless it is there
 * and complete; one that was cut off is resumed. *path is ss_free's. *found: it was complete. The
 * folder is made where it is missing, but not the one around it. */
ss_code ss_probe_cached(const ss_probe_options *opt, const char *dir, char **path, bool *found,
                        ss_err *e);

#endif
