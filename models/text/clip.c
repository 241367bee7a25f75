/* clip.c - see clip.h */
#include "models/text/clip.h"

#include "base/mem.h"
#include "kernels/context.h"
#include "models/net/attention.h"
#include "models/text/text_tokens.h"

#include <math.h>

typedef struct {
    ss_module m, attn, mlp; /* "encoder.layers.0", ".self_attn", ".mlp" */
    ss_layer_norm_layer *layer_norm1, *layer_norm2;
    ss_linear_layer *k_proj, *v_proj, *q_proj, *out_proj, *fc1, *fc2;
    ss_attention_inner inner;
} layer;

struct ss_clip {
    ss_module m, text; /* the whole; "text_model", path NULL: its parts are the whole's */
    ss_module embeddings, encoder;
    const ss_clip_config *config;
    ss_embedding_layer *token, *position;
    layer *layers; /* [config->layers] */
    ss_layer_norm_layer *final_layer_norm;
    ss_linear_layer *text_projection; /* or NULL */
};

/* ---- the layers ---- */

static ss_layer_norm_layer *norm_new(ss_net *n, const ss_module *parent, const char *name,
                                     const ss_clip_config *g)
{
    ss_layer_norm_layer *l = ss_layer_norm_layer_new(n, parent, name, g->width);

    if (l)
        l->eps = g->eps;
    return l;
}

static void layer_new(ss_net *n, const ss_module *encoder, int index, const ss_clip_config *g,
                      layer *l)
{
    const int width = g->width;

    l->m.block = true;
    ss_net_module(n, &l->m, encoder, "CLIPEncoderLayer", "layers.%d", index);
    ss_net_module(n, &l->attn, &l->m, "CLIPAttention", "self_attn");
    l->k_proj = ss_linear_layer_new(n, &l->attn, "k_proj", width, width, true);
    l->v_proj = ss_linear_layer_new(n, &l->attn, "v_proj", width, width, true);
    l->q_proj = ss_linear_layer_new(n, &l->attn, "q_proj", width, width, true);
    l->out_proj = ss_linear_layer_new(n, &l->attn, "out_proj", width, width, true);
    ss_attention_inner_new(n, &l->inner, &l->attn, SS_LOGITS_AS_CODED);
    l->layer_norm1 = norm_new(n, &l->m, "layer_norm1", g);
    ss_net_module(n, &l->mlp, &l->m, "CLIPMLP", "mlp");
    l->fc1 = ss_linear_layer_new(n, &l->mlp, "fc1", width, g->inner, true);
    l->fc2 = ss_linear_layer_new(n, &l->mlp, "fc2", g->inner, width, true);
    l->layer_norm2 = norm_new(n, &l->m, "layer_norm2", g);
}

/* Values that all layers are given beside the stream. */
typedef struct {
    const ss_text_tokens *tokens;
    const ss_clip_config *config;
    ss_tensor *mask;   /* [n][tokens], or NULL */
    ss_tensor *causal; /* [1][tokens][tokens]: hides tokens that come after */
} context;

static ss_tensor *attend(ss_ctx *c, const layer *l, const context *x, const ss_tensor *h)
{
    const ss_attention_opt opt = {
        .heads = x->config->heads,
        .scale = (float)(1 / sqrt((double)x->config->width / x->config->heads)),
        .bias = x->causal,
        .logits = &l->inner.logits,
        .unscaled = &l->inner.unscaled,
        .probabilities = &l->inner.probabilities};

    ss_enter(c, &l->attn, h);
    ss_tensor *q = ss_linear_layer_run(c, l->q_proj, h);
    ss_tensor *k = ss_linear_layer_run(c, l->k_proj, h);
    ss_tensor *v = ss_linear_layer_run(c, l->v_proj, h);
    ss_tensor *y = ss_text_attention(c, x->tokens, q, k, v, x->mask, &opt);
    ss_set(&y, ss_linear_layer_run(c, l->out_proj, y));
    return ss_leave(c, &l->attn, y);
}

