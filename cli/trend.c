/* trend.c - see trend.h */
#include "cli/trend.h"

#include "analyze/several/trend.h"
#include "base/mem.h"

static ss_code show_forecasts(const cli_trend *x, const ss_trend *t, cli_tables *out, ss_err *e)
{
    char titles[SS_MAX_FORMATS][40];
    ss_table table;
    ss_code rc = SS_OK;

    for (int f = 0; f < x->n_formats && rc == SS_OK; f++) {
        snprintf(titles[f], sizeof titles[f], "forecast %s", x->formats[f].name);
        rc = ss_forecast_table(t, &x->formats[f], titles[f], x->top, &table, e);
        if (rc == SS_OK)
            rc = cli_show(out, &table, e);
    }
    return rc;
}

/* Prints first what is not finite in each run, and since when. */
static ss_code say_not_finite(ss_run **runs, const int64_t *steps, int n, cli_tables *out,
                              bool *finding, ss_err *e)
{
    ss_not_finite *bad = ss_calloc((size_t)n, sizeof *bad);
    const ss_not_finite **each = ss_calloc((size_t)n, sizeof *each);
    const char **names = ss_calloc((size_t)n, sizeof *names);
    ss_err none = {0};
    ss_code rc = bad && each && names ? SS_OK : ss_no_memory(e, "a trend");

    for (int i = 0; i < n && rc == SS_OK; i++) {
        rc = ss_not_finite_find(runs[i], &bad[i], e);
        each[i] = &bad[i];
        names[i] = runs[i]->path;
        *finding |= ss_not_finite_any(&bad[i]);
    }
    if (rc == SS_OK && *finding) {
        char *text = ss_last_finite_say(each, names, steps, n, &none);

        rc = none.code == SS_OK ? cli_say(out, "order", text, e)
                                : ss_fail(e, none.code, "%s", none.msg);
        ss_free(text);
    }
    for (int i = 0; i < n && rc == SS_OK; i++)
        rc = cli_say_not_finite(out, &bad[i], SS_BAD_WEIGHTS, names[i], e);
    for (int i = 0; bad && i < n; i++)
        ss_not_finite_release(&bad[i]);
    ss_free(bad);
    ss_free(each);
    ss_free(names);
    return rc;
}

static ss_code show_trend(const cli_trend *x, const ss_trend *t, cli_tables *out, ss_err *e)
{
    ss_table table = {0};
    bool any = false;
    ss_code rc = ss_trend_runs_table(t, &table, e);

    if (rc == SS_OK)
        rc = cli_show(out, &table, e);
    if (rc == SS_OK)
        rc = ss_trend_settings_table(t, &any, &table, e);
    if (rc == SS_OK && any)
        rc = cli_show(out, &table, e);
    else
        ss_table_release(&table);
    if (rc == SS_OK && (rc = ss_trend_stages_table(t, &table, e)) == SS_OK)
        rc = cli_show(out, &table, e);
    if (rc == SS_OK && (rc = ss_trend_table(t, x->top, &table, e)) == SS_OK)
        rc = cli_show(out, &table, e);
    return rc == SS_OK ? show_forecasts(x, t, out, e) : rc;
}

ss_code cli_trend_show(const cli_trend *x, cli_tables *out, bool *finding, ss_err *e)
{
    const size_t n = (size_t)x->n_paths;
    ss_run **runs = ss_calloc(n, sizeof *runs);
    int64_t *steps = ss_calloc(n, sizeof *steps);
    ss_trend t = {0};
    ss_code rc = runs && steps ? SS_OK : ss_no_memory(e, "a trend");

    for (int i = 0; i < x->n_paths && rc == SS_OK; i++)
        rc = ss_run_open(x->paths[i], &runs[i], e);
    if (rc == SS_OK)
        rc = ss_trend_steps(runs, x->n_paths, x->steps, steps, e);
    if (rc == SS_OK)
        rc = say_not_finite(runs, steps, x->n_paths, out, finding, e);
    if (rc == SS_OK)
        rc = ss_trend_find(runs, steps, x->n_paths, x->globs, x->n_globs, &t, e);
    if (rc == SS_OK && !ss_run_is_text(runs[0])) /* of a denoiser's training: tokens are no data */
        rc = cli_show_mechanism(out, runs, steps, x->n_paths, e);
    if (rc == SS_OK)
        rc = show_trend(x, &t, out, e);
    ss_trend_release(&t);
    for (int i = 0; runs && i < x->n_paths; i++)
        ss_run_close(runs[i]);
    ss_free(runs);
    ss_free(steps);
    return rc;
}
