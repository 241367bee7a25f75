/* summary.c - see summary.h */
#include "reports/summary.h"

#include "base/mem.h"
#include "reports/page/curves.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

void ss_summary_begin(ss_page *p)
{
    html_raw(p->f, "<ul class=\"findings\">\n");
}

void ss_summary_say(ss_page *p, ss_said said, const char *anchor, const char *fmt, ...)
{
    static const char *const classes[] = {"found", "clear", "measured", "unknown"};
    static const char *const words[] = {"trouble", "no trouble", "measured", "not known"};
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

void ss_summary_structure(ss_page *p, const ss_run *r, const ss_structure_asked *asked)
{
    for (int i = 0; i < asked->n && r->n_structure; i++) {
        const char *module = r->modules[asked->module[i]];
        const int line = ss_structure_find(r, module, NULL);
        char *text = ss_structure_say(r, module), anchor[32];

        snprintf(anchor, sizeof anchor, line < 0 ? "structure" : "structure-%d", line + 1);
        if (text)
            ss_summary_say(p, SS_SAID_MEASURED, anchor, "%s", text);
        ss_free(text);
    }
}

static double sigma_of(const ss_analysis *x, int index)
{
    return x->run->sigmas[index];
}

void ss_summary_not_finite(ss_page *p, const ss_not_finite *x, const char *name, const char *anchor)
{
    for (int part = 0; part < SS_N_BAD_PARTS; part++) {
        char *text = ss_not_finite_say(x, (ss_bad_part)part, NULL);
        const bool fact = part == SS_BAD_ZERO || (part == SS_BAD_SIGMA && !x->denoised.count) ||
                          (part == SS_BAD_SITES && !x->n_sites);

        if (text)
            ss_summary_say(p, fact ? SS_SAID_MEASURED : SS_SAID_BAD, anchor, "%s%s%s",
                           name ? name : "", name ? ": " : "", text);
        ss_free(text);
    }
}

static void say_finite(ss_page *p, const ss_analysis *x)
{
    const ss_not_finite *bad = &x->bad;

    ss_summary_not_finite(p, bad, NULL,
                          ss_not_finite_any(bad) || bad->n_limits ? "nonfinite" : NULL);
    if (ss_not_finite_any(bad))
        return;
    if (bad->of_sites == 0)
        ss_summary_say(p, SS_SAID_UNKNOWN, NULL,
                       "Whether anything is inf or NaN: no largest value of any module was "
                       "recorded, or all of them are NaN.");
    else if (!bad->counted)
        ss_summary_say(p, SS_SAID_UNKNOWN, NULL,
                       "Whether anything is inf or NaN: the run does not count it (it has no "
                       "/stats/nonfinite). No recorded value is inf.");
    else
        ss_summary_say(p, SS_SAID_GOOD, NULL,
                       "Every value that was seen is finite, at all %d places (precision %s).",
                       bad->of_sites, *x->run->precision ? x->run->precision : "not recorded");
}

/* ", of what is finite": a remark after numbers that leave something out. */
static const char *of_finite(const ss_analysis *x)
{
    return x->bad.n_sites    ? ", of what is finite,"
           : x->bad.n_limits ? ", where it is cut off,"
                             : "";
}

static void say_growth(ss_page *p, const ss_analysis *x)
{
    const ss_growth_row *top = &x->growth.rows[0];
    char name[256];

    if (x->growth.n == 0 || isnan(top->peak)) {
        ss_summary_say(p, SS_SAID_UNKNOWN, NULL,
                       "How activations grow with sigma: no module has a finite largest value.");
        return;
    }
    ss_site_name(x->run, ss_analysis_origin(x, 0), name, sizeof name);
    if (ss_run_is_text(x->run)) {
        const ss_cell at = {top->peak_sigma, top->peak_input, top->peak_sample};
        char place[300], over[64] = "";

        if (!isnan(top->over_median))
            snprintf(over, sizeof over, ": %.3g times that of the median token", top->over_median);
        ss_summary_say(p, SS_SAID_MEASURED, "growth",
                       "The largest activation%s is %.4g, in %s, at "
                       "%s%s.",
                       of_finite(x), top->peak, name, ss_cell_name(x->run, at, place, sizeof place),
                       over);
    } else if (x->n < 2)
        ss_summary_say(p, SS_SAID_MEASURED, "growth",
                       "The largest activation%s is %.4g, in %s. With one noise level there is no "
                       "growth to speak of.",
                       of_finite(x), top->peak, name);
    else if (!isfinite(top->absmax.ratio))
        ss_summary_say(p, SS_SAID_MEASURED, "growth",
                       "The largest activation%s is %.4g, in %s, at sigma %.3g (input %s). Its "
                       "growth from the lowest to the highest sigma cannot be given: there it is "
                       "%.3g and %.3g.",
                       of_finite(x), top->peak, name, sigma_of(x, top->peak_sigma),
                       x->run->inputs[top->peak_input], top->absmax.low, top->absmax.high);
    else
        ss_summary_say(
            p, SS_SAID_MEASURED, "growth",
            "The largest activation%s is %.4g, in %s, at sigma %.3g (input %s). There it "
            "is %.3g at the lowest sigma and %.3g at the highest: a factor of %.3g.",
            of_finite(x), top->peak, name, sigma_of(x, top->peak_sigma),
            x->run->inputs[top->peak_input], top->absmax.low, top->absmax.high, top->absmax.ratio);
}

static void say_stages(ss_page *p, const ss_analysis *x)
{
    const ss_stage_row *row = x->stages.n ? &x->stages.rows[x->stages.n - 1] : NULL;
    const bool both = x->stages.n_sites[SS_STAGE_ENCODER] && x->stages.n_sites[SS_STAGE_DECODER];

    if (!row || !both || x->n < 2 || !isfinite(row->absmax_ratio)) {
        ss_summary_say(p, SS_SAID_UNKNOWN, NULL,
                       "Whether the decoder grows more than the encoder: %s.",
                       !both && ss_run_is_vae(x->run) ? "one of them did not run, as the encoder "
                                                        "does where no input is a picture"
                       : !both                        ? "the module paths do not name both"
                       : x->n < 2                     ? "there is one noise level"
                       : x->bad.n_sites ? "at the highest sigma one of them has no finite value"
                                        : "at the highest sigma one of them has nothing but zeros");
        return;
    }
    ss_summary_say(p, SS_SAID_MEASURED, "growth",
                   "At the highest sigma (%.3g) the decoder reaches %.3g%s and the encoder %.3g, a "
                   "factor of %.3g; at the lowest %.3g against %.3g.",
                   sigma_of(x, row->sigma), row->absmax[SS_STAGE_DECODER], of_finite(x),
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

/* True when all values of the run were rounded to this format. */
static bool is_own_format(const ss_run *r, const ss_format *f)
{
    ss_format own;

    return ss_run_format(r, &own) && strcmp(own.name, f->name) == 0;
}

static void say_headroom(ss_page *p, const ss_analysis *x)
{
    const bool outputs_only = ss_run_port(x->run, "input") < 0; /* as of other people's hooks */
    char name[256];

    for (int i = 0; i < x->n_formats && x->headroom.n; i++) {
        const ss_overflow_row *over = first_overflow(&x->overflow[i]);
        const ss_headroom_row *least = &x->headroom.rows[0];

        if (over && ss_run_is_text(x->run)) {
            const ss_cell at = {over->sigma, over->input, over->sample};
            char place[300] = "its weights";

            if (!over->weights)
                ss_cell_name(x->run, at, place, sizeof place);
            ss_summary_say(p, SS_SAID_BAD, "headroom",
                           "%s would overflow in %d modules, for the first prompt that does in %s "
                           "(%.4g; the format ends at %g), at %s.",
                           x->format[i].name, x->headroom.n_negative[i],
                           ss_site_name(x->run, over->first, name, sizeof name), over->absmax,
                           x->format[i].max, place);
        } else if (over)
            ss_summary_say(p, SS_SAID_BAD, "headroom",
                           "%s would overflow in %d modules, from sigma %.3g on; there first in %s "
                           "(%.4g; the format ends at %g), with input %s.",
                           x->format[i].name, x->headroom.n_negative[i], sigma_of(x, over->sigma),
                           ss_site_name(x->run, over->first, name, sizeof name), over->absmax,
                           x->format[i].max, x->run->inputs[over->input]);
        else if (x->format[i].exp_bits >= 8) /* those with f32's range cannot */
            continue;
        else if (isnan(least->peak))
            ss_summary_say(p, SS_SAID_BAD, "nonfinite",
                           "%s: nothing is finite, whatever the format.", x->format[i].name);
        else if (x->bad.n_sites)
            ss_summary_say(p, SS_SAID_BAD, "nonfinite",
                           "%s: values are inf or NaN at %d place%s already. Of the others none is "
                           "over its limit, but what those would be is not known.",
                           x->format[i].name, x->bad.n_sites, x->bad.n_sites == 1 ? "" : "s");
        else if (is_own_format(x->run, &x->format[i]) && !x->bad.n_limits)
            ss_summary_say(p, SS_SAID_GOOD, "headroom",
                           "%s does not overflow: the run was made in it, and every value is "
                           "finite. %.1f bits are left in %s, which has least.",
                           x->format[i].name, least->bits[i], x->run->modules[least->module]);
        else if (x->bad.n_limits || !ss_run_is_f32(x->run))
            ss_summary_say(p, SS_SAID_UNKNOWN, "headroom",
                           "Whether %s would overflow: values are those of a run in %s%s, not in "
                           "fp32. In it %.1f bits are left in %s, which has least.",
                           x->format[i].name, x->run->precision,
                           x->bad.n_limits ? ", which cuts them off" : "", least->bits[i],
                           x->run->modules[least->module]);
        else if (!x->bad.nothing_nonzero)
            ss_summary_say(
                p, x->bad.counted && !outputs_only ? SS_SAID_GOOD : SS_SAID_MEASURED, "headroom",
                "%s does not overflow%s: %.1f bits are left in %s, which has least.",
                x->format[i].name,
                outputs_only     ? " at the outputs of modules (nothing else was recorded, such as "
                                   "attention logits)"
                : x->bad.counted ? ""
                                 : " by the values that were recorded",
                least->bits[i], x->run->modules[least->module]);
    }
}

static void say_weights(ss_page *p, const ss_analysis *x)
{
    const ss_weights *w = &x->weights;

    if (!w->n_parameters || isnan(w->weight_max) || w->n == 0) {
        ss_summary_say(p, SS_SAID_UNKNOWN, NULL, "Whether weights are of normal size: %s.",
                       !w->n_parameters       ? "the run records none"
                       : isnan(w->weight_max) ? "none of them is finite"
                                              : "no module with weights has a finite activation");
        return;
    }
    ss_summary_say(p, SS_SAID_MEASURED, "weights",
                   "The largest weight%s is %.3g, against a largest activation%s of %.4g. In %d of "
                   "%d modules activations are huge (%d times the median of %.3g); in %d of those "
                   "the weights are of normal size.",
                   x->bad.n_weights ? ", of the finite ones," : "", w->weight_max, of_finite(x),
                   w->activation_max, w->n_huge, w->n, SS_HUGE, w->activation_median,
                   w->n_huge_normal);
}

static void say_attention(ss_page *p, const ss_analysis *x)
{
    const ss_attn *a = &x->attention;

    if (!x->has_attention)
        ss_summary_say(p, SS_SAID_UNKNOWN, NULL, "Attention entropy and logits: %s.",
                       x->run->n_layers ? "of its attention layers the run records nothing"
                                        : "no attention layer was recorded");
    else
        ss_summary_say(p, a->n_bad || a->n_collapsed ? SS_SAID_BAD : SS_SAID_MEASURED, "attention",
                       "%s", x->attention_sentence);
}

static void say_spectra(ss_page *p, const ss_analysis *x)
{
    char text[512];
    int decided = 0;

    if (!x->has_spectra)
        ss_summary_say(p, SS_SAID_UNKNOWN, NULL,
                       "Whether inputs without low frequencies give the large activations: the run "
                       "has no spectra.");
    else
        ss_summary_say(
            p,
            ss_spectra_held(&x->spectra, &decided) || decided ? SS_SAID_MEASURED : SS_SAID_UNKNOWN,
            "inputs", "%s.", ss_spectra_sentence(x->run, &x->spectra, text, sizeof text));
}

static void say_maps(ss_page *p, const ss_analysis *x)
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
    ss_summary_say(p,
                   high > low ? SS_SAID_BAD
                   : high     ? SS_SAID_MEASURED
                              : SS_SAID_GOOD,
                   "maps",
                   "Of %d dumped modules %d have degenerate maps at the lowest sigma and %d at the "
                   "highest.",
                   b->n, low, high);
}

static void say_channels(ss_page *p, const ss_analysis *x)
{
    const ss_channels *k = &x->channels;
    char name[256];

    if (k->n_sites == 0)
        return;
    if (k->n == 0)
        ss_summary_say(p, SS_SAID_MEASURED, "channels",
                       "No channel is %d times as large as the median channel of its module.",
                       SS_OUTLIER);
    else
        ss_summary_say(p, SS_SAID_MEASURED, "channels",
                       "%zu channels in %d of %d places are at least %d times as large as the "
                       "median channel there; the largest is channel %lld of %s with %.3g.",
                       k->n, k->n_sites_with, k->n_sites, SS_OUTLIER, (long long)k->rows[0].channel,
                       ss_site_name(x->run, k->rows[0].site, name, sizeof name), k->rows[0].absmax);
}

static void say_dead(ss_page *p, const ss_analysis *x)
{
    const ss_channels *k = &x->channels;
    char name[256];

    if (k->n_dead)
        ss_summary_say(
            p, SS_SAID_MEASURED, "channels",
            "%lld of %lld channels are dead at every noise level and input: RMS 0, or at "
            "most %g of their module's median; most in %s (%lld of %lld).",
            (long long)k->n_dead, (long long)k->n_channels, SS_DEAD,
            ss_site_name(x->run, k->dead[0].site, name, sizeof name), (long long)k->dead[0].n,
            (long long)k->dead[0].n_channels);
}

static void say_tokens(ss_page *p, const ss_analysis *x)
{
    const ss_tokens *k = &x->tokens;
    const ss_token_row *top = k->rows;
    char where[64];

    if (k->n_modules == 0)
        return;
    if (k->n == 0)
        ss_summary_say(
            p, SS_SAID_MEASURED, "tokens",
            "No position's norm is %d times the median of its map, in %d dumped modules.",
            SS_TOKEN_OUTLIER, k->n_modules);
    else
        ss_summary_say(
            p, SS_SAID_MEASURED, "tokens",
            "Outlier tokens: in %d of %d dumped modules some position's norm is at least "
            "%d times the median of its map; most in %s, at %s, %.3g times.",
            k->n, k->n_modules, SS_TOKEN_OUTLIER, x->run->modules[top->module],
            ss_token_position(top, where, sizeof where), top->ratio);
}

static void say_loss(ss_page *p, const ss_analysis *x)
{
    const ss_run *r = x->run;
    double low = NAN, high = NAN;

    if (!x->loss || x->n < 2) {
        ss_summary_say(p, SS_SAID_UNKNOWN, NULL, "The loss by noise level: %s.",
                       x->loss ? "there is one noise level" : "no input has a known clean picture");
        return;
    }
    const char *input = "";

    for (int i = r->n_inputs - 1; i >= 0; i--) { /* the first input that has one */
        if (!isnan(x->loss[i * r->n_sigmas + x->order[0]])) {
            input = r->inputs[i];
            low = x->loss[i * r->n_sigmas + x->order[0]];
            high = x->loss[i * r->n_sigmas + x->order[x->n - 1]];
        }
    }
    if (!isfinite(low) || !isfinite(high))
        ss_summary_say(p, SS_SAID_BAD, "loss",
                       "The denoising loss of %s is %s at the lowest sigma and %s at the highest.",
                       input, isfinite(low) ? "finite" : "inf or NaN",
                       isfinite(high) ? "finite" : "inf or NaN");
    else
        ss_summary_say(
            p, SS_SAID_MEASURED, "loss",
            "The denoising loss of %s, mean over %d samples, is %.3g at the lowest sigma "
            "and %.3g at the highest.",
            input, r->n_samples, low, high);
}

/* Says how the network is built where it is worst. */
static void say_structure(ss_page *p, const ss_analysis *x)
{
    ss_structure_asked asked = {0};

    if (x->bad.n_sites)
        ss_structure_ask(&asked, x->bad.sites[0].site);
    for (int i = 0; i < x->n_formats; i++) {
        const ss_overflow_row *over = first_overflow(&x->overflow[i]);

        if (over)
            ss_structure_ask(&asked, over->first);
    }
    if (asked.n == 0 && x->growth.n && !isnan(x->growth.rows[0].peak))
        ss_structure_ask(&asked, ss_analysis_origin(x, 0));
    ss_summary_structure(p, x->run, &asked);
}

void ss_summary_run(ss_page *p, const ss_analysis *x)
{
    const bool text = ss_run_is_text(x->run), denoiser = !text && !ss_run_is_vae(x->run);

    if (x->n == 0) {
        ss_summary_say(p, SS_SAID_UNKNOWN, NULL,
                       "No noise level of this run is finished, so there is nothing to show. Go "
                       "on with `sigmascope probe --resume`.");
        return;
    }
    if (x->n < x->run->n_sigmas)
        ss_summary_say(p, SS_SAID_MEASURED, NULL,
                       "The run is not complete: %d of %d noise levels are finished, and only "
                       "those are shown.",
                       x->n, x->run->n_sigmas);
    say_finite(p, x);
    say_growth(p, x);
    if (!text)
        say_stages(p, x);
    say_headroom(p, x);
    say_structure(p, x);
    say_weights(p, x);
    say_attention(p, x);
    if (!text) {
        say_spectra(p, x);
        say_maps(p, x);
    }
    say_channels(p, x);
    say_dead(p, x);
    say_tokens(p, x);
    if (denoiser)
        say_loss(p, x);
}
