/* watch_judge.c - `sigmascope watch`: what a new run and the trend say; alarms (watch.h) */
#include "analyze/search/checkpoints.h"
#include "analyze/several/trend.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/shell.h"
#include "cli/watch.h"
#include "probe/interrupt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- one run ---- */

/* The row with the largest |x| of what is stored; NULL where nothing is finite. */
static const ss_headroom_row *largest(const ss_headroom *h)
{
    const ss_headroom_row *best = NULL;

    for (int i = 0; i < h->n; i++) {
        const ss_headroom_row *row = &h->rows[i];

        if (!row->weights && isfinite(row->peak) && (!best || row->peak > best->peak))
            best = row;
    }
    return best;
}

static json_t *sigmas_json(ss_run *r, const ss_sites *sites, const float *absmax)
{
    json_t *list = json_array();
    int *order = ss_run_is_text(r) ? NULL : ss_sigma_order(r);

    for (int k = 0; order && k < r->n_done; k++) {
        double peak = NAN;

        for (int i = 0; i < sites->n; i++) {
            if (ss_site_is_stored(r, sites->site[i]))
                peak = fmax(peak, ss_site_peak(r, absmax, sites->site[i], SS_ALL, order[k]));
        }
        json_array_append_new(list, json_pack("{s:f, s:o}", "sigma", r->sigmas[order[k]], "peak",
                                              ss_json_from_number(peak)));
    }
    ss_free(order);
    return list;
}

/* The mean of all losses that are known; NaN without any. */
static ss_code mean_loss(ss_run *r, double *loss, ss_err *e)
{
    const float *x;
    double sum = 0;
    int64_t n = 0;
    const ss_code rc = ss_run_loss(r, &x, e);

    *loss = NAN;
    for (int64_t i = 0; rc == SS_OK && x && i < (int64_t)r->n_inputs * r->n_sigmas * r->n_samples;
         i++) {
        if (!isnan(x[i])) {
            sum += x[i];
            n++;
        }
    }
    if (n)
        *loss = sum / (double)n;
    return rc;
}

static uint64_t count_nonfinite(ss_run *r, const ss_sites *sites, const uint64_t *x)
{
    uint64_t n = 0;

    for (int i = 0; x && i < sites->n; i++)
        n += ss_site_count(r, x, sites->site[i], SS_ALL, SS_ALL);
    return n;
}

static json_t *headroom_json(const cli_watch *w, const ss_headroom *h)
{
    json_t *object = json_object();

    for (int f = 0; f < w->n_formats; f++) {
        double least = NAN;

        for (int i = 0; i < h->n; i++)
            least = fmin(least, h->rows[i].bits[f]);
        json_object_set_new(object, w->formats[f].name, ss_json_from_number(least));
    }
    return object;
}

static void set_place(json_t *values, ss_run *r, const ss_headroom_row *row)
{
    const bool has_sigma = row && row->sigma >= 0 && !ss_run_is_text(r);
    char name[512] = "-";

    if (row)
        ss_site_name(r, row->at, name, sizeof name);
    json_object_set_new(values, "peak", ss_json_from_number(row ? row->peak : NAN));
    json_object_set_new(values, "module", ss_json_from_text(name));
    json_object_set_new(values, "sigma",
                        ss_json_from_number(has_sigma ? r->sigmas[row->sigma] : NAN));
    json_object_set_new(values, "input",
                        ss_json_from_text(row && row->input >= 0 ? r->inputs[row->input] : "-"));
}

static ss_code measure(const cli_watch *w, ss_run *r, json_t *entry, ss_err *e)
{
    ss_sites sites = {0}, computed = {0};
    ss_headroom h = {0};
    const float *absmax;
    const uint64_t *nonfinite;
    json_t *values = json_object();
    double loss = NAN;
    ss_code rc = ss_run_stat(r, "absmax", &absmax, e);

    if (rc == SS_OK)
        rc = ss_run_nonfinite(r, &nonfinite, e);
    if (rc == SS_OK)
        rc = ss_sites_find(r, NULL, 0, SS_SITES_ALL, &sites, e);
    if (rc == SS_OK)
        rc = ss_sites_find_each(r, NULL, 0, SS_SITES_COMPUTED, &computed, e);
    if (rc == SS_OK)
        rc = ss_headroom_find(r, &sites, w->formats, w->n_formats, &h, e);
    if (rc == SS_OK)
        rc = mean_loss(r, &loss, e);
    if (rc == SS_OK) {
        set_place(values, r, largest(&h));
        json_object_set_new(values, "headroom", headroom_json(w, &h));
        json_object_set_new(values, "sigmas", sigmas_json(r, &sites, absmax));
        json_object_set_new(values, "loss", ss_json_from_number(loss));
        json_object_set_new(values, "nonfinite",
                            ss_json_from_number((double)count_nonfinite(r, &computed, nonfinite)));
        json_object_set(entry, "values", values);
    }
    json_decref(values);
    ss_headroom_release(&h);
    ss_sites_release(&sites);
    ss_sites_release(&computed);
    return rc;
}

