/* motion.h - what sees the frames of a video together, between the spatial layers of a UNet
 *
 * A spatial layer treats the frames of a video [N][F][H][W][C] as so many pictures. A motion layer
 * stands after conv_in, after a residual block, or after an attention, and keeps the shape. Each
 * kind is one file, with the functions below; a spec says which kind, and how wide it is.
 *
 *   const ss_motion m = ss_motion_new(net, parent, 0, &spec);   // "temp_convs.0"
 *   ss_motion_run(ctx, &m, &x);                                 // replaces x
 */
#ifndef SS_MODELS_MOTION_H
#define SS_MODELS_MOTION_H

#include "models/net/layers.h"

/* A key of config.json beside those of diffusers: how the group norm of AnimateDiff's motion
 * modules sees the frames of a video, all together, as in diffusers (and where there is no such
 * key), or one by one, as in AnimateDiff's own code. */
#define SS_GROUPNORM_KEY "groupnorm"
#define SS_GROUPNORMS(X)        \
    X(ALL_FRAMES, "all-frames") \
    X(PER_FRAME, "per-frame")

typedef struct ss_motion_spec ss_motion_spec;

/* The functions of a kind. */
typedef struct {
    /* Makes the layer PARENT.LIST.INDEX, or PARENT.LIST with index < 0. */
    void *(*make)(ss_net *n, const ss_module *parent, int index, const ss_motion_spec *spec);
    /* x [N][F][H][W][C] -> the same shape */
    ss_tensor *(*run)(ss_ctx *c, const void *layer, const ss_tensor *x);
} ss_motion_kind;

struct ss_motion_spec {
    const ss_motion_kind *kind; /* NULL: there is no such layer */
    const char *list;           /* "temp_convs" */
    bool after_last;            /* of a middle block: after its last residual block, too */
    int channels;               /* C */
    int groups;                 /* of a group norm */
    int heads, head;            /* of attention over frames */
    const void *options;        /* of the kind, borrowed while the net lives; or NULL */
};

typedef struct {
    const ss_motion_kind *kind; /* NULL: there is none */
    void *layer;
} ss_motion;

ss_motion ss_motion_new(ss_net *n, const ss_module *parent, int index, const ss_motion_spec *s);
/* Replaces *x by what the layer makes of it; a motion without kind changes nothing. */
void ss_motion_run(ss_ctx *c, const ss_motion *m, ss_tensor **x);

#endif
