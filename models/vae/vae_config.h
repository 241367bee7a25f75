/* vae_config.h - config.json of an autoencoder, checked and brought into one form
 *
 * A key that is not read here is refused by name, so is every value that is not supported.
 */
#ifndef SS_MODELS_VAE_CONFIG_H
#define SS_MODELS_VAE_CONFIG_H

#include "models/net/config_values.h"
#include "models/net/remedies.h"

/* Classes of diffusers: of pictures, and one whose decoder sees the frames of a video together. */
#define SS_VAE_PICTURES "AutoencoderKL"
#define SS_VAE_TEMPORAL "AutoencoderKLTemporalDecoder"

enum {
    SS_VAE_MAX_LEVELS = 16,
    SS_VAE_MAX_LAYERS = 64, /* residual blocks of one level */
    SS_VAE_MAX_LATENTS = 1024
};

typedef struct {
    const char *class_name;
    bool temporal;
    int in_channels, out_channels; /* of pictures */
    int latent_channels;
    int sample_h, sample_w; /* 0: the config does not say */
    int n_levels;
    int channels[SS_VAE_MAX_LEVELS];      /* of the encoder's levels; the decoder goes backwards */
    bool down_attends[SS_VAE_MAX_LEVELS]; /* an attention follows each residual block */
    bool up_attends[SS_VAE_MAX_LEVELS];
    int layers; /* residual blocks of the encoder's levels; the decoder's have one more */
    int groups;
    ss_act act;
    bool mid_attention;
    bool quant_conv, post_quant_conv;
    bool one_unit; /* scale and offset are the same for all channels */
    /* Decoding begins with z scale[c] + offset[c]. */
    float scale[SS_VAE_MAX_LATENTS], offset[SS_VAE_MAX_LATENTS];
    ss_remedies remedies; /* none: no autoencoder has them */
} ss_vae_config;

/* Reads j of one of the two classes. The first complaint is the error. */
ss_code ss_vae_config_read(ss_json *j, bool temporal, ss_vae_config *v, ss_err *e);

#endif
