/* overview.c - see overview.h */
#include "reports/overview.h"

#include "base/mem.h"
#include "base/version.h"
#include "reports/sections/mechanism.h"
#include "reports/sections/samples.h"
#include "reports/sections/section_story.h"
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

/* The verdict of all runs, and the sentences about them together. */
static ss_code first_sight(ss_page *p, const ss_several *s, ss_err *e)
{
    ss_findings f;
    ss_verdict v = {0};
    ss_code rc = ss_findings_init(&f, e);

    if (rc == SS_OK && (rc = ss_verdict_several(s, &v, e)) == SS_OK &&
        (rc = ss_findings_several(&f, s, e)) == SS_OK)
        rc = ss_summary(p, &f, &v, e);
    ss_verdict_release(&v);
    ss_findings_release(&f);
    return rc;
}

static ss_code body(ss_page *p, const ss_overview *o, const ss_several *x, ss_err *e)
{
    ss_code rc = SS_OK;

    html_element(p->f, "p", "lead", "%d runs; %s is what the others are compared with.", o->n,
                 o->found[0].name);
    ss_page_main(p);
    if (o->opt->story && (rc = ss_section_story(p, o->opt->story, e)) != SS_OK)
        return rc;
    if ((rc = first_sight(p, x, e)) == SS_OK)
        rc = runs_table(p, o, e);
    if (rc == SS_OK && x->has_trend && !ss_run_is_text(o->runs[0])) /* of a denoiser's training */
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
    ss_several x = {.runs = o->runs,
                    .found = o->found,
                    .n = o->n,
                    .format = o->format,
                    .n_formats = o->n_formats,
                    .steps = o->opt->steps,
                    .modules = o->opt->modules,
                    .n_modules = o->opt->n_modules};
    ss_page page = {0};
    ss_code rc = ss_several_find(&x, e);

    if (rc == SS_OK)
        rc = ss_page_begin(&page, o->folder, "index.html", "", title, summary, e);
    if (rc == SS_OK && (rc = body(&page, o, &x, e)) == SS_OK)
        rc = ss_page_end(&page, e);
    ss_page_discard(&page);
    ss_several_release(&x);
    return rc;
}
