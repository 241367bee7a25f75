/* journal.h - what happened step by step: a file of JSON objects, one a line
 *
 *   {"step":250,"loss":0.1431,...}
 *
 * Lines are in the order of their steps. A training that goes on from an earlier step cuts off the
 * lines of later steps, and a line that a killed process left incomplete, and writes them again.
 */
#ifndef SS_TRAIN_JOURNAL_H
#define SS_TRAIN_JOURNAL_H

#include "base/err.h"

#include <jansson.h>
#include <stdint.h>

typedef struct ss_journal ss_journal;

/* Opens PATH to append, and makes it if it does not exist; cuts off lines of steps after `last`. */
ss_code ss_journal_open(const char *path, int64_t last, ss_journal **j, ss_err *e);

/* Adds a line and releases the object, whose first key is "step"; NULL, for no memory, is SS_NOMEM.
 */
ss_code ss_journal_add(ss_journal *j, json_t *line, ss_err *e);

/* Writes all lines to the disk. */
ss_code ss_journal_sync(ss_journal *j, ss_err *e);

/* Syncs and frees, also on failure; NULL is fine. */
ss_code ss_journal_close(ss_journal *j, ss_err *e);

/* A number for a line; null if it is not finite, since JSON has no such numbers. */
json_t *ss_journal_number(double v);

#endif
