/* resnet.c - see resnet.h
 *
 *   h = conv1(resample(act(norm1(x))))           t = time_emb_proj(act(temb))
 *   h = act(norm2(h + t))                        or act(norm2(h) * (1 + t1) + t2), or without t
 *   y = (shortcut(resample(x)) + k conv2(h)) / out_scale
 *
 * Pre-activation residual block (He et al. 2016) with the time embedding of Ho et al. 2020;
 * scale and shift as in Dhariwal & Nichol 2021. k is 1 unless a remedy says otherwise.
 */
#include "models/net/resnet.h"

#include "models/net/magnitude.h"

struct ss_resnet {
    ss_module m;
    ss_group_norm_layer *norm1, *norm2;
    ss_conv_layer *conv1, *conv2, *conv_shortcut; /* the shortcut may be NULL */
    ss_linear_layer *time_emb_proj;               /* or NULL */
    ss_factor factor;
    bool magnitude;
    ss_module temb_sum, residual_sum; /* inner values; path NULL: there is none */
    ss_module downsample; /* PyTorch lists this pooling, but not the other; path NULL: none */
    ss_resnet_spec spec;
};

ss_resnet *ss_resnet_new(ss_net *n, const ss_module *parent, const char *list, int index,
                         const ss_resnet_spec *s)
{
    ss_resnet *r = ss_net_alloc(n, sizeof *r);

    if (!r)
        return NULL;
    r->spec = *s;
    r->m.block = true;
    if (index < 0)
        ss_net_module(n, &r->m, parent, "ResnetBlock2D", "%s", list);
    else
        ss_net_module(n, &r->m, parent, "ResnetBlock2D", "%s.%d", list, index);
    r->magnitude = ss_net_remedies(n)->magnitude;
    if (!r->magnitude)
        r->norm1 = ss_group_norm_layer_new(n, &r->m, "norm1", s->in, s->groups, s->eps);
    r->conv1 = ss_conv_layer_new(n, &r->m, "conv1", r->magnitude && s->encoder ? s->out : s->in,
                                 s->out, 3, ss_conv_same(1));
    if (s->temb)
        r->time_emb_proj = ss_linear_layer_new(n, &r->m, "time_emb_proj", s->temb,
                                               s->scale_shift ? 2 * s->out : s->out, true);
    if (r->magnitude)
        ss_linear_layer_add_gain(n, r->time_emb_proj);
    else if (s->temb && !s->scale_shift)
        ss_net_inner(n, &r->temb_sum, &r->m, SS_INNER_SUM, "temb_sum");
    if (!r->magnitude)
        r->norm2 = ss_group_norm_layer_new(n, &r->m, "norm2", s->out, s->groups_out, s->eps);
    if (!r->magnitude && s->scale_shift)
        ss_group_norm_layer_modulate(n, r->norm2, &r->m);
    r->conv2 = ss_conv_layer_new(n, &r->m, "conv2", s->out, s->out, 3, ss_conv_same(1));
    if (s->direction == SS_HALVE && !s->fir)
        ss_net_module(n, &r->downsample, &r->m, "Downsample2D", "downsample");
    if (s->shortcut || s->in != s->out)
        r->conv_shortcut =
            ss_conv_layer_new(n, &r->m, "conv_shortcut", s->in, s->out, 1, ss_conv_same(0));
    if (s->out_scale != 1 && !r->magnitude)
        ss_net_inner(n, &r->residual_sum, &r->m, SS_INNER_SUM, "residual_sum");
    r->factor = ss_factor_new(n, &r->m, "residual_scale", ss_net_remedies(n)->residual);
    return r;
}

const ss_module *ss_resnet_module(const ss_resnet *r)
{
    return &r->m;
}

ss_tensor *ss_fir(ss_ctx *c, const ss_tensor *x, ss_direction direction)
{
    static const float half[] = {1 / 8.f, 3 / 8.f, 3 / 8.f, 1 / 8.f};
    static const float twice[] = {1 / 4.f, 3 / 4.f, 3 / 4.f,
                                  1 / 4.f}; /* between which zeros are put */

    if (direction == SS_HALVE)
        return ss_fir_resample(c, x, half, 4, 1, 2, 1, 1);
    return ss_fir_resample(c, x, twice, 4, 2, 1, 2, 1);
}

static ss_tensor *resample(ss_ctx *c, const ss_resnet *r, const ss_tensor *x)
{
    if (r->spec.direction == SS_KEEP)
        return ss_retain(x);
    if (r->spec.fir)
        return ss_fir(c, x, r->spec.direction);
    if (r->spec.direction == SS_HALVE)
        return ss_avg_pool2(c, x);
    return ss_upsample_nearest(c, x, 2 * ss_dim(x, -3), 2 * ss_dim(x, -2));
}

