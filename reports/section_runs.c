/* section_runs.c - runs against the first of them: stages over sigma, and module by module */
#include "base/mem.h"
#include "reports/overview.h"

#include <math.h>

enum { MAX_RUNS = 8, MAX_ROWS = 56 };

/* The stages of every run, over its own noise levels. */
static ss_code stages(ss_page *page, const ss_overview *o, ss_err *e)
{
    const int n = o->n < MAX_RUNS ? o->n : MAX_RUNS;
    int seen[SS_N_STAGES] = {0}, panels = 0; /* in how many runs */
    ss_plot p = {0};
    char alt[300];

    for (int s = 0; s < SS_N_STAGES; s++) {
        for (int j = 0; j < n; j++)
            seen[s] += o->found[j].stages.n > 0 && o->found[j].stages.n_sites[s] > 0;
        panels += seen[s] > 0;
    }
    if (panels == 0)
        return SS_OK;
    for (int j = 0; j < n; j++) {
        const ss_findings *x = &o->found[j];

        ss_plot_addf(&p, "$r%d << EOD\n", j);
        for (int k = 0; k < x->stages.n; k++) {
            ss_plot_number(&p, x->run->sigmas[x->stages.rows[k].sigma]);
            for (int s = 0; s < SS_N_STAGES; s++) {
                ss_plot_add(&p, " ");
                ss_plot_number(&p, x->stages.rows[k].absmax[s]);
            }
            ss_plot_add(&p, "\n");
        }
        ss_plot_add(&p, "NaN NaN NaN NaN\nEOD\n");
    }
    ss_plot_addf(&p,
                 "set tmargin at screen 0.90\nset bmargin at screen 0.36\n"
                 "set multiplot layout 1,%d\nset logscale xy\nset format xy '%%g'\n"
                 "set xlabel 'sigma'\n"
                 "set key at screen 0.03, screen 0.22 left top Left reverse maxrows 4\n",
                 panels);
    for (int s = 0; s < SS_N_STAGES; s++) {
        if (!seen[s])
            continue;
        ss_plot_addf(&p, "set title '%s: largest |x|'\nplot ", ss_stage_name((ss_stage)s));
        for (int j = 0; j < n; j++) {
            ss_plot_addf(&p, "%s$r%d using 1:%d with linespoints lt %d title ", j ? ", " : "", j,
                         s + 2, j + 1);
            ss_plot_label(&p, o->found[j].name);
        }
        ss_plot_add(&p, "\nunset key\n");
    }
    ss_plot_add(&p, "unset multiplot\n");
    snprintf(alt, sizeof alt,
             "Largest activation of encoder, middle and decoder against sigma, a line for each of "
             "%d runs.",
             n);
    return ss_page_figure(page, &p, "runs-stages", 900, 420, alt,
                          n < o->n ? "The first eight runs, each over its own noise levels."
                                   : "Each run over its own noise levels, inputs and samples.",
                          e);
}

/* Sites of the alignment that the first run's figures show. */
static int shown_sites(const ss_overview *o, const ss_aligned *a, int *sites)
{
    const ss_sites *rows = &o->found[0].rows;
    int n = 0;

    for (int i = 0; i < a->n_sites; i++) {
        const ss_site s = ss_align_site(a, i, 0);

        for (int k = 0; k < rows->n && n < MAX_ROWS; k++) {
            if (rows->site[k].module == s.module && rows->site[k].port == s.port)
                sites[n++] = i;
        }
    }
    return n;
}

/* log2 of the other run's largest |x| over the first's. */
static double change(const ss_overview *o, const ss_aligned *a, int site, int sigma)
{
    return log2(ss_align_peak(a, 1, o->found[o->n - 1].absmax, site, SS_ALL, sigma) /
                ss_align_peak(a, 0, o->found[0].absmax, site, SS_ALL, sigma));
}

static void heat_data(ss_plot *p, const ss_overview *o, const ss_aligned *a, const int *sites,
                      int n)
{
    char name[256];
    double most = 0.01;

    ss_plot_add(p, "$d << EOD\n");
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < a->n_sigmas; k++) {
            const double v = change(o, a, sites[i], k);

            ss_plot_number(p, v);
            ss_plot_add(p, " ");
            if (isfinite(v))
                most = fmax(most, fabs(v));
        }
        ss_plot_add(p, "\n");
    }
    ss_plot_add(p, "EOD\nset xtics scale 0 (");
    for (int k = 0; k < a->n_sigmas; k++)
        if (a->n_sigmas <= 16 || k % 2 == 0)
            ss_plot_addf(p, "%s'%.3g' %d", k ? "," : "",
                         a->runs[0]->sigmas[ss_align_sigma(a, k, 0)], k);
    ss_plot_add(p, ")\nset ytics scale 0 font ',8' (");
    for (int i = 0; i < n; i++) {
        ss_plot_add(p, i ? "," : "");
        ss_plot_label(p,
                      ss_site_name(a->runs[0], ss_align_site(a, sites[i], 0), name, sizeof name));
        ss_plot_addf(p, " %d", i);
    }
    ss_plot_addf(p, ")\nset cbrange [%g:%g]\n", -most, most);
}

/* The last run against the first, module by noise level. */
static ss_code heat(ss_page *page, const ss_overview *o, ss_err *e)
{
    ss_run *const pair[] = {o->runs[0], o->runs[o->n - 1]};
    int sites[MAX_ROWS], n;
    ss_aligned a;
    ss_plot p = {0};
    char alt[400], caption[400];
    ss_err why = {0};
    ss_code rc = ss_align(pair, 2, o->opt->modules, o->opt->n_modules, &a, &why);

    if (rc == SS_SHAPE) { /* nothing in common: that is worth saying, and no failure */
        html_element(page->f, "p", "missing", "Module by module there is nothing to compare. %s",
                     why.msg);
        return SS_OK;
    }
    if (rc != SS_OK) {
        *e = why;
        return rc;
    }
    if ((n = shown_sites(o, &a, sites)) > 0 && a.n_sigmas > 1) {
        heat_data(&p, o, &a, sites, n);
        /* Moreland's cool to warm: grey is no change */
        ss_plot_add(&p, "set palette defined (0 '#3b4cc0', 1 '#8db0fe', 2 '#dddddd', 3 '#f49a7b', "
                        "4 '#b40426')\nunset grid\nset border 0\nset yrange [] reverse\n"
                        "unset key\nset xlabel 'sigma'\nset cblabel 'change in bits'\n"
                        "set lmargin 42\nplot $d matrix with image\n");
        snprintf(alt, sizeof alt,
                 "Heat map of the change of the largest activation from %.100s to %.100s: %d "
                 "modules by %d noise levels.",
                 o->found[0].name, o->found[o->n - 1].name, n, a.n_sigmas);
        snprintf(
            caption, sizeof caption,
            "log2 of the largest |x| in %.100s over that in %.100s: 1 is twice as large (red), "
            "-1 half as large (blue).",
            o->found[o->n - 1].name, o->found[0].name);
        rc = ss_page_figure(page, &p, "runs-heat", 900, 110 + 17 * n, alt, caption, e);
    }
    ss_align_release(&a);
    return rc;
}

ss_code ss_section_runs(ss_page *page, const ss_overview *o, ss_err *e)
{
    ss_code rc;

    ss_page_section(page, "runs", "Run against run");
    rc = stages(page, o, e);
    return rc == SS_OK ? heat(page, o, e) : rc;
}
