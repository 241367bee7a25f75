/* apart.h - a function in a process of its own
 *
 * A file that another program shortens while it is mapped ends whoever reads it (SIGBUS), and a
 * program that watches files for days must not end. So it looks at them through a child process:
 *
 *   rc = ss_apart(work, self, stop, &answer, &err);      // SS_IO if the child crashed
 *
 * The child has the memory of the caller as it was and gives back a text alone. The caller must not
 * have run OpenMP's threads before, which the child would wait for.
 */
#ifndef SS_BASE_APART_H
#define SS_BASE_APART_H

#include "base/str.h"

/* Fills answer, or fails. What it prints on stderr is dropped. */
typedef ss_code ss_apart_work(void *self, ss_str *answer, ss_err *e);

/* Runs the work; *answer is the caller's to ss_free. An error of the work is passed on, a signal
 * that ended it is SS_IO. stop: asked now and then, non-zero ends the child with SS_INTERRUPTED. */
ss_code ss_apart(ss_apart_work *work, void *self, int (*stop)(void), char **answer, ss_err *e);

#endif
