/* inner.c - inner values (hooks.h) that never exist as tensors, shown all the same
 *
 * Of these are known the least and the largest value, how many are inf or NaN, and the exponents of
 * large ones; no moments. Values below 2^SS_LOGIT_FROM are counted together with the smallest
 * normal exponent: what overflows in a format of at least that range is exact, what underflows is
 * not told.
 */
#include "base/mem.h"
#include "kernels/call.h"

#include <math.h>

static ss_stats nothing_known(uint64_t count)
{
#define X(name) .name = NAN,
    return (ss_stats){SS_STATS(X).count = count};
#undef X
}

/* After the large ones: the others. */
static void count_small(ss_stats *s)
{
    uint64_t counted = 0;

    s->exponent[SS_N_EXPONENTS - 1] = s->nonfinite;
    for (int k = 0; k < SS_N_EXPONENTS; k++)
        counted += s->exponent[k];
    s->exponent[1] += s->count - counted;
}

/* Adds values from least to most, of which |x| = peak is the largest that counts. */
static void add_values(ss_stats *s, float least, float most, float peak)
{
    s->min = fminf(s->min, least); /* of a NaN and a number: the number */
    s->max = fmaxf(s->max, most);
    s->absmax = fmaxf(s->absmax, peak);
}

static void add_logits(ss_stats *s, const ss_logit_stats *x, bool unscaled, float scale)
{
    const uint64_t *large = unscaled ? x->raw_large : x->large;

    if (unscaled)
        add_values(s, x->raw_least / scale, x->raw_most / scale, x->raw_peak / scale);
    else
        add_values(s, x->least, x->most, x->peak);
    for (int k = 0; k < SS_LOGIT_EXPONENTS; k++)
        s->exponent[127 + SS_LOGIT_FROM + k] += large[k];
    s->nonfinite += unscaled ? x->raw_nonfinite : x->nonfinite;
}

void ss_show_logits(ss_ctx *c, const ss_module *m, const ss_logit_stats *l, int N, int heads,
                    uint64_t per_head, float scale)
{
    ss_stats *stats = ss_calloc((size_t)N, sizeof *stats);

    if (!stats) {
        ss_ctx_fail(c, SS_NOMEM, "out of memory");
        return;
    }
    for (int n = 0; n < N; n++) {
        ss_stats *s = &stats[n];

        *s = nothing_known(per_head * (uint64_t)heads);
        for (int h = 0; h < heads; h++) {
            const ss_logit_stats *x = &l[n * heads + h];

            if (m->inner == SS_INNER_PROBABILITIES) { /* the least is not looked at */
                add_values(s, NAN, x->probability, x->probability);
                s->nonfinite += x->lost;
            } else {
                add_logits(s, x, m->inner == SS_INNER_UNSCALED, scale);
            }
        }
        count_small(s);
    }
    c->hooks.see_stats(c->hooks.self, c, m, SS_PORT_OUTPUT, stats, N);
    ss_free(stats);
}

bool ss_watches(const ss_ctx *c, const ss_module *m)
{
    return m && m->path && c->hooks.see_stats && m->id < c->n_modules &&
           c->sites[m->id].watch[SS_PORT_OUTPUT];
}

static void add_range(ss_stats *s, float least, float most)
{
    add_values(s, least, most, fmaxf(fabsf(least), fabsf(most)));
}

/* The range of y (1 + scale), and of that + shift, of a sample's channels: y is between least and
 * most, and rounding keeps the order. */
static void modulated_range(const float *least, const float *most, const float *mod, int64_t C,
                            ss_stats *scaled, ss_stats *shifted)
{
    for (int64_t k = 0; k < C; k++) {
        const float a = least[k] * (1 + mod[k]), b = most[k] * (1 + mod[k]);

        add_range(scaled, fminf(a, b), fmaxf(a, b));
        add_range(shifted, fminf(a, b) + mod[C + k], fmaxf(a, b) + mod[C + k]);
    }
}

static bool is_small(const ss_stats *s)
{
    return s->absmax < 1 << SS_LOGIT_FROM; /* false for NaN */
}

bool ss_see_modulated(ss_ctx *c, const ss_module *scaled, const ss_module *shifted,
                      const ss_tensor *y, const ss_tensor *mod)
{
    const int64_t N = ss_dim(y, 0), C = ss_dim(y, -1);
    const uint64_t count = N ? (uint64_t)(ss_shape_numel(y->shape) / N) : 0;
    float *range, *values;
    ss_stats *stats;
    bool all_small = true;

    if (c->shapes_only || !c->hooks.see_stats)
        return false;
    range = ss_alloc((size_t)(4 * N * C), sizeof *range); /* least, most [N][C]; mod [N][2C] */
    stats = ss_alloc((size_t)(2 * N), sizeof *stats);
    values = range + 2 * N * C;
    if (!range || !stats)
        ss_ctx_fail(c, SS_NOMEM, "out of memory");
    else if (ss_do_channel_range(c, y, range, range + N * C) != SS_OK ||
             c->be->download(c->dev, mod, values, &c->op_err) != SS_OK)
        ss_ctx_fail(c, c->op_err.code, "%s", c->op_err.msg);
    for (int64_t n = 0; n < N && !ss_ctx_failed(c); n++) {
        stats[n] = stats[N + n] = nothing_known(count);
        modulated_range(range + n * C, range + (N + n) * C, values + 2 * n * C, C, &stats[n],
                        &stats[N + n]);
        all_small &= is_small(&stats[n]) && is_small(&stats[N + n]);
        count_small(&stats[n]);
        count_small(&stats[N + n]);
    }
    if (all_small && !ss_ctx_failed(c) && ss_watches(c, scaled))
        c->hooks.see_stats(c->hooks.self, c, scaled, SS_PORT_OUTPUT, stats, (int)N);
    if (all_small && !ss_ctx_failed(c) && ss_watches(c, shifted))
        c->hooks.see_stats(c->hooks.self, c, shifted, SS_PORT_OUTPUT, stats + N, (int)N);
    ss_free(range);
    ss_free(stats);
    return all_small;
}
