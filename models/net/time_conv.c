/* time_conv.c - see time_conv.h */
#include "models/net/time_conv.h"

struct ss_time_conv {
    ss_module m;
    ss_weight *weight, *bias; /* [out][in][K][1][1], [out] */
    int kernel;
};

ss_time_conv *ss_time_conv_new(ss_net *n, const ss_module *parent, const char *name, int in,
                               int out)
{
    return ss_time_conv_new_sized(n, parent, name, in, out, 3);
}

ss_time_conv *ss_time_conv_new_sized(ss_net *n, const ss_module *parent, const char *name, int in,
                                     int out, int kernel)
{
    ss_time_conv *l = ss_net_alloc(n, sizeof *l);

    if (!l)
        return NULL;
    ss_net_module(n, &l->m, parent, "Conv3d", "%s", name);
    l->weight = ss_net_weight(n, &l->m, "weight", ss_shape_of(out, in, kernel, 1, 1));
    l->bias = ss_net_weight(n, &l->m, "bias", ss_shape_of(out));
    l->kernel = kernel;
    return l;
}

ss_tensor *ss_time_conv_run(ss_ctx *c, const ss_time_conv *l, const ss_tensor *x)
{
    const int beyond = l->kernel / 2;
    const ss_conv2d_opt over_frames = {.stride = 1, .top = beyond, .bottom = beyond};
    const ss_shape s = ss_shape_get(x);

    ss_enter(c, &l->m, x);
    ss_tensor *y = ss_reshape(c, x, ss_shape_of(s.dim[0], s.dim[1], s.dim[2] * s.dim[3], s.dim[4]));
    ss_set(&y, ss_conv2d(c, y, l->weight->tensor, ss_operand(l->bias), over_frames));
    ss_set(&y,
           ss_reshape(c, y, ss_shape_of(s.dim[0], s.dim[1], s.dim[2], s.dim[3], ss_dim(y, -1))));
    return ss_leave(c, &l->m, y);
}
