/* latents.h - pictures and videos of a latent denoiser, by the VAE of its pipeline
 *
 *   rc = ss_latents_open(denoiser, variant, latent_size, &device, &l, &err);
 *   if (l)
 *       rc = ss_latents_decode(l, x0, picture, &err);
 *   ss_latents_close(l);
 *
 * The VAE runs in fp32, in a context of its own, on one picture or frame at a time; a decoder that
 * sees frames together (AutoencoderKLTemporalDecoder) on a whole video.
 */
#ifndef SS_PROBE_LATENTS_H
#define SS_PROBE_LATENTS_H

#include "base/sample_size.h"
#include "kernels/context.h"
#include "models/model.h"

typedef struct ss_latents ss_latents;

/* Opens the VAE beside a denoiser whose samples have this size, and binds it. *l is NULL where
 * there is none; a note says so if there is one that cannot be used, because its class is not known
 * or its latents have other channels. variant: of the weights, where the VAE has such. */
ss_code ss_latents_open(const ss_model *denoiser, const char *variant, ss_sample_size latent,
                        const ss_ctx_options *device, ss_latents **l, ss_err *e);
void ss_latents_close(ss_latents *l); /* NULL is fine */

/* The size of the pictures, or videos, that belong to the latents. */
ss_sample_size ss_latents_picture(const ss_latents *l);

/* Encodes one picture, [H][W][3] from -1 to 1, or a video [F][H][W][3], to latents as the denoiser
 * has them, or decodes latents to one. */
ss_code ss_latents_encode(ss_latents *l, const float *picture, float *latent, ss_err *e);
ss_code ss_latents_decode(ss_latents *l, const float *latent, float *picture, ss_err *e);

#endif
