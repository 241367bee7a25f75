/* outdir.h - a folder of results that appears whole or not at all
 *
 * It is filled beside its target as PATH.tmp-PID and renamed by commit.
 *
 *   ss_outdir o;
 *   if (ss_outdir_open(&o, "report", "index.html", force, &err) != SS_OK) ...
 *   ...                                    // write files into o.tmp
 *   rc = ss_outdir_commit(&o, &err);       // or ss_outdir_discard(&o)
 */
#ifndef SS_BASE_OUTDIR_H
#define SS_BASE_OUTDIR_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    char *path; /* where it will be */
    char *tmp;  /* where it is filled; owned, borrowed by those who write */
} ss_outdir;

/* Makes the temporary folder. A target that exists is SS_IO, unless it is an empty folder, or
 * replace is set and it holds the file `mark`, by which our own results are known: nothing else
 * is ever deleted. */
ss_code ss_outdir_open(ss_outdir *o, const char *path, const char *mark, bool replace, ss_err *e);

/* Puts the folder in its place; what it replaces is deleted only then. On failure the temporary
 * one is gone, and the old one still there. */
ss_code ss_outdir_commit(ss_outdir *o, ss_err *e);
void ss_outdir_discard(ss_outdir *o); /* {0} is fine */

/* Deletes a folder that holds the file `mark`; links in it are deleted, not followed. Anything else
 * is SS_IO and stays. */
ss_code ss_outdir_remove(const char *path, const char *mark, ss_err *e);

/* The length of NAME in NAME.tmp-PID and NAME.old-PID, which is what a killed process leaves of a
 * file or folder that was to appear whole; 0 for all other names. */
size_t ss_outdir_leftover(const char *name);

/* Deletes such a file or folder, which nobody must be writing any more; another name is SS_IO. */
ss_code ss_outdir_remove_leftover(const char *path, ss_err *e);

#endif
