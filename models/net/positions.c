/* positions.c - see positions.h */
#include "models/net/positions.h"

#include "kernels/context.h"
#include "kernels/ops.h"

#include <assert.h>
#include <math.h>

struct ss_positions {
    ss_module m;
    const float *table; /* [most][width] */
    int most, width;
};

/* Fills the table as PyTorch does, in single precision. */
static void fill(float *table, int most, int width)
{
    const float step = (float)(-log(10000.0) / width);

    for (int t = 0; t < most; t++) {
        for (int i = 0; i < width; i += 2) {
            const float angle = (float)t * expf((float)i * step);

            table[t * width + i] = sinf(angle);
            if (i + 1 < width)
                table[t * width + i + 1] = cosf(angle);
        }
    }
}

ss_positions *ss_positions_new(ss_net *n, const ss_module *parent, const char *name, int most,
                               int width)
{
    ss_positions *p = ss_net_alloc(n, sizeof *p);
    bool stored;

    if (!p)
        return NULL;
    p->most = most;
    p->width = width;
    ss_net_module(n, &p->m, parent, "SinusoidalPositionalEmbedding", "%s", name);
    float *table = ss_net_buffer(n, &p->m, "pe", ss_shape_of(1, most, width), &stored);
    if (table && !stored)
        fill(table, most, width);
    p->table = table;
    return p;
}

ss_tensor *ss_positions_run(ss_ctx *c, const ss_positions *p, const ss_tensor *x)
{
    const ss_shape s = ss_shape_get(x);
    const int64_t T = ss_dim(x, -2), C = p->width;

    ss_enter(c, &p->m, x);
    if (ss_ctx_failed(c))
        return ss_leave(c, &p->m, NULL);
    assert(T <= p->most);
    /* the rows are positions of one picture, and the table its channels */
    ss_tensor *y = ss_reshape(c, x, ss_shape_of(1, ss_shape_numel(s) / (T * C), T * C));
    ss_tensor *table = ss_pass(c, &p->m, ss_upload(c, ss_shape_of(1, T * C), p->table));
    ss_set(&y, ss_add_channels(c, y, table));
    ss_set(&y, ss_reshape(c, y, s));
    ss_release(table);
    return ss_leave(c, &p->m, y);
}
