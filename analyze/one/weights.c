/* weights.c - see weights.h */
#include "analyze/one/weights.h"

#include "analyze/math/median.h"
#include "base/mem.h"
#include "runfile/run_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* True for a parameter of the module, or of one inside of it. */
static bool belongs(const char *parameter, const char *module)
{
    const size_t n = strlen(module);

    return n == 0 || strcmp(module, SS_RUN_ROOT) == 0 ||
           (strncmp(parameter, module, n) == 0 && parameter[n] == '.');
}

/* Median of n f32 values, by way of scratch [n]. */
static double median_of(const float *x, int64_t n, double *scratch)
{
    for (int64_t i = 0; i < n; i++)
        scratch[i] = x[i];
    return ss_median(scratch, (int)n);
}

/* True for a parameter with inf or NaN; without counts, for one without a finite value. */
static bool is_bad(const float *absmax, const uint64_t *bad, int64_t i)
{
    return bad ? bad[i] > 0 : !isfinite(absmax[i]);
}

/* Fills in the columns of the parameters of a module; false when it has none. */
static bool find_weights(const ss_run *r, int module, const float *absmax, const float *rms,
                         const uint64_t *bad, double *scratch, ss_weights_row *row)
{
    int n = 0;

    row->weight = NAN;
    for (int64_t i = 0; i < r->n_parameters; i++) {
        if (!belongs(r->parameters[i], r->modules[module]))
            continue;
        row->weight = fmax(row->weight, absmax[i]);
        row->bad |= is_bad(absmax, bad, i);
        scratch[n++] = rms ? rms[i] : NAN;
    }
    row->weight_rms = ss_median(scratch, n);
    return n > 0;
}

static int larger_first(const void *a, const void *b)
{
    const ss_weights_row *x = a, *y = b;

    if (x->activation != y->activation)
        return x->activation < y->activation ? 1 : -1;
    return (x->module > y->module) - (x->module < y->module);
}

/* The largest activation of each module, NaN where there is none. */
static void find_activations(const ss_run *r, const ss_sites *sites, const float *absmax, double *x)
{
    for (int m = 0; m < r->n_modules; m++)
        x[m] = NAN;
    for (int i = 0; i < sites->n; i++) {
        double *at = &x[sites->site[i].module];

        *at = fmax(*at, ss_site_peak(r, absmax, sites->site[i], SS_ALL, SS_ALL));
    }
}

static void find_rows(const ss_run *r, ss_weights *w, const float *absmax, const float *rms,
                      const uint64_t *bad, const double *activation, double *scratch)
{
    const int output = ss_run_port(r, "output");

    for (int m = 0; m < r->n_modules; m++) {
        ss_weights_row row = {.module = m, .activation = activation[m]};

        bool any = false;

        for (ss_site s = {m, output}; s.module >= 0 && !any && !isnan(row.activation);
             s.module = output < 0 ? -1 : ss_fold_around(r, s))
            any = find_weights(r, s.module, absmax, rms, bad, scratch, &row);
        if (!any)
            continue;
        row.huge = row.activation > 0 && row.activation >= SS_HUGE * w->activation_median;
        row.normal = !row.bad && row.weight <= SS_HUGE * w->weight_median;
        w->n_huge += row.huge;
        w->n_huge_normal += row.huge && row.normal;
        w->rows[w->n++] = row;
    }
    qsort(w->rows, (size_t)w->n, sizeof *w->rows, larger_first);
}

