/* motion_block.c - see motion_block.h */
#include "models/net/motion_block.h"

#include "models/net/motion_attention.h"
#include "models/net/time_conv.h"

/* x + k conv1d(silu(conv2d(norm(x)))) */
typedef struct {
    ss_module m;
    ss_group_norm_layer *norm; /* or NULL */
    ss_conv_layer *conv2d;
    ss_time_conv *conv1d;
    ss_factor factor;
} motion_conv;

typedef struct {
    ss_module m;
    int n;
    struct { /* one of the two */
        motion_conv *conv;
        ss_motion_attention *attention;
    } layers[SS_MOTION_LAYERS];
} motion_block;

static motion_conv *conv_new(ss_net *n, const ss_module *parent, int index, const ss_motion_spec *s)
{
    const ss_motion_options *o = s->options;
    motion_conv *l = ss_net_alloc(n, sizeof *l);

    if (!l)
        return NULL;
    ss_net_module(n, &l->m, parent, "MotionConv", "layers.%d", index);
    l->norm = ss_motion_norm_new(n, &l->m, s);
    l->conv2d = ss_conv_layer_new(n, &l->m, "conv2d", s->channels, s->channels, 3, ss_conv_same(1));
    ss_net_begin_zero(n, true);
    l->conv1d =
        ss_time_conv_new_sized(n, &l->m, "conv1d", s->channels, s->channels, o->config.kernel);
    ss_net_begin_zero(n, false);
    l->factor = ss_factor_new(n, &l->m, "residual_scale", ss_net_remedies(n)->residual);
    return l;
}

static ss_tensor *conv_run(ss_ctx *c, const motion_conv *l, const ss_tensor *x)
{
    ss_enter(c, &l->m, x);
    ss_tensor *h = ss_motion_norm_run(c, l->norm, x); /* [N][F][H][W][C] */

    ss_set(&h, ss_conv_layer_run(c, l->conv2d, h));
    ss_set(&h, ss_activate(c, h, SS_ACT_SILU));
    ss_set(&h, ss_time_conv_run(c, l->conv1d, h));
    ss_factor_run(c, &l->factor, &h);
    ss_set(&h, ss_add(c, h, x, 1));
    return ss_leave(c, &l->m, h);
}

static void *make(ss_net *n, const ss_module *parent, int index, const ss_motion_spec *s)
{
    const ss_motion_config *g = &((const ss_motion_options *)s->options)->config;
    const ss_remedies *of_network = ss_net_remedies(n);
    motion_block *b = ss_net_alloc(n, sizeof *b);

    if (!b)
        return NULL;
    if (g->own_remedies)
        ss_net_set_remedies(n, &g->remedies);
    b->n = g->n_layers;
    b->m.block = true;
    ss_net_module(n, &b->m, parent, "MotionBlock", "%s.%d", s->list, index);
    for (int i = 0; i < b->n; i++) {
        if (g->layers[i] == SS_MOTION_CONV)
            b->layers[i].conv = conv_new(n, &b->m, i, s);
        else
            b->layers[i].attention = ss_motion_attention_new(n, &b->m, i, s);
    }
    ss_net_set_remedies(n, of_network);
    return b;
}

static ss_tensor *run(ss_ctx *c, const void *layer, const ss_tensor *x)
{
    const motion_block *b = layer;
    ss_tensor *h = ss_retain(x);

    ss_enter(c, &b->m, x);
    for (int i = 0; i < b->n; i++)
        ss_set(&h, b->layers[i].conv ? conv_run(c, b->layers[i].conv, h)
                                     : ss_motion_attention_run(c, b->layers[i].attention, h));
    return ss_leave(c, &b->m, h);
}

const ss_motion_kind ss_motion_block = {.make = make, .run = run};
