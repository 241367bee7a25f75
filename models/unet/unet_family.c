/* unet_family.c - see unet_family.h */
#include "models/unet/unet_family.h"

#include "base/mem.h"
#include "models/unet/unet.h"
#include "models/unet/unet_motion.h"
#include "models/unet/unet_structure.h"

ss_code ss_unet_family_read(ss_json *j, ss_code (*read)(ss_json *, ss_unet_config *, ss_err *),
                            void **config, ss_err *e)
{
    ss_unet_config *u = ss_calloc(1, sizeof *u);
    const ss_code rc = u ? read(j, u, e) : ss_no_memory(e, j->name);

    if (rc == SS_OK)
        *config = u;
    else
        ss_free(u);
    return rc;
}

static ss_code plain(ss_json *j, ss_unet_config *u, ss_err *e)
{
    return ss_unet_config_read(j, false, u, e);
}

static ss_code conditional(ss_json *j, ss_unet_config *u, ss_err *e)
{
    return ss_unet_config_read(j, true, u, e);
}

static ss_code read_plain(ss_json *j, void **config, ss_err *e)
{
    return ss_unet_family_read(j, plain, config, e);
}

static ss_code read_conditional(ss_json *j, void **config, ss_err *e)
{
    return ss_unet_family_read(j, conditional, config, e);
}

void ss_unet_family_info(const void *config, ss_network_info *i)
{
    const ss_unet_config *u = config;

    *i = (ss_network_info){
        .in_channels = u->in_channels,
        .out_channels = u->out_channels,
        .sample_frames = u->frames,
        .sample_h = u->sample_h,
        .sample_w = u->sample_w,
        .takes_sigma = u->divide_by_time,
        .starts_at_zero = u->center_input,
        .like_stable_diffusion = u->conditional && u->out_channels == 4 && u->text_in > 0,
        .needs = ss_unet_needs(u),
        .remedies = &u->remedies,
        .motion = &u->motion.config,
    };
}

void *ss_unet_family_build(ss_net *n, const void *config)
{
    return ss_unet_new(n, config);
}

ss_tensor *ss_unet_family_run(ss_ctx *c, const void *network, const ss_tensor *x,
                              const float *timesteps, const ss_condition *cond)
{
    return ss_unet_run(c, network, x, timesteps, cond);
}

void ss_unet_family_structure(const void *config, ss_structure_list *l)
{
    ss_unet_structure(config, l);
}

static ss_code extend(void *config, const ss_extension *x, ss_err *e)
{
    return ss_unet_extend(config, x, e);
}

const ss_family ss_unet2d_family = {
    .class_name = SS_UNET_PLAIN,
    .folder = "unet",
    .role = SS_DENOISER,
    .read = read_plain,
    .info = ss_unet_family_info,
    .build = ss_unet_family_build,
    .run = ss_unet_family_run,
    .structure = ss_unet_family_structure,
    .extend = extend,
};

const ss_family ss_unet2d_condition_family = {
    .class_name = SS_UNET_CONDITIONAL,
    .folder = "unet",
    .role = SS_DENOISER,
    .read = read_conditional,
    .info = ss_unet_family_info,
    .build = ss_unet_family_build,
    .run = ss_unet_family_run,
    .structure = ss_unet_family_structure,
    .extend = extend,
};
