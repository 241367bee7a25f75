/* section_heat.c - every module at every noise level: as a picture, and as a table of numbers */
#include "base/mem.h"
#include "reports/page/color.h"
#include "reports/page/heat.h"
#include "reports/sections/sections.h"

#include <math.h>

enum { TABLE_ROWS = 2500 };

static ss_code fill(ss_heat *h, const ss_analysis *x, ss_err *e)
{
    double *v = ss_alloc((size_t)x->n, sizeof *v);
    bool *over = ss_alloc((size_t)x->n, sizeof *over);
    const bool whole = v && over;
    char name[256];

    for (int k = 0; k < x->n && whole; k++) {
        snprintf(name, sizeof name, "%.3g", x->run->sigmas[x->order[k]]);
        ss_heat_column(h, name);
    }
    for (int i = 0; i < x->rows.n && whole; i++) {
        for (int k = 0; k < x->n; k++) {
            v[k] = ss_analysis_peak(x, x->rows.site[i], k);
            over[k] = ss_overflows(&x->format[0], v[k]);
        }
        ss_heat_row(h, ss_fold_name(x->run, x->rows.site[i], name, sizeof name), v, over);
    }
    ss_free(v);
    ss_free(over);
    return whole ? SS_OK : ss_no_memory(e, x->run->path);
}

static ss_code picture(ss_page *page, const ss_analysis *x, ss_err *e)
{
    const ss_format *f = &x->format[0];
    ss_heat h;
    char alt[300], caption[300];

    if (x->growth.n == 0 || !(x->growth.rows[0].peak > 0)) {
        ss_page_nothing(page, "no module has a largest |x| that is more than 0.");
        return SS_OK;
    }
    ss_heat_begin(&h, "sigma", "largest |x|");
    if (fill(&h, x, e) != SS_OK) {
        ss_heat_release(&h);
        return SS_NOMEM;
    }
    ss_heat_format(&h, f);
    ss_heat_end(&h, SS_HEAT_LOG);
    snprintf(alt, sizeof alt,
             "Heat map of the largest activation: %d modules by %d noise levels; %d cells are over "
             "the limit of %s.",
             x->rows.n, x->n, h.n_crosses, f->name);
    snprintf(
        caption, sizeof caption,
        "Rows: %s, in forward order from the top. Crosses mark what overflows %s (largest number "
        "%g).",
        x->rows_are, f->name, f->max);
    return ss_page_figure(page, &h.plot, "heat", SS_PLOT_WIDTH, ss_heat_height(&h), alt, caption,
                          e);
}

/* The extremes of what the table shows, for its colours. */
static void range(const ss_analysis *x, double *low, double *high)
{
    *low = INFINITY;
    *high = 0;
    for (int i = 0; i < x->produced.n; i++) {
        for (int k = 0; k < x->n; k++) {
            const double v = ss_analysis_peak(x, x->produced.site[i], k);

            if (v > 0 && isfinite(v)) {
                *low = fmin(*low, v);
                *high = fmax(*high, v);
            }
        }
    }
}

static void cell(FILE *f, double v, double share, bool over)
{
    const ss_rgb ground = ss_viridis(share), ink = ss_ink_on(ground);

    if (isnan(v)) {
        html_number(f, v, "", false);
        return;
    }
    fprintf(
        f,
        "<td class=\"n%s\" data-v=\"%.6g\" style=\"background:#%02x%02x%02x;color:#%02x%02x%02x\">",
        over ? " over" : "", v, ground.r, ground.g, ground.b, ink.r, ink.g, ink.b);
    fprintf(f, "%.3g</td>", v);
}

/* The columns: the place, and a noise level each. ss_free; NULL: no memory. */
static html_column *columns_of(const ss_analysis *x, int n, char (**names)[16])
{
    html_column *columns = ss_calloc((size_t)x->n + 1, sizeof *columns);
    char name[512];

    *names = ss_calloc((size_t)x->n, sizeof **names);
    if (!columns || !*names) {
        ss_free(columns);
        ss_free(*names);
        return NULL;
    }
    columns[0] = (html_column){.name = "module"};
    for (int i = 0; i < n; i++) {
        const int width =
            html_unbroken(ss_fold_name(x->run, x->produced.site[i], name, sizeof name));

        columns[0].width = width > columns[0].width ? width : columns[0].width;
    }
    for (int k = 0; k < x->n; k++) {
        snprintf((*names)[k], sizeof **names, "%.3g", x->run->sigmas[x->order[k]]);
        columns[k + 1] = (html_column){.name = (*names)[k], .number = true, .width = 5};
    }
    return columns;
}

static ss_code table(ss_page *page, const ss_analysis *x, ss_err *e)
{
    FILE *f = page->f;
    char name[512], note[300], (*names)[16];
    double low, high;
    const int n = x->produced.n < TABLE_ROWS ? x->produced.n : TABLE_ROWS;
    html_column *columns = columns_of(x, n, &names);

    if (!columns)
        return ss_no_memory(e, x->run->path);
    range(x, &low, &high);
    snprintf(note, sizeof note,
             "Largest |x| over inputs and samples; columns are noise levels sigma; underlined "
             "and framed: overflows %s.%s",
             x->format[0].name,
             n < x->produced.n ? " The later modules are left out here; `sigmascope analyze` has "
                                 "them."
                               : "");
    html_raw(f, "<details><summary>Every module at every noise level, as numbers</summary>");
    html_table_begin(f, "heat", columns, x->n + 1, note);
    for (int i = 0; i < n; i++) {
        html_raw(f, "<tr><th scope=\"row\">");
        html_breaking(f, ss_fold_name(x->run, x->produced.site[i], name, sizeof name));
        html_raw(f, "</th>");
        for (int k = 0; k < x->n; k++) {
            const double v = ss_analysis_peak(x, x->produced.site[i], k);

            cell(f, v, log(v / low) / log(high / low), ss_overflows(&x->format[0], v));
        }
        html_raw(f, "</tr>\n");
    }
    html_table_end(f);
    html_raw(f, "</details>\n");
    ss_free(columns);
    ss_free(names);
    return SS_OK;
}

ss_code ss_section_heat(ss_page *page, const ss_analysis *x, ss_err *e)
{
    ss_code rc = SS_OK;

    if (x->produced.n == 0 || x->n == 0)
        return SS_OK;
    if (ss_run_is_text(x->run))
        return ss_section_prompts(page, x, e);
    ss_page_section(page, "heat", "Module by noise level");
    if (x->rows.n > 1 && x->n > 1)
        rc = picture(page, x, e);
    if (rc == SS_OK)
        rc = table(page, x, e);
    return rc;
}
