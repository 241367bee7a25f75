/* run_findings.c - the sentences about one run over noise levels; see analysis.h */
#include "analyze/findings/analysis.h"
#include "analyze/findings/finding.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

static double sigma_of(const ss_analysis *x, int index)
{
    return x->run->sigmas[index];
}

static void say_finite(ss_findings *f, const ss_analysis *x)
{
    const ss_not_finite *bad = &x->bad;

    ss_findings_not_finite(f, bad, NULL,
                           ss_not_finite_any(bad) || bad->n_limits ? "nonfinite" : NULL);
    if (ss_not_finite_any(bad))
        return;
    if (bad->of_sites == 0)
        ss_findings_say(f, "finite", SS_SAID_UNKNOWN, NULL,
                        "Whether anything is inf or NaN: no largest value of any module was "
                        "recorded, or all of them are NaN.");
    else if (!bad->counted)
        ss_findings_say(f, "finite", SS_SAID_UNKNOWN, NULL,
                        "Whether anything is inf or NaN: the run does not count it (it has no "
                        "/stats/nonfinite). No recorded value is inf.");
    else
        ss_findings_say(f, "finite", SS_SAID_GOOD, NULL,
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

static void say_growth(ss_findings *f, const ss_analysis *x)
{
    const ss_growth_row *top = &x->growth.rows[0];
    char name[256];

    if (x->growth.n == 0 || isnan(top->peak)) {
        ss_findings_say(f, "growth", SS_SAID_UNKNOWN, NULL,
                        "How activations grow with sigma: no module has a finite largest value.");
        return;
    }
    ss_site_name(x->run, x->growth.rows[0].site, name, sizeof name);
    if (ss_run_is_text(x->run)) {
        const ss_cell at = {top->peak_sigma, top->peak_input, top->peak_sample};
        char place[300], over[64] = "";

        if (!isnan(top->over_median))
            snprintf(over, sizeof over, ": %.3g times that of the median token", top->over_median);
        ss_findings_say(f, "growth", SS_SAID_MEASURED, "growth",
                        "The largest activation%s is %.4g, in %s, at "
                        "%s%s.",
                        of_finite(x), top->peak, name,
                        ss_cell_name(x->run, at, place, sizeof place), over);
    } else if (x->n < 2)
        ss_findings_say(f, "growth", SS_SAID_MEASURED, "growth",
                        "The largest activation%s is %.4g, in %s. With one noise level there is no "
                        "growth to speak of.",
                        of_finite(x), top->peak, name);
    else if (!isfinite(top->absmax.ratio))
        ss_findings_say(f, "growth", SS_SAID_MEASURED, "growth",
                        "The largest activation%s is %.4g, in %s, at sigma %.3g (input %s). Its "
                        "growth from the lowest to the highest sigma cannot be given: there it is "
                        "%.3g and %.3g.",
                        of_finite(x), top->peak, name, sigma_of(x, top->peak_sigma),
                        x->run->inputs[top->peak_input], top->absmax.low, top->absmax.high);
    else
        ss_findings_say(
            f, "growth", SS_SAID_MEASURED, "growth",
            "The largest activation%s is %.4g, in %s, at sigma %.3g (input %s). There it "
            "is %.3g at the lowest sigma and %.3g at the highest: a factor of %.3g.",
            of_finite(x), top->peak, name, sigma_of(x, top->peak_sigma),
            x->run->inputs[top->peak_input], top->absmax.low, top->absmax.high, top->absmax.ratio);
    ss_finding_site(f, x->run, x->growth.rows[0].site);
    ss_finding_cell(f, x->run, (ss_cell){top->peak_sigma, top->peak_input, top->peak_sample});
    ss_finding_number(f, "absmax", top->peak, NULL);
    ss_finding_number(f, "absmax_low_sigma", top->absmax.low, NULL);
    ss_finding_number(f, "absmax_high_sigma", top->absmax.high, NULL);
}

static void say_stages(ss_findings *f, const ss_analysis *x)
{
    const ss_stage_row *row = x->stages.n ? &x->stages.rows[x->stages.n - 1] : NULL;
    const bool both = x->stages.n_sites[SS_STAGE_ENCODER] && x->stages.n_sites[SS_STAGE_DECODER];

    if (!row || !both || x->n < 2 || !isfinite(row->absmax_ratio)) {
        ss_findings_say(f, "stages", SS_SAID_UNKNOWN, NULL,
                        "Whether the decoder grows more than the encoder: %s.",
                        !both && ss_run_is_vae(x->run) ? "one of them did not run, as the encoder "
                                                         "does where no input is a picture"
                        : !both                        ? "the module paths do not name both"
                        : x->n < 2                     ? "there is one noise level"
                        : x->bad.n_sites
                            ? "at the highest sigma one of them has no finite value"
                            : "at the highest sigma one of them has nothing but zeros");
        return;
    }
    ss_findings_say(
        f, "stages", SS_SAID_MEASURED, "growth",
        "At the highest sigma (%.3g) the decoder reaches %.3g%s and the encoder %.3g, a "
        "factor of %.3g; at the lowest %.3g against %.3g.",
        sigma_of(x, row->sigma), row->absmax[SS_STAGE_DECODER], of_finite(x),
        row->absmax[SS_STAGE_ENCODER], row->absmax_ratio,
        x->stages.rows[0].absmax[SS_STAGE_DECODER], x->stages.rows[0].absmax[SS_STAGE_ENCODER]);
    ss_finding_cell(f, x->run, (ss_cell){row->sigma, -1, -1});
    ss_finding_number(f, "decoder", row->absmax[SS_STAGE_DECODER], NULL);
    ss_finding_number(f, "encoder", row->absmax[SS_STAGE_ENCODER], NULL);
    ss_finding_number(f, "ratio", row->absmax_ratio, NULL);
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

/* Adds the data of a sentence about format i: where it overflows first, or else has least room. */
static void headroom_data(ss_findings *f, const ss_analysis *x, int i, const ss_overflow_row *over,
                          const ss_headroom_row *least)
{
    if (over) {
        ss_finding_severity(f, i == 0 || is_own_format(x->run, &x->format[i]) ? SS_SEVERITY_FAILING
                                                                              : SS_SEVERITY_RISK);
        ss_finding_site(f, x->run, over->first);
        if (!over->weights)
            ss_finding_cell(f, x->run, (ss_cell){over->sigma, over->input, over->sample});
        ss_finding_number(f, "absmax", over->absmax, NULL);
        ss_finding_number(f, "modules", x->headroom.n_negative[i], NULL);
    } else if (!isnan(least->peak)) {
        ss_finding_module(f, x->run, least->module);
        ss_finding_cell(f, x->run, (ss_cell){least->sigma, least->input, least->sample});
        ss_finding_number(f, "absmax", least->peak, NULL);
        ss_finding_number(f, "headroom", least->bits[i], "bit");
    } else {
        ss_finding_severity(f, SS_SEVERITY_BROKEN);
    }
    if (x->bad.n_sites && !over)
        ss_finding_severity(f, SS_SEVERITY_BROKEN);
    ss_finding_number(f, "limit", x->format[i].max, NULL);
}

static void say_headroom(ss_findings *f, const ss_analysis *x)
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
            ss_findings_say(f, "headroom", SS_SAID_BAD, "headroom",
                            "%s would overflow in %d modules, for the first prompt that does in %s "
                            "(%.4g; the format ends at %g), at %s.",
                            x->format[i].name, x->headroom.n_negative[i],
                            ss_site_name(x->run, over->first, name, sizeof name), over->absmax,
                            x->format[i].max, place);
        } else if (over)
            ss_findings_say(
                f, "headroom", SS_SAID_BAD, "headroom",
                "%s would overflow in %d modules, from sigma %.3g on; there first in %s "
                "(%.4g; the format ends at %g), with input %s.",
                x->format[i].name, x->headroom.n_negative[i], sigma_of(x, over->sigma),
                ss_site_name(x->run, over->first, name, sizeof name), over->absmax,
                x->format[i].max, x->run->inputs[over->input]);
        else if (x->format[i].exp_bits >= 8) /* those with f32's range cannot */
            continue;
        else if (isnan(least->peak))
            ss_findings_say(f, "headroom", SS_SAID_BAD, "nonfinite",
                            "%s: nothing is finite, whatever the format.", x->format[i].name);
        else if (x->bad.n_sites)
            ss_findings_say(
                f, "headroom", SS_SAID_BAD, "nonfinite",
                "%s: values are inf or NaN at %d place%s already. Of the others none is "
                "over its limit, but what those would be is not known.",
                x->format[i].name, x->bad.n_sites, x->bad.n_sites == 1 ? "" : "s");
        else if (is_own_format(x->run, &x->format[i]) && !x->bad.n_limits)
            ss_findings_say(f, "headroom", SS_SAID_GOOD, "headroom",
                            "%s does not overflow: the run was made in it, and every value is "
                            "finite. %.1f bits are left in %s, which has least.",
                            x->format[i].name, least->bits[i], x->run->modules[least->module]);
        else if (x->bad.n_limits || !ss_run_is_f32(x->run))
            ss_findings_say(f, "headroom", SS_SAID_UNKNOWN, "headroom",
                            "Whether %s would overflow: values are those of a run in %s%s, not in "
                            "fp32. In it %.1f bits are left in %s, which has least.",
                            x->format[i].name, x->run->precision,
                            x->bad.n_limits ? ", which cuts them off" : "", least->bits[i],
                            x->run->modules[least->module]);
        else if (!x->bad.nothing_nonzero)
            ss_findings_say(
                f, "headroom", x->bad.counted && !outputs_only ? SS_SAID_GOOD : SS_SAID_MEASURED,
                "headroom", "%s does not overflow%s: %.1f bits are left in %s, which has least.",
                x->format[i].name,
                outputs_only     ? " at the outputs of modules (nothing else was recorded, such as "
                                   "attention logits)"
                : x->bad.counted ? ""
                                 : " by the values that were recorded",
                least->bits[i], x->run->modules[least->module]);
        else
            continue;
        ss_finding_format(f, &x->format[i]);
        headroom_data(f, x, i, over, least);
    }
}

