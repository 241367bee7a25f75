/* feed_forward.c - see feed_forward.h */
#include "models/net/feed_forward.h"

ss_feed_forward *ss_feed_forward_new(ss_net *n, const ss_module *parent, const char *name,
                                     int width)
{
    ss_feed_forward *f = ss_net_alloc(n, sizeof *f);

    if (!f)
        return NULL;
    ss_net_module(n, &f->m, parent, "FeedForward", "%s", name);
    ss_net_module(n, &f->geglu, &f->m, "GEGLU", "net.0");
    f->proj = ss_linear_layer_new(n, &f->geglu, "proj", width, 8 * width, true);
    f->out = ss_linear_layer_new(n, &f->m, "net.2", 4 * width, width, true);
    return f;
}

ss_tensor *ss_feed_forward_run(ss_ctx *c, const ss_feed_forward *f, const ss_tensor *x)
{
    ss_enter(c, &f->m, x);
    ss_enter(c, &f->geglu, x);
    ss_tensor *h = ss_linear_layer_run(c, f->proj, x); /* [...][8 width]: values and gates */
    ss_set(&h, ss_geglu(c, h));                        /* [...][4 width] */
    h = ss_leave(c, &f->geglu, h);
    ss_set(&h, ss_linear_layer_run(c, f->out, h)); /* [...][width] */
    return ss_leave(c, &f->m, h);
}

void ss_add_to_stream(ss_ctx *c, ss_tensor **h, ss_tensor *branch, const ss_module *from)
{
    ss_set(h, ss_add(c, branch, *h, 1));
    ss_release(branch);
    ss_see(c, from, SS_PORT_RESIDUAL, *h);
}
