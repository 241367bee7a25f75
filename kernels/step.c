/* step.c - see step.h */
#include "kernels/step.h"

#include "kernels/call.h"

static bool can_change(const ss_tensor *x)
{
    return !x || (x->dtype == SS_F32 && !x->buf->borrowed && x->buf->refs == 1);
}

static void note_change(ss_tensor *x)
{
    if (!x)
        return;
    ss_measured_release(x->buf->measured);
    x->buf->measured = NULL;
    x->version++;
}

static ss_code hand_over(const ss_ctx *c, ss_code rc, ss_err *e)
{
    if (rc != SS_OK && e)
        *e = c->op_err;
    return rc;
}

ss_code ss_param_step(ss_ctx *c, const ss_step *s, size_t n, const ss_step_rule *r,
                      ss_step_sums *sums, ss_err *e)
{
    bool fits = !c->tape.on;

    if (ss_ctx_failed(c))
        return ss_ctx_check(c, e);
    for (size_t i = 0; i < n; i++)
        fits &=
            can_change(s[i].w) && can_change(s[i].m) && can_change(s[i].v) && can_change(s[i].ema);
    if (!fits)
        return ss_fail(e, SS_USAGE, "a step changes parameters that %s",
                       c->tape.on ? "a tape records" : "do not own their memory");
    const ss_code rc = c->shapes_only ? SS_OK : ss_do_optimizer_step(c, s, n, r, sums);

    for (size_t i = 0; i < n; i++) {
        note_change(s[i].w);
        note_change(s[i].m);
        note_change(s[i].v);
        note_change(s[i].ema);
    }
    return hand_over(c, rc, e);
}

ss_code ss_sum_squares(ss_ctx *c, const ss_tensor *const *x, size_t n, double *sum, ss_err *e)
{
    if (ss_ctx_failed(c))
        return ss_ctx_check(c, e);
    return hand_over(c, c->shapes_only ? SS_OK : ss_do_sum_squares(c, x, n, sum), e);
}
