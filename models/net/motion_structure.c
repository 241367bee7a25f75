/* motion_structure.c - see motion_structure.h */
#include "models/net/motion_structure.h"

#include <string.h>

typedef ss_structure_clause clause;

#define NORM_KEY "motion.norm", "true puts a norm of each frame there"

static const clause
    attention = {SS_STRUCTURE_ATTENTION, "q, k and v of the stream, without a norm before",
                 "q and k grow with the stream, logits with its square", NORM_KEY},
    attention_cosine =
        {SS_STRUCTURE_ATTENTION, "q, k and v of the stream, without a norm before",
         "v and what is added to the stream grow with it; cosine attention bounds the logits alone",
         NORM_KEY},
    conv2d = {SS_STRUCTURE_CONVOLUTION, "the stream, without a norm before",
              "the branch grows with the stream that it is added to", NORM_KEY},
    conv1d = {SS_STRUCTURE_CONVOLUTION, "silu of a convolution that has no norm before or after",
              "the branch grows with the stream that it is added to", NORM_KEY};

/* Clauses of what a remedy helps against: by the network's remedies, and by those of motion. */
static const clause sum[] = {{SS_STRUCTURE_SUM, "x + branch of a motion block",
                              "each sum adds its branch, and nothing takes size away again",
                              "remedies.residual_scale", "below 1 each branch counts less"},
                             {SS_STRUCTURE_SUM, "x + branch of a motion block",
                              "each sum adds its branch, and nothing takes size away again",
                              "motion.remedies.residual_scale", "below 1 each branch counts less"}};
static const clause logits[] = {
    {SS_STRUCTURE_LOGITS, "q.k / sqrt(width of a head) over frames, of projections without a norm",
     "logits grow with the product of both projections' weights", "remedies.cosine_attention",
     "true bounds logits by the square root of the width"},
    {SS_STRUCTURE_LOGITS, "q.k / sqrt(width of a head) over frames, of projections without a norm",
     "logits grow with the product of both projections' weights",
     "motion.remedies.cosine_attention", "true bounds logits by the square root of the width"}};
static const clause upcast = {
    SS_STRUCTURE_UPCAST, "logits as eager attention stores them, in the half format",
    "they do not grow by it, but overflow before the softmax bounds them", "",
    "no key changes it here; scaled_dot_product_attention keeps them in fp32"};

static void add_child(ss_structure_list *l, const clause *c, ss_place at, const ss_module *m,
                      const char *name)
{
    const ss_module *found = ss_structure_child(l, m, name);

    if (found)
        ss_structure_add(l, c, at, found->path);
}

/* Adds an attention: its logits, and, where no norm is in front, what reads the stream. */
static void look_at_attention(const ss_remedies *r, bool own, ss_place at, const ss_module *m,
                              ss_structure_list *l)
{
    static const char *const projections[] = {"to_q", "to_k", "to_v", "to_out.0"};
    const clause *c = r->cosine ? &attention_cosine : &attention;

    if (!r->cosine) {
        ss_structure_add(l, &logits[own], at, m->path);
        add_child(l, &logits[own], at, m, "logits_unscaled");
        add_child(l, &logits[own], at, m, "logits");
        add_child(l, &upcast, at, m, "logits");
    }
    if (ss_structure_child(l, m, "norm"))
        return;
    ss_structure_add(l, c, at, m->path);
    for (size_t i = 0; i < sizeof projections / sizeof *projections; i++)
        add_child(l, c, at, m, projections[i]); /* what attention gives is a mean of v */
}

bool ss_motion_structure(const ss_motion_config *g, const ss_remedies *network, ss_place at,
                         const ss_module *m, ss_structure_list *l)
{
    const ss_remedies *r = g->own_remedies ? &g->remedies : network;
    const ss_module *block = m->parent >= 0 ? l->modules[m->parent] : NULL;

    if (!block || strcmp(block->kind, "MotionBlock") != 0)
        return false;
    if (!r->residual.learned && !(r->residual.value > 0 && r->residual.value < 1) &&
        block->limit <= 0)
        ss_structure_add(l, &sum[g->own_remedies], at, m->path);
    if (strcmp(m->kind, "Attention") == 0) {
        look_at_attention(r, g->own_remedies, at, m, l);
    } else if (!ss_structure_child(l, m, "norm")) {
        add_child(l, &conv2d, at, m, "conv2d");
        add_child(l, &conv1d, at, m, "conv1d");
    }
    return true;
}
