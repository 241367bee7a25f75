/* h5.h - HDF5 calls that fill ss_err; private to runfile/
 *
 * HDF5 is not thread-safe here: one thread at a time. Its own error printing is turned off;
 * what it would have printed last, the innermost reason, goes into our message.
 */
#ifndef SS_RUNFILE_H5_H
#define SS_RUNFILE_H5_H

#include "base/err.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SS_H5_MAX_RANK = 8 };
enum { SS_H5_WHY = 256 }; /* bytes of a reason */

/* The first HDF5 call that failed, including those whose result is not checked, such as closing. */
typedef struct {
    bool any;
    char why[SS_H5_WHY];
} ss_h5_failure;

/* Keeps the first failure of this thread's HDF5 calls in *f, borrowed until a call with NULL. Call
 * it after ss_h5_open or ss_h5_create, which set HDF5 up. */
void ss_h5_watch(ss_h5_failure *f);

/* Opens a file, or creates one in the oldest format; < 0 on failure. HDF5's own file locks are off,
 * so that a reader of a run in progress neither fails nor disturbs the run. */
hid_t ss_h5_open(const char *path, bool write, ss_err *e);
hid_t ss_h5_create(const char *path, ss_err *e);

/* Fails with the message and HDF5's innermost reason, if it has one. Call it right after the
 * failing HDF5 function: the next one forgets the reason. */
ss_code ss_h5_fail(ss_err *e, ss_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Types of our own; the caller closes them with H5Tclose. */
hid_t ss_h5_text_type(void); /* UTF-8 of variable length */
hid_t ss_h5_f16_type(void);  /* IEEE binary16, little-endian */

/* Scalar attributes of an object. An absent one is no error: *text = NULL, or *value stays
 * as it is. The caller frees *text with ss_free. */
ss_code ss_h5_read_text(hid_t object, const char *name, char **text, ss_err *e);
ss_code ss_h5_read_i64(hid_t object, const char *name, int64_t *value, ss_err *e);

/* The extent of a data set, outermost first. Ranks over SS_H5_MAX_RANK are refused. */
typedef struct {
    int rank;
    int64_t dim[SS_H5_MAX_RANK];
} ss_h5_shape;
ss_code ss_h5_shape_of(hid_t set, const char *name, ss_h5_shape *shape, ss_err *e);

/* A data set of strings, of fixed or variable length, with one dimension of at most max
 * entries: an array of n texts in one block, freed with ss_free. */
ss_code ss_h5_read_texts(hid_t file, const char *name, int64_t max, char ***texts, int64_t *n,
                         ss_err *e);

/* Reads count[] values from start[] of a numeric data set into out of the type mem. */
ss_code ss_h5_read(hid_t set, const char *name, int rank, const hsize_t *start,
                   const hsize_t *count, hid_t mem, void *out, ss_err *e);

/* True when the path exists, with all groups on the way. */
bool ss_h5_has(hid_t file, const char *path);

#endif
