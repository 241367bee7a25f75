/* motion_structure.h - what in motion blocks (motion_block.h) lets activations grow */
#ifndef SS_MODELS_MOTION_STRUCTURE_H
#define SS_MODELS_MOTION_STRUCTURE_H

#include "models/net/motion_config.h"
#include "models/net/structure_list.h"

/* Adds the rows of one module to l, if it is a layer of a motion block. network: the network's own
 * remedies. Returns whether it is one, whose sum is on the network's stream. */
bool ss_motion_structure(const ss_motion_config *g, const ss_remedies *network, ss_place at,
                         const ss_module *m, ss_structure_list *l);

#endif
