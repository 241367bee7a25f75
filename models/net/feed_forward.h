/* feed_forward.h - FeedForward of a transformer block: two linear layers with GEGLU between them */
#ifndef SS_MODELS_FEED_FORWARD_H
#define SS_MODELS_FEED_FORWARD_H

#include "models/net/layers.h"

typedef struct {
    ss_module m, geglu; /* "ff", "ff.net.0" */
    ss_linear_layer *proj, *out;
} ss_feed_forward;

/* Makes PARENT.NAME, "ff", from width to width through 4 width. */
ss_feed_forward *ss_feed_forward_new(ss_net *n, const ss_module *parent, const char *name,
                                     int width);
/* x [...][width] -> [...][width] */
ss_tensor *ss_feed_forward_run(ss_ctx *c, const ss_feed_forward *f, const ss_tensor *x);

/* Adds branch to the stream *h; hooks see the sum at the module that the branch came from. Takes
 * branch. */
void ss_add_to_stream(ss_ctx *c, ss_tensor **h, ss_tensor *branch, const ss_module *from);

#endif
