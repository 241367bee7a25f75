/* loss_scale.c - see loss_scale.h */
#include "train/loss_scale.h"

#include <inttypes.h>
#include <math.h>

ss_loss_scale_options ss_loss_scale_defaults(void)
{
    return (ss_loss_scale_options){.initial = 1,
                                   .growth = 2,
                                   .backoff = 0.5,
                                   .floor = 0x1p-24,
                                   .ceiling = 0x1p24,
                                   .interval = 2000};
}

ss_code ss_loss_scale_check(const ss_loss_scale_options *o, ss_err *e)
{
    if (!(o->initial > 0) || isinf(o->initial))
        return ss_fail(e, SS_USAGE, "loss scale: initial is %g; expected a finite number over 0",
                       o->initial);
    if (!o->dynamic)
        return SS_OK;
    if (!(o->growth > 1) || isinf(o->growth))
        return ss_fail(e, SS_USAGE, "loss scale: growth is %g; expected a number over 1",
                       o->growth);
    if (!(o->backoff > 0 && o->backoff < 1))
        return ss_fail(e, SS_USAGE, "loss scale: backoff is %g; expected 0 to 1, both excluded",
                       o->backoff);
    if (!(o->floor > 0 && o->floor <= o->initial && o->initial <= o->ceiling) || isinf(o->ceiling))
        return ss_fail(e, SS_USAGE,
                       "loss scale: floor %g, initial %g and ceiling %g; expected 0 < floor <= "
                       "initial <= ceiling",
                       o->floor, o->initial, o->ceiling);
    if (o->interval < 1)
        return ss_fail(e, SS_USAGE, "loss scale: interval is %" PRId64 "; expected 1 or more",
                       o->interval);
    return SS_OK;
}

ss_loss_scale ss_loss_scale_begin(const ss_loss_scale_options *o)
{
    return (ss_loss_scale){.scale = o->initial};
}

bool ss_loss_scale_update(ss_loss_scale *s, const ss_loss_scale_options *o, bool finite,
                          bool forward)
{
    s->lost = forward ? 0 : s->lost + 1;
    if (!finite) {
        const double before = s->scale;

        s->skipped++;
        s->good = 0;
        if (o->dynamic)
            s->scale = fmax(s->scale * o->backoff, o->floor);
        return s->scale < before && s->lost < SS_LOST_STEPS;
    }
    s->good++;
    if (o->dynamic && s->good >= o->interval) {
        s->scale = fmin(s->scale * o->growth, o->ceiling);
        s->good = 0;
    }
    return true;
}
