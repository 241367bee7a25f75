/* ops.h - every operation of the engine
 *
 * Each returns a new f32 tensor (one reference, the caller's), or NULL after recording an
 * error in the context; tensor arguments are borrowed, NULL inputs give NULL. Parameters
 * (w, bias, gamma, beta, g, table) may be f32, f16 or bf16; bias, gamma and beta may be NULL.
 * Shapes are outermost first; "..." is any number of leading dimensions. Where pictures
 * [N][H][W][C] are asked for, video [N][F][H][W][C] is N F of them, and the output has its N and F.
 *
 * Every operation has its gradient (tape.h), to all operands but masks, biases of attention and
 * host arrays.
 *
 * Under a precision policy of scope `ops` an operation rounds its output to the format of
 * the innermost module that was entered.
 */
#ifndef SS_KERNELS_OPS_H
#define SS_KERNELS_OPS_H

#include "kernels/hooks.h"
#include "kernels/tensor.h"

typedef struct {
    int stride;                   /* 0 means 1 */
    int top, left, bottom, right; /* zero padding; negative: rows or columns are cut off */
} ss_conv2d_opt;

/* Cross-correlation, as PyTorch's conv2d. x [N][H][W][I], w [O][I][kh][kw] (or [O][I][kh][kw][1]),
 * bias [O] -> [N][H'][W'][O], H' = (H + top + bottom - kh) / stride + 1. */
ss_tensor *ss_conv2d(ss_ctx *c, const ss_tensor *x, const ss_tensor *w, const ss_tensor *bias,
                     ss_conv2d_opt opt);

/* y = x w^T + bias. x [...][I], w [O][I] (or [O][I][1][1]), bias [O] -> [...][O] */
ss_tensor *ss_linear(ss_ctx *c, const ss_tensor *x, const ss_tensor *w, const ss_tensor *bias);

/* identity; x*sigmoid(x); x*Phi(x) (exact, erf); x*tanh(softplus(x)); max(x,0);
 * x*sigmoid(1.702 x); x*(1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))/2, and the same as transformers
 * writes it with pow, which autocast computes in fp32 (Hendrycks & Gimpel 2016); 1/(1 + e^-x) */
#define SS_ACTS(X)    \
    X(NONE, identity) \
    X(SILU, silu)     \
    X(GELU, gelu)     \
    X(MISH, mish)     \
    X(RELU, relu)     \
    X(QUICK_GELU, quick_gelu) X(GELU_TANH, gelu_tanh) X(GELU_NEW, gelu_new) X(SIGMOID, sigmoid)
#define X(id, name) SS_ACT_##id,
typedef enum { SS_ACTS(X) SS_N_ACTS } ss_act;
#undef X
ss_tensor *ss_activate(ss_ctx *c, const ss_tensor *x, ss_act act);

/* act( ((x - mean) / sqrt(var + eps) * gamma + beta) * (1 + scale) + shift ), mean and
 * (population) variance over each sample's group of C/groups channels and all positions.
 * x [N][...][C]; gamma, beta [C]; mod [N][2C] = scale then shift, or NULL for none. *plain, if
 * asked for, is the same with neither mod nor act, for whoever looks at it; the caller releases it.
 * Source: Wu & He 2018. */
ss_tensor *ss_group_norm(ss_ctx *c, const ss_tensor *x, const ss_tensor *gamma,
                         const ss_tensor *beta, const ss_tensor *mod, int groups, float eps,
                         ss_act act, ss_tensor **plain);

/* (x - mean) / sqrt(var + eps) * gamma + beta over the last dimension. x [...][C] */
ss_tensor *ss_layer_norm(ss_ctx *c, const ss_tensor *x, const ss_tensor *gamma,
                         const ss_tensor *beta, float eps);

/* x / sqrt(mean(x^2) + eps) * gamma over the last dimension, as T5LayerNorm: in fp32 under
 * autocast; in half precision what is multiplied by gamma is rounded, too. x [...][C]; gamma may be
 * NULL. Source: Zhang & Sennrich 2019. */
ss_tensor *ss_rms_norm(ss_ctx *c, const ss_tensor *x, const ss_tensor *gamma, float eps);

/* scale x / (1e-4 + rms), rms over each `row` values in order: the last dimension, a part of it, or
 * several dimensions. x may be a parameter. Source: Karras et al. 2024, EDM2. */
ss_tensor *ss_unit_rms(ss_ctx *c, const ss_tensor *x, int64_t row, float scale);

/* First half times gelu of the second: x [...][2K] -> [...][K] (Shazeer 2020, GEGLU). */
ss_tensor *ss_geglu(ss_ctx *c, const ss_tensor *x);

/* Which logits a layer stores under a policy: those of the policy's code of attention, none
 * (upcast_attention), or always the scaled ones (AttentionPooling). */
typedef enum { SS_LOGITS_AS_CODED, SS_LOGITS_UPCAST, SS_LOGITS_STORED } ss_stored_logits;

