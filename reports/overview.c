/* overview.c - see overview.h */
#include "reports/overview.h"

#include "base/mem.h"
#include "base/version.h"
#include "reports/sections/mechanism.h"
#include "reports/sections/samples.h"
#include "reports/sections/section_story.h"
#include "reports/sections/trends.h"
#include "reports/summary.h"

#include <math.h>

/* The table of runs, with a link to the page of each. */
static ss_code runs_table(ss_page *p, const ss_overview *o, ss_err *e)
{
    const char **links = ss_alloc((size_t)o->n, sizeof *links);
    char model[400];
    ss_table t = {0};
    ss_code rc = links ? ss_table_init(&t, "runs", e) : ss_no_memory(e, "a report");

    if (rc != SS_OK)
        goto out;
    ss_table_column(&t, "run", SS_COL_TEXT, NULL);
    ss_table_column(&t, "largest |x|", SS_COL_NUMBER, "%.4g");
    ss_table_column(&t, "at sigma", SS_COL_NUMBER, "%.3g");
    ss_table_column(&t, "decoder / encoder", SS_COL_NUMBER, "%.3g");
    ss_table_column(&t, "places not finite", SS_COL_NUMBER, "%.0f");
    ss_table_column(&t, "precision", SS_COL_TEXT, NULL);
    ss_table_column(&t, "model", SS_COL_TEXT, NULL);
    for (int i = 0; i < o->n; i++) {
        const ss_analysis *x = &o->found[i];
        const ss_growth_row *top = x->growth.n ? &x->growth.rows[0] : NULL;

        links[i] = o->pages[i];
        ss_table_row(&t);
        ss_table_text(&t, x->name);
        ss_table_number(&t, top ? top->peak : NAN);
        ss_table_number(&t, top && top->peak_sigma >= 0 ? x->run->sigmas[top->peak_sigma] : NAN);
        ss_table_number(&t, x->stages.n ? x->stages.rows[x->stages.n - 1].absmax_ratio : NAN);
        ss_table_number(&t, x->bad.n_sites);
        ss_table_text(&t, x->run->precision);
        snprintf(model, sizeof model, "%.12s %.300s", x->run->model_sha256, x->run->model_path);
        ss_table_text(&t, model);
    }
    html_table(p->f, &t, links);
out:
    ss_table_release(&t);
    ss_free(links);
    return rc;
}

/* The place whose largest |x| rose most, and the loss. */
static void say_pair(ss_page *p, const ss_overview *o, int j, const ss_comparison *x)
{
    const ss_compare *c = &x->sites;
    const ss_compare_row *most = NULL;
    char name[256];

    for (int i = 0; i < c->n; i++) {
        if (!isnan(c->rows[i].absmax.rise.bits) &&
            (!most || c->rows[i].absmax.rise.bits > most->absmax.rise.bits))
            most = &c->rows[i];
    }
    if (most && most->absmax.rise.bits > 0)
        ss_summary_say(p, SS_SAID_MEASURED, "runs",
                       "From %s to %s, %s rose most: from %.3g to %.3g at sigma %.3g.",
                       o->found[0].name, o->found[j].name,
                       ss_site_name(c->aligned.runs[0], ss_align_site(&c->aligned, most->site, 0),
                                    name, sizeof name),
                       most->absmax.rise.a, most->absmax.rise.b,
                       c->aligned.runs[0]->sigmas[ss_align_sigma(&c->aligned,
                                                                 most->absmax.rise.sigma == SS_ALL
                                                                     ? c->aligned.n_sigmas - 1
                                                                     : most->absmax.rise.sigma,
                                                                 0)]);
    else if (most)
        ss_summary_say(p, SS_SAID_MEASURED, "runs", "No largest |x| is larger in %s than in %s.",
                       o->found[j].name, o->found[0].name);
    if (x->inputs.n_losses &&
        (isinf(x->inputs.losses[0].loss[0]) || isinf(x->inputs.losses[0].loss[1])))
        ss_summary_say(
            p, SS_SAID_BAD, "runs", "The loss of %s%s%s is inf or NaN at sigma %.3g.",
            isinf(x->inputs.losses[0].loss[0]) ? o->found[0].name : "",
            isinf(x->inputs.losses[0].loss[0]) && isinf(x->inputs.losses[0].loss[1]) ? " and " : "",
            isinf(x->inputs.losses[0].loss[1]) ? o->found[j].name : "",
            c->aligned.runs[0]->sigmas[ss_align_sigma(&c->aligned, x->inputs.losses[0].sigma, 0)]);
    else if (x->inputs.n_losses) {
        const ss_loss_row *l = &x->inputs.losses[0];

        ss_summary_say(p, SS_SAID_MEASURED, "runs",
                       "The loss differs most at sigma %.3g: %.3g in %s, %.3g in %s.",
                       c->aligned.runs[0]->sigmas[ss_align_sigma(&c->aligned, l->sigma, 0)],
                       l->loss[0], o->found[0].name, l->loss[1], o->found[j].name);
    }
}

