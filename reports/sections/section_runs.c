/* section_runs.c - runs against the first of them: stages over sigma, and module by module */
#include "base/mem.h"
#include "reports/overview.h"
#include "reports/page/curves.h"
#include "reports/page/heat.h"

#include <math.h>

enum { MAX_RUNS = 8, MAX_ROWS = 56, TABLE_ROWS = 1000 };

/* The content of one panel: a stage, or, at SS_N_STAGES, all modules. */
static double stage_peak(const ss_analysis *x, int k, int stage)
{
    return x->stages.rows[k].absmax[stage];
}

static bool has_stage(const ss_analysis *x, int stage)
{
    bool any = false;

    if (stage == SS_N_STAGES && ss_stages_named(&x->stages))
        return false;
    for (int k = 0; k < x->stages.n; k++)
        any |= ss_plot_any(&(double){stage_peak(x, k, stage)}, 1, true);
    return any;
}

static void stages_data(ss_plot *p, const ss_analysis *x, const ss_sigma_axis *axis, int j)
{
    ss_plot_addf(p, "$r%d << EOD\n", j);
    for (int k = 0; k < x->stages.n; k++) {
        ss_plot_number(p, ss_sigma_axis_at(axis, x->run->sigmas[x->stages.rows[k].sigma]));
        for (int s = 0; s <= SS_N_STAGES; s++) {
            ss_plot_add(p, " ");
            ss_plot_number(p, stage_peak(x, k, s));
        }
        ss_plot_add(p, "\n");
    }
    ss_plot_add(p, "NaN NaN NaN NaN NaN\nEOD\n");
}

/* The stages of every run, over its own noise levels; runs of networks without any stage are all
 * shown as a whole. */
