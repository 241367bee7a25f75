/* magnitude.c - see magnitude.h */
#include "models/net/magnitude.h"

#include "kernels/context.h"
#include "kernels/ops.h"

#include <math.h>

ss_tensor *ss_mp_silu(ss_ctx *c, const ss_tensor *x)
{
    static const float rms = 0.596f; /* RMS of the silu of a standard normal value */
    ss_tensor *y = ss_activate(c, x, SS_ACT_SILU);

    ss_set(&y, ss_affine(c, y, 1 / rms, 0));
    return y;
}

ss_tensor *ss_mp_sum(ss_ctx *c, const ss_tensor *a, const ss_tensor *b, double t)
{
    ss_tensor *left = ss_affine(c, a, (float)((1 - t) / t), 0), *y;

    y = ss_add(c, left, b, (float)(t / hypot(1 - t, t)));
    ss_release(left);
    return y;
}

ss_tensor *ss_mp_concat(ss_ctx *c, const ss_tensor *a, const ss_tensor *b)
{
    const double na = (double)ss_dim(a, -1), nb = (double)ss_dim(b, -1), C = sqrt((na + nb) / 2);
    ss_tensor *left = ss_affine(c, a, (float)(C / sqrt(na)), 0);
    ss_tensor *right = ss_affine(c, b, (float)(C / sqrt(nb)), 0), *y;

    y = ss_concat(c, left, right, -1);
    ss_release(left);
    ss_release(right);
    return y;
}

ss_tensor *ss_mp_pixel(ss_ctx *c, const ss_tensor *x, int64_t width)
{
    return ss_unit_rms(c, x, width, 1);
}

ss_tensor *ss_mp_weight(ss_ctx *c, const ss_weight *w, bool table)
{
    const int64_t row = ss_shape_numel(w->shape) / w->shape.dim[0];

    return ss_unit_rms(c, w->tensor, row, table ? 1 : (float)(1 / sqrt((double)row)));
}

ss_tensor *ss_mp_ones(ss_ctx *c, const ss_tensor *x)
{
    ss_tensor *ones = ss_full(c, ss_shape_of(ss_dim(x, 0), ss_dim(x, 1), ss_dim(x, 2), 1), 1);
    ss_tensor *y = ss_concat(c, x, ones, -1);

    ss_release(ones);
    return y;
}

ss_tensor *ss_mp_modulate(ss_ctx *c, const ss_tensor *x, const ss_tensor *scale)
{
    ss_tensor *mod = ss_full(c, ss_shape_of(ss_dim(scale, 0), ss_dim(scale, 1)), 0);

    ss_set(&mod, ss_concat(c, scale, mod, -1)); /* scale, and a shift of 0 */
    ss_tensor *y = ss_modulate(c, x, mod);
    ss_release(mod);
    return y;
}

int64_t ss_weight_unit_row(const ss_weight *w)
{
    return w->normalised ? ss_shape_numel(w->shape) / w->shape.dim[0] : 0;
}
