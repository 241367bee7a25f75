/* gradients.c - see gradients.h */
#include "train/gradients.h"

#include "base/mem.h"
#include "kernels/context.h"
#include "kernels/loss.h"
#include "kernels/tape.h"

#include <math.h>

ss_gradients_options ss_gradients_defaults(void)
{
    return (ss_gradients_options){.scale = 1, .parts = 1};
}

/* The answer, the caller's; NULL after an error, which the context has. */
static ss_tensor *forward(ss_ctx *c, const ss_model *m, const ss_batch *b)
{
    float *timesteps = ss_alloc((size_t)b->n, sizeof *timesteps);

    if (!timesteps)
        return ss_ctx_fail(c, SS_NOMEM, "a batch of %d: out of memory", b->n);
    for (int i = 0; i < b->n; i++)
        timesteps[i] = b->levels[i].timestep;
    ss_tensor *x = ss_upload(c, ss_sample_batch(b->n, b->size), b->x);
    ss_tensor *y = ss_model_forward(c, m, x, timesteps, b->condition);

    ss_release(x);
    ss_free(timesteps);
    return y;
}

/* Runs an autoencoder, and seeds a tape that records. Returns the loss. */
static double autoencode(ss_ctx *c, const ss_model *m, const ss_batch *b, double scale,
                         double *losses)
{
    const ss_autoencoder_batch a = {b->objective, b->n, b->size, b->x, b->latent_noise};

    return ss_autoencoder_run(c, m, &a, scale, losses);
}

ss_code ss_batch_forward(ss_ctx *c, const ss_model *m, const ss_batch *b, ss_err *e)
{
    if (b->latent_noise)
        autoencode(c, m, b, 1, NULL);
    else
        ss_release(forward(c, m, b));
    const ss_code rc = ss_ctx_finish(c, e);

    ss_ctx_clear(c);
    return rc;
}

/* Who takes the squared errors. */
typedef struct {
    const ss_batch *b;
    int64_t values; /* of a sample */
    double *losses; /* or NULL */
    ss_batch_loss *out;
} taker;

static void take_squares(void *self, const double *squares, int64_t n)
{
    const taker *t = self;

    t->out->loss = ss_objective_loss(t->b->levels, n, t->values, squares, t->losses);
}

/* Seeds the tape with the gradient of scale * loss; t stays until the context has finished. */
static void seed_loss(ss_ctx *c, const ss_tensor *y, taker *t, double scale, int parts)
{
    const int n = t->b->n;
    double *slope = ss_alloc((size_t)n, sizeof *slope);

    if (!slope) {
        ss_ctx_fail(c, SS_NOMEM, "a batch of %d: out of memory", n);
        return;
    }
    for (int i = 0; i < n; i++)
        slope[i] = ss_objective_slope(&t->b->levels[i], (int64_t)n * parts, t->values, scale);
    ss_tensor *dy = ss_squared_error(c, y, t->b->target, slope, take_squares, t);

    ss_tape_seed(c, y, dy, 1);
    ss_release(dy);
    ss_free(slope);
}

/* Runs the forward pass under the tape, and seeds it. */
static ss_code record(ss_ctx *c, const ss_model *m, const ss_gradients_options *opt, taker *t,
                      ss_err *e)
{
    if (t->b->latent_noise) {
        t->out->loss = autoencode(c, m, t->b, opt->scale / opt->parts, t->losses);
    } else {
        ss_tensor *y = forward(c, m, t->b);

        seed_loss(c, y, t, opt->scale, opt->parts);
        ss_release(y);
    }
    if (opt->penalty && opt->lambda != 0 && !ss_ctx_failed(c))
        ss_penalty_seed(opt->penalty, c, opt->scale * opt->lambda / opt->parts);
    return ss_ctx_check(c, e);
}

ss_code ss_gradients_add(ss_ctx *c, const ss_model *m, const ss_batch *b,
                         const ss_gradients_options *opt, double *losses, ss_batch_loss *out,
                         ss_err *e)
{
    taker t = {b, ss_sample_pixels(b->size) * ss_model_about(m)->net.out_channels, losses, out};
    ss_code rc;

    *out = (ss_batch_loss){NAN, NAN};
    if (opt->penalty)
        ss_penalty_begin(opt->penalty, opt->lambda != 0);
    if ((rc = ss_tape_begin(c, &(ss_tape_options){.recompute = opt->recompute}, e)) != SS_OK)
        return rc;
    rc = record(c, m, opt, &t, e);
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
