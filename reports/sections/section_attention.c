/* section_attention.c - entropy of every head over sigma, and why logits are large */
#include "base/mem.h"
#include "reports/page/curves.h"
#include "reports/page/heat.h"
#include "reports/sections/sections.h"

#include <math.h>

enum { MAX_ROWS = 64, TABLE_ROWS = 2000 };

/* Heads that the figure shows: all, or of many those with the least entropy, in the order of the
 * file. Returns how many. */
static int shown_heads(const ss_attn *a, int *heads)
{
    double limit = INFINITY;
    int n = 0;

    if (a->n_heads > MAX_ROWS) { /* the MAX_ROWS-th smallest, by counting */
        for (int i = 0; i < a->n_heads; i++) {
            int below = 0;

            for (int k = 0; k < a->n_heads; k++)
                below += a->heads[k].least < a->heads[i].least;
            if (below >= MAX_ROWS && a->heads[i].least < limit)
                limit = a->heads[i].least;
        }
    }
    for (int i = 0; i < a->n_heads && n < MAX_ROWS; i++) {
        if (!(a->heads[i].least >= limit))
            heads[n++] = i;
    }
    return n;
}

static ss_code heat(ss_page *page, const ss_analysis *x, ss_err *e)
{
    const ss_attn *a = &x->attention;
    const ss_run *r = x->run;
    int heads[MAX_ROWS], n = shown_heads(a, heads);
    ss_heat h;
    double *v;
    char label[256], alt[300], caption[300];
    bool any = false;

    if (n == 0 || a->n_levels < 2 || !a->has_keys)
        return SS_OK;
    for (int i = 0; i < n * a->n_levels && !any; i++)
        any = isfinite(ss_attn_at(a, heads[i / a->n_levels], i % a->n_levels));
    if (!any) {
        ss_page_nothing(page, "no head has an entropy that is a finite number.");
        return SS_OK;
    }
    if (!(v = ss_alloc((size_t)a->n_levels, sizeof *v)))
        return ss_no_memory(e, r->path);
    ss_heat_begin(&h, "sigma", "entropy / ln keys");
    for (int k = 0; k < a->n_levels; k++) {
        snprintf(label, sizeof label, "%.3g", r->sigmas[x->order[k]]);
        ss_heat_column(&h, label);
    }
    for (int i = 0; i < n; i++) {
        const ss_attn_head *head = &a->heads[heads[i]];

        for (int k = 0; k < a->n_levels; k++)
            v[k] = ss_attn_at(a, heads[i], k);
        snprintf(label, sizeof label, "%.200s, head %d", r->layers[head->layer], head->head);
        ss_heat_row(&h, label, v, NULL);
    }
    ss_heat_end(&h, SS_HEAT_LINEAR);
    ss_free(v);
    snprintf(
        alt, sizeof alt,
        "Heat map of normalised attention entropy: %d heads by %d noise levels; %d of %d heads "
        "have collapsed.",
        n, a->n_levels, a->n_collapsed, a->n_heads);
    snprintf(caption, sizeof caption,
             "Entropy of each head over the logarithm of the number of keys: 1 (yellow) looks "
             "everywhere alike, 0 (violet) at one key.%s",
             n < a->n_heads ? " The heads with least entropy; the table has all." : "");
    return ss_page_figure(page, &h.plot, "attention", SS_PLOT_WIDTH, ss_heat_height(&h), alt,
                          caption, e);
}

/* Layers that the figure of distances shows: at most MAX_LINES, evenly spread. Returns how many. */
static int shown_layers(const ss_frame_attention *a, int *layers)
{
    enum { MAX_LINES = 8 };
    int n = 0, shown;

    for (int i = 0; i < a->n; i++)
        n += i == 0 || a->heads[i].layer != a->heads[i - 1].layer;
    shown = n < MAX_LINES ? n : MAX_LINES;
    for (int i = 0, k = 0, seen = -1; i < a->n && k < shown; i++) {
        seen += i == 0 || a->heads[i].layer != a->heads[i - 1].layer;
        if ((k == 0 || layers[k - 1] != a->heads[i].layer) &&
            seen == (shown == 1 ? 0 : k * (n - 1) / (shown - 1)))
            layers[k++] = a->heads[i].layer;
    }
    return shown;
}

