/* cached.h - a folder of runs, so that none is made twice
 *
 * Each run file has its name from what decides its numbers:
 *
 *   DIR/MODEL-PLAN.h5   the first 12 digits of the model's SHA-256, and of that of the plan
 *
 * A copy of a model, or another path to it, is the same model. Pictures and tensors are known by
 * their content (runfile/settings.h): after such a file has changed, the run is made again.
 *
 *   ss_run_cache c = {.dir = ".sigmascope-bisect", .limit = SS_RUN_CACHE_LIMIT};
 *   rc = ss_probe_cached(&opt, &c, &path, &found, &err);   // as often as needed
 *   ss_run_cache_close(&c);
 *
 * Several processes may use a folder at a time (base/cache.h): they probe different models side by
 * side, and one that needs a run that another is making waits for it. A run that a process got
 * stays there until it closes the cache.
 */
#ifndef SS_PROBE_CACHED_H
#define SS_PROBE_CACHED_H

#include "base/cache.h"
#include "probe/probe.h"

/* Where none is asked for. */
#define SS_RUN_CACHE_FOLDER ".sigmascope-bisect"
#define SS_RUN_CACHE_LIMIT 10000000000U /* bytes */

typedef struct {
    const char *dir; /* borrowed */
    uint64_t limit; /* bytes of all runs; what is in use may exceed it. 0: close removes them all */
    int n_removed;  /* runs, so far */
    ss_cache files;
} ss_run_cache;

/* Makes the run that opt describes, unless a complete one is there; one that was cut off is
 * resumed, and one that is damaged made again. While another process makes it, waits, and says so
 * in a note. output, resume and replace of opt are ignored. The caller frees *path with ss_free.
 * *found: it was there. The folder is made if it is missing, its parent is not. SS_INTERRUPTED
 * after a signal, also while it waits. */
ss_code ss_probe_cached(const ss_probe_options *opt, ss_run_cache *cache, char **path, bool *found,
                        ss_err *e);

/* Removes the runs whose use is longest ago as far as the limit asks, says in a note how large the
 * folder is, and lets other processes remove what this one used. A cache from which no run was
 * taken is left alone. */
void ss_run_cache_close(ss_run_cache *cache);

#endif
