/* trainings_table.c - two trainings as tables, and limits on them; see trainings.h */
#include "analyze/math/median.h"
#include "analyze/training/trainings.h"
#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>

/* The median over the window of a value that each step has; infinite where most are not finite. */
static ss_code median_of(const ss_trainings *x, int k, const char *name, double *median, ss_err *e)
{
    const ss_training *t = &x->t[k];
    const float *v;
    double *window = ss_alloc((size_t)t->trend.n_steps, sizeof *window);
    int n = 0;
    ss_code rc = window ? ss_run_training(t->run, name, &v, e) : ss_no_memory(e, t->run->path);

    for (int j = 0; rc == SS_OK && v && j < t->trend.n_steps; j++) {
        const double value = v[t->columns[j]];

        if (t->trend.steps[j] < x->from || t->trend.steps[j] > x->to)
            continue;
        /* NaN in our own trainings is a loss that is NaN; a recorder writes inf, and NaN is unknown
         */
        window[n++] = isnan(value) && !t->run->binned ? INFINITY : value;
    }
    *median = ss_median(window, n);
    ss_free(window);
    return rc;
}

static void add_pair(ss_table *t, const char *what, double a, double b)
{
    ss_table_row(t);
    ss_table_text(t, what);
    ss_table_number(t, a);
    ss_table_number(t, b);
    ss_table_number(t, b / a);
}

static void name_columns(const ss_trainings *x, ss_table *t, const char *what, const char *format)
{
    char name[64];

    for (int k = 0; k < 2; k++) {
        snprintf(name, sizeof name, "%s%s%s", what, *what ? " " : "", k ? x->name : "A");
        ss_table_column(t, name, SS_COL_NUMBER, format);
    }
}

ss_code ss_trainings_table(const ss_trainings *x, ss_table *t, ss_err *e)
{
    static const struct {
        const char *name, *what;
    } series[] = {{"loss", "loss"}, {"norm", "norm of the gradients"}, {"rate", "learning rate"}};
    char ratio[24], window[120];
    double v[2];
    ss_code rc = ss_table_init(t, x->titles[0], e);

    if (rc != SS_OK)
        return rc;
    snprintf(ratio, sizeof ratio, "%s/A", x->name);
    ss_table_column(t, "what", SS_COL_TEXT, NULL);
    name_columns(x, t, "", "%.4g");
    ss_table_column(t, ratio, SS_COL_NUMBER, "%.3g");
    for (size_t i = 0; i < sizeof series / sizeof *series && rc == SS_OK; i++) {
        for (int k = 0; k < 2 && rc == SS_OK; k++)
            rc = median_of(x, k, series[i].name, &v[k], e);
        if (rc == SS_OK && (!isnan(v[0]) || !isnan(v[1])))
            add_pair(t, series[i].what, v[0], v[1]);
    }
    if (rc != SS_OK) {
        ss_table_release(t);
        return rc;
    }
    for (int k = 0; k < 2; k++) {
        double largest = NAN;

        for (int i = 0; i < x->n_sites; i++)
            largest = fmax(largest, x->rows[i].absmax[k]);
        v[k] = largest;
    }
    add_pair(t, "largest |x| of a module", v[0], v[1]);
    snprintf(window, sizeof window, "%d and %d measured steps from %.0f to %.0f", x->n_window[0],
             x->n_window[1], x->from, x->to);
    ss_table_note(t, "medians over %s, the last third of what both have reached", window);
    return SS_OK;
}

ss_code ss_trainings_sites_table(const ss_trainings *x, int top, ss_table *t, ss_err *e)
{
    const int shown = top < x->n_sites ? top : x->n_sites;
    char over[40], name[24], lone[120] = "";
    ss_code rc = ss_table_init(t, x->titles[1], e);

    if (rc != SS_OK)
        return rc;
    snprintf(over, sizeof over, "%s since", x->format.name);
    ss_fold_columns(t);
    name_columns(x, t, "", "%.4g");
    snprintf(name, sizeof name, "%s/A", x->name);
    ss_table_column(t, name, SS_COL_NUMBER, "%.3g");
    snprintf(name, sizeof name, "rms %s/A", x->name);
    ss_table_column(t, name, SS_COL_NUMBER, "%.3g");
    name_columns(x, t, "exp", "%.2f");
    name_columns(x, t, over, "%.0f");
    name_columns(x, t, "not finite", "%.0f");
    for (int i = 0; i < shown; i++) {
        const ss_trainings_row *r = &x->rows[i];

        ss_table_row(t);
        ss_fold_cells(t, x->t[0].run, x->found[0].site[x->sites[2 * r->site]]);
        for (int k = 0; k < 2; k++)
            ss_table_number(t, r->absmax[k]);
        ss_table_number(t, r->absmax[1] / r->absmax[0]);
        ss_table_number(t, r->rms[1] / r->rms[0]);
        for (int k = 0; k < 2; k++)
            ss_table_number(t, r->exponent[k]);
        for (int k = 0; k < 2; k++)
            ss_table_number(t, r->over[k]);
        for (int k = 0; k < 2; k++)
            ss_table_number(t, (double)r->nonfinite[k]);
    }
    if (x->lone[0] || x->lone[1])
        snprintf(lone, sizeof lone, "; left out: %d places of A alone, %d of %s alone", x->lone[0],
                 x->lone[1], x->name);
    ss_table_note(
        t,
        "largest |x| of a step, median over steps %.0f to %.0f; exp: of the step's power by "
        "which it grows; %s since: the first step over %g, or with inf or NaN; %d of %d "
        "places shown%s",
        x->from, x->to, x->format.name, x->format.max, shown, x->n_sites, lone);
    return SS_OK;
}

