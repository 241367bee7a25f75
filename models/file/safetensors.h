/* safetensors.h - reader of safetensors files, mapped into memory
 *
 *   bytes 0..7      n, little-endian u64
 *   bytes 8..8+n    JSON: {"NAME": {"dtype": "F16", "shape": [...], "data_offsets": [b, e]},
 *                          "__metadata__": {"key": "text", ...}}
 *   the rest        the tensors' bytes, little-endian, row-major; b and e count from here
 *
 * A file is believed only after every entry was checked: offsets inside the file, the
 * tensors side by side without holes or overlaps, each as large as its shape and dtype
 * say. Any dtype is listed; those of SS_DTYPES can be used.
 *
 *   ss_safetensors *f;
 *   rc = ss_safetensors_open("model.safetensors", &f, &err);
 *   const ss_stored_tensor *t = ss_safetensors_find(f, "conv_in.weight");
 *   ss_safetensors_close(f);
 */
#ifndef SS_MODELS_SAFETENSORS_H
#define SS_MODELS_SAFETENSORS_H

#include "models/file/weight_format.h"

enum { SS_ST_MAX_HEADER = 64 << 20 }; /* longest header that is read, in bytes */

extern const ss_weight_format ss_safetensors_format;

typedef struct ss_safetensors ss_safetensors;

ss_code ss_safetensors_open(const char *path, ss_safetensors **f, ss_err *e);
void ss_safetensors_close(ss_safetensors *f); /* its tensors end with it; NULL is fine */

/* In the order of their names; borrowed. */
size_t ss_safetensors_count(const ss_safetensors *f);
const ss_stored_tensor *ss_safetensors_at(const ss_safetensors *f, size_t i);
const ss_stored_tensor *ss_safetensors_find(const ss_safetensors *f,
                                            const char *name); /* or NULL */
/* An entry of __metadata__, or NULL; borrowed. */
const char *ss_safetensors_metadata(const ss_safetensors *f, const char *key);

/* A tensor named as FILE#NAME on the command line. On success *values is the caller's to
 * ss_free. */
typedef struct {
    int rank;
    int64_t dim[SS_STORED_MAX_RANK];
    float *values;
} ss_array;

ss_code ss_safetensors_load_f32(const char *file_hash_name, ss_array *a, ss_err *e);
void ss_array_release(ss_array *a); /* {0} is fine */

#endif
