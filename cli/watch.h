/* watch.h - `sigmascope watch`: from a folder of checkpoints to lines, alarms and a page; private
 * to its files
 *
 *   watch.c         options, and the loop of looks
 *   watch_look.c    which checkpoints are whole and new
 *   watch_probe.c   the program's own commands, as children: probe, report
 *   watch_judge.c   what a new run and the trend say; alarms
 *   watch_state.c   watch.json, the lock
 *   watch_board.c   events for TensorBoard
 *   watch_say.c     lines on stdout
 *
 * The state is one JSON object, written whole after each change, by which the same command goes on
 * after it was killed (docs/watch.md has its fields).
 */
#ifndef SS_CLI_WATCH_H
#define SS_CLI_WATCH_H

#include "analyze/one/headroom.h"
#include "analyze/search/expression.h"
#include "cli/probe_options.h"
#include "cli/words.h"
#include "models/growing_folder.h"
#include "train/events.h"

#include <jansson.h>

enum { CLI_WATCH_TRIES = 3, CLI_WATCH_MAX_TREND = 256 };

/* An option of `probe`, as it was given. */
typedef struct {
    const char *name, *arg;
} cli_watch_passed;

/* A place in the folder, and what is known of it since the program began. */
typedef struct {
    char *path;
    char look[SS_GROWING_LOOK];
    double since;      /* time of the first look that found it so */
    double again;      /* not before this time: a failure is waited out */
    int tries;         /* failures with this look */
    bool final;        /* nothing is to be done until it changes */
    bool gone;         /* it was not in the last look */
    char problem[512]; /* the last that was said */
} cli_watch_seen;

typedef struct {
    cli_parser p;
    ss_probe_options opt;
    cli_probe_lists lists;
    cli_watch_passed *passed;
    int n_passed;
    size_t cap_passed;

    const char *folder, *out;
    double every, settle, idle; /* seconds; idle 0: never */
    bool once, stop_on_alarm, keep_going;
    int64_t until; /* a step; -1: none */
    const char **rule_texts;
    int n_rules;
    ss_expression *rules; /* [n_rules] */
    const char *command;  /* --on-alarm */
    double command_seconds;
    int report_runs; /* 0: no page */
    const char **format_names;
    int n_formats;
    ss_format formats[SS_MAX_FORMATS];

    json_t *state;
    int lock;
    bool unsaved;  /* the state could not be written */
    bool page_due; /* runs came that the page lacks */
    ss_events *board;
    char *runs, *log; /* OUT/runs, OUT/log.txt */
    cli_watch_seen *seen;
    int n_seen;
    size_t cap_seen;
    int n_made;   /* runs, by this process */
    bool no_room; /* the last probe found a full disk: the others wait for their turn */
    int n_failed; /* checkpoints that could be read and were not probed */
    bool waiting_said;
    double last_news;
    char problem[512]; /* of the page, the state or the events: the last that was said */
} cli_watch;

/* ---- watch_state.c ---- */

/* Makes OUT or goes on in it, and locks it. SS_IO if another watch has it or it is not a watch's;
 * SS_USAGE if it was begun with other options. */
ss_code cli_watch_open(cli_watch *w, ss_err *e);
ss_code cli_watch_save(cli_watch *w, ss_err *e);
void cli_watch_close(cli_watch *w); /* {0} is fine */
/* The entries, in the order in which they were probed; borrowed. */
json_t *cli_watch_entries(const cli_watch *w);
json_t *cli_watch_copies(const cli_watch *w);
/* "" and NAN where the key is not there. */
const char *cli_watch_text(const json_t *object, const char *key);
double cli_watch_number(const json_t *object, const char *key);
/* How many alarms there are in all checkpoints. */
int cli_watch_count_alarms(const cli_watch *w);
/* Says a problem that does not end the watch, once as long as it stays the same. */
void cli_watch_complain(cli_watch *w, const char *what, const ss_err *e);

/* ---- watch_look.c ---- */

/* Looks once: probes and judges what is whole and new. *pending: something may become whole soon.
 */
ss_code cli_watch_look(cli_watch *w, bool *pending, ss_err *e);
/* True when --until, --stop-on-alarm or a signal ends the watch. */
bool cli_watch_is_over(const cli_watch *w);

/* ---- watch_probe.c ---- */

typedef enum { CLI_WATCH_DONE, CLI_WATCH_FAILED, CLI_WATCH_MISUSED, CLI_WATCH_DISK } cli_watch_end;

/* Probes a checkpoint into the run file, or goes on with it. problem: what it complained about. */
ss_code cli_watch_probe(cli_watch *w, const char *path, const char *run, cli_watch_end *end,
                        char problem[512], ss_err *e);
/* Rewrites the page of all runs. Failing is said, and not the end. */
ss_code cli_watch_report(cli_watch *w, ss_err *e);

/* ---- watch_judge.c ---- */

/* Fills in "values", "forecast" and "alarms" of a new entry from its run and those before it. */
ss_code cli_watch_judge(cli_watch *w, json_t *entry, ss_err *e);
/* Says the alarms of an entry that have not been, and runs the command for each. */
ss_code cli_watch_alarm(cli_watch *w, json_t *entry, ss_err *e);
/* Entries that take part in the trend up to a step, in the order of the steps: of each step the
 * newest, at most `most`, the first and the last of them always. *n of them; ss_free. */
json_t **cli_watch_series(const cli_watch *w, int64_t step, int most, int *n, int *all);

/* ---- watch_board.c ---- */

/* Writes the events of entries that were not yet. Failing is said, and tried again. */
void cli_watch_log_events(cli_watch *w);

/* ---- watch_say.c ---- */

void cli_watch_say_entry(cli_watch *w, const json_t *entry);
void cli_watch_say_alarm(cli_watch *w, const json_t *entry, const json_t *alarm);
void cli_watch_say_end(cli_watch *w, const char *why);
/* "step-00250" of a path; borrowed from it. */
const char *cli_watch_name(const char *path);

#endif
