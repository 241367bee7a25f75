/* vae_temporal.c - see vae_temporal.h
 *
 *   SpatioTemporalResBlock   s = resnet(x), each frame by itself;  t = temporal(s)
 *                            y = a s + (1 - a) t,  a = 1 - sigmoid(mix_factor)
 *   TemporalResnetBlock      t = s + conv2(silu(norm2(conv1(silu(norm1(s))))))
 *
 * The norms of the temporal block have their moments over all frames of a group.
 */
#include "models/vae/vae_temporal.h"

enum { GROUPS = 32 }; /* of the temporal block, whatever the config says */
#define TEMPORAL_EPS 1e-5f

struct ss_video_resnet {
    ss_module m, temporal, mixer;
    ss_resnet *spatial;
    ss_group_norm_layer *norm1, *norm2; /* of the temporal block, as the convolutions */
    ss_time_conv *conv1, *conv2;
    ss_weight *mix_factor; /* [1] */
};

static ss_group_norm_layer *joint_norm(ss_net *n, const ss_module *parent, const char *name,
                                       int channels)
{
    ss_group_norm_layer *l =
        ss_group_norm_layer_new(n, parent, name, channels, GROUPS, TEMPORAL_EPS);

    if (l)
        l->joint = true;
    return l;
}

ss_video_resnet *ss_video_resnet_new(ss_net *n, const ss_module *parent, int index,
                                     const ss_resnet_spec *spatial)
{
    const int channels = spatial->out;
    ss_video_resnet *r = ss_net_alloc(n, sizeof *r);

    if (!r)
        return NULL;
    r->m.block = r->temporal.block = true;
    ss_net_module(n, &r->m, parent, "SpatioTemporalResBlock", "resnets.%d", index);
    r->spatial = ss_resnet_new(n, &r->m, "spatial_res_block", -1, spatial);
    ss_net_module(n, &r->temporal, &r->m, "TemporalResnetBlock", "%s", "temporal_res_block");
    r->norm1 = joint_norm(n, &r->temporal, "norm1", channels);
    r->conv1 = ss_time_conv_new(n, &r->temporal, "conv1", channels, channels);
    r->norm2 = joint_norm(n, &r->temporal, "norm2", channels);
    r->conv2 = ss_time_conv_new(n, &r->temporal, "conv2", channels, channels);
    ss_net_module(n, &r->mixer, &r->m, "AlphaBlender", "%s", "time_mixer");
    r->mix_factor = ss_net_weight(n, &r->mixer, "mix_factor", ss_shape_of(1));
    return r;
}

static ss_tensor *run_temporal(ss_ctx *c, const ss_video_resnet *r, const ss_tensor *x)
{
    ss_enter(c, &r->temporal, x);
    ss_tensor *h = ss_group_norm_layer_run(c, r->norm1, x, NULL, SS_ACT_SILU);

    ss_set(&h, ss_time_conv_run(c, r->conv1, h));
    ss_set(&h, ss_group_norm_layer_run(c, r->norm2, h, NULL, SS_ACT_SILU));
    ss_set(&h, ss_time_conv_run(c, r->conv2, h));
    ss_set(&h, ss_add(c, x, h, 1));
    return ss_leave(c, &r->temporal, h);
}

/* Mixes what the frames are alone and together. */
static ss_tensor *mix(ss_ctx *c, const ss_video_resnet *r, const ss_tensor *alone,
                      const ss_tensor *together)
{
    ss_enter(c, &r->mixer, NULL);
    ss_tensor *share = ss_full(c, ss_shape_of(1), 1), *a, *b;

    ss_set(&share, ss_gain(c, share, r->mix_factor->tensor)); /* the parameter, in fp32 */
    ss_set(&share, ss_activate(c, share, SS_ACT_SIGMOID));
    ss_set(&share, ss_affine(c, share, -1, 1));
    a = ss_gain(c, alone, share);
    ss_set(&share, ss_affine(c, share, -1, 1)); /* as the reference has it, 1 - (1 - share) */
    b = ss_gain(c, together, share);
    ss_tensor *y = ss_add(c, a, b, 1);
    ss_release(share);
    ss_release(a);
    ss_release(b);
    return ss_leave(c, &r->mixer, y);
}

ss_tensor *ss_video_resnet_run(ss_ctx *c, const ss_video_resnet *r, const ss_tensor *x)
{
    ss_enter(c, &r->m, x);
    ss_tensor *alone = ss_resnet_run(c, r->spatial, x, NULL);
    ss_tensor *together = run_temporal(c, r, alone), *y = mix(c, r, alone, together);

    ss_release(alone);
    ss_release(together);
    return ss_leave(c, &r->m, y);
}
