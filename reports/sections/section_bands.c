/* section_bands.c - from the smallest to the largest value of a module, over sigma */
#include "reports/page/curves.h"
#include "reports/sections/sections.h"

#include <math.h>

enum { PANELS = 6 };

/* Numbers of one site at one noise level, over inputs and samples. */
typedef struct {
    double min, max, mean, std;
} band;

static band band_of(const ss_analysis *x, const float *const stat[4], ss_site s, int k)
{
    const ss_run *r = x->run;
    band b = {NAN, NAN, NAN, NAN};
    double sum = 0, squares = 0;
    int n = 0;

    for (int i = 0; i < r->n_inputs; i++) {
        for (int j = 0; j < r->n_samples; j++) {
            const size_t at = ss_run_at(r, s.module, s.port, i, x->order[k], j);

            b.min = fmin(b.min, stat[0][at]);
            b.max = fmax(b.max, stat[1][at]);
            if (!isnan(stat[2][at]) && !isnan(stat[3][at])) {
                sum += stat[2][at];
                squares += (double)stat[3][at] * stat[3][at] + (double)stat[2][at] * stat[2][at];
                n++;
            }
        }
    }
    if (n) { /* samples have equally many values: the moments of all of them together */
        b.mean = sum / n;
        b.std = sqrt(fmax(0, squares / n - b.mean * b.mean));
    }
    return b;
}

static void put(ss_plot *p, double v)
{
    ss_plot_add(p, " ");
    ss_plot_number(p, v);
}

ss_code ss_section_bands(ss_page *page, const ss_analysis *x, ss_err *e)
{
    static const char *const names[] = {"min", "max", "mean", "std"};
    const float *stat[4];
    ss_site top[PANELS];
    const int n = ss_curves_largest(x, top, PANELS);
    bool any[PANELS] = {false};
    ss_plot p = {0};
    char name[256], data[16], alt[200];
    ss_code rc;

    for (int i = 0; i < 4; i++) {
        if ((rc = ss_run_stat(x->run, names[i], &stat[i], e)) != SS_OK)
            return rc;
        if (!stat[i])
            return SS_OK;
    }
    if (n == 0 || x->n < 2)
        return SS_OK;
    for (int i = 0; i < n; i++) {
        ss_plot_addf(&p, "$b%d << EOD\n", i);
        for (int k = 0; k < x->n; k++) {
            const band b = band_of(x, stat, top[i], k);

            any[i] |= isfinite(b.min) && isfinite(b.mean);
            ss_curves_sigma(&p, x, k);
            put(&p, b.min);
            put(&p, b.max);
            put(&p, b.mean - b.std);
            put(&p, b.mean + b.std);
            put(&p, b.mean);
            ss_plot_add(&p, "\n");
        }
        ss_plot_add(&p, "EOD\n");
    }
    ss_plot_settings(&p);
    for (int i = 0; i < n; i++) {
        ss_plot_panel(&p, ss_fold_name(x->run, top[i], name, sizeof name), "sigma", "value");
        ss_curves_sigma_axis(&p, x);
        if (!any[i]) {
            ss_plot_items_end(&p);
            continue;
        }
        snprintf(data, sizeof data, "$b%d", i);
        ss_plot_band(&p, 6, "min to max", data, 1, 2, 3);
        ss_plot_band(&p, 1, "mean ± std", data, 1, 4, 5);
        ss_plot_series(&p, 2, SS_PLOT_LINES, "mean", data, 1, 6);
        ss_plot_items_end(&p);
    }
    ss_page_section(page, "bands", "From the smallest to the largest value");
    snprintf(alt, sizeof alt,
             "Bands from the minimum to the maximum and of one standard deviation around the "
             "mean, for the %d modules with the largest peaks.",
             n);
    return ss_page_figure(page, &p, "bands", SS_PANEL_WIDTH, SS_PANEL_HEIGHT, alt,
                          "All values that a module puts out, over inputs and samples. A mean "
                          "far from zero, or a band that opens to one side only, is a drift; a "
                          "band much wider than the standard deviation is outliers.",
                          e);
}
