/* unet.h - the UNets of diffusers
 *
 *   e = time_embedding(time_proj(t)) + class_embedding(label) + add_embedding(...)
 *   h = conv_in(x)
 *   h = down_blocks(h, e, text), keeping every layer's h; mid_block; up_blocks, using them
 *   y = conv_out(act(conv_norm_out(h)))
 */
#ifndef SS_MODELS_UNET_H
#define SS_MODELS_UNET_H

#include "models/net/condition.h"
#include "models/unet/unet_config.h"

typedef struct ss_unet ss_unet;

/* Builds the network in n; ss_net_finish says what is missing or misshapen. */
ss_unet *ss_unet_new(ss_net *n, const ss_unet_config *u);

/* The conditions that the network needs. */
ss_condition_needs ss_unet_needs(const ss_unet_config *u);

/* Runs it: x [N][H][W][in], t [N] -> [N][H][W][out]. A missing condition is SS_USAGE. */
ss_tensor *ss_unet_run(ss_ctx *c, const ss_unet *u, const ss_tensor *x, const float *t,
                       const ss_condition *d);

#endif
