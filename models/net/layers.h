/* layers.h - the named layers that networks are made of
 *
 * Each is a module with its parameters; NEW makes it inside a net under construction
 * (loader.h) and RUN computes it, with the hooks of its input and output. Inputs are
 * borrowed, the output is the caller's. Names are the last part of the path, "conv1".
 */
#ifndef SS_MODELS_LAYERS_H
#define SS_MODELS_LAYERS_H

#include "kernels/ops.h"
#include "models/net/loader.h"

/* Returns a layer's parameter as an operand; NULL where the layer has none. */
static inline const ss_tensor *ss_operand(const ss_weight *w)
{
    return w ? w->tensor : NULL;
}

/* Conv2d: [N][H][W][in] -> [N][H'][W'][out] */
typedef struct {
    ss_module m;
    ss_weight *weight, *bias; /* [out][in][k][k], [out] or NULL */
    ss_weight *gain;          /* [1] or NULL: y is multiplied by it (magnitude.h) */
    int kernel;
    ss_conv2d_opt opt;
} ss_conv_layer;

ss_conv_layer *ss_conv_layer_new(ss_net *n, const ss_module *parent, const char *name, int in,
                                 int out, int kernel, ss_conv2d_opt opt);
ss_tensor *ss_conv_layer_run(ss_ctx *c, const ss_conv_layer *l, const ss_tensor *x);

/* Returns options with the same padding on all sides. */
static inline ss_conv2d_opt ss_conv_same(int padding)
{
    return (ss_conv2d_opt){1, padding, padding, padding, padding};
}

/* Gives a layer under construction its gain. */
void ss_conv_layer_add_gain(ss_net *n, ss_conv_layer *l);

/* Linear: [...][in] -> [...][out] */
typedef struct {
    ss_module m;
    ss_weight *weight, *bias; /* [out][in], [out] or NULL */
    ss_weight *gain;          /* [1] or NULL, as above */
} ss_linear_layer;

ss_linear_layer *ss_linear_layer_new(ss_net *n, const ss_module *parent, const char *name, int in,
                                     int out, bool bias);
void ss_linear_layer_add_gain(ss_net *n, ss_linear_layer *l);
ss_tensor *ss_linear_layer_run(ss_ctx *c, const ss_linear_layer *l, const ss_tensor *x);

/* Repeats each sample R times: [N][...] -> [N R][...], so that rows or frames of a sample have what
 * is there once for it. Takes x. */
ss_tensor *ss_repeat_samples(ss_ctx *c, ss_tensor *x, int64_t R);

/* Computes (a + b) / divisor, whose sum is the inner value `sum` (path NULL: no site). */
ss_tensor *ss_divided_sum(ss_ctx *c, const ss_module *sum, const ss_tensor *a, const ss_tensor *b,
                          float divisor);

/* A factor of a module (remedies.h): a number, or its parameter NAME. */
typedef struct {
    float value;
    ss_weight *weight; /* [1], or NULL: value; 0: there is no factor */
} ss_factor;

ss_factor ss_factor_new(ss_net *n, const ss_module *m, const char *name, ss_factor_spec spec);
/* Multiplies *x by it; computes nothing where there is no factor. */
void ss_factor_run(ss_ctx *c, const ss_factor *f, ss_tensor **x);

/* GroupNorm over x [N][...][channels]; of a video [N][F][H][W][channels] each frame by itself,
 * unless it is joint. */
typedef struct {
    ss_module m;
    ss_weight *weight, *bias; /* [channels] */
    int groups;
    float eps;
    bool joint;                /* moments of all frames together */
    ss_module scaled, shifted; /* inner values where it is modulated; path NULL: it is not */
} ss_group_norm_layer;

ss_group_norm_layer *ss_group_norm_layer_new(ss_net *n, const ss_module *parent, const char *name,
                                             int channels, int groups, float eps);
/* Makes norm(x) (1 + scale) and that + shift inner values of owner. */
void ss_group_norm_layer_modulate(ss_net *n, ss_group_norm_layer *l, const ss_module *owner);
/* Computes act(norm(x) * (1 + scale) + shift), mod [N][2 channels] = scale, shift, or NULL for
 * neither. It is one operation, unless a hook sees or changes what it is made of. */
ss_tensor *ss_group_norm_layer_run(ss_ctx *c, const ss_group_norm_layer *l, const ss_tensor *x,
                                   const ss_tensor *mod, ss_act act);

/* LayerNorm over the last dimension. */
typedef struct {
    ss_module m;
    ss_weight *weight, *bias; /* [channels] */
    float eps;                /* 1e-5 unless it is changed */
} ss_layer_norm_layer;

ss_layer_norm_layer *ss_layer_norm_layer_new(ss_net *n, const ss_module *parent, const char *name,
                                             int channels);
ss_tensor *ss_layer_norm_layer_run(ss_ctx *c, const ss_layer_norm_layer *l, const ss_tensor *x);

/* Embedding: ids -> [N][width] */
typedef struct {
    ss_module m;
    ss_weight *weight; /* [rows][width] */
} ss_embedding_layer;

ss_embedding_layer *ss_embedding_layer_new(ss_net *n, const ss_module *parent, const char *name,
                                           int rows, int width);
/* Looks up rows by their ids [count]; a row that does not exist is SS_USAGE. */
ss_tensor *ss_embedding_layer_rows(ss_ctx *c, const ss_embedding_layer *l, const int64_t *ids,
                                   int64_t count);
/* The same; ids are the rounded values. */
ss_tensor *ss_embedding_layer_run(ss_ctx *c, const ss_embedding_layer *l, const float *ids,
                                  int64_t count);

#endif
