/* unet_structure.c - see unet_structure.h
 *
 * One table of clauses has everything that can be said; the walk over the modules decides which of
 * them hold where. tests/golden/structure.json has what PyTorch's modules really read.
 */
#include "models/unet/unet_structure.h"

#include "models/net/motion_structure.h"

#include <stdlib.h>
#include <string.h>

typedef ss_structure_clause clause;

#define PENALTY "no key changes it; the activation penalty of a training can hold it"

static const clause
    attention_stream = {SS_STRUCTURE_ATTENTION, "q, k and v of the stream, without a norm before",
                        "q and k grow with the stream, logits with its square",
                        "attn_norm_num_groups", "a number of groups puts a norm there"},
    attention_cosine =
        {SS_STRUCTURE_ATTENTION, "q, k and v of the stream, without a norm before",
         "v and what is added to the stream grow with it; cosine attention bounds the logits alone",
         "attn_norm_num_groups", "a number of groups puts a norm there"},
    attention_added = {SS_STRUCTURE_ATTENTION,
                       "where no text is given, k and v of the stream, past both norms",
                       "k grows with the stream, and logits with it", "",
                       "no key changes it; give the network a text"},
    conv_down = {SS_STRUCTURE_CONVOLUTION, "the stream, without a norm before",
                 "its output is as large as the stream times its weights, and becomes the stream",
                 "down_block_types",
                 "blocks that resample in a residual block (ResnetDownsampleBlock2D) have a norm"},
    conv_down_type = {SS_STRUCTURE_CONVOLUTION, "the stream, without a norm before",
                      "its output is as large as the stream times its weights, and becomes the "
                      "stream",
                      "downsample_type", "\"resnet\" makes it a residual block, with a norm"},
    conv_up = {SS_STRUCTURE_CONVOLUTION, "the stream, without a norm before",
               "its output is as large as the stream times its weights, and becomes the stream",
               "up_block_types",
               "blocks that resample in a residual block (ResnetUpsampleBlock2D) have a norm"},
    conv_up_type = {SS_STRUCTURE_CONVOLUTION, "the stream, without a norm before",
                    "its output is as large as the stream times its weights, and becomes the "
                    "stream",
                    "upsample_type", "\"resnet\" makes it a residual block, with a norm"},
    conv_fixed = {SS_STRUCTURE_CONVOLUTION, "the stream, without a norm before",
                  "its output is as large as the stream times its weights, and becomes the stream",
                  "", PENALTY},
    conv_shortcut = {SS_STRUCTURE_CONVOLUTION, "the stream, without a norm before",
                     "it takes the place of the residual: the stream goes on times its weights", "",
                     PENALTY},
    conv_shortcut_skip = {SS_STRUCTURE_CONVOLUTION,
                          "the stream and the skip beside it, without a norm before",
                          "it takes the place of the residual: both go on times its weights", "",
                          PENALTY},
    conv_proj_out = {SS_STRUCTURE_CONVOLUTION,
                     "the stream inside of the transformer, without a norm before",
                     "it grows with what the transformer's blocks add up", "", PENALTY},
    sum_plain = {SS_STRUCTURE_SUM, "x + branch",
                 "each sum adds its branch, and nothing takes size away again",
                 "remedies.residual_scale", "below 1 each branch counts less"},
    sum_resnet = {SS_STRUCTURE_SUM, "x + branch",
                  "each sum adds its branch, and nothing takes size away again",
                  "resnet_out_scale_factor", "1.4142 keeps the variance of a sum of equals"},
    sum_mid = {SS_STRUCTURE_SUM, "x + branch",
               "each sum adds its branch, and nothing takes size away again",
               "mid_block_scale_factor", "1.4142 keeps the variance of a sum of equals"},
    sum_inner = {SS_STRUCTURE_SUM,
                 "inside of a transformer, h + attention, h + attention, h + feed-forward",
                 "no remedy scales these sums, and more blocks are a longer stream",
                 "transformer_layers_per_block", "fewer blocks"},
    sum_inner_fixed = {SS_STRUCTURE_SUM,
                       "inside of a transformer, h + attention, h + attention, h + feed-forward",
                       "no remedy scales these sums, and more blocks are a longer stream", "",
                       PENALTY},
    sum_image = {SS_STRUCTURE_SUM, "the picture beside the network, added up level by level",
                 "each level adds its picture, and nothing takes size away again", "", PENALTY},
    skip = {SS_STRUCTURE_SKIP, "the skip as the encoder left it, concatenated to the stream",
            "the encoder's stream enters the decoder at its full size", "remedies.skip_scale",
            "0.7071 keeps the variance of two equals"},
    logits = {SS_STRUCTURE_LOGITS, "q.k / sqrt(width of a head), of projections without a norm",
              "logits grow with the product of both projections' weights",
              "remedies.cosine_attention", "true bounds logits by the square root of the width"},
    upcast_key = {SS_STRUCTURE_UPCAST, "logits as eager attention stores them, in the half format",
                  "they do not grow by it, but overflow before the softmax bounds them",
                  "upcast_attention", "true keeps them in fp32; scaled_dot_product_attention does"},
    upcast_none = {SS_STRUCTURE_UPCAST, "logits as eager attention stores them, in the half format",
                   "they do not grow by it, but overflow before the softmax bounds them", "",
                   "no key changes it here; scaled_dot_product_attention keeps them in fp32"},
    geglu = {SS_STRUCTURE_PRODUCT, "GEGLU: values times gates, both projections of one norm",
             "it grows with the square of the projection's weights", "", PENALTY},
    modulation = {SS_STRUCTURE_MODULATION,
                  "norm2(h) (1 + scale) + shift, both from the embedding, which has no norm",
                  "conv2 reads values after the norm that no norm bounds",
                  "resnet_time_scale_shift", "\"default\" adds the embedding before the norm"},
    embedding_added = {SS_STRUCTURE_EMBEDDING, "conv1(h) + embedding, before norm2",
                       "norm2 takes its size away; until then the sum is as large as the embedding",
                       "resnet_time_scale_shift",
                       "\"scale_shift\" has no such sum, but scales after the norm"},
    embedding_added_fixed = {SS_STRUCTURE_EMBEDDING, "conv1(h) + embedding, before norm2",
                             "norm2 takes its size away; until then the sum is as large as the "
                             "embedding",
                             "", "no key changes it; weight decay of these layers does"},
    embedding_frame = {SS_STRUCTURE_EMBEDDING,
                       "the numbers of the frames, embedded and added to the stream",
                       "the stream over frames grows with these layers' weights", "",
                       "no key changes it; weight decay of these layers does"},
    embedding_sum = {SS_STRUCTURE_EMBEDDING,
                     "the embeddings of time and of what else the network is told, added up",
                     "every residual block reads their sum, which no norm bounds", "",
                     "no key changes it; weight decay of these layers does"},
    text_cross = {SS_STRUCTURE_TEXT, "k and v of the text as it is given",
                  "logits grow with a token's embedding", "",
                  "no key reaches transformer blocks; normalise the embeddings before"},
    text_added = {SS_STRUCTURE_TEXT, "k and v of the text as it is given",
                  "logits grow with a token's embedding", "cross_attention_norm",
                  "\"layer_norm\" or \"group_norm\" puts a norm there"},
    text_projection = {SS_STRUCTURE_TEXT, "the text as it is given",
                       "its output is as large as the embeddings times its weights", "",
                       "no key changes it; normalise the embeddings before"},
    input_scaled = {SS_STRUCTURE_INPUT, "the noised picture, which the schedule scales",
                    "the stream begins as large as the picture times these weights", "", PENALTY},
    input_sigma = {SS_STRUCTURE_INPUT, "x0 + sigma n, which nothing scales",
                   "the stream begins as large as sigma", "",
                   "no key changes it; a network that is given a scaled picture has to be trained"},
    factor_residual = {SS_STRUCTURE_FACTOR, "x + k branch, k learned",
                       "the network can learn the factor away", "remedies.residual_scale",
                       "a number stays"},
    factor_skip = {SS_STRUCTURE_FACTOR, "[x, k skip], k learned",
                   "the network can learn the factor away", "remedies.skip_scale",
                   "a number stays"},
    factor_gain = {SS_STRUCTURE_FACTOR, "a learned gain after weights of fixed size",
                   "the only weights of a magnitude-preserving network that may grow", "",
                   "no key changes it; a decay of the gains does"},
    division = {SS_STRUCTURE_DIVISION, "the answer over sigma",
                "below sigma 1 the answer is larger than what conv_out gives",
                "time_embedding_type", "\"positional\" does not divide"},
    zero = {SS_STRUCTURE_ZERO, "weights that are all zero now",
            "the branch adds nothing yet: what it will add is still to come", "",
            "a training's choice (init.zero); of a trained network a sign that it was not reached"};

