/* autoencoder.h - the training of an autoencoder whose latents are normal
 *
 * The encoder gives means m and logarithms of variances v of the latents of pictures x, the decoder
 * answers y = D(m + exp(v / 2) n) with n ~ N(0, 1) (Kingma & Welling 2014). Of sample i
 *
 *   L_i = mean((y - x)^2) + l1 mean|y - x| + kl mean((m^2 + e^v - 1 - v) / 2)
 *       + frame mean((d y - d x)^2)
 *
 * where d is the difference between neighbouring frames of a video, and each mean is over the
 * values of its term: the latents' of KL(q | N(0, 1)). The loss is the mean over samples. v is
 * limited to
 * [-30, 20], as diffusers does, and has no gradient beyond.
 *
 * Latent diffusion's 1e-6 (Rombach et al. 2022) weighs sums over latents against sums over pixels:
 * in these terms, 1e-6 times latents by values of a picture.
 */
#ifndef SS_TRAIN_AUTOENCODER_H
#define SS_TRAIN_AUTOENCODER_H

#include "base/sample_size.h"
#include "models/model.h"
#include "train/objective.h"

/* A batch of an autoencoder. */
typedef struct {
    const ss_objective *objective; /* its weights */
    int n;
    ss_sample_size size; /* of its samples; videos have frames */
    const float *x;      /* n of them */
    const float *noise;  /* [n][latents of a sample], in the order of the latents */
} ss_autoencoder_batch;

/* Values of a sample's latents; SS_USAGE if the network's levels do not halve its sides evenly. */
ss_code ss_autoencoder_latents(const ss_network_info *net, ss_sample_size size, int64_t *n,
                               ss_err *e);

/* Runs the network, and seeds a tape that records with the gradients of scale times the loss.
 * Returns the loss; losses [n] of each sample, or NULL. NaN after an error, which the context has.
 * Where only shapes are inferred, nothing is seeded. */
double ss_autoencoder_run(ss_ctx *c, const ss_model *m, const ss_autoencoder_batch *b, double scale,
                          double *losses);

/* The terms of a sample of the pictures x and y: its loss without that of the latents, and dy, the
 * gradient of scale times that. */
double ss_autoencoder_picture_loss(const ss_objective *o, ss_sample_size size, const float *x,
                                   const float *y, double scale, float *dy);

#endif
