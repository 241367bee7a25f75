/* blender.h - AlphaBlender: a learned mixture of what frames are alone and together
 *
 *   y = a alone + (1 - a) together,  a = sigmoid(mix_factor)     or, switched, 1 - sigmoid
 */
#ifndef SS_MODELS_BLENDER_H
#define SS_MODELS_BLENDER_H

#include "models/net/layers.h"

typedef struct {
    ss_module m;
    ss_weight *mix_factor; /* [1] */
    bool switched;
} ss_blender;

/* Makes OWNER.time_mixer in *b, which lives as long as the net. */
void ss_blender_init(ss_net *n, ss_blender *b, const ss_module *owner, bool switched);
/* Mixes two values of one shape. */
ss_tensor *ss_blender_run(ss_ctx *c, const ss_blender *b, const ss_tensor *alone,
                          const ss_tensor *together);

#endif
