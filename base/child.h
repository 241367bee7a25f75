/* child.h - another program that reads from a pipe, run without a shell
 *
 *   ss_child c;
 *   rc = ss_child_start(&c, "gnuplot", (const char *const[]){"-d", NULL}, folder, &err);
 *   if (rc == SS_OK) {
 *       ss_child_feed(&c, script, n);
 *       status = ss_child_end(&c, complaint, sizeof complaint);
 *   }
 */
#ifndef SS_BASE_CHILD_H
#define SS_BASE_CHILD_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

typedef struct {
    pid_t pid;
    int in;    /* -1: it reads no more */
    FILE *err; /* all that it prints */
} ss_child;

/* Starts the program, found along PATH, in the folder (NULL: here). arguments: without its name,
 * NULL-terminated. SS_UNSUPPORTED if there is no such program. */
ss_code ss_child_start(ss_child *c, const char *program, const char *const *arguments,
                       const char *folder, ss_err *e);

/* Gives it n bytes to read. false: it reads no more, which its status explains. */
bool ss_child_feed(ss_child *c, const void *bytes, size_t n);

/* Lets it read to the end, and waits for it: its exit status, 127 if it could not be run, -1 if a
 * signal ended it. *complaint: the first line it printed that is more than a warning, if there is
 * one, with nothing in it that drives a terminal. */
int ss_child_end(ss_child *c, char *complaint, size_t n);

#endif
