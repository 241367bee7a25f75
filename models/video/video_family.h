/* video_family.h - the entries of diffusers' UNets of videos in the table of families */
#ifndef SS_MODELS_VIDEO_FAMILY_H
#define SS_MODELS_VIDEO_FAMILY_H

#include "models/net/family.h"

extern const ss_family ss_unet3d_family; /* UNet3DConditionModel */
extern const ss_family ss_svd_family;    /* UNetSpatioTemporalConditionModel */

#endif