ss_code ss_trainings_bands_table(const ss_trainings *x, ss_table *t, ss_err *e)
{
    const double *cut = x->t[0].cut;
    char name[24];
    ss_code rc = ss_table_init(t, x->titles[2], e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "noise", SS_COL_TEXT, NULL);
    ss_table_column(t, "sigma from", SS_COL_AXIS, NULL);
    ss_table_column(t, "to", SS_COL_AXIS, NULL);
    name_columns(x, t, "", "%.4g");
    snprintf(name, sizeof name, "%s/A", x->name);
    ss_table_column(t, name, SS_COL_NUMBER, "%.3g");
    name_columns(x, t, "loss", "%.4g");
    snprintf(name, sizeof name, "loss %s-A", x->name);
    ss_table_column(t, name, SS_COL_NUMBER, "%.3g");
    for (int b = 0; b < SS_N_BANDS && ss_training_has_bands(&x->t[0]); b++) {
        const ss_trainings_band *band = &x->bands[b];

        ss_table_row(t);
        ss_table_text(t, ss_band_name((ss_band)b));
        ss_table_number(t, b > 0 ? cut[b - 1] : NAN);
        ss_table_number(t, b < SS_N_BANDS - 1 ? cut[b] : NAN);
        for (int k = 0; k < 2; k++)
            ss_table_number(t, band->absmax[k]);
        ss_table_number(t, band->absmax[1] / band->absmax[0]);
        for (int k = 0; k < 2; k++)
            ss_table_number(t, band->loss[k]);
        ss_table_number(t, band->loss[1] - band->loss[0]);
    }
    ss_table_note(t,
                  "largest |x| of a step, and its mean loss, over the samples near these noise "
                  "levels, thirds of A's; medians over steps %.0f to %.0f",
                  x->from, x->to);
    return SS_OK;
}

static void name_site(const ss_trainings *x, const ss_trainings_row *r, const char *rest,
                      char *where, size_t n)
{
    char name[512];

    snprintf(where, n, "%s%s",
             ss_site_name(x->t[0].run, x->found[0].site[x->sites[2 * r->site]], name, sizeof name),
             rest);
}

/* The largest ratio; infinite where B has inf or NaN. */
static bool largest_rise(const ss_trainings *x, bool rms, double *value, char *where, size_t n)
{
    const ss_trainings_row *best = NULL;
    double most = NAN;

    for (int i = 0; i < x->n_sites; i++) {
        const ss_trainings_row *r = &x->rows[i];
        const double bits = rms ? r->rms_bits : r->bits;

        if (r->nonfinite[1]) {
            *value = INFINITY;
            name_site(x, r, r->nonfinite[0] ? ", inf or NaN in both" : ", inf or NaN", where, n);
            return true;
        }
        if (!isnan(bits) && !(bits <= most)) {
            most = bits;
            best = r;
        }
    }
    if (!best)
        return false;
    *value = exp2(most);
    name_site(x, best, "", where, n);
    return true;
}

static void most_nonfinite(const ss_trainings *x, double *value, char *where, size_t n)
{
    const ss_trainings_row *best = &x->rows[0]; /* there is at least one */

    *value = -INFINITY;
    for (int i = 0; i < x->n_sites; i++) {
        const double more = (double)x->rows[i].nonfinite[1] - (double)x->rows[i].nonfinite[0];

        if (more > *value) {
            *value = more;
            best = &x->rows[i];
        }
    }
    name_site(x, best, "", where, n);
}

ss_code ss_trainings_value(const ss_trainings *x, ss_compared m, double *value, char *where,
                           size_t n, ss_err *e)
{
    double loss[2] = {NAN, NAN};
    ss_code rc = SS_OK;
    bool known = false;

    switch (m) {
    case SS_COMPARED_absmax: known = largest_rise(x, false, value, where, n); break;
    case SS_COMPARED_rms: known = largest_rise(x, true, value, where, n); break;
    case SS_COMPARED_nonfinite:
        most_nonfinite(x, value, where, n);
        known = true;
        break;
    case SS_COMPARED_loss:
        for (int k = 0; k < 2 && rc == SS_OK; k++)
            rc = median_of(x, k, "loss", &loss[k], e);
        if (rc != SS_OK)
            return rc;
        *value = isinf(loss[1]) ? INFINITY : loss[1] - loss[0];
        known = !isnan(*value);
        snprintf(where, n, "loss");
        break;
    case SS_COMPARED_entropy:
    case SS_COMPARED_weights:
    case SS_N_COMPARED: break;
    }
    return known
               ? SS_OK
               : ss_fail(
                     e, SS_SHAPE,
                     "%s of two trainings cannot be judged: %s and %s are over steps, where it is "
                     "not compared, or have nothing of it in common",
                     ss_compared_name(m), x->t[0].run->path, x->t[1].run->path);
}
