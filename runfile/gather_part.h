/* gather_part.h - what is known of one part before it is joined with others; private to gather
 *
 * A part is looked at as a whole first: its axes, its marks, and each data set with its place in
 * the file. Afterwards its values are read as bytes, without HDF5.
 */
#ifndef SS_RUN_GATHER_PART_H
#define SS_RUN_GATHER_PART_H

#include "runfile/run_part.h"
#include "runfile/run_reader.h"

#include <sys/types.h>

/* A data set of noise levels, [outer][input][sigma] and then [sample][inner] or [inner]. */
typedef struct {
    char *name;
    int64_t outer;
    bool samples;       /* it has that axis */
    bool counts;        /* whole numbers of 8 bytes */
    size_t inner_bytes; /* of a sample, or of all */
    uint64_t offset;    /* in the file */
} ss_gather_set;

/* Another data set, which is the same in all parts. */
typedef struct {
    char *name;
    char sha256[65];
} ss_gather_common;

typedef struct {
    const char *path;
    dev_t device;
    ino_t inode;
    uint64_t size;
    bool locked; /* a process is writing it */
    ss_run_part part;
    int n_inputs, n_sigmas, n_samples;
    char **inputs;  /* borrowed from run */
    double *sigmas; /* likewise */
    uint8_t *marks; /* [sigma] */
    uint64_t done_offset;
    ss_gather_set *sets; /* sorted by name */
    ss_gather_common *common;
    size_t n_sets, n_common, cap_sets, cap_common;
    ss_run *run; /* closed already where this is not the first part; NULL then */
} ss_gather_part;

/* Looks at the file, in a child process first, as a damaged file can crash HDF5. */
ss_code ss_gather_part_open(ss_gather_part *p, const char *path, ss_err *e);
void ss_gather_part_release(ss_gather_part *p);

/* SS_USAGE, with what differs, if b is of another run than a. */
ss_code ss_gather_part_compare(const ss_gather_part *a, const ss_gather_part *b, ss_err *e);

#endif
