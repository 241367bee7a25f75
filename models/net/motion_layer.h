/* motion_layer.h - what the layers of a motion block share (motion_block.h) */
#ifndef SS_MODELS_MOTION_LAYER_H
#define SS_MODELS_MOTION_LAYER_H

#include "models/net/motion.h"
#include "models/net/motion_config.h"
#include "models/net/rotary.h"

/* The `options` of a spec (motion.h). */
typedef struct {
    ss_motion_config config;
    ss_extension extension; /* of positions; it may change while the network lives */
} ss_motion_options;

/* Makes the norm in front of a layer, "norm"; NULL where the config has none. */
ss_group_norm_layer *ss_motion_norm_new(ss_net *n, const ss_module *parent,
                                        const ss_motion_spec *spec);
/* Applies it to x [N][F][H][W][C]; l may be NULL. The result is the caller's. */
ss_tensor *ss_motion_norm_run(ss_ctx *c, const ss_group_norm_layer *l, const ss_tensor *x);

#endif
