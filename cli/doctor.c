/* doctor.c - `sigmascope doctor`: from a folder to the report, by the program's own commands
 *
 *   look      opens headers, counts operations, chooses a grid        doctor_look.c, _network.c
 *   inspect   every checkpoint, or component: weights that are inf or NaN come first
 *   bisect    several checkpoints; of one: probe, each component
 *   attn, analyze, analyze --keep-fp32, report                        doctor_examine.c
 *   verdict   analyze's, with what was fed and assumed                doctor_verdict.c
 */
#include "cli/doctor.h"

#include "base/mem.h"

#include <string.h>

enum { OPT_OUTPUT = 1, OPT_FORMAT, OPT_FORCE, OPT_RESUME };
enum { MAX_MODELS = 1 << 16 };

#define DEFAULT_FOLDER "sigmascope-doctor"

static const cli_option options[] = {
    CLI_GROUP("What to run"),
    {OPT_FORMAT, "format", "FMT", "the number format to judge first (default fp16)"},
    CLI_PROBE_OPTIONS,
    CLI_GROUP("Output"),
    {OPT_OUTPUT, "output", "DIR", "where everything goes (default " DEFAULT_FOLDER ")"},
    {OPT_RESUME, "resume", NULL, "go on in DIR: steps that it has are not run again"},
    {OPT_FORCE, "force", NULL, "replace DIR, if a doctor made it"},
    {0},
};

static ss_code finish(cli_doctor *d, ss_err *e)
{
    json_t *object = json_object();
    const char *report_path = d->verdict.has_report ? "report/index.html" : NULL;
    ss_code rc = cli_doctor_verdict_json(&d->verdict, d->folder, report_path, object, e);

    if (rc == SS_OK)
        rc = cli_doctor_save(&d->steps, object, e);
    if (rc == SS_OK && d->p.common.json) {
        json_dumpf(object, stdout, JSON_INDENT(1));
        putchar('\n');
    } else if (rc == SS_OK) {
        ss_progress_hide();
        cli_doctor_verdict_print(&d->verdict, d->folder, report_path);
    }
    json_decref(object);
    return rc;
}

static ss_code doctor_run(cli_doctor *d, ss_err *e)
{
    ss_code rc = cli_doctor_find(d, e);

    if (rc == SS_OK && !d->runs_given) {
        ss_log_setup(SS_LOG_QUIET, SS_PROGRESS_NEVER); /* the steps say what is to be said */
        rc = cli_doctor_look_at_all(d, e);
        ss_log_setup(d->p.common.level, d->p.common.progress);
    }
    if (rc != SS_OK)
        return rc;
    cli_doctor_prepare(d);
    d->steps.folder = d->folder;
    d->steps.quiet_stdout = d->p.common.json;
    d->verdict.format = d->format;
    rc = cli_doctor_begin(&d->steps, d->force, d->resume, e);
    if (rc == SS_OK) {
        rc = cli_doctor_examine(d, e);
        if (rc != SS_OK) { /* what was done stays known, for --resume */
            json_t *object = json_object();

            cli_doctor_save(&d->steps, object, NULL);
            json_decref(object);
        }
    }
    return rc == SS_OK ? finish(d, e) : rc;
}

static void remember(cli_doctor *d, int id)
{
    cli_doctor_passed *grown = ss_grow(d->passed, &d->cap, (size_t)d->n_passed + 1, sizeof *grown);

    if (!grown) {
        cli_usage(&d->p, "out of memory");
        return;
    }
    d->passed = grown;
    d->passed[d->n_passed++] = (cli_doctor_passed){id, d->p.option, d->p.arg};
}

static void release(cli_doctor *d)
{
    cli_doctor_end(&d->steps);
    cli_doctor_verdict_release(&d->verdict);
    for (int i = 0; i < d->n_runs; i++)
        ss_free(d->runs[i]);
    ss_free(d->baseline);
    ss_free(d->passed);
    ss_checkpoint_folders_release(&d->list);
    cli_probe_release(&d->lists);
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    cli_doctor d = {.opt = ss_probe_defaults(), .format = "fp16", .folder = DEFAULT_FOLDER};
    ss_format format;
    ss_err e = {0};
    int id, status;

    cli_begin(&d.p, cmd, argc, argv);
    while ((id = cli_next(&d.p)) != CLI_END) {
        switch (id) {
        case OPT_OUTPUT: d.folder = d.p.arg; break;
        case OPT_FORMAT:
            d.format = d.p.arg;
            if (ss_format_parse(d.format, &format, &e) != SS_OK)
                cli_usage(&d.p, "--format: %s", e.msg);
            break;
        case OPT_FORCE: d.force = true; break;
        case OPT_RESUME: d.resume = true; break;
        default:
            cli_probe_take(&d.p, id, &d.opt, &d.lists);
            remember(&d, id);
            break;
        }
    }
    cli_probe_set(&d.p, &d.opt, &d.lists);
    if (!d.p.stop && d.force && d.resume)
        cli_usage(&d.p, "--resume and --force exclude each other");
    if (cli_stop(&d.p, 1, MAX_MODELS)) {
        release(&d);
        return d.p.status;
    }
    cli_stop_on_signals();
    if (doctor_run(&d, &e) != SS_OK)
        status = cli_fail(&d.p, &e);
    else
        status = cli_flush(&d.p, d.verdict.bad             ? CLI_FINDING
                                 : !d.n_runs || d.n_failed ? CLI_FAIL
                                                           : CLI_OK);
    release(&d);
    return status;
}

static const cli_example examples[] = {
    {"sigmascope doctor training",
     "a training's folder of checkpoints: which is the first bad one, and why."},
    {"sigmascope doctor sd15 --inputs images:photos -o sd15-doctor",
     "a pipeline: text encoders, denoiser and autoencoder, with pictures of your own."},
    {"sigmascope doctor checkpoint-6000/unet --prompt-embeds zeros --format bf16",
     "one network, told zeros in place of a text."},
    {0},
};

const cli_command cmd_doctor = {
    "doctor",
    "MODEL...",
    "one command from a folder to the report",
    "Runs the commands that find a fault, one after the other: inspect (weights that are inf or\n"
    "NaN come first), probe, or bisect where there are several checkpoints, attn, analyze, the\n"
    "list of modules to keep in fp32, and report. Prints each command as it is run, so that it\n"
    "can be repeated by itself; DIR/commands.sh has them all. MODEL is a model or pipeline,\n"
    "several checkpoints, a training's folder of them, or run files, which are not probed again.\n"
    "\n"
    "What the command line leaves open is chosen: noise levels over the schedule, inputs by the\n"
    "network's kind, and stand-ins where a condition is not at hand (docs/doctor.md). The grid is\n"
    "as fine as about two minutes on two CPU cores allow. The end says what was covered: nothing\n"
    "else was tested. Exit status 3: bad; 0: nothing bad in what was covered; 1: a step failed.",
    options,
    CLI_SEED | CLI_COMPUTE | CLI_ARITHMETIC | CLI_PROGRESS | CLI_JSON,
    run,
    examples,
};
