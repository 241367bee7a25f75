/* unet.c - see unet.h
 *
 * Modules are made in the order in which PyTorch lists them: the middle block after the
 * decoder, because the reference assigns it then.
 */
#include "models/unet/unet.h"

#include "base/mem.h"
#include "kernels/context.h"
#include "models/net/magnitude.h"

#include <math.h>
#include <stdio.h>

struct ss_unet {
    ss_module m;
    ss_module class_sum, add_sum, image_sum; /* inner values; path NULL: there is none */
    const ss_unet_config *config;
    ss_conv_layer *conv_in, *conv_out;
    ss_motion motion_in;

    ss_fourier *fourier;         /* time_proj, or NULL: */
    ss_embedding_layer *learned; /* time_proj, or NULL: sinusoids */
    ss_timestep_embedding *time_embedding;
    ss_linear_layer *encoder_hid_proj;
    ss_embedding_layer *class_table; /* class_embedding: one of these three, or none */
    ss_timestep_embedding *class_layers;
    ss_linear_layer *class_linear;
    ss_text_embedding *add_text; /* add_embedding: one of these two, or none */
    ss_timestep_embedding *add_layers;

    ss_unet_level *down[SS_MAX_LEVELS], *mid, *up[SS_MAX_LEVELS];
    ss_group_norm_layer *conv_norm_out;
};

static void new_embeddings(ss_net *n, ss_unet *u, const ss_unet_config *g)
{
    const int dim = g->time_dim;

    if (g->time == SS_TIME_FOURIER)
        u->fourier = ss_fourier_new(n, &u->m, g->time_in, g->fourier_log, g->sinusoid.flip);
    else if (g->time == SS_TIME_LEARNED)
        u->learned = ss_embedding_layer_new(n, &u->m, "time_proj", g->n_timesteps, g->time_in);
    u->time_embedding = ss_timestep_embedding_new(n, &u->m, "time_embedding", g->time_in, dim,
                                                  g->time_act, g->time_post, g->time_cond);
    if (g->text_to)
        u->encoder_hid_proj =
            ss_linear_layer_new(n, &u->m, "encoder_hid_proj", g->text_in, g->text_to, true);

    if (g->class_kind == SS_CLASS_TABLE)
        u->class_table = ss_embedding_layer_new(n, &u->m, "class_embedding", g->n_classes, dim);
    else if (g->class_kind == SS_CLASS_SIMPLE)
        u->class_linear = ss_linear_layer_new(n, &u->m, "class_embedding", g->class_in, dim, true);
    else if (g->class_kind == SS_CLASS_TIMESTEP || g->class_kind == SS_CLASS_PROJECTION)
        u->class_layers =
            ss_timestep_embedding_new(n, &u->m, "class_embedding",
                                      g->class_kind == SS_CLASS_TIMESTEP ? g->time_in : g->class_in,
                                      dim, g->class_act, SS_ACT_NONE, 0);

    if (g->addition == SS_ADD_TEXT)
        u->add_text = ss_text_embedding_new(n, &u->m, g->text_in, dim, g->addition_heads);
    else if (g->addition != SS_ADD_NONE)
        u->add_layers = ss_timestep_embedding_new(n, &u->m, "add_embedding", g->addition_in, dim,
                                                  SS_ACT_SILU, SS_ACT_NONE, 0);
}

/* Adds the sums that the network itself makes. */
static void new_inner(ss_net *n, ss_unet *u, const ss_unet_config *g)
{
    if (g->remedies.magnitude)
        return;
    if (g->class_kind != SS_CLASS_NONE && !g->class_concat)
        ss_net_inner(n, &u->class_sum, &u->m, SS_INNER_MIXED, "class_sum");
    if (g->addition == SS_ADD_TEXT) /* it adds a layer norm's output */
        ss_net_inner(n, &u->add_sum, &u->m, SS_INNER_MODULATED, "add_sum");
    else if (g->addition != SS_ADD_NONE)
        ss_net_inner(n, &u->add_sum, &u->m, u->class_sum.path ? SS_INNER_MIXED : SS_INNER_SUM,
                     "add_sum");
    if (g->divide_by_time) /* otherwise the sum is the output */
        ss_net_inner(n, &u->image_sum, &u->m, SS_INNER_SUM, "image_sum");
}

