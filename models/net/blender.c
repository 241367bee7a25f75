/* blender.c - see blender.h */
#include "models/net/blender.h"

void ss_blender_init(ss_net *n, ss_blender *b, const ss_module *owner, bool switched)
{
    ss_net_module(n, &b->m, owner, "AlphaBlender", "%s", "time_mixer");
    b->mix_factor = ss_net_weight(n, &b->m, "mix_factor", ss_shape_of(1));
    b->switched = switched;
}

ss_tensor *ss_blender_run(ss_ctx *c, const ss_blender *b, const ss_tensor *alone,
                          const ss_tensor *together)
{
    ss_enter(c, &b->m, NULL);
    ss_tensor *share = ss_full(c, ss_shape_of(1), 1);

    ss_set(&share, ss_gain(c, share, b->mix_factor->tensor)); /* the parameter, in fp32 */
    ss_set(&share, ss_activate(c, share, SS_ACT_SIGMOID));
    if (b->switched)
        ss_set(&share, ss_affine(c, share, -1, 1));
    ss_tensor *first = ss_gain(c, alone, share);
    ss_set(&share, ss_affine(c, share, -1, 1)); /* as the reference has it, also 1 - (1 - share) */
    ss_tensor *second = ss_gain(c, together, share);
    ss_tensor *y = ss_add(c, first, second, 1);
    ss_release(share);
    ss_release(first);
    ss_release(second);
    return ss_leave(c, &b->m, y);
}
