/* summary_training.c - what a training's own run shows, in words and numbers; see
 * training_analysis.h */
#include "analyze/findings/several.h"
#include "analyze/findings/training_analysis.h"

#include <math.h>

/* The headline: whether it got anywhere. */
static void say_health(ss_findings *f, const ss_training_analysis *x)
{
    char text[600];

    ss_training_health_say(&x->health, text, sizeof text);
    if (*text)
        ss_findings_say(f, "health", x->health.trouble ? SS_SAID_BAD : SS_SAID_MEASURED, "training",
                        "%s", text);
    else
        ss_findings_say(f, "health", x->health.knows ? SS_SAID_GOOD : SS_SAID_UNKNOWN, "training",
                        "%s",
                        !x->health.knows ? "Whether steps were skipped: the run does not say."
                        : !x->health.knows_loss ? "No step was skipped; the run has no loss."
                                                : "No step was skipped, and the loss is finite at "
                                                  "every measured step.");
}

static void say_overflow(ss_findings *f, const ss_training_analysis *x)
{
    const ss_training_overflow *o = &x->overflow;
    char name[256], sigma[48] = "";
    int lost = 0;

    for (int i = 0; i < o->n; i++)
        lost += o->rows[i].nonfinite > 0;
    if (o->n == 0) {
        ss_findings_say(
            f, "overflow", isnan(o->largest) ? SS_SAID_UNKNOWN : SS_SAID_GOOD, "growth",
            isnan(o->largest)
                ? "Whether anything is over the limit of %s (%g): no largest value was "
                  "recorded (%.4g)."
                : "Nothing is over the limit of %s (%g), inf or NaN at a measured step; "
                  "the largest value is %.4g.",
            o->format.name, o->format.max, o->largest);
        return;
    }
    if (!isnan(o->rows[0].sigma))
        snprintf(sigma, sizeof sigma, ", at sigma %s%.3g", x->run->binned ? "about " : "",
                 o->rows[0].sigma);
    ss_findings_say(
        f, "overflow", SS_SAID_BAD, "growth",
        "%d of %d places are over the limit of %s (%g), or inf or NaN (%d of them); the "
        "largest finite value is %.4g. The first is %s, at step %.0f%s.",
        o->n, o->n_sites, o->format.name, o->format.max, lost, o->largest,
        ss_site_name(x->run, o->rows[0].site, name, sizeof name),
        x->t.trend.steps[o->rows[0].first], sigma);
    ss_finding_severity(f, lost ? SS_SEVERITY_BROKEN : SS_SEVERITY_FAILING);
    ss_finding_format(f, &o->format);
    ss_finding_site(f, x->run, o->rows[0].site);
    ss_finding_number(f, "first_step", x->t.trend.steps[o->rows[0].first], "step");
    ss_finding_number(f, "sigma", o->rows[0].sigma, NULL);
    ss_finding_number(f, "places", o->n, NULL);
    ss_finding_number(f, "absmax", o->largest, NULL);
    ss_finding_number(f, "limit", o->format.max, NULL);
}

/* Says how the network is built where it is worst. */
static void say_structure(ss_findings *f, const ss_training_analysis *x)
{
    ss_structure_asked asked = {0};
    ss_site largest;

    if (x->bad.n_sites)
        ss_structure_ask(&asked, x->bad.sites[0].site);
    if (x->overflow.n)
        ss_structure_ask(&asked, x->overflow.rows[0].site);
    if (asked.n == 0 && ss_trend_largest_site(&x->t.trend, &largest))
        ss_structure_ask(&asked, largest);
    ss_findings_structure(f, x->run, &asked);
}

/* The largest of all sites in a band at the last step at which it had samples. */
static double band_peak(const ss_training *t, ss_band b)
{
    double peak = NAN;

    for (int j = t->trend.n_steps - 1; j >= 0 && isnan(peak); j--) {
        for (int i = 0; i < t->trend.n; i++)
            peak = fmax(peak, ss_training_band(t, &t->trend.rows[i], b)[j]);
    }
    return peak;
}

