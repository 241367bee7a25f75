/* watch.c - `sigmascope watch`: each new checkpoint of a training is probed, judged and shown */
#include "cli/watch.h"

#include "base/file.h"
#include "base/mem.h"
#include "probe/interrupt.h"

#include <math.h>
#include <string.h>
#include <time.h>

enum {
    OPT_OUTPUT = 1,
    OPT_ALARM,
    OPT_ON_ALARM,
    OPT_ALARM_TIMEOUT,
    OPT_STOP_ON_ALARM,
    OPT_FORMAT,
    OPT_EVERY,
    OPT_SETTLE,
    OPT_ONCE,
    OPT_UNTIL,
    OPT_IDLE,
    OPT_KEEP_GOING,
    OPT_REPORT_RUNS
};

static const cli_option options[] = {
    CLI_GROUP("Alarms"),
    {OPT_ALARM, "alarm", "EXPR",
     "an expression of `bisect --fail` over the newest run, overflow(fp16), absmax(up_blocks.*) > "
     "3e4, and forecast(FMT, GLOB) < STEPS: training steps until the trend overflows FMT; "
     "repeatable (default: nonfinite(*) and overflow(FMT) of the first --format)"},
    {OPT_ON_ALARM, "on-alarm", "COMMAND",
     "a shell command for each alarm, with SIGMASCOPE_ALARM (the line), _CHECKPOINT, _STEP, "
     "_MODULE, _SIGMA, _INPUT, _VALUE, _RULE and _REPORT in its environment"},
    {OPT_ALARM_TIMEOUT, "alarm-timeout", "SECONDS",
     "how long that command may take before it is ended (default 60)"},
    {OPT_STOP_ON_ALARM, "stop-on-alarm", NULL, "end at the first alarm, with exit status 3"},
    CLI_GROUP("When"),
    {OPT_EVERY, "every", "SECONDS", "time between two looks at DIR (default 10)"},
    {OPT_SETTLE, "settle", "SECONDS",
     "how long the files of a checkpoint must not have changed before it is read (default 5)"},
    {OPT_ONCE, "once", NULL, "end when all that is there has been taken"},
    {OPT_UNTIL, "until", "STEP", "end after the checkpoint of this step, or a later one"},
    {OPT_IDLE, "idle", "SECONDS", "end when nothing new has come for so long"},
    {OPT_KEEP_GOING, "keep-going", NULL,
     "skip a checkpoint that the options of probe do not fit, instead of ending with status 2"},
    CLI_GROUP("Output"),
    {OPT_OUTPUT, "output", "DIR",
     "where everything goes: runs/, report/index.html, watch.json, events for TensorBoard, "
     "log.txt"},
    {OPT_FORMAT, "format", "FMT",
     "a number format whose headroom and forecast are kept; repeatable, the first is in the lines "
     "(default: fp16, bf16, fp8-e4m3, fp8-e5m2)"},
    {OPT_REPORT_RUNS, "report-runs", "N",
     "how many runs the page shows: the first, the newest and N - 2 between (default 8; 0: no "
     "page)"},
    CLI_PROBE_OPTIONS,
    {0},
};

static void remember(cli_watch *w, int id)
{
    if (id < OPT_PROBE_SIGMAS || id >= CLI_OPT_COMMON)
        return;
    cli_watch_passed *grown =
        ss_grow(w->passed, &w->cap_passed, (size_t)w->n_passed + 1, sizeof *grown);

    if (!grown) {
        cli_usage(&w->p, "out of memory");
        return;
    }
    w->passed = grown;
    w->passed[w->n_passed++] = (cli_watch_passed){w->p.option, w->p.arg};
}

static void take_seconds(cli_parser *p, double *value)
{
    cli_double(p, value);
    if (!p->stop && !(*value >= 0 && *value <= 1e9))
        cli_usage(p, "--%s takes seconds, 0 or more, not '%s'", p->option, p->arg);
}