/* The mean mass of a layer's heads at a distance, over that of an even spread. */
static double over_even(const ss_frame_attention *a, int layer, int distance)
{
    double sum = 0;
    int n = 0;

    for (int i = 0; i < a->n; i++) {
        if (a->heads[i].layer != layer || distance >= a->heads[i].frames)
            continue;
        sum += a->mass[(size_t)i * (size_t)a->most_frames + (size_t)distance] /
               ss_even_mass(a->heads[i].frames, distance);
        n++;
    }
    return n ? sum / n : NAN;
}

/* Attention over frames: mass against distance, within and beyond the trained number. */
static ss_code distances(ss_page *page, const ss_analysis *x, ss_err *e)
{
    const ss_frame_attention *a = &x->frames;
    int layers[8];
    const int n = shown_layers(a, layers);
    const bool beyond = a->trained && a->trained < a->most_frames;
    ss_plot p = {0};
    char alt[200], caption[300];

    if (a->most_frames < 2)
        return SS_OK;
    ss_plot_add(&p, "$d << EOD\n");
    for (int d = 0; d < a->most_frames; d++) {
        ss_plot_addf(&p, "%d", d);
        for (int i = 0; i < n; i++) {
            ss_plot_add(&p, " ");
            ss_plot_number(&p, over_even(a, layers[i], d));
        }
        ss_plot_add(&p, "\n");
    }
    ss_plot_add(&p, "EOD\n");
    ss_plot_settings(&p);
    ss_plot_panel(&p, "", "distance in frames", "share, over an even one");
    ss_plot_addf(&p,
                 "set xlabel 'distance in frames'\nset ylabel 'share, over an even one'\n"
                 "set xrange [0:%d]\nset yrange [0:*]\n",
                 a->most_frames - 1);
    if (beyond)
        ss_plot_addf(&p, "set arrow from %g, graph 0 to %g, graph 1 nohead lt %d\n",
                     a->trained - 0.5, a->trained - 0.5, SS_PLOT_LIMIT);
    for (int i = 0; i < n; i++)
        ss_plot_series(&p, i + 1, SS_PLOT_BOTH, x->run->layers[layers[i]], "$d", 1, i + 2);
    ss_plot_limit(&p, "even", 1);
    ss_plot_items_end(&p);
    snprintf(alt, sizeof alt, "Attention over frames against distance: %d layers, %d frames.", n,
             a->most_frames);
    snprintf(caption, sizeof caption,
             "Attention at each distance between frames over that of an even spread, mean over "
             "heads: 1 looks at all frames alike.%s",
             beyond ? " Distances right of the line do not occur in the trained number of frames."
                    : "");
    return ss_page_figure(page, &p, "attention-frames", SS_PLOT_WIDTH, 340, alt, caption, e);
}

/* Writes what is known of attention over frames. */
static ss_code over_frames(ss_page *page, const ss_analysis *x, ss_err *e)
{
    ss_table t;
    ss_code rc;

    if (!x->frames.n)
        return SS_OK;
    rc = distances(page, x, e);
    if (rc == SS_OK &&
        (rc = ss_frame_attention_table(x->run, &x->frames, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc;
}

ss_code ss_section_attention(ss_page *page, const ss_analysis *x, ss_err *e)
{
    ss_table t;
    ss_code rc;

    if (!x->has_attention || x->n == 0)
        return SS_OK;
    ss_page_section(page, "attention", "Attention: entropy and logits");
    html_element(page->f, "p", NULL, "%s", x->attention_sentence);
    rc = heat(page, x, e);
    if (rc == SS_OK)
        rc = over_frames(page, x, e);
    if (rc == SS_OK &&
        (rc = ss_attn_heads_table(x->run, &x->attention, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK &&
        (rc = ss_attn_logits_table(x->run, &x->attention, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK &&
        (rc = ss_attn_shares_table(x->run, &x->attention, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc;
}
