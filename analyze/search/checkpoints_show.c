/* checkpoints_show.c - what a search found, as a sentence, tables and a bundle; see checkpoints.h
 */
#include "analyze/search/checkpoints.h"
#include "analyze/search/given_runs.h"
#include "base/mem.h"
#include "base/str.h"
#include "probe/bundle.h"
#include "runfile/run_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *ss_checkpoints_name(const ss_checkpoints *c, int i, char *out, size_t n)
{
    const ss_checkpoint_row *row = &c->rows[i];

    if (c->of_training)
        snprintf(out, n, "step %lld of %s", (long long)row->step, row->model);
    else
        snprintf(out, n, "%s", row->model);
    return out;
}

/* Adds by how much a value is over (or under) what the expression allows. */
static void add_excess(const ss_expression *x, const ss_checkpoint_row *row, ss_str *s)
{
    const ss_expression_node *m = &x->nodes[row->witness.node];
    const double largest = m->format.max, v = row->value;

    switch (m->measure) {
    case SS_MEASURE_NONFINITE:
        ss_str_addf(s, v == 1 ? "%g value is inf or NaN" : "%g values are inf or NaN", v);
        return;
    case SS_MEASURE_OVERFLOW:
        if (isinf(v))
            ss_str_addf(s, "inf or NaN");
        else if (v > largest)
            ss_str_addf(s, "|x| up to %.5g, over %g (%s) by a factor of %.3g", v, largest,
                        m->format.name, v / largest);
        else
            ss_str_addf(s, "|x| up to %.5g, of %g (%s)", v, largest, m->format.name);
        return;
    case SS_MEASURE_FORECAST:
        if (v == 0)
            ss_str_addf(s, "overflows %s now (%s)", m->format.name, row->measure);
        else if (isinf(v))
            ss_str_addf(s, "no overflow of %s is foreseen (%s)", m->format.name, row->measure);
        else
            ss_str_addf(s, "overflows %s in %.0f steps, by its trend (%s)", m->format.name, v,
                        row->measure);
        return;
    case SS_MEASURE_ABSMAX:
    case SS_MEASURE_RMS:
    case SS_MEASURE_HEADROOM:
    case SS_MEASURE_ENTROPY:
    case SS_MEASURE_MAX_LOGIT:
    case SS_MEASURE_LOSS:
    case SS_N_MEASURES: break;
    }
    if (isinf(v) && m->measure != SS_MEASURE_HEADROOM)
        ss_str_add(s, "inf or NaN");
    else
        ss_str_addf(s, "%.5g", v);
    ss_str_addf(s, " (%s)", row->measure);
}

void ss_checkpoint_place_say(const ss_expression *x, const ss_checkpoint_row *row, bool bins,
                             ss_str *s)
{
    ss_str_addf(s, "%s", row->where);
    if (!isnan(row->sigma))
        ss_str_addf(s, bins ? " at sigma about %.3g" : " at sigma %g", row->sigma);
    if (strcmp(row->input, "-") != 0 && row->column < 0)
        ss_str_addf(s, ", %s", SS_SHOW(row->input));
    if (strcmp(row->sample, "-") != 0)
        ss_str_addf(s, ", sample %s", SS_SHOW(row->sample));
    ss_str_add(s, ": ");
    add_excess(x, row, s);
}

void ss_checkpoints_say(const ss_checkpoints *c, const ss_expression *x, ss_str *s)
{
    const ss_bisection *b = &c->search;
    const char *what = c->of_training ? "step" : "checkpoint";
    char name[600];
    int last = b->last_good;

    if (b->first_bad >= 0) {
        const ss_checkpoint_row *bad = &c->rows[b->first_bad];

        ss_str_addf(s, "BAD since %s", ss_checkpoints_name(c, b->first_bad, name, sizeof name));
        if (bad->where) {
            ss_str_add(s, ": ");
            ss_checkpoint_place_say(x, bad, c->of_bins, s);
        } else
            ss_str_add(s, ", by --check");
        if (last >= 0)
            ss_str_addf(s, "; good before: %s", ss_checkpoints_name(c, last, name, sizeof name));
        else
            ss_str_addf(s, "; no good %s before it", what);
        if (b->n_between)
            ss_str_addf(s, ", %d skipped between", b->n_between);
        ss_str_add(s, b->monotone ? "." : "; some after it are good again.");
        return;
    }
    ss_str_addf(s, "GOOD: %d of %d %ss tried, none is bad", b->n_tried, b->n, what);
    if (b->n_tried < b->n)
        ss_str_add(s, " (--exhaustive tries all)");
    if (last >= 0 && c->rows[last].where && !isnan(c->rows[last].value)) {
        ss_str_addf(s, "; nearest in %s: ", ss_checkpoints_name(c, last, name, sizeof name));
        ss_checkpoint_place_say(x, &c->rows[last], c->of_bins, s);
    }
    ss_str_add(s, ".");
}

