/* section_conditioning.c - effect of the input against that of the level that the network is told
 */
#include "reports/overview.h"
#include "reports/page/curves.h"

#include <math.h>

static ss_code figure(ss_page *page, const ss_conditioning *c, ss_err *e)
{
    const ss_aligned *a = &c->aligned;
    ss_sigma_axis axis;
    ss_plot p = {0};
    char label[64], data[16], alt[200];

    if (a->n_sigmas < 2)
        return SS_OK;
    if (!ss_plot_any(c->largest, c->n_runs * a->n_sigmas, true)) {
        ss_page_nothing(page, "no run has a largest |x| that is more than 0.");
        return SS_OK;
    }
    ss_sigma_axis_init(&axis);
    for (int k = 0; k < a->n_sigmas; k++)
        ss_sigma_axis_add(&axis, a->runs[0]->sigmas[ss_align_sigma(a, k, 0)]);
    for (int j = 0; j < c->n_runs; j++) {
        ss_plot_addf(&p, "$r%d << EOD\n", j);
        for (int k = 0; k < a->n_sigmas; k++) {
            ss_plot_number(&p,
                           ss_sigma_axis_at(&axis, a->runs[0]->sigmas[ss_align_sigma(a, k, 0)]));
            ss_plot_add(&p, " ");
            ss_plot_number(&p, c->largest[j * a->n_sigmas + k]);
            ss_plot_add(&p, "\n");
        }
        ss_plot_add(&p, "EOD\n");
    }
    ss_plot_settings(&p);
    ss_plot_panel(&p, "", "sigma of the input", "largest |x|");
    ss_sigma_axis_set(&p, &axis);
    ss_plot_add(&p, "set logscale y\nset format y '%g'\nset xlabel 'sigma of the input'\n"
                    "set ylabel 'largest |x|'\n");
    for (int j = 0; j < c->n_runs; j++) {
        snprintf(label, sizeof label, c->told[j].kind == SS_TOLD_OWN ? "the truth" : "sigma %s",
                 c->told[j].text);
        snprintf(data, sizeof data, "$r%d", j);
        ss_plot_series(&p, j % 8 + 1, SS_PLOT_BOTH, label, data, 1, 2);
    }
    ss_plot_items_end(&p);
    snprintf(alt, sizeof alt,
             "Largest activation against the input's noise level, a line for each of %d noise "
             "levels that the network was told.",
             c->n_runs);
    return ss_page_figure(page, &p, "conditioning", SS_PLOT_WIDTH, 340, alt,
                          "A line for what the network was told. Flat lines apart from each other: "
                          "the conditioning does it; one rising line: the input does.",
                          e);
}

ss_code ss_section_conditioning(ss_page *page, const ss_conditioning *c, ss_err *e)
{
    ss_table t;
    ss_code rc;

    ss_page_section(page, "conditioning", "The input, or what the network is told of it");
    if ((rc = figure(page, c, e)) == SS_OK && (rc = ss_conditioning_table(c, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && (rc = ss_effects_table(c, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc;
}
