/* vae_temporal.h - layers that see the frames of a video together
 *
 * A convolution over three frames, PyTorch's Conv3d of kernel (3,1,1), is one of two dimensions
 * over [N][F][H W][C]; its weights keep PyTorch's shape, [out][in][3][1][1].
 */
#ifndef SS_MODELS_VAE_TEMPORAL_H
#define SS_MODELS_VAE_TEMPORAL_H

#include "models/net/resnet.h"

typedef struct ss_time_conv ss_time_conv;

ss_time_conv *ss_time_conv_new(ss_net *n, const ss_module *parent, const char *name, int in,
                               int out);
/* x [N][F][H][W][in] -> [N][F][H][W][out] */
ss_tensor *ss_time_conv_run(ss_ctx *c, const ss_time_conv *l, const ss_tensor *x);

/* SpatioTemporalResBlock: a residual block of each frame, one of the frames together, and a learned
 * mixture of both. */
typedef struct ss_video_resnet ss_video_resnet;

/* Makes "resnets.INDEX"; spatial has the channels, and the options of the first of the two. */
ss_video_resnet *ss_video_resnet_new(ss_net *n, const ss_module *parent, int index,
                                     const ss_resnet_spec *spatial);
/* x [N][F][H][W][in] -> [N][F][H][W][out] */
ss_tensor *ss_video_resnet_run(ss_ctx *c, const ss_video_resnet *r, const ss_tensor *x);

#endif
