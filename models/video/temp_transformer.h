/* temp_transformer.h - TransformerTemporalModel: attention of each position to itself in the other
 * frames */
#ifndef SS_MODELS_TEMP_TRANSFORMER_H
#define SS_MODELS_TEMP_TRANSFORMER_H

#include "models/net/motion.h"

/* Takes list, channels, groups, heads and head of its spec; heads times head is the width
 * within, which may differ from the channels. */
extern const ss_motion_kind ss_motion_temp_transformer;

#endif
