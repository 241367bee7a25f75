/* trend.c - see trend.h */
#include "cli/trend.h"

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
static ss_code say_not_finite(const ss_several *s, cli_tables *out, bool *finding, ss_err *e)
{
    const ss_not_finite **each = ss_calloc((size_t)s->n, sizeof *each);
    const char **names = ss_calloc((size_t)s->n, sizeof *names);
    ss_err none = {0};
    ss_code rc = each && names ? SS_OK : ss_no_memory(e, "a trend");

    for (int i = 0; i < s->n && rc == SS_OK; i++) {
        each[i] = &s->found[i].bad;
        names[i] = s->runs[i]->path;
        *finding |= ss_not_finite_any(each[i]);
    }
    if (rc == SS_OK && *finding) {
        char *text = ss_last_finite_say(each, names, s->step, s->n, &none);

        rc = none.code == SS_OK ? cli_say(out, "order", text, e)
                                : ss_fail(e, none.code, "%s", none.msg);
        ss_free(text);
    }
    for (int i = 0; i < s->n && rc == SS_OK; i++)
        rc = cli_say_not_finite(out, each[i], SS_BAD_WEIGHTS, names[i], e);
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

/* Shows the verdict of the runs, and as JSON every sentence about them together. */
static ss_code show_verdict(const ss_several *s, cli_tables *out, ss_err *e)
{
    ss_findings f;
    ss_verdict v = {0};
    ss_code rc = ss_findings_init(&f, e);

    if (rc == SS_OK && (rc = ss_verdict_several(s, &v, e)) == SS_OK &&
        (rc = ss_findings_several(&f, s, e)) == SS_OK)
        rc = cli_show_verdict(out, &v, &f, e);
    ss_verdict_release(&v);
    ss_findings_release(&f);
    return rc;
}

/* Shows what the runs say together, once their training steps are known. */
static ss_code show_several(const cli_trend *x, ss_several *s, ss_analysis *found, cli_tables *out,
                            bool *finding, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int i = 0; i < x->n_paths && rc == SS_OK; i++)
        rc = ss_analysis_make(s->runs[i], x->globs, x->n_globs, x->formats, x->n_formats, &found[i],
                              e);
    if (rc == SS_OK) {
        ss_analysis_name(found, x->n_paths);
        rc = ss_several_find(s, e);
    }
    if (rc == SS_OK && !s->has_trend) /* two of one step, or nothing in common: the error says it */
        rc = ss_trend_find(s->runs, s->step, s->n, s->modules, s->n_modules, &s->trend, e);
    if (rc == SS_OK)
        rc = show_verdict(s, out, e);
    if (rc == SS_OK)
        rc = say_not_finite(s, out, finding, e);
    if (rc == SS_OK &&
        !ss_run_is_text(s->runs[0])) /* of a denoiser's training: tokens are no data */
        rc = cli_show_mechanism(out, s->runs, s->step, x->n_paths, e);
    return rc == SS_OK ? show_trend(x, &s->trend, out, e) : rc;
}

ss_code cli_trend_show(const cli_trend *x, cli_tables *out, bool *finding, ss_err *e)
{
    const size_t n = (size_t)x->n_paths;
    ss_run **runs = ss_calloc(n, sizeof *runs);
    ss_analysis *found = ss_calloc(n, sizeof *found);
    int64_t *steps = ss_calloc(n, sizeof *steps);
    ss_several s = {.runs = runs,
                    .found = found,
                    .n = x->n_paths,
                    .format = x->formats,
                    .n_formats = x->n_formats,
                    .steps = x->steps,
                    .modules = x->globs,
                    .n_modules = x->n_globs};
    ss_code rc = runs && found && steps ? SS_OK : ss_no_memory(e, "a trend");

    for (int i = 0; i < x->n_paths && rc == SS_OK; i++)
        rc = ss_run_open(x->paths[i], &runs[i], e);
    if (rc == SS_OK)
        rc = ss_trend_steps(runs, x->n_paths, x->steps, steps, e);
    if (rc == SS_OK)
        rc = show_several(x, &s, found, out, finding, e);
    ss_several_release(&s);
    for (int i = 0; runs && i < x->n_paths; i++) {
        if (found)
            ss_analysis_release(&found[i]);
        ss_run_close(runs[i]);
    }
    ss_free(found);
    ss_free(runs);
    ss_free(steps);
    return rc;
}
