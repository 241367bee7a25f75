/* single_tensors.c - see single_tensors.h */
#include "models/file/single_tensors.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

/* The source of a tensor that is made of another one. */
typedef struct {
    const ss_stored_tensor *from;
    size_t first; /* bytes of it before the part */
} origin;

static ss_code bad_shape(const ss_stored_tensor *t, const char *want, ss_err *e)
{
    char shape[96];

    return ss_fail(e, SS_SHAPE, "%s: tensor %s is %s, expected %s", t->file, SS_SHOW(t->name),
                   ss_stored_shape_text(t, shape, sizeof shape), want);
}

/* Returns the values of t: those that are mapped, or *made, which is the caller's to ss_free. */
static const char *values_of(const ss_stored_tensor *t, char **made, ss_err *e)
{
    *made = NULL;
    if (t->data || !t->bytes)
        return t->data ? t->data : "";
    *made = ss_alloc(t->bytes, 1);
    if (!*made) {
        ss_no_memory(e, t->name);
        return NULL;
    }
    if (ss_stored_read(t, *made, e) == SS_OK)
        return *made;
    ss_free(*made);
    *made = NULL;
    return NULL;
}

static ss_code make_part(const ss_stored_tensor *t, void *out, ss_err *e)
{
    const origin *o = t->source;
    char *made;
    const char *all;

    all = values_of(o->from, &made, e);
    if (!all)
        return e ? e->code : SS_NOMEM;
    memcpy(out, all + o->first, t->bytes);
    ss_free(made);
    return SS_OK;
}

static ss_code make_transposed(const ss_stored_tensor *t, void *out, ss_err *e)
{
    const origin *o = t->source;
    const size_t rows = (size_t)t->dim[0], columns = (size_t)t->dim[1];
    const size_t item = t->bytes ? t->bytes / rows / columns : 0;
    char *made, *to = out;
    const char *from = values_of(o->from, &made, e);

    if (!from)
        return e ? e->code : SS_NOMEM;
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < columns; c++, to += item)
            memcpy(to, from + (c * rows + r) * item, item);
    }
    ss_free(made);
    return SS_OK;
}

/* Derives a tensor with an origin, which has the shape of t until the caller changes it. */
static ss_stored_tensor *derive(ss_checkpoint *k, const ss_stored_tensor *t, const char *name,
                                size_t first, ss_err *e)
{
    ss_stored_tensor *d = ss_checkpoint_derive(k, t, name, e);
    origin *o = d ? ss_checkpoint_alloc(k, sizeof *o, e) : NULL;

    if (!o)
        return NULL;
    *o = (origin){t, first};
    if (t->data)
        d->data = (const char *)t->data + first;
    d->make = t->data ? NULL : make_part;
    d->source = o;
    return d;
}

const ss_stored_tensor *ss_stored_part(ss_checkpoint *k, const ss_stored_tensor *t,
                                       const char *name, int i, int n, ss_err *e)
{
    if (t->rank < 1 || t->dim[0] % n || t->bytes % (size_t)n) {
        bad_shape(t, "as many rows for each of its parts", e);
        return NULL;
    }
    const size_t bytes = t->bytes / (size_t)n;
    ss_stored_tensor *d = derive(k, t, name, (size_t)i * bytes, e);
    if (d) {
        d->dim[0] /= n;
        d->bytes = bytes;
    }
    return d;
}

const ss_stored_tensor *ss_stored_transposed(ss_checkpoint *k, const ss_stored_tensor *t,
                                             const char *name, ss_err *e)
{
    const size_t n = t->rank == 2 ? (size_t)t->dim[0] * (size_t)t->dim[1] : 0;

    if (t->rank != 2 || (n ? t->bytes % n : t->bytes) || (n && !t->bytes)) {
        bad_shape(t, "a matrix of whole bytes", e);
        return NULL;
    }
    ss_stored_tensor *d = derive(k, t, name, 0, e);
    if (d) {
        d->dim[0] = t->dim[1];
        d->dim[1] = t->dim[0];
        d->data = NULL;
        d->make = make_transposed;
    }
    return d;
}

const ss_stored_tensor *ss_stored_matrix(ss_checkpoint *k, const ss_stored_tensor *t,
                                         const char *name, ss_err *e)
{
    for (int i = 2; i < t->rank; i++) {
        if (t->dim[i] != 1) {
            bad_shape(t, "a convolution of 1x1", e);
            return NULL;
        }
    }
    if (t->rank <= 2)
        return ss_checkpoint_derive(k, t, name, e);
    ss_stored_tensor *d = derive(k, t, name, 0, e);
    if (d)
        d->rank = 2;
    return d;
}