typedef struct {
    ss_structure_list *l;
    const ss_unet_config *u;
    int sums, inner; /* of the network's stream, and of that of its deepest transformer */
} walk;

/* True for the classes that have keys for what resamples and for how embeddings enter. */
static bool has_keys(const walk *w)
{
    return strcmp(w->u->class_name, SS_UNET_PLAIN) == 0 ||
           strcmp(w->u->class_name, SS_UNET_CONDITIONAL) == 0;
}

static ss_place place_of(const char *path)
{
    return strncmp(path, "down_blocks.", 12) == 0 ? SS_PLACE_ENCODER
           : strncmp(path, "mid_block", 9) == 0   ? SS_PLACE_MIDDLE
           : strncmp(path, "up_blocks.", 10) == 0 ? SS_PLACE_DECODER
           : strcmp(path, "conv_in") == 0 || strncmp(path, "transformer_in", 14) == 0
               ? SS_PLACE_INPUT
           : !*path || strncmp(path, "conv_out", 8) == 0 || strcmp(path, "image_sum") == 0
               ? SS_PLACE_OUTPUT
               : SS_PLACE_EMBEDDINGS;
}

static void add(walk *w, const clause *c, const char *path)
{
    ss_structure_add(w->l, c, place_of(path), path);
}

/* Returns the module or inner value NAME directly below m, or NULL. */
static const ss_module *child(const walk *w, const ss_module *m, const char *name)
{
    return ss_structure_child(w->l, m, name);
}

