/* watch_board.c - `sigmascope watch`: events for TensorBoard (watch.h) */
#include "cli/watch.h"

#include <math.h>
#include <time.h>

static double wall_time(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct {
    ss_events *ev;
    double now;
    int64_t step;
    ss_code rc;
    ss_err *e;
} writer;

static void add(writer *b, const char *tag, double v)
{
    if (b->rc == SS_OK && !isnan(v))
        b->rc = ss_events_scalar(b->ev, b->now, b->step, tag, v, b->e);
}

/* Adds the numbers of an object under GROUP/KEY. */
static void add_all(writer *b, const char *group, json_t *object, const char *key)
{
    const char *name;
    json_t *x;

    json_object_foreach(object, name, x)
    {
        char tag[120];

        snprintf(tag, sizeof tag, "%s/%.80s", group, name);
        add(b, tag, key ? cli_watch_number(x, key) : cli_watch_number(object, name));
    }
}

static void add_sigmas(writer *b, json_t *sigmas)
{
    json_t *x;
    size_t i;

    json_array_foreach(sigmas, i, x)
    {
        char tag[80];

        snprintf(tag, sizeof tag, "largest/sigma %g", cli_watch_number(x, "sigma"));
        add(b, tag, cli_watch_number(x, "peak"));
    }
}

static ss_code write_entry(ss_events *ev, json_t *entry, size_t order, ss_err *e)
{
    json_t *values = json_object_get(entry, "values");
    const double step = cli_watch_number(entry, "step");
    writer b = {.ev = ev,
                .now = wall_time(),
                .step = isnan(step) ? (int64_t)order + 1 : (int64_t)step,
                .e = e};

    add(&b, "largest/all", cli_watch_number(values, "peak"));
    add_sigmas(&b, json_object_get(values, "sigmas"));
    add_all(&b, "headroom", json_object_get(values, "headroom"), NULL);
    add_all(&b, "forecast", json_object_get(entry, "forecast"), "step");
    add(&b, "loss", cli_watch_number(values, "loss"));
    add(&b, "nonfinite", cli_watch_number(values, "nonfinite"));
    add(&b, "alarms", (double)json_array_size(json_object_get(entry, "alarms")));
    if (b.rc == SS_OK)
        b.rc = ss_events_text(ev, b.now, b.step, "largest/module", cli_watch_text(values, "module"),
                              e);
    return b.rc == SS_OK ? ss_events_flush(ev, e) : b.rc;
}

void cli_watch_log_events(cli_watch *w)
{
    json_t *entry;
    size_t i;
    bool any = false;
    ss_err e = {0};
    ss_code rc = SS_OK;

    json_array_foreach(cli_watch_entries(w), i, entry)
    {
        if (rc != SS_OK || json_is_true(json_object_get(entry, "logged")))
            continue;
        if (!w->board)
            rc = ss_events_open(w->out, wall_time(), &w->board, &e);
        if (rc == SS_OK)
            rc = write_entry(w->board, entry, i, &e);
        if (rc == SS_OK)
            json_object_set_new(entry, "logged", json_true());
        any |= rc == SS_OK;
    }
    if (rc != SS_OK) {
        cli_watch_complain(w, "the events cannot be written", &e);
        ss_events_close(w->board, NULL); /* a new file at the next try */
        w->board = NULL;
    }
    if (any && cli_watch_save(w, &e) != SS_OK)
        cli_watch_complain(w, "the state cannot be written", &e);
}
