/* half_tensor.c - see half_tensor.h */
#include "models/file/half_tensor.h"

#include "base/half.h"
#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <string.h>

static ss_code make_half(const ss_stored_tensor *t, void *out, ss_err *e)
{
    const ss_stored_tensor *from = t->source;
    const size_t n = from->bytes / sizeof(float);
    float *values = ss_alloc(n, sizeof *values);
    ss_code rc = values ? ss_stored_read(from, values, e) : ss_no_memory(e, t->name);

    for (size_t i = 0; i < n && rc == SS_OK; i++) {
        const uint16_t h = ss_half_from_float(values[i]);

        if (isfinite(values[i]) && isinf(ss_half_to_float(h)))
            rc = ss_fail(e, SS_FORMAT,
                         "%s: a value of %s is %g, which fp16 does not reach: leave "
                         "its weights in fp32",
                         from->file, SS_SHOW(t->name), (double)values[i]);
        memcpy((char *)out + i * sizeof h, &h, sizeof h);
    }
    ss_free(values);
    return rc;
}

ss_stored_tensor ss_stored_half(const ss_stored_tensor *t)
{
    ss_stored_tensor h = *t;

    if (!t->usable || t->dtype != SS_F32)
        return h;
    h.type = "F16";
    h.dtype = SS_F16;
    h.bytes = t->bytes / 2;
    h.data = NULL;
    h.make = make_half;
    h.source = t;
    return h;
}
