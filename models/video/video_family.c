/* video_family.c - see video_family.h */
#include "models/video/video_family.h"

#include "models/unet/unet_family.h"
#include "models/video/svd_config.h"
#include "models/video/unet3d_config.h"

static ss_code read_3d(ss_json *j, void **config, ss_err *e)
{
    return ss_unet_family_read(j, ss_unet3d_config_read, config, e);
}

static ss_code read_svd(ss_json *j, void **config, ss_err *e)
{
    return ss_unet_family_read(j, ss_svd_config_read, config, e);
}

const ss_family ss_unet3d_family = {
    .class_name = SS_UNET_3D,
    .folder = "unet",
    .role = SS_DENOISER,
    .read = read_3d,
    .info = ss_unet_family_info,
    .build = ss_unet_family_build,
    .run = ss_unet_family_run,
    .structure = ss_unet_family_structure,
};

const ss_family ss_svd_family = {
    .class_name = SS_UNET_SVD,
    .folder = "unet",
    .role = SS_DENOISER,
    .read = read_svd,
    .info = ss_unet_family_info,
    .build = ss_unet_family_build,
    .run = ss_unet_family_run,
    .structure = ss_unet_family_structure,
};
