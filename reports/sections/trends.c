/* trends.c - see trends.h */
#include "reports/sections/trends.h"

#include "reports/page/curves.h"
#include "reports/summary.h"

#include <math.h>

enum { COLOURED = 7, TABLE_ROWS = 3000 };

/* Rows whose values differ, largest at the last step first. */
static int different_rows(const ss_trend *t, const ss_trend_row **rows, int n)
{
    int found = 0;

    for (int i = 0; i < t->n && found < n; i++) {
        bool seen = isnan(t->rows[i].peak.y[t->n_steps - 1]);

        for (int k = 0; k < found && !seen; k++) {
            seen = true;
            for (int j = 0; j < t->n_steps; j++)
                seen = seen && rows[k]->peak.y[j] == t->rows[i].peak.y[j];
        }
        if (!seen)
            rows[found++] = &t->rows[i];
    }
    return found;
}

static void limits(ss_plot *p, const ss_format *formats, int n)
{
    for (int f = 0; f < n; f++) {
        if (formats[f].exp_bits < 8)
            ss_curves_limit(p, &formats[f]);
    }
}

/* The step to which lines are drawn: where the fastest meets the first format, within reason. */
static double horizon(const ss_format *format, const ss_trend *t, const ss_trend_row *const *rows,
                      int n)
{
    const double last = t->steps[t->n_steps - 1];
    double far = 3 * last;

    for (int i = 0; i < n; i++) {
        const ss_forecast x = ss_trend_forecast(t, rows[i], format);

        if (x.reach == SS_REACH_AHEAD)
            far = fmax(far, 1.5 * x.at.at);
    }
    return fmin(far, 1000 * last);
}

ss_code ss_trends_figure(ss_page *page, const ss_format *formats, int n_formats, const ss_trend *t,
                         ss_err *e)
{
    const ss_trend_row *rows[COLOURED];
    const int n = different_rows(t, rows, COLOURED);
    ss_plot p = {0};
    char name[256], data[16], alt[512];

    if (n == 0)
        return SS_OK;
    ss_plot_add(&p, "$t << EOD\n");
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < t->n_steps; j++) {
            ss_plot_number(&p, t->steps[j]);
            ss_plot_add(&p, " ");
            ss_plot_number(&p, rows[i]->peak.y[j]);
            ss_plot_add(&p, "\n");
        }
        ss_plot_add(&p, "\n\n");
    }
    ss_plot_add(&p, "EOD\n");
    ss_plot_settings(&p);
    ss_plot_panel(&p, "", "training step", "largest |x|");
    ss_plot_addf(&p,
                 "set logscale xy\nset format xy '%%g'\nset xlabel 'training step'\n"
                 "set ylabel 'largest |x|'\nset xrange [%g:%g]\n",
                 0.8 * fmax(1, t->steps[0]), horizon(&formats[0], t, rows, n));
    limits(&p, formats, n_formats);
    for (int i = 0; i < n; i++) {
        const ss_power_law *law = &rows[i]->peak.law;

        if (ss_power_law_holds(law))
            ss_plot_item(&p, "exp(%.9g) * x**%.9g with lines lt %d lw 0.8 dt (8,4) notitle", law->a,
                         law->b, i + 1);
        snprintf(data, sizeof data, "$t index %d", i);
        ss_plot_series(&p, i + 1, SS_PLOT_POINTS, ss_trend_label(t, rows[i], name, sizeof name),
                       data, 1, 2);
    }
    ss_plot_items_end(&p);
    snprintf(alt, sizeof alt,
             "Largest activations of %d modules against the training step, with power laws through "
             "them. The largest is %.200s: %.4g at step %.0f.",
             n, ss_trend_name(t, rows[0], name, sizeof name), rows[0]->peak.y[t->n_steps - 1],
             t->steps[t->n_steps - 1]);
    return ss_page_figure(
        page, &p, "trend", SS_PLOT_WIDTH, 380, alt,
        t->runs[0]->steps && t->steps[0] < 2
            ? "Points are measured steps, dashed lines power laws, where there is one, fitted to "
              "all but the first, which saw the network before this training. Where a line crosses "
              "a "
              "format's limit is the forecast; the tables give its interval."
        : t->runs[0]->steps
            ? "Points are measured steps, dashed lines power laws through them, where there is "
              "one. "
              "Where a line crosses a format's limit is the forecast; the tables give its interval."
            : "Points are runs, dashed lines power laws through them, where there is one. Where a "
              "line crosses a format's limit is the forecast; the tables give "
              "its interval.",
        e);
}

ss_code ss_trends_tables(ss_page *page, const ss_format *formats, int n_formats, const ss_trend *t,
                         ss_err *e)
{
    ss_table table;
    char title[64];
    ss_code rc = ss_trend_stages_table(t, &table, e);

    if (rc == SS_OK)
        ss_page_table(page, &table);
    if (rc == SS_OK && (rc = ss_trend_table(t, TABLE_ROWS, &table, e)) == SS_OK)
        ss_page_table(page, &table);
    for (int f = 0; f < n_formats && rc == SS_OK; f++) {
        if (formats[f].exp_bits >= 8)
            continue;
        html_element(page->f, "h3", NULL, "When %s overflows", formats[f].name);
        snprintf(title, sizeof title, "forecast %s", formats[f].name);
        rc = ss_forecast_table(t, &formats[f], title, TABLE_ROWS, &table, e);
        if (rc == SS_OK)
            ss_page_table(page, &table);
    }
    return rc;
}
