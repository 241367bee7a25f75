/* training.c - see training.h */
#include "reports/training.h"

#include "base/mem.h"
#include "reports/page/provenance.h"
#include "reports/sections/mechanism.h"
#include "reports/sections/samples.h"
#include "reports/sections/sections.h"
#include "reports/sections/trends.h"
#include "reports/summary.h"

#include <stdio.h>
#include <string.h>

static void lead(ss_page *p, const ss_training_analysis *x)
{
    const ss_run *r = x->run;
    const ss_trend *t = &x->t.trend;

    char samples[64];

    if (!r->binned)
        snprintf(samples, sizeof samples, ", %d samples each", r->n_samples);
    else
        snprintf(samples, sizeof samples, ", in %d bin%s of noise level", r->n_samples,
                 r->n_samples == 1 ? "" : "s");
    html_element(p->f, "p", "lead",
                 "%s in training: %d modules at %d %s steps from %.0f to %.0f%s%s.",
                 *r->family ? r->family : "A model of unknown family", r->n_real, t->n_steps,
                 r->binned ? "recorded" : "measured", t->steps[0], t->steps[t->n_steps - 1],
                 r->binned && r->n_samples == 1 ? "" : samples,
                 r->complete ? ""
                 : r->binned ? "; the recorder's file is still open"
                             : "; the training is not at its end");
}

static ss_code section_trend(ss_page *page, const ss_training_analysis *x, ss_err *e)
{
    ss_code rc;

    ss_page_section(page, "trend", "Where the growth leads");
    rc = ss_trends_figure(page, x->format, x->n_formats, &x->t.trend, e);
    return rc == SS_OK ? ss_trends_tables(page, x->format, x->n_formats, &x->t.trend, e) : rc;
}

/* The last part of the run file's folder: "fast-16" of ".../fast-16/statistics.h5"; of a recorder's
 * file its own name, which its user gave it. */
static void name_of(const ss_run *r, char *out, size_t n)
{
    const char *slash = strrchr(r->path, '/'), *own = slash ? slash + 1 : r->path;
    size_t end = strlen(r->path), begin;

    if (r->binned) {
        snprintf(out, n, "%.*s", (int)(strrchr(own, '.') ? strrchr(own, '.') - own : (int)n), own);
        return;
    }
    while (end > 0 && r->path[end - 1] != '/')
        end--;
    while (end > 0 && r->path[end - 1] == '/')
        end--;
    for (begin = end; begin > 0 && r->path[begin - 1] != '/';)
        begin--;
    snprintf(out, n, "%.*s", (int)(end - begin), r->path + begin);
    if (!*out || strcmp(out, ".") == 0)
        snprintf(out, n, "%s", r->path);
}

static ss_code first_sight(ss_page *page, const ss_training_analysis *x, ss_err *e)
{
    ss_findings f;
    ss_verdict v = {0};
    ss_code rc = ss_findings_init(&f, e);

    if (rc == SS_OK && (rc = ss_verdict_training(x, &v, e)) == SS_OK) {
        ss_findings_training(&f, x);
        rc = ss_summary(page, &f, &v, e);
    }
    ss_verdict_release(&v);
    ss_findings_release(&f);
    return rc;
}

ss_code ss_training_page(const ss_training_analysis *x, const ss_report_options *opt,
                         const char *folder, ss_report_summary *summary, ss_err *e)
{
    static ss_code (*const sections[])(ss_page *, const ss_training_analysis *, ss_err *) = {
        ss_section_steps,    section_trend,      ss_section_step_heat,
        ss_section_training, ss_section_updates,
    };
    char name[200], own[240];
    ss_page page;
    ss_code rc;

    name_of(x->run, name, sizeof name);
    snprintf(own, sizeof own, "Training of %s", name);
    rc = ss_page_begin(&page, folder, "index.html", "", opt->title ? opt->title : own, summary, e);
    if (rc != SS_OK)
        return rc;
    lead(&page, x);
    ss_page_main(&page);
    if ((rc = first_sight(&page, x, e)) == SS_OK)
        rc = ss_section_mechanism(&page, &x->mechanism, e);
    for (size_t k = 0; k < sizeof sections / sizeof *sections && rc == SS_OK; k++)
        rc = sections[k](&page, x, e);
    if (rc == SS_OK)
        ss_section_structure(&page, x->run);
    if (rc == SS_OK && opt->samples)
        rc = ss_section_samples(&page, opt->samples, e);
    if (rc == SS_OK) {
        ss_provenance(&page, x->run, opt->command ? opt->command : "");
        html_raw(page.f, "</main>\n");
        rc = ss_page_end(&page, e);
    }
    ss_page_discard(&page);
    return rc;
}
