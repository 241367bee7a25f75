/* watch_state.c - `sigmascope watch`: what it knows, on disk, and who may write it (watch.h) */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/outdir.h"
#include "base/version.h"
#include "cli/watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE "watch.json"
#define LOCK "watch.lock"
#define SCHEMA "sigmascope-watch/1.0"

json_t *cli_watch_entries(const cli_watch *w)
{
    return json_object_get(w->state, "checkpoints");
}

json_t *cli_watch_copies(const cli_watch *w)
{
    return json_object_get(w->state, "copies");
}

const char *cli_watch_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

double cli_watch_number(const json_t *object, const char *key)
{
    double v = NAN;

    return ss_json_number(json_object_get(object, key), &v) ? v : NAN;
}

int cli_watch_count_alarms(const cli_watch *w)
{
    json_t *entry;
    size_t i;
    int n = 0;

    json_array_foreach(cli_watch_entries(w), i, entry) n +=
        (int)json_array_size(json_object_get(entry, "alarms"));
    return n;
}

void cli_watch_complain(cli_watch *w, const char *what, const ss_err *e)
{
    char text[sizeof w->problem];

    snprintf(text, sizeof text, "%s: %.440s", what, e->msg);
    if (strcmp(text, w->problem) == 0)
        return;
    snprintf(w->problem, sizeof w->problem, "%s", text);
    ss_warn("%s; tried again at the next look", text);
}

/* The options that decide what is in a run, as they were given. */
static json_t *plan_of(const cli_watch *w)
{
    json_t *list = json_array();

    for (int i = 0; i < w->n_passed; i++) {
        ss_str text = {0};

        ss_str_addf(&text, "--%s", w->passed[i].name);
        if (w->passed[i].arg)
            ss_str_addf(&text, "=%s", w->passed[i].arg);
        json_array_append_new(list, text.failed ? NULL : ss_json_from_text(text.s));
        ss_str_release(&text);
    }
    if (w->p.common.seed)
        json_array_append_new(list,
                              json_sprintf("--seed=%llu", (unsigned long long)w->p.common.seed));
    return list;
}

static json_t *new_state(const cli_watch *w)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:[], s:[]}", "format", SCHEMA, "version", SS_VERSION,
                     "folder", ss_json_from_text(w->folder), "options", plan_of(w), "checkpoints",
                     "copies");
}

static bool is_same_folder(const char *a, const char *b)
{
    char x[PATH_MAX], y[PATH_MAX];

    return strcmp(a, b) == 0 || (realpath(a, x) && realpath(b, y) && strcmp(x, y) == 0);
}

/* Checks that an older state is of this folder and these options. */
static ss_code check_state(const cli_watch *w, const json_t *state, const char *path, ss_err *e)
{
    const char *folder = cli_watch_text(state, "folder");
    json_t *plan = plan_of(w);
    const bool same = json_equal(plan, json_object_get(state, "options"));
    char *before = json_dumps(json_object_get(state, "options"), JSON_ENCODE_ANY);
    ss_code rc = SS_OK;

    if (strcmp(cli_watch_text(state, "format"), SCHEMA) != 0 ||
        !json_is_array(json_object_get(state, "checkpoints")) ||
        !json_is_array(json_object_get(state, "copies")))
        rc = ss_fail(e, SS_FORMAT,
                     "%s: is not of this version of `sigmascope watch`; choose "
                     "another -o",
                     path);
    else if (!is_same_folder(folder, w->folder))
        rc = ss_fail(e, SS_USAGE, "-o %s is of the folder %s, not of %s; choose another -o", w->out,
                     SS_SHOW(folder), w->folder);
    else if (!same)
        rc = ss_fail(e, SS_USAGE,
                     "-o %s was begun with other options of probe, %.300s: runs by different plans "
                     "are no series; repeat those, or choose another -o",
                     w->out, before ? before : "?");
    free(before); /* jansson's */
    json_decref(plan);
    return rc;
}

