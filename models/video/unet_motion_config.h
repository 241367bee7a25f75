/* unet_motion_config.h - config.json of a UNetMotionModel
 *
 * The network is a UNet2DConditionModel with motion modules, so its configuration is that of one,
 * and the options of the modules.
 */
#ifndef SS_MODELS_UNET_MOTION_CONFIG_H
#define SS_MODELS_UNET_MOTION_CONFIG_H

#include "models/unet/unet_config.h"
#include "models/video/animatediff.h"

#define SS_UNET_MOTION "UNetMotionModel"

typedef struct {
    ss_unet_config unet; /* first: functions of the UNet take this */
    ss_animatediff_options down[SS_MAX_LEVELS], up[SS_MAX_LEVELS], mid;
} ss_unet_motion_config;

/* Reads j into a config at its place for good: the specs in it point to its options. The first
 * complaint is the error. */
ss_code ss_unet_motion_config_read(ss_json *j, ss_unet_motion_config *u, ss_err *e);

#endif