ss_unet *ss_unet_new(ss_net *n, const ss_unet_config *g)
{
    const int first = g->down[0].out;
    ss_unet *u = ss_net_alloc(n, sizeof *u);

    if (!u)
        return NULL;
    u->config = g;
    ss_net_set_remedies(n, &g->remedies);
    ss_net_module(n, &u->m, NULL, g->class_name, "%s", "");
    u->conv_in =
        ss_conv_layer_new(n, &u->m, "conv_in", g->in_channels + g->remedies.magnitude, first,
                          g->conv_in_kernel, ss_conv_same((g->conv_in_kernel - 1) / 2));
    new_embeddings(n, u, g);
    u->motion_in = ss_motion_new(n, &u->m, -1, &g->motion_in);
    for (int i = 0; i < g->n_levels; i++)
        u->down[i] = ss_down_block_new(n, &u->m, i, &g->down[i]);
    for (int i = 0; i < g->n_levels; i++)
        u->up[i] = ss_up_block_new(n, &u->m, i, &g->up[i]);
    if (g->has_mid)
        u->mid = ss_mid_block_new(n, &u->m, &g->mid);
    if (!g->remedies.magnitude)
        u->conv_norm_out =
            ss_group_norm_layer_new(n, &u->m, "conv_norm_out", first, g->groups_out, g->eps);
    new_inner(n, u, g);
    u->conv_out = ss_conv_layer_new(n, &u->m, "conv_out", first, g->out_channels,
                                    g->conv_out_kernel, ss_conv_same((g->conv_out_kernel - 1) / 2));
    if (g->remedies.magnitude)
        ss_conv_layer_add_gain(n, u->conv_out);
    /* Both are blocks for a precision policy by blocks. */
    if (u->conv_in && u->conv_out)
        u->conv_in->m.block = u->conv_out->m.block = true;
    return u;
}

ss_condition_needs ss_unet_needs(const ss_unet_config *g)
{
    const bool index = g->class_kind == SS_CLASS_TABLE, number = g->class_kind == SS_CLASS_TIMESTEP;
    const bool numbers = g->addition == SS_ADD_TEXT_TIME || g->addition == SS_ADD_TIME;

    return (ss_condition_needs){
        .text_width = g->text_in,
        .text_optional = g->text_optional,
        .guidance_width = g->time_cond,
        .class_width = index || number ? 1 : g->class_in,
        .n_classes = index ? g->n_classes : 0,
        .added_width = numbers ? g->addition_in : 0,
        .time_id_width = numbers ? g->addition_sinusoid.width : 0,
        .numbers_only = g->addition == SS_ADD_TIME,
        .reference_channels = g->motion.config.reference ? (g->in_channels - 1) / 2 : 0,
    };
}

/* ---- embeddings ---- */

/* Makes the sinusoids of n numbers [n] -> [n][width] */
static ss_tensor *sinusoids(ss_ctx *c, const ss_sinusoid *s, const float *t, int64_t n)
{
    float *host = ss_alloc((size_t)n, (size_t)s->width * sizeof *host);
    ss_tensor *y;

    if (!host)
        return ss_ctx_fail(c, SS_NOMEM, "sinusoids: out of memory");
    ss_sinusoid_fill(s, t, n, host);
    y = ss_upload(c, ss_shape_of(n, s->width), host);
    ss_free(host);
    return y;
}

/* Runs time_proj: [N] -> [N][time_in] */
static ss_tensor *project_time(ss_ctx *c, const ss_unet *u, const float *t, int64_t N)
{
    if (u->fourier)
        return ss_fourier_run(c, u->fourier, t, N);
    if (u->learned)
        return ss_embedding_layer_run(c, u->learned, t, N);
    return sinusoids(c, &u->config->sinusoid, t, N);
}

/* The condition as tensors; NULL where the network does not take one. */
typedef struct {
    ss_tensor *text;     /* [N][tokens][width] */
    ss_tensor *pooled;   /* [N][width], of the whole text */
    ss_tensor *labels;   /* [N][width], classes that are vectors */
    ss_tensor *guidance; /* [N][width], the guidance scale of a distilled network */
} condition_tensors;

/* Uploads the condition before the network is entered: in a network in half precision these are
 * halves (ss_pass), as the picture is. */
