/* updates.c - see updates.h */
#include "analyze/training/updates.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The data of the run; NULL: not recorded. */
struct series {
    const float *staleness, *update, *weight, *gradient;
};

static ss_code read_series(ss_run *r, struct series *x, ss_err *e)
{
    ss_code rc = ss_run_updates(r, "staleness", &x->staleness, e);

    if (rc == SS_OK)
        rc = ss_run_updates(r, "update_rms", &x->update, e);
    if (rc == SS_OK)
        rc = ss_run_updates(r, "weight_rms", &x->weight, e);
    if (rc == SS_OK)
        rc = ss_run_updates(r, "gradient_rms", &x->gradient, e);
    return rc;
}

static double value(const float *x, size_t at)
{
    return x ? x[at] : NAN;
}

static void keep_largest(double v, int step, double *most, int *where)
{
    if (!isnan(v) && !(v <= *most)) {
        *most = v;
        *where = step;
    }
}

static void fill_row(const ss_training *t, const struct series *x, ss_updates_row *row,
                     ss_updates *u)
{
    *row = (ss_updates_row){row->parameter, NAN, NAN, -1, -1, 0, NAN, NAN};
    for (int j = 0; j < t->trend.n_steps; j++) {
        const size_t at = (size_t)row->parameter * (size_t)t->run->n_sigmas + (size_t)t->columns[j];
        const double stale = value(x->staleness, at), weight = value(x->weight, at);
        const double gradient = value(x->gradient, at);

        keep_largest(stale, j, &row->staleness, &row->staleness_step);
        if (weight > 0)
            keep_largest(value(x->update, at) / weight, j, &row->ratio, &row->ratio_step);
        row->gradient = isnan(gradient) ? row->gradient : gradient;
        row->weight = isnan(weight) ? row->weight : weight;
        row->n_stale += stale > SS_STALE;
        u->stale[j] += stale > SS_STALE;
        u->worst[j] = fmax(u->worst[j], stale);
    }
}

/* NaN last. */
static int compare_falling(double p, double q)
{
    if (isnan(p) || isnan(q))
        return isnan(p) - isnan(q);
    return (p < q) - (p > q);
}

static int worse_first(const void *a, const void *b)
{
    const ss_updates_row *x = a, *y = b;
    int order = compare_falling(x->staleness, y->staleness);

    if (order == 0)
        order = compare_falling(x->ratio, y->ratio);
    return order ? order : (x->parameter > y->parameter) - (x->parameter < y->parameter);
}

ss_code ss_updates_find(const ss_training *t, ss_updates *u, ss_err *e)
{
    const size_t steps = (size_t)t->trend.n_steps;
    struct series x;
    ss_code rc = read_series(t->run, &x, e);

    *u = (ss_updates){.first_stale = -1};
    if (rc != SS_OK || (!x.staleness && !x.update))
        return rc;
    u->rows = ss_calloc((size_t)t->run->n_parameters, sizeof *u->rows);
    u->stale = ss_calloc(steps, sizeof *u->stale);
    u->worst = ss_alloc(steps, sizeof *u->worst);
    if (!u->rows || !u->stale || !u->worst) {
        ss_updates_release(u);
        return ss_no_memory(e, t->run->path);
    }
    for (size_t j = 0; j < steps; j++)
        u->worst[j] = NAN;
    for (int64_t i = 0; i < t->run->n_parameters; i++) {
        u->rows[u->n].parameter = i;
        fill_row(t, &x, &u->rows[u->n++], u);
    }
    for (int j = 0; j < t->trend.n_steps; j++) {
        if (u->stale[j] && u->n_stale++ == 0)
            u->first_stale = j;
    }
    qsort(u->rows, (size_t)u->n, sizeof *u->rows, worse_first);
    return SS_OK;
}

void ss_updates_release(ss_updates *u)
{
    ss_free(u->rows);
    ss_free(u->stale);
    ss_free(u->worst);
    *u = (ss_updates){0};
}

static double step_or_nan(const ss_training *t, int step)
{
    return step < 0 ? NAN : t->trend.steps[step];
}

