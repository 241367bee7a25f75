/* structure.c - see structure.h
 *
 * One table of clauses says everything that is ever said; the walk over the modules decides which
 * of them hold where. What PyTorch's modules really read is in tests/golden/structure.json.
 */
#include "models/structure.h"

#include "base/mem.h"
#include "base/str.h"
#include "models/unet/unet_config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Places in the order of the list. */
#define PLACES(X)               \
    X(INPUT, "input")           \
    X(EMBEDDINGS, "embeddings") \
    X(ENCODER, "encoder")       \
    X(MIDDLE, "middle")         \
    X(DECODER, "decoder")       \
    X(OUTPUT, "output")
#define X(name, text) PLACE_##name,
typedef enum { PLACES(X) N_PLACES } place;
#undef X
#define X(name, text) text,
static const char *const place_names[] = {PLACES(X)};
static const char *const kind_names[] = {SS_STRUCTURE_KINDS(X)};
#undef X

typedef struct {
    ss_structure_kind kind;
    const char *reads, *why, *key, *remedy;
} clause;

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
    factor_gain = {SS_STRUCTURE_FACTOR, "a learned gain behind weights of fixed size",
                   "the only weights of a magnitude-preserving network that may grow", "",
                   "no key changes it; a decay of the gains does"},
    division = {SS_STRUCTURE_DIVISION, "the answer over sigma",
                "below sigma 1 the answer is larger than what conv_out gives",
                "time_embedding_type", "\"positional\" does not divide"},
    zero = {SS_STRUCTURE_ZERO, "weights that are all zero now",
            "the branch adds nothing yet: what it will add is still to come", "",
            "a training's choice (init.zero); of a trained network a sign that it was not reached"};

const char *ss_structure_kind_name(ss_structure_kind k)
{
    return kind_names[k];
}

/* A row while the list is made. */
typedef struct {
    const clause *clause;
    place at;
    ss_str modules;
    ss_structure_row row;
} draft;

typedef struct {
    const ss_model *model;
    const ss_unet_config *u;
    const ss_module *const *modules;
    int n_modules;
    draft *rows;
    size_t n, cap;
    int sums, depth; /* of the network's stream; most blocks of a transformer */
    bool failed;     /* memory ran out */
} walk;

static place place_of(const char *path)
{
    return strncmp(path, "down_blocks.", 12) == 0 ? PLACE_ENCODER
           : strncmp(path, "mid_block", 9) == 0   ? PLACE_MIDDLE
           : strncmp(path, "up_blocks.", 10) == 0 ? PLACE_DECODER
           : strcmp(path, "conv_in") == 0         ? PLACE_INPUT
           : !*path || strncmp(path, "conv_out", 8) == 0 || strcmp(path, "image_sum") == 0
               ? PLACE_OUTPUT
               : PLACE_EMBEDDINGS;
}

/* Adds a module to the row of its clause and place; the first one makes it. */
static void add(walk *w, const clause *c, const char *path)
{
    const place at = place_of(path);
    draft *d = NULL;

    for (size_t i = 0; i < w->n && !d; i++) {
        if (w->rows[i].clause == c && w->rows[i].at == at)
            d = &w->rows[i];
    }
    if (!d) {
        draft *rows = ss_grow(w->rows, &w->cap, w->n + 1, sizeof *rows);

        if (!rows) {
            w->failed = true;
            return;
        }
        w->rows = rows;
        d = &rows[w->n++];
        *d = (draft){.clause = c, .at = at};
    }
    ss_str_addf(&d->modules, "%s%s", d->modules.len ? ", " : "", *path ? path : SS_ROOT);
}

/* The part of a path behind that of its parent. */
static const char *own_name(const walk *w, const ss_module *m)
{
    if (m->parent < 0)
        return m->path;
    const size_t n = strlen(w->modules[m->parent]->path);

    return m->path + (n ? n + 1 : 0);
}

/* A module or inner value NAME directly below m, or NULL. */
static const ss_module *child(const walk *w, const ss_module *m, const char *name)
{
    for (int i = 0; i < w->n_modules; i++) {
        if (w->modules[i]->parent == m->id && strcmp(own_name(w, w->modules[i]), name) == 0)
            return w->modules[i];
    }
    return NULL;
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
    return m->parent >= 0 && is_kind(w->modules[m->parent], kind);
}

/* The level that a module is in; NULL: in none. */
static const ss_block_spec *level_of(const walk *w, const char *path)
{
    const place at = place_of(path);

    if (at == PLACE_MIDDLE)
        return &w->u->mid;
    if (at != PLACE_ENCODER && at != PLACE_DECODER)
        return NULL;
    const int i = atoi(strchr(path, '.') + 1);

    return at == PLACE_ENCODER ? &w->u->down[i] : &w->u->up[i];
}

