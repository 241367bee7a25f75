/* inner.c - inner values (hooks.h) that never exist as tensors, shown all the same; what is known
 * of them is in inner_stats.h */
#include "kernels/call.h"
#include "kernels/inner_stats.h"

/* ---- attention ---- */

/* Statistics of the heads of one attention, and who watches it. */
typedef struct {
    ss_result r;
    ss_attention_watchers watchers;
    int n, frames, heads; /* n samples */
    int64_t queries, keys;
    float scale;
    int of_frames;             /* of which the keys are tokens, or 0 */
    float *frame_mass;         /* [n][frames][heads][2][of_frames] */
    ss_stats *shown;           /* [n] */
    ss_attention_stats *stats; /* [n][frames][heads] */
    ss_logit_stats logits[];   /* [n][frames][heads]; the other arrays follow */
} attention_result;

static void add_logits(ss_stats *s, const ss_logit_stats *x, bool unscaled, float scale)
{
    const uint64_t *large = unscaled ? x->raw_large : x->large;

    if (unscaled)
        ss_add_values(s, x->raw_least / scale, x->raw_most / scale, x->raw_peak / scale);
    else
        ss_add_values(s, x->least, x->most, x->peak);
    for (int k = 0; k < SS_LOGIT_EXPONENTS; k++)
        s->exponent[127 + SS_LOGIT_FROM + k] += large[k];
    s->nonfinite += unscaled ? x->raw_nonfinite : x->nonfinite;
}

static void show_logits(ss_ctx *c, const ss_module *m, const attention_result *a)
{
    for (int n = 0; n < a->n; n++) {
        ss_stats *s = &a->shown[n];

        const int rows = a->frames * a->heads;

        *s = ss_nothing_known((uint64_t)(a->queries * a->keys) * (uint64_t)rows);
        for (int i = 0; i < rows; i++) {
            const ss_logit_stats *x = &a->logits[n * rows + i];

            if (m->inner == SS_INNER_PROBABILITIES) { /* the least is not looked at */
                ss_add_values(s, NAN, x->probability, x->probability);
                s->nonfinite += x->lost;
            } else {
                add_logits(s, x, m->inner == SS_INNER_UNSCALED, a->scale);
            }
        }
        ss_count_small(s);
    }
    c->hooks.see_stats(c->hooks.self, c, m, SS_PORT_OUTPUT, a->shown, a->n);
}

/* Makes one mass of those of a sample's frames, as below. */
static void merge_masses(attention_result *a)
{
    const size_t F = 2 * (size_t)a->of_frames, step = F * (size_t)a->heads;

    for (int n = 0; n < a->n; n++) {
        for (size_t i = 0; i < step; i++) {
            const float *of = a->frame_mass + (size_t)n * (size_t)a->frames * step + i;
            double sum = 0;

            for (int f = 0; f < a->frames; f++)
                sum += of[(size_t)f * step];
            a->frame_mass[(size_t)n * step + i] = (float)(sum / a->frames);
        }
    }
}

/* Makes one statistic of those of a sample's frames, which have as many queries each. */
static void merge_frames(attention_result *a)
{
    for (int n = 0; n < a->n; n++) {
        for (int h = 0; h < a->heads; h++) {
            const ss_attention_stats *of =
                a->stats + (size_t)n * (size_t)(a->frames * a->heads) + h;
            ss_attention_stats s = *of;
            double entropy = s.entropy;

            for (int f = 1; f < a->frames; f++) {
                of += a->heads;
                entropy += of->entropy;
                s.entropy_min = fminf(s.entropy_min, of->entropy_min);
                s.max_logit = fmaxf(s.max_logit, of->max_logit);
                s.sink = fmaxf(s.sink, of->sink);
            }
            s.entropy = (float)(entropy / a->frames);
            a->stats[n * a->heads + h] = s; /* at or before where it was read */
        }
    }
}