static void say_weights(ss_findings *f, const ss_analysis *x)
{
    const ss_weights *w = &x->weights;

    if (!w->n_parameters || isnan(w->weight_max) || w->n == 0) {
        ss_findings_say(f, "weights", SS_SAID_UNKNOWN, NULL,
                        "Whether weights are of normal size: %s.",
                        !w->n_parameters       ? "the run records none"
                        : isnan(w->weight_max) ? "none of them is finite"
                                               : "no module with weights has a finite activation");
        return;
    }
    ss_findings_say(
        f, "weights", SS_SAID_MEASURED, "weights",
        "The largest weight%s is %.3g, against a largest activation%s of %.4g. In %d of "
        "%d modules activations are huge (%d times the median of %.3g); in %d of those "
        "the weights are of normal size.",
        x->bad.n_weights ? ", of the finite ones," : "", w->weight_max, of_finite(x),
        w->activation_max, w->n_huge, w->n, SS_HUGE, w->activation_median, w->n_huge_normal);
    ss_finding_number(f, "weight_absmax", w->weight_max, NULL);
    ss_finding_number(f, "activation_absmax", w->activation_max, NULL);
    ss_finding_number(f, "modules", w->n, NULL);
    ss_finding_number(f, "huge", w->n_huge, NULL);
    ss_finding_number(f, "huge_with_normal_weights", w->n_huge_normal, NULL);
}

