/* motion.c - see motion.h */
#include "models/net/motion.h"

ss_motion ss_motion_new(ss_net *n, const ss_module *parent, int index, const ss_motion_spec *s)
{
    return s->kind ? (ss_motion){s->kind, s->kind->make(n, parent, index, s)} : (ss_motion){0};
}

void ss_motion_run(ss_ctx *c, const ss_motion *m, ss_tensor **x)
{
    if (m->kind)
        ss_set(x, m->kind->run(c, m->layer, *x));
}
