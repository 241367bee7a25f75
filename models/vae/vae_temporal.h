/* vae_temporal.h - the residual block that sees the frames of a video alone and together */
#ifndef SS_MODELS_VAE_TEMPORAL_H
#define SS_MODELS_VAE_TEMPORAL_H

#include "models/net/resnet.h"
#include "models/net/time_conv.h"

/* SpatioTemporalResBlock: a residual block of each frame, one of the frames together, and a learned
 * mixture of both. */
typedef struct ss_video_resnet ss_video_resnet;

/* Makes "resnets.INDEX"; spatial has the channels, and the options of the first of the two. */
ss_video_resnet *ss_video_resnet_new(ss_net *n, const ss_module *parent, int index,
                                     const ss_resnet_spec *spatial);
/* x [N][F][H][W][in] -> [N][F][H][W][out] */
ss_tensor *ss_video_resnet_run(ss_ctx *c, const ss_video_resnet *r, const ss_tensor *x);

#endif
