/* shape.h - element types and shapes of arrays, outermost dimension first */
#ifndef SS_BASE_SHAPE_H
#define SS_BASE_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Name, bytes, name in safetensors. */
#define SS_DTYPES(X) \
    X(F32, 4, "F32") \
    X(F16, 2, "F16") \
    X(BF16, 2, "BF16")

#define X(name, bytes, text) SS_##name,
typedef enum { SS_DTYPES(X) } ss_dtype;
#undef X

size_t ss_dtype_size(ss_dtype t);
const char *ss_dtype_name(ss_dtype t); /* "F32" */

enum { SS_MAX_RANK = 5 };

typedef struct {
    int rank;
    int64_t dim[SS_MAX_RANK]; /* outermost first; beyond rank: 0 */
} ss_shape;

/* ss_shape_of(n, t, c) is [n][t][c]. */
#define ss_shape_of(...) \
    ss_shape_make(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[]){__VA_ARGS__})
ss_shape ss_shape_make(size_t rank, const int64_t *dim);
int64_t ss_shape_numel(ss_shape s); /* 1 for rank 0 */
bool ss_shape_equal(ss_shape a, ss_shape b);
/* "[2,64,64,320]" into out; returns out. */
char *ss_shape_text(ss_shape s, char *out, size_t n);

/* n values of any dtype, aligned or not, as f32: exact, since f32 holds all of them. */
void ss_values_to_f32(ss_dtype t, const void *data, size_t n, float *out);

#endif
