/* transformer.h - Transformer2DModel: attention blocks over the positions of a picture */
#ifndef SS_MODELS_TRANSFORMER_H
#define SS_MODELS_TRANSFORMER_H

#include "models/net/layers.h"

typedef struct {
    int channels;
    int heads, head; /* their product is the inner width */
    int depth;       /* blocks; 0 is allowed */
    int context;     /* width of the context */
    int groups;
    bool linear_projection; /* proj_in and proj_out are Linear, not 1x1 Conv2d */
    bool only_cross;        /* the first attention looks at the context too */
    bool upcast;            /* attention.h */
} ss_transformer_spec;

typedef struct ss_transformer ss_transformer;

/* "attentions.INDEX" */
ss_transformer *ss_transformer_new(ss_net *n, const ss_module *parent, int index,
                                   const ss_transformer_spec *spec);
/* x [N][H][W][channels], or a video [N][F][H][W][channels]; context [N][S][width], mask [N][S] or
 * NULL -> the shape of x */
ss_tensor *ss_transformer_run(ss_ctx *c, const ss_transformer *t, const ss_tensor *x,
                              const ss_tensor *context, const ss_tensor *mask);

#endif
