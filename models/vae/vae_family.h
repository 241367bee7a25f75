/* vae_family.h - the entries of the autoencoders in the table of families (models/families.c) */
#ifndef SS_MODELS_VAE_FAMILY_H
#define SS_MODELS_VAE_FAMILY_H

#include "models/net/family.h"

extern const ss_family ss_vae_family;          /* AutoencoderKL */
extern const ss_family ss_vae_temporal_family; /* AutoencoderKLTemporalDecoder */

#endif
