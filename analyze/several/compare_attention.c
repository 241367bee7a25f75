/* compare_attention.c - see compare_attention.h */
#include "analyze/several/compare_attention.h"

#include "analyze/one/not_finite.h"
#include "attn/entropy.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The data of the two files. */
typedef struct {
    const ss_aligned *a;
    const float *entropy[2], *logit[2], *keys[2];
    bool normalised;
} heads;

/* Mean over samples of the entropy of one head at a place; NaN where there is none. */
static double entropy_at(const heads *h, int run, int layer, int head, int input, int sigma)
{
    const ss_run *r = h->a->runs[run];
    double sum = 0;
    int n = 0;

    for (int k = 0; k < r->n_samples; k++) {
        const float v = h->entropy[run][ss_run_attention_at(
            r, layer, head, ss_align_input(h->a, input, run), ss_align_sigma(h->a, sigma, run), k)];

        sum += isnan(v) ? 0 : v;
        n += !isnan(v);
    }
    if (n && h->normalised)
        return ss_entropy_normalised(sum / n, (double)h->keys[run][layer]);
    return n ? sum / n : NAN;
}

/* Counts the samples, of the common noise levels and inputs, in which a head is not finite;
 * n_heads: of its layer. */
static int count_bad(const heads *h, int run, int layer, int head, int n_heads)
{
    ss_run *r = h->a->runs[run];
    int n = 0;

    for (int i = 0; i < h->a->n_inputs && head < n_heads; i++)
        for (int k = 0; k < h->a->n_sigmas; k++)
            for (int s = 0; s < r->n_samples; s++) {
                const ss_cell c = {ss_align_sigma(h->a, k, run), ss_align_input(h->a, i, run), s};
                const size_t at = ss_run_attention_at(r, layer, head, c.input, c.sigma, s);

                if (!ss_attention_is_due(r, layer, c))
                    continue;
                n += !isfinite(h->entropy[run][at]) ||
                     (h->logit[run] && !isfinite(h->logit[run][at]));
            }
    return n;
}

static double max_logit(const heads *h, int run, int layer, int head)
{
    const ss_run *r = h->a->runs[run];
    double most = NAN;

    for (int i = 0; h->logit[run] && i < h->a->n_inputs; i++)
        for (int k = 0; k < h->a->n_sigmas; k++)
            for (int n = 0; n < r->n_samples; n++)
                most = fmax(
                    most,
                    h->logit[run][ss_run_attention_at(r, layer, head, ss_align_input(h->a, i, run),
                                                      ss_align_sigma(h->a, k, run), n)]);
    return most;
}

static double difference(const ss_attention_row *r)
{
    return fabs(r->entropy[1] - r->entropy[0]);
}

static ss_attention_row compare_head(const heads *h, int layer, int layer_b, int head)
{
    ss_attention_row row = {
        .layer = layer,
        .head = head,
        .layer_b = layer_b,
        .sigma = SS_ALL,
        .input = SS_ALL,
        .entropy = {NAN, NAN},
        .max_logit = {max_logit(h, 0, layer, head), max_logit(h, 1, layer_b, head)},
    };

    for (int k = 0; k < h->a->n_sigmas; k++) {
        for (int i = 0; i < h->a->n_inputs; i++) {
            const double a = entropy_at(h, 0, layer, head, i, k);
            const double b = entropy_at(h, 1, layer_b, head, i, k);

            if (isnan(b - a) || fabs(b - a) <= difference(&row))
                continue;
            row.entropy[0] = a;
            row.entropy[1] = b;
            row.sigma = k;
            row.input = i;
        }
    }
    return row;
}

static int larger_first(const void *a, const void *b)
{
    const ss_attention_row *x = a, *y = b;
    const double p = fmax(-1, difference(x)), q = fmax(-1, difference(y)); /* NaN last */
    const bool bad = x->bad[0] || x->bad[1];

    if (bad != (y->bad[0] || y->bad[1]))
        return bad ? -1 : 1;
    if (p != q)
        return p < q ? 1 : -1;
    return x->layer != y->layer ? x->layer - y->layer : x->head - y->head;
}

static ss_code read_heads(const ss_aligned *a, heads *h, ss_err *e)
{
    ss_code rc = SS_OK;

    *h = (heads){.a = a, .normalised = true};
    for (int run = 0; run < 2 && rc == SS_OK; run++) {
        ss_run *r = a->runs[run];

        if ((rc = ss_run_attention(r, "entropy", &h->entropy[run], e)) == SS_OK &&
            (rc = ss_run_attention(r, "max_logit", &h->logit[run], e)) == SS_OK)
            rc = ss_run_attention_keys(r, &h->keys[run], e);
        h->normalised &= h->keys[run] != NULL;
    }
    return rc;
}

