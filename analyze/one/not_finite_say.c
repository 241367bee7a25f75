/* not_finite_say.c - sentences and tables of what is not finite; see not_finite.h */
#include "analyze/one/not_finite.h"
#include "base/format.h"
#include "base/str.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef unsigned long long ull;

const char *ss_bad_part_name(ss_bad_part part)
{
#define X(name, text) text,
    static const char *const names[] = {SS_BAD_PARTS(X) "none"};
#undef X

    return names[part];
}

static const char *is_or_are(uint64_t n)
{
    return n == 1 ? "is" : "are";
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* True where the values were rounded to a format while the network ran. */
static bool is_emulated(const ss_run *r)
{
    const char *p = r->precision;

    return *p && (strncmp(p, "fp32", 4) != 0 || strchr(p, ','));
}

static void say_weights(const ss_not_finite *x, ss_str *s)
{
    const ss_run *r = x->run;
    const ss_bad_weight *first = x->weights;

    if (!x->n_weights)
        return;
    if (x->weights_counted)
        ss_str_addf(
            s,
            "%llu weight%s %s inf or NaN, in %lld of %lld parameters, the first in %s (%llu "
            "there).",
            (ull)x->weight_values, plural(x->weight_values), is_or_are(x->weight_values),
            (long long)x->n_weights, (long long)r->n_parameters, r->parameters[first->parameter],
            (ull)first->count);
    else
        ss_str_addf(s,
                    "%lld of %lld parameters %s no finite largest value, the first is %s; of the "
                    "others this run does not say how many values are inf or NaN.",
                    (long long)x->n_weights, (long long)r->n_parameters,
                    x->n_weights == 1 ? "has" : "have", r->parameters[first->parameter]);
    ss_str_add(s, " What is computed from them is not finite either, in every precision: the "
                  "checkpoint is broken, and nothing below says how it came to be.");
}

static void say_sigma(const ss_not_finite *x, ss_str *s)
{
    const ss_run *r = x->run;

    if (!x->n_infinite)
        return;
    ss_str_addf(s,
                "%d of %d noise levels %s sigma = inf (alpha = 0): the network sees noise alone.",
                x->n_infinite, r->n_done, is_or_are((uint64_t)x->n_infinite));
    if (!x->denoised.count)
        return;
    ss_str_addf(s, " %d of %d pictures denoised there are not finite although the answers are",
                x->denoised.count, x->denoised.of);
    if (strcmp(r->prediction_type, "epsilon") == 0)
        ss_str_add(s,
                   ": with epsilon-prediction x0 = (x - sigma eps) / alpha divides by alpha = 0. "
                   "The schedule is the cause, not the network");
    ss_str_add(s, ".");
}

/* The word for what is counted where a run is examined sample by sample. */
static const char *cells_word(const ss_run *r)
{
    return r->binned ? "bins of a step and noise level" : "samples";
}

static void say_inputs(const ss_not_finite *x, ss_str *s)
{
    char where[400];

    if (!x->inputs.count)
        return;
    ss_str_addf(s,
                "%d of %d %s were inf or NaN before the network saw them, the first at %s. What "
                "follows from them is no fault of the network.",
                x->inputs.count, x->inputs.of, cells_word(x->run),
                ss_cell_name(x->run, x->inputs.first, where, sizeof where));
}

static void say_sites(const ss_not_finite *x, ss_str *s)
{
    const ss_run *r = x->run;
    const ss_bad_site *first = x->sites;
    char name[512], where[400];

    if (x->n_sites) {
        if (x->nothing_finite)
            ss_str_addf(s, "Nothing at all is finite: all values at all %d places are inf or NaN",
                        x->of_sites);
        else
            ss_str_addf(s, "Values are inf or NaN at %d of %d place%s (%s%llu values)", x->n_sites,
                        x->of_sites, plural((uint64_t)x->of_sites), x->counted ? "" : "at least ",
                        (ull)x->values);
        if (is_emulated(r))
            ss_str_addf(s, ", under emulation of %s", r->precision);
        ss_str_addf(s, ". The first in forward order is %s, first at %s%s.",
                    ss_site_name(r, first->site, name, sizeof name),
                    ss_cell_name(r, first->first, where, sizeof where),
                    first->nothing_finite && !x->nothing_finite ? ", where nothing is finite" : "");
    }
    if (x->unclear)
        ss_str_addf(s,
                    "%sThe run does not count what is not finite (it has no /stats/nonfinite), and "
                    "%d of %d modules have a largest value that is missing or NaN: whether those "
                    "are finite is not known.",
                    s->len ? " " : "", x->unclear, r->n_modules);
}

static void say_heads(const ss_not_finite *x, ss_str *s)
{
    const ss_run *r = x->run;
    const ss_bad_head *first = x->heads;
    char where[400], head[32] = "";

    if (!x->n_heads)
        return;
    if (first->head >= 0)
        snprintf(head, sizeof head, ", head %d", first->head);
    ss_str_addf(s,
                "Of %d attention heads %d %s not finite%s: entropy or logits are inf or NaN. The "
                "first is %s%s, in %d of %d %s, first at %s.",
                x->of_heads, x->n_heads, is_or_are((uint64_t)x->n_heads),
                x->heads_certain ? "" : " (or were not recorded)", r->layers[first->layer], head,
                first->count, first->of, cells_word(r),
                ss_cell_name(r, first->first, where, sizeof where));
}

static void say_outputs(const ss_not_finite *x, ss_str *s)
{
    char where[400];

    if (x->outputs.count)
        ss_str_addf(s, "The answer of the network is inf or NaN in %d of %d %s, first at %s.",
                    x->outputs.count, x->outputs.of, cells_word(x->run),
                    ss_cell_name(x->run, x->outputs.first, where, sizeof where));
}

static void say_losses(const ss_not_finite *x, ss_str *s)
{
    char where[400];

    if (x->losses.count)
        ss_str_addf(s, "The loss is inf or NaN in %d of the %d samples that have one, first at %s.",
                    x->losses.count, x->losses.of,
                    ss_cell_name(x->run, x->losses.first, where, sizeof where));
}

static void say_zero(const ss_not_finite *x, ss_str *s)
{
    if (x->nothing_nonzero)
        ss_str_addf(s,
                    "Every value that was seen, at all %d places, is zero: this network does "
                    "nothing, and says nothing about growth or overflow.",
                    x->of_sites);
}

static void say_limits(const ss_not_finite *x, ss_str *s)
{
    for (int i = 0; i < x->n_limits; i++) {
        const ss_at_limit *a = &x->limits[i];
        char name[512], where[400];

        ss_str_addf(s,
                    "%s%s cuts values off: the largest is exactly %g at %d of %d places, first in "
                    "%s, at %s",
                    i ? " " : "", a->what, a->limit, a->n_sites, a->of,
                    ss_site_name(x->run, a->first, name, sizeof name),
                    ss_cell_name(x->run, a->cell, where, sizeof where));
        if (!isnan(a->share))
            ss_str_addf(s, "; at one place%s at most %.3g %% of the values are",
                        ss_run_is_text(x->run) ? "" : " and noise level", 100 * a->share);
        ss_str_add(s, ". How large they would be without it is not known.");
    }
}

char *ss_not_finite_say(const ss_not_finite *x, ss_bad_part part, ss_err *e)
{
    static void (*const say[])(const ss_not_finite *, ss_str *) = {
        [SS_BAD_WEIGHTS] = say_weights, [SS_BAD_SIGMA] = say_sigma, [SS_BAD_INPUTS] = say_inputs,
        [SS_BAD_SITES] = say_sites,     [SS_BAD_HEADS] = say_heads, [SS_BAD_OUTPUTS] = say_outputs,
        [SS_BAD_LOSSES] = say_losses,   [SS_BAD_ZERO] = say_zero,   [SS_BAD_LIMITS] = say_limits,
    };
    ss_str s = {0};

    say[part](x, &s);
    if (s.failed)
        ss_no_memory(e, x->run->path);
    return s.len || s.failed ? ss_str_detach(&s) : NULL;
}

char *ss_last_finite_say(const ss_not_finite *const *x, const char *const *names,
                         const int64_t *steps, int n, ss_err *e)
{
    ss_str s = {0};
    int bad = -1, good = -1;

    for (int i = 0; i < n; i++) {
        if (ss_not_finite_any(x[i]) && (bad < 0 || steps[i] < steps[bad]))
            bad = i;
    }
    if (bad < 0)
        return NULL;
    for (int i = 0; i < n; i++) {
        if (steps[i] < steps[bad] && (good < 0 || steps[i] > steps[good]))
            good = i;
    }
    ss_str_addf(&s, "Of these %d the first that is not finite is %s, of step %lld; ", n, names[bad],
                (long long)steps[bad]);
    if (good >= 0)
        ss_str_addf(&s, "the last finite one before it is %s, of step %lld.", names[good],
                    (long long)steps[good]);
    else
        ss_str_add(&s, "none of an earlier step is among them.");
    if (s.failed)
        ss_no_memory(e, "what is not finite");
    return ss_str_detach(&s);
}

/* ---- tables ---- */

static void put_cell(const ss_run *r, ss_cell c, ss_table *t)
{
    char text[200];
    const double level = c.sigma < 0 ? NAN
                         : r->steps  ? (double)r->steps[c.sigma]
                                     : r->sigmas[c.sigma];

    if (!ss_run_is_text(r))
        ss_table_number(t, level);
    ss_table_text(t, c.sigma < 0 ? "-" : r->inputs[c.input]);
    if (r->binned)
        ss_table_number(t, c.sigma < 0 || c.sample < 0 ? NAN : ss_run_level(r, c.sigma, c.sample));
    else
        ss_table_text(
            t, c.sigma < 0 ? "-"
                           : ss_run_sample_label(r, c.sigma, c.input, c.sample, text, sizeof text));
}

static void add_cell_columns(const ss_run *r, ss_table *t)
{
    if (!ss_run_is_text(r))
        ss_table_column(t, r->steps ? "step" : "sigma", r->steps ? SS_COL_NUMBER : SS_COL_AXIS,
                        "%.0f");
    ss_table_column(t, ss_run_input_word(r), SS_COL_TEXT, NULL);
    ss_table_column(t, ss_run_sample_word(r), r->binned ? SS_COL_AXIS : SS_COL_TEXT, NULL);
}

static void add_part(const ss_run *r, const char *what, double count, double of, const char *first,
                     ss_cell c, ss_table *t)
{
    if (!(count > 0))
        return;
    ss_table_row(t);
    ss_table_text(t, what);
    ss_table_number(t, count);
    ss_table_number(t, of);
    ss_table_text(t, first);
    put_cell(r, c, t);
}

ss_code ss_not_finite_table(const ss_not_finite *x, ss_table *t, ss_err *e)
{
    const ss_run *r = x->run;
    const ss_cell none = {-1, -1, -1};
    char name[512] = "-", head[300] = "-";
    ss_code rc = ss_table_init(t, "not finite", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "what", SS_COL_TEXT, NULL);
    ss_table_column(t, "inf or NaN", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "of", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "first", SS_COL_TEXT, NULL);
    add_cell_columns(r, t);
    if (x->n_sites)
        ss_site_name(r, x->sites[0].site, name, sizeof name);
    if (x->n_heads && x->heads[0].head >= 0)
        snprintf(head, sizeof head, "%.240s, head %d", r->layers[x->heads[0].layer],
                 x->heads[0].head);
    else if (x->n_heads)
        snprintf(head, sizeof head, "%.240s", r->layers[x->heads[0].layer]);
    add_part(r, "parameters", (double)x->n_weights, (double)r->n_parameters,
             x->n_weights ? r->parameters[x->weights[0].parameter] : "-", none, t);
    add_part(r, r->binned ? "inputs (bins)" : "inputs (samples)", x->inputs.count, x->inputs.of,
             "-", x->inputs.first, t);
    add_part(r, "places", x->n_sites, x->of_sites, name, x->n_sites ? x->sites[0].first : none, t);
    add_part(r, "attention heads", x->n_heads, x->of_heads, head,
             x->n_heads ? x->heads[0].first : none, t);
    add_part(r, r->binned ? "answers (bins)" : "answers (samples)", x->outputs.count, x->outputs.of,
             "-", x->outputs.first, t);
    add_part(r, "denoised at sigma inf", x->denoised.count, x->denoised.of, "-", x->denoised.first,
             t);
    add_part(r, "losses (samples)", x->losses.count, x->losses.of, "-", x->losses.first, t);
    if (ss_not_finite_any(x))
        ss_table_note(t, "what is inf or NaN, each with the first of its kind%s",
                      ss_run_is_text(r) ? "; a sample is a token of a prompt"
                      : r->binned       ? "; a bin is the samples of a step near a noise level"
                                        : "; a sample is one of a noise level and input");
    else
        ss_table_note(t, x->of_sites == 0 ? "nothing was recorded"
                         : x->unclear     ? "nothing is known to be inf or NaN"
                                          : "nothing that was seen is inf or NaN");
    return SS_OK;
}

ss_code ss_bad_sites_table(const ss_not_finite *x, int top, ss_table *t, ss_err *e)
{
    const ss_run *r = x->run;
    const int shown = top < x->n_sites ? top : x->n_sites;
    ss_code rc = ss_table_init(t, "nonfinite", e);

    if (rc != SS_OK)
        return rc;
    ss_fold_columns(t);
    ss_table_column(t, "values", SS_COL_NUMBER, "%.0f");
    add_cell_columns(r, t);
    ss_table_column(t, "finite", SS_COL_TEXT, NULL);
    for (int i = 0; i < shown; i++) {
        const ss_bad_site *row = &x->sites[i];

        ss_table_row(t);
        ss_fold_cells(t, r, row->site);
        ss_table_number(t, (double)row->count);
        put_cell(r, row->first, t);
        ss_table_text(t, row->nothing_finite ? "nothing" : "the rest");
    }
    ss_table_note(
        t,
        "INF OR NaN in %d of %d places (%s%llu values), first in forward order, each with "
        "its first %s; %d shown",
        x->n_sites, x->of_sites, x->counted ? "" : "at least ", (ull)x->values,
        ss_run_is_text(r) ? "prompt and token"
        : r->binned       ? "step and noise level"
        : r->steps        ? "step, input and sample"
                          : "noise level, input and sample",
        shown);
    return SS_OK;
}

ss_code ss_bad_weights_table(const ss_not_finite *x, int top, ss_table *t, ss_err *e)
{
    const int64_t shown = top < x->n_weights ? top : x->n_weights;
    ss_code rc = ss_table_init(t, "weights not finite", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "parameter", SS_COL_TEXT, NULL);
    ss_table_column(t, "values", SS_COL_NUMBER, "%.0f");
    for (int64_t i = 0; i < shown; i++) {
        const ss_bad_weight *w = &x->weights[i];

        ss_table_row(t);
        ss_table_text(t, x->run->parameters[w->parameter]);
        ss_table_number(t, w->count ? (double)w->count : NAN);
    }
    ss_table_note(t, "INF OR NaN in %lld of %lld parameters; %lld shown%s", (long long)x->n_weights,
                  (long long)x->run->n_parameters, (long long)shown,
                  x->weights_counted ? "" : "; how many values is not recorded in this run");
    return SS_OK;
}

ss_code ss_at_limit_table(const ss_not_finite *x, ss_table *t, ss_err *e)
{
    ss_code rc = ss_table_init(t, "at a limit", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "limit", SS_COL_TEXT, NULL);
    ss_table_column(t, "value", SS_COL_NUMBER, "%g");
    ss_table_column(t, "places", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "of", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "at most %", SS_COL_NUMBER, "%.3g");
    ss_fold_columns(t);
    add_cell_columns(x->run, t);
    for (int i = 0; i < x->n_limits; i++) {
        const ss_at_limit *a = &x->limits[i];

        ss_table_row(t);
        ss_table_text(t, a->what);
        ss_table_number(t, a->limit);
        ss_table_number(t, a->n_sites);
        ss_table_number(t, a->of);
        ss_table_number(t, 100 * a->share);
        ss_fold_cells(t, x->run, a->first);
        put_cell(x->run, a->cell, t);
    }
    ss_table_note(t,
                  "CUT OFF: places whose largest |x| is exactly the limit; at most so many %% of "
                  "the values, at the place%s with most, are",
                  ss_run_is_text(x->run) ? "" : " and noise level");
    return SS_OK;
}