static condition_tensors upload_condition(ss_ctx *c, const ss_unet *u, const ss_condition *d,
                                          int64_t N)
{
    const ss_unet_config *g = u->config;
    const ss_class_kind k = g->class_kind;
    condition_tensors v = {0};

    if (g->text_in && d->encoder_hidden_states)
        v.text = ss_upload(c, ss_shape_of(N, d->tokens, d->width), d->encoder_hidden_states);
    if (u->add_layers && g->addition == SS_ADD_TEXT_TIME)
        v.pooled = ss_upload(c, ss_shape_of(N, d->text_width), d->text_embeds);
    if (k == SS_CLASS_IDENTITY || k == SS_CLASS_PROJECTION || k == SS_CLASS_SIMPLE)
        v.labels = ss_upload(c, ss_shape_of(N, g->class_in), d->class_labels);
    if (d->timestep_cond)
        v.guidance = ss_upload(c, ss_shape_of(N, g->time_cond), d->timestep_cond);
    v.text = ss_pass(c, &u->m, v.text);
    v.pooled = ss_pass(c, &u->m, v.pooled);
    v.labels = ss_pass(c, &u->m, v.labels);
    v.guidance = ss_pass(c, &u->m, v.guidance);
    return v;
}

static void release_condition(condition_tensors *v)
{
    ss_release(v->text);
    ss_release(v->pooled);
    ss_release(v->labels);
    ss_release(v->guidance);
}

/* Embeds the class: [N][time_dim]; NULL where the network has no classes. */
static ss_tensor *embed_class(ss_ctx *c, const ss_unet *u, const condition_tensors *v,
                              const ss_condition *cond, int64_t N)
{
    const ss_unet_config *g = u->config;
    ss_tensor *y;

    if (g->class_kind == SS_CLASS_NONE)
        return NULL;
    if (g->class_kind == SS_CLASS_TABLE)
        return ss_embedding_layer_run(c, u->class_table, cond->class_labels, N);
    if (g->class_kind == SS_CLASS_TIMESTEP)
        y = project_time(c, u, cond->class_labels, N);
    else
        y = ss_retain(v->labels);
    if (u->class_layers)
        ss_set(&y, ss_timestep_embedding_run(c, u->class_layers, y, NULL));
    else if (u->class_linear)
        ss_set(&y, ss_linear_layer_run(c, u->class_linear, y));
    return y;
}

/* Embeds what SDXL and SVD add: [text_embeds | sinusoids of the time_ids] -> [N][time_dim]; SVD has
 * no text_embeds. */
static ss_tensor *embed_numbers(ss_ctx *c, const ss_unet *u, const condition_tensors *v,
                                const ss_condition *cond, int64_t N)
{
    const ss_sinusoid *s = &u->config->addition_sinusoid;
    const int64_t ids = cond->n_time_ids;
    ss_tensor *times = sinusoids(c, s, cond->time_ids, N * ids); /* [N ids][width] */

    ss_set(&times, ss_reshape(c, times, ss_shape_of(N, ids * s->width)));
    if (v->pooled)
        ss_set(&times, ss_concat(c, v->pooled, times, -1));
    else
        ss_to_sample_type(c, times);
    ss_set(&times, ss_timestep_embedding_run(c, u->add_layers, times, NULL));
    return times;
}

/* Adds more to *e; NULL adds nothing. Takes more. */
static void add_embedding(ss_ctx *c, const ss_module *sum, ss_tensor **e, ss_tensor *more)
{
    if (more) {
        ss_set(e, ss_add(c, *e, more, 1));
        ss_see(c, sum, SS_PORT_OUTPUT, *e);
    }
    ss_release(more);
}

/* Embeds time and condition: [N][time_dim], or twice that width with class_embeddings_concat. The
 * text is not yet projected. */
static ss_tensor *embed(ss_ctx *c, const ss_unet *u, const float *t, const condition_tensors *v,
                        const ss_condition *cond, int64_t N)
{
    ss_tensor *e = project_time(c, u, t, N);

    if (u->config->remedies.magnitude) /* sinusoids have an RMS of 1/sqrt(2) */
        ss_set(&e, ss_affine(c, e, (float)M_SQRT2, 0));
    ss_set(&e, ss_timestep_embedding_run(c, u->time_embedding, e, v->guidance));
    ss_tensor *label = embed_class(c, u, v, cond, N);
    ss_to_sample_type(c, label);
    if (u->config->class_concat) {
        ss_set(&e, ss_concat(c, e, label, -1));
        ss_release(label);
    } else if (label && u->config->remedies.magnitude) {
        ss_set(&e, ss_mp_sum(c, e, label, 0.5));
        ss_release(label);
    } else {
        add_embedding(c, &u->class_sum, &e, label);
    }
    if (u->add_text)
        add_embedding(c, &u->add_sum, &e, ss_text_embedding_run(c, u->add_text, v->text));
    else if (u->add_layers)
        add_embedding(c, &u->add_sum, &e, embed_numbers(c, u, v, cond, N));
    ss_set(&e, ss_activate(c, e, u->config->act_embedding));
    return e;
}

