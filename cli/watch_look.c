/* watch_look.c - `sigmascope watch`: which checkpoints are whole and new (watch.h)
 *
 * A checkpoint is taken when its files have not changed for a while, and when all of them can be
 * read: the second is tried in a process of its own (base/apart.h), which also computes the sum of
 * its content. It is new where that sum is.
 */
#include "analyze/several/trend.h"
#include "base/apart.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/watch.h"
#include "probe/components.h"
#include "probe/interrupt.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *cli_watch_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && slash[1] ? slash + 1 : path;
}

/* ---- what is known of each place ---- */

static cli_watch_seen *find_seen(cli_watch *w, const ss_growing_entry *x, ss_err *e)
{
    for (int i = 0; i < w->n_seen; i++) {
        if (strcmp(w->seen[i].path, x->path) == 0)
            return &w->seen[i];
    }
    cli_watch_seen *grown = ss_grow(w->seen, &w->cap_seen, (size_t)w->n_seen + 1, sizeof *grown);
    char *path = ss_strdup(x->path);
    if (grown)
        w->seen = grown;
    if (!grown || !path) {
        ss_free(path);
        ss_no_memory(e, "watch");
        return NULL;
    }
    w->seen[w->n_seen] = (cli_watch_seen){.path = path};
    return &w->seen[w->n_seen++];
}

/* Says what is wrong with a checkpoint, unless that was the last thing said of it. */
static void say_of(cli_watch_seen *s, const char *what, const char *why)
{
    char text[sizeof s->problem];

    snprintf(text, sizeof text, "%s%s%.400s", what, *why ? ": " : "", why);
    if (strcmp(text, s->problem) == 0)
        return;
    snprintf(s->problem, sizeof s->problem, "%s", text);
    ss_warn("%s %s", SS_SHOW(s->path), text);
}

/* ---- content ---- */

/* Reads all headers and sums up the content; the answer is the sum. */
static ss_code read_content(void *self, ss_str *answer, ss_err *e)
{
    const ss_probe_options *opt = self;
    ss_network_options net = opt->network;
    ss_component_runs runs = {0};
    ss_network k = {0};
    ss_code rc = SS_OK;

    if (net.component) {
        rc = ss_components_pick(net.model, net.component, "", &runs, e);
        if (rc == SS_OK && runs.n > 1)
            rc = ss_fail(e, SS_USAGE, "--components %s names %d networks; a watch takes one",
                         SS_SHOW(net.component), runs.n);
        if (rc == SS_OK)
            net.component = runs.list[0].component;
    }
    if (rc == SS_OK)
        rc = ss_network_open(&net, &k, e);
    if (rc == SS_OK)
        rc = ss_network_identify(&k, e);
    if (rc == SS_OK)
        ss_str_add(answer, k.sha256);
    ss_network_close(&k);
    ss_components_release(&runs);
    return rc;
}

/* ---- entries ---- */

static json_t *step_json(const char *path)
{
    int64_t step;

    return ss_trend_step(path, &step) ? json_integer(step) : json_null();
}

/* True where a list has this name with this look. */
static bool is_known(const json_t *list, const char *name, const char *look)
{
    json_t *x;
    size_t i;

    json_array_foreach(list, i, x)
    {
        if (strcmp(cli_watch_text(x, "name"), name) == 0 &&
            strcmp(cli_watch_text(x, "look"), look) == 0)
            return true;
    }
    return false;
}

/* The entry with the same content that this one repeats: under the same name, of the same step, or
 * where this one has no step. */
static json_t *find_same(const cli_watch *w, const char *path, const char *sha256)
{
    json_t *step = step_json(path), *entry, *same = NULL;
    size_t i;

    json_array_foreach(cli_watch_entries(w), i, entry)
    {
        if (strcmp(cli_watch_text(entry, "sha256"), sha256) == 0 &&
            (strcmp(cli_watch_text(entry, "name"), cli_watch_name(path)) == 0 ||
             json_is_null(step) || json_equal(step, json_object_get(entry, "step"))))
            same = entry;
    }
    json_decref(step);
    return same;
}

