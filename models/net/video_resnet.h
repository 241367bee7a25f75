/* video_resnet.h - SpatioTemporalResBlock: a residual block of each frame, one of the frames
 * together, and a learned mixture of both */
#ifndef SS_MODELS_VIDEO_RESNET_H
#define SS_MODELS_VIDEO_RESNET_H

#include "models/net/resnet.h"

typedef struct {
    ss_resnet_spec spatial; /* the channels, and the options of the first of the two blocks */
    float temporal_eps;     /* epsilon of the norms of the second */
    bool switched;          /* the mixture's share is that of the frames together (blender.h) */
} ss_video_resnet_spec;

typedef struct ss_video_resnet ss_video_resnet;

/* Makes "resnets.INDEX". */
ss_video_resnet *ss_video_resnet_new(ss_net *n, const ss_module *parent, int index,
                                     const ss_video_resnet_spec *spec);
/* x [N][F][H][W][in], temb [N][temb] or NULL where the spec has none -> [N][F][H][W][out] */
ss_tensor *ss_video_resnet_run(ss_ctx *c, const ss_video_resnet *r, const ss_tensor *x,
                               const ss_tensor *temb);
const ss_module *ss_video_resnet_module(const ss_video_resnet *r);

#endif
