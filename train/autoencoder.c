/* autoencoder.c - see autoencoder.h
 *
 * What depends on all of a sample, the loss, is computed on the host. The latents are put together
 * by operations, so that gradients come to the encoder, with numbers k and r from the host:
 *
 *   z = m + k v + r,   k = n exp(v / 2) / 2,   r = n exp(v / 2) - k v
 *
 * has the value m + n exp(v / 2), and k is its derivative by v.
 */
#include "train/autoencoder.h"

#include "base/mem.h"
#include "kernels/context.h"
#include "kernels/ops.h"
#include "kernels/tape.h"

#include <inttypes.h>
#include <math.h>

static const double LEAST_LOG = -30, MOST_LOG = 20;

ss_code ss_autoencoder_latents(const ss_network_info *net, ss_sample_size size, int64_t *n,
                               ss_err *e)
{
    const int64_t factor = net->latent_factor;

    if (size.height % factor || size.width % factor)
        return ss_fail(e, SS_USAGE,
                       "pictures of %d x %d cannot be encoded to latents of 1/%" PRId64
                       " of their sides, and decoded to the same size",
                       size.height, size.width, factor);
    *n = ss_sample_pixels(size) / (factor * factor) * net->latent_channels;
    return SS_OK;
}

/* A run of the network on a batch. */
typedef struct {
    const ss_autoencoder_batch *b;
    double scale;
    double *kl; /* [n] of each sample's latents */
} run;

/* The numbers of one latent's log variance v: k and r as above, and its share of KL(q | N(0, 1))
 * with the derivative of that. */
typedef struct {
    float k, r;
    double kl, slope;
} latent;

static latent look_at(double m, double v, double noise)
{
    const bool inside = v >= LEAST_LOG && v <= MOST_LOG;
    const double at = fmin(fmax(v, LEAST_LOG), MOST_LOG), std = exp(at / 2);
    latent l = {.kl = (m * m + exp(at) - 1 - at) / 2};

    if (isnan(v))
        return (latent){NAN, NAN, NAN, NAN};
    l.k = inside ? (float)(noise * std / 2) : 0;
    l.r = (float)(noise * std - (double)l.k * v);
    l.slope = inside ? (exp(at) - 1) / 2 : 0;
    return l;
}

/* Numbers on the host for each of the latents, [n][values]; dm is of the moments. */
typedef struct {
    float *moments, *k, *r, *dm;
} numbers;

static void release(numbers *h)
{
    ss_free(h->moments);
    ss_free(h->k);
    ss_free(h->r);
    ss_free(h->dm);
}

static void fill(const run *t, int64_t values, int64_t channels, const numbers *h)
{
    const ss_autoencoder_batch *b = t->b;
    const double weight = t->scale * b->objective->kl_weight / ((double)b->n * (double)values);

    for (int64_t i = 0; i < b->n * values; i++) {
        const int64_t at = i / channels * 2 * channels + i % channels;
        const double m = h->moments[at];
        const latent l = look_at(m, h->moments[at + channels], b->noise[i]);

        h->k[i] = l.k;
        h->r[i] = l.r;
        h->dm[at] = (float)(weight * m);
        h->dm[at + channels] = (float)(weight * l.slope);
        t->kl[i / values] += l.kl / (double)values;
    }
}

/* The sum m + k v + r of moments, whose numbers are in h. */
static ss_tensor *put_together(ss_ctx *c, const ss_tensor *moments, const numbers *h)
{
    ss_shape s = ss_shape_get(moments);
    const int axis = s.rank - 1;
    const int64_t C = s.dim[axis] / 2;

    s.dim[axis] = C;
    ss_tensor *z = ss_slice(c, moments, axis, 0, C), *v = ss_slice(c, moments, axis, C, 2 * C);
    ss_tensor *k = ss_upload(c, s, h->k), *r = ss_upload(c, s, h->r);

    ss_set(&v, ss_multiply(c, v, k));
    ss_set(&z, ss_add(c, z, v, 1));
    ss_set(&z, ss_add(c, z, r, 1));
    ss_release(v);
    ss_release(k);
    ss_release(r);
    return z;
}

/* Draws the latents (ss_latent_draw), and seeds the moments with the gradient of their divergence.
 */