static void add_text(ss_table *t, const char *text)
{
    ss_table_text(t, text ? text : "-");
}

ss_code ss_checkpoints_verdict_table(const ss_checkpoints *c, const ss_expression *x, ss_table *t,
                                     ss_err *e)
{
    static const char *const texts[] = {"is",     "checkpoint", "last_good", "module", "input",
                                        "sample", "measure",    "format",    "run"};
    static const char *const numbers[] = {"step", "last_good_step", "sigma", "value", "limit"};
    const ss_bisection *b = &c->search;
    const ss_checkpoint_row *good = b->last_good >= 0 ? &c->rows[b->last_good] : NULL;
    const ss_checkpoint_row *bad = b->first_bad >= 0 ? &c->rows[b->first_bad] : NULL;
    const ss_checkpoint_row *row = bad ? bad : good;
    const ss_expression_node *m = row->where ? &x->nodes[row->witness.node] : NULL;
    const bool has_format =
        m && (m->measure == SS_MEASURE_OVERFLOW || m->measure == SS_MEASURE_HEADROOM);
    ss_code rc = ss_table_init(t, "verdict", e);

    if (rc != SS_OK)
        return rc;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        ss_table_column(t, texts[i], SS_COL_TEXT, NULL);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        ss_table_column(t, numbers[i], SS_COL_NUMBER, "%.6g");
    ss_table_row(t);
    ss_table_text(t, bad ? "bad" : "good");
    add_text(t, bad ? bad->model : NULL);
    add_text(t, good ? good->model : NULL);
    add_text(t, row->where);
    add_text(t, row->input);
    add_text(t, row->sample);
    add_text(t, row->measure);
    add_text(t, has_format ? m->format.name : NULL);
    add_text(t, row->run);
    ss_table_number(t, bad && bad->step >= 0 ? (double)bad->step : NAN);
    ss_table_number(t, good && good->step >= 0 ? (double)good->step : NAN);
    ss_table_number(t, row->sigma);
    ss_table_number(t, row->value);
    ss_table_number(t, m ? ss_expression_limit(m) : NAN);
    ss_table_note(t,
                  "the first bad checkpoint, and what fails first in it; or that none is, and what "
                  "came nearest in the last good one");
    return SS_OK;
}

/* "2 probed, 1 kept runs", and what else there is. */
static void count_runs(const ss_checkpoints *c, char *out, size_t n)
{
    char given[64] = "", unreadable[64] = "";

    if (c->n_given)
        snprintf(given, sizeof given, ", %d run files given", c->n_given);
    if (c->n_unreadable)
        snprintf(unreadable, sizeof unreadable, ", %d cannot be read", c->n_unreadable);
    if (c->of_training)
        snprintf(out, n, "of one run file");
    else
        snprintf(out, n, "%d probed, %d kept runs%s%s", c->n_made, c->n_kept, given, unreadable);
}

static void note_outcome(const ss_checkpoints *c, ss_table *t)
{
    const ss_bisection *b = &c->search;
    const char *order = c->by_step ? "training step" : "as given";
    const char *what = c->of_training ? "steps" : "checkpoints";
    char runs[200], between[64] = "", bad[600], good[600] = "none";

    count_runs(c, runs, sizeof runs);
    if (b->n_between)
        snprintf(between, sizeof between, ", %d skipped between the two", b->n_between);
    if (b->first_bad < 0) {
        ss_table_note(t, "no bad one; %d of %d %s tried (%s); order: %s", b->n_tried, b->n, what,
                      runs, order);
        return;
    }
    ss_checkpoints_name(c, b->first_bad, bad, sizeof bad);
    if (b->last_good >= 0)
        ss_checkpoints_name(c, b->last_good, good, sizeof good);
    ss_table_note(
        t, "first bad: %s; last good before it: %s%s; %d of %d %s tried (%s), %s; order: %s", bad,
        good, between, b->n_tried, b->n, what, runs,
        b->monotone ? "none good after it" : "NOT monotone: some after it are good again", order);
}

/* Keeps, among a training's steps, those next to the change, the ends, and some between. */
static bool is_shown(const ss_checkpoints *c, int i)
{
    enum { SHOWN = 12 };
    const int at = c->search.first_bad, every = c->n / SHOWN + 1;

    return !c->of_training || i == c->n - 1 || i % every == 0 || (at >= 0 && abs(i - at) <= 1);
}

