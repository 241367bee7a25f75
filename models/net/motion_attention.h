/* motion_attention.h - attention of a position's frames, or of those of a block of positions
 *
 *   h = norm(x) + position       [N][F][H][W][C], neither where the config has none
 *   y = x + k to_out(attention(to_q(h), to_k(h), to_v(h)))
 *
 * q and k are turned where positions are rotary (rotary.h). The rows of the attention are blocks of
 * B x B positions, its tokens B B of each frame; k is 1 but for a remedy (remedies.h), and logits
 * may be cosines.
 */
#ifndef SS_MODELS_MOTION_ATTENTION_H
#define SS_MODELS_MOTION_ATTENTION_H

#include "models/net/motion_layer.h"

typedef struct ss_motion_attention ss_motion_attention;

/* Makes "layers.INDEX" of a motion block. */
ss_motion_attention *ss_motion_attention_new(ss_net *n, const ss_module *parent, int index,
                                             const ss_motion_spec *spec);
/* x [N][F][H][W][C] -> the same shape */
ss_tensor *ss_motion_attention_run(ss_ctx *c, const ss_motion_attention *a, const ss_tensor *x);

#endif
