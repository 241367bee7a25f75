/* curves.c - see curves.h */
#include "reports/curves.h"

#include <math.h>

void ss_curves_sigma_axis(ss_plot *p, const ss_findings *x)
{
    const bool log = x->n > 1 && x->run->sigmas[x->order[0]] > 0;

    ss_plot_add(p, "set xlabel 'sigma'\nset format x '%g'\n");
    if (log)
        ss_plot_add(p, "set logscale x\n");
    if (x->n > 1)
        ss_plot_addf(p, "set xrange [%.9g:%.9g]\n", x->run->sigmas[x->order[0]],
                     x->run->sigmas[x->order[x->n - 1]]);
}

void ss_curves_level_tics(ss_plot *p, const ss_findings *x)
{
    enum { MANY = 16 };

    ss_plot_add(p, "set xtics scale 0 (");
    for (int k = 0; k < x->n; k++)
        if (x->n <= MANY || k % 2 == 0)
            ss_plot_addf(p, "%s'%.3g' %d", k ? "," : "", x->run->sigmas[x->order[k]], k);
    ss_plot_add(p, ")\n");
}

void ss_curves_limits(ss_plot *p, const ss_findings *x, double top)
{
    enum { NEAR = 10 };

    for (int i = 0; i < x->n_formats; i++) {
        const ss_format *f = &x->format[i];

        if (!(f->max < top * NEAR))
            continue;
        ss_plot_addf(p, "%.9g with lines lt %d title '%s: max %g', ", f->max, SS_PLOT_LIMIT,
                     f->name, f->max);
    }
}

int ss_curves_largest(const ss_findings *x, ss_site *sites, int n)
{
    int found = 0;

    for (int i = 0; i < x->growth.n && found < n; i++) {
        const ss_growth_row *row = &x->growth.rows[i];
        bool seen = isnan(row->peak);

        for (int k = 0; k < i && !seen; k++)
            seen = ss_findings_same(&x->growth.rows[k], row);
        if (!seen)
            sites[found++] = ss_findings_origin(x, i);
    }
    return found;
}

int ss_curves_levels(const ss_findings *x, int *levels, int n)
{
    const int count = x->n < n ? x->n : n;

    for (int k = 0; k < count; k++)
        levels[k] = count == 1 ? x->n - 1 : (int)lround((double)k * (x->n - 1) / (count - 1));
    return count;
}
