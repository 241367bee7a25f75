/* summary.c - see summary.h */
#include "reports/summary.h"

#include "reports/curves.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

void ss_summary_begin(ss_page *p)
{
    html_raw(p->f, "<ul class=\"findings\">\n");
}

void ss_summary_say(ss_page *p, ss_said said, const char *anchor, const char *fmt, ...)
{
    static const char *const classes[] = {"found", "clear", "told", "unknown"};
    static const char *const words[] = {"found", "not found", "measured", "cannot be told"};
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    html_raw(p->f, "<li><span class=\"verdict ");
    html_text(p->f, classes[said]);
    html_raw(p->f, "\">");
    html_text(p->f, words[said]);
    html_raw(p->f, "</span><span>");
    html_text(p->f, text);
    if (anchor) {
        html_raw(p->f, " <a href=\"#");
        html_text(p->f, anchor);
        html_raw(p->f, "\">See it</a>.");
    }
    html_raw(p->f, "</span></li>\n");
}

void ss_summary_end(ss_page *p)
{
    html_raw(p->f, "</ul>\n");
}

static double sigma_of(const ss_findings *x, int index)
{
    return x->run->sigmas[index];
}

static void say_nonfinite(ss_page *p, const ss_findings *x)
{
    char name[256];

    if (x->nonfinite.n) {
        const ss_nonfinite_row *first = &x->nonfinite.rows[0];

        ss_summary_say(p, SS_SAID_FOUND, "nonfinite",
                       "Values are inf or NaN at %d places. The first in forward order is %s, from "
                       "sigma %.3g on, with input %s.",
                       x->nonfinite.n, ss_site_name(x->run, first->site, name, sizeof name),
                       sigma_of(x, first->sigma), x->run->inputs[first->input]);
    } else {
        ss_summary_say(p, SS_SAID_CLEAR, NULL,
                       "Every value that was seen is finite (precision %s).",
                       *x->run->precision ? x->run->precision : "not recorded");
    }
}

static void say_growth(ss_page *p, const ss_findings *x)
{
    enum { GROWS = 2 };
    const ss_growth_row *top = &x->growth.rows[0];
    char name[256];

    if (x->growth.n == 0 || isnan(top->peak))
        return;
    if (x->n < 2)
        ss_summary_say(p, SS_SAID_TOLD, "growth",
                       "The largest activation is %.4g, in %s. With one noise level there is no "
                       "growth to speak of.",
                       top->peak,
                       ss_site_name(x->run, ss_findings_origin(x, 0), name, sizeof name));
    else
        ss_summary_say(p, top->absmax.ratio >= GROWS ? SS_SAID_FOUND : SS_SAID_CLEAR, "growth",
                       "The largest activation is %.4g, in %s, at sigma %.3g (input %s). There it "
                       "is %.3g at the lowest sigma and %.3g at the highest: a factor of %.3g.",
                       top->peak, ss_site_name(x->run, ss_findings_origin(x, 0), name, sizeof name),
                       sigma_of(x, top->peak_sigma), x->run->inputs[top->peak_input],
                       top->absmax.low, top->absmax.high, top->absmax.ratio);
}

static void say_stages(ss_page *p, const ss_findings *x)
{
    const ss_stage_row *row = x->stages.n ? &x->stages.rows[x->stages.n - 1] : NULL;

    if (!row || isnan(row->absmax_ratio) || x->n < 2) {
        ss_summary_say(p, SS_SAID_UNKNOWN, NULL,
                       "Whether the decoder grows more than the encoder: the module paths do not "
                       "name both, or there is one noise level.");
        return;
    }
    ss_summary_say(p, row->absmax_ratio >= 2 ? SS_SAID_FOUND : SS_SAID_CLEAR, "growth",
                   "At the highest sigma (%.3g) the decoder reaches %.3g and the encoder %.3g, a "
                   "factor of %.3g; at the lowest %.3g against %.3g.",
                   sigma_of(x, row->sigma), row->absmax[SS_STAGE_DECODER],
                   row->absmax[SS_STAGE_ENCODER], row->absmax_ratio,
                   x->stages.rows[0].absmax[SS_STAGE_DECODER],
                   x->stages.rows[0].absmax[SS_STAGE_ENCODER]);
}

/* The first noise level and input at which the format overflows, if any does. */
static const ss_overflow_row *first_overflow(const ss_overflow *o)
{
    for (int i = 0; i < o->n; i++) {
        if (o->rows[i].n_over)
            return &o->rows[i];
    }
    return NULL;
}

static void say_headroom(ss_page *p, const ss_findings *x)
{
    char name[256];

    for (int i = 0; i < x->n_formats && x->headroom.n; i++) {
        const ss_overflow_row *over = first_overflow(&x->overflow[i]);
        const ss_headroom_row *least = &x->headroom.rows[0];

        if (over)
            ss_summary_say(p, SS_SAID_FOUND, "headroom",
                           "%s would overflow in %d modules, from sigma %.3g on; there first in %s "
                           "(%.4g; the format ends at %g), with input %s.",
                           x->format[i].name, x->headroom.n_negative[i], sigma_of(x, over->sigma),
                           ss_site_name(x->run, over->first, name, sizeof name), over->absmax,
                           x->format[i].max, x->run->inputs[over->input]);
        else if (x->format[i].exp_bits < 8) /* those with f32's range cannot */
            ss_summary_say(p, SS_SAID_CLEAR, "headroom",
                           "%s does not overflow: %.1f bits are left in %s, which has least.",
                           x->format[i].name, least->bits[i], x->run->modules[least->module]);
    }
}

