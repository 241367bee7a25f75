/* training.c - see training.h */
#include "cli/training.h"

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

static ss_code show_updates(const cli_training *x, const ss_training_analysis *a, cli_tables *out,
                            ss_err *e)
{
    const ss_updates *u = &a->updates;
    ss_table table;
    ss_code rc = SS_OK;

    if (u->n && (rc = ss_updates_table(&a->t, u, x->top, &table, e)) == SS_OK)
        rc = cli_show(out, &table, e);
    if (rc == SS_OK && (u->n_stale || (u->n && out->data)) &&
        (rc = ss_stale_table(&a->t, u, x->top, &table, e)) == SS_OK)
        rc = cli_show(out, &table, e);
    return rc;
}

static ss_code show_growth(const cli_training *x, const ss_training *t, cli_tables *out, ss_err *e)
{
    ss_table table;
    ss_code rc = ss_training_growth_table(t, x->top, &table, e);

    if (rc == SS_OK)
        rc = cli_show(out, &table, e);
    if (rc == SS_OK && ss_training_has_bands(t) &&
        (rc = ss_training_bands_table(t, x->top, &table, e)) == SS_OK)
        rc = cli_show(out, &table, e);
    if (rc == SS_OK && (rc = ss_training_stages_table(t, x->top, &table, e)) == SS_OK)
        rc = cli_show(out, &table, e);
    if (rc == SS_OK && (rc = ss_trend_stages_table(&t->trend, &table, e)) == SS_OK)
        rc = cli_show(out, &table, e);
    if (rc == SS_OK && (rc = ss_trend_table(&t->trend, x->top, &table, e)) == SS_OK)
        rc = cli_show(out, &table, e);
    return rc;
}

/* Shows the verdict, and as JSON every sentence. */
static ss_code show_verdict(const ss_training_analysis *a, cli_tables *out, ss_err *e)
{
    ss_findings f;
    ss_verdict v = {0};
    ss_code rc = ss_findings_init(&f, e);

    if (rc == SS_OK && (rc = ss_verdict_training(a, &v, e)) == SS_OK) {
        ss_findings_training(&f, a);
        rc = cli_show_verdict(out, &v, &f, e);
    }
    ss_verdict_release(&v);
    ss_findings_release(&f);
    return rc;
}

/* Prints all tables, in reading order. */
static ss_code show_all(const cli_training *x, const ss_training_analysis *a, cli_tables *out,
                        bool *finding, ss_err *e)
{
    const ss_training *t = &a->t;
    char text[600];
    ss_structure_asked asked = {0};
    ss_site largest;
    ss_table table;
    ss_code rc = show_verdict(a, out, e);

    *finding = a->health.stalled || ss_not_finite_any(&a->bad);
    ss_training_health_say(&a->health, text, sizeof text);
    if (rc == SS_OK)
        rc = cli_say(out, "training", *text ? text : NULL, e);
    if (rc == SS_OK)
        rc = cli_show_not_finite(out, &a->bad, x->top, e);
    if (a->bad.n_sites)
        ss_structure_ask(&asked, a->bad.sites[0].site);
    if (rc == SS_OK)
        rc = cli_show_mechanism(out, &x->run, NULL, 1, e);
    if (rc == SS_OK && (rc = ss_training_summary_table(t, &table, e)) == SS_OK)
        rc = cli_show(out, &table, e);
    if (rc == SS_OK && (rc = ss_training_steps_table(t, x->top, &table, e)) == SS_OK)
        rc = cli_show(out, &table, e);
    if (rc == SS_OK)
        rc = show_overflow(x, t, &a->all, &asked, out, e);
    if (rc == SS_OK && asked.n == 0 && ss_trend_largest_site(&t->trend, &largest))
        ss_structure_ask(&asked, largest);
    if (rc == SS_OK)
        rc = cli_show_structure(out, x->run, &asked, e);
    if (rc == SS_OK)
        rc = show_growth(x, t, out, e);
    if (rc == SS_OK)
        rc = show_forecasts(x, t, out, e);
    if (rc == SS_OK)
        rc = show_updates(x, a, out, e);
    if (rc == SS_OK && a->n_losses && (rc = ss_training_loss_table(t, &table, e)) == SS_OK)
        rc = cli_show(out, &table, e);
    return rc;
}

ss_code cli_training_show(const cli_training *x, cli_tables *out, bool *finding, ss_err *e)
{
    ss_training_analysis a;
    ss_code rc =
        ss_training_analysis_make(x->run, x->globs, x->n_globs, x->formats, x->n_formats, &a, e);

    if (rc != SS_OK)
        return rc;
    rc = show_all(x, &a, out, finding, e);
    ss_training_analysis_release(&a);
    return rc;
}

ss_code cli_trainings_show(const ss_trainings *x, int top, cli_tables *out, ss_err *e)
{
    ss_table t;
    ss_code rc = ss_trainings_table(x, &t, e);

    if (rc == SS_OK)
        rc = cli_show(out, &t, e);
    if (rc == SS_OK && (rc = ss_trainings_sites_table(x, top, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    if (rc == SS_OK && (out->data || ss_training_has_bands(&x->t[0])) &&
        (rc = ss_trainings_bands_table(x, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    return rc;
}