ss_code ss_updates_table(const ss_training *t, const ss_updates *u, int top, ss_table *table,
                         ss_err *e)
{
    const int shown = top < u->n ? top : u->n;
    char rest[64] = "";
    ss_code rc = ss_table_init(table, "updates", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(table, "parameter", SS_COL_TEXT, NULL);
    ss_table_column(table, "staleness", SS_COL_NUMBER, "%.3g");
    ss_table_column(table, "at step", SS_COL_NUMBER, "%.0f");
    ss_table_column(table, "stale steps", SS_COL_NUMBER, "%.0f");
    ss_table_column(table, "update/weight", SS_COL_NUMBER, "%.3g");
    ss_table_column(table, "at", SS_COL_NUMBER, "%.0f");
    ss_table_column(table, "gradient", SS_COL_NUMBER, "%.3g");
    ss_table_column(table, "weight", SS_COL_NUMBER, "%.3g");
    for (int i = 0; i < shown; i++) {
        const ss_updates_row *x = &u->rows[i];

        ss_table_row(table);
        ss_table_text(table, t->run->parameters[x->parameter]);
        ss_table_number(table, x->staleness);
        ss_table_number(table, step_or_nan(t, x->staleness_step));
        ss_table_number(table, x->n_stale);
        ss_table_number(table, x->ratio);
        ss_table_number(table, step_or_nan(t, x->ratio_step));
        ss_table_number(table, x->gradient);
        ss_table_number(table, x->weight);
    }
    if (shown < u->n)
        snprintf(rest, sizeof rest, "; %d more parameters", u->n - shown);
    ss_table_note(table,
                  "largest staleness RMS(g/sqrt(v)) and update/weight, and where; gradient and "
                  "weight: RMS at the end; %d of %d measured steps have a staleness above %g%s",
                  u->n_stale, t->trend.n_steps, SS_STALE, rest);
    return SS_OK;
}

/* Sorts steps in the order of the table: most parameters, then earliest. */
static void sort_stale(const ss_updates *u, int n_steps, int *order)
{
    int n = 0;

    for (int j = 0; j < n_steps; j++) {
        int at = n;

        if (!u->stale[j])
            continue;
        for (; at > 0 && u->stale[order[at - 1]] < u->stale[j]; at--)
            order[at] = order[at - 1];
        order[at] = j;
        n++;
    }
}

/* The parameter whose staleness is u->worst at a step. */
static const char *worst_of(const ss_training *t, const ss_updates *u, const float *x, int step)
{
    for (int64_t i = 0; i < t->run->n_parameters; i++) {
        if (x[(size_t)i * (size_t)t->run->n_sigmas + (size_t)t->columns[step]] == u->worst[step])
            return t->run->parameters[i];
    }
    return "-";
}

ss_code ss_stale_table(const ss_training *t, const ss_updates *u, int top, ss_table *table,
                       ss_err *e)
{
    const int shown = top < u->n_stale ? top : u->n_stale;
    const float *x, *loss;
    char rest[64] = "";
    int *order = ss_alloc((size_t)u->n_stale, sizeof *order);
    ss_code rc = order ? ss_run_updates(t->run, "staleness", &x, e) : ss_no_memory(e, t->run->path);

    if (rc == SS_OK)
        rc = ss_run_training(t->run, "loss", &loss, e);
    if (rc == SS_OK)
        rc = ss_table_init(table, "stale steps", e);
    if (rc != SS_OK)
        goto out;
    if (u->n_stale)
        sort_stale(u, t->trend.n_steps, order);
    ss_table_column(table, "step", SS_COL_NUMBER, "%.0f");
    ss_table_column(table, "parameters", SS_COL_NUMBER, "%.0f");
    ss_table_column(table, "worst", SS_COL_NUMBER, "%.3g");
    ss_table_column(table, "parameter", SS_COL_TEXT, NULL);
    ss_table_column(table, "loss", SS_COL_NUMBER, "%.4g");
    for (int i = 0; i < shown; i++) {
        const int j = order[i];

        ss_table_row(table);
        ss_table_number(table, t->trend.steps[j]);
        ss_table_number(table, u->stale[j]);
        ss_table_number(table, u->worst[j]);
        ss_table_text(table, worst_of(t, u, x, j));
        ss_table_number(table, loss ? loss[t->columns[j]] : NAN);
    }
    if (shown < u->n_stale)
        snprintf(rest, sizeof rest, "; %d more steps", u->n_stale - shown);
    ss_table_note(table, "measured steps at which parameters have a staleness above %g%s", SS_STALE,
                  rest);
out:
    ss_free(order);
    return rc;
}
