/* section_growth.c - absmax and RMS against sigma, by stage and by module */
#include "reports/page/curves.h"
#include "reports/sections/sections.h"

#include <limits.h>
#include <math.h>

enum { COLOURED = 7, TABLE_ROWS = 3000 };

static void panel(ss_plot *p, const ss_analysis *x, const char *title, const char *value)
{
    ss_plot_panel(p, title, "sigma", value);
    ss_curves_sigma_axis(p, x);
    ss_plot_add(p, "set logscale y\nset format y '%g'\n");
}

/* The lines in the figure of stages: the stages that have a number to show, or, in a network
 * without any, all modules together. */
typedef struct {
    int stage[SS_N_STAGES + 1]; /* indices into ss_stage_row's values */
    int n;
    bool has_rms[SS_N_STAGES + 1]; /* of each line */
} lines;

static bool any_value(const ss_analysis *x, int stage, bool rms)
{
    bool any = false;

    for (int k = 0; k < x->stages.n; k++) {
        const ss_stage_row *row = &x->stages.rows[k];

        any |= ss_plot_any(rms ? &row->rms[stage] : &row->absmax[stage], 1, true);
    }
    return any;
}

static lines find_lines(const ss_analysis *x)
{
    const bool named = ss_stages_named(&x->stages);
    lines l = {.n = 0};

    for (int s = named ? 0 : SS_N_STAGES; s < (named ? SS_N_STAGES : SS_N_STAGES + 1); s++) {
        if (!any_value(x, s, false))
            continue;
        l.has_rms[l.n] = any_value(x, s, true);
        l.stage[l.n++] = s;
    }
    return l;
}

static const char *line_name(int stage)
{
    return stage == SS_N_STAGES ? "all modules" : ss_stage_name((ss_stage)stage);
}

static void stage_alt(const ss_analysis *x, const lines *l, char *out, size_t n)
{
    const ss_stage_row *low = &x->stages.rows[0], *high = &x->stages.rows[x->stages.n - 1];
    size_t at = (size_t)snprintf(out, n,
                                 "Largest activation and median RMS against sigma, at the highest "
                                 "and at the lowest:");

    for (int i = 0; i < l->n && at < n; i++) {
        const int s = l->stage[i];

        at += (size_t)snprintf(out + at, n - at, "%s %s %.3g, %.3g", i ? ";" : "", line_name(s),
                               high->absmax[s], low->absmax[s]);
    }
    if (at < n)
        snprintf(out + at, n - at, ".");
}

static void stages_data(ss_plot *p, const ss_analysis *x, double *top)
{
    ss_plot_add(p, "$stages << EOD\n");
    for (int k = 0; k < x->stages.n; k++) {
        const ss_stage_row *row = &x->stages.rows[k];

        ss_curves_sigma(p, x, k);
        for (int s = 0; s <= SS_N_STAGES; s++) {
            ss_plot_add(p, " ");
            ss_plot_number(p, row->absmax[s]);
            ss_plot_add(p, " ");
            ss_plot_number(p, row->rms[s]);
            *top = fmax(*top, row->absmax[s]);
        }
        ss_plot_add(p, "\n");
    }
    ss_plot_add(p, "EOD\n");
}

static ss_code stages(ss_page *page, const ss_analysis *x, ss_err *e)
{
    const lines l = find_lines(x);
    const bool all = l.n && l.stage[0] == SS_N_STAGES;
    ss_plot p = {0};
    double top = 0;
    char alt[400];

    if (l.n == 0) {
        ss_page_nothing(page, "at no noise level is a largest |x| known that is more than 0.");
        return SS_OK;
    }
    stages_data(&p, x, &top);
    ss_plot_settings(&p);
    for (int what = 0; what < (x->rms ? 2 : 1); what++) {
        panel(&p, x,
              what  ? all ? "median RMS of the modules" : "median RMS of the stage's modules"
              : all ? "largest |x| of all modules"
                    : "largest |x| in the stage",
              what ? "median RMS" : "largest |x|");
        if (what == 0)
            ss_curves_limits(&p, x, top);
        for (int i = 0; i < l.n; i++) {
            if (what == 0 || l.has_rms[i])
                ss_plot_series(&p, i + 1, SS_PLOT_BOTH, line_name(l.stage[i]), "$stages", 1,
                               2 + 2 * l.stage[i] + what);
        }
        ss_plot_items_end(&p);
    }
    stage_alt(x, &l, alt, sizeof alt);
    return ss_page_figure(page, &p, "growth-stages", SS_PANEL_WIDTH, 320, alt,
                          all ? "All modules: the largest |x| that any of them produces, and the "
                                "median of their RMS, over all inputs and samples. No module's "
                                "path names an encoder, a middle or a decoder."
                              : "Encoder, middle and decoder: the largest |x| that any of a "
                                "stage's modules produces, and the median of their RMS, over all "
                                "inputs and samples.",
                          e);
}

