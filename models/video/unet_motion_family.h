/* unet_motion_family.h - UNetMotionModel, as the rest of the program sees it */
#ifndef SS_MODELS_UNET_MOTION_FAMILY_H
#define SS_MODELS_UNET_MOTION_FAMILY_H

#include "models/net/family.h"

extern const ss_family ss_unet_motion_family;

#endif
