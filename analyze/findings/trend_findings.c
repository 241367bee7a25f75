/* trend_findings.c - the sentences about growth over training; see several.h */
#include "analyze/findings/several.h"

#include <math.h>

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
static void say_no_forecast(ss_findings *out, const ss_trend *t, const ss_format *f,
                            const int *count)
{
    if (count[SS_REACH_UNKNOWN] == t->n)
        ss_findings_say(
            out, "forecast", SS_SAID_UNKNOWN, "trend",
            "When %s (%g) is reached: with fewer than three steps there is no trend. It "
            "was not reached at them.",
            f->name, f->max);
    else if (count[SS_REACH_BENT] || count[SS_REACH_UNKNOWN])
        ss_findings_say(
            out, "forecast", SS_SAID_UNKNOWN, "trend",
            "When %s (%g) is reached: %d of %d places follow no power law, %d have fewer "
            "than three steps. It was not reached at these steps.",
            f->name, f->max, count[SS_REACH_BENT], t->n, count[SS_REACH_UNKNOWN]);
    else
        ss_findings_say(out, "forecast", SS_SAID_MEASURED, "trend",
                        "%s (%g) was not reached, and by this trend nothing reaches it within %d "
                        "times the range of the steps; farther it says nothing.",
                        f->name, f->max, SS_TREND_FAR);
}

static void say_forecast(ss_findings *out, const ss_trend *t, const ss_format *f, bool first)
{
    ss_forecast best = {.reach = SS_REACH_UNKNOWN};
    int count[SS_REACH_UNKNOWN + 1] = {0};
    const ss_trend_row *soonest = soonest_row(t, f, &best, count);
    char name[256];

    if (!soonest) {
        say_no_forecast(out, t, f, count);
        return;
    }
    const ss_bend bend = soonest->peak.law.bend;

    ss_trend_name(t, soonest, name, sizeof name);
    if (best.reach == SS_REACH_LOST)
        ss_findings_say(out, "forecast", SS_SAID_BAD, "trend",
                        "%s was passed by no finite value, and cannot be judged: from step %.0f on "
                        "there is inf or NaN, first in %s.",
                        f->name, t->steps[best.over], name);
    else if (best.reach == SS_REACH_PASSED && best.over > 0)
        ss_findings_say(
            out, "forecast", SS_SAID_BAD, "trend",
            "%s was passed first by %s, between steps %.0f and %.0f (%.4g there; it ends "
            "at %g).",
            f->name, name, t->steps[best.over - 1], t->steps[best.over], soonest->peak.y[best.over],
            f->max);
    else if (best.reach == SS_REACH_PASSED)
        ss_findings_say(
            out, "forecast", SS_SAID_BAD, "trend",
            "%s was passed by %s at the first of these steps, %.0f, already (%.4g there; it "
            "ends at %g).",
            f->name, name, t->steps[0], soonest->peak.y[0], f->max);
    else
        ss_findings_say(
            out, "forecast", SS_SAID_MEASURED, "trend",
            "By this trend %s is reached first by %s, near step %.3g (95%%: %.3g to %.3g%s).",
            f->name, name, best.at.at, best.at.low, best.at.high,
            bend == SS_BEND_UP     ? "; the points bend up, so rather sooner"
            : bend == SS_BEND_DOWN ? "; the points bend down, so rather later"
                                   : "");
    if (best.reach != SS_REACH_AHEAD && first)
        ss_finding_severity(out,
                            best.reach == SS_REACH_LOST ? SS_SEVERITY_BROKEN : SS_SEVERITY_FAILING);
    ss_finding_format(out, f);
    ss_finding_set(out, "module", name);
    ss_finding_number(out, "limit", f->max, NULL);
    if (best.reach == SS_REACH_AHEAD) {
        ss_finding_number(out, "step", best.at.at, "step");
        ss_finding_number(out, "step_low", best.at.low, "step");
        ss_finding_number(out, "step_high", best.at.high, "step");
    } else {
        ss_finding_number(out, "step", t->steps[best.over], "step");
        ss_finding_number(out, "absmax", soonest->peak.y[best.over], NULL);
    }
}

void ss_findings_trend(ss_findings *out, const ss_format *formats, int n_formats, const ss_trend *t)
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
        ss_findings_say(
            out, "trend", SS_SAID_UNKNOWN, "trend",
            "How %s, which is largest, grows over training: it has a finite value at %d "
            "of %d %s that count, and a law needs three.",
            name, law->n, t->n_steps, what);
    else if (!ss_power_law_holds(law))
        ss_findings_say(
            out, "trend", SS_SAID_MEASURED, "trend",
            "Over %d %s the largest activation (%s) goes from %.4g to %.4g, and follows "
            "no power law: it %s.",
            law->n, what, name, top->peak.y[0], top->peak.y[last],
            law->bend == SS_BEND_DOWN ? "bends, the growth slows down"
            : law->bend == SS_BEND_UP ? "bends, the growth speeds up"
                                      : "scatters about it by a factor of 2 and more");
    else
        ss_findings_say(out, "trend", SS_SAID_MEASURED, "trend",
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
            say_forecast(out, t, &formats[f], f == 0);
    }
}
