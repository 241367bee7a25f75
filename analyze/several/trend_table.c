/* trend_table.c - growth over training as tables; see trend.h */
#include "analyze/one/run_settings.h"
#include "analyze/several/trend.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Index of the row with the largest value of a run, over what is common; or -1. */
static int largest_row(const ss_trend *t, int j)
{
    int best = -1;

    for (int i = 0; i < t->n; i++) {
        const double y = t->rows[i].peak.y[j];

        if (!isnan(y) && (best < 0 || y > t->rows[best].peak.y[j]))
            best = i;
    }
    return best;
}

/* True if a high noise level is known: text encoders have none, and not every training says it. */
static bool has_levels(const ss_trend *t)
{
    return !ss_run_is_text(t->runs[0]) && !isnan(t->high_sigma);
}

/* Removes what is of the highest noise level from the table where none is known. */
static void drop_levels(const ss_trend *t, ss_table *table)
{
    static const char *const columns[] = {"at highest sigma", "high", "high exp", "high err"};

    for (size_t i = 0; i < sizeof columns / sizeof *columns && !has_levels(t); i++)
        ss_table_drop(table, columns[i]);
}

ss_code ss_trend_runs_table(const ss_trend *t, ss_table *table, ss_err *e)
{
    ss_str left = {0};
    const ss_aligned *a = &t->aligned;
    ss_code rc = ss_table_init(table, "steps", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(table, "step", SS_COL_NUMBER, "%.0f");
    ss_table_column(table, "largest", SS_COL_NUMBER, "%.4g");
    ss_table_column(table, "at highest sigma", SS_COL_NUMBER, "%.4g");
    ss_fold_columns(table);
    ss_table_column(table, "not finite", SS_COL_NUMBER, "%.0f");
    ss_table_column(table, "file", SS_COL_TEXT, NULL);
    for (int j = 0; j < t->n_steps; j++) {
        const int best = largest_row(t, j);
        double high = NAN;
        int spoiled = 0;

        for (int i = 0; i < t->n; i++) {
            high = fmax(high, t->rows[i].high.y[j]);
            spoiled += t->rows[i].nonfinite[j];
        }
        ss_table_row(table);
        ss_table_number(table, t->steps[j]);
        ss_table_number(table, best < 0 ? NAN : t->rows[best].peak.y[j]);
        ss_table_number(table, high);
        ss_trend_cells(t, best < 0 ? NULL : &t->rows[best], table);
        ss_table_number(table, spoiled);
        ss_table_text(table, t->runs[j]->path);
    }
    ss_align_describe(a, &left);
    drop_levels(t, table);
    if (ss_run_is_text(t->runs[0]))
        ss_table_note(table,
                      "%d places and %d prompts are in all runs; not finite: places with inf or "
                      "NaN%s",
                      t->n, a->n_inputs, left.s ? left.s : "");
    else
        ss_table_note(table,
                      "%d places, %d noise levels from %g to %g and %d inputs are in all runs; not "
                      "finite: places with inf or NaN%s",
                      t->n, a->n_sigmas, t->runs[0]->sigmas[ss_align_sigma(a, 0, 0)],
                      t->runs[0]->sigmas[ss_align_sigma(a, a->n_sigmas - 1, 0)], a->n_inputs,
                      left.s ? left.s : "");
    ss_str_release(&left);
    return SS_OK;
}

/* The steps of the runs that have the same value of a setting as run j, "250, 500". */
static void add_steps(const ss_trend *t, const ss_run_setting *row, int j, ss_str *out)
{
    for (int k = j; k < t->n_steps; k++) {
        if (strcmp(row->values[k], row->values[j]) == 0)
            ss_str_addf(out, "%s%.0f", out->len ? ", " : "", t->steps[k]);
    }
}

/* A row for each value of a setting. */
static void put_values(const ss_trend *t, const ss_run_setting *row, ss_table *table)
{
    for (int j = 0; j < t->n_steps; j++) {
        ss_str steps = {0};
        bool seen = false;

        for (int k = 0; k < j; k++)
            seen |= strcmp(row->values[k], row->values[j]) == 0;
        if (seen)
            continue;
        add_steps(t, row, j, &steps);
        table->failed |= steps.failed;
        ss_table_row(table);
        ss_table_text(table, row->name);
        ss_table_text(table, row->values[j]);
        ss_table_text(table, steps.s ? steps.s : "");
        ss_str_release(&steps);
    }
}

ss_code ss_trend_settings_table(const ss_trend *t, bool *any, ss_table *table, ss_err *e)
{
    ss_run_settings x;
    ss_str names = {0};
    int n = 0;
    ss_code rc = ss_run_settings_find(t->runs, t->n_steps, &x, e);

    *any = false;
    if (rc != SS_OK)
        return rc;
    if ((rc = ss_table_init(table, "settings", e)) != SS_OK) {
        ss_run_settings_release(&x);
        return rc;
    }
    ss_table_column(table, "setting", SS_COL_TEXT, NULL);
    ss_table_column(table, "value", SS_COL_TEXT, NULL);
    ss_table_column(table, "steps", SS_COL_TEXT, NULL);
    for (int i = 0; i < x.n; i++) {
        if (!x.list[i].differs || strcmp(x.list[i].key, "model_sha256") == 0)
            continue;
        ss_str_addf(&names, "%s%s", n++ ? ", " : "", x.list[i].name);
        put_values(t, &x.list[i], table);
    }
    *any = n > 0 || (x.n_foreign && x.n_foreign < t->n_steps);
    ss_table_note(
        table,
        "the runs differ in more than the checkpoint%s%s, so a trend may be that of these"
        "%s",
        n ? ": " : "", names.s ? names.s : "",
        x.n_foreign ? "; some were made by other hooks, with settings that are not recorded" : "");
    table->failed |= names.failed;
    ss_str_release(&names);
    ss_run_settings_release(&x);
    return SS_OK;
}

/* A verdict on a fit in a word or two. */
static const char *remark(const ss_power_law *p)
{
    if (p->n < 2)
        return "too few steps";
    if (p->n == 2)
        return "2 steps, no law";
    switch (p->bend) {
    case SS_BEND_UP: return "bends up";
    case SS_BEND_DOWN: return "bends down";
    case SS_BEND_NO_LAW: return "scatters, no law";
    case SS_BEND_NONE: return "straight";
    case SS_BEND_UNKNOWN: break;
    }
    return "3 steps, unchecked";
}

static void add_columns(ss_table *table, bool stages)
{
    static const char *const columns[] = {"first", "last", "exponent", "error",
                                          "R2",    "high", "high exp", "high err"};

    if (stages)
        ss_table_column(table, "stage", SS_COL_TEXT, NULL);
    else
        ss_fold_columns(table);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        ss_table_column(table, columns[i], SS_COL_NUMBER, "%.3g");
    ss_table_column(table, "fit", SS_COL_TEXT, NULL);
}

static void add_row(const ss_trend *t, const ss_trend_row *row, ss_table *table)
{
    char name[512];
    const int last = t->n_steps - 1;
    const ss_power_law *p = &row->peak.law, *h = &row->high.law;
    /* two points are on a line whatever they are: without an error there is no exponent */
    const double cells[] = {row->peak.y[0],
                            row->peak.y[last],
                            isnan(p->error) ? NAN : p->b,
                            p->error,
                            isnan(p->error) ? NAN : p->r2,
                            row->high.y[last],
                            isnan(h->error) ? NAN : h->b,
                            h->error};

    ss_table_row(table);
    if (row->site >= 0)
        ss_trend_cells(t, row, table);
    else
        ss_table_text(table, ss_trend_name(t, row, name, sizeof name));
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        ss_table_number(table, cells[i]);
    ss_table_text(table, remark(p));
}

ss_code ss_trend_stages_table(const ss_trend *t, ss_table *table, ss_err *e)
{
    static const char nameless[] = "; no module's path names an encoder, a middle or a decoder";
    bool named = false;
    ss_code rc = ss_table_init(table, "trend of stages", e);

    if (rc != SS_OK)
        return rc;
    add_columns(table, true);
    for (int i = 0; i < t->n; i++)
        named |= t->rows[i].stage != SS_STAGE_NONE;
    for (int i = named ? 0 : SS_N_STAGES; i < (named ? SS_N_STAGES : SS_N_STAGES + 1); i++)
        add_row(t, &t->stages[i], table);
    drop_levels(t, table);
    if (!has_levels(t))
        ss_table_note(table, "largest |x| as step^exponent, standard error of the exponent%s",
                      named || ss_run_is_text(t->runs[0]) ? "" : nameless);
    else
        ss_table_note(
            table,
            "largest |x| as step^exponent, standard error of the exponent; high: last, at "
            "sigma %.4g%s%s",
            t->high_sigma, t->runs[0]->steps ? " and above" : "", named ? "" : nameless);
    return SS_OK;
}

ss_code ss_trend_table(const ss_trend *t, int top, ss_table *table, ss_err *e)
{
    const int shown = top < t->n ? top : t->n;
    /* where the fits begin: the untrained network takes no part in them */
    const int first = t->runs[0]->steps && t->steps[0] < 2 && t->n_steps > 1;
    int bent = 0;
    char rest[64] = "";
    ss_code rc = ss_table_init(table, "trend", e);

    if (rc != SS_OK)
        return rc;
    add_columns(table, false);
    for (int i = 0; i < shown; i++)
        add_row(t, &t->rows[i], table);
    for (int i = 0; i < t->n; i++)
        bent += t->rows[i].peak.law.bend > SS_BEND_NONE;
    if (shown < t->n)
        snprintf(rest, sizeof rest, "; %d more, each at most %.4g", t->n - shown,
                 t->rows[shown].peak.y[t->n_steps - 1]);
    drop_levels(t, table);
    ss_table_note(table,
                  "largest |x| as step^exponent, from step %.0f to %.0f; %d of %d places bend away "
                  "from a straight line, or scatter about it by a factor of 2%s",
                  t->steps[first], t->steps[t->n_steps - 1], bent, t->n, rest);
    return SS_OK;
}

/* A row with its forecast, to be sorted. */
typedef struct {
    const ss_trend_row *row;
    ss_forecast x;
} dated;

static int sooner_first(const void *a, const void *b)
{
    const dated *x = a, *y = b;

    if (x->x.reach != y->x.reach)
        return x->x.reach < y->x.reach ? -1 : 1;
    if (x->x.over != y->x.over)
        return x->x.over < y->x.over ? -1 : 1;
    if (!isnan(x->x.at.at) && x->x.at.at != y->x.at.at)
        return x->x.at.at < y->x.at.at ? -1 : 1;
    return x->row < y->row ? -1 : 1; /* these are sorted by what was last seen */
}

static void outcome(const dated *d, char *out, size_t n)
{
    const ss_bend bend = d->row->peak.law.bend;

    switch (d->x.reach) {
    case SS_REACH_PASSED:
        snprintf(out, n, "passed%s", d->x.back ? ", below it at the last step" : "");
        break;
    case SS_REACH_LOST:
        snprintf(out, n, "inf or NaN%s", d->x.back ? ", finite at the last step" : "");
        break;
    case SS_REACH_AHEAD:
        snprintf(out, n, "ahead%s",
                 bend == SS_BEND_UP     ? ", sooner: it bends up"
                 : bend == SS_BEND_DOWN ? ", later: it bends down"
                                        : "");
        break;
    case SS_REACH_FAR: snprintf(out, n, "beyond %d x the range", SS_TREND_FAR); break;
    case SS_REACH_NEVER: snprintf(out, n, "not by this trend"); break;
    case SS_REACH_BENT:
        snprintf(out, n, "no forecast: it %s",
                 bend == SS_BEND_UP     ? "bends up"
                 : bend == SS_BEND_DOWN ? "bends down"
                                        : "scatters");
        break;
    case SS_REACH_UNKNOWN: snprintf(out, n, "no forecast: fewer than 3 steps"); break;
    }
}

static void add_forecast(const ss_trend *t, const dated *d, ss_table *table)
{
    char text[80];
    double at = NAN, from = NAN, to = NAN;

    if (d->x.reach <= SS_REACH_LOST) {
        from = d->x.over > 0 ? t->steps[d->x.over - 1] : NAN;
        to = t->steps[d->x.over];
    } else {
        at = d->x.at.at;
        from = d->x.at.low;
        to = d->x.at.high;
    }
    ss_table_row(table);
    ss_trend_cells(t, d->row, table);
    ss_table_number(table, d->row->peak.y[t->n_steps - 1]);
    ss_table_number(table, at);
    ss_table_number(table, from);
    ss_table_number(table, to);
    outcome(d, text, sizeof text);
    ss_table_text(table, text);
}

ss_code ss_forecast_table(const ss_trend *t, const ss_format *f, const char *title, int top,
                          ss_table *table, ss_err *e)
{
    int count[SS_REACH_UNKNOWN + 1] = {0};
    const int shown = top < t->n ? top : t->n;
    dated *rows = ss_alloc((size_t)t->n, sizeof *rows);
    ss_code rc = rows ? ss_table_init(table, title, e) : ss_no_memory(e, "a trend");

    if (rc != SS_OK)
        goto out;
    for (int i = 0; i < t->n; i++) {
        rows[i] = (dated){&t->rows[i], ss_trend_forecast(t, &t->rows[i], f)};
        count[rows[i].x.reach]++;
    }
    qsort(rows, (size_t)t->n, sizeof *rows, sooner_first);
    ss_fold_columns(table);
    ss_table_column(table, "last", SS_COL_NUMBER, "%.4g");
    ss_table_column(table, "at step", SS_COL_NUMBER, "%.4g");
    ss_table_column(table, "from", SS_COL_NUMBER, "%.4g");
    ss_table_column(table, "to", SS_COL_NUMBER, "%.4g");
    ss_table_column(table, "outcome", SS_COL_TEXT, NULL);
    for (int i = 0; i < shown; i++)
        add_forecast(t, &rows[i], table);
    ss_table_note(
        table,
        "the step at which the trend reaches %.5g, 95 %% interval; passed, inf or NaN: between "
        "these steps; of %d places %d passed it, %d inf or NaN, %d ahead, %d beyond %d x the range "
        "of the steps, %d not "
        "by this trend, %d follow no law, %d have too few steps",
        f->max, t->n, count[SS_REACH_PASSED], count[SS_REACH_LOST], count[SS_REACH_AHEAD],
        count[SS_REACH_FAR], SS_TREND_FAR, count[SS_REACH_NEVER], count[SS_REACH_BENT],
        count[SS_REACH_UNKNOWN]);
out:
    ss_free(rows);
    return rc;
}
