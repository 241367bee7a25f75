/* file.h - whole files: map them, read them, write them whole or not at all */
#ifndef SS_BASE_FILE_H
#define SS_BASE_FILE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A read-only memory mapping. Pages come in when they are touched. */
typedef struct {
    const unsigned char *data; /* NULL when size is 0 */
    size_t size;
} ss_map;

/* Maps a regular file; anything else (a folder, a pipe) is SS_IO. */
ss_code ss_map_open(const char *path, ss_map *map, ss_err *e);
void ss_map_close(ss_map *map); /* {0} is fine */
/* Lets go of the pages that were touched, which come in again when they are. */
void ss_map_forget(const ss_map *map);

/* Reads a whole file of at most max bytes; *text gets a NUL after it and is the
 * caller's to ss_free. len may be NULL. A longer file is SS_FORMAT. */
ss_code ss_file_read(const char *path, size_t max, char **text, size_t *len, ss_err *e);

/* SS_FORMAT, with what to do about it, if the n bytes of a file are git-lfs's note of where the
 * file itself is: what a clone without git-lfs leaves. */
ss_code ss_file_check_fetched(const char *path, const void *bytes, size_t n, ss_err *e);

bool ss_file_exists(const char *path);
bool ss_is_dir(const char *path);

/* dir + "/" + name; the caller frees with ss_free; NULL when out of memory. */
char *ss_path_join(const char *dir, const char *name);

/* A file that appears whole or not at all: it is written beside its target as
 * PATH.tmp-PID, flushed to disk and renamed by commit; discard removes it. A target
 * that exists and is not a regular file is refused.
 *
 *   ss_outfile o;
 *   if (ss_outfile_open(&o, path, &err) != SS_OK) ...
 *   fprintf(o.f, "%d rows\n", n);
 *   rc = ss_outfile_commit(&o, &err);   // checks every write, also the buffered
 */
typedef struct {
    FILE *f;
    char *path, *tmp;
} ss_outfile;

ss_code ss_outfile_open(ss_outfile *o, const char *path, ss_err *e);
ss_code ss_outfile_commit(ss_outfile *o, ss_err *e); /* on failure the temporary is gone too */
void ss_outfile_discard(ss_outfile *o);              /* {0} is fine */

/* SHA-256 of a file as 64 lower-case hex digits and a NUL. */
ss_code ss_sha256_file(const char *path, char hex[65], ss_err *e);

/* SHA-256 of n bytes, in the same form; fails only where libcrypto has no memory. */
ss_code ss_sha256_bytes(const void *data, size_t n, char hex[65], ss_err *e);

#endif
