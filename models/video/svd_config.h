/* svd_config.h - config.json of UNetSpatioTemporalConditionModel (Stable Video Diffusion) */
#ifndef SS_MODELS_SVD_CONFIG_H
#define SS_MODELS_SVD_CONFIG_H

#include "models/unet/unet_config.h"

#define SS_UNET_SVD "UNetSpatioTemporalConditionModel"

/* Reads j. A key that the class does not have is refused by name, as is a value that is not
 * supported. The first complaint is the error. */
ss_code ss_svd_config_read(ss_json *j, ss_unet_config *u, ss_err *e);

#endif
