/* safetensors_write.h - writer of safetensors files (the layout is in safetensors.h)
 *
 * The tensors are written by falling size of their dtype, then by name, as the reference
 * writer does, after a header that ends at a multiple of 8 bytes: every value is aligned,
 * and the same tensors give the same bytes in whatever order they are named.
 *
 *   ss_st_item items[] = {{.name = "conv_in.weight", .dtype = SS_F16, .rank = 4,
 *                          .dim = {64, 3, 3, 3}, .values = w}};
 *   rc = ss_safetensors_write("model.safetensors", items, 1, NULL, 0, &err);
 */
#ifndef SS_MODELS_SAFETENSORS_WRITE_H
#define SS_MODELS_SAFETENSORS_WRITE_H

#include "models/file/safetensors.h"

typedef struct {
    const char *name; /* UTF-8; all fields are borrowed */
    ss_dtype dtype;   /* in the file: SS_F32 or SS_F16 */
    int rank;
    int64_t dim[SS_STORED_MAX_RANK];
    const float *values; /* [dim[0]][dim[1]]... */
} ss_st_item;

/* An entry of __metadata__. */
typedef struct {
    const char *key, *text;
} ss_st_note;

/* Writes n tensors whole or not at all. F16 is rounded to nearest, ties to even; inf and NaN stay
 * what they are. Errors: SS_USAGE for a name that appears twice or is not UTF-8, SS_UNSUPPORTED for
 * a dtype that is not written, SS_SHAPE for a finite value that F16 cannot hold (65520 and more),
 * because an infinity that nobody computed must not come out of a file. */
ss_code ss_safetensors_write(const char *path, const ss_st_item *items, size_t n,
                             const ss_st_note *notes, size_t n_notes, ss_err *e);

/* Writes tensors of a checkpoint with their bytes as they are, of whatever dtype; those that are
 * made, one at a time (stored_tensor.h). SS_USAGE for names as above. */
ss_code ss_safetensors_copy(const char *path, const ss_stored_tensor *const *list, size_t n,
                            const ss_st_note *notes, size_t n_notes, ss_err *e);

/* Writes one F32 tensor as a file of its own. */
ss_code ss_safetensors_write_f32(const char *path, const char *name, const ss_array *a, ss_err *e);

#endif