static void say_bands(ss_findings *f, const ss_training *t)
{
    const double low = band_peak(t, SS_BAND_LOW), high = band_peak(t, SS_BAND_HIGH);

    if (!ss_training_has_bands(t) || !isfinite(high / low))
        return;
    ss_findings_say(
        f, "bands", SS_SAID_MEASURED, "growth",
        "At the end, samples with sigma from %.3g on reach %.4g, those below %.3g reach "
        "%.4g: a factor of %.3g.",
        t->cut[SS_BAND_HIGH - 1], high, t->cut[0], low, high / low);
}

static void say_stages(ss_findings *f, const ss_training *t)
{
    const int last = t->trend.n_steps - 1;
    const double encoder = t->trend.stages[SS_STAGE_ENCODER].peak.y[last];
    const double decoder = t->trend.stages[SS_STAGE_DECODER].peak.y[last];

    if (!isfinite(decoder / encoder))
        return;
    ss_findings_say(f, "stages", SS_SAID_MEASURED, "growth",
                    "At step %.0f the largest |x| of the decoder is %.3g times that of the encoder "
                    "(%.4g and %.4g).",
                    t->trend.steps[last], decoder / encoder, decoder, encoder);
}

static void say_updates(ss_findings *f, const ss_training_analysis *x)
{
    const ss_updates *u = &x->updates;
    const ss_updates_row *worst = u->rows;

    if (u->n == 0 || isnan(worst->staleness))
        ss_findings_say(
            f, "updates", SS_SAID_UNKNOWN, "updates",
            "Whether the optimiser lags behind its gradients: the run has no staleness.");
    else if (u->n_stale == 0)
        ss_findings_say(f, "updates", SS_SAID_GOOD, "updates",
                        "No parameter's staleness is above %g at a measured step; the largest is "
                        "%.3g.",
                        SS_STALE, worst->staleness);
    else
        ss_findings_say(f, "updates", SS_SAID_BAD, "updates",
                        "At %d of %d measured steps, the first of them %.0f, parameters have a "
                        "staleness above %g: the optimiser lags behind their gradients. Worst is "
                        "%.200s with %.3g at step %.0f.",
                        u->n_stale, x->t.trend.n_steps, x->t.trend.steps[u->first_stale], SS_STALE,
                        x->run->parameters[worst->parameter], worst->staleness,
                        x->t.trend.steps[worst->staleness_step]);
}

static void say_loss(ss_findings *f, const ss_training_analysis *x)
{
    const ss_training_loss *best = NULL, *worst = NULL;

    for (int i = 0; i < x->n_losses; i++) {
        const ss_training_loss *l = &x->losses[i];

        if (isnan(l->last / l->first))
            continue;
        best = !best || l->last / l->first < best->last / best->first ? l : best;
        worst = !worst || l->last / l->first > worst->last / worst->first ? l : worst;
    }
    if (best && best->last == best->first && worst->last == worst->first)
        ss_findings_say(
            f, "loss", SS_SAID_MEASURED, "training",
            "The running loss is the same at the beginning and at the end, at every noise "
            "level.");
    else if (best)
        ss_findings_say(
            f, "loss", worst->last > worst->first ? SS_SAID_BAD : SS_SAID_MEASURED, "training",
            "The running loss fell most near sigma %.3g, from %.3g to %.3g, and %s near "
            "sigma %.3g, from %.3g to %.3g.",
            x->run->bins[best->bin], best->first, best->last,
            worst->last > worst->first ? "rose most" : "fell least", x->run->bins[worst->bin],
            worst->first, worst->last);
}

void ss_findings_training(ss_findings *f, const ss_training_analysis *x)
{
    say_health(f, x);
    ss_findings_not_finite(f, &x->bad, NULL, "growth");
    ss_findings_mechanism(f, &x->mechanism);
    say_overflow(f, x);
    say_structure(f, x);
    ss_findings_trend(f, x->format, x->n_formats, &x->t.trend);
    say_bands(f, &x->t);
    say_stages(f, &x->t);
    say_updates(f, x);
    say_loss(f, x);
}
