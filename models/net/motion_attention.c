/* motion_attention.c - see motion_attention.h */
#include "models/net/motion_attention.h"

#include "base/mem.h"
#include "kernels/context.h"
#include "models/net/attention.h"

#include <math.h>

struct ss_motion_attention {
    ss_module m;
    const ss_motion_options *options;
    ss_group_norm_layer *norm;    /* or NULL */
    ss_embedding_layer *position; /* [max_frames][C], or NULL */
    ss_linear_layer *to_q, *to_k, *to_v, *to_out;
    int heads;
    float scale;
    bool cosine;
    ss_factor factor;
    ss_attention_inner inner;
};

/* Checks that channels divide into heads, and heads into the halves of rotary positions. */
static void check_heads(ss_net *n, const ss_motion_attention *a, int channels)
{
    const bool rotary = a->options->config.position == SS_POSITION_ROTARY;

    if (a->heads < 1 || channels % a->heads)
        ss_net_fail(n, SS_FORMAT,
                    "motion: \"heads\": the %d channels at %s do not divide into %d heads",
                    channels, a->m.path, a->heads);
    else if (rotary && channels / a->heads % 2)
        ss_net_fail(n, SS_FORMAT,
                    "motion: \"position\": rotary positions need heads of even width; those of %s "
                    "have %d",
                    a->m.path, channels / a->heads);
}

ss_motion_attention *ss_motion_attention_new(ss_net *n, const ss_module *parent, int index,
                                             const ss_motion_spec *s)
{
    ss_motion_attention *a = ss_net_alloc(n, sizeof *a);
    const ss_motion_options *o = s->options;
    const int C = s->channels;

    if (!a)
        return NULL;
    a->options = o;
    a->heads = o->config.heads ? o->config.heads : s->heads;
    ss_net_module(n, &a->m, parent, "Attention", "layers.%d", index);
    check_heads(n, a, C);
    a->norm = ss_motion_norm_new(n, &a->m, s);
    if (o->config.position == SS_POSITION_ABSOLUTE)
        a->position = ss_embedding_layer_new(n, &a->m, "position", o->config.max_frames, C);
    a->to_q = ss_linear_layer_new(n, &a->m, "to_q", C, C, false);
    a->to_k = ss_linear_layer_new(n, &a->m, "to_k", C, C, false);
    a->to_v = ss_linear_layer_new(n, &a->m, "to_v", C, C, false);
    ss_net_begin_zero(n, true);
    a->to_out = ss_linear_layer_new(n, &a->m, "to_out.0", C, C, true);
    ss_net_begin_zero(n, false);
    a->scale = ss_attention_scale(n, (double)C / (a->heads > 0 ? a->heads : 1), &a->cosine);
    ss_attention_inner_new(n, &a->inner, &a->m, SS_LOGITS_AS_CODED);
    a->factor = ss_factor_new(n, &a->m, "residual_scale", ss_net_remedies(n)->residual);
    return a;
}

/* ---- absolute positions ---- */

/* Returns positions of frames between those of the table: frame i of F is at i / s, and after the
 * last trained one at that. rows and weights have space for 2 F. */
static ss_tensor *between(ss_ctx *c, const ss_motion_attention *a, int64_t F, double s,
                          int64_t *rows, float *weights)
{
    const int64_t last = a->options->extension.trained - 1;

    for (int64_t i = 0; i < F; i++) {
        const double at = (double)i / s;

        rows[i] = (int64_t)floor(at);
        rows[F + i] = (int64_t)fmin(ceil(at), (double)last);
        weights[F + i] = (float)(at - floor(at));
        weights[i] = 1 - weights[F + i];
    }
    ss_tensor *both = ss_embedding_layer_rows(c, a->position, rows, 2 * F);
    ss_set(&both, ss_scale_samples(c, both, weights));
    ss_tensor *low = ss_slice(c, both, 0, 0, F), *high = ss_slice(c, both, 0, F, 2 * F);
    ss_set(&low, ss_add(c, low, high, 1));
    ss_release(high);
    ss_release(both);
    return low;
}

/* Makes the positions of the frames of a sample, [F][C]. */
static ss_tensor *positions(ss_ctx *c, const ss_motion_attention *a, int64_t F)
{
    const ss_motion_options *o = a->options;
    const double s = ss_extension_factor(&o->extension, F);
    ss_tensor *y = NULL;

    if (F > o->config.max_frames && s == 1)
        return ss_ctx_fail(c, SS_USAGE,
                           "a video of %lld frames, and absolute positions of %d; --extend linear "
                           "puts the others between them",
                           (long long)F, o->config.max_frames);
    int64_t *rows = ss_alloc((size_t)F * 2, sizeof *rows);
    float *weights = ss_alloc((size_t)F * 2, sizeof *weights);
    for (int64_t i = 0; rows && i < F; i++)
        rows[i] = i;
    if (!rows || !weights)
        ss_ctx_fail(c, SS_NOMEM, "positions of frames: out of memory");
    else if (s > 1)
        y = between(c, a, F, s, rows, weights);
    else
        y = ss_embedding_layer_rows(c, a->position, rows, F);
    ss_free(rows);
    ss_free(weights);
    return y;
}

/* Repeats what each sample has: [F][C] to [N F][C]. Takes x. */
static ss_tensor *repeat(ss_ctx *c, ss_tensor *x, int64_t N)
{
    const int64_t F = ss_dim(x, 0);

    while (x && ss_dim(x, 0) < N * F)
        ss_set(&x, ss_concat(c, x, x, 0));
    ss_set(&x, ss_slice(c, x, 0, 0, N * F));
    return x;
}