static double value_at(const ss_analysis *x, const float *stat, ss_site s, int k)
{
    return stat == x->absmax ? ss_analysis_peak(x, s, k)
                             : ss_site_rms(x->run, stat, s, SS_ALL, x->order[k]);
}

/* True when a site has anything to draw. */
static bool has_curve(const ss_analysis *x, const float *stat, ss_site s)
{
    bool any = false;

    for (int k = 0; k < x->n && !any; k++)
        any = ss_plot_any(&(double){value_at(x, stat, s, k)}, 1, true);
    return any;
}

static void curve(ss_plot *p, const ss_analysis *x, const float *stat, ss_site s)
{
    for (int k = 0; k < x->n; k++) {
        ss_curves_sigma(p, x, k);
        ss_plot_add(p, " ");
        ss_plot_number(p, value_at(x, stat, s, k));
        ss_plot_add(p, "\n");
    }
    ss_plot_add(p, "\n\n");
}

/* The data blocks $top and $rest of one panel. True where $rest has anything. */
static bool curves(ss_plot *p, const ss_analysis *x, const float *stat, int what,
                   const ss_site *top, int n)
{
    bool any = false;

    ss_plot_addf(p, "$top%d << EOD\n", what);
    for (int i = 0; i < n; i++)
        curve(p, x, stat, top[i]);
    ss_plot_addf(p, "EOD\n$rest%d << EOD\n", what);
    for (int i = 0; i < x->rows.n; i++) {
        curve(p, x, stat, x->rows.site[i]);
        any |= has_curve(x, stat, x->rows.site[i]);
    }
    ss_plot_add(p, "EOD\n");
    return any;
}

static ss_code modules(ss_page *page, const ss_analysis *x, ss_err *e)
{
    const float *const stats[] = {x->absmax, x->rms};
    const int n_panels = x->rms ? 2 : 1;
    ss_site top[COLOURED];
    const int n = ss_curves_largest(x, top, COLOURED);
    bool rest[2] = {false, false};
    ss_plot p = {0};
    char name[256], data[32], alt[512], caption[300];

    if (n == 0 || !has_curve(x, x->absmax, top[0])) {
        ss_page_nothing(page, "no module has a largest |x| that is more than 0.");
        return SS_OK;
    }
    for (int what = 0; what < n_panels; what++)
        rest[what] = curves(&p, x, stats[what], what, top, n);
    ss_plot_settings(&p);
    for (int what = 0; what < n_panels; what++) {
        panel(&p, x, what ? "RMS" : "largest |x|", what ? "RMS" : "largest |x|");
        if (what == 0)
            ss_curves_limits(&p, x, x->growth.rows[0].peak);
        if (rest[what])
            ss_plot_item(&p, "$rest%d using 1:2 with lines lt %d notitle", what, SS_PLOT_MUTED);
        for (int i = 0; i < n; i++) {
            if (!has_curve(x, stats[what], top[i]))
                continue;
            snprintf(data, sizeof data, "$top%d index %d", what, i);
            ss_plot_series(&p, i + 1, SS_PLOT_BOTH, ss_fold_name(x->run, top[i], name, sizeof name),
                           data, 1, 2);
        }
        ss_plot_items_end(&p);
    }
    snprintf(alt, sizeof alt,
             "Largest activation and RMS of the %d modules with the largest peaks against sigma; "
             "the largest is %.250s with %.4g.",
             n, ss_site_name(x->run, top[0], name, sizeof name), x->growth.rows[0].peak);
    snprintf(caption, sizeof caption,
             "The modules with the largest peaks in colour, over all inputs and samples; in grey: "
             "%s.",
             x->rows_are);
    return ss_page_figure(page, &p, "growth-modules", SS_PANEL_WIDTH, 340, alt, caption, e);
}

ss_code ss_section_growth(ss_page *page, const ss_analysis *x, ss_err *e)
{
    ss_table t;
    ss_code rc = SS_OK;

    if (x->growth.n == 0 || x->n == 0)
        return SS_OK;
    const bool text = ss_run_is_text(x->run);

    ss_page_section(page, "growth",
                    text ? "The largest activations, over tokens"
                         : "Activation growth over the noise level");
    if (x->stages.n && x->n > 1)
        rc = stages(page, x, e);
    if (rc == SS_OK && x->n > 1)
        rc = modules(page, x, e);
    if (rc == SS_OK && (rc = ss_growth_table(x->run, &x->growth, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && !text && x->stages.n &&
        (rc = ss_stages_table(x->run, &x->stages, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc;
}
