/* overflow.c - see overflow.h */
#include "analyze/one/overflow.h"

#include "analyze/one/not_finite.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first sample with anything not finite there. */
static int first_sample(const ss_run *r, const uint64_t *bad, ss_site s, const ss_overflow_row *row)
{
    const uint64_t *v = bad + ss_run_at(r, s.module, s.port, row->input, row->sigma, 0);

    for (int n = 0; n < r->n_samples; n++) {
        if (v[n])
            return n;
    }
    return -1;
}

/* Fills the cells of what is not finite first, and in which sample. */
static void put_observed(const ss_run *r, const ss_overflow_row *x, ss_table *t)
{
    char sample[200];

    if (!x->n_nonfinite) {
        ss_fold_no_cells(t);
        ss_table_none(t);
        return;
    }
    ss_fold_cells(t, r, x->observed);
    ss_table_text(t,
                  ss_run_sample_label(r, x->sigma, x->input, x->bad_sample, sample, sizeof sample));
}

static void look(const ss_run *r, const ss_sites *sites, const float *absmax,
                 const uint64_t *nonfinite, const float *weights, const ss_format *f,
                 ss_overflow_row *row)
{
    for (int i = 0; i < sites->n; i++) {
        const ss_site s = sites->site[i];
        const double peak = ss_site_peak(r, absmax, s, row->input, row->sigma);
        const uint64_t bad = ss_site_count(r, nonfinite, s, row->input, row->sigma);

        const double weight = ss_site_weight(r, weights, s);
        const bool over = ss_overflows(f, peak) && ss_site_is_stored(r, s);

        if ((over || ss_overflows(f, weight)) && row->n_over++ == 0) {
            row->first = s;
            row->weights = !over;
            row->absmax = over ? peak : weight;
            row->sample =
                over ? ss_site_largest_sample(r, absmax, nonfinite, s, row->input, row->sigma) : -1;
        }
        if (bad && row->n_nonfinite++ == 0) {
            row->observed = s;
            row->nonfinite = bad;
            row->bad_sample =
                ss_site_is_whole(r, absmax, nonfinite, s) ? -1 : first_sample(r, nonfinite, s, row);
        }
    }
}

/* Fills in the shares of all rows; each module's histogram is read once. */
static ss_code find_shares(ss_run *r, ss_overflow *o, ss_err *e)
{
    ss_code rc = SS_OK;
    bool *wanted = ss_calloc((size_t)r->n_modules, sizeof *wanted);
    uint64_t *hist = ss_alloc((size_t)r->n_ports * (size_t)r->n_inputs * (size_t)r->n_sigmas,
                              SS_N_EXPONENTS * sizeof *hist);

    if (!wanted || !hist)
        rc = ss_no_memory(e, r->path);
    for (int i = 0; i < o->n && rc == SS_OK; i++) {
        if (o->rows[i].n_over && !o->rows[i].weights)
            wanted[o->rows[i].first.module] = true;
    }
    for (int m = 0; m < r->n_modules && rc == SS_OK; m++) {
        if (!wanted[m])
            continue;
        rc = ss_run_hist(r, m, hist, e);
        for (int i = 0; i < o->n && rc == SS_OK; i++) {
            ss_overflow_row *row = &o->rows[i];
            int64_t at =
                ((int64_t)row->first.port * r->n_inputs + row->input) * r->n_sigmas + row->sigma;

            if (row->n_over && !row->weights && row->first.module == m)
                row->range = ss_range_of(hist + at * SS_N_EXPONENTS, &o->format, row->absmax);
        }
    }
    ss_free(wanted);
    ss_free(hist);
    return rc;
}