static void add_child(walk *w, const clause *c, const ss_module *m, const char *name)
{
    const ss_module *found = child(w, m, name);

    if (found)
        add(w, c, found->path);
}

static bool is_kind(const ss_module *m, const char *kind)
{
    return strcmp(m->kind, kind) == 0;
}

static bool parent_is(const walk *w, const ss_module *m, const char *kind)
{
    return m->parent >= 0 && is_kind(w->l->modules[m->parent], kind);
}

/* Returns the level that a module is in; NULL: none. */
static const ss_block_spec *level_of(const walk *w, const char *path)
{
    const ss_place at = place_of(path);

    if (at == SS_PLACE_MIDDLE)
        return &w->u->mid;
    if (at != SS_PLACE_ENCODER && at != SS_PLACE_DECODER)
        return NULL;
    const int i = atoi(strchr(path, '.') + 1);

    return at == SS_PLACE_ENCODER ? &w->u->down[i] : &w->u->up[i];
}

/* Looks at a residual sum on the network's stream that is divided by `divisor`. */
static void look_at_sum(walk *w, const ss_module *m, float divisor, const clause *c)
{
    const ss_factor_spec *k = &w->u->remedies.residual;
    const bool scaled = k->value > 0 && k->value < 1;

    w->sums++;
    if (divisor > 1 || scaled || k->learned || m->limit > 0)
        return;
    add(w, c, m->path);
    add_child(w, c, m, "residual_sum");
}

static void look_at_resnet(walk *w, const ss_module *m)
{
    const ss_block_spec *s = level_of(w, m->path);
    const bool decoder = place_of(m->path) == SS_PLACE_DECODER;
    const bool takes_skip = decoder && strstr(m->path, ".resnets.");

    add_child(w, takes_skip ? &conv_shortcut_skip : &conv_shortcut, m, "conv_shortcut");
    look_at_sum(w, m, s->out_scale,
                s == &w->u->mid && !s->mixed                 ? &sum_mid
                : s->type->time_options && w->u->conditional ? &sum_resnet
                                                             : &sum_plain);
    if (takes_skip)
        add(w, &skip, s->mixed ? w->l->modules[m->parent]->path : m->path);
    const clause *c = s->scale_shift ? &modulation
                      : has_keys(w)  ? &embedding_added
                                     : &embedding_added_fixed;
    add_child(w, c, m, "time_emb_proj");
    add_child(w, c, m, "temb_sum");
    add_child(w, c, m, "norm2_scaled");
    add_child(w, c, m, "norm2_shifted");
    if (s->scale_shift)
        add_child(w, c, m, "conv2");
}

