/* section_growth.c - absmax and RMS against sigma, by stage and by module */
#include "reports/curves.h"
#include "reports/sections.h"

#include <limits.h>
#include <math.h>

enum { COLOURED = 7, TABLE_ROWS = 3000 };

static void panel(ss_plot *p, const ss_findings *x, const char *title)
{
    ss_curves_sigma_axis(p, x);
    ss_plot_add(
        p, "set logscale y\nset format y '%g'\nset key outside top center horizontal\nset title ");
    ss_plot_label(p, title);
    ss_plot_add(p, "\n");
}

static ss_code stages(ss_page *page, const ss_findings *x, ss_err *e)
{
    ss_plot p = {0};
    double top = 0;
    char alt[400];
    const ss_stage_row *low = &x->stages.rows[0], *high = &x->stages.rows[x->stages.n - 1];

    ss_plot_add(&p, "$stages << EOD\n");
    for (int k = 0; k < x->stages.n; k++) {
        const ss_stage_row *row = &x->stages.rows[k];

        ss_plot_number(&p, x->run->sigmas[row->sigma]);
        for (int s = 0; s < SS_N_STAGES; s++) {
            ss_plot_add(&p, " ");
            ss_plot_number(&p, row->absmax[s]);
            ss_plot_add(&p, " ");
            ss_plot_number(&p, row->rms[s]);
            top = fmax(top, row->absmax[s]);
        }
        ss_plot_add(&p, "\n");
    }
    ss_plot_add(&p, "EOD\nset multiplot layout 1,2\n");
    for (int what = 0; what < 2; what++) {
        panel(&p, x, what ? "median RMS of the stage's modules" : "largest |x| in the stage");
        ss_plot_add(&p, "plot ");
        if (what == 0)
            ss_curves_limits(&p, x, top);
        for (int s = 0; s < SS_N_STAGES; s++)
            ss_plot_addf(&p, "$stages using 1:%d with linespoints lt %d title '%s'%s",
                         2 + 2 * s + what, s + 1, ss_stage_name((ss_stage)s),
                         s + 1 < SS_N_STAGES ? ", " : "\n");
    }
    ss_plot_add(&p, "unset multiplot\n");
    snprintf(alt, sizeof alt,
             "Largest activation and median RMS of encoder, middle and decoder against sigma. At "
             "the highest sigma: encoder %.3g, middle %.3g, decoder %.3g; at the lowest: %.3g, "
             "%.3g, %.3g.",
             high->absmax[SS_STAGE_ENCODER], high->absmax[SS_STAGE_MIDDLE],
             high->absmax[SS_STAGE_DECODER], low->absmax[SS_STAGE_ENCODER],
             low->absmax[SS_STAGE_MIDDLE], low->absmax[SS_STAGE_DECODER]);
    return ss_page_figure(page, &p, "growth-stages", 900, 400, alt,
                          "Encoder, middle and decoder: the largest |x| that any of a stage's "
                          "modules produces, and the median of their RMS, over all inputs and "
                          "samples.",
                          e);
}

static void curve(ss_plot *p, const ss_findings *x, const float *stat, ss_site s)
{
    for (int k = 0; k < x->n; k++) {
        ss_plot_number(p, x->run->sigmas[x->order[k]]);
        ss_plot_add(p, " ");
        ss_plot_number(p, stat == x->absmax ? ss_findings_peak(x, s, k)
                                            : ss_site_rms(x->run, stat, s, SS_ALL, x->order[k]));
        ss_plot_add(p, "\n");
    }
    ss_plot_add(p, "\n\n");
}

static ss_code modules(ss_page *page, const ss_findings *x, ss_err *e)
{
    const float *const stats[] = {x->absmax, x->rms};
    const int n_panels = x->rms ? 2 : 1;
    ss_site top[COLOURED];
    const int n = ss_curves_largest(x, top, COLOURED);
    ss_plot p = {0};
    char name[256], alt[512];

    for (int what = 0; what < n_panels; what++) {
        ss_plot_addf(&p, "$top%d << EOD\n", what);
        for (int i = 0; i < n; i++)
            curve(&p, x, stats[what], top[i]);
        ss_plot_addf(&p, "EOD\n$rest%d << EOD\n", what);
        for (int i = 0; i < x->rows.n; i++)
            curve(&p, x, stats[what], x->rows.site[i]);
        ss_plot_add(&p, "EOD\n");
    }
    ss_plot_addf(&p,
                 "set tmargin at screen 0.92\nset bmargin at screen 0.36\n"
                 "set multiplot layout 1,%d\n",
                 n_panels);
    for (int what = 0; what < n_panels; what++) {
        panel(&p, x, what ? "RMS" : "largest |x|");
        if (what == 0)
            ss_plot_add(&p,
                        "set key at screen 0.03, screen 0.27 left top Left reverse maxrows 4\n");
        else
            ss_plot_add(&p, "unset key\n");
        ss_plot_add(&p, "plot ");
        if (what == 0)
            ss_curves_limits(&p, x, x->growth.rows[0].peak);
        ss_plot_addf(&p, "$rest%d using 1:2 with lines lt %d notitle", what, SS_PLOT_MUTED);
        for (int i = 0; i < n; i++) {
            ss_plot_addf(&p, ", $top%d using 1:2 index %d with linespoints lt %d title ", what, i,
                         i + 1);
            ss_plot_label(&p, ss_site_name(x->run, top[i], name, sizeof name));
        }
        ss_plot_add(&p, "\n");
    }
    ss_plot_add(&p, "unset multiplot\n");
    snprintf(alt, sizeof alt,
             "Largest activation and RMS of the %d modules with the largest peaks against sigma; "
             "the largest is %.250s with %.4g.",
             n, ss_site_name(x->run, top[0], name, sizeof name), x->growth.rows[0].peak);
    return ss_page_figure(page, &p, "growth-modules", 900, 520, alt,
                          "The modules with the largest peaks in colour, block outputs in grey, "
                          "over all inputs and samples. A container that repeats its last "
                          "module's output is left out.",
                          e);
}

ss_code ss_section_growth(ss_page *page, const ss_findings *x, ss_err *e)
{
    ss_table t;
    ss_code rc = SS_OK;

    if (x->growth.n == 0 || x->n == 0)
        return SS_OK;
    ss_page_section(page, "growth", "Activation growth over the noise level");
    if (x->stages.n && x->n > 1)
        rc = stages(page, x, e);
    if (rc == SS_OK && x->n > 1)
        rc = modules(page, x, e);
    if (rc == SS_OK && (rc = ss_growth_table(x->run, &x->growth, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && x->stages.n && (rc = ss_stages_table(x->run, &x->stages, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc;
}