/* Adds to x [N][F][H][W][C] the position of each frame. Takes x. */
static ss_tensor *add_positions(ss_ctx *c, const ss_motion_attention *a, ss_tensor *x)
{
    const ss_shape s = ss_shape_get(x);

    if (!a->position || !x)
        return x;
    ss_tensor *p = repeat(c, positions(c, a, s.dim[1]), s.dim[0]);
    ss_set(&x, ss_reshape(c, x, ss_shape_of(s.dim[0] * s.dim[1], s.dim[2] * s.dim[3], s.dim[4])));
    ss_set(&x, ss_add_channels(c, x, p));
    ss_release(p);
    ss_set(&x, ss_reshape(c, x, s));
    return x;
}

/* ---- blocks of positions ---- */

/* Returns the largest divisor of n that is at most b. */
static int64_t block_side(int64_t n, int b)
{
    int64_t side = b < n ? b : n;

    while (side > 1 && n % side)
        side--;
    return side > 0 ? side : 1;
}

/* How a video is cut into blocks: of h x w positions, `down` below each other, `across` beside. */
typedef struct {
    int64_t N, F, h, w, down, across, C;
} blocks;

static blocks blocks_of(const ss_shape *s, int side)
{
    const int64_t h = block_side(s->dim[2], side), w = block_side(s->dim[3], side);

    return (blocks){s->dim[0], s->dim[1], h, w, s->dim[2] / h, s->dim[3] / w, s->dim[4]};
}

/* [N][F][H][W][C] -> [N blocks][F h w][C] */
static void to_rows(ss_ctx *c, const blocks *b, ss_tensor **x)
{
    static const int inside[] = {0, 2, 1, 3};

    if (b->h * b->w > 1) { /* [N F down][h][across][w C], to [N F down][across][h][w C] */
        ss_set(x,
               ss_reshape(c, *x, ss_shape_of(b->N * b->F * b->down, b->h, b->across, b->w * b->C)));
        ss_set(x, ss_permute(c, *x, inside));
    }
    ss_set(x, ss_reshape(c, *x, ss_shape_of(b->N, b->F, b->down * b->across, b->h * b->w * b->C)));
    ss_set(x, ss_permute(c, *x, inside));
    ss_set(x, ss_reshape(c, *x, ss_shape_of(b->N * b->down * b->across, b->F * b->h * b->w, b->C)));
}

/* The way back, to the shape s. */
static void from_rows(ss_ctx *c, const blocks *b, ss_shape s, ss_tensor **x)
{
    static const int inside[] = {0, 2, 1, 3};

    ss_set(x, ss_reshape(c, *x, ss_shape_of(b->N, b->down * b->across, b->F, b->h * b->w * b->C)));
    ss_set(x, ss_permute(c, *x, inside));
    if (b->h * b->w > 1) {
        ss_set(x,
               ss_reshape(c, *x, ss_shape_of(b->N * b->F * b->down, b->across, b->h, b->w * b->C)));
        ss_set(x, ss_permute(c, *x, inside));
    }
    ss_set(x, ss_reshape(c, *x, s));
}

/* ---- the layer ---- */

static ss_tensor *attend(ss_ctx *c, const ss_motion_attention *a, const ss_tensor *h)
{
    const ss_motion_options *o = a->options;
    const bool rotary = o->config.position == SS_POSITION_ROTARY;
    const ss_shape s = ss_shape_get(h);
    const blocks b = blocks_of(&s, o->config.tokens);
    float scale = a->scale;
    ss_tensor *q = ss_linear_layer_run(c, a->to_q, h);
    ss_tensor *k = ss_linear_layer_run(c, a->to_k, h);
    ss_tensor *v = ss_linear_layer_run(c, a->to_v, h);

    if (rotary) {
        ss_set(&q, ss_rotary_run(c, q, a->heads, &o->extension));
        ss_set(&k, ss_rotary_run(c, k, a->heads, &o->extension));
        scale *= (float)ss_rotary_logits(&o->extension, ss_extension_factor(&o->extension, b.F));
    }
    to_rows(c, &b, &q);
    to_rows(c, &b, &k);
    to_rows(c, &b, &v);
    const ss_attention_opt opt = {
        .heads = a->heads,
        .frames = (int)(b.down * b.across),
        .of_frames = (int)b.F,
        .scale = scale,
        .cosine = a->cosine,
        .logits = &a->inner.logits,
        .unscaled = &a->inner.unscaled,
        .probabilities = &a->inner.probabilities,
    };
    ss_tensor *y = ss_attention(c, q, k, v, NULL, &opt);
    ss_release(q);
    ss_release(k);
    ss_release(v);
    from_rows(c, &b, s, &y);
    return y;
}

ss_tensor *ss_motion_attention_run(ss_ctx *c, const ss_motion_attention *a, const ss_tensor *x)
{
    ss_enter(c, &a->m, x);
    if (!x)
        return ss_leave(c, &a->m, NULL);
    ss_tensor *h = ss_motion_norm_run(c, a->norm, x); /* [N][F][H][W][C] */

    h = add_positions(c, a, h);
    ss_tensor *y = h ? attend(c, a, h) : NULL;
    ss_release(h);
    ss_set(&y, ss_linear_layer_run(c, a->to_out, y));
    ss_factor_run(c, &a->factor, &y);
    ss_set(&y, ss_add(c, y, x, 1));
    return ss_leave(c, &a->m, y);
}
