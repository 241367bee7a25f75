/* text_family.h - the text encoders as families: CLIP's, T5's and UMT5's */
#ifndef SS_MODELS_TEXT_FAMILY_H
#define SS_MODELS_TEXT_FAMILY_H

#include "models/net/family.h"

extern const ss_family ss_clip_text_family, ss_clip_projection_family, ss_clip_family;
/* The classes with a decoder have only their encoder read. */
extern const ss_family ss_t5_encoder_family, ss_t5_conditional_family;
extern const ss_family ss_umt5_encoder_family, ss_umt5_conditional_family;

#endif