/* A residual sum on the network's stream that is divided by `divisor`. */
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
    const bool decoder = place_of(m->path) == PLACE_DECODER;
    const bool takes_skip = decoder && strstr(m->path, ".resnets.");

    add_child(w, takes_skip ? &conv_shortcut_skip : &conv_shortcut, m, "conv_shortcut");
    look_at_sum(w, m, s->out_scale,
                s == &w->u->mid                              ? &sum_mid
                : s->type->time_options && w->u->conditional ? &sum_resnet
                                                             : &sum_plain);
    if (takes_skip)
        add(w, &skip, m->path);
    const clause *c = s->scale_shift ? &modulation : &embedding_added;
    add_child(w, c, m, "time_emb_proj");
    add_child(w, c, m, "temb_sum");
    add_child(w, c, m, "norm2_scaled");
    add_child(w, c, m, "norm2_shifted");
    if (s->scale_shift)
        add_child(w, c, m, "conv2");
}

/* Logits that nothing bounds. */
static void look_at_logits(walk *w, const ss_module *m)
{
    const ss_module *stored = child(w, m, "logits");

    if (w->u->remedies.cosine)
        return;
    add(w, &logits, m->path);
    add_child(w, &logits, m, "logits_unscaled");
    add_child(w, &logits, m, "logits");
    if (stored && stored->inner != SS_INNER_UPCAST)
        add(w, parent_is(w, m, "BasicTransformerBlock") ? &upcast_key : &upcast_none, stored->path);
}

static void look_at_attention(walk *w, const ss_module *m)
{
    const ss_block_spec *s = level_of(w, m->path);

    look_at_logits(w, m);
    if (parent_is(w, m, "BasicTransformerBlock")) {
        if (w->u->text_in && (strcmp(own_name(w, m), "attn2") == 0 || s->only_cross)) {
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
    int depth = 0;

    look_at_sum(w, m, 1, &sum_plain);
    for (int i = 0; i < w->n_modules; i++) {
        const ss_module *b = w->modules[i];

        if (b->parent != m->id || !is_kind(b, "BasicTransformerBlock"))
            continue;
        add(w, &sum_inner, b->path);
        depth++;
    }
    if (depth)
        add_child(w, &conv_proj_out, m, "proj_out");
    w->depth = depth > w->depth ? depth : w->depth;
}

static void look_at_resampler(walk *w, const ss_module *m)
{
    const ss_block_spec *s = level_of(w, m->path);
    const bool down = is_kind(m, "Downsample2D");
    /* the two types reach blocks with attention of UNet2DModel only */
    const bool by_type = !w->u->conditional && s->type->attend == SS_ATTEND_SELF;

    add_child(w,
              down      ? by_type ? &conv_down_type : &conv_down
              : by_type ? &conv_up_type
                        : &conv_up,
              m, "conv");
}

static void look_at_top(walk *w, const ss_module *root)
{
    add_child(w, w->u->divide_by_time ? &input_sigma : &input_scaled, root, "conv_in");
    add_child(w, &embedding_sum, root, "time_embedding");
    add_child(w, &embedding_sum, root, "class_embedding");
    if (w->u->addition == SS_ADD_TEXT_TIME) /* the other ends in a norm */
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
    else if (is_kind(m, "ResnetBlock2D"))
        look_at_resnet(w, m);
    else if (is_kind(m, "Attention"))
        look_at_attention(w, m);
    else if (is_kind(m, "AttentionPooling"))
        look_at_logits(w, m);
    else if (is_kind(m, "Transformer2DModel"))
        look_at_transformer(w, m);
    else if (is_kind(m, "GEGLU"))
        add(w, &geglu, m->path);
    else if ((is_kind(m, "Downsample2D") || is_kind(m, "Upsample2D")) && child(w, m, "conv"))
        look_at_resampler(w, m);
    else if (strcmp(own_name(w, m), "skip_conv") == 0 && place_of(m->path) == PLACE_ENCODER)
        add(w, &input_sigma, m->path);
    else if (strcmp(own_name(w, m), "image_sum") == 0 && m->inner)
        add(w, &sum_image, m->path);
}

static bool ends_in(const char *text, const char *end)
{
    const size_t n = strlen(text), k = strlen(end);

    return n > k && strcmp(text + n - k, end) == 0;
}

/* The module of parameter PATH.NAME, if that is what it is called; else NULL. */
static const char *owner_of(const walk *w, const char *parameter, const char *name)
{
    const size_t n = strlen(parameter), k = strlen(name);

    if (n <= k + 1 || strcmp(parameter + n - k, name) != 0 || parameter[n - k - 1] != '.')
        return NULL;
    for (int i = 0; i < w->n_modules; i++) {
        const char *path = w->modules[i]->path;

        if (strlen(path) == n - k - 1 && strncmp(path, parameter, n - k - 1) == 0)
            return path;
    }
    return NULL;
}

/* Ends of branches, whose zero makes the branch nothing. */
static bool is_end(const char *path)
{
    return strcmp(path, "conv_out") == 0 || ends_in(path, ".conv2") || ends_in(path, ".proj_out") ||
           ends_in(path, ".to_out.0") || ends_in(path, ".ff.net.2");
}

static void look_at_weights(walk *w, const float *absmax)
{
    int n;
    ss_weight *const *weights = ss_model_weights(w->model, &n);

    for (int i = 0; i < n; i++) {
        const char *name = weights[i]->name, *path;

        if ((path = owner_of(w, name, "residual_scale")))
            add(w, &factor_residual, path);
        else if ((path = owner_of(w, name, "skip_scale")))
            add(w, &factor_skip, path);
        else if ((path = owner_of(w, name, "gain"))) {
            add(w, &factor_gain, path);
            if (absmax && absmax[i] == 0)
                add(w, &zero, path);
        } else if (absmax && absmax[i] == 0 && (path = owner_of(w, name, "weight")) && is_end(path))
            add(w, &zero, path);
    }
}

static int by_kind(const void *pa, const void *pb)
{
    const draft *a = pa, *b = pb;

    if (a->clause->kind != b->clause->kind)
        return a->clause->kind < b->clause->kind ? -1 : 1;
    int order = strcmp(a->clause->key, b->clause->key);
    if (order == 0)
        order = strcmp(a->clause->reads, b->clause->reads);
    return order ? order : (int)a->at - (int)b->at;
}

/* The value of "KEY" or "remedies.KEY" in config.json, as JSON; NULL: no memory. */
static char *value_text(const json_t *config, const char *key)
{
    static const char inner[] = "remedies.";
    const json_t *v;
    char *json, *copy;

    if (!*key)
        return ss_strdup("");
    if (strncmp(key, inner, strlen(inner)) == 0)
        v = json_object_get(json_object_get(config, "remedies"), key + strlen(inner));
    else
        v = json_object_get(config, key);
    if (!v || json_is_null(v))
        return ss_strdup("absent");
    json = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9));
    copy = json ? ss_strdup(json) : NULL;
    free(json); /* jansson's */
    return copy;
}

