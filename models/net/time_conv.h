/* time_conv.h - a convolution over the frames of a video
 *
 * PyTorch's Conv3d of kernel (K,1,1), K odd, is one of two dimensions over [N][F][H W][C]; its
 * weights keep PyTorch's shape, [out][in][K][1][1]. Frames before the first and after the last are
 * zero.
 */
#ifndef SS_MODELS_TIME_CONV_H
#define SS_MODELS_TIME_CONV_H

#include "models/net/layers.h"

typedef struct ss_time_conv ss_time_conv;

ss_time_conv *ss_time_conv_new(ss_net *n, const ss_module *parent, const char *name, int in,
                               int out); /* K = 3 */
ss_time_conv *ss_time_conv_new_sized(ss_net *n, const ss_module *parent, const char *name, int in,
                                     int out, int kernel);
/* x [N][F][H][W][in] -> [N][F][H][W][out] */
ss_tensor *ss_time_conv_run(ss_ctx *c, const ss_time_conv *l, const ss_tensor *x);

#endif
