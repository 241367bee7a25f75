/* unet_motion_family.c - see unet_motion_family.h */
#include "models/video/unet_motion_family.h"

#include "base/mem.h"
#include "models/unet/unet_family.h"
#include "models/video/unet_motion_config.h"

static ss_code read(ss_json *j, void **config, ss_err *e)
{
    ss_unet_motion_config *u = ss_calloc(1, sizeof *u);
    const ss_code rc = u ? ss_unet_motion_config_read(j, u, e) : ss_no_memory(e, j->name);

    if (rc == SS_OK)
        *config = u;
    else
        ss_free(u);
    return rc;
}

static void info(const void *config, ss_network_info *i)
{
    ss_unet_family_info(config, i);
    i->has_motion_modules = true;
}

const ss_family ss_unet_motion_family = {
    .class_name = SS_UNET_MOTION,
    .folder = "unet",
    .role = SS_DENOISER,
    .read = read,
    .info = info,
    .build = ss_unet_family_build,
    .run = ss_unet_family_run,
    .structure = ss_unet_family_structure,
};
