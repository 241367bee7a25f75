/* watch_say.c - `sigmascope watch`: lines on stdout, or JSON objects, one a line (watch.h) */
#include "base/json.h"
#include "base/mem.h"
#include "cli/watch.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* Ends a line, so that who reads it has it now. A full disk loses lines, not the watch. */
static void end_line(void)
{
    putchar('\n');
    if (fflush(stdout) != 0 && errno != EPIPE) {
        ss_note_once("stdout: %s; lines are lost, the state has them", strerror(errno));
        clearerr(stdout);
    }
}

/* Prints an object with what happened, and lets go of it. */
static void print_json(const char *event, json_t *object)
{
    json_t *line = json_pack("{s:s}", "event", event);

    if (line && object)
        json_object_update(line, object);
    json_dumpf(line, stdout, JSON_COMPACT);
    json_decref(line);
    json_decref(object);
    end_line();
}

static void add_forecast(ss_str *s, const char *format, const json_t *forecast)
{
    const json_t *x = json_object_get(forecast, format);
    const char *outcome = cli_watch_text(x, "outcome");

    if (!x)
        return;
    ss_str_addf(s, "; forecast ");
    if (strcmp(outcome, "ahead") == 0)
        ss_str_addf(s, "step %.0f (%s)", cli_watch_number(x, "step"), cli_watch_text(x, "module"));
    else
        ss_str_add(s, outcome);
}

static void print_text(ss_str *s)
{
    const size_t room = 4 * s->len + 1;
    char *shown = s->failed ? NULL : ss_alloc(room, 1);

    ss_progress_hide();
    fputs(shown ? ss_printable(s->s, shown, room) : "out of memory", stdout);
    end_line();
    ss_free(shown);
    ss_str_release(s);
}

void cli_watch_say_entry(cli_watch *w, const json_t *entry)
{
    const json_t *values = json_object_get(entry, "values");
    const double nonfinite = cli_watch_number(values, "nonfinite");
    const double sigma = cli_watch_number(values, "sigma");
    const double peak = cli_watch_number(values, "peak");
    const char *format = w->formats[0].name;
    const double bits = cli_watch_number(json_object_get(values, "headroom"), format);
    ss_str s = {0};

    if (w->p.common.json) {
        json_t *copy = json_copy((json_t *)(uintptr_t)entry);

        json_object_del(copy, "alarms"); /* each has a line of its own */
        print_json("checkpoint", copy);
        return;
    }
    ss_str_addf(&s, "%s: ", cli_watch_text(entry, "name"));
    if (nonfinite > 0)
        ss_str_addf(&s,
                    nonfinite == 1 ? "%.0f value is inf or NaN; " : "%.0f values are inf or NaN; ",
                    nonfinite);
    if (isnan(peak))
        ss_str_add(&s, "nothing is finite");
    else
        ss_str_addf(&s, "|x| up to %.5g in %s", peak, cli_watch_text(values, "module"));
    if (!isnan(sigma))
        ss_str_addf(&s, " at sigma %g", sigma);
    if (!isnan(bits))
        ss_str_addf(&s, "; %s headroom %.1f bits", format, bits);
    add_forecast(&s, format, json_object_get(entry, "forecast"));
    print_text(&s);
}

void cli_watch_say_alarm(cli_watch *w, const json_t *entry, const json_t *alarm)
{
    ss_str s = {0};

    if (w->p.common.json) {
        json_t *copy = json_copy((json_t *)(uintptr_t)alarm);

        json_object_del(copy, "state");
        json_object_set(copy, "checkpoint", json_object_get(entry, "checkpoint"));
        json_object_set(copy, "step", json_object_get(entry, "step"));
        print_json("alarm", copy);
        return;
    }
    ss_str_addf(&s, "ALARM %s", cli_watch_text(alarm, "text"));
    print_text(&s);
}

void cli_watch_say_end(cli_watch *w, const char *why)
{
    const int n = (int)json_array_size(cli_watch_entries(w)), alarms = cli_watch_count_alarms(w);
    ss_str s = {0};

    if (w->p.common.json) {
        print_json("end", json_pack("{s:s, s:i, s:i, s:i, s:s}", "why", why, "checkpoints", n,
                                    "probed", w->n_made, "alarms", alarms, "output", w->out));
        return;
    }
    ss_str_addf(&s, "%d checkpoint%s, %d of them probed now, %d alarm%s; %s", n, n == 1 ? "" : "s",
                w->n_made, alarms, alarms == 1 ? "" : "s", w->out);
    if (w->report_runs && n)
        ss_str_add(&s, "/report/index.html");
    print_text(&s);
}
