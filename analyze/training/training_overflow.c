/* training_overflow.c - see training_overflow.h */
#include "analyze/training/training_overflow.h"

#include "analyze/one/headroom.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The data of a run, and the format it is compared with. */
struct look {
    const ss_training *t;
    const float *absmax;
    const uint64_t *nonfinite; /* NULL: not recorded */
    const ss_format *format;
};

/* The noise level of the sample, or bin, that counts at a step. */
static double sigma_of_worst(const struct look *l, ss_site s, int step, bool over)
{
    const ss_run *r = l->t->run;
    double most = -1, sigma = NAN;

    for (int i = 0; i < r->n_inputs * r->n_samples; i++) {
        const int k = l->t->columns[step], sample = i % r->n_samples;
        const size_t at = ss_run_at(r, s.module, s.port, i / r->n_samples, k, sample);
        const double v = over ? (double)l->absmax[at] : (double)l->nonfinite[at];

        if (v > most) {
            most = v;
            sigma = ss_run_level(r, k, sample);
        }
    }
    return sigma;
}

static ss_training_overflow_row look_at(const struct look *l, ss_site s)
{
    const ss_run *r = l->t->run;
    ss_training_overflow_row row = {.site = s, .value = NAN, .sigma = NAN};

    for (int j = 0; j < l->t->trend.n_steps; j++) {
        const double peak = ss_site_peak(r, l->absmax, s, SS_ALL, l->t->columns[j]);
        const uint64_t bad = ss_site_count(r, l->nonfinite, s, SS_ALL, l->t->columns[j]);
        const bool over = ss_overflows(l->format, peak) && ss_site_is_stored(r, s);

        if (!over && !bad)
            continue;
        if (row.n_steps++ == 0) {
            row.first = j;
            row.value = peak;
            row.sigma = sigma_of_worst(l, s, j, over);
        }
        row.last = j;
        row.nonfinite += bad;
    }
    return row;
}

ss_code ss_training_overflow_find(const ss_training *t, const ss_sites *sites, const ss_format *f,
                                  ss_training_overflow *o, ss_err *e)
{
    struct look l = {.t = t, .format = f};
    ss_code rc = ss_run_stat(t->run, "absmax", &l.absmax, e);

    *o = (ss_training_overflow){.format = *f, .n_sites = sites->n, .largest = NAN};
    snprintf(o->title, sizeof o->title, "overflow %s", f->name);
    if (rc == SS_OK)
        rc = ss_run_nonfinite(t->run, &l.nonfinite, e);
    if (rc == SS_OK && !(o->rows = ss_calloc((size_t)sites->n, sizeof *o->rows)))
        rc = ss_no_memory(e, t->run->path);
    for (int i = 0; i < sites->n && rc == SS_OK; i++) {
        const ss_training_overflow_row row = look_at(&l, sites->site[i]);
        int at = o->n;

        if (ss_site_is_stored(t->run, sites->site[i]))
            o->largest =
                fmax(o->largest, ss_site_peak(t->run, l.absmax, sites->site[i], SS_ALL, SS_ALL));
        if (!row.n_steps)
            continue;
        for (; at > 0 && o->rows[at - 1].first > row.first; at--)
            o->rows[at] = o->rows[at - 1];
        o->rows[at] = row;
        o->n++;
    }
    if (rc != SS_OK)
        ss_training_overflow_release(o);
    return rc;
}

void ss_training_overflow_release(ss_training_overflow *o)
{
    ss_free(o->rows);
    *o = (ss_training_overflow){0};
}

ss_code ss_training_overflow_table(const ss_training *t, const ss_training_overflow *o, int top,
                                   ss_table *table, ss_err *e)
{
    const int shown = top < o->n ? top : o->n;
    const double *steps = t->trend.steps;
    char rest[64] = "";
    ss_code rc = ss_table_init(table, o->title, e);

    if (rc != SS_OK)
        return rc;
    ss_fold_columns(table);
    ss_table_column(table, "first step", SS_COL_NUMBER, "%.0f");
    ss_table_column(table, "last step", SS_COL_NUMBER, "%.0f");
    ss_table_column(table, "steps", SS_COL_NUMBER, "%.0f");
    ss_table_column(table, "largest", SS_COL_NUMBER, "%.4g");
    ss_table_column(table, "sigma", SS_COL_AXIS, NULL);
    ss_table_column(table, "not finite", SS_COL_NUMBER, "%.0f");
    for (int i = 0; i < shown; i++) {
        const ss_training_overflow_row *x = &o->rows[i];

        ss_table_row(table);
        ss_fold_cells(table, t->run, x->site);
        ss_table_number(table, steps[x->first]);
        ss_table_number(table, steps[x->last]);
        ss_table_number(table, x->n_steps);
        ss_table_number(table, x->value);
        ss_table_number(table, x->sigma);
        ss_table_number(table, (double)x->nonfinite);
    }
    if (shown < o->n)
        snprintf(rest, sizeof rest, "; %d more overflow later", o->n - shown);
    if (o->n)
        ss_table_note(table,
                      "%d of %d places go over %.5g or are not finite at a measured step; largest "
                      "|x|, and sigma of the %s, at the first such step%s",
                      o->n, o->n_sites, o->format.max, t->run->binned ? "bin" : "sample", rest);
    else
        ss_table_note(table, "none of %d places goes over %.5g or is not finite; largest |x| %.4g",
                      o->n_sites, o->format.max, o->largest);
    return SS_OK;
}