/* Runs the block of magnitude-preserving networks (magnitude.h). */
static ss_tensor *run_magnitude(ss_ctx *c, const ss_resnet *r, const ss_tensor *x,
                                const ss_tensor *temb)
{
    const bool encoder = r->spec.encoder;

    if (r->downsample.path)
        ss_enter(c, &r->downsample, x);
    ss_tensor *stream = resample(c, r, x);
    if (r->downsample.path)
        stream = ss_leave(c, &r->downsample, stream);
    if (encoder && r->conv_shortcut)
        ss_set(&stream, ss_conv_layer_run(c, r->conv_shortcut, stream));
    if (encoder)
        ss_set(&stream, ss_mp_pixel(c, stream, ss_dim(stream, -1)));

    ss_tensor *t = ss_mp_silu(c, temb), *h = ss_mp_silu(c, stream);
    ss_set(&t, ss_linear_layer_run(c, r->time_emb_proj, t)); /* [N][out] */
    ss_set(&h, ss_conv_layer_run(c, r->conv1, h));           /* [N][H'][W'][out] */
    ss_set(&h, ss_mp_modulate(c, h, t));
    ss_set(&h, ss_mp_silu(c, h));
    ss_set(&h, ss_conv_layer_run(c, r->conv2, h));
    ss_release(t);
    if (!encoder && r->conv_shortcut)
        ss_set(&stream, ss_conv_layer_run(c, r->conv_shortcut, stream));
    ss_set(&h, ss_mp_sum(c, stream, h, 0.3));
    ss_release(stream);
    return h;
}

/* Projects the time embedding: [N][out], or [N][2 out] with scale_shift; NULL where there is none.
 */
static ss_tensor *embed_time(ss_ctx *c, const ss_resnet *r, const ss_tensor *temb)
{
    if (!r->time_emb_proj)
        return NULL;
    ss_tensor *t = r->spec.skip_time_act ? ss_retain(temb) : ss_activate(c, temb, r->spec.act);
    ss_set(&t, ss_linear_layer_run(c, r->time_emb_proj, t));
    return t;
}

ss_tensor *ss_resnet_run(ss_ctx *c, const ss_resnet *r, const ss_tensor *x, const ss_tensor *temb)
{
    const ss_act act = r->spec.act;

    ss_enter(c, &r->m, x);
    if (r->magnitude)
        return ss_leave(c, &r->m, run_magnitude(c, r, x, temb));
    ss_tensor *t = embed_time(c, r, temb);
    ss_tensor *h = ss_group_norm_layer_run(c, r->norm1, x, NULL, act); /* [N][H][W][in] */
    if (r->downsample.path)
        ss_enter(c, &r->downsample, h);
    ss_set(&h, resample(c, r, h)); /* [N][H'][W'][in] */
    if (r->downsample.path)
        h = ss_leave(c, &r->downsample, h);
    ss_set(&h, ss_conv_layer_run(c, r->conv1, h)); /* [N][H'][W'][out] */
    if (t && !r->spec.scale_shift) {
        ss_set(&h, ss_add_channels(c, h, t));
        ss_see(c, &r->temb_sum, SS_PORT_OUTPUT, h);
    }
    ss_set(&h, ss_group_norm_layer_run(c, r->norm2, h, r->spec.scale_shift ? t : NULL, act));
    ss_set(&h, ss_conv_layer_run(c, r->conv2, h));
    ss_release(t);
    ss_factor_run(c, &r->factor, &h);

    ss_tensor *residual = resample(c, r, x);
    if (r->conv_shortcut)
        ss_set(&residual, ss_conv_layer_run(c, r->conv_shortcut, residual));
    ss_set(&h, ss_divided_sum(c, &r->residual_sum, residual, h, r->spec.out_scale));
    ss_release(residual);
    return ss_leave(c, &r->m, h);
}

ss_resampler *ss_downsampler_new(ss_net *n, const ss_module *parent, int channels, int padding)
{
    ss_resampler *r = ss_net_alloc(n, sizeof *r);
    ss_conv2d_opt opt = {2, padding, padding, padding, padding};

    if (!r)
        return NULL;
    if (padding == 0)
        opt.bottom = opt.right = 1;
    r->m.block = true;
    ss_net_module(n, &r->m, parent, "Downsample2D", "downsamplers.0");
    r->conv = ss_conv_layer_new(n, &r->m, "conv", channels, channels, 3, opt);
    return r;
}

ss_tensor *ss_downsampler_run(ss_ctx *c, const ss_resampler *r, const ss_tensor *x)
{
    ss_enter(c, &r->m, x);
    return ss_leave(c, &r->m, ss_conv_layer_run(c, r->conv, x));
}

ss_resampler *ss_upsampler_new(ss_net *n, const ss_module *parent, int channels)
{
    ss_resampler *r = ss_net_alloc(n, sizeof *r);

    if (!r)
        return NULL;
    r->m.block = true;
    ss_net_module(n, &r->m, parent, "Upsample2D", "upsamplers.0");
    r->conv = ss_conv_layer_new(n, &r->m, "conv", channels, channels, 3, ss_conv_same(1));
    return r;
}

ss_tensor *ss_upsampler_run(ss_ctx *c, const ss_resampler *r, const ss_tensor *x, int64_t h,
                            int64_t w)
{
    ss_enter(c, &r->m, x);
    ss_tensor *y = ss_upsample_nearest(c, x, h, w);
    ss_set(&y, ss_conv_layer_run(c, r->conv, y));
    return ss_leave(c, &r->m, y);
}
