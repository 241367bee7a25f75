/* vae_coder.h - one half of an autoencoder: the encoder, or the decoder
 *
 *   encoder   conv_in; for each level: residual blocks, half the size; the middle; norm; conv_out
 *   decoder   conv_in; the middle; for each level: residual blocks, twice the size; norm; conv_out
 *
 * The middle is a residual block, an attention of one head, and another residual block. Of videos
 * [N][F][H][W][C] each frame goes through by itself, but for the decoder that sees frames together
 * (vae_temporal.h).
 */
#ifndef SS_MODELS_VAE_CODER_H
#define SS_MODELS_VAE_CODER_H

#include "models/net/layers.h"
#include "models/vae/vae_config.h"

typedef struct ss_vae_coder ss_vae_coder;

/* Make the module "encoder", or "decoder", below the network. */
ss_vae_coder *ss_vae_encoder_new(ss_net *n, const ss_module *network, const ss_vae_config *v);
ss_vae_coder *ss_vae_decoder_new(ss_net *n, const ss_module *network, const ss_vae_config *v);

/* Run it: pictures [N][H][W][in] -> moments [N][h][w][2 latent], h = H / 2^(levels - 1) rounded
 * down; latents [N][h][w][latent] -> pictures [N][H][W][out]. */
ss_tensor *ss_vae_coder_run(ss_ctx *c, const ss_vae_coder *k, const ss_tensor *x);

#endif
