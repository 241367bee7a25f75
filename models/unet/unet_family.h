/* unet_family.h - the entries of the UNets in the table of families (models/families.c) */
#ifndef SS_MODELS_UNET_FAMILY_H
#define SS_MODELS_UNET_FAMILY_H

#include "models/net/family.h"

extern const ss_family ss_unet2d_family;           /* UNet2DModel */
extern const ss_family ss_unet2d_condition_family; /* UNet2DConditionModel */

#endif
