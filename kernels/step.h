/* step.h - one step of an optimiser, on parameters where they are
 *
 *   g is the gradient, clipped; t counts steps from 1; eta is the learning rate of step t
 *
 *   sgd     g += decay w;  b = momentum b + g (b = g at first);  w -= eta (nesterov ?
 *           g + momentum b : b)
 *   adam    g += decay w;  m += (1 - beta1)(g - m);  v = beta2 v + (1 - beta2) g^2
 *           w -= eta / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
 *   adamw   the same with w *= 1 - eta decay in place of g += decay w
 *   lion    w *= 1 - eta decay;  w -= eta sign(beta1 m + (1 - beta1) g);
 *           m = beta2 m + (1 - beta2) g
 *
 * in f32 and in the order of PyTorch's optimisers, then w, m and v become numbers of the formats
 * that they are kept in (keep.h), then the average  ema -= rest (ema - w), then
 * rows of weights that are normalised are brought to unit RMS (magnitude.h).
 *
 * Sources: Kingma & Ba 2015; Loshchilov & Hutter 2019; Chen et al. 2023 (Lion).
 */
#ifndef SS_KERNELS_STEP_H
#define SS_KERNELS_STEP_H

#include "kernels/keep.h"
#include "kernels/tensor.h"

#define SS_OPTIMIZERS(X) \
    X(ADAM, "adam")      \
    X(ADAMW, "adamw")    \
    X(LION, "lion")      \
    X(SGD, "sgd")
#define X(name, text) SS_OPTIMIZER_##name,
typedef enum { SS_OPTIMIZERS(X) SS_N_OPTIMIZERS } ss_optimizer_kind;
#undef X

/* All that one step does alike for every value, rounded once to f32 as PyTorch does. g is the
 * gradient times scale. */
typedef struct {
    ss_optimizer_kind kind;
    bool nesterov, first;
    float scale, decay, keep, beta1, rest1, beta2, rest2, eps, momentum, rate, rate1, root2;
    double correction2, floor2; /* 1 - beta2^t; eps^2, or the smallest number over 0 */
    float ema_rest;             /* 1 - decay of the average */
    ss_kept weights, states;    /* what w, and m and v are kept in */
    bool stochastic;            /* how they are rounded to that */
} ss_step_rule;

/* A parameter and what is kept of it; all in memory of f32 and of equal size. */
typedef struct {
    const ss_tensor *gradient; /* NULL stands for zeros */
    ss_tensor *w, *m;          /* m is sgd's momentum buffer */
    ss_tensor *v, *ema;        /* v: adam and adamw; ema: NULL where no average is kept */
    int64_t unit_row;          /* values of a row that is brought to unit RMS; 0: none is */
    uint64_t key;              /* of the random bits of this tensor in this step */
} ss_step;

/* Sums over all values: g^2, (change of w)^2, (w before)^2, g^2 / v^ with v^ = v / correction2; and
 * how many v are 0 though g is not: squares that the format of v cannot hold. */
typedef struct {
    double g2, dw2, w2, stale, lost;
} ss_step_sums;

/* Changes w, m, v and ema of n parameters, which own their memory (ss_param_set, ss_param_full) and
 * have no views: SS_USAGE otherwise, and while a tape records; nothing has changed then. sums [n]
 * of each may be NULL; they are there after ss_ctx_finish, and stay where they are until then. The
 * same bits on any number of threads. */
ss_code ss_param_step(ss_ctx *c, const ss_step *s, size_t n, const ss_step_rule *r,
                      ss_step_sums *sums, ss_err *e);

/* *sum = the sum of the squares of all values of n tensors (NULL: zeros), in double and in a fixed
 * order; there after ss_ctx_finish, as above. */
ss_code ss_sum_squares(ss_ctx *c, const ss_tensor *const *x, size_t n, double *sum, ss_err *e);

/* Brings rows of values on the host to unit RMS, w / (1e-4 + rms); where row is 0, none. */
void ss_unit_rows(float *w, int64_t n, int64_t row);

#endif
