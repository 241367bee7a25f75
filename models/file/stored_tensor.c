/* stored_tensor.c - see stored_tensor.h */
#include "models/file/stored_tensor.h"

#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool ss_stored_usable(const char *type, ss_dtype *dtype)
{
#define X(id, size, text)          \
    if (strcmp(type, text) == 0) { \
        *dtype = SS_##id;          \
        return true;               \
    }
    SS_DTYPES(X)
#undef X
    return false;
}

ss_code ss_stored_shape(const ss_stored_tensor *t, ss_shape *s, ss_err *e)
{
#define X(name, bytes, text) ", " text
    if (!t->usable)
        return ss_fail(e, SS_UNSUPPORTED, "%s: tensor %s has dtype %s; %s can be used", t->file,
                       SS_SHOW(t->name), SS_SHOW(t->type), &(SS_DTYPES(X))[strlen(", ")]);
#undef X
    if (t->rank > SS_MAX_RANK)
        return ss_fail(e, SS_UNSUPPORTED, "%s: tensor %s has %d dimensions, at most %d can be used",
                       t->file, SS_SHOW(t->name), t->rank, SS_MAX_RANK);
    *s = ss_shape_make((size_t)t->rank, t->dim);
    return SS_OK;
}

ss_code ss_stored_read(const ss_stored_tensor *t, void *out, ss_err *e)
{
    if (!t->data)
        return t->make(t, out, e);
    memcpy(out, t->data, t->bytes);
    return SS_OK;
}

char *ss_stored_shape_text(const ss_stored_tensor *t, char *out, size_t n)
{
    size_t len = 0;

    snprintf(out, n, "[");
    for (int i = 0; i < t->rank; i++) {
        len = strlen(out);
        snprintf(out + len, n - len, "%s%" PRId64, i ? "," : "", t->dim[i]);
    }
    len = strlen(out);
    snprintf(out + len, n - len, "]");
    return out;
}
