/* trend.c - see trend.h; trend_table.c prints it */
#include "analyze/several/trend.h"

#include "analyze/one/headroom.h"
#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Runs and steps in the order of the steps. */
static ss_code sort_runs(ss_run *const *runs, const int64_t *steps, int n, ss_trend *t, ss_err *e)
{
    for (int i = 0; i < n; i++) {
        int at = t->n_steps++;

        if (steps[i] < 1)
            return ss_fail(e, SS_USAGE,
                           "%s: step %" PRId64 " has no place on a logarithmic axis; leave this "
                           "run out, or give other --steps",
                           runs[i]->path, steps[i]);
        for (; at > 0 && t->steps[at - 1] > (double)steps[i]; at--) {
            t->steps[at] = t->steps[at - 1];
            t->runs[at] = t->runs[at - 1];
        }
        t->steps[at] = (double)steps[i];
        t->runs[at] = runs[i];
        if (at > 0 && t->steps[at - 1] == t->steps[at])
            return ss_fail(e, SS_USAGE,
                           "%s and %s are both of step %" PRId64 "; leave one out, or give the "
                           "steps with --steps",
                           t->runs[at - 1]->path, runs[i]->path, steps[i]);
    }
    return SS_OK;
}

bool ss_trend_largest_site(const ss_trend *t, ss_site *site)
{
    const int last = t->n_steps - 1;
    const ss_trend_row *best = NULL;

    for (int i = 0; i < t->n; i++) {
        const ss_trend_row *row = &t->rows[i];
        const double y = row->peak.y[last], most = best ? best->peak.y[last] : NAN;

        if (isfinite(y) && (!best || y > most || (y == most && row->site < best->site)))
            best = row;
    }
    if (best)
        *site = ss_align_site(&t->aligned, best->site, 0);
    return best;
}

bool ss_trend_counts(const ss_trend *t, const ss_trend_row *row, int step)
{
    return !row->nonfinite[step] && !(t->runs[0]->steps && t->steps[step] < 2);
}

static void fit(const ss_trend *t, const ss_trend_row *row, ss_trend_series *s)
{
    double *y = t->values; /* the first n_steps are scratch */

    for (int j = 0; j < t->n_steps; j++)
        y[j] = ss_trend_counts(t, row, j) ? s->y[j] : NAN;
    s->law = ss_power_law_fit(t->steps, y, t->n_steps);
}

/* Fills in the values of a stage from its sites. */
static void fill_stages(ss_trend *t, int j)
{
    for (int i = 0; i < t->n; i++) {
        const ss_trend_row *row = &t->rows[i];

        for (int s = 0; s <= SS_N_STAGES; s++) {
            ss_trend_row *stage = &t->stages[s];

            if (s != SS_N_STAGES && s != (int)row->stage)
                continue;
            stage->peak.y[j] = fmax(stage->peak.y[j], row->peak.y[j]);
            stage->high.y[j] = fmax(stage->high.y[j], row->high.y[j]);
            stage->nonfinite[j] |= row->nonfinite[j];
        }
    }
}

static ss_code read_values(ss_trend *t, int j, ss_err *e)
{
    const ss_aligned *a = &t->aligned;
    const float *absmax;
    const uint64_t *nonfinite;
    ss_code rc = ss_run_stat(t->runs[j], "absmax", &absmax, e);

    if (rc != SS_OK || (rc = ss_run_nonfinite(t->runs[j], &nonfinite, e)) != SS_OK)
        return rc;
    for (int i = 0; i < t->n; i++) {
        ss_trend_row *row = &t->rows[i];

        row->peak.y[j] = ss_align_peak(a, j, absmax, i, SS_ALL, SS_ALL);
        row->high.y[j] = ss_align_peak(a, j, absmax, i, SS_ALL, a->n_sigmas - 1);
        row->nonfinite[j] = ss_align_count(a, j, nonfinite, i, SS_ALL, SS_ALL) > 0;
    }
    fill_stages(t, j);
    return SS_OK;
}

