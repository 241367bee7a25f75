/* cache.h - a folder of kept files: who uses which, and which go when they are too large together
 *
 * Several processes may use a folder at a time. Each holds what it uses by a lock on one byte of
 * DIR/lock, at a place that follows from the file's name: shared by those who read it, one alone
 * while it is made. The locks are those of fcntl(2): they end with the process, however it ends,
 * and tell who has them. Where the file system has none, everything goes on without.
 *
 *   ss_cache c;
 *   rc = ss_cache_open(&c, ".sigmascope-bisect", is_ours, true, &err);
 *   while (rc == SS_OK && !ss_cache_try(&c, "a.h5", SS_CACHE_MAKE, &holder))
 *       sleep(1);                             // process `holder` has it
 *   left = ss_cache_trim(&c, 10000000000U);
 *   ss_cache_close(&c);                       // gives up what is held
 *
 * A process opens a folder once at a time: closing any file of these locks ends all that it has.
 * A file's time of change is when it was last used.
 */
#ifndef SS_BASE_CACHE_H
#define SS_BASE_CACHE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct {
    char *dir;
    bool (*is_ours)(
        const char *name); /* other files in the folder are neither counted nor removed */
    int lock;              /* file descriptor, -1: no locks */
    char **held;           /* names; never removed by trim */
    size_t n_held, cap_held;
} ss_cache;

typedef enum {
    SS_CACHE_READ, /* several may */
    SS_CACHE_MAKE  /* one alone */
} ss_cache_use;

/* Makes the folder if it is missing; its parent has to be there. locks: false where each file
 * appears whole and is read in one go, so that nobody has to hold it. */
ss_code ss_cache_open(ss_cache *c, const char *dir, bool (*is_ours)(const char *name), bool locks,
                      ss_err *e);
void ss_cache_close(ss_cache *c); /* {0} is fine */

/* Holds the file called name, which need not be there, in place of how this process held it. False
 * if another process has it: *holder is its number, or 0 where that is not known. Does not wait.
 */
bool ss_cache_try(ss_cache *c, const char *name, ss_cache_use use, pid_t *holder);
void ss_cache_let_go(ss_cache *c, const char *name);

/* Notes that the file was used now, and keeps trim from removing it as long as the cache is open.
 * SS_NOMEM. */
ss_code ss_cache_keep(ss_cache *c, const char *name, ss_err *e);
/* Lets trim remove what was kept. */
void ss_cache_forget(ss_cache *c);

typedef struct {
    int files, removed;
    uint64_t bytes; /* of the files that are left */
} ss_cache_size;

/* Removes those files whose use is longest ago until the rest has at most limit bytes; never one
 * that this process keeps or another holds. A file that another process has open stays readable
 * for it. A folder that cannot be read has no files. */
ss_cache_size ss_cache_trim(ss_cache *c, uint64_t limit);

#endif
