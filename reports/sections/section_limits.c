/* section_limits.c - what is not finite, headroom to the formats, histograms of exponents */
#include "base/mem.h"
#include "reports/page/curves.h"
#include "reports/sections/sections.h"

#include <limits.h>
#include <math.h>

enum { TABLE_ROWS = 3000, BARS = 24, PANELS = 6 };

ss_code ss_section_nonfinite(ss_page *page, const ss_analysis *x, ss_err *e)
{
    ss_table t;
    ss_code rc;

    if (!ss_not_finite_any(&x->bad) && !x->bad.n_limits)
        return SS_OK;
    ss_page_section(page, "nonfinite",
                    ss_not_finite_any(&x->bad) ? "What is inf or NaN" : "What was cut off");
    if ((rc = ss_not_finite_table(&x->bad, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && x->bad.n_weights &&
        (rc = ss_bad_weights_table(&x->bad, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && x->bad.n_sites &&
        (rc = ss_bad_sites_table(&x->bad, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && x->bad.n_limits && (rc = ss_at_limit_table(&x->bad, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc;
}

static ss_code bars(ss_page *page, const ss_analysis *x, ss_err *e)
{
    const int n = x->headroom.n < BARS ? x->headroom.n : BARS;
    ss_plot p = {0};
    char alt[300], name[256];
    int shown = 0;

    if (!ss_plot_any(&x->headroom.rows[0].peak, 1, true)) { /* they are sorted by it */
        ss_page_nothing(page, "no module has a largest |x| that is more than 0.");
        return SS_OK;
    }
    ss_plot_add(&p, "$d << EOD\n");
    for (int i = 0; i < n; i++) {
        ss_plot_addf(&p, "%d", i);
        for (int f = 0; f < x->n_formats; f++) {
            ss_plot_add(&p, " ");
            ss_plot_number(&p, x->headroom.rows[i].bits[f]);
        }
        ss_plot_add(&p, "\n");
    }
    ss_plot_add(&p, "EOD\n");
    ss_plot_settings(&p);
    ss_plot_panel(&p, "", "headroom in bits", "module");
    ss_plot_add(&p, "set border 1\nset xlabel 'headroom in bits'\nset xrange [*<0:*]\n");
    for (int i = 0; i < n; i++)
        ss_plot_row(&p, ss_fold_name(x->run, x->headroom.rows[i].at, name, sizeof name));
    ss_plot_addf(&p, "set yrange [%d:-1]\nset arrow from 0,graph 0 to 0,graph 1 nohead lt %d\n", n,
                 SS_PLOT_LIMIT);
    for (int f = 0; f < x->n_formats; f++) {
        if (x->format[f].exp_bits >= 8) /* bf16 has f32's range: nothing to see but 100 bits */
            continue;
        ss_plot_series(&p, shown % 8 + 1, SS_PLOT_POINTS, x->format[f].name, "$d", f + 2, 1);
        shown++;
    }
    ss_plot_items_end(&p);
    if (!shown) {
        ss_plot_release(&p);
        return SS_OK;
    }
    snprintf(alt, sizeof alt,
             "Headroom of the %d modules that have least. Least for %s: %.2f bits in %.150s.", n,
             x->format[0].name, x->headroom.rows[0].bits[0],
             x->run->modules[x->headroom.rows[0].module]);
    return ss_page_figure(page, &p, "headroom", SS_PLOT_WIDTH, 70 + SS_ROW_HEIGHT * n, alt,
                          "log2 of a format's largest number over the largest |x| at any port of "
                          "the module: one bit is a factor of two left; less than 0 overflows.",
                          e);
}

ss_code ss_section_headroom(ss_page *page, const ss_analysis *x, ss_err *e)
{
    ss_table t;
    ss_code rc = SS_OK;

    if (x->headroom.n == 0 || x->n == 0)
        return SS_OK;
    ss_page_section(page, "headroom", "Headroom and overflow in low precision");
    rc = bars(page, x, e);
    if (rc == SS_OK && (rc = ss_headroom_table(x->run, &x->headroom, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    for (int i = 0; i < x->n_formats && rc == SS_OK; i++) {
        if (x->headroom.n_negative[i] == 0)
            continue;
        html_element(page->f, "h3", NULL, "Which module overflows %s first", x->format[i].name);
        if ((rc = ss_overflow_table(x->run, &x->overflow[i], &t, e)) == SS_OK)
            ss_page_table(page, &t);
    }
    if (rc == SS_OK && x->headroom.has_hist) {
        html_element(page->f, "h3", NULL, "What would underflow");
        if ((rc = ss_underflow_table(x->run, &x->headroom, TABLE_ROWS, &t, e)) == SS_OK)
            ss_page_table(page, &t);
    }
    return rc;
}

/* Shares by exponent at one noise level over inputs and the site's port, as a data block. */
static void distribution(ss_plot *p, const ss_analysis *x, const uint64_t *counts, int port, int k,
                         const char *block)
{
    const ss_run *r = x->run;
    double share[SS_N_EXPONENTS] = {0}, total = 0;

    for (int i = 0; i < r->n_inputs; i++) {
        const size_t at = ((size_t)port * (size_t)r->n_inputs + (size_t)i) * (size_t)r->n_sigmas +
                          (size_t)x->order[k];

        for (int b = 0; b < SS_N_EXPONENTS; b++) {
            share[b] += (double)counts[at * SS_N_EXPONENTS + (size_t)b];
            total += (double)counts[at * SS_N_EXPONENTS + (size_t)b];
        }
    }
    ss_plot_addf(p, "%s << EOD\n", block);
    for (int b = 1; b < SS_N_EXPONENTS - 1; b++) {
        if (share[b] > 0)
            ss_plot_addf(p, "%d %.9g\n", b - 127, share[b] / total);
    }
    ss_plot_add(p, "NaN NaN\nEOD\n");
}

/* An upright line with the format's name at its side; names of several stand below each other. */
static void add_edge(ss_plot *p, double at, const char *dashes, const char *name, int row)
{
    ss_plot_addf(p, "set arrow from %g, graph 0 to %g, graph 1 nohead lt %d dt %s\nset label ", at,
                 at, SS_PLOT_LIMIT, dashes);
    ss_plot_label(p, name);
    ss_plot_addf(p, " at %g, graph %g left offset 0.3,0 textcolor rgb LINE(%d,0)\n", at,
                 0.95 - 0.08 * row, SS_PLOT_LIMIT);
}

static void format_lines(ss_plot *p, const ss_analysis *x)
{
    int shown = 0;

    for (int i = 0; i < x->n_formats; i++) {
        if (x->format[i].exp_bits >= 8)
            continue;
        add_edge(p, log2(x->format[i].max), "(10,3)", x->format[i].name, shown);
        add_edge(p, log2(x->format[i].min_subnormal), "(2,3)", x->format[i].name, shown);
        shown++;
    }
}

ss_code ss_section_histograms(ss_page *page, const ss_analysis *x, ss_err *e)
{
    const ss_run *r = x->run;
    ss_site top[PANELS];
    const int n = ss_curves_largest(x, top, PANELS);
    int levels[3], n_levels = ss_curves_levels(x, levels, 3);
    uint64_t *counts;
    ss_plot p = {0};
    char name[256], block[32], alt[300];
    ss_code rc = SS_OK;

    if (!ss_run_has_hist(r) || n == 0 || x->n == 0)
        return SS_OK;
    counts = ss_alloc((size_t)r->n_ports * (size_t)r->n_inputs * (size_t)r->n_sigmas,
                      SS_N_EXPONENTS * sizeof *counts);
    if (!counts)
        return ss_fail(e, SS_NOMEM, "%s: histograms: out of memory", r->path);
    for (int i = 0; i < n; i++) {
        if ((rc = ss_run_hist(x->run, top[i].module, counts, e)) != SS_OK)
            goto out;
        for (int k = 0; k < n_levels; k++) {
            snprintf(block, sizeof block, "$h%d_%d", i, k);
            distribution(&p, x, counts, top[i].port, levels[k], block);
        }
    }
    ss_plot_settings(&p);
    ss_plot_add(&p, "set logscale y\nset yrange [1e-7:1]\nset format y '%g'\n"
                    "set ytics 1e-6, 100\nset xlabel 'exponent of |x|, base 2'\n"
                    "set ylabel 'share'\nset xrange [-40:24]\n");
    format_lines(&p, x);
    for (int i = 0; i < n; i++) {
        ss_plot_panel(&p, ss_fold_name(r, top[i], name, sizeof name), "exponent", "share");
        for (int k = 0; k < n_levels; k++) {
            snprintf(block, sizeof block, "$h%d_%d", i, k);
            snprintf(name, sizeof name, "sigma %.3g", r->sigmas[x->order[levels[k]]]);
            ss_plot_series(&p, k + 1, SS_PLOT_STEPS, ss_run_is_text(r) ? "all tokens" : name, block,
                           1, 2);
        }
        ss_plot_items_end(&p);
    }
    ss_page_section(page, "histograms", "Where the values lie: histograms of exponents");
    snprintf(alt, sizeof alt,
             "Share of values by binary exponent of the %d modules with the largest peaks, at %d "
             "noise levels, between the limits of the formats.",
             n, n_levels);
    rc = ss_page_figure(page, &p, "histograms", SS_PANEL_WIDTH, SS_PANEL_HEIGHT, alt,
                        "Dashed lines: the largest number of each format; dotted: its smallest. "
                        "What is right of the dashed line overflows, what is left of the dotted "
                        "one becomes zero. Logarithmic share: a tail of one in a million shows.",
                        e);
out:
    ss_plot_release(&p);
    ss_free(counts);
    return rc;
}
