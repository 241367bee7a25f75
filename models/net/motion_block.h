/* motion_block.h - the motion blocks of a network with "motion" in its config.json
 * (motion_config.h)
 *
 *   motion.0             MotionBlock, a block for policies and penalties; its layers in a row:
 *     layers.0           MotionConv: norm, conv2d, conv1d
 *     layers.1           Attention: norm, position, to_q, to_k, to_v, to_out.0
 *
 * conv1d is PyTorch's Conv3d of kernel (K,1,1), which is a conv1d at each position.
 */
#ifndef SS_MODELS_MOTION_BLOCK_H
#define SS_MODELS_MOTION_BLOCK_H

#include "models/net/motion_layer.h"

/* `options` of its specs is an ss_motion_options. */
extern const ss_motion_kind ss_motion_block;

#endif