/* ---- the series ---- */

static int by_step(const void *a, const void *b)
{
    const double x = cli_watch_number(*(json_t *const *)a, "step"),
                 y = cli_watch_number(*(json_t *const *)b, "step");

    return (x > y) - (x < y);
}

/* Thins a list to `most`, evenly, with its first and its last. */
static int thin(json_t **list, int n, int most)
{
    if (n <= most)
        return n;
    for (int i = 0; i < most; i++)
        list[i] = list[most == 1 ? n - 1 : (int)((int64_t)i * (n - 1) / (most - 1))];
    return most;
}

json_t **cli_watch_series(const cli_watch *w, int64_t step, int most, int *n, int *all)
{
    const json_t *entries = cli_watch_entries(w);
    const int count = (int)json_array_size(entries);
    json_t **list = ss_calloc((size_t)count + 1, sizeof *list);

    *n = *all = 0;
    for (int i = count - 1; list && i >= 0; i--) { /* the newest of each step first */
        json_t *entry = json_array_get(entries, (size_t)i);
        const double s = cli_watch_number(entry, "step");
        bool there = false;

        for (int k = 0; k < *all; k++)
            there |= cli_watch_number(list[k], "step") == s;
        if (s >= 1 && s <= (double)step && !there)
            list[(*all)++] = entry;
    }
    if (*all)
        qsort(list, (size_t)*all, sizeof *list, by_step);
    *n = thin(list, *all, most);
    return list;
}

/* The runs of a trend. */
typedef struct {
    ss_run **runs;
    int64_t *steps;
    int n;
    ss_trend trend;
    bool has_trend;
} course;

static void release_course(course *c)
{
    if (c->has_trend)
        ss_trend_release(&c->trend);
    for (int i = 0; c->runs && i < c->n; i++)
        ss_run_close(c->runs[i]);
    ss_free(c->runs);
    ss_free(c->steps);
    *c = (course){0};
}

/* Finds the trend of the runs up to an entry, where it has a step and there are earlier ones. */
static ss_code find_course(const cli_watch *w, const json_t *entry, course *c, ss_err *e)
{
    const double step = cli_watch_number(entry, "step");
    int n = 0, all;
    json_t **list =
        step >= 1 ? cli_watch_series(w, (int64_t)step, CLI_WATCH_MAX_TREND, &n, &all) : NULL;
    ss_code rc = SS_OK;

    if (n < 2) {
        ss_free(list);
        return SS_OK;
    }
    c->runs = ss_calloc((size_t)n, sizeof *c->runs);
    c->steps = ss_calloc((size_t)n, sizeof *c->steps);
    if (!c->runs || !c->steps)
        rc = ss_no_memory(e, "a trend");
    for (int i = 0; i < n && rc == SS_OK; i++) {
        char *path = ss_path_join(w->out, cli_watch_text(list[i], "run"));

        rc = path ? ss_run_open(path, &c->runs[c->n], e) : ss_no_memory(e, "a trend");
        if (rc == SS_OK)
            c->steps[c->n++] = (int64_t)cli_watch_number(list[i], "step");
        else if (rc != SS_NOMEM && list[i] != entry) {
            ss_note_once("%s is left out of the trend", e->msg);
            rc = SS_OK;
        }
        ss_free(path);
    }
    if (rc == SS_OK && c->n > 1) {
        rc = ss_trend_find(c->runs, c->steps, c->n, NULL, 0, &c->trend, e);
        c->has_trend = rc == SS_OK;
    }
    ss_free(list);
    return rc;
}

static const char *outcome_of(ss_reach reach)
{
    switch (reach) {
    case SS_REACH_PASSED:
    case SS_REACH_LOST: return "now";
    case SS_REACH_AHEAD: return "ahead";
    case SS_REACH_FAR: return "far";
    case SS_REACH_NEVER: return "never";
    case SS_REACH_BENT: return "no law";
    case SS_REACH_UNKNOWN: break;
    }
    return "unknown yet";
}

