/* training.c - see training.h */
#include "cli/training.h"

#include "analyze/one/headroom.h"
#include "analyze/training/training_health.h"
#include "analyze/training/training_overflow.h"
#include "analyze/training/updates.h"

static ss_code show_overflow(const cli_training *x, const ss_training *t, const ss_sites *all,
                             ss_structure_asked *asked, cli_tables *out, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int f = 0; f < x->n_overflow && rc == SS_OK; f++) {
        ss_training_overflow o;
        ss_table table;

        rc = ss_training_overflow_find(t, all, &x->formats[f], &o, e);
        if (rc == SS_OK && o.n)
            ss_structure_ask(asked, o.rows[0].site);
        if (rc == SS_OK && (rc = ss_training_overflow_table(t, &o, x->top, &table, e)) == SS_OK)
            rc = cli_show(out, &table, e);
        ss_training_overflow_release(&o);
    }
    return rc;
}

static ss_code show_forecasts(const cli_training *x, const ss_training *t, cli_tables *out,
                              ss_err *e)
{
    ss_code rc = SS_OK;

    for (int f = 0; f < x->n_formats && rc == SS_OK; f++) {
        char title[40];
        ss_table table;

        snprintf(title, sizeof title, "forecast %s", x->formats[f].name);
        rc = ss_forecast_table(&t->trend, &x->formats[f], title, x->top, &table, e);
        if (rc == SS_OK)
            rc = cli_show(out, &table, e);
    }
    return rc;
}

static ss_code show_updates(const cli_training *x, const ss_training *t, cli_tables *out, ss_err *e)
{
    ss_updates u;
    ss_table table;
    ss_code rc = ss_updates_find(t, &u, e);

    if (rc == SS_OK && u.n && (rc = ss_updates_table(t, &u, x->top, &table, e)) == SS_OK)
        rc = cli_show(out, &table, e);
    if (rc == SS_OK && (u.n_stale || (u.n && out->json)) &&
        (rc = ss_stale_table(t, &u, x->top, &table, e)) == SS_OK)
        rc = cli_show(out, &table, e);
    ss_updates_release(&u);
    return rc;
}

static ss_code show_growth(const cli_training *x, const ss_training *t, cli_tables *out, ss_err *e)
{
    ss_table table;
    ss_code rc = ss_training_growth_table(t, x->top, &table, e);

    if (rc == SS_OK)
        rc = cli_show(out, &table, e);
    if (rc == SS_OK && t->sigma && (rc = ss_training_bands_table(t, x->top, &table, e)) == SS_OK)
        rc = cli_show(out, &table, e);
    if (rc == SS_OK && (rc = ss_training_stages_table(t, x->top, &table, e)) == SS_OK)
        rc = cli_show(out, &table, e);
    if (rc == SS_OK && (rc = ss_trend_stages_table(&t->trend, &table, e)) == SS_OK)
        rc = cli_show(out, &table, e);
    if (rc == SS_OK && (rc = ss_trend_table(&t->trend, x->top, &table, e)) == SS_OK)
        rc = cli_show(out, &table, e);
    return rc;
}

/* Prints all tables, in reading order. */
static ss_code show_all(const cli_training *x, const ss_training *t, const ss_sites *all,
                        cli_tables *out, bool *finding, ss_err *e)
{
    char text[600];
    ss_training_health health;
    ss_not_finite bad;
    ss_structure_asked asked = {0};
    ss_site largest;
    ss_table table;
    ss_code rc = ss_training_health_find(t, &health, e);

    if (rc != SS_OK || (rc = ss_not_finite_find(x->run, &bad, e)) != SS_OK)
        return rc;
    *finding = health.stalled || ss_not_finite_any(&bad);
    ss_training_health_say(&health, text, sizeof text);
    rc = cli_say(out, "training", *text ? text : NULL, e);
    if (rc == SS_OK)
        rc = cli_show_not_finite(out, &bad, x->top, e);
    if (bad.n_sites)
        ss_structure_ask(&asked, bad.sites[0].site);
    ss_not_finite_release(&bad);
    if (rc == SS_OK)
        rc = cli_show_mechanism(out, &x->run, NULL, 1, e);
    if (rc == SS_OK && (rc = ss_training_summary_table(t, &table, e)) == SS_OK)
        rc = cli_show(out, &table, e);
    if (rc == SS_OK && (rc = ss_training_steps_table(t, x->top, &table, e)) == SS_OK)
        rc = cli_show(out, &table, e);
    if (rc == SS_OK)
        rc = show_overflow(x, t, all, &asked, out, e);
    if (rc == SS_OK && asked.n == 0 && ss_trend_largest_site(&t->trend, &largest))
        ss_structure_ask(&asked, largest);
    if (rc == SS_OK)
        rc = cli_show_structure(out, x->run, &asked, e);
    if (rc == SS_OK)
        rc = show_growth(x, t, out, e);
    if (rc == SS_OK)
        rc = show_forecasts(x, t, out, e);
    if (rc == SS_OK)
        rc = show_updates(x, t, out, e);
    if (rc == SS_OK && t->run->n_bins && (rc = ss_training_loss_table(t, &table, e)) == SS_OK)
        rc = cli_show(out, &table, e);
    return rc;
}

ss_code cli_training_show(const cli_training *x, cli_tables *out, bool *finding, ss_err *e)
{
    ss_sites all = {0}, produced = {0};
    ss_training t = {0};
    ss_code rc = ss_sites_find(x->run, x->globs, x->n_globs, SS_SITES_ALL, &all, e);

    if (rc == SS_OK)
        rc = ss_sites_find(x->run, x->globs, x->n_globs, SS_SITES_PRODUCED, &produced, e);
    if (rc == SS_OK)
        rc = ss_training_find(x->run, &produced, &t, e);
    if (rc == SS_OK)
        rc = show_all(x, &t, &all, out, finding, e);
    ss_training_release(&t);
    ss_sites_release(&all);
    ss_sites_release(&produced);
    return rc;
}
