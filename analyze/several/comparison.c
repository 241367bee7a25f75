/* comparison.c - see comparison.h */
#include "analyze/several/comparison.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

ss_code ss_comparison_find(ss_run *a, ss_run *b, const char *name, const char *const *globs,
                           int n_globs, ss_comparison *x, ss_err *e)
{
    ss_code rc;

    *x = (ss_comparison){0};
    if ((rc = ss_compare_find(a, b, name, globs, n_globs, &x->sites, e)) == SS_OK &&
        (rc = ss_compare_heads_find(&x->sites, name, globs, n_globs, &x->heads, e)) == SS_OK &&
        (rc = ss_compare_inputs_find(&x->sites, name, &x->inputs, e)) == SS_OK)
        rc = ss_compare_weights_find(&x->sites, name, &x->weights, e);
    if (rc != SS_OK)
        ss_comparison_release(x);
    return rc;
}

void ss_comparison_release(ss_comparison *x)
{
    ss_compare_release(&x->sites);
    ss_compare_heads_release(&x->heads);
    ss_compare_inputs_release(&x->inputs);
    ss_compare_weights_release(&x->weights);
}

const char *ss_compared_name(ss_compared m)
{
#define X(name) #name,
    static const char *const names[] = {SS_COMPARED(X)};
#undef X

    return names[m];
}

ss_code ss_limit_parse(const char *spec, ss_limit *l, ss_err *e)
{
#define X(name) " " #name
    const char *equals = strchr(spec, '=');
    const size_t n = equals ? (size_t)(equals - spec) : 0;

    l->measure = equals ? SS_N_COMPARED : SS_COMPARED_absmax;
    for (int m = 0; m < SS_N_COMPARED && equals; m++) {
        const char *name = ss_compared_name((ss_compared)m);

        if (strlen(name) == n && memcmp(name, spec, n) == 0)
            l->measure = (ss_compared)m;
    }
    if (l->measure == SS_N_COMPARED || !ss_parse_double(equals ? equals + 1 : spec, &l->limit) ||
        l->limit < 0)
        return ss_fail(e, SS_USAGE,
                       "'%s' is no limit; expected MEASURE=NUMBER, the number not negative, or a "
                       "number alone; the measures are" SS_COMPARED(X),
                       spec);
#undef X
    return SS_OK;
}

static void add_text(const char *text, char *where, size_t n)
{
    const size_t len = strlen(where);

    snprintf(where + len, n - len, "%s", text);
}

/* Appends " at sigma S, INPUT"; sigma and input of the alignment. */
static void add_place(const ss_aligned *a, int sigma, int input, char *where, size_t n)
{
    const ss_run *r = a->runs[0];
    const size_t len = strlen(where);

    snprintf(where + len, n - len, " at sigma %g, %s", r->sigmas[ss_align_sigma(a, sigma, 0)],
             r->inputs[ss_align_input(a, input, 0)]);
}

/* The row with the largest rise of absmax or RMS. */
static bool largest_rise(const ss_compare *c, bool rms, double *value, char *where, size_t n)
{
    const ss_compare_row *best = NULL;
    double most = NAN;

    for (int i = 0; i < c->n; i++) {
        const double bits = rms ? c->rows[i].rms.rise.bits : c->rows[i].absmax.rise.bits;

        if (!isnan(bits) && !(bits <= most)) {
            most = bits;
            best = &c->rows[i];
        }
    }
    for (int i = 0; i < c->n && most != INFINITY; i++) {
        if (!c->rows[i].nonfinite[1])
            continue;
        *value = INFINITY; /* what is not finite in A either is no reason to pass */
        ss_site_name(c->aligned.runs[0], ss_align_site(&c->aligned, c->rows[i].site, 0), where, n);
        add_text(", inf or NaN in both", where, n);
        return true;
    }
    if (!best)
        return false;
    const ss_compare_cell *cell = rms ? &best->rms.rise : &best->absmax.rise;

    *value = exp2(most);
    ss_site_name(c->aligned.runs[0], ss_align_site(&c->aligned, best->site, 0), where, n);
    add_place(&c->aligned, cell->sigma, cell->input, where, n);
    return true;
}

