/* sampler_options.c - see sampler_options.h */
#include "models/sampling/sampler_options.h"

#include "base/str.h"

#include <string.h>

#define X(name, text) text,
static const char *const kind_names[] = {SS_SAMPLERS(X)};
#undef X

ss_code ss_sampler_kind_parse(const char *name, ss_sampler_kind *k, ss_err *e)
{

    for (int i = 0; i < SS_N_SAMPLERS; i++) {
        if (strcmp(name, kind_names[i]) == 0) {
            *k = (ss_sampler_kind)i;
            return SS_OK;
        }
    }
#define X(name, text) ", " text
    return ss_fail(e, SS_USAGE, "'%s' is no sampler; there are %s", SS_SHOW(name),
                   &(SS_SAMPLERS(X))[strlen(", ")]);
#undef X
}

const char *ss_sampler_name(ss_sampler_kind k)
{
    return kind_names[k];
}

ss_sampler_options ss_sampler_defaults(ss_sampler_kind k)
{
    return (ss_sampler_options){
        .kind = k,
        .spacing = ss_sampler_in_sigma(k) ? SS_SPACING_LINSPACE : SS_SPACING_LEADING,
        .clip = !ss_sampler_in_sigma(k),
        .clip_range = 1,
        .threshold_ratio = 0.995,
        .threshold_max = 1,
        .alpha_to_one = true,
    };
}

bool ss_sampler_in_sigma(ss_sampler_kind k)
{
    return k == SS_SAMPLER_EULER || k == SS_SAMPLER_HEUN;
}