static void say_weights(ss_page *p, const ss_findings *x)
{
    const ss_weights *w = &x->weights;

    if (w->n == 0) {
        ss_summary_say(p, SS_SAID_UNKNOWN, NULL,
                       "Whether weights are of normal size: the run has none.");
        return;
    }
    ss_summary_say(p, w->n_huge_normal ? SS_SAID_FOUND : SS_SAID_TOLD, "weights",
                   "The largest weight is %.3g, against a largest activation of %.4g. In %d of %d "
                   "modules activations are huge (%d times the median of %.3g); in %d of those the "
                   "weights are of normal size.",
                   w->weight_max, w->activation_max, w->n_huge, w->n, SS_HUGE, w->activation_median,
                   w->n_huge_normal);
}

static void say_attention(ss_page *p, const ss_findings *x)
{
    const ss_attn *a = &x->attention;

    if (!x->has_attention)
        ss_summary_say(p, SS_SAID_UNKNOWN, NULL,
                       "Attention entropy and logits: the run has no attention layer.");
    else
        ss_summary_say(p, a->n_collapsed ? SS_SAID_FOUND : SS_SAID_TOLD, "attention", "%s",
                       x->attention_sentence);
}

static void say_spectra(ss_page *p, const ss_findings *x)
{
    char text[512];

    if (!x->has_spectra)
        ss_summary_say(p, SS_SAID_UNKNOWN, NULL,
                       "Whether inputs without low frequencies give the large activations: the run "
                       "has no spectra.");
    else
        ss_summary_say(p, SS_SAID_TOLD, "inputs", "%s",
                       ss_spectra_sentence(x->run, &x->spectra, text, sizeof text));
}

static void say_maps(ss_page *p, const ss_findings *x)
{
    const ss_blobs *b = &x->blobs;
    int low = 0, high = 0;

    if (b->n == 0) {
        ss_summary_say(p, SS_SAID_UNKNOWN, NULL,
                       "Whether activation maps degenerate into blobs: none were dumped (probe "
                       "--dump).");
        return;
    }
    for (int i = 0; i < b->n; i++) {
        low += ss_blob_row_degenerate(x->run, &b->rows[i], SS_ALL, b->lowest);
        high += ss_blob_row_degenerate(x->run, &b->rows[i], SS_ALL, b->highest);
    }
    ss_summary_say(p, high > low ? SS_SAID_FOUND : SS_SAID_CLEAR, "maps",
                   "Of %d dumped modules %d have degenerate maps at the lowest sigma and %d at the "
                   "highest.",
                   b->n, low, high);
}

static void say_channels(ss_page *p, const ss_findings *x)
{
    const ss_channels *k = &x->channels;
    char name[256];

    if (k->n_sites == 0)
        return;
    if (k->n == 0)
        ss_summary_say(p, SS_SAID_CLEAR, "channels",
                       "No channel is %d times as large as the median channel of its module.",
                       SS_OUTLIER);
    else
        ss_summary_say(p, SS_SAID_FOUND, "channels",
                       "%zu channels in %d of %d places are at least %d times as large as the "
                       "median channel there; the largest is channel %lld of %s with %.3g.",
                       k->n, k->n_sites_with, k->n_sites, SS_OUTLIER, (long long)k->rows[0].channel,
                       ss_site_name(x->run, k->rows[0].site, name, sizeof name), k->rows[0].absmax);
}

static void say_loss(ss_page *p, const ss_findings *x)
{
    const ss_run *r = x->run;
    double low = NAN, high = NAN;

    if (!x->loss || x->n < 2) {
        ss_summary_say(p, SS_SAID_UNKNOWN, NULL,
                       "The loss by noise level: no input has a known clean picture.");
        return;
    }
    for (int i = r->n_inputs - 1; i >= 0; i--) { /* the first input that has one */
        if (!isnan(x->loss[i * r->n_sigmas + x->order[0]])) {
            low = x->loss[i * r->n_sigmas + x->order[0]];
            high = x->loss[i * r->n_sigmas + x->order[x->n - 1]];
        }
    }
    ss_summary_say(p, SS_SAID_TOLD, "loss",
                   "The denoising loss is %.3g at the lowest sigma and %.3g at the highest.", low,
                   high);
}

void ss_summary_run(ss_page *p, const ss_findings *x)
{
    if (x->n == 0) {
        ss_summary_say(p, SS_SAID_UNKNOWN, NULL,
                       "No noise level of this run is finished, so there is nothing to show. Go "
                       "on with `sigmascope probe --resume`.");
        return;
    }
    if (x->n < x->run->n_sigmas)
        ss_summary_say(p, SS_SAID_TOLD, NULL,
                       "The run is not complete: %d of %d noise levels are finished, and only "
                       "those are shown.",
                       x->n, x->run->n_sigmas);
    say_nonfinite(p, x);
    say_growth(p, x);
    say_stages(p, x);
    say_headroom(p, x);
    say_weights(p, x);
    say_attention(p, x);
    say_spectra(p, x);
    say_maps(p, x);
    say_channels(p, x);
    say_loss(p, x);
}
