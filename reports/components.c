/* components.c - see components.h */
#include "reports/components.h"

#include "base/mem.h"
#include "base/version.h"
#include "reports/summary.h"

#include <math.h>
#include <string.h>

enum { LONGEST = 24 }; /* name of a page */

void ss_component_page_name(const ss_run *r, char *out, size_t n)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    const char *name = r->component;
    const size_t length = strlen(name);

    if (length && length <= LONGEST && strspn(name, plain) == length && strcmp(name, "index") != 0)
        snprintf(out, n, "%s", name);
}

static const char *page_of(const ss_overview *o, const ss_run *r)
{
    int i = 0;

    while (o->runs[i] != r)
        i++;
    return o->pages[i];
}

/* Where a value is, in few words: a token without its prompt. */
static const char *place_of(const ss_run *r, const ss_component_verdict *x, char *out, size_t n)
{
    return ss_run_is_text(r) && x->cell.sigma >= 0
               ? ss_run_sample_name(r, x->cell.sigma, x->cell.input, x->cell.sample, out, n)
               : ss_verdict_place(r, x, out, n);
}

/* The components with a link to the page of each, by the first format. */
static ss_code links(ss_page *p, const ss_overview *o, const ss_verdicts *v, ss_err *e)
{
    const char **pages = ss_alloc((size_t)v->n, sizeof *pages);
    char name[512], place[256], verdict[400], heading[64];
    ss_table t = {0};
    ss_code rc = pages ? ss_table_init(&t, "components", e) : ss_no_memory(e, "a report");

    if (rc != SS_OK)
        goto out;
    snprintf(heading, sizeof heading, "in %s", v->formats[0].name);
    ss_table_column(&t, "component", SS_COL_TEXT, NULL);
    ss_table_column(&t, heading, SS_COL_TEXT, NULL);
    ss_table_column(&t, "largest |x|", SS_COL_NUMBER, "%.4g");
    ss_table_column(&t, "bits left", SS_COL_NUMBER, "%.1f");
    ss_table_column(&t, "where", SS_COL_TEXT, NULL);
    ss_table_column(&t, "at", SS_COL_TEXT, NULL);
    ss_table_column(&t, "class", SS_COL_TEXT, NULL);
    for (int i = 0; i < v->n; i++) {
        const ss_component_verdicts *c = &v->list[i];
        const ss_component_verdict *x = &c->verdict[0];

        pages[i] = page_of(o, c->run);
        snprintf(verdict, sizeof verdict, "%s%s",
                 x->kind == SS_VERDICT_NOT_FINITE  ? "inf or NaN"
                 : x->kind == SS_VERDICT_OVERFLOWS ? "overflows"
                 : x->kind == SS_VERDICT_FITS      ? "fits"
                                                   : c->why,
                 c->run->complete ? "" : " (unfinished)");
        ss_table_row(&t);
        ss_table_text(&t, c->name);
        ss_table_text(&t, verdict);
        ss_table_number(&t, x->largest);
        ss_table_number(&t, x->bits);
        ss_table_text(&t,
                      x->site.module < 0 ? "" : ss_site_name(c->run, x->site, name, sizeof name));
        ss_table_text(&t, place_of(c->run, x, place, sizeof place));
        ss_table_text(&t, c->run->family);
    }
    html_table(p->f, &t, pages);
out:
    ss_table_release(&t);
    ss_free(pages);
    return rc;
}

/* True for a format whose headroom is worth a point: others have f32's range. */
static bool is_drawn(const ss_format *f)
{
    return f->exp_bits < 8;
}