/* True for an attention that is part of a transformer block. */
static bool in_block(const walk *w, const ss_module *m)
{
    return parent_is(w, m, "BasicTransformerBlock") ||
           parent_is(w, m, "TemporalBasicTransformerBlock");
}

/* Adds logits, where nothing bounds them. */
static void look_at_logits(walk *w, const ss_module *m)
{
    const ss_module *stored = child(w, m, "logits");

    if (w->u->remedies.cosine)
        return;
    add(w, &logits, m->path);
    add_child(w, &logits, m, "logits_unscaled");
    add_child(w, &logits, m, "logits");
    if (stored && stored->inner != SS_INNER_UPCAST)
        add(w, in_block(w, m) && has_keys(w) ? &upcast_key : &upcast_none, stored->path);
}

/* True for the attention of a transformer block that looks at the text. */
static bool sees_text(const walk *w, const ss_module *m)
{
    const ss_module *block = w->l->modules[m->parent];

    if (!w->u->text_in || parent_is(w, block, "TransformerTemporalModel"))
        return false;
    return strcmp(ss_structure_own_name(w->l, m), "attn2") == 0 || level_of(w, m->path)->only_cross;
}

static void look_at_attention(walk *w, const ss_module *m)
{
    const ss_block_spec *s = level_of(w, m->path);

    look_at_logits(w, m);
    if (in_block(w, m)) {
        if (sees_text(w, m)) {
            add_child(w, &text_cross, m, "to_k");
            add_child(w, &text_cross, m, "to_v");
        }
        return;
    }
    const bool added = s->type->attend == SS_ATTEND_ADDED;

    look_at_sum(w, m, added ? 1 : s->out_scale, s == &w->u->mid && !added ? &sum_mid : &sum_plain);
    if (!child(w, m, "group_norm")) {
        const clause *c = w->u->remedies.cosine ? &attention_cosine : &attention_stream;

        add(w, c, m->path);
        add_child(w, c, m, "to_q");
        add_child(w, c, m, "to_k");
        add_child(w, c, m, "to_v");
        add_child(w, c, m, "to_out.0"); /* what attention gives is a mean of v */
    }
    if (added && (w->u->text_optional || !w->u->text_in)) {
        add_child(w, &attention_added, m, "add_k_proj");
        add_child(w, &attention_added, m, "add_v_proj");
        add_child(w, &attention_added, m, "to_out.0");
    }
    if (added && w->u->text_in && !child(w, m, "norm_cross")) {
        add_child(w, &text_added, m, "add_k_proj");
        add_child(w, &text_added, m, "add_v_proj");
    }
}

static void look_at_transformer(walk *w, const ss_module *m)
{
    int sums = 0;

    look_at_sum(w, m, 1, &sum_plain);
    add_child(w, &embedding_frame, m, "time_pos_embed");
    add_child(w, &embedding_frame, m, "position_sum");
    for (int i = 0; i < w->l->n_modules; i++) {
        const ss_module *b = w->l->modules[i];

        const bool temporal = is_kind(b, "TemporalBasicTransformerBlock");

        if (b->parent != m->id || !(temporal || is_kind(b, "BasicTransformerBlock")))
            continue;
        add(w, has_keys(w) ? &sum_inner : &sum_inner_fixed, b->path);
        sums += temporal ? 4 : 3; /* attn1, attn2, ff, and ff_in */
    }
    if (sums)
        add_child(w, &conv_proj_out, m, "proj_out");
    w->inner = sums > w->inner ? sums : w->inner;
}

/* Looks at convolutions over frames on the stream. */
static void look_at_frames(walk *w, const ss_module *m)
{
    look_at_sum(w, m, 1, &sum_plain);
    add_child(w, &embedding_added_fixed, m, "time_emb_proj");
    add_child(w, &embedding_added_fixed, m, "temb_sum");
}

static void look_at_resampler(walk *w, const ss_module *m)
{
    const ss_block_spec *s = level_of(w, m->path);
    const bool down = is_kind(m, "Downsample2D");
    /* the two types reach blocks with attention of plain networks only */
    const bool by_type = !w->u->conditional && s->type->attend == SS_ATTEND_SELF;

    add_child(w,
              !has_keys(w) ? &conv_fixed
              : down       ? by_type ? &conv_down_type : &conv_down
              : by_type    ? &conv_up_type
                           : &conv_up,
              m, "conv");
}

