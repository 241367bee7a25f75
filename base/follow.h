/* follow.h - another program, run to its end while somebody reads what it says
 *
 *   static bool heard(void *self, const char *line) { ... }      // line is NULL four times a
 * second rc = ss_follow("/proc/self/exe", argv, "inspect.txt", heard, self, &status, &err);
 */
#ifndef SS_BASE_FOLLOW_H
#define SS_BASE_FOLLOW_H

#include "base/err.h"

#include <stdbool.h>

/* Gets each line of the program's stderr, without its end, and NULL now and then. false: the
 * program shall end; it is sent SIGINT, once. */
typedef bool ss_follower(void *self, const char *line);

/* Runs a program, argv with its name and NULL-terminated, in a process group of its own, without a
 * stdin. It ends with this process, however that ends. Its stdout becomes the file `output`, which
 * appears when the program has ended, unless it was told to end; NULL: nothing is kept of it.
 * *status: its exit status, or -1 if a signal ended it. SS_IO if it cannot be run. */
ss_code ss_follow(const char *program, const char *const *argv, const char *output,
                  ss_follower *heard, void *self, int *status, ss_err *e);

#endif