/* The row, once all modules were looked at. */
static void complete(walk *w, draft *d)
{
    const clause *c = d->clause;
    ss_str reads = {0};

    ss_str_add(&reads, c->reads);
    if (c == &sum_inner) /* attn1, attn2, ff */
        ss_str_addf(&reads, ": up to %d sums from proj_in to proj_out, and no norm of that stream",
                    3 * w->depth);
    else if (c == &sum_plain || c == &sum_resnet || c == &sum_mid)
        ss_str_addf(&reads, ": %d sums from conv_in to conv_norm_out, and no norm of that stream",
                    w->sums);
    d->row = (ss_structure_row){.kind = kind_names[c->kind],
                                .place = place_names[d->at],
                                .modules = ss_str_detach(&d->modules),
                                .reads = ss_str_detach(&reads),
                                .why = c->why,
                                .key = c->key,
                                .value = value_text(ss_model_config(w->model), c->key),
                                .remedy = c->remedy};
    if (!d->row.modules || !d->row.reads || !d->row.value)
        w->failed = true;
}

static void release_row(const ss_structure_row *r)
{
    ss_free((void *)r->modules);
    ss_free((void *)r->reads);
    ss_free((void *)r->value);
}

ss_code ss_structure_new(const ss_model *m, const float *absmax, ss_structure **out, ss_err *e)
{
    walk w = {.model = m, .u = ss_model_unet(m)};
    ss_structure *s = ss_calloc(1, sizeof *s);

    w.modules = ss_model_modules(m, &w.n_modules);
    for (int i = 0; i < w.n_modules && !w.u->remedies.magnitude; i++)
        look_at_module(&w, w.modules[i]);
    look_at_weights(&w, absmax);
    if (w.n)
        qsort(w.rows, w.n, sizeof *w.rows, by_kind);
    for (size_t i = 0; i < w.n; i++)
        complete(&w, &w.rows[i]);
    if (s)
        s->rows = ss_calloc(w.n, sizeof *s->rows);
    w.failed = w.failed || !s || !s->rows;
    for (size_t i = 0; i < w.n; i++) {
        if (w.failed)
            release_row(&w.rows[i].row);
        else
            s->rows[s->n++] = w.rows[i].row;
    }
    ss_free(w.rows);
    if (w.failed) {
        ss_structure_free(s);
        return ss_fail(e, SS_NOMEM, "out of memory");
    }
    *out = s;
    return SS_OK;
}

void ss_structure_free(ss_structure *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->n; i++)
        release_row(&s->rows[i]);
    ss_free(s->rows);
    ss_free(s);
}
