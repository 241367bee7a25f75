/* section_loss.c - the denoising loss, and weights beside activations */
#include "base/mem.h"
#include "reports/page/curves.h"
#include "reports/sections/sections.h"

#include <math.h>

enum { TABLE_ROWS = 3000 };

ss_code ss_section_loss(ss_page *page, const ss_analysis *x, ss_err *e)
{
    const ss_run *r = x->run;
    ss_plot p = {0};
    ss_table t;
    char data[32];
    int shown = 0;
    ss_code rc = SS_OK;

    if (!x->loss || x->n == 0)
        return SS_OK;
    ss_page_section(page, "loss", "Denoising loss by noise level");
    ss_plot_add(&p, "$loss << EOD\n");
    for (int i = 0; i < r->n_inputs; i++) {
        for (int k = 0; k < x->n; k++) {
            ss_curves_sigma(&p, x, k);
            ss_plot_add(&p, " ");
            ss_plot_number(&p, x->loss[i * r->n_sigmas + x->order[k]]);
            ss_plot_add(&p, "\n");
        }
        ss_plot_add(&p, "\n\n");
    }
    ss_plot_add(&p, "EOD\n");
    ss_plot_settings(&p);
    ss_plot_panel(&p, "", "sigma", "mean squared error");
    ss_plot_add(&p, "set logscale y\nset format y '%g'\nset ylabel 'mean squared error'\n");
    ss_curves_sigma_axis(&p, x);
    for (int i = 0; i < r->n_inputs && shown < SS_SHOWN_INPUTS; i++) {
        if (!ss_plot_any(x->loss + (size_t)i * (size_t)r->n_sigmas, r->n_sigmas, true))
            continue;
        snprintf(data, sizeof data, "$loss index %d", i);
        ss_plot_series(&p, shown + 1, SS_PLOT_BOTH, r->inputs[i], data, 1, 2);
        shown++;
    }
    ss_plot_items_end(&p);
    if (shown && x->n > 1)
        rc = ss_page_figure(page, &p, "loss", SS_PLOT_WIDTH, 340,
                            "Mean squared error of the network's prediction against sigma.",
                            "Mean squared error of what the network predicts (epsilon, v or "
                            "sample, as it was trained), for inputs whose clean picture is known.",
                            e);
    else if (x->n > 1)
        ss_page_nothing(page, "no loss is a finite number above 0.");
    ss_plot_release(&p);
    if (rc == SS_OK && (rc = ss_loss_table(x->run, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc;
}

ss_code ss_section_weights(ss_page *page, const ss_analysis *x, ss_err *e)
{
    ss_table t;
    ss_code rc;

    if (x->weights.n == 0)
        return SS_OK;
    ss_page_section(page, "weights", "Weights against activations");
    if ((rc = ss_weights_table(x->run, &x->weights, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc;
}