/* Headroom of the components, a row each, a point for each format. */
static ss_code figure(ss_page *page, const ss_verdicts *v, ss_err *e)
{
    ss_plot p = {0};
    char alt[400] = "Headroom in bits of each component.";
    int n_points = 0, shown = 0;

    ss_plot_add(&p, "$d << EOD\n");
    for (int i = 0; i < v->n; i++) {
        ss_plot_addf(&p, "%d", i);
        for (int f = 0; f < v->n_formats; f++) {
            const double bits = v->list[i].verdict[f].bits;

            ss_plot_add(&p, " ");
            ss_plot_number(&p, bits);
            n_points += is_drawn(&v->formats[f]) && isfinite(bits);
        }
        ss_plot_add(&p, "\n");
    }
    ss_plot_add(&p, "EOD\n");
    ss_plot_settings(&p);
    ss_plot_panel(&p, "", "headroom in bits", "component");
    ss_plot_addf(&p,
                 "set border 1\nset yrange [%d.5:-0.5]\n"
                 "set xlabel 'headroom in bits'\n",
                 v->n - 1);
    for (int i = 0; i < v->n; i++)
        ss_plot_row(&p, v->list[i].name);
    ss_plot_addf(&p, "set arrow from 0,graph 0 to 0,graph 1 nohead lt %d\n", SS_PLOT_LIMIT);
    for (int f = 0; f < v->n_formats; f++) {
        if (!is_drawn(&v->formats[f]))
            continue;
        ss_plot_series(&p, shown % 8 + 1, SS_PLOT_POINTS, v->formats[f].name, "$d", f + 2, 1);
        shown++;
    }
    ss_plot_items_end(&p);
    if (!shown || !n_points) {
        ss_plot_release(&p);
        ss_page_nothing(page, shown ? "no component has a finite headroom."
                                    : "formats with fp32's range have some 100 bits left.");
        return SS_OK;
    }
    return ss_page_figure(page, &p, "components", SS_PLOT_WIDTH, 80 + 34 * v->n, alt,
                          "The place of each component that the table names: log2 of the format's "
                          "largest number over the largest |x| there. No point: what is inf or "
                          "NaN, or was not judged.",
                          e);
}

static ss_code first_sight(ss_page *p, const ss_verdicts *components, ss_err *e)
{
    ss_findings f;
    ss_verdict v = {0};
    ss_code rc = ss_findings_init(&f, e);

    if (rc == SS_OK && (rc = ss_verdict_components(components, &v, e)) == SS_OK) {
        ss_findings_components(&f, components);
        rc = ss_summary(p, &f, &v, e);
    }
    ss_verdict_release(&v);
    ss_findings_release(&f);
    return rc;
}

static ss_code body(ss_page *p, const ss_overview *o, const ss_verdicts *v, ss_err *e)
{
    ss_table t;
    ss_code rc;

    html_element(p->f, "p", "lead",
                 "%d components of a pipeline%s, in the order in which a sample passes them.", v->n,
                 v->one_pipeline ? "" : " (their models are of different folders)");
    ss_page_main(p);
    if ((rc = first_sight(p, v, e)) != SS_OK || (rc = links(p, o, v, e)) != SS_OK)
        return rc;
    ss_page_section(p, "components", "Headroom of each component");
    rc = figure(p, v, e);
    if (rc == SS_OK && (rc = ss_verdicts_table(v, &t, e)) == SS_OK)
        ss_page_table(p, &t);
    ss_page_section(p, "made", "How this was made");
    html_raw(p->f, "<p>Each component's own page says how its run was made. This report:</p><pre>");
    html_text(p->f, o->opt->command ? o->opt->command : "");
    html_raw(p->f, "</pre>\n<p>sigmascope " SS_VERSION "</p>\n</main>\n");
    return rc;
}

ss_code ss_components_page(const ss_overview *o, const char *title, ss_report_summary *summary,
                           ss_err *e)
{
    ss_verdicts v = {0};
    ss_page page = {0};
    ss_code rc = ss_verdicts_find(o->runs, o->n, o->opt->modules, o->opt->n_modules, o->format,
                                  o->n_formats, &v, e);

    if (rc == SS_OK)
        rc = ss_page_begin(&page, o->folder, "index.html", "", title, summary, e);
    if (rc == SS_OK && (rc = body(&page, o, &v, e)) == SS_OK)
        rc = ss_page_end(&page, e);
    ss_page_discard(&page);
    ss_verdicts_release(&v);
    return rc;
}