static ss_tensor *feed_forward(ss_ctx *c, const layer *l, const context *x, const ss_tensor *h)
{
    ss_enter(c, &l->mlp, h);
    ss_tensor *y = ss_linear_layer_run(c, l->fc1, h); /* [rows][inner] */
    ss_set(&y, ss_activate(c, y, x->config->act));
    ss_set(&y, ss_linear_layer_run(c, l->fc2, y));
    return ss_leave(c, &l->mlp, y);
}

/* Adds branch to *h; hooks see the sum at the module that the branch came from. Takes branch. */
static void add_to_stream(ss_ctx *c, ss_tensor **h, ss_tensor *branch, const ss_module *from)
{
    ss_set(h, ss_add(c, *h, branch, 1));
    ss_release(branch);
    ss_see(c, from, SS_PORT_RESIDUAL, *h);
}

/* Runs one layer; takes h [rows][width]. */
static ss_tensor *layer_run(ss_ctx *c, const layer *l, const context *x, ss_tensor *h)
{
    ss_enter(c, &l->m, h);
    ss_tensor *z = ss_layer_norm_layer_run(c, l->layer_norm1, h);
    ss_set(&z, attend(c, l, x, z));
    add_to_stream(c, &h, z, &l->attn);
    z = ss_layer_norm_layer_run(c, l->layer_norm2, h);
    ss_set(&z, feed_forward(c, l, x, z));
    add_to_stream(c, &h, z, &l->mlp);
    return ss_leave(c, &l->m, h);
}

/* ---- the network ---- */

/* Leaves out what is in the checkpoint beside the encoder: buffers of old versions, and of a whole
 * CLIP all that is for pictures. */
static void leave_out(ss_net *n, const ss_clip_config *g)
{
    ss_net_leave_out(n, "*embeddings.position_ids");
    if (g->kind != SS_CLIP_BOTH)
        return;
    ss_net_leave_out(n, "vision_model.*");
    ss_net_leave_out(n, "visual_projection.weight");
    ss_net_leave_out(n, "logit_scale");
}

ss_clip *ss_clip_new(ss_net *n, const ss_clip_config *g)
{
    ss_clip *u = ss_net_alloc(n, sizeof *u);

    if (!u)
        return NULL;
    u->config = g;
    leave_out(n, g);
    ss_net_module(n, &u->m, NULL, g->class_name, "%s", "");
    const bool plain =
        g->kind == SS_CLIP_TEXT && ss_net_stores(n, "embeddings.token_embedding.weight");
    const ss_module *text = plain ? &u->m : &u->text;
    if (!plain)
        ss_net_module(n, &u->text, &u->m,
                      g->kind == SS_CLIP_TEXT ? "CLIPTextTransformer" : "CLIPTextModel",
                      "text_model");
    ss_net_module(n, &u->embeddings, text, "CLIPTextEmbeddings", "embeddings");
    u->token =
        ss_embedding_layer_new(n, &u->embeddings, "token_embedding", g->vocabulary, g->width);
    u->position =
        ss_embedding_layer_new(n, &u->embeddings, "position_embedding", g->positions, g->width);
    ss_net_module(n, &u->encoder, text, "CLIPEncoder", "encoder");
    u->layers = ss_net_alloc(n, (size_t)g->layers * sizeof *u->layers);
    for (int i = 0; u->layers && i < g->layers; i++)
        layer_new(n, &u->encoder, i, g, &u->layers[i]);
    u->final_layer_norm = norm_new(n, text, "final_layer_norm", g);
    if (g->projection)
        u->text_projection =
            ss_linear_layer_new(n, &u->m, "text_projection", g->width, g->projection, false);
    return u;
}

/* Embeds the tokens: [rows][width] */
static ss_tensor *embed(ss_ctx *c, const ss_clip *u, const ss_text_tokens *t, const int64_t *places)
{
    const int64_t T = t->tokens, width = u->config->width;

    ss_enter(c, &u->embeddings, NULL);
    ss_tensor *h = ss_embedding_layer_rows(c, u->token, t->ids, t->n * T);
    ss_tensor *p = ss_embedding_layer_rows(c, u->position, places, T);
    /* The positions of all prompts are the same: a prompt stands in for a position here. */
    ss_set(&h, ss_reshape(c, h, ss_shape_of(1, t->n, T * width)));
    ss_set(&p, ss_reshape(c, p, ss_shape_of(1, T * width)));
    ss_set(&h, ss_add_channels(c, h, p));
    ss_set(&h, ss_reshape(c, h, ss_shape_of(t->n * T, width)));
    ss_release(p);
    return ss_leave(c, &u->embeddings, h);
}

