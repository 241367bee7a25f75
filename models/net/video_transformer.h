/* video_transformer.h - TransformerSpatioTemporalModel: transformer blocks over the positions of
 * each frame and over the frames of each position, in turn */
#ifndef SS_MODELS_VIDEO_TRANSFORMER_H
#define SS_MODELS_VIDEO_TRANSFORMER_H

#include "models/net/layers.h"

typedef struct {
    int channels;
    int heads, head; /* their product is channels */
    int depth;       /* blocks of either sort; 0 is allowed */
    int context;     /* width of the text, or of what stands for it */
} ss_video_transformer_spec;

typedef struct ss_video_transformer ss_video_transformer;

/* Makes "attentions.INDEX". */
ss_video_transformer *ss_video_transformer_new(ss_net *n, const ss_module *parent, int index,
                                               const ss_video_transformer_spec *spec);
/* x [N][F][H][W][channels], context [N][S][width] -> the shape of x */
ss_tensor *ss_video_transformer_run(ss_ctx *c, const ss_video_transformer *t, const ss_tensor *x,
                                    const ss_tensor *context);

#endif