/* Gives the rows their places in values and flags. */
static ss_code make_rows(ss_trend *t, ss_err *e)
{
    const size_t width = (size_t)t->n_steps, n = (size_t)t->aligned.n_sites;
    const size_t rows = n + SS_N_STAGES + 1;

    t->rows = ss_calloc(n, sizeof *t->rows);
    t->values = ss_alloc(width * (1 + 2 * rows), sizeof *t->values);
    t->flags = ss_calloc(width * rows, sizeof *t->flags);
    if (!t->rows || !t->values || !t->flags)
        return ss_no_memory(e, "trend");
    for (size_t i = 0; i < width * (1 + 2 * rows); i++)
        t->values[i] = NAN;
    t->n = (int)n;
    for (size_t i = 0; i < rows; i++) {
        const bool is_site = i < n;
        ss_trend_row *row = is_site ? &t->rows[i] : &t->stages[i - n];

        row->site = is_site ? (int)i : -1;
        row->stage = (ss_stage)(i - n);
        if (is_site)
            row->stage =
                ss_stage_of(t->runs[0]->modules[ss_align_site(&t->aligned, (int)i, 0).module]);
        row->peak.y = t->values + width * (1 + 2 * i);
        row->high.y = row->peak.y + width;
        row->nonfinite = t->flags + width * i;
    }
    return SS_OK;
}

/* qsort() hands over no context: the value at the last step is in the row. */
static double last_value(const ss_trend_row *row)
{
    return row->peak.y[row->high.y - row->peak.y - 1];
}

static int larger_first(const void *a, const void *b)
{
    const ss_trend_row *x = a, *y = b;
    const double p = last_value(x), q = last_value(y);

    if (isnan(p) || isnan(q))
        return isnan(p) == isnan(q) ? x->site - y->site : isnan(p) - isnan(q);
    if (p != q)
        return p < q ? 1 : -1;
    return x->site - y->site;
}

static void fit_all(ss_trend *t)
{
    for (int i = 0; i < t->n + SS_N_STAGES + 1; i++) {
        ss_trend_row *row = i < t->n ? &t->rows[i] : &t->stages[i - t->n];

        fit(t, row, &row->peak);
        fit(t, row, &row->high);
    }
    qsort(t->rows, (size_t)t->n, sizeof *t->rows, larger_first);
}

ss_code ss_trend_find(ss_run *const *runs, const int64_t *steps, int n_runs,
                      const char *const *globs, int n_globs, ss_trend *t, ss_err *e)
{
    ss_code rc;

    *t = (ss_trend){.runs = ss_calloc((size_t)n_runs, sizeof *t->runs),
                    .steps = ss_calloc((size_t)n_runs, sizeof *t->steps)};
    rc = t->runs && t->steps ? sort_runs(runs, steps, n_runs, t, e) : ss_no_memory(e, "trend");
    if (rc == SS_OK)
        rc = ss_align(t->runs, n_runs, globs, n_globs, &t->aligned, e);
    if (rc == SS_OK)
        rc = make_rows(t, e);
    for (int j = 0; j < n_runs && rc == SS_OK; j++)
        rc = read_values(t, j, e);
    if (rc != SS_OK) {
        ss_trend_release(t);
        return rc;
    }
    t->high_sigma = t->runs[0]->sigmas[ss_align_sigma(&t->aligned, t->aligned.n_sigmas - 1, 0)];
    fit_all(t);
    return SS_OK;
}

/* The run, its finished steps and the sites, as if they were aligned. */
static ss_code take_training(ss_run *r, const ss_sites *sites, ss_trend *t, ss_err *e)
{
    ss_aligned *a = &t->aligned;

    t->runs = ss_alloc(1, sizeof *t->runs);
    t->steps = ss_alloc((size_t)r->n_sigmas, sizeof *t->steps);
    a->sites = ss_alloc((size_t)sites->n, sizeof *a->sites);
    if (!t->runs || !t->steps || !a->sites)
        return ss_no_memory(e, r->path);
    t->runs[0] = r;
    a->n_runs = 1;
    a->n_sites = sites->n;
    for (int i = 0; i < sites->n; i++)
        a->sites[i] = sites->site[i];
    for (int k = 0; k < r->n_sigmas; k++) {
        if (r->done[k])
            t->steps[t->n_steps++] = (double)r->steps[k];
    }
    return t->n_steps ? SS_OK : ss_fail(e, SS_FORMAT, "%s: no step is finished", r->path);
}

/* The largest value of the samples of column k whose noise level is `from` or more. */
static double high_peak(const ss_run *r, const float *absmax, const float *sigma, ss_site s, int k,
                        double from)
{
    double peak = NAN;

    for (int i = 0; i < r->n_inputs; i++) {
        for (int n = 0; n < r->n_samples; n++) {
            if (sigma[(size_t)k * (size_t)r->n_samples + (size_t)n] >= from)
                peak = fmax(peak, absmax[ss_run_at(r, s.module, s.port, i, k, n)]);
        }
    }
    return peak;
}

