/* t5.c - see t5.h */
#include "models/text/t5.h"

#include "base/mem.h"
#include "kernels/context.h"
#include "kernels/tape.h"
#include "models/net/attention.h"
#include "models/text/text_tokens.h"

#include <math.h>

/* The largest number of fp16, less 1000 and rounded to it. */
static const float most_half = 64512;

/* The classes of modules, of T5 and of UMT5. */
#define KINDS(X)                                  \
    X(STACK, "Stack")                             \
    X(BLOCK, "Block")                             \
    X(LAYER_SELF_ATTENTION, "LayerSelfAttention") \
    X(ATTENTION, "Attention")                     \
    X(LAYER_NORM, "LayerNorm")                    \
    X(LAYER_FF, "LayerFF")                        \
    X(GATED, "DenseGatedActDense")                \
    X(NOT_GATED, "DenseActDense")
#define X(id, text) KIND_##id,
typedef enum { KINDS(X) } kind;
#undef X

static const char *kind_name(const ss_t5_config *g, kind k)
{
#define X(id, text) {"T5" text, "UMT5" text},
    static const char *const names[][2] = {KINDS(X)};
#undef X
    return names[k][g->own_bias];
}

typedef struct {
    ss_module m;
    ss_weight *weight; /* [width] */
    float eps;
} norm;

typedef struct {
    ss_module m, layer0, attention, layer1, dense; /* "encoder.block.0", ".layer.0" ... */
    norm norm0, norm1;
    ss_linear_layer *q, *k, *v, *o;
    ss_embedding_layer *bias; /* [buckets][heads], or NULL: the first block's is used */
    ss_attention_inner inner;
    ss_linear_layer *wi, *wi_1, *wo; /* wi is wi_0 where there is wi_1, else NULL */
    ss_module product;               /* inner value: act(wi_0) wi_1 */
} block;

struct ss_t5 {
    ss_module m, encoder;
    const ss_t5_config *config;
    ss_embedding_layer *embed_tokens;
    block *blocks; /* [config->layers] */
    norm final_layer_norm;
};

/* ---- building ---- */

static void norm_new(ss_net *n, const ss_module *parent, const char *name, const ss_t5_config *g,
                     norm *l)
{
    ss_net_module(n, &l->m, parent, kind_name(g, KIND_LAYER_NORM), "%s", name);
    l->weight = ss_net_weight(n, &l->m, "weight", ss_shape_of(g->width));
    l->eps = g->eps;
}

/* A module without weights of its own, whose values are as wide as those that it adds. */
static void container_new(ss_net *n, ss_module *m, const ss_module *parent, const char *class_name,
                          const char *name)
{
    m->promotes = true;
    ss_net_module(n, m, parent, class_name, "%s", name);
}

static void attention_new(ss_net *n, const ss_t5_config *g, bool bias, block *b)
{
    const int inner = g->heads * g->head;

    container_new(n, &b->layer0, &b->m, kind_name(g, KIND_LAYER_SELF_ATTENTION), "layer.0");
    ss_net_module(n, &b->attention, &b->layer0, kind_name(g, KIND_ATTENTION), "SelfAttention");
    b->q = ss_linear_layer_new(n, &b->attention, "q", g->width, inner, false);
    b->k = ss_linear_layer_new(n, &b->attention, "k", g->width, inner, false);
    b->v = ss_linear_layer_new(n, &b->attention, "v", g->width, inner, false);
    b->o = ss_linear_layer_new(n, &b->attention, "o", inner, g->width, false);
    if (bias)
        b->bias = ss_embedding_layer_new(n, &b->attention, "relative_attention_bias", g->buckets,
                                         g->heads);
    ss_attention_inner_new(n, &b->inner, &b->attention, SS_LOGITS_AS_CODED);
    norm_new(n, &b->layer0, "layer_norm", g, &b->norm0);
}

static void feed_forward_new(ss_net *n, const ss_t5_config *g, block *b)
{
    container_new(n, &b->layer1, &b->m, kind_name(g, KIND_LAYER_FF), "layer.1");
    container_new(n, &b->dense, &b->layer1, kind_name(g, g->gated ? KIND_GATED : KIND_NOT_GATED),
                  "DenseReluDense");
    b->wi = ss_linear_layer_new(n, &b->dense, g->gated ? "wi_0" : "wi", g->width, g->inner, false);
    if (g->gated) {
        b->wi_1 = ss_linear_layer_new(n, &b->dense, "wi_1", g->width, g->inner, false);
        /* one factor is fp32 under autocast where the activation has a pow */
        ss_net_inner(n, &b->product, &b->dense,
                     g->act == SS_ACT_GELU_NEW ? SS_INNER_MIXED : SS_INNER_SUM, "gate_product");
    }
    b->wo = ss_linear_layer_new(n, &b->dense, "wo", g->inner, g->width, false);
    norm_new(n, &b->layer1, "layer_norm", g, &b->norm1);
}

