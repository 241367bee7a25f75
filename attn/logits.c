/* logits.c - see logits.h */
#include "attn/logits.h"

#include "attn/entropy.h"

#include <math.h>
#include <stddef.h>

const char *ss_logit_verdict_text(ss_logit_verdict v)
{
#define X(name, text) text,
    static const char *const texts[] = {SS_LOGIT_VERDICTS(X)};
#undef X

    return texts[v];
}

/* Moments of y against x, over the pairs that are both finite. */
typedef struct {
    double yy, xx, xy; /* sums of products of differences from the means */
    int n;
} moments;

/* The logarithm of a size; NaN where there is none. */
static double log_of(double x)
{
    return x > 0 && isfinite(x) ? log(x) : NAN;
}

typedef enum { OF_SIZE, OF_INPUT, OF_ENTROPY } quantity;

static double quantity_of(const ss_logit_cell *c, quantity q)
{
    switch (q) {
    case OF_SIZE: return log_of(c->size);
    case OF_INPUT: return log_of(c->input);
    case OF_ENTROPY: return c->normalised;
    }
    return NAN;
}

static moments moments_of(const ss_logit_cell *cells, int n, quantity q)
{
    double my = 0, mx = 0;
    moments m = {0};

    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < n; i++) {
            const double y = log_of(cells[i].max_logit), x = quantity_of(&cells[i], q);

            if (!isfinite(y) || !isfinite(x))
                continue;
            if (pass == 0) {
                my += y;
                mx += x;
                m.n++;
            } else {
                m.yy += (y - my) * (y - my);
                m.xx += (x - mx) * (x - mx);
                m.xy += (y - my) * (x - mx);
            }
        }
        if (pass == 0) {
            my /= m.n;
            mx /= m.n;
        }
    }
    return m;
}

/* Differences that rounding of f32 makes count as none. */
static bool has_variance(double sum, int n)
{
    return n > 1 && sum / n > 1e-12;
}

static double share_of(const ss_logit_cell *cells, int n, quantity q)
{
    const moments m = moments_of(cells, n, q);

    return has_variance(m.yy, m.n) ? m.xy / m.yy : NAN;
}

static double correlation(const ss_logit_cell *cells, int n, quantity q)
{
    const moments m = moments_of(cells, n, q);

    return has_variance(m.yy, m.n) && has_variance(m.xx, m.n) ? m.xy / sqrt(m.xx * m.yy) : NAN;
}

static ss_logit_verdict verdict_of(const ss_logits *g)
{
    if (g->peak < 0)
        return SS_LOGITS_UNKNOWN;
    if (!g->large)
        return SS_LOGITS_SMALL;
    if (g->from_size)
        return g->collapsed ? SS_LOGITS_BOTH : SS_LOGITS_INPUTS;
    if (g->collapsed)
        return SS_LOGITS_COLLAPSED;
    return isnan(g->at.size) ? SS_LOGITS_UNKNOWN : SS_LOGITS_ALIGNED;
}

ss_logits ss_logits_explain(const ss_logit_cell *cells, int n)
{
    ss_logits g = {.peak = -1, .at = {NAN, NAN, NAN, NAN}};
    double least = NAN;

    for (int i = 0; i < n; i++) {
        const double m = cells[i].max_logit;

        if (isnan(m))
            continue;
        g.n++;
        if (m > 0)
            least = fmin(least, m);
        if (g.peak < 0 || m > g.at.max_logit) {
            g.peak = i;
            g.at = cells[i];
        }
    }
    g.varies = g.at.max_logit > 0 ? g.at.max_logit / least : NAN;
    g.size_share = share_of(cells, n, OF_SIZE);
    g.input_share = share_of(cells, n, OF_INPUT);
    g.entropy_corr = correlation(cells, n, OF_ENTROPY);
    g.large = g.at.max_logit >= SS_LARGE_LOGIT;
    g.collapsed = ss_entropy_collapsed(g.at.normalised);
    if (g.varies >= SS_LOGIT_VARIES && !isnan(g.size_share))
        g.from_size = g.size_share >= 0.5;
    else
        g.from_size = g.at.size >= sqrt(g.at.max_logit);
    g.from_size = g.from_size && g.large;
    g.from_input = g.from_size && g.at.input >= sqrt(g.at.size);
    g.verdict = verdict_of(&g);
    return g;
}