static ss_code read_training(ss_run *r, double from, ss_trend *t, ss_err *e)
{
    const float *absmax, *sigma;
    const uint64_t *nonfinite;
    int j = 0;
    ss_code rc = ss_run_stat(r, "absmax", &absmax, e);

    if (rc != SS_OK || (rc = ss_run_nonfinite(r, &nonfinite, e)) != SS_OK ||
        (rc = ss_run_training(r, "sigma", &sigma, e)) != SS_OK)
        return rc;
    for (int k = 0; k < r->n_sigmas; k++) {
        if (!r->done[k])
            continue;
        for (int i = 0; i < t->n; i++) {
            const ss_site s = ss_align_site(&t->aligned, i, 0);
            ss_trend_row *row = &t->rows[i];

            row->peak.y[j] = ss_site_peak(r, absmax, s, SS_ALL, k);
            if (sigma)
                row->high.y[j] = high_peak(r, absmax, sigma, s, k, from);
            row->nonfinite[j] = ss_site_count(r, nonfinite, s, SS_ALL, k) > 0;
        }
        fill_stages(t, j++);
    }
    return SS_OK;
}

ss_code ss_trend_of_training(ss_run *r, const ss_sites *sites, double from, ss_trend *t, ss_err *e)
{
    ss_code rc;

    *t = (ss_trend){.high_sigma = from};
    rc = take_training(r, sites, t, e);
    if (rc == SS_OK)
        rc = make_rows(t, e);
    if (rc == SS_OK)
        rc = read_training(r, from, t, e);
    if (rc != SS_OK)
        ss_trend_release(t);
    else
        fit_all(t);
    return rc;
}

void ss_trend_release(ss_trend *t)
{
    ss_align_release(&t->aligned);
    ss_free(t->runs);
    ss_free(t->steps);
    ss_free(t->rows);
    ss_free(t->values);
    ss_free(t->flags);
    *t = (ss_trend){0};
}

char *ss_trend_name(const ss_trend *t, const ss_trend_row *row, char *out, size_t n)
{
    if (row->site >= 0)
        return ss_site_name(t->runs[0], ss_align_site(&t->aligned, row->site, 0), out, n);
    snprintf(out, n, "%s", row->stage == SS_STAGE_NONE ? "all modules" : ss_stage_name(row->stage));
    return out;
}

char *ss_trend_label(const ss_trend *t, const ss_trend_row *row, char *out, size_t n)
{
    if (row->site < 0)
        return ss_trend_name(t, row, out, n);
    return ss_fold_name(t->runs[0], ss_align_site(&t->aligned, row->site, 0), out, n);
}

void ss_trend_cells(const ss_trend *t, const ss_trend_row *row, ss_table *table)
{
    if (row)
        ss_fold_cells(table, t->runs[0], ss_align_site(&t->aligned, row->site, 0));
    else
        ss_fold_no_cells(table);
}

ss_forecast ss_trend_forecast(const ss_trend *t, const ss_trend_row *row, const ss_format *f)
{
    ss_forecast x = {.over = -1, .at = {NAN, NAN, NAN}};

    for (int j = 0; j < t->n_steps; j++) {
        const bool over = row->nonfinite[j] || ss_overflows(f, row->peak.y[j]);

        if (over && x.over < 0)
            x.over = j;
        x.back = x.over >= 0 && !over;
    }
    if (x.over >= 0) {
        x.reach = ss_overflows(f, row->peak.y[x.over]) ? SS_REACH_PASSED : SS_REACH_LOST;
        return x;
    }
    const ss_power_law *law = &row->peak.law;
    const double last = t->steps[t->n_steps - 1], range = last - t->steps[0];
    const ss_crossing at = ss_power_law_reach(law, f->max);

    if (law->n < 3)
        x.reach = SS_REACH_UNKNOWN;
    else if (!ss_power_law_holds(law))
        x.reach = SS_REACH_BENT;
    else if (isnan(at.at))
        x.reach = SS_REACH_NEVER;
    else if (at.at > last + SS_TREND_FAR * range)
        x.reach = SS_REACH_FAR;
    else {
        x.reach = SS_REACH_AHEAD;
        x.at = at;
    }
    return x;
}