/* Makes what hides later tokens: [1][T][T] */
static ss_tensor *causal_bias(ss_ctx *c, int64_t T)
{
    float *host = ss_alloc((size_t)T, (size_t)T * sizeof *host);

    if (!host)
        return ss_ctx_fail(c, SS_NOMEM, "a causal mask: out of memory");
    for (int64_t i = 0; i < T; i++) {
        for (int64_t j = 0; j < T; j++)
            host[i * T + j] = j > i ? ss_hidden_logit(c) : 0;
    }
    ss_tensor *bias = ss_upload(c, ss_shape_of(1, T, T), host);
    ss_free(host);
    return bias;
}

/* Returns the row of the end token in a prompt of T ids: of the first one, or 0 where there is
 * none; by the old rule of the largest id. */
static int64_t end_of(const ss_clip_config *g, const int64_t *ids, int64_t T)
{
    int64_t at = 0;

    if (g->end != SS_CLIP_OLD_END) {
        while (at < T && ids[at] != g->end)
            at++;
        return at < T ? at : 0;
    }
    for (int64_t i = 1; i < T; i++)
        at = ids[i] > ids[at] ? i : at;
    return at;
}

/* Takes the states of the end tokens: [rows][width] -> [n][width]. scratch [n] */
static ss_tensor *pool(ss_ctx *c, const ss_clip *u, const ss_text_tokens *t, const ss_tensor *last,
                       int64_t *scratch)
{
    for (int64_t n = 0; n < t->n; n++)
        scratch[n] = n * t->tokens + end_of(u->config, t->ids + n * t->tokens, t->tokens);
    return ss_embedding(c, last, scratch, t->n);
}

/* Runs text_model: [rows][width], normed. scratch [tokens] */
static ss_tensor *encode(ss_ctx *c, const ss_clip *u, const ss_text_tokens *t,
                         ss_text_states *states, int64_t *scratch)
{
    context x = {.tokens = t, .config = u->config};

    if (u->text.path)
        ss_enter(c, &u->text, NULL);
    for (int64_t i = 0; i < t->tokens; i++)
        scratch[i] = i;
    ss_tensor *h = embed(c, u, t, scratch);
    x.mask = ss_text_mask(c, t);
    x.causal = causal_bias(c, t->tokens);

    ss_enter(c, &u->encoder, h);
    for (int i = 0; i < u->config->layers; i++) {
        if (i == u->config->layers - 1)
            states->penultimate = ss_text_prompts(c, t, h);
        h = layer_run(c, &u->layers[i], &x, h);
    }
    h = ss_leave(c, &u->encoder, h);
    ss_set(&h, ss_layer_norm_layer_run(c, u->final_layer_norm, h));
    ss_release(x.mask);
    ss_release(x.causal);
    return u->text.path ? ss_leave(c, &u->text, h) : h;
}

bool ss_clip_embed(ss_ctx *c, const ss_clip *u, const ss_text_tokens *t, ss_text_states *states)
{
    *states = (ss_text_states){0};
    if (!ss_text_tokens_check(c, t, u->config->positions, true))
        return false;
    int64_t *scratch = ss_alloc((size_t)(t->n + t->tokens), sizeof *scratch);
    if (!scratch) {
        ss_ctx_fail(c, SS_NOMEM, "ids of tokens: out of memory");
        return false;
    }
    ss_enter(c, &u->m, NULL);
    ss_tensor *last = encode(c, u, t, states, scratch);
    states->pooled = pool(c, u, t, last, scratch);
    if (u->text_projection)
        states->projected = ss_linear_layer_run(c, u->text_projection, states->pooled);
    states->last = ss_text_prompts(c, t, last);
    ss_release(ss_leave(c, &u->m, last));
    ss_free(scratch);
    return !ss_ctx_failed(c);
}
