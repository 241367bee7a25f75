/* trends.c - see trends.h */
#include "reports/sections/trends.h"

#include "reports/summary.h"

#include <math.h>

enum { COLOURED = 7, TABLE_ROWS = 3000 };

/* Rows whose values differ, largest at the last step first. */
static int different_rows(const ss_trend *t, const ss_trend_row **rows, int n)
{
    int found = 0;

    for (int i = 0; i < t->n && found < n; i++) {
        bool seen = isnan(t->rows[i].peak.y[t->n_steps - 1]);

        for (int k = 0; k < found && !seen; k++) {
            seen = true;
            for (int j = 0; j < t->n_steps; j++)
                seen = seen && rows[k]->peak.y[j] == t->rows[i].peak.y[j];
        }
        if (!seen)
            rows[found++] = &t->rows[i];
    }
    return found;
}

static void limits(ss_plot *p, const ss_format *formats, int n)
{
    for (int f = 0; f < n; f++) {
        if (formats[f].exp_bits < 8)
            ss_plot_addf(p, "%.9g with lines lt %d title '%s: max %g', ", formats[f].max,
                         SS_PLOT_LIMIT, formats[f].name, formats[f].max);
    }
}

/* The step to which lines are drawn: where the fastest meets the first format, within reason. */
static double horizon(const ss_format *format, const ss_trend *t, const ss_trend_row *const *rows,
                      int n)
{
    const double last = t->steps[t->n_steps - 1];
    double far = 3 * last;

    for (int i = 0; i < n; i++) {
        const ss_forecast x = ss_trend_forecast(t, rows[i], format);

        if (x.reach == SS_REACH_AHEAD)
            far = fmax(far, 1.5 * x.at.at);
    }
    return fmin(far, 1000 * last);
}

ss_code ss_trends_figure(ss_page *page, const ss_format *formats, int n_formats, const ss_trend *t,
                         ss_err *e)
{
    const ss_trend_row *rows[COLOURED];
    const int n = different_rows(t, rows, COLOURED);
    ss_plot p = {0};
    char name[256], alt[512];

    if (n == 0)
        return SS_OK;
    ss_plot_add(&p, "$t << EOD\n");
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < t->n_steps; j++) {
            ss_plot_number(&p, t->steps[j]);
            ss_plot_add(&p, " ");
            ss_plot_number(&p, rows[i]->peak.y[j]);
            ss_plot_add(&p, "\n");
        }
        ss_plot_add(&p, "\n\n");
    }
    ss_plot_addf(&p,
                 "EOD\nset logscale xy\nset format xy '%%g'\nset xlabel 'training step'\n"
                 "set ylabel 'largest |x|'\nset xrange [%g:%g]\n"
                 "set key outside right top Left reverse\nplot ",
                 0.8 * fmax(1, t->steps[0]), horizon(&formats[0], t, rows, n));
    limits(&p, formats, n_formats);
    for (int i = 0; i < n; i++) {
        const ss_power_law *law = &rows[i]->peak.law;

        if (ss_power_law_holds(law))
            ss_plot_addf(&p, "exp(%.9g) * x**%.9g with lines lt %d lw 0.8 dt (8,4) notitle, ",
                         law->a, law->b, i + 1);
        ss_plot_addf(&p, "$t using 1:2 index %d with points lt %d ps 1.4 title ", i, i + 1);
        ss_plot_label(&p, ss_trend_name(t, rows[i], name, sizeof name));
        ss_plot_add(&p, i + 1 < n ? ", " : "\n");
    }
    snprintf(alt, sizeof alt,
             "Largest activations of %d modules against the training step, with power laws through "
             "them. The largest is %.200s: %.4g at step %.0f.",
             n, ss_trend_name(t, rows[0], name, sizeof name), rows[0]->peak.y[t->n_steps - 1],
             t->steps[t->n_steps - 1]);
    return ss_page_figure(
        page, &p, "trend", SS_PAGE_WIDTH, 440, alt,
        t->runs[0]->steps
            ? "Points are measured steps, dashed lines power laws, where there is one, fitted to "
              "all "
              "but the first, which saw the untrained network. Where a line "
              "crosses a format's limit is the forecast; the tables give its "
              "interval."
            : "Points are runs, dashed lines power laws through them, where there is one. Where a "
              "line crosses a format's limit is the forecast; the tables give "
              "its interval.",
        e);
}

ss_code ss_trends_tables(ss_page *page, const ss_format *formats, int n_formats, const ss_trend *t,
                         ss_err *e)
{
    ss_table table;
    char title[64];
    ss_code rc = ss_trend_stages_table(t, &table, e);

    if (rc == SS_OK)
        ss_page_table(page, &table);
    if (rc == SS_OK && (rc = ss_trend_table(t, TABLE_ROWS, &table, e)) == SS_OK)
        ss_page_table(page, &table);
    for (int f = 0; f < n_formats && rc == SS_OK; f++) {
        if (formats[f].exp_bits >= 8)
            continue;
        html_element(page->f, "h3", NULL, "When %s overflows", formats[f].name);
        snprintf(title, sizeof title, "forecast %s", formats[f].name);
        rc = ss_forecast_table(t, &formats[f], title, TABLE_ROWS, &table, e);
        if (rc == SS_OK)
            ss_page_table(page, &table);
    }
    return rc;
}