static void deliver_attention(ss_ctx *c, ss_result *r)
{
    attention_result *a = (attention_result *)r;
    const ss_attention_watchers *w = &a->watchers;

    if (a->frames > 1) {
        merge_frames(a);
        merge_masses(a);
    }
    for (int i = 0; a->of_frames && i < a->n * a->heads; i++) {
        a->stats[i].frames = a->of_frames;
        a->stats[i].frame_mass = a->frame_mass + 2 * (size_t)i * (size_t)a->of_frames;
    }
    if (w->module)
        c->hooks.see_attention(c->hooks.self, c, w->module, a->stats, a->n, a->heads, a->keys);
    for (int k = 0; k < SS_N_ATTENTION_INNERS; k++)
        if (w->inner[k])
            show_logits(c, w->inner[k], a);
}

bool ss_ask_attention(ss_ctx *c, const ss_attention_watchers *w, ss_node *n)
{
    const size_t N = (size_t)ss_dim(n->in[0], 0), heads = (size_t)n->arg.attention.heads;
    const size_t of_frames = (size_t)n->arg.attention.of_frames;
    attention_result *a = (attention_result *)ss_result_new(
        c,
        sizeof *a +
            N * heads *
                (sizeof *a->logits + sizeof *a->stats + 2 * of_frames * sizeof *a->frame_mass) +
            N * sizeof *a->shown,
        deliver_attention);

    if (!a)
        return false;
    a->watchers = *w;
    a->frames = w->frames;
    a->n = (int)N / a->frames;
    a->heads = (int)heads;
    a->queries = ss_dim(n->in[0], 1);
    a->keys = ss_dim(n->in[1], 1);
    a->scale = n->arg.attention.scale;
    a->shown = (ss_stats *)(a->logits + N * heads);
    a->stats = (ss_attention_stats *)(a->shown + N);
    a->of_frames = (int)of_frames;
    a->frame_mass = (float *)(a->stats + N * heads);
    n->stats = a->stats;
    n->logits = a->logits;
    n->frame_mass = of_frames ? a->frame_mass : NULL;
    return true;
}

void ss_announce_attention(ss_ctx *c, const ss_attention_watchers *w, const ss_node *n)
{
    const int N = (int)ss_dim(n->in[0], 0) / w->frames;
    const ss_attention_stats announced = {.frames = n->arg.attention.of_frames};

    if (w->module)
        c->hooks.see_attention(c->hooks.self, c, w->module, announced.frames ? &announced : NULL, N,
                               n->arg.attention.heads, ss_dim(n->in[1], 1));
    for (int k = 0; k < SS_N_ATTENTION_INNERS; k++)
        if (w->inner[k])
            c->hooks.see_stats(c->hooks.self, c, w->inner[k], SS_PORT_OUTPUT, NULL, N);
}

bool ss_watches(const ss_ctx *c, const ss_module *m)
{
    return m && m->path && c->hooks.see_stats && m->id < c->n_modules &&
           c->sites[m->id].watch[SS_PORT_OUTPUT];
}

/* ---- modulation ---- */

typedef struct {
    ss_result r;
    const ss_module *scaled, *shifted; /* NULL where nobody looks */
    int n;
    ss_stats stats[]; /* [2][n] */
} modulated_result;

static void deliver_modulated(ss_ctx *c, ss_result *r)
{
    const modulated_result *a = (const modulated_result *)r;

    if (a->scaled)
        c->hooks.see_stats(c->hooks.self, c, a->scaled, SS_PORT_OUTPUT, a->stats, a->n);
    if (a->shifted)
        c->hooks.see_stats(c->hooks.self, c, a->shifted, SS_PORT_OUTPUT, a->stats + a->n, a->n);
}

bool ss_see_modulated(ss_ctx *c, const ss_module *scaled, const ss_module *shifted,
                      const ss_tensor *y, const ss_tensor *mod)
{
    const int64_t N = ss_dim(y, 0);

    if (c->shapes_only || !c->hooks.see_stats)
        return false;
    modulated_result *a = (modulated_result *)ss_result_new(
        c, sizeof *a + 2 * (size_t)N * sizeof a->stats[0], deliver_modulated);
    if (!a)
        return true;
    a->scaled = ss_watches(c, scaled) ? scaled : NULL;
    a->shifted = ss_watches(c, shifted) ? shifted : NULL;
    a->n = (int)N;
    if (ss_do_modulated_stats(c, y, mod, a->stats, a->stats + N) != SS_OK)
        ss_ctx_fail(c, c->op_err.code, "%s", c->op_err.msg);
    return true;
}