static void take_option(cli_watch *w, int id)
{
    cli_parser *p = &w->p;

    switch (id) {
    case OPT_OUTPUT: w->out = p->arg; break;
    case OPT_ALARM: cli_append(p, &w->rule_texts, &w->n_rules); break;
    case OPT_ON_ALARM: w->command = p->arg; break;
    case OPT_ALARM_TIMEOUT: take_seconds(p, &w->command_seconds); break;
    case OPT_STOP_ON_ALARM: w->stop_on_alarm = true; break;
    case OPT_FORMAT: cli_append(p, &w->format_names, &w->n_formats); break;
    case OPT_EVERY: take_seconds(p, &w->every); break;
    case OPT_SETTLE: take_seconds(p, &w->settle); break;
    case OPT_ONCE: w->once = true; break;
    case OPT_UNTIL: cli_int(p, 0, INT64_MAX, &w->until); break;
    case OPT_IDLE: take_seconds(p, &w->idle); break;
    case OPT_KEEP_GOING: w->keep_going = true; break;
    case OPT_REPORT_RUNS: cli_count(p, 0, 64, &w->report_runs); break;
    default:
        cli_probe_take(p, id, &w->opt, &w->lists);
        remember(w, id);
        break;
    }
}

/* Reads the formats, and the rules, of which two are there where none is given. */
static ss_code set_rules(cli_watch *w, ss_err *e)
{
    static const char *const usual[] = {"fp16", "bf16", "fp8-e4m3", "fp8-e5m2"};
    static char overflow[64];
    const int given = w->n_formats;
    ss_code rc = SS_OK;

    if (given > SS_MAX_FORMATS)
        return ss_fail(e, SS_USAGE, "--format: at most %d", SS_MAX_FORMATS);
    w->n_formats = given ? given : (int)(sizeof usual / sizeof *usual);
    for (int i = 0; i < w->n_formats; i++) {
        if (ss_format_parse(given ? w->format_names[i] : usual[i], &w->formats[i], e) != SS_OK)
            return ss_fail_prefix(e, "--format");
    }
    if (!w->n_rules) {
        snprintf(overflow, sizeof overflow, "overflow(%.40s)", w->formats[0].name);
        w->rule_texts = ss_calloc(2, sizeof *w->rule_texts);
        if (!w->rule_texts)
            return ss_no_memory(e, "watch");
        w->rule_texts[w->n_rules++] = "nonfinite(*)";
        w->rule_texts[w->n_rules++] = overflow;
    }
    w->rules = ss_calloc((size_t)w->n_rules, sizeof *w->rules);
    if (!w->rules)
        return ss_no_memory(e, "watch");
    for (int i = 0; i < w->n_rules && rc == SS_OK; i++) {
        if ((rc = ss_expression_parse(w->rule_texts[i], &w->rules[i], e)) != SS_OK)
            ss_fail_prefix(e, "--alarm");
    }
    return rc;
}

/* Sleeps until the next look; a signal ends that. */
static void wait_for(double seconds)
{
    const double until = ss_now() + seconds;

    while (!ss_interrupted() && ss_now() < until) {
        const double left = fmin(until - ss_now(), 0.1);

        if (left > 0)
            nanosleep(&(struct timespec){.tv_nsec = (long)(left * 1e9)}, NULL);
    }
}

/* Looks again and again. *why: what ended it. */
static ss_code watch(cli_watch *w, const char **why, ss_err *e)
{
    const json_t *page = json_object_get(w->state, "page");
    bool pending;
    ss_code rc;

    w->page_due = json_integer_value(page) != (json_int_t)json_array_size(cli_watch_entries(w));
    w->last_news = ss_now();
    for (;;) {
        rc = cli_watch_look(w, &pending, e);
        cli_watch_log_events(w);
        if (rc == SS_OK && w->page_due && !ss_interrupted())
            rc = cli_watch_report(w, e);
        if (rc != SS_OK)
            return rc;
        *why = ss_interrupted()                                    ? "signal"
               : w->stop_on_alarm && cli_watch_count_alarms(w)     ? "alarm"
               : cli_watch_is_over(w) && !pending                  ? "until"
               : w->once && !pending                               ? "once"
               : w->idle > 0 && ss_now() - w->last_news >= w->idle ? "idle"
                                                                   : NULL;
        if (*why)
            return ss_interrupted() ? ss_fail(e, SS_INTERRUPTED,
                                              "interrupted; the same command goes on in %s", w->out)
                                    : SS_OK;
        wait_for(pending ? fmin(fmax(w->settle, 0.02), w->every) : w->every);
    }
}

