/* gather_copy.h - moves the values of a share from a part's file into the whole run's; private to
 * gather */
#ifndef SS_RUN_GATHER_COPY_H
#define SS_RUN_GATHER_COPY_H

#include "runfile/gather_part.h"

/* Samples `from` up to, but not including, `end` of a noise level. */
typedef struct {
    int sigma;
    int64_t from, end;
} ss_gather_share;

typedef enum {
    SS_GATHER_COPY,   /* into the other file; counts of an input that is begun already are added */
    SS_GATHER_COMPARE /* with the other file */
} ss_gather_what;

/* Two open files, and room for a piece of each. */
typedef struct {
    const ss_gather_part *from;
    const char *to_path;
    const uint64_t *to_offsets; /* [n_sets] of the other file */
    int from_fd, to_fd;
    char *room, *other; /* [SS_GATHER_ROOM] */
} ss_gather_files;

enum { SS_GATHER_ROOM = 1 << 20 };

/* Goes through a share in all data sets. COMPARE: *differs is the first set with other bytes, or
 * NULL. */
ss_code ss_gather_move(const ss_gather_files *f, ss_gather_share share, ss_gather_what what,
                       const char **differs, ss_err *e);

/* Reads or writes all n bytes at a place of a file. */
ss_code ss_gather_read(int fd, const char *path, void *to, size_t n, uint64_t at, ss_err *e);
ss_code ss_gather_write(int fd, const char *path, const void *from, size_t n, uint64_t at,
                        ss_err *e);

#endif