typedef struct {
    int heads;
    float scale;
    int frames;    /* so many rows of q after each other are frames of one sample, which has one
                      statistic; 0 stands for 1 */
    int of_frames; /* q and k are tokens of so many frames, frame by frame, as many of each: masses
                      by frame are among the statistics (base/stats.h); 0: they are not */
    bool cosine;   /* rows of q and k are divided by their length first: scale cos(q_i, k_j) */
    ss_stored_logits stored;
    const ss_tensor *bias; /* [heads or 1][T][S], added to the scaled logits before the mask, as
                              relative positions and causal masks (-inf) are; or NULL */
    const ss_module *logits, *unscaled, *probabilities; /* inner values (hooks.h), or NULL */
} ss_attention_opt;

/* softmax(scale * Q K^T + bias + mask) V, head by head, without ever holding the matrix of
 * probabilities: memory grows with tokens, not with their square.
 * q [N][T][heads*D], k, v [N][S][heads*D] -> [N][T][heads*D]; mask [N][S] is added to the
 * logits, or NULL. Where mask or bias is -65504 or less, as in half precision -inf and the least
 * number are, the key is masked: its logit is not among the statistics. Code that has a bias stores
 * q.k, its product with scale, and each sum (transformers' eager attention). If the innermost
 * module is watched for attention, or an inner value is watched, its statistics (stats.h) are
 * gathered in the same pass; an intervention there may make it cosine attention. */
ss_tensor *ss_attention(ss_ctx *c, const ss_tensor *q, const ss_tensor *k, const ss_tensor *v,
                        const ss_tensor *mask, const ss_attention_opt *opt);

/* (a + b) * scale, equal shapes. Under a policy that rounds, the sum is rounded, too. */
ss_tensor *ss_add(ss_ctx *c, const ss_tensor *a, const ss_tensor *b, float scale);
/* a * b, value by value; equal shapes. */
ss_tensor *ss_multiply(ss_ctx *c, const ss_tensor *a, const ss_tensor *b);
/* x * mul + add */
ss_tensor *ss_affine(ss_ctx *c, const ss_tensor *x, float mul, float add);
/* x [N][...] times k[n], a host array. */
ss_tensor *ss_scale_samples(ss_ctx *c, const ss_tensor *x, const float *k);
/* x [N][...][C] + e [N][C] at every position. */
ss_tensor *ss_add_channels(ss_ctx *c, const ss_tensor *x, const ss_tensor *e);
/* x [N][...][C] * (1 + scale) + shift at every position; mod [N][2C] = scale then shift, or
 * [N][C] = scale alone. */
ss_tensor *ss_modulate(ss_ctx *c, const ss_tensor *x, const ss_tensor *mod);
/* x times a parameter g of one value. */
ss_tensor *ss_gain(ss_ctx *c, const ss_tensor *x, const ss_tensor *g);
/* x limited to [lo, hi]; NaN stays. */
ss_tensor *ss_clamp(ss_ctx *c, const ss_tensor *x, float lo, float hi);

/* Concatenates a and b along an axis (negative counts from the end); the other axes must agree. */
ss_tensor *ss_concat(ss_ctx *c, const ss_tensor *a, const ss_tensor *b, int axis);
/* Elements [from, to) of an axis. */
ss_tensor *ss_slice(ss_ctx *c, const ss_tensor *x, int axis, int64_t from, int64_t to);

/* Axes in another order: axis k of the output is axis axes[k] of x, as PyTorch's permute. Each axis
 * of x is named once. Where only axes of one step move, the values stay and the shape changes. */
ss_tensor *ss_permute(ss_ctx *c, const ss_tensor *x, const int *axes);

/* Nearest neighbour: y[i] = x[floor(i * H / H')]. x [N][H][W][C] -> [N][h][w][C] */
ss_tensor *ss_upsample_nearest(ss_ctx *c, const ss_tensor *x, int64_t h, int64_t w);
/* Mean of 2x2, odd last rows and columns dropped. [N][H][W][C] -> [N][H/2][W/2][C] */
ss_tensor *ss_avg_pool2(ss_ctx *c, const ss_tensor *x);
/* Up-sample by zero insertion, pad, convolve each channel with the outer product of the
 * n-tap kernel with itself (true convolution: flipped), down-sample. pad0 before and pad1
 * after, may be negative. As StyleGAN2's upfirdn2d (Karras et al. 2020); the kernel is a
 * host array of at most 8 taps. */
ss_tensor *ss_fir_resample(ss_ctx *c, const ss_tensor *x, const float *kernel, int n, int up,
                           int down, int pad0, int pad1);

/* Mean over the tokens: [N][T][C] -> [N][1][C] */
ss_tensor *ss_mean_tokens(ss_ctx *c, const ss_tensor *x);
/* Rows of a table [K][C] by index -> [n][C]; an index outside is SS_USAGE. */
ss_tensor *ss_embedding(ss_ctx *c, const ss_tensor *table, const int64_t *ids, int64_t n);

#endif
