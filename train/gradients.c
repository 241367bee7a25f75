/* gradients.c - see gradients.h */
#include "train/gradients.h"

#include "base/mem.h"
#include "kernels/context.h"
#include "kernels/tape.h"

#include <math.h>

ss_gradients_options ss_gradients_defaults(void)
{
    return (ss_gradients_options){.scale = 1};
}

/* The answer [n][h][w][out_channels], the caller's; NULL after an error, which the context has. */
static ss_tensor *forward(ss_ctx *c, const ss_model *m, const ss_batch *b)
{
    float *timesteps = ss_alloc((size_t)b->n, sizeof *timesteps);

    if (!timesteps)
        return ss_ctx_fail(c, SS_NOMEM, "a batch of %d: out of memory", b->n);
    for (int i = 0; i < b->n; i++)
        timesteps[i] = b->levels[i].timestep;
    ss_tensor *x =
        ss_upload(c, ss_shape_of(b->n, b->h, b->w, ss_model_about(m)->net.in_channels), b->x);
    ss_tensor *y = ss_model_forward(c, m, x, timesteps, b->condition);

    ss_release(x);
    ss_free(timesteps);
    return y;
}

ss_code ss_batch_forward(ss_ctx *c, const ss_model *m, const ss_batch *b, ss_err *e)
{
    ss_release(forward(c, m, b));
    const ss_code rc = ss_ctx_finish(c, e);

    ss_ctx_clear(c);
    return rc;
}

/* Runs the forward pass under the tape, and seeds it. */
static ss_code record(ss_ctx *c, const ss_model *m, const ss_batch *b,
                      const ss_gradients_options *opt, double *losses, ss_batch_loss *out,
                      ss_err *e)
{
    const int64_t values = (int64_t)b->h * b->w * ss_model_about(m)->net.out_channels;
    float *answer = ss_alloc((size_t)(b->n * values), sizeof *answer);
    ss_tensor *dy = NULL, *y = forward(c, m, b);
    ss_code rc =
        answer ? ss_ctx_check(c, e) : ss_fail(e, SS_NOMEM, "a batch of %d: out of memory", b->n);

    if (rc != SS_OK || (rc = ss_download(c, y, answer, e)) != SS_OK)
        goto out;
    out->loss = ss_objective_loss(b->levels, b->n, values, answer, b->target, opt->scale, losses,
                                  answer); /* becomes the gradient */
    dy = ss_upload(c, ss_shape_get(y), answer);
    ss_tape_seed(c, y, dy, 1);
    if (opt->penalty && opt->lambda != 0)
        ss_penalty_seed(opt->penalty, c, opt->scale * opt->lambda);
    rc = ss_ctx_check(c, e);
out:
    ss_free(answer);
    ss_release(dy);
    ss_release(y);
    return rc;
}

ss_code ss_gradients_add(ss_ctx *c, const ss_model *m, const ss_batch *b,
                         const ss_gradients_options *opt, double *losses, ss_batch_loss *out,
                         ss_err *e)
{
    ss_code rc;

    *out = (ss_batch_loss){NAN, NAN};
    if (opt->penalty)
        ss_penalty_begin(opt->penalty, opt->lambda != 0);
    if ((rc = ss_tape_begin(c, &(ss_tape_options){.recompute = opt->recompute}, e)) != SS_OK)
        return rc;
    rc = record(c, m, b, opt, losses, out, e);
    if (rc == SS_OK) {
        rc = ss_tape_backward(c, e);
        rc = rc == SS_OK ? ss_ctx_finish(c, e) : rc;
        if (opt->penalty && opt->lambda != 0)
            out->penalty = rc == SS_OK ? ss_penalty_value(opt->penalty) : NAN;
        return rc;
    }
    if (opt->penalty)
        ss_penalty_begin(opt->penalty, false);
    ss_ctx_clear(c); /* and with it the tape */
    return rc;
}
