/* motion_layer.c - see motion_layer.h */
#include "models/net/motion_layer.h"

#define EPS 1e-5f

ss_group_norm_layer *ss_motion_norm_new(ss_net *n, const ss_module *parent, const ss_motion_spec *s)
{
    const ss_motion_options *o = s->options;

    if (o->config.norm == SS_MOTION_BARE)
        return NULL;
    ss_group_norm_layer *l =
        ss_group_norm_layer_new(n, parent, "norm", s->channels, s->groups, EPS);
    if (l)
        l->joint = o->config.norm == SS_MOTION_JOINT_NORM;
    return l;
}

ss_tensor *ss_motion_norm_run(ss_ctx *c, const ss_group_norm_layer *l, const ss_tensor *x)
{
    return l ? ss_group_norm_layer_run(c, l, x, NULL, SS_ACT_NONE) : ss_retain(x);
}