ss_code ss_overflow_find(ss_run *r, const ss_sites *sites, const ss_format *f, ss_overflow *o,
                         ss_err *e)
{
    static const uint64_t nothing[SS_N_EXPONENTS];
    const float *absmax, *weights = NULL;
    const uint64_t *nonfinite;
    int *order = ss_sigma_order(r);
    ss_code rc = ss_run_stat(r, "absmax", &absmax, e);

    *o = (ss_overflow){.format = *f, .has_hist = ss_run_has_hist(r)};
    snprintf(o->title, sizeof o->title, "overflow %s", f->name);
    o->rows = ss_calloc((size_t)r->n_done * (size_t)r->n_inputs, sizeof *o->rows);
    if (rc == SS_OK)
        rc = ss_run_nonfinite(r, &nonfinite, e);
    if (rc == SS_OK)
        rc = ss_run_module_weights(r, &weights, e);
    if (rc == SS_OK && (!order || !o->rows))
        rc = ss_no_memory(e, r->path);
    for (int k = 0; k < r->n_done && rc == SS_OK; k++) {
        for (int i = 0; i < r->n_inputs; i++) {
            ss_overflow_row *row = &o->rows[o->n++];

            *row = (ss_overflow_row){
                .sigma = order[k], .input = i, .absmax = NAN, .sample = -1, .bad_sample = -1};
            row->range = ss_range_of(nothing, f, NAN);
            look(r, sites, absmax, nonfinite, weights, f, row);
        }
    }
    if (rc == SS_OK && o->has_hist)
        rc = find_shares(r, o, e);
    ss_free(order);
    if (rc != SS_OK)
        ss_overflow_release(o);
    return rc;
}

void ss_overflow_release(ss_overflow *o)
{
    ss_free(o->rows);
    *o = (ss_overflow){0};
}

ss_code ss_overflow_table(const ss_run *r, const ss_overflow *o, ss_table *t, ss_err *e)
{
    const bool text_run = ss_run_is_text(r);
    char text[200], bad[32], cut[128] = "";
    int shown = 0;
    ss_format own;
    ss_code rc = ss_table_init(t, o->title, e);

    if (rc != SS_OK)
        return rc;
    ss_fold_columns_named(t, "first module over", "port");
    if (!text_run)
        ss_table_column(t, "sigma", SS_COL_AXIS, NULL);
    ss_table_column(t, ss_run_input_word(r), SS_COL_TEXT, NULL);
    ss_table_column(t, ss_run_sample_word(r), SS_COL_TEXT, NULL);
    ss_table_column(t, "largest", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "over % min", SS_COL_NUMBER, "%.2g");
    ss_table_column(t, "max", SS_COL_NUMBER, "%.2g");
    ss_table_column(t, "sites", SS_COL_NUMBER, "%.0f");
    ss_fold_columns_named(t, "first non-finite", "non-finite port");
    snprintf(bad, sizeof bad, "non-finite %s", ss_run_sample_word(r));
    ss_table_column(t, bad, SS_COL_TEXT, NULL);
    for (int i = 0; i < o->n; i++) {
        const ss_overflow_row *x = &o->rows[i];

        if (!x->n_over && !x->n_nonfinite)
            continue;
        ss_table_row(t);
        if (!x->n_over)
            ss_fold_no_cells(t);
        else
            (x->weights ? ss_fold_weights_cells : ss_fold_cells)(t, r, x->first);
        if (!text_run)
            ss_table_number(t, r->sigmas[x->sigma]);
        ss_table_text(t, r->inputs[x->input]);
        ss_table_text(t,
                      x->n_over && !x->weights
                          ? ss_run_sample_label(r, x->sigma, x->input, x->sample, text, sizeof text)
                          : "-");
        ss_table_number(t, x->absmax);
        ss_table_number(t, 100 * x->range.over_least);
        ss_table_number(t, 100 * x->range.over_most);
        ss_table_number(t, x->n_over);
        put_observed(r, x, t);
        shown++;
    }
    if (ss_run_format(r, &own) && own.saturate && own.max <= o->format.max) /* so nothing can be */
        snprintf(cut, sizeof cut, "; the run was made in %s, which cuts values off at %.5g",
                 own.name, own.max);
    ss_table_note(
        t, "first in forward order over %.5g (%s); %d of %d %s overflow or are not finite%s%s",
        o->format.max, o->format.name, shown, o->n,
        text_run ? "prompts" : "pairs of noise level and input", cut,
        o->has_hist ? "" : "; no histogram, so no shares");
    return SS_OK;
}