static ss_code stages(ss_page *page, const ss_overview *o, ss_err *e)
{
    const int n = o->n < MAX_RUNS ? o->n : MAX_RUNS;
    int seen[SS_N_STAGES + 1] = {0}, panels = 0; /* in how many runs */
    ss_sigma_axis axis;
    ss_plot p = {0};
    char alt[300], title[64], data[16];

    for (int s = 0; s <= SS_N_STAGES; s++) {
        for (int j = 0; j < n; j++)
            seen[s] += has_stage(&o->found[j], s);
        panels += seen[s] > 0;
    }
    if (panels == 0) {
        ss_page_nothing(page, "no run has a largest |x| that is more than 0.");
        return SS_OK;
    }
    ss_sigma_axis_init(&axis);
    for (int j = 0; j < n; j++)
        for (int k = 0; k < o->found[j].stages.n; k++)
            ss_sigma_axis_add(&axis, o->found[j].run->sigmas[o->found[j].stages.rows[k].sigma]);
    for (int j = 0; j < n; j++)
        stages_data(&p, &o->found[j], &axis, j);
    ss_plot_settings(&p);
    for (int s = 0; s <= SS_N_STAGES; s++) {
        if (!seen[s])
            continue;
        snprintf(title, sizeof title, "%s: largest |x|",
                 s == SS_N_STAGES ? "all modules" : ss_stage_name((ss_stage)s));
        ss_plot_panel(&p, title, "sigma", "largest |x|");
        ss_sigma_axis_set(&p, &axis);
        ss_plot_add(&p, "set logscale y\nset format y '%g'\n");
        for (int j = 0; j < n; j++) {
            if (!has_stage(&o->found[j], s))
                continue;
            snprintf(data, sizeof data, "$r%d", j);
            ss_plot_series(&p, j + 1, SS_PLOT_BOTH, o->found[j].name, data, 1, s + 2);
        }
        ss_plot_items_end(&p);
    }
    snprintf(alt, sizeof alt, "Largest activation of %s against sigma, a line for each of %d runs.",
             seen[SS_N_STAGES] == 0 ? "encoder, middle and decoder" : "all modules", n);
    return ss_page_figure(page, &p, "runs-stages", SS_PANEL_WIDTH, 320, alt,
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
static ss_code change(const ss_compare *c, int site, double *bits, ss_err *e)
{
    const int n = c->aligned.n_sigmas;
    double *b = ss_alloc((size_t)n, sizeof *b);
    ss_code rc =
        b ? ss_compare_curve(c, 0, site, SS_STAGE_NONE, bits, e) : ss_no_memory(e, "a report");

    if (rc == SS_OK)
        rc = ss_compare_curve(c, 1, site, SS_STAGE_NONE, b, e);
    for (int k = 0; k < n && rc == SS_OK; k++)
        bits[k] = log2(b[k] / bits[k]);
    ss_free(b);
    return rc;
}

static ss_code heat_data(ss_heat *h, const ss_compare *c, const int *sites, int n, ss_err *e)
{
    const ss_aligned *a = &c->aligned;
    double *bits = ss_alloc((size_t)a->n_sigmas, sizeof *bits);
    char name[256];
    ss_code rc = bits ? SS_OK : ss_no_memory(e, "a report");

    for (int k = 0; k < a->n_sigmas; k++) {
        snprintf(name, sizeof name, "%.3g", a->runs[0]->sigmas[ss_align_sigma(a, k, 0)]);
        ss_heat_column(h, name);
    }
    for (int i = 0; i < n && rc == SS_OK; i++) {
        rc = change(c, sites[i], bits, e);
        if (rc == SS_OK)
            ss_heat_row(h,
                        ss_fold_name(a->runs[0], ss_align_site(a, sites[i], 0), name, sizeof name),
                        bits, NULL);
    }
    ss_free(bits);
    return rc;
}

/* Run number j against the first, module by noise level. */
static ss_code heat(ss_page *page, const ss_overview *o, int j, const ss_compare *c, ss_err *e)
{
    const ss_analysis *base = &o->found[0], *other = &o->found[j];
    int sites[MAX_ROWS], n = shown_sites(o, &c->aligned, sites);
    ss_heat h;
    char name[32], alt[400], caption[400];
    ss_code rc;

    if (n < 2 || c->aligned.n_sigmas < 2)
        return SS_OK;
    ss_heat_begin(&h, "sigma", "change in bits");
    if ((rc = heat_data(&h, c, sites, n, e)) != SS_OK) {
        ss_heat_release(&h);
        return rc;
    }
    ss_heat_end(&h, SS_HEAT_CHANGE);
    snprintf(name, sizeof name, "runs-heat-%d", j + 1);
    snprintf(alt, sizeof alt,
             "Heat map of the change of the largest activation from %.100s to %.100s: %d modules "
             "by %d noise levels.",
             base->name, other->name, n, c->aligned.n_sigmas);
    snprintf(caption, sizeof caption,
             "log2 of the largest |x| in %.100s over that in %.100s: 1 is twice as large (red), -1 "
             "half as large (blue).",
             other->name, base->name);
    return ss_page_figure(page, &h.plot, name, SS_PLOT_WIDTH, ss_heat_height(&h), alt, caption, e);
}

static ss_code tables(ss_page *page, const ss_comparison *x, ss_err *e)
{
    const ss_compare *c = &x->sites;
    const ss_aligned *a = &c->aligned;
    ss_table t;
    ss_code rc = ss_compare_table(c, TABLE_ROWS, &t, e);

    if (rc == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && c->n_nonfinite &&
        (rc = ss_compare_nonfinite_table(c, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && (a->found[0].n > a->n_sites || a->found[1].n > a->n_sites) &&
        (rc = ss_compare_lone_table(c, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && x->heads.n &&
        (rc = ss_compare_heads_table(c, &x->heads, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && x->inputs.n_spectra &&
        (rc = ss_compare_spectra_table(c, &x->inputs, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && x->inputs.n_losses &&
        (rc = ss_compare_loss_table(c, &x->inputs, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && x->weights.n &&
        (rc = ss_compare_weights_table(c, &x->weights, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc;
}

/* The last pair is open, those before it can be opened. */
static ss_code pair(ss_page *page, const ss_overview *o, int j, const ss_pair *x, ss_err *e)
{
    const bool closed = j < o->n - 1;
    ss_code rc;

    html_element(page->f, "h3", NULL, "%s (B) against %s (A)", o->found[j].name, o->found[0].name);
    if (!x->fits) { /* that is worth saying, and no failure */
        html_element(page->f, "p", "missing", "Module by module there is nothing to compare. %s",
                     x->why);
        return SS_OK;
    }
    if ((rc = heat(page, o, j, &x->result.sites, e)) != SS_OK)
        return rc;
    if (closed)
        html_raw(page->f, "<details><summary>The differences, as tables</summary>");
    rc = tables(page, &x->result, e);
    if (closed)
        html_raw(page->f, "</details>\n");
    return rc;
}

ss_code ss_section_runs(ss_page *page, const ss_overview *o, const ss_pair *pairs, ss_err *e)
{
    ss_table t;
    ss_code rc;

    ss_page_section(page, "runs", "Run against run");
    rc = stages(page, o, e);
    if (rc == SS_OK && (rc = ss_compare_runs_table(o->runs, o->n, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    for (int j = 1; j < o->n && rc == SS_OK; j++)
        rc = pair(page, o, j, &pairs[j], e);
    return rc;
}