static void say_attention(ss_findings *f, const ss_analysis *x)
{
    const ss_attn *a = &x->attention;

    if (!x->has_attention) {
        ss_findings_say(f, "attention", SS_SAID_UNKNOWN, NULL, "Attention entropy and logits: %s.",
                        x->run->n_layers ? "of its attention layers the run records nothing"
                                         : "no attention layer was recorded");
        return;
    }
    ss_findings_say(f, "attention", a->n_bad || a->n_collapsed ? SS_SAID_BAD : SS_SAID_MEASURED,
                    "attention", "%s", x->attention_sentence);
    if (a->n_bad)
        ss_finding_severity(f, SS_SEVERITY_BROKEN);
    ss_finding_number(f, "heads", a->n_heads, NULL);
    ss_finding_number(f, "collapsed", a->n_collapsed, NULL);
    ss_finding_number(f, "sinks", a->n_sinks, NULL);
    ss_finding_number(f, "not_finite", a->n_bad, NULL);
}

static void say_spectra(ss_findings *f, const ss_analysis *x)
{
    char text[512];
    int decided = 0;

    if (!x->has_spectra)
        ss_findings_say(
            f, "spectra", SS_SAID_UNKNOWN, NULL,
            "Whether inputs without low frequencies give the large activations: the run "
            "has no spectra.");
    else
        ss_findings_say(
            f, "spectra",
            ss_spectra_held(&x->spectra, &decided) || decided ? SS_SAID_MEASURED : SS_SAID_UNKNOWN,
            "inputs", "%s.", ss_spectra_sentence(x->run, &x->spectra, text, sizeof text));
}

