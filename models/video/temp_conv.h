/* temp_conv.h - TemporalConvLayer: four convolutions over frames on the stream of a UNet */
#ifndef SS_MODELS_TEMP_CONV_H
#define SS_MODELS_TEMP_CONV_H

#include "models/net/motion.h"

/* Takes list, channels and groups of its spec. */
extern const ss_motion_kind ss_motion_temp_conv;

#endif