/* Notes that a place holds what is known already. */
static void take_copy(cli_watch *w, cli_watch_seen *s, json_t *entry, const char *sha256, ss_err *e)
{
    const char *name = cli_watch_name(s->path);
    json_t *copies = cli_watch_copies(w), *x;
    size_t i;

    if (strcmp(cli_watch_text(entry, "name"), name) == 0) {
        json_object_set_new(entry, "look", json_string(s->look));
        ss_detail("%s was written again, with the same content", s->path);
    } else {
        json_array_foreach(copies, i, x)
        {
            if (strcmp(cli_watch_text(x, "name"), name) == 0) {
                json_array_remove(copies, i);
                break;
            }
        }
        json_array_append_new(copies, json_pack("{s:o, s:s, s:s, s:s}", "name",
                                                ss_json_from_text(name), "look", s->look, "sha256",
                                                sha256, "of", cli_watch_text(entry, "name")));
        ss_note("%s has the content of %s, and is not probed again", SS_SHOW(s->path),
                SS_SHOW(cli_watch_text(entry, "name")));
    }
    s->final = true;
    if (cli_watch_save(w, e) != SS_OK)
        cli_watch_complain(w, "the state cannot be written", e);
}

static void add_time(json_t *object, const char *key)
{
    const time_t now = time(NULL);
    struct tm utc;
    char text[40];

    gmtime_r(&now, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    json_object_set_new(object, key, json_string(text));
}

/* The name of the run file in OUT: of the step, or of the checkpoint, and the content. */
static char *run_of(const char *path, const char *sha256)
{
    enum { LONGEST = 80 };
    const char *name = cli_watch_name(path);
    ss_str text = {0};
    int64_t step;

    if (ss_trend_step(path, &step))
        ss_str_addf(&text, "runs/step-%08lld-%.12s.h5", (long long)step, sha256);
    else
        ss_str_addf(&text, "runs/%.*s-%.12s.h5", LONGEST, name, sha256);
    return ss_str_detach(&text);
}

static json_t *new_entry(const cli_watch_seen *s, const char *sha256, const char *run)
{
    json_t *entry = json_pack("{s:o, s:o, s:o, s:s, s:s, s:o}", "name",
                              ss_json_from_text(cli_watch_name(s->path)), "checkpoint",
                              ss_json_from_text(s->path), "step", step_json(s->path), "sha256",
                              sha256, "look", s->look, "run", ss_json_from_text(run));

    if (entry)
        add_time(entry, "probed");
    return entry;
}

/* ---- one checkpoint ---- */

/* Notes a failure: another try comes at the next look, unless it is final. */
static void put_off(cli_watch *w, cli_watch_seen *s, bool final)
{
    s->tries++;
    s->again = ss_now() + w->every;
    s->final = final;
}

static bool run_is_whole(const char *path, const char *sha256, bool *damaged)
{
    ss_run *r = NULL;
    ss_err e = {0};
    const bool opened = ss_run_open(path, &r, &e) == SS_OK;
    const bool whole = opened && r->complete && strcmp(r->model_sha256, sha256) == 0;

    *damaged = opened ? strcmp(r->model_sha256, sha256) != 0 : e.code == SS_FORMAT;
    ss_run_close(r);
    return whole;
}

/* Takes up what came of a probe that failed. */
static ss_code take_failure(cli_watch *w, cli_watch_seen *s, const char *run, cli_watch_end end,
                            const char *problem, ss_err *e)
{
    char now[SS_GROWING_LOOK];

    ss_growing_look(s->path, now);
    if (!*now) {
        say_of(s, "vanished while it was probed, and is skipped", "");
        unlink(run);
        s->final = true;
        return SS_OK;
    }
    if (strcmp(now, s->look) != 0) {
        say_of(s, "changed while it was probed; it is probed when it is whole", "");
        unlink(run);
        return SS_OK;
    }
    if (end == CLI_WATCH_MISUSED && !w->keep_going)
        return ss_fail(e, SS_USAGE, "%s: %s (--keep-going skips such a checkpoint)",
                       SS_SHOW(s->path), problem);
    w->n_failed++;
    w->no_room = end == CLI_WATCH_DISK;
    if (end == CLI_WATCH_MISUSED)
        say_of(s, "cannot be probed with these options, and is skipped", problem);
    else if (end == CLI_WATCH_DISK || s->tries + 1 < CLI_WATCH_TRIES)
        say_of(s, "could not be probed, and is tried again at the next look", problem);
    else
        say_of(s, "could not be probed three times, and is skipped until it changes", problem);
    put_off(w, s,
            end == CLI_WATCH_MISUSED ||
                (end == CLI_WATCH_FAILED && s->tries + 1 >= CLI_WATCH_TRIES));
    return SS_OK;
}

/* Judges a run that is whole, and puts it into the state. */
static ss_code take_run(cli_watch *w, cli_watch_seen *s, const char *sha256, const char *run,
                        ss_err *e)
{
    json_t *entry = new_entry(s, sha256, run);
    ss_code rc = entry && json_array_append_new(cli_watch_entries(w), entry) == 0
                     ? SS_OK
                     : ss_no_memory(e, "watch");

    if (rc == SS_OK && (rc = cli_watch_judge(w, entry, e)) != SS_OK) {
        json_array_remove(cli_watch_entries(w), json_array_size(cli_watch_entries(w)) - 1);
        if (rc != SS_IO && rc != SS_FORMAT)
            return rc;
        say_of(s, "was probed, but its run cannot be judged, which is tried again", e->msg);
        put_off(w, s, s->tries + 1 >= CLI_WATCH_TRIES);
        w->n_failed++;
        return SS_OK;
    }
    if (rc != SS_OK)
        return rc;
    s->final = true;
    *s->problem = '\0';
    w->last_news = ss_now();
    w->n_made++;
    w->page_due = true;
    cli_watch_say_entry(w, entry);
    if ((rc = cli_watch_save(w, e)) != SS_OK)
        cli_watch_complain(w, "the state cannot be written", e);
    if (json_array_size(json_object_get(entry, "alarms"))) {
        rc = cli_watch_report(w, e); /* the command may look at it */
        if (rc == SS_OK)
            rc = cli_watch_alarm(w, entry, e);
        return rc;
    }
    return SS_OK;
}

static ss_code probe(cli_watch *w, cli_watch_seen *s, const char *sha256, ss_err *e)
{
    char *name = run_of(s->path, sha256), *run = name ? ss_path_join(w->out, name) : NULL;
    char problem[512] = "", now[SS_GROWING_LOOK];
    cli_watch_end end = CLI_WATCH_DONE;
    bool damaged = false, whole;
    ss_code rc = run ? SS_OK : ss_no_memory(e, "watch");

    if (rc != SS_OK)
        goto out;
    whole = run_is_whole(run, sha256, &damaged);
    if (damaged)
        unlink(run);
    if (!whole)
        rc = cli_watch_probe(w, s->path, run, &end, problem, e);
    if (rc == SS_OK && end != CLI_WATCH_DONE) {
        rc = take_failure(w, s, run, end, problem, e);
        goto out;
    }
    if (rc != SS_OK)
        goto out;
    ss_growing_look(s->path, now);
    if (!whole && *now && strcmp(now, s->look) != 0) {
        say_of(s, "changed while it was probed; it is probed when it is whole", "");
        unlink(run);
    } else if (!run_is_whole(run, sha256, &damaged)) {
        unlink(run);
        rc = take_failure(w, s, run, CLI_WATCH_FAILED, "its run is not the one that was to be made",
                          e);
    } else {
        if (!*now)
            ss_note("%s is gone; its run is kept", SS_SHOW(s->path));
        rc = take_run(w, s, sha256, name, e);
    }
out:
    ss_free(name);
    ss_free(run);
    return rc;
}

/* Reads a checkpoint whose files stand still, and probes it if it is new. */
static ss_code take(cli_watch *w, cli_watch_seen *s, ss_err *e)
{
    ss_probe_options opt = w->opt;
    char *sha256 = NULL, now[SS_GROWING_LOOK];
    ss_err why = {0};

    opt.network.model = s->path;
    ss_code rc = ss_apart(read_content, &opt, ss_interrupted, &sha256, &why);
    if (rc == SS_INTERRUPTED)
        return ss_fail(e, rc, "%s", why.msg);
    ss_growing_look(s->path, now);
    if (rc != SS_OK && !*now) {
        say_of(s, "vanished before it was probed, and is skipped", "");
        s->final = true;
        return SS_OK;
    }
    if (strcmp(now, s->look) != 0 && *now)
        return SS_OK; /* the next look finds it changed */
    if (rc == SS_USAGE && !w->keep_going && !json_array_size(cli_watch_entries(w))) {
        return ss_fail(e, rc, "%s: %s (--keep-going skips such a checkpoint)", SS_SHOW(s->path),
                       why.msg);
    }
    if (rc != SS_OK) {
        const bool again = (rc == SS_NOMEM || rc == SS_IO) && s->tries + 1 < CLI_WATCH_TRIES;

        say_of(s,
               again ? "cannot be read, and is tried again"
                     : "cannot be read, and is skipped until it changes",
               why.msg);
        put_off(w, s, !again);
        return SS_OK;
    }
    json_t *same = find_same(w, s->path, sha256);
    if (same)
        take_copy(w, s, same, sha256, e);
    else
        rc = probe(w, s, sha256, e);
    ss_free(sha256);
    return rc;
}

/* Takes up one entry of the list. *pending: it may become whole soon. */
static ss_code look_at(cli_watch *w, const ss_growing_entry *x, bool *pending, ss_err *e)
{
    cli_watch_seen *s = find_seen(w, x, e);
    const double now = ss_now();

    if (!s)
        return e->code;
    s->gone = false;
    if (strcmp(s->look, x->look) != 0) {
        memcpy(s->look, x->look, sizeof s->look);
        s->since = now;
        s->tries = 0;
        s->final = is_known(cli_watch_entries(w), cli_watch_name(x->path), x->look) ||
                   is_known(cli_watch_copies(w), cli_watch_name(x->path), x->look);
        w->last_news = s->final ? w->last_news : now;
        *pending |= !s->final;
        return SS_OK;
    }
    if (s->final || now < s->again)
        return SS_OK;
    if (now - s->since < w->settle) {
        *pending = true;
        return SS_OK;
    }
    return take(w, s, e);
}

/* Says alarms that a killed watch had no time to say. */
static ss_code finish_alarms(cli_watch *w, ss_err *e)
{
    json_t *entry;
    size_t i;
    ss_code rc = SS_OK;

    json_array_foreach(cli_watch_entries(w), i, entry)
    {
        if (rc == SS_OK)
            rc = cli_watch_alarm(w, entry, e);
    }
    return rc;
}

/* Says of places that are not in the list any more what became of them. */
static void say_vanished(cli_watch *w)
{
    for (int i = 0; i < w->n_seen; i++) {
        cli_watch_seen *s = &w->seen[i];

        if (!s->gone)
            continue;
        if (!s->final && *s->look)
            say_of(s, "vanished before it was probed, and is skipped", "");
        else
            ss_detail("%s is gone; what is known of it stays", s->path);
        s->final = true;
        *s->look = '\0'; /* if it comes back, it is looked at again */
    }
}

bool cli_watch_is_over(const cli_watch *w)
{
    json_t *entry;
    size_t i;

    if (ss_interrupted() || (w->stop_on_alarm && cli_watch_count_alarms(w)))
        return true;
    if (w->until < 0)
        return false;
    json_array_foreach(cli_watch_entries(w), i, entry)
    {
        if (cli_watch_number(entry, "step") >= (double)w->until)
            return true;
    }
    return false;
}

ss_code cli_watch_look(cli_watch *w, bool *pending, ss_err *e)
{
    ss_growing g = {0};
    ss_code rc = finish_alarms(w, e);

    *pending = false;
    if (rc == SS_OK && w->unsaved && cli_watch_save(w, e) != SS_OK)
        cli_watch_complain(w, "the state cannot be written", e);
    if (rc == SS_OK && ss_growing_list(w->folder, &g, e) != SS_OK)
        cli_watch_complain(w, "the folder cannot be read", e);
    for (int i = 0; i < w->n_seen; i++)
        w->seen[i].gone = *w->seen[i].look;
    if (rc == SS_OK && !g.n && !w->waiting_said) {
        ss_note("%s: %s; waiting for the first checkpoint", w->folder,
                ss_is_dir(w->folder) ? "no checkpoint in it yet" : "not there yet");
        w->waiting_said = true;
    }
    w->no_room = false;
    for (int i = 0; i < g.n && rc == SS_OK && !w->no_room && !cli_watch_is_over(w); i++)
        rc = look_at(w, &g.list[i], pending, e);
    if (rc == SS_OK && !w->no_room && !cli_watch_is_over(w))
        say_vanished(w);
    ss_growing_release(&g);
    return rc;
}
