/* shell.h - a command line of the user, run by /bin/sh beside the program, with a time limit */
#ifndef SS_BASE_SHELL_H
#define SS_BASE_SHELL_H

#include "base/err.h"

#include <stdbool.h>

typedef struct {
    int status;     /* exit status, or -signal */
    bool timed_out; /* it was ended, with all that it had started */
} ss_shell_end;

/* Runs `sh -c COMMAND` in a process group of its own, without a stdin, its stdout on stderr. env:
 * "NAME=VALUE", NULL-terminated, added to the environment. After `seconds` the group gets SIGTERM,
 * and SIGKILL a second later. stop: asked now and then; non-zero shortens the time to a few
 * seconds. SS_IO if it cannot be run. */
ss_code ss_shell(const char *command, const char *const *env, double seconds, int (*stop)(void),
                 ss_shell_end *end, ss_err *e);

#endif