/* The forecast of a format: the row that overflows now, or soonest. */
static json_t *forecast_json(const ss_trend *t, const ss_format *f)
{
    const ss_trend_row *best = NULL;
    ss_forecast at = {.reach = SS_REACH_UNKNOWN, .at = {NAN, NAN, NAN}};
    char name[512] = "-";

    for (int i = 0; i < t->n; i++) {
        ss_forecast x = ss_trend_forecast(t, &t->rows[i], f);

        if ((x.reach == SS_REACH_PASSED || x.reach == SS_REACH_LOST) && x.back)
            continue; /* a step that is over: no overflow now, and no trend */
        const bool sooner = x.reach == SS_REACH_AHEAD && at.reach == SS_REACH_AHEAD
                                ? x.at.at < at.at.at
                                : x.reach < at.reach;
        if (!best || sooner) {
            best = &t->rows[i];
            at = x;
        }
    }
    if (best && at.reach <= SS_REACH_AHEAD)
        ss_trend_name(t, best, name, sizeof name);
    return json_pack("{s:s, s:o, s:o, s:o, s:o}", "outcome", outcome_of(at.reach), "step",
                     ss_json_from_number(at.at.at), "low", ss_json_from_number(at.at.low), "high",
                     ss_json_from_number(at.at.high), "module", ss_json_from_text(name));
}

static void set_forecast(const cli_watch *w, const course *c, json_t *entry)
{
    json_t *forecast = json_object();

    for (int f = 0; f < w->n_formats && c->has_trend; f++)
        json_object_set_new(forecast, w->formats[f].name, forecast_json(&c->trend, &w->formats[f]));
    json_object_set_new(entry, "forecast", forecast);
}

/* ---- alarms ---- */

static json_t *alarm_json(const char *rule, const ss_expression *x, const ss_checkpoint_row *row,
                          const json_t *entry)
{
    const ss_expression_node *m = &x->nodes[row->witness.node];
    ss_str text = {0};
    json_t *alarm;

    ss_str_addf(&text, "%s: ", cli_watch_text(entry, "name"));
    ss_checkpoint_place_say(x, row, false, &text);
    alarm =
        text.failed
            ? NULL
            : json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "rule",
                        ss_json_from_text(rule), "text", ss_json_from_text(text.s), "module",
                        ss_json_from_text(row->where), "sigma", ss_json_from_number(row->sigma),
                        "input", ss_json_from_text(row->input), "sample",
                        ss_json_from_text(row->sample), "measure", ss_json_from_text(row->measure),
                        "value", ss_json_from_number(row->value), "limit",
                        ss_json_from_number(ss_expression_limit(m)), "state", "due");
    ss_str_release(&text);
    return alarm;
}

static void release_row(ss_checkpoint_row *row)
{
    ss_free(row->where);
    ss_free(row->input);
    ss_free(row->sample);
    ss_free(row->measure);
}

static ss_code judge_rule(const cli_watch *w, int rule, ss_run *r, const course *c,
                          const json_t *entry, json_t *alarms, ss_err *e)
{
    const ss_expression *x = &w->rules[rule];
    ss_checkpoint_row row = {.sigma = NAN, .value = NAN, .column = -1};
    ss_witness at;
    bool holds;
    ss_code rc = ss_expression_eval_trend(x, r, c->has_trend ? &c->trend : NULL, &holds, &at, e);

    if (rc == SS_USAGE && json_array_size(cli_watch_entries(w)) > 1) { /* it was fine before */
        ss_warn("--alarm %s of %s: %s", w->rule_texts[rule], cli_watch_text(entry, "name"), e->msg);
        return SS_OK;
    }
    if (rc != SS_OK)
        return rc == SS_USAGE ? ss_fail_prefix(e, "--alarm") : rc;
    if (!holds)
        return SS_OK;
    rc = ss_checkpoint_describe(x, r, &at, &row, e);
    if (rc == SS_OK &&
        json_array_append_new(alarms, alarm_json(w->rule_texts[rule], x, &row, entry)) != 0)
        rc = ss_no_memory(e, "an alarm");
    release_row(&row);
    return rc;
}

