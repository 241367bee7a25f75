/* components_say.c - sentences and the table of components; see components.h */
#include "analyze/several/components.h"
#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PROMPT = 60 }; /* bytes of a prompt that a sentence quotes */

char *ss_verdict_place(const ss_run *r, const ss_component_verdict *x, char *out, size_t n)
{
    char token[96], prompt[PROMPT];

    if (x->weights)
        snprintf(out, n, "weights");
    else if (x->cell.sigma < 0)
        snprintf(out, n, "-");
    else if (!ss_run_is_text(r))
        snprintf(out, n, "sigma %g", r->sigmas[x->cell.sigma]);
    else
        snprintf(out, n, "%s%s\"%s\"",
                 x->cell.sample < 0 ? ""
                                    : ss_run_sample_name(r, x->cell.sigma, x->cell.input,
                                                         x->cell.sample, token, sizeof token),
                 x->cell.sample < 0 ? "prompt " : " of prompt ",
                 ss_printable(r->inputs[x->cell.input], prompt, sizeof prompt));
    return out;
}

/* Says that a run was cut off. */
static void say_unfinished(const ss_run *r, ss_str *s)
{
    if (!r->complete && r->n_done && r->n_done < r->n_sigmas)
        ss_str_addf(s, " (unfinished: %d of %d noise levels)", r->n_done, r->n_sigmas);
    else if (!r->complete && r->n_done)
        ss_str_add(s, " (unfinished)");
}

static void say_over(double bits, ss_str *s)
{
    if (bits > -0.05)
        ss_str_add(s, ", just over the limit");
    else if (isfinite(bits))
        ss_str_addf(s, ", %.1f bits over the limit", -bits);
}

static void say_bad_weights(const ss_component_verdicts *c, ss_str *s)
{
    if (c->n_bad_weights)
        ss_str_addf(s, " (%lld of its parameters %s inf or NaN, the first is %s)",
                    (long long)c->n_bad_weights, c->n_bad_weights == 1 ? "is" : "are",
                    c->bad_weight);
}

/* "vae decoder.conv_out reaches 1e+05 at sigma 0, 0.6 bits over the limit" */
static void say_failure(const ss_component_verdicts *c, const ss_component_verdict *x, ss_str *s)
{
    char name[512], place[256];

    ss_site_name(c->run, x->site, name, sizeof name);
    ss_verdict_place(c->run, x, place, sizeof place);
    ss_str_addf(s, "%s %s", c->name, name);
    if (x->kind == SS_VERDICT_NOT_FINITE) {
        ss_str_addf(s, " is inf or NaN at %s", place);
        if (c->emulated)
            ss_str_addf(s, " under emulation of %s", c->run->precision);
        say_bad_weights(c, s);
    } else if (x->weights) {
        ss_str_addf(s, " has a weight of %.3g", x->largest);
        say_over(x->bits, s);
    } else {
        ss_str_addf(s, " reaches %.3g at %s", x->largest, place);
        say_over(x->bits, s);
    }
    say_unfinished(c->run, s);
}

static bool fails(const ss_component_verdict *x)
{
    return x->kind == SS_VERDICT_OVERFLOWS || x->kind == SS_VERDICT_NOT_FINITE;
}

/* "3.1 bits", "at most 3.1 bits" where values were cut off */
static void say_bits(const ss_component_verdicts *c, const ss_component_verdict *x, ss_str *s)
{
    ss_str_addf(s, "%s%.1f bits", *c->limit ? "at most " : "", x->bits);
}

/* Says what restricts the statement that a component does not fail. */
static void say_caveats(const ss_component_verdicts *c, ss_str *s)
{
    if (*c->limit)
        ss_str_addf(s, " (%s cuts values off at %g)", c->limit, c->limit_value);
    say_bad_weights(c, s);
    say_unfinished(c->run, s);
}

static void say_failures(const ss_verdicts *v, int f, int n_failing, ss_str *s)
{
    int n_said = 0, n_unknown = 0;

    for (int i = 0; i < v->n; i++)
        n_unknown += v->list[i].why != NULL;
    for (int i = 0; i < v->n; i++) {
        const ss_component_verdicts *c = &v->list[i];

        if (!fails(&c->verdict[f]))
            continue;
        if (n_said++ == 0)
            ss_str_addf(s, " %s %s: ", c->role,
                        n_failing > 1    ? "fails first"
                        : n_unknown == 0 ? "alone fails"
                                         : "fails");
        else
            ss_str_add(s, "; then ");
        say_failure(c, &c->verdict[f], s);
    }
    for (int i = 0; i < v->n; i++) {
        const ss_component_verdicts *c = &v->list[i];

        if (c->verdict[f].kind != SS_VERDICT_FITS)
            continue;
        ss_str_addf(s, "; %s has ", c->name);
        say_bits(c, &c->verdict[f], s);
        ss_str_add(s, " left");
        say_caveats(c, s);
    }
}

/* The component with least headroom; -1: nothing is known of any. */
static int least_of(const ss_verdicts *v, int f, int after)
{
    const double floor = after < 0 ? -INFINITY : v->list[after].verdict[f].bits;
    int best = -1;

    for (int i = 0; i < v->n; i++) {
        const ss_component_verdict *x = &v->list[i].verdict[f];

        if (x->kind != SS_VERDICT_FITS || x->bits < floor || (x->bits == floor && i <= after))
            continue;
        if (best < 0 || x->bits < v->list[best].verdict[f].bits)
            best = i;
    }
    return best;
}