static void block_new(ss_net *n, const ss_t5_config *g, const ss_module *encoder, int index,
                      block *b)
{
    b->m.block = b->m.promotes = true;
    ss_net_module(n, &b->m, encoder, kind_name(g, KIND_BLOCK), "block.%d", index);
    attention_new(n, g, g->own_bias || index == 0, b);
    feed_forward_new(n, g, b);
}

ss_t5 *ss_t5_new(ss_net *n, const ss_t5_config *g)
{
    ss_t5 *u = ss_net_alloc(n, sizeof *u);

    if (!u)
        return NULL;
    u->config = g;
    ss_net_leave_out(n, "decoder.*");
    ss_net_leave_out(n, "lm_head.weight");
    u->m.promotes = true;
    ss_net_module(n, &u->m, NULL, g->class_name, "%s", "");
    container_new(n, &u->encoder, &u->m, kind_name(g, KIND_STACK), "encoder");
    /* The table has a second name, as the decoder shares it. */
    ss_net_also_stored(n, "encoder.embed_tokens.weight", "shared.weight");
    u->embed_tokens =
        ss_embedding_layer_new(n, &u->encoder, "embed_tokens", g->vocabulary, g->width);
    u->blocks = ss_net_alloc(n, (size_t)g->layers * sizeof *u->blocks);
    for (int i = 0; u->blocks && i < g->layers; i++)
        block_new(n, g, &u->encoder, i, &u->blocks[i]);
    norm_new(n, &u->encoder, "final_layer_norm", g, &u->final_layer_norm);
    return u;
}

/* ---- the bias of attention ---- */

int64_t ss_t5_bucket(int64_t distance, int buckets, int most)
{
    const int half = buckets / 2, exact = half / 2;
    const int64_t after = distance > 0 ? half : 0, d = distance > 0 ? distance : -distance;

    if (d < exact)
        return after + d;
    /* in f32 and in this order, as the reference: at 2^k times `exact` the last bit decides */
    const float ratio = (float)log((double)((float)d / (float)exact));
    const float range = (float)log((double)most / exact);
    const int64_t large = exact + (int64_t)(ratio / range * (float)(half - exact));
    return after + (large < half ? large : half - 1);
}

/* Makes the bias of T tokens: [heads][T][T]. Hooks see it as [T][T heads], a row for each query. No
 * gradient comes to a bias of attention, so the tape does not record it. */
static ss_tensor *make_bias(ss_ctx *c, const ss_t5_config *g, const ss_embedding_layer *l,
                            int64_t T)
{
    int64_t *ids = ss_alloc((size_t)T, (size_t)T * sizeof *ids);

    if (!ids)
        return ss_ctx_fail(c, SS_NOMEM, "positions of tokens: out of memory");
    for (int64_t q = 0; q < T; q++) {
        for (int64_t k = 0; k < T; k++)
            ids[q * T + k] = ss_t5_bucket(k - q, g->buckets, g->most_distance);
    }
    const bool recorded = ss_tape_pause(c, true);
    ss_enter(c, &l->m, NULL);
    ss_tensor *y = ss_embedding(c, ss_operand(l->weight), ids, T * T); /* [T T][heads] */
    ss_set(&y, ss_reshape(c, y, ss_shape_of(T, T * g->heads)));
    y = ss_leave(c, &l->m, y);
    ss_set(&y, ss_reshape(c, y, ss_shape_of(T, T, g->heads)));
    ss_set(&y, ss_permute(c, y, (const int[]){2, 0, 1}));
    ss_tape_pause(c, !recorded);
    ss_free(ids);
    return y;
}

/* ---- running ---- */

/* Values that all blocks are given beside the stream. */
typedef struct {
    const ss_text_tokens *tokens;
    const ss_t5_config *config;
    ss_tensor *mask; /* [n][tokens], or NULL */
    ss_tensor *bias; /* [heads][tokens][tokens]; NULL before the first attention */
} context;

static ss_tensor *norm_run(ss_ctx *c, const norm *l, const ss_tensor *h)
{
    ss_enter(c, &l->m, h);
    return ss_leave(c, &l->m, ss_rms_norm(c, h, ss_operand(l->weight), l->eps));
}

