/* votes.c - see votes.h */
#include "reports/votes.h"

#include "reports/page/plot.h"

#include <math.h>

enum { WIDTH = 760, FRAME = 130, ROW = 34 };

/* Writes the rows of a block of data: rate, row, low, high. */
static int add_block(ss_plot *p, const ss_win_rates *w, const char *name, bool by_pairs,
                     double shift)
{
    int row = 0, n = 0;

    ss_plot_addf(p, "$%s << E\n", name);
    for (int a = 0; a < SS_N_ASPECTS; a++) {
        const ss_aspect_result *r = &w->aspects[a];
        const ss_win_rate *of = by_pairs ? &r->pairs : &r->votes;

        if (!r->asked)
            continue;
        if (!isnan(of->rate)) {
            ss_plot_addf(p, "%.6g %.6g %.6g %.6g\n", of->rate, row + shift, of->low, of->high);
            n++;
        }
        row++;
    }
    ss_plot_add(p, "E\n");
    return n;
}

static int add_tics(ss_plot *p, const ss_win_rates *w)
{
    int rows = 0;

    ss_plot_add(p, "set ytics (");
    for (int a = 0; a < SS_N_ASPECTS; a++) {
        if (w->aspects[a].asked)
            ss_plot_addf(p, "%s'%s' %d", rows ? ", " : "", ss_aspect_names[a], rows), rows++;
    }
    ss_plot_add(p, ")\n");
    return rows;
}

ss_code ss_votes_draw(const ss_votes *v, const ss_win_rates *w, const char *folder, ss_err *e)
{
    const bool several = v->n > 1;
    ss_plot p = {0};
    const int votes = add_block(&p, w, "votes", false, several ? -0.12 : 0);
    const int pairs = several ? add_block(&p, w, "pairs", true, 0.12) : 0;
    const int rows = add_tics(&p, w);

    ss_plot_addf(&p, "set xrange [0:1]\nset yrange [%d.5:-0.5]\n", rows - 1);
    ss_plot_add(&p, "set xlabel 'share of A in the votes for one of both, with 95 % intervals'\n"
                    "set arrow 1 from 0.5,graph 0 to 0.5,graph 1 nohead lt 9 lw 1\n"
                    "set key outside top center horizontal\nset title ");
    ss_str title = {0};
    ss_str_addf(&title, "A: %s   B: %s", SS_SHOW(v->key->a), SS_SHOW(v->key->b));
    ss_plot_label(&p, title.failed ? "" : title.s);
    ss_str_release(&title);
    ss_plot_add(&p, "\n");
    if (votes)
        ss_plot_item(&p, "$votes using 1:2:3:4 with xerrorbars lt 1 title 'by votes'");
    if (pairs)
        ss_plot_item(&p, "$pairs using 1:2:3:4 with xerrorbars lt 2 title 'by pairs'");
    ss_plot_items_end(&p);
    return ss_plot_draw(&p, folder, "win-rates", WIDTH, FRAME + ROW * rows, "", NULL, e);
}
