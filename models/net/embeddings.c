/* embeddings.c - see embeddings.h */
#include "models/net/embeddings.h"

#include "base/mem.h"
#include "kernels/context.h"
#include "models/net/attention.h"
#include "models/net/magnitude.h"

#include <math.h>

/* The phases are rounded to f32 as the reference does: at t = 999 their last digits, which
 * decide over sin and cos, come from these roundings. Elementary functions are taken in
 * double and rounded once, so that no libm changes a bit. */
void ss_sinusoid_fill(const ss_sinusoid *s, const float *t, int64_t n, float *out)
{
    const int half = s->width / 2;
    const float divisor = (float)(half - s->shift), log_period = (float)-log(10000.0);

    for (int64_t i = 0; i < n; i++) {
        float *row = out + i * s->width;
        float *first = s->flip ? row + half : row; /* where sin goes */
        float *second = s->flip ? row : row + half;

        for (int k = 0; k < half; k++) {
            const float exponent = log_period * (float)k / divisor;
            const float phase = t[i] * (float)exp(exponent);

            first[k] = (float)sin(phase);
            second[k] = (float)cos(phase);
        }
        if (s->width % 2)
            row[s->width - 1] = 0;
    }
}

void ss_guidance_embedding(double scale, int width, float *out)
{
    const int half = width / 2;
    const float step = (float)log(10000.0) / (float)(half - 1), w = (float)(scale - 1) * 1000;

    out[width - 1] = 0; /* an odd width ends in a zero */
    for (int k = 0; k < half; k++) {
        const float phase = w * (float)exp((float)k * -step);

        out[k] = (float)sin(phase);
        out[half + k] = (float)cos(phase);
    }
}

ss_fourier *ss_fourier_new(ss_net *n, const ss_module *parent, int width, bool log, bool flip)
{
    ss_fourier *f = ss_net_alloc(n, sizeof *f);

    if (!f)
        return NULL;
    ss_net_module(n, &f->m, parent, "GaussianFourierProjection", "time_proj");
    f->weight = ss_net_weight(n, &f->m, "weight", ss_shape_of(width / 2));
    f->log = log;
    f->flip = flip;
    return f;
}

ss_tensor *ss_fourier_run(ss_ctx *c, const ss_fourier *f, const float *t, int64_t n)
{
    const int64_t half = f->weight->shape.dim[0];
    const float pi = (float)M_PI;
    float *w = ss_alloc((size_t)half, sizeof *w);
    float *out = ss_alloc((size_t)(2 * n * half), sizeof *out);
    ss_tensor *y = NULL;

    if (!w || !out) {
        ss_ctx_fail(c, SS_NOMEM, "Fourier features: out of memory");
        goto done;
    }
    ss_values_to_f32(f->weight->dtype, f->weight->data, (size_t)half, w);
    for (int64_t i = 0; i < n; i++) {
        const float x = f->log ? (float)log(t[i]) : t[i];
        float *first = out + i * 2 * half + (f->flip ? half : 0); /* where sin goes */
        float *second = out + i * 2 * half + (f->flip ? 0 : half);

        for (int64_t k = 0; k < half; k++) {
            const float phase = x * w[k] * 2 * pi; /* rounded to f32 after each product */

            first[k] = (float)sin(phase);
            second[k] = (float)cos(phase);
        }
    }
    ss_enter(c, &f->m, NULL);
    y = ss_leave(c, &f->m, ss_upload(c, ss_shape_of(n, 2 * half), out));
done:
    ss_free(w);
    ss_free(out);
    return y;
}

ss_timestep_embedding *ss_timestep_embedding_new(ss_net *n, const ss_module *parent,
                                                 const char *name, int in, int out, ss_act act,
                                                 ss_act post, int cond)
{
    ss_timestep_embedding *t = ss_net_alloc(n, sizeof *t);

    if (!t)
        return NULL;
    ss_net_module(n, &t->m, parent, "TimestepEmbedding", "%s", name);
    t->linear_1 = ss_linear_layer_new(n, &t->m, "linear_1", in, out, true);
    if (cond)
        t->cond_proj = ss_linear_layer_new(n, &t->m, "cond_proj", cond, in, false);
    t->linear_2 = ss_linear_layer_new(n, &t->m, "linear_2", out, out, true);
    t->act = act;
    t->post = post;
    t->magnitude = ss_net_remedies(n)->magnitude;
    return t;
}

ss_timestep_embedding *ss_number_embedding_new(ss_net *n, const ss_module *parent, const char *name,
                                               int in, int through, int out)
{
    ss_timestep_embedding *t = ss_net_alloc(n, sizeof *t);

    if (!t)
        return NULL;
    ss_net_module(n, &t->m, parent, "TimestepEmbedding", "%s", name);
    t->linear_1 = ss_linear_layer_new(n, &t->m, "linear_1", in, through, true);
    t->linear_2 = ss_linear_layer_new(n, &t->m, "linear_2", through, out, true);
    t->act = SS_ACT_SILU;
    return t;
}

