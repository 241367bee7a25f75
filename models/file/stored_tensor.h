/* stored_tensor.h - a tensor as it lies in a file of weights, whatever the file's format */
#ifndef SS_MODELS_STORED_TENSOR_H
#define SS_MODELS_STORED_TENSOR_H

#include "base/err.h"
#include "base/shape.h"

enum { SS_STORED_MAX_RANK = 8 };

typedef struct ss_stored_tensor {
    const char *name;
    const char *file; /* path of the file that it is in */
    const char *type; /* dtype as the file names it, "I64" */
    bool usable;      /* type is one of SS_DTYPES, and dtype says which */
    ss_dtype dtype;
    int rank;
    int64_t dim[SS_STORED_MAX_RANK];
    const void *data; /* row-major, in the mapped file, not aligned; NULL: make has to be asked */
    size_t bytes;
    /* Fills out [bytes] with the values, row-major, where they do not lie together in a file: views
     * with strides, chunks of several files, values that are computed. NULL where data is not. */
    ss_code (*make)(const struct ss_stored_tensor *t, void *out, ss_err *e);
    const void *source; /* the maker's */
} ss_stored_tensor;

/* Copies the values to out [bytes], or makes them there. */
ss_code ss_stored_read(const ss_stored_tensor *t, void *out, ss_err *e);

/* True where a type is one of SS_DTYPES, *dtype then. */
bool ss_stored_usable(const char *type, ss_dtype *dtype);

/* Converts the shape for the engine. A dtype or a rank that cannot be used is SS_UNSUPPORTED, with
 * the tensor's name. */
ss_code ss_stored_shape(const ss_stored_tensor *t, ss_shape *s, ss_err *e);

/* Writes "[320,4,3,3]" into out; returns out. */
char *ss_stored_shape_text(const ss_stored_tensor *t, char *out, size_t n);

#endif
