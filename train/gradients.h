/* gradients.h - what one batch adds to the gradients of a network's parameters
 *
 *   L = mean over samples of weight_i mean((F_i - target_i)^2)       (objective.h)
 *     + lambda P                                                     (penalty.h)
 *
 * or, of an autoencoder, its own loss (autoencoder.h) in the place of the first term.
 *
 * Gradients of `scale` * L are added to those of the parameters that want them (tape.h). A loss
 * scale keeps small gradients above the smallest number of a low-precision format
 * (Micikevicius et al. 2018); the caller divides by it.
 */
#ifndef SS_TRAIN_GRADIENTS_H
#define SS_TRAIN_GRADIENTS_H

#include "base/sample_size.h"
#include "models/model.h"
#include "train/autoencoder.h"
#include "train/penalty.h"

typedef struct {
    int n;                         /* samples */
    ss_sample_size size;           /* of a sample of the network's input */
    const float *x;                /* n of them */
    const ss_level *levels;        /* [n] timesteps that the network is told, weights of the loss */
    const ss_condition *condition; /* or NULL */
    const float *target;           /* n samples of that size, with the network's out_channels */
    /* Parts of an autoencoder's batch (autoencoder.h); NULL: a denoiser. */
    const ss_objective *objective;
    const float *latent_noise; /* n samples of latents */
} ss_batch;

typedef struct {
    double scale;        /* of the loss and the penalty */
    int parts;           /* batches of one size that make a step: both are divided by it */
    double lambda;       /* of the penalty in this step; 0: none */
    ss_penalty *penalty; /* its hooks are in the context; NULL: none */
    bool recompute;      /* gradient checkpointing (tape.h) */
} ss_gradients_options;

ss_gradients_options ss_gradients_defaults(void); /* scale 1, one part, no penalty */

/* The mean over this batch alone. */
typedef struct {
    double loss;    /* without the penalty */
    double penalty; /* P; NaN: none */
} ss_batch_loss;

/* losses [n]: of each sample, as ss_objective_loss gives them; may be NULL. The model is bound to
 * c. After an error gradients are incomplete. Values that are not finite are no error: they show in
 * the loss and in the gradients. */
ss_code ss_gradients_add(ss_ctx *c, const ss_model *m, const ss_batch *b,
                         const ss_gradients_options *opt, double *losses, ss_batch_loss *out,
                         ss_err *e);

/* The forward pass alone, for the context's hooks. Of the levels only timesteps matter, and the
 * target not at all. */
ss_code ss_batch_forward(ss_ctx *c, const ss_model *m, const ss_batch *b, ss_err *e);

#endif