static bool most_nonfinite(const ss_compare *c, double *value, char *where, size_t n)
{
    const ss_compare_row *best = &c->rows[0]; /* an alignment has at least one place */

    for (int i = 0; i < c->n; i++) {
        const ss_compare_row *r = &c->rows[i];
        const double more = (double)r->nonfinite[1] - (double)r->nonfinite[0];
        const double most = (double)best->nonfinite[1] - (double)best->nonfinite[0];

        if (more > most || (more == most && r->site < best->site))
            best = r;
    }
    *value = (double)best->nonfinite[1] - (double)best->nonfinite[0];
    ss_site_name(c->aligned.runs[0], ss_align_site(&c->aligned, best->site, 0), where, n);
    return true;
}

static bool most_entropy(const ss_comparison *x, double *value, char *where, size_t n)
{
    const ss_aligned *a = &x->sites.aligned;
    const ss_attention_row *row = x->heads.rows; /* not finite first, largest, unknown last */

    for (int i = 0; i < x->heads.n; i++) {
        if (!x->heads.rows[i].bad[1])
            continue;
        *value = INFINITY;
        snprintf(where, n, "%s, head %d, inf or NaN", a->runs[0]->layers[x->heads.rows[i].layer],
                 x->heads.rows[i].head);
        return true;
    }
    if (x->heads.n == 0 || row->sigma < 0)
        return false;
    *value = fabs(row->entropy[1] - row->entropy[0]);
    snprintf(where, n, "%s, head %d", a->runs[0]->layers[row->layer], row->head);
    add_place(a, row->sigma, row->input, where, n);
    return true;
}

static bool most_loss(const ss_comparison *x, double *value, char *where, size_t n)
{
    const ss_loss_row *best = x->inputs.losses;

    for (int i = 0; i < x->inputs.n_losses; i++) {
        const ss_loss_row *l = &x->inputs.losses[i];

        if (!isinf(best->loss[1]) &&
            (isinf(l->loss[1]) || l->loss[1] - l->loss[0] > best->loss[1] - best->loss[0]))
            best = l;
    }
    if (x->inputs.n_losses == 0)
        return false;
    *value = isinf(best->loss[1]) ? INFINITY : best->loss[1] - best->loss[0];
    snprintf(where, n, "loss");
    add_place(&x->sites.aligned, best->sigma, best->input, where, n);
    return true;
}

static bool most_weight(const ss_comparison *x, double *value, char *where, size_t n)
{
    const ss_compare_weight *best = NULL;

    for (int64_t i = 0; i < x->weights.n; i++) {
        const ss_compare_weight *w = &x->weights.rows[i];

        if (w->nonfinite[1]) {
            *value = INFINITY;
            snprintf(where, n, "%s, inf or NaN",
                     x->sites.aligned.runs[0]->parameters[w->parameter]);
            return true;
        }
        if (!isnan(w->bits) && (!best || w->bits > best->bits))
            best = w;
    }
    if (!best)
        return false;
    *value = exp2(best->bits);
    snprintf(where, n, "%s", x->sites.aligned.runs[0]->parameters[best->parameter]);
    return true;
}

ss_code ss_compared_value(const ss_comparison *x, ss_compared m, double *value, char *where,
                          size_t n, ss_err *e)
{
    const ss_aligned *a = &x->sites.aligned;
    bool known = false;

    switch (m) {
    case SS_COMPARED_absmax: known = largest_rise(&x->sites, false, value, where, n); break;
    case SS_COMPARED_rms: known = largest_rise(&x->sites, true, value, where, n); break;
    case SS_COMPARED_nonfinite: known = most_nonfinite(&x->sites, value, where, n); break;
    case SS_COMPARED_entropy: known = most_entropy(x, value, where, n); break;
    case SS_COMPARED_loss: known = most_loss(x, value, where, n); break;
    case SS_COMPARED_weights: known = most_weight(x, value, where, n); break;
    case SS_N_COMPARED: break;
    }
    return known
               ? SS_OK
               : ss_fail(e, SS_SHAPE, "%s cannot be judged: %s and %s have nothing of it in common",
                         ss_compared_name(m), a->runs[0]->path, a->runs[1]->path);
}
