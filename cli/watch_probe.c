/* watch_probe.c - `sigmascope watch`: the program's own commands as children (watch.h)
 *
 * A child that crashes, or that the system kills for its memory, does not end the watch; and when
 * the watch is killed, its child ends with it (base/follow.h), so that no two write one file.
 */
#include "base/file.h"
#include "base/follow.h"
#include "base/mem.h"
#include "cli/watch.h"
#include "probe/interrupt.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *what, *name; /* "probe", and of which checkpoint */
    FILE *log;
    bool shows;
    ss_progress progress;
    char *problem; /* [512] */
} listening;

/* Reads "probe 3/8, 0.2/s, 20 s left  sigma 0.5", a child's progress line. */
static bool take_progress(listening *l, const char *line)
{
    char what[32];
    long long done, total;
    int end = 0;

    if (sscanf(line, "%31[a-z ] %lld/%lld%n", what, &done, &total, &end) != 3 || total < 1 ||
        done < 0 || done > total || (line[end] != ',' && strncmp(line + end, " in ", 4) != 0))
        return false;
    if (!l->shows)
        ss_progress_begin(&l->progress, l->what, total);
    l->shows = true;
    ss_progress_step(&l->progress, done, l->name);
    return true;
}

static bool hear(void *self, const char *line)
{
    listening *l = self;
    char prefix[64];

    snprintf(prefix, sizeof prefix, "sigmascope %s: ", l->what);
    if (line && !take_progress(l, line)) {
        if (l->log)
            fprintf(l->log, "%s\n", line);
        if (strncmp(line, "note: no ", 9) == 0) /* what was assumed */
            ss_note_once("%s", line + 6);
        else if (strncmp(line, prefix, strlen(prefix)) == 0)
            snprintf(l->problem, 512, "%.511s", line + strlen(prefix));
    }
    return !ss_interrupted();
}

/* Runs the words; *status as of ss_follow. */
static ss_code run(cli_watch *w, cli_words *words, const char *name, int *status, char problem[512],
                   ss_err *e)
{
    listening l = {.what = words->n ? words->list[0] : "", .name = name, .problem = problem};
    const char **argv = words->failed ? NULL : ss_calloc((size_t)words->n + 3, sizeof *argv);
    ss_str text = {0};
    int n = 0;

    *problem = '\0';
    if (!argv)
        return ss_no_memory(e, "watch");
    argv[n++] = "sigmascope";
    argv[n++] = words->list[0];
    if (cli_has_option(words->list[0], "progress"))
        argv[n++] = "--progress=always";
    for (int i = 1; i < words->n; i++)
        argv[n++] = words->list[i];
    cli_words_say(words, &text);
    l.log = fopen(w->log, "ae"); /* a log that cannot be written is none */
    if (l.log)
        fprintf(l.log, "$ %s\n", text.s ? text.s : "");
    const ss_code rc = ss_follow("/proc/self/exe", argv, NULL, hear, &l, status, e);
    if (l.shows)
        ss_progress_end(&l.progress);
    if (l.log)
        fclose(l.log);
    ss_str_release(&text);
    ss_free(argv);
    if (rc == SS_OK && ss_interrupted())
        return ss_fail(e, SS_INTERRUPTED, "interrupted; the same command goes on in %s", w->out);
    return rc;
}

/* Adds the options that the command has. */
static void pass(const cli_watch *w, cli_words *words)
{
    const cli_common *k = &w->p.common;

    for (int i = 0; i < w->n_passed; i++) {
        cli_word(words, "--%s", w->passed[i].name);
        if (w->passed[i].arg)
            cli_word(words, "%s", w->passed[i].arg);
    }
    if (k->threads)
        cli_word(words, "--threads=%d", k->threads);
    if (strcmp(k->device, "cpu") != 0)
        cli_word(words, "--device=%s", k->device);
    if (k->arithmetic)
        cli_word(words, "--arithmetic=%s", k->arithmetic);
    if (k->seed)
        cli_word(words, "--seed=%" PRIu64, k->seed);
}

/* True for the text of an error that says that there is no room. */
static bool is_full(const char *problem)
{
    static const int none[] = {ENOSPC, EDQUOT, EFBIG};

    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        if (strstr(problem, strerror(none[i])))
            return true;
    }
    return false;
}