ss_tensor *ss_timestep_embedding_run(ss_ctx *c, const ss_timestep_embedding *t, const ss_tensor *x,
                                     const ss_tensor *cond)
{
    ss_tensor *h = ss_retain(x);

    ss_enter(c, &t->m, x);
    if (t->cond_proj && cond) {
        ss_tensor *more = ss_linear_layer_run(c, t->cond_proj, cond);

        ss_set(&h, ss_add(c, h, more, 1));
        ss_release(more);
    }
    ss_set(&h, ss_linear_layer_run(c, t->linear_1, h));
    ss_set(&h, t->magnitude ? ss_mp_silu(c, h) : ss_activate(c, h, t->act));
    ss_set(&h, ss_linear_layer_run(c, t->linear_2, h));
    ss_set(&h, ss_activate(c, h, t->post));
    return ss_leave(c, &t->m, h);
}

/* AttentionPooling: attention of one query, the mean of the tokens plus a learned vector, to itself
 * and the tokens. [N][T][width] -> [N][width] */
typedef struct {
    ss_module m;
    ss_weight *positional_embedding; /* [1][width] */
    ss_linear_layer *k_proj, *q_proj, *v_proj;
    ss_attention_inner inner;
    int heads;
    float scale;
    bool cosine;
} attention_pooling;

struct ss_text_embedding {
    ss_module m;
    ss_layer_norm_layer *norm1, *norm2;
    attention_pooling *pool;
    ss_linear_layer *proj;
};

static attention_pooling *pooling_new(ss_net *n, const ss_module *parent, int width, int heads)
{
    attention_pooling *p = ss_net_alloc(n, sizeof *p);

    if (!p)
        return NULL;
    ss_net_module(n, &p->m, parent, "AttentionPooling", "pool");
    if (heads < 1 || width % heads)
        ss_net_fail(n, SS_FORMAT, "%s: width %d does not divide into %d heads", p->m.path, width,
                    heads);
    p->positional_embedding =
        ss_net_weight(n, &p->m, "positional_embedding", ss_shape_of(1, width));
    p->k_proj = ss_linear_layer_new(n, &p->m, "k_proj", width, width, true);
    p->q_proj = ss_linear_layer_new(n, &p->m, "q_proj", width, width, true);
    p->v_proj = ss_linear_layer_new(n, &p->m, "v_proj", width, width, true);
    p->heads = heads;
    p->scale = ss_attention_scale(n, (double)width / heads, &p->cosine);
    ss_attention_inner_new(n, &p->inner, &p->m, SS_LOGITS_STORED);
    return p;
}

static ss_tensor *pooling_run(ss_ctx *c, const attention_pooling *p, const ss_tensor *x)
{
    const int64_t N = ss_dim(x, 0), C = ss_dim(x, -1), row = 0;

    ss_enter(c, &p->m, x);
    /* The learned vector is the same for every sample, as a sample stands in for a position
     * here. */
    ss_tensor *position = ss_embedding(c, ss_operand(p->positional_embedding), &row, 1);
    ss_tensor *token = ss_mean_tokens(c, x); /* [N][1][C] */
    ss_set(&token, ss_reshape(c, token, ss_shape_of(1, N, C)));
    ss_set(&token, ss_add_channels(c, token, position));
    ss_set(&token, ss_reshape(c, token, ss_shape_of(N, 1, C)));
    ss_release(position);

    ss_tensor *all = ss_concat(c, token, x, 1); /* [N][1+T][C] */
    ss_tensor *q = ss_linear_layer_run(c, p->q_proj, token);
    ss_tensor *k = ss_linear_layer_run(c, p->k_proj, all);
    ss_tensor *v = ss_linear_layer_run(c, p->v_proj, all);
    const ss_attention_opt opt = {
        .heads = p->heads,
        .scale = p->scale,
        .cosine = p->cosine,
        .stored = SS_LOGITS_STORED,
        .logits = &p->inner.logits,
        .probabilities = &p->inner.probabilities,
    };
    ss_tensor *y = ss_attention(c, q, k, v, NULL, &opt);
    ss_release(token);
    ss_release(all);
    ss_release(q);
    ss_release(k);
    ss_release(v);
    ss_set(&y, ss_reshape(c, y, ss_shape_of(N, C)));
    return ss_leave(c, &p->m, y);
}

ss_text_embedding *ss_text_embedding_new(ss_net *n, const ss_module *parent, int in, int out,
                                         int heads)
{
    ss_text_embedding *t = ss_net_alloc(n, sizeof *t);

    if (!t)
        return NULL;
    ss_net_module(n, &t->m, parent, "TextTimeEmbedding", "add_embedding");
    t->norm1 = ss_layer_norm_layer_new(n, &t->m, "norm1", in);
    t->pool = pooling_new(n, &t->m, in, heads);
    t->proj = ss_linear_layer_new(n, &t->m, "proj", in, out, true);
    t->norm2 = ss_layer_norm_layer_new(n, &t->m, "norm2", out);
    return t;
}

ss_tensor *ss_text_embedding_run(ss_ctx *c, const ss_text_embedding *t, const ss_tensor *text)
{
    ss_enter(c, &t->m, text);
    ss_tensor *h = ss_layer_norm_layer_run(c, t->norm1, text);
    ss_set(&h, pooling_run(c, t->pool, h));
    ss_set(&h, ss_linear_layer_run(c, t->proj, h));
    ss_set(&h, ss_layer_norm_layer_run(c, t->norm2, h));
    return ss_leave(c, &t->m, h);
}
