/* vae.h - the autoencoders of diffusers whose latents are normal (Kingma & Welling 2014, Rombach et
 * al. 2022)
 *
 *   encode   moments = quant_conv(encoder(x)), of which the first half are means
 *   decode   y = decoder(post_quant_conv(z))
 *
 * In diffusers neither is the network's own forward, so the network itself, path "", is a module
 * that is never entered.
 */
#ifndef SS_MODELS_VAE_H
#define SS_MODELS_VAE_H

#include "kernels/tensor.h"
#include "models/net/family.h"
#include "models/vae/vae_config.h"

typedef struct ss_vae ss_vae;

/* Builds the network in n; ss_net_finish says what is missing or misshapen. */
ss_vae *ss_vae_new(ss_net *n, const ss_vae_config *v);

/* x [N][H][W][in] or [N][F][H][W][in], frame by frame -> the means of its latents as a denoiser has
 * them. */
ss_tensor *ss_vae_encode(ss_ctx *c, const ss_vae *a, const ss_tensor *x);
/* z [N][h][w][latent] or [N][F][h][w][latent], as a denoiser has them, -> pictures. A decoder of
 * videos sees the F frames together, and takes pictures for videos of one frame. */
ss_tensor *ss_vae_decode(ss_ctx *c, const ss_vae *a, const ss_tensor *z);
/* Both in one, with the latents that draw makes of the moments (family.h). */
ss_tensor *ss_vae_reconstruct(ss_ctx *c, const ss_vae *a, const ss_tensor *x, ss_latent_draw *draw,
                              void *self);

#endif