ss_code cli_watch_probe(cli_watch *w, const char *path, const char *run_file, cli_watch_end *end,
                        char problem[512], ss_err *e)
{
    cli_words words = {0};
    int status = 0;

    cli_word(&words, "probe");
    pass(w, &words);
    cli_word(&words, "--resume");
    cli_word(&words, "-o");
    cli_word(&words, "%s", run_file);
    cli_word(&words, "--");
    cli_word(&words, "%s", path);
    const ss_code rc = run(w, &words, cli_watch_name(path), &status, problem, e);
    cli_words_release(&words);
    if (rc == SS_IO) { /* no process to be had */
        snprintf(problem, 512, "%.511s", e->msg);
        *end = CLI_WATCH_FAILED;
        return SS_OK;
    }
    if (rc != SS_OK)
        return rc;
    *end = status == CLI_OK      ? CLI_WATCH_DONE
           : status == CLI_USAGE ? CLI_WATCH_MISUSED
           : is_full(problem)    ? CLI_WATCH_DISK
                                 : CLI_WATCH_FAILED;
    if (*end != CLI_WATCH_DONE && !*problem)
        snprintf(problem, 512,
                 status < 0 ? "the probe was ended by a signal (%s has what it said)"
                            : "the probe failed without a word (%s has what it said)",
                 w->log);
    return SS_OK;
}

/* ---- the page ---- */

/* Adds the newest run alone, where no checkpoint has a step. */
static void add_newest(const cli_watch *w, cli_words *words)
{
    const json_t *entries = cli_watch_entries(w);
    const json_t *last = json_array_get(entries, json_array_size(entries) - 1);

    cli_word(words, "%s/%s", w->out, cli_watch_text(last, "run"));
}

ss_code cli_watch_report(cli_watch *w, ss_err *e)
{
    int n = 0, all = 0, status = 0;
    char problem[512];
    ss_str steps = {0};
    cli_words words = {0};

    if (!w->report_runs || !json_array_size(cli_watch_entries(w)))
        return SS_OK;
    json_t **list = cli_watch_series(w, INT64_MAX, w->report_runs, &n, &all);
    cli_word(&words, "report");
    cli_word(&words, "-o");
    cli_word(&words, "%s/report", w->out);
    cli_word(&words, "--force");
    for (int i = 0; i < w->n_formats; i++) {
        cli_word(&words, "--format");
        cli_word(&words, "%s", w->formats[i].name);
    }
    cli_word(&words, "--title");
    if (n < all)
        cli_word(&words, "%s: %d of its %d checkpoints", w->folder, n, all);
    else
        cli_word(&words, "%s: %d checkpoint%s", w->folder, n > 1 ? n : 1, n > 1 ? "s" : "");
    for (int i = 0; i < n && n > 1; i++)
        ss_str_addf(&steps, "%s%.0f", i ? "," : "", cli_watch_number(list[i], "step"));
    if (n > 1) {
        cli_word(&words, "--steps");
        cli_word(&words, "%s", steps.s ? steps.s : "");
    }
    cli_word(&words, "--");
    for (int i = 0; i < n; i++)
        cli_word(&words, "%s/%s", w->out, cli_watch_text(list[i], "run"));
    if (!n)
        add_newest(w, &words);
    ss_free(list);
    words.failed |= steps.failed;
    ss_str_release(&steps);
    ss_code rc = run(w, &words, "the page", &status, problem, e);
    cli_words_release(&words);
    if (rc == SS_IO) {
        snprintf(problem, sizeof problem, "%.511s", e->msg);
        status = CLI_FAIL;
        rc = SS_OK;
    }
    if (rc == SS_OK && status != CLI_OK) {
        ss_err why = {0};

        ss_fail(&why, SS_IO, "%s", *problem ? problem : "`sigmascope report` failed");
        cli_watch_complain(w, "the page cannot be written", &why);
    }
    w->page_due = rc != SS_OK || status != CLI_OK;
    if (!w->page_due)
        json_object_set_new(w->state, "page",
                            json_integer((json_int_t)json_array_size(cli_watch_entries(w))));
    if (!w->page_due && cli_watch_save(w, e) != SS_OK)
        cli_watch_complain(w, "the state cannot be written", e);
    return rc;
}