/* A remark after a largest value that leaves something out. */
static const char *of_finite(const ss_analysis *x)
{
    return x->bad.n_sites ? " of what is finite" : "";
}

/* Says what is not finite in each run, which run is the first, and the last one before it. */
static ss_code say_not_finite(ss_page *p, const ss_overview *o, ss_err *e)
{
    enum { RUNS = 6 }; /* with more runs, see their pages */
    const size_t n = (size_t)o->n;
    const ss_not_finite **bad = ss_alloc(n, sizeof *bad);
    const char **names = ss_alloc(n, sizeof *names);
    int64_t *steps = ss_alloc(n, sizeof *steps);
    int n_bad = 0;
    ss_err none = {0};
    ss_code rc = bad && names && steps ? SS_OK : ss_no_memory(e, "a report");

    for (int i = 0; i < o->n && rc == SS_OK; i++) {
        bad[i] = &o->found[i].bad;
        names[i] = o->found[i].name;
        n_bad += ss_not_finite_any(bad[i]);
    }
    if (rc == SS_OK && n_bad &&
        ss_trend_steps(o->runs, o->n, o->opt->steps, steps, &none) == SS_OK) {
        char *text = ss_last_finite_say(bad, names, steps, o->n, NULL);

        ss_summary_say(p, SS_SAID_BAD, "runs", "%s", text ? text : "");
        ss_free(text);
    }
    for (int i = 0, said = 0; i < o->n && rc == SS_OK && said < RUNS; i++) {
        said += ss_not_finite_any(bad[i]) || bad[i]->n_limits;
        ss_summary_not_finite(p, bad[i], names[i], NULL);
    }
    if (rc == SS_OK && n_bad > RUNS)
        ss_summary_say(p, SS_SAID_BAD, "runs", "%d of %d runs are not finite.", n_bad, o->n);
    ss_free(bad);
    ss_free(names);
    ss_free(steps);
    return rc;
}

static void say_runs(ss_page *p, const ss_overview *o, const ss_overview_pair *pairs)
{
    enum { SENTENCES = 5 }; /* with more runs, see the table */
    const ss_analysis *a = &o->found[0];
    char name[256];

    for (int i = o->n - 1 > SENTENCES ? o->n - SENTENCES : 1; i < o->n; i++) {
        const ss_analysis *b = &o->found[i];

        if (a->growth.n == 0 || b->growth.n == 0 || isnan(a->growth.rows[0].peak) ||
            isnan(b->growth.rows[0].peak))
            continue;
        const double ratio = b->growth.rows[0].peak / a->growth.rows[0].peak;

        ss_summary_say(p, SS_SAID_MEASURED, "runs",
                       "%s reaches %.4g (in %s)%s, %s %.4g%s: %.3g times as much.", b->name,
                       b->growth.rows[0].peak,
                       ss_site_name(b->run, ss_analysis_origin(b, 0), name, sizeof name),
                       of_finite(b), a->name, a->growth.rows[0].peak, of_finite(a), ratio);
    }
    if (pairs[o->n - 1].fits)
        say_pair(p, o, o->n - 1, &pairs[o->n - 1].result);
}

/* Makes the trend where the training steps are known; *known is false where they are not. A list
 * of steps that was given has to fit. */
static ss_code find_trend(const ss_overview *o, ss_trend *t, bool *known, ss_err *e)
{
    int64_t *steps = ss_calloc((size_t)o->n, sizeof *steps);
    ss_err why = {0};
    ss_code rc;

    *known = false;
    if (!steps)
        return ss_no_memory(e, "a report");
    rc = ss_trend_steps(o->runs, o->n, o->opt->steps, steps, &why);
    if (rc == SS_OK)
        rc = ss_trend_find(o->runs, steps, o->n, o->opt->modules, o->opt->n_modules, t, &why);
    *known = rc == SS_OK;
    ss_free(steps);
    if (rc == SS_OK || (!o->opt->steps && (rc == SS_USAGE || rc == SS_SHAPE)))
        return SS_OK;
    *e = why;
    return rc;
}

/* Compares each run with the first; runs without anything in common are no failure. */
static ss_code find_pairs(const ss_overview *o, ss_overview_pair *pairs, ss_err *e)
{
    for (int j = 1; j < o->n; j++) {
        ss_err why = {0};
        ss_code rc;

        rc = ss_comparison_find(o->runs[0], o->runs[j], "B", o->opt->modules, o->opt->n_modules,
                                &pairs[j].result, &why);
        pairs[j].fits = rc == SS_OK;
        snprintf(pairs[j].why, sizeof pairs[j].why, "%.255s", why.msg);
        if (rc != SS_OK && rc != SS_SHAPE) {
            *e = why;
            return rc;
        }
    }
    return SS_OK;
}

