/* embeddings.h - numbers and texts become vectors that steer every block */
#ifndef SS_MODELS_EMBEDDINGS_H
#define SS_MODELS_EMBEDDINGS_H

#include "models/net/layers.h"

/* Sinusoids of a scalar t, in f32 as diffusers computes them (max period 10000):
 *
 *   w_k = exp(-ln(10000) k / (half - shift)),  k < half = width / 2
 *   out = sin(t w), cos(t w)        flip: cos first;  an odd width ends in a zero
 *
 * out [n][width]. Source: Ho et al. 2020 after Vaswani et al. 2017. */
typedef struct {
    int width;
    double shift; /* downscale_freq_shift, freq_shift in configs */
    bool flip;    /* flip_sin_to_cos */
} ss_sinusoid;
void ss_sinusoid_fill(const ss_sinusoid *s, const float *t, int64_t n, float *out);

/* Fills out [width] with the guidance scale as a network distilled for guidance takes it (LCM), as
 * diffusers' pipelines do: sinusoids, sin first, of 1000 (scale - 1). Source: Meng et al. 2023. */
void ss_guidance_embedding(double scale, int width, float *out);

/* GaussianFourierProjection: sin and cos of 2 pi w_k t, with fixed random w_k from the checkpoint;
 * log takes ln t in place of t. Source: Tancik et al. 2020. */
typedef struct {
    ss_module m;
    ss_weight *weight; /* [width / 2] */
    bool log, flip;
} ss_fourier;

ss_fourier *ss_fourier_new(ss_net *n, const ss_module *parent, int width, bool log, bool flip);
/* t [n] on the host -> [n][width] */
ss_tensor *ss_fourier_run(ss_ctx *c, const ss_fourier *f, const float *t, int64_t n);

/* TimestepEmbedding: post(linear_2(act(linear_1(x + cond_proj(cond))))). [N][in] -> [N][out] */
typedef struct {
    ss_module m;
    ss_linear_layer *linear_1, *linear_2;
    ss_linear_layer *cond_proj; /* or NULL */
    ss_act act, post;
    bool magnitude; /* magnitude.h */
} ss_timestep_embedding;

ss_timestep_embedding *ss_timestep_embedding_new(ss_net *n, const ss_module *parent,
                                                 const char *name, int in, int out, ss_act act,
                                                 ss_act post, int cond);
/* The same through a width of its own, with silu: in -> through -> out. */
ss_timestep_embedding *ss_number_embedding_new(ss_net *n, const ss_module *parent, const char *name,
                                               int in, int through, int out);
/* cond [N][width of cond_proj], or NULL */
ss_tensor *ss_timestep_embedding_run(ss_ctx *c, const ss_timestep_embedding *t, const ss_tensor *x,
                                     const ss_tensor *cond);

/* TextTimeEmbedding: makes one vector of a text, by attention of its mean to its tokens. [N][T][in]
 * -> [N][out] */
typedef struct ss_text_embedding ss_text_embedding;

ss_text_embedding *ss_text_embedding_new(ss_net *n, const ss_module *parent, int in, int out,
                                         int heads);
ss_tensor *ss_text_embedding_run(ss_ctx *c, const ss_text_embedding *t, const ss_tensor *text);

#endif