static void say_maps(ss_findings *f, const ss_analysis *x)
{
    const ss_blobs *b = &x->blobs;
    int low = 0, high = 0;

    if (b->n == 0) {
        ss_findings_say(f, "maps", SS_SAID_UNKNOWN, NULL,
                        "Whether activation maps degenerate into blobs: none were dumped (probe "
                        "--dump).");
        return;
    }
    for (int i = 0; i < b->n; i++) {
        low += ss_blob_row_degenerate(x->run, &b->rows[i], SS_ALL, b->lowest);
        high += ss_blob_row_degenerate(x->run, &b->rows[i], SS_ALL, b->highest);
    }
    ss_findings_say(
        f, "maps",
        high > low ? SS_SAID_BAD
        : high     ? SS_SAID_MEASURED
                   : SS_SAID_GOOD,
        "maps",
        "Of %d dumped modules %d have degenerate maps at the lowest sigma and %d at the "
        "highest.",
        b->n, low, high);
    ss_finding_number(f, "modules", b->n, NULL);
    ss_finding_number(f, "degenerate_low_sigma", low, NULL);
    ss_finding_number(f, "degenerate_high_sigma", high, NULL);
}

static void say_channels(ss_findings *f, const ss_analysis *x)
{
    const ss_channels *k = &x->channels;
    char name[256];

    if (k->n_sites == 0)
        return;
    if (k->n == 0)
        ss_findings_say(f, "channels", SS_SAID_MEASURED, "channels",
                        "No channel is %d times as large as the median channel of its module.",
                        SS_OUTLIER);
    else {
        ss_findings_say(
            f, "channels", SS_SAID_MEASURED, "channels",
            "%zu channels in %d of %d places are at least %d times as large as the "
            "median channel there; the largest is channel %lld of %s with %.3g.",
            k->n, k->n_sites_with, k->n_sites, SS_OUTLIER, (long long)k->rows[0].channel,
            ss_site_name(x->run, k->rows[0].site, name, sizeof name), k->rows[0].absmax);
        ss_finding_site(f, x->run, k->rows[0].site);
        ss_finding_number(f, "channel", (double)k->rows[0].channel, NULL);
        ss_finding_number(f, "absmax", k->rows[0].absmax, NULL);
        ss_finding_number(f, "outliers", (double)k->n, NULL);
    }
}

static void say_dead(ss_findings *f, const ss_analysis *x)
{
    const ss_channels *k = &x->channels;
    char name[256];

    if (!k->n_dead)
        return;
    ss_findings_say(f, "dead", SS_SAID_MEASURED, "channels",
                    "%lld of %lld channels are dead at every noise level and input: RMS 0, or at "
                    "most %g of their module's median; most in %s (%lld of %lld).",
                    (long long)k->n_dead, (long long)k->n_channels, SS_DEAD,
                    ss_site_name(x->run, k->dead[0].site, name, sizeof name),
                    (long long)k->dead[0].n, (long long)k->dead[0].n_channels);
    ss_finding_site(f, x->run, k->dead[0].site);
    ss_finding_number(f, "dead", (double)k->n_dead, NULL);
    ss_finding_number(f, "channels", (double)k->n_channels, NULL);
}