static ss_tensor *draw(void *self, ss_ctx *c, const ss_tensor *moments)
{
    const run *t = self;
    const ss_shape s = ss_shape_get(moments);
    const int64_t n = ss_shape_numel(s), channels = s.dim[s.rank - 1] / 2;
    numbers h = {0};
    ss_tensor *z = NULL;
    ss_err e = {0};

    if (ss_ctx_shapes_only(c))
        return ss_slice(c, moments, s.rank - 1, 0, channels);
    h = (numbers){ss_alloc((size_t)n, sizeof *h.moments), ss_alloc((size_t)n / 2, sizeof *h.k),
                  ss_alloc((size_t)n / 2, sizeof *h.r), ss_alloc((size_t)n, sizeof *h.dm)};
    if (!h.moments || !h.k || !h.r || !h.dm) {
        ss_ctx_fail(c, SS_NOMEM, "latents: out of memory");
    } else if (ss_download(c, moments, h.moments, &e) != SS_OK) {
        ss_ctx_fail(c, e.code, "%s", e.msg);
    } else {
        fill(t, n / 2 / t->b->n, channels, &h);
        z = put_together(c, moments, &h);
        if (ss_tape_reaches(c, moments) && t->b->objective->kl_weight > 0) {
            ss_tensor *dm = ss_upload(c, s, h.dm);

            ss_tape_seed(c, moments, dm, 1);
            ss_release(dm);
        }
    }
    release(&h);
    return z;
}

double ss_autoencoder_picture_loss(const ss_objective *o, ss_sample_size size, const float *x,
                                   const float *y, double scale, float *dy)
{
    const int64_t n = ss_sample_values(size), each = n / ss_sample_frames(size);
    double squares = 0, sizes = 0, flicker = 0;

    for (int64_t i = 0; i < n; i++) {
        const double d = (double)y[i] - x[i];
        double slope = (2 * d + o->l1_weight * ((d > 0) - (d < 0))) / (double)n;

        squares += d * d;
        sizes += fabs(d);
        if (o->frame_weight > 0 && n > each) {
            const double weight = 2 * o->frame_weight / (double)(n - each);
            const double before = i >= each ? d - ((double)y[i - each] - x[i - each]) : 0;
            const double after = i + each < n ? (double)y[i + each] - x[i + each] - d : 0;

            flicker += after * after / (double)(n - each);
            slope += weight * (before - after);
        }
        dy[i] = (float)(scale * slope);
    }
    return (squares + o->l1_weight * sizes) / (double)n + o->frame_weight * flicker;
}

/* The loss of the answer y; dy is seeded. NaN after an error. */
static double judge(ss_ctx *c, const run *t, const ss_tensor *y, double *losses)
{
    const ss_autoencoder_batch *b = t->b;
    const int64_t each = ss_sample_values(b->size);
    float *host = ss_alloc(2 * (size_t)b->n, (size_t)each * sizeof *host);
    double total = 0;
    ss_err e = {0};

    if (!host) {
        ss_ctx_fail(c, SS_NOMEM, "a batch of %d: out of memory", b->n);
        return NAN;
    }
    if (ss_download(c, y, host, &e) != SS_OK) {
        ss_ctx_fail(c, e.code, "%s", e.msg);
        total = NAN;
    }
    float *answer = host, *slope = host + b->n * each;

    for (int i = 0; i < b->n && e.code == SS_OK; i++) {
        const double loss =
            ss_autoencoder_picture_loss(b->objective, b->size, b->x + i * each, answer + i * each,
                                        t->scale / b->n, slope + i * each) +
            b->objective->kl_weight * t->kl[i];

        if (losses)
            losses[i] = loss;
        total += loss / b->n;
    }
    if (e.code == SS_OK && ss_tape_reaches(c, y)) {
        ss_tensor *dy = ss_upload(c, ss_shape_get(y), slope);

        ss_tape_seed(c, y, dy, 1);
        ss_release(dy);
    }
    ss_free(host);
    return total;
}

double ss_autoencoder_run(ss_ctx *c, const ss_model *m, const ss_autoencoder_batch *b, double scale,
                          double *losses)
{
    run t = {b, scale, ss_calloc((size_t)b->n, sizeof *t.kl)};
    double loss = NAN;

    if (!t.kl) {
        ss_ctx_fail(c, SS_NOMEM, "a batch of %d: out of memory", b->n);
        return NAN;
    }
    ss_tensor *x = ss_upload(c, ss_sample_batch(b->n, b->size), b->x);
    ss_tensor *y = ss_model_reconstruct(c, m, x, draw, &t);

    ss_release(x);
    if (y && !ss_ctx_failed(c) && !ss_ctx_shapes_only(c))
        loss = judge(c, &t, y, losses);
    ss_release(y);
    ss_free(t.kl);
    return loss;
}
