/* attention.h - the attention module, in the three forms that the networks use
 *
 *   transformer   q from x, k and v from x or the context; no norm, no residual of its own
 *   self          a block of its own: group norm, x attends to itself, residual
 *   added         a block of its own: group norm, x attends to the context and to itself
 *                 together (to_k, to_v beside add_k_proj, add_v_proj), residual
 */
#ifndef SS_MODELS_ATTENTION_H
#define SS_MODELS_ATTENTION_H

#include "models/net/layers.h"

typedef enum { SS_NORM_CROSS_NONE, SS_NORM_CROSS_LAYER, SS_NORM_CROSS_GROUP } ss_norm_cross;

typedef struct {
    int channels;    /* of x */
    int heads, head; /* how many, and the width of one */
    int context; /* width of the context that k and v (or the added ones) are made of; 0: they are
                    made of x */
    bool added;
    bool only_cross;          /* added form: x does not attend to itself */
    bool bias;                /* of to_q, to_k, to_v */
    int groups;               /* groups of the norm in front; 0: no norm */
    float eps;                /* epsilon of that norm */
    ss_norm_cross norm_cross; /* norm of the context, in the added form */
    bool residual;
    float out_scale;  /* the sum with the residual is divided by it */
    bool upcast;      /* logits and softmax stay in fp32 whatever code is emulated */
    bool over_frames; /* tokens are frames of a video; where x attends to itself, mass by frame is
                         among the statistics */
} ss_attention_spec;

typedef struct ss_attention_layer ss_attention_layer;

/* Inner values of an attention operation. */
typedef struct {
    ss_module logits, unscaled, probabilities;
} ss_attention_inner;

/* Adds them below owner. stored says which of the logits the code that is emulated stores. */
void ss_attention_inner_new(ss_net *n, ss_attention_inner *v, const ss_module *owner,
                            ss_stored_logits stored);

/* Makes the layer NAME or, with index >= 0, NAME.INDEX. */
ss_attention_layer *ss_attention_layer_new(ss_net *n, const ss_module *parent, const char *name,
                                           int index, const ss_attention_spec *spec);
/* Runs it. A block of its own takes x [N][H][W][C], or a video [N][F][H][W][C], frame by frame; the
 * transformer form takes [N][T][C], or [N][R][T][C], whose rows do not see each other. context
 * [N][S][width] serves all frames and rows of a sample; NULL: x stands for it and has to be as
 * wide. mask [N][S] is added to the logits of the context, or NULL. */
ss_tensor *ss_attention_layer_run(ss_ctx *c, const ss_attention_layer *a, const ss_tensor *x,
                                  const ss_tensor *context, const ss_tensor *mask);
/* Returns the factor of the logits with heads of this width, and whether they are cosines
 * (remedies.h). */
float ss_attention_scale(const ss_net *n, double width, bool *cosine);
const ss_module *ss_attention_layer_module(const ss_attention_layer *a);

#endif