/* True for the same runs in the same order. */
static ss_code find_mechanism(const ss_trend *t, ss_mechanism_finding *m, ss_err *e)
{
    int64_t *steps = ss_calloc((size_t)t->n_steps, sizeof *steps);
    ss_code rc = steps ? SS_OK : ss_no_memory(e, "a report");

    for (int i = 0; i < t->n_steps && rc == SS_OK; i++)
        steps[i] = (int64_t)t->steps[i];
    if (rc == SS_OK)
        rc = ss_mechanism_find(t->runs, steps, t->n_steps, m, e);
    ss_free(steps);
    return rc;
}

/* The analyses of several runs together. */
typedef struct {
    bool has_trend;
    ss_trend trend;
    ss_mechanism_finding mechanism; /* with a trend */
    ss_conditioning conditioning;   /* n_told below 2: nothing */
    ss_overview_pair *pairs;
} together;

static ss_code find_together(const ss_overview *o, together *x, ss_err *e)
{
    ss_err why = {0};
    ss_code rc;

    if (!(x->pairs = ss_calloc((size_t)o->n, sizeof *x->pairs)))
        return ss_no_memory(e, "a report");
    if ((rc = find_trend(o, &x->trend, &x->has_trend, e)) != SS_OK ||
        (x->has_trend && (rc = find_mechanism(&x->trend, &x->mechanism, e)) != SS_OK) ||
        (rc = find_pairs(o, x->pairs, e)) != SS_OK)
        return rc;
    rc = ss_conditioning_find(o->runs, o->n, &x->conditioning, &why);
    if (rc == SS_OK || rc == SS_SHAPE)
        return SS_OK;
    *e = why;
    return rc;
}

static void release_together(const ss_overview *o, together *x)
{
    ss_trend_release(&x->trend);
    ss_mechanism_release(&x->mechanism);
    ss_conditioning_release(&x->conditioning);
    for (int j = 1; x->pairs && j < o->n; j++) {
        if (x->pairs[j].fits)
            ss_comparison_release(&x->pairs[j].result);
    }
    ss_free(x->pairs);
}

static ss_code body(ss_page *p, const ss_overview *o, const together *x, ss_err *e)
{
    const bool tokens = ss_run_is_text(o->runs[0]); /* a mechanism is of a denoiser's training */
    char text[512];
    ss_code rc = SS_OK;

    html_element(p->f, "p", "lead", "%d runs; %s is what the others are compared with.", o->n,
                 o->found[0].name);
    ss_page_main(p);
    if (o->opt->story && (rc = ss_section_story(p, o->opt->story, e)) != SS_OK)
        return rc;
    ss_summary_begin(p);
    if ((rc = say_not_finite(p, o, e)) != SS_OK)
        return rc;
    if (x->has_trend) {
        if (!tokens)
            ss_mechanism_say(p, &x->mechanism);
        ss_trends_say(p, o->format, o->n_formats, &x->trend);
    }
    if (x->conditioning.n_told >= 2)
        ss_summary_say(p, SS_SAID_MEASURED, "conditioning", "%s",
                       ss_conditioning_sentence(&x->conditioning, text, sizeof text));
    say_runs(p, o, x->pairs);
    ss_summary_end(p);
    ss_page_contents(p);
    rc = runs_table(p, o, e);
    if (rc == SS_OK && x->has_trend && !tokens)
        rc = ss_section_mechanism(p, &x->mechanism, e);
    if (x->has_trend && rc == SS_OK)
        rc = ss_section_trend(p, o, &x->trend, e);
    if (rc == SS_OK && x->conditioning.n_told >= 2)
        rc = ss_section_conditioning(p, &x->conditioning, e);
    if (rc == SS_OK)
        rc = ss_section_runs(p, o, x->pairs, e);
    if (rc == SS_OK && o->opt->samples)
        rc = ss_section_samples(p, o->opt->samples, e);
    ss_page_section(p, "made", "How this was made");
    html_raw(p->f, "<p>Each run's own page says how it was made. This report:</p><pre>");
    html_text(p->f, o->opt->command ? o->opt->command : "");
    html_raw(p->f, "</pre>\n<p>sigmascope " SS_VERSION "</p>\n</main>\n");
    return rc;
}

ss_code ss_overview_write(const ss_overview *o, const char *title, ss_report_summary *summary,
                          ss_err *e)
{
    together x = {0};
    ss_page page = {0};
    ss_code rc = find_together(o, &x, e);

    if (rc == SS_OK)
        rc = ss_page_begin(&page, o->folder, "index.html", "", title, summary, e);
    if (rc == SS_OK && (rc = body(&page, o, &x, e)) == SS_OK)
        rc = ss_page_end(&page, e);
    ss_page_discard(&page);
    release_together(o, &x);
    return rc;
}
