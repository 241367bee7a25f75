/* unet_layout.c - see unet_layout.h */
#include "models/unet/unet_layout.h"

#include "models/net/config_values.h"

#include <math.h>
#include <string.h>

enum { MAX_DEPTH = 256 }; /* transformer blocks in a row */

void ss_layout_read_types(ss_json *j, const ss_unet_config *u, const char *key,
                          const char *const *defaults, const ss_unet_layout *l,
                          const ss_block_type *(*find)(const char *), const ss_block_type **out)
{
    const json_t *v = ss_json_get(j, key);
    const bool fit =
        v ? json_is_array(v) && json_array_size(v) == (size_t)l->n : l->n == SS_DEFAULT_LEVELS;

    if (!fit)
        ss_json_complain(j, SS_FORMAT, key, "expected %d names, as many as block_out_channels",
                         l->n);
    for (int i = 0; i < l->n; i++) {
        const char *name = !fit ? defaults[0]
                           : v  ? json_string_value(json_array_get(v, (size_t)i))
                                : defaults[i];

        out[i] = name ? find(name) : NULL;
        bool fits = out[i] && (u->conditional ? out[i]->resampling != SS_RESAMPLE_FIR
                                              : out[i]->attend <= SS_ATTEND_SELF);
        if (!fits) {
            ss_json_complain(j, SS_UNSUPPORTED, key, "block %d is not supported in %s", i,
                             u->class_name);
            out[i] = find(defaults[0]); /* goes on reading after the complaint */
        }
    }
}

void ss_layout_read_channels(ss_json *j, ss_unet_layout *l, const int *defaults)
{
    const json_t *v = ss_json_get(j, "block_out_channels");

    l->n = SS_DEFAULT_LEVELS;
    if (v) {
        l->n = (int)json_array_size(v);
        if (!json_is_array(v) || l->n < 1 || l->n > SS_MAX_LEVELS) {
            ss_json_complain(j, SS_FORMAT, "block_out_channels", "expected a list of 1 to %d",
                             SS_MAX_LEVELS);
            l->n = 1;
        }
    }
    for (int i = 0; i < l->n; i++) {
        const json_t *item = json_array_get(v, (size_t)i);

        l->channels[i] = defaults[i % SS_DEFAULT_LEVELS];
        if (json_is_integer(item) && json_integer_value(item) >= 1 &&
            json_integer_value(item) <= SS_MAX_CHANNELS)
            l->channels[i] = (int)json_integer_value(item);
        else if (v)
            ss_json_complain(j, SS_FORMAT, "block_out_channels", "expected integers, 1 to %d",
                             SS_MAX_CHANNELS);
    }
}

/* Returns the options that all blocks of a network share. */
static ss_block_spec common_spec(const ss_unet_config *u, const ss_unet_layout *l,
                                 const ss_block_type *type, bool scale_shift)
{
    const bool fir = type->resampling == SS_RESAMPLE_FIR;

    return (ss_block_spec){
        .type = type,
        .resampling = type->resampling,
        .downsample_padding = l->downsample_padding,
        .temb = u->time_dim * (u->class_concat ? 2 : 1),
        .groups = fir ? 0 : l->groups,
        .eps = u->eps,
        .act = u->act,
        .scale_shift = scale_shift,
        .skip_time_act = type->time_options && l->skip_time_act,
        .out_scale = fir                  ? (float)M_SQRT2
                     : type->time_options ? l->out_scale
                                          : 1,
        .attends = true,
        .attention_groups = fir ? SS_UNET_GROUPS : l->groups,
    };
}

const ss_block_type *ss_layout_find_type(const ss_block_type *types, size_t n, const char *name,
                                         const char *direction)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(types[i].name, name) == 0 && strstr(name, direction))
            return &types[i];
    }
    return NULL;
}

void ss_layout_apply(ss_unet_config *u, const ss_unet_layout *l, bool scale_shift)
{
    const int n = u->n_levels = l->n;

    for (int i = 0; i < n; i++) {
        const int k = n - 1 - i; /* the decoder goes backwards */
        ss_block_spec *down = &u->down[i], *up = &u->up[i];

        *down = common_spec(u, l, l->down[i], scale_shift);
        down->in = l->channels[i ? i - 1 : 0];
        down->out = l->channels[i];
        down->layers = l->layers[i];
        down->resamples = i < n - 1;

        *up = common_spec(u, l, l->up[i], scale_shift);
        up->in = l->channels[i ? k + 1 : k];
        up->out = l->channels[k];
        up->skip = l->channels[k ? k - 1 : 0];
        up->layers = l->layers[k] + 1;
        up->resamples = i < n - 1;
    }
    u->has_mid = l->mid;
    if (!l->mid)
        return;
    u->mid = common_spec(u, l, l->mid, scale_shift);
    u->mid.in = u->mid.out = l->channels[n - 1];
    u->mid.layers = 2;
    u->mid.out_scale = l->mid_scale;
    u->mid.skip_time_act = l->mid->attend == SS_ATTEND_ADDED && l->skip_time_act;
}

void ss_layout_read_depth(ss_json *j, const char *key, const json_t *item, ss_block_spec *s)
{
    const int layers = s->layers;

    for (int i = 0; i < layers; i++) {
        const json_t *v = json_is_array(item) ? json_array_get(item, (size_t)i) : item;

        s->depth[i] = 1;
        if (json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= MAX_DEPTH)
            s->depth[i] = (int)json_integer_value(v);
        else
            ss_json_complain(j, SS_FORMAT, key,
                             "expected numbers of 0 to %d, or lists with one for each of a level's "
                             "layers",
                             MAX_DEPTH);
    }
}
