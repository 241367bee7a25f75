/* shape.c - see shape.h */
#include "base/shape.h"

#include "base/half.h"

#include <stdio.h>
#include <string.h>

#define X(name, bytes, text) [SS_##name] = {bytes, text},
static const struct {
    size_t size;
    const char *name;
} dtypes[] = {SS_DTYPES(X)};
#undef X

size_t ss_dtype_size(ss_dtype t)
{
    return dtypes[t].size;
}

const char *ss_dtype_name(ss_dtype t)
{
    return dtypes[t].name;
}

ss_shape ss_shape_make(size_t rank, const int64_t *dim)
{
    ss_shape s = {.rank = (int)rank};

    for (size_t i = 0; i < rank && i < SS_MAX_RANK; i++)
        s.dim[i] = dim[i];
    return s;
}

int64_t ss_shape_numel(ss_shape s)
{
    int64_t n = 1;

    for (int i = 0; i < s.rank; i++)
        n *= s.dim[i];
    return n;
}

bool ss_shape_equal(ss_shape a, ss_shape b)
{
    return a.rank == b.rank && memcmp(a.dim, b.dim, (size_t)a.rank * sizeof *a.dim) == 0;
}

char *ss_shape_text(ss_shape s, char *out, size_t n)
{
    size_t at = (size_t)snprintf(out, n, "[");

    for (int i = 0; i < s.rank && at < n; i++)
        at += (size_t)snprintf(out + at, n - at, "%s%lld", i ? "," : "", (long long)s.dim[i]);
    if (at < n)
        snprintf(out + at, n - at, "]");
    return out;
}

void ss_values_to_f32(ss_dtype t, const void *data, size_t n, float *out)
{
    const unsigned char *p = data;

    if (t == SS_F32) {
        memcpy(out, data, n * sizeof *out);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint16_t h = (uint16_t)(p[2 * i] | p[2 * i + 1] << 8);

        if (t == SS_F16) {
            out[i] = ss_half_to_float(h);
        } else {
            uint32_t u = (uint32_t)h << 16;
            memcpy(&out[i], &u, sizeof u);
        }
    }
}