ss_code cli_watch_judge(cli_watch *w, json_t *entry, ss_err *e)
{
    char *path = ss_path_join(w->out, cli_watch_text(entry, "run"));
    json_t *alarms = json_array();
    ss_run *r = NULL;
    course c = {0};
    ss_err why = {0};
    ss_code rc = path ? ss_run_open(path, &r, e) : ss_no_memory(e, "watch");

    if (rc == SS_OK)
        rc = measure(w, r, entry, e);
    if (rc == SS_OK && find_course(w, entry, &c, &why) != SS_OK) {
        if (why.code == SS_NOMEM)
            rc = ss_no_memory(e, "a trend");
        else
            ss_warn("no trend up to %s: %s", cli_watch_text(entry, "name"), why.msg);
    }
    if (rc == SS_OK)
        set_forecast(w, &c, entry);
    for (int i = 0; i < w->n_rules && rc == SS_OK; i++)
        rc = judge_rule(w, i, r, &c, entry, alarms, e);
    if (rc == SS_OK)
        json_object_set(entry, "alarms", alarms);
    json_decref(alarms);
    release_course(&c);
    ss_run_close(r);
    ss_free(path);
    return rc;
}

/* "SIGMASCOPE_NAME=VALUE"; NULL: no memory. */
static char *variable(const char *name, const json_t *value)
{
    char number[40] = "";
    const char *text = json_string_value(value);

    if (json_is_integer(value))
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(number, sizeof number, "%.9g", json_real_value(value));
    return ss_textf("SIGMASCOPE_%s=%s", name, text ? text : number);
}

static ss_code run_command(const cli_watch *w, const json_t *entry, json_t *alarm, ss_err *e)
{
    json_t *report = json_sprintf("%s/report/index.html", w->out);
    const struct {
        const char *name;
        const json_t *value;
    } list[] = {{"ALARM", json_object_get(alarm, "text")},
                {"CHECKPOINT", json_object_get(entry, "checkpoint")},
                {"STEP", json_object_get(entry, "step")},
                {"MODULE", json_object_get(alarm, "module")},
                {"SIGMA", json_object_get(alarm, "sigma")},
                {"INPUT", json_object_get(alarm, "input")},
                {"VALUE", json_object_get(alarm, "value")},
                {"RULE", json_object_get(alarm, "rule")},
                {"REPORT", w->report_runs ? report : NULL}};
    enum { N = sizeof list / sizeof *list };
    const char *env[N + 1] = {0};
    ss_shell_end end;
    ss_code rc = SS_OK;

    for (size_t i = 0; i < N; i++) {
        if (!(env[i] = variable(list[i].name, list[i].value)))
            rc = ss_no_memory(e, "--on-alarm");
    }
    if (rc == SS_OK)
        rc = ss_shell(w->command, env, w->command_seconds, ss_interrupted, &end, e);
    if (rc == SS_OK) {
        if (end.timed_out)
            ss_warn("--on-alarm: the command was ended after %g s (--alarm-timeout)",
                    w->command_seconds);
        else if (end.status)
            ss_warn("--on-alarm: the command ended with %s %d",
                    end.status < 0 ? "signal" : "exit status", abs(end.status));
        json_object_set_new(
            alarm, "command",
            json_pack("{s:i, s:b}", "status", end.status, "timed_out", end.timed_out));
    }
    for (size_t i = 0; i < N; i++)
        ss_free((char *)(uintptr_t)env[i]);
    json_decref(report);
    return rc;
}

ss_code cli_watch_alarm(cli_watch *w, json_t *entry, ss_err *e)
{
    json_t *alarm;
    size_t i;
    ss_code rc = SS_OK;

    json_array_foreach(json_object_get(entry, "alarms"), i, alarm)
    {
        ss_err why = {0};

        if (strcmp(cli_watch_text(alarm, "state"), "due") != 0)
            continue;
        /* first the note that it was said: after a kill it is rather said never than twice */
        json_object_set_new(alarm, "state", json_string("said"));
        if (cli_watch_save(w, &why) != SS_OK)
            cli_watch_complain(w, "the state cannot be written", &why);
        cli_watch_say_alarm(w, entry, alarm);
        if (w->command && (rc = run_command(w, entry, alarm, &why)) != SS_OK) {
            if (rc == SS_NOMEM)
                return ss_fail(e, rc, "%s", why.msg);
            ss_warn("--on-alarm: %s", why.msg);
        }
        if (w->command && cli_watch_save(w, &why) != SS_OK)
            cli_watch_complain(w, "the state cannot be written", &why);
    }
    return SS_OK;
}
