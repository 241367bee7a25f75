/* pickle_tensors.c - tensors on storages: bounds, and values that do not lie together
 *
 * Value [i0][i1]... of a tensor is value offset + i0 stride0 + i1 stride1 + ... of its storage. The
 * last one is inside the storage, or the file is refused. Where that is the row-major order, the
 * tensor's values are used in the mapped file; otherwise they are gathered when they are asked for.
 */
#include "base/str.h"
#include "models/file/pickle_machine.h"

#include <inttypes.h>
#include <string.h>

bool ss_pickle_dtype(const char *name, size_t n, const char **type, size_t *size)
{
    static const struct {
        const char *storage, *dtype, *type; /* names of torch's class, torch's dtype; ours */
        size_t size;
    } types[] = {{"FloatStorage", "float32", "F32", 4},
                 {"HalfStorage", "float16", "F16", 2},
                 {"BFloat16Storage", "bfloat16", "BF16", 2},
                 {"DoubleStorage", "float64", "F64", 8},
                 {"LongStorage", "int64", "I64", 8},
                 {"IntStorage", "int32", "I32", 4},
                 {"ShortStorage", "int16", "I16", 2},
                 {"CharStorage", "int8", "I8", 1},
                 {"ByteStorage", "uint8", "U8", 1},
                 {"BoolStorage", "bool", "BOOL", 1},
                 {"UntypedStorage", "", "", 1},
                 {"ComplexFloatStorage", "complex64", "C64", 8},
                 {"ComplexDoubleStorage", "complex128", "C128", 16},
                 {"QUInt8Storage", "quint8", "QU8", 1},
                 {"QInt8Storage", "qint8", "QI8", 1},
                 {"QInt32Storage", "qint32", "QI32", 4},
                 {"", "complex32", "C32", 4},
                 {"", "uint16", "U16", 2},
                 {"", "uint32", "U32", 4},
                 {"", "uint64", "U64", 8},
                 {"", "float8_e4m3fn", "F8_E4M3", 1},
                 {"", "float8_e5m2", "F8_E5M2", 1},
                 {"", "float8_e4m3fnuz", "F8_E4M3FNUZ", 1},
                 {"", "float8_e5m2fnuz", "F8_E5M2FNUZ", 1},
                 {"", "float8_e8m0fnu", "F8_E8M0", 1}};

    for (size_t i = 0; n && i < sizeof types / sizeof *types; i++) {
        if ((strlen(types[i].storage) == n && memcmp(types[i].storage, name, n) == 0) ||
            (strlen(types[i].dtype) == n && memcmp(types[i].dtype, name, n) == 0)) {
            *type = types[i].type;
            *size = types[i].size;
            return true;
        }
    }
    return false;
}

/* Counts the dimensions, from the last, whose values lie together; *run is how many values. */
static int together(const ss_pickle_tensor *t, int64_t *run)
{
    int k = t->t.rank;

    *run = 1;
    while (k > 0 && (t->stride[k - 1] == *run || t->t.dim[k - 1] == 1))
        *run *= t->t.dim[--k];
    return t->t.rank - k;
}

/* Fills out with the values in row-major order. */
static ss_code make_strided(const ss_stored_tensor *stored, void *out, ss_err *e)
{
    const ss_pickle_tensor *t = stored->source;
    unsigned char *to = out;
    int64_t at[SS_STORED_MAX_RANK] = {0}, from = t->offset, run;
    const int outer = t->t.rank - together(t, &run);
    const size_t bytes = (size_t)run * t->size;

    (void)e;
    for (unsigned char *end = to + t->t.bytes; to < end; to += bytes) {
        int k = outer;

        memcpy(to, t->values + (size_t)from * t->size, bytes);
        while (k-- > 0) { /* to the next run, as a counter with a digit a dimension */
            from += t->stride[k];
            if (++at[k] < t->t.dim[k])
                break;
            from -= t->stride[k] * t->t.dim[k];
            at[k] = 0;
        }
    }
    return SS_OK;
}

/* Index of the last value in the storage; false where a number is no size, or too large. */
static bool last_value(const ss_pickle_tensor *t, int64_t *numel, int64_t *last)
{
    *numel = 1;
    *last = t->offset;
    if (t->offset < 0)
        return false;
    for (int i = 0; i < t->t.rank; i++) {
        int64_t step;

        if (t->t.dim[i] < 0 || t->stride[i] < 0 ||
            __builtin_mul_overflow(*numel, t->t.dim[i], numel) ||
            __builtin_mul_overflow(t->stride[i], t->t.dim[i] ? t->t.dim[i] - 1 : 0, &step) ||
            __builtin_add_overflow(*last, step, last))
            return false;
    }
    return true;
}

static ss_code place(ss_pickle_store *s, ss_pickle_tensor *t, ss_err *e)
{
    static const unsigned char nothing[1];
    const ss_pickle_storage *x = &s->storages[t->storage];
    int64_t numel, last, run;
    size_t values;
    char shape[SS_SHOWN];

    t->t.name = "";
    t->t.file = s->path;
    t->t.usable = ss_stored_usable(t->t.type, &t->t.dtype);
    t->t.source = t;
    t->values = x->data;
    if (!last_value(t, &numel, &last) ||
        __builtin_mul_overflow((size_t)numel, t->size, &t->t.bytes))
        return ss_fail(e, SS_FORMAT, "%s: a tensor has shape %s, or strides, that cannot be",
                       s->path, ss_stored_shape_text(&t->t, shape, sizeof shape));
    values = x->bytes / t->size;
    if (numel && (uint64_t)last >= values)
        return ss_fail(e, SS_FORMAT,
                       "%s: a tensor of shape %s and dtype %s reaches to value %" PRId64
                       " of a storage of %zu",
                       s->path, ss_stored_shape_text(&t->t, shape, sizeof shape), t->t.type, last,
                       values);
    if (!numel)
        t->t.data = nothing;
    else if (together(t, &run) == t->t.rank)
        t->t.data = x->data + (size_t)t->offset * t->size;
    else
        t->t.make = make_strided;
    return SS_OK;
}

ss_code ss_pickle_place_tensors(ss_pickle_store *s, ss_err *e)
{
    ss_code rc = SS_OK;

    for (size_t i = 0; i < s->n_tensors && rc == SS_OK; i++)
        rc = place(s, s->tensors[i], e);
    return rc;
}
