/* temp_conv.c - see temp_conv.h
 *
 *   h = conv_i(silu(norm_i(h)))   i = 1, 2, 3, 4; kernel 3 over frames; h = x at first
 *   y = x + k h                   k is 1 but for a remedy (remedies.h)
 *
 * The norms have their moments over all frames. PyTorch makes each of the four a Sequential of
 * norm, activation, dropout (not in the first) and convolution, whose numbers are in the names:
 * conv1.0 and conv1.2, conv2.0 and conv2.3. Source: Wang et al. 2023, "ModelScope Text-to-Video".
 */
#include "models/video/temp_conv.h"

#include "models/net/time_conv.h"

enum { PARTS = 4 };

typedef struct {
    ss_module m;
    ss_group_norm_layer *norm;
    ss_time_conv *conv;
} part;

typedef struct {
    ss_module m;
    part parts[PARTS];
    ss_factor factor;
} temp_conv;

static void *make(ss_net *n, const ss_module *parent, int index, const ss_motion_spec *s)
{
    temp_conv *t = ss_net_alloc(n, sizeof *t);

    if (!t)
        return NULL;
    t->m.block = true;
    ss_net_module(n, &t->m, parent, "TemporalConvLayer", "%s.%d", s->list, index);
    for (int i = 0; i < PARTS; i++) {
        part *p = &t->parts[i];

        ss_net_module(n, &p->m, &t->m, "Sequential", "conv%d", i + 1);
        p->norm = ss_group_norm_layer_new(n, &p->m, "0", s->channels, s->groups, 1e-5f);
        if (p->norm)
            p->norm->joint = true;
        p->conv = ss_time_conv_new(n, &p->m, i ? "3" : "2", s->channels, s->channels);
    }
    t->factor = ss_factor_new(n, &t->m, "residual_scale", ss_net_remedies(n)->residual);
    return t;
}

static ss_tensor *run(ss_ctx *c, const void *layer, const ss_tensor *x)
{
    const temp_conv *t = layer;
    ss_tensor *h = ss_retain(x);

    ss_enter(c, &t->m, x);
    for (int i = 0; i < PARTS; i++) {
        const part *p = &t->parts[i];

        ss_enter(c, &p->m, h);
        ss_set(&h, ss_group_norm_layer_run(c, p->norm, h, NULL, SS_ACT_SILU));
        ss_set(&h, ss_time_conv_run(c, p->conv, h));
        h = ss_leave(c, &p->m, h);
    }
    ss_factor_run(c, &t->factor, &h);
    ss_set(&h, ss_add(c, x, h, 1));
    return ss_leave(c, &t->m, h);
}

const ss_motion_kind ss_motion_temp_conv = {make, run};
