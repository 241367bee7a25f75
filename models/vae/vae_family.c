/* vae_family.c - see vae_family.h */
#include "models/vae/vae_family.h"

#include "base/mem.h"
#include "models/vae/vae.h"

static ss_code read_config(ss_json *j, bool temporal, void **config, ss_err *e)
{
    ss_vae_config *v = ss_calloc(1, sizeof *v);
    const ss_code rc = v ? ss_vae_config_read(j, temporal, v, e) : ss_no_memory(e, j->name);

    if (rc == SS_OK)
        *config = v;
    else
        ss_free(v);
    return rc;
}

static ss_code read_pictures(ss_json *j, void **config, ss_err *e)
{
    return read_config(j, false, config, e);
}

static ss_code read_temporal(ss_json *j, void **config, ss_err *e)
{
    return read_config(j, true, config, e);
}

static void info(const void *config, ss_network_info *i)
{
    const ss_vae_config *v = config;

    *i = (ss_network_info){
        .in_channels = v->in_channels,
        .out_channels = v->out_channels,
        .sample_h = v->sample_h,
        .sample_w = v->sample_w,
        .remedies = &v->remedies,
        .spatial_part = v->temporal ? ".spatial_res_block" : NULL,
        .latent_channels = v->latent_channels,
        .decodes_videos = v->temporal,
        .latent_factor = (int64_t)1 << (v->n_levels - 1),
    };
}

static void *build(ss_net *n, const void *config)
{
    return ss_vae_new(n, config);
}

static ss_tensor *encode(ss_ctx *c, const void *network, const ss_tensor *x)
{
    return ss_vae_encode(c, network, x);
}

static ss_tensor *decode(ss_ctx *c, const void *network, const ss_tensor *z)
{
    return ss_vae_decode(c, network, z);
}

static ss_tensor *reconstruct(ss_ctx *c, const void *network, const ss_tensor *x,
                              ss_latent_draw *draw, void *self)
{
    return ss_vae_reconstruct(c, network, x, draw, self);
}

const ss_family ss_vae_family = {
    .class_name = SS_VAE_PICTURES,
    .folder = "vae",
    .role = SS_VAE,
    .read = read_pictures,
    .info = info,
    .build = build,
    .encode = encode,
    .decode = decode,
    .reconstruct = reconstruct,
};

const ss_family ss_vae_temporal_family = {
    .class_name = SS_VAE_TEMPORAL,
    .folder = "vae",
    .role = SS_VAE,
    .read = read_temporal,
    .info = info,
    .build = build,
    .encode = encode,
    .decode = decode,
    .reconstruct = reconstruct,
};