static bool wanted(const char *path, const char *const *globs, int n_globs)
{
    bool hit = n_globs == 0;

    for (int g = 0; g < n_globs; g++)
        hit |= ss_glob_module(globs[g], path);
    return hit;
}

ss_code ss_compare_heads_find(const ss_compare *c, const char *name, const char *const *globs,
                              int n_globs, ss_compare_heads *x, ss_err *e)
{
    const ss_run *a = c->aligned.runs[0], *b = c->aligned.runs[1];
    const int n_heads = a->n_heads < b->n_heads ? a->n_heads : b->n_heads;
    heads h;
    ss_code rc = read_heads(&c->aligned, &h, e);

    *x = (ss_compare_heads){.normalised = h.normalised};
    snprintf(x->title, sizeof x->title, "attention %.12s", name);
    if (rc != SS_OK || !h.entropy[0] || !h.entropy[1])
        return rc;
    x->rows = ss_calloc((size_t)a->n_layers * (size_t)n_heads, sizeof *x->rows);
    if (!x->rows)
        return ss_no_memory(e, "comparing attention");
    for (int l = 0; l < a->n_layers; l++) {
        const int other = ss_align_label(b->layers, b->n_layers, a->layers[l]);

        for (int k = 0; k < n_heads && other >= 0 && wanted(a->layers[l], globs, n_globs); k++) {
            ss_attention_row row = compare_head(&h, l, other, k);
            int n[2];

            if ((rc = ss_layer_heads(c->aligned.runs[0], l, &n[0], e)) != SS_OK ||
                (rc = ss_layer_heads(c->aligned.runs[1], other, &n[1], e)) != SS_OK)
                return rc;
            row.bad[0] = count_bad(&h, 0, l, k, n[0]);
            row.bad[1] = count_bad(&h, 1, other, k, n[1]);

            if (row.sigma >= 0 || row.bad[0] || row.bad[1] || !isnan(row.max_logit[0]) ||
                !isnan(row.max_logit[1]))
                x->rows[x->n++] = row; /* else a head that this layer has not */
        }
    }
    qsort(x->rows, (size_t)x->n, sizeof *x->rows, larger_first);
    return SS_OK;
}

void ss_compare_heads_release(ss_compare_heads *x)
{
    ss_free(x->rows);
    *x = (ss_compare_heads){0};
}

ss_code ss_compare_heads_table(const ss_compare *c, const ss_compare_heads *x, int top, ss_table *t,
                               ss_err *e)
{
    static const char *const columns[] = {"entropy A", "entropy B", "difference", "logit A",
                                          "logit B"};
    const ss_aligned *a = &c->aligned;
    const int shown = top < x->n ? top : x->n;
    ss_code rc = ss_table_init(t, x->title, e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "layer", SS_COL_TEXT, NULL);
    ss_table_column(t, "head", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "input", SS_COL_TEXT, NULL);
    ss_table_column(t, "sigma", SS_COL_AXIS, NULL);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        ss_table_column(t, columns[i], SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "not finite", SS_COL_TEXT, NULL);
    for (int i = 0; i < shown; i++) {
        const ss_attention_row *r = &x->rows[i];
        const double cells[] = {r->entropy[0], r->entropy[1], r->entropy[1] - r->entropy[0],
                                r->max_logit[0], r->max_logit[1]};

        ss_table_row(t);
        ss_table_text(t, a->runs[0]->layers[r->layer]);
        ss_table_number(t, r->head);
        ss_table_text(t, r->input < 0 ? "-" : a->runs[0]->inputs[ss_align_input(a, r->input, 0)]);
        ss_table_number(t, r->sigma < 0 ? NAN : a->runs[0]->sigmas[ss_align_sigma(a, r->sigma, 0)]);
        for (size_t k = 0; k < sizeof cells / sizeof *cells; k++)
            ss_table_number(t, cells[k]);
        ss_table_text(t, r->bad[0] && r->bad[1] ? "A and B"
                         : r->bad[0]            ? "A"
                         : r->bad[1]            ? "B"
                                                : "");
    }
    if (ss_run_is_text(a->runs[0]))
        ss_table_drop(t, "sigma");
    if (x->n)
        ss_table_note(t, "%s where it differs most, and the largest logit anywhere; %d of %d heads",
                      x->normalised ? "entropy over its largest value, ln(keys),"
                                    : "entropy, nats,",
                      shown, x->n);
    else
        ss_table_note(t, "no attention layer is in both runs");
    return SS_OK;
}