/* ---- the whole ---- */

/* Fails for a condition that is missing or does not fit; true when all is well. */
static bool check_condition(ss_ctx *c, const ss_unet *u, const ss_condition *d)
{
    const ss_condition_needs need = ss_unet_needs(u->config);
    const long long class_width = d->class_width ? d->class_width : 1;
    char vector[80];

    snprintf(vector, sizeof vector, "--class-embeds FILE#NAME, [N,%lld]",
             (long long)need.class_width);

    if (need.numbers_only && !d->encoder_hidden_states)
        ss_ctx_fail(c, SS_USAGE,
                    "the network looks at a picture's state, which an image encoder (CLIP) makes "
                    "elsewhere; give it with --prompt-embeds FILE#NAME, [N,1,%lld], or a stand-in "
                    "with --prompt-embeds random",
                    (long long)need.text_width);
    else if (need.text_width && !need.text_optional && !d->encoder_hidden_states)
        ss_ctx_fail(c, SS_USAGE,
                    "the network looks at a text of width %lld; give it with --prompt-embeds "
                    "FILE#NAME, [N,tokens,%lld], or a stand-in with --prompt-embeds random",
                    (long long)need.text_width, (long long)need.text_width);
    else if (need.text_width && d->encoder_hidden_states &&
             (d->width != need.text_width || d->tokens < 1))
        ss_ctx_fail(c, SS_USAGE,
                    "--prompt-embeds has %lld tokens of width %lld, the network wants width %lld",
                    (long long)d->tokens, (long long)d->width, (long long)need.text_width);
    else if (need.class_width && !d->class_labels && need.n_classes)
        ss_ctx_fail(c, SS_USAGE, "the network has %lld classes; pick one with --class K",
                    (long long)need.n_classes);
    else if (need.class_width && !d->class_labels)
        ss_ctx_fail(c, SS_USAGE, "the network wants a %s in the place of a class; give it with %s",
                    need.class_width == 1 ? "number" : "vector",
                    need.class_width == 1 ? "--class K" : vector);
    else if (need.class_width && class_width != need.class_width)
        ss_ctx_fail(c, SS_USAGE, "--class-embeds has width %lld, the network wants %lld",
                    class_width, (long long)need.class_width);
    else if (d->timestep_cond && d->timestep_cond_width != need.guidance_width)
        ss_ctx_fail(c, SS_USAGE, "the guidance is embedded in width %lld, the network wants %lld",
                    (long long)d->timestep_cond_width, (long long)need.guidance_width);
    else if (need.numbers_only &&
             (!d->time_ids || d->n_time_ids * need.time_id_width != need.added_width))
        ss_ctx_fail(c, SS_USAGE,
                    "the network wants %lld numbers of the video; give them with "
                    "--time-ids FILE#NAME, [N,%lld] (frames a second less one, motion, noise)",
                    (long long)(need.added_width / need.time_id_width),
                    (long long)(need.added_width / need.time_id_width));
    else if (need.added_width && !need.numbers_only && (!d->text_embeds || !d->time_ids))
        ss_ctx_fail(c, SS_USAGE,
                    "the network wants a vector of the text and numbers of the picture: give them "
                    "with --text-embeds FILE#NAME and --time-ids");
    else if (need.added_width && !need.numbers_only &&
             (d->text_width < 1 || d->n_time_ids < 1 ||
              d->text_width + d->n_time_ids * need.time_id_width != need.added_width))
        ss_ctx_fail(c, SS_USAGE,
                    "--text-embeds of width %lld and %lld --time-ids of width %lld do not make "
                    "the %lld that the network wants",
                    (long long)d->text_width, (long long)d->n_time_ids,
                    (long long)need.time_id_width, (long long)need.added_width);
    return !ss_ctx_failed(c);
}

/* Turns [N][tokens] of 1 and 0 into what is added to logits; -10000 is the reference's minus
 * infinity. */
