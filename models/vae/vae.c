/* vae.c - see vae.h */
#include "models/vae/vae.h"

#include "base/mem.h"
#include "kernels/context.h"
#include "models/vae/vae_coder.h"

struct ss_vae {
    ss_module m;
    const ss_vae_config *config;
    ss_vae_coder *encoder, *decoder;
    ss_conv_layer *quant_conv, *post_quant_conv; /* or NULL */
};

ss_vae *ss_vae_new(ss_net *n, const ss_vae_config *v)
{
    const int latents = v->latent_channels;
    ss_vae *a = ss_net_alloc(n, sizeof *a);

    if (!a)
        return NULL;
    a->config = v;
    ss_net_module(n, &a->m, NULL, v->class_name, "%s", "");
    a->encoder = ss_vae_encoder_new(n, &a->m, v);
    a->decoder = ss_vae_decoder_new(n, &a->m, v);
    if (v->quant_conv)
        a->quant_conv =
            ss_conv_layer_new(n, &a->m, "quant_conv", 2 * latents, 2 * latents, 1, ss_conv_same(0));
    if (v->post_quant_conv)
        a->post_quant_conv =
            ss_conv_layer_new(n, &a->m, "post_quant_conv", latents, latents, 1, ss_conv_same(0));
    if (a->quant_conv)
        a->quant_conv->m.block = true;
    if (a->post_quant_conv)
        a->post_quant_conv->m.block = true;
    return a;
}

/* Fails unless x is pictures or videos with that many channels; true when all is well. */
static bool check(ss_ctx *c, const ss_tensor *x, int channels, const char *what)
{
    const ss_shape s = ss_shape_get(x);
    char text[96];

    if ((s.rank == 4 || s.rank == 5) && ss_dim(x, -1) == channels)
        return true;
    if (!ss_ctx_failed(c))
        ss_ctx_fail(c, SS_SHAPE, "%s are %s, the network wants [N,H,W,%d] or [N,F,H,W,%d]", what,
                    ss_shape_text(s, text, sizeof text), channels, channels);
    return false;
}

/* Computes x scale[c] + offset[c], or (x - offset[c]) / scale[c]. */
static ss_tensor *change_unit(ss_ctx *c, const ss_vae_config *v, const ss_tensor *x, bool back)
{
    const int64_t N = ss_dim(x, 0);
    const int C = v->latent_channels;

    if (v->one_unit && back)
        return ss_affine(c, x, 1 / v->scale[0], -v->offset[0] / v->scale[0]);
    if (v->one_unit)
        return ss_affine(c, x, v->scale[0], v->offset[0]);
    float *mod = ss_alloc((size_t)N, 2 * (size_t)C * sizeof *mod);
    if (!mod)
        return ss_ctx_fail(c, SS_NOMEM, "statistics of latents: out of memory");
    for (int64_t n = 0; n < N; n++) {
        float *scale = mod + n * 2 * C, *shift = scale + C;

        for (int i = 0; i < C; i++) {
            scale[i] = (back ? 1 / v->scale[i] : v->scale[i]) - 1;
            shift[i] = back ? -v->offset[i] / v->scale[i] : v->offset[i];
        }
    }
    ss_tensor *t = ss_upload(c, ss_shape_of(N, 2 * C), mod), *y = ss_modulate(c, x, t);
    ss_release(t);
    ss_free(mod);
    return y;
}

/* Runs a part that the network itself would call. Takes x. */
static ss_tensor *run_conv(ss_ctx *c, const ss_vae *a, const ss_conv_layer *l, ss_tensor *x)
{
    if (l)
        ss_set(&x, ss_conv_layer_run(c, l, x));
    return ss_pass(c, &a->m, x);
}

/* [N][H][W][in] -> means and logarithms of variances, [N][h][w][2 latent]. */
static ss_tensor *encode(ss_ctx *c, const ss_vae *a, const ss_tensor *x)
{
    ss_tensor *seen = ss_pass(c, &a->m, ss_retain(x));
    ss_tensor *h = ss_pass(c, &a->m, ss_vae_coder_run(c, a->encoder, seen));

    ss_release(seen);
    return run_conv(c, a, a->quant_conv, h);
}

/* Decodes latents in the network's own unit. Takes h. */
static ss_tensor *decode(ss_ctx *c, const ss_vae *a, ss_tensor *h)
{
    const ss_shape s = ss_shape_get(h);
    const bool picture = a->config->temporal && s.rank == 4;

    if (picture)
        ss_set(&h, ss_reshape(c, h, ss_shape_of(s.dim[0], 1, s.dim[1], s.dim[2], s.dim[3])));
    h = run_conv(c, a, a->post_quant_conv, ss_pass(c, &a->m, h));
    ss_set(&h, ss_vae_coder_run(c, a->decoder, h));
    if (picture)
        ss_set(&h,
               ss_reshape(c, h, ss_shape_of(s.dim[0], ss_dim(h, 2), ss_dim(h, 3), ss_dim(h, 4))));
    return ss_pass(c, &a->m, h);
}

ss_tensor *ss_vae_encode(ss_ctx *c, const ss_vae *a, const ss_tensor *x)
{
    const ss_vae_config *v = a->config;

    if (!check(c, x, v->in_channels, "pictures"))
        return NULL;
    ss_tensor *h = encode(c, a, x);

    ss_set(&h, ss_slice(c, h, ss_shape_get(h).rank - 1, 0, v->latent_channels));
    ss_set(&h, change_unit(c, v, h, true));
    return h;
}

ss_tensor *ss_vae_decode(ss_ctx *c, const ss_vae *a, const ss_tensor *z)
{
    if (!check(c, z, a->config->latent_channels, "latents"))
        return NULL;
    return decode(c, a, change_unit(c, a->config, z, false));
}

ss_tensor *ss_vae_reconstruct(ss_ctx *c, const ss_vae *a, const ss_tensor *x, ss_latent_draw *draw,
                              void *self)
{
    if (!check(c, x, a->config->in_channels, "pictures"))
        return NULL;
    ss_tensor *moments = encode(c, a, x), *z = moments ? draw(self, c, moments) : NULL;

    ss_release(moments);
    return decode(c, a, z);
}
