/* unet_structure.h - what in a UNet lets activations grow (models/structure.h) */
#ifndef SS_MODELS_UNET_STRUCTURE_H
#define SS_MODELS_UNET_STRUCTURE_H

#include "models/net/structure_list.h"
#include "models/unet/unet_config.h"

/* Adds the rows to l, which has the modules and weights of a network of that configuration. */
void ss_unet_structure(const ss_unet_config *u, ss_structure_list *l);

#endif