ss_code ss_checkpoints_table(const ss_checkpoints *c, ss_table *t, ss_err *e)
{
    static const char *const texts[] = {"untried", "good", "BAD", "skip"};
    ss_code rc = ss_table_init(t, "checkpoints", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "checkpoint", SS_COL_TEXT, NULL);
    ss_table_column(t, "step", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "tried", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "is", SS_COL_TEXT, NULL);
    ss_table_column(t, "measure", SS_COL_TEXT, NULL);
    ss_table_column(t, "value", SS_COL_NUMBER, "%.5g");
    ss_table_column(t, "module", SS_COL_TEXT, NULL);
    ss_table_column(t, "sigma", SS_COL_AXIS, NULL);
    ss_table_column(t, "input", SS_COL_TEXT, NULL);
    ss_table_column(t, "sample", SS_COL_TEXT, NULL);
    for (int i = 0; i < c->n; i++) {
        const ss_checkpoint_row *row = &c->rows[i];

        if (!row->order || !is_shown(c, i))
            continue;
        ss_table_row(t);
        ss_table_text(t, row->model);
        ss_table_number(t, row->step >= 0 ? (double)row->step : NAN);
        ss_table_number(t, row->order);
        ss_table_text(t, texts[c->search.verdict[i]]);
        ss_table_text(t, row->unreadable ? "cannot be read" : row->measure ? row->measure : "-");
        ss_table_number(t, row->value);
        ss_table_text(t, row->where ? row->where : "-");
        ss_table_number(t, row->sigma);
        ss_table_text(t, row->input ? row->input : "-");
        ss_table_text(t, row->sample ? row->sample : "-");
    }
    if (c->of_training)
        ss_table_drop(t, "checkpoint"); /* one file */
    if (c->of_bins)
        ss_table_drop(t, "sample");
    note_outcome(c, t);
    return SS_OK;
}

static void add_fact(ss_table *t, const char *what, const char *is)
{
    ss_table_row(t);
    ss_table_text(t, what);
    ss_table_text(t, is);
}

static void add_number(ss_table *t, const char *what, double is)
{
    ss_table_row(t);
    ss_table_text(t, what);
    ss_table_number(t, is);
}

ss_code ss_first_bad_table(const ss_checkpoints *c, ss_table *t, ss_err *e)
{
    const ss_checkpoint_row *bad = &c->rows[c->search.first_bad];
    ss_code rc = ss_table_init(t, "first bad", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "what", SS_COL_TEXT, NULL);
    ss_table_column(t, "is", SS_COL_TEXT, "%.8g");
    add_fact(t, c->of_training ? "training" : "checkpoint", bad->model);
    if (c->of_training) {
        add_number(t, "step", (double)bad->step);
    }
    if (bad->where) {
        add_fact(t, "module", bad->where);
        if (!isnan(bad->sigma))
            add_number(t, "sigma", bad->sigma);
        add_fact(t, "input", bad->input);
        if (!c->of_bins)
            add_fact(t, "sample", bad->sample);
        add_number(t, "value", bad->value);
        add_fact(t, "of", bad->measure);
    }
    add_fact(t, "run", bad->run);
    ss_table_note(t, bad->where
                         ? "the first module in forward order that fails, where it fails most"
                         : "by --check; --fail EXPR names module, noise level and input");
    return SS_OK;
}

/* The site whose numbers a bundle shows, see the header. */
static ss_site site_of(const ss_run *r, const ss_witness *w)
{
    const char *path = w->layer >= 0 ? r->layers[w->layer] : SS_RUN_ROOT;
    ss_site s = w->site;

    if (s.module >= 0)
        return s;
    for (int m = 0; m < r->n_modules && s.module < 0; m++) {
        if (strcmp(r->modules[m], path) == 0)
            s.module = m;
    }
    s.port = ss_run_port(r, "output");
    return s;
}

ss_code ss_first_bad_bundle(const ss_checkpoints *c, const ss_expression *x, const char *dir,
                            bool replace, ss_err *e)
{
    const ss_checkpoint_row *bad = &c->rows[c->search.first_bad];
    ss_run *r;
    ss_str found = {0};
    ss_code rc = ss_run_open(bad->run, &r, e);

    if (rc != SS_OK)
        return rc;
    ss_checkpoint_place_say(x, bad, c->of_bins, &found);
    ss_str_add(&found, ".");
    const ss_site s = site_of(r, &bad->witness);
    if (bad->given && (rc = ss_given_run_check_model(r, "--save-bundle", e)) != SS_OK)
        ;
    else if (s.module < 0 || s.port < 0)
        rc = ss_fail(e, SS_USAGE,
                     "%s: %s was not watched, so there is nothing to compare with; "
                     "--modules leaves it out",
                     bad->run, bad->where);
    else
        rc = ss_bundle_write(
            r, dir, replace, s.module, s.port,
            (ss_bundle_place){bad->witness.input, bad->witness.sigma, bad->witness.sample}, NULL,
            e);
    ss_str_release(&found);
    ss_run_close(r);
    return rc;
}