ss_code ss_weights_find(ss_run *r, const ss_sites *sites, ss_weights *w, ss_err *e)
{
    const float *absmax = NULL, *rms = NULL, *x;
    const uint64_t *bad = NULL;
    const size_t room =
        r->n_parameters > r->n_modules ? (size_t)r->n_parameters : (size_t)r->n_modules;
    double *scratch = ss_alloc(room, sizeof *scratch);
    double *activation = ss_alloc((size_t)r->n_modules, sizeof *activation);
    ss_code rc = ss_run_stat(r, "absmax", &x, e);

    *w = (ss_weights){.largest = -1, .weight_max = NAN};
    w->rows = ss_calloc((size_t)r->n_modules, sizeof *w->rows);
    if (rc == SS_OK && (rc = ss_run_weights(r, "absmax", &absmax, e)) == SS_OK)
        rc = ss_run_weights(r, "rms", &rms, e);
    if (rc == SS_OK)
        rc = ss_run_weights_nonfinite(r, &bad, e);
    if (rc == SS_OK && (!scratch || !activation || !w->rows))
        rc = ss_no_memory(e, r->path);
    if (rc != SS_OK)
        goto out;

    find_activations(r, sites, x, activation);
    memcpy(scratch, activation, (size_t)r->n_modules * sizeof *scratch);
    w->activation_median = ss_median(scratch, r->n_modules);
    w->activation_max = NAN;
    for (int m = 0; m < r->n_modules; m++)
        w->activation_max = fmax(w->activation_max, activation[m]);
    if (!absmax)
        goto out;

    w->n_parameters = r->n_parameters;
    for (int64_t i = 0; i < r->n_parameters; i++) {
        w->n_bad += is_bad(absmax, bad, i);
        if (isfinite(absmax[i]) && !(absmax[i] <= w->weight_max)) {
            w->weight_max = absmax[i];
            w->largest = i;
        }
    }
    w->weight_median = median_of(absmax, r->n_parameters, scratch);
    w->rms_median = rms ? median_of(rms, r->n_parameters, scratch) : NAN;
    find_rows(r, w, absmax, rms, bad, activation, scratch);
out:
    ss_free(scratch);
    ss_free(activation);
    if (rc != SS_OK)
        ss_weights_release(w);
    return rc;
}

void ss_weights_release(ss_weights *w)
{
    ss_free(w->rows);
    *w = (ss_weights){0};
}

ss_code ss_weights_table(const ss_run *r, const ss_weights *w, int top, ss_table *t, ss_err *e)
{
    const int shown = top < w->n ? top : w->n;
    char bad[80] = "";
    ss_code rc = ss_table_init(t, "weights", e);

    if (rc != SS_OK)
        return rc;
    if (w->n_bad)
        snprintf(bad, sizeof bad, "INF OR NaN in %lld of %lld parameters; of the finite ones ",
                 (long long)w->n_bad, (long long)w->n_parameters);
    ss_table_column(t, "module", SS_COL_MODULE, NULL);
    ss_table_column(t, "activation", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "weight", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "weight rms", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "finding", SS_COL_TEXT, NULL);
    for (int i = 0; i < shown; i++) {
        const ss_weights_row *x = &w->rows[i];

        ss_table_row(t);
        ss_fold_module(t, r, x->module);
        ss_table_number(t, x->activation);
        ss_table_number(t, x->weight);
        ss_table_number(t, x->weight_rms);
        ss_table_text(t, x->bad      ? "weights inf or NaN"
                         : !x->huge  ? ""
                         : x->normal ? "huge activations, normal weights"
                                     : "huge activations, large weights");
    }
    if (!w->n_parameters)
        ss_table_note(t, "the run records no weights");
    else if (isnan(w->weight_max))
        ss_table_note(t, "INF OR NaN: not one of %lld parameters has a finite weight",
                      (long long)w->n_parameters);
    else if (isnan(w->activation_max))
        ss_table_note(t,
                      "%slargest |w| %.4g (%s), median over parameters %.4g; no activation is "
                      "finite, so they cannot be compared",
                      bad, w->weight_max, r->parameters[w->largest], w->weight_median);
    else
        ss_table_note(
            t,
            "%slargest |w| %.4g (%s), median over parameters %.4g; largest |x| %.4g, median "
            "over modules %.4g; huge: %d modules, %d of them with normal weights (both by "
            "a factor of %d of the median)",
            bad, w->weight_max, w->largest >= 0 ? r->parameters[w->largest] : "-", w->weight_median,
            w->activation_max, w->activation_median, w->n_huge, w->n_huge_normal, SS_HUGE);
    return SS_OK;
}