static void look_at_top(walk *w, const ss_module *root)
{
    add_child(w, w->u->divide_by_time ? &input_sigma : &input_scaled, root, "conv_in");
    add_child(w, &embedding_sum, root, "time_embedding");
    add_child(w, &embedding_sum, root, "class_embedding");
    if (w->u->addition != SS_ADD_TEXT) /* which ends in a norm */
        add_child(w, &embedding_sum, root, "add_embedding");
    add_child(w, &embedding_sum, root, "class_sum");
    add_child(w, &embedding_sum, root, "add_sum");
    add_child(w, &text_projection, root, "encoder_hid_proj");
    add_child(w, &sum_image, root, "image_sum");
    if (w->u->divide_by_time)
        add(w, &division, root->path);
}

static void look_at_module(walk *w, const ss_module *m)
{
    if (m->parent < 0)
        look_at_top(w, m);
    else if (ss_motion_structure(&w->u->motion.config, &w->u->remedies, place_of(m->path), m, w->l))
        w->sums++;
    else if (is_kind(m, "ResnetBlock2D"))
        look_at_resnet(w, m);
    else if (is_kind(m, "Attention"))
        look_at_attention(w, m);
    else if (is_kind(m, "AttentionPooling"))
        look_at_logits(w, m);
    else if (is_kind(m, "Transformer2DModel") || is_kind(m, "TransformerTemporalModel") ||
             is_kind(m, "TransformerSpatioTemporalModel"))
        look_at_transformer(w, m);
    else if (is_kind(m, "TemporalConvLayer") || is_kind(m, "TemporalResnetBlock"))
        look_at_frames(w, m);
    else if (is_kind(m, "GEGLU"))
        add(w, &geglu, m->path);
    else if ((is_kind(m, "Downsample2D") || is_kind(m, "Upsample2D")) && child(w, m, "conv"))
        look_at_resampler(w, m);
    else if (strcmp(ss_structure_own_name(w->l, m), "skip_conv") == 0 &&
             place_of(m->path) == SS_PLACE_ENCODER)
        add(w, &input_sigma, m->path);
    else if (strcmp(ss_structure_own_name(w->l, m), "image_sum") == 0 && m->inner)
        add(w, &sum_image, m->path);
}

static bool ends_in(const char *text, const char *end)
{
    const size_t n = strlen(text), k = strlen(end);

    return n > k && strcmp(text + n - k, end) == 0;
}

/* True for the end of a branch: zero weights there make the branch nothing. */
static bool is_end(const char *path)
{
    return strcmp(path, "conv_out") == 0 || ends_in(path, ".conv2") || ends_in(path, ".proj_out") ||
           ends_in(path, ".to_out.0") || ends_in(path, ".ff.net.2") || ends_in(path, ".conv4.3") ||
           ends_in(path, ".conv1d");
}

static void look_at_weights(walk *w)
{
    const float *absmax = w->l->absmax;

    for (int i = 0; i < w->l->n_weights; i++) {
        const char *name = w->l->weights[i]->name, *path;

        if ((path = ss_structure_owner(w->l, name, "residual_scale")))
            add(w, &factor_residual, path);
        else if ((path = ss_structure_owner(w->l, name, "skip_scale")))
            add(w, &factor_skip, path);
        else if ((path = ss_structure_owner(w->l, name, "gain"))) {
            add(w, &factor_gain, path);
            if (absmax && absmax[i] == 0)
                add(w, &zero, path);
        } else if (absmax && absmax[i] == 0 && (path = ss_structure_owner(w->l, name, "weight")) &&
                   is_end(path))
            add(w, &zero, path);
    }
}

void ss_unet_structure(const ss_unet_config *u, ss_structure_list *l)
{
    static const clause *const streams[] = {&sum_plain, &sum_resnet, &sum_mid};
    walk w = {.l = l, .u = u};

    for (int i = 0; i < l->n_modules && !u->remedies.magnitude; i++)
        look_at_module(&w, l->modules[i]);
    look_at_weights(&w);
    for (int i = 0; i < 2; i++)
        ss_structure_say_more(
            l, i ? &sum_inner_fixed : &sum_inner,
            ": up to %d sums from proj_in to proj_out, and no norm of that stream", w.inner);
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
        ss_structure_say_more(l, streams[i],
                              ": %d sums from conv_in to conv_norm_out, and no norm of that stream",
                              w.sums);
}
