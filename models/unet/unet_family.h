/* unet_family.h - the entries of the UNets in the table of families (models/families.c) */
#ifndef SS_MODELS_UNET_FAMILY_H
#define SS_MODELS_UNET_FAMILY_H

#include "models/net/family.h"
#include "models/unet/unet_config.h"

/* The functions of every family whose configuration is, or begins with, a ss_unet_config. */
/* Reads j into a new ss_unet_config, *config, by the reader of a class. */
ss_code ss_unet_family_read(ss_json *j, ss_code (*read)(ss_json *, ss_unet_config *, ss_err *),
                            void **config, ss_err *e);
void ss_unet_family_info(const void *config, ss_network_info *info);
void *ss_unet_family_build(ss_net *n, const void *config);
ss_tensor *ss_unet_family_run(ss_ctx *c, const void *network, const ss_tensor *x,
                              const float *timesteps, const ss_condition *cond);
void ss_unet_family_structure(const void *config, ss_structure_list *l);

extern const ss_family ss_unet2d_family;           /* UNet2DModel */
extern const ss_family ss_unet2d_condition_family; /* UNet2DConditionModel */

#endif
