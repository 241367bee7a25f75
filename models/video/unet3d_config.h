/* unet3d_config.h - config.json of UNet3DConditionModel (ModelScope, Zeroscope) */
#ifndef SS_MODELS_UNET3D_CONFIG_H
#define SS_MODELS_UNET3D_CONFIG_H

#include "models/unet/unet_config.h"

#define SS_UNET_3D "UNet3DConditionModel"

/* Reads j. A key that the class does not have is refused by name, as is a value that is not
 * supported. The first complaint is the error. */
ss_code ss_unet3d_config_read(ss_json *j, ss_unet_config *u, ss_err *e);

#endif
