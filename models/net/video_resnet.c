/* video_resnet.c - see video_resnet.h
 *
 *   SpatioTemporalResBlock   s = resnet(x), each frame by itself;  t = temporal(s)
 *                            y = a mixture of s and t (blender.h)
 *   TemporalResnetBlock      h = conv1(silu(norm1(s))) + time_emb_proj(silu(temb))
 *                            t = s + k conv2(silu(norm2(h)))   k is 1 but for a remedy (remedies.h)
 *
 * The norms of the temporal block have their moments over all frames of a group.
 */
#include "models/net/video_resnet.h"

#include "models/net/blender.h"
#include "models/net/time_conv.h"

enum { GROUPS = 32 }; /* of the temporal block, whatever the config says */

typedef struct {
    ss_module m, temb_sum; /* the latter an inner value; path NULL: there is none */
    ss_group_norm_layer *norm1, *norm2;
    ss_time_conv *conv1, *conv2;
    ss_linear_layer *time_emb_proj; /* or NULL */
    ss_factor factor;
} temporal;

struct ss_video_resnet {
    ss_module m;
    ss_resnet *spatial;
    temporal temporal;
    ss_blender mixer;
};

static ss_group_norm_layer *joint_norm(ss_net *n, const ss_module *parent, const char *name,
                                       int channels, float eps)
{
    ss_group_norm_layer *l = ss_group_norm_layer_new(n, parent, name, channels, GROUPS, eps);

    if (l)
        l->joint = true;
    return l;
}

static void init_temporal(ss_net *n, temporal *t, const ss_module *owner,
                          const ss_video_resnet_spec *s)
{
    const int channels = s->spatial.out, temb = s->spatial.temb;

    t->m.block = true;
    ss_net_module(n, &t->m, owner, "TemporalResnetBlock", "%s", "temporal_res_block");
    t->norm1 = joint_norm(n, &t->m, "norm1", channels, s->temporal_eps);
    t->conv1 = ss_time_conv_new(n, &t->m, "conv1", channels, channels);
    if (temb) {
        t->time_emb_proj = ss_linear_layer_new(n, &t->m, "time_emb_proj", temb, channels, true);
        ss_net_inner(n, &t->temb_sum, &t->m, SS_INNER_SUM, "temb_sum");
    }
    t->norm2 = joint_norm(n, &t->m, "norm2", channels, s->temporal_eps);
    t->conv2 = ss_time_conv_new(n, &t->m, "conv2", channels, channels);
    t->factor = ss_factor_new(n, &t->m, "residual_scale", ss_net_remedies(n)->residual);
}

ss_video_resnet *ss_video_resnet_new(ss_net *n, const ss_module *parent, int index,
                                     const ss_video_resnet_spec *s)
{
    ss_video_resnet *r = ss_net_alloc(n, sizeof *r);

    if (!r)
        return NULL;
    r->m.block = true;
    ss_net_module(n, &r->m, parent, "SpatioTemporalResBlock", "resnets.%d", index);
    r->spatial = ss_resnet_new(n, &r->m, "spatial_res_block", -1, &s->spatial);
    init_temporal(n, &r->temporal, &r->m, s);
    ss_blender_init(n, &r->mixer, &r->m, s->switched);
    return r;
}

const ss_module *ss_video_resnet_module(const ss_video_resnet *r)
{
    return &r->m;
}

/* Adds the time embedding to *h. */
static void add_time(ss_ctx *c, const temporal *t, ss_tensor **h, const ss_tensor *temb)
{
    ss_tensor *e = ss_activate(c, temb, SS_ACT_SILU);

    ss_set(&e, ss_linear_layer_run(c, t->time_emb_proj, e)); /* [N][C] */
    ss_set(h, ss_add_channels(c, *h, e));
    ss_see(c, &t->temb_sum, SS_PORT_OUTPUT, *h);
    ss_release(e);
}

static ss_tensor *run_temporal(ss_ctx *c, const temporal *t, const ss_tensor *x,
                               const ss_tensor *temb)
{
    ss_enter(c, &t->m, x);
    ss_tensor *h = ss_group_norm_layer_run(c, t->norm1, x, NULL, SS_ACT_SILU);

    ss_set(&h, ss_time_conv_run(c, t->conv1, h));
    if (t->time_emb_proj)
        add_time(c, t, &h, temb);
    ss_set(&h, ss_group_norm_layer_run(c, t->norm2, h, NULL, SS_ACT_SILU));
    ss_set(&h, ss_time_conv_run(c, t->conv2, h));
    ss_factor_run(c, &t->factor, &h);
    ss_set(&h, ss_add(c, x, h, 1));
    return ss_leave(c, &t->m, h);
}

ss_tensor *ss_video_resnet_run(ss_ctx *c, const ss_video_resnet *r, const ss_tensor *x,
                               const ss_tensor *temb)
{
    ss_enter(c, &r->m, x);
    ss_tensor *alone = ss_resnet_run(c, r->spatial, x, temb);
    ss_tensor *together = run_temporal(c, &r->temporal, alone, temb);
    ss_tensor *y = ss_blender_run(c, &r->mixer, alone, together);

    ss_release(alone);
    ss_release(together);
    return ss_leave(c, &r->m, y);
}
