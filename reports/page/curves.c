/* curves.c - see curves.h */
#include "reports/page/curves.h"

#include <math.h>
#include <stdio.h>

void ss_sigma_axis_init(ss_sigma_axis *a)
{
    *a = (ss_sigma_axis){.low = INFINITY, .high = -INFINITY};
}

void ss_sigma_axis_add(ss_sigma_axis *a, double sigma)
{
    a->n++;
    a->infinite |= isinf(sigma) && sigma > 0;
    if (isfinite(sigma)) {
        a->low = fmin(a->low, sigma);
        a->high = fmax(a->high, sigma);
    }
}

ss_sigma_axis ss_sigma_axis_of(const ss_analysis *x)
{
    ss_sigma_axis a;

    ss_sigma_axis_init(&a);
    for (int k = 0; k < x->n; k++)
        ss_sigma_axis_add(&a, x->run->sigmas[x->order[k]]);
    return a;
}

static bool is_log(const ss_sigma_axis *a)
{
    return a->n > 1 && a->low > 0;
}

double ss_sigma_axis_at(const ss_sigma_axis *a, double sigma)
{
    const double gap = 0.12; /* of the axis, between the highest finite level and inf */

    if (!isinf(sigma) || sigma < 0)
        return sigma;
    if (a->low > a->high)
        return 1;
    if (is_log(a))
        return a->high * pow(fmax(a->high / a->low, 10), gap);
    return a->high + gap * (a->high > a->low ? a->high - a->low : 1);
}

void ss_sigma_axis_set(ss_plot *p, const ss_sigma_axis *a)
{
    const double high = a->infinite ? ss_sigma_axis_at(a, INFINITY) : a->high;

    ss_plot_add(p, "set xlabel 'sigma'\nset format x '%g'\n");
    if (is_log(a))
        ss_plot_add(p, "set logscale x\n");
    if (a->n > 1 && a->low < high)
        ss_plot_addf(p, "set xrange [%.9g:%.9g]\n", a->low, high);
    else if (a->n > 1) /* all levels have one sigma */
        ss_plot_addf(p, "set xrange [%.9g:%.9g]\n", high / 2 - 0.5, 2 * high + 0.5);
    if (a->infinite) {
        ss_plot_addf(p, "set xtics add ('inf' %.9g)\n", high);
        if (p->n_panels)
            p->panel[p->n_panels - 1].inf = high;
    }
}

void ss_curves_sigma_axis(ss_plot *p, const ss_analysis *x)
{
    const ss_sigma_axis a = ss_sigma_axis_of(x);

    ss_sigma_axis_set(p, &a);
}

void ss_curves_sigma(ss_plot *p, const ss_analysis *x, int k)
{
    const ss_sigma_axis a = ss_sigma_axis_of(x);

    ss_plot_number(p, ss_sigma_axis_at(&a, x->run->sigmas[x->order[k]]));
}

void ss_curves_level_tics(ss_plot *p, const ss_analysis *x)
{
    enum { MANY = 16 };

    ss_plot_add(p, "set xtics scale 0 (");
    for (int k = 0; k < x->n; k++)
        if (x->n <= MANY || k % 2 == 0)
            ss_plot_addf(p, "%s'%.3g' %d", k ? "," : "", x->run->sigmas[x->order[k]], k);
    ss_plot_add(p, ")\n");
}

void ss_curves_limit(ss_plot *p, const ss_format *f)
{
    char name[64];

    snprintf(name, sizeof name, "%s %g", f->name, f->max);
    ss_plot_limit(p, name, f->max);
}

void ss_curves_limits(ss_plot *p, const ss_analysis *x, double top)
{
    enum { NEAR = 10 };

    for (int i = 0; i < x->n_formats; i++) {
        const ss_format *f = &x->format[i];

        if (!(f->max < top * NEAR))
            continue;
        ss_curves_limit(p, f);
    }
}

int ss_curves_largest(const ss_analysis *x, ss_site *sites, int n)
{
    int found = 0;

    for (int i = 0; i < x->growth.n && found < n; i++) {
        const ss_growth_row *row = &x->growth.rows[i];

        if (!isnan(row->peak))
            sites[found++] = row->site;
    }
    return found;
}

int ss_curves_levels(const ss_analysis *x, int *levels, int n)
{
    const int count = x->n < n ? x->n : n;

    for (int k = 0; k < count; k++)
        levels[k] = count == 1 ? x->n - 1 : (int)lround((double)k * (x->n - 1) / (count - 1));
    return count;
}