static ss_code take_lock(cli_watch *w, const char *path, ss_err *e)
{
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    w->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (w->lock < 0)
        return ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
    if (fcntl(w->lock, F_SETLK, &range) == 0)
        return SS_OK;
    if (errno != EACCES && errno != EAGAIN) {
        ss_warn("%s: the file system has no locks (%s); take care that no second watch writes "
                "to %s",
                path, strerror(errno), w->out);
        return SS_OK;
    }
    if (fcntl(w->lock, F_GETLK, &range) != 0 || range.l_type == F_UNLCK)
        range.l_pid = 0;
    return ss_fail(e, SS_IO,
                   "%s: another watch (process %ld) writes to it; end that one, or choose "
                   "another -o",
                   w->out, (long)range.l_pid);
}

/* True for a folder that holds nothing, or what a watch left. */
static bool is_ours(const char *folder)
{
    DIR *d = opendir(folder);
    bool empty = true, ours = false;

    if (!d)
        return false;
    for (struct dirent *f; (f = readdir(d));) {
        empty &= strcmp(f->d_name, ".") == 0 || strcmp(f->d_name, "..") == 0;
        ours |= strcmp(f->d_name, LOCK) == 0;
    }
    closedir(d);
    return empty || ours;
}

/* Removes what a killed process was writing; nobody else writes there, by the lock. A plotting
 * program that outlives its report for a moment may still do, so this is tried at the end, too. */
static void remove_leftovers(const char *folder)
{
    DIR *d = opendir(folder);

    if (!d)
        return;
    for (struct dirent *f; (f = readdir(d));) {
        char *path = ss_outdir_leftover(f->d_name) ? ss_path_join(folder, f->d_name) : NULL;

        if (path)
            ss_outdir_remove_leftover(path, NULL);
        ss_free(path);
    }
    closedir(d);
}

static ss_code make_folder(const char *path, ss_err *e)
{
    return mkdir(path, 0777) == 0 || errno == EEXIST
               ? SS_OK
               : ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
}

ss_code cli_watch_open(cli_watch *w, ss_err *e)
{
    char *lock = ss_path_join(w->out, LOCK), *state = ss_path_join(w->out, STATE);
    ss_json before = {0};
    ss_code rc = lock && state ? make_folder(w->out, e) : ss_no_memory(e, "watch");

    w->lock = -1;
    w->runs = ss_path_join(w->out, "runs");
    w->log = ss_path_join(w->out, "log.txt");
    if (rc == SS_OK && (!w->runs || !w->log))
        rc = ss_no_memory(e, "watch");
    if (rc == SS_OK && !is_ours(w->out))
        rc = ss_fail(e, SS_IO, "%s: is not empty and no watch made it; choose another -o", w->out);
    if (rc == SS_OK)
        rc = take_lock(w, lock, e);
    if (rc == SS_OK) {
        remove_leftovers(w->out);
        rc = make_folder(w->runs, e);
    }
    if (rc == SS_OK && ss_file_exists(state)) {
        rc = ss_json_load(&before, state, e);
        if (rc == SS_OK)
            rc = check_state(w, before.root, state, e);
        if (rc == SS_OK)
            w->state = json_incref(before.root);
        ss_json_release(&before);
    } else if (rc == SS_OK && !(w->state = new_state(w))) {
        rc = ss_no_memory(e, "watch");
    }
    ss_free(lock);
    ss_free(state);
    return rc;
}

ss_code cli_watch_save(cli_watch *w, ss_err *e)
{
    char *path = ss_path_join(w->out, STATE);
    const ss_code rc =
        path ? ss_json_write(path, w->state, JSON_INDENT(1), e) : ss_no_memory(e, "watch");

    w->unsaved = rc != SS_OK;
    ss_free(path);
    return rc;
}

void cli_watch_close(cli_watch *w)
{
    ss_err e = {0};

    if (ss_events_close(w->board, &e) != SS_OK)
        ss_warn("%s", e.msg);
    if (w->state)
        remove_leftovers(w->out);
    json_decref(w->state);
    for (int i = 0; i < w->n_seen; i++)
        ss_free(w->seen[i].path);
    ss_free(w->seen);
    for (int i = 0; w->rules && i < w->n_rules; i++)
        ss_expression_release(&w->rules[i]);
    ss_free(w->rules);
    ss_free(w->rule_texts);
    ss_free(w->format_names);
    ss_free(w->runs);
    ss_free(w->log);
    ss_free(w->passed);
    cli_probe_release(&w->lists);
    if (w->lock >= 0)
        close(w->lock);
}
