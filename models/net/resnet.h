/* resnet.h - the residual block, and changes of resolution */
#ifndef SS_MODELS_RESNET_H
#define SS_MODELS_RESNET_H

#include "models/net/layers.h"

/* How the resolution changes: by a convolution of its own, by the residual block, or by that with
 * the [1 3 3 1] filter of StyleGAN2 instead of boxes (NCSN++). */
typedef enum { SS_RESAMPLE_CONV, SS_RESAMPLE_RESNET, SS_RESAMPLE_FIR } ss_resampling;
typedef enum { SS_KEEP, SS_HALVE, SS_DOUBLE } ss_direction;

/* The options of a residual block; all but the channels are the same for a whole level. */
typedef struct {
    int in, out; /* channels */
    int temb;    /* width of the time embedding; 0: there is none */
    int groups, groups_out;
    float eps;
    ss_act act;
    bool scale_shift;   /* the time embedding scales and shifts, or is only added */
    bool skip_time_act; /* no activation before its projection */
    float out_scale;    /* the sum is divided by it */
    bool shortcut;      /* a 1x1 convolution on the residual even where in == out */
    ss_direction direction;
    bool fir;     /* the change of resolution is by the FIR filter */
    bool encoder; /* magnitude-preserving blocks differ there (magnitude.h) */
} ss_resnet_spec;

typedef struct ss_resnet ss_resnet;

ss_resnet *ss_resnet_new(ss_net *n, const ss_module *parent, const char *list, int index,
                         const ss_resnet_spec *spec);
/* x [N][H][W][in], temb [N][temb] or NULL where the spec has none -> [N][H'][W'][out]; of a video
 * [N][F][H][W][in] each frame by itself. */
ss_tensor *ss_resnet_run(ss_ctx *c, const ss_resnet *r, const ss_tensor *x, const ss_tensor *temb);
const ss_module *ss_resnet_module(const ss_resnet *r);

/* Applies the [1 3 3 1] filter, resolution halved or doubled, brightness kept. */
ss_tensor *ss_fir(ss_ctx *c, const ss_tensor *x, ss_direction direction);

/* Downsample2D and Upsample2D: a convolution of stride 2, or a convolution after doubling by
 * nearest neighbours. */
typedef struct {
    ss_module m;
    ss_conv_layer *conv;
} ss_resampler;

/* padding 0 stands for one row and column of zeros at the bottom and the right. */
ss_resampler *ss_downsampler_new(ss_net *n, const ss_module *parent, int channels, int padding);
ss_tensor *ss_downsampler_run(ss_ctx *c, const ss_resampler *r, const ss_tensor *x);
ss_resampler *ss_upsampler_new(ss_net *n, const ss_module *parent, int channels);
ss_tensor *ss_upsampler_run(ss_ctx *c, const ss_resampler *r, const ss_tensor *x, int64_t h,
                            int64_t w);

#endif
