/* hashes.h - a file with hashes of what kernels of our own gave; private to selftest/
 *
 *   3f1c... add 3x7 3x7 (1) | fp32 | random
 *
 * A line for each run of a case, 16 hex digits first; lines that begin with # are comments. Written
 * by one device, it is compared with another: kernels of our own give the same bits on every card
 * and on the emulated one.
 */
#ifndef SS_SELFTEST_HASHES_H
#define SS_SELFTEST_HASHES_H

#include "base/err.h"

#include <stdbool.h>

typedef struct ss_hashes ss_hashes;

/* Reads the file where there is one, for comparing; else gathers lines that close writes to it.
 * text: of the device, a comment of a new file. */
ss_code ss_hashes_open(const char *path, const char *text, ss_hashes **h, ss_err *e);

/* True if hashes are compared, false if they are gathered. */
bool ss_hashes_compares(const ss_hashes *h);

/* Compares or gathers one. *known: the file has the case; *same: with this hash. */
ss_code ss_hashes_put(ss_hashes *h, const char *name, const char *hex, bool *known, bool *same,
                      ss_err *e);

/* Writes what was gathered, and frees; NULL is fine. */
ss_code ss_hashes_close(ss_hashes *h, ss_err *e);
void ss_hashes_discard(ss_hashes *h); /* frees alone */

#endif