static ss_tensor *upload_mask(ss_ctx *c, const ss_condition *d, int64_t N)
{
    ss_tensor *mask = ss_upload(c, ss_shape_of(N, d->tokens), d->encoder_mask);

    ss_set(&mask, ss_affine(c, mask, 10000, -10000));
    return mask;
}

static ss_tensor *encode_decode(ss_ctx *c, const ss_unet *u, const ss_tensor *x,
                                const ss_steering *with)
{
    const ss_unet_config *g = u->config;
    ss_skips skips = {0};
    ss_tensor *image = ss_retain(x), *h = ss_conv_layer_run(c, u->conv_in, x);

    ss_motion_run(c, &u->motion_in, &h);
    ss_skips_push(c, &skips, h);
    for (int i = 0; i < g->n_levels; i++) {
        const int before = skips.n;

        h = ss_down_block_run(c, u->down[i], h, with, &skips, &image);
        for (int k = before; k < skips.n; k++) /* skips leave the block, too */
            skips.items[k] = ss_pass(c, &u->m, skips.items[k]);
    }
    if (u->mid)
        h = ss_mid_block_run(c, u->mid, h, with);
    ss_set(&image, NULL);
    for (int i = 0; i < g->n_levels; i++)
        h = ss_up_block_run(c, u->up[i], h, with, &skips, &image);
    ss_skips_release(&skips);

    if (u->conv_norm_out)
        ss_set(&h, ss_group_norm_layer_run(c, u->conv_norm_out, h, NULL, g->act_out));
    ss_set(&h, ss_conv_layer_run(c, u->conv_out, h)); /* [N][H][W][out] */
    if (image) {
        ss_set(&h, ss_add(c, h, image, 1));
        ss_see(c, &u->image_sum, SS_PORT_OUTPUT, h);
    }
    ss_release(image);
    return h;
}

/* Divides each sample by its timestep, which is sigma in networks with Fourier features. */
static ss_tensor *divide_samples(ss_ctx *c, const ss_tensor *x, const float *t)
{
    const int64_t N = ss_dim(x, 0);
    float *k = ss_alloc((size_t)N, sizeof *k);
    ss_tensor *y;

    if (!k)
        return ss_ctx_fail(c, SS_NOMEM, "factors of samples: out of memory");
    for (int64_t n = 0; n < N; n++)
        k[n] = 1 / t[n];
    y = ss_scale_samples(c, x, k);
    ss_free(k);
    return y;
}

ss_tensor *ss_unet_run(ss_ctx *c, const ss_unet *u, const ss_tensor *x, const float *t,
                       const ss_condition *d)
{
    const ss_unet_config *g = u->config;
    const int64_t N = ss_dim(x, 0);
    ss_tensor *mask = NULL;
    char shape[96];

    if (ss_shape_get(x).rank != (g->frames ? 5 : 4) || ss_dim(x, -1) != g->in_channels) {
        if (!ss_ctx_failed(c))
            ss_ctx_fail(c, SS_SHAPE, "the input is %s, the network wants [N,%sH,W,%d]",
                        ss_shape_text(ss_shape_get(x), shape, sizeof shape), g->frames ? "F," : "",
                        g->in_channels);
        return NULL;
    }
    if (!check_condition(c, u, d))
        return NULL;

    ss_tensor *seen = ss_pass(c, &u->m, ss_retain(x));
    condition_tensors v = upload_condition(c, u, d, N);

    ss_enter(c, &u->m, seen);
    if (v.text && d->encoder_mask)
        mask = upload_mask(c, d, N);
    ss_tensor *temb = embed(c, u, t, &v, d, N);
    if (u->encoder_hid_proj)
        ss_set(&v.text, ss_linear_layer_run(c, u->encoder_hid_proj, v.text));

    ss_tensor *in = g->center_input ? ss_affine(c, seen, 2, -1) : ss_retain(seen);
    if (g->remedies.magnitude)
        ss_set(&in, ss_mp_ones(c, in));
    const ss_steering with = {temb, v.text, mask};
    ss_tensor *y = encode_decode(c, u, in, &with);
    if (g->divide_by_time)
        ss_set(&y, divide_samples(c, y, t));
    ss_release(seen);
    ss_release(in);
    ss_release(temb);
    release_condition(&v);
    ss_release(mask);
    return ss_leave(c, &u->m, y);
}
