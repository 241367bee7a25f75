/* section_heat.c - every module at every noise level: as a picture, and as a table of numbers */
#include "reports/page/color.h"
#include "reports/page/curves.h"
#include "reports/sections/sections.h"

#include <math.h>

enum { TABLE_ROWS = 2500 };

static void labels(ss_plot *p, const ss_analysis *x)
{
    char name[256];

    ss_curves_level_tics(p, x);
    ss_plot_add(p, "set ytics scale 0 font ',8' (");
    for (int i = 0; i < x->rows.n; i++) {
        ss_plot_add(p, i ? "," : "");
        ss_plot_label(p, ss_site_name(x->run, x->rows.site[i], name, sizeof name));
        ss_plot_addf(p, " %d", i);
    }
    ss_plot_add(p, ")\n");
}

static ss_code picture(ss_page *page, const ss_analysis *x, ss_err *e)
{
    const ss_format *f = &x->format[0];
    ss_plot p = {0};
    int n_over = 0;
    char alt[300], caption[300];

    if (x->growth.n == 0 || !(x->growth.rows[0].peak > 0)) {
        ss_page_nothing(page, "no module has a largest |x| that is more than 0.");
        return SS_OK;
    }
    ss_plot_add(&p, "$d << EOD\n");
    for (int i = 0; i < x->rows.n; i++) {
        for (int k = 0; k < x->n; k++) {
            ss_plot_number(&p, ss_analysis_peak(x, x->rows.site[i], k));
            ss_plot_add(&p, " ");
        }
        ss_plot_add(&p, "\n");
    }
    ss_plot_add(&p, "EOD\n$over << EOD\n");
    for (int i = 0; i < x->rows.n; i++) {
        for (int k = 0; k < x->n; k++) {
            if (ss_overflows(f, ss_analysis_peak(x, x->rows.site[i], k))) {
                ss_plot_addf(&p, "%d %d\n", k, i);
                n_over++;
            }
        }
    }
    ss_plot_add(
        &p, "EOD\nunset grid\nset border 0\nset yrange [] reverse\nunset key\n"
            "set xlabel 'sigma'\nset cblabel 'largest |x|'\nset logscale cb\nset format cb '%g'\n"
            "set lmargin 42\n");
    labels(&p, x);
    ss_plot_add(&p, "plot $d matrix with image");
    if (n_over)
        ss_plot_add(&p, ", $over using 1:2 with points pt 2 ps 1.3 lw 1.5 lc rgb '#e0004d'");
    ss_plot_add(&p, "\n");
    snprintf(alt, sizeof alt,
             "Heat map of the largest activation: %d modules by %d noise levels; %d cells are over "
             "the limit of %s.",
             x->rows.n, x->n, n_over, f->name);
    snprintf(
        caption, sizeof caption,
        "Rows: %s, in forward order from the top. Crosses mark what overflows %s (largest number "
        "%g).",
        x->rows_are, f->name, f->max);
    return ss_page_figure(page, &p, "heat", SS_PAGE_WIDTH,
                          SS_HEAT_FRAME + SS_ROW_HEIGHT * x->rows.n, alt, caption, e);
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
        html_raw(f, "<td class=\"n\">\xe2\x80\x93</td>");
        return;
    }
    fprintf(
        f,
        "<td class=\"n%s\" data-v=\"%.6g\" style=\"background:#%02x%02x%02x;color:#%02x%02x%02x\">",
        over ? " over" : "", v, ground.r, ground.g, ground.b, ink.r, ink.g, ink.b);
    fprintf(f, "%.3g</td>", v);
}

static void table(ss_page *page, const ss_analysis *x)
{
    FILE *f = page->f;
    char name[512];
    double low, high;
    const int n = x->produced.n < TABLE_ROWS ? x->produced.n : TABLE_ROWS;

    range(x, &low, &high);
    html_raw(f, "<details><summary>Every module at every noise level, as numbers</summary>"
                "<div class=\"scroll\"><table class=\"heat\">");
    html_element(f, "caption", NULL,
                 "Largest |x| over inputs and samples; columns are noise levels sigma; underlined "
                 "and framed: overflows %s.%s",
                 x->format[0].name,
                 n < x->produced.n ? " The later modules are left out here; `sigmascope analyze` "
                                     "has them."
                                   : "");
    html_raw(f, "<thead><tr><th>module</th>");
    for (int k = 0; k < x->n; k++)
        html_element(f, "th", NULL, "%.3g", x->run->sigmas[x->order[k]]);
    html_raw(f, "</tr></thead><tbody>\n");
    for (int i = 0; i < n; i++) {
        html_raw(f, "<tr>");
        html_element(f, "th", NULL, "%s",
                     ss_site_name(x->run, x->produced.site[i], name, sizeof name));
        for (int k = 0; k < x->n; k++) {
            const double v = ss_analysis_peak(x, x->produced.site[i], k);

            cell(f, v, log(v / low) / log(high / low), ss_overflows(&x->format[0], v));
        }
        html_raw(f, "</tr>\n");
    }
    html_raw(f, "</tbody></table></div></details>\n");
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
        table(page, x);
    return rc;
}
