/* chunked_tensor.h - tensors that lie in files in rectangular parts, as sharded trainings save them
 */
#ifndef SS_MODELS_CHUNKED_TENSOR_H
#define SS_MODELS_CHUNKED_TENSOR_H

#include "models/file/stored_tensor.h"

enum { SS_MAX_CHUNKS = 1 << 16 }; /* of one tensor: one a rank */

/* One part: elements [from[i], from[i] + size[i]) of each dimension. */
typedef struct {
    int64_t from[SS_STORED_MAX_RANK], size[SS_STORED_MAX_RANK];
    const ss_stored_tensor *values; /* the part, or NULL: it is what follows */
    const char *file;               /* that `item` is in, for messages */
    const void *item;               /* a torch.save of the part, in the mapped file */
    size_t item_bytes;
} ss_chunk;

typedef struct {
    ss_stored_tensor t; /* name, type and shape are set by the caller; the rest by _finish */
    size_t size;        /* bytes of a value */
    ss_chunk *chunks;   /* owned by the caller, as all memory here */
    size_t n, cap;
} ss_chunked;

/* Completes t after all chunks are there. SS_FORMAT unless every element is in exactly one of them.
 * A tensor in one part has its values in place (data), whose file is read for that; the parts of
 * others are found and checked when the values are asked for (make). c must not move afterwards. */
ss_code ss_chunked_finish(ss_chunked *c, ss_err *e);

#endif
