/* vae_config.c - see vae_config.h
 *
 * Units of latents, as the pipelines have them:
 *
 *   decoder's input   z / scaling_factor + shift_factor
 *   with statistics   z latents_std / scaling_factor + latents_mean, channel by channel
 */
#include "models/vae/vae_config.h"

#include "models/net/config_keys.h"

#include <string.h>

static void read_channels(ss_json *j, ss_vae_config *v)
{
    const json_t *list = ss_json_get(j, "block_out_channels");

    v->n_levels = 1;
    v->channels[0] = 64;
    if (!list)
        return;
    if (!json_is_array(list) || json_array_size(list) < 1 ||
        json_array_size(list) > SS_VAE_MAX_LEVELS) {
        ss_json_complain(j, SS_FORMAT, "block_out_channels", "expected a list of 1 to %d",
                         SS_VAE_MAX_LEVELS);
        return;
    }
    v->n_levels = (int)json_array_size(list);
    ss_config_ints(j, "block_out_channels", v->n_levels, 64, 1, SS_MAX_CHANNELS, v->channels);
}

/* Reads the types of the levels: plain, or with an attention after each residual block. */
static void read_types(ss_json *j, const ss_vae_config *v, const char *key, const char *plain,
                       const char *attends, bool *out)
{
    const json_t *list = ss_json_get(j, key);
    const int n = list ? (int)json_array_size(list) : 1;

    if (n != v->n_levels || (list && !json_is_array(list))) {
        ss_json_complain(j, SS_FORMAT, key, "expected %d names, as many as block_out_channels",
                         v->n_levels);
        return;
    }
    for (int i = 0; list && i < n; i++) {
        const char *name = json_string_value(json_array_get(list, (size_t)i));

        out[i] = name && strcmp(name, attends) == 0;
        if (!out[i] && !(name && strcmp(name, plain) == 0))
            ss_json_complain(j, SS_UNSUPPORTED, key, "block %d is not supported; %s and %s are", i,
                             plain, attends);
    }
}

/* Reads one number for each latent channel. */
static void read_statistics(ss_json *j, const char *key, int n, float *out)
{
    const json_t *list = ss_json_get(j, key);
    double x;

    if (!json_is_array(list) || json_array_size(list) != (size_t)n) {
        ss_json_complain(j, SS_FORMAT, key, "expected %d numbers, one for each latent channel", n);
        return;
    }
    for (int i = 0; i < n; i++) {
        if (!ss_json_number(json_array_get(list, (size_t)i), &x) || !(x >= -1e6 && x <= 1e6))
            ss_json_complain(j, SS_FORMAT, key, "expected numbers from -1e6 to 1e6");
        else
            out[i] = (float)x;
    }
}

/* Reads the units of latents. */
static void read_units(ss_json *j, ss_vae_config *v)
{
    const double scaling = ss_config_double(j, "scaling_factor", 0.18215, 1e-6, 1e6);
    const int n = v->latent_channels;
    double shift = 0;
    bool mean = false, std = false;

    if (!v->temporal) {
        shift = ss_config_double(j, "shift_factor", 0, -1e6, 1e6);
        mean = ss_json_has(j, "latents_mean");
        std = ss_json_has(j, "latents_std");
    }
    v->one_unit = !mean && !std;
    for (int i = 0; i < n; i++) {
        v->scale[i] = (float)(1 / scaling);
        v->offset[i] = (float)shift;
    }
    if (v->one_unit)
        return;
    if (mean != std)
        ss_json_complain(j, SS_FORMAT, mean ? "latents_std" : "latents_mean",
                         "latents_mean and latents_std come together");
    if (shift != 0)
        ss_json_complain(j, SS_UNSUPPORTED, "shift_factor", "not together with latents_mean");
    read_statistics(j, "latents_mean", n, v->offset);
    read_statistics(j, "latents_std", n, v->scale);
    for (int i = 0; i < n; i++) {
        if (!(v->scale[i] > 0))
            ss_json_complain(j, SS_FORMAT, "latents_std", "expected numbers above 0");
        v->scale[i] = (float)(v->scale[i] / scaling);
    }
}

ss_code ss_vae_config_read(ss_json *j, bool temporal, ss_vae_config *v, ss_err *e)
{
    *v = (ss_vae_config){
        .class_name = temporal ? SS_VAE_TEMPORAL : SS_VAE_PICTURES,
        .temporal = temporal,
        .groups = 32,
        .act = SS_ACT_SILU,
        .mid_attention = true,
        .quant_conv = true,
    };
    int side[2] = {0};

    ss_config_begin(j);
    v->in_channels = ss_config_int(j, "in_channels", 3, 1, SS_MAX_CHANNELS);
    v->out_channels = ss_config_int(j, "out_channels", 3, 1, SS_MAX_CHANNELS);
    v->latent_channels = ss_config_int(j, "latent_channels", 4, 1, SS_VAE_MAX_LATENTS);
    v->layers = ss_config_int(j, "layers_per_block", 1, 1, SS_VAE_MAX_LAYERS - 1);
    read_channels(j, v);
    read_types(j, v, "down_block_types", "DownEncoderBlock2D", "AttnDownEncoderBlock2D",
               v->down_attends);
    if (ss_json_has(j, "sample_size"))
        ss_config_ints(j, "sample_size", 2, 0, 1, SS_MAX_SIDE, side);
    v->sample_h = side[0];
    v->sample_w = side[1];
    ss_json_bool(j, "force_upcast", true); /* pipelines run it in fp32 then; it is the same */
    if (!temporal) {
        read_types(j, v, "up_block_types", "UpDecoderBlock2D", "AttnUpDecoderBlock2D",
                   v->up_attends);
        v->groups = ss_config_int(j, "norm_num_groups", v->groups, 1, SS_MAX_CHANNELS);
        v->act = ss_config_act(j, "act_fn", SS_ACT_SILU);
        v->mid_attention = ss_json_bool(j, "mid_block_add_attention", true);
        v->quant_conv = ss_json_bool(j, "use_quant_conv", true);
        v->post_quant_conv = ss_json_bool(j, "use_post_quant_conv", true);
    }
    read_units(j, v);
    return ss_config_end(j, v->class_name, e);
}
