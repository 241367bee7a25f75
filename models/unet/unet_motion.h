/* unet_motion.h - motion blocks in a UNet (models/net/motion_config.h) */
#ifndef SS_MODELS_UNET_MOTION_H
#define SS_MODELS_UNET_MOTION_H

#include "models/unet/unet_config.h"

/* Reads j's "motion" after everything else, and lays the blocks into the levels. u keeps its place
 * in memory from then on. */
void ss_unet_read_motion(ss_json *j, ss_unet_config *u);

/* Sets how positions are extended beyond the trained frames. SS_USAGE where the network has none
 * that can be. */
ss_code ss_unet_extend(ss_unet_config *u, const ss_extension *x, ss_err *e);

#endif