static ss_tensor *attend(ss_ctx *c, const block *b, context *x, const ss_tensor *h)
{
    ss_enter(c, &b->attention, h);
    ss_tensor *q = ss_linear_layer_run(c, b->q, h); /* [rows][heads head] */
    ss_tensor *k = ss_linear_layer_run(c, b->k, h);
    ss_tensor *v = ss_linear_layer_run(c, b->v, h);
    if (b->bias)
        ss_set(&x->bias, make_bias(c, x->config, b->bias, x->tokens->tokens));
    const ss_attention_opt opt = {.heads = x->config->heads,
                                  .scale = 1,
                                  .bias = x->bias,
                                  .logits = &b->inner.logits,
                                  .unscaled = &b->inner.unscaled,
                                  .probabilities = &b->inner.probabilities};
    ss_tensor *y = ss_text_attention(c, x->tokens, q, k, v, x->mask, &opt);
    ss_set(&y, ss_linear_layer_run(c, b->o, y));
    return ss_leave(c, &b->attention, y);
}

static ss_tensor *feed_forward(ss_ctx *c, const block *b, const context *x, const ss_tensor *h)
{
    ss_enter(c, &b->dense, h);
    ss_tensor *y = ss_linear_layer_run(c, b->wi, h); /* [rows][inner] */
    ss_set(&y, ss_activate(c, y, x->config->act));
    if (b->wi_1) {
        ss_tensor *values = ss_linear_layer_run(c, b->wi_1, h);

        ss_set(&y, ss_multiply(c, y, values));
        ss_release(values);
        ss_see(c, &b->product, SS_PORT_OUTPUT, y);
    }
    ss_set(&y, ss_linear_layer_run(c, b->wo, y)); /* [rows][width] */
    return ss_leave(c, &b->dense, y);
}

/* Runs layer.0 or layer.1, `inside` being its attention or feed-forward: [rows][width], the sum. */
static ss_tensor *layer_run(ss_ctx *c, const block *b, bool first, context *x, const ss_tensor *h)
{
    const ss_module *m = first ? &b->layer0 : &b->layer1;

    ss_enter(c, m, h);
    ss_tensor *y = norm_run(c, first ? &b->norm0 : &b->norm1, h);
    ss_set(&y, first ? attend(c, b, x, y) : feed_forward(c, b, x, y));
    ss_set(&y, ss_add(c, h, y, 1));
    return ss_leave(c, m, y);
}

/* Limits an fp16 stream with an inf in it, as every T5Block does; takes h. */
static ss_tensor *limit(ss_ctx *c, ss_tensor *h)
{
    const int64_t rows = ss_dim(h, 0);
    uint64_t lost = 0;

    if (!ss_tensor_is_in(h, 5, 10))
        return h;
    const ss_stats *s = ss_tensor_stats(c, h, false);
    for (int64_t i = 0; s && i < rows; i++)
        lost += s[i].nonfinite;
    if (lost)
        ss_set(&h, ss_clamp(c, h, -most_half, most_half));
    return h;
}

/* Runs one block; takes h [rows][width]. */
static ss_tensor *block_run(ss_ctx *c, const block *b, context *x, ss_tensor *h)
{
    ss_enter(c, &b->m, h);
    for (int k = 0; k < 2; k++) {
        ss_set(&h, layer_run(c, b, k == 0, x, h));
        h = limit(c, h);
    }
    return ss_leave(c, &b->m, h);
}

bool ss_t5_embed(ss_ctx *c, const ss_t5 *u, const ss_text_tokens *t, ss_text_states *states)
{
    context x = {.tokens = t, .config = u->config};

    *states = (ss_text_states){0};
    if (!ss_text_tokens_check(c, t, 0, false))
        return false;
    ss_enter(c, &u->m, NULL);
    ss_enter(c, &u->encoder, NULL);
    ss_tensor *h = ss_embedding_layer_rows(c, u->embed_tokens, t->ids, t->n * t->tokens);
    x.mask = ss_text_mask(c, t);
    for (int i = 0; i < u->config->layers; i++) {
        if (i == u->config->layers - 1)
            states->penultimate = ss_text_prompts(c, t, h);
        h = block_run(c, &u->blocks[i], &x, h);
    }
    ss_set(&h, norm_run(c, &u->final_layer_norm, h));
    h = ss_leave(c, &u->encoder, h);
    states->last = ss_text_prompts(c, t, h);
    ss_release(ss_leave(c, &u->m, h));
    ss_release(x.mask);
    ss_release(x.bias);
    return !ss_ctx_failed(c);
}
