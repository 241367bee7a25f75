/* optimizer.h - weights' updates from gradients, and what they say about stability
 *
 * The rules of adam, adamw, lion and sgd are in kernels/step.h; g is the clipped gradient, t counts
 * steps from 1, eta is the learning rate of step t. Weights, moments and averages stay on the
 * device; a step asks it for a few sums. The learning rate of step t, where p goes from 0 at the
 * end of the warm-up to 1 at step `steps`:
 *
 *   warm-up    lr t / warmup
 *   constant   lr
 *   linear     lr max(1 - p, floor)
 *   cosine     lr max((1 + cos(pi p)) / 2, floor)
 *
 * Every sum is taken over fixed blocks, so the bits do not depend on the number of threads.
 *
 * Sources: Kingma & Ba 2015; Loshchilov & Hutter 2019; Chen et al. 2023 (Lion); Wortsman et al.
 * 2023 ("Stable and low-precision training", the ratio); Karras et al. 2022 (EMA half-life).
 */
#ifndef SS_TRAIN_OPTIMIZER_H
#define SS_TRAIN_OPTIMIZER_H

#include "kernels/step.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SS_RATES(X)         \
    X(CONSTANT, "constant") \
    X(LINEAR, "linear")     \
    X(COSINE, "cosine")
#define X(name, text) SS_RATE_##name,
typedef enum { SS_RATES(X) SS_N_RATES } ss_rate;
#undef X

/* The decay of the average of weights after step t:
 *   constant    decay
 *   diffusers   0 after the first step, then min(decay, t / (9 + t)), as its EMAModel
 *   edm         min(decay, 0.5^(20 / t)): a half-life of at most t / 20 steps */
#define SS_EMA_WARMUPS(X)     \
    X(CONSTANT, "constant")   \
    X(DIFFUSERS, "diffusers") \
    X(EDM, "edm")
#define X(name, text) SS_EMA_##name,
typedef enum { SS_EMA_WARMUPS(X) SS_N_EMA_WARMUPS } ss_ema_warmup;
#undef X

typedef struct {
    ss_optimizer_kind kind;
    double lr, beta1, beta2, eps, weight_decay, momentum;
    bool nesterov;
    double clip; /* largest L2 norm of all gradients together; 0: they are not clipped */
    ss_rate rate;
    int64_t warmup, steps; /* steps: where linear and cosine end */
    double floor;          /* as a share of lr */
    double ema_decay;      /* 0: no average is kept */
    ss_ema_warmup ema_warmup;
    ss_kept weights, states; /* what weights, and moments, are kept in (keep.h); averages are f32 */
    bool stochastic;         /* they are rounded to it stochastically */
    uint64_t seed;           /* of that */
} ss_optimizer_options;

/* adam, lr 1e-4, betas 0.9 and 0.999, eps 1e-8, no decay, momentum 0.9 (sgd), no clipping,
 * constant, no warm-up, no average (with the warm-up of diffusers, if there is one). */
ss_optimizer_options ss_optimizer_defaults(void);
/* SS_USAGE if a number is out of its range, which the message names. */
ss_code ss_optimizer_check(const ss_optimizer_options *opt, ss_err *e);

/* Learning rate of step t, t from 1; decay of the average after step t. */
double ss_optimizer_rate(const ss_optimizer_options *opt, int64_t t);
double ss_optimizer_ema_decay(const ss_optimizer_options *opt, int64_t t);

/* Weights that each step changes. Borrowed. */
typedef struct {
    const char *name;
    ss_tensor *w;     /* a parameter; becomes f32, in memory of its own */
    int64_t unit_row; /* as in ss_step */
} ss_trained;

/* The change of one tensor in one step. */
typedef struct {
    double gradient_rms;
    double update_rms; /* of w after - w before, weight decay included */
    double weight_rms; /* before */
    double staleness;  /* RMS of g / sqrt(v^) = sqrt(mean(g^2 / max(v^, eps^2))), v^ = v / (1 -
                          beta2^t): about 1 while v is up to date, far over 1 if it is stale, one to
                          eight steps before the loss spikes. NaN for lion and sgd */
    double lost;       /* share of second moments that are 0 though the gradient is not */
} ss_update;

typedef struct ss_optimizer ss_optimizer;

/* Weights become numbers of opt.weights, to nearest. SS_UNSUPPORTED if that is not f32 and a tensor
 * has unit rows. The averages of weights begin as the weights are. tensors may go; the weights,
 * their names and the context must stay until free. */
ss_code ss_optimizer_new(ss_ctx *c, const ss_optimizer_options *opt, const ss_trained *tensors,
                         size_t n, ss_optimizer **o, ss_err *e);
void ss_optimizer_free(ss_optimizer *o); /* NULL is fine */

/* L2 norm of all gradients together, not finite if one of them is not. grad[i] has the shape of
 * tensors[i].w, or is NULL for zeros. */
ss_code ss_optimizer_norm(ss_optimizer *o, const ss_tensor *const *grad, double *norm, ss_err *e);

/* Does one step with gradients grad[i] * multiplier (1 / loss scale). norm is that of grad, as
 * ss_optimizer_norm gave it: clipping multiplies by clip / (norm * multiplier + 1e-6) if that is
 * below 1. update [tensors] may be NULL. */
ss_code ss_optimizer_step(ss_optimizer *o, const ss_tensor *const *grad, double multiplier,
                          double norm, ss_update *update, ss_err *e);

/* Sets lr, which warm-up and decay multiply, of the coming steps. */
void ss_optimizer_set_lr(ss_optimizer *o, double lr);

int64_t ss_optimizer_steps(const ss_optimizer *o);                  /* done so far */
const ss_tensor *ss_optimizer_ema(const ss_optimizer *o, size_t i); /* of tensor i; NULL: none */

/* Moments, averages and the step as a safetensors file, written whole or not at all; a run that
 * loads it goes on with the same bits. load: a file of another optimiser (adam and adamw take each
 * other's) or of other tensors is SS_FORMAT, and changes nothing. more: it may also have tensors
 * that are not trained here, which are left out. */
ss_code ss_optimizer_save(const ss_optimizer *o, const char *path, ss_err *e);
ss_code ss_optimizer_load(ss_optimizer *o, const char *path, bool more, ss_err *e);

#endif