/* The status of a watch that came to its end by itself, or by a signal. */
static int status_of(const cli_watch *w, ss_code rc, const ss_err *e)
{
    if (cli_watch_count_alarms(w) && (rc == SS_OK || rc == SS_INTERRUPTED))
        return CLI_FINDING;
    if (rc != SS_OK)
        return cli_fail(&w->p, e);
    return w->n_failed && w->once ? CLI_FAIL : CLI_OK;
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    cli_watch w = {.opt = ss_probe_defaults(),
                   .every = 10,
                   .settle = 5,
                   .until = -1,
                   .command_seconds = 60,
                   .report_runs = 8,
                   .lock = -1};
    const char *why = NULL;
    ss_err e = {0};
    int id, status;

    cli_begin(&w.p, cmd, argc, argv);
    while ((id = cli_next(&w.p)) != CLI_END)
        take_option(&w, id);
    cli_probe_set(&w.p, &w.opt, &w.lists);
    if (!w.p.stop && !w.out)
        cli_usage(&w.p, "-o DIR is missing: where runs, page and events go");
    if (!w.p.stop && set_rules(&w, &e) != SS_OK)
        cli_usage(&w.p, "%s", e.msg);
    if (!w.p.stop && w.p.n_operands == 0)
        cli_usage(&w.p, "DIR is missing: the folder that the training writes checkpoints to");
    if (cli_stop(&w.p, 1, 1)) {
        status = w.p.status;
        goto out;
    }
    w.folder = w.p.operands[0];
    cli_stop_on_signals();
    ss_code rc = cli_watch_open(&w, &e);
    if (rc == SS_OK) {
        rc = watch(&w, &why, &e);
        if (rc == SS_OK || rc == SS_INTERRUPTED)
            cli_watch_say_end(&w, why ? why : "signal");
        status = cli_flush(&w.p, status_of(&w, rc, &e));
    } else {
        status = cli_fail(&w.p, &e);
    }
out:
    cli_watch_close(&w);
    return status;
}

static const cli_example examples[] = {
    {"sigmascope watch training --once -o watched --samples 1 --settle 1",
     "takes all checkpoints that are there, and ends."},
    {"sigmascope watch training -o watched --alarm 'forecast(fp16) < 2000' --idle 60",
     "beside a training: says when fp16 is less than 2000 steps from its end."},
    {"sigmascope watch training -o watched --on-alarm 'echo \"$SIGMASCOPE_ALARM\" >> alarms.txt' "
     "--until 6000",
     "a command for each alarm; ends with the training."},
    {0},
};

const cli_command cmd_watch = {
    "watch",
    "DIR -o DIR",
    "probe each new checkpoint of a training, forecast, alarm",
    "Stays beside a training and looks at the folder of its checkpoints, which need not be there\n"
    "yet: checkpoint-500/, step_500/, step-500.safetensors, last.ckpt and so on. Each that is new\n"
    "by its content, and whole, is probed with the options of `sigmascope probe`; its line says\n"
    "the largest |x|, the headroom and, from three steps on, where the trend leads. The page\n"
    "DIR/report/index.html is rewritten whole, and TensorBoard finds events in DIR.\n"
    "\n"
    "A checkpoint that is half-written, damaged or gone is said, once, and looked at again when "
    "it\n"
    "changes; a full disk is waited out. Killed at any moment, the same command goes on: nothing\n"
    "is probed twice, no alarm comes twice. A rule is tried once for each checkpoint. With --json\n"
    "each line is an object. Exit status 3: an alarm is among the checkpoints; else 0, 128 + the\n"
    "signal, or with --once 1 if one could not be probed.",
    options,
    CLI_SEED | CLI_COMPUTE | CLI_ARITHMETIC | CLI_PROGRESS | CLI_JSON,
    run,
    examples,
};