/* Finds the earliest of the rows that passed the format, else the soonest of those ahead. */
static const ss_trend_row *soonest_row(const ss_trend *t, const ss_format *f, ss_forecast *best,
                                       int *count)
{
    const ss_trend_row *soonest = NULL;

    for (int i = 0; i < t->n; i++) {
        const ss_forecast x = ss_trend_forecast(t, &t->rows[i], f);

        count[x.reach]++;
        if (x.reach > SS_REACH_AHEAD)
            continue;
        if (!soonest || x.reach < best->reach ||
            (x.reach == best->reach && x.reach == SS_REACH_AHEAD && x.at.at < best->at.at) ||
            (x.reach == best->reach && x.reach <= SS_REACH_LOST && x.over < best->over)) {
            soonest = &t->rows[i];
            *best = x;
        }
    }
    return soonest;
}

/* The sentence for the case that no place passed the format and none is sure to come to it. */
static void say_no_forecast(ss_page *p, const ss_trend *t, const ss_format *f, const int *count)
{
    if (count[SS_REACH_UNKNOWN] == t->n)
        ss_summary_say(p, SS_SAID_UNKNOWN, "trend",
                       "When %s (%g) is reached: with fewer than three steps there is no trend. It "
                       "was not reached at them.",
                       f->name, f->max);
    else if (count[SS_REACH_BENT] || count[SS_REACH_UNKNOWN])
        ss_summary_say(
            p, SS_SAID_UNKNOWN, "trend",
            "When %s (%g) is reached: %d of %d places follow no power law, %d have fewer "
            "than three steps. It was not reached at these steps.",
            f->name, f->max, count[SS_REACH_BENT], t->n, count[SS_REACH_UNKNOWN]);
    else
        ss_summary_say(p, SS_SAID_MEASURED, "trend",
                       "%s (%g) was not reached, and by this trend nothing reaches it within %d "
                       "times the range of the steps; farther it says nothing.",
                       f->name, f->max, SS_TREND_FAR);
}

static void say_forecast(ss_page *p, const ss_trend *t, const ss_format *f)
{
    ss_forecast best = {.reach = SS_REACH_UNKNOWN};
    int count[SS_REACH_UNKNOWN + 1] = {0};
    const ss_trend_row *soonest = soonest_row(t, f, &best, count);
    char name[256];

    if (!soonest) {
        say_no_forecast(p, t, f, count);
        return;
    }
    const ss_bend bend = soonest->peak.law.bend;

    ss_trend_name(t, soonest, name, sizeof name);
    if (best.reach == SS_REACH_LOST)
        ss_summary_say(p, SS_SAID_BAD, "trend",
                       "%s was passed by no finite value, and cannot be judged: from step %.0f on "
                       "there is inf or NaN, first in %s.",
                       f->name, t->steps[best.over], name);
    else if (best.reach == SS_REACH_PASSED && best.over > 0)
        ss_summary_say(
            p, SS_SAID_BAD, "trend",
            "%s was passed first by %s, between steps %.0f and %.0f (%.4g there; it ends "
            "at %g).",
            f->name, name, t->steps[best.over - 1], t->steps[best.over], soonest->peak.y[best.over],
            f->max);
    else if (best.reach == SS_REACH_PASSED)
        ss_summary_say(
            p, SS_SAID_BAD, "trend",
            "%s was passed by %s at the first of these steps, %.0f, already (%.4g there; it "
            "ends at %g).",
            f->name, name, t->steps[0], soonest->peak.y[0], f->max);
    else
        ss_summary_say(
            p, SS_SAID_MEASURED, "trend",
            "By this trend %s is reached first by %s, near step %.3g (95%%: %.3g to %.3g%s).",
            f->name, name, best.at.at, best.at.low, best.at.high,
            bend == SS_BEND_UP     ? "; the points bend up, so rather sooner"
            : bend == SS_BEND_DOWN ? "; the points bend down, so rather later"
                                   : "");
}

void ss_trends_say(ss_page *p, const ss_format *formats, int n_formats, const ss_trend *t)
{
    const ss_trend_row *top = &t->rows[0];
    const ss_power_law *law = &top->peak.law;
    const char *what = t->runs[0]->steps ? "measured steps" : "runs";
    const int last = t->n_steps - 1;
    char name[256];

    if (t->n == 0)
        return;
    ss_trend_name(t, top, name, sizeof name);
    if (law->n < 3)
        ss_summary_say(p, SS_SAID_UNKNOWN, "trend",
                       "How %s, which is largest, grows over training: it has a finite value at %d "
                       "of %d %s that count, and a law needs three.",
                       name, law->n, t->n_steps, what);
    else if (!ss_power_law_holds(law))
        ss_summary_say(p, SS_SAID_MEASURED, "trend",
                       "Over %d %s the largest activation (%s) goes from %.4g to %.4g, and follows "
                       "no power law: it %s.",
                       law->n, what, name, top->peak.y[0], top->peak.y[last],
                       law->bend == SS_BEND_DOWN ? "bends, the growth slows down"
                       : law->bend == SS_BEND_UP ? "bends, the growth speeds up"
                                                 : "scatters about it by a factor of 2 and more");
    else
        ss_summary_say(p, SS_SAID_MEASURED, "trend",
                       "Over %d %s the largest activation (%s) goes as step^(%.2f \xc2\xb1 %.2f), "
                       "95%% from %.2f to %.2f%s.",
                       law->n, what, name, law->b, law->error, law->low, law->high,
                       law->bend == SS_BEND_DOWN ? "; the points bend, the growth slows down"
                       : law->bend == SS_BEND_UP ? "; the points bend, the growth speeds up"
                       : law->low > 0            ? ": it grows"
                       : law->high < 0           ? ": it shrinks"
                                                 : ": whether it grows is not certain");
    for (int f = 0; f < n_formats; f++) {
        if (formats[f].exp_bits < 8)
            say_forecast(p, t, &formats[f]);
    }
}