static void say_headroom(const ss_verdicts *v, int f, ss_str *s)
{
    int at = least_of(v, f, -1);
    bool all = true;
    char name[512], place[256];

    if (at < 0) {
        ss_str_add(s, " nothing can be judged");
        return;
    }
    const ss_component_verdicts *c = &v->list[at];
    for (int i = 0; i < v->n; i++)
        all &= v->list[i].run->complete && !v->list[i].why;
    ss_site_name(c->run, c->verdict[f].site, name, sizeof name);
    ss_verdict_place(c->run, &c->verdict[f], place, sizeof place);
    ss_str_addf(s, " nothing%s fails; %s has least headroom, ", all ? "" : " that was judged",
                c->name);
    say_bits(c, &c->verdict[f], s);
    ss_str_addf(s, ": %s reaches %.3g at %s", name, c->verdict[f].largest, place);
    say_caveats(c, s);
    while ((at = least_of(v, f, at)) >= 0) {
        ss_str_addf(s, "; %s has ", v->list[at].name);
        say_bits(&v->list[at], &v->list[at].verdict[f], s);
        say_caveats(&v->list[at], s);
    }
}

char *ss_verdicts_say(const ss_verdicts *v, int f)
{
    ss_str s = {0};
    int n_failing = 0;

    for (int i = 0; i < v->n; i++)
        n_failing += fails(&v->list[i].verdict[f]);
    ss_str_addf(&s, "%s:", v->formats[f].name);
    if (n_failing)
        say_failures(v, f, n_failing, &s);
    else
        say_headroom(v, f, &s);
    for (int i = 0; i < v->n; i++) {
        if (v->list[i].why)
            ss_str_addf(&s, "; %s is not judged: %s", v->list[i].name, v->list[i].why);
        if (v->list[i].why)
            say_unfinished(v->list[i].run, &s);
    }
    ss_str_add(&s, ".");
    return ss_str_detach(&s);
}

static const char *finding(const ss_component_verdicts *c, const ss_component_verdict *x)
{
    switch (x->kind) {
    case SS_VERDICT_NOT_FINITE: return "INF OR NaN";
    case SS_VERDICT_OVERFLOWS: return x->weights ? "WEIGHTS OVERFLOW" : "OVERFLOWS";
    case SS_VERDICT_UNKNOWN: return c->why;
    case SS_VERDICT_FITS: break;
    }
    return *c->limit ? "CUT OFF" : c->n_bad_weights ? "BAD WEIGHTS" : "";
}

static void add_row(const ss_format *f, const ss_component_verdicts *c,
                    const ss_component_verdict *x, ss_table *t)
{
    const bool placed = x->cell.sigma >= 0, text = ss_run_is_text(c->run);
    char label[256];

    ss_table_row(t);
    ss_table_text(t, f->name);
    ss_table_text(t, c->name);
    if (x->site.module >= 0)
        ss_fold_cells(t, c->run, x->site);
    else
        ss_fold_no_cells(t);
    ss_table_number(t, placed && !text ? c->run->sigmas[x->cell.sigma] : NAN);
    ss_table_text(t, placed && text ? ss_run_sample_label(c->run, x->cell.sigma, x->cell.input,
                                                          x->cell.sample, label, sizeof label)
                                    : "-");
    ss_table_text(t, placed ? c->run->inputs[x->cell.input] : "-");
    ss_table_number(t, x->largest);
    ss_table_number(t, x->bits);
    ss_table_text(t, finding(c, x));
}

ss_code ss_verdicts_table(const ss_verdicts *v, ss_table *t, ss_err *e)
{
    ss_str unfinished = {0};
    ss_code rc = ss_table_init(t, "components", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "format", SS_COL_TEXT, NULL);
    ss_table_column(t, "component", SS_COL_TEXT, NULL);
    ss_fold_columns(t);
    ss_table_column(t, "sigma", SS_COL_AXIS, NULL);
    ss_table_column(t, "token", SS_COL_TEXT, NULL);
    ss_table_column(t, "input", SS_COL_TEXT, NULL);
    ss_table_column(t, "largest", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "bits", SS_COL_NUMBER, "%.1f");
    ss_table_column(t, "finding", SS_COL_TEXT, NULL);
    for (int f = 0; f < v->n_formats; f++)
        for (int i = 0; i < v->n; i++)
            add_row(&v->formats[f], &v->list[i], &v->list[i].verdict[f], t);
    for (int i = 0; i < v->n; i++) {
        if (!v->list[i].run->complete)
            ss_str_addf(&unfinished, "%s %s",
                        unfinished.len ? "," : "; NOT complete:", v->list[i].name);
    }
    ss_table_note(t,
                  "in the order in which a sample passes them; of each the first place in forward "
                  "order that is not finite or overflows in the format, or else the one with least "
                  "headroom%s%s",
                  v->one_pipeline ? "" : "; THE MODELS are of different folders",
                  unfinished.s ? unfinished.s : "");
    rc = unfinished.failed ? ss_no_memory(e, "components") : SS_OK;
    ss_str_release(&unfinished);
    return rc;
}
