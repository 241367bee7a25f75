/* unet_motion.c - see unet_motion.h */
#include "models/unet/unet_motion.h"

#include "models/net/motion_block.h"

static bool has_attention(const ss_block_spec *s)
{
    return s->type->attend != SS_ATTEND_NONE && s->attends;
}

static void add_to_level(const ss_unet_config *u, ss_block_spec *s)
{
    const ss_motion_spec spec = {
        .kind = &ss_motion_block,
        .list = "motion",
        .after_last = u->motion.config.after == SS_AFTER_BLOCK,
        .channels = s->out,
        .groups = s->groups ? s->groups : ss_unet_quarter_groups(s->out),
        .heads = s->heads,
        .head = s->head,
        .options = &u->motion,
    };

    switch (u->motion.config.after) {
    case SS_AFTER_RESNET: s->after_resnet = spec; break;
    case SS_AFTER_BLOCK: s->after_attention = spec; break;
    case SS_AFTER_ATTENTION:
        if (has_attention(s))
            s->after_attention = spec;
        break;
    }
}

static bool is_fir(const ss_unet_config *u)
{
    for (int i = 0; i < u->n_levels; i++) {
        if (u->down[i].resampling == SS_RESAMPLE_FIR || u->up[i].resampling == SS_RESAMPLE_FIR)
            return true;
    }
    return false;
}

void ss_unet_read_motion(ss_json *j, ss_unet_config *u)
{
    ss_motion_config *m = &u->motion.config;

    ss_motion_read(j, m);
    if (!m->frames)
        return;
    if (u->remedies.magnitude)
        ss_json_complain(j, SS_UNSUPPORTED, "motion", "not with the remedy magnitude_preserving");
    if (is_fir(u))
        ss_json_complain(j, SS_UNSUPPORTED, "motion", "not with Skip blocks");
    u->frames = m->frames;
    u->motion.extension = (ss_extension){.trained = m->frames};
    if (m->reference)
        u->in_channels = 2 * u->in_channels + 1;
    for (int i = 0; i < u->n_levels; i++) {
        add_to_level(u, &u->down[i]);
        add_to_level(u, &u->up[i]);
    }
    if (u->has_mid)
        add_to_level(u, &u->mid);
}

ss_code ss_unet_extend(ss_unet_config *u, const ss_extension *x, ss_err *e)
{
    const ss_motion_config *m = &u->motion.config;
    const bool absolute = m->position == SS_POSITION_ABSOLUTE;
    ss_extension set = *x;

    if (!set.trained)
        set.trained = m->frames;
    if (x->kind &&
        (!m->frames || m->position == SS_POSITION_NONE || !ss_motion_has(m, SS_MOTION_ATTENTION)))
        return ss_fail(e, SS_USAGE,
                       "the network has no attention over frames whose positions could be "
                       "extended");
    if (x->kind > SS_EXTEND_LINEAR && absolute)
        return ss_fail(e, SS_USAGE,
                       "the network has absolute positions of frames, which can be extended by "
                       "'linear' only; ntk and yarn are of rotary ones");
    if (x->kind && absolute && set.trained > m->max_frames)
        return ss_fail(e, SS_USAGE,
                       "the network has absolute positions of %d frames, so that it was not "
                       "trained on %d",
                       m->max_frames, set.trained);
    u->motion.extension = set;
    return SS_OK;
}
