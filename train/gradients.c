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

/* The losses, and in place of y their gradient: scale * w_i * 2 (y - target) / (n * values). */
static double loss_and_gradient(const ss_batch *b, int64_t values, double scale, float *y,
                                float *losses)
{
    double sum = 0;

    for (int i = 0; i < b->n; i++) {
        const double w = b->weight ? b->weight[i] : 1;
        const double slope = 2 * scale * w / ((double)b->n * (double)values);
        const float *t = b->target + (size_t)i * (size_t)values;
        float *yi = y + (size_t)i * (size_t)values;
        double squares = 0;

        for (int64_t k = 0; k < values; k++) {
            const double d = (double)yi[k] - t[k];

            squares += d * d;
            yi[k] = (float)(slope * d);
        }
        squares /= (double)values;
        sum += w * squares;
        if (losses)
            losses[i] = (float)squares;
    }
    return sum / b->n;
}

/* Forward pass and seeds; the tape records. */
static ss_code record(ss_ctx *c, const ss_model *m, const ss_batch *b,
                      const ss_gradients_options *opt, float *losses, ss_batch_loss *out, ss_err *e)
{
    const ss_model_info *about = ss_model_about(m);
    const int64_t values = (int64_t)b->h * b->w * about->out_channels;
    ss_tensor *x = ss_upload(c, ss_shape_of(b->n, b->h, b->w, about->in_channels), b->x);
    ss_tensor *y = ss_model_forward(c, m, x, b->timesteps, b->condition), *dy = NULL;
    float *host = ss_alloc((size_t)(b->n * values), sizeof *host);
    ss_code rc = host ? SS_OK : ss_fail(e, SS_NOMEM, "a batch of %d: out of memory", b->n);

    if (rc == SS_OK)
        rc = y ? ss_download(c, y, host, e) : ss_ctx_check(c, e);
    if (rc == SS_OK) {
        out->loss = loss_and_gradient(b, values, opt->scale, host, losses);
        dy = ss_upload(c, ss_shape_get(y), host);
        ss_tape_seed(c, y, dy, 1);
        if (opt->penalty && opt->lambda != 0)
            out->penalty = ss_penalty_seed(opt->penalty, c, opt->scale * opt->lambda);
        rc = ss_ctx_check(c, e);
    }
    ss_free(host);
    ss_release(dy);
    ss_release(y);
    ss_release(x);
    return rc;
}

ss_code ss_gradients_add(ss_ctx *c, const ss_model *m, const ss_batch *b,
                         const ss_gradients_options *opt, float *losses, ss_batch_loss *out,
                         ss_err *e)
{
    ss_code rc;

    *out = (ss_batch_loss){NAN, NAN};
    if (opt->penalty)
        ss_penalty_begin(opt->penalty, opt->lambda != 0);
    if ((rc = ss_tape_begin(c, &(ss_tape_options){.recompute = opt->recompute}, e)) != SS_OK)
        return rc;
    rc = record(c, m, b, opt, losses, out, e);
    if (rc == SS_OK)
        return ss_tape_backward(c, e);
    if (opt->penalty)
        ss_penalty_begin(opt->penalty, false);
    ss_ctx_clear(c); /* and with it the tape */
    return rc;
}