static void say_tokens(ss_findings *f, const ss_analysis *x)
{
    const ss_tokens *k = &x->tokens;
    const ss_token_row *top = k->rows;
    char where[64];

    if (k->n_modules == 0)
        return;
    if (k->n == 0)
        ss_findings_say(
            f, "tokens", SS_SAID_MEASURED, "tokens",
            "No position's norm is %d times the median of its map, in %d dumped modules.",
            SS_TOKEN_OUTLIER, k->n_modules);
    else {
        ss_findings_say(
            f, "tokens", SS_SAID_MEASURED, "tokens",
            "Outlier tokens: in %d of %d dumped modules some position's norm is at least "
            "%d times the median of its map; most in %s, at %s, %.3g times.",
            k->n, k->n_modules, SS_TOKEN_OUTLIER, x->run->modules[top->module],
            ss_token_position(top, where, sizeof where), top->ratio);
        ss_finding_module(f, x->run, top->module);
        ss_finding_number(f, "ratio", top->ratio, NULL);
    }
}

static void say_loss(ss_findings *f, const ss_analysis *x)
{
    const ss_run *r = x->run;
    double low = NAN, high = NAN;

    if (!x->loss || x->n < 2) {
        ss_findings_say(f, "loss", SS_SAID_UNKNOWN, NULL, "The loss by noise level: %s.",
                        x->loss ? "there is one noise level"
                                : "no input has a known clean picture");
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
    if (!isfinite(low) || !isfinite(high)) {
        ss_findings_say(f, "loss", SS_SAID_BAD, "loss",
                        "The denoising loss of %s is %s at the lowest sigma and %s at the highest.",
                        input, isfinite(low) ? "finite" : "inf or NaN",
                        isfinite(high) ? "finite" : "inf or NaN");
        ss_finding_severity(f, SS_SEVERITY_BROKEN);
    } else
        ss_findings_say(
            f, "loss", SS_SAID_MEASURED, "loss",
            "The denoising loss of %s, mean over %d samples, is %.3g at the lowest sigma "
            "and %.3g at the highest.",
            input, r->n_samples, low, high);
    ss_finding_set(f, "input", input);
    ss_finding_number(f, "loss_low_sigma", low, NULL);
    ss_finding_number(f, "loss_high_sigma", high, NULL);
}

/* Says how the network is built where it is worst. */
static void say_structure(ss_findings *f, const ss_analysis *x)
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
        ss_structure_ask(&asked, x->growth.rows[0].site);
    ss_findings_structure(f, x->run, &asked);
}

void ss_findings_run(ss_findings *f, const ss_analysis *x)
{
    const bool text = ss_run_is_text(x->run), denoiser = !text && !ss_run_is_vae(x->run);
    const ss_run_part *part = &x->run->part;

    if (part->count > 1)
        ss_findings_say(f, "run", SS_SAID_MEASURED, NULL,
                        "This file is part %d of %d of a run: %d of %d noise levels are whole in "
                        "it, and only those are shown. `sigmascope gather` joins the parts.",
                        part->index, part->count, x->n, x->run->n_sigmas);
    if (x->n == 0 && part->count > 1)
        return;
    if (x->n == 0) {
        ss_findings_say(f, "run", SS_SAID_UNKNOWN, NULL,
                        "No noise level of this run is finished, so there is nothing to show. Go "
                        "on with `sigmascope probe --resume`.");
        return;
    }
    if (x->n < x->run->n_sigmas && part->count == 1)
        ss_findings_say(f, "run", SS_SAID_MEASURED, NULL,
                        "The run is not complete: %d of %d noise levels are finished, and only "
                        "those are shown.",
                        x->n, x->run->n_sigmas);
    say_finite(f, x);
    say_growth(f, x);
    if (!text)
        say_stages(f, x);
    say_headroom(f, x);
    say_structure(f, x);
    say_weights(f, x);
    say_attention(f, x);
    if (!text) {
        say_spectra(f, x);
        say_maps(f, x);
    }
    say_channels(f, x);
    say_dead(f, x);
    say_tokens(f, x);
    if (denoiser)
        say_loss(f, x);
}
